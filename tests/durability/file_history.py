"""A checker of what became of files: what clients were told of them against what is there in the end.

As in :mod:`tests.durability.history`, every complaint is a sentence, and none means that nothing was lost,
halved or doubled.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import httpx2

from tests.durability.file_load import FileLog, Sent, word
from tests.support.api import Api, Json

_SETTLED = {"completed", "failed", "cancelled"}
_MOST_FOUND = 25
"""Chunks of a file that searches find all of, whatever else is in its store."""


class FileNow(NamedTuple):
    """A file as it is in the end, and its bytes."""

    file: Json
    data: bytes


class StoreNow(NamedTuple):
    """A store as it is in the end: its files, what was read of each, and which chunks of it are found."""

    store: Json
    files: list[Json]
    content: dict[str, list[Json]]
    found: dict[str, list[int]]


class Now(NamedTuple):
    """What is there of one client's files: by id, but batches by theirs."""

    files: dict[str, FileNow]
    stores: dict[str, StoreNow]
    batches: dict[str, Json]


# --- what is there -----------------------------------------------------------------------------------


def now_of(http: httpx2.Client, url: str, key: str, log: FileLog) -> Now:
    """Read all that is there of what a client has done with files."""
    api = Api(http, url, key)
    listed = [each for each in api.get("/files")["data"] if each["filename"] in log.sent]
    files = {each["id"]: FileNow(each, _bytes_of(api, each["id"])) for each in listed}
    stores = {store: _store(api, log, store) for store in log.stores}
    batches = {
        batch: api.get(f"/vector_stores/{store}/file_batches/{batch}")
        for batch, (store, _) in log.batches.items()
        if stores[store] is not None
    }
    return Now(files, {store: each for store, each in stores.items() if each is not None}, batches)


def _bytes_of(api: Api, file: str) -> bytes:
    response = api.send("GET", f"/files/{file}/content")
    return response.content if response.status_code == 200 else b"not there"


def _store(api: Api, log: FileLog, store: str) -> StoreNow | None:
    response = api.send("GET", f"/vector_stores/{store}")
    if response.status_code == 404:
        return None
    files = api.get(f"/vector_stores/{store}/files", limit=100)["data"]
    read = [each["id"] for each in files if each["status"] == "completed"]
    content = {file: _content(api, f"/vector_stores/{store}/files/{file}/content") for file in read}
    found = {file: _found(api, store, file, log.files[file]) for file in read if file in log.files}
    return StoreNow(response.json(), files, content, found)


def _content(api: Api, path: str) -> list[Json]:
    chunks: list[Json] = []
    query: Json = {}
    while True:
        page = api.get(path, **query)
        chunks += page["data"]
        if not page["has_more"]:
            return chunks
        query = {"after": page["next_page"]}


def _found(api: Api, store: str, file: str, name: str) -> list[int]:
    body = {"query": word(name), "max_num_results": 50}
    results = api.post(f"/vector_stores/{store}/search", body)["data"]
    return [part["chunk"] for each in results if each["file_id"] == file for part in each["content"]]


# --- what is wrong with it ---------------------------------------------------------------------------


def check_all_files(http: httpx2.Client, url: str, key: str, logs: list[FileLog]) -> list[str]:
    """Return what is wrong with the files of several clients, and with what a server counts of them."""
    return [problem for log in logs for problem in check_files(log, now_of(http, url, key, log))]


def told_of(logs: list[FileLog]) -> str:
    """Return what clients did with files, counted."""
    uploads, stores = sum(len(log.files) for log in logs), sum(len(log.stores) for log in logs)
    again = sum(sum(log.times.values()) - len(log.files) for log in logs)
    puts, batches = (
        sum(len(each) for log in logs for each in log.stores.values()),
        sum(len(log.batches) for log in logs),
    )
    searches, gone = sum(len(log.searched) for log in logs), sum(len(log.gone) for log in logs)
    return (
        f"{uploads} uploads ({again} sent again), {stores} stores, {puts} files in them, {batches} batches, "
        f"{searches} searches, {gone} deletions"
    )


def check_files(log: FileLog, now: Now) -> list[str]:
    """Return every way in which a client's log of files and what is there don't agree."""
    complaints = [*_check_uploads(log, now.files)]
    for store in log.stores:
        complaints += [f"{store}: {problem}" for problem in _check_store(log, store, now)]
    for batch, found in now.batches.items():
        complaints += [f"{batch}: {problem}" for problem in _check_batch(log, batch, found)]
    for searched in log.searched:
        chunks = _chunks_of(now, searched.store, searched.file)
        if problem := _wrong_search(searched.chunks, chunks, whole=searched.whole):
            complaints.append(f"{searched.store}: a search for {searched.file} {problem}")
    return complaints


