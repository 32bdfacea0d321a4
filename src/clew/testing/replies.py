"""What a scripted model says: the parts of a reply, and the bytes they become.

The formats are those of the OpenAI API reference, "Create chat completion": the chat completion
object, and the chunks of a streamed one.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from clew.core.options import Json
from clew.testing.http1 import Cut, Exchange, Step, head
from clew.testing.signals import TIMEOUT, Gate, Signal
from clew.testing.stream import Item, Stream

UsagePlace: TypeAlias = Literal["end", "finish", "every", "never"]

CREATED = 1_767_225_600
"""The ``created`` of everything, so that two runs of a test are alike: 2026-01-01."""

_encode = msgspec.json.Encoder().encode
_PIECES = re.compile(r"\s*\S+\s*|\s+")
_ARGUMENT_PIECE = 16
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. Make it with :func:`call`."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Text that the model gives as a refusal instead of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes put into a streamed answer as they are, such as ``b": ping\\n\\n"`` or garbage."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that an answer says it took."""

    prompt: int
    completion: int

    def to_json(self) -> Json:
        """Return the ``usage`` object of a chat completion."""
        total = self.prompt + self.completion
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": total}


CUT = Cut()
"""Closes the connection at this place of a reply."""

Part: TypeAlias = str | Call | Refusal | Raw | Gate | Cut


def call(name: str, arguments: Json | str | None = None, *, id: str | None = None) -> Call:
    """Return a function call as part of a reply.

    Args:
        name: the function; one that was never offered is fine.
        arguments: a dict becomes JSON; a str goes out as it is, JSON or not.
        id: the call's id; by default ``call_`` with the number of the request and of the call.
    """
    text = arguments if isinstance(arguments, str) else _encode(arguments or {}).decode()
    return Call(name, text, id)


class Request:
    """A request that the model got.

    Attributes:
        body: the parsed JSON.
        path: such as ``/v1/chat/completions``.
        stream: whether chunks were asked for.
    """

    __slots__ = ("_exchange", "body", "path", "stream")

    def __init__(self, exchange: Exchange, body: Json) -> None:
        self._exchange = exchange
        self.body = body
        self.path = exchange.path
        self.stream = body.get("stream") is True

    def __repr__(self) -> str:
        return f"<Request {self.path} model={self.model!r} messages={len(self.messages)}>"

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers, names in lower case."""
        return self._exchange.headers

    @property
    def model(self) -> str:
        """Return the name of the model asked for."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[Json]:
        """Return the messages of the conversation."""
        messages: list[Json] = self.body["messages"]
        return messages

    @property
    def tools(self) -> list[str]:
        """Return the names of the functions offered."""
        return [tool["function"]["name"] for tool in self.body.get("tools") or [] if "function" in tool]

    @property
    def last_user_text(self) -> str:
        """Return the text of the last message by the user, or an empty string."""
        return next((text_of(m) for m in reversed(self.messages) if m.get("role") == "user"), "")

    @property
    def tool_outputs(self) -> dict[str, str]:
        """Return what the functions gave, by the id of their call."""
        return {m["tool_call_id"]: text_of(m) for m in self.messages if m.get("role") == "tool"}

    def prompt_words(self) -> int:
        """Return the number of words in all messages: what this model counts as prompt tokens."""
        return sum(len(text_of(message).split()) for message in self.messages)


def text_of(message: Json) -> str:
    """Return the text of a chat message, whose content is a string, a list of parts or null."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


@dataclass(eq=False)
class Reply:
    """One answer, and what became of it.

    Attributes:
        parts: text, calls, gates, cuts in the order they are sent.
        finish_reason: by default ``tool_calls`` when there are calls, else ``stop``.
        usage: by default words are counted: prompt = words of all messages, completion = words said.
        usage_at: ``end`` sends a last chunk with usage and no choices if the request asks for it
            (``stream_options.include_usage``), as OpenAI does; ``finish`` sends usage on the chunk
            that carries the finish reason; ``every`` on every chunk, growing; ``never`` leaves it out.
        call_ids: False leaves the ids of calls out, as some servers do.
        pace: seconds between the pieces of a streamed answer.
        oddities: names of oddities of this answer, besides those of the model.
        taken: set when a request is about to get this reply.
        ended: set when the last byte was handed over or the client left; ``client_left`` says which.
    """

    parts: tuple[Part, ...]
    finish_reason: str | None = None
    usage: Usage | None = None
    usage_at: UsagePlace = "end"
    call_ids: bool = True
    pace: float = 0.0
    oddities: tuple[str, ...] = ()
    client_left: bool = False
    taken: Signal = field(default_factory=lambda: Signal("the reply was taken"))
    ended: Signal = field(default_factory=lambda: Signal("the reply has ended"))

    @property
    def gates(self) -> list[Gate]:
        """Return the gates among the parts, in order."""
        return [part for part in self.parts if isinstance(part, Gate)]

    def wait_paused(self, timeout: float = TIMEOUT) -> None:
        """Block until the model stands at the first gate that isn't released.

        Raises:
            TimeoutError: it didn't get there in ``timeout`` seconds.
            ValueError: every gate is released, or there is none.
        """
        gate = next((gate for gate in self.gates if not gate.released.is_set()), None)
        if gate is None:
            raise ValueError("this reply has no gate that is still closed")
        gate.wait_reached(timeout)

    def release(self) -> None:
        """Open every gate of this reply."""
        for gate in self.gates:
            gate.release()

    def wait_ended(self, timeout: float = TIMEOUT) -> None:
        """Block until the reply has ended or its client left.

        Raises:
            TimeoutError: neither in ``timeout`` seconds.
        """
        self.ended.wait(timeout)

    def on_end(self, client_left: bool) -> None:
        """Note the end of the answer."""
        self.client_left = client_left
        self.ended.set()

    def steps(
        self, request: Request, number: int, spell: Callable[[Stream], None] | None = None
    ) -> Iterator[Step]:
        """Return the bytes and pauses of the answer to ``request``, the ``number``-th of the model.

        ``spell`` may change a streamed answer before it is sent.
        """
        answer = _Answer(self, request, number)
        if not request.stream:
            return answer.whole()
        stream = answer.stream()
        if spell is not None:
            spell(stream)
        return stream.steps()


@dataclass(eq=False)
class Failure(Reply):
    """An HTTP error instead of an answer. Gates among the parts come before it."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def steps(
        self, request: Request, number: int, spell: Callable[[Stream], None] | None = None
    ) -> Iterator[Step]:
        yield from self.gates
        yield head(self.status, self.headers, len(self.body)) + self.body


