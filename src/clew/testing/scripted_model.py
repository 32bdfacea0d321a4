"""A language model that says what a test tells it to say.

It is a real HTTP server that speaks ``POST /v1/chat/completions``, ``GET /v1/models`` and, the same for all
scripts, ``POST /v1/embeddings`` (OpenAI API reference), so a test exercises the same path as a real model::

    with ScriptedModel() as model:
        model.call("get_time", {"zone": "UTC"})
        model.reply("It is noon.")
        ...  # point the program at model.url
        assert model.requests[0].tools == ["get_time"]

``python -m clew.testing.scripted_model --port 9000`` runs one as a process of its own: a model
without latency, to measure everything around it.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from clew.testing import oddities as odd
from clew.testing.embeddings import embeddings
from clew.testing.http1 import Connection, Exchange, Step
from clew.testing.replies import (
    CREATED,
    CUT,
    Call,
    Failure,
    Part,
    Raw,
    Refusal,
    Reply,
    Request,
    Usage,
    UsagePlace,
    call,
    error_body,
    json_response,
)
from clew.testing.signals import TIMEOUT, Gate, Signal

__all__ = [
    "CUT",
    "Call",
    "Failure",
    "Gate",
    "Part",
    "Raw",
    "Refusal",
    "Reply",
    "Request",
    "Rule",
    "Script",
    "ScriptedModel",
    "Signal",
    "Usage",
    "call",
    "echo",
]

Answer: TypeAlias = Callable[[Request], Reply | str]
"""Computes an answer. Runs in the model's thread: it must not block."""

_STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def echo(request: Request) -> Reply:
    """Answer ``You said: <the text of the last message by the user>``; the default answer."""
    return Reply((f"You said: {request.last_user_text}",))


class Script:
    """Answers in the order they are to be given. Every method adds one and returns its handle."""

    def _add(self, answer: Reply | Answer) -> None:
        raise NotImplementedError

    def reply(
        self,
        *parts: Part,
        finish_reason: str | None = None,
        usage: Usage | None = None,
        usage_at: UsagePlace = "end",
        call_ids: bool = True,
        pace: float = 0.0,
        oddities: Iterable[str] = (),
    ) -> Reply:
        """Say ``parts`` in order: text, :func:`call`, :class:`Refusal`, :class:`Raw`, a
        :class:`Gate`, :data:`CUT`. No part at all gives ``content: null``.

        ``oddities`` are those of this answer alone; one that refuses requests refuses none here.
        The other arguments are :class:`Reply`'s.
        """
        reply = Reply(parts, finish_reason, usage, usage_at, call_ids, pace, odd.known(oddities))
        self._add(reply)
        return reply

    def call(
        self, name: str, arguments: dict[str, Any] | str | None = None, *, text: str | None = None
    ) -> Reply:
        """Call one function, after saying ``text``. For several calls in one turn, see :meth:`calls`."""
        return self.calls(call(name, arguments), text=text)

    def calls(self, *calls: Call, text: str | None = None) -> Reply:
        """Call several functions in one turn, after saying ``text``."""
        return self.reply(*([] if text is None else [text]), *calls)

    def refuse(self, text: str) -> Reply:
        """Refuse to answer, with ``text`` as the reason (``message.refusal``)."""
        return self.reply(Refusal(text))

    def cut(self, *, after: str = "") -> Reply:
        """Close the connection in the middle of the answer, after saying ``after``."""
        return self.reply(*([after] if after else []), CUT)

    def silence(self, *, then: str = "") -> Reply:
        """Accept the request and send nothing, not even headers, until ``release()``; then say ``then``."""
        return self.reply(Gate(), then)

    def hold(self, *texts: str) -> Reply:
        """Say ``texts`` and stop after each of them until ``release()``.

        ``reply.gates[0].wait_reached()`` waits until the first was sent, and so on. The gates only
        have an effect between pieces of a streamed answer; otherwise they all come before it.
        """
        return self.reply(*(part for text in texts for part in (text, Gate())))

    def fail(
        self,
        status: int = 500,
        message: str = "The model is out of order.",
        *,
        type: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        body: str | None = None,
        times: int = 1,
    ) -> Failure:
        """Answer with an HTTP error.

        Args:
            status: the HTTP status.
            message: what the error object says.
            type: the error object's type; by default the one that fits the status.
            code: the error object's code.
            retry_after: seconds, for the header ``Retry-After`` (RFC 9110, section 10.2.3).
            body: sent instead of an error object, as text/html: what a proxy would say.
            times: how many requests get this error.
        """
        headers = {"content-type": "application/json" if body is None else "text/html"}
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        kind = type or _STATUS_TYPES.get(status, "server_error")
        data = msgspec.json.encode(error_body(message, kind, code)) if body is None else body.encode()
        failure = Failure((), status=status, headers=headers, body=data)
        for _ in range(times):
            self._add(failure)
        return failure

    def answer(self, answer: Answer) -> None:
        """Have ``answer`` compute a reply, or its text, from the request."""
        self._add(answer)


