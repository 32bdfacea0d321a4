"""Puts the engine of a process together, as the settings say."""

import logging
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from clew.blobs.blobs import Blobs
from clew.blobs.open import WrongBlobs, open_blobs
from clew.bus.bus import Bus, LocalBus
from clew.clock import Clock, SystemClock, passed
from clew.engine.blob_rows import BlobRows
from clew.engine.blob_sweep import BlobSweep
from clew.engine.engine import Engine
from clew.engine.images import Images
from clew.engine.indexing import Indexing
from clew.engine.ingestion import Ingestion, Purge
from clew.engine.picture_urls import PictureUrls
from clew.engine.reindexing import Reindex
from clew.engine.retention import Retention
from clew.engine.tally import Tally
from clew.engine.webhook_deliveries import Encode, WebhookDeliveries
from clew.ids import WORKER
from clew.model.catalogue import Models, one_model
from clew.model.remote_models import make_remote_models
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.process import Process
from clew.sandbox.chosen import Chosen
from clew.sandbox.sandbox import Driver
from clew.search.embedders import make_embedder
from clew.settings import Settings
from clew.store import installation
from clew.store.database import Database, StoreError
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.store.watched import WatchedDatabase
from clew.store.workers import WorkerRow
from clew.telemetry import watched_process
from clew.tools.code_interpreter import CodeInterpreter
from clew.tools.file_search import FileSearch
from clew.tools.searcher import Searcher
from clew.tools.sessions import Sessions
from clew.tools.toolbox import KINDS, Toolbox
from clew.vault import Vault, code_key, fingerprint

if TYPE_CHECKING:
    from clew.bus.nats_access import BusAddress


_log = logging.getLogger(__name__)


class Assembly(NamedTuple):
    """What a process stands on. It starts and stops as one."""

    db: Database
    engine: Engine
    models: Models
    toolbox: Toolbox
    process: Process
    outbound: Guard
    """Says which URLs of clients this process may ask."""
    row: WorkerRow
    """Who this process is, as others on its database see it."""
    bus: Bus
    tally: Tally
    """What it has seen since its start."""
    blobs: Blobs
    """The bytes of files."""
    searcher: Searcher
    """Searches in vector stores."""
    vault: Vault
    """Seals what the database need not know."""
    secret: bytes | None = None
    """The installation's secret, where this process needs it."""
    sessions: Sessions | None = None
    """Where code runs, if any may."""

    async def start(self) -> None:
        """Open the store, then work.

        Raises:
            StoreError: this process may not use the store, or has another secret than those before it.
            BusError: the bus can't be reached.
        """
        await self.db.open()
        if self.secret is not None:
            await share_secret(self.db, self.secret, alone=not self.bus.shared)
        await self.engine.start()

    async def stop(self, grace: float = 0) -> None:
        """Give what is under way so many seconds to end, then stop, and close the store."""
        await self.engine.stop(grace)
        if self.sessions is not None:
            await self.sessions.close()
        await self.db.close()


async def share_secret(db: Database, secret: bytes, *, alone: bool) -> None:
    """Make sure that all processes on a database have one secret. The first one's is the one.

    Raises:
        StoreError: this process has another, and others are or will be there.
    """
    mine = fingerprint(secret)
    if await db.write(installation.claim, installation.FINGERPRINT, mine) == mine:
        return
    if alone:  # a copy of a database, perhaps: what it says goes on being true
        _log.warning(
            "this database was used with another secret.key or CLEW_SECRET_KEY: what is sealed with it, the "
            "secrets of webhooks, can't be read. Bring it back, or `clew secrets rotate` and make them anew"
        )
    else:
        raise StoreError(
            "This process has another secret than the first one on its database, so they would not believe "
            "each other. Give all of them the same CLEW_SECRET_KEY, or the same secret.key in their data "
            "directories. Where it is lost: stop them all, then `clew secrets rotate`."
        )


def assemble(settings: Settings, *, encode: Encode, works: bool, secret: bytes | None = None) -> Assembly:
    """Open the store, and put an engine on it that is not started yet.

    Args:
        settings: the settings in force.
        encode: makes the body that a webhook gets.
        works: whether this process works on runs, or only serves.
        secret: the installation's secret; with a bus it must be given.

    Raises:
        StoreError: the database cannot be opened.
        WrongBlobs: files can't be kept where the settings say.
    """
    tally = Tally(SystemClock())
    process = watched_process(tally)
    row = this_process(process, works=works)
    db = open_database(settings, process.clock, row.id)
    if process.hooks.store_wrote:
        db = WatchedDatabase(db, process.hooks)
    vault, blobs = Vault(secret), make_blobs(settings, db, process.clock)
    models, tools = make_models(settings, process.clock), make_toolbox(settings)
    embedder = make_embedder(settings, process.clock)
    searcher = Searcher(db, embedder, process.clock)
    ingestion = Ingestion(db, blobs, embedder, process.clock)
    tools = tools.with_(FileSearch(db, searcher))
    sessions = make_sessions(settings, db, blobs, process, row.id, secret)
    if sessions is not None:
        code = CodeInterpreter(
            db, blobs, sessions, ids=process.ids, room=lambda its: engine.shares.of(its).file_bytes
        )
        tools = tools.with_(code)
    outbound = Guard(settings.outbound_allow)
    bus = _make_bus(settings, row, secret)
    engine = Engine(
        db,
        row=row,
        process=process,
        bus=bus,
        models=models,
        toolbox=tools,
        takeover_after=int(settings.takeover_after * 1000),
        passed=passed,
        tokens_a_day=settings.daily_token_budget,
        images=Images(db, blobs, process.clock, PictureUrls(outbound, settings.image_urls)),
        kinds=[
            WebhookDeliveries(db, http=GuardedHttp(outbound), encode=encode, process=process, vault=vault),
            Retention(db, process),
            BlobSweep(db, blobs, process),
            ingestion,
            Purge(db),
            Reindex(db, embedder),
            Indexing(db),
        ],
    )
    ingestion.woken = engine.go_on
    made = (db, engine, models, tools, process, outbound, row, bus, tally, blobs, searcher, vault)
    return Assembly(*made, secret=secret, sessions=sessions)


