"""Clients that upload, put files into vector stores, search, ask runs to, and delete, through kills.

What each client does with files stands in names of its own, so that it knows of every file whether it is one
of its. Of every text, each line has a word that stands in no other file: who is read whole is found by it.
"""

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from tests.durability.load import Client

CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
"""Chunks that share nothing: one behind the other, they are the file's text."""

_PLENTY = 900
"""Lines of a file that is stored in several transactions."""

_SEARCHED = {"type": "file_search"}


class Sent(NamedTuple):
    """A file that was sent, perhaps more than once."""

    name: str
    bytes: int
    sha256: str


class Searched(NamedTuple):
    """What a search for a file's word has found of it; ``whole`` if the file was known to be read."""

    store: str
    file: str
    chunks: list[int]
    whole: bool


class FileLog:
    """What one client has done with files, and was told of them."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        """By name."""
        self.times: dict[str, int] = {}
        """How often each name's bytes were sent: so many files of that name may be there."""
        self.files: dict[str, str] = {}
        """Acknowledged files, with their names."""
        self.stores: dict[str, set[str]] = {}
        """Acknowledged stores, with the files that were put into them and not taken out."""
        self.overlapping: set[str] = set()
        """Stores whose files are cut into chunks that share text."""
        self.batches: dict[str, tuple[str, int]] = {}
        """Acknowledged batches, with their stores and the number of their files."""
        self.cancelled: set[str] = set()
        """Batches whose cancellation was acknowledged."""
        self.gone: set[str] = set()
        """Files and stores that were deleted."""
        self.searched: list[Searched] = []


def word(name: str) -> str:
    """Return the word that stands in every line of a file, and in no other file."""
    return name.partition(".")[0]


