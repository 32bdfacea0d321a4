"""A tool: a function, what the model is told of it, and how it may be run."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clew.toolkit.errors import ToolDefinitionError
from clew.toolkit.records import Json
from clew.toolkit.tools.schema import Arguments, FunctionArguments, SchemaArguments, describe

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that a model may ask for. Make one with :func:`tool`.

    Attributes:
        name: at most 64 letters, digits, ``_`` and ``-``.
        description: what the model is told.
        arguments: reads a call's arguments.
        function: plain or asynchronous.
        timeout: seconds a call may take; None takes the executor's.
        attempts: how often to try when the function raises; more than 1 only for what is safe to do
            twice.
        sequential: whether no other call may run at the same time.
        needs_approval: whether a person must say yes to each call.
    """

    name: str
    description: str
    arguments: Arguments
    function: Callable[..., object]
    timeout: float | None = None
    attempts: int = 1
    sequential: bool = False
    needs_approval: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolDefinitionError(
                f"{self.name!r} is no name for a tool: use at most 64 letters, digits, _ and -"
            )
        if self.attempts < 1 or (self.timeout is not None and self.timeout <= 0):
            raise ToolDefinitionError(f"{self.name}: attempts must be at least 1 and timeout more than 0")

    @property
    def definition(self) -> Json:
        """Return what ``create_agent(tools=[...])`` takes."""
        function = {"name": self.name, "description": self.description, "parameters": self.arguments.schema}
        return {"type": "function", "function": function}


def tool(
    function: Callable[..., object],
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    safe_to_retry: bool = False,
    attempts: int = 3,
    sequential: bool = False,
    needs_approval: bool = False,
) -> Tool:
    """Make a tool of a function.

    Args:
        function: plain or asynchronous; its type hints and docstring tell the model how to call it.
        name: what the model calls it, by default the function's name.
        description: what the model is told of it, by default the docstring without its sections.
        parameters: a JSON Schema of the arguments, instead of the type hints; ``function`` then gets
            them by name as plain JSON values.
        timeout: seconds a call may take. A plain function that takes longer is left behind in its
            thread, since threads can't be killed.
        safe_to_retry: whether it does no harm to do it twice. Only then is it repeated when it raises.
        attempts: how often in all, if it is safe to retry.
        sequential: whether no other call may run at the same time.
        needs_approval: whether a person must say yes to each call.

    Raises:
        ToolDefinitionError: the signature, schema, name or numbers can't be used.
    """
    label = str(name or getattr(function, "__name__", type(function).__name__))
    arguments: Arguments
    arguments = FunctionArguments(function) if parameters is None else SchemaArguments(label, parameters)
    return Tool(
        name=label,
        description=describe(function)[0] if description is None else description,
        arguments=arguments,
        function=function,
        timeout=timeout,
        attempts=attempts if safe_to_retry else 1,
        sequential=sequential,
        needs_approval=needs_approval,
    )
