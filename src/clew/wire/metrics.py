"""Metrics as clients see them. Pure: what the store has counted in, wire out."""

from typing import Literal

from msgspec import Struct

from clew.store.metrics import Spread, Summary


class SpreadObject(Struct, frozen=True):
    """How values are spread. A percentile is the smallest value that so many per cent don't exceed."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


class ModelMetrics(Struct, frozen=True):
    """The runs of one model. ``cost`` is in the units of the prices that the server was given."""

    runs: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float | None
    tokens_per_run: SpreadObject


class ToolMetrics(Struct, frozen=True):
    """The calls of one function. ``seconds`` is how long their steps were open."""

    calls: int
    error_rate: float
    outcomes: dict[str, int]
    seconds: SpreadObject


class MetricsObject(Struct, frozen=True, kw_only=True):
    """What a project's runs took and how they ended, within a time. Durations are seconds.

    ``runs`` counts those that ended, ``statuses`` also those that are live now; ``codes`` are the reasons
    of those that did not complete, and ``error_rate`` is their share.
    """

    object: Literal["metrics.summary"] = "metrics.summary"
    since: int
    until: int
    runs: int
    statuses: dict[str, int]
    error_rate: float
    codes: dict[str, int]
    queue: SpreadObject | None
    first_token: SpreadObject | None
    total: SpreadObject | None
    models: dict[str, ModelMetrics]
    tools: dict[str, ToolMetrics]
    resolution: Literal["milliseconds"] = "milliseconds"


def metrics(counted: Summary, since: int, until: int) -> MetricsObject:
    """Return what was counted as clients see it."""
    ended = sum(counted.statuses.values())
    return MetricsObject(
        since=since,
        until=until,
        runs=ended,
        statuses=counted.statuses | counted.live,
        error_rate=sum(counted.codes.values()) / ended if ended else 0.0,
        codes=counted.codes,
        queue=_spread(counted.queue, 1000),
        first_token=_spread(counted.first_token, 1000),
        total=_spread(counted.total, 1000),
        models={
            name: ModelMetrics(
                model.runs,
                model.prompt_tokens,
                model.completion_tokens,
                model.cached_tokens,
                model.reasoning_tokens,
                None if model.cost is None else model.cost / 1_000_000,
                _known_spread(model.tokens_per_run, 1),
            )
            for name, model in counted.models.items()
        },
        tools={
            name: ToolMetrics(
                tool.calls,
                1 - tool.outcomes.get("ok", 0) / tool.calls,
                tool.outcomes,
                _known_spread(tool.ms, 1000),
            )
            for name, tool in counted.tools.items()
        },
    )


def _spread(spread: Spread | None, unit: int) -> SpreadObject | None:
    return None if spread is None else _known_spread(spread, unit)


def _known_spread(spread: Spread, unit: int) -> SpreadObject:
    values = (spread.mean, spread.p50, spread.p90, spread.p99, spread.max)
    return SpreadObject(spread.count, *(value / unit for value in values))
