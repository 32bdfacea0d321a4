"""Lists of a project's runs: against a filter over all of them, and what they look at in a large table."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.records import Run
from clew.core.states import LIVE, RunStatus
from clew.store import run_lists, runs, threads
from clew.store.database import Database
from clew.store.pages import PageRequest
from clew.store.postgres_pool import BY_INDEX
from clew.store.run_lists import DISORDER, FAILED, MOST_EXAMINED, RunFilter
from clew.store.statement import Params, Row, Statement, Transaction
from clew.store.tables import COUNTED_BY
from tests.support import store
from tests.support.aside import aside
from tests.support.database import Place, change
from tests.support.store import NOW, PROJECT, opened

ANY = settings(
    derandomize=True,
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
AGENTS, TIMES = ("asst_1", "asst_2"), (NOW, NOW + 1, NOW + 2)
Order = Literal["asc", "desc"]


class Shelf:
    """One database for all examples: each takes a project of its own, among the others'."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._used = 0

    def use(self, story: Any) -> None:
        self._used += 1

        async def play() -> None:
            async with opened(self._place) as db:
                await story(db, f"project_{self._used}")

        asyncio.run(play())


@pytest.fixture
def shelf(place: Place) -> Shelf:
    return Shelf(place)


async def _add(tx: Transaction, run: Run) -> None:
    """Store a run as it would be after a life, on a thread that may be there already."""
    if await tx.one(run_lists.SELECT_IS_THERE, {"thread_id": run.thread_id, "project": run.project}) is None:
        await threads.add(tx, store.thread(run.thread_id, project=run.project))
    await tx.run(runs.INSERT_RUN, runs._RUN.params(run))
    if not run.status.live:
        code = None if run.status == RunStatus.COMPLETED else run.status.value
        counted = dict.fromkeys(COUNTED_BY) | {"code": code, "ended_at": run.created_at}
        changing = {name: runs._RUN.params(run)[name] for name in runs._CHANGING}
        keys = {"id": run.id, "old_epoch": run.epoch, "old_version": run.version}
        assert await tx.run(runs.END_RUN, {**changing, **counted, **keys}) == 1


@st.composite
def lives(draw: st.DrawFn) -> list[Run]:
    """Some runs: of ended ones any number on two threads, each live or waiting one on a thread of its own."""
    made = []
    for number in range(draw(st.integers(0, 14))):
        status = draw(st.sampled_from(RunStatus))
        thread = f"thread_live_{number}" if status in LIVE else draw(st.sampled_from(("one", "two")))
        made.append(
            store.run(
                f"run_{number}",
                thread,
                status=status,
                held=draw(st.sampled_from((None, 1))) if status == RunStatus.QUEUED else None,
                assistant_id=draw(st.sampled_from(AGENTS)),
                created_at=draw(st.sampled_from(TIMES)),
            )
        )
    return made


def filters() -> st.SearchStrategy[RunFilter]:
    return st.builds(
        RunFilter,
        statuses=st.sampled_from((frozenset(), LIVE, FAILED)) | st.frozensets(st.sampled_from(RunStatus)),
        assistant_id=st.sampled_from((None, *AGENTS)),
        thread_id=st.sampled_from((None, None, "one", "thread_live_3", "unheard of")),
        since=st.sampled_from((None, *TIMES)),
        until=st.sampled_from((None, *TIMES)),
    )


def _wanted(run: Run, wanted: RunFilter) -> bool:
    return (
        (not wanted.statuses or run.status in wanted.statuses)
        and wanted.assistant_id in (None, run.assistant_id)
        and wanted.thread_id in (None, run.thread_id)
        and (wanted.since is None or run.created_at >= wanted.since)
        and (wanted.until is None or run.created_at < wanted.until)
    )


def _expected(all_runs: Sequence[Run], wanted: RunFilter, part: PageRequest) -> tuple[list[str], bool]:
    """Return the page as a filter over all runs gives it."""
    ids = [run.id for run in all_runs]
    if any(cursor is not None and cursor not in ids for cursor in (part.after, part.before)):
        return [], False
    in_order = list(all_runs) if part.order == "asc" else list(all_runs)[::-1]
    places = {run.id: place for place, run in enumerate(in_order)}
    start = 0 if part.after is None else places[part.after] + 1
    end = len(ids) if part.before is None else places[part.before]
    found = [run.id for run in in_order[start:end] if _wanted(run, wanted)]
    if part.before is not None and part.after is None:
        return found[-part.limit :], len(found) > part.limit
    return found[: part.limit], len(found) > part.limit


