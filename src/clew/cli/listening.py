"""What ``clew listen`` hears: what webhooks are told, from a project's feed, over lost connections.

The feed says what changes, and keeps nothing: after a loss, runs that were live are asked for, and those that
were created since are listed. An event is told once.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import TypeAlias

from msgspec import Struct

from clew.cli.watched import news
from clew.ids import RandomIds
from clew.toolkit.errors import ConnectionFailed, NotFound, ServerFault, ToolkitError
from clew.toolkit.records import TERMINAL, Json, RunChange
from clew.toolkit.service import Service

EVENTS = {f"run.{status}": status for status in (*sorted(TERMINAL), "requires_action")}
"""The status of which each event tells."""

_TOLD = tuple(EVENTS.values())
_MOST_REMEMBERED = 10_000
_OVERLAP = 60
"""Seconds before the last event that are looked at again after a loss: clocks of servers differ."""

_PAGE = 100


class Event(Struct, frozen=True):
    """What a webhook would be told: ``run`` is the run as the API shows it."""

    id: str
    name: str
    at: int
    run: Json

    def body(self) -> Json:
        """Return what a webhook would be sent."""
        return {"id": self.id, "type": self.name, "created_at": self.at, "data": self.run}


Heard: TypeAlias = Event | ToolkitError | None
"""An event; why the feed was lost; or None once it is read, at first and again after a loss."""


class Listener:
    """Hears a project's events."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ids = RandomIds()
        self._live: dict[str, int] = {}
        """The versions of runs that were live when they were last heard of."""
        self._told: dict[str, None] = {}
        self._last_at: int | None = None
        self._began = False

    async def events(self) -> AsyncGenerator[Heard, None]:
        """Yield what happens from now on, for ever.

        Raises:
            ToolkitError: the service refuses.
        """
        async with aclosing(news(self._service)) as told:
            async for each in told:
                if isinstance(each, ToolkitError):
                    yield each
                    continue
                try:
                    async for event in self._of_change(each) if each is not None else self._of_gap():
                        yield event
                except (ConnectionFailed, ServerFault) as error:
                    yield error
                    continue
                if each is None:
                    self._began = True
                    yield None

    async def _of_change(self, change: RunChange) -> AsyncIterator[Event]:
        """Yield the event that a change is, if it is one."""
        if change.version <= self._live.get(change.run, -1):
            return
        if change.status in TERMINAL:
            self._live.pop(change.run, None)
        else:
            self._live[change.run] = change.version
        self._last_at = max(change.at, self._last_at or 0)
        if self._began and change.status in _TOLD:
            try:
                run = await self._service.arequest("GET", "threads", change.thread, "runs", change.run)
            except NotFound:  # deleted since
                return
            for event in self._of_runs([run], change.at, only=change.status):
                yield event

    async def _of_gap(self) -> AsyncIterator[Event]:
        """Yield what has happened while nobody listened; at first, only remember it."""
        query: dict[str, str | int] = {"limit": _PAGE, "status": ",".join(_TOLD)}
        if not self._began:
            page = await self._service.arequest("GET", "runs", query=query)
            self._last_at = max((run["created_at"] for run in page["data"]), default=None)
            for run in page["data"]:
                self._remember(_key(run))
            return
        for run in await self._missed(query):
            for event in self._of_runs([run], _ended_at(run) or self._last_at or run["created_at"]):
                yield event

    async def _missed(self, query: dict[str, str | int]) -> list[Json]:
        """Return runs that may have come to something in a gap, the oldest first."""
        if self._last_at is not None:
            query["created_after"] = max(0, self._last_at - _OVERLAP)
        found: dict[str, Json] = {}
        following: str | None = None
        while True:
            more = {} if following is None else {"after": following}
            page = await self._service.arequest("GET", "runs", query={**query, "order": "asc", **more})
            found |= {run["id"]: run for run in page["data"]}
            following = page["next"]
            if following is None:
                break
        for run_id in [each for each in self._live if each not in found]:
            run = await self._find(run_id)
            if run is None or run["status"] in TERMINAL:
                del self._live[run_id]
            if run is not None:
                found[run_id] = run
        return sorted(found.values(), key=lambda run: int(run["created_at"]))

    async def _find(self, run_id: str) -> Json | None:
        """Return a run of which only the id is known; the list knows its neighbour."""
        newer = await self._service.arequest(
            "GET", "runs", query={"limit": 1, "order": "asc", "after": run_id}
        )
        after = {"after": newer["data"][0]["id"]} if newer["data"] else {}
        page = await self._service.arequest("GET", "runs", query={"limit": 1, **after})
        return next((run for run in page["data"] if run["id"] == run_id), None)

    def _of_runs(self, runs: Iterable[Json], at: int, only: str | None = None) -> Iterable[Event]:
        """Yield the events that runs are, unless they were told, or the runs have gone on since."""
        for run in runs:
            key = _key(run)
            if run["status"] not in _TOLD or key in self._told or only not in (None, run["status"]):
                continue
            self._remember(key)
            name = f"run.{run['status']}"
            yield Event(self._ids.derived("evt_", key), name, at, run)

    def _remember(self, key: str) -> None:
        self._told[key] = None
        if len(self._told) > _MOST_REMEMBERED:
            del self._told[next(iter(self._told))]


def _key(run: Json) -> str:
    """Return what tells an event of a run from its others: it may require action several times."""
    action = run.get("required_action") or {}
    calls = action.get(action.get("type"), {}).get("tool_calls", [])
    return "/".join((run["id"], run["status"], *(call["id"] for call in calls)))


def _ended_at(run: Json) -> int | None:
    moment: int | None = run["completed_at"] or run["failed_at"] or run["cancelled_at"]
    return moment
