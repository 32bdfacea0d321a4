"""Vector stores, their files and batches: /vector_stores."""

from clew.core.stores import FileStatus, VectorStore
from clew.http.answers import Headers, Json
from clew.http.call import Call, page_request, whole_number
from clew.http.handlers.runs import POLL_AFTER_MS
from clew.http.idempotency import key_of
from clew.service import vector_stores
from clew.service.context import Services
from clew.wire import store_requests
from clew.wire import vector_stores as wire
from clew.wire.dialects import AZURE
from clew.wire.explain import bad_choice
from clew.wire.objects import Deleted, ListObject, listed
from clew.wire.store_requests import (
    CreateFileBatch,
    CreateStoreFile,
    CreateVectorStore,
    SearchVectorStore,
    UpdateStoreFile,
    UpdateVectorStore,
)
from clew.wire.vector_stores import (
    ContentPage,
    FileBatchObject,
    SearchPage,
    StoreFileObject,
    VectorStoreObject,
)

_POLL_AFTER: Headers = ((b"openai-poll-after-ms", b"%d" % POLL_AFTER_MS),)
_CHUNKS = 100
"""Chunks of one page of a file's content."""


# --- stores -----------------------------------------------------------------------------------------


async def create(call: Call[CreateVectorStore]) -> Json[VectorStoreObject]:
    """Make a vector store; the files that the body names are read in the background."""
    made = await vector_stores.create(
        call.services, call.project, store_requests.new_store(call.body), key_of(call)
    )
    return Json(_shown(call.services, made))


async def get(call: Call[None]) -> Json[VectorStoreObject]:
    """Read a vector store, with counts of its files."""
    store = await vector_stores.read(call.services, call.project, call.path["store_id"])
    return Json(_shown(call.services, store), _POLL_AFTER)


async def update(call: Call[UpdateVectorStore]) -> Json[VectorStoreObject]:
    """Change a vector store's name, metadata or expiry."""
    store_id, fields = call.path["store_id"], store_requests.store_fields(call.body)
    store = await vector_stores.update(call.services, call.project, store_id, fields)
    return Json(_shown(call.services, store))


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete a vector store. The files in it stay files."""
    store_id = call.path["store_id"]
    await vector_stores.delete(call.services, call.project, store_id)
    return Json(Deleted(store_id, "vector_store.deleted"))


async def list_(call: Call[None]) -> Json[ListObject[VectorStoreObject]]:
    """List the project's vector stores."""
    page = await vector_stores.page(call.services, call.project, page_request(call))
    return Json(listed([_shown(call.services, each) for each in page.items], page.has_more))


async def reindex(call: Call[None]) -> Json[VectorStoreObject]:
    """Give a vector store the vectors of the model that this server embeds with now: Clew's own.

    That goes on in the background; searches use the vectors that are there until all are made. `reindexing`
    says how far it is. One that has them is left as it is.
    """
    store = await vector_stores.reindex(call.services, call.project, call.path["store_id"])
    return Json(_shown(call.services, store))


def _shown(services: Services, store: VectorStore) -> VectorStoreObject:
    return wire.store_object(store, services.process.clock.now(), services.searcher.embedder)


async def search(call: Call[SearchVectorStore]) -> Json[SearchPage]:
    """Search a vector store's files: by meaning and by words, best first.

    A score is from 0 to 1: how near the text is in meaning, or one that was ranked below it. `ranker` and
    `rewrite_query` are taken and change nothing.
    """
    wanted = store_requests.wanted(call.body)
    answers = await vector_stores.search(call.services, call.project, call.path["store_id"], wanted)
    return Json(wire.results(wanted.query, answers.found, answers.warning))


# --- files ------------------------------------------------------------------------------------------


async def create_file(call: Call[CreateStoreFile]) -> Json[StoreFileObject]:
    """Take a file into a vector store; it is read in the background. One that is there is read anew."""
    new, store_id = store_requests.new_file(call.body), call.path["store_id"]
    made = await vector_stores.add_file(call.services, call.project, store_id, new, key_of(call))
    return Json(wire.file_object(made))


