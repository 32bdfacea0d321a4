"""Pictures by URL: of all that leads inside, nothing is connected to."""

import asyncio

import pytest

from clew.engine.picture_urls import PictureUrls
from clew.net.guard import Guard
from clew.reading.reader import CannotRead
from tests.webhooks.test_guard import RESOLVED, WRITTEN, resolving, without_connecting


def _refusal(guard: Guard, url: str) -> str:
    """Return why a picture can't be had."""

    async def get() -> None:
        urls = PictureUrls(guard)
        try:
            async with urls.local(url, "alpha"):
                raise AssertionError("there was a picture")
        finally:
            await urls.close()

    with pytest.raises(CannotRead) as caught:
        asyncio.run(get())
    return caught.value.message


@pytest.mark.parametrize("url", WRITTEN)
def test_a_url_that_leads_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    attempts = without_connecting(monkeypatch)
    assert _refusal(resolving("93.184.216.34"), url).startswith("Its URL may not be asked: ")
    assert attempts == []


@pytest.mark.parametrize("addresses", RESOLVED.values(), ids=RESOLVED)
def test_a_name_that_leads_inside_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    attempts = without_connecting(monkeypatch)
    assert _refusal(resolving(*addresses), "https://innocent.example/a.png").startswith("Its URL may not")
    assert attempts == []


def test_what_leads_outside_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = without_connecting(monkeypatch)
    assert "could not be connected to" in _refusal(resolving("93.184.216.34"), "https://pictures.example/")
    assert attempts
