"""Exercise B: everything that can go wrong, made to go wrong, and what a program does about it.

Nothing is pretended: a real server runs in a process of its own, asks a model that misbehaves on
command, and is killed in the middle of an answer. It needs no key, and no server to be started:

    python exercise_b_errors.py
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clew.testing.scripted_model import Request, ScriptedModel, call
from clew.testing.server import RunningServer
from clew.toolkit import ConversationManager, RunMonitor, Service, ToolExecutor, connect, tool
from clew.toolkit.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    NotFound,
    RunCancelled,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunTimedOut,
    ThreadBusy,
    ToolInputError,
    ToolkitError,
)
from clew.toolkit.monitor.events import Event, StatusChanged, TextDelta, TextRestarted


class Lab(NamedTuple):
    """A server, the model it asks, and the service as a client sees it."""

    server: RunningServer
    model: ScriptedModel
    service: Service
    agent_id: str

    def conversation(self, tools: ToolExecutor | None = None, timeout: float = 60) -> ConversationManager:
        """Return a new conversation with an agent that has these tools."""
        agent_id = self.agent_id
        if tools is not None:
            agent_id = self.service.create_agent("scripted", tools=tools.definitions).id
        return ConversationManager(self.service, agent_id, tools=tools, timeout=timeout)


class Outcome(NamedTuple):
    """What happened, in a sentence, and what to do about it."""

    happened: str
    advice: str


def caught(error: ToolkitError) -> Outcome:
    """Return an error as an outcome: every one of them knows its advice."""
    return Outcome(f"{type(error).__name__}: {error.message}", error.advice)


# --- runs that don't complete ----------------------------------------------------------------------


def a_run_that_fails(lab: Lab) -> Outcome:
    """The model refuses the prompt."""
    lab.model.fail(400, "This prompt is not allowed.")
    try:
        lab.conversation().send("Hello")
    except RunFailed as error:
        return caught(error)
    raise AssertionError("it did not fail")


def a_rate_limit(lab: Lab) -> Outcome:
    """The model's provider limits requests, and goes on doing so."""
    limited = lab.model.when(lambda request: request.last_user_text == "Hello?")
    limited.fail(429, "Too many requests.", retry_after=0)
    try:
        lab.conversation().send("Hello?")
    except (RunFailed, RunExpired) as error:
        return caught(error)
    raise AssertionError("it did not fail")


def a_time_out(lab: Lab) -> Outcome:
    """The answer takes longer than we are willing to wait: the run is cancelled."""
    lab.model.silence()
    try:
        lab.conversation(timeout=0.3).send("Hello")
    except RunTimedOut as error:
        return caught(error)
    raise AssertionError("it was not too slow")


def an_expired_run(lab: Lab) -> Outcome:
    """The answer takes longer than the server allows: here one second, by default ten minutes."""
    lab.model.silence()
    with (
        RunningServer(lab.model, settings={"run_expiry": 1}) as impatient,
        connect(impatient.openai_base_url, impatient.api_key) as service,
    ):
        agent = service.create_agent("scripted")
        try:
            ConversationManager(service, agent.id).send("Hello")
        except RunExpired as error:
            return caught(error)
    raise AssertionError("it did not expire")


def a_cancelled_run(lab: Lab) -> Outcome:
    """Somebody else cancels the run while we wait."""
    lab.model.silence()

    def cancel(event: Event) -> None:
        if isinstance(event, StatusChanged) and event.run.status == "in_progress":
            threading.Thread(target=lab.service.cancel_run, args=(event.run.thread_id, event.run.id)).start()

    try:
        lab.conversation().send("Hello", listener=cancel)
    except RunCancelled as error:
        return caught(error)
    raise AssertionError("it was not cancelled")


def an_incomplete_run(lab: Lab) -> Outcome:
    """The answer is longer than its token limit."""
    lab.model.reply("Once upon a time there", finish_reason="length")
    try:
        lab.conversation().send("Tell me a story", max_completion_tokens=5)
    except RunIncomplete as error:
        return caught(error)
    raise AssertionError("it was complete")


# --- connections -----------------------------------------------------------------------------------


def a_server_killed_in_mid_answer(lab: Lab) -> Outcome:
    """The server dies in the middle of the stream and comes back; the same call goes on waiting."""
    lab.model.hold("The first half, and then ")
    heard = threading.Event()

    def kill_and_restart() -> None:
        heard.wait()
        lab.server.kill()
        lab.server.restart()

    restarting = threading.Thread(target=kill_and_restart)
    restarting.start()
    shown: list[str] = []

    def show(event: Event) -> None:
        if isinstance(event, TextDelta):
            shown.append(event.text)
            heard.set()
        elif isinstance(event, TextRestarted):
            shown.append(" ... (again) ")

    result = lab.conversation().send("Hello", listener=show)
    restarting.join()
    happened = f"reconnected {result.reconnects} times; {result.run.status}; heard: {''.join(shown)}"
    return Outcome(happened, "Nothing: the monitor joins the run again.")


