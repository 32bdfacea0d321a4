"""Small programs that are asked one thing."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE

from clew.settings import bare_environment


async def output_of(command: list[str], seconds: float) -> bytes:
    """Run a program that tells us something; return what it says, or nothing if it takes too long.

    Raises:
        OSError: it can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=bare_environment()
    )
    try:
        async with asyncio.timeout(seconds):
            return (await process.communicate())[0]
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
