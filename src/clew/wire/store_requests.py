"""What clients may send of vector stores, their files and batches; and what it asks the use cases for.

Source: OpenAI's published API schema (``CreateVectorStoreRequest`` and its kin) and azure-ai-agents 1.1.0.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from clew.core.filters import Attribute, Filter, check
from clew.core.options import Json
from clew.core.stores import MOST_FILES, MOST_IN_BATCH, Chunking
from clew.core.tools import RankingOptions
from clew.service.commands import NewStore, NewStoreFile
from clew.tools.searcher import Wanted
from clew.wire.errors import invalid
from clew.wire.requests import Metadata, Request

FileId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Attributes: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)] | float | bool],
    Meta(max_length=16),
]
StoreName: TypeAlias = Annotated[str, Meta(max_length=256)]


class ExpiresAfter(Request, frozen=True):
    """When a store expires: days after its last use."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class StaticChunking(Request, frozen=True):
    """Tokens of a chunk, and of what it shares with the one before."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0)]


class AutoStrategy(Request, frozen=True, tag="auto"):
    """800 tokens, of which a chunk shares 400 with the one before."""


class StaticStrategy(Request, frozen=True, tag="static"):
    """Sizes of the client's own."""

    static: StaticChunking


Strategy: TypeAlias = AutoStrategy | StaticStrategy


class CreateVectorStore(Request, frozen=True):
    """Body of POST /vector_stores. ``configuration`` is Azure's, whose data sources this server has not."""

    name: StoreName | None = None
    description: Annotated[str, Meta(max_length=512)] | None = None
    file_ids: Annotated[list[FileId], Meta(max_length=MOST_FILES)] | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Strategy | None = None
    metadata: Metadata | None = None
    configuration: Json | None = None


class UpdateVectorStore(Request, frozen=True):
    """Body of POST /vector_stores/{id}: only what is given changes."""

    name: StoreName | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class CreateStoreFile(Request, frozen=True):
    """Body of POST .../files."""

    file_id: FileId | None = None
    data_source: Json | None = None
    attributes: Attributes | None = None
    chunking_strategy: Strategy | None = None


class UpdateStoreFile(Request, frozen=True, kw_only=True):
    """Body of POST .../files/{id}: its attributes as a whole."""

    attributes: Attributes | None


class BatchFile(Request, frozen=True, kw_only=True):
    """A file of a batch, with what is its own."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: Strategy | None = None


class CreateFileBatch(Request, frozen=True):
    """Body of POST .../file_batches: ids, or files with what is their own."""

    file_ids: Annotated[list[FileId], Meta(max_length=MOST_IN_BATCH)] | None = None
    files: Annotated[list[BatchFile], Meta(max_length=MOST_IN_BATCH)] | None = None
    data_sources: list[Json] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Strategy | None = None


class SearchVectorStore(Request, frozen=True, kw_only=True):
    """Body of POST .../search. ``rewrite_query`` is taken and changes nothing."""

    query: (
        Annotated[str, Meta(min_length=1, max_length=32_768)]
        | Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=4_096)]], Meta(min_length=1, max_length=16)
        ]
    )
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    filters: Filter | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


def new_store(body: CreateVectorStore, path: str = "") -> NewStore:
    """Return the store that a body describes; ``path`` is where it stands in a larger one."""
    if (body.configuration or {}).get("data_sources"):
        raise no_sources(f"{path}configuration.data_sources")
    chunking = _chunking(body.chunking_strategy, f"{path}chunking_strategy")
    return NewStore(
        name=body.name,
        metadata=body.metadata or {},
        expires_days=body.expires_after.days if body.expires_after else None,
        files=[NewStoreFile(file_id=each, chunking=chunking) for each in body.file_ids or ()],
    )


def store_fields(body: UpdateVectorStore) -> Json:
    """Return the fields of a store that a body gives; ``null`` counts as not given."""
    given = {
        "name": body.name,
        "metadata": body.metadata,
        "expires_days": body.expires_after.days if body.expires_after else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def new_file(body: CreateStoreFile) -> NewStoreFile:
    """Return the file that a body names."""
    if body.data_source is not None:
        raise no_sources("data_source")
    if body.file_id is None:
        raise invalid(
            "Missing required parameter: 'file_id'.", param="file_id", code="missing_required_parameter"
        )
    return _new(body.file_id, body.attributes, body.chunking_strategy, "chunking_strategy")


def new_batch(body: CreateFileBatch) -> list[NewStoreFile]:
    """Return the files of a batch."""
    if body.data_sources:
        raise no_sources("data_sources")
    if (body.file_ids is None) == (body.files is None):
        raise invalid(
            "Give 'file_ids' or 'files', one of them.", param="file_ids", code="missing_required_parameter"
        )
    if body.files is None:
        return [
            _new(each, body.attributes, body.chunking_strategy, "chunking_strategy")
            for each in body.file_ids or ()
        ]
    return [
        _new(
            each.file_id,
            each.attributes if each.attributes is not None else body.attributes,
            each.chunking_strategy or body.chunking_strategy,
            f"files[{number}].chunking_strategy",
        )
        for number, each in enumerate(body.files)
    ]


def _new(
    file_id: str, attributes: dict[str, Attribute] | None, strategy: Strategy | None, path: str
) -> NewStoreFile:
    chunking = _chunking(strategy, path)
    return NewStoreFile(file_id=file_id, attributes=attributes or {}, chunking=chunking)


def _chunking(strategy: Strategy | None, path: str) -> Chunking:
    if not isinstance(strategy, StaticStrategy):
        return Chunking()
    size, overlap = strategy.static.max_chunk_size_tokens, strategy.static.chunk_overlap_tokens
    if overlap > size // 2:
        name = f"{path}.static.chunk_overlap_tokens"
        raise invalid(
            f"Invalid '{name}': must be at most half of 'max_chunk_size_tokens', {size // 2}.",
            param=name,
            code="invalid_value",
        )
    return Chunking(size, overlap)


def no_sources(path: str) -> Exception:
    """Return the refusal of a data source of Azure's."""
    return invalid(
        "This server has no data sources of Azure's: upload files, and give their ids.",
        param=path,
        code="unsupported_data_source",
    )


def wanted(body: SearchVectorStore) -> Wanted:
    """Return what a body searches for."""
    if body.filters is not None:
        try:
            check(body.filters)
        except ValueError as wrong:
            raise invalid(f"Invalid 'filters': {wrong}", param="filters", code="invalid_value") from None
    query = body.query if isinstance(body.query, str) else "\n".join(body.query)
    threshold = body.ranking_options.score_threshold if body.ranking_options else None
    return Wanted(query, body.max_num_results or 10, threshold or 0.0, body.filters)
