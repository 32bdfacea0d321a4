"""GET /events: what a project's runs become, as it happens."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, RunHandle, function_tool
from tests.support.refusals import Refuses
from tests.support.sse import Frame


class Reading:
    """A feed that is read: the frames as they come."""

    def __init__(self, told: Iterator[Frame]) -> None:
        self.frames = told
        self.newest: Frame | None = None

    def live(self) -> dict[str, str]:
        """Return the runs that are live at first, each with its status."""
        found: dict[str, str] = {}
        for frame in self.frames:
            if frame.event == "ready":
                assert frame.data == {}
                return found
            assert frame.event == "run.changed"
            found[frame.data["run"]] = frame.data["status"]
        raise AssertionError("the feed ended")

    def until(self, run: RunHandle, status: str) -> list[str]:
        """Return the statuses of a run up to one."""
        statuses: list[str] = []
        versions = [-1]
        while not statuses or statuses[-1] != status:
            frame = next(self.frames)
            assert frame.event == "run.changed"
            if frame.data["run"] == run.id:
                self.newest = frame
                assert set(frame.data) == {"run", "thread", "agent", "status", "version", "at"}
                assert (frame.data["thread"], frame.data["agent"]) == (
                    run.thread,
                    run.created["assistant_id"],
                )
                statuses.append(frame.data["status"])
                versions.append(frame.data["version"])
        assert versions == sorted(set(versions)), "versions grow"
        return statuses


@pytest.fixture
def feeds() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def reading(api: Api, feeds: ExitStack) -> Reading:
    """A reader of project alpha's feed from its start."""
    return Reading(feeds.enter_context(api.stream("GET", "/events")))


def test_changes_are_told_as_they_happen(api: Api, model: ScriptedModel, reading: Reading) -> None:
    reading.live()
    model.call("turn")
    run = api.run(api.thread("Go."), api.agent(tools=[function_tool("turn")]))
    assert reading.until(run, "requires_action") == ["in_progress", "requires_action"]
    run.answer_calls(lambda call: "turned")
    assert reading.until(run, "completed") == ["in_progress", "completed"]


def test_live_runs_come_first_those_that_wait_in_line_too(
    api: Api, model: ScriptedModel, feeds: ExitStack
) -> None:
    model.call("turn")
    agent = api.agent(tools=[function_tool("turn")])
    parked = api.run(api.thread("Go."), agent)
    parked.wait_calls()
    held = api.ok(
        "POST",
        f"/threads/{parked.thread}/runs",
        {"assistant_id": agent},
        headers={"Clew-When-Busy": "queue"},
    )
    over = api.run(api.thread("Go."), agent)
    over.wait()
    reading = Reading(feeds.enter_context(api.stream("GET", "/events")))
    live = reading.live()
    assert (live[parked.id], live[held["id"]]) == ("requires_action", "queued")
    assert over.id not in live
    parked.cancel()
    assert reading.until(parked, "cancelled")[-1] == "cancelled"
    RunHandle(api, held).wait("completed")  # it would take the next test's answer


def test_a_version_is_the_rows_so_that_list_and_feed_can_be_compared(
    api: Api, model: ScriptedModel, reading: Reading
) -> None:
    reading.live()
    model.call("turn")
    run = api.run(api.thread("Go."), api.agent(tools=[function_tool("turn")]))
    reading.until(run, "requires_action")
    assert reading.newest is not None
    with api.stream("GET", "/events", wait=0) as again:
        rows = {frame.data.get("run"): frame.data for frame in again if frame.event == "run.changed"}
    assert rows[run.id]["status"] == "requires_action"
    assert rows[run.id]["version"] == reading.newest.data["version"]
    run.cancel()


def test_a_run_that_is_being_cancelled_is_told_to_be(
    api: Api, model: ScriptedModel, reading: Reading
) -> None:
    reading.live()
    held = model.hold("Wait")
    run = api.run(api.thread("Go."), api.agent())
    held.wait_paused()
    run.cancel()
    assert reading.until(run, "cancelled") == ["in_progress", "cancelling", "cancelled"]
    held.release()


def test_a_deleted_threads_run_is_told_to_be_cancelled(
    api: Api, model: ScriptedModel, reading: Reading
) -> None:
    reading.live()
    held = model.hold("Wait")
    run = api.run(api.thread("Go."), api.agent())
    held.wait_paused()
    api.delete(f"/threads/{run.thread}")
    assert reading.until(run, "cancelled") == ["in_progress", "cancelled"]
    held.release()


def test_a_reader_hears_of_its_own_project_only(
    api: Api, other: Api, reading: Reading, feeds: ExitStack
) -> None:
    hers = Reading(feeds.enter_context(other.stream("GET", "/events")))
    reading.live()
    hers.live()
    run = api.run(api.thread("Go."), api.agent())
    run.wait("completed")
    theirs = other.run(other.thread("Go."), other.agent())
    assert next(hers.frames).data["run"] == theirs.id
    assert reading.until(run, "completed") == ["in_progress", "completed"]


def test_a_feed_may_be_told_to_end(api: Api, refuses: Refuses) -> None:
    with api.stream("GET", "/events", wait=0) as told:
        assert [frame.event for frame in told][-2:] == ["ready", "done"]
    assert api.send("HEAD", "/events").status_code == 200
    for wrong in ("soon", "-1", "86401"):
        refuses(400, "GET", "/events", query={"wait": wrong})


def test_the_head_of_a_runs_stream_holds_nothing_up(api: Api, model: ScriptedModel) -> None:
    held = model.hold("One ", "two.")
    run = api.run(api.thread("Count."), api.agent())
    held.gates[0].wait_reached()
    answer = api.send("HEAD", f"{run.path}/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    held.release()
    run.wait("completed")
