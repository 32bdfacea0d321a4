"""Why a run waits where several processes work: what a server says that works on none itself."""

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import RunHandle
from tests.support.cluster import Cluster
from tests.support.wait import until

pytestmark = pytest.mark.timeout(60)


def _first(run: RunHandle) -> str:
    return str(run.api.get(f"{run.path}/explanation")["findings"][0]["code"])


def test_a_run_waits_for_a_worker_and_says_so(together: Cluster, model: ScriptedModel) -> None:
    _, serving = together.server("--no-worker")
    run = serving.run(serving.thread("Where?"), serving.agent())
    assert _first(run) == "no_worker"
    together.worker()
    run.wait("completed")
    assert _first(run) == "completed"


def test_a_run_waits_for_a_worker_with_room(together: Cluster, model: ScriptedModel) -> None:
    _, serving = together.server("--no-worker")
    together.worker(max_active_runs=1)
    held = model.hold("Left.")
    first = serving.run(serving.thread("Where?"), serving.agent())
    held.wait_paused()
    second = serving.run(serving.thread("Where?"), serving.agent())
    until(lambda: _first(second) == "workers_busy")
    assert _first(first) == "model_at_work"
    held.release()
    second.wait("completed")


def test_a_run_whose_worker_was_killed_says_that_it_was_taken_over(
    together: Cluster, model: ScriptedModel
) -> None:
    _, serving = together.server("--no-worker")
    worker = together.worker()
    held = model.hold("Left.")
    run = serving.run(serving.thread("Where?"), serving.agent())
    held.wait_paused()
    worker.kill()
    together.worker()
    run.wait("completed")
    told = serving.get(f"{run.path}/explanation")["findings"]
    assert [finding["code"] for finding in told[:2]] == ["completed", "taken_over"]
