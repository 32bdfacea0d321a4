"""How many pieces models say, all answers of a process together."""

BUSY, CALM = 2_500, 800
"""Pieces a second from which on a process is busy with them, about a sixth of a core's time; and below which
it no longer is: while it is, words come together, and there are fewer pieces."""

_WINDOW = 0.25
"""Seconds over which they are counted."""


class Rate:
    """Counts pieces.

    Attributes:
        busy: whether the process is busy with them.
    """

    def __init__(self) -> None:
        self.busy = False
        self._pieces, self._since = 0, 0.0

    def count(self, pieces: int, now: float) -> bool:
        """Count so many pieces more at a time, in seconds; return whether the process is busy with them."""
        self._pieces += pieces
        passed = now - self._since
        if passed >= _WINDOW:
            self.busy = self._pieces > (CALM if self.busy else BUSY) * passed
            self._pieces, self._since = 0, now
        return self.busy
