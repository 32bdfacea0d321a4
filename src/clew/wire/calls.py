"""Steps' details and the calls in them, whole and in pieces, as both services shape them.

A call has a member named like its kind; tracing code of azure-ai-agents fails on any that has none. Source of
the shapes: OpenAI's published API schema (``RunStepDetails*``, ``RunStepDelta*``) and azure-ai-agents.
A kind of server-side tool has two types here, of its calls and of their pieces.
"""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from clew.core.entries import CallOutput, CallPiece
from clew.core.options import Json
from clew.core.records import FUNCTION, Call
from clew.core.tools import CODE_INTERPRETER, FILE_SEARCH


class WrittenMessage(Struct, frozen=True):
    """Which message a step wrote."""

    message_id: str


class MessageCreationDetails(Struct, frozen=True, tag="message_creation"):
    """What a step did: it wrote a message. ``reasoning`` is there on request only."""

    message_creation: WrittenMessage
    reasoning: str | UnsetType = UNSET


class CalledTool(Struct, frozen=True):
    """What was called, how, and what it gave; ``output`` is null until that is known."""

    name: str
    arguments: str
    output: str | None


class FunctionCall(Struct, frozen=True, kw_only=True, tag="function"):
    """A call of a function that the client runs."""

    id: str
    function: CalledTool


class ClockCall(Struct, frozen=True, kw_only=True, tag="clew_clock"):
    """A call of the server's clock (Clew's own)."""

    id: str
    clew_clock: CalledTool


class CalculatorCall(Struct, frozen=True, kw_only=True, tag="clew_calculator"):
    """A call of the server's calculator (Clew's own)."""

    id: str
    clew_calculator: CalledTool


class FoundPassage(Struct, frozen=True):
    """The text of a result."""

    type: Literal["text"]
    text: str


class FileSearchResult(Struct, frozen=True, kw_only=True):
    """A passage that a search has found. Its text is there on request only; where it stands is Clew's own."""

    file_id: str
    file_name: str
    score: float
    attributes: dict[str, str | float | bool]
    chunk: int
    page: int | None
    first_line: int
    last_line: int
    content: list[FoundPassage] | UnsetType = UNSET


class RankingOptionsShown(Struct, frozen=True):
    """How a search ranked."""

    ranker: str
    score_threshold: float


class FileSearchDetails(Struct, frozen=True):
    """How a search ranked, and what it found; nothing until it is over."""

    results: list[FileSearchResult]
    ranking_options: RankingOptionsShown | UnsetType = UNSET


class FileSearchCall(Struct, frozen=True, kw_only=True, tag="file_search"):
    """A search in files."""

    id: str
    file_search: FileSearchDetails


class LogsOutput(Struct, frozen=True, tag="logs"):
    """What code has printed."""

    logs: str


class PlotFile(Struct, frozen=True):
    """Which file a plot is."""

    file_id: str


class PlotOutput(Struct, frozen=True, tag="image"):
    """A plot that code has shown."""

    image: PlotFile


class CodeDetails(Struct, frozen=True):
    """Code, and what came of it; nothing until it is over."""

    input: str
    outputs: list[LogsOutput | PlotOutput]


class CodeCall(Struct, frozen=True, kw_only=True, tag="code_interpreter"):
    """Code that was run."""

    id: str
    code_interpreter: CodeDetails


ToolCall: TypeAlias = FunctionCall | ClockCall | CalculatorCall | FileSearchCall | CodeCall


class ToolCallsDetails(Struct, frozen=True, tag="tool_calls"):
    """What a step did: it called tools. ``reasoning`` is there on request only."""

    tool_calls: list[ToolCall]
    reasoning: str | UnsetType = UNSET


StepDetails: TypeAlias = MessageCreationDetails | ToolCallsDetails


def shown(call: Call, *, content: bool = False) -> Any:
    """Return a call as clients see it in its step; with ``content``, what a search found has its text."""
    if call.kind == FILE_SEARCH:
        return {"id": call.id, "type": FILE_SEARCH, FILE_SEARCH: _found(call.detail or {}, content)}
    if call.kind == CODE_INTERPRETER:
        code = {"input": call.arguments, "outputs": _outputs(call.detail)}
        return {"id": call.id, "type": CODE_INTERPRETER, CODE_INTERPRETER: code}
    called = CalledTool(call.name, call.arguments, call.output)
    if call.kind == FUNCTION:
        return FunctionCall(id=call.id, function=called)
    return {"id": call.id, "type": call.kind, call.kind: called}


