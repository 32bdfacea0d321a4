"""A plain HTTP client of the API, and what tests ask of it again and again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpx2

from tests.support.sse import Frame, frames
from tests.support.wait import until

Json: TypeAlias = dict[str, Any]

TERMINAL = frozenset(("completed", "failed", "cancelled", "expired", "incomplete"))


class Api:
    """The API as one project sees it, under one root."""

    def __init__(self, client: httpx2.Client, url: str, key: str, root: str = "/v1") -> None:
        self._client, self.url, self.key, self.root = client, url, key, root

    def at(self, root: str) -> "Api":
        """Return the same project's API under another root."""
        return Api(self._client, self.url, self.key, root)

    def send(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        """Send a request as this project and return the response, whatever it is."""
        return self._client.request(
            method,
            f"{self.url}{self.root}{path}",
            json=json,
            content=content,
            params=query,
            headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
        )

    @contextmanager
    def stream(self, method: str, path: str, json: Any = None, **query: Any) -> Iterator[Iterator[Frame]]:
        """Send a request that is answered by a stream, on a connection of its own; give its frames."""
        with (
            httpx2.Client(timeout=30) as client,
            client.stream(
                method,
                f"{self.url}{self.root}{path}",
                json=json,
                params=query,
                headers={"Authorization": f"Bearer {self.key}"},
            ) as response,
        ):
            assert response.status_code == 200, response.read()
            yield frames(response)

    def ok(self, method: str, path: str, json: Any = None, **more: Any) -> Json:
        """Send a request that must succeed, with 200 as always, and return its JSON."""
        response = self.send(method, path, json, **more)
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        assert response.headers["content-type"] == "application/json"
        body: Json = response.json()
        return body

    def get(self, path: str, **query: Any) -> Json:
        return self.ok("GET", path, query=query)

    def post(self, path: str, json: Any = None) -> Json:
        return self.ok("POST", path, json)

    def delete(self, path: str) -> Json:
        return self.ok("DELETE", path)

    def refused(self, status: int, method: str, path: str, json: Any = None, **more: Any) -> Json:
        """Send a request that must be refused with ``status``, and return the error object."""
        return error_of(self.send(method, path, json, **more), status)

    def send_file(
        self, data: bytes, filename: str = "clew.txt", purpose: str = "assistants"
    ) -> httpx2.Response:
        """Upload a file as a form, and return the response, whatever it is."""
        content, headers = form(data, filename, purpose)
        return self.send("POST", "/files", content=content, headers=headers)

    def upload(self, data: bytes, filename: str = "clew.txt", purpose: str = "assistants") -> str:
        """Upload a file, and return its id."""
        response = self.send_file(data, filename, purpose)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def store(self, *files: str, **fields: Any) -> str:
        """Make a vector store of files, and return its id once they are read."""
        store = str(self.post("/vector_stores", {"file_ids": list(files), **fields})["id"])
        self.wait_for_store(store)
        return store

    def wait_for_store(self, store: str) -> Json:
        """Return a vector store once none of its files is being read."""

        def settled() -> Json | None:
            found = self.get(f"/vector_stores/{store}")
            return None if found["status"] == "in_progress" else found

        return until(settled)

    # --- what most tests begin with ---------------------------------------------------------------

    def agent(self, **fields: Any) -> str:
        """Create an agent and return its id."""
        return str(self.post("/assistants", {"model": "scripted", **fields})["id"])

    def thread(self, *texts: str) -> str:
        """Create a thread with one user message a text, and return its id."""
        messages = [{"role": "user", "content": text} for text in texts]
        return str(self.post("/threads", {"messages": messages})["id"])

    def run(self, thread: str, agent: str, **fields: Any) -> "RunHandle":
        """Start a run."""
        answer = self.post(f"/threads/{thread}/runs", {"assistant_id": agent, **fields})
        return RunHandle(self, answer)

    def texts(self, thread: str) -> list[str]:
        """Return the texts of a thread's messages, oldest first."""
        page = self.get(f"/threads/{thread}/messages", order="asc", limit=100)
        return [text(message) for message in page["data"]]


def form(data: bytes, filename: str, purpose: str) -> tuple[bytes, dict[str, str]]:
    """Return a form with a file as a request's body, and the header that goes with it."""
    parts = (
        b'Content-Disposition: form-data; name="purpose"\r\n\r\n' + purpose.encode(),
        b'Content-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % filename.encode() + data,
    )
    body = b"".join(b"--clew\r\n" + part + b"\r\n" for part in parts) + b"--clew--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=clew"}


def text(message: Json) -> str:
    """Return the text of a message."""
    return "".join(part["text"]["value"] for part in message["content"] if part["type"] == "text")


def error_of(response: httpx2.Response, status: int) -> Json:
    """Return the error object of a response that must be a refusal with ``status``."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    error: Json = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


class RunHandle:
    """A run that was started."""

    def __init__(self, api: Api, created: Json) -> None:
        self.api, self.created = api, created
        self.id, self.thread = created["id"], created["thread_id"]
        self.path = f"/threads/{self.thread}/runs/{self.id}"

    def now(self) -> Json:
        """Return the run as it is."""
        return self.api.get(self.path)

    def wait(self, *statuses: str) -> Json:
        """Return the run once it has one of the statuses (by default, any terminal one)."""
        return until(lambda: _having(self.now(), statuses or TERMINAL))

    def wait_calls(self) -> list[Json]:
        """Return the calls that the run waits for, once it does."""
        action = self.wait("requires_action")["required_action"]
        calls: list[Json] = action["submit_tool_outputs"]["tool_calls"]
        return calls

    def submit(self, outputs: dict[str, str]) -> Json:
        """Answer the run's calls, by id."""
        listed = [{"tool_call_id": call, "output": output} for call, output in outputs.items()]
        return self.api.post(f"{self.path}/submit_tool_outputs", {"tool_outputs": listed})

    def answer_calls(self, answer: Callable[[Json], str]) -> Json:
        """Answer the run's calls, once it waits for that."""
        return self.submit({call["id"]: answer(call) for call in self.wait_calls()})

    def cancel(self) -> Json:
        return self.api.post(f"{self.path}/cancel")

    def steps(self) -> list[Json]:
        """Return the run's steps, oldest first."""
        steps: list[Json] = self.api.get(f"{self.path}/steps", order="asc", limit=100)["data"]
        return steps

    def messages(self) -> list[Json]:
        """Return the messages that the run wrote, oldest first."""
        path = f"/threads/{self.thread}/messages"
        messages: list[Json] = self.api.get(path, run_id=self.id, order="asc")["data"]
        return messages


def _having(run: Json, statuses: Sequence[str] | frozenset[str]) -> Json | None:
    if run["status"] in TERMINAL and run["status"] not in statuses:
        raise AssertionError(f"the run is over: {run['status']}, {run['last_error']}")
    return run if run["status"] in statuses else None


def function_tool(name: str, **parameters: str) -> Json:
    """Return a function tool whose parameters have the given JSON types."""
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in parameters.items()}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}
