"""What stays behind: memory after many runs, and the cost of a turn when the table of runs is long.

    python -m bench.growth [--runs 100000] [--rows 10000000]

The rows are generated: copies of a run that was made, with ids, threads and times of their own.
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import uvloop

from bench import turns
from bench.figures import Times, timed
from bench.http1 import Connection
from bench.processes import KEY, STORES, Site, memory_mb, model, site
from clew.store.schema import prepare_sqlite

_CLIENTS = 64
_RUNS_A_THREAD = 10
_MANY, _ROUNDS = 40, 6
_STATEMENT_COLUMNS = {
    "id": "'run_' || lower(hex(randomblob(12)))",
    "thread_id": f"'thread_' || printf('%024d', value / {_RUNS_A_THREAD})",
    "created_at": "created_at - value * 7",
    "ended_at": "ended_at - value * 7",
}
"""What is different in each copy. Every 7 ms one: ten million span the last 19 hours and a half."""


async def many_runs(running: Site, runs: int) -> None:
    """Make so many runs; print what memory they leave, and what a turn takes before and after."""
    (server,) = running.processes["server"]
    before = await _turn(running)
    print(f"no runs: {memory_mb(server):.0f} MB, a turn {before.p50:.2f} ms")
    connections = [await Connection.open(running.port, KEY) for _ in range(_CLIENTS)]
    body = await turns.run_body(connections[0])
    for part in range(4):
        left = runs // 4
        begun = time.perf_counter()

        async def work(connection: Connection) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await turns.by_long_poll(connection, body)

        await asyncio.gather(*map(work, connections))
        rate = runs // 4 / (time.perf_counter() - begun)
        size = sum(path.stat().st_size for path in running.data_dir.glob("clew.db*")) / 1e6
        done = (part + 1) * (runs // 4)
        print(f"{done:,} runs: {memory_mb(server):.0f} MB, {rate:.0f} turns/s, database {size:,.0f} MB")
    after = await _turn(running)
    print(f"a turn {after.p50:.2f} ms, {after.p50 / before.p50:.2f}x")
    for connection in connections:
        await connection.close()


async def _turn(running: Site) -> Times:
    connection = await Connection.open(running.port, KEY)
    body = await turns.run_body(connection)
    await timed(lambda: turns.by_long_poll(connection, body), 50)
    times = await timed(lambda: turns.by_long_poll(connection, body), 300)
    await connection.close()
    return times


# --- a long table ----------------------------------------------------------------------------------


def fill(path: Path, rows: int) -> None:
    """Copy the one run of a database so many times, then make the indexes anew."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4000000;"
        )
        names = [row[1] for row in connection.execute("PRAGMA table_info(runs)") if row[1] != "seq"]
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs' AND sql NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        chosen = ", ".join(_STATEMENT_COLUMNS.get(name, f'"{name}"') for name in names)
        columns = ", ".join(f'"{name}"' for name in names)
        connection.execute(
            f"INSERT INTO runs ({columns}) SELECT {chosen} FROM "  # noqa: S608 - names of our own table
            "(SELECT * FROM runs LIMIT 1), (WITH RECURSIVE n(value) AS "
            f"(VALUES (1) UNION ALL SELECT value + 1 FROM n WHERE value < {rows}) SELECT value FROM n)"
        )
        for _, statement in indexes:
            connection.execute(statement)
        connection.execute("ANALYZE")
        connection.commit()
        connection.execute("PRAGMA journal_mode=WAL")


def sizes(path: Path) -> list[tuple[str, float]]:
    """Return how many megabytes the table of runs and each of its indexes take."""
    with closing(sqlite3.connect(path)) as connection:
        query = """SELECT name, sum(pgsize) / 1e6 FROM dbstat WHERE name IN
            (SELECT name FROM sqlite_master WHERE tbl_name = 'runs') GROUP BY name ORDER BY 2 DESC"""
        return connection.execute(query).fetchall()


async def long_table(rows: int) -> None:
    """Print what a turn takes beside so many runs, against an empty database in the same minute."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-", ignore_cleanup_errors=True) as folder,
        model() as (url, pid),
        site(STORES["full"], url, pid) as empty,
    ):
        long = Path(folder)
        prepare_sqlite(long / "clew.db")
        with site(STORES["full"], url, pid, data_dir=long) as running:
            await _once(running)
        begun = time.perf_counter()
        await asyncio.to_thread(fill, long / "clew.db", rows)
        print(f"{rows:,} rows are generated ({time.perf_counter() - begun:.0f} s)")
        for name, size in await asyncio.to_thread(sizes, long / "clew.db"):
            print(f"  {name}: {size:,.0f} MB, {size * 1e6 / rows:.0f} bytes a run")
        with site(STORES["full"], url, pid, data_dir=long) as running:
            print(f"start beside them: {running.cold_start:.2f} s, and {empty.cold_start:.2f} s without")
            await _alternate(empty, running)


async def _once(running: Site) -> None:
    connection = await Connection.open(running.port, KEY)
    await turns.by_long_poll(connection, await turns.run_body(connection))
    await connection.close()


async def _middle(running: Site) -> float:
    connection = await Connection.open(running.port, KEY)
    body = await turns.run_body(connection)
    times = await timed(lambda: turns.by_long_poll(connection, body), _MANY)
    await connection.close()
    return times.p50


async def _alternate(empty: Site, long: Site) -> None:
    taken: dict[str, list[float]] = {"empty": [], "long": []}
    for _ in range(_ROUNDS):
        for name, running in (("empty", empty), ("long", long)):
            taken[name].append(await _middle(running))
    middle = {name: sorted(values)[_ROUNDS // 2] for name, values in taken.items()}
    print(
        f"a turn: {middle['long']:.2f} ms beside them, {middle['empty']:.2f} ms on an empty database, "
        f"{middle['long'] / middle['empty']:.2f}x"
    )
    connection = await Connection.open(long.port, KEY)
    begun = time.perf_counter()
    summary = json.loads(await connection.call("GET", "/v1/metrics/summary"))
    print(f"a summary of {summary['runs']:,} runs: {time.perf_counter() - begun:.1f} s")
    await connection.close()


async def _main(runs: int, rows: int) -> None:
    if runs:
        with model() as (url, pid), site(STORES["full"], url, pid) as running:
            await many_runs(running, runs)
    if rows:
        await long_table(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    uvloop.run(_main(options.runs, options.rows))


if __name__ == "__main__":
    main()
