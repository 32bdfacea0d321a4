"""Retention: threads of a project in which nothing happens are deleted after so many days."""

import logging
from functools import partial

from clew.core.due import Limits, Work
from clew.core.projects import Project, idle_before
from clew.engine.due_work import Context, Done, Kind, Later, Outcome
from clew.process import Process
from clew.store import projects, retention
from clew.store.database import Database
from clew.store.projects import RETENTION

DAY = 24 * 3600 * 1000
_RETRY = (1_000, 60_000, 3600 * 1000)
"""Milliseconds after attempts that got no further; the last goes on for ever.

The first may well have been one whose process was killed.
"""

_log = logging.getLogger(__name__)


class Retention(Kind):
    """Looks through a project's threads once a day. A round that breaks off goes on where it was."""

    name = RETENTION
    limits = Limits(1, 1, 1)
    notes_attempts = True

    def __init__(self, db: Database, process: Process) -> None:
        self._db, self._clock = db, process.clock

    async def perform(self, work: Work, context: Context) -> Outcome:
        project = await self._db.fetch(projects.get, work.project)
        if project is None or project.limits.keep_days is None:
            return Done()
        before = idle_before(project.limits.keep_days, self._clock.now())
        after, deleted = work.progress or (0, 0)
        while after is not None:
            page = await self._db.scan(retention.idle, project.name, before, after)
            for thread_id in page.threads:
                deleted += await self._db.write(retention.remove, project.name, thread_id, before)
            after = page.after
            if after is not None:
                await context.progress((after, deleted))
        return Later(self._clock.now() + DAY, stored=partial(_tell, project, deleted))

    def delay(self, work: Work) -> int:
        return _RETRY[min(work.attempts, len(_RETRY) - 1)]

    async def close(self) -> None:
        """Nothing is held."""


def _tell(project: Project, deleted: int, _: int | None) -> None:
    days = project.limits.keep_days
    fields = {"project": project.name, "deleted_threads": deleted, "keep_days": days}
    said = "project %s: %d threads were deleted in which nothing had happened for %s days"
    level = logging.INFO if deleted else logging.DEBUG
    _log.log(level, said, project.name, deleted, days, extra={"fields": fields})
