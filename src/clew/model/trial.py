"""Tries out what an endpoint can do: the questions that ``clew models try`` and ``clew doctor`` ask."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from clew.clock import Clock
from clew.core.options import Json, JsonSchema, JsonSchemaFormat
from clew.model.chat import CallDelta, ChatRequest, Chunk, Finished, ModelError, TextDelta, one_by_one
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.network import Network

_WORD = "clew"
_ROOM = 1_000
"""Tokens that an answer may have: models that reason first need them."""

_ANSWERS = 2
"""The first questions, of which one must be answered: some endpoints stream only, and some can't."""

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8H"
    "VrTwnAAAAAElFTkSuQmCC"
)
"""A picture of eight by eight red points."""

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_secret_word",
        "description": "Return the secret word of a room.",
        "parameters": {
            "type": "object",
            "properties": {"room": {"type": "string"}},
            "required": ["room"],
        },
    },
}
_SCHEMA = JsonSchema(
    name="answer",
    schema={
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
)


class Tried(NamedTuple):
    """What came of one question: whether it went well, None if that is unknown, and what is to be said."""

    what: str
    well: bool | None
    said: str


class _Heard(NamedTuple):
    """An answer as it was heard."""

    text: str
    calls: list[tuple[str, str]]
    end: Finished
    pieces: int


class Trial:
    """Asks one model of an endpoint all that agents may ask of it."""

    def __init__(
        self, endpoint: Endpoint, model: str, *, timeout: float, clock: Clock, network: Network
    ) -> None:
        self._endpoint, self._model = endpoint, model
        self.streaming = RemoteModel(endpoint, timeout=timeout, clock=clock, network=network)
        whole = replace(endpoint, stream=False)
        self._whole = RemoteModel(whole, timeout=timeout, clock=clock, network=network)

    async def aclose(self) -> None:
        """Release the connections."""
        await self.streaming.aclose()
        await self._whole.aclose()

    async def every(self, tell: Callable[[Tried], None]) -> list[Tried]:
        """Ask everything, unless nothing is answered at all; ``tell`` is told of each answer as it comes."""
        questions: list[tuple[str, Callable[[], Awaitable[Tried]]]] = [
            ("a short answer", self._short),
            ("a streamed answer", self._streamed),
            ("a call of a function", self._called),
            ("JSON of a schema", self._schema),
            ("a picture", self._picture),
        ]
        found: list[Tried] = []
        for what, ask in questions:
            try:
                tried = await ask()
            except ModelError as error:
                tried = Tried(what, None if error.again and found else False, error.message)
            tell(tried)
            found.append(tried)
            if len(found) == _ANSWERS and not any(each.well for each in found):
                break
        return found

    async def tiny(self) -> None:
        """Ask for one token, as the server would ask.

        Raises:
            ModelError: there is no answer.
        """
        request = ChatRequest(
            model=self._model,
            messages=({"role": "user", "content": f"Say {_WORD}."},),
            max_completion_tokens=16,
        )
        async for _ in self.streaming.stream(request):
            pass

    async def _short(self) -> Tried:
        heard = await self._hear(self._whole, self._request(f"Answer with the one word {_WORD}."))
        return Tried("a short answer", bool(heard.text.strip()), _quoted(heard.text))

    async def _streamed(self) -> Tried:
        heard = await self._hear(self.streaming, self._request("Count from one to ten, in words."))
        said = f"{heard.pieces} pieces, {heard.end.usage.completion_tokens} tokens"
        if heard.end.thoughts or heard.end.echo:
            said += ", with reasoning"
        return Tried("a streamed answer", bool(heard.text.strip()), said)

    async def _called(self) -> Tried:
        what = "a call of a function"
        asks = "What is the secret word of the room kitchen? Use the function."
        question = {"role": "user", "content": asks}
        request = replace(self._request(""), messages=(question,), tools=(_TOOL,))
        heard = await self._hear(self.streaming, request)
        if not heard.calls:
            return Tried(what, False, f"it called none, and said {_quoted(heard.text)}")
        second = await self._hear(
            self.streaming, replace(request, messages=(question, *_answered(heard, "The word is ariadne.")))
        )
        name, arguments = heard.calls[0]
        well = "ariadne" in second.text.lower()
        return Tried(what, well, f"{_quoted(f'{name}({arguments})')}, then {_quoted(second.text)}")

    async def _schema(self) -> Tried:
        request = replace(
            self._request(f"Give the word {_WORD}."), response_format=JsonSchemaFormat(json_schema=_SCHEMA)
        )
        heard = await self._hear(self.streaming, request)
        try:
            found = msgspec.json.decode(heard.text)
            well = isinstance(found, dict) and isinstance(found.get("word"), str)
        except msgspec.DecodeError:
            well = False
        return Tried("JSON of a schema", well, _quoted(heard.text))

    async def _picture(self) -> Tried:
        if self._endpoint.vision is False:
            return Tried("a picture", None, "vision = false")
        content = [
            {"type": "text", "text": "Which colour is this? Answer with one word."},
            {"type": "image_url", "image_url": {"url": _PIXEL}},
        ]
        request = replace(self._request(""), messages=({"role": "user", "content": content},))
        heard = await self._hear(self.streaming, request)
        return Tried("a picture", "red" in heard.text.lower(), _quoted(heard.text))

    def _request(self, question: str) -> ChatRequest:
        return ChatRequest(
            model=self._model,
            messages=({"role": "user", "content": question},),
            max_completion_tokens=_ROOM,
        )

    @staticmethod
    async def _hear(model: RemoteModel, request: ChatRequest) -> _Heard:
        chunks: list[Chunk] = [chunk async for chunk in one_by_one(model.stream(request))]
        calls: list[list[str]] = []
        for chunk in chunks:
            if isinstance(chunk, CallDelta):
                if chunk.index == len(calls):
                    calls.append([chunk.name or "", ""])
                calls[chunk.index][1] += chunk.arguments
        texts = [chunk.text for chunk in chunks if isinstance(chunk, TextDelta)]
        end = chunks[-1]
        assert isinstance(end, Finished)
        return _Heard("".join(texts), [(name, said) for name, said in calls], end, len(texts))


def _answered(heard: _Heard, output: str) -> tuple[Json, Json]:
    """Return a turn as it goes back to its model, and the output of its first call."""
    (name, arguments), facts = heard.calls[0], heard.end.calls[0]
    call = (facts.extras or {}) | {
        "id": facts.id or "clew00001",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    turn = (heard.end.echo or {}) | {
        "role": "assistant",
        "content": heard.text or None,
        "tool_calls": [call],
    }
    return turn, {"role": "tool", "tool_call_id": call["id"], "content": output}


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
