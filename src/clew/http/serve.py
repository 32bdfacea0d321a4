"""The server process: puts store, engine, models and API together, and runs them under uvicorn."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from clew.clock import Clock, SystemClock
from clew.engine.deliverer import Deliverer
from clew.engine.engine import Engine
from clew.http.app import create_app
from clew.http.auth import Keyring
from clew.http.call import Services
from clew.ids import Ids, RandomIds
from clew.model.catalogue import Models
from clew.model.chat import ChatModel
from clew.model.remote import RemoteModel
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.settings import Settings
from clew.store.schema import prepare_sqlite
from clew.store.sqlite import SqliteDatabase
from clew.wire import webhooks

_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    *,
    api_key: str,
    certificate: tuple[Path, Path] | None,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: the settings in force.
        api_key: the key of ``settings.project``.
        certificate: paths of a TLS certificate chain and its key; None serves plain http.
        on_ready: called with the server's URL as soon as it accepts requests.

    Raises:
        StoreError: the database cannot be opened.
        OSError: the address cannot be listened on.
    """
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    shown = _reachable(host, tls=certificate is not None)
    scheme = "https" if certificate else "http"
    url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
    config = uvicorn.Config(
        _build(settings, api_key),
        log_config=None,
        access_log=False,
        ssl_certfile=str(certificate[0]) if certificate else None,
        ssl_keyfile=str(certificate[1]) if certificate else None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_Server(config, lambda: on_ready(url)).serve([listener]))


def _reachable(host: str, *, tls: bool) -> str:
    """Return the name by which this machine's clients reach the server, one that its certificate has."""
    if ip_address(host).is_unspecified:
        return "localhost" if tls else "127.0.0.1"
    return "localhost" if tls and ip_address(host).is_loopback else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # what was made to start with stays: no collection need look at it again
            self._on_ready()


def _build(settings: Settings, api_key: str) -> Any:
    """Return the application; it opens the store when it starts and closes it when it stops."""
    clock, ids = SystemClock(), RandomIds()
    prepare_sqlite(settings.sqlite_path)
    db = SqliteDatabase(settings.sqlite_path, synchronous=settings.sqlite_synchronous)
    models = make_models(settings, clock)
    http = GuardedHttp(Guard(settings.outbound_allow))
    deliverer = Deliverer(db, http=http, encode=webhooks.event, clock=clock, ids=ids)
    engine = Engine(
        db,
        models=models,
        clock=clock,
        ids=ids,
        max_active_runs=settings.max_active_runs,
        deliverer=deliverer,
    )

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        engine.start()
        yield
        await engine.stop()
        await db.close()

    services = make_services(settings, db, engine, models, clock, ids)
    return create_app(services, Keyring({api_key: settings.project}), lifespan)


def make_services(
    settings: Settings, db: SqliteDatabase, engine: Engine, models: Models, clock: Clock, ids: Ids
) -> Services:
    """Return what the API stands on."""
    return Services(
        db=db,
        dispatch=engine.dispatch,
        events=engine.events,
        clock=clock,
        ids=ids,
        models=models.names,
        run_expiry=settings.run_expiry * 1000,
        daily_token_budget=settings.daily_token_budget,
        outbound=Guard(settings.outbound_allow),
    )


def make_models(settings: Settings, clock: Clock) -> Models:
    """Return the models that the settings name: a chat-completions endpoint, or the embedded one."""
    back_end: ChatModel
    if settings.model_url is not None:
        key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
        back_end = RemoteModel(
            settings.model_url,
            key=key,
            timeout=settings.model_timeout,
            clock=clock,
            limit_field=settings.model_limit_field,
        )
        names = [settings.model_name] if settings.model_name else []
        return Models(back_end, names, settings.model_name)
    from clew.model.embedded import EmbeddedModel

    back_end = EmbeddedModel(settings.embedded_model, data_dir=settings.data_dir, file=settings.model_file)
    return Models(back_end, [settings.embedded_model], settings.embedded_model)
