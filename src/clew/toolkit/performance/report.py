"""Numbers over many runs. Pure: samples in, a report out."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct
from rich.console import Group
from rich.table import Table
from rich.text import Text

from clew.toolkit.performance.samples import Sample, ToolUse
from clew.toolkit.records import TERMINAL
from clew.toolkit.tools.text import clean

_BARS = "▁▂▃▄▅▆▇█"


class Spread(Struct, frozen=True, kw_only=True):
    """How values are spread. A percentile is the smallest value that so many per cent don't exceed."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


class ModelReport(Struct, frozen=True, kw_only=True):
    """The runs of one model. ``cost`` is in the units of the server's prices; None where it has none."""

    runs: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int = 0
    cost: float | None = None
    tokens_per_run: Spread


class ToolReport(Struct, frozen=True, kw_only=True):
    """The calls of one tool; ``outcomes`` counts them, ``seconds`` is None if no duration is known."""

    calls: int
    error_rate: float
    outcomes: dict[str, int]
    seconds: Spread | None


class Report(Struct, frozen=True, kw_only=True):
    """What runs took and how they ended. ``rich.print(report)`` shows tables and a plot.

    Attributes:
        runs: how many ended; those still going on are in ``statuses`` only.
        error_rate: the share of ended runs that didn't complete, from 0 to 1.
        codes: how often each reason for that occurred.
        queue, first_token, total: seconds; None if no run has the number.
        resolution: ``milliseconds`` if all times were measured live, ``seconds`` if all come from
            records, else ``mixed``.
        totals: the whole times in seconds, in the order of the runs, for plots.
    """

    runs: int
    statuses: dict[str, int]
    error_rate: float
    codes: dict[str, int]
    queue: Spread | None
    first_token: Spread | None
    total: Spread | None
    models: dict[str, ModelReport]
    tools: dict[str, ToolReport]
    resolution: str
    totals: tuple[float, ...] = ()

    def to_json(self) -> str:
        """Return the report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def __rich__(self) -> Group:
        parts = [self._times(), self._models()]
        if self.tools:
            parts.append(self._tools())
        return Group(self._headline(), *parts, *([self.plot()] if self.totals else []))

    def plot(self, *, width: int = 60) -> Text:
        """Return a histogram of the whole times, as wide as ``width`` characters at most."""
        if not self.totals:
            return Text("no times to plot")
        low, high = min(self.totals), max(self.totals)
        columns = 1 if low == high else width
        counts = [0] * columns
        for value in self.totals:
            place = 0 if columns == 1 else int((value - low) / (high - low) * columns)
            counts[min(place, columns - 1)] += 1
        most = max(counts)
        bars = "".join(" " if not n else _BARS[math.ceil(n / most * len(_BARS)) - 1] for n in counts)
        return Text(f"run time  {low:.3f} s |{bars}| {high:.3f} s  (highest bar: {most} runs)")

    def _headline(self) -> Text:
        ended = ", ".join(f"{count} {status}" for status, count in self.statuses.items()) or "none"
        codes = ", ".join(f"{code} {count}" for code, count in self.codes.items())
        text = f"{self.runs} runs ({ended}); {self.error_rate:.1%} did not complete"
        return Text(clean(f"{text}: {codes}" if codes else text))

    def _times(self) -> Table:
        table = _table("seconds", "runs", "mean", "p50", "p90", "p99", "max")
        for name, spread in (("queue", self.queue), ("first token", self.first_token), ("total", self.total)):
            table.add_row(name, *_cells(spread))
        table.caption = f"resolution: {self.resolution}"
        return table

    def _models(self) -> Table:
        table = _table(
            "model", "runs", "tokens in", "of it cached", "tokens out", "tokens/run p50", "p99", "cost"
        )
        for name, model in self.models.items():
            spread = model.tokens_per_run
            numbers = (model.runs, model.prompt_tokens, model.cached_tokens, model.completion_tokens)
            cost = "" if model.cost is None else f"{model.cost:.4f}"
            per_run = (f"{spread.p50:.0f}", f"{spread.p99:.0f}")
            table.add_row(Text(clean(name)), *map(str, numbers), *per_run, cost)
        return table

    def _tools(self) -> Table:
        table = _table("tool", "calls", "errors", "mean", "p50", "p90", "p99", "max")
        for name, tool in self.tools.items():
            cells = _cells(tool.seconds)[1:]
            table.add_row(Text(clean(name)), str(tool.calls), f"{tool.error_rate:.1%}", *cells)
        return table


def report_of(samples: Sequence[Sample]) -> Report:
    """Return the report over ``samples``."""
    ended = [sample for sample in samples if sample.status in TERMINAL or sample.code is not None]
    codes = Counter(sample.code for sample in ended if sample.code is not None)
    return Report(
        runs=len(ended),
        statuses=dict(Counter(sample.status for sample in samples)),
        error_rate=codes.total() / len(ended) if ended else 0.0,
        codes=dict(codes.most_common()),
        queue=spread_of(sample.queue for sample in ended),
        first_token=spread_of(sample.first_token for sample in ended),
        total=spread_of(sample.total for sample in ended),
        models=_models(ended),
        tools=_tools(ended),
        resolution=_resolution(ended),
        totals=tuple(sample.total for sample in ended if sample.total is not None),
    )


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Return how ``values`` are spread, leaving out those that are None; None if nothing is left."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Spread(
        count=len(known),
        mean=math.fsum(known) / len(known),
        p50=percentile(known, 50),
        p90=percentile(known, 90),
        p99=percentile(known, 99),
        max=known[-1],
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest of ``ordered`` values that at least ``percent`` % of them don't exceed.

    Raises:
        ValueError: there are no values, or ``percent`` isn't from 1 to 100.
    """
    if not ordered or not 1 <= percent <= 100:
        raise ValueError("a percentile needs values, and a percentage from 1 to 100")
    return ordered[-(-len(ordered) * percent // 100) - 1]  # whole numbers: no rounding to go wrong


def _models(samples: Sequence[Sample]) -> dict[str, ModelReport]:
    by_model: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_model[sample.model].append(sample)
    reports = {}
    for name, found in sorted(by_model.items()):
        spread = spread_of(sample.tokens for sample in found)
        assert spread is not None
        reports[name] = ModelReport(
            runs=len(found),
            prompt_tokens=sum(sample.prompt_tokens for sample in found),
            completion_tokens=sum(sample.completion_tokens for sample in found),
            cached_tokens=sum(sample.cached_tokens for sample in found),
            tokens_per_run=spread,
        )
    return reports


def _tools(samples: Sequence[Sample]) -> dict[str, ToolReport]:
    by_tool: dict[str, list[ToolUse]] = defaultdict(list)
    for sample in samples:
        for use in sample.calls:
            by_tool[use.name].append(use)
    return {
        name: ToolReport(
            calls=len(uses),
            error_rate=sum(use.outcome != "ok" for use in uses) / len(uses),
            outcomes=dict(Counter(use.outcome for use in uses).most_common()),
            seconds=spread_of(use.seconds for use in uses),
        )
        for name, uses in sorted(by_tool.items())
    }


def _resolution(samples: Sequence[Sample]) -> str:
    sources = {sample.source for sample in samples}
    if len(sources) > 1:
        return "mixed"
    return "seconds" if sources == {"records"} else "milliseconds"


def _table(*columns: str) -> Table:
    table = Table(columns[0], box=None, pad_edge=False)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _cells(spread: Spread | None) -> tuple[str, ...]:
    if spread is None:
        return ("0", "-", "-", "-", "-", "-")
    values = (spread.mean, spread.p50, spread.p90, spread.p99, spread.max)
    return (str(spread.count), *(f"{value:.3f}" for value in values))
