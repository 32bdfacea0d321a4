"""Calls are rows; a run says itself why, when and where in its journal it was parked."""

from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

HAS_ENDED = sa.text("ended_at IS NOT NULL")
IS_SHOWN = sa.text("NOT hidden")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1000


def upgrade() -> None:
    _agents()
    _threads()
    _runs()
    _steps()
    _calls()
    _move_calls()
    with op.batch_alter_table("runs") as batch:
        batch.drop_column("starts")
        batch.alter_column("attempts", server_default=None, existing_type=sa.Integer())
        batch.alter_column("waits", server_default=None, existing_type=sa.Text())
    with op.batch_alter_table("steps") as batch:
        batch.drop_column("waited")
        batch.drop_column("calls")
    op.drop_table("tool_calls")


def _agents() -> None:
    """What nobody has set is null; it was kept as the default before."""
    with op.batch_alter_table("agents") as batch:
        for name, kind in (
            ("temperature", sa.Float()),
            ("top_p", sa.Float()),
            ("response_format", sa.Text()),
        ):
            batch.alter_column(name, existing_type=kind, nullable=True)
    op.execute("UPDATE agents SET temperature = NULL WHERE temperature = 1")
    op.execute("UPDATE agents SET top_p = NULL WHERE top_p = 1")
    op.execute("UPDATE agents SET response_format = NULL WHERE response_format = '\"auto\"'")


def _threads() -> None:
    op.add_column("threads", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("threads", sa.Column("begins_in", sa.Text(), nullable=True))
    op.add_column("threads", sa.Column("begins_after", sa.BigInteger(), nullable=True))
    op.drop_index("threads_by_project", "threads")
    op.create_index(
        "threads_by_project",
        "threads",
        ["project", "seq"],
        sqlite_where=IS_SHOWN,
        postgresql_where=IS_SHOWN,
    )


def _runs() -> None:
    with op.batch_alter_table("runs") as batch:
        batch.alter_column("assistant_id", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("claimed_at", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("open_step", sa.Text(), nullable=True))
        batch.add_column(sa.Column("waits_for", sa.Text(), nullable=True))
        batch.add_column(sa.Column("due", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("waits", sa.Text(), nullable=False, server_default="[]"))


def _steps() -> None:
    with op.batch_alter_table("steps") as batch:
        batch.alter_column("assistant_id", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("end_position", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("facts", sa.Text(), nullable=True))


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step_id", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("approval", sa.Boolean(), nullable=False),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("model_id", sa.Text(), nullable=True),
        sa.Column("extras", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("begun_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("calls_by_run", "calls", ["run_id", "turn", "index"])
    op.create_index(
        "calls_by_end",
        "calls",
        ["project", "ended_at", "name", "result", "ms"],
        sqlite_where=HAS_ENDED,
        postgresql_where=HAS_ENDED,
    )


# --- what the rows of the older schema say -------------------------------------------------------------

_runs_table = sa.table(
    "runs",
    *map(sa.column, ("id", "config", "status", "starts", "begun_at", "waits", "waits_for", "open_step")),
)
_steps_table = sa.table(
    "steps",
    *map(sa.column, ("seq", "id", "project", "run_id", "created_at", "type", "turn", "position", "waited")),
    *map(sa.column, ("status", "calls", "end_position")),
    *map(sa.column, ("completed_at", "failed_at", "cancelled_at", "expired_at")),
)
_calls_table = sa.table(
    "calls",
    *map(sa.column, ("id", "project", "created_at", "run_id", "step_id", "turn", "index", "name")),
    *map(sa.column, ("arguments", "kind", "state", "result", "approval", "repeatable", "attempts", "output")),
    *map(sa.column, ("ended_at", "ms")),
)


def _move_calls() -> None:
    """Give each call of a step a row, and each run the times for which it waited for a client."""
    connection = op.get_bind()
    op.execute("UPDATE runs SET begun_at = started_at WHERE begun_at IS NULL AND starts > 0")
    of_calls = sa.select(_steps_table).where(_steps_table.c.type == "tool_calls")
    last = 0
    while found := connection.execute(
        of_calls.where(_steps_table.c.seq > last).order_by(_steps_table.c.seq).limit(_BATCH)
    ).fetchall():
        for step in found:
            _move(connection, step)
        last = found[-1].seq


def _move(connection: sa.Connection, step: Any) -> None:
    run = connection.execute(sa.select(_runs_table).where(_runs_table.c.id == step.run_id)).one()
    offered = [
        tool["function"]["name"] for tool in msgspec.json.decode(run.config)["tools"] if "function" in tool
    ]
    calls = msgspec.json.decode(step.calls)
    ended_at = step.completed_at or step.failed_at or step.cancelled_at or step.expired_at
    for index, call in enumerate(calls):
        connection.execute(sa.insert(_calls_table).values(_call(step, index, call, offered, ended_at)))
    told = sum(1 + len(call["arguments"]) for call in calls)
    parked = step.position + 2 + told
    closed = parked + int(step.waited) + int(step.status == "cancelled")
    if ended_at is not None:
        where = _steps_table.c.seq == step.seq
        connection.execute(sa.update(_steps_table).where(where).values(end_position=closed))
    if step.waited:
        _note_wait(connection, run, step, parked, closed, ended_at)


def _call(step: Any, index: int, call: Any, offered: list[str], ended_at: int | None) -> dict[str, Any]:
    output, known = call.get("output"), call["name"] in offered
    result = None
    if not known:
        result = "not_offered"
    elif ended_at is not None:
        failed = output is not None and output.lstrip().startswith('{"error"')
        done = "failed" if failed else "ok"
        result = {"completed": done, "failed": "broken_off"}.get(step.status, step.status)
    return {
        "id": call["id"],
        "project": step.project,
        "created_at": step.created_at,
        "run_id": step.run_id,
        "step_id": step.id,
        "turn": step.turn,
        "index": index,
        "name": call["name"],
        "arguments": call["arguments"],
        "kind": "function",
        "state": "waits_for_client" if result is None else "done",
        "result": result,
        "approval": False,
        "repeatable": False,
        "attempts": 0,
        "output": output,
        "ended_at": None if result is None else ended_at or step.created_at,
        "ms": None if result is None else max(0, (ended_at or step.created_at) - step.created_at),
    }


def _note_wait(
    connection: sa.Connection, run: Any, step: Any, parked: int, closed: int, ended_at: int | None
) -> None:
    """Say in a run's row when it waited, and how it went on: the step completed, then queued, then begun."""
    waits = msgspec.json.decode(run.waits)
    wait = ["client", step.id, step.created_at, parked, None, None, None, None]
    changes: dict[str, Any] = {}
    if step.status == "completed":
        wait[4:6] = [ended_at, closed + 1]
        if len(waits) + 1 < run.starts:
            wait[6:8] = [ended_at, closed + 2]
    elif step.status == "in_progress":
        changes = {"waits_for": "client", "open_step": step.id}
        if run.status == "cancelling":
            del changes["waits_for"]
    changes["waits"] = msgspec.json.encode([*waits, wait]).decode()
    connection.execute(sa.update(_runs_table).where(_runs_table.c.id == run.id).values(changes))
