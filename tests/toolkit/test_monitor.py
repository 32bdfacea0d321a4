"""Runs followed to every end there is, over connections that break where it hurts."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from clew.testing.scripted_model import Reply, ScriptedModel, call
from clew.toolkit import Polling, RunMonitor, RunResult, Service, ToolExecutor, calculate, connect, tool
from clew.toolkit._blocking import run
from clew.toolkit.errors import (
    ConnectionFailed,
    RateLimited,
    RunCancelled,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunNeedsApproval,
    RunNeedsTools,
    RunTimedOut,
    ServerFault,
    ThreadBusy,
    TooManyToolRounds,
)
from clew.toolkit.monitor.events import (
    ConnectionDropped,
    Event,
    RunEnded,
    StatusChanged,
    StepChanged,
    TextDelta,
    ToolFinished,
)
from clew.toolkit.records import Agent, Thread
from tests.support.clock import ManualClock
from tests.support.server import KEYS, Server
from tests.toolkit.proxy import Proxy

_TEXT = "The quick brown fox jumps over the lazy dog."


class NoWaiting:
    """Time in which every sleep is over at once; it is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


@pytest.fixture(params=[True, False], ids=["stream", "poll"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Whether to follow by events or by polling."""
    return bool(request.param)


@pytest.fixture
def tool_agent(service: Service) -> Agent:
    return service.create_agent("scripted", tools=ToolExecutor([calculate]).definitions)


def _states(result: RunResult) -> list[str]:
    return [status for status, _ in result.states]


# --- how runs end ----------------------------------------------------------------------------------


def test_a_run_through_every_client(each_client: Any, model: ScriptedModel, stream: bool) -> None:
    service = connect(each_client)
    tools = ToolExecutor([calculate])
    agent = service.create_agent("scripted", tools=tools.definitions)
    thread = service.create_thread(messages=[{"role": "user", "content": "6 * 7 and 1 + 1?"}])
    model.calls(call("calculate", {"expression": "6*7"}), call("calculate", {"expression": "1+1"}))
    model.reply("42 and 2.")
    result = RunMonitor(each_client, tools=tools, stream=stream).run(thread.id, agent.id)
    assert result.run.status == "completed"
    assert result.text == "42 and 2."
    assert [each.output for each in result.calls] == ["42", "2"]
    assert sorted(model.requests[-1].tool_outputs.values()) == ["2", "42"]
    assert [step.type for step in result.steps] == ["tool_calls", "message_creation"]
    assert all(step.status == "completed" for step in result.steps)
    assert result.usage.total_tokens == sum(step.usage.total_tokens for step in result.steps if step.usage)
    assert result.problem is None
    assert result.reconnects == 0
    assert (result.timings.first_token is not None) == stream
    assert "requires_action" in _states(result)


def test_a_failed_run_says_why(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.fail(400, "That prompt is not allowed.", code="invalid_prompt")
    with pytest.raises(RunFailed, match="not allowed") as error:
        RunMonitor(service, stream=stream).run(thread.id, agent.id)
    assert error.value.code == "invalid_prompt"
    assert "change the message" in error.value.advice
    assert error.value.run.status == "failed"
    assert isinstance(error.value.result, RunResult)
    assert _states(error.value.result)[-1] == "failed"


def test_an_expired_run_says_so(
    service: Service,
    agent: Agent,
    thread: Thread,
    model: ScriptedModel,
    clock: ManualClock,
    stream: bool,
) -> None:
    held = model.hold("Just a moment")
    expired = _in_background(lambda: RunMonitor(service, stream=stream).run(thread.id, agent.id))
    held.wait_paused()
    clock.advance(600_000)
    with pytest.raises(RunExpired):
        expired()
    held.release()


def test_a_cancelled_run_says_so(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    held = model.hold("Just a moment")
    cancelled = _in_background(lambda: RunMonitor(service, stream=stream).run(thread.id, agent.id))
    held.wait_paused()
    (running,) = service.list_runs(thread.id).data
    service.cancel_run(thread.id, running.id)
    with pytest.raises(RunCancelled) as error:
        cancelled()
    assert error.value.result is not None
    assert error.value.result.text.strip() == "Just a moment"


def test_an_incomplete_run_says_what_was_too_short(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.reply("Once upon a", finish_reason="length")
    with pytest.raises(RunIncomplete, match="limit of completion tokens") as error:
        RunMonitor(service, stream=stream).run(thread.id, agent.id, max_completion_tokens=3)
    assert error.value.code == "max_completion_tokens"


def test_without_check_the_problem_is_in_the_result(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.fail(400, "No.")
    seen: list[RunResult] = []
    result = RunMonitor(service, on_result=[seen.append]).run(thread.id, agent.id, check=False)
    assert isinstance(result.problem, RunFailed)
    assert seen == [result]


def test_a_busy_thread_is_refused_and_its_run_left_alone(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    held = model.silence(then="Done")
    running = service.create_run(thread.id, agent.id)
    with pytest.raises(ThreadBusy) as error:
        RunMonitor(service, stream=stream).run(thread.id, agent.id)
    assert error.value.run_id == running.id
    held.release()
    assert RunMonitor(service, stream=stream).watch(thread.id, running.id).text == "Done"


# --- leaving ---------------------------------------------------------------------------------------


def test_the_overall_time_out_cancels_the_run(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    held = model.hold("Just a moment")
    seen: list[RunResult] = []
    with pytest.raises(RunTimedOut, match=r"after 0\.2 s") as error:
        RunMonitor(service, stream=stream, timeout=0.2, on_result=[seen.append]).run(thread.id, agent.id)
    assert error.value.run.status == "cancelled"
    assert service.get_run(thread.id, error.value.run.id).status == "cancelled"
    assert seen[0].problem is error.value
    held.wait_ended()
    assert held.client_left
    service.create_message(thread.id, "The thread is free again.")


def test_a_cancelled_task_cancels_its_run(
    server: Server, service: Service, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    held = model.hold("Just a moment")

    async def main() -> None:
        async with connect(f"{server.url}/v1", KEYS["alpha"]) as own, anyio.create_task_group() as tasks:
            tasks.start_soon(RunMonitor(own).arun, thread.id, agent.id)
            await held.gates[0].reached.wait_async()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert service.list_runs(thread.id).data[0].status == "cancelled"


def test_leaving_the_events_cancels_the_run(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.hold("Just a moment")
    with RunMonitor(service).follow(thread.id, agent.id) as events:
        for event in events:
            if isinstance(event, TextDelta):
                break
    assert service.list_runs(thread.id).data[0].status == "cancelled"


def test_a_listener_that_raises_cancels_the_run(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.hold("Just a moment")

    def listener(event: Event) -> None:
        if isinstance(event, StepChanged):
            raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        RunMonitor(service, listeners=[listener]).run(thread.id, agent.id)
    assert service.list_runs(thread.id).data[0].status == "cancelled"


def test_a_run_of_somebody_else_is_not_cancelled_by_watching(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    held = model.silence(then="Done")
    running = service.create_run(thread.id, agent.id)
    with pytest.raises(RunTimedOut):
        RunMonitor(service, stream=stream, timeout=0.2).watch(thread.id, running.id)
    assert service.get_run(thread.id, running.id).status == "in_progress"
    held.release()


# --- events ----------------------------------------------------------------------------------------


def test_events_come_in_order_and_once(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.call("calculate", {"expression": "6*7"})
    model.reply(_TEXT)
    with RunMonitor(service, tools=ToolExecutor([calculate])).follow(thread.id, tool_agent.id) as events:
        told = list(events)
    states = [event.run.status for event in told if isinstance(event, StatusChanged)]
    assert states == [
        *("queued", "in_progress", "requires_action", "queued", "in_progress", "completed"),
    ]
    steps = [(e.step.type, e.before, e.step.status) for e in told if isinstance(e, StepChanged)]
    assert steps == [
        ("tool_calls", None, "in_progress"),
        ("tool_calls", "in_progress", "completed"),
        ("message_creation", None, "in_progress"),
        ("message_creation", "in_progress", "completed"),
    ]
    assert "".join(event.text for event in told if isinstance(event, TextDelta)) == _TEXT
    assert isinstance(told[-1], RunEnded)
    assert told[-1].result.text == _TEXT
    assert [event.seconds for event in told] == sorted(event.seconds for event in told)


def test_a_run_that_is_over_tells_its_story_to_whoever_joins(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.call("calculate", {"expression": "6*7"})
    model.reply(_TEXT)
    tools = ToolExecutor([calculate])
    first = RunMonitor(service, tools=tools).run(thread.id, tool_agent.id)
    again = RunMonitor(service, tools=tools).watch(thread.id, first.run.id)
    assert _states(again) == _states(first)
    assert again.messages == first.messages
    assert again.steps == first.steps
    assert again.calls == ()


def test_a_monitor_can_take_over_tool_calls(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.call("calculate", {"expression": "6*7"})
    model.call("calculate", {"expression": "1+1"})
    model.reply("Both done.")
    running = service.create_run(thread.id, tool_agent.id)
    with pytest.raises(RunNeedsTools):  # another program that has no tools; watching doesn't cancel
        RunMonitor(service, stream=stream).watch(thread.id, running.id)
    result = RunMonitor(service, stream=stream, tools=ToolExecutor([calculate])).watch(thread.id, running.id)
    assert [each.output for each in result.calls] == ["42", "2"]
    assert result.text == "Both done."


# --- tools -----------------------------------------------------------------------------------------


def test_a_run_that_waits_for_a_person_says_so_instead_of_being_watched_for_ever(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.call("clew_clock", {})
    asked = {"type": "clew_clock", "require_approval": "always"}
    with pytest.raises(RunNeedsApproval, match="clew_clock") as error:
        RunMonitor(service, stream=stream).run(thread.id, agent.id, tools=[asked])
    assert error.value.run.status == "cancelled"


def test_so_does_one_that_was_started_elsewhere(
    service: Service, agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.call("clew_clock", {})
    asked = {"type": "clew_clock", "require_approval": "always"}
    running = service.create_run(thread.id, agent.id, tools=[asked])
    with pytest.raises(RunNeedsApproval, match="clew_clock"):
        RunMonitor(service, stream=stream, timeout=5).watch(thread.id, running.id)
    assert service.cancel_run(thread.id, running.id).status == "cancelling"


def test_without_tools_a_run_that_needs_them_is_cancelled(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.call("calculate", {"expression": "1"})
    with pytest.raises(RunNeedsTools, match="calculate") as error:
        RunMonitor(service, stream=stream).run(thread.id, tool_agent.id)
    assert error.value.run.status == "cancelled"


def test_tools_that_never_satisfy_the_model_end_the_run(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    model.when(lambda _: True).call("calculate", {"expression": "1"})
    monitor = RunMonitor(service, tools=ToolExecutor([calculate]), stream=stream, max_tool_rounds=3)
    with pytest.raises(TooManyToolRounds) as error:
        monitor.run(thread.id, tool_agent.id)
    assert error.value.run.status == "cancelled"
    assert isinstance(error.value.result, RunResult)
    assert len(error.value.result.calls) == 3


def test_a_broken_tool_is_told_to_the_model_and_the_run_goes_on(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel, stream: bool
) -> None:
    agent = service.create_agent(
        "scripted", tools=[*tool_agent.tools, {"type": "function", "function": {"name": "unheard_of"}}]
    )
    model.calls(call("calculate", "{broken"), call("unheard_of"), call("calculate", {"expression": "2+2"}))
    model.reply("Only one worked.")
    monitor = RunMonitor(service, tools=ToolExecutor([calculate]), stream=stream)
    result = monitor.run(thread.id, agent.id)
    assert [each.outcome for each in result.calls] == ["invalid", "unknown", "ok"]
    outputs = list(model.requests[-1].tool_outputs.values())
    assert ['{"error"' in output for output in outputs] == [True, True, False]


def test_a_run_that_expires_while_its_tools_work(
    service: Service,
    tool_agent: Agent,
    thread: Thread,
    model: ScriptedModel,
    clock: ManualClock,
    stream: bool,
) -> None:
    def slow(expression: str) -> str:
        (running,) = service.list_runs(thread.id).data
        clock.advance(600_000)
        while service.get_run(thread.id, running.id).status != "expired":
            pass  # the server notices by itself; each look is a request
        return "too late"

    model.call("calculate", {"expression": "1"})
    tools = ToolExecutor([tool(slow, name="calculate")])
    with pytest.raises(RunExpired):
        RunMonitor(service, tools=tools, stream=stream).run(thread.id, tool_agent.id)


# --- broken connections ----------------------------------------------------------------------------


_PLACES = [
    b"event: thread.run.created\n",
    b"event: thread.run.in_progress",
    b"event: thread.run.step.created",
    b"event: thread.message.created",
    b"event: thread.message.delta",
    b'"The ',
    b"brown ",
    b"event: thread.message.completed",
    b"event: thread.run.completed",
    b"event: done",
]


@pytest.mark.parametrize("place", _PLACES[1:])
def test_a_stream_cut_anywhere_loses_and_repeats_nothing(
    place: bytes,
    through_proxy: Service,
    proxy: Proxy,
    agent: Agent,
    thread: Thread,
    model: ScriptedModel,
) -> None:
    model.reply(_TEXT, pace=0.005)
    proxy.cut("POST .*/runs$", place)
    proxy.cut("GET .*/events", b"quick")
    monitor = RunMonitor(through_proxy, time=NoWaiting())
    with monitor.follow(thread.id, agent.id) as events:
        told = list(events)
    assert [event.run.status for event in told if isinstance(event, StatusChanged)] == [
        "queued",
        "in_progress",
        "completed",
    ]
    assert "".join(event.text for event in told if isinstance(event, TextDelta)) == _TEXT
    assert len([event for event in told if isinstance(event, StepChanged)]) == 2
    assert isinstance(told[-1], RunEnded)
    assert told[-1].result.text == _TEXT
    assert told[-1].result.reconnects == 2
    assert len([event for event in told if isinstance(event, ConnectionDropped)]) == 2


@pytest.mark.parametrize("place", [b"event: thread.run.queued", b"event: thread.message.delta"])
def test_where_streams_cannot_be_joined_the_run_is_polled(
    place: bytes,
    through_proxy: Service,
    proxy: Proxy,
    agent: Agent,
    thread: Thread,
    model: ScriptedModel,
) -> None:
    model.reply(_TEXT)
    proxy.cut("POST .*/runs$", place)
    proxy.answer("GET .*/events", 404, body=b'{"error":{"message":"Invalid URL"}}')
    result = RunMonitor(through_proxy, time=NoWaiting()).run(thread.id, agent.id)
    assert result.text == _TEXT
    assert [step.status for step in result.steps] == ["completed"]


def test_a_stream_cut_before_the_run_is_known_is_an_error(
    through_proxy: Service, proxy: Proxy, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    proxy.cut("POST .*/runs$", b"\r\n\r\n")
    with pytest.raises(ConnectionFailed):
        RunMonitor(through_proxy).run(thread.id, agent.id)


def test_tools_run_once_even_if_their_submission_is_lost(
    through_proxy: Service,
    proxy: Proxy,
    tool_agent: Agent,
    thread: Thread,
    model: ScriptedModel,
    stream: bool,
) -> None:
    ran: list[str] = []

    def count(expression: str) -> str:
        ran.append(expression)
        return "42"

    model.call("calculate", {"expression": "6*7"})
    model.reply("42.")
    proxy.drop("POST .*/submit_tool_outputs", times=2 if stream else 4)
    proxy.cut("POST .*/submit_tool_outputs", b"HTTP/1.1 200")
    tools = ToolExecutor([tool(count, name="calculate")])
    result = RunMonitor(through_proxy, tools=tools, stream=stream, time=NoWaiting()).run(
        thread.id, tool_agent.id
    )
    assert ran == ["6*7"]
    assert result.text == "42."
    assert result.reconnects > 0


def test_polls_outlive_trouble(
    through_proxy: Service, proxy: Proxy, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.reply("Done")
    for_each_read = 4  # attempts that the service itself makes
    proxy.drop("GET .*/runs/run_[0-9]+$", times=for_each_read)
    proxy.answer("GET .*/runs/run_[0-9]+$", 429, "retry-after: 9", body=b"{}", times=for_each_read)
    proxy.answer("GET .*/runs/run_[0-9]+$", 503, body=b"{}", times=for_each_read)
    waiting, told = NoWaiting(), list[Event]()
    monitor = RunMonitor(through_proxy, stream=False, time=waiting, listeners=[told.append])
    assert monitor.run(thread.id, agent.id).text == "Done"
    dropped = [event.error for event in told if isinstance(event, ConnectionDropped)]
    assert [type(error) for error in dropped] == [ConnectionFailed, RateLimited, ServerFault]
    assert waiting.slept[:3] == pytest.approx([0.1, 9.0, 0.225])


def test_the_first_look_at_a_run_may_fail(
    through_proxy: Service, proxy: Proxy, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    finished = RunMonitor(through_proxy).run(thread.id, agent.id)
    proxy.drop("GET .*/runs/run_[0-9]+$", times=4)
    with pytest.raises(ConnectionFailed):
        RunMonitor(through_proxy).watch(thread.id, finished.run.id)


def test_the_servers_hint_and_the_back_off_are_kept(
    through_proxy: Service, proxy: Proxy, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    held = model.silence(then="Done")
    waiting = NoWaiting()

    class Patient(NoWaiting):
        async def sleep(self, seconds: float) -> None:
            waiting.slept.append(seconds)
            if len(waiting.slept) == 6:
                held.release()
            await anyio.lowlevel.checkpoint()

    monitor = RunMonitor(through_proxy, stream=False, time=Patient(), polling=Polling(first=0.4, longest=0.7))
    assert monitor.run(thread.id, agent.id).text == "Done"
    assert waiting.slept[:6] == pytest.approx([0.1, 0.15, 0.225, 0.3375, 0.50625, 0.7])  # the hint is 100 ms


def test_a_server_that_stays_away_is_given_up(
    through_proxy: Service, proxy: Proxy, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    model.hold("Just a moment")
    proxy.cut("POST .*/runs$", b"event: thread.message.delta")
    proxy.drop("GET .*/events", times=4)
    waiting = NoWaiting()
    with pytest.raises(ConnectionFailed):
        RunMonitor(through_proxy, time=waiting, polling=Polling(failures=3)).run(thread.id, agent.id)
    assert waiting.slept[:3] == pytest.approx([0.1, 0.15, 0.225])
    (left,) = through_proxy.list_runs(thread.id).data
    assert left.status == "cancelled"


def test_a_service_without_streams_is_polled(
    through_proxy: Service, proxy: Proxy, service: Service, agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    held = model.silence(then="Done")
    running = service.create_run(thread.id, agent.id)
    proxy.answer(
        "POST .*/runs$", 200, "content-type: application/json", body=_run_json(running.id, thread.id)
    )
    held.release()
    result = RunMonitor(through_proxy, time=NoWaiting()).run(thread.id, agent.id)
    assert result.text == "Done"


# --- details ---------------------------------------------------------------------------------------


def test_many_runs_at_once_through_one_monitor(service: Service, agent: Agent, model: ScriptedModel) -> None:
    monitor = RunMonitor(service)
    results: list[RunResult] = []

    async def one(number: int) -> None:
        messages = [{"role": "user", "content": f"number {number}"}]
        thread = await service.acreate_thread(messages=messages)
        results.append(await monitor.arun(thread.id, agent.id))

    async def all_of_them() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, number)

    run(all_of_them())
    assert sorted(result.text for result in results) == sorted(f"You said: number {n}" for n in range(20))


def test_tool_results_are_told_before_they_are_submitted(
    service: Service, tool_agent: Agent, thread: Thread, model: ScriptedModel
) -> None:
    told: list[str] = []
    model.call("calculate", {"expression": "6*7"})
    model.answer(lambda request: Reply((f"after {len(told)}",)))

    def listener(event: Event) -> None:
        if isinstance(event, ToolFinished):
            told.append(event.result.output)

    monitor = RunMonitor(service, tools=ToolExecutor([calculate]), listeners=[listener])
    assert monitor.run(thread.id, tool_agent.id).text == "after 1"


def _run_json(run_id: str, thread_id: str = "") -> bytes:
    body = f'{{"id":"{run_id}","thread_id":"{thread_id}","assistant_id":"asst_x","status":"in_progress"}}'
    return body.encode()


def _in_background(function: Callable[[], RunResult]) -> Callable[[], RunResult]:
    """Start ``function`` in a thread; the returned function waits for it, and raises what it raised."""
    outcome: list[RunResult | BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def wait() -> RunResult:
        thread.join(20)
        (found,) = outcome
        if isinstance(found, BaseException):
            raise found
        return found

    return wait


@pytest.fixture(autouse=True)
def _release_the_model(model: ScriptedModel) -> Iterator[None]:
    """Let no held answer outlive its test."""
    yield
    model.reset()
