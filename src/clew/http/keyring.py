"""The keys that a server knows, and what each opens.

A key belongs to a project. Keys are kept as SHA-256 digests: they are 256 random bits, so a plain hash is
enough (OWASP ASVS 5.0, 6.5.2).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from clew.clock import Clock
from clew.store import keys
from clew.store.database import Database
from clew.store.keys import OPERATOR, PROJECT, READ, KeyRow

_LOOK = 0.5
"""Seconds between two looks at the rows: a key that is revoked opens nothing a second later."""

_TO_END = 2.0
"""Seconds that requests under way are given when their key is revoked."""

_log = logging.getLogger(__name__)


class Access:
    """What a key opens: its project, and the requests that it has under way, which end when it is revoked.

    A key without a row, CLEW_API_KEY's or the first start's, can't be revoked while the server runs.

    Attributes:
        reads_only: whether it may only look.
        operates: whether it may look after the server, and work in every project.
    """

    __slots__ = ("name", "operates", "project", "reads_only", "revoked", "tasks")

    def __init__(self, project: str, name: str, *, role: str = PROJECT, in_rows: bool = False) -> None:
        self.project, self.name = project, name
        self.reads_only, self.operates = role == READ, role == OPERATOR
        self.revoked = False
        self.tasks: set[asyncio.Task[Any]] | None = set() if in_rows else None


class Keyring:
    """The keys a server knows, by digest: those it was started with, and those of the rows.

    Args:
        given: the keys it was started with, and what each opens.
    """

    def __init__(self, given: Mapping[str, Access]) -> None:
        self._fixed = {_digest(key): access for key, access in given.items()}
        self._known = dict(self._fixed)
        self._rows: dict[bytes, Access] = {}
        self.has_row: Callable[[str], bool] = lambda _: False
        """Tells whether a project has a row."""
        self._blind = False
        """Whether the store did not answer when it was last asked; said once."""

    def find(self, key: str) -> Access | None:
        """Return what a key opens, or None if it is unknown, expired or revoked."""
        return self._known.get(_digest(key))

    def knows_project(self, name: str) -> bool:
        """Whether there is such a project: it has a row, or a key. An operator may name it then."""
        return self.has_row(name) or any(access.project == name for access in self._known.values())

    def take(self, rows: Iterable[KeyRow], now: int) -> list[Access]:
        """Know the keys of the rows, and no others; return those that hold no more."""
        before, self._rows = self._rows, {}
        for row in rows:
            if row.expires_at is None or row.expires_at > now:
                digest = bytes.fromhex(row.digest)
                held = before.pop(digest, None)
                self._rows[digest] = held or Access(row.project, row.name, role=row.role, in_rows=True)
        self._known = self._rows | self._fixed
        for access in before.values():
            access.revoked = True
        return list(before.values())

    async def follow(self, db: Database, clock: Clock) -> None:
        """Look at the rows twice a second, until cancelled.

        While the store doesn't answer, the keys that were known stay known.
        """
        while True:
            await self.look(db, clock)
            await asyncio.sleep(_LOOK)

    async def look(self, db: Database, clock: Clock) -> None:
        """Look at the rows now. What keys that hold no more have under way is given a moment, then ended."""
        try:
            gone = self.take(await db.fetch(keys.every), clock.now())
        except Exception as error:
            if not self._blind:
                _log.warning("the keys can't be looked at, those known stay: %s", error)
            self._blind = True
            return
        self._blind = False
        loop = asyncio.get_running_loop()
        for access in gone:
            _log.info("the key %s of %s holds no more", access.name, access.project)
            loop.call_later(_TO_END, _end, access)


def _end(access: Access) -> None:
    for task in list(access.tasks or ()):
        task.cancel()


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
