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
