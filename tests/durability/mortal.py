"""A server that dies at the n-th transaction of its life, just before or just after that commit."""

import asyncio
import threading
from pathlib import Path
from typing import Literal

from clew.blobs.folder import Folder
from clew.clock import Clock
from clew.ids import Ids
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.store.database import Database, P, StoreFunction, T
from clew.store.pgvector import Pgvector
from clew.store.postgres import PostgresDatabase
from clew.store.sqlite import SqliteDatabase
from tests.durability.remains import age, remains
from tests.support.blobs import blobs_of
from tests.support.database import Place, copy_database, query
from tests.support.server import Server

Moment = Literal["before", "after"]


class Died(BaseException):
    """The process is no more. Nothing in it may catch this."""


class MortalDatabase:
    """A database that counts its transactions, and dies at one of them. The dead neither read nor write."""

    def __init__(self, inner: Database, at: int | None, moment: Moment) -> None:
        self.inner, self._at, self._moment = inner, at, moment
        self.count = 0
        self.died = threading.Event()

    @property
    def pgvector(self) -> Pgvector | None:
        return self.inner.pgvector

    async def open(self) -> None:
        await self.inner.open()

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._live()
        self.count += 1
        mine = self.count == self._at
        if mine and self._moment == "before":
            self._die()
        result = await self.inner.write(function, *args, **kwargs)
        if mine:
            self._die()
        self._live()
        return result

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._live()
        return await self.inner.fetch(function, *args, **kwargs)

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._live()
        return await self.inner.read(function, *args, **kwargs)

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._live()
        return await self.inner.scan(function, *args, **kwargs)

    async def fence(self, name: str) -> None:
        self._live()
        await self.inner.fence(name)

    def refusing(self) -> str | None:
        return self.inner.refusing()

    async def close(self) -> None:
        await self.inner.close()

    def hang_up(self) -> None:
        """Break the connections, as the system does with those of a process that dies."""
        if isinstance(self.inner, PostgresDatabase):
            for connection in (*self.inner._pool._free, self.inner._lock_holder):
                if connection is not None:
                    connection.terminate()

    def _live(self) -> None:
        if self.died.is_set():
            raise Died

    def _die(self) -> None:
        self.died.set()
        raise Died


class Life:
    """One server after another on one database; the first may be mortal.

    Args:
        place: the database. A SQLite file is copied at a death, as the files then are, and the copy
            is what the next server finds.
        at: the transaction at which the first server dies; None for never.
        embeddings: the model that makes vectors.
    """

    def __init__(
        self,
        place: Place,
        model_url: str,
        *,
        clock: Clock,
        ids: Ids,
        at: int | None,
        moment: Moment,
        embeddings: str = "scripted-embedding",
    ) -> None:
        self._place, self._model_url, self._clock, self._ids = place, model_url, clock, ids
        self._embeddings = embeddings
        self._blobs = blobs_of(place)
        self.deaths = 0
        self._begin(at, moment)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def place(self) -> Place:
        """The database, as it is after the deaths until now."""
        return self._place

    @property
    def transactions(self) -> int:
        """How many the server that lives now has begun."""
        return self._db.count

    @property
    def is_dead(self) -> bool:
        return self._db.died.is_set()

    def _begin(self, at: int | None, moment: Moment) -> None:
        def wrap(db: Database) -> Database:
            self._db = MortalDatabase(db, at, moment)
            return self._db

        self._server = Server(
            self._place,
            self._model_url,
            clock=self._clock,
            ids=self._ids,
            outbound=GuardedHttp(Guard("127.0.0.1"), timeout=5),
            wrap=wrap,
            embeddings=self._embeddings,
            blobs=self._blobs,
        )
        self._server.__enter__()

    def left_to_do(self) -> bool:
        """Return whether files are still to be read, or what was read of them to be deleted."""
        return bool(query(self._place, "SELECT id FROM due_work WHERE kind IN ('ingestion', 'purge')"))

    def remains(self) -> list[str]:
        """Return what is left over, or missing, after the end, once blobs were swept."""

        def blobs(_: Database, later: Clock) -> Folder:
            age(self._blobs.path, later)
            return self._blobs

        return remains(self._place, blobs)

    def go_on(self) -> None:
        """Bury the dead server and start another one on what it has left."""
        self.deaths += 1
        left = self._place
        if isinstance(left, Path):
            left = copy_database(left, left.with_name(f"{left.stem}-after.db"))
        self.end()
        self._place = left
        self._begin(None, "before")

    def end(self) -> None:
        """Stop the server in the middle of everything."""
        self._server.abandon(self._db.hang_up)
        if isinstance(self._db.inner, SqliteDatabase):
            asyncio.run(self._db.inner.close())  # its threads; what they still write is not looked at
