"""Whether the store answers."""

from sqlalchemy import select, text

from clew.store.statement import Statement, Transaction, constant

PING = Statement(select(constant(1)))
TOUCH = Statement(text("UPDATE alembic_version SET version_num = version_num"))
"""Writes, and changes nothing."""


async def ping(tx: Transaction) -> None:
    """Ask the database for nothing.

    Raises:
        Exception: whatever the driver raises when the database does not answer.
    """
    await tx.one(PING, {})


async def touch(tx: Transaction) -> None:
    """Write something that changes nothing.

    Raises:
        Exception: what the store says that takes nothing.
    """
    await tx.begin()
    await tx.run(TOUCH, {})
