"""Lives of runs, at random and by the thousand: whatever happens, the rules hold.

The rules are in :mod:`tests.support.life`.
"""

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
from clew.core.records import Call, CallsItem, Failure, Item, Outcome, RunConfig, TextItem, Turn, Usage
from clew.core.tools import ClockTool, FunctionDefinition, FunctionTool, Offer, Tool
from tests.support.clock import START
from tests.support.life import EXPIRY, OVER, Life

OFFERED = ("turn", "look")
OFFERS = {
    "clock": Offer(kind="clew_clock", tool=2, function="clew_clock", repeatable=True),
    "buy": Offer(kind="clew_clock", tool=2, function="clew_clock", repeatable=False),
    "ask": Offer(kind="clew_clock", tool=2, function="clew_clock", repeatable=True, approval=True),
}
NAMES = (*OFFERED, "fly", *OFFERS)
TOOLS: list[Tool] = [
    *(FunctionTool(function=FunctionDefinition(name=name)) for name in OFFERED),
    ClockTool(),
]
ENOUGH = (None, None, 1, 40, 100)


def _turn(
    number: int,
    text: str | None = None,
    names: tuple[str, ...] = (),
    finish_reason: str | None = None,
    usage: Usage | None = None,
    refusal: str | None = None,
) -> Turn:
    step_id = f"step_{number}_called"
    calls = tuple(
        Call(
            id=f"call_{number}_{index}",
            project="alpha",
            created_at=START,
            run_id="run_1",
            step_id=step_id,
            turn=number,
            index=index,
            name=name,
            arguments="{}",
        )
        for index, name in enumerate(names)
    )
    said = TextItem(message_id=f"msg_{number}", step_id=f"step_{number}_said", text=text, refusal=refusal)
    items: list[Item] = [said] if text is not None or refusal is not None else []
    items += [CallsItem(step_id=step_id, calls=calls)] if calls else []
    return Turn(
        number=number,
        started_at=START,
        blank=TextItem(message_id=said.message_id, step_id=said.step_id),
        items=tuple(items),
        finish_reason=finish_reason,
        usage=usage or Usage(),
    )


