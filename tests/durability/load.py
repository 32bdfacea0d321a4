"""Clients that keep a server busy, through kills and restarts, and write down what they were told.

What they do is chosen by a seed. A request that broke off is sent again with the same Idempotency-Key
until it is answered; a stream that broke off, or that was left, is joined again after what was read.
"""

import random
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clew.testing.replies import Call, Reply, call
from clew.testing.scripted_model import Request
from tests.durability.history import Listed, Log, Outputs
from tests.durability.requests import Requests
from tests.support.api import TERMINAL, Json, function_tool
from tests.support.sse import Frame

SUM = {"type": "clew_calculator"}
ASKED_SUM = SUM | {"require_approval": "always"}
TOOLS = [function_tool("look"), function_tool("listen"), SUM, ASKED_SUM]
"""The second calculator is offered to the model as ``clew_calculator_2``."""

_KINDS = (
    "plain",
    "plain",
    "tools",
    "tools",
    "slow",
    "slow",
    "fail",
    "cancel",
    "twice",
    "line",
    "streamed",
    "server",
    "mixed",
)
_SELDOM = ("expire", "delete")
_WORDS = tuple(f"wörd{number}🧶 " for number in range(30))
_PAUSE = 0.01
MARKER = re.compile("【[^】]*】")
"""What passages are cited by."""


def answer(request: Request) -> Reply:
    """The model: does what the user's last message asks for."""
    kind = request.last_user_text.partition(" ")[0]
    done = len(request.tool_outputs)
    match kind:
        case "tools" | "twice" | "line" | "expire" if done == 0:  # two calls, then one more, then the answer
            return Reply((call("look", {"at": "left"}), call("listen", {})))
        case "tools" | "twice" | "line" if done == 2:
            return Reply(("Let me see. ", call("look", {"at": "right"})))
        case "server" if done == 0:  # ten calls of which eight are at work at once
            return Reply(tuple(_sum(number) for number in range(10)))
        case "mixed" if done == 0:  # runs, is approved and runs, is denied, is answered by the client
            asked = (call("clew_calculator_2", {"expression": f"{number} * 2"}) for number in range(2))
            return Reply((_sum(1), *asked, call("look", {"at": "left"})))
        case "slow" | "cancel" | "streamed" | "delete":
            return Reply(_WORDS, pace=0.002)
        case "fail":
            return Reply((), finish_reason="content_filter")
        case "find" if done == 0:  # searches for the word that is named
            return Reply((call("file_search", {"query": request.last_user_text.split()[1]}),))
        case "find":  # cites all that it was given
            return Reply((_echo(request.last_user_text), *MARKER.findall(_told(request))))
    return Reply((_echo(request.last_user_text),))


def _sum(number: int) -> Call:
    return call("clew_calculator", {"expression": f"{number} + 1"})


def _told(request: Request) -> str:
    return "".join(request.tool_outputs.values())


def _answers(said: str) -> list[str]:
    """Return what a run must have written if it completes."""
    match said.partition(" ")[0]:
        case "tools" | "twice" | "line":
            return ["Let me see. ", _echo(said)]
        case "slow" | "cancel" | "streamed" | "delete":
            return ["".join(_WORDS)]
    return [_echo(said)]


def _echo(said: str) -> str:
    return f"You said: {said}"


