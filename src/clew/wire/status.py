"""The status of a server as its operator sees it. Pure: what was found in, wire out. Times are seconds."""

from typing import Literal

from msgspec import Struct


class ProcessObject(Struct, frozen=True, kw_only=True):
    """The process that answers. ``memory_bytes`` is None where the system does not say."""

    id: str
    host: str
    pid: int
    works: bool
    started_at: int
    memory_bytes: int | None


class StoreObject(Struct, frozen=True, kw_only=True):
    """The store: ``ms`` is how long it took to be counted, ``trouble`` what is wrong with it.

    ``where`` is SQLite's path, or PostgreSQL's URL without its secrets. ``pgvector`` is the version of the
    extension that searches large vector stores; None: they are searched in memory.
    """

    kind: Literal["SQLite", "PostgreSQL"]
    where: str
    schema: str
    pgvector: str | None = None
    ms: float
    trouble: str | None


class BusObject(Struct, frozen=True, kw_only=True):
    """The bus. ``dropped`` counts messages that were altered, or are not this installation's."""

    kind: Literal["local", "NATS"]
    up: bool
    dropped: int


class ModelObject(Struct, frozen=True, kw_only=True):
    """A model that is offered; ``problem`` and ``answers_in_ms`` only if it was asked for this answer."""

    name: str
    address: str | None
    reachable: bool | None
    answers_in_ms: int | None
    problem: str | None


class ModelCallsObject(Struct, frozen=True, kw_only=True):
    """How the calls of a model went since the start, by the name that was asked for."""

    name: str
    calls: int
    failures: int
    last_failure_at: int | None
    last_failure: str | None
    answered_since: bool


class RunsObject(Struct, frozen=True, kw_only=True):
    """Runs of the whole store that are live, and what this process does. ``in_line`` wait on busy threads."""

    live: dict[str, int]
    in_line: int
    at_work_here: int
    line_full: bool
    ended_here: dict[str, int]


class WebhooksObject(Struct, frozen=True, kw_only=True):
    """Deliveries that wait, and since when the oldest is due."""

    waiting: int
    oldest_due_at: int | None


class EmbeddingsObject(Struct, frozen=True, kw_only=True):
    """What makes vectors; None: nothing does. Stores of other models are searched by words alone."""

    model: str | None
    stores_of_other_models: int


class WorkerObject(Struct, frozen=True, kw_only=True):
    """A process on the same database."""

    host: str
    pid: int
    works: bool
    active_runs: int
    started_at: int
    seen_at: int


class ConnectionsObject(Struct, frozen=True, kw_only=True):
    """Connections of clients, and how many there may be."""

    open: int
    most: int
    most_of_an_address: int


class CodeObject(Struct, frozen=True, kw_only=True):
    """Where this process runs code: by the setting, the driver and its sessions.

    ``driver`` and ``trouble`` are None as long as no code was to be run; ``trouble`` says what is missing.
    ``python`` is the next session's, None for the server's own without packages; ``packages`` by name.
    """

    setting: str
    driver: str | None
    trouble: str | None
    sessions: int
    most_sessions: int
    python: str | None
    packages: dict[str, str]
    outdated: bool


class StatusObject(Struct, frozen=True, kw_only=True):
    """How a server is.

    ``code`` is None where none is run. ``limits_met`` counts since the start, by bound; ``wrong_keys`` too.
    """

    object: Literal["status"] = "status"
    version: str
    python: str
    now: int
    trouble: str | None
    process: ProcessObject
    store: StoreObject
    bus: BusObject
    models: list[ModelObject]
    model_calls: list[ModelCallsObject]
    tools: list[str]
    code: CodeObject | None
    runs: RunsObject
    webhooks: WebhooksObject
    embeddings: EmbeddingsObject
    workers: list[WorkerObject]
    connections: ConnectionsObject
    limits_met: dict[str, int]
    wrong_keys: int
