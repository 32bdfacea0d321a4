"""The real ``azure-ai-agents`` and ``azure-ai-projects`` as clients, over http with a key."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.ai.agents import AgentsClient
from azure.ai.agents.aio import AgentsClient as AsyncAgentsClient
from azure.ai.agents.models import (
    AgentEventHandler,
    FunctionTool,
    ListSortOrder,
    MessageRole,
    RequiredFunctionToolCall,
    RunStatus,
    RunStepToolCallDetails,
    SubmitToolOutputsAction,
    ThreadMessage,
    ThreadRun,
    ToolOutput,
    ToolSet,
)
from azure.ai.projects import AIProjectClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

from clew.testing.scripted_model import ScriptedModel, call
from tests.support.server import KEYS, Server
from tests.support.wait import until

pytestmark = pytest.mark.anyio


def _access(server: Server, project: str = "alpha", key: str = KEYS["alpha"]) -> tuple[str, Any, Any]:
    """Return endpoint, credential and policy."""
    credential = AzureKeyCredential(key)
    policy = AzureKeyCredentialPolicy(credential, "api-key")
    return f"{server.url}/api/projects/{project}", credential, policy


@pytest.fixture
def client(server: Server, model: ScriptedModel) -> Iterator[AgentsClient]:
    endpoint, credential, policy = _access(server)
    with AgentsClient(endpoint, credential, authentication_policy=policy) as client:
        yield client


@pytest.fixture
async def async_client(server: Server, model: ScriptedModel) -> AsyncIterator[AsyncAgentsClient]:
    endpoint, credential, policy = _access(server)
    async with AsyncAgentsClient(endpoint, credential, authentication_policy=policy) as client:
        yield client


def _wait(client: AgentsClient, run: ThreadRun, status: str) -> ThreadRun:
    def there() -> ThreadRun | None:
        seen = client.runs.get(run.thread_id, run.id)
        return seen if seen.status == status else None

    found = until(there)
    assert found is not None
    return found


def look(at: str) -> str:
    """Look somewhere.

    :param at: where to look.
    """
    return f"{at}: a wall"


def test_the_lesson_through_the_project_client(server: Server, model: ScriptedModel) -> None:
    endpoint, credential, policy = _access(server)
    with AIProjectClient(endpoint, credential, authentication_policy=policy) as project:
        agents = project.agents
        agent = agents.create_agent(model="scripted", name="Ariadne", instructions="Hold on.")
        thread = agents.threads.create()
        agents.messages.create(thread_id=thread.id, role="user", content="Which way?")
        model.reply("Left.")
        run = agents.runs.create_and_process(thread_id=thread.id, agent_id=agent.id, polling_interval=0)
        assert run.status == RunStatus.COMPLETED
        said = [
            (message.role, message.text_messages[0].text.value)
            for message in agents.messages.list(thread_id=thread.id, order=ListSortOrder.ASCENDING)
        ]
        assert said == [(MessageRole.USER, "Which way?"), (MessageRole.AGENT, "Left.")]
        last = agents.messages.get_last_message_text_by_role(thread.id, MessageRole.AGENT)
        assert last is not None
        assert last.text.value == "Left."
        (step,) = agents.run_steps.list(thread_id=thread.id, run_id=run.id)
        assert step.agent_id == agent.id
        assert step.usage is not None
        assert step.usage.total_tokens == run.usage.total_tokens > 0
        agents.threads.delete(thread.id)
        agents.delete_agent(agent.id)
        with pytest.raises(ResourceNotFoundError):
            agents.delete_agent(agent.id)


def test_outputs_are_given_as_plain_dictionaries_too(client: AgentsClient, model: ScriptedModel) -> None:
    model.calls(call("look", {"at": "left"}), call("look", {"at": "right"}))
    tools = FunctionTool({look}).definitions
    agent = client.create_agent(model="scripted", tools=tools)
    thread: Any = {"messages": [{"role": "user", "content": "Which way?"}]}
    run = client.create_thread_and_run(agent_id=agent.id, thread=thread)
    run = _wait(client, run, RunStatus.REQUIRES_ACTION)
    assert run.tools[0]["function"]["name"] == "look"
    assert isinstance(run.required_action, SubmitToolOutputsAction)
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs: Any = [{"tool_call_id": each.id, "output": "a wall"} for each in calls]
    answer = client.runs.submit_tool_outputs(thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs)
    assert answer.status == RunStatus.QUEUED
    _wait(client, run, RunStatus.COMPLETED)
    _, called = client.run_steps.list(thread_id=run.thread_id, run_id=run.id)
    assert isinstance(called.step_details, RunStepToolCallDetails)
    assert [each["function"]["output"] for each in called.step_details.tool_calls] == ["a wall"] * 2
    assert called.usage is not None
    assert called.usage.total_tokens > 0


def test_functions_are_called_by_themselves(client: AgentsClient, model: ScriptedModel) -> None:
    model.calls(call("look", {"at": "left"}), call("look", {"at": "right"}))
    model.reply("Walls.")
    tools = ToolSet()
    tools.add(FunctionTool({look}))
    client.enable_auto_function_calls(tools)
    agent = client.create_agent(model="scripted", toolset=tools)
    thread = client.threads.create()
    run = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0)
    assert run.status == RunStatus.COMPLETED
    assert sorted(model.requests[1].tool_outputs.values()) == ["left: a wall", "right: a wall"]


def test_lists_end_although_the_client_ignores_has_more(client: AgentsClient) -> None:
    thread = client.threads.create()
    for number in range(5):
        client.messages.create(thread.id, role=MessageRole.USER, content=str(number))
    newest_first = [each.text_messages[0].text.value for each in client.messages.list(thread.id, limit=2)]
    assert newest_first == ["4", "3", "2", "1", "0"]
    assert thread.id in [each.id for each in client.threads.list(limit=1)]


def test_updates(client: AgentsClient) -> None:
    agent = client.create_agent(model="scripted", name="Ariadne", temperature=0.5)
    changed = client.update_agent(agent.id, name="Daedalus", metadata={"a": "b"})
    assert (changed.name, changed.temperature, changed.metadata) == ("Daedalus", 0.5, {"a": "b"})
    assert client.get_agent(agent.id).name == "Daedalus"
    thread = client.threads.create(metadata={"a": "b"})
    assert client.threads.update(thread.id, metadata={"c": "d"}).metadata == {"c": "d"}
    message = client.messages.create(thread.id, role=MessageRole.USER, content="Which way?")
    assert client.messages.update(thread.id, message.id, metadata={"e": "f"}).metadata == {"e": "f"}


def test_errors_are_the_packages_own(server: Server, client: AgentsClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="No thread found with id 'thread_x'"):
        client.threads.get("thread_x")
    with pytest.raises(HttpResponseError) as wrong:
        client.create_agent(model="scripted", temperature=3)
    assert wrong.value.status_code == 400
    assert wrong.value.error is not None
    assert wrong.value.error.code == "decimal_above_max_value"
    endpoint, credential, policy = _access(server, key="clew_wrong")
    with (
        AgentsClient(endpoint, credential, authentication_policy=policy) as stranger,
        pytest.raises(ClientAuthenticationError),
    ):
        stranger.threads.create()
    endpoint, credential, policy = _access(server, project="beta")
    with (
        AgentsClient(endpoint, credential, authentication_policy=policy) as elsewhere,
        pytest.raises(ResourceNotFoundError, match="No project found"),
    ):
        elsewhere.threads.create()


def test_a_failed_run_is_not_an_exception(client: AgentsClient, model: ScriptedModel) -> None:
    model.fail(401, "No key.")
    agent, thread = client.create_agent(model="scripted"), client.threads.create()
    run = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0)
    assert run.status == RunStatus.FAILED
    assert run.last_error.code == "server_error"


def test_a_run_is_cancelled(client: AgentsClient, model: ScriptedModel) -> None:
    held = model.hold("Go")
    agent, thread = client.create_agent(model="scripted"), client.threads.create()
    run = client.runs.create(thread.id, agent_id=agent.id)
    held.wait_paused()
    assert client.runs.cancel(thread.id, run.id).status == RunStatus.CANCELLING
    _wait(client, run, RunStatus.CANCELLED)


# --- streams -----------------------------------------------------------------------------------


class Listener(AgentEventHandler[None]):
    """Hears text, and answers calls from inside of the handler."""

    def __init__(self, client: AgentsClient) -> None:
        super().__init__()
        self._client = client
        self.heard = ""
        self.whole: list[str] = []
        self.runs: list[str] = []
        self.strange: list[object] = []

    def on_message_delta(self, delta: Any) -> None:
        self.heard += delta.text

    def on_thread_message(self, message: ThreadMessage) -> None:
        if message.status == "completed":
            self.whole.append(message.text_messages[0].text.value)

    def on_thread_run(self, run: ThreadRun) -> None:
        self.runs.append(str(run.status))
        if run.status == RunStatus.REQUIRES_ACTION:
            self._answer(run)

    def on_error(self, data: str) -> None:
        self.strange.append(data)

    def on_unhandled_event(self, event_type: str, event_data: object) -> None:
        self.strange.append((event_type, event_data))

    def _answer(self, run: ThreadRun) -> None:
        assert isinstance(run.required_action, SubmitToolOutputsAction)
        outputs = [
            ToolOutput(tool_call_id=each.id, output="a wall")
            for each in run.required_action.submit_tool_outputs.tool_calls
            if isinstance(each, RequiredFunctionToolCall)
        ]
        self._client.runs.submit_tool_outputs_stream(
            thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs, event_handler=self
        )


def test_a_handler_hears_and_answers_from_inside(client: AgentsClient, model: ScriptedModel) -> None:
    model.reply("Let me see. 🧶", call("look", {"at": "left"}), call("look", {"at": "right"}))
    model.reply("A wall.")
    agent = client.create_agent(model="scripted", tools=FunctionTool({look}).definitions)
    thread = client.threads.create()
    listener = Listener(client)
    with client.runs.stream(thread.id, agent_id=agent.id, event_handler=listener) as stream:
        stream.until_done()
    assert listener.whole == ["Let me see. 🧶", "A wall."]
    assert listener.heard == "Let me see. 🧶A wall."
    assert "RunStatus.REQUIRES_ACTION" in listener.runs
    assert listener.runs[-1] == "RunStatus.COMPLETED"
    assert listener.strange == []


def test_a_stream_can_be_iterated(client: AgentsClient, model: ScriptedModel) -> None:
    model.reply("Left.")
    agent, thread = client.create_agent(model="scripted"), client.threads.create()
    with client.runs.stream(thread.id, agent_id=agent.id) as stream:
        names = [event_type for event_type, _, _ in stream]
    assert names[0] == "thread.run.created"
    assert names[-2:] == ["thread.run.completed", "done"]


# --- async -------------------------------------------------------------------------------------


async def test_an_asynchronous_lesson(async_client: AsyncAgentsClient, model: ScriptedModel) -> None:
    agent = await async_client.create_agent(model="scripted")
    thread = await async_client.threads.create()
    await async_client.messages.create(thread.id, role="user", content="Which way?")
    model.reply("Left.")
    run = await async_client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0)
    assert run.status == RunStatus.COMPLETED
    said = [
        message.text_messages[0].text.value
        async for message in async_client.messages.list(thread.id, order=ListSortOrder.ASCENDING)
    ]
    assert said == ["Which way?", "Left."]
    model.reply("Right.")
    async with await async_client.runs.stream(thread.id, agent_id=agent.id) as stream:
        names = [event_type async for event_type, _, _ in stream]
    assert names[-2:] == ["thread.run.completed", "done"]
    await async_client.delete_agent(agent.id)
