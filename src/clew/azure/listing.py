"""Lists as people expect them: to be reversed, indexed, counted and read through ``.data``."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from azure.ai.agents.models import (
    MessageImageFileContent,
    MessageTextContent,
    MessageTextFileCitationAnnotation,
    MessageTextFilePathAnnotation,
    ThreadMessage,
)
from azure.core.paging import ItemPaged

T = TypeVar("T")


class Listing(ItemPaged[T], Sequence[T]):
    """The vendor's :class:`ItemPaged`, which is also a sequence.

    Pages are fetched as they are needed, and once: iterating or ``[0]`` fetches no more than it must;
    ``len``, ``reversed`` and negative indices fetch everything.
    """

    def __init__(self, pages: ItemPaged[T], limit: int | None = None) -> None:
        """Wrap ``pages``; ``limit`` is the length of a page if one was asked for."""
        super().__init__()
        self._pages = pages
        self._limit = limit
        self._source: Iterator[T] = iter(pages)
        self._items: list[T] = []
        self._position = 0

    def by_page(self, continuation_token: str | None = None) -> Iterator[Iterator[T]]:
        """Return the pages from the item after the one whose id is ``continuation_token``."""
        return self._pages.by_page(continuation_token)

    @property
    def data(self) -> list[T]:
        """Return the items as a list: the first page if a limit was given, else all of them."""
        return list(self if self._limit is None else self[: self._limit])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._items)} items fetched so far>"

    def __iter__(self) -> Iterator[T]:
        position = 0
        while self._reaches(position + 1):
            yield self._items[position]
            position += 1

    def __next__(self) -> T:
        if not self._reaches(self._position + 1):
            raise StopIteration
        self._position += 1
        return self._items[self._position - 1]

    next = __next__

    def __bool__(self) -> bool:
        return self._reaches(1)

    def __len__(self) -> int:
        self._reaches(None)
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        self._reaches(_needed(index))
        return self._items[index]

    def _reaches(self, count: int | None) -> bool:
        """Fetch until ``count`` items are here, all if None; return whether there are as many."""
        while count is None or len(self._items) < count:
            try:
                self._items.append(next(self._source))
            except StopIteration:
                return False
        return True


def _needed(index: int | slice) -> int | None:
    """Return how many items answer ``[index]``; None if it takes all."""
    if isinstance(index, int):
        return index + 1 if index >= 0 else None
    start, stop, step = index.start or 0, index.stop, index.step or 1
    return None if stop is None or min(start, stop, step) < 0 else max(0, int(stop))


class Page(Generic[T]):
    """One page of a list, as azure-ai-projects 1.0.0b10 and older returned it.

    Attributes:
        data: the items.
        object: always ``list``.
    """

    object = "list"

    def __init__(self, listing: ItemPaged[T], after: str | None = None) -> None:
        """Fetch the first page after the item with the id ``after``."""
        self._pages = listing.by_page(after)
        self.data: list[T] = list(next(self._pages, ()))

    @property
    def first_id(self) -> str | None:
        """Return the id of the first item; None on an empty page."""
        return self.data[0].id if self.data else None  # type: ignore[attr-defined]

    @property
    def last_id(self) -> str | None:
        """Return the id of the last item, to be given as ``after``; None on an empty page."""
        return self.data[-1].id if self.data else None  # type: ignore[attr-defined]

    @property
    def has_more(self) -> bool:
        """Return whether a further page has items. Asks the server."""
        return bool(self.data) and bool(list(next(self._pages, ())))

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __reversed__(self) -> Iterator[T]:
        return reversed(self.data)

    def __getitem__(self, key: int | str) -> Any:
        return self.data[key] if isinstance(key, int) else getattr(self, key)


class _Messages(Iterable[ThreadMessage]):
    """What lists of messages can do besides, as in azure-ai-projects 1.0.0b10."""

    @property
    def text_messages(self) -> list[MessageTextContent]:
        """Return every text part of every message, in the order of the list."""
        return [part for message in self for part in message.text_messages]

    @property
    def image_contents(self) -> list[MessageImageFileContent]:
        """Return every image part."""
        return [part for message in self for part in message.image_contents]

    @property
    def file_citation_annotations(self) -> list[MessageTextFileCitationAnnotation]:
        """Return every citation of a file."""
        return [note for message in self for note in message.file_citation_annotations]

    @property
    def file_path_annotations(self) -> list[MessageTextFilePathAnnotation]:
        """Return every path of a generated file."""
        return [note for message in self for note in message.file_path_annotations]

    def get_last_message_by_role(self, role: str) -> ThreadMessage | None:
        """Return the first message of the list by ``role``: the newest, as lists go newest first."""
        return next((message for message in self if message.role == role), None)

    def get_last_text_message_by_role(self, role: str) -> MessageTextContent | None:
        """Return the first text part of the list in a message by ``role``."""
        parts = (part for message in self if message.role == role for part in message.text_messages)
        return next(parts, None)


class MessageListing(Listing[ThreadMessage], _Messages):
    """A :class:`Listing` of messages."""


class MessagePage(Page[ThreadMessage], _Messages):
    """A :class:`Page` of messages."""
