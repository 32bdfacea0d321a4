"""What servers and code workers say to each other over the bus.

Each side reads the other's words as if an enemy had written them: a code worker's machine runs what anybody
made a model write. Whatever is asked has a number, and asking again with the same number does nothing twice:
so what the bus loses is asked again, and what somebody has recorded and sends again has no effect.
"""

import re
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from clew.sandbox.frames import MOST_PLOT, PIECE, plain
from clew.sandbox.sandbox import MOST_DISK, MOST_FILES, MOST_IMAGES, MOST_LOGS, Ended, Left

MOST_SAID = 3 * MOST_LOGS + 1024
"""Bytes of what a cell printed, as it travels: what was no UTF-8 takes three bytes for one."""

SPARE = 2048
"""Bytes that a message needs besides the piece it carries."""

WORKER = "code_"
"""Begins the name of a code worker."""

_WORKER = re.compile(rf"{WORKER}[0-9A-Za-z]{{1,40}}\Z")

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_-]+\Z")]
Name: TypeAlias = Annotated[str, Meta(max_length=255)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=PIECE)]
Piece: TypeAlias = Annotated[bytes, Meta(max_length=PIECE)]


class _Word(Struct, frozen=True, array_like=True, tag_field="is", tag=str.lower):
    pass


# --- what servers ask ---------------------------------------------------------------------------------


class Room(_Word, frozen=True):
    """Who has room for a session? Workers that have none say nothing."""


class Begin(_Word, frozen=True):
    """Begin a session, on an offer. It is the asker's in its first turn."""

    ticket: Id
    session: Id
    client: Id
    turn: Number


class Attach(_Word, frozen=True):
    """Give the session to the asker, whose turn is later than all that he had of it before.

    What another has running in it is called off: he is gone, or has been overtaken.
    """

    session: Id
    client: Id
    turn: Number


class Code(_Word, frozen=True):
    """A piece of a cell's code, before the one that :class:`Run` brings."""

    piece: Piece


class Run(_Word, frozen=True):
    """Run a cell."""

    piece: Piece
    seconds: Annotated[float, Meta(gt=0, le=3600)]


class Put(_Word, frozen=True):
    """A piece of a file that is to go in."""

    name: Name
    piece: Piece
    first: bool
    last: bool


class Take(_Word, frozen=True):
    """Give the next piece of a file: so many bytes, unless it ends before."""

    name: Name
    size: Size
    first: bool


class Fetch(_Word, frozen=True):
    """Give a piece of what came of the last cell: of what it printed (part 0) or of a plot."""

    part: Annotated[int, Meta(ge=0, le=MOST_IMAGES)]
    at: Number
    size: Size


class Again(_Word, frozen=True):
    """What became of what has this number?"""


class Interrupt(_Word, frozen=True):
    """Call off what has this number."""


class End(_Word, frozen=True):
    """End the session."""


class Ask(_Word, frozen=True):
    """Something asked of a session, in a turn of the asker's."""

    session: Id
    client: Id
    turn: Number
    number: Number
    do: Code | Run | Put | Take | Fetch | Again | Interrupt | End


# --- what workers answer --------------------------------------------------------------------------------


class Offer(_Word, frozen=True):
    """There is room, for whoever shows the ticket."""

    worker: Annotated[str, Meta(pattern=_WORKER.pattern)]
    ticket: Id


class Done(_Word, frozen=True):
    """It is done."""


class Busy(_Word, frozen=True):
    """It is under way: ask again."""


class Gone(_Word, frozen=True):
    """There is no such session, or it is not the asker's any more."""


class Trouble(_Word, frozen=True):
    """It can't be done."""

    message: Annotated[str, Meta(max_length=1000)]


class Bytes(_Word, frozen=True):
    """A piece of what was asked for; shorter than asked for, the last one."""

    piece: Piece


class Cell(_Word, frozen=True):
    """What came of a cell: short words at once, the rest by :class:`Fetch`."""

    raised: bool
    ended: Ended | None
    left: Annotated[list[tuple[Name, Annotated[int, Meta(ge=0, le=MOST_DISK)]]], Meta(max_length=MOST_FILES)]
    unseen: Number
    logs: Piece
    sizes: Annotated[
        list[Annotated[int, Meta(ge=0, le=max(MOST_PLOT, MOST_SAID))]],
        Meta(min_length=1, max_length=MOST_IMAGES + 1),
    ]

    def files(self) -> tuple[Left, ...]:
        """Return what it left, under names that surprise nobody."""
        found = dict(self.left)
        return tuple(Left(name=name, size=size) for name, size in found.items() if plain(name))


Question: TypeAlias = Room | Begin | Attach | Ask
Answer: TypeAlias = Offer | Done | Busy | Gone | Trouble | Bytes | Cell

encode = msgspec.msgpack.Encoder().encode
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def question(data: bytes) -> Question | None:
    """Return what is asked; None if it can't be read."""
    try:
        return _questions.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def answer(data: bytes) -> Answer | None:
    """Return what is answered; None if it can't be read."""
    try:
        return _answers.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def is_worker(name: str) -> bool:
    """Whether a name is that of a code worker, and so may stand in a subject."""
    return _WORKER.match(name) is not None
