"""What the default weights are good for. The floors are well below what is measured."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.embedded.__main__ import chosen, judge
from bench.embedded.trials import ANSWERS, KITS, UNSEEN
from clew.model.chat import CallDelta, ChatRequest, Finished, TextDelta, one_by_one
from clew.model.embedded import EmbeddedModel

Json = dict[str, Any]


def user(text: str) -> Json:
    return {"role": "user", "content": text}


@pytest.fixture(scope="module")
def model(coder: Path) -> Iterator[EmbeddedModel]:
    opened = EmbeddedModel(data_dir=coder, context_tokens=4096)
    yield opened
    asyncio.run(opened.aclose())


def say(model: EmbeddedModel, *messages: Json, **options: Any) -> tuple[str, list[CallDelta], Finished]:
    async def collect() -> tuple[str, list[CallDelta], Finished]:
        text, calls = "", []
        async for chunk in one_by_one(model.stream(ChatRequest(model="m", messages=messages, **options))):
            if isinstance(chunk, TextDelta):
                text += chunk.text
            elif isinstance(chunk, CallDelta):
                calls.append(chunk)
            elif isinstance(chunk, Finished):
                end = chunk
        return text, calls, end

    return asyncio.run(collect())


@pytest.mark.model
def test_tools_are_chosen_far_better_than_by_chance(model: EmbeddedModel) -> None:
    trials = [trial for trial in UNSEEN if trial.kit == "everyday" and not trial.before][1::2][:6]
    rights = [judge(trial, asyncio.run(chosen(model, trial))).chosen for trial in trials]
    assert len(rights) == 6
    assert sum(rights) >= 4


@pytest.mark.model
def test_history_does_not_hide_a_request_for_a_tool(model: EmbeddedModel) -> None:
    messages = [user("Hello!"), {"role": "assistant", "content": "Hello! How can I help?"}]
    messages += [user("My name is Ada."), {"role": "assistant", "content": "Nice to meet you, Ada."}]
    _, calls, end = say(model, *messages, user("What is 25 times 47?"), tools=KITS["everyday"])
    assert [call.name for call in calls] == ["calculate"]
    assert end.reason == "tool_calls"
    assert end.usage.prompt_tokens > 300
    assert end.usage.completion_tokens > 10


@pytest.mark.model
def test_only_one_call_if_parallel_calls_are_off(model: EmbeddedModel) -> None:
    message = user("What time is it, and what is 25 times 47?")
    for parallel, count in ((True, 2), (False, 1)):
        _, calls, _ = say(model, message, tools=KITS["everyday"], parallel_tool_calls=parallel)
        assert len(calls) == count


@pytest.mark.model
def test_answers_repeat_what_the_tools_returned(model: EmbeddedModel) -> None:
    rights = 0
    for trial in ANSWERS[:3]:
        text, calls, _ = say(model, *trial.messages(), tools=KITS["everyday"], tool_choice="required")
        assert calls == []
        rights += all(part in text.lower() for part in trial.expected)
    assert rights >= 2


@pytest.mark.model
def test_facts_are_remembered_over_three_turns(model: EmbeddedModel) -> None:
    history: list[Json] = [{"role": "system", "content": "You are a helpful assistant."}]
    for said in ("My name is Ada.", "My favourite colour is teal.", "What is my favourite colour?"):
        history.append(user(said))
        text, _, _ = say(model, *history, max_completion_tokens=60)
        history.append({"role": "assistant", "content": text})
    assert "teal" in text.lower()


@pytest.mark.model
def test_facts_are_remembered_though_earlier_answers_only_repeat(model: EmbeddedModel) -> None:
    told = ("I live in Lisbon.", "My boat is called Argo.", "My favourite colour is green.", "Name a planet.")
    history = [
        {"role": role, "content": text} for text in (*told, "Name a fruit.") for role in ("user", "assistant")
    ]
    asked = {"What is my boat called?": "argo", "What is my favourite colour?": "green"}
    for question, word in asked.items():
        text, _, _ = say(model, *history, user(question), max_completion_tokens=40)
        assert word in text.lower()
