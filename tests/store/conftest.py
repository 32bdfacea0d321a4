"""What the tests of the store share."""

from collections.abc import AsyncIterator

import pytest

from clew.clock import SystemClock
from clew.store.postgres import PostgresDatabase


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    db = PostgresDatabase(postgres_url, clock=SystemClock())
    yield db
    await db.close()
