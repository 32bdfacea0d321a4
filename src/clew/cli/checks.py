"""What ``clew doctor`` looks at. Each check says what it found and, where it matters, what to do."""

import asyncio
import os
import platform
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

import clew
from clew.bus.bus import BusError
from clew.cli import keys
from clew.cli.serve import without_password
from clew.clock import Clock
from clew.core.states import RunStatus
from clew.model.catalogue import DEFAULT
from clew.model.endpoint import Endpoint, shown_address
from clew.settings import Settings
from clew.store import census, workers
from clew.store.backup import check as check_file
from clew.store.census import Census
from clew.store.database import StoreError
from clew.store.schema import HEAD, sqlite_version
from clew.store.sqlite import read_beside
from clew.store.statement import Transaction
from clew.store.workers import WorkerRow

Level: TypeAlias = Literal["ok", "note", "warn", "fail"]

_LITTLE_DISK, _HARDLY_ANY_DISK = 2 * 1024**3, 200 * 1024**2
_SLOW_FLUSH = 20.0
_SKEW, _BAD_SKEW = 1.0, 30.0
_MODEL_TIMEOUT = 30.0
_FEW_CONNECTIONS = 0.8
_LATE_DELIVERY = 60.0


class Finding(Struct, frozen=True):
    """What a check found. ``advice`` says what to do about it."""

    subject: str
    level: Level
    text: str
    advice: str | None = None


Check: TypeAlias = Callable[[Settings, Clock], Awaitable[list[Finding]]]


async def versions(settings: Settings, clock: Clock) -> list[Finding]:
    """What runs here."""
    text = f"Clew {clew.__version__}, Python {platform.python_version()} on {platform.system()}"
    return [Finding("versions", "ok", f"{text}, SQLite {sqlite3.sqlite_version}")]


async def data_dir(settings: Settings, clock: Clock) -> list[Finding]:
    """The data directory: private, with room, on a disk that flushes in good time."""
    folder = settings.data_dir
    if not folder.is_dir():
        return [Finding("data", "note", f"{folder} is not there yet; the first `clew serve` makes it")]
    findings = []
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        advice = f"keys and conversations lie there: chmod 700 {folder}"
        findings.append(Finding("data", "warn", f"{folder} is open to other users", advice))
    free = shutil.disk_usage(folder).free
    level: Level = "fail" if free < _HARDLY_ANY_DISK else "warn" if free < _LITTLE_DISK else "ok"
    room = None if level == "ok" else "make room: a full disk refuses every write"
    findings.append(Finding("disk", level, f"{free / 1024**3:.1f} GB free at {folder}", room))
    if not settings.on_postgres:
        findings.append(_flush_time(folder))
    return findings


