"""Vectors from an endpoint that speaks ``POST /embeddings`` (OpenAI API reference, "Create embeddings")."""

import asyncio
import math
import re
import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
import msgspec

from clew.clock import Clock
from clew.network import DIRECT, Network
from clew.search.embedder import Unembeddable
from clew.search.encoding import zero
from clew.search.remote_answer import WrongAnswer, vectors_of
from clew.search.texts import shown

WINDOW_TOKENS = 800
"""What is shown of a text at once, if nobody says: what chunks of files have by default."""

RETRY_FOR = 60_000
"""Milliseconds over which an endpoint is asked again that has no time."""

MOST_TEXTS, MOST_CHARACTERS = 96, 100_000
"""Of one request. Providers take 96 texts (Cohere) to 2048 (OpenAI), and 300,000 tokens (OpenAI)."""

_CHARACTERS_A_TOKEN = 16
"""A text is cut where it is sure to have more tokens than the window: no word list's mean is near that."""

_CONNECT_TIMEOUT = 5.0
_TIMEOUT = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 500, 8_000
_BYTES_A_TEXT, _BYTES_BESIDES = 256 * 1024, 64 * 1024
"""Of an answer: 8192 dimensions with 25 characters each are 205 kB."""

_LONGEST_ERROR = 64 * 1024
_LONGEST_MESSAGE = 300
_SHORTEST_SECRET = 8
"""Characters; a shorter one is a dummy, and may be part of any word."""

_PROBE = "text"
_BUSY = (408, 425, 429, 500, 502, 503, 504, 529)
_KEY_TROUBLE = (401, 403)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_encode = msgspec.json.Encoder().encode


class _Busy(Exception):
    """A failure that may pass; ``delay`` is how many milliseconds the endpoint wants to be left alone."""

    def __init__(self, message: str, delay: int = 0) -> None:
        super().__init__(message)
        self.message, self.delay = message, delay


