"""A model behind a chat-completions endpoint (OpenAI API reference, "Create chat completion").

One call of :meth:`RemoteModel.stream` is one attempt at one turn, and asks anew only where a refusal has
taught how to ask. Whether there is another attempt is the engine's to say. Why streams by default:
cancelling and time-outs bite at once.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

import aiohttp
import msgspec
from msgspec.structs import replace
from yarl import URL

from clew.clock import Clock
from clew.core.options import Json
from clew.model.answer import AnswerReader
from clew.model.body import Body, page_instead
from clew.model.chat import (
    ChatRequest,
    Chunk,
    ContextExceeded,
    Finished,
    ModelError,
    Sight,
    estimate,
    estimated_prompt,
)
from clew.model.endpoint import Endpoint
from clew.model.frames import Frame, FrameReader, decoded
from clew.model.keys import KeySource
from clew.model.learned import Known, Learned, settings_for
from clew.model.quirks import Quirks, body_of, lesson
from clew.model.reach import NOT_REACHED, Reach, Try
from clew.model.trouble import Problem, Reported, cleaned, model_error, problem_of, too_many
from clew.network import DIRECT, Network

CONNECT_TIMEOUT = 5.0
"""Seconds in which an endpoint must have been reached."""

_MOST_LESSONS = 16
"""Times that one turn is asked anew because a refusal has taught something."""

_LONGEST_ERROR = 64 * 1024
_LONGEST_LIST = 8 * 1024 * 1024
"""Bytes of an endpoint's list of models: what hundreds of them are described with is long."""
_LIST_KEPT, _NO_LIST_KEPT = 60_000, 5_000
"""Milliseconds for which an endpoint is not asked again what it lists, however many clients ask."""
_LONGEST_MESSAGE = 600
"""Characters of what a run's error says."""

_LONGEST_DELAY = 3_600_000