def _flush_time(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            times = []
            for _ in range(20):
                begun = time.perf_counter()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                times.append((time.perf_counter() - begun) * 1000)
    except OSError as error:
        return Finding(
            "disk", "fail", f"{folder} can't be written: {error.strerror}", "let Clew's user write there"
        )
    flush = statistics.median(times)
    if flush <= _SLOW_FLUSH:
        return Finding("disk", "ok", f"a durable write takes {flush:.2f} ms")
    advice = "every commit waits for one: use a local SSD, not a network disk"
    return Finding("disk", "warn", f"a durable write takes {flush:.0f} ms", advice)


async def key(settings: Settings, clock: Clock) -> list[Finding]:
    """The key that clients send."""
    if settings.api_key is not None:
        return [Finding("key", "ok", "from CLEW_API_KEY")]
    if keys.existing_key(settings) is None:
        return [Finding("key", "note", "none yet; the first `clew serve` makes one")]
    return [Finding("key", "ok", str(keys.key_path(settings)))]


# --- the store -----------------------------------------------------------------------------------


async def store(settings: Settings, clock: Clock) -> list[Finding]:
    """The database: there, whole, of this version; and its clock."""
    if settings.on_postgres:
        return await _postgres(settings, clock)
    path = settings.sqlite_path
    if not path.is_file():
        return [Finding("store", "note", f"{path} is not there yet; the first `clew serve` makes it")]
    return [await asyncio.to_thread(file_finding, path, HEAD)]


def file_finding(path: Path, wanted: str) -> Finding:
    """Look through a SQLite file that should have a schema."""
    try:
        version = sqlite_version(path)
        if version != wanted:
            return _outdated(str(path), version)
        contents = check_file(path)
    except (StoreError, sqlite3.Error) as error:
        return Finding("store", "fail", str(error), "restore a backup: clew restore FILE")
    size = path.stat().st_size / 1024**2
    text = f"{path}, {size:.0f} MB, schema {version}, {contents.rows['messages']:,} messages"
    return Finding("store", "ok", f"{text}; every page is sound")


def _outdated(where: str, version: str | None) -> Finding:
    text = f"{where} has schema {version}, this Clew wants {HEAD}"
    return Finding("store", "warn", text, "the next start brings it there, or now: clew migrate")


async def _postgres(settings: Settings, clock: Clock) -> list[Finding]:
    from clew.store.pgvector import found_on
    from clew.store.postgres_pool import connect
    from clew.store.postgres_schema import postgres_version

    url = settings.database_url or ""
    try:
        version = await postgres_version(url)
        connection = await connect(url)
    except (StoreError, OSError) as error:
        return [Finding("store", "fail", str(error), "correct CLEW_DATABASE_URL, or start the server")]
    try:
        name = await connection.fetchval("SHOW server_version")
        pgvector = await found_on(connection, url)
        used = await connection.fetchval("SELECT count(*) FROM pg_stat_activity")
        most = int(await connection.fetchval("SHOW max_connections"))
        skew = clock.now() / 1000 - float(
            await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())")
        )
    finally:
        await connection.close()
    if version != HEAD:
        return [_outdated(without_password(url), version)]
    text = f"{without_password(url)}, PostgreSQL {name}, schema {version}"
    text = f"{text}; {vectors_text(None if pgvector is None else pgvector.said)}"
    findings = [Finding("store", "ok", text)]
    advice = "raise max_connections, or lower CLEW_DATABASE_CONNECTIONS"
    full = used > most * _FEW_CONNECTIONS
    text = (
        f"{used} of {most} connections in use; each Clew process opens up to {settings.database_connections}"
    )
    findings.append(Finding("store", "warn" if full else "ok", text, advice if full else None))
    return [*findings, _skewed(skew)]


def vectors_text(pgvector: str | None) -> str:
    """Say who searches large vector stores on PostgreSQL."""
    return "vectors in memory, without pgvector" if pgvector is None else f"pgvector {pgvector}"


def _skewed(skew: float) -> Finding:
    text = f"this machine's is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} the database's"
    if abs(skew) < _SKEW:
        return Finding("clock", "ok", text)
    level: Level = "fail" if abs(skew) > _BAD_SKEW else "warn"
    return Finding("clock", level, text, "run NTP on both: expiry goes by each process's own clock")


async def runs(settings: Settings, clock: Clock) -> list[Finding]:
    """What is going on: live runs, their workers, what webhooks are still to be told."""
    try:
        looked = await _look(settings, clock)
    except (StoreError, sqlite3.Error):
        return []  # the check of the store says what is wrong with it
    if looked is None:
        return []
    now, (counted, there) = clock.now(), looked
    live = ", ".join(f"{count} {status}" for status, count in counted.live.items() if count) or "none is live"
    findings = [Finding("runs", "ok", f"{live}; {counted.in_line} in line on busy threads")]
    if settings.bus_url is not None:
        findings.append(_workers(there, counted.live[RunStatus.QUEUED], now, settings))
    late = (now - (counted.oldest_delivery_due or now)) / 1000
    if late > _LATE_DELIVERY:
        text = f"{counted.deliveries} deliveries wait, the oldest {late:.0f} s late"
        findings.append(Finding("webhooks", "warn", text, "see each webhook's last_error"))
    return findings