@settings(derandomize=True, max_examples=150, stateful_step_count=25, deadline=None)
class AnyLife(RuleBasedStateMachine):
    """Everything that can happen to a run, in any order that the world allows."""

    life: Life
    turns = 0

    @initialize(prompt=st.sampled_from(ENOUGH), completion=st.sampled_from(ENOUGH))
    def create(self, prompt: int | None, completion: int | None) -> None:
        config = RunConfig(
            model="scripted",
            tools=TOOLS,
            offers=OFFERS,
            max_prompt_tokens=prompt,
            max_completion_tokens=completion,
        )
        self.life = Life(config, START)

    @property
    def _calling(self) -> bool:
        return self.life.calling

    def _next(self, **said: Any) -> Turn:
        self.turns += 1
        return _turn(self.turns, **said)

    @rule()
    def a_worker_takes_it(self) -> None:
        self.life.happen(Started())

    @precondition(lambda self: self._calling)
    @rule(
        text=st.none() | st.text(min_size=1, max_size=3),
        names=st.lists(st.sampled_from(NAMES), max_size=12).map(tuple),
        reason=st.sampled_from(["stop", "stop", "stop", "length", "content_filter"]),
        prompt=st.integers(0, 60),
        completion=st.integers(0, 60),
    )
    def the_model_replies(
        self, text: str | None, names: tuple[str, ...], reason: str, prompt: int, completion: int
    ) -> None:
        usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=prompt // 2)
        turn = self._next(text=text, names=names, finish_reason=reason, usage=usage)
        self.life.happen(ModelReplied(turn))

    @precondition(lambda self: self._calling)
    @rule(text=st.none() | st.just("Sor"), names=st.sampled_from([(), ("turn",)]))
    def the_model_fails(self, text: str | None, names: tuple[str, ...]) -> None:
        failure = Failure("server_error", "The model broke off.")
        self.life.happen(ModelFailed(self._next(text=text, names=names), failure))

    @precondition(lambda self: self._calling)
    @rule(text=st.none() | st.just("Go"), finished=st.booleans())
    def the_model_is_stopped(self, text: str | None, finished: bool) -> None:
        usage = Usage(prompt_tokens=3, completion_tokens=4) if finished else Usage()
        turn = self._next(text=text, usage=usage, finish_reason="stop" if finished else None)
        if self.life.status == "cancelling" or self.life.now >= self.life.expires_at:
            self.life.happen(ModelStopped(turn))

    @precondition(lambda self: self._calling)
    @rule()
    def the_prompt_is_too_long(self) -> None:
        self.life.happen(PromptTooLong())

    @rule(data=st.data())
    def a_client_submits_outputs(self, data: st.DataObject) -> None:
        calls = self.life.open_calls
        right = st.permutations(calls)
        wrong = st.lists(st.sampled_from([*calls, "call_foreign", ""]), max_size=4)
        chosen = data.draw(st.one_of(right, right, wrong))
        self.life.happen(Submitted(outputs=tuple((call, f"output of {call}") for call in chosen)))

    @rule(data=st.data())
    def a_person_decides(self, data: st.DataObject) -> None:
        calls = self.life.open_calls
        chosen = data.draw(st.one_of(st.permutations(calls), st.just(calls[1:])))
        answers = data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
        self.life.happen(Submitted(approvals=tuple(zip(chosen, answers, strict=True))))

    @precondition(lambda self: bool(self.life.at_work))
    @rule(data=st.data())
    def a_call_ends(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.life.at_work))
        self.life.happen(CallEnded(call, Outcome(output="noon")))

    @precondition(lambda self: bool(self.life.at_work))
    @rule()
    def calls_are_stopped(self) -> None:
        self.life.happen(CallsStopped())

    @precondition(lambda self: self.life.status == "in_progress")
    @rule()
    def nothing_can_be_stored(self) -> None:
        self.life.happen(Unstorable(Failure("server_error", "It can't be stored.")))

    @precondition(lambda self: self.life.status == "in_progress")
    @rule()
    def a_worker_breaks_off(self) -> None:
        self.life.break_off()

    @rule()
    def a_client_cancels(self) -> None:
        self.life.happen(CancelRequested())

    @rule()
    def a_worker_looks_again(self) -> None:
        self.life.happen(CallsStopped())

    @rule(part=st.sampled_from([1, EXPIRY // 3, EXPIRY]))
    def time_passes(self, part: int) -> None:
        self.life.now += part

    @invariant()
    def a_run_that_is_over_calls_no_model(self) -> None:
        assert not (self.life.status in OVER and self.life.calling)


TestAnyLife = AnyLife.TestCase


def _something(life: Life, number: int, chance: random.Random) -> Event:
    """Choose what happens next, so that most lives are long."""
    waking: list[Event] = [Started(), CallsStopped()]
    clients = [CancelRequested(), *waking * 3]
    if life.status == "queued":
        return chance.choice([Started()] * 20 + clients)
    if life.status == "requires_action":
        calls = life.open_calls
        chance.shuffle(calls)
        if life.calls_in("waits_for_approval"):
            right = Submitted(approvals=tuple((call, chance.random() < 0.7) for call in calls))
            wrong = Submitted(approvals=right.approvals[1:])
        else:
            right = Submitted(outputs=tuple((call, "done") for call in calls))
            wrong = Submitted(outputs=right.outputs[1:])
        return chance.choice([right] * 20 + [wrong, *clients])
    if life.at_work:
        ended = CallEnded(chance.choice(life.at_work), Outcome(output="noon"))
        return chance.choice([ended] * 20 + [CallsStopped(), *clients])
    if not life.calling:
        return chance.choice(clients)
    names = tuple(chance.choices(NAMES, k=chance.randint(0, 3)))
    text = chance.choice([None, "Go left."])
    usage = Usage(prompt_tokens=chance.randint(0, 9), completion_tokens=chance.randint(0, 9))
    reply = ModelReplied(_turn(number, text=text, names=names, finish_reason="stop", usage=usage))
    failure = ModelFailed(_turn(number, text=text), Failure("server_error", "The model broke off."))
    return chance.choice([reply] * 20 + [failure, PromptTooLong(), *clients])


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_lives_keep_the_rules_and_meet_every_end(seed: int) -> None:
    chance, ends = random.Random(seed), dict.fromkeys(OVER, 0)
    for _ in range(1000):
        prompt, completion = chance.choice(ENOUGH), chance.choice(ENOUGH)
        config = RunConfig(
            model="scripted",
            tools=TOOLS,
            offers=OFFERS,
            max_prompt_tokens=prompt,
            max_completion_tokens=completion,
        )
        life = Life(config, START)
        for number in range(60):
            if life.status in OVER:
                break
            life.happen(_something(life, number, chance))
            life.now += chance.choice([1, 1, 1, 1000, EXPIRY // 4])
        ends[life.status] = ends.get(life.status, 0) + 1
    assert all(ends[end] for end in OVER), ends
    assert sum(ends[end] for end in OVER) > 800, ends
