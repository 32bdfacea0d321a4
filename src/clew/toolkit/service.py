"""A service of threads and runs, through any client: the small set of verbs all else is made of.

Every verb has two forms: ``aget_run`` is a coroutine, ``get_run`` waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import stamina
from msgspec import Struct

from clew.ids import RandomIds
from clew.toolkit._blocking import blocking
from clew.toolkit.clients.answers import decode, error_of
from clew.toolkit.clients.sse import EventParser, ServerEvent
from clew.toolkit.clients.transport import Answer, Query, Reading, Request, Transport
from clew.toolkit.errors import ConnectionFailed, RateLimited, ServerFault, StreamLost
from clew.toolkit.records import Agent, Json, Message, Page, Run, Step, Thread

T = TypeVar("T")
Order = Literal["asc", "desc"]

_ATTEMPTS = 4
_RETRY_SECONDS = 30.0
_PAGE = 100
_IDS = RandomIds()

# A retry is logged for whoever configures logging; without that, Python would print it to stderr.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class SamplingOptions(TypedDict, total=False):
    """How a model is asked to answer. A test compares this list with the server's."""

    temperature: float
    top_p: float
    response_format: str | Json
    reasoning_effort: str


class RunOptions(SamplingOptions, total=False):
    """What a run may be given besides its agent; names and shapes are those of the wire."""

    model: str
    instructions: str
    additional_instructions: str
    additional_messages: Sequence[Json]
    tools: Sequence[Json]
    tool_resources: Json
    metadata: Mapping[str, str]
    max_prompt_tokens: int
    max_completion_tokens: int
    truncation_strategy: Json
    tool_choice: str | Json
    parallel_tool_calls: bool
    expires_in: int


class AgentOptions(SamplingOptions, total=False):
    """What an agent may be given besides its model; names and shapes are those of the wire."""

    name: str
    description: str
    instructions: str
    tools: Sequence[Json]
    tool_resources: Json
    metadata: Mapping[str, str]


class ToolOutput(TypedDict):
    """The output of one call."""

    tool_call_id: str
    output: str


class _Deleted(Struct, frozen=True):
    deleted: bool = True


