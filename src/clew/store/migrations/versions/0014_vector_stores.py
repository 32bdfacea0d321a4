"""Vector stores: the files in them, their chunks, their vectors, and full text."""

import sqlalchemy as sa
from alembic import op

from clew.store.full_text import POSTGRES_DDL, SQLITE_DDL

revision = "0014"
down_revision = "0013"

_COUNTED = ("in_progress", "completed", "failed", "cancelled")
_AFTER_FILES = sa.text("waits_for = 'files'")
_IN_BATCH = sa.text("batch_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "vector_stores",
        *_columns(),
        sa.Column("name", sa.Text()),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("expires_days", sa.Integer()),
        sa.Column("last_active_at", sa.BigInteger(), nullable=False),
        sa.Column("embedder", sa.Text()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("usage_bytes", sa.BigInteger(), nullable=False),
        *_counts(),
    )
    op.create_index("vector_stores_by_project", "vector_stores", ["project", "seq"])
    op.create_table(
        "file_batches",
        *_columns(),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("cancelled_at", sa.BigInteger()),
        *_counts(),
    )
    op.create_index("file_batches_by_store", "file_batches", ["store_id", "seq"])
    _store_files()
    _chunks()
    op.create_index(
        "runs_after_files", "runs", ["id"], sqlite_where=_AFTER_FILES, postgresql_where=_AFTER_FILES
    )
    for ddl in SQLITE_DDL if op.get_bind().dialect.name == "sqlite" else POSTGRES_DDL:
        op.execute(ddl)


def _store_files() -> None:
    op.create_table(
        "store_files",
        sa.Column("seq", _seq(), primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("chunking", sa.Text(), nullable=False),
        sa.Column("usage_bytes", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("store_files_by_id", "store_files", ["store_id", "id"], unique=True)
    op.create_index("store_files_by_store", "store_files", ["store_id", "seq"])
    op.create_index("store_files_by_status", "store_files", ["store_id", "status", "seq"])
    op.create_index(
        "store_files_by_batch",
        "store_files",
        ["batch_id", "seq"],
        sqlite_where=_IN_BATCH,
        postgresql_where=_IN_BATCH,
    )
    op.create_index("store_files_by_file", "store_files", ["id"])


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("seq", _seq(), primary_key=True, autoincrement=True),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("store_file", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.Column("first_line", sa.Integer(), nullable=False),
        sa.Column("last_line", sa.Integer(), nullable=False),
    )
    op.create_index("chunks_by_file", "chunks", ["store_file", "number"], unique=True)
    op.create_table(
        "vectors",
        sa.Column("store_file", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("embedder", sa.Text(), primary_key=True),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("ranges", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )


def _seq() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("seq", _seq(), primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False, unique=True),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    ]


def _counts() -> list[sa.Column[object]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTED]
