"""From an answer to a record, or to the error that it is."""

import math
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from clew.toolkit.clients.transport import Answer
from clew.toolkit.errors import (
    AuthenticationFailed,
    BadRequest,
    NotFound,
    RateLimited,
    RunNotWaiting,
    ServerFault,
    ServiceError,
    ThreadBusy,
    UnexpectedAnswer,
)

T = TypeVar("T")

_OK = 200
_BUSY = re.compile(r"already has an active run|while a run .* is active")
_RUN_ID = re.compile(r"\brun_\w+")
_NOT_WAITING = re.compile(r"do(es)? not accept tool outputs")
_SHOWN = 200


class _Details(Struct, frozen=True):
    message: str = ""
    code: str | int | None = None
    param: str | None = None


class _Envelope(Struct, frozen=True):
    error: _Details


def decode(answer: Answer, record: type[T]) -> T:
    """Return the record that an answer holds.

    Raises:
        ServiceError: the answer is an error, or isn't what this API answers.
    """
    if answer.status != _OK:
        raise error_of(answer)
    try:
        return msgspec.json.decode(answer.body, type=record)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(
            f"The answer isn't a {getattr(record, '__name__', record)}: {error}.",
            status=answer.status,
            request_id=request_id(answer.headers),
        ) from error


def error_of(answer: Answer) -> ServiceError:
    """Return the error that an answer with another status than 200 is."""
    asked = request_id(answer.headers)
    try:
        details = msgspec.json.decode(answer.body, type=_Envelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        shown = answer.body[:_SHOWN].decode("utf-8", "replace")
        details = _Details(f"HTTP {answer.status}: {shown!r}")
    message = details.message or f"HTTP {answer.status}."
    code = None if details.code is None else str(details.code)
    status = answer.status
    if status == 429:
        wait = retry_after(answer.headers)
        return RateLimited(message, status=status, code=code, retry_after=wait, request_id=asked)
    if status == 400 and _BUSY.search(message):
        found = _RUN_ID.search(message)
        return ThreadBusy(message, run_id=found and found.group(), status=status, request_id=asked)
    if status == 400 and _NOT_WAITING.search(message):
        return RunNotWaiting(message, status=status, code=code, request_id=asked)
    kind = _KINDS.get(status, ServerFault if status >= 500 else BadRequest)
    return kind(message, status=status, code=code, param=details.param, request_id=asked)


_KINDS: dict[int, type[ServiceError]] = {401: AuthenticationFailed, 403: AuthenticationFailed, 404: NotFound}


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's id of a request."""
    return headers.get("x-request-id") or headers.get("apim-request-id")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a service asks to wait, if it does so in a number."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None
