"""A vector store is reindexed by a server that dies, before or after any commit: nothing is lost or half."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.durability.mortal import Life, Moment
from tests.support.api import Api, Json
from tests.support.clock import ManualClock
from tests.support.database import copy_database, dump, new_database
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server
from tests.support.wait import until

pytestmark = [
    # The dead close nothing.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NEW = "another-embedding"
TEXTS = ("Ariadne gave Theseus a ball of thread.", "Bake the bread in a hot oven.", "Wings of wax.")


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> tuple[Path, str]:
    """A database, and the vector store in it."""
    place = new_database(tmp_path_factory.mktemp("filled") / "filled.db")
    with (
        httpx2.Client(timeout=10) as http,
        Server(place, model.url, clock=ManualClock(), ids=CountingIds()) as server,
    ):
        api = Api(http, server.url, KEYS["alpha"])
        return place, api.store(*(api.upload(text.encode()) for text in TEXTS))


class Story:
    """A client that has a store reindexed by servers of which the first may die, and never gives up."""

    def __init__(self, life: Life, clock: ManualClock, store: str) -> None:
        self._life, self._clock, self._path = life, clock, f"/vector_stores/{store}"

    def tell(self) -> Json:
        """Return what the store is in the end, what it finds, and whose vectors there are."""
        with httpx2.Client(timeout=10) as http:
            self._http = http
            self._ask("POST", f"{self._path}/reindex")
            until(self._is_over)
            store = self._ask("GET", self._path)
            found = self._ask("POST", f"{self._path}/search", {"query": "a ball of bread"})
        rows = dump(self._life.place)
        return {
            "store": store | {"last_active_at": 0},
            "found": found,
            "vectors": sorted(rows["vectors"]),
            "chunks": rows["chunks"],
        }

    def _is_over(self) -> bool:
        self._clock.advance(5_000)
        store = self._ask("GET", self._path)
        found = self._ask("POST", f"{self._path}/search", {"query": "thread"})
        assert found["data"], "it can be searched all the time"
        at_work = {kind for _, kind, *_ in dump(self._life.place)["due_work"]}
        if store["needs_reindex"] and "reindex" not in at_work:  # died before that was acknowledged
            self._ask("POST", f"{self._path}/reindex")
        return not store["needs_reindex"] and "reindex" not in at_work

    def _ask(self, method: str, path: str, body: Any = None) -> Json:
        while True:
            if self._life.is_dead:
                self._life.go_on()
            try:
                response = Api(self._http, self._life.url, KEYS["alpha"]).send(method, path, body)
            except httpx2.TransportError:
                continue
            if response.status_code == 200:
                answer: Json = response.json()
                return answer
            assert self._life.is_dead, response.text


def _play(
    filled: tuple[Path, str], folder: Path, model: ScriptedModel, at: int | None, moment: Moment
) -> tuple[Json, int, int]:
    """Return the history, the transactions of the last server, and how many died."""
    place, store = filled
    clock = ManualClock()
    life = Life(
        copy_database(place, folder / f"{at}-{moment}.db"),
        model.url,
        clock=clock,
        ids=CountingIds(),
        at=at,
        moment=moment,
        embeddings=NEW,
    )
    try:
        return Story(life, clock, store).tell(), life.transactions, life.deaths
    finally:
        life.end()


def test_dying_at_any_commit_ends_in_the_same_store(
    filled: tuple[Path, str], tmp_path: Path, model: ScriptedModel
) -> None:
    told, transactions, _ = _play(filled, tmp_path, model, None, "before")
    assert (told["store"]["embedding_model"], told["store"]["reindexing"]) == (NEW, None)
    assert [embedder for _, embedder, *_ in told["vectors"]] == [NEW] * len(TEXTS)
    assert transactions > 2 * len(TEXTS)
    died = 0
    for at in range(1, transactions + 1):
        for moment in ("before", "after"):
            again, _, deaths = _play(filled, tmp_path, model, at, moment)
            assert again == told, f"died {moment} transaction {at}"
            died += deaths
    assert died > 2 * len(TEXTS)
