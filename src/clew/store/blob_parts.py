"""Bytes of files in the database, in parts: for PostgreSQL alone, since SQLite has one writer for everything.

Each part is a transaction of its own, so nothing waits behind a whole file. Part 0 comes last, and is empty:
a blob without it was never kept.
"""

from sqlalchemy import delete, func, insert, select

from clew.store.statement import Statement, Transaction, constant, param
from clew.store.tables import blob_parts

_LISTED = 500
"""Blobs that are looked at in one transaction."""

INSERT_PART = Statement(insert(blob_parts), columns=("blob", "part", "at", "data"))
SELECT_SEAL = Statement(
    select(blob_parts.c.part).where(blob_parts.c.blob == param("blob"), blob_parts.c.part == constant(0))
)
SELECT_PART = Statement(
    select(blob_parts.c.data).where(blob_parts.c.blob == param("blob"), blob_parts.c.part == param("part"))
)
DELETE_PARTS = Statement(delete(blob_parts).where(blob_parts.c.blob == param("blob")))
SELECT_BLOBS = Statement(
    select(blob_parts.c.blob, func.max(blob_parts.c.at))
    .where(blob_parts.c.blob > param("after"))
    .group_by(blob_parts.c.blob)
    .order_by(blob_parts.c.blob)
    .limit(constant(_LISTED))
    .offset(constant(0))
)


async def add(tx: Transaction, blob: str, part: int, at: int, data: bytes) -> None:
    """Store one part; ``at`` is the time in milliseconds."""
    await tx.run(INSERT_PART, {"blob": blob, "part": part, "at": at, "data": data})


async def is_whole(tx: Transaction, blob: str) -> bool:
    """Return whether there is a blob that was kept."""
    return await tx.one(SELECT_SEAL, {"blob": blob}) is not None


async def get(tx: Transaction, blob: str, part: int) -> bytes | None:
    """Return one part, or None."""
    row = await tx.one(SELECT_PART, {"blob": blob, "part": part})
    return None if row is None else bytes(row[0])


async def remove(tx: Transaction, blob: str) -> None:
    """Delete every part of a blob."""
    await tx.run(DELETE_PARTS, {"blob": blob})


async def page(tx: Transaction, after: str) -> list[tuple[str, int]]:
    """Return the next blobs behind a key, whole or not, each with the time of its newest part."""
    return [(row[0], row[1]) for row in await tx.all(SELECT_BLOBS, {"after": after})]
