"""A story of files, told by a client that never gives up: they come, are read, found, cited and deleted."""

import threading
from typing import Any

from tests.durability.file_load import CHUNKING
from tests.durability.scenario import Story
from tests.support.api import TERMINAL, Json, form, text
from tests.support.wait import until

_SEARCHED = {"type": "file_search"}
_PAUSE, _STEP = 0.02, 100
"""Seconds between two looks, and milliseconds that pass meanwhile once somebody has died in the middle."""


class FileStory(Story):
    """A client, and the files it has brought."""

    def tell(self) -> Json:
        """Play the story to its end; return its history, without ids and times."""
        self._pause = threading.Event()
        self._agent = self._post("/assistants", {"model": "scripted", "tools": [_SEARCHED]})["id"]
        history = [self._taken_in_found_and_taken_out(), self._attached()]
        self._http.close()
        return {"files": history}

    # --- the chapters ----------------------------------------------------------------------------

    def _taken_in_found_and_taken_out(self) -> Json:
        good, long, bad = (
            self._upload("good.txt", 5),
            self._upload("long.txt", 800),
            self._upload("bad.xyz", 1),
        )
        body = {"file_ids": [good], "chunking_strategy": CHUNKING}
        store = f"/vector_stores/{self._post('/vector_stores', body)['id']}"
        body = {"file_ids": [long, bad], "chunking_strategy": CHUNKING}
        batch = self._post(f"{store}/file_batches", body)["id"]
        self._wait_read(store)
        told = {
            "counts": self._get(store)["file_counts"],
            "batch": self._get(f"{store}/file_batches/{batch}")["file_counts"],
            "errors": [each["last_error"] for each in self._get(f"{store}/files?order=asc")["data"]],
            "found": self._found(store, "good"),
            "chunks": len(self._get(f"{store}/files/{long}/content")["data"]),
        }
        self._delete(f"{store}/files/{long}")
        self._delete(f"/files/{good}")
        told["left"] = [
            self._get(store)["file_counts"],
            self._found(store, "good"),
            self._found(store, "long"),
        ]
        self._delete(store)
        names = {each["filename"] for each in self._get("/files")["data"]}
        return told | {"names": sorted(names - {"good.txt"})}  # of it, a second one may have come

    def _attached(self) -> Json:
        """A run waits for a file that its message brings, and cites it."""
        file = self._upload("clew.txt", 3)
        message = {
            "role": "user",
            "content": "find clew",
            "attachments": [{"file_id": file, "tools": [_SEARCHED]}],
        }
        thread = self._post("/threads", {"messages": [message]})["id"]
        path = self._run(thread)
        while (run := self._get(path))["status"] not in TERMINAL:
            self._let_time_pass()
        (answer,) = self._get(f"/threads/{thread}/messages?run_id={run['id']}")["data"]
        annotations = answer["content"][0]["text"]["annotations"]
        cited = [each["file_citation"]["file_id"] == file for each in annotations]
        return {"status": run["status"], "text": text(answer), "cited": cited}

    # --- what it does ----------------------------------------------------------------------------

    def _upload(self, name: str, lines: int) -> str:
        word = name.partition(".")[0]
        data = "".join(f"{word} says {number} wörds.\n" for number in range(lines)).encode()
        content, headers = form(data, name, "assistants")
        while True:
            response = self._try("POST", "/files", None, headers, content)
            if response is not None and response.status_code == 200:
                file: str = response.json()["id"]
                return file

    def _wait_read(self, store: str) -> None:
        """Return when a store has read its files."""
        while self._get(store)["status"] != "completed":
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        """What has broken off is read anew a second later."""
        self._pause.wait(_PAUSE)
        if self._life.deaths:
            self._clock.advance(_STEP)

    def _found(self, store: str, word: str) -> list[Any]:
        """Return the chunks that a search finds of the file with a word: others are as good as each other."""
        found = self._post(f"{store}/search", {"query": word, "max_num_results": 50})["data"]
        there = [each for each in found if each["filename"].startswith(word)]
        return sorted(part["chunk"] for each in there for part in each["content"])

    def be_done(self) -> None:
        """Return when nothing is left to be read or to be deleted."""
        until(self._is_done, 60)

    def _is_done(self) -> bool:
        if self._life.is_dead:
            self._life.go_on()
        self._let_time_pass()
        return not self._life.left_to_do()
