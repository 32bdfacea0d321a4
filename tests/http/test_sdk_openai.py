"""The real ``openai`` package as a client: sync, async, AzureOpenAI, polling helpers and streams."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import openai
import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler
from openai.types.beta.threads import Run, Text
from typing_extensions import override

from clew.testing.scripted_model import ScriptedModel, Usage, call
from tests.support.server import KEYS, Server

pytestmark = [
    pytest.mark.filterwarnings("ignore:(The Assistants API is )?deprecated:DeprecationWarning"),
    pytest.mark.anyio,
]

LOOK: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
def client(server: Server, model: ScriptedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEYS["alpha"], max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(server: Server, model: ScriptedModel) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{server.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEYS["alpha"], max_retries=0) as client:
        yield client


@pytest.fixture(params=["azure_endpoint", "base_url"])
def azure_client(
    request: pytest.FixtureRequest, server: Server, model: ScriptedModel
) -> Iterator[openai.AzureOpenAI]:
    where = {"azure_endpoint": server.url} if request.param == "azure_endpoint" else {}
    where = where or {"base_url": f"{server.url}/v1"}
    version = "2024-05-01-preview"
    with openai.AzureOpenAI(api_key=KEYS["alpha"], api_version=version, max_retries=0, **where) as client:  # type: ignore[call-overload]
        yield client


def _said(message: Any) -> str:
    return cast(str, message.content[0].text.value)


def _conversation(client: openai.OpenAI, model: ScriptedModel) -> None:
    """A lesson in one piece: agent, thread, message, run, steps, history, clean-up."""
    agent = client.beta.assistants.create(model="scripted", name="Ariadne", instructions="Hold on.")
    thread = client.beta.threads.create(metadata={"topic": "mazes"})
    client.beta.threads.messages.create(thread.id, role="user", content="Which way?")
    model.reply("Left.", usage=Usage(9, 1))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=agent.id)
    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens == 10
    messages = client.beta.threads.messages.list(thread.id, order="asc")
    assert [(each.role, _said(each)) for each in messages] == [("user", "Which way?"), ("assistant", "Left.")]
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id)
    assert step.step_details.type == "message_creation"
    assert client.beta.threads.delete(thread.id).deleted
    assert client.beta.assistants.delete(agent.id).deleted


def test_a_conversation(client: openai.OpenAI, model: ScriptedModel) -> None:
    _conversation(client, model)


def test_a_conversation_through_azure_openai(azure_client: openai.AzureOpenAI, model: ScriptedModel) -> None:
    _conversation(azure_client, model)


def test_every_object_is_of_the_packages_own_types(client: openai.OpenAI, model: ScriptedModel) -> None:
    """The package does not check what it is sent; its models do when they are asked to."""
    agent = client.beta.assistants.create(model="scripted", instructions="Hold on.", tools=[LOOK])
    model.call("look")
    run = client.beta.threads.create_and_run_poll(
        assistant_id=agent.id, thread={"messages": [{"role": "user", "content": "Which way?"}]}
    )
    thread = client.beta.threads.retrieve(run.thread_id)
    message = client.beta.threads.messages.list(thread.id).data[0]
    step = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0]
    for each in (agent, thread, message, run, step, client.models.list().data[0]):
        type(each).model_validate(each.model_dump(by_alias=True), strict=False)
    client.beta.threads.runs.cancel(run.id, thread_id=thread.id)


def test_polling_helpers_with_tools_and_parallel_calls(client: openai.OpenAI, model: ScriptedModel) -> None:
    model.calls(call("look", {"at": "left"}), call("look", {"at": "right"}))
    model.reply("Right is free.")
    agent = client.beta.assistants.create(model="scripted", tools=[LOOK])
    run = client.beta.threads.create_and_run_poll(
        assistant_id=agent.id, thread={"messages": [{"role": "user", "content": "Which way?"}]}
    )
    assert run.status == "requires_action"
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [each.function.arguments for each in calls] == ['{"at":"left"}', '{"at":"right"}']
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": each.id, "output": each.function.arguments} for each in calls],
    )
    assert run.status == "completed"
    assert _said(client.beta.threads.messages.list(run.thread_id).data[0]) == "Right is free."


def test_lists_page_by_themselves(client: openai.OpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": str(number)} for number in range(7)]
    thread = client.beta.threads.create(messages=said)
    newest_first = client.beta.threads.messages.list(thread.id, limit=3)
    assert [_said(each) for each in newest_first] == ["6", "5", "4", "3", "2", "1", "0"]
    exact = client.beta.threads.messages.list(thread.id, limit=7)
    assert not exact.has_next_page()


def test_updates_and_single_reads(client: openai.OpenAI) -> None:
    agent = client.beta.assistants.create(model="scripted", name="Ariadne", temperature=0.5)
    changed = client.beta.assistants.update(agent.id, name="Daedalus")
    assert (changed.name, changed.temperature) == ("Daedalus", 0.5)
    assert client.beta.assistants.retrieve(agent.id) == changed
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(thread.id, role="user", content="Which way?")
    client.beta.threads.messages.update(message.id, thread_id=thread.id, metadata={"seen": "yes"})
    kept = client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)
    assert kept.metadata == {"seen": "yes"}
    assert client.beta.threads.messages.delete(message.id, thread_id=thread.id).deleted
    assert client.beta.threads.update(thread.id, metadata={"a": "b"}).metadata == {"a": "b"}


def test_errors_are_the_packages_own(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="No thread found with id 'thread_x'"):
        client.beta.threads.retrieve("thread_x")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.beta.assistants.create(model="scripted", temperature=3)
    assert (wrong.value.code, wrong.value.param) == ("decimal_above_max_value", "temperature")
    assert wrong.value.request_id
    stranger = client.with_options(api_key="clew_wrong")
    with pytest.raises(openai.AuthenticationError):
        stranger.beta.assistants.list()


def test_a_locked_thread_is_an_error_that_is_not_sent_again(
    client: openai.OpenAI, model: ScriptedModel
) -> None:
    held = model.hold("Left")
    agent, thread = client.beta.assistants.create(model="scripted"), client.beta.threads.create()
    patient = client.with_options(max_retries=2)
    run = client.beta.threads.runs.create(thread.id, assistant_id=agent.id)
    with pytest.raises(openai.BadRequestError, match=f"already has an active run {run.id}"):
        patient.beta.threads.runs.create(thread.id, assistant_id=agent.id)
    with pytest.raises(openai.BadRequestError, match=f"while a run {run.id} is active"):
        patient.beta.threads.messages.create(thread.id, role="user", content="And?")
    held.release()
    assert client.beta.threads.runs.poll(run.id, thread_id=thread.id).status == "completed"


def test_a_failed_run_is_not_an_exception(client: openai.OpenAI, model: ScriptedModel) -> None:
    model.fail(400, "Too long.")
    agent, thread = client.beta.assistants.create(model="scripted"), client.beta.threads.create()
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=agent.id)
    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.code == "invalid_prompt"


# --- streams -----------------------------------------------------------------------------------


class Listener(AssistantEventHandler):
    """Answers calls from inside of the handler, while the first stream is still being read."""

    def __init__(self, client: openai.OpenAI) -> None:
        super().__init__()
        self._client = client
        self.heard = ""
        self.texts: list[str] = []
        self.arguments: list[str] = []
        self.ends: list[str] = []

    @override
    def on_text_delta(self, delta: Any, snapshot: Text) -> None:
        self.heard += delta.value
        assert snapshot.value.endswith(delta.value)

    @override
    def on_text_done(self, text: Text) -> None:
        self.texts.append(text.value)

    @override
    def on_tool_call_done(self, tool_call: Any) -> None:
        self.arguments.append(tool_call.function.arguments)

    @override
    def on_event(self, event: Any) -> None:
        if event.event == "thread.run.requires_action":
            self._answer(event.data)

    @override
    def on_end(self) -> None:
        self.ends.append("end")

    def _answer(self, run: Run) -> None:
        assert run.required_action is not None
        calls = run.required_action.submit_tool_outputs.tool_calls
        outputs: Any = [{"tool_call_id": each.id, "output": "a wall"} for each in calls]
        again = Listener(self._client)
        with self._client.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs, event_handler=again
        ) as stream:
            stream.until_done()
        self.texts += again.texts
        self.heard += again.heard
        self.ends += again.ends


def test_an_event_handler_hears_text_as_it_comes(client: openai.OpenAI, model: ScriptedModel) -> None:
    model.reply("Go left and then right. 🧶")
    agent, thread = client.beta.assistants.create(model="scripted"), client.beta.threads.create()
    listener = Listener(client)
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=agent.id, event_handler=listener
    ) as stream:
        stream.until_done()
        (message,) = stream.get_final_messages()
        assert stream.get_final_run().status == "completed"
    assert listener.heard == _said(message) == "Go left and then right. 🧶"
    assert listener.texts == [listener.heard]
    assert listener.ends == ["end"]


def test_an_event_handler_answers_calls_from_inside(client: openai.OpenAI, model: ScriptedModel) -> None:
    arguments = {"at": "the wall on the left side of the maze"}
    model.reply("Let me see.", call("look", arguments), call("look"))
    model.reply("A wall.")
    agent = client.beta.assistants.create(model="scripted", tools=[LOOK])
    thread = client.beta.threads.create()
    listener = Listener(client)
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=agent.id, event_handler=listener
    ) as stream:
        stream.until_done()
    assert listener.texts == ["Let me see.", "A wall."]
    assert listener.arguments == ['{"at":"the wall on the left side of the maze"}', "{}"]
    assert listener.ends == ["end", "end"]
    messages = client.beta.threads.messages.list(thread.id, order="asc")
    assert [_said(each) for each in messages] == ["Let me see.", "A wall."]


def test_a_stream_can_be_read_as_plain_events(client: openai.OpenAI, model: ScriptedModel) -> None:
    model.reply("Left.")
    agent = client.beta.assistants.create(model="scripted")
    events = client.beta.threads.create_and_run(assistant_id=agent.id, stream=True)
    names = [event.event for event in events]
    assert names[0] == "thread.created"
    assert names[-1] == "thread.run.completed"
    assert names.count("thread.message.delta") >= 1


def test_a_reader_that_leaves_stops_nothing(client: openai.OpenAI, model: ScriptedModel) -> None:
    held = model.hold("Go ", "left.")
    agent, thread = client.beta.assistants.create(model="scripted"), client.beta.threads.create()
    with client.beta.threads.runs.create(thread.id, assistant_id=agent.id, stream=True) as events:
        run = cast(Run, next(iter(events)).data)
    held.release()
    assert client.beta.threads.runs.poll(run.id, thread_id=thread.id).status == "completed"
    assert _said(client.beta.threads.messages.list(thread.id).data[0]) == "Go left."


# --- async -------------------------------------------------------------------------------------


async def test_an_asynchronous_conversation(async_client: openai.AsyncOpenAI, model: ScriptedModel) -> None:
    beta = async_client.beta
    agent = await beta.assistants.create(model="scripted", tools=[LOOK])
    thread = await beta.threads.create(messages=[{"role": "user", "content": "Which way?"}])
    model.call("look")
    run = await beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=agent.id)
    assert run.required_action is not None
    (asked,) = run.required_action.submit_tool_outputs.tool_calls
    model.reply("Right.")
    run = await beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": asked.id, "output": "a wall"}]
    )
    assert run.status == "completed"
    said = [_said(each) async for each in beta.threads.messages.list(thread.id, order="asc", limit=1)]
    assert said == ["Which way?", "Right."]
    steps = [each.type async for each in beta.threads.runs.steps.list(run.id, thread_id=thread.id)]
    assert steps == ["message_creation", "tool_calls"]
    assert (await beta.threads.delete(thread.id)).deleted


class AsyncListener(AsyncAssistantEventHandler):
    """Hears text; answers calls from inside of the handler."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        super().__init__()
        self._client = client
        self.texts: list[str] = []

    @override
    async def on_text_done(self, text: Text) -> None:
        self.texts.append(text.value)

    @override
    async def on_event(self, event: Any) -> None:
        if event.event != "thread.run.requires_action":
            return
        run = event.data
        calls = run.required_action.submit_tool_outputs.tool_calls
        outputs: Any = [{"tool_call_id": each.id, "output": "a wall"} for each in calls]
        again = AsyncListener(self._client)
        async with self._client.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs, event_handler=again
        ) as stream:
            await stream.until_done()
        self.texts += again.texts


async def test_an_asynchronous_event_handler_answers_calls_from_inside(
    async_client: openai.AsyncOpenAI, model: ScriptedModel
) -> None:
    model.call("look", text="Let me see.")
    model.reply("A wall.")
    agent = await async_client.beta.assistants.create(model="scripted", tools=[LOOK])
    thread = await async_client.beta.threads.create()
    listener = AsyncListener(async_client)
    async with async_client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=agent.id, event_handler=listener
    ) as stream:
        await stream.until_done()
    assert listener.texts == ["Let me see.", "A wall."]
