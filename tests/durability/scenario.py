"""One story with everything in it that a run can go through, told by a client that never gives up.

A request that was not answered is sent again with the same Idempotency-Key, a stream that broke off is
joined again: so whatever dies meanwhile, the story must end in the same history.
"""

from collections.abc import Iterator
from typing import Any

import httpx2

from tests.durability.load import TOOLS
from tests.durability.mortal import Life
from tests.support.api import TERMINAL, Json, text
from tests.support.clock import ManualClock
from tests.support.server import KEYS
from tests.support.sse import Frame, outline, parse, said
from tests.support.wait import until
from tests.webhooks.receiver import Receiver

_KEY = {"Authorization": f"Bearer {KEYS['alpha']}"}
_LONG_ENOUGH = 40
"""Times five seconds in which a model is back, and whoever died has a successor."""

_QUEUE = {"Clew-When-Busy": "queue"}


class Story:
    """A client, and what it has set going."""

    def __init__(self, life: Life, clock: ManualClock, receiver: Receiver) -> None:
        self._life, self._clock, self._receiver = life, clock, receiver
        self._http = httpx2.Client(timeout=10, headers=_KEY)
        self._sent = 0
        self._threads: list[str] = []
        self._streams: list[list[Frame]] = []

    def tell(self) -> Json:
        """Play the story to its end; return its history, without ids, times and positions."""
        self._agent = self._post("/assistants", {"model": "scripted", "tools": TOOLS})["id"]
        self._post("/webhooks", {"url": self._receiver.url})
        self._tools_in_two_rounds()
        self._server_tools_approvals_and_outputs_in_one_turn()
        self._streamed()
        self._cancelled_with_a_line_behind_it()
        self._expired()
        self._parked_while_the_model_is_away()
        self._changed_and_deleted()
        history = [self._thread(thread) for thread in self._threads]
        self._hear_of_all_ends()
        self._http.close()
        return {"threads": history, "streams": [[outline(told), said(told)] for told in self._streams]}

    # --- the chapters ----------------------------------------------------------------------------

    def _tools_in_two_rounds(self) -> None:
        thread = self._new_thread("tools 1")
        path = self._run(thread)
        for _ in range(2):
            self._submit(path, self._wait(path, "requires_action"))
        self._wait(path, "completed")

    def _server_tools_approvals_and_outputs_in_one_turn(self) -> None:
        thread = self._new_thread("mixed 9")
        path = self._run(thread)
        approved, denied = self._wait(path, "requires_action")["required_action"]["submit_tool_approval"][
            "tool_calls"
        ]
        decided = [
            {"tool_call_id": approved["id"], "approve": True},
            {"tool_call_id": denied["id"], "approve": False},
        ]
        self._post(f"{path}/submit_tool_outputs", {"tool_approvals": decided})
        self._submit(path, self._wait_for_outputs(path))
        self._wait(path, "completed")
        self._streams.append(self._journal(path))

    def _wait_for_outputs(self, path: str) -> Json:
        """Return the run once it waits for outputs; right after the approvals it may still be before that."""

        def there() -> Json | None:
            run = self._get(path)
            assert run["status"] not in TERMINAL, run
            action = run["required_action"] or {}
            return run if "submit_tool_outputs" in action else None

        return until(there, 60)

    def _streamed(self) -> None:
        body = {"assistant_id": self._agent, "stream": True, "thread": {"messages": [_user("plain 2")]}}
        told = list(self._stream("/threads/runs", body))
        run = next(frame.data for frame in told if frame.event == "thread.run.created")
        self._threads.append(run["thread_id"])
        path = f"/threads/{run['thread_id']}/runs/{run['id']}"
        self._wait(path, "completed")
        self._streams.append(self._journal(path))

    def _cancelled_with_a_line_behind_it(self) -> None:
        thread = self._new_thread("tools 3")
        path = self._run(thread)
        self._wait(path, "requires_action")
        self._post(f"/threads/{thread}/messages", _user("plain 4"), _QUEUE)
        second = self._run(thread, _QUEUE)
        self._post(f"{path}/cancel", None)
        self._wait(path, "cancelled")
        self._wait(second, "completed")
        self._streams += [self._journal(path), self._journal(second)]

    def _expired(self) -> None:
        thread = self._new_thread("tools 5")
        path = self._run(thread, expires_in=5)
        self._wait(path, "requires_action")
        self._clock.advance(5_000)
        self._wait(path, "expired")
        self._streams.append(self._journal(path))

    def _parked_while_the_model_is_away(self) -> None:
        path = self._run(self._new_thread("away 10"))
        for _ in range(_LONG_ENOUGH):
            if self._get(f"{path}?wait=0.05")["status"] in TERMINAL:
                break
            self._clock.advance(5_000)
        self._wait(path, "completed")
        self._streams.append(self._journal(path))

    def _changed_and_deleted(self) -> None:
        thread = self._new_thread("plain 6", "plain 7")
        messages = self._get(f"/threads/{thread}/messages")["data"]
        self._delete(f"/threads/{thread}/messages/{messages[0]['id']}")
        self._post(f"/threads/{thread}", {"metadata": {"colour": "red"}})
        self._wait(self._run(thread), "completed")
        gone = self._new_thread("plain 8")
        self._threads.remove(gone)
        self._delete(f"/threads/{gone}")

    # --- what is there in the end ----------------------------------------------------------------

    def _thread(self, thread: str) -> Json:
        messages = self._get(f"/threads/{thread}/messages?order=asc&limit=100")["data"]
        runs = self._get(f"/threads/{thread}/runs?order=asc&limit=100")["data"]
        return {
            "metadata": self._get(f"/threads/{thread}")["metadata"],
            "messages": [[each["role"], text(each), each["status"]] for each in messages],
            "runs": [[run["status"], run["usage"], self._steps(thread, run["id"])] for run in runs],
        }

    def _steps(self, thread: str, run: str) -> list[Any]:
        steps = self._get(f"/threads/{thread}/runs/{run}/steps?order=asc&limit=100")["data"]
        return [[step["type"], step["status"], step["usage"], _calls(step)] for step in steps]

    def _hear_of_all_ends(self) -> None:
        """Return when the webhook was told of every end and of every wait, at least once."""
        expected = {
            "run.completed": 6,
            "run.cancelled": 1,
            "run.expired": 1,
            "run.requires_action": 6,
        }

        def heard() -> bool:
            if self._life.is_dead:
                self._life.go_on()
            told: dict[str, set[str]] = {}
            for each in list(self._receiver.heard):
                told.setdefault(each.event["type"], set()).add(each.id)
            return {kind: len(ids) for kind, ids in told.items()} == expected

        until(heard)

    # --- requests --------------------------------------------------------------------------------

    def _new_thread(self, *texts: str) -> str:
        thread: str = self._post("/threads", {"messages": [_user(each) for each in texts]})["id"]
        self._threads.append(thread)
        return thread

    def _run(self, thread: str, headers: dict[str, str] | None = None, **fields: Any) -> str:
        run = self._post(f"/threads/{thread}/runs", {"assistant_id": self._agent, **fields}, headers)
        return f"/threads/{thread}/runs/{run['id']}"

    def _wait(self, path: str, status: str) -> Json:
        def there() -> Json | None:
            run = self._get(path)
            assert run["status"] == status or run["status"] not in TERMINAL, run
            return run if run["status"] == status else None

        return until(there, 60)

    def _submit(self, path: str, run: Json) -> None:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": call["function"]["arguments"]} for call in calls]
        self._post(f"{path}/submit_tool_outputs", {"tool_outputs": outputs})

    def _get(self, path: str) -> Json:
        return self._send("GET", path, None, {})

    def _post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Json:
        self._sent += 1
        return self._send("POST", path, body, {"Idempotency-Key": f"request-{self._sent}", **(headers or {})})

    def _delete(self, path: str) -> None:
        """Delete something; it may turn out that this was done by a request that was not answered."""
        while True:
            response = self._try("DELETE", path, None, {})
            if response is not None and response.status_code in (200, 404):
                return

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Json:
        while True:
            response = self._try(method, path, body, headers)
            if response is not None and response.status_code < 500:
                assert response.status_code == 200, f"{method} {path}: {response.text}"
                answer: Json = response.json()
                return answer

    def _try(
        self, method: str, path: str, body: Any, headers: dict[str, str], content: bytes | None = None
    ) -> httpx2.Response | None:
        """Send a request once; if the server has died, see to the next one."""
        url = f"{self._life.url}/v1{path}"
        try:
            response = self._http.request(method, url, json=body, content=content, headers=headers)
        except httpx2.HTTPError:
            response = None
        if self._life.is_dead:
            self._life.go_on()
        return response

    def _stream(self, path: str, body: Any) -> Iterator[Frame]:
        """Give the frames of a request that is answered by a stream, sent again if that breaks off."""
        self._sent += 1
        headers = {"Idempotency-Key": f"request-{self._sent}"}
        while True:
            frames = list(self._read(path, body, headers))
            if self._life.is_dead:
                self._life.go_on()
            if frames and frames[-1].event == "done":
                yield from frames
                return

    def _read(self, path: str, body: Any, headers: dict[str, str]) -> Iterator[Frame]:
        try:
            url, method = f"{self._life.url}/v1{path}", "GET" if body is None else "POST"
            with self._http.stream(method, url, json=body, headers=headers) as response:
                if response.status_code == 200:
                    blocks = "".join(response.iter_text()).split("\n\n")
                    yield from (parse(block) for block in blocks[:-1])
        except httpx2.HTTPError:
            return

    def _journal(self, path: str) -> list[Frame]:
        """Return all events of a run that is over."""
        while True:
            frames = list(self._read(f"{path}/events", None, {}))
            if self._life.is_dead:
                self._life.go_on()
            if frames and frames[-1].event == "done":
                return frames


def _user(content: str) -> Json:
    return {"role": "user", "content": content}


def _calls(step: Json) -> list[Any]:
    details = step["step_details"]
    if step["type"] != "tool_calls":
        return []
    called = [call[call["type"]] for call in details["tool_calls"]]
    return [[call["name"], call["output"]] for call in called]
