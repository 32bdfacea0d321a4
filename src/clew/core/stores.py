"""Vector stores, the files in them, and batches of those.

Source of the shapes: OpenAI's published API schema (``VectorStoreObject``, ``VectorStoreFileObject``,
``VectorStoreFileBatchObject``) and azure-ai-agents.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from clew.core.filters import Attribute

CHUNK_TOKENS, OVERLAP_TOKENS = 800, 400
"""Tokens of a chunk, and of what it shares with the one before, unless a client says otherwise."""

MOST_FILES, MOST_IN_BATCH = 10_000, 500
"""Files of a store, and files that are added in one batch."""

DAY = 24 * 3600 * 1000


class FileStatus(StrEnum):
    """Where a file in a store is."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Chunking(Struct, frozen=True):
    """How a file is cut: tokens of a chunk, and of what it shares with the one before."""

    tokens: int = CHUNK_TOKENS
    overlap: int = OVERLAP_TOKENS


class FileError(Struct, frozen=True):
    """Why a file could not be taken into a store."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class Counts(Struct, frozen=True):
    """How many files there are of each status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.in_progress + self.completed + self.failed + self.cancelled


StoreStatus: TypeAlias = Literal["in_progress", "completed", "expired"]
BatchStatus: TypeAlias = Literal["in_progress", "completed", "cancelled", "failed"]


class Reindexing(Struct, frozen=True):
    """What a store is that gets the vectors of another embedder; its old ones serve until all are there.

    Attributes:
        embedder: whose vectors it gets; None: it loses them, and is searched by words alone.
        done: of its files have them, about: a file that is taken out meanwhile is not counted back.
        error: why it was given up; None while it goes on.
    """

    embedder: str | None
    done: int = 0
    error: str | None = None


class VectorStore(Struct, frozen=True, kw_only=True):
    """A vector store.

    Attributes:
        expires_days: days after its last use; None for one that does not expire.
        embedder: the name of whoever made its vectors; None where it is searched by words alone.
        version: goes up whenever what a search may find changes.
        usage_bytes: of the text and the vectors of its files, about.
        reindexing: what is known of the vectors of another embedder that it gets; None if it gets none.
    """

    id: str
    project: str
    created_at: int
    name: str | None = None
    metadata: dict[str, str] = {}
    expires_days: int | None = None
    last_active_at: int
    embedder: str | None = None
    version: int = 0
    usage_bytes: int = 0
    reindexing: Reindexing | None = None
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def counts(self) -> Counts:
        """How many of its files there are of each status."""
        return Counts(self.in_progress, self.completed, self.failed, self.cancelled)

    @property
    def expires_at(self) -> int | None:
        """When it expires, if nobody uses it until then."""
        return None if self.expires_days is None else self.last_active_at + self.expires_days * DAY

    def status(self, now: int) -> StoreStatus:
        """Return what it is at a moment."""
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "in_progress" if self.in_progress else "completed"


class StoreFile(Struct, frozen=True, kw_only=True):
    """A file in a store; its id is the file's. ``seq`` is its row, never given to another."""

    seq: int = 0
    id: str
    project: str
    created_at: int
    store_id: str
    filename: str
    status: FileStatus = FileStatus.IN_PROGRESS
    last_error: FileError | None = None
    attributes: dict[str, Attribute] = {}
    chunking: Chunking = Chunking()
    usage_bytes: int = 0
    batch_id: str | None = None


class FileBatch(Struct, frozen=True, kw_only=True):
    """Files that were added to a store together."""

    id: str
    project: str
    created_at: int
    store_id: str
    cancelled_at: int | None = None
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def counts(self) -> Counts:
        """How many of its files there are of each status."""
        return Counts(self.in_progress, self.completed, self.failed, self.cancelled)

    @property
    def status(self) -> BatchStatus:
        """What has come of it: one of which all files failed has failed itself."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.in_progress:
            return "in_progress"
        return "failed" if self.failed and self.failed == self.counts.total else "completed"
