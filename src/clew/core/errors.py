"""Why a request can't be done: errors with fields. Each wire words them for its own clients.

A refusal has left nothing behind: whatever transaction it is raised in is rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clew.core.states import RunStatus

Kind: TypeAlias = Literal[
    "agent", "thread", "message", "run", "step", "webhook", "file", "vector_store", "store_file", "file_batch"
]
"""What can be looked for and not be there."""


class Refused(Exception):
    """A request that the rules, or what is stored, don't allow."""


@dataclass(eq=False)
class NotFound(Refused):
    """The project has no such object, or not under this parent; ``where`` is what of a request names it."""

    kind: Kind
    id: str
    where: str | None = None


@dataclass(eq=False)
class ThreadBusy(Refused):
    """The thread's active run locks it: neither a run nor a message can be ``wanted`` now."""

    thread_id: str
    run_id: str
    wanted: Literal["run", "message"]


@dataclass(eq=False)
class ThreadChanged(Refused):
    """Something has happened in the thread after ``since``, seconds since the epoch."""

    thread_id: str
    since: int


@dataclass(eq=False)
class ThreadFull(Refused):
    """The thread holds ``limit`` messages, as many as it may."""

    limit: int


class BudgetSpent(Refused):
    """There are no tokens left to begin a run with."""


@dataclass(eq=False)
class ThreadBudgetSpent(BudgetSpent):
    """The runs of the thread have used up its budget."""

    thread_id: str


@dataclass(eq=False)
class ProjectBudgetSpent(BudgetSpent):
    """The project's runs have used up its ``budget`` of tokens for today (UTC)."""

    budget: int


@dataclass(eq=False)
class UnknownToolChoice(Refused):
    """The model is to call a function that is not among the run's tools."""

    name: str


@dataclass(eq=False)
class ModelNotFound(Refused):
    """Nobody here answers to a model's name; ``known`` are the names that somebody answers to."""

    name: str
    known: Sequence[str]


@dataclass(eq=False)
class OutputsNotAccepted(Refused):
    """Tool outputs for a run that does not wait for any."""

    status: RunStatus


@dataclass(eq=False)
class OutputsMismatch(Refused):
    """Tool outputs that are not exactly those the run waits for: ids of calls."""

    expected: Sequence[str]
    got: Sequence[str]


@dataclass(eq=False)
class ApprovalsMismatch(Refused):
    """Approvals that are not exactly those the run waits for: ids of calls."""

    expected: Sequence[str]
    got: Sequence[str]


@dataclass(eq=False)
class ToolNotSwitchedOn(Refused):
    """A tool of a kind that this server knows how to run, and is not set to."""

    kind: str


@dataclass(eq=False)
class TooManyFunctions(Refused):
    """The tools offer ``count`` functions together; a model may be offered ``limit``."""

    count: int
    limit: int


@dataclass(eq=False)
class NotCancellable(Refused):
    """A cancellation of a run that is over, or already being cancelled."""

    status: RunStatus


@dataclass(eq=False)
class KeyReused(Refused):
    """The idempotency key was used for another request."""

    key: str


@dataclass(eq=False)
class UrlRefused(Refused):
    """This server may not ask the URL; ``reason`` goes on from "Invalid url:"."""

    reason: str


@dataclass(eq=False)
class WebhookLimit(Refused):
    """The project has ``limit`` webhooks, as many as it may."""

    limit: int


@dataclass(eq=False)
class FileTooLarge(Refused):
    """A file of more than ``limit`` bytes."""

    limit: int


@dataclass(eq=False)
class FileEmpty(Refused):
    """A file of no bytes at all."""


@dataclass(eq=False)
class FilesFull(Refused):
    """The project's files may have ``limit`` bytes together, and this one is too much."""

    limit: int


@dataclass(eq=False)
class ContentGone(Refused):
    """A file's row is there, and its bytes are not: the store of blobs has lost them."""

    file_id: str


@dataclass(eq=False)
class StoreFull(Refused):
    """A vector store holds ``limit`` files, as many as it may."""

    limit: int


@dataclass(eq=False)
class StoreExpired(Refused):
    """The vector store has expired: nothing can be added to it, or searched in it."""

    store_id: str


@dataclass(eq=False)
class NotSearchable(Refused):
    """A search could not be done; ``reason`` is a sentence."""

    reason: str


@dataclass(eq=False)
class BatchNotCancellable(Refused):
    """A batch in ``status`` can't be cancelled any more."""

    status: str
