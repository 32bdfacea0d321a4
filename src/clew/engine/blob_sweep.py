"""The sweep of blobs: what no file names any more, or never did, is deleted.

A file that is uploaded has its bytes before its row, and one that is deleted loses its row first; whoever is
killed in between leaves bytes that nobody names. They stay for an hour, since an upload may be under way.
"""

import logging

from clew.blobs.blobs import Blobs
from clew.core.due import Limits, Work
from clew.engine.due_work import Context, Done, Kind, Later, Outcome
from clew.process import Process
from clew.store import files
from clew.store.database import Database
from clew.store.files import BLOB_SWEEP, HOUR

_YOUNG = 3600.0
"""Seconds for which a blob that no file names is left alone."""

_AT_ONCE = 200
"""Blobs whose names are looked for in one transaction."""

_RETRY = (60_000, HOUR)

_log = logging.getLogger(__name__)


class BlobSweep(Kind):
    """Looks through the blobs an hour after a start, and once an hour as long as something was left alone."""

    name = BLOB_SWEEP
    limits = Limits(1, 1, 1)
    notes_attempts = True

    def __init__(self, db: Database, blobs: Blobs, process: Process) -> None:
        self._db, self._blobs, self._clock = db, blobs, process.clock

    async def perform(self, work: Work, context: Context) -> Outcome:
        young = gone = 0
        batch: list[str] = []
        async for key, age in self._blobs.found():
            if age < _YOUNG:
                young += 1
                continue
            batch.append(key)
            if len(batch) == _AT_ONCE:
                gone += await self._swept(batch)
                batch = []
        gone += await self._swept(batch)
        if gone:
            _log.info("%d blobs were deleted that no file names", gone, extra={"fields": {"blobs": gone}})
        return Later(self._clock.now() + HOUR) if young else Done()

    async def _swept(self, keys: list[str]) -> int:
        unnamed = await self._db.scan(files.unnamed, keys) if keys else []
        for key in unnamed:
            await self._blobs.remove(key)
        return len(unnamed)

    def standing(self, now: int) -> Work:
        return files.sweep(now)

    def delay(self, work: Work) -> int:
        return _RETRY[min(work.attempts, len(_RETRY) - 1)]

    async def close(self) -> None:
        """Nothing is held."""
