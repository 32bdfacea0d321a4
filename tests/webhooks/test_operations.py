"""/webhooks: what clients create, read, list and delete."""

import base64

import pytest

from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.server import Server

URL = "https://example.com/hook?token=abc"
EVENTS = [
    "run.completed",
    "run.failed",
    "run.incomplete",
    "run.cancelled",
    "run.expired",
    "run.requires_action",
]


def test_a_webhook_is_created_read_listed_and_deleted(api: Api, clock: ManualClock) -> None:
    made = api.post("/webhooks", {"url": URL, "events": ["run.failed"], "metadata": {"team": "blue"}})
    secret = made.pop("secret")
    assert made == {
        "id": made["id"],
        "object": "webhook",
        "created_at": clock.seconds,
        "url": URL,
        "events": ["run.failed"],
        "status": "enabled",
        "last_error": None,
        "metadata": {"team": "blue"},
    }
    assert made["id"].startswith("wh_")
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert api.get(f"/webhooks/{made['id']}") == made
    assert made in api.get("/webhooks")["data"]
    gone = {"id": made["id"], "object": "webhook.deleted", "deleted": True}
    assert api.delete(f"/webhooks/{made['id']}") == gone
    api.refused(404, "GET", f"/webhooks/{made['id']}")
    api.refused(404, "DELETE", f"/webhooks/{made['id']}")


def test_without_events_it_is_told_all_of_them(api: Api) -> None:
    made = api.post("/webhooks", {"url": URL})
    assert made["events"] == EVENTS
    api.delete(f"/webhooks/{made['id']}")


def test_the_secret_is_shown_once_and_again_to_the_same_request(api: Api) -> None:
    header = {"Idempotency-Key": "create-webhook-1"}
    first = api.ok("POST", "/webhooks", {"url": URL}, headers=header)
    again = api.ok("POST", "/webhooks", {"url": URL}, headers=header)
    assert again == first
    assert api.post("/webhooks", {"url": URL})["secret"] != first["secret"]
    for shown in (api.send("GET", "/webhooks").text, api.send("GET", f"/webhooks/{first['id']}").text):
        assert "whsec" not in shown
        assert first["secret"].removeprefix("whsec_") not in shown
    for each in api.get("/webhooks", limit=100)["data"]:
        api.delete(f"/webhooks/{each['id']}")


def test_a_project_has_at_most_twenty(api: Api, other: Api) -> None:
    made = [api.post("/webhooks", {"url": URL})["id"] for _ in range(20)]
    error = api.refused(400, "POST", "/webhooks", {"url": URL})
    assert error["message"] == "A project has at most 20 webhooks. Delete one first."
    theirs = other.post("/webhooks", {"url": URL})["id"]
    listed = [each["id"] for each in api.get("/webhooks", limit=100, order="asc")["data"]]
    assert listed == made
    other.delete(f"/webhooks/{theirs}")
    for each in made:
        api.delete(f"/webhooks/{each}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1/", "it leads to an address that is not on the public internet"),
        ("http://169.254.169.254/", "it leads to a cloud's metadata service"),
        ("https://user:canary@example.com/", "it must not hold a user or a password"),
        ("ftp://example.com/", "it must begin with https:// or http://"),
        ("https://0x7f.1/", "its host is an address that is oddly written"),
        ("https://exa mple.com/", "it holds characters that a URL does not have"),
    ],
)
def test_a_url_that_may_not_be_asked_is_refused_and_not_repeated(
    api: Api, server: Server, url: str, reason: str
) -> None:
    error = api.refused(400, "POST", "/webhooks", {"url": url})
    assert error["message"] == f"Invalid 'url': {reason}."
    assert (error["param"], error["code"]) == ("url", "invalid_value")


def test_unknown_events_are_refused_by_name(api: Api) -> None:
    error = api.refused(400, "POST", "/webhooks", {"url": URL, "events": ["run.completed", "run.queued"]})
    assert error["param"] == "events[1]"
    error = api.refused(400, "POST", "/webhooks", {"url": URL, "events": []})
    assert error["param"] == "events"
