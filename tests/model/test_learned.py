"""What is kept of each model of an endpoint, and for how long."""

from clew.model import learned
from clew.model.endpoint import Endpoint
from clew.model.learned import Learned
from clew.model.quirks import Quirks

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
