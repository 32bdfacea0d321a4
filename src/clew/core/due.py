"""Due work: what is to be done at a time, whose turn it is, and how retries spread. Pure."""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from msgspec import Struct


class Work(Struct, frozen=True, kw_only=True):
    """One piece of due work.

    Attributes:
        seq: its row, never given to other work: with ``epoch`` it says which claim of which work is meant.
        kind: the name of the kind that knows how it is done.
        id: its name within the kind.
        lane: what it shares turns with. A lane's work is begun in the order in which it is due.
        created_at: milliseconds since the epoch, as all times.
        due: when it is to be done.
        attempts: how many attempts have failed since it last got further.
        epoch: goes up whenever it changes hands.
        last_error: what was wrong with the last attempt.
        progress: how far it got, in the kind's own words.
        payload: what is to be done, in the kind's own words.
    """

    seq: int = 0
    kind: str
    id: str
    project: str
    lane: str
    created_at: int
    due: int
    attempts: int = 0
    epoch: int = 0
    last_error: str | None = None
    progress: Any = None
    payload: Any = None


class Limits(NamedTuple):
    """How much work of a kind one process does at once: in all, of a project, of a lane."""

    in_all: int
    per_project: int
    per_lane: int


class Lane(NamedTuple):
    """Work of one project that has something due."""

    name: str
    project: str


class Load:
    """What is under way, counted."""

    def __init__(self) -> None:
        self.total = 0
        self._of_project: Counter[str] = Counter()
        self._of_lane: Counter[str] = Counter()

    def add(self, work: Work) -> None:
        """Count what has begun."""
        self._count(work, 1)

    def remove(self, work: Work) -> None:
        """Count what has ended."""
        self._count(work, -1)

    def _count(self, work: Work, by: int) -> None:
        self.total += by
        for counted, key in ((self._of_project, work.project), (self._of_lane, work.lane)):
            counted[key] += by
            if not counted[key]:
                del counted[key]

    def project(self, name: str) -> int:
        """Return how much of a project is under way."""
        return self._of_project[name]

    def lane(self, name: str) -> int:
        """Return how much of a lane is under way."""
        return self._of_lane[name]


class Turns:
    """Whose turn it is, as long as there is room.

    First comes the project with the least under way, of its lanes the one with the least, and among equals
    they go round. So neither a project with much to do nor one with many lanes takes others' share.

    Args:
        lanes: those that have something due.
        load: what is under way; whoever begins something adds it.
        last: the lane that was served last.
    """

    def __init__(self, lanes: Sequence[Lane], load: Load, limits: Limits, last: str = "") -> None:
        self._load, self._limits, self._last = load, limits, last
        self._heap = [(self._key(lane), lane) for lane in lanes]
        heapify(self._heap)

    def next(self) -> Lane | None:
        """Return the lane that may begin something now; None if there is no room, or nobody left."""
        load, limits = self._load, self._limits
        while self._heap and load.total < limits.in_all:
            key, lane = heappop(self._heap)
            if load.lane(lane.name) >= limits.per_lane or load.project(lane.project) >= limits.per_project:
                continue
            now = self._key(lane)
            heappush(self._heap, (now, lane))
            if now <= key:
                return lane
        return None

    def leave(self, lane: Lane) -> None:
        """Ask a lane no more that has nothing left: the one that :meth:`next` has just returned."""
        self._heap = [entry for entry in self._heap if entry[1] != lane]
        heapify(self._heap)

    def _key(self, lane: Lane) -> tuple[int, int, bool, str]:
        load = self._load
        return load.project(lane.project), load.lane(lane.name), lane.name <= self._last, lane.name


def spread(work: Work) -> float:
    """Return by which part of its delay an attempt comes later: 0 to a fifth, for it always the same."""
    return sha256(f"{work.id}/{work.attempts}".encode()).digest()[0] / 256 / 5
