"""Projects are rows with limits; runs beyond their project's share wait."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

WAITS = sa.text("waits_for = 'share'")


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("runs_in_wait", "runs", ["project", "seq"], sqlite_where=WAITS, postgresql_where=WAITS)
