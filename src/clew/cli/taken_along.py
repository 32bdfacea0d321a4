"""What goes with threads that are exported: files that messages show, cite or have attached, and stores."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from clew.cli import output
from clew.cli.remote import Remote
from clew.cli.saving import plain_name, saved
from clew.cli.uploading import Uploads
from clew.toolkit.conversation.files import write_whole
from clew.toolkit.conversation.transcript import Transcript
from clew.toolkit.errors import NotFound
from clew.toolkit.records import Message

_PAGE = 100


class TakenAlong:
    """Copies files to a folder: each into a folder of its id, under its own name; a store as ``ID.json``.

    A file never changes, so one that is there already is not fetched again. Use it as a context manager.
    """

    def __init__(self, remote: Remote, folder: Path) -> None:
        self._service, self._folder = remote.service, folder
        self._uploads = Uploads(remote.where)

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uploads.__exit__(kind, error, trace)

    def of(self, transcript: Transcript) -> None:
        """Copy what a thread refers to. What is not there any more is said, and left out.

        Raises:
            ToolkitError: the server refused, or gave no answer.
            Problem, OSError: something can't be written.
        """
        resources = self._service.request("GET", "threads", transcript.thread.id).get("tool_resources") or {}
        wanted = [file_id for message in transcript.messages for file_id in _files_of(message)]
        wanted += (resources.get("code_interpreter") or {}).get("file_ids") or []
        for store_id in (resources.get("file_search") or {}).get("vector_store_ids") or []:
            wanted += self._store(store_id)
        for file_id in dict.fromkeys(wanted):
            try:
                self._file(file_id)
            except NotFound:
                output.say(f"{file_id} is not there any more")

    def _file(self, file_id: str) -> None:
        known = self._service.request("GET", "files", file_id)
        folder = self._folder / plain_name(file_id, "file")
        path = folder / plain_name(known["filename"], "file")
        if path.exists() and path.stat().st_size == known["bytes"]:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        with saved(path, force=True) as file:
            self._uploads.fetch(file_id, file)

    def _store(self, store_id: str) -> list[str]:
        """Write down what a store is; return its files."""
        try:
            store = self._service.request("GET", "vector_stores", store_id)
        except NotFound:
            output.say(f"{store_id} is not there any more")
            return []
        files: list[Any] = []
        query: dict[str, Any] = {"limit": _PAGE, "order": "asc"}
        while True:
            page = self._service.request("GET", "vector_stores", store_id, "files", query=query)
            files += page["data"]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        told = msgspec.json.format(msgspec.json.encode({"store": store, "files": files}), indent=2)
        write_whole(self._folder / f"{plain_name(store_id, 'store')}.json", told.decode() + "\n")
        return [str(file["id"]) for file in files]


def _files_of(message: Message) -> Iterator[str]:
    """Yield the ids of files that a message shows, cites or has attached."""
    for part in message.content:
        if part.image_file is not None:
            yield str(part.image_file["file_id"])
        for annotation in part.text.annotations if part.text is not None else ():
            cited = annotation.get("file_citation") or annotation.get("file_path")
            if cited and cited.get("file_id"):
                yield str(cited["file_id"])
    for attachment in message.attachments or ():
        if attachment.get("file_id"):
            yield str(attachment["file_id"])
