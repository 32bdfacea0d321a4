"""Reads the pieces of a streamed chat completion, whatever shape a server gives them."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from clew.core.records import Usage
from clew.model.chat import CallDelta, Chunk, Finished, FinishReason, ModelError, RefusalDelta, TextDelta


class _Function(Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct):
    cached_tokens: Any = None


class _Usage(Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    prompt_tokens_details: _PromptDetails | None = None


class _Piece(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


MOST_CALLS = 128
"""Calls of one answer that are kept; more are left out, and the model may make them in its next turn."""

LONGEST_NAME = 64
"""Characters of a function's name. No longer one can have been offered, so what is cut is found unknown."""

MOST_TOKENS = 10_000_000
"""Tokens that one call may count: more than any context holds, and a hundred turns of it fit a column."""

_decoder = msgspec.json.Decoder(_Piece)
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class AnswerReader:
    """Turns the JSON of one answer into chunks, and remembers how it ended."""

    def __init__(self) -> None:
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._call_ids: list[str | None] = []
        self._places: dict[int, int] = {}
        self.characters = 0

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end."""
        return self._reason is not None

    @property
    def usage_reported(self) -> bool:
        """Whether the server counted the tokens."""
        return self._usage is not None

    def finished(self, estimate: Callable[[], Usage]) -> Finished:
        """Return the last chunk; ``estimate`` counts tokens if the server did not."""
        reason = self._reason or "stop"
        if self._call_ids and reason == "stop":
            reason = "tool_calls"
        return Finished(reason, self._usage or estimate())

    def read(self, data: bytes) -> Iterator[Chunk]:
        """Yield the chunks of one piece.

        Raises:
            ModelError: the piece reports an error, or cannot be read.
        """
        try:
            piece = _decoder.decode(data)
        except msgspec.MsgspecError:
            raise ModelError("server_error", "The model sent an answer that cannot be read.") from None
        if piece.error:
            raise ModelError("server_error", "The model reported an error in the middle of its answer.")
        if piece.usage is not None:
            self._usage = _usage(piece.usage)
        for choice in piece.choices or ():
            delta = choice.delta or choice.message
            if delta is not None:
                yield from self._read_delta(delta)
            if choice.finish_reason:
                self._reason = _REASONS.get(choice.finish_reason, "stop")

    def _read_delta(self, delta: _Delta) -> Iterator[Chunk]:
        if text := _text(delta.content):
            self.characters += len(text)
            yield TextDelta(text)
        if delta.refusal:
            self.characters += len(delta.refusal)
            yield RefusalDelta(delta.refusal)
        for call in delta.tool_calls or ():
            index = self._index(call)
            if index < MOST_CALLS:
                yield self._read_call(call, index)

    def _read_call(self, call: _ToolCall, index: int) -> CallDelta:
        function = call.function or _Function()
        arguments = _arguments(function.arguments)
        self.characters += len(arguments)
        if index < len(self._call_ids):
            return CallDelta(index, arguments=arguments)
        self._call_ids.append(call.id)
        name = (function.name or "")[:LONGEST_NAME].replace("\0", "\ufffd")
        return CallDelta(index, call.id, name, arguments)

    def _index(self, call: _ToolCall) -> int:
        """Return which call a piece belongs to. Servers without indexes repeat the id, or give none."""
        known = len(self._call_ids)
        if call.index is not None:
            place = self._places.setdefault(call.index, known)
            if place < known and call.id and self._call_ids[place] not in (None, "", call.id):
                place = self._places[call.index] = known  # a server that numbers every call 0
            return place
        if call.id and call.id in self._call_ids:
            return self._call_ids.index(call.id)
        named = call.function is not None and call.function.name
        return known if call.id or named or not known else known - 1


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # some servers answer in parts
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _arguments(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _usage(usage: _Usage) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        prompt_tokens=_count(usage.prompt_tokens),
        completion_tokens=_count(usage.completion_tokens),
        cached_tokens=_count(details.cached_tokens) if details else 0,
    )


def _count(value: Any) -> int:
    """Return a count of tokens that fits a column, whatever a server has counted."""
    try:
        return min(max(0, int(value)), MOST_TOKENS)
    except (TypeError, ValueError, OverflowError):  # missing, no number, or infinite
        return 0
