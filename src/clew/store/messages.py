"""Messages in the store."""

from typing import NamedTuple

from sqlalchemy import delete, func, insert, or_, select, update

from clew.core.errors import ThreadFull
from clew.core.records import Message
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, Write, constant, param
from clew.store.tables import messages, threads

MOST_MESSAGES = 100_000
"""Messages that clients may put in one thread."""

_NO_LIMIT = 2**31 - 1

_MESSAGE = Mapper(messages, Message)
_ONE = (
    messages.c.id == param("id"),
    messages.c.thread_id == param("thread_id"),
    messages.c.project == param("project"),
)

_HELD = messages.alias()

INSERT_MESSAGE = Statement(insert(messages), columns=_MESSAGE.names)
SELECT_MESSAGE = Statement(select(*_MESSAGE.columns).where(*_ONE))
UPDATE_METADATA = Statement(update(messages).where(*_ONE).values(metadata=param("new_metadata")))
DELETE_MESSAGE = Statement(delete(messages).where(*_ONE))
HOLD_PARENT = Statement(
    select(threads.c.seq).where(threads.c.id == param("thread_id")).with_for_update(key_share=True)
)
_HAS_ROOM = (
    threads.c.id == param("thread_id"),
    threads.c.project == param("project"),
    threads.c.message_count < constant(MOST_MESSAGES),
)
COUNT_UP = Statement(
    update(threads)
    .where(*_HAS_ROOM)
    .values(message_count=threads.c.message_count + constant(1), waiting=threads.c.waiting + param("in_line"))
)
COUNT_UP_IF_FREE = Statement(
    update(threads)
    .where(*_HAS_ROOM, threads.c.live_run.is_(None))
    .values(message_count=threads.c.message_count + constant(1))
)
COUNT_DOWN = Statement(
    update(threads)
    .where(threads.c.id == param("thread_id"))
    .values(message_count=threads.c.message_count - constant(1))
)
SELECT_NEWEST = Statement(
    select(*_MESSAGE.columns)
    .where(
        messages.c.thread_id == param("thread_id"),
        messages.c.held.is_(None),
        or_(messages.c.run_id.is_(None), messages.c.run_id != param("except_run")),
    )
    .order_by(messages.c.seq.desc())
    .limit(param("limit"))
    .offset(constant(0))
)
# With every row comes how many messages of the thread can be seen: all of one moment.
SELECT_SINCE = Statement(
    select(
        select(threads.c.message_count)
        .where(threads.c.id == param("thread_id"))
        .scalar_subquery()
        .op("-")(
            select(func.count())
            .select_from(_HELD)
            .where(_HELD.c.thread_id == param("thread_id"), _HELD.c.held.is_not(None))
            .scalar_subquery()
        ),
        messages.c.seq,
        *_MESSAGE.columns,
    )
    .where(
        messages.c.thread_id == param("thread_id"), messages.c.held.is_(None), messages.c.seq >= param("seq")
    )
    .order_by(messages.c.seq)
    .limit(param("limit"))
    .offset(constant(0))
)
SELECT_OF_RUN = Statement(
    select(*_MESSAGE.columns).where(messages.c.run_id == param("run_id")).order_by(messages.c.seq)
)


async def add(tx: Transaction, message: Message) -> None:
    """Store a client's message, as the thread's newest.

    Raises:
        ThreadFull: it is one message too many.
    """
    keys = {"thread_id": message.thread_id, "project": message.project}
    room = Write(COUNT_UP, {**keys, "in_line": int(message.held is not None)})
    if await tx.write([room], [insertion(message)]) is None:
        raise ThreadFull(MOST_MESSAGES)


async def add_if_free(tx: Transaction, message: Message) -> bool:
    """Store a client's message and nothing else, if its thread is there, has room and no live run."""
    keys = {"thread_id": message.thread_id, "project": message.project}
    return await tx.write([Write(COUNT_UP_IF_FREE, keys)], [insertion(message)], last=True) is not None


def insertion(message: Message) -> Write:
    """Return what stores a message that is counted elsewhere. What a run writes is never refused."""
    return Write(INSERT_MESSAGE, _MESSAGE.params(message))


async def get(tx: Transaction, project: str, thread_id: str, message_id: str) -> Message | None:
    """Return a message of the thread, or None."""
    row = await tx.one(SELECT_MESSAGE, {"id": message_id, "thread_id": thread_id, "project": project})
    return None if row is None else _MESSAGE.read(row)


async def save_metadata(tx: Transaction, message: Message) -> None:
    """Store a message's metadata, the one thing of it that clients may change."""
    keys = {"id": message.id, "thread_id": message.thread_id, "project": message.project}
    await tx.run(UPDATE_METADATA, {**keys, "new_metadata": _MESSAGE.params(message)["metadata"]})


async def remove(tx: Transaction, project: str, thread_id: str, message_id: str) -> bool:
    """Delete a message. Return whether there was one."""
    keys = {"id": message_id, "thread_id": thread_id, "project": project}
    await tx.hold(HOLD_PARENT, {"thread_id": thread_id})
    if not await tx.run(DELETE_MESSAGE, keys):
        return False
    await tx.run(COUNT_DOWN, {"thread_id": thread_id})
    return True


async def page(
    tx: Transaction, project: str, thread_id: str, wanted: PageRequest, run_id: str | None = None
) -> Page:
    """Return one page of a thread's messages, or of those that one run wrote."""
    parents = {"project": project, "thread_id": thread_id}
    if run_id is not None:
        parents["run_id"] = run_id
    return await pages.page(tx, _MESSAGE, wanted, None, **parents)


async def newest(tx: Transaction, thread_id: str, limit: int | None, *, except_run: str) -> list[Message]:
    """Return the newest ``limit`` messages of a thread (None: all), oldest first, less those of one run."""
    most = _NO_LIMIT if limit is None else limit
    rows = await tx.all(SELECT_NEWEST, {"thread_id": thread_id, "limit": most, "except_run": except_run})
    return [_MESSAGE.read(row) for row in reversed(rows)]


class Numbered(NamedTuple):
    """Messages of a thread, oldest first, as of one moment.

    Attributes:
        visible: how many messages the thread showed at that moment, but for a constant.
        seqs: the place of each message in the store. The newest one's may be given again once it is deleted.
    """

    visible: int
    seqs: list[int]
    messages: list[Message]


async def since(tx: Transaction, thread_id: str, seq: int, limit: int | None) -> Numbered:
    """Return a thread's messages from a place on, up to ``limit`` of them."""
    most = _NO_LIMIT if limit is None else limit
    rows = await tx.all(SELECT_SINCE, {"thread_id": thread_id, "seq": seq, "limit": most})
    visible, seqs, found = 0, [], []
    for visible, seq, *message in rows:  # noqa: B007 - every row says how many are visible
        seqs.append(seq)
        found.append(_MESSAGE.read(message))
    return Numbered(visible, seqs, found)


async def of_run(tx: Transaction, run_id: str) -> list[Message]:
    """Return the messages that a run wrote, oldest first."""
    rows = await tx.all(SELECT_OF_RUN, {"run_id": run_id})
    return [_MESSAGE.read(row) for row in rows]
