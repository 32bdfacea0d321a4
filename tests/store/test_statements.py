"""Every statement of the store finds its rows through an index, however many there are."""

import pkgutil
import sqlite3
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import clew.store
from clew.store import agents, messages, runs, steps, threads
from clew.store.pages import PageRequest
from clew.store.sqlite import SqliteTransaction
from clew.store.statement import Params, Row, Statement
from tests.support.database import new_database
from tests.support.store import PROJECT

SMALL = (
    "SCAN webhooks",
    "SCAN workers",
    "INDEX live_run_of_thread",
    "INDEX live_runs_by_expiry",
    "INDEX held_runs",
    "INDEX deliveries_by_due",
    "SCAN CONSTANT ROW",
)
"""What may be walked through whole: webhooks and workers, of which there are few; live and waiting runs;
and the outbox."""


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
            await runs.page(tx, PROJECT, "thread_1", wanted)
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


@pytest.mark.parametrize(("name", "statement"), list(_declared()), ids=lambda value: str(value)[:40])
def test_a_statement_scans_no_table(connection: sqlite3.Connection, name: str, statement: Statement) -> None:
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


def test_all_statements_were_found() -> None:
    assert len(list(_declared())) > 40
