"""The seam to a language model: what the engine asks, and what a model answers.

One request is one call of the chat-completions protocol (OpenAI API reference, "Create chat
completion"). Every back end, remote or embedded, answers it as a stream of lists of chunks.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from clew.core.options import Json, Sampling
from clew.core.records import ErrorCode, Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a model stopped. Back ends find one of these for whatever word they meet, or fail (``endings``)."""


IMAGE_PARTS = frozenset(("image_url", "image_file", "image_data"))
"""Types of the parts that show images. Only the first is sent; the others stand for an image among the files,
and for one that a message carries in itself."""

TOKENS, TOKENS_LOW = 765, 85
"""What an image is taken to cost: 85, and 170 for each of four tiles of a large one (OpenAI's rule)."""

Sight: TypeAlias = Literal["shown", "noted", "refused"]
"""What a back end does with images: it shows them to its model, tells it that there was one, or can't."""


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


class CallFacts(NamedTuple):
    """What came with a call besides its name and arguments: the model's own id, and fields we don't know."""

    id: str | None
    extras: Json | None


class Finished(Struct, frozen=True, tag=True):
    """The end of the answer; always the last chunk, exactly once.

    ``calls`` says of each call, in order, what goes back to the model with it; ``echo`` is what goes back
    with the turn; ``thoughts`` is reasoning that the answer's text began with.
    """

    reason: FinishReason
    usage: Usage
    calls: tuple[CallFacts, ...] = ()
    echo: Json | None = None
    thoughts: str | None = None


Chunk: TypeAlias = TextDelta | RefusalDelta | CallDelta | Finished


def joined(chunks: list[Chunk]) -> list[Chunk]:
    """Return chunks that came together, with neighbouring pieces of one text as one."""
    if len(chunks) < 2:
        return chunks
    return [_joined(list(pieces)) for _, pieces in groupby(chunks, _text_of)]


def _joined(pieces: list[Chunk]) -> Chunk:
    first = pieces[0]
    if len(pieces) == 1 or isinstance(first, Finished):
        return first
    if isinstance(first, CallDelta):
        said = [each.arguments for each in pieces if isinstance(each, CallDelta)]
        return replace(first, arguments="".join(said))
    said = [each.text for each in pieces if isinstance(each, TextDelta | RefusalDelta)]
    return replace(first, text="".join(said))


def _text_of(chunk: Chunk) -> object:
    """Return which text a chunk is a piece of; of its own if it is more than that."""
    match chunk:
        case CallDelta(index, id=None, name=None):
            return CallDelta, index
        case TextDelta() | RefusalDelta():
            return type(chunk)
    return id(chunk)


class ModelError(Exception):
    """The model could not answer. Carries what a run's ``last_error`` will say.

    ``message`` is shown to users: it holds no key, no internal address, no provider's stack trace.
    ``again`` says that the same request may be answered later, in ``delay`` milliseconds if the model says;
    ``unreachable`` that nobody was there to answer, and ``asked`` is false if that was known without asking.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        again: bool = False,
        delay: int | None = None,
        unreachable: bool = False,
        asked: bool = True,
    ) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.again, self.delay, self.unreachable, self.asked = again, delay, unreachable, asked


class ContextExceeded(ModelError):
    """The prompt is too long for the model: ``limit`` tokens, of which it was given ``given``, if it says."""

    def __init__(self, message: str, limit: int | None, given: int | None) -> None:
        super().__init__("invalid_prompt", message)
        self.limit, self.given = limit, given


class ChatModel(Protocol):
    """A back end that answers chat requests."""

    def context_tokens(self, model: str) -> int | None:
        """Return the most tokens that prompt and answer may have together; None if unknown.

        They are counted as :func:`estimated_prompt` does.
        """
        ...

    @property
    def images(self) -> Sight:
        """Return what it does with images."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[list[Chunk], None]:
        """Answer as chunks, those in one list that came together; closing the generator stops the model.

        Raises:
            ModelError: the model failed, refused the request or fell silent.
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


async def one_by_one(answer: AsyncGenerator[list[Chunk], None]) -> AsyncGenerator[Chunk, None]:
    """Give an answer's chunks each by itself; closing the generator stops the model."""
    async with aclosing(answer):
        async for together in answer:
            for chunk in together:
                yield chunk


def estimate(request: ChatRequest, characters: int) -> Usage:
    """Guess the tokens of a call that nobody counted: about four bytes each.

    ``characters`` is how much the model has said.
    """
    return Usage(prompt_tokens=estimated_prompt(request), completion_tokens=characters // 4 + 1)


def estimated_prompt(request: ChatRequest) -> int:
    """Guess the tokens of a prompt: about four bytes each, and images by what they show."""
    said = msgspec.json.encode(request.messages)
    size = len(said) + len(msgspec.json.encode(request.tools))
    if b'"type":"image' not in said:  # which no text holds: its quotes are escaped
        return size // 4 + 1
    contents = [each["content"] for each in request.messages if isinstance(each.get("content"), list)]
    images = [part for content in contents for part in content if is_image(part)]
    size -= sum(len(msgspec.json.encode(part)) for part in images)
    return size // 4 + tokens_of_images(images) + 1


def is_image(part: Json) -> bool:
    """Whether a part of a message is an image, or stands for one."""
    return part.get("type") in IMAGE_PARTS


def tokens_of_images(content: str | Sequence[Json]) -> int:
    """Return what the images of a message are taken to cost: 0 where it has none."""
    if isinstance(content, str):
        return 0
    details = [part[part["type"]].get("detail") for part in content if is_image(part)]
    return sum(TOKENS_LOW if detail == "low" else TOKENS for detail in details)