class RemoteEmbedder:
    """See :class:`clew.search.embedder.Embedder`.

    Args:
        url: the endpoint's base; ``/embeddings`` is added before its query.
        model: what it calls its model.
        key: sent as a bearer token.
        clock: for the pauses between attempts.
        network: how it is reached.
        window_tokens: how much of a text it is shown.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None,
        clock: Clock,
        network: Network = DIRECT,
        window_tokens: int = WINDOW_TOKENS,
    ) -> None:
        self.name, self.window_tokens = model, window_tokens
        parts = urlsplit(url.strip())
        self._url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/embeddings", fragment=""))
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        secrets = [key, parts.password, *(value for _, value in parse_qsl(parts.query))]
        self._secrets = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        self._clock, self._network = clock, network
        self._session: aiohttp.ClientSession | None = None
        self._dimensions: int | None = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See :meth:`clew.search.embedder.Embedder.embed`."""
        most = min(self.window_tokens * _CHARACTERS_A_TOKEN, MOST_CHARACTERS)
        seen = {n: told for n, text in enumerate(texts) if (told := shown(text, most))}
        if texts and not seen and self._dimensions is None:
            await self._asked(
                [_PROBE]
            )  # endpoints refuse empty texts, so only others tell how long vectors are
        found: dict[int, bytes] = {}
        for batch in _batches(seen):
            found |= zip(batch, await self._asked(list(batch.values())), strict=True)
        nothing = zero(self._dimensions or 0)
        return [found.get(n, nothing) for n in range(len(texts))]

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    # --- one request -------------------------------------------------------------------------------

    async def _asked(self, texts: list[str]) -> list[bytes]:
        """Return vectors of a few texts, asking again for a minute while the endpoint is busy or away."""
        body = _encode({"model": self.name, "input": texts})
        until, pause = self._clock.now() + RETRY_FOR, _FIRST_PAUSE
        while True:
            try:
                return await self._read(await self._post(body, len(texts)), len(texts))
            except _Busy as busy:
                wait = max(pause, busy.delay)
                if self._clock.now() + wait > until:
                    raise Unembeddable(busy.message, again=True) from None
            await self._clock.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _post(self, body: bytes, count: int) -> bytes:
        try:
            async with self._open().post(
                self._url, data=body, headers=self._headers, allow_redirects=False, proxy=self._network.proxy
            ) as response:
                if response.status != 200:
                    raise self._refusal(response, await _read(response, _LONGEST_ERROR))
                most = _BYTES_BESIDES + count * _BYTES_A_TEXT
                said = await _read(response, most + 1)
                if len(said) > most:
                    raise Unembeddable(f"The embeddings endpoint sent more than {most} bytes.", again=False)
                return said
        except (aiohttp.ClientSSLError, ssl.SSLError):
            raise Unembeddable(
                "The embeddings endpoint's certificate could not be checked: SSL_CERT_FILE or "
                "REQUESTS_CA_BUNDLE can name its authority's file.",
                again=False,
            ) from None
        except (aiohttp.InvalidURL, ValueError):
            raise Unembeddable(
                "CLEW_EMBEDDINGS_URL can't be asked: see how it is spelt.", again=False
            ) from None
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError):
            raise _Busy("The proxy did not connect to the embeddings endpoint.") from None
        except aiohttp.ClientConnectorError:
            raise _Busy("The embeddings endpoint could not be reached.") from None
        except TimeoutError:
            raise _Busy(f"The embeddings endpoint did not answer within {_TIMEOUT:g} seconds.") from None
        except (aiohttp.ClientError, OSError):
            raise _Busy("The connection to the embeddings endpoint broke.") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls: ssl.SSLContext | bool = self._network.tls or True
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=_CONNECT_TIMEOUT),
                connector=aiohttp.TCPConnector(ssl=tls),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _read(self, said: bytes, count: int) -> list[bytes]:
        try:
            # Megabytes of numbers: 17 ms where 64 texts have 3072 dimensions, in many small steps but one.
            vectors = await asyncio.to_thread(vectors_of, said, count)
        except WrongAnswer as error:
            raise Unembeddable(f"The embeddings endpoint answered {error}.", again=False) from None
        dimensions = len(vectors[0]) // 2
        if self._dimensions not in (None, dimensions):
            raise Unembeddable(
                f"The embeddings endpoint answered vectors of {dimensions} dimensions, and of "
                f"{self._dimensions} before: it must be another model, which needs another "
                "CLEW_EMBEDDINGS_MODEL.",
                again=False,
            )
        self._dimensions = dimensions
        return vectors

    def _refusal(self, response: aiohttp.ClientResponse, said: bytes) -> Exception:
        """Return what a status other than 200 means."""
        status = response.status
        message = f"The embeddings endpoint answered {status}"
        if status in _KEY_TROUBLE:  # what it says may show a part of the key
            return Unembeddable(f"{message}: see CLEW_EMBEDDINGS_KEY.", again=False)
        if 300 <= status < 400:
            return Unembeddable(
                f"{message}: redirects are not followed; see CLEW_EMBEDDINGS_URL.", again=False
            )
        words = self._clean(_words(said))
        message += f": {words}" if words else "."
        if status in _BUSY:
            return _Busy(message, _retry_after(response.headers.get("retry-after", "")))
        return Unembeddable(message, again=False)

    def _clean(self, text: str) -> str:
        """Return words without secrets; they are cut last, so that no secret is cut and passed over."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return _CONTROL.sub(" ", text).strip()[:_LONGEST_MESSAGE]


def _batches(texts: dict[int, str]) -> Iterator[dict[int, str]]:
    batch: dict[int, str] = {}
    size = 0
    for number, text in texts.items():
        if batch and (size + len(text) > MOST_CHARACTERS or len(batch) == MOST_TEXTS):
            yield batch
            batch, size = {}, 0
        batch[number] = text
        size += len(text)
    if batch:
        yield batch


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return a body, or its first ``most`` bytes."""
    pieces, size = [], 0
    while size < most and (piece := await response.content.read(most - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _words(said: bytes) -> str:
    """Return what an error's body says, where it has the shape of OpenAI's errors or one like it."""
    try:
        value = msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        return ""
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and name in value:
            value = value[name]
    return value if isinstance(value, str) else ""


def _retry_after(text: str) -> int:
    """Return milliseconds; a date counts as nothing said (RFC 9110, section 10.2.3)."""
    try:
        seconds = float(text)
    except ValueError:
        return 0
    return int(1000 * min(seconds, 3600.0)) if math.isfinite(seconds) and seconds > 0 else 0
