"""What clients may send, field by field with its limits.

Source: OpenAI's published API schema (Assistants v2) and azure-ai-agents 1.1.0. Every type refuses
fields it doesn't know. ``null`` for an optional field means "not given".
"""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from clew.core.content import Attachment
from clew.core.options import Sampling, TruncationStrategy
from clew.core.tools import MOST_TOOLS, DeclaredTool, ToolChoice, ToolResources
from clew.wire.dialects import AZURE_MESSAGE_TEXT

Name: TypeAlias = Annotated[str, Meta(max_length=256)]
Description: TypeAlias = Annotated[str, Meta(max_length=512)]
Instructions: TypeAlias = Annotated[str, Meta(max_length=256_000)]
ModelName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
TokenBudget: TypeAlias = Annotated[int, Meta(ge=1)]
MOST_MESSAGES = 1_000
"""Messages that one request may bring."""

MOST_PARTS = 1_000
"""Parts of one message, and answers to one run's calls."""

MessageText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=AZURE_MESSAGE_TEXT)]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body, or a part of it."""


Tools: TypeAlias = Annotated[list[DeclaredTool], Meta(max_length=MOST_TOOLS)]


# --- agents ----------------------------------------------------------------------------------------


class AgentFields(Request, Sampling, frozen=True):
    """What an agent may be given besides its model."""

    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None


class CreateAgent(AgentFields, frozen=True, kw_only=True):
    """Body of POST /assistants."""

    model: ModelName


class UpdateAgent(AgentFields, frozen=True, kw_only=True):
    """Body of POST /assistants/{id}: only what is given changes."""

    model: ModelName | None = None


# --- threads and messages --------------------------------------------------------------------------


class TextPart(Request, frozen=True, tag="text"):
    """A part of a message: text."""

    text: MessageText


class ImageUrl(Request, frozen=True):
    """An image by address, or inline as a ``data:`` URL."""

    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlPart(Request, frozen=True, tag="image_url"):
    """A part of a message: an image by address."""

    image_url: ImageUrl


class ImageFile(Request, frozen=True):
    """An image among the files."""

    file_id: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageFilePart(Request, frozen=True, tag="image_file"):
    """A part of a message: an image among the files."""

    image_file: ImageFile


Part: TypeAlias = TextPart | ImageUrlPart | ImageFilePart
Content: TypeAlias = MessageText | Annotated[list[Part], Meta(min_length=1, max_length=MOST_PARTS)]


class Role(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"


class CreateMessage(Request, frozen=True):
    """Body of POST /threads/{id}/messages."""

    role: Role
    content: Content
    attachments: Annotated[list[Attachment], Meta(max_length=MOST_PARTS)] | None = None
    metadata: Metadata | None = None


TokenTotal: TypeAlias = Annotated[int, Meta(ge=1, le=2**53)]


class CreateThread(Request, frozen=True):
    """Body of POST /threads. ``token_budget`` is Clew's own: what all its runs may use together."""

    messages: Annotated[list[CreateMessage], Meta(max_length=MOST_MESSAGES)] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    token_budget: TokenTotal | None = None


class UpdateThread(Request, frozen=True):
    """Body of POST /threads/{id}: only what is given changes."""

    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    token_budget: TokenTotal | None = None


class UpdateMetadata(Request, frozen=True):
    """Body of POST .../messages/{id} and .../runs/{id}."""

    metadata: Metadata | None = None


# --- runs ------------------------------------------------------------------------------------------


class RunOptions(Request, Sampling, frozen=True):
    """What a run may be given besides its agent and its thread."""

    assistant_id: str
    model: ModelName | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation_strategy: TruncationStrategy | None = None
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
    expires_in: Annotated[int, Meta(ge=1, le=7 * 24 * 3600)] | None = None
    """Clew's own: seconds after which the run expires if it is not over, instead of the server's."""


class CreateRun(RunOptions, frozen=True):
    """Body of POST /threads/{id}/runs."""

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[list[CreateMessage], Meta(max_length=MOST_MESSAGES)] | None = None
    tool_resources: ToolResources | None = None
    """Azure's only: its clients send an empty one with every ``toolset``."""


class CreateThreadAndRun(RunOptions, frozen=True):
    """Body of POST /threads/runs."""

    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None


class ToolOutput(Request, frozen=True):
    """The output of one function call. A missing output counts as empty.

    From 1.2.0b4 on, azure-ai-agents says what it is the output of.
    """

    type: Literal["function_call_output"] | None = None
    tool_call_id: str | None = None
    output: str | None = None


class ToolApproval(Request, frozen=True, kw_only=True):
    """Whether one call of a server-side tool may run (azure-ai-agents 1.2)."""

    tool_call_id: str | None = None
    approve: bool
    headers: dict[str, str] | None = None
    """For the call alone; no kind of tool that this server runs has any."""


class SubmitToolOutputs(Request, frozen=True):
    """Body of POST .../runs/{id}/submit_tool_outputs: outputs or approvals, as the run asks."""

    tool_outputs: Annotated[list[ToolOutput], Meta(max_length=MOST_PARTS)] | None = None
    tool_approvals: Annotated[list[ToolApproval], Meta(max_length=MOST_PARTS)] | None = None
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


class CreateWebhook(Request, frozen=True):
    """Body of POST /webhooks (Clew's own). Without ``events``, the webhook is told all of them."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    events: Annotated[list[EventName], Meta(min_length=1, max_length=6)] | None = None
    metadata: Metadata | None = None