_AT_ONCE = 1024 * 1024
"""Bytes of a request that are handed over in one piece; longer ones, with images, in many."""

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class RemoteModel:
    """A chat-completions endpoint.

    Args:
        endpoint: its description.
        timeout: seconds it may stay silent, unless its description says.
        clock: for tokens that expire.
        network: how it is reached.

    Attributes:
        endpoint: its description.
        learned: what was learned of its models.
        reach: whether it can be reached.
    """

    def __init__(
        self, endpoint: Endpoint, *, timeout: float, clock: Clock, network: Network = DIRECT
    ) -> None:
        self.endpoint = endpoint
        self.learned = Learned(endpoint)
        self.reach = Reach(clock)
        self._timeout = endpoint.timeout or timeout
        self._clock, self._network = clock, network
        self._url = endpoint.address()
        self._keys = KeySource(endpoint, clock)
        self._session: aiohttp.ClientSession | None = None
        self._standing: tuple[str | None, dict[str, str]] | None = None
        self._listing, self._listed, self._listed_until = asyncio.Lock(), list[str](), 0

    @property
    def images(self) -> Sight:
        return "refused" if self.endpoint.vision is False else "shown"

    def context_tokens(self, model: str) -> int | None:
        """Return the most tokens that prompt and answer may have together, as far as that is known."""
        return self.learned.of(model).context_tokens

    async def stream(self, request: ChatRequest) -> AsyncGenerator[list[Chunk], None]:
        known, renewed = self.learned.of(request.model), False
        doubted: Quirks | None = None
        for left in range(_MOST_LESSONS, -1, -1):
            key = await self._keys.key()
            reader = self._reader(request, known)
            try:
                async with self._asked(request, known, reader, key) as answer:
                    while not reader.over and (frames := await answer.frames(reader)):
                        if chunks := reader.read_all(frames, merge=answer.late):
                            yield chunks
                yield self._last_of(request, known, reader)
                return
            except Reported as reported:
                problem, anew, before = reported.problem, left > 0 and not reader.begun, known.quirks
                if anew and problem.status == 401 and not renewed and self._keys.refused(key):
                    renewed = True
                elif anew and self._taught(request, known, problem, key):
                    if problem.status == 500:
                        doubted = doubted or before
                else:
                    if doubted is not None:  # a server that is at fault may say anything
                        known.taught(doubted)
                    raise self._shown(reported, key, again=reported.again and not reader.begun) from None
            except ContextExceeded:
                raise
            except ModelError as error:
                raise self._shown(error, key, again=error.again and not reader.begun) from None

    def _reader(self, request: ChatRequest, known: Known) -> AnswerReader:
        names = [tool["function"]["name"] for tool in request.tools] if request.tools else None
        return AnswerReader(names, hides_thoughts=known.hides_thoughts)

    # --- one request -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _asked(
        self, request: ChatRequest, known: Known, reader: AnswerReader, key: str | None
    ) -> AsyncIterator[Body]:
        """Ask, and give the answer's body. A connection that breaks behind the answer's end is no trouble."""
        body = _encode(self._body(request, known))
        way = self.reach.admit()
        _way.set(way)
        try:
            async with self._open().post(
                self._url,
                data=body if len(body) <= _AT_ONCE else BytesIO(body),
                headers=self._headers(request, key),
                allow_redirects=False,
                proxy=self._network.proxy,
            ) as response:
                if not 200 <= response.status < 300:
                    raise await _refusal(response, self._clock.now())
                with closing(Body(response)) as answer:
                    yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            if not reader.ended:
                raise self._broken(trouble) from None
            _log.info("model call %s: the connection broke after the answer", request.idempotency_key)
        finally:
            way.leave()

    def _last_of(self, request: ChatRequest, known: Known, reader: AnswerReader) -> list[Chunk]:
        """Return an answer's last chunks, and learn from its counts."""
        last = reader.end(lambda said: estimate(request, said))
        if reader.usage_reported and known.context_tokens is not None:
            assert isinstance(last[-1], Finished)
            known.counted(last[-1].usage.prompt_tokens, estimated_prompt(request))
        if not reader.usage_reported:
            _log.warning("model call %s: no usage reported, tokens are estimated", request.idempotency_key)
        return last

    def _body(self, request: ChatRequest, known: Known) -> Json:
        if request.max_completion_tokens is not None and known.context_tokens is not None:
            most = known.fitted(request.max_completion_tokens, estimated_prompt(request))
            request = replace(request, max_completion_tokens=most)
        return body_of(request, known.quirks, self.endpoint.body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None,
                sock_connect=min(CONNECT_TIMEOUT, self._timeout),
                sock_read=self._timeout,
            )
            tls: ssl.SSLContext | bool = self._network.tls or True
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                connector=_Connector(limit=0, keepalive_timeout=30, ssl=tls),
                read_bufsize=2**18,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _headers(self, request: ChatRequest, key: str | None) -> dict[str, str]:
        if self._standing is None or self._standing[0] != key:
            self._standing = (key, self._standing_headers(key))
        headers = self._standing[1]
        if request.idempotency_key is None:
            return headers
        return {"Idempotency-Key": request.idempotency_key, **headers}

    def _standing_headers(self, key: str | None) -> dict[str, str]:
        """Return the headers that are the same for every request with a key; the owner's own win."""
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if key:
            by_name = self.endpoint.is_azure and self.endpoint.key_command is None
            headers |= {"api-key": key} if by_name else {"Authorization": f"Bearer {key}"}
        given = {name.lower() for name in self.endpoint.headers}
        kept = {name: value for name, value in headers.items() if name.lower() not in given}
        return kept | self.endpoint.headers

    # --- what was refused --------------------------------------------------------------------------

    def _taught(self, request: ChatRequest, known: Known, problem: Problem, key: str | None) -> bool:
        """Learn from a refusal; return whether to ask anew.

        Raises:
            ContextExceeded: the prompt is too long.
        """
        if (length := too_many(problem)) is not None:
            answer = request.max_completion_tokens
            if known.too_many(length.limit, length.given, estimated_prompt(request), answer):
                return True
            message = self._clean(model_error(problem, "The prompt is too long for the model").message, key)
            raise ContextExceeded(message, length.limit, length.given)
        quirks = lesson(problem, self._body(request, known), known.quirks)
        if quirks is None:
            return False
        differs = settings_for(quirks, known.quirks)
        _log.warning(
            "model %s: learned from a refusal: %s (%s)",
            request.model,
            differs,
            self._clean(problem.words, key),
        )
        known.taught(quirks)
        return True

    def _broken(self, trouble: Exception) -> ModelError:
        """Return what trouble with the connection means for a turn."""
        match trouble:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return ModelError(
                    "server_error",
                    "The model endpoint's certificate could not be checked: its authority is unknown, or "
                    "it is not valid. SSL_CERT_FILE or REQUESTS_CA_BUNDLE can name the authority's file.",
                )
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                return self.reach.failed(
                    "The proxy in HTTPS_PROXY or HTTP_PROXY did not connect to the model endpoint."
                )
            case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
                return self.reach.failed(NOT_REACHED)
            case TimeoutError():
                return ModelError("server_error", f"The model said nothing for {self._timeout:g} seconds.")
            case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
                how = "it hung up"
            case aiohttp.ClientResponseError():
                how = "what it answered is no HTTP"
            case _:
                how = "it broke off"
        return ModelError("server_error", f"The connection to the model broke: {how}.", again=True)

    def _shown(self, error: ModelError, key: str | None, *, again: bool) -> ModelError:
        """Return an error as users may see it."""
        return ModelError(
            error.code,
            self._clean(error.message, key),
            again=again,
            delay=error.delay,
            unreachable=error.unreachable,
            asked=error.asked,
        )

    def _clean(self, text: str, key: str | None) -> str:
        """Return words without secrets; they are cut last, so that no secret is cut and passed over."""
        return cleaned(text, [*self.endpoint.secrets(), key or ""])[:_LONGEST_MESSAGE]

    async def models(self) -> list[str]:
        """Return the names that the endpoint itself lists, as of the last minute; none if it does not."""
        async with self._listing:
            if self._clock.now() >= self._listed_until:
                self._listed = await self._list()
                kept = _LIST_KEPT if self._listed else _NO_LIST_KEPT
                self._listed_until = self._clock.now() + kept
            return self._listed

    async def _list(self) -> list[str]:
        try:
            async with self._open().get(
                self.endpoint.address("/models"),
                headers=self._headers(ChatRequest(model="", messages=()), await self._keys.key()),
                allow_redirects=False,
                proxy=self._network.proxy,
                timeout=aiohttp.ClientTimeout(total=CONNECT_TIMEOUT),
            ) as response:
                said = await _read(response, _LONGEST_LIST)
                listed = decoded(said) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ModelError, ValueError):
            return []
        return _names(listed)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _names(listed: Any) -> list[str]:
    entries = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    names = (
        [entry.get("id") or entry.get("name") for entry in entries or () if isinstance(entry, dict)]
        if isinstance(entries, list)
        else []
    )
    return [name for name in names if isinstance(name, str) and 0 < len(name) <= 256]


