"""Pages against a list in memory, whatever comes and goes between two of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.store import messages, threads
from clew.store.database import Database
from clew.store.pages import Page, PageRequest
from tests.support import store
from tests.support.database import Place
from tests.support.store import PROJECT, opened

ANY = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ORDERS: st.SearchStrategy[Literal["asc", "desc"]] = st.sampled_from(["asc", "desc"])


class Notebook:
    """A thread of the store, and the list of ids that it should be."""

    def __init__(self, db: Database, number: int) -> None:
        self._db, self._thread, self._count = db, f"thread_{number}", 0
        self.ids: list[str] = []

    async def open(self) -> None:
        await self._db.write(threads.add, store.thread(self._thread))

    async def add(self, count: int = 1) -> None:
        for _ in range(count):
            self._count += 1
            message = store.message(f"msg_{self._thread}_{self._count}", self._thread)
            await self._db.write(messages.add, message)
            self.ids.append(message.id)

    async def remove(self, position: int) -> None:
        if self.ids:
            gone = self.ids.pop(position % len(self.ids))
            assert await self._db.write(messages.remove, PROJECT, self._thread, gone)

    async def page(self, wanted: PageRequest) -> Page:
        return await self._db.read(messages.page, PROJECT, self._thread, wanted)

    def expected(self, wanted: PageRequest) -> tuple[list[str], bool]:
        """Return the page as slices of the list give it."""
        ids = self.ids if wanted.order == "asc" else self.ids[::-1]
        if any(cursor is not None and cursor not in ids for cursor in (wanted.after, wanted.before)):
            return [], False
        start = 0 if wanted.after is None else ids.index(wanted.after) + 1
        end = len(ids) if wanted.before is None else ids.index(wanted.before)
        between = ids[start:end]
        if wanted.before is not None and wanted.after is None:
            return between[-wanted.limit :], len(between) > wanted.limit
        return between[: wanted.limit], len(between) > wanted.limit


class Shelf:
    """One database for all examples: each takes a thread of its own, among the others'."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._used = 0

    def use(self, story: Any) -> None:
        """Open the database and play a story on a new thread."""
        self._used += 1

        async def play() -> None:
            async with opened(self._place) as db:
                notebook = Notebook(db, self._used)
                await notebook.open()
                await story(notebook)

        asyncio.run(play())


@pytest.fixture
def shelf(place: Place) -> Shelf:
    return Shelf(place)


@ANY
@given(
    data=st.data(),
    changes=st.lists(st.one_of(st.just("add"), st.integers(0, 99)), max_size=30),
)
def test_any_page_is_what_slices_of_the_list_give(shelf: Shelf, data: st.DataObject, changes: Any) -> None:
    async def story(notebook: Notebook) -> None:
        await notebook.add(3)
        for change in changes:
            await (notebook.add() if change == "add" else notebook.remove(change))
        cursors = st.sampled_from([None, None, "msg_unheard_of", *notebook.ids])
        for _ in range(6):
            wanted = PageRequest(
                limit=data.draw(st.integers(1, 12)),
                order=data.draw(ORDERS),
                after=data.draw(cursors),
                before=data.draw(cursors),
            )
            page = await notebook.page(wanted)
            assert ([item.id for item in page.items], page.has_more) == notebook.expected(wanted), wanted

    shelf.use(story)


@ANY
@given(
    order=ORDERS,
    limit=st.integers(1, 5),
    at_first=st.integers(0, 12),
    between=st.lists(st.integers(0, 3), max_size=6),
)
def test_walking_meets_once_what_was_there_whatever_arrives_meanwhile(
    shelf: Shelf, order: Literal["asc", "desc"], limit: int, at_first: int, between: list[int]
) -> None:
    async def story(notebook: Notebook) -> None:
        await notebook.add(at_first)
        there = list(notebook.ids)
        arriving = iter(between)
        met: list[str] = []
        while True:
            page = await notebook.page(PageRequest(limit, order, after=met[-1] if met else None))
            met += [item.id for item in page.items]
            if not page.has_more:
                break
            await notebook.add(next(arriving, 0))
        assert len(met) == len(set(met)), "something came twice"
        expected = there[::-1] if order == "desc" else notebook.ids[: len(met)]
        assert met == expected
        assert set(there) <= set(met), "something was hidden"

    shelf.use(story)


def test_writers_and_walkers_at_the_same_time(shelf: Shelf) -> None:
    """Eight write while four walk; each walk gives an unbroken piece of the final order."""

    async def story(notebook: Notebook) -> None:
        await notebook.add(10)
        writing: list[Coroutine[Any, Any, None]] = [notebook.add(10) for _ in range(8)]
        walks = await asyncio.gather(*(_walk(notebook) for _ in range(4)), *writing)
        final = await _walk(notebook)
        assert len(final) == len(set(final)) == 90
        for walk in walks[:4]:
            assert walk is not None
            assert walk == final[: len(walk)]

    shelf.use(story)


async def _walk(notebook: Notebook) -> list[str]:
    met: list[str] = []
    while True:
        page = await notebook.page(PageRequest(3, "asc", after=met[-1] if met else None))
        met += [item.id for item in page.items]
        if not page.has_more:
            return met
        await asyncio.sleep(0)
