"""The tables, one a record type, for SQLite and PostgreSQL alike.

Every table has an integer ``seq`` that orders rows by commit, and a public ``id``. Lists walk
``index(parent, seq)``, and a cursor is the ``seq`` of its id, so a page costs the same in a thread of
ten messages and of a hundred thousand. Objects are JSON in text columns: both databases then store
the same bytes. Times are milliseconds.
"""

from typing import get_args

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from clew.core.options import Sampling
from clew.core.states import LIVE

metadata = MetaData()

COUNTED_BY = (
    "code",
    "model",
    "queue_ms",
    "first_token_ms",
    "total_ms",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
)
"""The columns by which runs that are over are counted, besides ``ended_at`` and their status."""

IS_HELD = text("held IS NOT NULL")
"""Waiting in the line of a busy thread."""

IS_LIVE = text("held IS NULL AND status IN ({})".format(", ".join(f"'{status}'" for status in sorted(LIVE))))
"""The condition of the partial indexes. Queries use the same words, or SQLite won't take the index."""


HAS_ENDED = text("ended_at IS NOT NULL")
"""The condition of the indexes of runs and calls that are over."""

IS_SHOWN = text("NOT hidden")
"""The condition of the index of threads that lists show."""


HAS_FAILED = text("code IS NOT NULL")
"""The condition of the index of runs that are over and did not complete. None that completes touches it."""


WAITS_FOR_SHARE = text("waits_for = 'share'")
"""The condition of the index of runs that wait for their project's share."""

COUNTED = ("in_progress", "completed", "failed", "cancelled")
"""The statuses of files in stores and batches, each with a column that counts them."""

WAITS_FOR_FILES = text("waits_for = 'files'")
"""The condition of the index of runs that wait until files of their threads were read."""

IS_FREE = text("owner IS NULL")
"""Due work that nobody has claimed."""

IS_OWNED = text("owner IS NOT NULL")
"""Due work that somebody has claimed."""


class Object(Text):
    """A text column that holds a JSON value."""