class Rule(Script):
    """What to answer requests that match. In order; the last answer is given again and again."""

    def __init__(self, matches: Callable[[Request], bool]) -> None:
        self.matches = matches
        self._answers: deque[Reply | Answer] = deque()
        self._lock = threading.Lock()

    def _add(self, answer: Reply | Answer) -> None:
        with self._lock:
            self._answers.append(answer)

    def take(self) -> Reply | Answer | None:
        """Return the answer that is due, or None when the rule has none yet."""
        with self._lock:
            if len(self._answers) > 1:
                return self._answers.popleft()
            return self._answers[0] if self._answers else None


class ScriptedModel(Script):
    """A server that gives scripted answers, in a thread of its own. Use it as a context manager.

    The first rule that matches a request answers it (:meth:`when`); else the next reply in the
    queue; else ``default``. Every method may be called from any thread, at any time.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        models: tuple[str, ...] = ("scripted",),
        api_key: str | None = None,
        default: Answer = echo,
        keep_requests: int = 10_000,
        oddities: Iterable[str] = (),
        context: int = 1000,
        refusal_shape: str | None = None,
    ) -> None:
        """Prepare a model; entering the context starts it.

        Args:
            host, port: where to listen; port 0 takes a free one.
            models: the names that ``GET /v1/models`` lists. Any name is answered.
            api_key: when given, requests without ``Authorization: Bearer <it>`` get a 401.
            default: what to answer when nothing was scripted.
            keep_requests: how many of the last requests to keep in :attr:`requests`.
            oddities: what is odd about it: names of :data:`clew.testing.oddities.ODDITIES`.
            context: tokens that the oddities named ``small_context`` take.
            refusal_shape: the shape of what the oddities refuse, one of
                :data:`clew.testing.oddities.SHAPES`; by default each has its own.
        """
        self._first_oddities = self.oddities = odd.known(oddities)
        self.context, self.refusal_shape = context, refusal_shape
        self.default = default
        self._host, self._port = host, port
        self._models = models
        self._api_key = api_key
        self._changed = threading.Condition()
        self._queue: deque[Reply | Answer] = deque()
        self._rules: list[Rule] = []
        self._requests: deque[Request] = deque(maxlen=keep_requests)
        self._embeddings_gate: Gate | None = None
        self._embeddings_fail: tuple[int, bytes] | None = None
        self._errors: list[Exception] = []
        self._count = 0
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # scripting

    def _add(self, answer: Reply | Answer) -> None:
        with self._changed:
            self._queue.append(answer)

    @property
    def oddities(self) -> tuple[str, ...]:
        """What is odd about every answer from now on.

        Raises:
            ValueError: set to a name that is none.
        """
        return self._oddities

    @oddities.setter
    def oddities(self, names: Iterable[str]) -> None:
        self._oddities = odd.known(names)

    def when(self, matches: Callable[[Request], bool]) -> Rule:
        """Return a rule for requests for which ``matches`` is true: ``model.when(...).reply("Hi")``."""
        rule = Rule(matches)
        with self._changed:
            self._rules.append(rule)
        return rule

    def reset(self) -> None:
        """Forget the queue, the rules, the requests and all oddities but the first."""
        self.oddities = self._first_oddities
        with self._changed:
            self._queue.clear()
            self._rules.clear()
            self._requests.clear()
            self._embeddings_gate = self._embeddings_fail = None

    def hold_embeddings(self) -> Gate:
        """Answer requests for embeddings from now on only when the gate that is returned is released."""
        self._embeddings_gate = gate = Gate()
        return gate

    def fail_embeddings(self, status: int = 500, *, naming: str = "") -> None:
        """Refuse to embed texts that name something, by default all, until :meth:`reset`."""
        self._embeddings_fail = status, naming.encode()

    # what happened

    @property
    def requests(self) -> list[Request]:
        """Return the chat requests so far, oldest first."""
        with self._changed:
            return list(self._requests)

    @property
    def pending(self) -> int:
        """Return how many replies of the queue were not asked for yet."""
        with self._changed:
            return len(self._queue)

    def wait_for_requests(self, count: int, timeout: float = TIMEOUT) -> list[Request]:
        """Block until ``count`` chat requests came in, and return them all.

        Raises:
            TimeoutError: fewer came in ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests within {timeout:g} s")
            return list(self._requests)

    def check(self, *, all_used: bool = False) -> None:
        """Raise the first exception that a function of the script raised; leaving the context does too.

        Raises:
            AssertionError: with ``all_used``, if replies of the queue were not asked for.
        """
        errors, self._errors = self._errors, []
        if errors:
            raise errors[0]
        if all_used and self.pending:
            raise AssertionError(f"{self.pending} scripted replies were not asked for")

    # the server

    @property
    def url(self) -> str:
        """Return the base URL, ending in ``/v1``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    def start(self) -> Self:
        """Start to listen.

        Raises:
            OSError: the port is taken.
        """
        listener = socket.create_server(
            (self._host, self._port),
            family=socket.AF_INET6 if ":" in self._host else socket.AF_INET,
            backlog=1024,
        )
        self._port = listener.getsockname()[1]
        self._loop = _new_event_loop()
        running = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(listener, running), name="scripted-model", daemon=True
        )
        self._thread.start()
        running.wait()  # a loop that is told to stop before it runs for good might not hear it
        return self

    def close(self) -> None:
        """Drop every connection and stop. Replies that are held end with their client gone."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def serve_forever(self) -> None:
        """Block until the server stops."""
        if self._thread is not None:
            self._thread.join()

    def _serve(self, listener: socket.socket, running: threading.Event) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)

        async def listen() -> asyncio.AbstractServer:
            return await loop.create_server(
                lambda: Connection(self._handle, self._connections), sock=listener
            )

        server = loop.run_until_complete(listen())
        try:
            loop.call_soon(running.set)
            loop.run_forever()
        finally:
            server.close()
            for connection in list(self._connections):
                connection.abort()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    def _handle(self, exchange: Exchange) -> Iterator[Step]:
        try:
            return self._route(exchange)
        except Exception as error:
            self._errors.append(error)
            message = f"The script raised {type(error).__name__}: {error}"
            return iter((json_response(500, error_body(message, "script_error")),))

    def _route(self, exchange: Exchange) -> Iterator[Step]:
        if self._api_key is not None and exchange.headers.get("authorization") != f"Bearer {self._api_key}":
            return _error(401, "Incorrect API key provided.")
        if exchange.path == "/v1/models" and exchange.method == "GET":
            return iter((json_response(200, self._model_list()),))
        if exchange.path == "/v1/embeddings" and exchange.method == "POST":
            fail = self._embeddings_fail
            if fail is not None and fail[1] in exchange.body:
                return _error(fail[0], "Embeddings fail, as the script says.")
            gate = self._embeddings_gate
            return itertools.chain((gate,) if gate is not None else (), embeddings(exchange.body))
        if exchange.path != "/v1/chat/completions":
            return _error(404, f"Invalid URL ({exchange.method} {exchange.path})")
        if exchange.method != "POST":
            return _error(405, f"Not allowed to {exchange.method} on {exchange.path}")
        try:
            body = msgspec.json.decode(exchange.body, type=dict[str, Any])
        except msgspec.DecodeError:
            return _error(400, "We could not parse the JSON body of your request.")
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return _error(400, "'messages' must be a list of objects.")
        return self._answer(exchange, Request(exchange, body))

    def _answer(self, exchange: Exchange, request: Request) -> Iterator[Step]:
        with self._changed:
            self._count += 1
            number = self._count
            self._requests.append(request)
            rules = list(self._rules)
            self._changed.notify_all()
        refused = odd.refusal(self.oddities, request, context=self.context, shape=self.refusal_shape)
        if refused is not None:
            return refused
        reply = self._next(request, rules)
        exchange.on_end = reply.on_end
        reply.taken.set()
        return reply.steps(request, number, odd.spelling((*self.oddities, *reply.oddities)))

    def _next(self, request: Request, rules: list[Rule]) -> Reply:
        answer: Reply | Answer | None = None
        for rule in rules:
            if rule.matches(request) and (answer := rule.take()) is not None:
                break
        if answer is None:
            with self._changed:
                answer = self._queue.popleft() if self._queue else self.default
        if isinstance(answer, Reply):
            return answer
        said = answer(request)
        return Reply((said,)) if isinstance(said, str) else said

    def _model_list(self) -> dict[str, Any]:
        models = [{"id": n, "object": "model", "created": CREATED, "owned_by": "clew"} for n in self._models]
        return {"object": "list", "data": models}


def _error(status: int, message: str) -> Iterator[Step]:
    return iter((json_response(status, error_body(message, "invalid_request_error")),))


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not available on Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> None:
    """Serve until interrupted; print the base URL first."""
    import click

    @click.command(help="Run a scripted model: it answers at once, by default with what the user said.")
    @click.option("--host", default="127.0.0.1", show_default=True)
    @click.option("--port", default=9000, show_default=True, help="0 takes a free one.")
    @click.option("--reply", "text", help="What to answer, instead of an echo.")
    @click.option("--pace", default=0.0, show_default=True, help="Seconds between two words of a stream.")
    @click.option("--oddity", "oddities", multiple=True, help="What is odd about it; may be repeated.")
    def command(host: str, port: int, text: str | None, pace: float, oddities: tuple[str, ...]) -> None:
        def answer(request: Request) -> Reply:
            said = echo(request).parts if text is None else (text,)
            return Reply(said, pace=pace)

        with ScriptedModel(host=host, port=port, default=answer, keep_requests=0, oddities=oddities) as model:
            click.echo(model.url)
            with contextlib.suppress(KeyboardInterrupt):
                model.serve_forever()

    command()


if __name__ == "__main__":
    main()
