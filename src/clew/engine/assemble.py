"""Puts the engine of a process together, as the settings say."""

import os
import socket
from typing import NamedTuple

from clew.bus.bus import Bus, LocalBus
from clew.clock import Clock
from clew.engine.engine import Engine
from clew.engine.webhook_deliveries import Encode, WebhookDeliveries
from clew.ids import WORKER
from clew.model.catalogue import Models, one_model
from clew.model.remote_models import make_remote_models
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.process import Process
from clew.settings import Settings
from clew.store.database import Database
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.store.watched import WatchedDatabase
from clew.store.workers import WorkerRow
from clew.telemetry import watched_process
from clew.tools.toolbox import KINDS, Toolbox


class Assembly(NamedTuple):
    """What a process stands on. It starts and stops as one."""

    db: Database
    engine: Engine
    models: Models
    toolbox: Toolbox
    process: Process
    outbound: Guard
    """Says which URLs of clients this process may ask."""

    async def start(self) -> None:
        """Open the store, then work.

        Raises:
            StoreError: this process may not use the store.
            BusError: the bus can't be reached.
        """
        await self.db.open()
        await self.engine.start()

    async def stop(self, grace: float = 0) -> None:
        """Give what is under way so many seconds to end, then stop, and close the store."""
        await self.engine.stop(grace)
        await self.db.close()


def assemble(settings: Settings, *, encode: Encode, works: bool) -> Assembly:
    """Open the store, and put an engine on it that is not started yet.

    Args:
        settings: the settings in force.
        encode: makes the body that a webhook gets.
        works: whether this process works on runs, or only serves.

    Raises:
        StoreError: the database cannot be opened.
    """
    process = watched_process()
    row = this_process(process, works=works)
    db = open_database(settings, process.clock, row.id)
    if process.hooks.store_wrote:
        db = WatchedDatabase(db, process.hooks)
    models, tools = make_models(settings, process.clock), make_toolbox(settings)
    outbound = Guard(settings.outbound_allow)
    engine = Engine(
        db,
        row=row,
        process=process,
        bus=_make_bus(settings, row),
        models=models,
        toolbox=tools,
        takeover_after=int(settings.takeover_after * 1000),
        kinds=[WebhookDeliveries(db, http=GuardedHttp(outbound), encode=encode, process=process)],
    )
    return Assembly(db, engine, models, tools, process, outbound)


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


def open_database(settings: Settings, clock: Clock, name: str) -> Database:
    """Make the database ready for this version, and open it under a name of this process.

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
        alone=settings.bus_url is None,
    )


def _make_bus(settings: Settings, row: WorkerRow) -> Bus:
    limit = settings.max_active_runs if row.works else 0
    if settings.bus_url is None:
        return LocalBus(row.id, limit, settings.max_waiting_runs)
    from clew.bus.nats_bus import NatsBus

    return NatsBus(
        settings.bus_url,
        prefix=settings.bus_prefix,
        worker=row.id,
        limit=limit,
        line=settings.max_waiting_runs,
    )


def make_toolbox(settings: Settings) -> Toolbox:
    """Return the kinds of tools that the settings switch on."""
    return Toolbox({kind: KINDS[kind] for kind in settings.server_tool_kinds})


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
