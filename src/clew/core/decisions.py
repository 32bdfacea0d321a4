"""What a decision about a run is made of: its state, the writes and effects that follow, refusals."""

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clew.core.entries import Entry, Publish
from clew.core.records import Call, MadeFile, Message, Run, Step
from clew.core.states import CallState, RunStatus


class RunState(Struct, frozen=True):
    """All that a decision needs: the run, and its step whose calls have not all ended, if there is one."""

    run: Run
    open_step: Step | None = None

    def at_version(self, version: int) -> "RunState":
        """Return the state as the store holds it after a write."""
        return RunState(replace(self.run, version=version), self.open_step)


class AddMessage(Struct, frozen=True):
    """Write: a new message."""

    message: Message


class AddStep(Struct, frozen=True):
    """Write: a new step, with its calls."""

    step: Step


class SaveStep(Struct, frozen=True):
    """Write: a step that has changed, without its calls."""

    step: Step


class SaveCall(Struct, frozen=True):
    """Write: a call that has changed."""

    call: Call


class AddFile(Struct, frozen=True):
    """Write: a file that a call has made, and its name in the thread's session."""

    made: MadeFile
    thread_id: str


Write: TypeAlias = AddMessage | AddStep | SaveStep | SaveCall | AddFile


class CallModel(Struct, frozen=True):
    """Effect: ask the model for the next turn, within what is left of the run's token budgets."""

    prompt_tokens_left: int | None
    completion_tokens_left: int | None


class RunCall(Struct, frozen=True):
    """Effect: run a call of a server-side tool.

    ``key`` is the same whenever this call is made again after a crash.
    """

    call: Call
    key: str


Effect: TypeAlias = CallModel | RunCall


class Decision(Struct, frozen=True):
    """The answer to an event: the next state, and what to write with it.

    ``entries`` is what the run's readers are told, as it stands in the run's journal.
    """

    state: RunState
    writes: tuple[Write, ...] = ()
    publish: tuple[Publish, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What is to be performed in the state that it leads to, less what is being performed already."""
        return effects_of(self.state)

    def then(self, later: "Decision") -> "Decision":
        """Return both decisions as one: ``later`` was made on this one's state."""
        return Decision(
            later.state,
            self.writes + later.writes,
            self.publish + later.publish,
            self.entries + later.entries,
        )


def effects_of(state: RunState) -> tuple[Effect, ...]:
    """Return what is still to be performed for a run, whoever takes it over in this state."""
    run, step = state.run, state.open_step
    if run.status != RunStatus.IN_PROGRESS or run.waits_for is not None:
        return ()
    if step is None:
        return (CallModel(*tokens_left(run)),)
    return tuple(
        RunCall(call, f"{run.id}/{call.turn}/{call.index}")
        for call in step.calls
        if call.state == CallState.AT_WORK
    )


def tokens_left(run: Run) -> tuple[int | None, int | None]:
    """Return the tokens that prompts and answers of a run may still use; None for any number."""
    config, usage = run.config, run.usage
    allowed = _left(config.token_allowance, usage.total_tokens)
    asked = _left(config.max_completion_tokens, usage.completion_tokens)
    answers = allowed if asked is None else asked if allowed is None else min(asked, allowed)
    return _left(config.max_prompt_tokens, usage.prompt_tokens), answers


def _left(budget: int | None, used: int) -> int | None:
    return None if budget is None else max(0, budget - used)
