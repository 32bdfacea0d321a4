"""Whether an endpoint can be reached: while it can't, one caller at a time finds out."""

from clew.clock import Clock
from clew.model.chat import ModelError

_PAUSE = 1_000
_LONGEST_PAUSE = 15_000
"""Milliseconds between two tries to reach it."""

_UNPROVEN = 32
"""Callers that may connect at once to an endpoint that was not reached yet."""

_UNPROVEN_PAUSE = 200

NOT_REACHED = "The connection to the model broke: it could not be reached."


class Try:
    """One caller's way to an endpoint."""

    __slots__ = ("_reach", "_under_way")

    def __init__(self, reach: "Reach") -> None:
        self._reach, self._under_way = reach, True

    def reached(self) -> None:
        """Note that the endpoint was reached."""
        self._reach.reached()
        self.leave()

    def leave(self) -> None:
        """Note that this caller is not on its way any more."""
        if self._under_way:
            self._under_way = False
            self._reach.connecting -= 1


class Reach:
    """What is known of whether one endpoint can be reached.

    Attributes:
        connecting: callers that are on their way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._proven = False
        """Whether it was reached since the start, and since it last was not."""
        self._failures = 0
        self._next_try = 0
        self._why = NOT_REACHED
        self.connecting = 0

    @property
    def lost(self) -> bool:
        """Whether it could not be reached when it was last tried."""
        return self._failures > 0

    def admit(self) -> Try:
        """Let a caller on its way.

        Raises:
            ModelError: it can't be reached, or others are finding out whether it can.
        """
        if not self._proven:
            self._admit_few()
        self.connecting += 1
        return Try(self)

    def _admit_few(self) -> None:
        now = self._clock.now()
        if self.lost and (self.connecting or now < self._next_try):
            raise self._error(max(self._next_try - now, _PAUSE), asked=False)
        if self.connecting >= _UNPROVEN:
            raise self._error(_UNPROVEN_PAUSE, asked=False)

    def reached(self) -> None:
        """Note that it was reached."""
        self._proven, self._failures = True, 0

    def failed(self, message: str) -> ModelError:
        """Note that it could not be reached; return the error that this is."""
        self._proven = False
        now = self._clock.now()
        if now >= self._next_try:  # else many were on their way at once
            self._failures += 1
            self._next_try = now + min(_PAUSE << min(self._failures - 1, 6), _LONGEST_PAUSE)
        self._why = message
        return self._error(self._next_try - now, asked=True)

    def _error(self, delay: int, *, asked: bool) -> ModelError:
        return ModelError("server_error", self._why, again=True, delay=delay, unreachable=True, asked=asked)
