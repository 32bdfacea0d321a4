"""Tells of jumps of the machine's clock: runs expire, keys end and webhooks are signed by it."""

import asyncio
import logging
from collections.abc import Callable

from clew.clock import Clock
from clew.engine.lifecycle import LoopingService

_LOOK = 5.0
"""Seconds between two looks."""

_JUMP = 2_000
"""Milliseconds by which the clock must be off what has passed: more than it is ever slewed in one look."""

_log = logging.getLogger(__name__)


class ClockWatch(LoopingService):
    """Compares the clock with the time that has passed.

    Args:
        passed: milliseconds that have passed since any moment.
        jumped: called after a jump: what was to be looked at by the clock is to be looked at anew.
    """

    def __init__(
        self,
        clock: Clock,
        jumped: Callable[[], None],
        passed: Callable[[], float],
    ) -> None:
        self._clock, self._jumped, self._passed = clock, jumped, passed
        self._ahead = clock.now() - passed()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            self.look()

    def look(self) -> None:
        """Say so, if the clock has jumped since the last look."""
        before, self._ahead = self._ahead, self._clock.now() - self._passed()
        jump = self._ahead - before
        if abs(jump) < _JUMP:
            return
        _log.warning(
            "the clock of this machine jumped %.0f s %s: runs expire and keys end by it. It was set, or the "
            "machine stood still; NTP keeps it right",
            abs(jump) / 1000,
            "forward" if jump > 0 else "back",
        )
        self._jumped()
