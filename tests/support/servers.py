"""One server after another on the same database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server


class Servers:
    """Starts servers on one database, with one clock that all of them go by."""

    def __init__(self, place: Place, model_url: str, http: httpx2.Client) -> None:
        self.place = place
        self.clock = ManualClock()
        self.model_url = model_url
        self._http, self._ids = http, CountingIds()

    @contextmanager
    def start(self, **options: Any) -> Iterator[Api]:
        """Serve, and give the API as project alpha sees it. ``options`` are :class:`Server`'s."""
        with Server(self.place, self.model_url, clock=self.clock, ids=self._ids, **options) as server:
            self.server = server
            yield Api(self._http, server.url, KEYS["alpha"])