def this_process(process: Process, *, works: bool) -> WorkerRow:
    """Return what other processes see of this one."""
    now = process.clock.now()
    return WorkerRow(
        id=process.ids.new(WORKER),
        host=socket.gethostname(),
        pid=os.getpid(),
        works=works,
        started_at=now,
        seen_at=now,
    )


def open_database(settings: Settings, clock: Clock, name: str, *, exclusive: bool = False) -> Database:
    """Make the database ready for this version, and open it under a name of this process.

    With ``exclusive``, nobody else may use it meanwhile.

    Raises:
        StoreError: it cannot be used; the message says why.
    """
    if not settings.on_postgres:
        prepare_sqlite(settings.sqlite_path)
        return SqliteDatabase(settings.sqlite_path, synchronous=settings.sqlite_synchronous)
    from clew.store.postgres import PostgresDatabase
    from clew.store.postgres_schema import prepare_postgres

    assert settings.database_url is not None
    prepare_postgres(settings.database_url)
    return PostgresDatabase(
        settings.database_url,
        clock=clock,
        name=name,
        connections=settings.database_connections,
        alone=exclusive or settings.bus_url is None,
    )


def make_blobs(settings: Settings, db: Database, clock: Clock) -> Blobs:
    """Return the store of files' bytes that the settings name.

    Raises:
        WrongBlobs: there can be none like that.
    """
    if settings.files_url != "db:":
        return open_blobs(settings.files_url, settings.data_dir)
    if not settings.on_postgres:
        raise WrongBlobs("CLEW_FILES_URL is db:, which needs PostgreSQL: with SQLite files lie in a folder")
    return BlobRows(db, clock)


def bus_address(settings: Settings) -> "BusAddress":
    """Return where the bus is that the settings name."""
    from clew.bus.nats_access import BusAddress

    assert settings.bus_url is not None
    return BusAddress(settings.bus_url, settings.bus_ca, settings.bus_credentials)


def _make_bus(settings: Settings, row: WorkerRow, secret: bytes | None) -> Bus:
    limit = settings.max_active_runs if row.works else 0
    if settings.bus_url is None:
        return LocalBus(row.id, limit, settings.max_waiting_runs)
    from clew.bus.nats_bus import NatsBus

    assert secret is not None, "processes on a bus need the installation's secret"
    return NatsBus(
        bus_address(settings),
        prefix=settings.bus_prefix,
        secret=secret,
        worker=row.id,
        limit=limit,
        line=settings.max_waiting_runs,
    )


def make_toolbox(settings: Settings) -> Toolbox:
    """Return the kinds of tools that the settings switch on."""
    return Toolbox({kind: KINDS[kind] for kind in settings.server_tool_kinds})


def make_sessions(
    settings: Settings, db: Database, blobs: Blobs, process: Process, place: str, secret: bytes | None
) -> Sessions | None:
    """Return the sessions of code that the settings allow; None if none are wanted."""
    if settings.sandbox == "off":
        return None

    def remote() -> Driver:
        from clew.bus.nats_link import NatsLink
        from clew.remote.driver import PREFIX, Remote

        assert secret is not None, "processes on a bus need the installation's secret"
        prefix = f"{settings.bus_prefix}.{PREFIX}"
        return Remote(NatsLink(bus_address(settings), prefix, code_key(secret).encode()), process.ids)

    on_bus = None if settings.bus_url is None else remote
    chosen = Chosen(settings.sandbox, settings.sandbox_python, settings.data_dir, process.clock, on_bus)
    return Sessions(db, blobs, chosen, process=process, place=place, most=settings.sandbox_sessions)


def make_models(settings: Settings, clock: Clock) -> Models:
    """Return the models that the settings name: chat-completions endpoints, or the embedded one.

    Raises:
        WrongSettings: an endpoint can't be.
    """
    if (remote := make_remote_models(settings, clock)) is not None:
        return remote
    from clew.model.embedded import EmbeddedModel

    embedded = EmbeddedModel(settings.embedded_model, data_dir=settings.data_dir, file=settings.model_file)
    return one_model(embedded, name=settings.embedded_model, offered=(settings.embedded_model,))