class Client:
    """One client: conversation after conversation, in a thread of its own, until it is told to stop.

    Args:
        urls: gives the servers that there are now; one of them is asked.
        tell: called after every acknowledgement.

    Attributes:
        tools: what its agent has.
    """

    tools: Sequence[Json] = TOOLS

    def __init__(
        self, number: int, key: str, urls: Callable[[], list[str]], tell: Callable[[], None], seed: int
    ) -> None:
        self.log = Log()
        self.error: BaseException | None = None
        self._number, self._tell = number, tell
        self._chance = random.Random(f"{seed}/{number}")
        self._requests = Requests(key, urls, self._chance, self._acknowledged)
        self._thread = threading.Thread(target=self._run, name=f"client-{number}", daemon=True)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix=f"client-{number}-beside")
        self._enough, self._never = threading.Event(), threading.Event()
        self._count = 0

    @property
    def cuts(self) -> int:
        """How often a stream was joined again."""
        return self._requests.cuts

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no other turn."""
        self._enough.set()

    def wait_stopped(self, seconds: float) -> None:
        """Return when the last turn is over.

        Raises:
            BaseException: what the client has met and should not meet.
            AssertionError: it waits for a run that does not end.
        """
        self._thread.join(seconds)
        if self.error is not None:
            raise self.error
        assert not self._thread.is_alive(), f"client {self._number} waits for a run that does not end"

    def _run(self) -> None:
        try:
            agent = self._requests.post("/assistants", {"model": "scripted", "tools": self.tools})["id"]
            while not self._enough.is_set():
                self._converse(agent)
        except BaseException as error:
            self.error = error
        finally:
            self._beside.shutdown()
            self._requests.close()

    def _acknowledged(self) -> None:
        self.log.acknowledged += 1
        self._tell()

    # --- a conversation --------------------------------------------------------------------------

    def _converse(self, agent: str) -> None:
        thread = self._requests.post("/threads", {})["id"]
        self.log.messages[thread] = []
        for _ in range(self._chance.randint(1, 3)):
            if self._enough.is_set() or thread in self.log.gone:
                return
            self._turn(agent, thread)
            self._tidy(thread)

    def _turn(self, agent: str, thread: str) -> None:
        kind = self._chance.choice(_SELDOM if self._chance.random() < 0.04 else _KINDS)
        said = self._say(thread, kind)
        match kind:
            case "streamed":
                self._poll(self._streamed(agent, thread, said))
            case "twice":
                self._twice(agent, thread, said)
            case "line":
                self._in_line(agent, thread, said)
            case _:
                path = self._start(agent, thread, said, expires_in=1 if kind == "expire" else None)
                if kind == "cancel":
                    self._cancel(path)
                elif kind == "delete":
                    self._delete(path)
                    return
                self._see_to_the_end(path, answers=kind != "expire")

    def _see_to_the_end(self, path: str, *, answers: bool = True) -> None:
        """Follow a run over its events, or only poll it, until it is over."""
        told: list[Frame] | None = None
        if self._chance.random() < 0.6:
            told = self.log.streams.setdefault(_id(path), [[]])[0]
            self._requests.follow(path, told)
        self._poll(path, told, answers=answers)

    def _poll(self, path: str, told: list[Frame] | None = None, *, answers: bool = True) -> None:
        while True:
            run = self._see(self._requests.get(path))
            if run["status"] in TERMINAL:
                break
            if run["status"] == "requires_action" and answers:
                self._submit(path, run)
                if told is not None:
                    self._requests.follow(path, told)
            else:
                self._never.wait(_PAUSE)
        if told is not None:
            self._requests.follow(path, told)
        thread = path.split("/")[2]
        messages = self._requests.whole(f"/threads/{thread}/messages", self._chance.randint(1, 9))
        self.log.ends[_id(path)] = Listed(messages, self._requests.whole(f"{path}/steps", 2))

    def _see(self, run: Json) -> Json:
        self.log.seen.setdefault(run["id"], []).append(run)
        return run

    # --- what it does ----------------------------------------------------------------------------

    def _say(self, thread: str, kind: str, *, line: bool = False, **fields: Any) -> str:
        self._count += 1
        said = f"{kind} {self._number}-{self._count}"
        body = {"role": "user", "content": said, **fields}
        message = self._requests.post(f"/threads/{thread}/messages", body, line=line)["id"]
        self.log.messages[thread].append((message, said))
        return said

    def _start(
        self, agent: str, thread: str, said: str, *, line: bool = False, expires_in: int | None = None
    ) -> str:
        body = {"assistant_id": agent, "expires_in": expires_in}
        run = self._requests.post(f"/threads/{thread}/runs", body, line=line)
        return self._started(self._see(run), said)

    def _started(self, run: Json, said: str) -> str:
        self.log.runs[run["id"]] = run["thread_id"]
        self.log.answers[run["id"]] = _answers(said)
        return f"/threads/{run['thread_id']}/runs/{run['id']}"

    def _streamed(self, agent: str, thread: str, said: str) -> str:
        """Start a run whose stream is the answer, cut off somewhere."""
        body = {"assistant_id": agent, "stream": True}
        told = self._requests.streamed(f"/threads/{thread}/runs", body)
        run = next(frame.data for frame in told if frame.event == "thread.run.created")
        self._acknowledged()
        self.log.parts[run["id"]] = [told]
        return self._started(run, said)

    def _twice(self, agent: str, thread: str, said: str) -> None:
        """Start two runs at one moment: the first waits for outputs, so the other must be refused."""
        body = {"assistant_id": agent}
        path = f"/threads/{thread}/runs"
        both = self._both(
            lambda: self._requests.post(path, body, refusable=True),
            lambda: self._requests.post(path, body, refusable=True),
        )
        paths = [self._started(run, said) for run in both if run is not None]
        self.log.lists.setdefault(thread, []).append(self._requests.whole(path, 5))
        for each in paths:
            self._see_to_the_end(each)

    def _in_line(self, agent: str, thread: str, said: str) -> None:
        """Have a message and a run wait in line until the active run is over."""
        first = self._start(agent, thread, said)
        said = self._say(thread, "plain", line=True)
        second = self._start(agent, thread, said, line=True)
        self.log.lists.setdefault(thread, []).append(self._requests.whole(f"/threads/{thread}/runs", 5))
        self._see_to_the_end(first)
        self._see_to_the_end(second)

    def _both(self, one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
        """Do two things at one moment."""
        beside = self._beside.submit(other)
        return one(), beside.result()

    def _cancel(self, path: str) -> None:
        self._never.wait(self._chance.random() * 0.05)
        if self._requests.post(f"{path}/cancel", None, refusable=True) is not None:
            self.log.cancelled.add(_id(path))

    def _submit(self, path: str, run: Json) -> None:
        """Answer what a run asks, at times by two submissions at one moment, of which one must be refused."""
        if "submit_tool_approval" in run["required_action"]:
            self._decide(path, run)
            return
        hands = ("left", "right") if self._chance.random() < 0.3 else ("left",)
        submissions = [self._outputs(run, hand) for hand in hands]

        def submit(outputs: Outputs) -> Any:
            listed = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
            body = {"tool_outputs": listed}
            return self._requests.post(f"{path}/submit_tool_outputs", body, refusable=True)

        if len(submissions) == 2:
            answered = self._both(lambda: submit(submissions[0]), lambda: submit(submissions[1]))
        else:
            answered = (submit(submissions[0]), None)
        for outputs, given in zip(submissions, answered, strict=False):
            if given is not None:
                self.log.outputs.setdefault(run["id"], []).append(outputs)

    def _decide(self, path: str, run: Json) -> None:
        """Approve some of the calls that a run asks for, and deny the others."""
        asked = [each["id"] for each in run["required_action"]["submit_tool_approval"]["tool_calls"]]
        decisions = [{call_id: self._chance.random() < 0.5 for call_id in asked} for _ in range(2)]

        def submit(decided: dict[str, bool]) -> Any:
            listed = [{"tool_call_id": call_id, "approve": yes} for call_id, yes in decided.items()]
            body = {"tool_approvals": listed}
            return self._requests.post(f"{path}/submit_tool_outputs", body, refusable=True)

        if self._chance.random() < 0.3:
            given = self._both(lambda: submit(decisions[0]), lambda: submit(decisions[1]))
        else:
            given = (submit(decisions[0]), None)
        for decided, answer in zip(decisions, given, strict=True):
            if answer is not None:
                self.log.approvals.setdefault(run["id"], []).append(decided)

    def _outputs(self, run: Json, hand: str) -> Outputs:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        return {each["id"]: f"{each['id']} by {self._number}, {hand} hand" for each in calls}

    def _delete(self, path: str) -> None:
        """Delete a thread while its run is under way."""
        thread = path.split("/")[2]
        self._requests.delete(f"/threads/{thread}")
        self.log.gone.add(thread)

    def _tidy(self, thread: str) -> None:
        """Change a thread that is at rest, and delete a message, at times."""
        if thread in self.log.gone:
            return
        if self._chance.random() < 0.2:
            metadata = {"count": str(self._count)}
            self._requests.post(f"/threads/{thread}", {"metadata": metadata})
            self.log.metadata[thread] = metadata
        if self._chance.random() < 0.1:
            message, _ = self._chance.choice(self.log.messages[thread])
            if message not in self.log.gone:
                self._requests.delete(f"/threads/{thread}/messages/{message}")
                self.log.gone.add(message)


def _id(path: str) -> str:
    return path.rpartition("/")[2]
