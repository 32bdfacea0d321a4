"""What a decision about a run is made of: its state, the writes and effects that follow."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clew.core.journal import Entry, Publish
from clew.core.records import Message, Run, Step


class RunState(Struct, frozen=True):
    """All that a decision needs: the run, and its tool step if one waits for outputs."""

    run: Run
    waiting: Step | None = None

    def at_version(self, version: int) -> "RunState":
        """Return the state as the store holds it after a write."""
        return RunState(replace(self.run, version=version), self.waiting)


class AddMessage(Struct, frozen=True):
    """Write: a new message."""

    message: Message


class AddStep(Struct, frozen=True):
    """Write: a new step."""

    step: Step


class SaveStep(Struct, frozen=True):
    """Write: a step that has changed."""

    step: Step


Write: TypeAlias = AddMessage | AddStep | SaveStep


class CallModel(Struct, frozen=True):
    """Effect: ask the model for the next turn, within what is left of the run's token budgets."""

    prompt_tokens_left: int | None
    completion_tokens_left: int | None


class Decision(Struct, frozen=True):
    """The answer to an event: the next state, what to write with it, then what to do.

    ``entries`` is what the run's readers are told, as it stands in the run's journal.
    """

    state: RunState
    writes: tuple[Write, ...] = ()
    publish: tuple[Publish, ...] = ()
    call_model: CallModel | None = None
    entries: tuple[Entry, ...] = ()

    def then(self, later: "Decision") -> "Decision":
        """Return both decisions as one: ``later`` was made on this one's state."""
        return Decision(
            later.state, self.writes + later.writes, self.publish + later.publish, later.call_model
        )
