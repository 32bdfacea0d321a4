"""The life of a run as data: its states, the legal moves between them, and what causes each.

Source: OpenAI's guide "How Assistants work", section "Run lifecycle", and the published API schema.
Everything that is not in :data:`MOVES` is a bug, and :func:`move` refuses it.
"""

from enum import StrEnum

from msgspec import Struct


class RunStatus(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    REQUIRES_ACTION = "requires_action"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INCOMPLETE = "incomplete"

    @property
    def live(self) -> bool:
        """Whether the run still holds its thread's lock."""
        return self in LIVE


LIVE = frozenset((RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.REQUIRES_ACTION, RunStatus.CANCELLING))
"""The states that lock the thread. All others are terminal."""


class StepStatus(StrEnum):
    """Where a run step is. A step is never queued and never incomplete."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class MessageStatus(StrEnum):
    """Whether a message's text is whole."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class CallState(StrEnum):
    """Where a call of a tool is."""

    PROPOSED = "proposed"
    """The server will run it when there is a place."""
    WAITS_FOR_APPROVAL = "waits_for_approval"
    WAITS_FOR_CLIENT = "waits_for_client"
    AT_WORK = "at_work"
    """The server runs it, or did when it died."""
    DONE = "done"
    DENIED = "denied"

    @property
    def open(self) -> bool:
        """Whether its outcome is still to come."""
        return self not in (CallState.DONE, CallState.DENIED)


class CallResult(StrEnum):
    """What became of a call."""

    OK = "ok"
    FAILED = "failed"
    """It ended with an error, which the model was told."""
    DENIED = "denied"
    UNKNOWN = "unknown"
    """It may have happened: the server died meanwhile, and it is not safe to repeat."""
    NOT_OFFERED = "not_offered"
    """There is no function of that name."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    BROKEN_OFF = "broken_off"
    """The run failed, or the answer was cut, before it had an outcome."""


class WaitsFor(StrEnum):
    """Why a run is parked: it has no worker, no place and no claim until that is over."""

    CLIENT = "client"
    APPROVAL = "approval"
    CHILD = "child"
    FILES = "files"
    RETRY = "retry"
    SHARE = "share"
    """It is queued, and its project has as many runs at work as it may."""


class Move(Struct, frozen=True):
    """One legal move of a run."""

    source: RunStatus
    target: RunStatus
    cause: str


_S = RunStatus

MOVES: tuple[Move, ...] = (
    Move(_S.QUEUED, _S.IN_PROGRESS, "a worker takes the run"),
    Move(_S.QUEUED, _S.CANCELLING, "a client cancels it"),
    Move(_S.QUEUED, _S.EXPIRED, "its time is over"),
    Move(_S.IN_PROGRESS, _S.REQUIRES_ACTION, "a call needs the client's output or a person's approval"),
    Move(_S.IN_PROGRESS, _S.COMPLETED, "the model answered without calling a tool"),
    Move(_S.IN_PROGRESS, _S.FAILED, "the model failed"),
    Move(_S.IN_PROGRESS, _S.INCOMPLETE, "a token budget or the model's own limit cut the answer"),
    Move(_S.IN_PROGRESS, _S.EXPIRED, "its time is over"),
    Move(_S.IN_PROGRESS, _S.CANCELLING, "a client cancels it"),
    Move(_S.REQUIRES_ACTION, _S.QUEUED, "all that it asked for was submitted"),
    Move(_S.REQUIRES_ACTION, _S.CANCELLING, "a client cancels it"),
    Move(_S.REQUIRES_ACTION, _S.EXPIRED, "its time is over"),
    Move(_S.CANCELLING, _S.CANCELLED, "the work has stopped"),
)

_LEGAL = frozenset((move.source, move.target) for move in MOVES)


class IllegalMove(AssertionError):
    """A run was about to make a move that the state table does not know."""


def move(source: RunStatus, target: RunStatus) -> RunStatus:
    """Return ``target``.

    Raises:
        IllegalMove: a run may not go from ``source`` to ``target``.
    """
    if (source, target) not in _LEGAL:
        raise IllegalMove(f"a run may not go from {source} to {target}")
    return target
