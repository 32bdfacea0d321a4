"""Where a turn's time goes in the server, by layer: python -m bench.layers

The profiler makes Python's calls dearer than they are, so these are shares of the work, not milliseconds.
What the event loop itself does, and its waiting, is left out.
"""

import asyncio
import pstats
import tempfile
from collections import Counter
from pathlib import Path

import uvloop

from bench import turns
from bench.http1 import Connection
from bench.processes import KEY, STORES, Site, model, site
from bench.profiled import MAIN, WRITER

_LAYERS = (
    ("clew/http/", "HTTP: routes, checks, streams"),
    ("clew/wire/", "the wire format"),
    ("clew/store/", "the store: statements and rows"),
    ("clew/core/", "decisions and events of runs"),
    ("clew/engine/", "the run loop"),
    ("clew/bus/", "dispatch and live events"),
    ("clew/model/", "the model's dialect"),
    ("clew/", "other code of Clew"),
    ("uvicorn", "the HTTP server (uvicorn)"),
    ("aiohttp", "the HTTP client (aiohttp)"),
    ("aiohappyeyeballs", "the HTTP client (aiohttp)"),
    ("starlette", "starlette, anyio"),
    ("anyio", "starlette, anyio"),
    ("sqlite3", "SQLite"),
    ("msgspec", "JSON (msgspec)"),
    ("posix.urandom", "random ids"),
    ("asyncio", "asyncio"),
)
_LOOP = "runners.py"
_TURNS, _CLIENTS = 2000, 16


def shares(profile: Path) -> Counter[str]:
    """Return the seconds that a thread spent in each layer."""
    found: Counter[str] = Counter()
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    for (filename, _, name), (_, _, own, _, _) in stats.items():
        if filename.endswith(_LOOP) or "SimpleQueue" in name:  # both wait
            continue
        where = name if filename == "~" else filename
        layer = next((title for part, title in _LAYERS if part in where), "the rest")
        found[layer] += own
    return found


async def _work(running: Site) -> None:
    connections = [await Connection.open(running.port, KEY) for _ in range(_CLIENTS)]
    body = await turns.run_body(connections[0])

    async def some(connection: Connection) -> None:
        for _ in range(_TURNS // _CLIENTS):
            await turns.by_long_poll(connection, body)
        await connection.close()

    await asyncio.gather(*map(some, connections))


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-", ignore_cleanup_errors=True) as folder,
        model() as (url, pid),
    ):
        with site(STORES["full"], url, pid, data_dir=Path(folder), program="bench.profiled") as running:
            uvloop.run(_work(running))
        for thread, name in (("the event loop's thread", MAIN), ("the thread that writes", WRITER)):
            found = shares(Path(folder) / name)
            total = sum(found.values())
            print(f"{thread}:")
            for layer, seconds in found.most_common():
                if seconds / total >= 0.005:
                    print(f"  {seconds / total:6.1%}  {layer}")


if __name__ == "__main__":
    main()
