"""What a process has seen since its start, counted: how runs ended, and how calls of models went."""

from collections import Counter

from msgspec import Struct

from clew.clock import Clock
from clew.core.states import LIVE
from clew.hooks import ModelCalled, Record, RunChanged

_MOST_NAMES = 100
_OTHERS = "others"
"""Where names are counted that come after so many: clients choose them."""

_LONGEST = 300


class ModelTally(Struct):
    """How the calls of one model went. ``failed_at`` is in milliseconds."""

    calls: int = 0
    failures: int = 0
    failed_at: int | None = None
    code: str | None = None
    message: str | None = None
    well_since: bool = True
    """Whether it has answered since it last failed."""


class Tally:
    """Counts; a hook.

    Attributes:
        ended: runs that this process has ended, by status.
        models: calls, by the name that was asked for.
    """

    wants: frozenset[type[Record]] = frozenset((RunChanged, ModelCalled))

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ended: Counter[str] = Counter()
        self.models: dict[str, ModelTally] = {}

    def hear(self, record: Record) -> None:
        """Count a record."""
        if isinstance(record, ModelCalled):
            self._count_call(record)
        elif isinstance(record, RunChanged) and record.status not in LIVE:
            self.ended[record.status] += 1

    def _count_call(self, call: ModelCalled) -> None:
        known = call.model in self.models or len(self.models) < _MOST_NAMES
        model = self.models.setdefault(call.model if known else _OTHERS, ModelTally())
        model.calls += 1
        model.well_since = call.code is None
        if call.code is not None:
            model.failures += 1
            model.failed_at, model.code = self._clock.now(), call.code
            model.message = (call.message or "")[:_LONGEST]
