"""How many runs ended how, what they took, and which tools they called: exactly, from the rows.

What is counted is written by the transaction that ends a run or a call. An index holds all of it, so a
million runs are counted without reading one of them; percentiles are exact, because equal durations are
counted together before they are put in order.
"""

from collections import Counter
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select

from clew.core.records import Run
from clew.core.states import RunStatus
from clew.store.statement import Statement, Transaction, param, unindexed
from clew.store.tables import HAS_ENDED, IS_LIVE, calls, runs

_RANGE = (
    runs.c.project == param("project"),
    HAS_ENDED,
    runs.c.ended_at.between(param("since"), param("until")),
)
COUNT_RUNS = Statement(
    select(
        runs.c.status,
        runs.c.code,
        runs.c.model,
        func.count(),
        func.sum(runs.c.prompt_tokens),
        func.sum(runs.c.completion_tokens),
        func.sum(runs.c.cached_tokens),
        func.sum(runs.c.reasoning_tokens),
        func.sum(runs.c.cost),
    )
    .where(*_RANGE)
    .group_by(runs.c.status, runs.c.code, runs.c.model)
)


def _counted(*columns: ColumnElement[Any]) -> Statement:
    """Return the statement that counts how often each value occurs, in order."""
    return Statement(select(*columns, func.count()).where(*_RANGE).group_by(*columns).order_by(*columns))


COUNT_QUEUE = _counted(runs.c.queue_ms)
COUNT_FIRST_TOKEN = _counted(runs.c.first_token_ms)
COUNT_TOTAL = _counted(runs.c.total_ms)
COUNT_TOKENS = _counted(runs.c.model, runs.c.prompt_tokens + runs.c.completion_tokens)
COUNT_LIVE = Statement(
    select(runs.c.status, func.count())
    .where(unindexed(runs.c.project) == param("project"), IS_LIVE)
    .group_by(runs.c.status)
)
COUNT_CALLS = Statement(
    select(calls.c.name, calls.c.result, calls.c.ms, func.count())
    .where(
        calls.c.project == param("project"),
        HAS_ENDED,
        calls.c.ended_at.between(param("since"), param("until")),
    )
    .group_by(calls.c.name, calls.c.result, calls.c.ms)
    .order_by(calls.c.name, calls.c.ms)
)


# --- written with the rows -------------------------------------------------------------------------


def of_ended_run(run: Run, now: int) -> dict[str, Any]:
    """Return what a run that is over is counted by."""
    return {
        "ended_at": now,
        "code": code_of(run),
        "model": run.config.model,
        "queue_ms": None if run.begun_at is None else max(0, run.begun_at - run.created_at),
        "first_token_ms": None if run.spoke_at is None else max(0, run.spoke_at - run.created_at),
        "total_ms": max(0, now - run.created_at),
        "prompt_tokens": run.usage.prompt_tokens,
        "completion_tokens": run.usage.completion_tokens,
        "cached_tokens": run.usage.cached_tokens,
        "reasoning_tokens": run.usage.reasoning_tokens,
        "cost": run.cost,
    }


def code_of(run: Run) -> str | None:
    """Return why a run that is over did not complete; None if it did."""
    if run.status == RunStatus.COMPLETED:
        return None
    if run.last_error is not None:
        return run.last_error.code
    return run.incomplete_reason or run.status.value


# --- counted ---------------------------------------------------------------------------------------


class Spread(Struct, frozen=True):
    """How whole numbers are spread. A percentile is the smallest value that so many per cent don't exceed."""

    count: int
    mean: float
    p50: int
    p90: int
    p99: int
    max: int


class ModelCount(Struct, frozen=True):
    """The runs of one model. ``cost`` is that of those that have one, in millionths; None if none has."""

    runs: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: int | None
    tokens_per_run: Spread


class ToolCount(Struct, frozen=True):
    """The calls of one tool; ``ms`` is how long they were at work, or waited for the client."""

    calls: int
    outcomes: dict[str, int]
    ms: Spread


class Summary(Struct, frozen=True):
    """Runs that ended within a time, and how many are live now. Durations are milliseconds."""

    statuses: dict[str, int]
    live: dict[str, int]
    codes: dict[str, int]
    queue: Spread | None
    first_token: Spread | None
    total: Spread | None
    models: dict[str, ModelCount]
    tools: dict[str, ToolCount]


async def summary(tx: Transaction, project: str, since: int, until: int) -> Summary:
    """Count a project's runs that ended from ``since`` to ``until`` (milliseconds since the epoch)."""
    keys = {"project": project, "since": since, "until": until}
    groups = await tx.all(COUNT_RUNS, keys)
    statuses, codes = Counter[str](), Counter[str]()
    for status, code, _, count, *_ in groups:
        statuses[status] += count
        if code is not None:
            codes[code] += count
    live = await tx.all(COUNT_LIVE, {"project": project})
    return Summary(
        dict(statuses.most_common()),
        {status: count for status, count in live},  # noqa: C416 - rows, no pairs
        dict(codes.most_common()),
        spread(await tx.all(COUNT_QUEUE, keys)),
        spread(await tx.all(COUNT_FIRST_TOKEN, keys)),
        spread(await tx.all(COUNT_TOTAL, keys)),
        _models(groups, await tx.all(COUNT_TOKENS, keys)),
        _tools(await tx.all(COUNT_CALLS, keys)),
    )


def spread(counted: Any) -> Spread | None:
    """Return how values are spread that come in order, each with its count; None if there are none."""
    known = [(value, count) for value, count in counted if value is not None]
    total = sum(count for _, count in known)
    if not total:
        return None
    return Spread(
        count=total,
        mean=sum(value * count for value, count in known) / total,
        p50=_percentile(known, total, 50),
        p90=_percentile(known, total, 90),
        p99=_percentile(known, total, 99),
        max=known[-1][0],
    )


def _percentile(counted: list[tuple[int, int]], total: int, percent: int) -> int:
    wanted = -(-total * percent // 100)
    for value, count in counted:
        wanted -= count
        if wanted <= 0:
            return value
    raise AssertionError("the counts add up to the total")


def _models(groups: Any, tokens: Any) -> dict[str, ModelCount]:
    spreads: dict[str, list[tuple[int, int]]] = {}
    for model, used, count in tokens:
        spreads.setdefault(model, []).append((used, count))
    counted: dict[str, ModelCount] = {}
    for model, pairs in sorted(spreads.items()):
        of_model = [group for group in groups if group[2] == model]
        costs = [group[8] for group in of_model if group[8] is not None]
        per_run = spread(pairs)
        assert per_run is not None
        runs_, prompt, completion, cached, reasoning = (
            int(sum(group[place] for group in of_model)) for place in range(3, 8)
        )
        cost = int(sum(costs)) if costs else None
        counted[model] = ModelCount(runs_, prompt, completion, cached, reasoning, cost, per_run)
    return counted


def _tools(counted_calls: Any) -> dict[str, ToolCount]:
    outcomes: dict[str, Counter[str]] = {}
    durations: dict[str, Counter[int]] = {}
    for name, outcome, ms, count in counted_calls:
        outcomes.setdefault(name, Counter())[outcome] += count
        durations.setdefault(name, Counter())[ms] += count
    counted: dict[str, ToolCount] = {}
    for name, by_outcome in sorted(outcomes.items()):
        of_tool = spread(sorted(durations[name].items()))
        assert of_tool is not None
        counted[name] = ToolCount(by_outcome.total(), dict(by_outcome.most_common()), of_tool)
    return counted
