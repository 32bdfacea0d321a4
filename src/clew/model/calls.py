"""Puts the calls of an answer together from pieces, whatever a server's pieces look like. Pure.

Which call a piece belongs to follows from a table, the first line that fits:

=================================================  =====================================================
the piece                                          belongs to
=================================================  =====================================================
has an index                                       the call that was last opened at that index
has an id that a call has                          that call
has neither                                        the call that was opened last
-------------------------------------------------  -----------------------------------------------------
there is no such call                              a new one
has a name, and the call there is one whole value  a new one, unless it says the same again
second of one frame, without index and id          a new one, if it has a name
=================================================  =====================================================

An id alone, without a name, opens nothing: some servers make a new one for each piece. Of what belongs to
a call only what can't change any more is told: its name when its arguments begin or it can get no more,
its arguments unless they are ``{}`` so far, which some servers say first and mean nothing by.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from clew.core.options import Json
from clew.model.chat import CallDelta, CallFacts
from clew.model.extras import Extras, is_empty

MOST_CALLS = 128
"""Calls of one answer that are kept; more are left out, and the model may make them in its next turn."""

LONGEST_NAME = 64
"""Characters of a function's name. No longer one can have been offered, so what is cut is found unknown."""

_MOST_NAME_PIECES = 64
_MOST_BLANKS = 64
"""Characters of white space around arguments that are looked behind."""

_LONGEST_ID = 512
_LONGEST_NAME_PIECE = 256
"""Characters of a piece of a name that are looked at: more than any offered name has."""

_KNOWN = frozenset(("index", "id", "type", "function", "name", "arguments"))
_KNOWN_OF_FUNCTION = frozenset(("name", "arguments"))
_OUTSIDE = re.compile(r'[{}\[\]"]')
_INSIDE = re.compile(r'[\\"]')
_encode = msgspec.json.Encoder().encode


class Piece(NamedTuple):
    """A piece of a call, in one spelling; ``at`` is its index.

    ``alone`` is one that has a name and neither index nor id, behind others in its frame.
    """

    at: int | None
    id: str
    name: str
    arguments: str
    extras: Json
    alone: bool = False


class _Whole:
    """Whether text that comes in pieces is one whole JSON value so far. Each character is looked at once."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_seen")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._escaped = self._seen = False

    def __bool__(self) -> bool:
        return self._seen and self._depth <= 0 and not self._in_string

    def add(self, text: str) -> None:
        self._seen = self._seen or not text.isspace()
        at = 1 if self._escaped else 0
        self._escaped = False
        while found := (_INSIDE if self._in_string else _OUTSIDE).search(text, at):
            at = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = at == len(text)
                    at += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1


class _Call:
    """A call as it comes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.names: list[str] = []
        self.arguments: list[str] = []
        self.held = ""
        """Arguments that say nothing so far: ``{}``, or nothing."""
        self.extras = Extras()
        self.told = 0
        """How many pieces of the arguments were told."""
        self._whole, self._looked_at, self._size = _Whole(), 0, 0

    @property
    def whole(self) -> bool:
        """Whether the arguments are one whole value so far."""
        if not self.arguments:
            return bool(self.held)
        for piece in self.arguments[self._looked_at :]:
            self._whole.add(piece)
        self._looked_at = len(self.arguments)
        return bool(self._whole)

    def repeats(self, piece: Piece) -> bool:
        """Whether a piece says again what is known already."""
        if not piece.id or piece.id != self.id:
            return False
        return not piece.arguments.strip() or not self.arguments or self.has_said(piece.arguments)

    def has_said(self, arguments: str) -> bool:
        """Whether the arguments so far are these. Only what is as long is looked at: most pieces are not."""
        if abs(len(arguments) - self._size) > _MOST_BLANKS:
            return False
        return arguments.strip() == ("".join(self.arguments) or self.held).strip()

    def _append(self, arguments: str) -> None:
        if arguments:
            self.arguments.append(arguments)
            self._size += len(arguments)

    def add(self, piece: Piece) -> None:
        self.id = self.id or piece.id
        may_grow = not self.arguments and len(self.names) < _MOST_NAME_PIECES
        if piece.name and (may_grow or not self.names):
            self.names.append(piece.name)
        if self.arguments:
            self._append(piece.arguments)
        elif says_nothing(piece.arguments):
            self.held = piece.arguments.strip() or self.held
        else:
            self._append(piece.arguments)
        self.extras.add(piece.extras)


