"""Jumps of the clock are told, and what goes by it is looked at anew; drifting is not."""

import pytest

from clew.engine.clock_watch import ClockWatch
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("jump", "said"),
    [(3_600_000, "jumped 3600 s forward"), (-3_600_000, "jumped 3600 s back"), (1_500, None), (-1_500, None)],
)
def test_a_jump_is_told_once(caplog: pytest.LogCaptureFixture, jump: int, said: str | None) -> None:
    clock, passed, looked = ManualClock(), [0.0], list[str]()
    watch = ClockWatch(clock, lambda: looked.append("anew"), lambda: passed[0])
    for _ in range(3):
        clock.advance(5_000)
        passed[0] += 5_000
        watch.look()
    assert caplog.records == []
    clock.advance(5_000 + jump)
    passed[0] += 5_000
    watch.look()
    watch.look()
    assert len(looked) == len(caplog.records) == int(said is not None)
    if said is not None:
        assert said in caplog.text
