"""The ``openai`` package's clients: OpenAI, AzureOpenAI and their asynchronous forms."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from clew.toolkit.clients.transport import (
    Answer,
    PlainReading,
    Reading,
    Request,
    ThreadTransport,
    Transport,
)
from clew.toolkit.errors import AnswerTimedOut, ConnectionFailed, StreamLost

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai._types import RequestOptions

_BETA = {"OpenAI-Beta": "assistants=v2"}


def adapt(client: object) -> Transport | None:
    """Return a transport for one of this package's clients, or None for anything else."""
    if "openai" not in sys.modules:  # whoever holds such a client has imported it
        return None
    import openai

    if isinstance(client, openai.AsyncOpenAI):
        return AsyncOpenAITransport(client)
    if isinstance(client, openai.OpenAI):
        return ThreadTransport(_PlainOpenAI(client))
    return None


class AsyncOpenAITransport:
    """An AsyncOpenAI client. It belongs to the event loop in which it is first used."""

    retries = True
    idempotent = False

    def __init__(self, client: "openai.AsyncOpenAI") -> None:
        self._client = client

    async def send(self, request: Request) -> Answer:
        import httpx2

        path, options = request.path, _options(request)
        with _errors() as refused:
            if request.method == "GET":
                answer = await self._client.get(path, cast_to=httpx2.Response, options=options)
            elif request.method == "DELETE":
                answer = await self._client.delete(path, cast_to=httpx2.Response, options=options)
            else:
                answer = await self._client.post(
                    path, cast_to=httpx2.Response, body=request.body, options=options
                )
            return _answer(answer)
        return refused[0]

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Reading]:
        import openai

        with _errors() as refused:
            stream = await _streaming(self._client, request, openai.AsyncStream[object])
        if refused:
            yield Reading(refused[0].status, refused[0].headers, _whole(refused[0].body))
            return
        try:
            response = stream.response
            yield Reading(response.status_code, response.headers, _received(response))
        finally:
            await stream.close()

    async def aclose(self) -> None:
        pass


class _PlainOpenAI:
    """An OpenAI client."""

    def __init__(self, client: "openai.OpenAI") -> None:
        self._client = client

    def send(self, request: Request) -> Answer:
        import httpx2

        path, options = request.path, _options(request)
        with _errors() as refused:
            if request.method == "GET":
                answer = self._client.get(path, cast_to=httpx2.Response, options=options)
            elif request.method == "DELETE":
                answer = self._client.delete(path, cast_to=httpx2.Response, options=options)
            else:
                answer = self._client.post(path, cast_to=httpx2.Response, body=request.body, options=options)
            return _answer(answer)
        return refused[0]

    def open(self, request: Request) -> PlainReading:
        import openai

        with _errors() as refused:
            stream = _streaming(self._client, request, openai.Stream[object])
            response = stream.response
            return PlainReading(
                response.status_code, response.headers, _received_plainly(response), stream.close
            )
        answer = refused[0]
        return PlainReading(answer.status, answer.headers, iter((answer.body,)), lambda: None)


def _streaming(client: Any, request: Request, stream_class: Any) -> Any:
    """Return what a client's own way to open a stream gives: a stream, or an awaitable of one."""
    options: Any = {
        "cast_to": object,
        "options": _options(request),
        "stream": True,
        "stream_cls": stream_class,
    }
    if request.method == "GET":
        return client.get(request.path, **options)
    return client.post(request.path, body=request.body, **options)


def _options(request: Request) -> "RequestOptions":
    return {"headers": {**_BETA, **request.headers}, "params": dict(request.query)}


def _answer(response: "httpx2.Response") -> Answer:
    return Answer(response.status_code, response.headers, response.content)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _received(response: "httpx2.Response") -> AsyncIterator[bytes]:
    import httpx2

    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except httpx2.HTTPError as error:
        raise StreamLost(f"The stream broke off: {error}") from error


def _received_plainly(response: "httpx2.Response") -> Iterator[bytes]:
    import httpx2

    try:
        yield from response.iter_bytes()
    except httpx2.HTTPError as error:
        raise StreamLost(f"The stream broke off: {error}") from error


@contextmanager
def _errors() -> Iterator[list[Answer]]:
    """Collect a refusal as the answer that it is; raise what is none as the toolkit's own error."""
    import httpx2
    import openai

    refused: list[Answer] = []
    try:
        yield refused
    except openai.APIStatusError as error:
        refused.append(_answer(error.response))
    except openai.APIConnectionError as error:
        cause: Any = error.__cause__
        sent = not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        kind = AnswerTimedOut if isinstance(error, openai.APITimeoutError) else ConnectionFailed
        raise kind(f"No answer from the service: {cause or error}.", sent=sent) from error
