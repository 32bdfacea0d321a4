"""Calls of tools in the store, and the numbers by which those that have ended are counted."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import insert, select, update

from clew.core.records import Call, Step
from clew.store.statement import Mapper, Statement, Transaction, Write, param
from clew.store.tables import calls

_CALL = Mapper(calls, Call)
_FIXED = ("id", "project", "created_at", "run_id", "step_id", "turn", "index", "name", "arguments", "kind")
_CHANGING = [*(name for name in _CALL.names if name not in _FIXED), "ms"]

INSERT_CALL = Statement(insert(calls), columns=[*_CALL.names, "ms"])
UPDATE_CALL = Statement(
    update(calls).where(calls.c.id == param("call_id")).values({name: param(name) for name in _CHANGING})
)
SELECT_OF_TURNS = Statement(
    select(*_CALL.columns)
    .where(calls.c.run_id == param("run_id"), calls.c.turn.between(param("first"), param("last")))
    .order_by(calls.c.turn, calls.c.index)
)


def insertion(call: Call) -> Write:
    """Return what stores a new call."""
    return Write(INSERT_CALL, _params(call))


def change(call: Call) -> Write:
    """Return what stores a call that has changed."""
    values = _params(call)
    return Write(UPDATE_CALL, {**{name: values[name] for name in _CHANGING}, "call_id": call.id})


def _params(call: Call) -> dict[str, Any]:
    """Return a call's columns; ``ms`` is for how long it was at work, or waited for the client."""
    ms = None
    if call.ended_at is not None:
        ms = max(0, call.ended_at - (call.created_at if call.begun_at is None else call.begun_at))
    return {**_CALL.params(call), "ms": ms}


async def filled(tx: Transaction, run_id: str, steps: Sequence[Step]) -> list[Step]:
    """Return steps of a run with their calls; a run without steps of calls asks for nothing."""
    turns = [step.turn for step in steps if step.type == "tool_calls"]
    if not turns:
        return list(steps)
    keys = {"run_id": run_id, "first": min(turns), "last": max(turns)}
    by_step: dict[str, list[Call]] = {}
    for row in await tx.all(SELECT_OF_TURNS, keys):
        call = _CALL.read(row)
        by_step.setdefault(call.step_id, []).append(call)
    return [replace(step, calls=by_step[step.id]) if step.id in by_step else step for step in steps]