def _columns() -> list[Column[object]]:
    return [
        Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("id", Text, nullable=False, unique=True),
        Column("project", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
    ]


def _in_thread() -> Column[object]:
    return Column("thread_id", Text, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False)


def _sampling() -> list[Column[object]]:
    """Return a column for each option that :class:`clew.core.options.Sampling` declares."""
    return [Column(field.name, _column_type(field.type)) for field in msgspec.structs.fields(Sampling)]


def _column_type(declared: object) -> type[Float[float] | Text]:
    """Return the type of the column that holds what may be None: a number, a text, or JSON."""
    kinds = [getattr(each, "__origin__", each) for each in get_args(declared) if each is not type(None)]
    if kinds == [float]:
        return Float
    return Text if kinds == [str] else Object


agents = Table(
    "agents",
    metadata,
    *_columns(),
    Column("model", Text, nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("instructions", Text),
    Column("tools", Object, nullable=False),
    Column("tool_resources", Object, nullable=False),
    Column("metadata", Object, nullable=False),
    *_sampling(),
    Index("agents_by_project", "project", "seq"),
)

threads = Table(
    "threads",
    metadata,
    *_columns(),
    Column("metadata", Object, nullable=False),
    Column("tool_resources", Object, nullable=False),
    Column("token_budget", BigInteger),
    Column("tokens_used", BigInteger, nullable=False),
    Column("message_count", Integer, nullable=False, server_default="0"),
    # What locks the thread: its live run's id, and how many runs and messages wait in its line.
    Column("live_run", Text),
    Column("waiting", Integer, nullable=False, server_default="0"),
    Column("hidden", Boolean, nullable=False, server_default=false()),
    # Where a thread begins that continues another's history from the middle on.
    Column("begins_in", Text),
    Column("begins_after", BigInteger),
    Index("threads_by_project", "project", "seq", sqlite_where=IS_SHOWN),
)

# Tokens that a project has used on one day (days since the Unix epoch).
usage_by_day = Table(
    "usage_by_day",
    metadata,
    Column("project", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("tokens", BigInteger, nullable=False),
)

# One row a key, so that threads can be found by their metadata through an index on either database.
thread_tags = Table(
    "thread_tags",
    metadata,
    Column("thread_seq", BigInteger, ForeignKey("threads.seq", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("project", Text, nullable=False),
    Index("thread_tags_by_value", "project", "key", "value", "thread_seq"),
)

messages = Table(
    "messages",
    metadata,
    *_columns(),
    _in_thread(),
    Column("role", Text, nullable=False),
    Column("content", Object, nullable=False),
    Column("assistant_id", Text),
    Column("run_id", Text),
    Column("status", Text, nullable=False),
    Column("incomplete_reason", Text),
    Column("completed_at", BigInteger),
    Column("incomplete_at", BigInteger),
    Column("attachments", Object, nullable=False),
    Column("metadata", Object, nullable=False),
    Column("held", Integer),
    Index("messages_by_thread", "thread_id", "seq"),
    Index("held_messages", "thread_id", "held", sqlite_where=IS_HELD),
    Index(
        "messages_by_run",
        "run_id",
        "seq",
        sqlite_where=text("run_id IS NOT NULL"),
    ),
)

runs = Table(
    "runs",
    metadata,
    *_columns(),
    _in_thread(),
    Column("assistant_id", Text),
    Column("expires_at", BigInteger, nullable=False),
    Column("config", Object, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("failed_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("last_error", Object),
    Column("incomplete_reason", Text),
    Column("usage", Object, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("metadata", Object, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("held", Integer),
    Column("worker", Text),
    Column("begun_at", BigInteger),
    Column("spoke_at", BigInteger),
    # What the runs that are over are counted by, written when a run ends.
    Column("ended_at", BigInteger),
    Column("code", Text),
    Column("model", Text),
    Column("queue_ms", Integer),
    Column("first_token_ms", Integer),
    Column("total_ms", BigInteger),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("claimed_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("open_step", Text),
    # Why the run is parked, until when, and all the times that it was.
    Column("waits_for", Text),
    Column("due", BigInteger),
    Column("waits", Object, nullable=False),
    Column("retrying_since", BigInteger),
    Column("lost_turns", Integer, nullable=False),
    # What its turns have cost, in millionths.
    Column("cost", BigInteger),
    Column("reasoning_tokens", Integer),
    Index("runs_by_thread", "thread_id", "seq"),
    # Lists over a project. No change of status touches the first two, and no run that completes the third.
    Index("runs_by_project", "project", "seq"),
    Index("runs_by_agent", "project", "assistant_id", "seq"),
    Index("failed_runs", "project", "seq", sqlite_where=HAS_FAILED),
    # Holds all that is counted, so that the rows themselves need not be read.
    Index(
        "ended_runs",
        "project",
        "ended_at",
        "status",
        *COUNTED_BY,
        sqlite_where=HAS_ENDED,
    ),
    Index("runs_in_wait", "project", "seq", sqlite_where=WAITS_FOR_SHARE),
    Index("runs_after_files", "id", sqlite_where=WAITS_FOR_FILES),
    # The thread lock once more, as it follows from the runs: the database itself refuses a second live run.
    Index("live_run_of_thread", "thread_id", unique=True, sqlite_where=IS_LIVE),
    Index("held_runs", "thread_id", "held", sqlite_where=IS_HELD),
    # Recovery and expiry look at live runs only, however many are over.
    Index("live_runs_by_expiry", "expires_at", sqlite_where=IS_LIVE),
)

steps = Table(
    "steps",
    metadata,
    *_columns(),
    _in_thread(),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("assistant_id", Text),
    Column("type", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("message_id", Text),
    Column("last_error", Object),
    Column("usage", Object, nullable=False),
    Column("first_token_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("failed_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("expired_at", BigInteger),
    Column("metadata", Object, nullable=False),
    Column("end_position", BigInteger),
    Column("facts", Object),
    Index("steps_by_run", "run_id", "seq"),
    Index("steps_by_thread", "thread_id", "seq"),
)

# The calls of steps. Those that have ended are counted by an index that holds all that is counted.
calls = Table(
    "calls",
    metadata,
    *_columns(),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("step_id", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("index", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("result", Text),
    Column("approval", Boolean, nullable=False),
    Column("repeatable", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("output", Text),
    Column("detail", Object),
    Column("model_id", Text),
    Column("extras", Object),
    Column("position", BigInteger),
    Column("begun_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("ms", BigInteger),
    Index("calls_by_run", "run_id", "turn", "index"),
    Index("calls_by_end", "project", "ended_at", "name", "result", "ms", sqlite_where=HAS_ENDED),
)

# Runs that went on with another worker, or with the same one once more, than the one that had begun a turn.
takeovers = Table(
    "takeovers",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("from_worker", Text),
    Column("to_worker", Text, nullable=False),
    Index("takeovers_by_run", "run_id"),
)

# The processes that serve a shared database. ``beats`` goes up while a process lives.
workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("works", Boolean, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("active_runs", Integer, nullable=False),
)

# What is known of the installation as a whole, by name.
installation = Table(
    "installation",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("answers_by_age", "created_at"),
)

webhooks = Table(
    "webhooks",
    metadata,
    *_columns(),
    Column("url", Text, nullable=False),
    Column("events", Object, nullable=False),
    Column("secret", Text, nullable=False),
    Column("metadata", Object, nullable=False),
    Column("disabled_at", BigInteger),
    Column("last_error", Object),
    Index("webhooks_by_project", "project", "seq"),
)

# What is to be done at a time, of whatever kind. A row goes when it is done, given up or called off. Its seq
# is given to no other, so that seq and epoch together say which claim of which work is meant.
due_work = Table(
    "due_work",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text),
    Column("epoch", Integer, nullable=False),
    Column("last_error", Text),
    Column("progress", Object),
    Column("payload", Object),
    Index("due_work_by_id", "kind", "id", unique=True),
    Index("due_work_by_lane", "kind", "lane", "due", "seq"),
    Index("due_work_by_due", "kind", "due", sqlite_where=IS_FREE),
    Index("owned_due_work", "kind", "seq", sqlite_where=IS_OWNED),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    *_columns(),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("blob", Text, nullable=False, unique=True),
    Index("files_by_project", "project", "seq"),
    Index("files_by_purpose", "project", "purpose", "seq"),
    # Holds all that is summed, so that the rows themselves need not be read.
    Index("files_by_size", "project", "bytes"),
)

# Where the variables of a thread's code are: which session, and whose.
code_sessions = Table(
    "code_sessions",
    metadata,
    Column("thread_id", Text, ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True),
    Column("session", Text, nullable=False),
    Column("place", Text, nullable=False),
)

# Files that a thread's code has left, by the names that they have in its session: the newest of each counts.
code_files = Table(
    "code_files",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    _in_thread(),
    Column("name", Text, nullable=False),
    Column("file_id", Text, nullable=False),
    Index("code_files_by_thread", "thread_id", "seq"),
)

vector_stores = Table(
    "vector_stores",
    metadata,
    *_columns(),
    Column("name", Text),
    Column("metadata", Object, nullable=False),
    Column("expires_days", Integer),
    Column("last_active_at", BigInteger, nullable=False),
    Column("embedder", Text),
    Column("version", BigInteger, nullable=False),
    Column("usage_bytes", BigInteger, nullable=False),
    *(Column(name, Integer, nullable=False) for name in COUNTED),
    Column("reindexing", Object),
    Index("vector_stores_by_project", "project", "seq"),
    Index("vector_stores_by_embedder", "embedder"),
)

# Files in vector stores. Their seq is never given to another, so that what is left of one that was removed
# can't be taken for another's.
store_files = Table(
    "store_files",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("last_error", Object),
    Column("attributes", Object, nullable=False),
    Column("chunking", Object, nullable=False),
    Column("usage_bytes", BigInteger, nullable=False),
    Column("batch_id", Text),
    Index("store_files_by_id", "store_id", "id", unique=True),
    Index("store_files_by_store", "store_id", "seq"),
    Index("store_files_by_status", "store_id", "status", "seq"),
    Index("store_files_by_batch", "batch_id", "seq", sqlite_where=text("batch_id IS NOT NULL")),
    Index("store_files_by_file", "id"),
    sqlite_autoincrement=True,
)

file_batches = Table(
    "file_batches",
    metadata,
    *_columns(),
    Column("store_id", Text, nullable=False),
    Column("cancelled_at", BigInteger),
    *(Column(name, Integer, nullable=False) for name in COUNTED),
    Index("file_batches_by_store", "store_id", "seq"),
)

# What searches find. ``store`` is the store's seq as one word, by which full text is looked for in it alone.
chunks = Table(
    "chunks",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("store", Text, nullable=False),
    Column("store_file", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("page", Integer),
    Column("first_line", Integer, nullable=False),
    Column("last_line", Integer, nullable=False),
    Index("chunks_by_file", "store_file", "number", unique=True),
)

# The vectors of a file's windows, one after another, and which of them each chunk has.
vectors = Table(
    "vectors",
    metadata,
    Column("store_file", BigInteger, primary_key=True, autoincrement=False),
    Column("embedder", Text, primary_key=True),
    Column("dimensions", Integer, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("ranges", Object, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# Bytes of files, where PostgreSQL keeps them. Part 0 is empty, and written last: with it a blob is whole.
blob_parts = Table(
    "blob_parts",
    metadata,
    Column("blob", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# Projects that have limits, or are to be listed. Another is as good without a row.
projects = Table(
    "projects",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("limits", Object, nullable=False),
)

# Keys by their SHA-256, in hexadecimal: the key itself is kept nowhere. One that is exchanged stays until it
# expires, beside its successor of the same name.
keys = Table(
    "keys",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index("keys_by_name", "project", "name"),
)
