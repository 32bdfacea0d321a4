"""Runs wait for models that are away, and know what they cost."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

HAS_ENDED = sa.text("ended_at IS NOT NULL")
_COUNTED_BY = [
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
]


def upgrade() -> None:
    op.add_column("runs", sa.Column("retrying_since", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("lost_turns", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("cost", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("reasoning_tokens", sa.Integer(), nullable=True))
    op.execute("UPDATE runs SET reasoning_tokens = 0 WHERE ended_at IS NOT NULL")
    op.drop_index("ended_runs", "runs")
    op.create_index(
        "ended_runs",
        "runs",
        ["project", "ended_at", "status", *_COUNTED_BY],
        sqlite_where=HAS_ENDED,
        postgresql_where=HAS_ENDED,
    )
