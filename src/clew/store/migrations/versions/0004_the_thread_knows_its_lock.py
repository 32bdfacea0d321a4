"""A thread's row says what locks it: its live run, and how many runs and messages wait in its line."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_IS_LIVE = "held IS NULL AND status IN ('cancelling', 'in_progress', 'queued', 'requires_action')"
# Each looks at live and held rows only, through their indexes, however many threads there are.
_LOCKED = f"""UPDATE threads SET live_run =
        (SELECT id FROM runs WHERE runs.thread_id = threads.id AND {_IS_LIVE})
    WHERE id IN (SELECT thread_id FROM runs WHERE {_IS_LIVE})"""  # noqa: S608 - no value of a user's
_WAITING = """UPDATE threads SET waiting =
        (SELECT count(*) FROM runs WHERE runs.thread_id = threads.id AND held IS NOT NULL)
        + (SELECT count(*) FROM messages WHERE messages.thread_id = threads.id AND held IS NOT NULL)
    WHERE id IN (SELECT thread_id FROM runs WHERE held IS NOT NULL)
       OR id IN (SELECT thread_id FROM messages WHERE held IS NOT NULL)"""


def upgrade() -> None:
    op.add_column("threads", sa.Column("live_run", sa.Text(), nullable=True))
    op.add_column("threads", sa.Column("waiting", sa.Integer(), nullable=False, server_default="0"))
    op.execute(_LOCKED)
    op.execute(_WAITING)
