"""What cells print: read from a pipe as it comes, kept up to a bound, and dropped beyond it."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from clew.sandbox.sandbox import MOST_LOGS

_READ = 256 * 1024
_ENDLESS = 128 * 1024 * 1024
"""Bytes of one cell after which its session ends: nobody prints that."""

_REST = 8
"""Reads for what was printed before a cell ended: more than a pipe holds."""


class Output:
    """The reading end of a pipe. Owned by the loop; ``flooded`` is called when output has no end."""

    def __init__(self, file: int) -> None:
        os.set_blocking(file, False)
        self._file = file
        self._kept = bytearray()
        self._count = 0
        self._closed = False
        self.flooded: Callable[[], None] = lambda: None
        asyncio.get_running_loop().add_reader(file, self._read)

    def begin(self) -> None:
        """Forget what came before, and what is still on its way."""
        self.take_rest()
        self._kept.clear()
        self._count = 0

    def take_rest(self) -> None:
        """Read what is in the pipe now."""
        for _ in range(_REST):
            if not self._read():
                return

    def text(self) -> str:
        """Return what came, with a line that says how much was dropped."""
        text = self._kept.decode("utf-8", "replace").replace("\x00", "\ufffd")
        dropped = self._count - len(self._kept)
        return f"{text}\n[{dropped} more bytes were dropped]\n" if dropped else text

    def close(self) -> None:
        """Stop reading."""
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)

    def _read(self) -> bool:
        """Read once; return whether there may be more."""
        if self._closed:
            return False
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._file, _READ)
            if not data:
                asyncio.get_running_loop().remove_reader(self._file)
        self._kept += data[: max(0, MOST_LOGS - len(self._kept))]
        self._count += len(data)
        if self._count > _ENDLESS:
            self.flooded()
        return bool(data)
