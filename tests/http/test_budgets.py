"""Token budgets, the ends they lead to, and what of a thread the model is given.

Source: OpenAI's guide "Assistants deep dive", section "Context window management".
"""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel, Usage, call
from tests.support.api import Api, function_tool, text
from tests.support.clock import ManualClock

LOOK = function_tool("look")


def test_an_answer_cut_by_its_length_makes_the_run_incomplete(
    api: Api, model: ScriptedModel, clock: ManualClock
) -> None:
    model.reply("Go left and ", finish_reason="length", usage=Usage(10, 5))
    run = api.run(api.thread("Which way?"), api.agent(), max_completion_tokens=5)
    done = run.wait("incomplete")
    assert done["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert (done["completed_at"], done["failed_at"], done["cancelled_at"]) == (clock.seconds, None, None)
    assert (done["last_error"], done["expires_at"]) == (None, None)
    assert done["usage"]["total_tokens"] == 15
    (message,), (step,) = run.messages(), run.steps()
    assert (message["status"], text(message)) == ("incomplete", "Go left and ")
    assert message["incomplete_details"] == {"reason": "max_tokens"}
    assert (message["incomplete_at"], message["completed_at"]) == (clock.seconds, None)
    assert (step["status"], step["usage"]["total_tokens"]) == ("completed", 15)
    assert model.requests[0].body["max_completion_tokens"] == 5


def test_a_models_own_limit_has_the_same_end(api: Api, model: ScriptedModel) -> None:
    model.reply("Go left and ", finish_reason="length")
    done = api.run(api.thread("Which way?"), api.agent()).wait("incomplete")
    assert done["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert "max_completion_tokens" not in model.requests[0].body


def test_a_filtered_answer_is_incomplete(api: Api, model: ScriptedModel) -> None:
    model.reply("Go ", finish_reason="content_filter")
    run = api.run(api.thread("Which way?"), api.agent())
    run.wait("incomplete")
    assert run.messages()[0]["incomplete_details"] == {"reason": "content_filter"}


def test_an_incomplete_run_frees_its_thread(api: Api, model: ScriptedModel) -> None:
    model.reply("Go left and ", finish_reason="length")
    thread, agent = api.thread("Which way?"), api.agent()
    api.run(thread, agent).wait("incomplete")
    api.run(thread, agent).wait("completed")
    assert [each["content"] for each in model.requests[1].messages] == ["Which way?", "Go left and "]


def test_budgets_are_for_all_calls_of_a_run_together(api: Api, model: ScriptedModel) -> None:
    """The worked example of the guide: 500 and 1000; a call that takes 200 and 300 leaves 300 and 700."""
    model.reply(call("look"), usage=Usage(200, 300))
    budgets = {"max_prompt_tokens": 500, "max_completion_tokens": 1000}
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]), **budgets)
    run.answer_calls(lambda each: "a wall")
    done = run.wait("completed")
    assert {key: done[key] for key in budgets} == budgets
    assert [each.body["max_completion_tokens"] for each in model.requests] == [1000, 700]


@pytest.mark.parametrize(
    ("budget", "usage"),
    [("max_completion_tokens", Usage(10, 100)), ("max_prompt_tokens", Usage(100, 10))],
)
def test_a_budget_that_is_used_up_before_a_further_call_ends_the_run(
    api: Api, model: ScriptedModel, budget: str, usage: Usage
) -> None:
    model.reply(call("look"), usage=usage)
    run = api.run(api.thread("Go."), api.agent(tools=[LOOK]), **{budget: 100})
    answer = run.answer_calls(lambda each: "a wall")
    assert (answer["status"], answer["usage"]) == ("queued", None)
    assert (answer["completed_at"], answer["incomplete_details"]) == (None, None)
    done = run.wait("incomplete")
    assert done["incomplete_details"] == {"reason": budget}
    assert len(model.requests) == 1
    assert run.steps()[0]["status"] == "completed"


def test_a_newest_message_that_does_not_fit_the_budget_ends_the_run(api: Api, model: ScriptedModel) -> None:
    run = api.run(api.thread("word " * 2000), api.agent(), max_prompt_tokens=100)
    assert run.wait("incomplete")["incomplete_details"] == {"reason": "max_prompt_tokens"}
    assert model.requests == []
    assert run.messages() == []


# --- what the model is given -------------------------------------------------------------------


def _given(model: ScriptedModel) -> list[Any]:
    return [message["content"] for message in model.requests[-1].messages]


@pytest.mark.parametrize("count", [1, 2, 4, 5, 100])
def test_the_last_messages_are_exactly_the_newest(api: Api, model: ScriptedModel, count: int) -> None:
    said = ["one", "two", "three", "four", "five"]
    strategy = {"type": "last_messages", "last_messages": count}
    agent = api.agent(instructions="Count.")
    run = api.run(api.thread(*said), agent, truncation_strategy=strategy)
    assert run.wait("completed")["truncation_strategy"] == strategy
    assert _given(model) == ["Count.", *said[-count:]]
    assert len(api.texts(run.thread)) == 6, "truncation has changed the thread"


def test_a_runs_own_turns_do_not_count_as_messages(api: Api, model: ScriptedModel) -> None:
    model.reply("Let me see.", call("look"))
    strategy = {"type": "last_messages", "last_messages": 1}
    run = api.run(api.thread("one", "two"), api.agent(tools=[LOOK]), truncation_strategy=strategy)
    run.answer_calls(lambda each: "a wall")
    run.wait("completed")
    assert _given(model) == ["two", "Let me see.", "a wall"]


def test_auto_gives_everything_that_fits(api: Api, model: ScriptedModel) -> None:
    said = [str(number) for number in range(60)]
    for strategy in (None, {"type": "auto"}, {"type": "auto", "last_messages": 1}):
        run = api.run(api.thread(*said), api.agent(), truncation_strategy=strategy)
        run.wait("completed")
        assert _given(model) == said


def test_what_does_not_fit_is_dropped_from_the_middle(api: Api, model: ScriptedModel) -> None:
    said = [f"{number} " + "x" * 400 for number in range(20)]
    run = api.run(api.thread(*said), api.agent(instructions="Count."), max_prompt_tokens=1000)
    run.wait("completed")
    instructions, *given = _given(model)
    assert instructions == "Count."
    kept = [int(text.split()[0]) for text in given]
    middle = [number for number in range(20) if number not in kept]
    assert middle, "nothing was dropped"
    assert kept == sorted(kept)
    assert middle == list(range(middle[0], middle[-1] + 1)), "what is missing is not one piece"
    assert 0 in kept
    assert 19 in kept
    assert len(given) >= 6, "much less was kept than fits"


def test_the_newest_user_message_is_never_dropped(api: Api, model: ScriptedModel) -> None:
    thread = api.thread(*("x" * 400 for _ in range(10)), "The question.")
    for said in ("y" * 400, "z" * 400):
        api.post(f"/threads/{thread}/messages", {"role": "assistant", "content": said})
    api.run(thread, api.agent(), max_prompt_tokens=350).wait("completed")
    assert "The question." in _given(model)
    assert _given(model)[-1] == "z" * 400
