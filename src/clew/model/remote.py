"""A model behind a chat-completions endpoint (OpenAI API reference, "Create chat completion").

Always streams, so that cancelling and time-outs bite at once. Survives what real servers get wrong:
``finish_reason`` "stop" together with tool calls, arguments as objects, missing call ids and
indexes, usage in any chunk or in none, a plain JSON answer to a streaming request.
"""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp
import msgspec

from clew.clock import Clock
from clew.core.options import Json, Sampling
from clew.core.records import ErrorCode
from clew.model.answer import AnswerReader
from clew.model.chat import ChatRequest, Chunk, ModelError, estimate

_ATTEMPTS = 4
_FIRST_DELAY = 250
_LONGEST_DELAY = 30_000
_LONGEST_ANSWER = 4_000_000
"""Characters of an answer: far more than any model's context holds."""
_LONGEST_LINE = 16 * 1024 * 1024
_RETRIED = frozenset((408, 409, 429, 500, 502, 503, 504))

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class _Retry(Exception):
    """The call failed before the first token, and may be made again."""

    def __init__(self, error: ModelError, delay: int | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.delay = delay


class RemoteModel:
    """A chat-completions endpoint.

    Args:
        url: the endpoint's base, such as ``http://localhost:11434/v1``.
        key: what it asks for as a bearer token, if anything.
        timeout: seconds it may stay silent.
        limit_field: what it calls the answer's token limit.
    """

    context_tokens: int | None = None

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        timeout: float,
        clock: Clock,
        limit_field: str = "max_completion_tokens",
    ) -> None:
        self._url = url.rstrip("/") + "/chat/completions"
        self._key = key
        self._timeout = timeout
        self._clock = clock
        self._limit_field = limit_field
        self._session: aiohttp.ClientSession | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        delay = _FIRST_DELAY
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async for chunk in self._attempt(request):
                    yield chunk
                return
            except _Retry as failed:
                if attempt == _ATTEMPTS:
                    raise failed.error from None
                _log.warning("model call %s: attempt %d failed: %s", request.idempotency_key, attempt, failed)
                wait = delay if failed.delay is None else failed.delay
                await self._clock.sleep(min(wait, _LONGEST_DELAY))
                delay *= 2

    async def _attempt(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        reader = AnswerReader()
        begun = False
        try:
            async with self._open().post(
                self._url, data=self._body(request), headers=self._headers(request), allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                async for data in _payloads(response):
                    if reader.characters > _LONGEST_ANSWER:
                        raise ModelError("server_error", "The model's answer is too long to keep.")
                    for chunk in reader.read(data):
                        begun = True
                        yield chunk
        except TimeoutError:
            error = ModelError("server_error", f"The model said nothing for {self._timeout:g} seconds.")
            raise error from None
        except aiohttp.ClientError as broken:
            error = ModelError("server_error", f"The connection to the model broke: {_kind(broken)}.")
            if not begun:
                raise _Retry(error) from None
            raise error from None
        if not reader.complete:
            raise ModelError("server_error", "The model broke off in the middle of its answer.")
        if not reader.usage_reported:
            _log.warning("model call %s: no usage reported, tokens are estimated", request.idempotency_key)
        yield reader.finished(lambda: estimate(request, reader.characters))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=min(10.0, self._timeout), sock_read=self._timeout
            )
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                read_bufsize=2**18,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _headers(self, request: ChatRequest) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if request.idempotency_key:
            headers["Idempotency-Key"] = request.idempotency_key
        return headers

    def _body(self, request: ChatRequest) -> bytes:
        """Return the request's JSON, without what is default: small servers choke on what they don't know."""
        body: Json = {
            "model": request.model,
            "messages": request.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = request.tools
            if request.tool_choice not in (None, "auto"):
                body["tool_choice"] = request.tool_choice
            if not request.parallel_tool_calls:
                body["parallel_tool_calls"] = False
        for name in Sampling.__struct_fields__:
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if request.max_completion_tokens is not None:
            body[self._limit_field] = request.max_completion_tokens
        return _encode(body)

    async def _refusal(self, response: aiohttp.ClientResponse) -> Exception:
        """Return what a status other than 200 means for the run."""
        raw = (await response.content.read(64 * 1024)).decode("utf-8", "replace")
        said = _clean(_error_text(raw), self._key)
        code: ErrorCode = "server_error"
        if response.status == 429 or "quota" in said.lower():
            code = "rate_limit_exceeded"
        elif response.status in (400, 413, 422):
            code = "invalid_prompt"
        message = f"The model endpoint answered {response.status}" + (f": {said}" if said else ".")
        error = ModelError(code, message)
        if response.status in _RETRIED:
            return _Retry(error, _retry_after(response))
        return error

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _payloads(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the JSON of each ``data:`` line; or the whole body, if it is not an event stream."""
    if response.content_type == "application/json":
        yield await _whole(response)
        return
    rest = b""
    async for piece in response.content.iter_any():
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > _LONGEST_LINE:
            raise ModelError("server_error", "The model sent a line that is too long to read.")
        for line in lines:
            if line.startswith(b"data:") and (data := line[5:].strip()) and data != b"[DONE]":
                yield data
    if rest.startswith(b"data:") and (data := rest[5:].strip()) and data != b"[DONE]":
        yield data


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    async for piece in response.content.iter_any():
        pieces.append(piece)
        if sum(map(len, pieces)) > _LONGEST_LINE:
            raise ModelError("server_error", "The model's answer is too long to keep.")
    return b"".join(pieces)


def _error_text(raw: str) -> str:
    try:
        body: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return "" if raw.lstrip().startswith("<") else raw[:300].strip()
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", "") if isinstance(error, dict) else error
    return str(message)[:500].strip()


_ADDRESS = re.compile(
    r"""\b[a-z][a-z0-9+.-]*://\S+           # a URL
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b # IPv4
    | \[[0-9a-f:.]*:[0-9a-f:.]*\](?::\d+)?  # IPv6
    | \b[a-z][a-z0-9.-]*:\d{4,5}\b         # a host's port
    | \blocalhost\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_KEY = re.compile(r"\b(?:sk|pk|key|clew|api)[-_][A-Za-z0-9_\-*]{8,}", re.I)


def _clean(text: str, key: str | None) -> str:
    """Take keys and addresses out of what a provider said: a run's error is shown to users."""
    if key:
        text = text.replace(key, "[key]")
    return _KEY.sub("[key]", _ADDRESS.sub("[address]", text))


def _kind(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return "it could not be reached"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return "it hung up"
    return "it broke off"


def _retry_after(response: aiohttp.ClientResponse) -> int | None:
    for header, unit in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            return int(float(response.headers[header]) * unit)
        except (KeyError, ValueError, OverflowError):
            continue
    return None
