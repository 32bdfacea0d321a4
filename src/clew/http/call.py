"""What a handler is given: one request, checked, with everything it may use."""

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct
from starlette.datastructures import QueryParams

from clew.service.context import Services
from clew.service.following import RunKeys
from clew.store.pages import PageRequest
from clew.wire.dialects import Dialect
from clew.wire.errors import invalid
from clew.wire.explain import bad_choice, check_range

B = TypeVar("B")
LATEST = 10**11
"""Seconds since the epoch: further than any clock goes."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")


class Call(Struct, Generic[B], kw_only=True):
    """One request to an operation. ``project`` is the caller's; ``body`` is of the declared type."""

    services: Services
    operation: str
    dialect: Dialect
    project: str
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[bytes, bytes]
    """By their lower-case names; of one that came several times, the first."""
    body: B

    def header(self, name: bytes) -> str | None:
        """Return a header's value."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def run_keys(self) -> RunKeys:
        """Which run the path names."""
        return RunKeys(self.project, self.path["thread_id"], self.path["run_id"])


def page_request(call: Call[None], *, most: int = 100, usual: int = 20) -> PageRequest:
    """Return which part of a list the query asks for.

    Raises:
        ApiError: ``limit`` is not a whole number from 1 to ``most``, or ``order`` is unknown.
    """
    query = call.query
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad_choice("order", order, ["asc", "desc"])
    return PageRequest(
        limit=whole_number(query.get("limit") or str(usual), "limit", least=1, most=most),
        order="asc" if order == "asc" else "desc",
        after=query.get("after") or None,
        before=query.get("before") or None,
    )


def whole_number(given: str, name: str, *, least: int, most: int) -> int:
    """Return the number that a query parameter or a header gives.

    Raises:
        ApiError: it is not a whole number from ``least`` to ``most``.
    """
    if _WHOLE_NUMBER.fullmatch(given) is None:
        message = f"Invalid type for '{name}': expected an integer, but got a string instead."
        raise invalid(message, param=name, code="invalid_type")
    number = int(given)
    for error in check_range(name, number, least=least, most=most, whole=True):
        raise error
    return number


def includes(call: Call[Any], what: str) -> bool:
    """Whether the query asks for something that an answer leaves out otherwise (``include[]``)."""
    found = call.query.getlist("include[]") + call.query.getlist("include")
    return what in found


LONGEST_WAIT = 60.0
_HELPERS_WAIT = 10.0


def wait_seconds(call: Call[None]) -> float:
    """Return the seconds for which a read may be held back until there is something to tell.

    The query's ``wait`` says so; openai's polling helpers (``X-Stainless-Poll-Helper``) would ask
    again and again, so they are kept waiting too, well within the time-out that they announce.

    Raises:
        ApiError: ``wait`` is not a number from 0 to 60.
    """
    given = call.query.get("wait")
    if not given:
        if call.headers.get(b"x-stainless-poll-helper") != b"true":
            return 0
        announced = call.header(b"x-stainless-read-timeout") or call.header(b"x-stainless-timeout")
        readable = announced is not None and _NUMBER.fullmatch(announced) is not None
        return min(_HELPERS_WAIT, float(announced or 0) / 2) if readable else _HELPERS_WAIT
    seconds = _number(given, "wait")
    for error in check_range("wait", seconds, least=0, most=LONGEST_WAIT, whole=False):
        raise error
    return seconds


def _number(given: str, name: str) -> float:
    if _NUMBER.fullmatch(given) is None:
        message = f"Invalid type for '{name}': expected a number, but got a string instead."
        raise invalid(message, param=name, code="invalid_type")
    return float(given)


def waits_in_line(call: Call[Any]) -> bool:
    """Return whether what a busy thread would refuse shall wait instead (``Clew-When-Busy: queue``).

    Raises:
        ApiError: the header says something else.
    """
    wish = call.header(b"clew-when-busy") or "fail"
    if wish not in ("fail", "queue"):
        raise bad_choice("Clew-When-Busy", wish, ["fail", "queue"])
    return wish == "queue"
