"""What clients may send, field by field with its limits.

Source: OpenAI's published API schema (Assistants v2) and azure-ai-agents 1.1.0. Every type refuses
fields it doesn't know. ``null`` for an optional field means "not given".
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from clew.wire.dialects import AZURE_MESSAGE_TEXT

Json: TypeAlias = dict[str, Any]

Name: TypeAlias = Annotated[str, Meta(max_length=256)]
Description: TypeAlias = Annotated[str, Meta(max_length=512)]
Instructions: TypeAlias = Annotated[str, Meta(max_length=256_000)]
ModelName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
TokenBudget: TypeAlias = Annotated[int, Meta(ge=1)]
# Python's "$" also matches before a line break at the end.
FunctionName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$(?!\n)")]
MessageText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=AZURE_MESSAGE_TEXT)]


class Request(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request's body, or a part of it."""


# --- tools -----------------------------------------------------------------------------------------


class FunctionDefinition(Request):
    """A function that the client runs. ``parameters`` is a JSON Schema, kept as it is."""

    name: FunctionName
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class FunctionTool(Request, tag="function"):
    """A tool that the client runs."""

    function: FunctionDefinition


class CodeInterpreterTool(Request, tag="code_interpreter"):
    """Python in a sandbox. Kept with the agent; this server does not run it yet."""


class RankingOptions(Request):
    """How file_search ranks what it finds."""

    ranker: str | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class FileSearchOptions(Request):
    """How file_search searches."""

    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchTool(Request, tag="file_search"):
    """Search in files. Kept with the agent; this server does not run it yet."""

    file_search: FileSearchOptions | None = None


class OpenApiTool(Request, tag="openapi"):
    """An HTTP API as a tool (Azure). Kept with the agent; this server does not run it yet."""

    openapi: Json


class ConnectedAgentTool(Request, tag="connected_agent"):
    """Another agent as a tool (Azure). Kept with the agent; this server does not run it yet."""

    connected_agent: Json


class BingGroundingTool(Request, tag="bing_grounding"):
    """Web search (Azure). Kept with the agent; this server does not run it yet."""

    bing_grounding: Json


class AzureAISearchTool(Request, tag="azure_ai_search"):
    """Azure AI Search. Kept with the agent; this server does not run it yet."""

    azure_ai_search: Json | None = None


class AzureFunctionTool(Request, tag="azure_function"):
    """An Azure function. Kept with the agent; this server does not run it yet."""

    azure_function: Json


Tool: TypeAlias = (
    FunctionTool
    | CodeInterpreterTool
    | FileSearchTool
    | OpenApiTool
    | ConnectedAgentTool
    | BingGroundingTool
    | AzureAISearchTool
    | AzureFunctionTool
)
Tools: TypeAlias = Annotated[list[Tool], Meta(max_length=128)]


class CodeInterpreterResources(Request):
    """Files for code_interpreter."""

    file_ids: Annotated[list[str], Meta(max_length=20)] | None = None


class FileSearchResources(Request):
    """Vector stores for file_search."""

    vector_store_ids: Annotated[list[str], Meta(max_length=1)] | None = None
    vector_stores: Annotated[list[Json], Meta(max_length=1)] | None = None


class ToolResources(Request):
    """What an agent's or a thread's tools work on."""

    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None
    azure_ai_search: Json | None = None


# --- choices ---------------------------------------------------------------------------------------


class TextFormat(Request, tag="text"):
    """Answer in plain text."""


class JsonObjectFormat(Request, tag="json_object"):
    """Answer with a JSON object."""


class JsonSchema(Request):
    """The schema of an answer."""

    name: FunctionName
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None


class JsonSchemaFormat(Request, tag="json_schema"):
    """Answer with JSON of a schema."""

    json_schema: JsonSchema


ResponseFormat: TypeAlias = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaFormat


class ChosenFunction(Request):
    """Which function must be called."""

    name: str


class NamedTool(Request):
    """Which tool must be called."""

    type: Literal[
        "function", "code_interpreter", "file_search", "bing_grounding", "azure_ai_search", "connected_agent"
    ]
    function: ChosenFunction | None = None


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool


