"""A page that would be too large ends early, and says that there is more."""

from typing import Any

from clew.store.pages import LARGEST_PAGE
from tests.support.api import Api


def _pages(api: Api, thread: str, **query: Any) -> list[list[str]]:
    """Return the ids of a thread's messages, page by page, as a client reads them."""
    found: list[list[str]] = []
    while True:
        page = api.get(f"/threads/{thread}/messages", limit=100, **query)
        size = sum(len(each["content"][0]["text"]["value"]) for each in page["data"])
        assert size <= LARGEST_PAGE or len(page["data"]) == 1
        found.append([each["id"] for each in page["data"]])
        if not page["has_more"]:
            return found
        query["after"] = page["last_id"]


def test_every_message_is_on_one_page(api: Api) -> None:
    thread = api.thread(*("x" * 250_000 for _ in range(20)))
    up, down = _pages(api, thread, order="asc"), _pages(api, thread, order="desc")
    assert len(up) == len(down) == 2
    ids = [each for page in up for each in page]
    assert len(set(ids)) == 20
    assert [each for page in down for each in page] == ids[::-1]
    back = api.get(f"/threads/{thread}/messages", limit=100, order="asc", before=ids[-1])
    assert (back["data"][-1]["id"], back["has_more"]) == (ids[-2], True)
