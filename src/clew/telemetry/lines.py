"""Lines of the log: for people, or as JSON for machines. Pure.

What a client, a model or a file has said may stand in a line, so nothing in it may end the line, begin
another or steer a terminal; and no secret that the settings hold is ever in one.
"""

import json
import logging
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from clew.settings import Settings

LONGEST = 4_000
"""Characters of one value of a line, and of its message."""

_LONGEST_TRACE = 32_000
_SHORTEST_SECRET = 8
"""Characters below which a secret is a dummy, and may be part of any word."""

_STEERING = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
)
_ESCAPED = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _STEERING} | {
    0x09: " ",
    0x0A: "\n    ",
    0x0D: "",
}
"""What ends lines or moves a terminal, as text; what follows a line's end is indented: it begins no line."""


class Line(NamedTuple):
    """One thing to be said: the record, its message, and the request or run that it is about."""

    record: logging.LogRecord
    message: str
    about: str


_LEVELS = defaultdict(
    lambda: "notice  ",
    {level: f"{logging.getLevelName(level).lower():<8}" for level in (10, 20, 30, 40, 50)},
)

Form: TypeAlias = Callable[[Line], str]


def as_json(line: Line) -> str:
    """Return a line as one JSON object, in ASCII."""
    said: dict[str, Any] = {
        "time": _time(line.record),
        "level": line.record.levelname.lower(),
        "logger": line.record.name,
        "message": line.message[:LONGEST],
    }
    for name, value in _fields(line).items():
        said.setdefault(name, value[:LONGEST] if isinstance(value, str) else value)
    if trace := _trace(line.record):
        said["exception"] = trace
    return json.dumps(said, default=str) + "\n"


def for_people(line: Line) -> str:
    """Return a line for people: time, level, who says it, what, and the fields that it does not name yet."""
    message = line.message[:LONGEST]
    more = [
        f" {name}={value!s:.{LONGEST}}"
        for name, value in _fields(line).items()
        if value is not None and not (value.__class__ is str and value in message)
    ]
    record = line.record
    said = f"{_time(record)} {_LEVELS[record.levelno]}{record.name}: {message}{''.join(more)}"
    if trace := _trace(record):
        said = f"{said}\n{trace}"
    if not said.isascii() or not said.isprintable():
        said = said.translate(_ESCAPED).encode("utf-8", "backslashreplace").decode()
    return said + "\n"


def _time(record: logging.LogRecord) -> str:
    second = int(record.created)
    return f"{_second(second)}.{int((record.created - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def _fields(line: Line) -> dict[str, Any]:
    """Return what a record says apart from its message, and what it is about."""
    fields: dict[str, Any] = line.record.__dict__.get("fields") or {}
    if line.about:
        name = "run_id" if line.about[:4] == "run_" else "request_id"
        return fields if name in fields else {**fields, name: line.about}
    return fields


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(record.exc_info[1]))[-_LONGEST_TRACE:].rstrip()


def without(form: Form, secrets: Iterable[str]) -> Form:
    """Return a form whose lines have no secrets, should somebody else's error ever name one."""
    worth = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def clean(line: Line) -> str:
        text = form(line)
        for secret in worth:
            text = text.replace(secret, "[secret]")
        return text

    return clean


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret that stands in the settings themselves: keys, and passwords in URLs."""
    keys = [each.reveal() for each in (settings.api_key, settings.model_api_key, settings.secret_key) if each]
    keys += [table["key"] for table in settings.models.values() if isinstance(table.get("key"), str)]
    for urls in (settings.database_url, settings.bus_url, settings.model_url):
        for url in (urls or "").split(","):
            password = urlsplit(url.strip()).password
            keys += [password, unquote(password)] if password else []
    return keys
