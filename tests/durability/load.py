"""Clients that keep a server busy, through kills and restarts, and write down what they were told.

What they send is chosen by a seed. A request that broke off is sent again with the same Idempotency-Key
until it is answered; a stream that broke off is joined again after the last event that was seen.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

import httpx2

from clew.testing.replies import Reply, call
from clew.testing.scripted_model import Request
from tests.durability.history import Log, Outputs, ended
from tests.support.api import TERMINAL, Json, function_tool
from tests.support.sse import Frame, parse

TOOLS = [function_tool("look"), function_tool("listen")]
_KINDS = ("plain", "plain", "tools", "slow", "fail", "cancel")
_BROKEN = (httpx2.HTTPError,)
_PAUSE = 0.01


def answer(request: Request) -> Reply:
    """The model: does what the user's last message asks for."""
    kind = request.last_user_text.partition(" ")[0]
    done = len(request.tool_outputs)
    match kind:
        case "tools" if done == 0:  # two calls, then one more, then the answer
            return Reply((call("look", {"at": "left"}), call("listen", {})))
        case "tools" if done == 2:
            return Reply(("Let me see. ", call("look", {"at": "right"})))
        case "slow" | "cancel":
            return Reply(tuple(f"word{number} " for number in range(30)), pace=0.002)
        case "fail":
            return Reply((), finish_reason="content_filter")
    return Reply((f"You said: {request.last_user_text}",))


class Client(threading.Thread):
    """One client: conversation after conversation, until it is told to stop.

    Args:
        urls: gives the servers that there are now; one of them is asked.
        tell: called after every acknowledgement.
    """

    def __init__(
        self, number: int, key: str, urls: Callable[[], list[str]], tell: Callable[[], None], seed: int
    ) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.log = Log()
        self.error: BaseException | None = None
        self._number, self._urls, self._tell = number, urls, tell
        self._chance = random.Random(f"{seed}/{number}")
        self._http = httpx2.Client(timeout=20, headers={"Authorization": f"Bearer {key}"})
        self._enough, self._never = threading.Event(), threading.Event()
        self._count = 0
        self.cuts = 0
        """How often a stream was joined again."""

    def stop(self) -> None:
        """Begin no other turn."""
        self._enough.set()

    def run(self) -> None:
        try:
            agent = self._send("POST", "/assistants", {"model": "scripted", "tools": TOOLS})["id"]
            while not self._enough.is_set():
                self._converse(agent)
        except BaseException as error:
            self.error = error
        finally:
            self._http.close()

    # --- a conversation --------------------------------------------------------------------------

    def _converse(self, agent: str) -> None:
        thread = self._send("POST", "/threads", {})["id"]
        self.log.messages[thread] = []
        for _ in range(self._chance.randint(1, 3)):
            if self._enough.is_set():
                return
            self._turn(agent, thread)

    def _turn(self, agent: str, thread: str) -> None:
        self._count += 1
        kind = self._chance.choice(_KINDS)
        text = f"{kind} {self._number}-{self._count}"
        body = {"role": "user", "content": text}
        message = self._send("POST", f"/threads/{thread}/messages", body)["id"]
        self.log.messages[thread].append((message, text))
        run = self._send("POST", f"/threads/{thread}/runs", {"assistant_id": agent})
        self.log.runs[run["id"]] = thread
        self._see(run)
        path = f"/threads/{thread}/runs/{run['id']}"
        if kind == "cancel":
            self._cancel(path, run["id"])
        if self._chance.random() < 0.6:
            self._follow(path, run["id"])
        self._poll(path)

    def _poll(self, path: str) -> None:
        while True:
            run = self._send("GET", path)
            self._see(run)
            if run["status"] in TERMINAL:
                return
            if run["status"] == "requires_action":
                self._submit(path, run)
            else:
                self._never.wait(_PAUSE)

    def _see(self, run: Json) -> None:
        self.log.seen.setdefault(run["id"], []).append(run)

    def _cancel(self, path: str, run_id: str) -> None:
        self._never.wait(self._chance.random() * 0.05)
        if self._send("POST", f"{path}/cancel", refusable=True) is not None:
            self.log.cancelled.add(run_id)

    def _submit(self, path: str, run: Json) -> None:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs: Outputs = {each["id"]: f"{each['id']} by {self._number}" for each in calls}
        listed = [{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()]
        body = {"tool_outputs": listed}
        if self._send("POST", f"{path}/submit_tool_outputs", body, refusable=True) is not None:
            self.log.outputs.setdefault(run["id"], []).append(outputs)

    # --- requests --------------------------------------------------------------------------------

    def _send(self, method: str, path: str, json: Any = None, *, refusable: bool = False) -> Any:
        """Send a request until it is answered; return the answer, or None if it may be and is refused."""
        headers = {"Idempotency-Key": f"{self._number}-{self._chance.getrandbits(64):x}"}
        while True:
            try:
                response = self._http.request(method, f"{self._url()}/v1{path}", json=json, headers=headers)
            except _BROKEN:
                self._never.wait(_PAUSE)
                continue
            if response.status_code >= 500:  # the database is away
                self._never.wait(_PAUSE)
                continue
            if response.status_code == 400 and refusable:
                return None
            assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
            if method == "POST":
                self._tell()
            return response.json()

    def _url(self) -> str:
        return self._chance.choice(self._urls())

    def _follow(self, path: str, run_id: str) -> None:
        """Read a run's events until it ends or waits, joining again wherever the stream breaks off."""
        told: list[Frame] = []
        self.log.streams.setdefault(run_id, []).append(told)
        while not ended(told) and not (told and told[-1].event == "thread.run.requires_action"):
            after = told[-1].id if told else 0
            try:
                self._read(f"{self._url()}/v1{path}/events?after={after}", told)
            except (*_BROKEN, AssertionError):
                self._never.wait(_PAUSE)
            self.cuts += 1

    def _read(self, url: str, told: list[Frame]) -> None:
        leave_after = self._chance.randint(1, 40)
        rest = ""
        with self._http.stream("GET", url) as response:
            assert response.status_code == 200
            for chunk in response.iter_text():
                rest += chunk
                while "\n\n" in rest:
                    block, rest = rest.split("\n\n", 1)
                    frame = parse(block)
                    if frame.event == "done":
                        return
                    told.append(frame)
                    leave_after -= 1
                    if frame.event == "thread.run.requires_action" or leave_after == 0:
                        return
