"""Finding words in a conversation. Plain text, no patterns: nothing a user types can take for ever."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from clew.toolkit.records import Message

_AROUND = 40


class Match(Struct, frozen=True, kw_only=True):
    """A place where the words were found.

    Attributes:
        message: the message.
        start, end: where in ``message.text`` they are, in characters.
        excerpt: the words with some text around them, on one line.
    """

    message: Message
    start: int
    end: int
    excerpt: str


def find(messages: Iterable[Message], words: str, *, role: str | None = None) -> Iterator[Match]:
    """Yield every place where ``words`` stand, whatever their case.

    Raises:
        ValueError: there are no words to look for.
    """
    if not words.strip():
        raise ValueError("there is nothing to search for")
    for message in messages:
        if role is None or message.role == role:
            for start, end in _places(message.text, words):
                yield Match(message=message, start=start, end=end, excerpt=_excerpt(message.text, start, end))


def _places(text: str, words: str) -> Iterator[tuple[int, int]]:
    """Yield where ``words`` begin and end in ``text``, in the characters of ``text`` itself."""
    # casefold may make one character into several ("ß" is "ss"): remember where each came from
    folded: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        piece = character.casefold()
        folded.append(piece)
        origin += [index] * len(piece)
    haystack, needle = "".join(folded), words.casefold()
    at = haystack.find(needle)
    while at >= 0:
        yield origin[at], origin[at + len(needle) - 1] + 1
        at = haystack.find(needle, at + len(needle))


def _excerpt(text: str, start: int, end: int) -> str:
    begin, stop = max(0, start - _AROUND), min(len(text), end + _AROUND)
    middle = " ".join(text[begin:stop].split())
    return ("…" if begin > 0 else "") + middle + ("…" if stop < len(text) else "")
