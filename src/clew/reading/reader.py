"""Reading users' files: text in sections, and pictures that a model can be shown.

Each file is read by a process of its own, which holds nothing but the open file, runs under limits of memory
and time, and ends with it: :mod:`clew.reading.worker` says which, and what other systems than Linux lack.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from clew.reading.answers import CannotRead, Code, Image, Section
from clew.reading.child import Answer, Child, KilledFromOutside
from clew.reading.kinds import OLDER, SUPPORTED, extension_of, image_type, type_of

__all__ = [
    "SUPPORTED",
    "CannotRead",
    "Code",
    "Image",
    "Reader",
    "Section",
    "image_type",
    "type_of",
]

_ATTEMPTS = 2


class Reader:
    """Reads files, ``at_once`` of them side by side; others wait in order. For one event loop."""

    def __init__(self, at_once: int = 2) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="clew-reading")
        self._children: set[Child] = set()
        self._work: set[asyncio.Future[Answer]] = set()
        self._closed = False

    async def text(self, path: Path, filename: str) -> list[Section]:
        """Return the text of the file at ``path``, which its user calls ``filename``: one section or more.

        Its name's extension decides which reader it gets, and its first bytes must agree. It has at most 20
        million characters and 200,000 sections, and is read within 90 seconds. Cancelling ends the process.

        Raises:
            CannotRead: ``unsupported_file`` - its extension is none of :data:`SUPPORTED`, or it has no text;
                ``invalid_file`` - it is empty, damaged, encrypted, too long, or not what its name says;
                ``server_error`` - the reader was stopped, or can't be started.
        """
        kind = type_of(filename)
        if kind is None:
            raise _unsupported(filename)
        answer = await self._read(lambda: Child("text", kind, path))
        assert isinstance(answer, list)
        return answer

    async def image(self, path: Path, longest: int) -> Image:
        """Return the picture at ``path`` with its longer side at most ``longest`` pixels, never enlarged.

        It is turned as its EXIF data says, and encoded anew without any: as PNG where some of it is
        transparent, else as JPEG. Of an animation it is the first frame.

        Raises:
            CannotRead: ``unsupported_file`` - it is no JPEG, PNG, GIF or WebP; ``invalid_file`` - it is
                empty, damaged, or larger than 20 MB or 50 megapixels; ``server_error`` - as for :meth:`text`.
            ValueError: ``longest`` is not between 1 and 16,384.
        """
        if not 1 <= longest <= 16_384:
            raise ValueError("longest must be between 1 and 16384")
        answer = await self._read(lambda: Child("image", str(longest), path))
        if not isinstance(answer, Image):
            raise CannotRead("invalid_file", "The image is damaged.")
        return answer

    async def close(self) -> None:
        """End the processes. What is being read, or waits to be, raises CannotRead. May be called twice."""
        self._closed = True
        for child in list(self._children):
            child.kill()
        if self._work:
            await asyncio.wait(list(self._work))
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, child_for: Callable[[], Child]) -> Answer:
        async with self._places:
            for _ in range(_ATTEMPTS):
                if self._closed:
                    raise CannotRead("server_error", "Reading the file was stopped.")
                with suppress(KilledFromOutside):
                    return await self._run(child_for())
        raise CannotRead("server_error", "The process that read the file was ended from outside, twice.")

    async def _run(self, child: Child) -> Answer:
        work = asyncio.get_running_loop().run_in_executor(self._threads, child.run)
        self._children.add(child)
        self._work.add(work)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            child.kill()
            await asyncio.wait([work])  # the place is given away when the process has gone
            work.exception()  # that it was stopped is no news
            raise
        finally:
            self._children.discard(child)
            self._work.discard(work)


def _unsupported(filename: str) -> CannotRead:
    extension = extension_of(filename)
    if extension in OLDER:
        told = f"Files of the type {extension} are not read; save it as {OLDER[extension]}."
    elif extension:
        told = f"Files of the type {extension[:20]} are not read."
    else:
        told = "The file's name has no extension, which would say how to read it."
    return CannotRead("unsupported_file", told)
