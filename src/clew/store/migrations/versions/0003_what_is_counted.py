"""What runs that are over are counted by: how they ended, what they took, which tools they called."""

from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

HAS_ENDED = sa.text("ended_at IS NOT NULL")
_NEW: dict[str, Any] = {
    "begun_at": sa.BigInteger(),
    "spoke_at": sa.BigInteger(),
    "ended_at": sa.BigInteger(),
    "code": sa.Text(),
    "model": sa.Text(),
    "queue_ms": sa.Integer(),
    "first_token_ms": sa.Integer(),
    "total_ms": sa.BigInteger(),
    "prompt_tokens": sa.Integer(),
    "completion_tokens": sa.Integer(),
    "cached_tokens": sa.Integer(),
}
_BATCH = 1000


def upgrade() -> None:
    for name, kind in _NEW.items():
        op.add_column("runs", sa.Column(name, kind, nullable=True))
    op.create_table(
        "tool_calls",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("tool_calls_by_end", "tool_calls", ["project", "ended_at", "name", "outcome", "ms"])
    op.create_index("tool_calls_by_run", "tool_calls", ["run_id"])
    _count_what_has_ended()
    op.create_index(
        "ended_runs",
        "runs",
        ["project", "ended_at", "status", "code", *list(_NEW)[4:]],
        sqlite_where=HAS_ENDED,
        postgresql_where=HAS_ENDED,
    )


def _count_what_has_ended() -> None:
    """Fill in the numbers of runs that ended before; when they first went to work is not known any more."""
    connection = op.get_bind()
    runs = sa.table("runs", *(sa.column(name) for name in ("seq", "status", *_READ, *_NEW)))
    ended = sa.select(runs.c.seq, runs.c.status, *(runs.c[name] for name in _READ)).where(
        runs.c.status.in_(("completed", "failed", "cancelled", "expired", "incomplete"))
    )
    last = 0
    while found := connection.execute(
        ended.where(runs.c.seq > last).order_by(runs.c.seq).limit(_BATCH)
    ).fetchall():
        for row in found:
            connection.execute(sa.update(runs).where(runs.c.seq == row.seq).values(_counted(row)))
        last = found[-1].seq


_READ = (
    "created_at",
    "expires_at",
    "completed_at",
    "failed_at",
    "cancelled_at",
    "config",
    "usage",
    "last_error",
    "incomplete_reason",
)


def _counted(row: Any) -> dict[str, Any]:
    ended_at = row.completed_at or row.failed_at or row.cancelled_at or row.expires_at
    usage = msgspec.json.decode(row.usage)
    code = None if row.status == "completed" else row.status
    if row.last_error is not None:
        code = msgspec.json.decode(row.last_error)["code"]
    return {
        "ended_at": ended_at,
        "code": row.incomplete_reason or code,
        "model": msgspec.json.decode(row.config)["model"],
        "total_ms": ended_at - row.created_at,
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "cached_tokens": usage.get("cached_tokens", 0),
    }
