"""The kinds of tools that this server runs, and the names under which a model is offered their functions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from clew.core.errors import ToolNotSwitchedOn, TooManyFunctions
from clew.core.records import RunConfig
from clew.core.tools import MOST_TOOLS, FunctionDefinition, FunctionTool, Offer, Tool, kind_of
from clew.tools.calculator import Calculator
from clew.tools.clock import Clock
from clew.tools.tool import ServerTool

KINDS: Mapping[str, ServerTool] = {tool.kind: tool for tool in (Clock(), Calculator())}
"""Every kind that Clew knows how to run."""

_LONGEST_NAME = 64


class Offered(NamedTuple):
    """A function under the name that the model is offered."""

    definition: FunctionDefinition
    offer: Offer


class Toolbox:
    """The kinds that are switched on.

    Args:
        kinds: those that this process runs, by name.
    """

    def __init__(self, kinds: Mapping[str, ServerTool]) -> None:
        self._kinds = kinds

    def with_(self, tool: ServerTool) -> "Toolbox":
        """Return the same with another kind, which stands on this process's own things."""
        return Toolbox({**self._kinds, tool.kind: tool})

    def __getitem__(self, kind: str) -> ServerTool:
        return self._kinds[kind]

    @property
    def kinds(self) -> Iterable[str]:
        """The kinds that are switched on."""
        return self._kinds.keys()

    def __contains__(self, kind: str) -> bool:
        return kind in self._kinds

    def check(self, tools: Sequence[Tool]) -> None:
        """See that every tool that the server would have to run is switched on.

        Raises:
            ToolNotSwitchedOn: one is not.
            TooManyFunctions: together they offer more functions than a model may be offered.
        """
        for tool in tools:
            if kind_of(tool) in KINDS and kind_of(tool) not in self:
                raise ToolNotSwitchedOn(kind_of(tool))
        count = len(list(self.offered(tools))) + sum(isinstance(tool, FunctionTool) for tool in tools)
        if count > MOST_TOOLS:
            raise TooManyFunctions(count, MOST_TOOLS)

    def offers(self, tools: Sequence[Tool]) -> dict[str, Offer]:
        """Return what the server runs of a run's tools, by the names that the model is offered."""
        if all(isinstance(tool, FunctionTool) for tool in tools):
            return {}
        return {each.definition.name: each.offer for each in self.offered(tools)}

    def offered(self, tools: Sequence[Tool]) -> Iterator[Offered]:
        """Yield the functions that the server runs, in order, under unique names that are always the same.

        A client's function keeps its name, whatever that is.
        """
        taken = {tool.function.name for tool in tools if isinstance(tool, FunctionTool)}
        for index, tool in enumerate(tools):
            kind = self._kinds.get(kind_of(tool))
            for function in kind.functions(tool) if kind is not None else ():
                name = _free(function.name, taken)
                taken.add(name)
                offer = Offer(
                    kind=kind_of(tool),
                    tool=index,
                    function=function.name,
                    repeatable=kind.repeatable if kind is not None else False,
                    approval=getattr(tool, "require_approval", None) == "always",
                )
                yield Offered(replace(function, name=name), offer)

    def definitions(self, config: RunConfig) -> list[FunctionDefinition]:
        """Return the functions that a run offers its model, as its row names them."""
        return [
            replace(function, name=name)
            for name, offer in config.offers.items()
            if offer.kind in self
            for function in self[offer.kind].functions(config.tools[offer.tool])
            if function.name == offer.function
        ]


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: the one wished for, or it with the next free number."""
    number, free = 1, name[:_LONGEST_NAME]
    while free in taken:
        number += 1
        ending = f"_{number}"
        free = name[: _LONGEST_NAME - len(ending)] + ending
    return free
