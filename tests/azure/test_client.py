"""Every pattern that lessons and older programs use, against a real server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.agents.models import (
    AgentEventHandler,
    FunctionTool,
    ListSortOrder,
    MessageRole,
    RunStatus,
    ThreadRun,
    ToolSet,
)

from clew.azure import AIProjectClient
from clew.azure.client import AgentsClient
from clew.testing.scripted_model import ScriptedModel, call
from clew.testing.server import RunningServer

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "The time in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def get_time(city: str) -> str:
    """The time in a city.

    :param city: a city
    """
    return json.dumps({"city": city, "time": "12:00"})


@pytest.fixture
def agents(clew_server: RunningServer) -> Iterator[Any]:
    """Typed as anything: programs of the betas are not what the vendor's types describe."""
    with AIProjectClient(endpoint=clew_server.project_endpoint, credential=clew_server.api_key) as project:
        yield project.agents


def finished(agents: Any, run: ThreadRun) -> Any:
    while run.status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS):
        run = agents.runs.get(thread_id=run.thread_id, run_id=run.id)
    return run


def test_the_lesson(agents: Any, clew_model: ScriptedModel) -> None:
    clew_model.reply("Threads hold conversations.")
    agent = agents.create_agent(model="any", name="tutor", instructions="Be brief.")
    thread = agents.threads.create()
    agents.messages.create(thread_id=thread.id, role="user", content="What is a thread?")
    run = finished(agents, agents.runs.create(thread_id=thread.id, agent_id=agent.id))
    assert run.status == RunStatus.COMPLETED
    messages = agents.messages.list(thread_id=thread.id)
    assert [message.role for message in reversed(messages)] == [MessageRole.USER, MessageRole.AGENT]
    assert len(messages) == 2
    assert messages[0].text_messages[0].text.value == "Threads hold conversations."
    assert messages.data[-1].text_messages[0].text.value == "What is a thread?"
    assert messages.get_last_text_message_by_role("assistant").text.value == "Threads hold conversations."
    assert [part.text.value for part in messages.text_messages][1] == "What is a thread?"
    assert (messages.image_contents, messages.file_citation_annotations, messages.file_path_annotations) == (
        [],
        [],
        [],
    )
    steps = agents.runs.steps.list(thread_id=thread.id, run_id=run.id)
    assert [step.type for step in steps.data] == ["message_creation"]
    assert steps.data[0].id == agents.run_steps.list(thread.id, run.id)[0].id
    agents.delete_agent(agent.id)


def test_tools_by_hand(agents: Any, clew_model: ScriptedModel) -> None:
    clew_model.calls(call("get_time", {"city": "Oslo"}), call("get_time", {"city": "Rome"}))
    clew_model.reply("Noon in both.")
    agent = agents.create_agent(model="any", tools=TOOLS)
    thread = agents.create_thread(messages=[{"role": "user", "content": "What time is it?"}])
    run = finished(agents, agents.runs.create(thread_id=thread.id, assistant_id=agent.id))
    assert run.status == RunStatus.REQUIRES_ACTION
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": c.id, "output": get_time(**json.loads(c.function.arguments))} for c in calls]
    run = agents.runs.submit_tool_outputs(thread_id=thread.id, run_id=run.id, tool_outputs=outputs)
    assert finished(agents, run).status == RunStatus.COMPLETED
    assert list(clew_model.requests[1].tool_outputs.values()) == [output["output"] for output in outputs]