class FileClient(Client):
    """A client that works with files."""

    tools = (_SEARCHED,)

    def __init__(
        self, number: int, key: str, urls: Callable[[], list[str]], tell: Callable[[], None], seed: int
    ) -> None:
        super().__init__(number, key, urls, tell, seed)
        self.file_log = FileLog()
        self._pause = threading.Event()

    def _converse(self, agent: str) -> None:
        match self._chance.choice(("build", "build", "batch", "search", "ask", "attach", "remove", "race")):
            case "build":
                self._build()
            case "batch":
                self._batch()
            case "search":
                self._search()
            case "ask":
                self._ask(agent)
            case "attach":
                self._attach(agent)
            case "remove":
                self._remove()
            case "race":
                self._race()

    # --- files and stores ------------------------------------------------------------------------

    def _upload(self) -> str:
        """Send a new file until it is acknowledged; return its id."""
        log = self.file_log
        self._count += 1
        name = f"u{self._number}x{self._count}.txt"
        lines = _PLENTY if self._chance.random() < 0.1 else self._chance.randint(1, 120)
        data = "".join(f"{word(name)} says {number} wörds 🧶\n" for number in range(lines)).encode()
        log.sent[name] = Sent(name, len(data), sha256(data).hexdigest())
        log.times[name] = 0

        def sent() -> None:
            log.times[name] += 1

        file: str = self._requests.upload(data, name, sent)["id"]
        log.files[file] = name
        return file

    def _build(self) -> str:
        """Make a store with files, some at once and some later; look at it now and then."""
        files = [self._upload() for _ in range(self._chance.randint(1, 3))]
        first, later = files[:1], files[1:]
        body = {"file_ids": first, "chunking_strategy": CHUNKING}
        store: str = self._requests.post("/vector_stores", body)["id"]
        self.file_log.stores[store] = set(first)
        for file in later:
            self._put(store, file)
        if self._chance.random() < 0.6:
            self._wait_read(store)
        return store

    def _put(self, store: str, file: str, *, refusable: bool = False) -> None:
        body = {"file_id": file, "chunking_strategy": CHUNKING}
        path = f"/vector_stores/{store}/files"
        if self._requests.post(path, body, refusable=refusable) is not None:
            self.file_log.stores[store].add(file)

    def _wait_read(self, store: str) -> None:
        """Look at a store until its files are read, or for a while: after a kill, that may take longer."""
        for _ in range(60):
            if self._requests.get(f"/vector_stores/{store}")["status"] == "completed":
                return
            self._pause.wait(0.02)

    def _batch(self) -> None:
        store = self._build()
        files = [self._upload() for _ in range(self._chance.randint(1, 4))]
        body = {"file_ids": files, "chunking_strategy": CHUNKING}
        batch: str = self._requests.post(f"/vector_stores/{store}/file_batches", body)["id"]
        self.file_log.batches[batch] = (store, len(files))
        self.file_log.stores[store] |= set(files)
        if self._chance.random() < 0.3:
            path = f"/vector_stores/{store}/file_batches/{batch}/cancel"
            if self._requests.post(path, None, refusable=True) is not None:
                self.file_log.cancelled.add(batch)

    def _some(self) -> tuple[str, str] | None:
        """Return a store that is there and a file in it, if there is one."""
        log = self.file_log
        there = [(store, file) for store, files in log.stores.items() for file in files]
        there = [each for each in there if each[0] not in log.gone and each[1] not in log.gone]
        return self._chance.choice(there) if there else None

    def _search(self) -> None:
        if (some := self._some()) is None:
            return
        store, file = some
        status = self._requests.get(f"/vector_stores/{store}/files/{file}")["status"]
        body = {"query": word(self.file_log.files[file]), "max_num_results": 50}
        found = self._requests.post(f"/vector_stores/{store}/search", body)["data"]
        chunks = [part["chunk"] for each in found if each["file_id"] == file for part in each["content"]]
        self.file_log.searched.append(Searched(store, file, chunks, status == "completed"))

    # --- runs ------------------------------------------------------------------------------------

    def _ask(self, agent: str) -> None:
        """Have a run search in a store."""
        if (some := self._some()) is None:
            return
        store, file = some
        resources = {"file_search": {"vector_store_ids": [store]}}
        thread = self._requests.post("/threads", {"tool_resources": resources})["id"]
        self.log.messages[thread] = []
        said = self._say(thread, f"find {word(self.file_log.files[file])}")
        self._answered(self._start(agent, thread, said))

    def _attach(self, agent: str) -> None:
        """Have a run wait for a file that its message brings."""
        file = self._upload()
        thread = self._requests.post("/threads", {})["id"]
        self.log.messages[thread] = []
        attached = [{"file_id": file, "tools": [_SEARCHED]}]
        said = self._say(thread, f"find {word(self.file_log.files[file])}", attachments=attached)
        resources = self._requests.get(f"/threads/{thread}")["tool_resources"]
        (store,) = resources["file_search"]["vector_store_ids"]
        self.file_log.stores[store] = {file}
        self.file_log.overlapping.add(store)
        self._answered(self._start(agent, thread, said))

    def _answered(self, path: str) -> None:
        """What a run says is known only by what it has found: its citations stand in its answer."""
        run = path.rpartition("/")[2]
        del self.log.answers[run]
        self._see_to_the_end(path)

    # --- deletions -------------------------------------------------------------------------------

    def _remove(self) -> None:
        if (some := self._some()) is None:
            return
        store, file = some
        match self._chance.choice(("file", "out of its store", "store")):
            case "file":
                self._requests.delete(f"/files/{file}")
                self.file_log.gone.add(file)
            case "out of its store":
                self._requests.delete(f"/vector_stores/{store}/files/{file}")
                self.file_log.stores[store].discard(file)
            case "store":
                self._requests.delete(f"/vector_stores/{store}")
                self.file_log.gone.add(store)

    def _race(self) -> None:
        """Delete a file at the moment in which it is put into a second store."""
        if (some := self._some()) is None:
            return
        store, file = self._build(), some[1]
        self._both(
            lambda: self._put(store, file, refusable=True), lambda: self._requests.delete(f"/files/{file}")
        )
        self.file_log.gone.add(file)
