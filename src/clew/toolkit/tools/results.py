"""What became of a tool call, and whether a set of outputs is what a run waits for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from clew.toolkit.errors import ToolOutputInvalid
from clew.toolkit.records import CalledFunction, ToolCall
from clew.toolkit.service import ToolOutput

Outcome: TypeAlias = Literal["ok", "invalid", "failed", "timeout", "refused", "unknown"]

MOST_OUTPUT = 512 * 1024
"""Characters that an output may have at all; an executor's own limit is far lower."""


class ToolResult(Struct, frozen=True, kw_only=True):
    """One call and its output.

    Attributes:
        call_id: the id that the output answers.
        name: the tool's name as the model wrote it.
        arguments: the arguments as the model wrote them.
        output: what the model is told: text or JSON, or ``{"error": ...}``.
        outcome: ``ok``; ``invalid`` (wrong arguments), ``failed`` (it raised), ``timeout``,
            ``refused`` (no approval), ``unknown`` (no such tool).
        seconds: how long the function took, over all attempts; approval isn't counted.
        attempts: how often it was tried; 0 if it never ran.
        cut: how many characters of the output are missing.
        error: the exception, for programs; the model sees ``output``.
    """

    call_id: str
    name: str
    arguments: str
    output: str
    outcome: Outcome = "ok"
    seconds: float = 0.0
    attempts: int = 0
    cut: int = 0
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Return whether the tool gave an answer."""
        return self.outcome == "ok"

    def to_wire(self) -> ToolOutput:
        """Return what ``submit_tool_outputs`` takes."""
        return {"tool_call_id": self.call_id, "output": self.output}


def call_of(call: Any) -> ToolCall:
    """Return a call as a record: from a record, a vendor's object or its JSON."""
    if isinstance(call, ToolCall):
        return call
    function = _get(call, "function")
    return ToolCall(
        id=str(_get(call, "id") or ""),
        type=str(_get(call, "type") or "function"),
        function=CalledFunction(
            name=str(_get(function, "name") or ""), arguments=str(_get(function, "arguments") or "")
        ),
    )


def check_outputs(calls: Iterable[ToolCall], outputs: Sequence[ToolOutput]) -> None:
    """Check that ``outputs`` answer ``calls``: each exactly once, nothing else, every one a string.

    Raises:
        ToolOutputInvalid: they don't; the message names the ids.
    """
    wanted = [call.id for call in calls]
    given = [output.get("tool_call_id") for output in outputs]
    if sorted(map(str, given)) != sorted(wanted):
        missing = [id for id in wanted if id not in given]
        foreign = [id for id in given if id not in wanted]
        doubled = sorted({str(id) for id in given if given.count(id) > 1})
        raise ToolOutputInvalid(
            f"The outputs don't match the calls: missing {missing}, unknown {foreign}, doubled {doubled}."
        )
    for output in outputs:
        text: object = output.get("output")
        if not isinstance(text, str):
            raise ToolOutputInvalid(
                f"The output of {output['tool_call_id']} is {type(text).__name__}, not a string."
            )
        if len(text) > MOST_OUTPUT:
            raise ToolOutputInvalid(f"The output of {output['tool_call_id']} has {len(text)} characters.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ToolOutputInvalid(f"The output of {output['tool_call_id']} isn't valid Unicode.")


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