class TruncationStrategy(Request):
    """Which messages of the thread the model is given."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Meta(ge=1)] | None = None


# --- agents ----------------------------------------------------------------------------------------


class AgentFields(Request):
    """What an agent may be given besides its model."""

    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None


class CreateAgent(AgentFields, kw_only=True):
    """Body of POST /assistants."""

    model: ModelName


class UpdateAgent(AgentFields, kw_only=True):
    """Body of POST /assistants/{id}: only what is given changes."""

    model: ModelName | None = None


# --- threads and messages --------------------------------------------------------------------------


class TextPart(Request, tag="text"):
    """A part of a message: text."""

    text: MessageText


class ImageUrl(Request):
    """An image by address, or inline as a ``data:`` URL."""

    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlPart(Request, tag="image_url"):
    """A part of a message: an image by address."""

    image_url: ImageUrl


class ImageFile(Request):
    """An image among the files."""

    file_id: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageFilePart(Request, tag="image_file"):
    """A part of a message: an image among the files."""

    image_file: ImageFile


Part: TypeAlias = TextPart | ImageUrlPart | ImageFilePart
Content: TypeAlias = MessageText | Annotated[list[Part], Meta(min_length=1)]


class AttachmentTool(Request):
    """What an attachment is for."""

    type: Literal["file_search", "code_interpreter"]


class Attachment(Request):
    """A file that comes with a message."""

    file_id: str | None = None
    data_source: Json | None = None
    tools: list[AttachmentTool] | None = None


class Role(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"


class CreateMessage(Request):
    """Body of POST /threads/{id}/messages."""

    role: Role
    content: Content
    attachments: list[Attachment] | None = None
    metadata: Metadata | None = None


TokenTotal: TypeAlias = Annotated[int, Meta(ge=1, le=2**53)]


class CreateThread(Request):
    """Body of POST /threads. ``token_budget`` is Clew's own: what all its runs may use together."""

    messages: list[CreateMessage] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    token_budget: TokenTotal | None = None


class UpdateThread(Request):
    """Body of POST /threads/{id}: only what is given changes."""

    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    token_budget: TokenTotal | None = None


class UpdateMetadata(Request):
    """Body of POST .../messages/{id} and .../runs/{id}."""

    metadata: Metadata | None = None


# --- runs ------------------------------------------------------------------------------------------


class RunOptions(Request):
    """What a run may be given besides its agent and its thread."""

    assistant_id: str
    model: ModelName | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation_strategy: TruncationStrategy | None = None
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
    expires_in: Annotated[int, Meta(ge=1, le=7 * 24 * 3600)] | None = None
    """Clew's own: seconds after which the run expires if it is not over, instead of the server's."""


class CreateRun(RunOptions):
    """Body of POST /threads/{id}/runs."""

    additional_instructions: Instructions | None = None
    additional_messages: list[CreateMessage] | None = None
    tool_resources: ToolResources | None = None
    """Azure's only: its clients send an empty one with every ``toolset``."""


class CreateThreadAndRun(RunOptions):
    """Body of POST /threads/runs."""

    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None


class ToolOutput(Request):
    """The output of one function call. A missing output counts as empty."""

    tool_call_id: str | None = None
    output: str | None = None


class SubmitToolOutputs(Request):
    """Body of POST .../runs/{id}/submit_tool_outputs."""

    tool_outputs: list[ToolOutput]
    stream: bool | None = None


# --- webhooks --------------------------------------------------------------------------------------

EventName: TypeAlias = Literal[
    "run.completed",
    "run.failed",
    "run.incomplete",
    "run.cancelled",
    "run.expired",
    "run.requires_action",
]


class CreateWebhook(Request):
    """Body of POST /webhooks (Clew's own). Without ``events``, the webhook is told all of them."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    events: Annotated[list[EventName], Meta(min_length=1, max_length=6)] | None = None
    metadata: Metadata | None = None
