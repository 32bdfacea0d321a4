"""The description of one endpoint: a table ``[models.NAME]`` of clew.toml, or an entry of CLEW_MODELS.

What an owner may say of an endpoint is declared here once. docs/models.md shows the tables for the endpoints
that people use.
"""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta, Struct
from yarl import URL

from clew.core.options import Json
from clew.core.records import Usage
from clew.model.quirks import Quirks
from clew.model.thinking import thinks_aloud

_COMPLETIONS = "/chat/completions"
_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+/?$")
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_AZURE_VERSION = "2024-10-21"
"""The version of Azure OpenAI's API that is asked for if none is named: the newest that is stable there."""

_HEADER = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
_UNSENDABLE = re.compile(r"[^\x20-\x7e]")

_WEEK = 7 * 86_400
"""Seconds that the longest run lives."""

_DEAREST = 1_000_000_000
"""The highest price: a hundred turns of the most tokens at it still fit the column of a run's cost."""

Seconds = Annotated[float, Meta(gt=0, le=_WEEK)]
Price = Annotated[float, Meta(ge=0, le=_DEAREST)]


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices for a million tokens, in the owner's currency. ``cached`` defaults to ``prompt``."""

    prompt: Price
    completion: Price
    cached: Price | None = None

    def of(self, usage: Usage) -> int:
        """Return what tokens cost, in millionths."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return round(
            fresh * self.prompt + usage.cached_tokens * cached + usage.completion_tokens * self.completion
        )


class Endpoint(Quirks, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint, as its owner describes it; what it takes, as :class:`clew.model.quirks.Quirks`.

    ``url`` is its base; ``key``, ``key_file`` and ``key_command`` are where its key comes from, one of them;
    ``name`` is what it calls the model; ``headers``, ``query`` and ``body`` are sent besides; ``think`` says
    whether reasoning in tags stays in messages; ``context_tokens`` how long prompt and answer may be;
    ``timeout`` seconds it may stay silent; ``retry_for`` seconds over which it is asked again; ``fallback``
    the name of the model that is asked instead of it; ``tools``, ``vision`` and ``reasoning`` what the model
    can do.
    """

    url: str
    key: str | None = None
    key_file: str | None = None
    key_command: list[str] | None = None
    name: str | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    body: Json = {}
    think: Literal["keep", "hide"] | None = None
    context_tokens: Annotated[int, Meta(ge=16)] | None = None
    timeout: Seconds | None = None
    retry_for: Annotated[float, Meta(ge=0, le=_WEEK)] | None = None
    fallback: str | None = None
    prices: Prices | None = None
    vision: bool | None = None
    tools: bool | None = None
    reasoning: bool | None = None

    def __post_init__(self) -> None:
        if problem := _problem(self):
            raise ValueError(problem)

    @property
    def quirks(self) -> Quirks:
        """What its owner says is done differently for it."""
        return Quirks(**{name: getattr(self, name) for name in Quirks.__struct_fields__})

    @property
    def is_azure(self) -> bool:
        """Whether it is Azure OpenAI, which takes a key in a header of its own."""
        parts = urlsplit(self.url.strip())
        return bool(_DEPLOYMENT.search(_base(parts.path))) or (parts.hostname or "").endswith(_AZURE_HOSTS)

    def address(self, path: str = _COMPLETIONS) -> URL:
        """Return the URL of one of its operations: the path goes before the query."""
        parts = urlsplit(self.url.strip())
        base = _base(parts.path)
        address = URL(urlunsplit(parts._replace(path=base + path, fragment="")), encoded=True)
        query = dict(self.query)
        if _DEPLOYMENT.search(base) and "api-version" not in {**address.query, **query}:
            query["api-version"] = _AZURE_VERSION
        return address.update_query(query) if query else address

    def hides_thoughts(self, model: str) -> bool:
        """Whether reasoning in tags is kept out of the messages of this model of its."""
        return thinks_aloud(model) if self.think is None else self.think == "hide"

    def secrets(self) -> list[str]:
        """Return what may never be shown; of a header also each word: its scheme is not repeated with it."""
        words = [word for value in self.headers.values() for word in (value, *value.split())]
        return [*([self.key.strip()] if self.key else []), *words, *self.address().query.values()]


def shown_address(url: str) -> str:
    """Return an endpoint's URL as it may be shown: its query may hold a key, and a user a password."""
    parts = urlsplit(url.strip())
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _base(path: str) -> str:
    """Return a URL's path without the operation, if somebody has written the whole of it."""
    return path.rstrip("/").removesuffix(_COMPLETIONS).rstrip("/")


def _problem(endpoint: Endpoint) -> str | None:
    """Return what is wrong with a description; None if nothing is. It shows no secret."""
    try:
        parts = urlsplit(endpoint.url.strip())
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return "url must look like http://localhost:11434/v1"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        return "url must look like http://localhost:11434/v1"
    if parts.username is not None or parts.password is not None:
        return "url must not hold a user or a password: give the key as `key`, or a header in `headers`"
    if _UNSENDABLE.search(endpoint.url.strip()) or " " in endpoint.url.strip():
        return "url has a character that no URL has"
    if sum(each is not None for each in (endpoint.key, endpoint.key_file, endpoint.key_command)) > 1:
        return "only one of key, key_file and key_command can be given"
    if endpoint.key is not None and _UNSENDABLE.search(endpoint.key.strip()):
        return "key has a character that can't be sent in a header: only printable ASCII can"
    if endpoint.key_command is not None and not endpoint.key_command:
        return "key_command must be a list: the program, then its arguments"
    if any("\0" in word for word in (endpoint.key_file or "", *(endpoint.key_command or ()))):
        return "key_file and key_command can't have a character of value 0"
    for name, value in endpoint.headers.items():
        if not _HEADER.match(name) or _UNSENDABLE.search(value):
            return "headers has a name or a value that can't be sent: only printable ASCII can"
    return None
