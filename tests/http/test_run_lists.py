"""GET /runs: the project's runs, by status, agent, thread and time."""

from typing import Any

import pytest

from clew.core.states import RunStatus
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.refusals import Refuses


class Scene(dict[str, RunHandle]):
    """Runs by what became of them, oldest first, of two agents."""

    def __init__(self, api: Api, model: ScriptedModel) -> None:
        super().__init__()
        self.first, self.second = api.agent(tools=[function_tool("turn")]), api.agent()
        self["completed"] = api.run(api.thread("Go."), self.first)
        self["completed"].wait("completed")
        model.fail(400)
        self["failed"] = api.run(api.thread("Go."), self.second)
        self["failed"].wait("failed")
        model.call("turn")
        self["requires_action"] = api.run(api.thread("Go."), self.first)
        self["requires_action"].wait_calls()
        body = {"assistant_id": self.second}
        held = api.ok(
            "POST",
            f"/threads/{self['requires_action'].thread}/runs",
            body,
            headers={"Clew-When-Busy": "queue"},
        )
        self["queued"] = RunHandle(api, held)

    def ids(self, *names: str) -> list[str]:
        return [self[name].id for name in names]


@pytest.fixture
def scene(api: Api, model: ScriptedModel) -> Scene:
    return Scene(api, model)


def _ids(page: Json) -> list[str]:
    return [each["id"] for each in page["data"]]


def test_the_newest_run_of_any_thread_comes_first_and_held_ones_are_runs_too(api: Api, scene: Scene) -> None:
    page = api.get("/runs", limit=4)
    assert _ids(page) == scene.ids("queued", "requires_action", "failed", "completed")
    assert page["data"] == [scene[status].now() for status in reversed(scene)]
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more", "next"}
    assert (page["first_id"], page["last_id"]) == (scene["queued"].id, scene["completed"].id)


def test_what_parked_runs_wait_for_is_said(api: Api, scene: Scene) -> None:
    (parked,) = api.get("/runs", status="requires_action", limit=1)["data"]
    assert (
        parked["required_action"]["submit_tool_outputs"]["tool_calls"]
        == scene["requires_action"].wait_calls()
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "failed"}, ["failed"]),
        ({"status": "queued,requires_action"}, ["queued", "requires_action"]),
        ({"status": ["failed", "completed"]}, ["failed", "completed"]),
        ({"status": ",".join(RunStatus)}, ["queued", "requires_action", "failed", "completed"]),
        ({"status": ""}, ["queued", "requires_action", "failed", "completed"]),
        ({"assistant_id": "first"}, ["requires_action", "completed"]),
        ({"assistant_id": "second", "order": "asc"}, ["failed", "queued"]),
        ({"assistant_id": "first", "status": "completed,failed"}, ["completed"]),
        ({"thread_id": "requires_action"}, ["queued", "requires_action"]),
        ({"thread_id": "requires_action", "status": "queued"}, ["queued"]),
        ({"thread_id": "requires_action", "assistant_id": "first"}, ["requires_action"]),
    ],
    ids=str,
)
def test_a_list_is_narrowed(api: Api, scene: Scene, query: dict[str, Any], expected: list[str]) -> None:
    if "assistant_id" in query:
        query = query | {"assistant_id": getattr(scene, query["assistant_id"])}
    if "thread_id" in query:
        query = query | {"thread_id": scene[query["thread_id"]].thread}
    mine = set(scene.ids(*scene))
    found = [each for each in _ids(api.get("/runs", limit=100, **query)) if each in mine]
    assert found == scene.ids(*expected)


def test_times_are_whole_seconds_and_leave_out_their_own(api: Api, scene: Scene) -> None:
    at = scene["failed"].created["created_at"]
    expected = [each.id for each in reversed(scene.values()) if each.created["created_at"] == at]
    found = _ids(api.get("/runs", created_after=at - 1, created_before=at + 1, limit=100))
    assert set(expected) <= set(found)
    assert not set(expected) & set(_ids(api.get("/runs", created_after=at, limit=100)))
    assert not set(expected) & set(_ids(api.get("/runs", created_before=at, limit=100)))


def test_going_on_by_next_meets_each_run_once(api: Api, scene: Scene) -> None:
    for order in ("asc", "desc"):
        whole = _ids(api.get("/runs", order=order, limit=100))
        met, query = [], {"order": order, "limit": 3}
        while True:
            page = api.get("/runs", **query)
            met += _ids(page)
            assert page["has_more"] is (page["next"] is not None)
            if page["next"] is None:
                break
            query["after"] = page["next"]
        assert met[: len(whole)] == whole
        assert len(met) == len(set(met))


def test_before_alone_gives_the_page_next_to_it(api: Api, scene: Scene) -> None:
    page = api.get("/runs", before=scene["completed"].id, limit=2)
    assert _ids(page) == scene.ids("requires_action", "failed")
    assert page["next"] == scene["requires_action"].id
    assert _ids(api.get("/runs", before=page["next"], limit=1)) == scene.ids("queued")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"status": "done"}, "Invalid value: 'done'."),
        ({"status": "failed,done"}, "Invalid value: 'done'."),
        ({"created_after": "yesterday"}, "Invalid type for 'created_after'"),
        ({"created_before": "1.5"}, "Invalid type for 'created_before'"),
        ({"created_before": "-1"}, "Invalid 'created_before': integer below minimum value"),
        ({"limit": "101"}, "Invalid 'limit': integer above maximum value"),
        ({"order": "up"}, "Invalid value: 'up'."),
    ],
    ids=str,
)
def test_a_wrong_question_is_told_what_is_wrong(
    refuses: Refuses, query: dict[str, str], message: str
) -> None:
    error = refuses(400, "GET", "/runs", query=query)
    assert error["message"].startswith(message)
    assert error["param"] == next(iter(query))


def test_another_projects_thread_and_agent_are_of_nothing(other: Api, scene: Scene) -> None:
    assert other.get("/runs", thread_id=scene["failed"].thread)["data"] == []
    assert other.get("/runs", assistant_id=scene.first)["data"] == []
    assert other.get("/runs", after=scene["failed"].id)["data"] == []