@ANY
@given(data=st.data(), made=lives())
def test_any_page_is_what_a_filter_over_all_runs_gives(
    shelf: Shelf, data: st.DataObject, made: list[Run]
) -> None:
    async def story(db: Database, project: str) -> None:
        mine = [
            replace(run, id=f"{project}_{run.id}", thread_id=f"{project}_{run.thread_id}", project=project)
            for run in made
        ]
        for run in mine:
            await db.write(_add, run)
        cursors = st.sampled_from([None, None, "run_unheard_of", *(run.id for run in mine)])
        for _ in range(12):
            wanted: RunFilter = data.draw(filters())
            if wanted.thread_id is not None:
                wanted = wanted._replace(thread_id=f"{project}_{wanted.thread_id}")
            order: Order = data.draw(st.sampled_from(("asc", "desc")))
            part = PageRequest(data.draw(st.integers(1, 6)), order, data.draw(cursors), data.draw(cursors))
            page = await db.read(run_lists.page, project, wanted, part)
            found = [run.id for run in page.items]
            assert (found, page.next is not None) == _expected(mine, wanted, part), (wanted, part)
            if page.next is not None:
                backwards = part.before is not None and part.after is None
                assert page.next == found[0 if backwards else -1]
        live = [run for run in mine if run.status.live]
        told = await db.scan(run_lists.live, project)
        assert [tuple(row) for row in told] == [
            (run.id, run.thread_id, run.assistant_id, run.status.value, run.version, run.created_at)
            for run in live
        ]

    shelf.use(story)


# --- a large table ---------------------------------------------------------------------------------

LARGE = 200_000
_STEPS_A_ROW = 24
"""Instructions of SQLite's machine for a row that is looked at and told nothing of."""

_COLUMNS = (
    "id, project, created_at, thread_id, assistant_id, expires_at, config, status, usage, turns, "
    "metadata, epoch, version, position, attempts, lost_turns, waits, ended_at, code"
)
_IS_FAILED = "i % 50000 = 0"
_ENDED = (
    f"'run_' || i, '{PROJECT}', {NOW} + i * 1000, 'thread_1', 'asst_' || (i % 1000), 0, "
    '\'{"model":"m"}\', '
    f"CASE WHEN {_IS_FAILED} THEN 'failed' ELSE 'completed' END, '{{}}', 1, '{{}}', 1, 1, 1, 0, 0, '[]', "
    f"{NOW} + i * 1000, CASE WHEN {_IS_FAILED} THEN 'server_error' END"
)


def _fill(place: Place) -> None:
    """Insert so many ended runs, one a second, of a thousand agents; every 50,000th has failed."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LARGE})"
    change(
        place,
        "INSERT INTO threads (id, project, created_at, metadata, tool_resources, tokens_used) "
        f"VALUES ('thread_1', '{PROJECT}', 0, '{{}}', '{{}}', 0)",
    )
    change(place, f"INSERT INTO runs ({_COLUMNS}) {numbers} SELECT {_ENDED} FROM n")


class Recording:
    """A transaction that remembers what it was asked to read."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.seen: list[tuple[Statement, Params]] = []

    async def one(self, statement: Statement, params: Params) -> Row | None:
        self.seen.append((statement, params))
        return await self._tx.one(statement, params)

    async def all(self, statement: Statement, params: Params) -> Sequence[Row]:
        self.seen.append((statement, params))
        return await self._tx.all(statement, params)


Read = tuple[run_lists.RunPage, list[tuple[Statement, Params]]]


async def _recorded(tx: Transaction, wanted: RunFilter, part: PageRequest) -> Read:
    recording = Recording(tx)
    return await run_lists.page(recording, PROJECT, wanted, part), recording.seen  # type: ignore[arg-type]


