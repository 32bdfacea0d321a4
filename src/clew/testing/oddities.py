"""The oddities of chat-completions endpoints that a scripted model can have, by name.

Two kinds: how an answer is spelled, and what of a request is refused. docs/testing-your-app.md lists them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from clew.testing.http1 import Step, head
from clew.testing.odd_answers import BYTES, ENDS, TEXTS, USAGES, reasoning
from clew.testing.odd_calls import CALLS, short_ids, signatures
from clew.testing.odd_demands import DEMANDS, SHAPES, Demand, shaped
from clew.testing.odd_errors import ERRORS
from clew.testing.replies import Request
from clew.testing.stream import Stream

__all__ = ["KINDS", "ODDITIES", "SHAPES", "Oddity", "known", "refusal", "spelling", "table"]

_SPELLED: dict[str, Callable[[Stream], None]] = {
    "wants_reasoning_back": reasoning,
    "wants_signatures_back": signatures,
    "nine_letter_ids": short_ids,
}
"""How those spell their answers who demand to get something back."""


class Oddity(NamedTuple):
    """One oddity.

    ``spell`` changes an answer that is streamed, ``demand`` says what is wrong with a request.
    """

    name: str
    kind: str
    description: str
    spell: Callable[[Stream], None] | None = None
    demand: Demand | None = None


def _description(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


def _all() -> Iterator[Oddity]:
    spelled = {
        "the text": TEXTS, "the calls": CALLS, "the end": ENDS, "the usage": USAGES, "the bytes": BYTES,
        "errors": ERRORS,
    }  # fmt: skip
    for kind, functions in spelled.items():
        for spell in functions:
            yield Oddity(spell.__name__, kind, _description(spell), spell)
    for demand in DEMANDS:
        name = demand.__name__
        yield Oddity(name, "requests refused", _description(demand), _SPELLED.get(name), demand)


ODDITIES = {oddity.name: oddity for oddity in _all()}
KINDS = tuple(dict.fromkeys(oddity.kind for oddity in ODDITIES.values()))


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names if there are such oddities.

    Raises:
        ValueError: there is one that is not known.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in ODDITIES:
            raise ValueError(f"there is no oddity {name!r}: docs/testing-your-app.md lists them")
    return names


def spelling(names: Iterable[str]) -> Callable[[Stream], None] | None:
    """Return what makes an answer odd, one oddity after another; None if nothing does."""
    spells = [spell for name in known(names) if (spell := ODDITIES[name].spell) is not None]

    def spell_all(stream: Stream) -> None:
        for spell in spells:
            spell(stream)

    return spell_all if spells else None


def refusal(
    names: Iterable[str], request: Request, *, context: int, shape: str | None = None
) -> Iterator[Step] | None:
    """Return the first refusal of a request; None if it is taken. ``shape`` is one of :data:`SHAPES`."""
    for name in names:
        demand = ODDITIES[name].demand
        refused = demand(request, context) if demand is not None else None
        if refused is not None:
            data = msgspec.json.encode(shaped(refused, shape or refused.shape))
            return iter((head(refused.status, {"content-type": "application/json"}, len(data)) + data,))
    return None


def table(kind: str) -> str:
    """Return the oddities of a kind as a table for the documentation."""
    rows = [f"| `{each.name}` | {each.description} |" for each in ODDITIES.values() if each.kind == kind]
    return "\n".join([f"| {kind} | what is odd |", "|---|---|", *rows])