async def _look(settings: Settings, clock: Clock) -> tuple[Census, list[WorkerRow]] | None:
    """Count what a database holds beside whoever uses it; None if it is not there or not up to date."""
    if not settings.on_postgres:
        path = settings.sqlite_path
        if not path.is_file() or sqlite_version(path) != HEAD:
            return None
        return await asyncio.to_thread(read_beside, path, _counts)
    from clew.store.postgres import PostgresDatabase
    from clew.store.postgres_schema import postgres_version

    url = settings.database_url or ""
    if await postgres_version(url) != HEAD:
        return None
    db = PostgresDatabase(url, clock=clock, connections=2, reconnect_timeout=0)
    try:
        return await db.read(_counts)
    finally:
        await db.close()


async def _counts(tx: Transaction) -> tuple[Census, list[WorkerRow]]:
    return await census.take(tx), await workers.all_(tx)


def _workers(there: list[WorkerRow], waiting: int, now: int, settings: Settings) -> Finding:
    fresh = [row for row in there if now - row.seen_at < settings.takeover_after * 1000 + 5_000]
    working = [row for row in fresh if row.works]
    text = f"{len(working)} work and {len(fresh) - len(working)} only serve"
    if working:
        return Finding("workers", "ok", f"{text}: {', '.join(f'{row.host}/{row.pid}' for row in fresh)}")
    level: Level = "fail" if waiting else "note"
    return Finding("workers", level, f"{text}; {waiting} runs wait", "start one: clew worker")


# --- bus, model ----------------------------------------------------------------------------------


async def bus(settings: Settings, clock: Clock) -> list[Finding]:
    """The bus: there, with JetStream."""
    if settings.bus_url is None:
        return []
    from clew.bus.nats_link import NatsLink
    from clew.engine.assemble import bus_address

    link = NatsLink(bus_address(settings), settings.bus_prefix, secret=b"")  # it tells nobody anything
    try:
        await link.open("clew doctor")
        await link.jetstream.account_info()
    except BusError as error:
        return [Finding("bus", "fail", str(error))]
    except Exception as error:
        text = f"the NATS server has no JetStream ({type(error).__name__})"
        return [Finding("bus", "fail", text, "start it with JetStream: nats-server -js")]
    finally:
        await link.close()
    shown = ", ".join(without_password(part.strip()) for part in settings.bus_url.split(","))
    return [Finding("bus", "ok", f"{shown}, with JetStream")]


async def model(settings: Settings, clock: Clock) -> list[Finding]:
    """The models: endpoints that answer, or weights that are here."""
    from clew.model.endpoints import endpoints_of

    endpoints = endpoints_of(settings)
    if not endpoints:
        return [_embedded(settings)]
    return [await _remote(settings, clock, name, endpoint) for name, endpoint in endpoints.items()]


async def _remote(settings: Settings, clock: Clock, name: str, endpoint: Endpoint) -> Finding:
    """Ask an endpoint for one tiny answer, exactly as the server does."""
    from clew.model.chat import ModelError
    from clew.model.learned import settings_for
    from clew.model.trial import Trial
    from clew.network import network_for

    label = f"{name} at {shown_address(endpoint.url)}"
    trial = Trial(
        endpoint,
        endpoint.name or name,
        timeout=min(settings.model_timeout, _MODEL_TIMEOUT),
        clock=clock,
        network=network_for(endpoint.url),
    )
    begun = time.perf_counter()
    try:
        await trial.tiny()
    except ModelError as error:
        where = "CLEW_MODEL_URL" if name == DEFAULT else f"models.{name}"
        if " 401" in error.message or " 403" in error.message:
            where = "CLEW_MODEL_API_KEY" if name == DEFAULT else f"the key of models.{name}"
        return Finding("model", "fail", f"{label}: {error.message}", f"correct {where}")
    finally:
        await trial.aclose()
    took = (time.perf_counter() - begun) * 1000
    lessons = trial.streaming.learned.lessons()
    learned = [settings_for(quirks, endpoint.quirks) for quirks, _ in lessons.values()]
    if any(learned):
        return Finding(
            "model", "note", f"{label} answers in {took:.0f} ms, asked differently: {learned[0]}",
            f"keep that: clew models try {name}",
        )  # fmt: skip
    return Finding("model", "ok", f"{label} answers in {took:.0f} ms")


