"""The seam to a language model: what the engine asks, and what a model answers.

One request is one call of the chat-completions protocol (OpenAI API reference, "Create chat
completion"). Every back end, remote or embedded, answers it as a stream of :class:`Chunk`.
"""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from clew.core.options import Json, Sampling
from clew.core.records import ErrorCode, Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a model stopped. Back ends map anything else they meet to ``stop``."""


class ChatRequest(Sampling, frozen=True, kw_only=True):
    """One call to a model. Fields that are None are left out of the request."""

    model: str
    messages: tuple[Json, ...]
    """Chat-completions messages: role system, user, assistant or tool."""
    tools: tuple[Json, ...] = ()
    """Function tools, ``{"type": "function", "function": {...}}``, as the agent declared them."""
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool = True
    max_completion_tokens: int | None = None
    idempotency_key: str | None = None
    """``run/turn/digest of the request``: the same call, made again after a crash, carries the same key."""


class TextDelta(Struct, frozen=True, tag=True):
    """A piece of the answer's text."""

    text: str


class RefusalDelta(Struct, frozen=True, tag=True):
    """A piece of a refusal (``delta.refusal``)."""

    text: str


class CallDelta(Struct, frozen=True, tag=True):
    """A piece of a function call. ``id`` (the model's own) and ``name`` come once, in its first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Finished(Struct, frozen=True, tag=True):
    """The end of the answer; always the last chunk, exactly once."""

    reason: FinishReason
    usage: Usage


Chunk: TypeAlias = TextDelta | RefusalDelta | CallDelta | Finished


class ModelError(Exception):
    """The model could not answer. Carries what a run's ``last_error`` will say.

    ``message`` is shown to users: it holds no key, no internal address, no provider's stack trace.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message


class ChatModel(Protocol):
    """A back end that answers chat requests."""

    @property
    def context_tokens(self) -> int | None:
        """The most tokens that prompt and answer may have together; None if unknown."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """Answer as chunks; closing the generator stops the model.

        Raises:
            ModelError: the model failed, refused the request or fell silent.
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


def estimate(request: ChatRequest, characters: int) -> Usage:
    """Guess the tokens of a call that nobody counted: about four bytes each.

    ``characters`` is how much the model has said.
    """
    prompt = sum(len(msgspec.json.encode(message)) for message in request.messages)
    return Usage(prompt_tokens=prompt // 4 + 1, completion_tokens=characters // 4 + 1)
