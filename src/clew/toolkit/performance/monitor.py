"""Collects what runs took: as they happen, or from what a service remembers."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable

import anyio
import msgspec

from clew.clock import SystemClock
from clew.toolkit._blocking import blocking, run
from clew.toolkit.connect import AnyClient, connect
from clew.toolkit.errors import NotFound
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.performance.report import Report, report_of
from clew.toolkit.performance.samples import Sample, live_sample, past_sample
from clew.toolkit.service import Service

_PARALLEL = 4
_DAY = 24 * 3600
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")

_COLUMNS = (
    "source",
    "run_id",
    "thread_id",
    "agent_id",
    "model",
    "created_at",
    "status",
    "code",
    "queue",
    "first_token",
    "total",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "steps",
)


class PerformanceMonitor:
    """Response times, tokens, tool calls and errors over many runs.

    >>> performance = PerformanceMonitor()
    >>> monitor = RunMonitor(client, on_result=[performance.observe])      # a live session
    >>> performance.collect(client, [thread.id])                           # or the past
    >>> rich.print(performance.report())
    """

    def __init__(self, *, keep: int = 100_000) -> None:
        """Prepare a monitor that remembers the last ``keep`` runs."""
        self._samples: deque[Sample] = deque(maxlen=keep)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return the runs so far, oldest first."""
        return tuple(self._samples)

    def observe(self, result: RunResult) -> None:
        """Count a run that was followed; give this to ``RunMonitor(on_result=[...])``."""
        self._samples.append(live_sample(result))

    async def acollect(self, client: AnyClient, thread_ids: Iterable[str] | None = None) -> int:
        """Count the runs that a service remembers, and return how many there were.

        Runs that are counted already are not counted again.

        Args:
            client: anything :func:`clew.toolkit.connect` takes.
            thread_ids: the threads to look at; by default all of them, which OpenAI's own service
                can't list.
        """
        service = connect(client)
        if thread_ids is None:
            thread_ids = [thread.id for thread in await service.aall_threads()]
        known = {sample.run_id for sample in self._samples}
        found: list[Sample] = []
        limit = anyio.Semaphore(_PARALLEL)

        async def look(thread_id: str) -> None:
            async with limit:
                found.extend(await _past(service, thread_id, known))

        async with anyio.create_task_group() as tasks:
            for thread_id in dict.fromkeys(thread_ids):
                tasks.start_soon(look, thread_id)
        self._samples.extend(sorted(found, key=lambda sample: sample.created_at))
        return len(found)

    collect = blocking(acollect)

    @classmethod
    async def asummary(
        cls, client: AnyClient, *, since: int | None = None, until: int | None = None
    ) -> Report:
        """Return the numbers of the runs that ended within a time, in one request where there is one.

        Clew counts for itself, fast and to the millisecond. From other services all threads, runs and
        steps are read, and times are whole seconds.

        Args:
            client: anything :func:`clew.toolkit.connect` takes.
            since, until: seconds since the epoch; by default the last day before ``until``, and now.
        """
        service = connect(client)
        query = {name: each for name, each in (("since", since), ("until", until)) if each is not None}
        try:
            counted = await service.arequest("GET", "metrics", "summary", query=query)
        except NotFound:
            pass
        else:
            return msgspec.convert(counted, Report)
        until = SystemClock().now() // 1000 if until is None else until
        since = until - _DAY if since is None else since
        performance = cls()
        await performance.acollect(service)
        return performance.within(since, until).report()

    @classmethod
    def summary(cls, client: AnyClient, *, since: int | None = None, until: int | None = None) -> Report:
        """Return the waiting form of :meth:`asummary`."""
        return run(cls.asummary(client, since=since, until=until))

    def within(self, since: int, until: int) -> PerformanceMonitor:
        """Return a monitor of those runs that ended within a time; seconds since the epoch.

        A run whose end isn't known counts by its beginning.
        """
        part = PerformanceMonitor()
        part._samples.extend(each for each in self._samples if since <= each.last_known <= until)
        return part

    def report(self) -> Report:
        """Return the numbers over all runs so far."""
        return report_of(self.samples)

    def to_csv(self) -> str:
        """Return one line for each run, with a header; nothing in it is a formula to a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow((*_COLUMNS, "tool_calls"))
        for sample in self._samples:
            cells = [_cell(getattr(sample, column)) for column in _COLUMNS]
            writer.writerow((*cells, len(sample.calls)))
        return text.getvalue()


async def _past(service: Service, thread_id: str, known: set[str]) -> list[Sample]:
    runs = [run for run in await service.aall_runs(thread_id) if run.id not in known]
    return [past_sample(run, await service.aall_steps(thread_id, run.id)) for run in runs]


def _cell(value: object) -> object:
    """Return a value for a cell: text that a spreadsheet would take for a formula gets a quote before it."""
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
