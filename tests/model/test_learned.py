"""What is kept of each model of an endpoint, and for how long."""

import pytest

from clew.model import learned
from clew.model.endpoint import Endpoint
from clew.model.learned import Known, Learned
from clew.model.quirks import USUAL, Quirks

FOLDED = Quirks(system="fold")


def test_what_is_in_use_is_kept_whatever_other_names_are_asked_for() -> None:
    kept = Learned(Endpoint(url="http://h"))
    kept.of("used").taught(FOLDED)
    for number in range(2 * learned._KEPT):
        kept.of(f"other-{number}")
        assert kept.of("used").quirks == FOLDED
    assert list(kept.lessons()) == ["used"]


def test_who_only_looks_has_nothing_forgotten() -> None:
    kept = Learned(Endpoint(url="http://h"))
    kept.of("used").too_many(4096, 5000, 5000, None)
    for number in range(2 * learned._KEPT):
        assert kept.context_of(f"other-{number}") is None
    assert kept.context_of("used") == 4096


@pytest.mark.parametrize(
    ("counted", "context"),
    [
        (300, 20_000),
        (600, 10_000),
        (150, 20_000),
        (19_000, 5_000),
        (20_001, 20_000),
        (10_000_000, 20_000),
    ],
)
def test_a_count_that_can_not_be_takes_no_context_away(counted: int, context: int) -> None:
    known = Known(USUAL, 20_000)
    known.counted(counted, 300)
    assert known.context_tokens == context
