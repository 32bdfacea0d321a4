"""What generated requests are sent to, and what is made of them before they go."""

import itertools
import re
from typing import Any, NamedTuple

import requests
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from clew.http.idempotency import LONGEST_KEY
from clew.testing.server import RunningServer
from tests.support.api import Api
from tests.support.operations import World

IDLE_WEBHOOK: dict[str, Any] = {"url": "https://example.com/hook", "events": ["run.expired"]}
"""A webhook that is told of what never happens here."""

_KEYS = ("Idempotency-Key", "x-ms-client-request-id")
_numbers = itertools.count()


class Target(NamedTuple):
    """A running server with one of each object."""

    server: RunningServer
    api: Api
    world: World
    session: requests.Session

    @property
    def sending(self) -> dict[str, Any]:
        """Return how schemathesis sends a case there."""
        return {
            "base_url": f"{self.server.url}{self.api.root}",
            "session": self.session,
            "headers": {"Authorization": f"Bearer {self.api.key}", "X-Forwarded-For": _elsewhere()},
        }


def _elsewhere() -> str:
    """Return another address each time: of one, so many wrong keys would be held back."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def prepare(case: Case[Any], world: World) -> None:
    """Aim a case at objects that exist, so that nothing but what is wrong with it is in its way.

    What was made wrong stays wrong. Deletions keep their ids, for the world is there for all.
    """
    meta = case.meta
    assert meta is not None
    if not meta.is_negative_at(ParameterLocation.PATH) and case.operation.method != "delete":
        known = world._asdict()
        case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
    prepare_headers(case)
    prepare_body(case, world)


def prepare_headers(case: Case[Any]) -> None:
    """Have every request done, not answered as an earlier one with the same idempotency key."""
    if case.meta is not None and not case.meta.is_negative_at(ParameterLocation.HEADER):
        for name in set(_KEYS) & set(case.headers or {}):
            case.headers[name] = f"{next(_numbers)} {case.headers[name]}"[:LONGEST_KEY]
        if "Range" in (case.headers or {}):
            case.headers["Range"] = "bytes=0-3"  # which bytes a file has, the document can't say


def prepare_body(case: Case[Any], world: World) -> None:
    """Have runs made with an agent that exists, and nothing made that stands in the way of later cases."""
    if not isinstance(case.body, dict):
        return
    if isinstance(case.body.get("assistant_id"), str):
        case.body = case.body | {"assistant_id": world.assistant_id}
    if case.meta is not None and not case.meta.is_negative_at(ParameterLocation.BODY):
        known = _INSTEAD.get(_name(case), {})
        case.body = case.body | {name: value for name, value in known.items() if name in case.body}


_INSTEAD: dict[str, Any] = {
    "update_thread": {"token_budget": None},
    "create_run": {"tool_resources": None},  # for the Azure root only
    "create_webhook": IDLE_WEBHOOK,
    "create_vector_store": {"chunking_strategy": None, "configuration": None},
    "create_store_file": {"chunking_strategy": None},
    "create_file_batch": {"chunking_strategy": None},
    "search_vector_store": {"filters": None},  # how deep they may be, no schema can say
}
"""What stands in right bodies instead of what was generated: no less right."""


def _name(case: Case[Any]) -> str:
    return str(case.operation.definition.raw["operationId"])


_STATES = re.compile(
    r"already has an active run|while a run \S+ is active"
    r"|^Cannot cancel run with status|^Runs in status .* do not accept tool outputs"
    r"|has used up its token budget|^A project has at most|^Invalid 'url': "
    r"|^This server keeps no vector stores yet|^Invalid 'tool_choice': there is no function"
    r"|^Cannot cancel file batch|is expired\.|^This server has no data sources"
    r"|^Missing required parameter: '\S*(file_id|data_sources?)'|^Give '\S+' or \S+"
)
"""Refusals of requests that are well formed: for what the objects are like, which no schema says."""


def is_about_state(message: str) -> bool:
    """Return whether a refusal is for the state of things and not for the request's form."""
    return _STATES.search(message) is not None