def _rows_of_sqlite(path: Path, statement: Statement, params: Params) -> float:
    """Return how many rows a statement looks at, at most: by the steps of SQLite's machine."""
    steps = [0]

    def count() -> None:
        steps[0] += 100

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 100)
        connection.execute(statement.sqlite, params).fetchall()
    return steps[0] / _STEPS_A_ROW


async def _rows_of_postgres(url: str, statement: Statement, params: Params) -> float:
    """Return how many rows a statement looks at, as PostgreSQL itself counts them."""
    connection: Any = await asyncpg.connect(url, server_settings=BY_INDEX)
    text, names = statement.postgres
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *(params[name] for name in names))
    await connection.close()
    return _looked_at(json.loads(rows[0][0])[0]["Plan"])


def _looked_at(plan: Any) -> float:
    below = sum(map(_looked_at, plan.get("Plans", ())))
    if "Scan" not in plan["Node Type"] or plan.get("Plans"):
        return below
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return float(below + (plan["Actual Rows"] + removed) * plan["Actual Loops"])


def _rows(place: Place, statement: Statement, params: Params) -> float:
    if isinstance(place, Path):
        return _rows_of_sqlite(place, statement, params)
    return aside(lambda: _rows_of_postgres(place, statement, params))


ASKED = {
    "all": RunFilter(),
    "of an agent": RunFilter(assistant_id="asst_7"),
    "of a thread": RunFilter(thread_id="thread_1"),
    "live": RunFilter(LIVE),
    "failed": RunFilter(frozenset((RunStatus.FAILED,))),
    "failed or live": RunFilter(frozenset((RunStatus.FAILED, RunStatus.QUEUED))),
    "failed, of an agent": RunFilter(frozenset((RunStatus.FAILED,)), "asst_7"),
    "of a time": RunFilter(since=NOW + 50_000_000, until=NOW + 50_010_000),
    "before the first": RunFilter(until=NOW),
    "after the last": RunFilter(since=NOW + (LARGE + 1) * 1000),
    "failed, of a thread": RunFilter(FAILED, thread_id="thread_1"),
}


def _all_that_match(wanted: RunFilter) -> set[str]:
    def matches(number: int) -> bool:
        failed = number % 50_000 == 0
        at = NOW + number * 1000
        return (
            (not wanted.statuses or (RunStatus.FAILED if failed else RunStatus.COMPLETED) in wanted.statuses)
            and wanted.assistant_id in (None, f"asst_{number % 1000}")
            and (wanted.since is None or at >= wanted.since)
            and (wanted.until is None or at < wanted.until)
        )

    return {f"run_{number}" for number in range(1, LARGE + 1) if matches(number)}


def test_among_many_runs_a_page_looks_at_a_thousand_at_most(
    place: Place, tell: Callable[[str], None]
) -> None:
    """And going on by ``next`` meets every run that is wanted, and comes to an end."""
    _fill(place)
    most: dict[str, float] = {}
    pages: dict[str, int] = {}

    async def read() -> None:
        async with opened(place) as db:
            for name, wanted in ASKED.items():
                for order in ("asc", "desc"):
                    expected, met, cursor = _all_that_match(wanted), set[str](), None
                    few = len(expected) < 100
                    for number in range(1, 500):
                        part = PageRequest(100, order, after=cursor)
                        page, seen = await db.scan(_recorded, wanted, part)
                        met |= {run.id for run in page.items}
                        if number < 3:
                            looked_at = [_rows(place, *each) for each in seen]
                            most[name] = max(most.get(name, 0), *looked_at)
                        cursor, pages[name] = page.next, max(pages.get(name, 0), number)
                        if cursor is None or not few:
                            break
                    assert met == expected if few else met < expected, name

    asyncio.run(read())
    tell(f"{LARGE} runs: rows looked at " + ", ".join(f"{name}: {rows:.0f}" for name, rows in most.items()))
    tell("pages to the end: " + ", ".join(f"{name}: {count}" for name, count in pages.items()))
    assert max(most.values()) <= MOST_EXAMINED + 101
    assert pages["of a time"] <= 2 * DISORDER // 1000 // MOST_EXAMINED + 4
