"""Every statement of the store finds its rows through an index, however many there are."""

import pkgutil
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import clew.store
from clew.core.states import LIVE, RunStatus
from clew.store import agents, messages, run_lists, runs, steps, threads
from clew.store.pages import PageRequest
from clew.store.run_lists import RunFilter
from clew.store.sqlite import SqliteTransaction
from clew.store.statement import Params, Row, Statement
from tests.support import store
from tests.support.database import new_database
from tests.support.store import PROJECT

SMALL = (
    "SCAN webhooks",
    "SCAN workers",
    "SCAN keys",
    "SCAN projects",
    "SCAN alembic_version",
    "INDEX live_run_of_thread",
    "INDEX live_runs_by_expiry",
    "INDEX held_runs",
    "INDEX runs_in_wait",
    "SCAN lanes",
    "SCAN live_and_held",
    "SCAN CONSTANT ROW",
    "SCAN chunk_words VIRTUAL TABLE INDEX",
    "INDEX runs_after_files",
    "SCAN json_each",
)
"""What may be walked through whole: webhooks, workers, projects and keys, of which there are few; live and
waiting runs; the lanes of due work; and what a parameter lists. Full text has an index of its own kind."""

ONCE = (
    "projects.DELETE_OWNED",
    "projects.SELECT_HIDDEN_THREADS",
    "store_files.SELECT_OF_PROJECT",
    "store_files.DELETE_OF_PROJECT",
)
"""What `clew projects delete` asks once, at its end."""


def _declared() -> Iterator[tuple[str, Statement]]:
    for module in pkgutil.iter_modules(clew.store.__path__):
        if module.ispkg:
            continue
        for name, value in vars(import_module(f"clew.store.{module.name}")).items():
            several = value if isinstance(value, list | tuple) else [value]
            for each in several:
                if isinstance(each, Statement):
                    yield f"{module.name}.{name}", each


class _Recorder(SqliteTransaction):
    """A transaction that remembers its statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.seen: list[Statement] = []

    async def all(self, statement: Statement, params: Params) -> Sequence[Row]:
        self.seen.append(statement)
        return await super().all(statement, params)


async def _page(tx: _Recorder, kind: str, wanted: PageRequest) -> None:
    match kind:
        case "agents":
            await agents.page(tx, PROJECT, wanted)
        case "threads":
            await threads.page(tx, PROJECT, wanted, {})
        case "threads by metadata":
            await threads.page(tx, PROJECT, wanted, {"topic": "mazes", "mood": "lost"})
        case "messages":
            await messages.page(tx, PROJECT, "thread_1", wanted)
        case "messages of a run":
            await messages.page(tx, PROJECT, "thread_1", wanted, "run_1")
        case "runs":
            await runs.page(tx, "thread_1", wanted)
        case "steps":
            await steps.page(tx, PROJECT, "thread_1", "run_1", wanted)


PAGES = [
    pytest.param(kind, PageRequest(20, order, after, before), id=f"{kind}-{order}-{after}-{before}")
    for kind in ("agents", "threads", "threads by metadata", "messages", "messages of a run", "runs", "steps")
    for order in ("asc", "desc")
    for after in (None, "after")
    for before in (None, "before")
]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(new_database(tmp_path / "clew.db"))
    yield connection
    connection.close()


def _plan(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    class Anything(dict[str, Any]):
        def __missing__(self, key: str) -> None:
            return None

    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", Anything()).fetchall()
    return [row[3] for row in rows]


def _check(plan: list[str], *, sorts: bool) -> None:
    for part in plan:
        assert not part.startswith("SCAN ") or any(small in part for small in SMALL), plan
        assert sorts or "TEMP B-TREE" not in part, plan


def _on_sqlite() -> Iterator[tuple[str, Statement]]:
    """Those that SQLite sees: the plans of the others are looked at where pgvector is tried."""
    return ((name, statement) for name, statement in _declared() if statement.sqlite)


@pytest.mark.parametrize(("name", "statement"), list(_on_sqlite()), ids=lambda value: str(value)[:40])
def test_a_statement_scans_no_table(connection: sqlite3.Connection, name: str, statement: Statement) -> None:
    if name not in ONCE:
        _check(_plan(connection, statement), sorts=True)


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "wanted"), PAGES)
async def test_a_page_walks_an_index_in_its_order(
    connection: sqlite3.Connection, kind: str, wanted: PageRequest
) -> None:
    recorder = _Recorder(connection)
    await _page(recorder, kind, wanted)
    (statement,) = recorder.seen
    _check(_plan(connection, statement), sorts=kind == "threads by metadata")


FILTERS = {
    "all": (RunFilter(), "runs_by_project"),
    "of an agent": (RunFilter(assistant_id="asst_1"), "runs_by_agent"),
    "of a thread": (RunFilter(thread_id="thread_1"), "runs_by_thread"),
    "live": (RunFilter(frozenset(LIVE)), "live_runs_by_expiry"),
    "in progress": (RunFilter(frozenset((RunStatus.IN_PROGRESS,))), "live_runs_by_expiry"),
    "failed in any way": (RunFilter(run_lists.FAILED), "failed_runs"),
    "failed": (RunFilter(frozenset((RunStatus.FAILED,))), "failed_runs"),
    "completed": (RunFilter(frozenset((RunStatus.COMPLETED,))), "runs_by_project"),
    "a mix": (RunFilter(frozenset((RunStatus.COMPLETED,)), "asst_1", None, 1, 2), "runs_by_agent"),
    "a mix of a thread": (RunFilter(run_lists.FAILED, "asst_1", "thread_1", 1, 2), "runs_by_thread"),
}
"""What may be asked of a project's runs, and the index that the list walks then."""

RUN_LISTS = [
    pytest.param(*FILTERS[name], PageRequest(20, order, after, before), id=f"{name}-{order}-{after}-{before}")
    for name in FILTERS
    for order in ("asc", "desc")
    for after in (None, "run_1")
    for before in (None, "run_2")
]


@pytest.mark.anyio
@pytest.mark.parametrize(("wanted", "index", "part"), RUN_LISTS)
async def test_a_list_of_runs_walks_the_index_that_was_chosen_for_it(
    connection: sqlite3.Connection, wanted: RunFilter, index: str, part: PageRequest
) -> None:
    recorder = _Recorder(connection)
    await threads.add(recorder, store.thread())
    for number in (1, 2):
        await runs.add(recorder, store.run(f"run_{number}", status=RunStatus.COMPLETED))
    await run_lists.page(recorder, PROJECT, wanted, part)
    (statement,) = recorder.seen
    plan = _plan(connection, statement)
    walked = [step for each in plan if (step := each.partition(" USING ")[2])]
    assert any(each.startswith(f"INDEX {index}") for each in walked), plan
    entered = {each.split()[1] for each in walked if each.startswith("INDEX ")}
    assert entered == {index} | ({"held_runs"} if index == "live_runs_by_expiry" else set()), plan


def test_no_other_statement_walks_a_projects_runs(connection: sqlite3.Connection) -> None:
    """An index that holds all runs of a project must not look better than the few that are meant."""
    for name, statement in _on_sqlite():
        if not name.startswith("run_lists."):
            plan = " ".join(_plan(connection, statement))
            assert "runs_by_project" not in plan, name
            assert "runs_by_agent" not in plan, name


def test_all_statements_were_found() -> None:
    assert len(list(_declared())) > 40
