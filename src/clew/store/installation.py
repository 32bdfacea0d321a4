"""What is known of the installation as a whole."""

from sqlalchemy import insert, select, update

from clew.store.statement import Statement, Transaction, param
from clew.store.tables import installation

FINGERPRINT = "fingerprint"
"""Tells which secret its processes share, and nothing about it."""

INSERT_FACT = Statement(insert(installation), columns=("name", "value"))
SELECT_FACT = Statement(select(installation.c.value).where(installation.c.name == param("name")))

UPDATE_FACT = Statement(
    update(installation).where(installation.c.name == param("of")).values(value=param("now"))
)


async def claim(tx: Transaction, name: str, value: str) -> str:
    """Say something of the installation, unless it has been said; return what then holds.

    Of several processes that do this at once, one wins.
    """
    row = await tx.hold(SELECT_FACT, {"name": name})
    if row is not None:
        return str(row[0])
    await tx.run(INSERT_FACT, {"name": name, "value": value})
    return value


async def said(tx: Transaction, name: str) -> str | None:
    """Return what has been said of the installation; None if nothing has."""
    row = await tx.one(SELECT_FACT, {"name": name})
    return None if row is None else str(row[0])


async def put(tx: Transaction, name: str, value: str) -> None:
    """Say something of the installation, whatever has been said."""
    if not await tx.run(UPDATE_FACT, {"of": name, "now": value}):
        await tx.run(INSERT_FACT, {"name": name, "value": value})
