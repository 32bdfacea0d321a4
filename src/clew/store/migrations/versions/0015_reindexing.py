"""Vector stores that get the vectors of another embedder."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("vector_stores", sa.Column("reindexing", sa.Text()))
    op.create_index("vector_stores_by_embedder", "vector_stores", ["embedder"])
