"""The whole table: python -m bench [--quick] [--stores full normal postgres] [--json FILE]."""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from bench import references, requests, streams, turns, vectors, words
from bench.figures import Figure
from bench.processes import STORES, Site, Store, memory_mb, model, site
from clew.clock import SystemClock

_LENGTHS = [10, 1_000, 10_000, 99_000]  # clients may put 100,000 messages in a thread
_PACE = 0.02


class Amount(NamedTuple):
    """How much is measured."""

    turns: int
    seconds: float
    clients: tuple[int, ...]
    many: int
    lengths: list[int]
    quick: bool = False


_WHOLE = Amount(300, 4.0, (1, 8, 64, 256), 1000, _LENGTHS)
_QUICK = Amount(60, 1.0, (1, 64), 200, _LENGTHS[:3], quick=True)


async def of_store(store: Store, amount: Amount) -> list[Figure]:
    """Measure everything on one kind of store."""
    figures: list[Figure] = []
    with model() as (url, pid), site(store, url, pid) as running:
        figures += _at_rest(running)
        figures += await turns.sequential(running, amount.turns)
        before = _bytes(running)
        for clients in amount.clients:
            figures += await turns.at_once(running, clients, amount.seconds)
        figures += _grown(running, before, figures, amount)
        figures += await requests.rates(running, amount.seconds / 4)
        figures += await streams.beginnings(running, amount.turns)
    if not store.postgres:
        figures += await _long_threads(store, amount)
    with model(words=50, pace=_PACE) as (url, pid), site(store, url, pid) as running:
        figures += await streams.words(running, 20, 50, _PACE)
        figures += await streams.many(running, amount.many)
    if store is STORES["full"]:  # the log, the way of a word and vectors are the same on every store
        with model() as (url, pid):
            figures += await requests.logged(store, url, pid, amount.seconds)
        figures += await words.rows(store, quick=amount.quick)
        figures += await vectors.filled()
        figures += await asyncio.to_thread(vectors.searched, vectors.SIZES, 20 if amount.quick else 100)
    return figures


def _at_rest(running: Site) -> list[Figure]:
    (server,) = running.processes["server"]
    return [
        Figure("at rest", "cold start to ready", running.cold_start, "s"),
        Figure("at rest", "idle memory", memory_mb(server), "MB"),
    ]


def _bytes(running: Site) -> int:
    return sum(path.stat().st_size for path in running.data_dir.glob("clew.db*"))


def _grown(running: Site, before: int, figures: list[Figure], amount: Amount) -> list[Figure]:
    """Return what the turns so far have left behind, in memory and in the database."""
    rates = [figure.value for figure in figures if figure.name == "turns"]
    done = sum(rates) * amount.seconds
    (server,) = running.processes["server"]
    grown = [Figure("after these turns", "memory", memory_mb(server), "MB")]
    if before:
        grown.append(
            Figure("after these turns", "database a turn", (_bytes(running) - before) / done, "bytes")
        )
    return [*grown, Figure("after these turns", "turns made", done, "")]


async def _long_threads(store: Store, amount: Amount) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder,
        model() as (url, pid),
    ):
        await asyncio.to_thread(requests.seed, Path(folder), amount.lengths)
        with site(store, url, pid, data_dir=Path(folder)) as running:
            return await requests.by_length(running, amount.lengths, max(40, amount.turns // 4))


async def measure(stores: Iterable[str], amount: Amount) -> dict[str, list[Figure]]:
    """Measure the references, then every store."""
    with model() as (url, _):
        measured = {"references": await references.measured(Path.cwd(), url, amount.turns)}
    for name in stores:
        measured[STORES[name].name] = await of_store(STORES[name], amount)
    return measured


# --- the report ------------------------------------------------------------------------------------


def limits(measured: dict[str, list[Figure]]) -> list[str]:
    """Say how close a turn is to what its parts cost at the least."""
    reference = {figure.name: figure.value for figure in measured["references"]}
    answer, flush = reference["a bare ASGI answer"], reference["a durable write of 4 kB"]
    said = []
    for store, figures in measured.items():
        p50 = [f.value for f in figures if (f.group, f.name) == ("one turn, long-polling", "p50")]
        if not p50:
            continue
        flushes = 4 if store == STORES["full"].name else 0
        least = 5 * answer + flushes * flush
        said.append(
            f"{store}: a turn takes {p50[0]:.2f} ms; its 5 answers and {flushes} flushes take {least:.2f} ms "
            f"at the least, so it is {p50[0] / least:.1f} times that"
        )
    return said


def show(measured: dict[str, list[Figure]], console: Console) -> None:
    """Print the tables."""
    console.print(f"{_machine()}")
    for name, figures in measured.items():
        table = Table("", "", title=name, title_justify="left", box=None, padding=(0, 2, 0, 0))
        table.add_column("", justify="right")
        table.add_column("")
        table.add_column("ratio", justify="right")
        group = ""
        for figure in figures:
            shown = figure.group if figure.group != group else ""
            group = figure.group
            ratio = f"{figure.ratio:.2f}x {figure.of}" if figure.ratio else ""
            table.add_row(shown, figure.name, _number(figure.value), figure.unit, ratio)
        console.print(table)
    for line in limits(measured):
        console.print(line)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores shared by client, server and model; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f} at the start"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short measurements, to see that all works")
    parser.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    options = parser.parse_args()
    begun = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(options.stores, _QUICK if options.quick else _WHOLE))
    show(measured, Console())
    print(f"measured in {time.perf_counter() - begun:.0f} s")
    if options.json:
        plain = {name: [figure._asdict() for figure in figures] for name, figures in measured.items()}
        day = datetime.fromtimestamp(SystemClock().now() / 1000, UTC).date().isoformat()
        whole = {"machine": _machine(), "day": day, "figures": plain}
        options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
