"""Whether the store answers."""

from sqlalchemy import select

from clew.store.statement import Statement, Transaction, constant

PING = Statement(select(constant(1)))


async def ping(tx: Transaction) -> None:
    """Ask the database for nothing.

    Raises:
        Exception: whatever the driver raises when the database does not answer.
    """
    await tx.one(PING, {})
