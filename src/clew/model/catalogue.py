"""Which model answers to which name."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from clew.model.chat import ChatModel
from clew.model.endpoint import Prices

DEFAULT = "default"
"""The entry that answers to names that are nobody else's."""

_LONGEST_CHAIN = 8
_KEPT = 1_000


class ModelEntry(NamedTuple):
    """One model that a server offers.

    ``name`` is what its back end calls it, None for whatever a program calls it; ``retry_for`` are
    milliseconds over which a turn is asked again; ``fallback`` is the entry that is asked instead.
    """

    back_end: ChatModel
    name: str | None = None
    retry_for: int = 60_000
    fallback: str | None = None
    prices: Prices | None = None


class Choice(NamedTuple):
    """A model that may be asked for a turn: its entry's name, the entry, the name that its back end knows."""

    endpoint: str
    entry: ModelEntry
    model: str


class Models:
    """The models that a server offers.

    Args:
        entries: by the names that agents ask for; the one called ``default`` takes all other names.
        names: what the default is known to offer, besides.
    """

    def __init__(self, entries: Mapping[str, ModelEntry], names: tuple[str, ...] = ()) -> None:
        self._entries = dict(entries)
        self.names = tuple(dict.fromkeys([*(name for name in entries if name != DEFAULT), *names]))
        """The names that are known."""
        self._chains: dict[str, list[Choice]] = {}

    @property
    def entries(self) -> Mapping[str, ModelEntry]:
        """All entries, by name."""
        return self._entries

    def knows(self, name: str) -> bool:
        """Whether somebody answers to a name."""
        return name in self._entries or DEFAULT in self._entries

    def chain(self, name: str) -> list[Choice]:
        """Return who is asked for a model of that name: first its entry, then what that falls back to."""
        if name in self._chains:
            return self._chains[name]
        if len(self._chains) >= _KEPT:
            self._chains.clear()
        found = self._chains[name] = self._chain(name)
        return found

    def _chain(self, name: str) -> list[Choice]:
        choices: list[Choice] = []
        following: str | None = name
        while following is not None and len(choices) < _LONGEST_CHAIN:
            choice = self._choice(following)
            if choice is None or choice.endpoint in [each.endpoint for each in choices]:
                break
            choices.append(choice)
            following = choice.entry.fallback
        return choices

    def _choice(self, name: str) -> Choice | None:
        endpoint = name if name in self._entries else DEFAULT
        if (entry := self._entries.get(endpoint)) is None:
            return None
        return Choice(endpoint, entry, entry.name or name)

    async def aclose(self) -> None:
        """Release the back ends."""
        await asyncio.gather(*(entry.back_end.aclose() for entry in self._entries.values()))


def one_model(back_end: ChatModel, *, name: str | None = None, offered: tuple[str, ...] = ()) -> Models:
    """Return a catalogue of one back end, which answers to every name."""
    return Models({DEFAULT: ModelEntry(back_end, name)}, offered)