_way: ContextVar[Try | None] = ContextVar("way", default=None)
"""The way to an endpoint of whoever asks."""


class _Connector(aiohttp.TCPConnector):
    """Tells a caller's way when its endpoint is reached. (Traces would tell too, and cost every request.)"""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        if (way := _way.get()) is not None:
            way.reached()
        return connection


async def _refusal(response: aiohttp.ClientResponse, now: int) -> ModelError:
    """Return what a status other than 2xx means for the run."""
    if 300 <= response.status < 400:
        return ModelError("server_error", _redirected(response))
    said = await _read(response, _LONGEST_ERROR)
    frames = FrameReader()
    found = [frame for frame in [*frames.feed(said), *frames.end()] if isinstance(frame, Frame)]
    if frames.page:
        return page_instead(response.status, frames.words)
    values = [frame.text if frame.value is None else frame.value for frame in found]
    problem = problem_of(values or frames.words, response.status)
    delay = _retry_after(response, values, now)
    return model_error(problem, f"The model endpoint answered {response.status}", delay=delay)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return a body up to so many bytes, or what has come of one that breaks off or takes too long."""
    said = b""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            while len(said) < most and (piece := await response.content.read(most - len(said))):
                said += piece
    except (aiohttp.ClientError, OSError):  # a time-out is an OSError, too
        response.close()
    return said


def _redirected(response: aiohttp.ClientResponse) -> str:
    try:
        target = response.url.join(URL(response.headers.get("location", "")))
        where = target.path if target.host == response.url.host else f"{target.host}{target.path}"
    except ValueError:
        where = "nowhere"
    return (
        f"The model endpoint answered {response.status}: it redirects to {where[:200]}, which is not "
        "followed. Its URL should be the one that answers: see CLEW_MODEL_URL."
    )


def _retry_after(response: aiohttp.ClientResponse, values: list[Any], now: int) -> int | None:
    """Return in how many milliseconds the endpoint wants to be asked again, if it says."""
    for header, unit in (("retry-after-ms", 1), ("retry-after", 1000)):
        text = response.headers.get(header, "")
        try:
            return _bounded(float(text) * unit)
        except ValueError:
            pass
        try:
            return _bounded(parsedate_to_datetime(text).timestamp() * 1000 - now)
        except (ValueError, OverflowError):
            continue
    for value in values:
        seconds = value.get("estimated_time") if isinstance(value, dict) else None
        if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf:
            return _bounded(1000 * min(seconds, _LONGEST_DELAY))
    return None


def _bounded(ms: float) -> int:
    """Return a time to wait; it may lie in the past.

    Raises:
        ValueError: it is none.
    """
    if not math.isfinite(ms):
        raise ValueError("no time")
    return int(min(max(0.0, ms), _LONGEST_DELAY))
