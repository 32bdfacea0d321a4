"""Keys: always asked for, accepted in two headers, never shown again; and the token route.

Source of the token route: "How to use managed identities for App Service", section "REST endpoint
reference".
"""

import httpx2
import pytest

from clew.http.operations import OPERATIONS, ROOTS, Operation, Root
from tests.support.api import Api, error_of
from tests.support.clock import ManualClock
from tests.support.database import dump
from tests.support.operations import World, right_body
from tests.support.server import KEYS, Server

KEY = KEYS["alpha"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"api-key": KEY},
        {"Api-Key": KEY, "Authorization": "Basic dXNlcjpwYXNz"},
        {"api-key": KEY, "Authorization": "Bearer"},
    ],
)
def test_a_key_is_accepted_as_bearer_token_and_as_api_key(
    server: Server, http: httpx2.Client, headers: dict[str, str]
) -> None:
    assert http.get(f"{server.url}/v1/threads", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer clew_wrong-key-0123456789"},
        {"api-key": "clew_wrong-key-0123456789"},
        {"Authorization": "Bearer clew_wrong-key-0123456789", "api-key": KEY},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY.upper()}"},
        {"Authorization": b"Bearer \xff\xfe\xfd".decode("latin-1")},
    ],
)
def test_a_wrong_key_is_refused_and_not_repeated(
    server: Server, http: httpx2.Client, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = http.get(f"{server.url}/v1/threads", headers=raw)
    error = error_of(response, 401)
    assert error["message"].startswith("Incorrect API key provided: ")
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        None,
        "invalid_api_key",
    )
    assert "wrong-key" not in response.text
    assert KEY[5:] not in response.text
    assert "retry-after" not in response.headers


def test_a_missing_key_is_refused(server: Server, http: httpx2.Client) -> None:
    error = error_of(http.get(f"{server.url}/v1/threads"), 401)
    assert error["code"] == "invalid_api_key"
    assert "API key" in error["message"]


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.prefix)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_no_operation_answers_without_a_key(
    server: Server, http: httpx2.Client, world: World, operation: Operation, root: Root
) -> None:
    before = dump(server.place)
    url = server.url + root.prefix.format(project="alpha") + world.path(operation)
    response = http.request(operation.method, url, json=right_body(operation, world))
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert dump(server.place) == before


def test_what_is_not_an_operation_needs_a_key_too(server: Server, http: httpx2.Client) -> None:
    for path in ("/", "/v1", "/v1/", "/nothing", "/healthz/", "/docs", "/openapi.json"):
        assert http.get(server.url + path).status_code == 401, path


@pytest.mark.parametrize(("path", "said"), [("/healthz", "ok\n"), ("/readyz", "ready\n")])
def test_health_needs_no_key_and_reveals_nothing(
    server: Server, http: httpx2.Client, path: str, said: str
) -> None:
    response = http.get(server.url + path)
    assert (response.status_code, response.text) == (200, said)
    assert "server" not in response.headers or "clew" not in response.headers["server"]
    assert http.post(server.url + path).status_code == 405


def test_the_token_route_gives_the_key_to_those_who_have_it(
    server: Server, http: httpx2.Client, clock: ManualClock
) -> None:
    response = http.get(
        f"{server.url}/msi/token",
        params={"api-version": "2019-08-01", "resource": "https://ai.azure.com"},
        headers={"X-IDENTITY-HEADER": KEY, "Metadata": "true"},
    )
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    token = response.json()
    assert set(token) == {"access_token", "expires_on", "expires_in", "resource", "token_type"}
    assert (token["access_token"], token["token_type"]) == (KEY, "Bearer")
    assert token["resource"] == "https://ai.azure.com"
    assert int(token["expires_on"]) > clock.seconds + 300
    assert int(token["expires_on"]) - clock.seconds == int(token["expires_in"])
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert http.get(f"{server.url}/v1/threads", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-IDENTITY-HEADER": ""}, {"X-IDENTITY-HEADER": "wrong"}])
def test_the_token_route_gives_nothing_to_others(
    server: Server, http: httpx2.Client, headers: dict[str, str]
) -> None:
    response = http.get(f"{server.url}/msi/token", headers=headers)
    assert error_of(response, 401)["code"] == "invalid_api_key"


def test_every_answer_carries_a_request_id_of_its_own(api: Api, server: Server, http: httpx2.Client) -> None:
    answers = [
        api.send("GET", "/threads"),
        api.send("POST", "/threads", {}),
        api.send("GET", "/threads/thread_x"),
        api.send("POST", "/threads", {"surprise": 1}),
        api.send("PUT", "/threads"),
        api.send("GET", "/nothing"),
        http.get(f"{server.url}/v1/threads"),
        http.get(f"{server.url}/healthz"),
        http.get(f"{server.url}/msi/token"),
        http.head(f"{server.url}/v1/threads", headers={"api-key": KEY}),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(answers)
    assert all(each.startswith("req_") for each in ids)
