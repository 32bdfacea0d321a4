"""Fields of an answer that we don't know, put together from pieces, to go back as they came. Pure.

Strings grow, objects are merged field by field, lists entry by entry: by the entries' ``index`` where they
have one (OpenRouter's ``reasoning_details``), else each entry is a new one. Adding a piece costs what the
piece costs.
"""

from typing import Any

from clew.core.options import Json

_GROWING = frozenset(
    (
        "reasoning_content", "reasoning", "reasoning_text", "text", "summary", "data", "thinking", "content",
        "arguments",
    )
)  # fmt: skip
"""Fields whose strings come in pieces. Another's is a piece only if it differs from what is known."""

_LONGEST_OTHER = 64 * 1024
"""Characters of a string that is not known to grow."""

_MOST_ENTRIES = 4_096
_DEEPEST = 32


def is_empty(value: Any) -> bool:
    """Whether a field says nothing."""
    return value is None or value in ("", [], {})


class _Text:
    """A string that grows."""

    __slots__ = ("pieces", "size")

    def __init__(self, piece: str) -> None:
        self.pieces, self.size = [piece], len(piece)

    def add(self, piece: str, *, grows: bool) -> None:
        if not grows and (self.size > _LONGEST_OTHER or (len(piece) == self.size and self.plain() == piece)):
            return
        self.pieces.append(piece)
        self.size += len(piece)

    def plain(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0]


class _Entries:
    """A list that grows."""

    __slots__ = ("_places", "values")

    def __init__(self, values: list[Any], depth: int) -> None:
        self.values: list[Any] = []
        self._places: dict[int | str, Extras] = {}
        self.add(values, depth)

    def add(self, values: list[Any], depth: int) -> None:
        for value in values[:_MOST_ENTRIES]:
            place = value.get("index") if isinstance(value, dict) else None
            if not isinstance(place, int | str):
                self._append(_growing(value, depth))
            elif place in self._places:
                self._places[place].add(value, depth)
            else:
                self._places[place] = entry = Extras(value, depth)
                self._append(entry)

    def _append(self, value: Any) -> None:
        if len(self.values) < _MOST_ENTRIES:
            self.values.append(value)


class Extras:
    """An object that grows."""

    __slots__ = ("fields",)

    def __init__(self, fields: Json | None = None, depth: int = 0) -> None:
        self.fields: dict[str, Any] = {}
        if fields:
            self.add(fields, depth)

    def __bool__(self) -> bool:
        return bool(self.fields)

    def add(self, fields: Json, depth: int = 0) -> None:
        """Add a piece of it. What is nested deeper than anybody nests is left out."""
        for key, value in fields.items():
            match self.fields.get(key), value:
                case None, _:
                    self.fields[key] = _growing(value, depth + 1)
                case _, None:
                    continue
                case _Text() as text, str():
                    text.add(value, grows=key in _GROWING)
                case Extras() as known, dict():
                    known.add(value, depth + 1)
                case _Entries() as entries, list():
                    entries.add(value, depth + 1)
                case _:
                    self.fields[key] = _growing(value, depth + 1)

    def plain(self) -> Json | None:
        """Return the object as JSON; None if nothing has come."""
        if not self.fields:
            return None
        found = {key: _plain(value) for key, value in self.fields.items()}
        return {key: value for key, value in found.items() if not is_empty(value)} or None


def _growing(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    match value:
        case str():
            return _Text(value)
        case dict():
            return Extras(value, depth)
        case list():
            return _Entries(value, depth)
    return value


def _plain(value: Any) -> Any:
    match value:
        case _Text():
            return value.plain()
        case Extras():
            return {key: _plain(each) for key, each in value.fields.items()}
        case _Entries():
            return [_plain(each) for each in value.values]
    return value
