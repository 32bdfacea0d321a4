"""API keys in the store: their digests, never the keys."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import delete, func, insert, or_, select, update

from clew.store.statement import Mapper, Statement, Transaction, param
from clew.store.tables import keys

PROJECT, READ, OPERATOR = "project", "read", "operator"
"""Roles: what a key may do. ``read`` only looks at its project; ``operator`` works in all projects, and looks
after the server."""


class KeyRow(Struct, frozen=True):
    """A key. Times are milliseconds; ``expires_at`` is None for one that lasts until it is revoked."""

    digest: str
    project: str
    name: str
    role: str
    created_at: int
    expires_at: int | None = None


_KEY = Mapper(keys, KeyRow)
_NAMED = (keys.c.project == param("of_project"), keys.c.name == param("named"))
_LASTING = or_(keys.c.expires_at.is_(None), keys.c.expires_at > param("now"))

INSERT_KEY = Statement(insert(keys), columns=_KEY.names)
SELECT_KEYS = Statement(select(*_KEY.columns).order_by(keys.c.project, keys.c.name, keys.c.created_at))
COUNT_NAMED = Statement(select(func.count(), func.max(keys.c.role)).where(*_NAMED, _LASTING))
DELETE_NAMED = Statement(delete(keys).where(*_NAMED))
DELETE_EXPIRED = Statement(delete(keys).where(*_NAMED, keys.c.expires_at <= param("now")))
EXPIRE_NAMED = Statement(
    update(keys)
    .where(*_NAMED, or_(keys.c.expires_at.is_(None), keys.c.expires_at > param("latest")))
    .values(expires_at=param("until"))
)


async def add(tx: Transaction, key: KeyRow) -> bool:
    """Store a new key, unless a key of the project has its name; return whether it was stored."""
    if (await _lasting(tx, key.project, key.name, key.created_at))[0]:
        return False
    await _forget_expired(tx, key)
    await tx.run(INSERT_KEY, _KEY.params(key))
    return True


async def exchange(tx: Transaction, key: KeyRow, until: int) -> bool:
    """Store the successor of the keys of its name, which hold until then at most; False if there is none.

    It takes over their role.
    """
    count, role = await _lasting(tx, key.project, key.name, key.created_at)
    if not count:
        return False
    await _forget_expired(tx, key)
    named = {"of_project": key.project, "named": key.name}
    await tx.run(EXPIRE_NAMED, {**named, "latest": until, "until": until})
    await tx.run(INSERT_KEY, {**_KEY.params(key), "role": role})
    return True


async def revoke(tx: Transaction, project: str, name: str) -> int:
    """Delete the keys of a name; return how many there were."""
    return await tx.run(DELETE_NAMED, {"of_project": project, "named": name})


async def every(tx: Transaction) -> list[KeyRow]:
    """Return all keys, also those that have expired."""
    return [_KEY.read(row) for row in await tx.all(SELECT_KEYS, {})]


async def _lasting(tx: Transaction, project: str, name: str, now: int) -> Sequence[object]:
    row = await tx.one(COUNT_NAMED, {"of_project": project, "named": name, "now": now})
    assert row is not None
    return row


async def _forget_expired(tx: Transaction, key: KeyRow) -> None:
    await tx.run(DELETE_EXPIRED, {"of_project": key.project, "named": key.name, "now": key.created_at})