class Service:
    """Threads and runs, wherever they are. Make one with :func:`clew.toolkit.connect`.

    Every verb raises :class:`~clew.toolkit.errors.ServiceError` when the service refuses and
    :class:`~clew.toolkit.errors.ConnectionFailed` when it doesn't answer. What is safe to repeat
    (reading; what was refused with 429 or never sent) is repeated a few times first.
    With a service that honours ``Idempotency-Key``, as Clew does, everything is safe to repeat.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # --- agents ---

    async def acreate_agent(self, model: str, **options: Unpack[AgentOptions]) -> Agent:
        """Create an agent that asks ``model``."""
        return await self._post("/assistants", {"model": model, **options}, Agent)

    async def aget_agent(self, agent_id: str) -> Agent:
        """Read an agent."""
        return await self._get(f"/assistants/{_id(agent_id)}", Agent)

    async def alist_agents(
        self, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[Agent]:
        """Return a page of agents; ``after`` and ``before`` are ids."""
        return await self._get("/assistants", Page[Agent], _page(limit, order, after, before))

    async def adelete_agent(self, agent_id: str) -> None:
        """Delete an agent. Its runs and messages stay."""
        await self._delete(f"/assistants/{_id(agent_id)}")

    # --- threads ---

    async def acreate_thread(
        self, *, messages: Sequence[Json] = (), metadata: Mapping[str, str] | None = None
    ) -> Thread:
        """Create a thread; ``messages`` are ``{"role": ..., "content": ...}``."""
        body: Json = {"messages": list(messages)} if messages else {}
        return await self._post("/threads", body | _given(metadata=metadata), Thread)

    async def aget_thread(self, thread_id: str) -> Thread:
        """Read a thread."""
        return await self._get(f"/threads/{_id(thread_id)}", Thread)

    async def aupdate_thread(self, thread_id: str, *, metadata: Mapping[str, str]) -> Thread:
        """Replace a thread's metadata."""
        return await self._post(f"/threads/{_id(thread_id)}", {"metadata": metadata}, Thread)

    async def alist_threads(
        self, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[Thread]:
        """Return a page of threads. Clew and Azure have this; OpenAI's own service never did (404)."""
        return await self._get("/threads", Page[Thread], _page(limit, order, after, before))

    async def aall_threads(self) -> list[Thread]:
        """Return all threads, oldest first, where the service can list them."""
        return await all_of(lambda after: self.alist_threads(limit=_PAGE, order="asc", after=after))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread with its messages, runs and steps."""
        await self._delete(f"/threads/{_id(thread_id)}")

    # --- messages ---

    async def acreate_message(
        self,
        thread_id: str,
        content: str | Sequence[Json],
        *,
        role: str = "user",
        attachments: Sequence[Json] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Message:
        """Add a message: text, or parts as the wire has them."""
        body = {"role": role, "content": content, **_given(attachments=attachments, metadata=metadata)}
        return await self._post(f"/threads/{_id(thread_id)}/messages", body, Message)

    async def aget_message(self, thread_id: str, message_id: str) -> Message:
        """Read a message."""
        return await self._get(f"/threads/{_id(thread_id)}/messages/{_id(message_id)}", Message)

    async def alist_messages(
        self,
        thread_id: str,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
        run_id: str | None = None,
    ) -> Page[Message]:
        """Return a page of a thread's messages, or of those that one run wrote."""
        query = _page(limit, order, after, before) | _given(run_id=run_id)
        return await self._get(f"/threads/{_id(thread_id)}/messages", Page[Message], query)

    async def aall_messages(self, thread_id: str, *, run_id: str | None = None) -> list[Message]:
        """Return all of a thread's messages, or all that one run wrote, oldest first."""
        return await all_of(
            lambda after: self.alist_messages(thread_id, limit=_PAGE, order="asc", after=after, run_id=run_id)
        )

    async def adelete_message(self, thread_id: str, message_id: str) -> None:
        """Delete a message: later lists and later runs don't see it. (Azure's service has no such thing.)"""
        await self._delete(f"/threads/{_id(thread_id)}/messages/{_id(message_id)}")

    # --- runs ---

    async def acreate_run(self, thread_id: str, agent_id: str, **options: Unpack[RunOptions]) -> Run:
        """Start a run; it works on while this returns."""
        return await self._post(f"/threads/{_id(thread_id)}/runs", _run_body(agent_id, options), Run)

    def astream_run(
        self, thread_id: str, agent_id: str, **options: Unpack[RunOptions]
    ) -> AbstractAsyncContextManager[AsyncIterator[ServerEvent]]:
        """Start a run and enter its events. A service without streams gives one event: the run."""
        body = _run_body(agent_id, options) | {"stream": True}
        return self._stream("POST", f"/threads/{_id(thread_id)}/runs", body=body)

    async def aget_run(self, thread_id: str, run_id: str) -> Run:
        """Read a run."""
        return (await self.apoll_run(thread_id, run_id))[0]

    async def apoll_run(self, thread_id: str, run_id: str) -> tuple[Run, float | None]:
        """Read a run, and the seconds after which the service suggests to read it again."""
        answer = await self._send("GET", f"/threads/{_id(thread_id)}/runs/{_id(run_id)}")
        hint = answer.headers.get("openai-poll-after-ms", "")
        return decode(answer, Run), int(hint) / 1000 if hint.isdecimal() else None

    async def alist_runs(
        self,
        thread_id: str,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[Run]:
        """Return a page of a thread's runs."""
        path = f"/threads/{_id(thread_id)}/runs"
        return await self._get(path, Page[Run], _page(limit, order, after, before))

    async def alist_project_runs(
        self,
        *,
        statuses: Sequence[str] = (),
        agent_id: str | None = None,
        thread_id: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[Run]:
        """Return a page of the runs of all threads. Clew has this; other services answer NotFound."""
        query = _page(limit, order, after, before) | _given(assistant_id=agent_id, thread_id=thread_id)
        if statuses:
            query["status"] = ",".join(statuses)
        return await self._get("/runs", Page[Run], query)

    def astream_changes(self) -> AbstractAsyncContextManager[AsyncIterator[ServerEvent]]:
        """Enter the feed of the project: ``run.changed`` for each live run, ``ready``, then what changes.

        ``resync`` says that changes may be missing. Clew has this; other services answer NotFound.
        """
        return self._stream("GET", "/events")

    async def aall_runs(self, thread_id: str) -> list[Run]:
        """Return all of a thread's runs, oldest first."""
        return await all_of(lambda after: self.alist_runs(thread_id, limit=_PAGE, order="asc", after=after))

    async def acancel_run(self, thread_id: str, run_id: str) -> Run:
        """Ask a run to stop."""
        return await self._post(f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/cancel", None, Run)

    async def asubmit_tool_outputs(self, thread_id: str, run_id: str, outputs: Sequence[ToolOutput]) -> Run:
        """Answer all the calls that a run waits for."""
        path = f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/submit_tool_outputs"
        return await self._post(path, {"tool_outputs": list(outputs)}, Run)

    def astream_tool_outputs(
        self, thread_id: str, run_id: str, outputs: Sequence[ToolOutput]
    ) -> AbstractAsyncContextManager[AsyncIterator[ServerEvent]]:
        """Answer all the calls that a run waits for, and enter the events that follow."""
        path = f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/submit_tool_outputs"
        return self._stream("POST", path, body={"tool_outputs": list(outputs), "stream": True})

    def astream_events(
        self, thread_id: str, run_id: str, *, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[ServerEvent]]:
        """Enter the events of a run that is there already, from its beginning or after an event's id.

        Clew has this; other services answer :class:`~clew.toolkit.errors.NotFound`. The events go on
        while the run waits for tool outputs.
        """
        path = f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/events"
        return self._stream("GET", path, _given(after=after))

    # --- steps ---

    async def aget_step(self, thread_id: str, run_id: str, step_id: str) -> Step:
        """Read a step of a run."""
        return await self._get(f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/steps/{_id(step_id)}", Step)

    async def alist_steps(
        self,
        thread_id: str,
        run_id: str,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[Step]:
        """Return a page of a run's steps."""
        path = f"/threads/{_id(thread_id)}/runs/{_id(run_id)}/steps"
        return await self._get(path, Page[Step], _page(limit, order, after, before))

    async def aall_steps(self, thread_id: str, run_id: str) -> list[Step]:
        """Return all of a run's steps, oldest first."""
        return await all_of(
            lambda after: self.alist_steps(thread_id, run_id, limit=_PAGE, order="asc", after=after)
        )

    # --- the waiting forms ---

    create_agent = blocking(acreate_agent)
    get_agent = blocking(aget_agent)
    list_agents = blocking(alist_agents)
    delete_agent = blocking(adelete_agent)
    create_thread = blocking(acreate_thread)
    get_thread = blocking(aget_thread)
    update_thread = blocking(aupdate_thread)
    list_threads = blocking(alist_threads)
    all_threads = blocking(aall_threads)
    delete_thread = blocking(adelete_thread)
    create_message = blocking(acreate_message)
    get_message = blocking(aget_message)
    list_messages = blocking(alist_messages)
    all_messages = blocking(aall_messages)
    delete_message = blocking(adelete_message)
    create_run = blocking(acreate_run)
    get_run = blocking(aget_run)
    list_runs = blocking(alist_runs)
    list_project_runs = blocking(alist_project_runs)
    all_runs = blocking(aall_runs)
    cancel_run = blocking(acancel_run)
    submit_tool_outputs = blocking(asubmit_tool_outputs)
    get_step = blocking(aget_step)
    list_steps = blocking(alist_steps)
    all_steps = blocking(aall_steps)

    # --- its life ---

    async def aclose(self) -> None:
        """Close the connections that the toolkit opened itself; a client you gave stays open."""
        await self._transport.aclose()

    close = blocking(aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- requests ---

    async def arequest(
        self, method: str, *path: str, query: Query | None = None, body: Json | None = None
    ) -> Json:
        """Send any request of this API, and return its JSON as the service gave it.

        Args:
            method: ``GET``, ``POST`` or ``DELETE``.
            path: its parts below the root, such as ``"threads", thread_id, "messages"``.
        """
        answer = await self._send(method, "".join(f"/{_id(part)}" for part in path), query, body)
        return decode(answer, dict[str, Any])

    request = blocking(arequest)

    async def _get(self, path: str, record: type[T], query: Query | None = None) -> T:
        return decode(await self._send("GET", path, query), record)

    async def _post(self, path: str, body: Json | None, record: type[T]) -> T:
        return decode(await self._send("POST", path, None, body), record)

    async def _delete(self, path: str) -> None:
        decode(await self._send("DELETE", path), _Deleted)

    async def _send(
        self, method: str, path: str, query: Query | None = None, body: Json | None = None
    ) -> Answer:
        """Send a request; repeat it where that is safe and the client doesn't do so itself."""
        request = self._request(method, path, query, body)
        attempts = 1 if self._transport.retries else _ATTEMPTS
        repeatable = method == "GET" or self._transport.idempotent
        async for attempt in stamina.retry_context(
            on=lambda error: _wait_before_retry(error, repeatable=repeatable),
            attempts=attempts,
            timeout=_RETRY_SECONDS,
        ):
            with attempt:
                answer = await self._transport.send(request)
                if answer.status >= 400:
                    raise error_of(answer)
        return answer

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, query: Query | None = None, body: Json | None = None
    ) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        async with self._transport.open(self._request(method, path, query, body)) as reading:
            if reading.status >= 400:
                raise error_of(Answer(reading.status, reading.headers, await _whole(reading)))
            yield _events(reading)

    @staticmethod
    def _request(method: str, path: str, query: Query | None, body: Json | None) -> Request:
        key = _IDS.new("toolkit_") if method == "POST" else None
        return Request(method=method, path=path, query=query or {}, body=body, key=key)


def _wait_before_retry(error: Exception, *, repeatable: bool) -> bool | float:
    """Return whether, or after how many seconds, a request may be sent again without doing harm."""
    if isinstance(error, RateLimited):  # a refused request leaves nothing behind
        return True if error.retry_after is None else error.retry_after
    if isinstance(error, ConnectionFailed):
        return repeatable or not error.sent
    return isinstance(error, ServerFault) and repeatable


async def _events(reading: Reading) -> AsyncIterator[ServerEvent]:
    """Yield the events of a stream up to its ``done``.

    Raises:
        StreamLost: the stream ended without it, or isn't one.
    """
    if not reading.headers.get("content-type", "").startswith("text/event-stream"):
        answer = Answer(reading.status, reading.headers, await _whole(reading))
        run = decode(answer, Run)
        yield ServerEvent(f"thread.run.{run.status}", answer.body)
        return
    parser = EventParser()
    async for piece in reading.chunks:
        try:
            for event in parser.feed(piece):
                if event.name == "done":
                    return
                yield event
        except ValueError as error:
            raise StreamLost(f"The stream can't be read: {error}.") from error
    raise StreamLost("The stream ended before the run did.")


async def _whole(reading: Reading) -> bytes:
    return b"".join([piece async for piece in reading.chunks])


async def all_of(page: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Return the items of all pages; ``page`` gets the id after which the next one begins."""
    items: list[T] = []
    after: str | None = None
    while True:
        found = await page(after)
        items += found.data
        if not found.has_more or not found.data or found.last_id in (None, after):
            return items
        after = found.last_id


def _run_body(agent_id: str, options: RunOptions) -> Json:
    return {"assistant_id": agent_id, **options}


def _page(limit: int, order: str, after: str | None, before: str | None) -> dict[str, Any]:
    return {"limit": limit, "order": order, **_given(after=after, before=before)}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _id(value: str) -> str:
    if not value:
        raise ValueError("an id must not be empty")
    return quote(value, safe="")
