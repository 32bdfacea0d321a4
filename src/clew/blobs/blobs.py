"""Bytes of files, by key. A row says what they are; what no row names is swept away.

A blob is written once, whole or not at all, under a key that was never used before. So nothing is shared:
no count of references, and no race between a sweep and somebody who brings the same bytes once more
(docs/decisions/0029).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol


class BlobMissing(Exception):
    """There is no blob with a key: its file was deleted a moment ago, or its store has lost it."""


class BlobsAway(OSError):
    """The store of blobs can't be reached, or refuses. What was to be kept may be sent again."""


class BlobsHeld(OSError):
    """Somebody copies the blobs, so nothing is deleted at the moment. The sweep takes it later."""


class Kept(NamedTuple):
    """A blob that is there: its bytes, and their SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Found(NamedTuple):
    """A blob that a store holds, and for how many seconds about it has."""

    key: str
    age: float


class Draft(Protocol):
    """A blob that is being written."""

    @property
    def size(self) -> int:
        """The bytes that were written so far."""
        ...

    async def write(self, piece: bytes) -> None:
        """Add bytes. They may be written a little later, and go to the disk off the event loop.

        Raises:
            OSError: they can't be kept; the disk may be full.
        """
        ...

    async def keep(self) -> Kept:
        """Make the blob lasting under its key: once this returns, it survives whatever happens.

        Raises:
            OSError: it can't be kept.
        """
        ...


class Blobs(Protocol):
    """A store of blobs."""

    def draft(self, key: str) -> AbstractAsyncContextManager[Draft]:
        """Begin a blob. What was not kept when the context is left is thrown away."""
        ...

    def read(self, key: str, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield a blob's bytes from ``begin`` to before ``end``, in pieces.

        Raises:
            BlobMissing: there is none.
        """
        ...

    def local(self, key: str) -> AbstractAsyncContextManager[Path]:
        """Give a blob as a file of this machine, which nobody may change.

        Raises:
            BlobMissing: there is none.
        """
        ...

    async def remove(self, key: str) -> None:
        """Delete a blob, if it is there.

        Raises:
            BlobsHeld: not now.
            OSError: it can't be deleted.
        """
        ...

    def found(self) -> AsyncIterator[Found]:
        """Yield every blob, and what is left of drafts that broke off (which :meth:`remove` takes too)."""
        ...
