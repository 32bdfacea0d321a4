"""Rows for tests of the store, and a database that a test opens for itself."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from clew.clock import SystemClock
from clew.core.content import TextContent, text_content
from clew.core.files import File
from clew.core.records import (
    Agent,
    Call,
    CallsItem,
    Item,
    Message,
    Run,
    RunConfig,
    Step,
    TextItem,
    Thread,
    Turn,
)
from clew.core.states import CallState
from clew.core.stores import VectorStore
from clew.store import calls, steps
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


def file(id: str = "file_1", **fields: Any) -> File:
    made = File(
        id=id,
        project=PROJECT,
        created_at=NOW,
        filename=f"{id}.txt",
        purpose="assistants",
        bytes=6,
        sha256="",
        blob=id.replace("_", ""),
    )
    return replace(made, **fields)


def vector_store(id: str = "vs_1", **fields: Any) -> VectorStore:
    made = VectorStore(
        id=id,
        project=PROJECT,
        created_at=NOW,
        name=None,
        metadata={},
        expires_days=None,
        last_active_at=NOW,
        embedder=None,
    )
    return replace(made, **fields)


def message(id: str = "msg_1", thread_id: str = "thread_1", **fields: Any) -> Message:
    made = Message(
        id=id,
        project=PROJECT,
        thread_id=thread_id,
        created_at=NOW,
        role="user",
        content=[text_content(id)],
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


def call(id: str = "call_1", step_id: str = "step_1", **fields: Any) -> Call:
    made = Call(
        id=id,
        project=PROJECT,
        created_at=NOW,
        run_id="run_1",
        step_id=step_id,
        turn=1,
        index=0,
        name="look",
        arguments="{}",
        state=CallState.WAITS_FOR_CLIENT,
    )
    return replace(made, **fields)


def turn(
    number: int = 1, text: str | None = None, names: Sequence[str] = (), run_id: str = "run_1", **fields: Any
) -> Turn:
    """Return a turn that has said a text, or called functions, or both, in this order."""
    message_id, step_id = f"msg_{run_id}_{number}", f"step_{run_id}_{number}t"
    said = TextItem(message_id=message_id, step_id=f"step_{run_id}_{number}m", text=text)
    items: list[Item] = [said] if text is not None else []
    if names:
        called = [
            call(
                f"call_{run_id}_{number}_{index}",
                step_id,
                run_id=run_id,
                turn=number,
                index=index,
                name=name,
                state=CallState.PROPOSED,
            )
            for index, name in enumerate(names)
        ]
        items.append(CallsItem(step_id=step_id, calls=tuple(called)))
    made = Turn(number=number, started_at=NOW, blank=replace(said, text=None), items=tuple(items))
    return replace(made, **fields)


def text_of(message: Message) -> str:
    """Return the text of a message of one part."""
    (part,) = message.content
    assert isinstance(part, TextContent)
    return part.text.value


async def add_step(tx: Transaction, step: Step) -> None:
    """Store a step with its calls."""
    await tx.write((), [steps.insertion(step)])
    for each in step.calls:
        await tx.write((), [calls.insertion(each)])


async def nothing(tx: Transaction) -> None:
    """A transaction that does nothing."""
