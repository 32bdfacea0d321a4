"""Submissions that were refused, remembered for a while: a refusal leaves nothing in the rows."""

from msgspec import Struct

from clew.core.errors import ApprovalsMismatch, OutputsMismatch

_MOST = 1_000
"""Runs of which the last refused submission is remembered."""

_MOST_IDS, _LONGEST_ID = 32, 64


class Submission(Struct, frozen=True):
    """A submission to a run that was refused: ids of calls, at most so many as are worth showing."""

    at: int
    what: str
    """``outputs`` or ``approvals``."""
    expected: tuple[str, ...]
    got: tuple[str, ...]


class Refusals:
    """The last refused submission of each run, as far as this process has seen it and remembers."""

    def __init__(self) -> None:
        self._last: dict[str, Submission] = {}

    def note(self, run_id: str, refused: OutputsMismatch | ApprovalsMismatch, now: int) -> None:
        """Remember a refusal; the oldest is forgotten."""
        what = "outputs" if isinstance(refused, OutputsMismatch) else "approvals"
        self._last.pop(run_id, None)
        self._last[run_id] = Submission(now, what, _short(refused.expected), _short(refused.got))
        if len(self._last) > _MOST:
            del self._last[next(iter(self._last))]

    def of(self, run_id: str) -> Submission | None:
        """Return the last refusal of a run, if it is remembered."""
        return self._last.get(run_id)

    def forget(self, run_id: str) -> None:
        """Forget a run's refusal: a submission was accepted."""
        self._last.pop(run_id, None)


def _short(ids: object) -> tuple[str, ...]:
    """Return ids that clients sent, few and short."""
    assert isinstance(ids, list | tuple)
    return tuple(each[:_LONGEST_ID] for each in ids[:_MOST_IDS])
