"""Rows for tests of the store, and a database that a test opens for itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from clew.clock import SystemClock
from clew.core.records import Agent, Message, Run, RunConfig, Step, Thread, text_part
from clew.store import steps
from clew.store.database import Database
from clew.store.statement import Transaction
from tests.support.database import Place, open_place

PROJECT = "alpha"
NOW = 1_800_000_000_000


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Database]:
    """Open a database and close it at the end."""
    db = open_place(place, SystemClock())
    try:
        yield db
    finally:
        await db.close()


def agent(id: str = "asst_1", **fields: Any) -> Agent:
    return replace(Agent(id=id, project=PROJECT, created_at=NOW, model="scripted"), **fields)


def thread(id: str = "thread_1", **fields: Any) -> Thread:
    return replace(Thread(id=id, project=PROJECT, created_at=NOW), **fields)


def message(id: str = "msg_1", thread_id: str = "thread_1", **fields: Any) -> Message:
    made = Message(
        id=id,
        project=PROJECT,
        thread_id=thread_id,
        created_at=NOW,
        role="user",
        content=[text_part(id)],
        completed_at=NOW,
    )
    return replace(made, **fields)


def run(id: str = "run_1", thread_id: str = "thread_1", **fields: Any) -> Run:
    made = Run(
        id=id,
        project=PROJECT,
        thread_id=thread_id,
        assistant_id="asst_1",
        created_at=NOW,
        expires_at=NOW + 600_000,
        config=RunConfig(model="scripted"),
    )
    return replace(made, **fields)


def step(id: str = "step_1", run_id: str = "run_1", thread_id: str = "thread_1", **fields: Any) -> Step:
    made = Step(
        id=id,
        project=PROJECT,
        run_id=run_id,
        thread_id=thread_id,
        assistant_id="asst_1",
        created_at=NOW,
        type="tool_calls",
        turn=1,
    )
    return replace(made, **fields)


async def add_step(tx: Transaction, step: Step) -> None:
    """Store a step."""
    await tx.write((), [steps.insertion(step)])


async def nothing(tx: Transaction) -> None:
    """A transaction that does nothing."""
