"""Blobs as files of a folder: ``ab/abcd...``, and drafts in ``drafts/``.

A blob's bytes are on the disk, and so is its name, before :meth:`keep` returns: written, flushed, renamed,
and the folder flushed (https://man7.org/linux/man-pages/man2/fsync.2.html).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from clew.blobs.blobs import BlobMissing, BlobsHeld, Found, Kept
from clew.blobs.hold import HOLDS, is_held

_PIECE = 256 * 1024
"""Bytes that a reader is given at once."""

_BATCH = 1024 * 1024
"""Bytes that are hashed and written at once, while the next ones come in."""

_DRAFTS = "drafts"


class Folder:
    """Blobs in a folder of this machine, or one that several machines share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @asynccontextmanager
    async def draft(self, key: str) -> AsyncIterator["FolderDraft"]:
        draft = await asyncio.to_thread(_begin, self.path / _DRAFTS / key, self._place(key))
        try:
            yield draft
        finally:
            await draft.end()

    async def read(self, key: str, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        with await asyncio.to_thread(_opened, self._place(key)) as file:
            if begin:
                file.seek(begin)
            left = end - begin if end is not None else None
            while left is None or left > 0:
                piece = await asyncio.to_thread(file.read, _PIECE if left is None else min(left, _PIECE))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        place = self._place(key)
        if not await asyncio.to_thread(place.exists):
            raise BlobMissing(key)
        yield place

    async def remove(self, key: str) -> None:
        await asyncio.to_thread(_remove, self.path, self._place(key), self.path / _DRAFTS / key)

    async def found(self) -> AsyncIterator[Found]:
        for found in await asyncio.to_thread(list, _found(self.path)):
            yield found

    def _place(self, key: str) -> Path:
        assert key.isalnum(), "keys are made here, of letters and digits"
        return self.path / key[:2] / key


class FolderDraft:
    """A blob that is being written: one batch goes to the disk while the next one comes in."""

    def __init__(self, file: BinaryIO, draft: Path, place: Path) -> None:
        self._file, self._draft, self._place = file, draft, place
        self._hash = sha256()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._writing: asyncio.Task[None] | None = None
        self.size = 0

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.size += len(piece)
        self._waiting += len(piece)
        if self._waiting >= _BATCH:
            await self._flush()

    async def _flush(self) -> None:
        await self._written()
        batch, self._pieces, self._waiting = self._pieces, [], 0
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._store, batch))

    async def _written(self) -> None:
        if (writing := self._writing) is not None:
            self._writing = None
            await asyncio.shield(writing)

    def _store(self, batch: list[bytes]) -> None:
        for piece in batch:
            self._hash.update(piece)
            self._file.write(piece)

    async def keep(self) -> Kept:
        await self._flush()
        await self._written()
        await asyncio.to_thread(_settle, self._file, self._draft, self._place)
        return Kept(self.size, self._hash.hexdigest())

    async def end(self) -> None:
        """Let go of the file; throw away what was not kept."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            self._writing.exception()
        await asyncio.to_thread(_throw_away, self._file, self._draft)


def _begin(draft: Path, place: Path) -> FolderDraft:
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return FolderDraft(os.fdopen(descriptor, "wb"), draft, place)


def _settle(file: BinaryIO, draft: Path, place: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    with suppress(FileExistsError):
        place.parent.mkdir(mode=0o700)
        _flush_folder(place.parent.parent)
    draft.rename(place)
    _flush_folder(place.parent)


def _flush_folder(path: Path) -> None:
    if os.name == "nt":
        return  # Windows can't open a folder, and keeps renames by itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _throw_away(file: BinaryIO, draft: Path) -> None:
    with suppress(OSError):  # the disk is full: what is left in memory goes too
        file.close()
    draft.unlink(missing_ok=True)


def _opened(place: Path) -> BinaryIO:
    try:
        return place.open("rb", buffering=0)
    except FileNotFoundError:
        raise BlobMissing(place.name) from None


def _remove(folder: Path, *paths: Path) -> None:
    if is_held(folder):
        raise BlobsHeld(f"{folder} is being copied")
    for path in paths:
        path.unlink(missing_ok=True)


def _found(path: Path) -> Iterator[Found]:
    """Yield what lies in the folder, with its age by the clock of the file system itself.

    While the folder is held everything counts as new, so that a sweep leaves it alone and comes again.
    """
    if not path.is_dir():
        return
    now, held = _now_of(path), is_held(path)
    for folder in path.iterdir():
        if folder.is_dir() and folder.name != HOLDS:
            for file in folder.iterdir():
                with suppress(FileNotFoundError):
                    yield Found(file.name, 0.0 if held else now - file.stat().st_mtime)


def _now_of(path: Path) -> float:
    probe = path / ".now"
    probe.touch()
    return probe.stat().st_mtime
