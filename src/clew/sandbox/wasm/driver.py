"""The driver ``wasm``: sessions of Python in Deno, each a process of its own."""

import asyncio
from pathlib import Path

from clew.ids import Ids
from clew.installing import how_to_add
from clew.sandbox.sandbox import SandboxTrouble
from clew.sandbox.wasm.deno import Wall, find_deno
from clew.sandbox.wasm.probes import try_to_escape
from clew.sandbox.wasm.pyodide import ARCHIVE, folder_of, is_right
from clew.sandbox.wasm.session import WasmSession
from clew.weights.files import write_whole

_NO_PYODIDE = f"{ARCHIVE.title} is not there: clew code setup --wasm"


class Wasm:
    """See :class:`clew.sandbox.sandbox.Driver`. Needs nothing of the system, and works on all of them."""

    name = "wasm"

    def __init__(self, data_dir: Path, ids: Ids) -> None:
        """Take Pyodide from ``data_dir``, where :func:`fetch_pyodide` of this package puts it."""
        self._folder, self._ids = folder_of(data_dir).absolute(), ids
        self._sessions: set[WasmSession] = set()

    async def missing(self) -> str | None:
        """See :meth:`clew.sandbox.sandbox.Driver.missing`. The first time on a machine takes seconds."""
        try:
            wall = await asyncio.to_thread(self._wall)
            if not await asyncio.to_thread(is_right, self._folder):
                return _NO_PYODIDE
            if not wall.image.exists():
                image = await WasmSession.image(wall, self._ids)
                await asyncio.to_thread(write_whole, wall.image, image)
            escaped = await self._tried()
        except SandboxTrouble as trouble:
            return trouble.message
        except OSError as error:
            return f"{self._folder} can't be written: {error.strerror}"
        return f"Deno does not hold here, so it is not used: {escaped}" if escaped else None

    async def _tried(self) -> str | None:
        session = await self.start("self-test")
        try:
            return await try_to_escape(session)
        finally:
            await session.end()

    async def start(self, session: str) -> WasmSession:
        """See :meth:`clew.sandbox.sandbox.Driver.start`."""
        started = await WasmSession.start(await asyncio.to_thread(self._wall), self._ids)
        self._sessions = {each for each in self._sessions if not each.over}
        self._sessions.add(started)
        return started

    def _wall(self) -> Wall:
        deno = find_deno()
        if deno is None:
            raise SandboxTrouble(f"Deno is not installed: {how_to_add('wasm')}")
        if not self._folder.is_dir():
            raise SandboxTrouble(_NO_PYODIDE)
        return Wall(deno, self._folder)

    async def close(self) -> None:
        """See :meth:`clew.sandbox.sandbox.Driver.close`."""
        sessions, self._sessions = self._sessions, set()
        await asyncio.gather(*(session.end() for session in sessions))