def json_response(status: int, body: Json, headers: dict[str, str] | None = None) -> bytes:
    """Return a whole response with a JSON body."""
    data = _encode(body)
    return head(status, _JSON | (headers or {}), len(data)) + data


def error_body(message: str, type: str, code: str | None = None) -> Json:
    """Return an error as OpenAI's API sends it."""
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


class _Answer:
    """A reply being sent."""

    def __init__(self, reply: Reply, request: Request, number: int) -> None:
        self._reply = reply
        self._request = request
        self._number = number
        self._calls = 0
        self._words = 0

    def whole(self) -> Iterator[Step]:
        """Yield the answer as one chat completion. Gates come before it, a cut in its middle."""
        yield from self._reply.gates
        data = _encode(self._completion())
        start = head(200, _JSON, len(data))
        if any(isinstance(part, Cut) for part in self._reply.parts):
            yield start + data[: len(data) // 2]
            yield CUT
        else:
            yield start + data

    def _completion(self) -> Json:
        parts = self._reply.parts
        text = [part for part in parts if isinstance(part, str)]
        refusal = [part.text for part in parts if isinstance(part, Refusal)]
        calls = [self._call(part) for part in parts if isinstance(part, Call)]
        message: Json = {"role": "assistant", "content": "".join(text) if text else None}
        message["refusal"] = "".join(refusal) if refusal else None
        if calls:
            message["tool_calls"] = calls
        for said in (*text, *refusal):
            self._words += len(said.split())
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason()}
        body = self._envelope("chat.completion") | {"choices": [choice]}
        if self._reply.usage_at != "never":
            body["usage"] = self._usage().to_json()
        return body

    def stream(self) -> Stream:
        """Return the answer as a stream of frames."""
        parts = self._reply.parts
        leading = next((n for n, part in enumerate(parts) if not isinstance(part, Gate)), len(parts))
        items: list[Item] = list(self._reply.gates[:leading])
        items.append(self._chunk({"role": "assistant", "content": self._first_content()}))
        for part in parts[leading:]:
            if isinstance(part, Gate | Cut):
                items.append(part)
                continue
            for piece in self._pieces(part):
                items.append(piece)
                if self._reply.pace > 0:
                    items.append(self._reply.pace)
        return Stream(items + self._end())

    def _first_content(self) -> str | None:
        return "" if any(isinstance(part, str) for part in self._reply.parts) else None

    def _pieces(self, part: str | Call | Refusal | Raw) -> Iterator[Json | bytes]:
        if isinstance(part, str):
            for piece in _PIECES.findall(part):
                self._words += not piece.isspace()
                yield self._chunk({"content": piece})
        elif isinstance(part, Refusal):
            for piece in _PIECES.findall(part.text):
                self._words += not piece.isspace()
                yield self._chunk({"refusal": piece})
        elif isinstance(part, Call):
            yield from self._call_pieces(part)
        else:
            yield part.data

    def _call_pieces(self, part: Call) -> Iterator[Json]:
        index = self._calls
        whole = self._call(part)
        whole["function"]["arguments"] = ""
        yield self._chunk({"tool_calls": [{"index": index} | whole]})
        for start in range(0, len(part.arguments), _ARGUMENT_PIECE):
            piece = part.arguments[start : start + _ARGUMENT_PIECE]
            yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def _call(self, part: Call) -> Json:
        self._calls += 1
        self._words += 1 + len(part.arguments.split())
        function: Json = {"name": part.name, "arguments": part.arguments}
        if not self._reply.call_ids:
            return {"type": "function", "function": function}
        identifier = part.id or f"call_{self._number}_{self._calls}"
        return {"id": identifier, "type": "function", "function": function}

    def _end(self) -> list[Item]:
        at_end = self._reply.usage_at == "end" and bool(
            (self._request.body.get("stream_options") or {}).get("include_usage")
        )
        frames: list[Item] = [self._chunk({}, self._finish_reason(), usage=self._reply.usage_at == "finish")]
        if at_end:
            usage_chunk = self._envelope("chat.completion.chunk")
            frames.append(usage_chunk | {"choices": [], "usage": self._usage().to_json()})
        return frames

    def _chunk(self, delta: Json, finish_reason: str | None = None, usage: bool = False) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = self._envelope("chat.completion.chunk") | {"choices": [choice]}
        if usage or self._reply.usage_at == "every":
            body["usage"] = self._usage().to_json()
        return body

    def _envelope(self, kind: str) -> Json:
        identifier = f"chatcmpl-{self._number}"
        return {"id": identifier, "object": kind, "created": CREATED, "model": self._request.model}

    def _finish_reason(self) -> str:
        if self._reply.finish_reason is not None:
            return self._reply.finish_reason
        return "tool_calls" if self._calls else "stop"

    def _usage(self) -> Usage:
        return self._reply.usage or Usage(self._request.prompt_words(), self._words)
