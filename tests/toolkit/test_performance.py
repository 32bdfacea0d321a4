"""Numbers over runs: right for runs that were followed, and for those that a service remembers."""

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from clew.testing.scripted_model import ScriptedModel, Usage, call
from clew.toolkit import PerformanceMonitor, RunMonitor, RunResult, Service, ToolExecutor, calculate
from clew.toolkit.errors import RunTimedOut
from clew.toolkit.performance.report import percentile, report_of, spread_of
from clew.toolkit.performance.samples import Sample, ToolUse
from clew.toolkit.records import Agent, Run, Thread
from tests.support.clock import ManualClock


def _sample(**fields: Any) -> Sample:
    defaults: dict[str, Any] = {"source": "live", "run_id": "run_1", "thread_id": "t", "agent_id": "a"}
    defaults |= {"model": "m", "created_at": 0, "status": "completed"}
    return Sample(**(defaults | fields))


# --- pure numbers ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    below = [value for value in values if value < found]
    assert len(below) * 100 < percent * len(values)


def test_percentiles_of_a_thousand() -> None:
    thousand = [float(number) for number in range(1, 1001)]
    assert [percentile(thousand, percent) for percent in (1, 50, 90, 99, 100)] == [10, 500, 900, 990, 1000]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_spread_is_ordered(values: list[float]) -> None:
    spread = spread_of(values)
    assert spread is not None
    assert min(values) <= spread.p50 <= spread.p90 <= spread.p99 <= spread.max == max(values)
    assert math.isclose(spread.mean, math.fsum(values) / len(values))


def test_nothing_gives_no_numbers_instead_of_zeros() -> None:
    report = report_of([])
    assert report.total is None
    assert report.error_rate == 0.0
    assert spread_of([None, None]) is None
    assert report.plot().plain == "no times to plot"


def test_a_report_counts_exactly() -> None:
    uses = (
        ToolUse(name="search", seconds=1.0),
        ToolUse(name="search", seconds=3.0, outcome="timeout"),
        ToolUse(name="clock"),
    )
    report = report_of(
        [
            _sample(total=1.0, prompt_tokens=10, completion_tokens=5, cached_tokens=4, calls=uses),
            _sample(total=2.0, prompt_tokens=20, completion_tokens=5, queue=0.5),
            _sample(total=3.0, status="failed", code="server_error", model="other"),
            _sample(status="expired", code="expired"),
            _sample(status="in_progress"),
        ]
    )
    assert report.runs == 4
    assert report.error_rate == 0.5
    assert report.codes == {"server_error": 1, "expired": 1}
    assert report.statuses == {"completed": 2, "failed": 1, "expired": 1, "in_progress": 1}
    assert report.total is not None
    assert (report.total.count, report.total.p50, report.total.max) == (3, 2.0, 3.0)
    assert report.queue is not None
    assert report.queue.count == 1
    model = report.models["m"]
    assert (model.runs, model.prompt_tokens, model.completion_tokens, model.cached_tokens) == (3, 30, 10, 4)
    assert model.tokens_per_run.max == 25
    search = report.tools["search"]
    assert (search.calls, search.error_rate, search.outcomes) == (2, 0.5, {"ok": 1, "timeout": 1})
    assert search.seconds is not None
    assert search.seconds.max == 3.0
    assert report.tools["clock"].seconds is None
    assert json.loads(report.to_json())["codes"] == report.codes


def test_the_plot_shows_every_run() -> None:
    report = report_of([_sample(total=float(n)) for n in (1, 1, 1, 9)])
    line = report.plot(width=10).plain
    bars = line.split("|")[1]
    assert len(bars) == 10
    assert bars[0] == "█"
    assert bars[-1] != " "
    assert bars[1:-1].strip() == ""


# --- live ------------------------------------------------------------------------------------------


