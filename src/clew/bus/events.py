"""Events: what happens to a run, as readers see it live."""

from typing import Protocol, TypeAlias

from msgspec import Struct

from clew.core.records import Message, Run, Step, Thread


class TextDelta(Struct, frozen=True):
    """A piece of a message's text (or of its refusal). The first piece has no predecessor."""

    message_id: str
    value: str
    part: int = 0
    first: bool = False
    refusal: bool = False


class CallDelta(Struct, frozen=True):
    """A piece of a function call. ``id`` and ``name`` are set in the call's first piece only."""

    step_id: str
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


Subject: TypeAlias = Thread | Run | Step | Message | TextDelta | CallDelta


class RunEvent(Struct, frozen=True):
    """One event of a run; ``name`` is its name on the wire less ``thread.``.

    ``waiting`` is the step whose calls a run that requires action waits for.
    """

    name: str
    subject: Subject
    waiting: Step | None = None


class Subscription(Protocol):
    """One reader of a run's events."""

    async def next(self) -> RunEvent:
        """Wait for the next event. After one of :data:`ENDINGS` there is none."""
        ...

    def ready(self) -> list[RunEvent]:
        """Return the events that have come meanwhile, without waiting."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class Events(Protocol):
    """Carries live events from whoever works on a run to its readers."""

    def publish(self, run_id: str, event: RunEvent) -> None:
        """Hand an event to the run's readers. Never waits for any of them."""
        ...

    def wanted(self, run_id: str) -> bool:
        """Whether anybody reads the run's events."""
        ...

    def subscribe(self, run_id: str) -> Subscription:
        """Start reading a run's events."""
        ...


ENDINGS: frozenset[str] = frozenset(
    f"run.{status}"
    for status in ("completed", "failed", "cancelled", "expired", "incomplete", "requires_action")
)
"""Events that end a stream: after them comes nothing until a client acts."""
