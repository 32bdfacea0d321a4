"""Hooks: what a process tells those who watch it, as records. Logs, traces and metrics are made from these.

A hook only watches. Nothing that must happen hangs on one; what one raises is logged once and changes
nothing; and where nobody listens to a kind of record, none is built: whoever would tell looks first,

    if hooks.model_called:
        hooks.tell(ModelCalled(...))

Durations are milliseconds; ids are those that clients know.
"""

import logging
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

_log = logging.getLogger(__name__)


class RunChanged(Struct, frozen=True, kw_only=True):
    """A commit has moved a run to another status. ``code`` says why it ended, unless it completed."""

    project: str
    thread_id: str
    run_id: str
    agent_id: str | None
    model: str
    status: str
    attempts: int
    code: str | None = None
    message: str | None = None
    total_ms: int | None = None
    tokens: int = 0


class ModelCalled(Struct, frozen=True, kw_only=True):
    """One call of a model has ended. ``code`` is that of the failure, None if there was an answer."""

    project: str
    run_id: str
    turn: int
    model: str
    ms: int
    first_token_ms: int | None
    prompt_tokens: int
    completion_tokens: int
    code: str | None = None
    message: str | None = None


class ToolCalled(Struct, frozen=True, kw_only=True):
    """One call of a server-side tool has ended."""

    project: str
    run_id: str
    call_id: str
    kind: str
    name: str
    ms: int
    result: str


class StoreWrote(Struct, frozen=True, kw_only=True):
    """A transaction was asked for and has ended. ``error`` is what it was ended by, if not by its commit."""

    name: str
    ms: int
    error: str | None = None


class RequestServed(Struct, frozen=True, kw_only=True):
    """A request was answered. ``status`` is 0 if its client left before."""

    request_id: str
    method: str
    path: str
    status: int
    ms: int


class DeliveryTried(Struct, frozen=True, kw_only=True):
    """A webhook was told of an event, or was not. ``problem`` says why not."""

    project: str
    webhook_id: str
    event: str
    run_id: str
    attempts: int
    status: int | None
    problem: str | None = None
    outcome: str = "told"


Record: TypeAlias = RunChanged | ModelCalled | ToolCalled | StoreWrote | RequestServed | DeliveryTried


class Hook(Protocol):
    """Somebody who watches."""

    @property
    def wants(self) -> frozenset[type[Record]]:
        """The kinds of records that it is told."""
        ...

    def hear(self, record: Record) -> None:
        """Take note of a record. Called on the event loop: it may not wait, nor take long."""
        ...


class Hooks:
    """All who watch a process, by what they want to hear."""

    def __init__(self, listeners: Sequence[Hook] = ()) -> None:
        def of(kind: type[Record]) -> tuple[Hook, ...]:
            return tuple(each for each in listeners if kind in each.wants)

        self.run_changed = of(RunChanged)
        self.model_called = of(ModelCalled)
        self.tool_called = of(ToolCalled)
        self.store_wrote = of(StoreWrote)
        self.request_served = of(RequestServed)
        self.delivery_tried = of(DeliveryTried)
        self._by_kind: dict[type[Record], tuple[Hook, ...]] = {
            RunChanged: self.run_changed,
            ModelCalled: self.model_called,
            ToolCalled: self.tool_called,
            StoreWrote: self.store_wrote,
            RequestServed: self.request_served,
            DeliveryTried: self.delivery_tried,
        }
        self._broken: set[int] = set()

    def tell(self, record: Record) -> None:
        """Tell everybody who wants to hear of it."""
        for hook in self._by_kind[type(record)]:
            try:
                hook.hear(record)
            except Exception:
                if id(hook) not in self._broken:
                    self._broken.add(id(hook))
                    _log.exception("a hook broke at %s; it is told on, and not complained of again", record)


NOBODY = Hooks()
"""Nobody watches."""