async def get_file(call: Call[None]) -> Json[StoreFileObject]:
    """Read what has become of a file in a vector store."""
    file = await vector_stores.read_file(
        call.services, call.project, call.path["store_id"], call.path["file_id"]
    )
    return Json(wire.file_object(file), _POLL_AFTER)


async def update_file(call: Call[UpdateStoreFile]) -> Json[StoreFileObject]:
    """Give a file in a vector store other attributes."""
    file = await vector_stores.update_file(
        call.services,
        call.project,
        call.path["store_id"],
        call.path["file_id"],
        call.body.attributes or {},
    )
    return Json(wire.file_object(file))


async def delete_file(call: Call[None]) -> Json[Deleted]:
    """Take a file out of a vector store. It stays a file."""
    file_id = call.path["file_id"]
    await vector_stores.remove_file(call.services, call.project, call.path["store_id"], file_id)
    return Json(Deleted(file_id, "vector_store.file.deleted"))


async def list_files(call: Call[None]) -> Json[ListObject[StoreFileObject]]:
    """List a vector store's files; ``filter`` narrows it to one status."""
    page = await vector_stores.page_of_files(
        call.services, call.project, call.path["store_id"], page_request(call), status=_status(call)
    )
    return Json(listed([wire.file_object(each) for each in page.items], page.has_more))


def _status(call: Call[None]) -> str | None:
    asked = call.query.get("filter") or None
    statuses = [status.value for status in FileStatus]
    if asked is not None and asked not in statuses:
        raise bad_choice("filter", asked, statuses)
    return asked


async def file_content(call: Call[None]) -> Json[ContentPage]:
    """Read what was read of a file, chunk by chunk; ``after`` is the chunk that a page goes on behind.

    So a citation can be checked: each text says which chunk, page and lines it is.
    """
    first = whole_number(call.query.get("after") or "-1", "after", least=-1, most=2**31) + 1
    found = await vector_stores.file_chunks(
        call.services, call.project, call.path["store_id"], call.path["file_id"], first, _CHUNKS + 1
    )
    texts = [wire.text_of(each) for each in found[:_CHUNKS]]
    more = len(found) > _CHUNKS
    return Json(ContentPage(data=texts, has_more=more, next_page=str(texts[-1].chunk) if more else None))


# --- batches ----------------------------------------------------------------------------------------


async def create_batch(call: Call[CreateFileBatch]) -> Json[FileBatchObject]:
    """Take several files into a vector store."""
    files, store_id = store_requests.new_batch(call.body), call.path["store_id"]
    made = await vector_stores.create_batch(call.services, call.project, store_id, files, key_of(call))
    return Json(wire.batch_object(made, azure=call.dialect is AZURE))


async def get_batch(call: Call[None]) -> Json[FileBatchObject]:
    """Read what has become of a batch."""
    batch = await vector_stores.read_batch(
        call.services, call.project, call.path["store_id"], call.path["batch_id"]
    )
    return Json(wire.batch_object(batch, azure=call.dialect is AZURE), _POLL_AFTER)


async def cancel_batch(call: Call[None]) -> Json[FileBatchObject]:
    """Stop reading a batch's files. Those that were read stay."""
    batch = await vector_stores.cancel_batch(
        call.services, call.project, call.path["store_id"], call.path["batch_id"]
    )
    return Json(wire.batch_object(batch, azure=call.dialect is AZURE))


async def list_batch_files(call: Call[None]) -> Json[ListObject[StoreFileObject]]:
    """List a batch's files; ``filter`` narrows it to one status."""
    page = await vector_stores.page_of_files(
        call.services,
        call.project,
        call.path["store_id"],
        page_request(call),
        status=_status(call),
        batch_id=call.path["batch_id"],
    )
    return Json(listed([wire.file_object(each) for each in page.items], page.has_more))
