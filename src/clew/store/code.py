"""Sessions of code in the store: which is a thread's, and what code has left in it."""

from collections.abc import Sequence

from sqlalchemy import insert, select, update

from clew.core.code import Inside, named
from clew.core.files import File
from clew.core.records import MadeFile
from clew.store import files, threads
from clew.store.files import FILE
from clew.store.statement import Statement, Transaction, Write, constant, param
from clew.store.tables import code_files, code_sessions
from clew.store.tables import files as file_rows

MOST_MADE = 1_000
"""Files that code has left which a new session gets back, and answers may link to: the newest."""

_OF_THREAD = code_sessions.c.thread_id == param("of")

HOLD_SESSION = Statement(
    select(code_sessions.c.session, code_sessions.c.place).where(_OF_THREAD).with_for_update()
)
SELECT_SESSION = Statement(select(code_sessions.c.session, code_sessions.c.place).where(_OF_THREAD))
INSERT_SESSION = Statement(insert(code_sessions), columns=("thread_id", "session", "place"))
UPDATE_SESSION = Statement(
    update(code_sessions).where(_OF_THREAD).values(session=param("session"), place=param("place"))
)
INSERT_MADE = Statement(insert(code_files), columns=("thread_id", "name", "file_id"))
# A file that was deleted is not there any more. Each turn of a model reads this, so it has a bound.
SELECT_MADE = Statement(
    select(code_files.c.name, *FILE.columns)
    .join(file_rows, file_rows.c.id == code_files.c.file_id)
    .where(code_files.c.thread_id == param("thread_id"), file_rows.c.project == param("project"))
    .order_by(code_files.c.seq.desc())
    .limit(constant(MOST_MADE))
    .offset(constant(0))
)


async def begin(tx: Transaction, thread_id: str, session: str, place: str) -> bool:
    """Say which session is a thread's from now on, and where it is; return whether it had another before."""
    before = await tx.hold(HOLD_SESSION, {"of": thread_id})
    values = {"session": session, "place": place}
    if before is None:
        await tx.run(INSERT_SESSION, {"thread_id": thread_id, **values})
    elif before[0] != session:
        await tx.run(UPDATE_SESSION, {"of": thread_id, **values})
    return before is not None and before[0] != session


async def current(tx: Transaction, thread_id: str) -> tuple[str, str] | None:
    """Return a thread's session, and where it is."""
    row = await tx.one(SELECT_SESSION, {"of": thread_id})
    return None if row is None else (str(row[0]), str(row[1]))


def insertions(made: MadeFile, thread_id: str) -> list[Write]:
    """Return what stores a file that a call has made."""
    writes = [files.insertion(made.file)]
    if made.name is not None:
        row = {"thread_id": thread_id, "name": made.name, "file_id": made.file.id}
        writes.append(Write(INSERT_MADE, row))
    return writes


async def inside(tx: Transaction, project: str, thread_id: str, given: Sequence[str]) -> list[Inside]:
    """Return the files that code of a thread finds: those that are ``given``, its own, those it has made."""
    thread = await threads.get(tx, project, thread_id)
    if thread is None:
        return []
    own = thread.tool_resources.code_interpreter
    ids = dict.fromkeys([*given, *((own and own.file_ids) or ())])
    found: list[File] = []
    for file_id in ids:
        file = await files.get(tx, project, file_id)
        if file is not None:
            found.append(file)
    keys = {"thread_id": thread_id, "project": project}
    newest = await tx.all(SELECT_MADE, keys)
    made = [(str(name), FILE.read(values)) for name, *values in reversed(newest)]
    return named(found, made)
