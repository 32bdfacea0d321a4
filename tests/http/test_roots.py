"""The same operations under every root: OpenAI's, AzureOpenAI's two, and Azure AI Foundry's."""

import re
from typing import Any

import httpx2
import pytest

from clew.http.operations import OPERATIONS, ROOTS
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.operations import BY_NAME, World, right_body
from tests.support.server import KEYS, Server
from tests.support.sse import names

ROOTS_OF_ALPHA = [root.prefix.format(project="alpha") for root in ROOTS]


class Caller:
    """Calls operations by name under one root, with the ids learnt so far, and keeps the answers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.world = World(*[""] * (len(World._fields) - 1))
        self.answers: dict[str, Json] = {}

    def __call__(self, name: str, body: Json | None = None, learn: str | None = None) -> Json:
        operation = BY_NAME[name]
        path = self.world.path(operation)
        query = {"limit": "1"} if name.startswith("list_") else None
        body = body or right_body(operation, self.world)
        answer = self.answers[name] = self.api.ok(operation.method, path, body, query=query)
        if learn is not None:
            self.world = self.world._replace(**{learn: answer.get("id") or answer["first_id"]})
        return answer


def journey(api: Api, model: ScriptedModel) -> dict[str, Json]:
    """Call every operation once and return the answers by the operations' names."""
    call = Caller(api)
    call("create_agent", {"model": "scripted", "tools": [function_tool("turn")]}, learn="assistant_id")
    call("create_thread", learn="thread_id")
    call("create_message", learn="message_id")
    model.call("turn")
    run = RunHandle(api, call("create_run", learn="run_id"))
    outputs = [{"tool_call_id": each["id"], "output": "turned"} for each in run.wait_calls()]
    call("submit_tool_outputs", {"tool_outputs": outputs})
    run.wait("completed")
    call("list_run_steps", learn="step_id")
    stream = api.send("GET", call.world.path(BY_NAME["follow_run"]))
    call.answers["follow_run"] = {"events": names(stream.text)}
    for name in (
        "get_run_step",
        "get_run",
        "explain_run",
        "update_run",
        "get_agent",
        "update_agent",
        "get_thread",
    ):
        call(name)
    for name in ("update_thread", "get_message", "update_message", "get_model"):
        call(name)
    for name in ("list_agents", "list_threads", "list_messages", "list_runs", "list_project_runs"):
        call(name)
    call("list_models")
    feed = api.send("GET", call.world.path(BY_NAME["follow_project"]))
    call.answers["follow_project"] = {"events": names(feed.text)}
    summary = api.get("/metrics/summary")
    call.answers["get_metrics_summary"] = {name: type(value).__name__ for name, value in summary.items()}
    call("create_webhook", learn="webhook_id")
    for name in ("list_webhooks", "get_webhook", "delete_webhook"):
        call(name)
    call.answers["create_file"] = file = api.send_file(b"A ball of thread.").json()
    call.world = call.world._replace(file_id=file["id"])
    for name in ("list_files", "get_file"):
        call(name)
    content = api.send("GET", call.world.path(BY_NAME["get_file_content"]))
    call.answers["get_file_content"] = {"text": content.text}
    call("create_vector_store", learn="store_id")
    for name in ("list_vector_stores", "update_vector_store", "create_store_file"):
        call(name)
    api.wait_for_store(call.world.store_id)
    for name in ("get_vector_store", "get_store_file", "update_store_file", "list_store_files"):
        call(name)
    for name in ("search_vector_store", "get_store_file_content", "reindex_vector_store"):
        call(name)
    call("create_file_batch", learn="batch_id")
    api.wait_for_store(call.world.store_id)
    call.answers["cancel_file_batch"] = api.refused(
        400, "POST", call.world.path(BY_NAME["cancel_file_batch"])
    )
    for name in ("get_file_batch", "list_batch_files", "delete_store_file", "delete_vector_store"):
        call(name)
    call("delete_file")
    held = model.hold("Wait")
    call("create_thread_and_run")
    started = call.answers["create_thread_and_run"]
    held.wait_paused()
    cancelled = call.world._replace(thread_id=started["thread_id"], run_id=started["id"])
    call.answers["cancel_run"] = api.post(cancelled.path(BY_NAME["cancel_run"]))
    for name in ("delete_message", "delete_thread", "delete_agent"):
        call(name)
    return call.answers


def _alike(answers: dict[str, Json]) -> Any:
    """Return the answers without what differs from one journey to the next: digits, a batch's name."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return (
            re.sub(r"[_-]\d{24,}", "_", value).replace(".file_batch", ".files_batch")
            if isinstance(value, str)
            else value
        )

    return plain(answers)


@pytest.fixture(scope="module")
def under_v1(server: Server, http: httpx2.Client, _scripted_model: ScriptedModel) -> dict[str, Json]:
    api = Api(http, server.url, KEYS["alpha"])
    api.run(api.thread(), api.agent()).wait("completed")
    return journey(api, _scripted_model)


def test_the_journey_calls_every_operation(under_v1: dict[str, Json]) -> None:
    assert set(under_v1) == {operation.name for operation in OPERATIONS}


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
def test_every_root_answers_alike(
    api: Api, model: ScriptedModel, under_v1: dict[str, Json], root: str
) -> None:
    assert _alike(journey(api.at(root), model)) == _alike(under_v1)


def test_an_object_made_under_one_root_is_there_under_the_others(api: Api) -> None:
    agent = api.post("/assistants", {"model": "scripted"})
    for root in ROOTS_OF_ALPHA:
        assert api.at(root).get(f"/assistants/{agent['id']}") == agent


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
def test_api_versions_and_unknown_headers_are_ignored(api: Api, root: str) -> None:
    headers = {
        "OpenAI-Beta": "assistants=v1",
        "OpenAI-Organization": "org",
        "X-Stainless-Lang": "python",
        "Accept": "text/event-stream",
    }
    for version in ("v1", "2025-05-15-preview", "2024-02-15-preview", ""):
        answer = api.at(root).send("GET", "/assistants", query={"api-version": version}, headers=headers)
        assert answer.status_code == 200


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
def test_what_a_client_wants_included_is_accepted(api: Api, root: str) -> None:
    include = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}
    here = api.at(root)
    body = {"assistant_id": api.agent()}
    run = RunHandle(api, here.ok("POST", f"/threads/{api.thread()}/runs", body, query=include))
    run.wait("completed")
    (step,) = here.ok("GET", f"{run.path}/steps", query=include)["data"]
    assert here.ok("GET", f"{run.path}/steps/{step['id']}", query=include) == step


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
def test_only_reading_a_run_tells_pollers_when_to_come_back(api: Api, root: str) -> None:
    here = api.at(root)
    run = api.run(api.thread("Hello?"), api.agent())
    assert 50 <= int(here.send("GET", run.path).headers["openai-poll-after-ms"]) <= 250
    assert "openai-poll-after-ms" not in here.send("GET", f"{run.path}/steps").headers
    run.wait("completed")


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
@pytest.mark.parametrize(
    "path", ["", "/", "/thread", "/threads/", "/threads/t/messages/m/parts", "/v2/threads"]
)
def test_an_unknown_route_is_named_in_the_error(api: Api, root: str, path: str) -> None:
    error = api.at(root).refused(404, "GET", path)
    assert error == {
        "message": f"Invalid URL (GET {root}{path})",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize("root", ROOTS_OF_ALPHA)
def test_a_method_that_a_path_does_not_take_is_405(api: Api, root: str) -> None:
    response = api.at(root).send("PUT", "/threads", {})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, GET"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