def no_server_at_all(lab: Lab) -> Outcome:
    """Nobody listens at the address."""
    with connect("http://127.0.0.1:9/v1", "no-key") as nowhere:
        try:
            nowhere.get_thread("thread_x")
        except ConnectionFailed as error:
            return caught(error)
    raise AssertionError("somebody answered")


# --- refusals --------------------------------------------------------------------------------------


def a_wrong_key(lab: Lab) -> Outcome:
    """The key isn't the server's."""
    with connect(lab.server.openai_base_url, "clew_wrong") as stranger:
        try:
            stranger.list_agents()
        except AuthenticationFailed as error:
            return caught(error)
    raise AssertionError("the key was taken")


def an_unknown_thread(lab: Lab) -> Outcome:
    """The thread doesn't exist."""
    try:
        lab.service.get_thread("thread_000000000000000000000000")
    except NotFound as error:
        return caught(error)
    raise AssertionError("it exists")


def a_busy_thread(lab: Lab) -> Outcome:
    """Another run is active; it is waited for, and then we try again: that is safe here."""
    held = lab.model.silence(then="The other one's answer.")
    conversation = lab.conversation()
    conversation.add_user_message("Hello")
    assert conversation.thread_id is not None
    other = lab.service.create_run(conversation.thread_id, lab.agent_id)
    try:
        conversation.send("Me too")
    except ThreadBusy as error:
        outcome = caught(error)
    held.release()
    RunMonitor(lab.service).watch(conversation.thread_id, other.id)
    assert conversation.send("Me too").text == "You said: Me too"
    return outcome


# --- tools -----------------------------------------------------------------------------------------


def wrong_tool_arguments(lab: Lab) -> Outcome:
    """The model gets the arguments wrong, reads why, and calls again."""

    def weather(city: str) -> str:
        """Look up the weather in a city."""
        return f"Sunny in {city}"

    lab.model.call("weather", {"town": "Oslo"})
    lab.model.call("weather", {"city": "Oslo"})
    lab.model.reply("It is sunny.")
    result = lab.conversation(ToolExecutor([weather])).send("How is the weather?")
    return Outcome(
        f"{[each.outcome for each in result.calls]}: {result.calls[0].output}", "Nothing: the model mends it."
    )


def a_tool_that_breaks(lab: Lab) -> Outcome:
    """One tool raises, one hangs, one says what is wrong: the model is told, and the run goes on."""
    hanging = threading.Event()

    def broken() -> None:
        raise LookupError("password=hunter2 is wrong")

    def station(city: str) -> None:
        raise ToolInputError(f"There is no station in {city}; try a bigger city.")

    tools = ToolExecutor([broken, tool(hanging.wait, name="hangs", parameters={}, timeout=0.2), station])
    lab.model.calls(call("broken"), call("hangs"), call("station", {"city": "X"}))
    lab.model.answer(lambda request: f"{len(request.tool_outputs)} tools failed.")
    result = lab.conversation(tools).send("Go")
    hanging.set()
    outputs = "; ".join(each.output for each in result.calls)
    return Outcome(f"{[each.outcome for each in result.calls]}: {outputs}", "Nothing: the run went on.")


FAULTS: tuple[Callable[[Lab], Outcome], ...] = (
    a_run_that_fails,
    a_rate_limit,
    a_time_out,
    an_expired_run,
    a_cancelled_run,
    an_incomplete_run,
    no_server_at_all,
    a_wrong_key,
    an_unknown_thread,
    a_busy_thread,
    wrong_tool_arguments,
    a_tool_that_breaks,
    a_server_killed_in_mid_answer,
)


def run() -> dict[str, Outcome]:
    """Inject every fault and return its outcome."""

    def answer(request: Request) -> str:
        return f"You said: {request.last_user_text}"

    with (
        ScriptedModel(default=answer) as model,
        RunningServer(model, settings={"model_retry_for": 1}) as server,
        connect(server.openai_base_url, server.api_key) as service,
    ):
        lab = Lab(server, model, service, service.create_agent("scripted").id)
        return {fault.__name__.replace("_", " "): fault(lab) for fault in FAULTS}


def main() -> None:
    """Show what happened."""
    table = Table("fault", "what happened", "what to do", title="Thirteen faults", show_lines=True)
    for name, outcome in run().items():
        table.add_row(name, Text(outcome.happened), Text(outcome.advice))
    Console().print(table)


if __name__ == "__main__":
    main()