def test_a_session_is_measured_as_it_happens(service: Service, thread: Thread, model: ScriptedModel) -> None:
    performance = PerformanceMonitor()
    tools = ToolExecutor([calculate])
    agent = service.create_agent("scripted", tools=tools.definitions)
    monitor = RunMonitor(service, tools=tools, on_result=[performance.observe])
    model.calls(call("calculate", {"expression": "1"}), call("calculate", {"expression": "1/0"}))
    model.reply("One.", usage=Usage(30, 2))
    monitor.run(thread.id, agent.id)
    model.fail(400, "No.")
    monitor.run(thread.id, agent.id, check=False)
    model.hold("Just a moment")
    slow = RunMonitor(service, timeout=0.2, on_result=[performance.observe])
    with pytest.raises(RunTimedOut):
        slow.run(thread.id, agent.id)
    report = performance.report()
    assert report.runs == 3
    assert report.codes == {"invalid_prompt": 1, "timeout": 1}
    assert report.tools["calculate"].outcomes == {"ok": 1, "invalid": 1}
    assert report.resolution == "milliseconds"
    first = performance.samples[0]
    assert first.queue is not None
    assert first.first_token is not None
    assert first.total is not None
    assert 0 < first.queue <= first.first_token <= first.total
    assert report.models["scripted"].completion_tokens >= 2


def test_only_the_last_runs_are_kept() -> None:
    performance = PerformanceMonitor(keep=2)
    for number in range(3):
        performance.observe(RunResult(run=Run(id=f"run_{number}", status="completed")))
    assert [sample.run_id for sample in performance.samples] == ["run_1", "run_2"]


# --- the past --------------------------------------------------------------------------------------


def test_the_past_is_told_from_records(
    each_client: Any, service: Service, model: ScriptedModel, clock: ManualClock
) -> None:
    tools = ToolExecutor([calculate])
    agent = service.create_agent("scripted", tools=tools.definitions)
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}])
    held = model.silence(then="Done")
    run = service.create_run(thread.id, agent.id)
    held.wait_paused()
    clock.advance(7_000)
    held.release()
    RunMonitor(service).watch(thread.id, run.id)
    model.call("calculate", {"expression": "1/0"})
    model.reply("No.")
    waiting = service.create_run(thread.id, agent.id)
    clock.advance(1_000)
    RunMonitor(service, tools=tools).watch(thread.id, waiting.id)
    performance = PerformanceMonitor()
    assert performance.collect(each_client, [thread.id]) == 2
    assert performance.collect(each_client, [thread.id]) == 0
    report = performance.report()
    assert report.total is not None
    assert report.total.max == 7.0
    assert report.resolution == "seconds"
    assert report.tools["calculate"].outcomes == {"failed": 1}
    used = [service.get_run(thread.id, each.id).usage for each in (run, waiting)]
    assert report.models["scripted"].prompt_tokens == sum(usage.prompt_tokens for usage in used if usage)
    assert performance.samples[0].queue == 0.0


def test_live_and_past_agree_on_what_can_be_counted(
    service: Service, agent: Agent, model: ScriptedModel
) -> None:
    live, past = PerformanceMonitor(), PerformanceMonitor()
    monitor = RunMonitor(service, on_result=[live.observe])
    threads = []
    for number in range(12):
        thread = service.create_thread(messages=[{"role": "user", "content": "word " * number + "end"}])
        if number % 4 == 3:
            model.fail(400, "No.")
        monitor.run(thread.id, agent.id, check=False)
        threads.append(thread.id)
    past.collect(service, threads)
    mine, theirs = live.report(), past.report()
    assert (mine.runs, mine.statuses, mine.codes) == (theirs.runs, theirs.statuses, theirs.codes)
    assert mine.models == theirs.models
    assert mine.runs == 12


def test_without_a_choice_all_threads_are_looked_at(
    service: Service, agent: Agent, model: ScriptedModel
) -> None:
    thread = service.create_thread(messages=[{"role": "user", "content": "Hi"}])
    finished = RunMonitor(service).run(thread.id, agent.id)
    performance = PerformanceMonitor()
    assert performance.collect(service) >= 1
    assert finished.run.id in [sample.run_id for sample in performance.samples]


# --- out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\0=1"]
)
def test_a_spreadsheet_runs_nothing(evil: str) -> None:
    performance = PerformanceMonitor()
    performance.observe(RunResult(run=Run(id="run_1", status="completed", model=evil)))
    (row,) = csv.DictReader(io.StringIO(performance.to_csv().replace("\0", "")))
    assert row["model"].startswith("'")
    assert row["total"] == "0.0"


def test_tables_take_names_as_they_are() -> None:
    report = report_of([_sample(model="[bold]m\x1b[31m", calls=(ToolUse(name="[red]t"),), total=1.0)])
    screen = io.StringIO()
    Console(file=screen, width=120, color_system=None).print(report)
    assert "[bold]m" in screen.getvalue()
    assert "[red]t" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()
