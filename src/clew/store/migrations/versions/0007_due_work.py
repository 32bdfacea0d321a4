"""Deliveries to webhooks become due work, as other kinds will be."""

from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

IS_FREE = sa.text("owner IS NULL")
IS_OWNED = sa.text("owner IS NOT NULL")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1000


def upgrade() -> None:
    op.create_table(
        "due_work",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("due_work_by_id", "due_work", ["kind", "id"], unique=True)
    op.create_index("due_work_by_lane", "due_work", ["kind", "lane", "due", "seq"])
    op.create_index(
        "due_work_by_due", "due_work", ["kind", "due"], sqlite_where=IS_FREE, postgresql_where=IS_FREE
    )
    op.create_index(
        "owned_due_work", "due_work", ["kind", "seq"], sqlite_where=IS_OWNED, postgresql_where=IS_OWNED
    )
    _move_deliveries()
    op.drop_table("deliveries")


_webhooks = sa.table("webhooks", sa.column("seq"), sa.column("id"))
_deliveries = sa.table(
    "deliveries",
    *map(sa.column, ("seq", "webhook_seq", "project", "thread_id", "run_id", "position", "event")),
    *map(sa.column, ("created_at", "due", "attempts")),
)
_due_work = sa.table(
    "due_work",
    *map(sa.column, ("kind", "id", "project", "lane", "created_at", "due", "attempts", "epoch", "payload")),
)


def _move_deliveries() -> None:
    connection = op.get_bind()
    found = sa.select(_deliveries, _webhooks.c.id.label("webhook_id")).join(
        _webhooks, _webhooks.c.seq == _deliveries.c.webhook_seq
    )
    last = 0
    while rows := connection.execute(
        found.where(_deliveries.c.seq > last).order_by(_deliveries.c.seq).limit(_BATCH)
    ).fetchall():
        connection.execute(sa.insert(_due_work), [_moved(row) for row in rows])
        last = rows[-1].seq


def _moved(row: Any) -> dict[str, Any]:
    payload = {
        "thread_id": row.thread_id,
        "run_id": row.run_id,
        "position": row.position,
        "event": row.event,
    }
    return {
        "kind": "webhook",
        "id": f"{row.webhook_id}/{row.run_id}/{row.position}",
        "project": row.project,
        "lane": row.webhook_id,
        "created_at": row.created_at,
        "due": row.due,
        "attempts": row.attempts,
        "epoch": 0,
        "payload": msgspec.json.encode(payload).decode(),
    }