def test_the_names_of_the_betas(agents: Any, clew_model: ScriptedModel) -> None:
    agent = agents.create_agent(model="any", name="old")
    thread = agents.create_thread()
    assert agents.get_thread(thread.id).id == thread.id
    assert agents.update_thread(thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    message = agents.create_message(thread_id=thread.id, role="user", content="Hello")
    assert agents.get_message(thread.id, message.id).id == message.id
    assert agents.update_message(thread.id, message.id, metadata={"k": "v"}).metadata == {"k": "v"}
    run = finished(agents, agents.create_run(thread_id=thread.id, assistant_id=agent.id))
    assert agents.get_run(thread_id=thread.id, run_id=run.id).status == RunStatus.COMPLETED
    assert agents.update_run(thread.id, run.id, metadata={"k": "v"}).metadata == {"k": "v"}
    assert [r.id for r in agents.list_runs(thread_id=thread.id).data] == [run.id]
    steps = agents.list_run_steps(thread_id=thread.id, run_id=run.id)
    assert agents.get_run_step(thread.id, run.id, steps.data[0].id).id == steps.first_id
    messages = agents.list_messages(thread_id=thread.id)
    assert messages.get_last_message_by_role("user").id == message.id
    assert messages.get_last_text_message_by_role("assistant").text.value == "You said: Hello"
    assert messages["data"][0].role == MessageRole.AGENT
    newest = agents.list_messages(thread_id=thread.id, limit=1)
    assert (len(newest.data), newest.has_more) == (1, True)
    assert [m.id for m in agents.list_messages(thread.id, after=newest.last_id)] == [message.id]
    assert agents.list_threads().data[0].id == thread.id
    agents.delete_thread(thread.id)
    assert thread.id not in [t.id for t in agents.list_threads().data]


def test_create_and_process_run_calls_the_agents_functions(agents: Any, clew_model: ScriptedModel) -> None:
    clew_model.call("get_time", {"city": "Oslo"})
    clew_model.reply("It is noon.")
    toolset = ToolSet()
    toolset.add(FunctionTool({get_time}))
    agent = agents.create_agent(model="any", toolset=toolset)
    thread = agents.create_thread()
    agents.create_message(thread.id, role="user", content="The time in Oslo?")
    run = agents.create_and_process_run(thread_id=thread.id, assistant_id=agent.id, sleep_interval=0.01)
    assert run.status == RunStatus.COMPLETED
    assert list(clew_model.requests[1].tool_outputs.values()) == [get_time("Oslo")]


@pytest.mark.parametrize("keyword", ["functions", "toolset", "function_tool", None])
def test_auto_function_calls_by_any_keyword(
    agents: Any, clew_model: ScriptedModel, keyword: str | None
) -> None:
    clew_model.call("get_time", {"city": "Rome"})
    clew_model.reply("Noon.")
    toolset = ToolSet()
    tool = FunctionTool({get_time})
    toolset.add(tool)
    choices = {"functions": {get_time}, "toolset": toolset, "function_tool": tool}
    if keyword is None:
        agents.enable_auto_function_calls({get_time})
    else:
        agents.enable_auto_function_calls(**{keyword: choices[keyword]})
    agent = agents.create_agent(model="any", tools=TOOLS)
    thread: Any = {"messages": [{"role": "user", "content": "?"}]}
    run = agents.create_thread_and_process_run(assistant_id=agent.id, thread=thread, polling_interval=0.01)
    assert run.status == RunStatus.COMPLETED


def test_streams(agents: Any, clew_model: ScriptedModel) -> None:
    class Collect(AgentEventHandler[None]):
        text = ""

        def on_message_delta(self, delta: Any) -> None:
            self.text += delta.text

    clew_model.reply("one two three")
    agent = agents.create_agent(model="any")
    thread = agents.threads.create(messages=[{"role": "user", "content": "Count."}])
    with agents.create_stream(thread_id=thread.id, assistant_id=agent.id, event_handler=Collect()) as stream:
        stream.until_done()
        assert stream.text == "one two three"
    with agents.runs.stream(thread_id=thread.id, agent_id=agent.id) as stream:
        events = [event for event, _, _ in stream]
    assert events[-1] == "done"


def test_cancel_and_submit_by_older_names(agents: Any, clew_model: ScriptedModel) -> None:
    clew_model.call("get_time")
    clew_model.call("get_time")
    agent = agents.create_agent(model="any", tools=TOOLS)
    thread = agents.threads.create(messages=[{"role": "user", "content": "?"}])
    run = finished(agents, agents.create_thread_and_run(assistant_id=agent.id))
    call_id = run.required_action.submit_tool_outputs.tool_calls[0].id
    outputs = [{"tool_call_id": call_id, "output": "12"}]
    run = agents.submit_tool_outputs_to_run(thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs)
    assert finished(agents, run).status == RunStatus.REQUIRES_ACTION
    agents.cancel_run(thread_id=run.thread_id, run_id=run.id)
    assert agents.get_run(run.thread_id, run.id).status in (RunStatus.CANCELLED, RunStatus.CANCELLING)
    assert thread.id


def test_lists_are_lazy_over_many_pages(agents: Any) -> None:
    thread = agents.threads.create()
    for number in range(7):
        agents.messages.create(thread.id, role="user", content=str(number))
    listing = agents.messages.list(thread.id, limit=3, order=ListSortOrder.ASCENDING)
    assert [m.text_messages[0].text.value for m in listing] == list("0123456")
    assert [m.text_messages[0].text.value for m in listing.data] == list("012")
    assert [m.text_messages[0].text.value for m in reversed(listing)] == list("6543210")
    assert [len(list(page)) for page in listing.by_page()] == [3, 3, 1, 0]


def test_agents_are_a_list_too(agents: AgentsClient) -> None:
    for name in ("a", "b"):
        agents.create_agent(model="any", name=name)
    assert [agent.name for agent in reversed(agents.list_agents())][-2:] == ["a", "b"]
    thread = agents.threads.create()
    assert agents.threads.list()[0].id == thread.id


def test_the_client_is_the_vendors(clew_server: RunningServer) -> None:
    from azure.ai import agents as vendor_agents
    from azure.ai import projects as vendor

    with AIProjectClient(clew_server.project_endpoint, clew_server.api_key) as project:
        assert isinstance(project, vendor.AIProjectClient)
        assert isinstance(project.agents, vendor_agents.AgentsClient)
        assert project.agents is project.agents
        for name in ("connections", "deployments", "datasets", "indexes", "telemetry"):
            assert hasattr(project, name)
