"""Markers in a text: settled however the text is cut, positions in code points, nothing invented left."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.citing import Citing, Settled, marker, place_of

KNOWN = {"4:0": "file-a", "4:1": "file-b"}
A, B, FALSE = "【4:0†a.txt】", "【4:1†b.txt】", "【9:9†made up】"


def _settled(text: str, cuts: list[int]) -> list[Settled]:
    citing = Citing(KNOWN)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    found = [each for start, end in itertools.pairwise(places) for each in citing.feed(text[start:end])]
    return found + citing.end()


@pytest.mark.parametrize(
    ("text", "shown", "cited"),
    [
        ("Go left.", "Go left.", []),
        (f"Go left{A}.", f"Go left{A}.", [(A, "file-a")]),
        (f"\U0001f9f6{A}{B}{A}", f"\U0001f9f6{A}{B}{A}", [(A, "file-a"), (B, "file-b"), (A, "file-a")]),
        (f"Go{FALSE} left", "Go left", []),
        ("【4:0†another name】", "【4:0†another name】", [("【4:0†another name】", "file-a")]),
        ("【注】 left 【", "【注】 left 【", []),
        ("Go 【4:0†a.t", "Go ", []),
        ("Go 【4:", "Go ", []),
        ("【【4:0†a.txt】", "【【4:0†a.txt】", [(A, "file-a")]),
        ("【" + "x" * 300 + "】", "【" + "x" * 300 + "】", []),
        ("】【†】", "】【†】", []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_text_is_settled_however_it_is_cut(
    text: str, shown: str, cited: list[tuple[str, str]], size: int
) -> None:
    found = _settled(text, list(range(0, len(text), size)))
    assert "".join(each.text for each in found) == shown
    assert [(each.text, each.file_id) for each in found if each.file_id] == cited


@given(
    st.lists(
        st.sampled_from([A, B, FALSE, "【", "】", "†", "4:0", "left ", "\U0001f9f6", "注"]), max_size=12
    ),
    st.lists(st.integers(0, 200), max_size=20),
)
def test_any_cut_gives_the_same(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    whole, cut = _settled(text, []), _settled(text, cuts)
    assert "".join(each.text for each in whole) == "".join(each.text for each in cut)
    assert [each for each in whole if each.file_id] == [each for each in cut if each.file_id]
    assert FALSE not in "".join(each.text for each in cut)


def test_what_is_held_back_is_bounded() -> None:
    citing = Citing(KNOWN)
    citing.feed("【")
    assert len("".join(each.text for each in citing.feed("x" * 10_000))) > 9_000


@pytest.mark.parametrize("name", ["a.txt", "【†】", "", "a\nb", "x" * 500, "注.md"])
def test_every_marker_is_one(name: str) -> None:
    made = marker(4, 7, name)
    assert place_of(made) == "4:7"
    assert len(made) < 80
