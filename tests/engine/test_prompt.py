"""What the model is asked, as a pure function of a thread, a run and its own turns."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.content import ImageUrlContent, ImageUrlValue, RefusalContent, text_content
from clew.core.decisions import CallModel
from clew.core.records import Message, Run, RunConfig, TurnFacts, Usage
from clew.core.tools import FunctionDefinition, FunctionTool
from clew.engine import prompt
from clew.engine.histories import as_told
from clew.engine.prompt import DoesNotFit
from tests.support import store

UNLIMITED = CallModel(None, None)

TO = prompt.Addressee("default", "scripted")
FACTS = TurnFacts(model="scripted")


def _run(**config: Any) -> Run:
    return store.run(config=RunConfig(model="scripted", **config))


def _said(text: str, role: Any = "user") -> Message:
    return store.message(f"msg_{text[:20]}", role=role, content=[text_content(text)])


def _build(run: Run, *history: Message, call: CallModel = UNLIMITED, context: int | None = None) -> Any:
    to = prompt.Addressee("default", "scripted", context)
    return prompt.build(run, to, as_told(history), [], [], call).request


def _contents(run: Run, *history: Message, **more: Any) -> list[Any]:
    return [message["content"] for message in _build(run, *history, **more).messages]


def test_instructions_come_first_and_messages_in_order() -> None:
    request = _build(_run(instructions="Be brief."), _said("one"), _said("two", "assistant"), _said("three"))
    assert list(request.messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]


def test_defaults_are_left_out() -> None:
    request = _build(_run())
    assert (request.temperature, request.top_p, request.response_format) == (None, None, None)
    assert (request.tools, request.tool_choice, request.max_completion_tokens) == ((), None, None)
    assert request.reasoning_effort is None


def test_a_zero_is_not_a_default() -> None:
    request = _build(_run(temperature=0.0, top_p=0.0))
    assert (request.temperature, request.top_p) == (0.0, 0.0)


def test_text_parts_are_joined_and_images_keep_their_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "auto"}}
    shown = ImageUrlContent(ImageUrlValue("https://example.org/a.png"))
    words = replace(_said("a"), content=[text_content("one"), text_content("two")])
    picture = replace(_said("b"), content=[text_content("see"), shown, text_content("there")])
    assert _contents(_run(), words, picture) == [
        "one\ntwo",
        [{"type": "text", "text": "see"}, image, {"type": "text", "text": "there"}],
    ]


def test_a_refusal_is_told_as_what_was_said() -> None:
    refused = replace(_said("a", "assistant"), content=[RefusalContent("I won't.")])
    assert _contents(_run(), refused) == ["I won't."]


def test_metadata_is_never_told() -> None:
    run = replace(_run(instructions="Be brief."), metadata={"secret": "of the run"})
    request = _build(run, replace(_said("one"), metadata={"secret": "of the message"}))
    assert "secret" not in str(request)


def test_a_runs_own_turns_follow_the_thread_with_each_call_answered() -> None:
    calls = [store.call(f"call_{n}", model_id=f"theirs_{n}", output=f"wall {n}") for n in (1, 2)]
    steps = [
        store.step("step_1", type="message_creation", message_id="msg_own", turn=1),
        store.step("step_2", calls=calls, turn=1, facts=FACTS),
        store.step("step_3", calls=[store.call("call_3", output="")], turn=2, facts=FACTS),
    ]
    own = replace(_said("Let me see.", "assistant"), id="msg_own", run_id="run_1")
    run = replace(_run(), turns=2, usage=Usage(prompt_tokens=5))
    told_before = as_told([_said("Go.")])
    request = prompt.build(run, TO, told_before, steps, [own], UNLIMITED).request
    told = list(request.messages)
    assert [message["role"] for message in told] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "tool",
    ]
    assert told[1]["content"] == "Let me see."
    assert [call["id"] for call in told[1]["tool_calls"]] == ["theirs_1", "theirs_2"]
    assert told[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert told[2] == {"role": "tool", "tool_call_id": "theirs_1", "content": "wall 1"}
    assert told[4]["content"] is None
    made = told[4]["tool_calls"][0]["id"]
    assert re.fullmatch(r"[a-z0-9]{9}", made), "a call to which the model gave no id gets one that all take"
    assert told[5] == {"role": "tool", "tool_call_id": made, "content": ""}


def test_what_a_turn_said_after_its_calls_is_told_with_what_it_said_before() -> None:
    steps = [
        store.step("step_1", type="message_creation", message_id="msg_one"),
        store.step("step_2", calls=[store.call(output="wall")]),
        store.step("step_3", type="message_creation", message_id="msg_two"),
    ]
    said = {"msg_one": "So.", "msg_two": "Then."}
    own = [replace(_said(text, "assistant"), id=id) for id, text in said.items()]
    told = prompt.build(replace(_run(), turns=1), TO, [], steps, own, UNLIMITED)
    assert [message["content"] for message in told.request.messages] == ["So.\nThen.", "wall"]


@pytest.mark.parametrize("size", [32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 200_000])
def test_an_output_that_is_too_long_is_cut_and_the_cut_is_said(size: int) -> None:
    told = prompt.told_output(store.call(output="é" * size))
    most = prompt.MOST_OUTPUT
    if 2 * size <= most:
        assert told == "é" * size
    else:
        assert told == "é" * (most // 2) + f"\n[cut: {2 * size - most} of {2 * size} bytes left out]"


@pytest.mark.parametrize(("turns", "expected"), [(0, "required"), (1, None), (2, None)])
def test_a_forced_call_is_forced_on_the_first_turn_only(turns: int, expected: str | None) -> None:
    tool = FunctionTool(function=FunctionDefinition(name="look"))
    run = replace(_run(tools=[tool], tool_choice="required"), turns=turns)
    assert _build(run).tool_choice == expected
    assert _build(run).tools == ({"type": "function", "function": {"name": "look"}},)


def test_a_turn_made_again_carries_the_same_key_and_another_request_another() -> None:
    def key(run: Run, *history: Message) -> str:
        return str(_build(run, *history).idempotency_key)

    first, again = (replace(_run(), epoch=epoch) for epoch in (1, 2))
    assert key(first, _said("one")) == key(again, _said("one"))
    assert key(first, _said("one")) != key(first, _said("two"))
    assert key(first).startswith("run_1/1/")
    assert key(replace(first, turns=1)).startswith("run_1/2/")
    assert key(first) != key(replace(first, config=RunConfig(model="scripted", temperature=0.5)))


def test_the_facts_of_a_turn_say_what_the_model_was_shown() -> None:
    history = [_said(f"{number:02d}" + "x" * 400) for number in range(20)]
    asked = prompt.build(_run(), TO, as_told(history), [], [], CallModel(1000, None))
    shown = [message["content"] for message in asked.request.messages]
    assert asked.facts.dropped == len(history) - len(shown) > 0
    assert asked.facts.first == history[0].id
    assert asked.facts.last == history[-1].id
    assert asked.request.idempotency_key == f"run_1/1/{asked.facts.request}"


def test_what_is_left_of_the_completion_budget_is_the_answers_limit() -> None:
    assert _build(_run(), call=CallModel(None, 70)).max_completion_tokens == 70


def test_a_context_keeps_room_for_the_answer() -> None:
    said = [_said(f"{number:03d}" + "x" * 397) for number in range(100)]
    kept = _contents(_run(), *said, context=4096)
    assert 20 < len(kept) < 4096 * 4 / 400
    assert kept[0] == store.text_of(said[0])
    assert kept[-1] == store.text_of(said[-1])


def test_a_newest_message_that_does_not_fit_is_told_to_the_caller() -> None:
    with pytest.raises(DoesNotFit):
        _build(_run(), _said("short"), _said("x" * 4000), call=CallModel(500, None))
    with pytest.raises(DoesNotFit):
        _build(_run(instructions="x" * 4000), _said("short"), call=CallModel(500, None))
    with pytest.raises(DoesNotFit):
        _build(_run(instructions="x" * 4000), call=CallModel(500, None))


@pytest.mark.parametrize("place", [0, 1, 2, 8])
def test_a_message_that_fits_nowhere_hides_no_others(place: int) -> None:
    said = [_said(f"{number:02d}") for number in range(20)]
    said[place] = _said("x" * 8000)
    kept = _contents(_run(), *said, call=CallModel(400, None))
    assert kept == [store.text_of(message) for message in said if message is not said[place]]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    turns=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 600)), max_size=25),
    limit=st.integers(1, 2000),
)
def test_whatever_is_dropped_the_ends_stay(turns: list[tuple[str, int]], limit: int) -> None:
    """The newest message and the newest of the user stay, the rest goes from the middle, in order."""
    history = [_said(f"{number:02d}" + "x" * size, role) for number, (role, size) in enumerate(turns)]
    texts = [store.text_of(message) for message in history]
    try:
        kept = _contents(_run(), *history, call=CallModel(limit, None))
    except DoesNotFit:
        questions = [text for text, (role, _) in zip(texts, turns, strict=True) if role == "user"]
        needed = {*texts[-1:], *questions[-1:]}
        assert sum(len(text) for text in needed) / 4 + 20 * len(needed) > limit
        return
    places = [texts.index(text) for text in kept]
    assert places == sorted(places)
    assert texts[-1:] == kept[-1:]
    asked = [place for place, (role, _) in enumerate(turns) if role == "user"]
    assert not asked or asked[-1] in places
    assert sum(len(text) // 4 for text in kept) <= limit
    missing = [place for place in range(len(texts)) if place not in places]
    between = [place for place in places if missing and missing[0] < place < missing[-1]]
    assert set(between) <= set(asked[-1:]), "what is missing is not one piece"
