"""llama.cpp's own chat: constrained output for every model, and tool calls for models that Clew has no
measurements of."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from clew.core.options import Json, JsonObjectFormat, JsonSchemaFormat, ResponseFormat
from clew.ids import CALL, Ids
from clew.model.chat import CallDelta, ChatRequest, Chunk, ModelError, TextDelta
from clew.model.embedded.dialogue import Dialogue
from clew.model.embedded.prompts import text_of

_ANY_OBJECT: Json = {"type": "json_object"}


async def speak(
    dialogue: Dialogue, body: Json, response_format: ResponseFormat | None
) -> AsyncGenerator[Json, None]:
    """Answer chat messages in the format asked for; llama.cpp's deltas.

    A schema that can't be compiled is replaced by "any JSON object".

    Raises:
        ModelError: the prompt is too long, or the model failed.
    """
    wanted = _format(response_format)
    begun = False
    try:
        async with aclosing(dialogue.chat(body | wanted)) as deltas:
            async for delta in deltas:
                begun = True
                yield delta
        return
    except ModelError as error:
        if begun or error.code == "invalid_prompt" or not wanted:
            raise
    async with aclosing(dialogue.chat(body | {"response_format": _ANY_OBJECT})) as deltas:
        async for delta in deltas:
            yield delta


def _format(response_format: ResponseFormat | None) -> Json:
    match response_format:
        case JsonSchemaFormat():
            return {"response_format": msgspec.to_builtins(response_format)}
        case JsonObjectFormat():
            return {"response_format": _ANY_OBJECT}
    return {}


async def answer(dialogue: Dialogue, request: ChatRequest, ids: Ids) -> AsyncGenerator[Chunk, None]:
    """Answer with the model's own template, which may call tools if it likes to.

    Raises:
        ModelError: the prompt is too long, or the model failed.
    """
    body: Json = {"messages": [_message(message) for message in request.messages]}
    if request.tools and request.tool_choice != "none":
        body |= {"tools": request.tools, "parallel_tool_calls": request.parallel_tool_calls}
    known: set[int] = set()
    async with aclosing(speak(dialogue, body, request.response_format)) as deltas:
        async for delta in deltas:
            if delta.get("content"):
                yield TextDelta(delta["content"])
            for piece in delta.get("tool_calls") or ():
                yield _call(piece, known, ids)


def _message(message: Json) -> Json:
    kept = {k: v for k, v in message.items() if k in ("role", "tool_calls", "tool_call_id", "name")}
    return kept | {"content": text_of(message.get("content"))}


def _call(piece: Json, known: set[int], ids: Ids) -> CallDelta:
    index, function = int(piece.get("index") or 0), piece.get("function") or {}
    arguments = function.get("arguments") or ""
    if index in known:
        return CallDelta(index, arguments=arguments)
    known.add(index)
    return CallDelta(index, piece.get("id") or ids.new(CALL), function.get("name"), arguments)
