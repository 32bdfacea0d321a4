"""What keys of each role may do: generated from the table of operations."""

from collections.abc import Iterator

import httpx2
import pytest
from click.testing import CliRunner

from clew.cli.main import cli
from clew.http.operations import OPERATIONS, Operation
from tests.support.api import Api, error_of
from tests.support.operations import BY_NAME, World, right_body
from tests.support.refusals import Refuses
from tests.support.server import KEYS, OPERATOR_KEY, Server
from tests.support.wait import until

WRITING = [operation for operation in OPERATIONS if operation.method != "GET"]
ROLES = {"project": [], "read": ["--read-only"], "operator": ["--operator"]}


@pytest.fixture(scope="module")
def keys(server: Server) -> Iterator[dict[str, str]]:
    """Keys that are rows: one of each role, of project beta."""
    where = str(server.place) if isinstance(server.place, str) else f"sqlite:///{server.place}"
    made: dict[str, str] = {}
    for role, flags in ROLES.items():
        command = ["keys", "add", "--project", "beta", "--name", role, *flags, "--database", where]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        made[role] = result.stdout.strip()
    for key in made.values():
        until(lambda key=key: httpx2.get(f"{server.url}/v1/threads", headers={"api-key": key}).is_success)  # type: ignore[misc]
    yield made
    for role in made:
        CliRunner().invoke(cli, ["keys", "revoke", role, "--project", "beta", "--database", where])


@pytest.mark.parametrize("operation", WRITING, ids=lambda operation: operation.name)
def test_a_key_that_reads_changes_nothing(
    refuses: Refuses, server: Server, http: httpx2.Client, keys: dict[str, str], world: World,
    operation: Operation,
) -> None:  # fmt: skip
    reader = Api(http, server.url, keys["read"])
    error = refuses(403, operation.method, world.path(operation), right_body(operation, world), api=reader)
    assert error["message"] == "The API key 'read' may only read."


@pytest.mark.parametrize("role", ["project", "read"])
def test_keys_of_rows_see_nothing_of_another_project(
    server: Server, http: httpx2.Client, keys: dict[str, str], world: World, role: str
) -> None:
    api = Api(http, server.url, keys[role])
    reading = [each for each in OPERATIONS if each.method == "GET" and "{" in each.path]
    for operation in reading:
        if operation.name != "get_model":
            assert api.send("GET", world.path(operation)).status_code == 404, operation.name
    for name in ("list_agents", "list_threads", "list_project_runs", "list_webhooks"):
        assert api.get(BY_NAME[name].path)["data"] == []
    named = {"Clew-Project": "alpha"}
    assert api.send("GET", world.path(BY_NAME["get_thread"]), headers=named).status_code == 404
    assert api.at("/api/projects/alpha").send("GET", "/threads").status_code == 404
    assert api.send("GET", "/../status").status_code in (403, 404)
    assert http.get(f"{server.url}/status", headers={"api-key": api.key}).status_code == 403


def test_an_operator_works_in_every_project_by_path_and_by_header(
    server: Server, http: httpx2.Client, keys: dict[str, str], world: World
) -> None:
    for key, own in ((OPERATOR_KEY, "alpha"), (keys["operator"], "beta")):
        api = Api(http, server.url, key)
        there = api.at("/api/projects/alpha")
        assert there.get(f"/threads/{world.thread_id}")["id"] == world.thread_id
        by_header = api.send("GET", f"/threads/{world.thread_id}", headers={"Clew-Project": "alpha"})
        assert by_header.status_code == 200
        assert api.send("GET", f"/threads/{world.thread_id}").status_code == (200 if own == "alpha" else 404)
        unknown = api.send("GET", "/threads", headers={"Clew-Project": "nobody"})
        assert unknown.status_code == 404
        assert error_of(unknown, 404)["message"] == "No project found with id 'nobody'."
        assert api.at("/api/projects/nobody").send("GET", "/threads").status_code == 404


def test_what_an_operator_makes_in_a_project_belongs_to_it(
    server: Server, http: httpx2.Client, keys: dict[str, str]
) -> None:
    operator = Api(http, server.url, OPERATOR_KEY).at("/api/projects/beta")
    thread = operator.post("/threads")["id"]
    assert Api(http, server.url, KEYS["beta"]).get(f"/threads/{thread}")["id"] == thread
    assert Api(http, server.url, KEYS["alpha"]).send("GET", f"/threads/{thread}").status_code == 404
    operator.delete(f"/threads/{thread}")


def test_an_operator_sees_every_object(server: Server, http: httpx2.Client, world: World) -> None:
    operator = Api(http, server.url, OPERATOR_KEY)
    for operation in OPERATIONS:
        if operation.method == "GET" and "{" in operation.path:
            assert operator.send("GET", world.path(operation)).status_code == 200, operation.name
