"""Vector stores, their files and batches, as clients see them.

Source: OpenAI's published API schema (``VectorStoreObject`` and its kin) and azure-ai-agents 1.1.0. Azure
writes a batch's ``object`` without the s; its client shows what it expects, whatever came.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from clew.core.stores import (
    BatchStatus,
    Counts,
    FileBatch,
    FileError,
    FileStatus,
    StoreFile,
    StoreStatus,
    VectorStore,
)
from clew.store.store_files import StoredChunk
from clew.tools.searcher import Found


class FileCounts(Struct, frozen=True):
    """How many files there are of each status."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class ExpiresAfterObject(Struct, frozen=True):
    """When a store expires."""

    anchor: Literal["last_active_at"]
    days: int


class ReindexingObject(Struct, frozen=True, kw_only=True):
    """How far a store is that gets the vectors of another model. ``error`` says why it was given up.

    ``embedding_model`` is null where it is to be searched by words alone.
    """

    embedding_model: str | None
    files_done: int
    files: int
    error: str | None


class VectorStoreObject(Struct, frozen=True, kw_only=True):
    """A vector store.

    Clew's own: ``embedding_model`` made its vectors, ``needs_reindex`` says whether this server embeds with
    another, and ``reindexing`` how far it is with the vectors of another.
    """

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: StoreStatus
    expires_after: ExpiresAfterObject | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]
    embedding_model: str | None
    needs_reindex: bool
    reindexing: ReindexingObject | None


class StaticSizes(Struct, frozen=True):
    """Tokens of a chunk, and of what it shares with the one before."""

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class StrategyObject(Struct, frozen=True, kw_only=True):
    """How a file was cut."""

    type: Literal["static"] = "static"
    static: StaticSizes


class StoreFileObject(Struct, frozen=True, kw_only=True):
    """A file in a vector store."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    usage_bytes: int
    status: FileStatus
    last_error: FileError | None
    chunking_strategy: StrategyObject
    attributes: dict[str, str | float | bool]


class FileBatchObject(Struct, frozen=True, kw_only=True):
    """A batch of files that were added together."""

    id: str
    object: Literal["vector_store.files_batch", "vector_store.file_batch"]
    created_at: int
    vector_store_id: str
    status: BatchStatus
    file_counts: FileCounts


class FoundText(Struct, frozen=True, kw_only=True):
    """A text of a file. Where it stands is Clew's own: its chunk, its page if there are pages, its lines."""

    type: Literal["text"] = "text"
    text: str
    chunk: int
    page: int | None
    first_line: int
    last_line: int


class SearchResult(Struct, frozen=True, kw_only=True):
    """What was found in a file."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str | float | bool]
    content: list[FoundText]


class SearchPage(Struct, frozen=True, kw_only=True):
    """What was found, best first. ``warning`` is Clew's own: why less may have been found than there is."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool = False
    next_page: str | None = None
    warning: str | None


class ContentPage(Struct, frozen=True, kw_only=True):
    """What was read of a file, chunk by chunk."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[FoundText]
    has_more: bool
    next_page: str | None


def _counts(counts: Counts) -> FileCounts:
    return FileCounts(counts.in_progress, counts.completed, counts.failed, counts.cancelled, counts.total)


def store_object(record: VectorStore, now: int, embedder: str | None) -> VectorStoreObject:
    """Return a store as clients of a server with an embedder see it at a moment."""
    days, expires_at = record.expires_days, record.expires_at
    return VectorStoreObject(
        id=record.id,
        created_at=record.created_at // 1000,
        name=record.name,
        usage_bytes=record.usage_bytes,
        file_counts=_counts(record.counts),
        status=record.status(now),
        expires_after=None if days is None else ExpiresAfterObject("last_active_at", days),
        expires_at=None if expires_at is None else expires_at // 1000,
        last_active_at=record.last_active_at // 1000,
        metadata=record.metadata,
        embedding_model=record.embedder,
        needs_reindex=record.embedder != embedder,
        reindexing=_reindexing(record),
    )


def _reindexing(record: VectorStore) -> ReindexingObject | None:
    if (state := record.reindexing) is None:
        return None
    return ReindexingObject(
        embedding_model=state.embedder,
        files_done=min(state.done, record.completed),
        files=record.completed,
        error=state.error,
    )


def file_object(record: StoreFile) -> StoreFileObject:
    """Return a file in a store as clients see it."""
    return StoreFileObject(
        id=record.id,
        created_at=record.created_at // 1000,
        vector_store_id=record.store_id,
        usage_bytes=record.usage_bytes,
        status=record.status,
        last_error=record.last_error,
        chunking_strategy=StrategyObject(static=StaticSizes(record.chunking.tokens, record.chunking.overlap)),
        attributes=record.attributes,
    )


def batch_object(record: FileBatch, *, azure: bool) -> FileBatchObject:
    """Return a batch as clients see it."""
    return FileBatchObject(
        id=record.id,
        object="vector_store.file_batch" if azure else "vector_store.files_batch",
        created_at=record.created_at // 1000,
        vector_store_id=record.store_id,
        status=record.status,
        file_counts=_counts(record.counts),
    )


def text_of(chunk: StoredChunk) -> FoundText:
    """Return a chunk as clients see it."""
    return FoundText(
        text=chunk.text,
        chunk=chunk.number,
        page=chunk.page,
        first_line=chunk.first_line,
        last_line=chunk.last_line,
    )


def results(query: str, found: Sequence[Found], warning: str | None) -> SearchPage:
    """Return what was found, as clients see it."""
    data = [
        SearchResult(
            file_id=each.file.id,
            filename=each.file.filename,
            score=round(each.score, 6),
            attributes=dict(each.file.attributes),
            content=[text_of(each.chunk)],
        )
        for each in found
    ]
    return SearchPage(search_query=[query], data=data, warning=warning)
