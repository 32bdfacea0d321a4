"""What stays in a database and beside it when everything is over: nothing half, nothing without an owner."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import httpx2

from clew.blobs.blobs import Blobs
from clew.clock import Clock, SystemClock
from clew.engine.blob_sweep import BlobSweep
from clew.engine.due_work import Context
from clew.ids import RandomIds
from clew.process import Process
from clew.store import files
from clew.store.database import Database
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.database import Place, change, query
from tests.support.store import opened
from tests.support.wait import until

BlobsOf: TypeAlias = Callable[[Database, Clock], Blobs]

_LATER = 2 * 3600 * 1000
"""Milliseconds after which the sweep takes what no file names."""

_WORK = "kind IN ('ingestion', 'purge')"
_NO_FILE = "store_file NOT IN (SELECT seq FROM store_files)"
_NO_STORE = "store_id NOT IN (SELECT id FROM vector_stores)"
_WRONG = {
    "chunks that belong to no file": f"chunks WHERE {_NO_FILE}",
    "vectors that belong to no file": f"vectors WHERE {_NO_FILE}",
    "files that were read and have no vectors": "store_files WHERE status = 'completed' "
    "AND seq NOT IN (SELECT store_file FROM vectors)",
    "files in stores that are there no more": "store_files WHERE id NOT IN (SELECT id FROM files)",
    "files of stores that are there no more": f"store_files WHERE {_NO_STORE}",
    "batches of stores that are there no more": f"file_batches WHERE {_NO_STORE}",
}
_WORDS = "chunk_words FULL JOIN chunks USING (seq) WHERE chunk_words.seq IS NULL OR chunks.seq IS NULL"


@contextmanager
def hastened(place: Place, urls: Callable[[], list[str]], key: str) -> Iterator[Callable[[], None]]:
    """Have files whose reading was broken off be read anew at once; give what waits until all are read."""
    over = threading.Event()
    with httpx2.Client(timeout=20) as http:

        def hasten() -> bool:
            change(place, f"UPDATE due_work SET due = 0 WHERE owner IS NULL AND {_WORK}")
            Api(http, urls()[0], key).post("/vector_stores", {"name": "whose making wakes what reads files"})
            return over.wait(0.3)

        def done() -> bool:
            return not query(place, f"SELECT id FROM due_work WHERE {_WORK}")

        def wait_done() -> None:
            until(done, 60)

        thread = threading.Thread(target=lambda: until(hasten, 600), daemon=True)
        thread.start()
        try:
            yield wait_done
        finally:
            over.set()
            thread.join()


def remains(place: Place, blobs_of: BlobsOf) -> list[str]:
    """Return what is left over, or missing, once blobs were swept two hours later. Nobody may be at work."""
    complaints = []
    for what, where in _WRONG.items():
        if count := query(place, f"SELECT count(*) FROM {where}")[0][0]:
            complaints.append(f"there are {count} {what}")
    if not _words_agree(place):
        complaints.append("what is found by words is not what there is")
    return complaints + asyncio.run(_blobs(place, blobs_of))


def _words_agree(place: Place) -> bool:
    if not isinstance(place, Path):
        return not query(place, f"SELECT count(*) FROM {_WORDS}")[0][0]
    with closing(sqlite3.connect(place)) as connection:
        try:
            connection.execute("INSERT INTO chunk_words (chunk_words, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError:
            return False
    return True


async def _blobs(place: Place, blobs_of: BlobsOf) -> list[str]:
    """Sweep, and hold what is there against the rows of files."""
    later = ManualClock(SystemClock().now() + _LATER)
    async with opened(place) as db:
        blobs, process = blobs_of(db, later), Process(later, RandomIds())
        work = files.sweep(0)
        await BlobSweep(db, blobs, process).perform(work, Context(db, work, noted=0))
        there = {found.key async for found in blobs.found()}
    named = {row[0] for row in query(place, "SELECT blob FROM files")}
    complaints = [f"the blob {key} belongs to no file" for key in there - named]
    return complaints + [f"the blob {key} is not there" for key in named - there]


def age(folder: Path, later: Clock) -> None:
    """Make all files of a folder as old as they would be then."""
    seconds = (later.now() - SystemClock().now()) / 1000
    for each in folder.rglob("*"):
        if each.is_file():
            then = each.stat().st_mtime - seconds
            os.utime(each, (then, then))
