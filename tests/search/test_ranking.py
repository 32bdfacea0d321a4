"""Rankings are joined by rank alone."""

from hypothesis import given
from hypothesis import strategies as st

from clew.search.ranking import fuse

_RANKINGS = st.lists(st.lists(st.integers(0, 9)), max_size=4)


def test_scores_are_reciprocal_ranks_scaled_to_one() -> None:
    assert fuse(["a", "b"], ["a", "c"]) == [("a", 1.0), ("b", 11 / 12 / 2), ("c", 11 / 12 / 2)]
    assert fuse(["a"], [], k=0) == [("a", 0.5)]
    assert fuse("ab", "b", k=0) == [("b", 0.75), ("a", 0.5)]


def test_nothing_joined_is_nothing() -> None:
    assert fuse() == []
    assert fuse([], []) == []


def test_what_stands_twice_counts_where_it_stands_first() -> None:
    assert fuse("aba") == fuse("ab")


@given(_RANKINGS)
def test_all_are_there_once_best_first(rankings: list[list[int]]) -> None:
    fused = fuse(*rankings)
    scores = [score for _, score in fused]
    assert sorted(each for each, _ in fused) == sorted({each for ranking in rankings for each in ranking})
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


@given(st.lists(st.integers(), unique=True), st.integers(1, 4))
def test_one_ranking_stays_as_it_is_however_often(ranking: list[int], times: int) -> None:
    fused = fuse(*[ranking] * times)
    assert [each for each, _ in fused] == ranking
    assert not ranking or fused[0][1] == 1.0
