"""A whole server in this process: store, engine, model gateway and API, on a real socket."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from clew.blobs.folder import Folder
from clew.bus.bus import LocalBus
from clew.clock import Clock, SystemClock
from clew.engine.assemble import Assembly, this_process
from clew.engine.blob_sweep import BlobSweep
from clew.engine.due_work import Kind
from clew.engine.engine import Engine
from clew.engine.images import Images
from clew.engine.ingestion import Ingestion, Purge
from clew.engine.picture_urls import PictureUrls, Policy
from clew.engine.reindexing import Reindex
from clew.engine.retention import Retention
from clew.engine.shares import Shares
from clew.engine.tally import Tally
from clew.engine.webhook_deliveries import WebhookDeliveries
from clew.hooks import Hook, Hooks
from clew.http.app import create_app
from clew.http.connections import Caps, Watch
from clew.http.keyring import Access, Keyring
from clew.http.proxies import TrustedProxies
from clew.http.serve import ClewServer, condition_of
from clew.ids import Ids
from clew.model.catalogue import DEFAULT, ModelEntry, Models
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.network import Network
from clew.process import Process
from clew.sandbox.chosen import Chosen
from clew.search.remote_embedder import RemoteEmbedder
from clew.service.context import Services
from clew.store.database import Database
from clew.store.keys import OPERATOR
from clew.tools.code_interpreter import CodeInterpreter
from clew.tools.file_search import FileSearch
from clew.tools.searcher import Searcher
from clew.tools.sessions import Sessions
from clew.tools.toolbox import KINDS, Toolbox
from clew.vault import Vault
from clew.wire import webhooks
from tests.support.blobs import blobs_of
from tests.support.database import Place, miscounted_threads, open_place
from tests.support.weights import weights_cache

KEYS = {"alpha": "clew_alpha-key-0123456789abcdef", "beta": "clew_beta-key-0123456789abcdef"}
"""The key of each of the two projects."""

OPERATOR_KEY = "clew_operator-key-0123456789abcdef"
"""A key for all projects, whose own is alpha."""

VAULT = Vault(b"the secret of the tests, thirty-two")

MODEL_KEY = "sk-the-providers-secret-0123456789"
"""The key that the server sends to the model."""

_TIMEOUT = 15.0


ALL_TOOLS = Toolbox(KINDS)
"""Every kind of server-side tool switched on."""


class Server:
    """A server in a thread of its own. Use it as a context manager.

    Args:
        place: the database, with the newest schema.
        model_url: the chat-completions endpoint that answers.
        model_timeout: seconds that the model may stay silent.
        run_expiry: milliseconds after which an unfinished run expires.
        works: whether runs are worked on; if not, they stay queued.
        outbound: tells webhooks of runs; without it, what they are to be told stays in the outbox. Its guard
            is that of images by URL too.
        image_urls: what becomes of images that messages give by URL.
        daily_token_budget: tokens that a project's runs may use on one day.
        listeners: watch it, besides its own.
        wrap: puts something between the server and its database.
        proxies: addresses whose word on others is believed.
        embeddings: the model that makes vectors; None: nobody does.
        blobs: where files are kept; by default in a folder that goes with the place.
    """

    def __init__(
        self,
        place: Place,
        model_url: str,
        *,
        clock: Clock,
        ids: Ids,
        model_timeout: float = 5.0,
        model_retry_for: float = 60,
        endpoints: Mapping[str, Endpoint] | None = None,
        run_expiry: int = 600_000,
        max_active_runs: int = 256,
        max_waiting_runs: int = 1000,
        works: bool = True,
        outbound: GuardedHttp | None = None,
        image_urls: Policy = "fetch",
        daily_token_budget: int | None = None,
        toolbox: Toolbox = ALL_TOOLS,
        listeners: Sequence[Hook] = (),
        wrap: Callable[[Database], Database] = lambda db: db,
        caps: Caps = Caps(2_000, 2_000),  # noqa: B008 - it can't be changed
        proxies: str = "",
        sandbox: str = "auto",
        sandbox_python: Path | None = None,
        sandbox_sessions: int = 8,
        embeddings: str | None = "scripted-embedding",
        blobs: Folder | None = None,
    ) -> None:
        self._sandbox, self._sandbox_python = sandbox, sandbox_python
        self._sandbox_sessions = sandbox_sessions
        self._embeddings = embeddings
        self._caps, self._proxies = caps, TrustedProxies(proxies)
        self.place = place
        self.blobs = blobs or blobs_of(place)
        self._wrap = wrap
        self._loop: asyncio.AbstractEventLoop | None = None
        self._model_url, self._model_timeout = model_url, model_timeout
        self._model_retry_for = int(1000 * model_retry_for)
        self._endpoints = endpoints
        self._clock, self._ids = clock, ids
        self._run_expiry, self._works = run_expiry, works
        self._max_active_runs, self._max_waiting_runs = max_active_runs, max_waiting_runs
        self._toolbox, self._listeners = toolbox, listeners
        self._image_urls: Policy = image_urls
        self._outbound, self._daily_token_budget = outbound, daily_token_budget
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._server: ClewServer | None = None
        self._shares: Shares | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server-under-test", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_TIMEOUT), "the server did not start"
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(_TIMEOUT)
        self._listener.close()
        assert not self._thread.is_alive(), "the server did not stop"
        if self._error is not None:
            raise self._error
        if kind is None:
            assert miscounted_threads(self.place) == []

    @property
    def watch(self) -> Watch:
        """What watches over the connections."""
        assert self._server is not None
        return self._server.watch

    @property
    def shares(self) -> Shares:
        """What projects may have of it."""
        assert self._shares is not None
        return self._shares

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, which runs in the server's thread."""
        assert self._loop is not None
        return self._loop

    def abandon(self, hang_up: Callable[[], None]) -> None:
        """Stop in the middle of everything, as far as a thread can: nothing is finished or closed.

        Connections are broken; ``hang_up`` breaks those that this server knows nothing of.
        """
        assert self._loop is not None
        self._loop.call_soon_threadsafe(hang_up)
        self._loop.call_soon_threadsafe(self._hang_up)
        self._thread.join(_TIMEOUT)
        self._listener.close()
        assert not self._thread.is_alive(), "the server did not stop"

    def _hang_up(self) -> None:
        assert self._server is not None
        assert self._loop is not None
        for listening in self._server.servers:
            listening.close()
        for connection in list(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._loop.stop()

    def _run(self) -> None:
        try:
            server = self._server = self._make()
            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                self._loop = runner.get_loop()
                runner.run(server.serve(sockets=[self._listener]))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def _make_models(self) -> Models:
        """Return the models: one that takes any name, or those of the endpoints."""
        one = {DEFAULT: Endpoint(url=self._model_url, key=MODEL_KEY)}
        entries = {
            name: ModelEntry(
                RemoteModel(endpoint, timeout=self._model_timeout, clock=self._clock),
                endpoint.name or (None if name == DEFAULT else name),
                self._model_retry_for,
                endpoint.fallback,
                endpoint.prices,
            )
            for name, endpoint in (self._endpoints or one).items()
        }
        return Models(entries, () if self._endpoints else ("scripted", "vendor/large"))

    def _make(self) -> ClewServer:
        db = self._wrap(open_place(self.place, SystemClock()))
        models = self._make_models()
        tally = Tally(self._clock)
        process = Process(self._clock, self._ids, Hooks([*self._listeners, tally]))
        row = this_process(process, works=self._works)
        bus = LocalBus(row.id, self._max_active_runs if self._works else 0, self._max_waiting_runs)
        embedder = None
        if self._embeddings is not None:
            embedder = RemoteEmbedder(
                self._model_url, self._embeddings, key=MODEL_KEY, clock=self._clock, network=Network()
            )
        searcher = Searcher(db, embedder, process.clock)
        self._ingestion = Ingestion(db, self.blobs, embedder, process.clock)
        self._reindex = Reindex(db, embedder)
        tools = self._toolbox.with_(FileSearch(db, searcher))
        sessions = self._make_sessions(db, process, row.id)
        code = CodeInterpreter(
            db, self.blobs, sessions, ids=self._ids, room=lambda its: engine.shares.of(its).file_bytes
        )
        tools = tools.with_(code)
        guard = self._outbound.guard if self._outbound is not None else Guard()
        engine = Engine(
            db,
            row=row,
            process=process,
            bus=bus,
            models=models,
            toolbox=tools,
            kinds=self._kinds(db, process),
            tokens_a_day=self._daily_token_budget,
            images=Images(db, self.blobs, self._clock, PictureUrls(guard, self._image_urls, timeout=1)),
        )
        self._ingestion.woken = engine.go_on
        self._shares = engine.shares
        services = Services(
            db=db,
            dispatch=engine.dispatch,
            events=engine.events,
            process=process,
            models=models,
            blobs=self.blobs,
            searcher=searcher,
            toolbox=tools,
            sessions=sessions,
            run_expiry=self._run_expiry,
            outbound=guard,
            shares=engine.shares,
            vault=VAULT,
            wake_webhooks=engine.wake_webhooks,
            wake_ingestion=engine.wake_ingestion,
            trouble=engine.trouble,
        )
        given = {key: Access(project, "") for project, key in KEYS.items()}
        keyring = Keyring(given | {OPERATOR_KEY: Access("alpha", "", role=OPERATOR)})
        made = (db, engine, models, tools, process, guard, row, bus, tally, self.blobs, searcher, VAULT)
        assembly = Assembly(*made, sessions=sessions)
        watch = Watch(self._caps, self._proxies)
        condition = condition_of(assembly, watch, self.place)
        app = create_app(services, keyring, condition, proxies=self._proxies)
        return ClewServer(_config(app), assembly, keyring, watch=watch, grace=0, on_ready=self._ready.set)

    def _make_sessions(self, db: Database, process: Process, place: str) -> Sessions:
        chosen = Chosen(self._sandbox, self._sandbox_python, weights_cache(), self._clock)
        return Sessions(db, self.blobs, chosen, process=process, place=place, most=self._sandbox_sessions)

    def _kinds(self, db: Database, process: Process) -> list[Kind]:
        kinds: list[Kind] = [Retention(db, process), BlobSweep(db, self.blobs, process)]
        kinds += [self._ingestion, Purge(db), self._reindex]
        if self._outbound is not None:
            deliveries = WebhookDeliveries(
                db,
                http=self._outbound,
                encode=webhooks.event,
                process=process,
                vault=VAULT,
                jitter=lambda _: 0,
            )
            kinds.append(deliveries)
        return kinds


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
