"""The sweep of all crash points: dying before or after any commit ends in the same history.

The story is played once to count its transactions; then once for each of them and each side of its
commit, with a server that dies just there.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clew.testing.scripted_model import Reply, Request, ScriptedModel
from tests.durability.file_scenario import FileStory
from tests.durability.load import answer
from tests.durability.mortal import Life, Moment
from tests.durability.scenario import Story
from tests.support.api import Json
from tests.support.clock import ManualClock
from tests.support.database import Place, new_database
from tests.support.ids import CountingIds
from tests.support.postgres import PostgresServer
from tests.webhooks.receiver import Receiver

pytestmark = [
    pytest.mark.timeout(300),
    # The dead close nothing.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Away:
    """A model that is away when it is first asked for what begins with "away"."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def __call__(self, request: Request) -> Reply | str:
        key = request.headers["idempotency-key"]
        if request.last_user_text.startswith("away") and key not in self._asked:
            self._asked.add(key)
            return ScriptedModel().fail(503, retry_after=20)
        return answer(request)


class Stage:
    """Plays the story, each time on a new database."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        postgres: PostgresServer | None,
        model: ScriptedModel,
        receiver: Receiver,
    ) -> None:
        self.kind, self._folder, self._postgres, self._model = kind, folder, postgres, model
        self._receiver = receiver
        self._played = 0

    def play(self, story: type[Story], at: int | None, moment: Moment = "before") -> tuple[Json, int, bool]:
        """Return the history, the first server's transactions, and whether it died."""
        place, clock = self._new_place(), ManualClock()
        self._receiver.heard.clear()
        self._model.default = Away()
        life = Life(place, self._model.url, clock=clock, ids=CountingIds(), at=at, moment=moment)
        told = story(life, clock, self._receiver)
        history = told.tell()
        transactions = life.transactions
        if isinstance(told, FileStory):
            told.be_done()
        life.end()
        if isinstance(told, FileStory):
            history["remains"] = life.remains()
        if self._postgres is not None and isinstance(place, str):
            self._postgres.drop_database(place.rpartition("/")[2])
        return history, transactions, life.deaths > 0

    def _new_place(self) -> Place:
        self._played += 1
        if self._postgres is not None:
            return self._postgres.new_database(f"sweep_{self._played}")
        return new_database(self._folder / f"sweep-{self._played}.db")


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.long)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    postgres = request.getfixturevalue("postgres") if request.param == "PostgreSQL" else None
    with (
        ScriptedModel(keep_requests=10) as model,
        Receiver(ManualClock()) as receiver,
    ):
        yield Stage(request.param, tmp_path, postgres, model, receiver)


@pytest.mark.parametrize(
    "story",
    [Story, pytest.param(FileStory, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_dying_at_any_commit_ends_in_the_same_history(
    stage: Stage, story: type[Story], tell: Callable[[str], None]
) -> None:
    undisturbed, transactions, _ = stage.play(story, None)
    assert transactions > 20
    points: list[tuple[int, Moment]] = [
        (number, moment) for number in range(1, transactions + 1) for moment in ("before", "after")
    ]
    deaths = 0
    for at, moment in points:
        history, _, died = stage.play(story, at, moment)
        assert history == undisturbed, f"dying {moment} commit {at} of {transactions}"
        deaths += died
    points_told = f"{len(points)} crash points, {deaths} deaths, no difference"
    tell(f"{stage.kind}, {story.__name__}: {transactions} transactions, {points_told}")
    assert deaths >= len(points) - 4, "a few transactions come at the end, when nobody looks any more"
