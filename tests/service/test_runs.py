"""The use cases of runs, asked directly: what refusals say, what a run is given, what a wait waits for."""

import asyncio
from typing import Any

import pytest

from clew.core import errors
from clew.core.content import text_content
from clew.core.tools import ChosenFunction, FunctionDefinition, FunctionTool, NamedTool
from clew.service import agents, messages, runs, threads
from clew.service.commands import NewMessage, NewThread, StartRun, Submit
from clew.service.context import Services
from clew.service.following import RunKeys
from clew.service.starting import RunReceipt, start
from clew.store.pages import PageRequest
from tests.support.clock import ManualClock
from tests.support.store import PROJECT

pytestmark = pytest.mark.anyio

LOOK = FunctionTool(function=FunctionDefinition(name="look"))
GO = NewMessage(role="user", content=[text_content("Go.")])


async def _agent(services: Services, **fields: Any) -> str:
    return (await agents.create(services, PROJECT, {"model": "scripted", **fields})).id


async def _start(services: Services, **fields: Any) -> RunReceipt:
    agent = await _agent(services)
    return await start(services, PROJECT, StartRun(agent_id=agent, thread=NewThread(), **fields))


def _keys(receipt: RunReceipt) -> RunKeys:
    return RunKeys(PROJECT, receipt.run.thread_id, receipt.run.id)


async def test_a_busy_thread_names_its_run_and_what_it_refuses(services: Services) -> None:
    active = (await _start(services)).run
    command = StartRun(agent_id=active.assistant_id or "", thread=active.thread_id, messages=[GO])
    with pytest.raises(errors.ThreadBusy) as refused:
        await start(services, PROJECT, command)
    assert (refused.value.run_id, refused.value.wanted) == (active.id, "run")
    with pytest.raises(errors.ThreadBusy) as refused:
        await messages.add(services, PROJECT, active.thread_id, GO)
    assert (refused.value.run_id, refused.value.wanted) == (active.id, "message")
    assert not (await messages.page(services, PROJECT, active.thread_id, PageRequest())).items


async def test_what_may_wait_takes_its_place_behind_its_messages(services: Services) -> None:
    active = (await _start(services)).run
    command = StartRun(agent_id=active.assistant_id or "", thread=active.thread_id, messages=[GO], wait=True)
    waiting = (await start(services, PROJECT, command)).run
    assert waiting.held == 2
    cancelled = await runs.cancel(services, _keys(RunReceipt(waiting, 0)))
    assert cancelled.status == "cancelled", "no worker has it, so nobody need be waited for"


async def test_it_says_what_was_not_found(services: Services) -> None:
    thread = await threads.create(services, PROJECT, NewThread())
    agent = await _agent(services)
    for command, missing in (
        (StartRun(agent_id="asst_none", thread=thread.id), ("agent", "asst_none")),
        (StartRun(agent_id="asst_none", thread=NewThread()), ("agent", "asst_none")),
        (StartRun(agent_id=agent, thread="thread_none"), ("thread", "thread_none")),
    ):
        with pytest.raises(errors.NotFound) as refused:
            await start(services, PROJECT, command)
        assert (refused.value.kind, refused.value.id) == missing
    assert len((await threads.page(services, PROJECT, PageRequest(), {})).items) == 1


async def test_options_stand_in_the_place_of_the_agents(services: Services) -> None:
    agent = await _agent(services, instructions="Be kind.", temperature=0.5, tools=[LOOK])
    command = StartRun(
        agent_id=agent,
        thread=NewThread(),
        options={"temperature": 0.0, "max_prompt_tokens": 7, "tools": []},
        additional_instructions="Be brief.",
        expires_in=1000,
    )
    run = (await start(services, PROJECT, command)).run
    assert run.config.instructions == "Be kind.\n\nBe brief."
    assert (run.config.temperature, run.config.max_prompt_tokens, run.config.tools) == (0.0, 7, [])
    assert run.config.model == "scripted"
    assert run.expires_at == run.created_at + 1000


CHOICE = {"tool_choice": NamedTool(type="function", function=ChosenFunction(name="look"))}


async def test_a_function_of_the_agent_can_be_chosen(services: Services) -> None:
    agent = await _agent(services, tools=[LOOK])
    receipt = await start(services, PROJECT, StartRun(agent_id=agent, thread=NewThread(), options=CHOICE))
    assert receipt.run.config.tool_choice == CHOICE["tool_choice"]


async def test_a_chosen_function_must_be_among_the_runs_own_tools(services: Services) -> None:
    agent = await _agent(services, tools=[LOOK])
    command = StartRun(agent_id=agent, thread=NewThread(), options={**CHOICE, "tools": []})
    with pytest.raises(errors.UnknownToolChoice) as refused:
        await start(services, PROJECT, command)
    assert refused.value.name == "look"


async def test_outputs_and_cancellations_are_refused_with_the_runs_status(
    services: Services, own_clock: ManualClock
) -> None:
    keys = _keys(await _start(services))
    with pytest.raises(errors.OutputsNotAccepted) as outputs:
        await runs.submit(services, keys, Submit())
    assert outputs.value.status == "queued"
    own_clock.advance(600_000)
    with pytest.raises(errors.NotCancellable) as cancellation:
        await runs.cancel(services, keys)
    assert cancellation.value.status == "expired"


async def test_a_wait_ends_with_the_run(services: Services) -> None:
    active = await _start(services)
    command = StartRun(agent_id=active.run.assistant_id or "", thread=active.run.thread_id, wait=True)
    keys = _keys(await start(services, PROJECT, command))
    waiting = asyncio.ensure_future(runs.read(services, keys, wait=60))
    assert (await runs.read(services, keys)).run.status == "queued"
    assert not waiting.done()
    await runs.cancel(services, keys)
    assert (await waiting).run.status == "cancelled"


async def test_a_wait_ends_after_its_time(services: Services) -> None:
    keys = _keys(await _start(services))
    assert (await runs.read(services, keys, wait=0.01)).run.status == "queued"


async def test_a_thread_that_has_changed_stays(services: Services, own_clock: ManualClock) -> None:
    thread = await threads.create(services, PROJECT, NewThread(messages=[GO]))
    since = own_clock.seconds - 1
    with pytest.raises(errors.ThreadChanged) as refused:
        await threads.delete(services, PROJECT, thread.id, unchanged_since=since)
    assert (refused.value.thread_id, refused.value.since) == (thread.id, since)
    await threads.delete(services, PROJECT, thread.id, unchanged_since=own_clock.seconds)
    with pytest.raises(errors.NotFound):
        await threads.read(services, PROJECT, thread.id)
