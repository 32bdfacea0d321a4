"""Files are put into a vector store together, however many they are."""

from typing import Any

import pytest

from clew.core.errors import NotFound
from clew.core.files import File
from clew.core.stores import VectorStore
from clew.service import vector_stores as use
from clew.service.commands import NewStoreFile
from clew.service.context import Services
from clew.store import due_work, files, store_files
from clew.store.statement import Transaction
from tests.support.store import NOW, PROJECT

pytestmark = pytest.mark.anyio


class _Counting:
    """A transaction that counts its statements."""

    def __init__(self, tx: Transaction) -> None:
        self._tx, self.count = tx, 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self._tx, name)


async def _uploaded(services: Services, count: int) -> list[str]:
    async def add(tx: Transaction) -> list[str]:
        ids = [f"assistant-{number:03}" for number in reversed(range(count))]
        for id in ids:
            file = File(
                id=id,
                project=PROJECT,
                created_at=NOW,
                filename=f'{id}\'s "é".txt',
                purpose="assistants",
                bytes=1,
                sha256="",
                blob=id,
            )
            await files.add(tx, file, None)
        return ids

    return await services.db.write(add)


def _store(id: str) -> VectorStore:
    return VectorStore(id=id, project=PROJECT, created_at=NOW, last_active_at=NOW)


async def test_forty_files_take_no_more_statements_than_two(services: Services) -> None:
    ids = await _uploaded(services, 40)

    async def put(tx: Transaction, store: str, some: list[str]) -> int:
        counting: Any = _Counting(tx)
        wanted = [NewStoreFile(file_id=id, attributes={"n": n, "q": "a'b"}) for n, id in enumerate(some)]
        await use.add_with_files(counting, _store(store), wanted)
        return int(counting.count)

    few = await services.db.write(put, "vs_1", ids[:2])
    assert await services.db.write(put, "vs_2", ids) == few
    found = await services.db.read(store_files.some, "vs_2", ids)
    assert [file.id for file in sorted(found, key=lambda file: file.seq)] == ids
    by_id = {file.id: file for file in found}
    assert [by_id[id].attributes for id in ids] == [{"n": n, "q": "a'b"} for n in range(40)]
    assert by_id[ids[0]].filename == f'{ids[0]}\'s "é".txt'
    work = await services.db.read(due_work.due, store_files.INGESTION, "vs_2", NOW, 100)
    assert [each.id for each in work] == [f"vs_2/{id}" for id in ids]


async def test_the_first_file_that_is_missing_is_named_and_nothing_is_put(services: Services) -> None:
    ids = await _uploaded(services, 2)
    wanted = [NewStoreFile(file_id=id) for id in (ids[0], "assistant-y", "assistant-x")]
    with pytest.raises(NotFound, match="assistant-y"):
        await services.db.write(use.add_with_files, _store("vs_1"), wanted)
    assert await services.db.read(store_files.some, "vs_1", ids) == []