def _embedded(settings: Settings) -> Finding:
    from clew.model.embedded import WeightsError, find
    from clew.model.embedded.weights import cached_path
    from clew.weights.machine import obstacle

    if (trouble := obstacle()) is not None:
        return Finding("model", "fail", trouble, "or name another model: CLEW_MODEL_URL")
    if settings.model_file is not None:
        there = settings.model_file.is_file()
        return Finding("model", "ok" if there else "fail", f"embedded, from {settings.model_file}")
    try:
        weights = find(settings.embedded_model)
    except WeightsError as error:
        return Finding("model", "fail", str(error))
    if not cached_path(weights, settings.data_dir).is_file():
        text = f"embedded {weights.name}, not fetched yet ({weights.size / 1e6:.0f} MB)"
        return Finding("model", "note", text, "clew models pull")
    return Finding("model", "ok", f"embedded {weights.name}")


async def code(settings: Settings, clock: Clock) -> list[Finding]:
    """Where code_interpreter runs code: the sandbox is tried."""
    if settings.sandbox == "off":
        return [code_finding("off", None, None)]
    if settings.sandbox == "remote":
        return [
            Finding("code", "note", "CLEW_SANDBOX=remote: code workers run it, a server says whether they do")
        ]
    from clew.sandbox.chosen import Chosen
    from clew.sandbox.sandbox import SandboxTrouble

    its = Chosen(settings.sandbox, settings.sandbox_python, settings.data_dir, clock)
    try:
        await its.driver()
    except SandboxTrouble:
        pass
    finally:
        await its.close()
    known = await asyncio.to_thread(its.known)
    python = None if known.python is None else str(known.python)
    return [
        code_finding(settings.sandbox, known.driver, known.trouble),
        *packages_finding(known.driver, python, known.packages, outdated=known.outdated),
    ]


def code_finding(setting: str, driver: str | None, trouble: str | None) -> Finding:
    """Say what a sandbox is, and what brings it where there is none."""
    if setting == "off":
        return Finding("code", "ok", "CLEW_SANDBOX=off: none is run")
    if trouble is None:
        return Finding("code", "ok", f"the sandbox {driver} holds")
    text, _, command = trouble.partition("; run: ")
    # Who has named a sandbox wants it; by default nobody need want one.
    return Finding("code", "note" if setting == "auto" else "fail", text, command or None)


def packages_finding(
    driver: str | None, python: str | None, packages: Mapping[str, str], *, outdated: bool
) -> list[Finding]:
    """Say what code can import."""
    if driver is None:
        return []
    if python is None:
        if driver == "remote":
            return []
        if driver == "remote":
            return []
        advice = None if driver == "wasm" else "for numpy, pandas and plots: clew code setup"
        return [Finding("code", "note", "it has the standard library, and no packages", advice)]
    if outdated:
        text = f"{python} has the packages of another version of Clew"
        return [Finding("code", "note", text, "clew code setup --again")]
    return [Finding("code", "ok", f"{python}, {len(packages)} packages")]


HERE: tuple[Check, ...] = (versions, data_dir, key)
"""What is looked at on this machine."""

WITHOUT_SERVER: tuple[Check, ...] = (store, bus, model, code, runs)
"""What is looked at with this shell's settings, where no server can be asked."""
