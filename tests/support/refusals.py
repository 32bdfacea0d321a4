"""Refused requests, and that they leave nothing behind."""

from typing import Any

from tests.support.api import Api, Json
from tests.support.database import dump
from tests.support.server import Server


class Unchanged:
    """Holds every row of the database against what it was on entering. A context manager."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before: dict[str, list[tuple[object, ...]]] = {}

    def __enter__(self) -> None:
        self._before = dump(self._server.place)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            assert dump(self._server.place) == self._before, "a refused request has left something behind"


class Refuses:
    """Sends requests that must be refused and leave nothing behind."""

    def __init__(self, api: Api, unchanged: Unchanged) -> None:
        self._api, self._unchanged = api, unchanged

    def __call__(
        self, status: int, method: str, path: str, json: Any = None, api: Api | None = None, **more: Any
    ) -> Json:
        """Return the error object."""
        with self._unchanged:
            return (api or self._api).refused(status, method, path, json, **more)