class CallAssembler:
    """Puts calls together, and tells of them in their order.

    Args:
        offered: the names of the functions that the model was offered.
    """

    def __init__(self, offered: Sequence[str] = ()) -> None:
        self._offered = frozenset(offered)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._surplus = _Call(MOST_CALLS)
        self._opened = 0
        """Calls of which readers know, the first ones."""

    def add(self, pieces: Sequence[Piece], tell: Callable[[CallDelta], None]) -> None:
        """Take the pieces of one frame, and tell of what is settled by them."""
        if self._are_said(pieces):
            return
        for piece in pieces:
            call = self._call_of(piece)
            if call is self._surplus:
                continue
            if call.whole and call.repeats(piece):
                call.extras.add(piece.extras)
            else:
                call.add(piece)
            self._tell(call, tell)

    def end(self, tell: Callable[[CallDelta], None]) -> list[CallFacts]:
        """Tell of the rest; return what goes back to the model with each call."""
        known = self._calls[: self._opened]
        late = [call for call in self._calls[self._opened :] if call.names or call.arguments]
        for number, call in enumerate(late, len(known)):
            call.number = number
            self._open(call, tell)
        self._calls = known + late
        self._opened = len(self._calls)
        for call in self._calls:
            call.arguments = call.arguments or ["{}"]
            self._tell_arguments(call, tell)
        return [CallFacts(call.id or None, call.extras.plain()) for call in self._calls]

    def _are_said(self, pieces: Sequence[Piece]) -> bool:
        """Whether a frame repeats all calls, as some servers' last one does."""
        if len(pieces) != len(self._calls) or not pieces:
            return False
        return all(
            piece.name == _settled(call.names, self._offered)
            and piece.id == call.id
            and bool(piece.id)
            and call.has_said(piece.arguments)
            for piece, call in zip(pieces, self._calls, strict=True)
        )

    # --- which call --------------------------------------------------------------------------------

    def _call_of(self, piece: Piece) -> _Call:
        call = self._at(piece)
        if call is None or (piece.name and call.names and self._is_another(piece, call)):
            call = self._new()
        if call is not self._surplus:
            if piece.at is not None:
                self._by_index[piece.at] = call
            if piece.id and not call.id:
                self._by_id[piece.id] = call
        return call

    def _at(self, piece: Piece) -> _Call | None:
        if piece.at is not None:
            return self._by_index.get(piece.at)
        if piece.id and (known := self._by_id.get(piece.id)) is not None:
            return known
        if piece.id and piece.name:
            return None
        return self._calls[-1] if self._calls else None

    def _is_another(self, piece: Piece, call: _Call) -> bool:
        if call.repeats(piece):
            return False
        if call.whole or piece.alone:
            return True
        # Two calls without arguments at one index, each with an id: their names tell them apart.
        name = _settled(call.names, self._offered)
        differs = bool(piece.id and call.id and piece.id != call.id and piece.name != name)
        return differs and not call.arguments and {piece.name, name} <= self._offered

    def _new(self) -> _Call:
        if len(self._calls) >= MOST_CALLS:
            return self._surplus
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call

    # --- what is told -------------------------------------------------------------------------------

    def _tell(self, call: _Call, tell: Callable[[CallDelta], None]) -> None:
        """Tell of calls in their order, as far as each is settled, and of what has come for this one."""
        while self._opened < len(self._calls) and self._is_settled(self._calls[self._opened]):
            self._open(self._calls[self._opened], tell)
            self._opened += 1
        if call.number < self._opened:
            self._tell_arguments(call, tell)

    def _is_settled(self, call: _Call) -> bool:
        return bool(call.names) and bool(call.arguments or call.number < len(self._calls) - 1)

    def _open(self, call: _Call, tell: Callable[[CallDelta], None]) -> None:
        name = storable(_settled(call.names, self._offered)[:LONGEST_NAME])
        tell(CallDelta(call.number, call.id or None, name))
        self._tell_arguments(call, tell)

    def _tell_arguments(self, call: _Call, tell: Callable[[CallDelta], None]) -> None:
        if pieces := call.arguments[call.told :]:
            call.told = len(call.arguments)
            tell(CallDelta(call.number, arguments="".join(pieces)))


def says_nothing(arguments: str) -> bool:
    """Whether arguments are blank, or as good as."""
    return len(arguments) < 64 and arguments.strip() in ("", "{}", "null")


def _settled(names: Sequence[str], offered: frozenset[str]) -> str:
    """Return the name that pieces make: all together, or the first that was offered, or the first."""
    if not names:
        return ""
    joined = "".join(names).strip()
    if len(names) == 1 or joined in offered:
        return joined
    stripped = [name.strip() for name in names]
    return next((name for name in stripped if name in offered), stripped[0])


def pieces_of(entries: Any) -> list[Piece]:
    """Return the pieces in ``tool_calls``, or in the older ``function_call``, whatever their types."""
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        return []
    pieces: list[Piece] = []
    for entry in entries:
        if isinstance(entry, dict) and (piece := _piece(entry, bool(pieces))) is not None:
            pieces.append(piece)
    return pieces


def _piece(entry: Json, later: bool) -> Piece | None:
    function = entry.get("function")
    if not isinstance(function, dict):
        function = entry
    name, id = function.get("name"), entry.get("id")
    name = name if isinstance(name, str) else entry["name"] if isinstance(entry.get("name"), str) else ""
    arguments = _arguments(function["arguments"] if "arguments" in function else entry.get("arguments"))
    index = _index(entry.get("index"))
    id = id if isinstance(id, str) else str(id) if isinstance(id, int) and not isinstance(id, bool) else ""
    extras = {key: value for key, value in entry.items() if key not in _KNOWN and not is_empty(value)}
    if function is not entry:
        inner = {k: v for k, v in function.items() if k not in _KNOWN_OF_FUNCTION and not is_empty(v)}
        extras |= {"function": inner} if inner else {}
    if not (name.strip() or id or arguments or extras) and index is None:
        return None
    alone = later and index is None and not id and bool(name.strip())
    name = name[:_LONGEST_NAME_PIECE] if name.strip() else ""
    return Piece(index, storable(id[:_LONGEST_ID]), name, arguments, extras, alone)


def _index(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def _arguments(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
    return _encode(value).decode()


def storable(text: str) -> str:
    """Return text that every database takes."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
