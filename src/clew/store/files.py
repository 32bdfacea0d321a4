"""Files in the store: their rows. Their bytes are blobs, written before the row and deleted after it."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, func, insert, select

from clew.core.due import Work
from clew.core.files import File
from clew.store import due_work, pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Both, Mapper, Statement, Transaction, Write, constant, param
from clew.store.tables import files, projects

BLOB_SWEEP = "blob_sweep"
"""The kind of due work that deletes blobs which no file names."""

HOUR = 3600 * 1000

FILE = Mapper(files, File)
_ONE = (files.c.id == param("id"), files.c.project == param("project"))

INSERT_FILE = Statement(insert(files), columns=FILE.names)
SELECT_FILE = Statement(select(*FILE.columns).where(*_ONE))
DELETE_FILE = Statement(delete(files).where(*_ONE))
# Whoever names files in rows of his own has them stay until he commits; several may at one time.
SELECT_NAMES = Both(
    "files",
    "SELECT id, filename FROM files WHERE project = :project AND id IN (SELECT value FROM json_each(:ids))",
    "SELECT id, filename FROM files WHERE project = $1 "
    "AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb))) ORDER BY id FOR KEY SHARE",
    ("project", "ids"),
    selects=True,
)
SELECT_IDS = Both(
    "files",
    "SELECT id FROM files WHERE project = :project AND id IN (SELECT value FROM json_each(:ids))",
    "SELECT id FROM files WHERE project = $1 "
    "AND id = ANY (ARRAY(SELECT jsonb_array_elements_text($2::jsonb)))",
    ("project", "ids"),
    selects=True,
)
SUM_BYTES = Statement(
    select(func.coalesce(func.sum(files.c.bytes), constant(0))).where(files.c.project == param("project"))
)
# Uploads of a project that has a limit come one after another, so that two don't take the same room.
HOLD_PROJECT = Statement(select(projects.c.name).where(projects.c.name == param("project")).with_for_update())
SELECT_BLOB = Statement(select(files.c.id).where(files.c.blob == param("blob")))


async def add(tx: Transaction, file: File, limit: int | None) -> bool:
    """Store a file's row, unless the project's files would have more than ``limit`` bytes together."""
    if limit is not None:
        await tx.hold(HOLD_PROJECT, {"project": file.project})
        if await total(tx, file.project) + file.bytes > limit:
            return False
    await tx.run(INSERT_FILE, FILE.params(file))
    return True


def insertion(file: File) -> Write:
    """Return what stores a file's row, whatever its project's limit."""
    return Write(INSERT_FILE, FILE.params(file))


async def total(tx: Transaction, project: str) -> int:
    """Return how many bytes a project's files have together."""
    row = await tx.one(SUM_BYTES, {"project": project})
    return 0 if row is None else int(row[0])


async def get(tx: Transaction, project: str, file_id: str) -> File | None:
    """Return a file of the project, or None."""
    row = await tx.one(SELECT_FILE, {"id": file_id, "project": project})
    return None if row is None else FILE.read(row)


def listed(ids: Sequence[str]) -> str:
    """Return ids as a statement takes many of them: JSON, without those that PostgreSQL would refuse."""
    return msgspec.json.encode([id for id in ids if "\0" not in id]).decode()


async def lacks(tx: Transaction, project: str, ids: Sequence[str]) -> bool:
    """Whether the project does not have all of some files, each named once."""
    return len(await tx.all(SELECT_IDS, {"project": project, "ids": listed(ids)})) < len(ids)


async def names(tx: Transaction, project: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the filenames of those files that the project has, by id.

    Nobody deletes them until the transaction ends.
    """
    keys = {"project": project, "ids": listed(ids)}
    return {row[0]: row[1] for row in await tx.all(SELECT_NAMES, keys)}


async def remove(tx: Transaction, project: str, file_id: str) -> File | None:
    """Delete a file's row; return what it was, or None if there is none."""
    file = await get(tx, project, file_id)
    if file is None or not await tx.run(DELETE_FILE, {"id": file_id, "project": project}):
        return None
    return file


async def unnamed(tx: Transaction, keys: Sequence[str]) -> list[str]:
    """Return those of the keys of blobs that no file names."""
    return [key for key in keys if await tx.one(SELECT_BLOB, {"blob": key}) is None]


async def ask_for_sweep(tx: Transaction, now: int) -> None:
    """Have the blobs looked through in an hour, unless that is to be done already."""
    await due_work.add_if_new(tx, sweep(now))


def sweep(now: int) -> Work:
    """Return the look through the blobs that is due in an hour."""
    return Work(kind=BLOB_SWEEP, id=BLOB_SWEEP, project="", lane=BLOB_SWEEP, created_at=now, due=now + HOUR)


async def page(tx: Transaction, project: str, wanted: PageRequest, purpose: str | None) -> Page:
    """Return one page of the project's files, or of those of one purpose."""
    if purpose is None:
        return await pages.page(tx, FILE, wanted, project=project)
    return await pages.page(tx, FILE, wanted, project=project, purpose=purpose)
