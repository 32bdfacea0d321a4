"""A project sees nothing of another's, and a nested object is found only under its own parents.

The tests are generated from the table of operations: an operation that is added is tested at once.
"""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from clew.http.operations import OPERATIONS, Operation
from tests.support.api import Api, Json
from tests.support.operations import BY_NAME, World, new_world, right_body
from tests.support.refusals import Refuses
from tests.support.server import KEYS

PARENTS = (
    "assistant_id",
    "thread_id",
    "message_id",
    "run_id",
    "step_id",
    "webhook_id",
    "file_id",
    "store_id",
    "batch_id",
)
WITH_IDS = [operation for operation in OPERATIONS if any(f"{{{name}}}" in operation.path for name in PARENTS)]
LISTS = [
    BY_NAME[name]
    for name in (
        "list_agents",
        "list_threads",
        "list_webhooks",
        "list_project_runs",
        "list_files",
        "list_vector_stores",
    )
]


def _named(operations: Sequence[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


def _ids_in(operation: Operation) -> list[str]:
    return [name for name in PARENTS if f"{{{name}}}" in operation.path]


def test_every_operation_but_those_on_whole_lists_is_tested_with_foreign_ids() -> None:
    rest = {operation.name for operation in OPERATIONS} - {operation.name for operation in WITH_IDS}
    assert rest == {
        "create_agent",
        "list_agents",
        "create_thread",
        "list_threads",
        "create_thread_and_run",
        "list_project_runs",
        "follow_project",
        "create_webhook",
        "create_file",
        "list_files",
        "create_vector_store",
        "list_vector_stores",
        "list_webhooks",
        "get_metrics_summary",
        "list_models",
        "get_model",
    }


@_named(WITH_IDS)
def test_another_projects_objects_do_not_exist(
    refuses: Refuses, world: World, other: Api, operation: Operation
) -> None:
    error = refuses(404, operation.method, world.path(operation), _body(operation, world, other), api=other)
    unheard_of = World(*(f"{name.removesuffix('_id')}_unheard_of" for name in PARENTS))
    unknown = refuses(
        404, operation.method, unheard_of.path(operation), _body(operation, world, other), api=other
    )
    assert _without_id(error) == _without_id(unknown), "the answer tells a foreign id from an unknown one"


def _body(operation: Operation, world: World, other: Api) -> Json | None:
    """Return a body that would be right in the other project, so that the path alone is wrong."""
    body = right_body(operation, world)
    return body | {"assistant_id": other.agent()} if body and "assistant_id" in body else body


def _without_id(error: Json) -> Json:
    return error | {"message": re.sub("'.*'|object: .*", "...", error["message"])}


@pytest.mark.parametrize("name", ["create_run", "create_thread_and_run"])
def test_a_run_cannot_use_another_projects_agent(
    refuses: Refuses, world: World, other: Api, name: str
) -> None:
    own = world._replace(thread_id=other.thread("Hello."))
    body = {"assistant_id": world.assistant_id}
    error = refuses(404, "POST", own.path(BY_NAME[name]), body, api=other)
    assert error["message"] == f"No assistant found with id '{world.assistant_id}'."


@_named(LISTS)
def test_lists_never_show_another_projects_objects(world: World, other: Api, operation: Operation) -> None:
    other.run(other.thread(), other.agent()).wait()
    other.post("/webhooks", {"url": "https://example.com/"})
    other.store(other.upload(b"Hers."))
    hers = {each["id"] for each in other.get(operation.path, limit=100)["data"]}
    assert hers
    assert not hers & set(world)
    cursors = {
        "list_agents": world.assistant_id,
        "list_threads": world.thread_id,
        "list_project_runs": world.run_id,
        "list_files": world.file_id,
        "list_vector_stores": world.store_id,
    }
    cursor = cursors.get(operation.name, world.webhook_id)
    for position in ("after", "before"):
        assert other.get(operation.path, **{position: cursor})["data"] == []


@_named(OPERATIONS)
def test_another_projects_azure_path_does_not_exist(
    refuses: Refuses, world: World, other: Api, operation: Operation
) -> None:
    at_alpha = other.at("/api/projects/alpha")
    body = right_body(operation, world)
    error = refuses(404, operation.method, world.path(operation), body, api=at_alpha)
    assert error["message"] == "No project found with id 'alpha'."


@pytest.fixture(scope="module")
def second(world: World, server: Any, http: Any, _scripted_model: Any) -> World:
    """Another set of objects in the same project."""
    _scripted_model.reset()
    _scripted_model.call("look_up", {"word": "maze"})
    return new_world(Api(http, server.url, KEYS["alpha"]))


@_named([operation for operation in WITH_IDS if len(_ids_in(operation)) > 1])
def test_a_nested_object_is_found_only_under_its_own_parents(
    refuses: Refuses, world: World, second: World, operation: Operation
) -> None:
    for name in _ids_in(operation):
        mixed = world._replace(**{name: getattr(second, name)})
        refuses(404, operation.method, mixed.path(operation), right_body(operation, world))


def test_a_step_is_not_found_under_another_run_of_its_thread(
    refuses: Refuses, api: Api, world: World
) -> None:
    run = api.run(world.thread_id, world.assistant_id)
    run.wait("completed")
    error = refuses(404, "GET", f"{run.path}/steps/{world.step_id}")
    assert error["message"] == f"No run step found with id '{world.step_id}'."
