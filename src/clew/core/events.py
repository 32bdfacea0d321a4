"""What can happen to a run."""

from typing import TypeAlias

from msgspec import Struct

from clew.core.records import Failure, Outcome, Turn


class Started(Struct, frozen=True):
    """A worker has claimed the run."""


class ModelReplied(Struct, frozen=True):
    """The model has finished its turn."""

    turn: Turn


class ModelFailed(Struct, frozen=True):
    """The model could not answer, or broke off."""

    turn: Turn
    failure: Failure


class ModelAway(Struct, frozen=True):
    """The model does not answer now: it is to be asked again at ``due``. ``since`` is when that began."""

    due: int
    since: int


class ModelStopped(Struct, frozen=True):
    """The model was stopped in mid-turn, because the run is cancelled or out of time."""

    turn: Turn


class PromptTooLong(Struct, frozen=True):
    """Not even the newest message fits the run's prompt budget."""


class CallEnded(Struct, frozen=True):
    """A call of a server-side tool has ended."""

    call_id: str
    outcome: Outcome


class CallsStopped(Struct, frozen=True):
    """The calls at work were stopped, because the run is cancelled or out of time."""


class Unstorable(Struct, frozen=True):
    """What came of an effect can't be stored."""

    failure: Failure


class Submitted(Struct, frozen=True):
    """A client has answered calls: outputs by call id, and who may run by call id."""

    outputs: tuple[tuple[str, str], ...] = ()
    approvals: tuple[tuple[str, bool], ...] = ()


class CancelRequested(Struct, frozen=True):
    """A client wants the run cancelled."""


Event: TypeAlias = (
    Started
    | ModelReplied
    | ModelFailed
    | ModelAway
    | ModelStopped
    | PromptTooLong
    | CallEnded
    | CallsStopped
    | Unstorable
    | Submitted
    | CancelRequested
)
