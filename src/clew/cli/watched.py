"""What ``clew runs watch`` knows: the project's live and newest runs, from the list and from the feed.

The feed says what changes, the list what a run is; neither is asked again while nothing changes.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import TypeAlias

import anyio
import msgspec

from clew.cli import output
from clew.toolkit.errors import ConnectionFailed, ServerFault, ToolkitError
from clew.toolkit.records import Run, RunChange
from clew.toolkit.service import Service

LIVE = ("queued", "in_progress", "requires_action", "cancelling")
RECENT, MOST_LIVE = 50, 500
"""So many of the newest runs are shown, and of the live ones so many however old they are."""

_PAGE = 100
_PAUSE = 1.0
"""Seconds before a lost feed is asked for again."""

News: TypeAlias = RunChange | ToolkitError | None
"""A change; or why the feed was lost; or None where the list must be read: at first and after a loss."""

_decode = msgspec.json.Decoder(RunChange).decode


async def news(service: Service) -> AsyncGenerator[News, None]:
    """Yield what the feed tells, for ever. A lost connection is made again.

    Raises:
        ToolkitError: the service refuses.
    """
    while True:
        try:
            async with service.astream_changes() as events:
                async for event in events:
                    if event.name == "run.changed":
                        yield _decode(event.data)
                    elif event.name in ("ready", "resync"):
                        yield None
        except (ConnectionFailed, ServerFault) as error:
            yield error
            await anyio.sleep(_PAUSE)


class Board:
    """The runs that are shown, the newest first."""

    def __init__(self, thread_id: str | None = None) -> None:
        self._only_thread = thread_id
        self.runs: dict[str, Run] = {}
        self.stale = True
        """Whether the list would say more than is known."""
        self._versions: dict[str, int] = {}
        self._told: dict[str, str] = {}
        """The statuses that were told since the list was last asked for: they are newer than it."""

    def hear(self, change: RunChange) -> bool:
        """Take a change in; return whether it is news."""
        if self._only_thread not in (None, change.thread):
            return False
        if change.version <= self._versions.get(change.run, -1):
            return False
        self._versions[change.run] = change.version
        self._told[change.run] = change.status
        self.stale = True
        if (run := self.runs.get(change.run)) is not None:
            self.runs[run.id] = msgspec.structs.replace(run, status=change.status)
        return True

    async def look(self, service: Service) -> None:
        """Read the list."""
        self._told, self.stale = {}, False
        try:
            if self._only_thread is not None:  # a list of what is gone is only empty
                await service.aget_thread(self._only_thread)
            live = await _live(service, self._only_thread)
            recent = await service.alist_project_runs(thread_id=self._only_thread, limit=RECENT)
        except BaseException:
            self.stale = True
            raise
        # Live runs that are not among the newest are older than those.
        self.runs = {run.id: self._as_told(run) for run in (*recent.data, *live)}
        self._versions = {
            run_id: version
            for run_id, version in self._versions.items()
            if run_id in self.runs or run_id in self._told
        }

    def _as_told(self, run: Run) -> Run:
        status = self._told.get(run.id, run.status)
        return run if status == run.status else msgspec.structs.replace(run, status=status)

    def most_active(self, shown: str | None) -> str | None:
        """Return the run to show: the newest at work, else what is shown, else the newest live one."""
        live = [run for run in self.runs.values() if not run.is_terminal]
        at_work = [run.id for run in live if run.status == "in_progress"]
        still_there = [shown] if shown in self.runs else []
        return next(iter((*at_work, *still_there, *(run.id for run in live))), None)


async def _live(service: Service, thread_id: str | None) -> Sequence[Run]:
    found: list[Run] = []
    after: str | None = None
    while len(found) < MOST_LIVE:
        page = await service.alist_project_runs(statuses=LIVE, thread_id=thread_id, limit=_PAGE, after=after)
        found += page.data
        if not page.has_more or not page.data:
            break
        after = page.last_id
    return found


def find_run(service: Service, run_id: str) -> Run | None:
    """Return the run of an id, wherever it is: the list knows its neighbour."""
    newer = service.list_project_runs(limit=1, order="asc", after=run_id)
    found = service.list_project_runs(limit=1, after=newer.data[0].id if newer.data else None)
    return next((run for run in found.data if run.id == run_id), None)


def line_of(run: Run) -> Sequence[str]:
    """Return what a list says of a run: status, when, its id, tokens, model, its thread's id."""
    tokens = "" if run.usage is None else f"{run.usage.prompt_tokens} + {run.usage.completion_tokens}"
    return run.status, output.when(run.created_at)[5:], run.id, tokens, run.model, run.thread_id
