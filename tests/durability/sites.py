"""What the clients' load runs against: one process on SQLite, or several on PostgreSQL and a bus."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2

from clew.blobs.blobs import Blobs
from clew.blobs.folder import Folder
from clew.clock import Clock
from clew.engine.blob_rows import BlobRows
from clew.settings import SERVER_TOOLS
from clew.store.database import Database
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.durability.history import Final
from tests.durability.remains import age
from tests.support.api import Api, Json
from tests.support.cluster import KEY, Cluster, Process, cluster
from tests.support.database import Place, dump
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.wait import until

_EMBEDDED_BY = {"embeddings_model": "scripted-embedding"}


class Site(ABC):
    """A running installation, and the ways in which it can be hurt."""

    key: str

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where its database is."""

    @abstractmethod
    def urls(self) -> list[str]:
        """Return the servers that can be asked."""

    @property
    @abstractmethod
    def faults(self) -> dict[str, Callable[[], None]]:
        """What can be done to it, by name. Each returns when the site can be asked again."""

    @abstractmethod
    def end(self) -> None:
        """Kill everything but the database, whose rows can still be looked at."""

    @abstractmethod
    def blobs(self, db: Database, later: Clock) -> Blobs:
        """Return where its files lie, by a clock by which all of them are old."""

    @abstractmethod
    def takeovers(self) -> int:
        """Return how many turns went on with another worker."""

    def final(self, http: httpx2.Client, thread_id: str) -> Final | None:
        """Return a thread as it is now, or None if it is not there."""
        api = Api(http, self.urls()[0], self.key)
        thread = api.send("GET", f"/threads/{thread_id}")
        if thread.status_code == 404:
            return None
        messages, runs = _all(api, f"/threads/{thread_id}/messages"), _all(api, f"/threads/{thread_id}/runs")
        newest_first = [each["id"] for each in api.get(f"/threads/{thread_id}/messages", limit=100)["data"]]
        paths = {run["id"]: f"/threads/{thread_id}/runs/{run['id']}" for run in runs}
        steps = {run_id: _all(api, f"{path}/steps") for run_id, path in paths.items()}
        events = {}
        for run_id, path in paths.items():
            with api.stream("GET", f"{path}/events") as told:
                events[run_id] = [frame for frame in told if frame.event != "done"]
        return Final(thread.json(), messages, newest_first, runs, steps, events)


def _all(api: Api, path: str) -> list[Json]:
    """Return a whole list, by small pages."""
    items: list[Json] = []
    query: Json = {"order": "asc", "limit": 7}
    while True:
        page = api.get(path, **query)
        items += page["data"]
        if not page["has_more"]:
            return items
        query["after"] = page["last_id"]


class OneProcess(Site):
    """One server on SQLite. It can be killed; it starts again on the same data."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.key = server.api_key

    @property
    def place(self) -> Place:
        return self._server.data_dir / "clew.db"

    def urls(self) -> list[str]:
        return [self._server.url]

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {"the server is killed": self._kill}

    def _kill(self) -> None:
        self._server.kill()
        self._server.start()

    def end(self) -> None:
        self._server.kill()

    def blobs(self, db: Database, later: Clock) -> Blobs:
        folder = self._server.data_dir / "files"
        age(folder, later)
        return Folder(folder)

    def takeovers(self) -> int:
        return len(dump(self.place)["takeovers"])


@contextmanager
def one_process(model: ScriptedModel) -> Iterator[OneProcess]:
    """Run a server on SQLite."""
    settings = {"server_tools": ",".join(SERVER_TOOLS), **_EMBEDDED_BY, "embeddings_url": model.url}
    with RunningServer(model, settings=settings) as server:
        yield OneProcess(server)


class ManyProcesses(Site):
    """Two servers and two workers; processes, connections, the database and the bus can be hurt."""

    key = KEY

    def __init__(self, together: Cluster, postgres: PostgresServer, nats: NatsServer, seed: int) -> None:
        self._together, self._postgres, self._nats = together, postgres, nats
        self._chance = random.Random(f"faults/{seed}")
        self._servers: list[tuple[Process, Api]] = [together.server(), together.server("--no-worker")]
        self._workers = [together.worker(), together.worker()]

    @property
    def place(self) -> Place:
        return self._postgres.url(self._together.database)

    def urls(self) -> list[str]:
        return [api.url for process, api in self._servers if process.is_running]

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "a worker is killed": self._kill_worker,
            "a server is killed": self._kill_server,
            "a worker is replaced": self._replace_worker,
            "a worker stands still": self._freeze_worker,
            "all connections are cut": self._cut,
            "the database crashes": self._postgres.crash_and_restart,
            "the bus is killed": self._kill_bus,
            "the bus forgets everything": self._nats.lose_everything,
        }

    def _kill_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        worker.kill()
        worker.start()

    def _kill_server(self) -> None:
        process, _ = self._chance.choice(self._servers)
        process.kill()
        process.start()
        process.wait_ready()

    def _replace_worker(self) -> None:
        """Restart a worker as a deployment does: the new one comes, the old one is asked to end."""
        worker = self._workers.pop(self._chance.randrange(len(self._workers)))
        self._workers.append(self._together.worker())
        worker.ask_to_end()
        worker.wait_ended()

    def _freeze_worker(self) -> None:
        """Stop a worker in the middle of its runs until others have them, then let it go on."""
        worker = self._chance.choice(self._workers)

        def frozen_at_work() -> bool:
            if self._runs_of(worker) == 0:
                return False
            worker.freeze()
            if self._runs_of(worker) == 0:  # it has just ended them
                worker.thaw()
                return False
            return True

        until(frozen_at_work)
        until(lambda: self._runs_of(worker) == 0)
        worker.thaw()

    def _runs_of(self, worker: Process) -> int:
        query = """SELECT count(*) FROM runs JOIN workers ON workers.id = runs.worker
            WHERE workers.pid = $1 AND runs.status = 'in_progress'"""
        return int(self._postgres.query(query, worker.pid, database=self._together.database)[0][0])

    def _cut(self) -> None:
        self._postgres.cut_connections(self._together.database)

    def _kill_bus(self) -> None:
        self._nats.kill()
        self._nats.start()

    def end(self) -> None:
        self._together.kill_all()

    def blobs(self, db: Database, later: Clock) -> Blobs:
        return BlobRows(db, later)

    def takeovers(self) -> int:
        query = "SELECT count(*) FROM takeovers"
        return int(self._postgres.query(query, database=self._together.database)[0][0])


@contextmanager
def many_processes(
    model: ScriptedModel, postgres: PostgresServer, nats: NatsServer, seed: int
) -> Iterator[ManyProcesses]:
    """Run servers and workers on a database of their own."""
    name = f"site_{seed}"
    postgres.drop_database(name)
    url = postgres.new_database(name)
    settings = {"CLEW_BUS_PREFIX": name, "CLEW_TAKEOVER_AFTER": "1", "CLEW_DRAIN_TIMEOUT": "1"}
    settings |= {f"CLEW_{key.upper()}": value for key, value in _EMBEDDED_BY.items()}
    settings |= {"CLEW_EMBEDDINGS_URL": model.url, "CLEW_FILES_URL": "db:"}
    with cluster(url, nats.url, model.url, **settings) as together:
        yield ManyProcesses(together, postgres, nats, seed)
    postgres.drop_database(name)
