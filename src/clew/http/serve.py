"""The server process: puts store, engine, models and API together, and runs them under uvicorn."""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import uvicorn

from clew.engine.assemble import Assembly, assemble
from clew.file_limit import raise_file_limit
from clew.http.app import create_app
from clew.http.connections import Caps, Watch, WatchedProtocol
from clew.http.keyring import Access, Keyring
from clew.http.proxies import TrustedProxies
from clew.http.status import Condition, StoreKind
from clew.http.wrong_keys import WrongKeys
from clew.model.endpoint import shown_address
from clew.service.context import Services
from clew.settings import Settings
from clew.store.keys import OPERATOR
from clew.wire import webhooks

_SWITCH_INTERVAL = 0.0002
"""Seconds that the event loop may keep the interpreter while SQLite's writer waits for it.

Python's default, 5 ms, is longer than a whole turn: under load every commit would wait for it several times.
Measured with 8 clients: 341 turns a second against 577, p99 100 ms against 18.
"""

_COLLECTIONS = (20_000, 20, 100)
"""How rarely garbage is looked for. With thousands of requests at once there are many objects to look at, and
Python's usual 700 new ones between two looks cost 12 % of the runs at four times the load."""

_OTHER_FILES = 256

_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    *,
    api_key: str,
    certificate: tuple[Path, Path] | None,
    works: bool,
    on_ready: Callable[[str], None],
    secret: bytes | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: the settings in force.
        api_key: the key of ``settings.project``.
        works: whether this process works on runs too.
        certificate: paths of a TLS certificate chain and its key; None serves plain http.
        on_ready: called with the server's URL as soon as it accepts requests.
        secret: the installation's secret.

    Raises:
        StoreError: the database cannot be opened.
        BusError: the bus cannot be reached.
        OSError: the address cannot be listened on.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    shown = _reachable(host, tls=certificate is not None)
    scheme = "https" if certificate else "http"
    url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
    assembly = assemble(settings, encode=webhooks.event, works=works, secret=secret)
    proxies = TrustedProxies(settings.trusted_proxies)
    keyring = Keyring({api_key: Access(settings.project, "", role=OPERATOR)})
    keyring.has_row = assembly.engine.shares.knows
    runs = settings.max_active_runs if works else 0
    watch = Watch(connection_caps(raise_file_limit(), runs), proxies)
    app = create_app(
        make_services(settings, assembly),
        keyring,
        condition_of(
            assembly, watch, settings.database_url if settings.on_postgres else settings.sqlite_path
        ),
        access=settings.access_log,
        proxies=proxies,
    )
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        ssl_certfile=str(certificate[0]) if certificate else None,
        ssl_keyfile=str(certificate[1]) if certificate else None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=int(settings.drain_timeout) + 1,
    )
    server = ClewServer(
        config,
        assembly,
        keyring,
        watch=watch,
        grace=settings.drain_timeout,
        on_ready=lambda: on_ready(url),
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve([listener]))


def _reachable(host: str, *, tls: bool) -> str:
    """Return the name by which this machine's clients reach the server, one that its certificate has."""
    if ip_address(host).is_unspecified:
        return "localhost" if tls else "127.0.0.1"
    return "localhost" if tls and ip_address(host).is_loopback else host


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


class ClewServer(uvicorn.Server):
    """uvicorn's server, with what its application stands on.

    Args:
        keyring: the keys that it follows while it runs.
        watch: watches over its connections.
        grace: seconds that runs under way are given to end when the server is to stop.
        on_ready: called when the server accepts requests.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        assembly: Assembly,
        keyring: Keyring,
        *,
        watch: Watch,
        grace: float,
        on_ready: Callable[[], None],
    ) -> None:
        self.watch = watch
        config.http = partial(WatchedProtocol, watch=self.watch)  # type: ignore[assignment]
        super().__init__(config)
        self._assembly, self._keyring = assembly, keyring
        self._grace, self._on_ready = grace, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start what the application stands on, then listen."""
        await self._assembly.start()
        db, clock = self._assembly.db, self._assembly.process.clock
        await self._keyring.look(db, clock)  # before the first request
        self._following = asyncio.ensure_future(self._keyring.follow(db, clock))
        await super().startup(sockets)
        self._watching = asyncio.ensure_future(self.watch.run())
        if self.started:
            gc.collect()
            gc.freeze()  # what was made to start with stays: no collection need look at it again
            gc.set_threshold(*_COLLECTIONS)
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Claim nothing more, let requests and runs end, stop what the application stands on."""
        engine = self._assembly.engine
        engine.begin_to_stop()
        asyncio.get_running_loop().call_later(self._grace, engine.stop_waiting)
        await super().shutdown(sockets)
        self._following.cancel()
        await self._assembly.stop(self._grace)
        self._watching.cancel()


def connection_caps(files: int, runs: int) -> Caps:
    """Return how many connections there may be, where so many files may be open.

    Runs at work have connections to their models; a share is left to the store, and to whatever else.
    """
    in_all = max(files // 2, files - runs - _OTHER_FILES)
    return Caps(in_all, max(1, in_all * 3 // 4))


def condition_of(assembly: Assembly, watch: Watch, store_at: Path | str | None) -> Condition:
    """Return what tells how a server is, whose store is a file, or at a URL."""
    kind: StoreKind = "SQLite" if isinstance(store_at, Path) else "PostgreSQL"
    shown = str(store_at) if isinstance(store_at, Path) else shown_address(store_at or "")
    return Condition(assembly.row, kind, shown, assembly.bus, assembly.tally, watch, WrongKeys())


def make_services(settings: Settings, assembly: Assembly) -> Services:
    """Return what the API stands on."""
    return Services(
        db=assembly.db,
        dispatch=assembly.engine.dispatch,
        events=assembly.engine.events,
        process=assembly.process,
        models=assembly.models,
        blobs=assembly.blobs,
        searcher=assembly.searcher,
        toolbox=assembly.toolbox,
        sessions=assembly.sessions,
        run_expiry=settings.run_expiry * 1000,
        outbound=assembly.outbound,
        shares=assembly.engine.shares,
        vault=assembly.vault,
        wake_webhooks=assembly.engine.wake_webhooks,
        wake_ingestion=assembly.engine.wake_ingestion,
        trouble=assembly.engine.trouble,
        stopping=assembly.engine.stopping,
    )
