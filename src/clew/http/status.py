"""``GET /status``: how the server is, for its operators. ``?models=ask`` asks every model for a few words."""

import asyncio
import contextlib
import os
import platform
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qs

from msgspec.structs import asdict
from starlette.types import Receive, Scope, Send

from clew import __version__
from clew.bus.bus import Bus
from clew.engine.tally import Tally
from clew.http.answers import Json
from clew.http.connections import Watch
from clew.http.wrong_keys import WrongKeys
from clew.service import status
from clew.service.context import Services
from clew.service.status import StoreStatus
from clew.store.schema import HEAD
from clew.store.workers import WorkerRow
from clew.tools.sessions import Sessions
from clew.wire.status import (
    BusObject,
    CodeObject,
    ConnectionsObject,
    EmbeddingsObject,
    ModelCallsObject,
    ModelObject,
    ProcessObject,
    RunsObject,
    StatusObject,
    StoreObject,
    WebhooksObject,
    WorkerObject,
)

StoreKind: TypeAlias = Literal["SQLite", "PostgreSQL"]


class Condition(NamedTuple):
    """What of a server tells how it is."""

    row: WorkerRow
    store: StoreKind
    store_at: str
    bus: Bus
    tally: Tally
    watch: Watch
    wrong_keys: WrongKeys


class Status:
    """The route."""

    def __init__(self, services: Services, condition: Condition) -> None:
        self._services, self._condition = services, condition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["clew.route"] = "/status"
        ask = parse_qs(scope["query_string"].decode("latin-1")).get("models") == ["ask"]
        answer = Json(await self._status(ask=ask))
        await answer(scope, receive, send)

    async def _status(self, *, ask: bool) -> StatusObject:
        services, its = self._services, self._condition
        store = await status.of_store(services)
        models = await status.of_models(services, ask=ask)
        return StatusObject(
            version=__version__,
            python=platform.python_version(),
            now=services.process.clock.now() // 1000,
            trouble=services.trouble() or store.trouble,
            process=_process(its.row),
            store=StoreObject(
                kind=its.store,
                where=its.store_at,
                schema=HEAD,
                pgvector=None if services.db.pgvector is None else services.db.pgvector.said,
                ms=store.ms,
                trouble=store.trouble,
            ),
            bus=BusObject(kind="NATS" if its.bus.shared else "local", up=its.bus.up, dropped=its.bus.dropped),
            models=[ModelObject(**asdict(model)) for model in models],
            model_calls=_calls(its.tally),
            tools=sorted(services.toolbox.kinds),
            code=None if services.sessions is None else await _code(services.sessions),
            runs=self._runs(store),
            webhooks=_webhooks(store),
            embeddings=EmbeddingsObject(
                model=services.searcher.embedder, stores_of_other_models=store.of_other_embedders
            ),
            workers=[_worker(row) for row in store.workers],
            connections=ConnectionsObject(
                open=its.watch.open,
                most=its.watch.caps.in_all,
                most_of_an_address=its.watch.caps.an_address,
            ),
            limits_met=dict(its.watch.met.most_common()),
            wrong_keys=its.wrong_keys.count,
        )

    def _runs(self, store: StoreStatus) -> RunsObject:
        its = self._condition
        return RunsObject(
            live={} if store.census is None else {k.value: count for k, count in store.census.live.items()},
            in_line=0 if store.census is None else store.census.in_line,
            at_work_here=its.bus.dispatch.active,
            line_full=its.bus.dispatch.full,
            ended_here=dict(its.tally.ended),
        )


async def _code(sessions: Sessions) -> CodeObject:
    known = await asyncio.to_thread(sessions.chosen.known)
    return CodeObject(
        setting=sessions.chosen.name,
        driver=known.driver,
        trouble=known.trouble,
        sessions=sessions.live,
        most_sessions=sessions.most,
        python=None if known.python is None else str(known.python),
        packages=known.packages,
        outdated=known.outdated,
    )


def _process(row: WorkerRow) -> ProcessObject:
    return ProcessObject(
        id=row.id,
        host=row.host,
        pid=row.pid,
        works=row.works,
        started_at=row.started_at // 1000,
        memory_bytes=_memory(),
    )


def _memory() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def _calls(tally: Tally) -> list[ModelCallsObject]:
    return [
        ModelCallsObject(
            name=name,
            calls=model.calls,
            failures=model.failures,
            last_failure_at=None if model.failed_at is None else model.failed_at // 1000,
            last_failure=None if model.code is None else f"{model.code}: {model.message}",
            answered_since=model.well_since,
        )
        for name, model in sorted(tally.models.items())
    ]


def _webhooks(store: StoreStatus) -> WebhooksObject:
    counted = store.census
    due = None if counted is None else counted.oldest_delivery_due
    return WebhooksObject(
        waiting=0 if counted is None else counted.deliveries,
        oldest_due_at=None if due is None else due // 1000,
    )


def _worker(row: WorkerRow) -> WorkerObject:
    return WorkerObject(
        host=row.host,
        pid=row.pid,
        works=row.works,
        active_runs=row.active_runs,
        started_at=row.started_at // 1000,
        seen_at=row.seen_at // 1000,
    )
