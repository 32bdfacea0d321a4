"""The tools that agents and runs are given, and what a tool may be made to do.

Source of the shapes: OpenAI's published API schema and azure-ai-agents. A function is run by the client;
every other kind by the server, by the file of its kind in :mod:`clew.tools`.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from clew.core.options import Declared, FunctionName, Json

FILE_SEARCH = "file_search"
"""The kind of tool that searches in files, whose results are cited."""

CODE_INTERPRETER = "code_interpreter"
"""The kind of tool that runs code which the model writes, and leaves files and plots."""

MOST_TOOLS = 128
"""Tools that an agent or a run may have, and functions that a model may be offered."""

Approval: TypeAlias = Literal["always", "never"]
"""Whether a person must approve each call before the server runs it."""


class FunctionDefinition(Declared, frozen=True):
    """A function that the client runs. ``parameters`` is a JSON Schema, kept as it is."""

    name: FunctionName
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class FunctionTool(Declared, frozen=True, tag="function"):
    """A tool that the client runs."""

    function: FunctionDefinition


class ClockTool(Declared, frozen=True, tag="clew_clock"):
    """The server's clock (Clew's own)."""

    require_approval: Approval | None = None


class CalculatorTool(Declared, frozen=True, tag="clew_calculator"):
    """A calculator (Clew's own)."""

    require_approval: Approval | None = None


class CodeInterpreterTool(Declared, frozen=True, tag="code_interpreter"):
    """Python in a sandbox."""


class RankingOptions(Declared, frozen=True):
    """How file_search ranks what it finds."""

    ranker: str | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class FileSearchOptions(Declared, frozen=True):
    """How file_search searches."""

    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchTool(Declared, frozen=True, tag="file_search"):
    """Search in files: the vector stores of the agent, and of the thread."""

    file_search: FileSearchOptions | None = None


class OpenApiTool(Declared, frozen=True, tag="openapi"):
    """An HTTP API as a tool (Azure). Kept with the agent; this server does not run it yet."""

    openapi: Json


class McpTool(Declared, frozen=True, tag="mcp"):
    """A server of the Model Context Protocol (Azure). Kept with the agent; not run yet."""

    server_label: Annotated[str, Meta(min_length=1, max_length=256)]
    server_url: Annotated[str, Meta(min_length=1, max_length=2048)]
    allowed_tools: list[str] | None = None


class ConnectedAgentTool(Declared, frozen=True, tag="connected_agent"):
    """Another agent as a tool (Azure). Kept with the agent; this server does not run it yet."""

    connected_agent: Json


class BingGroundingTool(Declared, frozen=True, tag="bing_grounding"):
    """Web search (Azure). Kept with the agent; this server does not run it yet."""

    bing_grounding: Json


class AzureAISearchTool(Declared, frozen=True, tag="azure_ai_search"):
    """Azure AI Search. Kept with the agent; this server does not run it yet."""

    azure_ai_search: Json | None = None


class AzureFunctionTool(Declared, frozen=True, tag="azure_function"):
    """An Azure function. Kept with the agent; this server does not run it yet."""

    azure_function: Json


class OtherTool(Declared, frozen=True, tag="clew_other"):
    """A tool of a kind that this version does not know, kept as it was given and shown so."""

    given: Json


ServerTool: TypeAlias = ClockTool | CalculatorTool
"""The kinds that this server runs, if they are switched on."""

KeptTool: TypeAlias = (
    OpenApiTool | McpTool | ConnectedAgentTool | BingGroundingTool | AzureAISearchTool | AzureFunctionTool
)
"""The kinds that are kept with an agent, and that no run can use yet."""

DeclaredTool: TypeAlias = FunctionTool | ServerTool | CodeInterpreterTool | FileSearchTool | KeptTool
"""What a client may declare."""

Tool: TypeAlias = DeclaredTool | OtherTool


def kind_of(tool: Tool) -> str:
    """Return a tool's kind, as the wire names it in ``type``."""
    return str(tool.given.get("type")) if isinstance(tool, OtherTool) else str(tool.__struct_config__.tag)


class Offer(Struct, frozen=True, kw_only=True):
    """A function that the model is offered and the server runs.

    ``repeatable`` says whether a call that may have begun before a crash is safe to make once more.
    """

    kind: str
    tool: int
    """Which of the run's tools it belongs to."""
    function: str
    """What that tool calls it; the model may be offered another name, so that names are unique."""
    repeatable: bool
    approval: bool = False


# --- what tools work on ------------------------------------------------------------------------------


class CodeInterpreterResources(Declared, frozen=True):
    """Files for code_interpreter."""

    file_ids: Annotated[list[str], Meta(max_length=20)] | None = None


class FileSearchResources(Declared, frozen=True):
    """Vector stores for file_search."""

    vector_store_ids: Annotated[list[str], Meta(max_length=1)] | None = None
    vector_stores: Annotated[list[Json], Meta(max_length=1)] | None = None


class ToolResources(Declared, frozen=True):
    """What an agent's or a thread's tools work on."""

    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None
    azure_ai_search: Json | None = None


# --- which tool a model must call --------------------------------------------------------------------


class ChosenFunction(Declared, frozen=True):
    """Which function must be called."""

    name: str


class NamedTool(Declared, frozen=True):
    """Which tool must be called."""

    type: Literal[
        "function",
        "clew_clock",
        "clew_calculator",
        "code_interpreter",
        "file_search",
        "bing_grounding",
        "azure_ai_search",
        "connected_agent",
    ]
    function: ChosenFunction | None = None


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool
