"""A run's life outside of any server: what decisions write, and the rules that must hold at all times.

The rules are written anew from the contract, and know nothing of how :func:`clew.core.decide.decide`
comes to its decisions.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import (
    AddMessage,
    AddStep,
    CallModel,
    Decision,
    RunCall,
    RunState,
    SaveCall,
    SaveStep,
)
from clew.core.entries import CallOutput
from clew.core.errors import Refused
from clew.core.events import (
    CallEnded,
    CallsStopped,
    CancelRequested,
    Event,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    PromptTooLong,
    Started,
    Submitted,
    Unstorable,
)
from clew.core.records import Call, Message, Run, RunConfig, Step, Turn, Usage

WRITTEN: dict[str, set[str]] = {
    "queued": {"in_progress", "cancelling", "expired"},
    "in_progress": {"requires_action", "completed", "failed", "incomplete", "expired", "cancelling"},
    "requires_action": {"queued", "cancelling", "expired"},
    "cancelling": {"cancelled"},
    "completed": set(),
    "failed": set(),
    "cancelled": set(),
    "expired": set(),
    "incomplete": set(),
}
"""Which states may follow each state, as the guide tells it, less the moves that Clew never needs:
a run that is being cancelled always ends cancelled, and a queued one can always be started."""

OVER = {status for status, following in WRITTEN.items() if not following}
EXPIRY = 600_000


class Rules(NamedTuple):
    """What must come of an event, by the contract: the status, or that it is refused."""

    status: str
    refused: bool = False


class Life:
    """One run: its rows, its time, and the check of every rule after every event."""

    def __init__(self, config: RunConfig, now: int) -> None:
        self.now = now
        self.expires_at = now + EXPIRY
        run = Run(
            id="run_1",
            project="alpha",
            thread_id="thread_1",
            assistant_id="asst_1",
            created_at=now,
            expires_at=self.expires_at,
            config=config,
        )
        self.state = RunState(run)
        self.steps: dict[str, Step] = {}
        self.messages: dict[str, Message] = {}
        self.spent = Usage()
        self.calling = False
        """Whether the model has been asked and has not answered."""

    @property
    def status(self) -> str:
        return str(self.state.run.status)

    def calls_in(self, *states: str) -> list[Call]:
        """Return the calls of the open step in some states."""
        step = self.state.open_step
        return [call for call in step.calls if call.state in states] if step else []

    @property
    def open_calls(self) -> list[str]:
        """The ids of the calls that wait for a client's output, or for approval if there are such."""
        asked = self.calls_in("waits_for_approval") or self.calls_in("waits_for_client")
        return [call.id for call in asked] if self.status == "requires_action" else []

    @property
    def at_work(self) -> list[str]:
        """The ids of the calls that the server runs."""
        return [call.id for call in self.calls_in("at_work")] if self.status == "in_progress" else []

    def happen(self, event: Event) -> Decision | None:
        """Let an event happen; None if it was refused. Every rule is checked."""
        expected = self._expected(event)
        before = self.state
        try:
            decision = decide(before, event, self.now)
        except Refused:
            assert expected.refused, f"{event} was refused in {self.status}"
            return None
        assert not expected.refused, f"{event} was not refused in {self.status}"
        if before.run.status in OVER:
            self._check_unmoved(before, decision)
            return decision
        self._write(decision)
        self._book(event)
        if not isinstance(event, CancelRequested):
            self.calling = any(isinstance(effect, CallModel) for effect in decision.effects)
        assert self.status == expected.status, f"{event}: {before.run.status} became {self.status}"
        self._check_moves(before, decision)
        self._check_told(decision)
        self._check_run(before.run)
        self._check_steps()
        self._check_messages()
        self._check_call(decision)
        return decision

    def break_off(self) -> None:
        """The worker dies; the next one's claim counts that."""
        run = self.state.run
        self.state = RunState(replace(run, attempts=run.attempts + 1), self.state.open_step)

    # --- what the contract says will happen -----------------------------------------------------

    def _expected(self, event: Event) -> Rules:
        status, late = self.status, self.now >= self.expires_at
        if isinstance(event, Submitted):
            right = status == "requires_action" and not late
            approvals = bool(self.calls_in("waits_for_approval"))
            given, other = (event.approvals, event.outputs) if approvals else (event.outputs, event.approvals)
            right = right and not other and sorted(self.open_calls) == sorted(call for call, _ in given)
            return Rules("queued", refused=not right)
        if isinstance(event, CancelRequested):
            able = status in ("queued", "in_progress", "requires_action") and not late
            return Rules("cancelling", refused=not able)
        if status in OVER:
            return Rules(status)
        if status == "cancelling":
            return Rules("cancelled")
        if late:
            return Rules("expired")
        return Rules(self._undisturbed(event))

    def _undisturbed(self, event: Event) -> str:
        """Return the status that follows when nobody has cancelled the run and there is time left."""
        match event:
            case CallsStopped():
                return self.status
            case ModelFailed() | Unstorable():
                return "failed"
            case PromptTooLong():
                return "incomplete"
            case ModelReplied(turn):
                return self._replied(turn)
            case Started() if self.status == "requires_action":
                return "requires_action"
            case Started() if self.status == "in_progress" and self.state.run.attempts >= 5:
                return "failed"
            case Started():
                return self._with_open_calls(took_over=self.status == "in_progress")
            case CallEnded(call_id):
                return self._with_open_calls(ended=call_id)
        return self._asks_again(self.state.run.usage, self.state.run.turns)

    def _replied(self, turn: Turn) -> str:
        if turn.finish_reason in ("length", "content_filter"):
            return "incomplete"
        if turn.called is None:
            return "completed"
        config = self.state.run.config
        names = [call.name for call in turn.called.calls]
        if any(name in config.offers and not config.offers[name].approval for name in names):
            return "in_progress"
        if any(name in config.offers or name in config.function_names() for name in names):
            return "requires_action"
        return self._asks_again(self.state.run.usage + turn.usage, self.state.run.turns + 1)

    def _with_open_calls(self, *, ended: str = "", took_over: bool = False) -> str:
        """The server's calls go before approvals, these before the client's, and all before the model."""
        left = [call for call in self.calls_in("proposed", "at_work") if call.id != ended]
        if took_over:  # what may have begun and is not safe to repeat has ended, in a way that nobody knows
            left = [call for call in left if call.state == "proposed" or call.repeatable]
        if left:
            return "in_progress"
        if self.calls_in("waits_for_approval", "waits_for_client"):
            return "requires_action"
        return self._asks_again(self.state.run.usage, self.state.run.turns)

    def _asks_again(self, usage: Usage, turns: int) -> str:
        config = self.state.run.config
        budgets = (
            (config.max_prompt_tokens, usage.prompt_tokens),
            (config.max_completion_tokens, usage.completion_tokens),
        )
        if any(most is not None and used >= most for most, used in budgets):
            return "incomplete"
        return "failed" if turns >= 100 else "in_progress"

    # --- what comes of it -------------------------------------------------------------------------

    def _write(self, decision: Decision) -> None:
        for write in decision.writes:
            match write:
                case AddMessage(message):
                    assert message.id not in self.messages, "a message was written twice"
                    self.messages[message.id] = message
                case AddStep(step):
                    assert step.id not in self.steps, "a step was written twice"
                    self.steps[step.id] = step
                case SaveStep(step):
                    assert self.steps[step.id].status == "in_progress", "a closed step has changed"
                    self.steps[step.id] = replace(step, calls=self.steps[step.id].calls)
                case SaveCall(call):
                    self._save(call)
        self.state = decision.state

    def _save(self, call: Call) -> None:
        step = self.steps[call.step_id]
        before = step.calls[call.index]
        assert before.id == call.id
        assert before.state not in ("done", "denied"), "a call that had ended has changed"
        fixed = ("name", "arguments", "kind", "turn", "created_at", "model_id", "repeatable", "approval")
        assert [getattr(before, name) for name in fixed] == [getattr(call, name) for name in fixed]
        calls = [call if each.id == call.id else each for each in step.calls]
        self.steps[step.id] = replace(step, calls=calls)

    def _book(self, event: Event) -> None:
        if isinstance(event, ModelReplied | ModelFailed | ModelStopped):
            self.spent = self.spent + event.turn.usage

    # --- the rules --------------------------------------------------------------------------------

    def _check_unmoved(self, before: RunState, decision: Decision) -> None:
        assert decision.state == before, "a run that was over has changed"
        assert not decision.writes
        assert not decision.publish
        assert not decision.entries
        assert not decision.effects

    def _check_moves(self, before: RunState, decision: Decision) -> None:
        path = [str(before.run.status)]
        path += [str(each.subject.status) for each in decision.publish if isinstance(each.subject, Run)]
        path.append(self.status)
        for source, target in itertools.pairwise(path):
            assert source == target or target in WRITTEN[source], path

    def _check_told(self, decision: Decision) -> None:
        """Readers are told inside out: a message, then its step, then the run, at growing positions."""
        told = [(each.kind, each.subject) for each in decision.publish]
        closed: set[str] = set()
        for name, subject in told:
            assert not closed & {"run"}, f"{name} comes after the run's end"
            if isinstance(subject, Step) and subject.message_id is not None:
                assert subject.message_id in closed, "a step closes before its message"
            if isinstance(subject, CallOutput):
                assert subject.step_id not in closed, "a call ends after its step"
            elif isinstance(subject, Run):
                closed |= {"run"} if subject.status in OVER else set()
            else:
                closed.add(subject.id)
        if self.status in OVER:
            assert told[-1][0] == f"run.{self.status}"
        position = 0
        for entry in decision.entries:
            assert entry.position > position
            position = entry.end
        assert position <= self.state.run.position

    def _check_run(self, before: Run) -> None:
        run = self.state.run
        over = self.status in OVER
        stamped = [name for name in ("completed", "failed", "cancelled") if getattr(run, f"{name}_at")]
        stamps = {"completed": ["completed"], "incomplete": ["completed"], "failed": ["failed"]}
        stamps["cancelled"] = ["cancelled"]
        assert stamped == stamps.get(self.status, [])
        assert (run.last_error is not None) == (self.status == "failed")
        assert (run.incomplete_reason is not None) == (self.status == "incomplete")
        if self.status == "requires_action":
            assert self.open_calls
            assert not self.calls_in("proposed", "at_work")
            approvals = bool(self.calls_in("waits_for_approval"))
            assert run.waits_for == ("approval" if approvals else "client")
            assert run.worker is None
        else:
            assert run.waits_for is None
        if over:
            assert self.state.open_step is None
        unchanged = ("id", "project", "thread_id", "assistant_id", "created_at", "expires_at", "config")
        assert [getattr(run, name) for name in unchanged] == [getattr(before, name) for name in unchanged]
        assert run.usage == self.spent
        assert run.turns >= before.turns
        if self.status == "in_progress":
            assert run.started_at is not None

    def _check_steps(self) -> None:
        assert _total(step.usage for step in self.steps.values()) == self.spent, "tokens were lost or doubled"
        for step in self.steps.values():
            stamped = [
                name
                for name in ("completed", "failed", "cancelled", "expired")
                if getattr(step, f"{name}_at")
            ]
            assert stamped == ([] if step.status == "in_progress" else [str(step.status)])
            assert step.last_error is None or step.status in ("failed", "completed")
            if step.type == "message_creation":
                assert step.message_id in self.messages
            if step.type == "tool_calls" and step.status == "completed":
                assert all(call.output is not None for call in step.calls)
            for call in step.calls:
                open_ = call.state not in ("done", "denied")
                assert (call.result is None) == (call.ended_at is None) == open_
                assert not open_ or step.status == "in_progress", "a call is open in a step that is closed"
            assert sum(call.state == "at_work" for call in step.calls) <= 8
        open_steps = [step.id for step in self.steps.values() if step.status == "in_progress"]
        assert open_steps == ([self.state.open_step.id] if self.state.open_step else [])
        if self.state.open_step is not None:
            assert self.state.open_step == self.steps[self.state.open_step.id], "rows and state differ"

    def _check_messages(self) -> None:
        for message in self.messages.values():
            assert message.status in ("completed", "incomplete"), "a message was left open"
            whole = message.status == "completed"
            assert (message.completed_at is not None) == whole
            assert (message.incomplete_at is None) == whole
            assert (message.incomplete_reason is None) == whole
            steps = [step for step in self.steps.values() if step.message_id == message.id]
            assert len(steps) == 1, "a message without its step, or with two"

    def _check_call(self, decision: Decision) -> None:
        run, effects = self.state.run, decision.effects
        assert bool(effects) == (self.status == "in_progress")
        calls = [effect.call.id for effect in effects if isinstance(effect, RunCall)]
        assert calls == self.at_work
        if calls or not effects:
            return
        (call,) = effects
        assert isinstance(call, CallModel)
        assert self.state.open_step is None, "the model is asked while calls are open"
        for left, most, used in (
            (call.prompt_tokens_left, run.config.max_prompt_tokens, run.usage.prompt_tokens),
            (call.completion_tokens_left, run.config.max_completion_tokens, run.usage.completion_tokens),
        ):
            assert left == (None if most is None else most - used)
            assert left is None or left > 0


def _total(usages: Iterable[Usage]) -> Usage:
    total = Usage()
    for usage in usages:
        total = total + usage
    return total