def _check_uploads(log: FileLog, files: dict[str, FileNow]) -> Iterator[str]:
    for file in log.files:
        if file in log.gone and file in files:
            yield f"{file}: its deletion was acknowledged, and it is there"
        if file not in log.gone and file not in files:
            yield f"{file}: its upload was acknowledged, and it is not there"
    for file, there in files.items():
        sent = log.sent[there.file["filename"]]
        told = Sent(sent.name, there.file["bytes"], sha256(there.data).hexdigest())
        if told != sent:
            yield f"{file}: it was sent as {sent}, and is {told}"
    names = Counter(there.file["filename"] for there in files.values())
    for name, count in names.items():
        if count > log.times[name]:
            yield f"{name} was sent {log.times[name]} times, and is there {count} times"


def _check_store(log: FileLog, store: str, now: Now) -> Iterator[str]:
    there = now.stores.get(store)
    if store in log.gone or there is None:
        if store in log.gone and there is not None:
            yield "its deletion was acknowledged, and it is there"
        if store not in log.gone:
            yield "it was acknowledged, and is not there"
        return
    ids = [each["id"] for each in there.files]
    expected = {file for file in log.stores[store] if file not in log.gone}
    if sorted(ids) != sorted(expected):
        yield f"it was to have the files {sorted(expected)}, and has {sorted(ids)}"
    counts = Counter(each["status"] for each in there.files)
    said = there.store["file_counts"]
    if said != {name: counts[name] for name in ("in_progress", *_SETTLED)} | {"total": len(ids)}:
        yield f"it counts {said}, and has {dict(counts)}"
    if there.store["usage_bytes"] != sum(each["usage_bytes"] for each in there.files):
        yield "its bytes are not those of its files"
    for file in there.files:
        yield from _check_in_store(log, there, file, now.files)


def _check_in_store(log: FileLog, store: StoreNow, file: Json, files: dict[str, FileNow]) -> Iterator[str]:
    name, status = file["id"], file["status"]
    if status not in _SETTLED:
        yield f"{name} is {status} for ever"
    if status == "cancelled" and not log.cancelled:
        yield f"{name} is cancelled, and nobody has cancelled anything"
    if (status == "failed") != (file["last_error"] is not None):
        yield f"{name} is {status}, with the error {file['last_error']}"
    if status != "completed" or name not in files:
        return
    chunks = store.content[name]
    if [each["chunk"] for each in chunks] != list(range(len(chunks))):
        yield f"{name} has the chunks {[each['chunk'] for each in chunks]}"
    text = files[name].data.decode()
    whole = "".join(each["text"] for each in chunks)
    if store.store["id"] in log.overlapping:
        whole = (
            text if all(each["text"] in text for each in chunks) and text.endswith(chunks[-1]["text"]) else ""
        )
    if whole != text:
        yield f"what was read of {name} is not what it says"
    if name in store.found and (problem := _wrong_search(store.found[name], len(chunks))):
        yield f"a search for {name} {problem}"


def _wrong_search(found: list[int], chunks: int | None, *, whole: bool = True) -> str | None:
    """Say what is wrong with the chunks that a search for a file's word has found of it."""
    if len(found) != len(set(found)):
        return f"found a chunk twice: {sorted(found)}"
    if whole and chunks is not None and chunks <= _MOST_FOUND and len(found) != chunks:
        return f"found {len(found)} of its {chunks} chunks"
    if found and chunks is not None and max(found) >= chunks:
        return f"found the chunk {max(found)} of {chunks}"
    return None


def _chunks_of(now: Now, store: str, file: str) -> int | None:
    """Return how many chunks a file has that is still in its store and read; else None."""
    content = now.stores[store].content.get(file) if store in now.stores else None
    return None if content is None else len(content)


def _check_batch(log: FileLog, batch: str, found: Json) -> Iterator[str]:
    counts, (_, files) = found["file_counts"], log.batches[batch]
    if found["status"] == "in_progress" or counts["in_progress"]:
        yield f"it has not ended: {counts}"
    if counts["total"] > files or counts["total"] != sum(counts[name] for name in _SETTLED):
        yield f"it was of {files} files, and counts {counts}"
    if (batch in log.cancelled) != (found["status"] == "cancelled"):
        yield f"it is {found['status']}, and {'was' if batch in log.cancelled else 'was not'} cancelled"
