"""What the model is asked, as a pure function of a thread, a run and its own turns."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.decisions import CallModel
from clew.core.records import Call, Message, Run, RunConfig, Usage, text_part
from clew.engine import prompt
from clew.engine.prompt import DoesNotFit
from tests.support import store

UNLIMITED = CallModel(None, None)


def _run(**config: Any) -> Run:
    return store.run(config=RunConfig(model="scripted", **config))


def _said(text: str, role: Any = "user") -> Message:
    return store.message(f"msg_{text[:20]}", role=role, content=[text_part(text)])


def _build(run: Run, *history: Message, call: CallModel = UNLIMITED, context: int | None = None) -> Any:
    return prompt.build(run, "scripted", [prompt.said(each) for each in history], [], [], call, context)


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
    words = replace(_said("a"), content=[text_part("one"), text_part("two")])
    picture = replace(_said("b"), content=[text_part("see"), image, text_part("there")])
    assert _contents(_run(), words, picture) == [
        "one\ntwo",
        [{"type": "text", "text": "see"}, image, {"type": "text", "text": "there"}],
    ]


def test_a_refusal_is_told_as_what_was_said() -> None:
    refused = replace(_said("a", "assistant"), content=[{"type": "refusal", "refusal": "I won't."}])
    assert _contents(_run(), refused) == ["I won't."]


def test_metadata_is_never_told() -> None:
    run = replace(_run(instructions="Be brief."), metadata={"secret": "of the run"})
    request = _build(run, replace(_said("one"), metadata={"secret": "of the message"}))
    assert "secret" not in str(request)


def test_a_runs_own_turns_follow_the_thread_with_each_call_answered() -> None:
    calls = [Call(id=f"call_{n}", name="look", arguments="{}", output=f"wall {n}") for n in (1, 2)]
    steps = [
        store.step("step_1", type="message_creation", message_id="msg_own", turn=1),
        store.step("step_2", calls=calls, turn=1),
        store.step("step_3", calls=[replace(calls[0], id="call_3", output="")], turn=2),
    ]
    own = replace(_said("Let me see.", "assistant"), id="msg_own", run_id="run_1")
    run = replace(_run(), turns=2, usage=Usage(prompt_tokens=5))
    request = prompt.build(run, "scripted", [prompt.said(_said("Go."))], steps, [own], UNLIMITED, None)
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
    assert [call["id"] for call in told[1]["tool_calls"]] == ["call_1", "call_2"]
    assert told[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert told[2] == {"role": "tool", "tool_call_id": "call_1", "content": "wall 1"}
    assert told[4]["content"] is None
    assert told[5] == {"role": "tool", "tool_call_id": "call_3", "content": ""}


@pytest.mark.parametrize(("turns", "expected"), [(0, "required"), (1, None), (2, None)])
def test_a_forced_call_is_forced_on_the_first_turn_only(turns: int, expected: str | None) -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    run = replace(_run(tools=[tool], tool_choice="required"), turns=turns)
    assert _build(run).tool_choice == expected
    assert _build(run).tools == (tool,)


def test_every_attempt_has_a_key_of_its_own() -> None:
    runs = [replace(_run(), turns=turns, epoch=epoch) for turns in (0, 1) for epoch in (1, 2)]
    keys = [_build(run).idempotency_key for run in runs]
    assert keys == ["run_1/1/1", "run_1/1/2", "run_1/2/1", "run_1/2/2"]


def test_what_is_left_of_the_completion_budget_is_the_answers_limit() -> None:
    assert _build(_run(), call=CallModel(None, 70)).max_completion_tokens == 70


def test_a_context_keeps_room_for_the_answer() -> None:
    said = [_said(f"{number:03d}" + "x" * 397) for number in range(100)]
    kept = _contents(_run(), *said, context=4096)
    assert 20 < len(kept) < 4096 * 4 / 400
    assert kept[0] == said[0].content[0]["text"]["value"]
    assert kept[-1] == said[-1].content[0]["text"]["value"]


def test_a_newest_message_that_does_not_fit_is_told_to_the_caller() -> None:
    with pytest.raises(DoesNotFit):
        _build(_run(), _said("short"), _said("x" * 4000), call=CallModel(500, None))
    with pytest.raises(DoesNotFit):
        _build(_run(instructions="x" * 4000), _said("short"), call=CallModel(500, None))
    with pytest.raises(DoesNotFit):
        _build(_run(instructions="x" * 4000), call=CallModel(500, None))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    turns=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 600)), max_size=25),
    limit=st.integers(1, 2000),
)
def test_whatever_is_dropped_the_ends_stay(turns: list[tuple[str, int]], limit: int) -> None:
    """The newest message and the newest of the user stay, the rest goes from the middle, in order."""
    history = [_said(f"{number:02d}" + "x" * size, role) for number, (role, size) in enumerate(turns)]
    texts = [message.content[0]["text"]["value"] for message in history]
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
    questions = [place for place, (role, _) in enumerate(turns) if role == "user"]
    assert not questions or questions[-1] in places
    assert sum(len(text) // 4 for text in kept) <= limit
    missing = [place for place in range(len(texts)) if place not in places]
    between = [place for place in places if missing and missing[0] < place < missing[-1]]
    assert set(between) <= set(questions[-1:]), "what is missing is not one piece"
