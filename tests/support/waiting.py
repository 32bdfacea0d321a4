"""Transactions of PostgreSQL that wait for each other, and tests that wait until they do."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


class Gate:
    """A store function that stops in the middle of its transaction until it is let through."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Any]:
    connection: Any = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_somebody_waits(url: str, at_least: int = 1) -> None:
    """Return when so many transactions of the database stand before a lock."""
    query = """SELECT count(*) >= $1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    async with watching(url) as connection, asyncio.timeout(10):
        for pause in itertools.repeat(0.005):
            if await connection.fetchval(query, at_least):
                return
            await asyncio.sleep(pause)


async def until_so(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when something holds that only rows tell; it is asked again and again, between others' turns."""
    async with asyncio.timeout(10):
        for _ in itertools.repeat(None):
            if await holds():
                return
            await asyncio.sleep(0)
