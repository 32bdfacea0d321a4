"""What endpoints send in place of an answer, or of its end.

Each function is an oddity: its name is the oddity's, the first line of its docstring what it does.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from clew.core.options import Json
from clew.testing.odd_answers import finish, only, says
from clew.testing.odd_calls import delta_of
from clew.testing.stream import DONE, Item, Stream

_WORDS = "The engine has run out of memory."
"""What the errors say."""


def _half(stream: Stream, *then: Item) -> None:
    """Send the first frame that says something, and then other items and no more."""
    said = next((at for at, item in enumerate(stream.items) if says(delta_of(item))), 0)
    stream.items, stream.done = [*stream.items[: said + 1], *then], b""


def no_end(stream: Stream) -> None:
    """The answer ends in its middle: without a finish reason and without ``[DONE]``."""
    _half(stream)


# --- errors -------------------------------------------------------------------------------------------


def error_frame(stream: Stream) -> None:
    """There is an error in a frame instead of an answer."""
    stream.items = [{"error": {"message": _WORDS, "type": "server_error", "code": 500}}]


def error_event(stream: Stream) -> None:
    """There is an event of the type ``error`` instead of an answer."""
    only(stream, b'event: error\ndata: {"message": "%b"}\n\n' % _WORDS.encode())


def error_line(stream: Stream) -> None:
    """There is a line that begins with ``error:`` instead of an answer."""
    only(stream, b'error: {"message": "%b"}\n\n' % _WORDS.encode())


def error_200(stream: Stream) -> None:
    """An error comes as JSON with the status 200."""
    only(stream, b'{"detail": "%b"}' % _WORDS.encode(), content_type="application/json")


def rate_limit_200(stream: Stream) -> None:
    """A rate limit comes as JSON with the status 200."""
    body = {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": _WORDS}}}
    only(stream, msgspec.json.encode(body), content_type="application/json")


def error_in_middle(stream: Stream) -> None:
    """There is an error in a frame in the middle of an answer."""
    _half(stream, {"error": {"message": _WORDS, "type": "server_error"}, "choices": []})


def error_in_choice(stream: Stream) -> None:
    """There is an error in a choice in the middle of an answer."""
    choice = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": _WORDS, "code": 502}}
    _half(stream, {"choices": [choice]})


def finish_error_in_middle(stream: Stream) -> None:
    """The finish reason is ``network_error`` in the middle of an answer."""
    _half(stream, {"choices": [{"index": 0, "delta": {}, "finish_reason": "network_error"}]})
    stream.done = DONE


def html(stream: Stream) -> None:
    """A web page comes instead of an answer."""
    page = b"<!doctype html><html><head><title>Sign in</title></head></html>"
    only(stream, page, content_type="text/html")


def empty_200(stream: Stream) -> None:
    """The body is empty."""
    only(stream, b"")


def nothing_said(stream: Stream) -> None:
    """The answer has neither text nor a call."""
    stream.items = [item for item in stream.items if not says(delta_of(item))]
    finish(stream, "stop")


def redirect(stream: Stream) -> None:
    """The endpoint redirects to another place."""
    only(stream, b"", location="/elsewhere/v1/chat/completions")
    stream.status = 307


def another_api(stream: Stream) -> None:
    """The answer is of another API, Ollama's own."""
    lines: tuple[Json, ...] = (
        {"model": "x", "message": {"role": "assistant", "content": "Hi."}, "done": False},
        {"model": "x", "message": {"role": "assistant", "content": ""}, "done": True},
    )
    data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    only(stream, data, content_type="application/x-ndjson")


ERRORS: tuple[Callable[[Stream], Any], ...] = (
    error_frame, error_event, error_line, error_200, rate_limit_200, error_in_middle, error_in_choice,
    finish_error_in_middle, no_end, html, empty_200, nothing_said, redirect, another_api,
)  # fmt: skip
