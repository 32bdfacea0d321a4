"""Vector stores: what searches keep of them in memory."""

import pytest

from clew.service import vector_stores
from clew.service.commands import NewStore
from clew.service.context import Services
from clew.tools import searcher
from clew.tools.searcher import Wanted

pytestmark = pytest.mark.anyio


async def test_of_many_stores_those_that_were_searched_last_are_kept(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of its own for each thread makes many, with little in each."""
    monkeypatch.setattr(searcher, "_MOST_HELD", 3)
    made = [(await vector_stores.create(services, "default", NewStore())).id for _ in range(6)]
    for store_id in [*made[:3], made[0], *made[3:]]:
        await vector_stores.search(services, "default", store_id, Wanted("thread"))
    assert list(services.searcher._held) == made[3:]
    await vector_stores.search(services, "default", made[3], Wanted("thread"))
    await vector_stores.search(services, "default", made[0], Wanted("thread"))
    assert list(services.searcher._held) == [made[5], made[3], made[0]]
