"""``clew stats``: counted by the server, or from the records."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from clew.testing.scripted_model import ScriptedModel, Usage
from clew.toolkit import PerformanceMonitor, RunMonitor, Service
from tests.cli.conftest import Clew
from tests.support.clock import ManualClock


@pytest.fixture
def two_runs(service: Service, model: ScriptedModel) -> Iterator[str]:
    """A thread with a run that completed and one that failed."""
    agent = service.create_agent("gpt")
    thread = service.create_thread(messages=[{"role": "user", "content": "Hello"}]).id
    model.reply("Hi.", usage=Usage(11, 3))
    RunMonitor(service).run(thread, agent.id)
    model.fail(401)
    RunMonitor(service).run(thread, agent.id, check=False)
    yield thread
    service.delete_thread(thread)
    service.delete_agent(agent.id)


def _around(clock: ManualClock) -> list[str]:
    now = clock.now() // 1000
    return ["--since", _iso(now - 60), "--until", _iso(now + 60)]


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_the_servers_own_numbers(clew: Clew, two_runs: str, clock: ManualClock) -> None:
    report = json.loads(clew("stats", *_around(clock), "--json").stdout)
    assert (report["runs"], report["statuses"]) == (2, {"completed": 1, "failed": 1})
    assert report["models"]["gpt"]["prompt_tokens"] == 11
    shown = clew("stats", *_around(clock)).stdout
    assert "2 runs (1 completed, 1 failed); 50.0% did not complete" in shown
    assert "run time" not in shown


def test_a_threads_runs_from_the_records(clew: Clew, two_runs: str) -> None:
    report = json.loads(clew("stats", "--thread", two_runs, "--json").stdout)
    assert (report["runs"], report["error_rate"], report["resolution"]) == (2, 0.5, "seconds")
    assert "|" in clew("stats", "--thread", two_runs, "--plot").stdout


def test_a_line_for_each_run(clew: Clew, two_runs: str, clock: ManualClock) -> None:
    rows = list(csv.DictReader(io.StringIO(clew("stats", *_around(clock), "--csv").stdout)))
    assert [row["status"] for row in rows] == ["completed", "failed"]
    assert {row["thread_id"] for row in rows} == {two_runs}
    assert clew("stats", "--since", "1h", "--csv").stdout.count("\n") == 1, "the server's clock is far ahead"


def test_the_server_and_the_records_agree(service: Service, two_runs: str, clock: ManualClock) -> None:
    now = clock.now() // 1000
    counted = PerformanceMonitor.summary(service, since=now - 60, until=now + 60)
    performance = PerformanceMonitor()
    performance.collect(service, [two_runs])
    read = performance.within(now - 60, now + 60).report()
    assert (counted.runs, counted.statuses, counted.codes) == (read.runs, read.statuses, read.codes)
    assert counted.models == read.models
    assert performance.within(now + 1, now + 60).report().runs == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "is no age such as 24h"),
        (("--until", "0h"), "is no age such as 24h"),
        (("--csv", "--json"), "give one of them"),
        (("--thread", "thread_1", "--since", "1h"), "leave --since and --until out"),
    ],
)
def test_wrong_usage_is_2(clew: Clew, arguments: tuple[str, ...], said: str) -> None:
    assert said in clew("stats", *arguments, code=2).stderr