def _found(detail: Json, content: bool) -> Json:
    hidden = ("marker",) if content else ("marker", "content")
    results = [
        {name: value for name, value in result.items() if name not in hidden}
        for result in detail.get("results", ())
    ]
    return {"results": results} | {name: detail[name] for name in ("ranking_options",) if name in detail}


def _outputs(detail: Json | None) -> list[Json]:
    return list(detail["outputs"]) if detail is not None else []


# --- in pieces: as types, for the document only, and as they are sent --------------------------------------


class CalledPiece(Struct):
    """A piece of a call: its name comes once, its arguments piece by piece, a server's output last."""

    arguments: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    output: str | UnsetType | None = UNSET


class FunctionPiece(Struct, tag="function"):
    """A piece of a call of a function; the id comes once."""

    index: int
    function: CalledPiece
    id: str | UnsetType = UNSET


class ClockPiece(Struct, tag="clew_clock"):
    """A piece of a call of the server's clock."""

    index: int
    clew_clock: CalledPiece
    id: str | UnsetType = UNSET


class CalculatorPiece(Struct, tag="clew_calculator"):
    """A piece of a call of the server's calculator."""

    index: int
    clew_calculator: CalledPiece
    id: str | UnsetType = UNSET


class FileSearchPiece(Struct, tag="file_search"):
    """That a search has begun; what it finds comes with its completed step."""

    index: int
    file_search: FileSearchDetails
    id: str


class LogsPiece(Struct, tag="logs"):
    """What code has printed: it comes whole."""

    index: int
    logs: str


class PlotPiece(Struct, tag="image"):
    """A plot that code has shown."""

    index: int
    image: PlotFile


class CodePieceDetails(Struct):
    """A piece of code, which comes as it is written, or its outputs, when it has run."""

    input: str | UnsetType = UNSET
    outputs: list[LogsPiece | PlotPiece] | UnsetType = UNSET


class CodePiece(Struct, tag="code_interpreter"):
    """A piece of a call of code_interpreter; the id comes once."""

    index: int
    code_interpreter: CodePieceDetails
    id: str | UnsetType = UNSET


class CallPieces(Struct):
    """What a step of tool calls has got."""

    type: Literal["tool_calls"]
    tool_calls: list[FunctionPiece | ClockPiece | CalculatorPiece | FileSearchPiece | CodePiece]


class StepPieces(Struct):
    """What a step has got."""

    step_details: CallPieces


class StepDelta(Struct):
    """Data of ``thread.run.step.delta``."""

    id: str
    object: Literal["thread.run.step.delta"]
    delta: StepPieces


def piece(told: CallPiece) -> Json | None:
    """Return a call's piece in a step's delta; None if clients are told nothing of it.

    Clients add strings up, so an id or a name that came twice would be there twice.
    """
    call: Json = {"index": told.index, "type": told.kind}
    if told.kind == FILE_SEARCH:
        if told.id is None:
            return None
        return _delta(told.step_id, {**call, "id": told.id, FILE_SEARCH: {"results": []}})
    if told.kind == CODE_INTERPRETER:
        if told.id is None:
            return _delta(told.step_id, {**call, CODE_INTERPRETER: {"input": told.arguments}})
        return _delta(told.step_id, {**call, "id": told.id, CODE_INTERPRETER: {"input": "", "outputs": []}})
    if told.id is not None:
        call["id"] = told.id
        call[told.kind] = {"name": told.name, "arguments": told.arguments, "output": None}
    else:
        call[told.kind] = {"arguments": told.arguments}
    return _delta(told.step_id, call)


def output(told: CallOutput) -> Json | None:
    """Return the output of a server-side tool's call in a step's delta; None if that is told otherwise."""
    if told.kind == FILE_SEARCH:
        return None
    call: Json = {"index": told.index, "type": told.kind}
    if told.kind == CODE_INTERPRETER:
        outputs = [{"index": index, **each} for index, each in enumerate(_outputs(told.detail))]
        return _delta(told.step_id, {**call, CODE_INTERPRETER: {"outputs": outputs}}) if outputs else None
    call[told.kind] = {"output": told.output}
    return _delta(told.step_id, call)


def _delta(step_id: str, call: Json) -> Json:
    details = {"type": "tool_calls", "tool_calls": [call]}
    return {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
