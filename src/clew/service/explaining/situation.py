"""What an explanation is made from, and what it is made of. Pure. Times are milliseconds."""

from collections.abc import Sequence

from msgspec import Struct

from clew.core.records import Message, Run, Step
from clew.service.refused import Submission
from clew.store.explanations import Line, Takeover


class Finding(Struct, frozen=True):
    """One thing that is to be known of a run.

    ``code`` stays the same over versions; ``says`` is a sentence or two for people, ``advice`` what they
    can do, None where there is nothing to do. Until it is shown, ``<run>``, ``<thread>`` and ``<agent>`` in
    it stand for their ids.
    """

    code: str
    says: str
    advice: str | None = None


class Spell(Struct, frozen=True):
    """What a run's time was spent on; ``code`` stays the same over versions."""

    code: str
    ms: int
    says: str


class Explanation(Struct, frozen=True):
    """Findings, what matters most first, and where the time went: in all, and what for."""

    findings: Sequence[Finding]
    total_ms: int
    spells: Sequence[Spell]


class AskedEndpoint(Struct, frozen=True):
    """An endpoint that would be asked for the run's model; ``lost`` if it could not be reached."""

    name: str
    lost: bool


class Workers(Struct, frozen=True, kw_only=True):
    """Who is there to work.

    Attributes:
        alive: workers that have shown themselves of late.
        owner: whether the run's own worker is one of them; None if it has none.
        here: whether this process works on the run, or is about to.
        waiting: runs that wait for a worker with room, as far as this process knows.
    """

    alive: int
    owner: bool | None = None
    here: bool = False
    waiting: int = 0


class Situation(Struct, frozen=True, kw_only=True):
    """All that is known of a run.

    Attributes:
        messages: those that the run wrote and that are still there.
        ended_at: when it ended, None while it is live.
        share: runs of its project that may be at work at once; None for any number.
        refused: the last submission to it that was refused, if this process remembers one.
    """

    now: int
    run: Run
    steps: Sequence[Step] = ()
    messages: Sequence[Message] = ()
    takeovers: Sequence[Takeover] = ()
    ended_at: int | None = None
    line: Line = Line(None, None, 0, 0)
    workers: Workers = Workers(alive=1)
    endpoints: Sequence[AskedEndpoint] = ()
    share: int | None = None
    refused: Submission | None = None

    @property
    def until(self) -> int:
        """When the run ended, or now."""
        return self.now if self.ended_at is None else self.ended_at


def span(ms: int) -> str:
    """Return a time in words."""
    seconds = max(0, ms) / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.0f} days"


def several(count: int, one: str, more: str | None = None) -> str:
    """Return a count with what is counted."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas between them; of many, how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
