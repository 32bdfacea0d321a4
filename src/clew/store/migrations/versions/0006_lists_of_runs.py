"""Indexes for lists of runs over a project."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_HAS_FAILED = sa.text("code IS NOT NULL")


def upgrade() -> None:
    op.create_index("runs_by_project", "runs", ["project", "seq"])
    op.create_index("runs_by_agent", "runs", ["project", "assistant_id", "seq"])
    op.create_index(
        "failed_runs", "runs", ["project", "seq"], sqlite_where=_HAS_FAILED, postgresql_where=_HAS_FAILED
    )
