"""What proxies say of others is believed from those that are trusted, and from nobody else."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from clew.http.proxies import TrustedProxies
from clew.testing.scripted_model import ScriptedModel
from tests.support.clock import ManualClock
from tests.support.database import Place
from tests.support.ids import CountingIds
from tests.support.server import Server
from tests.support.wait import until

WRONG = {"api-key": "clew_wrong-key-0123456789"}


@pytest.fixture
def behind(place: Place, model: ScriptedModel) -> Iterator[Server]:
    """A server behind a proxy on this machine."""
    with Server(place, model.url, clock=ManualClock(), ids=CountingIds(), proxies="127.0.0.0/8") as server:
        yield server


def _refused_client(server: Server, caplog: pytest.LogCaptureFixture, said: dict[str, str]) -> Any:
    caplog.set_level(logging.INFO)
    caplog.clear()
    assert httpx2.get(f"{server.url}/v1/threads", headers=WRONG | said).status_code == 401
    found = until(lambda: [each for each in caplog.records if each.name == "clew.access"])
    return found[0].__dict__["fields"]["client"]


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first is the client's own word
        ("203.0.113.7, 127.0.0.9", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("x" * 5_000, None),
        ("Stranger <x>", None),
    ],
)
def test_a_trusted_proxys_word_counts(
    behind: Server, caplog: pytest.LogCaptureFixture, said: str, client: str | None
) -> None:
    assert _refused_client(behind, caplog, {"X-Forwarded-For": said}) == client


def test_nobody_elses_does(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Prefix": "/elsewhere"}
    assert _refused_client(server, caplog, said) == "127.0.0.1"
    assert _servers(server, said)[0] == "/v1"


@pytest.mark.parametrize(
    ("said", "first"),
    [("/clew", "/clew/v1"), ("/a/b/", "/a/b/v1"), ("//evil.example", "/v1"), ("javascript:x", "/v1")],
)
def test_the_path_that_a_proxy_has_taken_away_stands_in_the_document(
    behind: Server, said: str, first: str
) -> None:
    assert _servers(behind, {"X-Forwarded-Prefix": said})[0] == first


def _servers(server: Server, headers: dict[str, str]) -> list[str]:
    key = {"api-key": "clew_alpha-key-0123456789abcdef"}
    document = httpx2.get(f"{server.url}/openapi.json", headers=key | headers).json()
    return [each["url"] for each in document["servers"]]


def test_a_list_that_is_none_is_refused() -> None:
    assert "10.1.2.3" in TrustedProxies("127.0.0.1, 10.0.0.0/8")
    assert "10.1.2.3" not in TrustedProxies("")
    with pytest.raises(ValueError, match="neither an address nor a network"):
        TrustedProxies("proxy.example")
