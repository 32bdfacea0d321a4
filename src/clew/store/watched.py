"""A database whose transactions are watched. Where nobody watches them, none is put before it."""

import asyncio
from typing import TYPE_CHECKING

from clew.hooks import Hooks, StoreWrote
from clew.store.database import Database, P, StoreFunction, T

if TYPE_CHECKING:
    from clew.store.pgvector import Pgvector


class WatchedDatabase:
    """Tells hooks of every transaction that writes; all else goes through."""

    def __init__(self, inner: Database, hooks: Hooks) -> None:
        self._inner, self._hooks = inner, hooks

    @property
    def pgvector(self) -> "Pgvector | None":
        return self._inner.pgvector

    async def open(self) -> None:
        await self._inner.open()

    async def write(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        now = asyncio.get_running_loop().time
        begun, error = now(), None
        try:
            return await self._inner.write(function, *args, **kwargs)
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            name = getattr(function, "__name__", type(function).__name__)
            self._hooks.tell(StoreWrote(name=name, ms=int((now() - begun) * 1000), error=error))

    async def fetch(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._inner.fetch(function, *args, **kwargs)

    async def read(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._inner.read(function, *args, **kwargs)

    async def scan(self, function: StoreFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._inner.scan(function, *args, **kwargs)

    async def fence(self, name: str) -> None:
        await self._inner.fence(name)

    def refusing(self) -> str | None:
        return self._inner.refusing()

    async def close(self) -> None:
        await self._inner.close()
