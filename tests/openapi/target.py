"""What generated requests are sent to, and what is made of them before they go."""

import itertools
import re
from typing import Any, NamedTuple

from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from clew.http.once import LONGEST_KEY
from clew.testing.server import RunningServer
from tests.support.api import Api
from tests.support.operations import World

_KEY = "Idempotency-Key"
_KEYS = (_KEY, "x-ms-client-request-id")
_numbers = itertools.count()


class Target(NamedTuple):
    """A running server with one of each object."""

    server: RunningServer
    api: Api
    world: World

    @property
    def sending(self) -> dict[str, Any]:
        """Return how schemathesis sends a case there."""
        return {
            "base_url": f"{self.server.url}{self.api.root}",
            "headers": {"Authorization": f"Bearer {self.api.key}"},
        }


def prepare(case: Case, world: World) -> None:
    """Aim a case at objects that exist, so that nothing but what is wrong with it is in its way.

    What was made wrong stays wrong. Deletions keep their ids, for the world is there for all.
    """
    meta = case.meta
    assert meta is not None
    if not meta.is_negative_at(ParameterLocation.PATH) and case.operation.method != "delete":
        known = world._asdict()
        case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
    if not meta.is_negative_at(ParameterLocation.BODY) and isinstance(case.body, dict):
        if "assistant_id" in case.body:
            case.body = case.body | {"assistant_id": world.assistant_id}
    if not meta.is_negative_at(ParameterLocation.HEADER):
        for name in set(_KEYS) & set(case.headers or {}):
            case.headers[name] = f"{next(_numbers)} {case.headers[name]}"[:LONGEST_KEY]


_STATES = re.compile(
    r"already has an active run|while a run \S+ is active"
    r"|^Cannot cancel run with status|^Runs in status .* do not accept tool outputs"
    r"|^This server keeps no vector stores yet|^Invalid 'tool_choice': there is no function"
)
"""Refusals of requests that are well formed: for what the objects are like, which no schema says."""


def is_about_state(message: str) -> bool:
    """Return whether a refusal is for the state of things and not for the request's form."""
    return _STATES.search(message) is not None
