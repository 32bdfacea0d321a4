"""What a handler is given: one request, checked, with everything it may use."""

import re
from collections.abc import Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from clew.bus.dispatch import Dispatch
from clew.bus.events import Events
from clew.clock import Clock
from clew.ids import Ids
from clew.store.database import Database
from clew.store.pages import PageRequest
from clew.wire.errors import invalid
from clew.wire.explain import bad_choice, check_range

B = TypeVar("B")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class Services(Struct, frozen=True, kw_only=True):
    """What the API stands on."""

    db: Database
    dispatch: Dispatch
    events: Events
    clock: Clock
    ids: Ids
    models: tuple[str, ...]
    run_expiry: int
    """Milliseconds after which an unfinished run expires."""


class Call(Struct, Generic[B], kw_only=True):
    """One request to an operation. ``project`` is the caller's; ``body`` is of the declared type."""

    services: Services
    operation: str
    project: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: B

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.services.clock.now()


def page_request(call: Call[None]) -> PageRequest:
    """Return which part of a list the query asks for.

    Raises:
        ApiError: ``limit`` is not a whole number from 1 to 100, or ``order`` is unknown.
    """
    query = call.query
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad_choice("order", order, ["asc", "desc"])
    return PageRequest(
        limit=_limit(query.get("limit") or "20"),
        order="asc" if order == "asc" else "desc",
        after=query.get("after") or None,
        before=query.get("before") or None,
    )


def _limit(given: str) -> int:
    if _WHOLE_NUMBER.fullmatch(given) is None:
        message = "Invalid type for 'limit': expected an integer, but got a string instead."
        raise invalid(message, param="limit", code="invalid_type")
    limit = int(given)
    for error in check_range("limit", limit, least=1, most=100, whole=True):
        raise error
    return limit
