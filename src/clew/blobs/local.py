"""A blob that lies elsewhere, as a file of this machine for as long as somebody reads it."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def local_copy(pieces: AsyncIterator[bytes]) -> AsyncIterator[Path]:
    """Give a file, mode 0600, with these bytes. It is deleted afterwards.

    Raises:
        OSError: there is no room for it.
    """
    descriptor, name = await asyncio.to_thread(tempfile.mkstemp, prefix="clew-blob-")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
