"""Vector stores get the vectors of another embedder: file by file, while the old ones serve.

What was read of the files stays as it is. Each chunk is cut into windows anew, for embedders see more or less
of a text at once. A file's vectors are stored together, so an attempt that is broken off goes on with the
file that it was at. Once no file lacks any, one transaction makes the new ones the store's.
"""

import logging
from functools import partial

from clew.core.due import Limits, Work
from clew.engine.due_work import Context, Done, Failed, Kind, Outcome
from clew.engine.ingestion import vectors_of
from clew.search.embedder import Embedder, Unembeddable
from clew.search.splitting import Splitter
from clew.store import reindexing, store_files, vector_stores
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.store.store_files import REINDEX

_RETRIES = (1_000, 5_000, 30_000, 120_000)
"""Milliseconds between attempts that get no further; after the last it is given up."""

_FILES, _CHUNKS = 64, 256
"""How many are looked for at once."""

_log = logging.getLogger(__name__)


class Reindex(Kind):
    """Gives stores the vectors of another embedder.

    Args:
        embedder: makes them; None where stores are searched by words alone. Whoever takes files into stores
            closes it.
    """

    name = REINDEX
    limits = Limits(2, 1, 1)
    """Little, so that files that are new are not kept waiting by those that can be found already."""
    notes_attempts = True

    def __init__(self, db: Database, embedder: Embedder | None) -> None:
        self._db, self._embedder = db, embedder
        self._splitter = Splitter()

    async def perform(self, work: Work, context: Context) -> Outcome:
        store = await self._db.fetch(vector_stores.get, work.project, work.id)
        if store is None:
            return Done()
        name = None if self._embedder is None else self._embedder.name
        if work.payload["embedder"] != name:
            wanted = work.payload["embedder"] or "no model"
            return _failed(
                work, f"It was to get vectors of {wanted}, and this server embeds with {name or 'none'}."
            )
        try:
            while not await self._switched(work, context, name):
                await self._embed_files(work, context)
        except Unembeddable as error:
            return _failed(context.work, error.message, final=not error.again)
        await self._clean(work, context, name)
        return Done()

    async def _switched(self, work: Work, context: Context, name: str | None) -> bool:
        """Make the new vectors the store's unless some are lacking; return whether they are."""
        switched: list[bool] = []

        async def switch(tx: Transaction) -> None:
            switched[:] = [await reindexing.switch(tx, work.project, work.id, name)]

        if await self._db.scan(reindexing.lacking, work.id, name, 0, 1):
            return False  # known without a commit
        await context.progress(None, switch)
        if switched[0]:
            _log.info("%s has the vectors of %s now", work.id, name or "nobody")
        return switched[0]

    async def _embed_files(self, work: Work, context: Context) -> None:
        """Make the vectors that are lacking, those of files too that come meanwhile."""
        embedder, after = self._embedder, 0
        assert embedder is not None, "nothing is lacking where nobody embeds"
        while some := await self._db.scan(reindexing.lacking, work.id, embedder.name, after, _FILES):
            for store_file in some:
                texts = await self._texts(store_file)
                windows, ranges = await self._splitter.windows(texts, embedder.window_tokens)
                found = await vectors_of(windows, ranges, embedder)
                add = partial(
                    reindexing.add,
                    project=work.project,
                    store_id=work.id,
                    store_file=store_file,
                    found=found,
                )
                await context.progress(None, add)
            after = some[-1]

    async def _texts(self, store_file: int) -> list[str]:
        texts, first = list[str](), 0
        while some := await self._db.scan(store_files.chunks_of, store_file, first, _CHUNKS):
            texts += [chunk.text for chunk in some]
            first = some[-1].number + 1
        return texts

    async def _clean(self, work: Work, context: Context, name: str | None) -> None:
        """Delete the vectors that served until now, one file at a time, as long as the work is ours."""
        after = 0
        while some := await self._db.scan(reindexing.outdated, work.id, name, after, _FILES):
            for store_file in some:
                drop = partial(
                    reindexing.drop_outdated,
                    project=work.project,
                    store_id=work.id,
                    store_file=store_file,
                    embedder=name,
                )
                await context.progress(None, drop)
            after = some[-1]

    def delay(self, work: Work) -> int | None:
        return _RETRIES[work.attempts] if work.attempts < len(_RETRIES) else None

    def broken_off(self, work: Work) -> Failed:
        return _failed(work, "The server broke off while it made the vectors. Its log says more.")

    async def close(self) -> None:
        self._splitter.close()


def _failed(work: Work, error: str, *, final: bool = False) -> Failed:
    """Return a failed attempt; after the last one the store says why. Its old vectors go on serving."""

    async def result(tx: Transaction, due: int | None) -> None:
        if due is None:
            await reindexing.give_up(tx, work.project, work.id, error)

    return Failed(error, result, final=final)
