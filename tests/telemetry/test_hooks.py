"""Hooks only watch: they are told what has happened, and nothing of theirs changes what happens."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from clew.hooks import (
    DeliveryTried,
    Hooks,
    ModelCalled,
    Record,
    RequestServed,
    RunChanged,
    StoreWrote,
    ToolCalled,
)
from clew.store import agents
from clew.store.watched import WatchedDatabase
from clew.telemetry.log import LogHook
from clew.testing.scripted_model import ScriptedModel, Usage, call
from tests.support import store
from tests.support.database import Place
from tests.support.servers import Servers
from tests.support.store import opened

ALL: frozenset[type[Record]] = frozenset(
    (RunChanged, ModelCalled, ToolCalled, StoreWrote, RequestServed, DeliveryTried)
)


class Watch:
    """A hook that remembers what it hears, and may break at it."""

    def __init__(self, wants: frozenset[type[Record]] = ALL, error: Exception | None = None) -> None:
        self.wants, self._error = wants, error
        self.heard: list[Record] = []

    def hear(self, record: Record) -> None:
        self.heard.append(record)
        if self._error is not None:
            raise self._error


def test_a_run_with_a_tool_is_told_from_its_creation_to_its_end(
    servers: Servers, model: ScriptedModel
) -> None:
    watch = Watch()
    model.reply(call("clew_calculator", {"expression": "1 + 1"}), usage=Usage(5, 2))
    model.reply("2.", usage=Usage(7, 3))
    with servers.start(listeners=[watch]) as api:
        run = api.run(api.thread("1 + 1?"), api.agent(tools=[{"type": "clew_calculator"}]))
        run.wait("completed")
    changes = [each for each in watch.heard if isinstance(each, RunChanged)]
    assert [each.status for each in changes] == ["in_progress", "completed"]
    assert {(each.run_id, each.thread_id, each.project) for each in changes} == {
        (run.id, run.thread, "alpha")
    }
    assert changes[-1].tokens == 17
    assert changes[-1].code is None
    asked = [each for each in watch.heard if isinstance(each, ModelCalled)]
    assert [(each.turn, each.prompt_tokens, each.code) for each in asked] == [(1, 5, None), (2, 7, None)]
    (called,) = [each for each in watch.heard if isinstance(each, ToolCalled)]
    assert (called.kind, called.result) == ("clew_calculator", "ok")
    served = [each for each in watch.heard if isinstance(each, RequestServed)]
    assert (served[0].method, served[0].status) == ("POST", 200)
    assert served[0].request_id.startswith("req_")


def test_a_failed_run_leaves_a_line_in_the_log(
    servers: Servers, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.fail(401, "Incorrect API key provided")
    with servers.start(listeners=[LogHook()]) as api:
        run = api.run(api.thread("Hello?"), api.agent())
        run.wait("failed")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(line.startswith(f"run {run.id}, turn 1: the model scripted failed") for line in lines)
    assert any(line.startswith(f"run {run.id} of thread {run.thread} failed:") for line in lines)


def test_a_hook_that_breaks_is_complained_of_once_and_changes_nothing(
    servers: Servers, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = Watch(error=RuntimeError("a fault of the hook's")), Watch()
    model.reply("Hello.")
    with servers.start(listeners=[broken, sound]) as api:
        api.run(api.thread("Hello?"), api.agent()).wait("completed")
    assert len(broken.heard) == len(sound.heard) > 3
    assert sum("a hook broke" in record.getMessage() for record in caplog.records) == 1


def test_a_hook_hears_only_what_it_wants() -> None:
    watch = Watch(frozenset((StoreWrote,)))
    hooks = Hooks([watch])
    assert hooks.store_wrote == (watch,)
    assert hooks.run_changed == hooks.model_called == hooks.request_served == ()
    hooks.tell(StoreWrote(name="add", ms=1))
    assert watch.heard == [StoreWrote(name="add", ms=1)]


@pytest.mark.anyio
async def test_transactions_are_told_by_the_name_of_what_they_do(place: Place) -> None:
    watch = Watch()
    async with opened(place) as db:
        watched = WatchedDatabase(db, Hooks([watch]))
        await watched.write(agents.add, store.agent())
        with pytest.raises(Exception, match=r"(?i)unique|exists"):
            await watched.write(agents.add, store.agent())
        assert await watched.fetch(agents.get, store.PROJECT, "asst_1") == store.agent()
    told = [each for each in watch.heard if isinstance(each, StoreWrote)]
    assert [(each.name, each.error) for each in told] == [("add", None), ("add", "Conflict")]


def test_nothing_but_the_composition_imports_who_watches(source: Callable[[], list[Path]]) -> None:
    importing = [path for path in source() if "clew.telemetry" in path.read_text(encoding="utf-8")]
    composition = ["assemble.py", "code_worker.py", "serve.py", "worker.py"]
    assert sorted(path.name for path in importing if path.parent.name != "telemetry") == composition


@pytest.fixture
def source() -> Callable[[], list[Path]]:
    """Gives the files of the package."""
    return lambda: sorted((Path(__file__).parents[2] / "src" / "clew").rglob("*.py"))
