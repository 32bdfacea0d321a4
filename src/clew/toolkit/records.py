"""Agents, threads, messages, runs and steps as plain frozen records, whoever serves them.

Field names are those of the wire, except that ``agent_id`` is what the wire calls ``assistant_id``.
Times are whole seconds since the Unix epoch. What a service leaves out is None or empty; what it
adds is ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct, field

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")


class RunStatus(StrEnum):
    """The states of a run. A service may add others, so records hold plain strings."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    REQUIRES_ACTION = "requires_action"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INCOMPLETE = "incomplete"


TERMINAL = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})
"""The states in which a run stays."""


class Record(Struct, frozen=True, kw_only=True):
    """An object as a service gave it."""


class Page(Struct, Generic[T], frozen=True):
    """One page of a list, in the order that was asked for."""

    data: tuple[T, ...]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class PromptDetails(Record, frozen=True, kw_only=True):
    """Of the prompt's tokens, how many the model had cached."""

    cached_tokens: int = 0


class Usage(Record, frozen=True, kw_only=True):
    """Tokens that a run or a step took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_token_details: PromptDetails | None = None


class Failure(Record, frozen=True, kw_only=True):
    """Why a run or a step failed."""

    code: str = "server_error"
    message: str = ""


class IncompleteReason(Record, frozen=True, kw_only=True):
    """Why a run or a message was cut short."""

    reason: str = ""


# --- agents and threads ----------------------------------------------------------------------------


class Agent(Record, frozen=True, kw_only=True):
    """A model with instructions and tools."""

    id: str
    created_at: int = 0
    name: str | None = None
    description: str | None = None
    model: str = ""
    instructions: str | None = None
    tools: tuple[Json, ...] = ()
    metadata: dict[str, str] = {}


class Thread(Record, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    created_at: int = 0
    metadata: dict[str, str] = {}


# --- messages --------------------------------------------------------------------------------------


class Text(Record, frozen=True, kw_only=True):
    """Text of a message; each annotation is as the service gave it."""

    value: str = ""
    annotations: tuple[Json, ...] = ()


class Content(Record, frozen=True, kw_only=True):
    """One part of a message: the field named like ``type`` is set."""

    type: str
    text: Text | None = None
    refusal: str | None = None
    image_file: Json | None = None
    image_url: Json | None = None


class Message(Record, frozen=True, kw_only=True):
    """A message. Azure gives no ``status`` outside of streams; then it is None."""

    id: str
    thread_id: str = ""
    created_at: int = 0
    role: str = "user"
    content: tuple[Content, ...] = ()
    status: str | None = None
    incomplete_details: IncompleteReason | None = None
    agent_id: str | None = field(default=None, name="assistant_id")
    run_id: str | None = None
    attachments: tuple[Json, ...] | None = ()
    metadata: dict[str, str] | None = {}

    @property
    def text(self) -> str:
        """Return its text parts and refusals, joined by newlines."""
        parts = (part.text.value if part.text is not None else part.refusal for part in self.content)
        return "\n".join(part for part in parts if part is not None)


# --- runs ------------------------------------------------------------------------------------------


class CalledFunction(Record, frozen=True, kw_only=True):
    """The function of a call; ``arguments`` is JSON in a string, as the model wrote it."""

    name: str = ""
    arguments: str = ""
    output: str | None = None


class ToolCall(Record, frozen=True, kw_only=True):
    """A call of a tool. ``function`` is None for tools that the service runs itself."""

    id: str = ""
    type: str = "function"
    function: CalledFunction | None = None

    @property
    def name(self) -> str:
        """Return the function's name, or the kind of tool."""
        return self.type if self.function is None else self.function.name


class SubmitToolOutputs(Record, frozen=True, kw_only=True):
    """The calls that wait for outputs."""

    tool_calls: tuple[ToolCall, ...] = ()


class SubmitToolApproval(Record, frozen=True, kw_only=True):
    """The calls of tools of the service that a person must approve or deny."""

    tool_calls: tuple[ToolCall, ...] = ()


class RequiredAction(Record, frozen=True, kw_only=True):
    """What a run waits for."""

    type: str = "submit_tool_outputs"
    submit_tool_outputs: SubmitToolOutputs | None = None
    submit_tool_approval: SubmitToolApproval | None = None


class Run(Record, frozen=True, kw_only=True):
    """An agent at work on a thread."""

    id: str
    thread_id: str = ""
    agent_id: str | None = field(default=None, name="assistant_id")
    status: str = "queued"
    created_at: int = 0
    started_at: int | None = None
    expires_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    required_action: RequiredAction | None = None
    last_error: Failure | None = None
    incomplete_details: IncompleteReason | None = None
    model: str = ""
    instructions: str | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = {}

    @property
    def is_terminal(self) -> bool:
        """Return whether it has ended."""
        return self.status in TERMINAL

    @property
    def pending_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls whose outputs it waits for, in the model's order."""
        if self.status != RunStatus.REQUIRES_ACTION or self.required_action is None:
            return ()
        outputs = self.required_action.submit_tool_outputs
        return () if outputs is None else outputs.tool_calls

    @property
    def pending_approvals(self) -> tuple[ToolCall, ...]:
        """Return the calls that a person must approve or deny, in the model's order."""
        if self.status != RunStatus.REQUIRES_ACTION or self.required_action is None:
            return ()
        approval = self.required_action.submit_tool_approval
        return () if approval is None else approval.tool_calls

    @property
    def needs_answers(self) -> bool:
        """Return whether it waits for outputs or approvals."""
        return bool(self.pending_calls or self.pending_approvals)

    @property
    def ended_at(self) -> int | None:
        """Return when it ended, or None if the service says no time (an expired run has none)."""
        return self.completed_at or self.failed_at or self.cancelled_at


class RunChange(Record, frozen=True, kw_only=True):
    """What a run has become, as a project's feed tells it. Of two of one run, the greater version counts."""

    run: str
    thread: str
    agent: str
    status: str
    version: int
    at: int


class MessageCreation(Record, frozen=True, kw_only=True):
    """The message that a step wrote."""

    message_id: str = ""


class StepDetails(Record, frozen=True, kw_only=True):
    """What a step did: wrote a message, or called tools."""

    type: str = ""
    message_creation: MessageCreation | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class Step(Record, frozen=True, kw_only=True):
    """A step of a run."""

    id: str
    run_id: str = ""
    thread_id: str = ""
    type: str = ""
    status: str = "in_progress"
    created_at: int = 0
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    expired_at: int | None = None
    last_error: Failure | None = None
    step_details: StepDetails = StepDetails()
    usage: Usage | None = None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls it made."""
        return self.step_details.tool_calls

    @property
    def is_open(self) -> bool:
        """Return whether it is still going on."""
        return self.status == "in_progress"
