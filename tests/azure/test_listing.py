"""Lists, without a server: what is fetched, and when."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.paging import ItemPaged

from clew.azure import Listing, Page


class Source:
    """Seven items in pages of three, as the service pages them: one more request finds the end."""

    def __init__(self, count: int = 7) -> None:
        self.items = [SimpleNamespace(id=f"i{n}") for n in range(count)]
        self.asked: list[str | None] = []

    def get(self, after: str | None) -> list[SimpleNamespace]:
        self.asked.append(after)
        start = next((n + 1 for n, item in enumerate(self.items) if item.id == after), 0)
        return self.items[start : start + 3]

    def split(self, page: list[SimpleNamespace]) -> tuple[Any, Iterable[SimpleNamespace]]:
        return (page[-1].id if page else None), page

    def listing(self, limit: int | None = None) -> Listing[SimpleNamespace]:
        return Listing(ItemPaged(self.get, self.split), limit)


def ids(items: Iterable[SimpleNamespace]) -> str:
    return "".join(item.id[1:] for item in items)


def test_reads_like_a_list() -> None:
    source = Source()
    listing = source.listing()
    assert ids(listing) == ids(listing) == ids(listing.data) == "0123456"
    assert ids(reversed(listing)) == "6543210"
    assert len(listing) == 7
    assert (listing[0].id, listing[-1].id, ids(listing[2:4]), ids(listing[-2:])) == ("i0", "i6", "23", "56")
    assert ids(listing[::3]) == "036"
    assert ids(listing[5:1:-2]) == "53"
    assert source.items[3] in listing
    assert listing.index(source.items[4]) == 4
    with pytest.raises(IndexError):
        listing[7]
    assert source.asked == [None, "i2", "i5", "i6"]


def test_still_is_the_vendors_paged_iterator() -> None:
    listing = Source().listing()
    assert isinstance(listing, ItemPaged)
    assert [ids(page) for page in listing.by_page()] == ["012", "345", "6", ""]
    assert [ids(page) for page in listing.by_page("i4")] == ["56", ""]
    assert (next(listing).id, next(listing).id) == ("i0", "i1")
    assert ids(listing) == "0123456"


def test_fetches_no_more_than_it_must() -> None:
    source = Source()
    listing = source.listing(limit=3)
    assert source.asked == []
    assert bool(listing)
    assert listing[2].id == "i2"
    assert ids(listing.data) == "012"
    assert ids(listing[:2]) == "01"
    assert "3 items" in repr(listing)
    assert source.asked == [None]
    assert listing[3].id == "i3"
    assert source.asked == [None, "i2"]


def test_an_empty_list() -> None:
    listing = Source(0).listing()
    assert not listing
    assert listing.data == []
    assert len(listing) == 0
    with pytest.raises(StopIteration):
        next(listing)


def test_a_page_of_the_betas() -> None:
    source = Source()
    page: Page[Any] = Page(source.listing())
    assert (ids(page), ids(reversed(page)), len(page), page.object) == ("012", "210", 3, "list")
    assert (page.first_id, page.last_id, page.has_more) == ("i0", "i2", True)
    assert page["data"] is page.data
    assert page[1].id == "i1"
    last: Page[Any] = Page(source.listing(), after="i5")
    assert (ids(last), last.has_more) == ("6", False)
    empty: Page[Any] = Page(source.listing(), after="i6")
    assert (empty.data, empty.first_id, empty.last_id, empty.has_more) == ([], None, None, False)
