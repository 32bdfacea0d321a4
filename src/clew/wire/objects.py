"""The objects that clients get, as both services name and shape them. Pure: records in, wire out.

One shape serves both dialects: it holds the keys of either, which both vendors' clients accept.
Nullable fields are present with null. Times are whole seconds since the Unix epoch.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType

from clew.core.content import Attachment, Content
from clew.core.options import OPTIONS, ResponseFormat, Sampling, TruncationStrategy, option_values
from clew.core.records import Agent, ErrorCode, Failure, Message, Run, Step, StepType, Thread, Usage
from clew.core.states import CallState, MessageStatus, RunStatus, StepStatus, WaitsFor
from clew.core.tools import DeclaredTool, OtherTool, Tool, ToolChoice, ToolResources
from clew.wire import calls
from clew.wire.calls import MessageCreationDetails, StepDetails, ToolCallsDetails, WrittenMessage

T = TypeVar("T")
_IF_UNSET = tuple({"temperature": 1.0, "top_p": 1.0, "response_format": "auto"}.get(name) for name in OPTIONS)
"""What clients are shown of options that nobody has set."""


class ShownSampling(Sampling, frozen=True, kw_only=True):
    """The options of an answer as clients see them: these are never null."""

    temperature: float
    top_p: float
    response_format: ResponseFormat


class ObjectWithOptions(ShownSampling, frozen=True):
    """What has options of an answer; its id comes before them."""

    id: str


class AgentObject(ObjectWithOptions, frozen=True, kw_only=True):
    """An agent."""

    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: list[DeclaredTool]
    tool_resources: ToolResources
    metadata: dict[str, str]


class ThreadObject(Struct, frozen=True, kw_only=True):
    """A thread. ``token_budget`` and ``tokens_used`` are Clew's own."""

    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: dict[str, str]
    tool_resources: ToolResources
    token_budget: int | None
    tokens_used: int


class MessageIncompleteDetails(Struct, frozen=True):
    """Why a message is incomplete."""

    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class RunIncompleteDetails(Struct, frozen=True):
    """Why a run is incomplete."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens", "content_filter"]


class MessageObject(Struct, frozen=True, kw_only=True):
    """A message."""

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    thread_id: str
    status: MessageStatus
    incomplete_details: MessageIncompleteDetails | None
    completed_at: int | None
    incomplete_at: int | None
    role: Literal["user", "assistant"]
    content: list[Content]
    assistant_id: str | None
    run_id: str | None
    attachments: list[Attachment]
    metadata: dict[str, str]


class PromptTokenDetails(Struct, frozen=True):
    """Of the prompt's tokens, how many the model had cached."""

    cached_tokens: int


class UsageObject(Struct, frozen=True, kw_only=True):
    """Tokens used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_token_details: PromptTokenDetails


class LastError(Struct, frozen=True):
    """Why a run or a step failed."""

    code: ErrorCode
    message: str


class CalledFunction(Struct, frozen=True):
    """The function of a call that waits for its output; ``arguments`` is JSON in a string."""

    name: str
    arguments: str


class RequiredCall(Struct, frozen=True, kw_only=True):
    """A call that waits for its output."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class RequiredCalls(Struct, frozen=True):
    """The calls that wait for their outputs."""

    tool_calls: list[RequiredCall]


class SubmitToolOutputsAction(Struct, frozen=True, kw_only=True, tag_field="type", tag="submit_tool_outputs"):
    """What a run waits for: outputs of functions that the client runs."""

    submit_tool_outputs: RequiredCalls


class CallToApprove(Struct, frozen=True, kw_only=True):
    """A call that waits for a person's approval; ``type`` is the kind of tool."""

    id: str
    type: str
    name: str
    arguments: str


class CallsToApprove(Struct, frozen=True):
    """The calls that wait for approval."""

    tool_calls: list[CallToApprove]


class SubmitToolApprovalAction(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="submit_tool_approval"
):
    """What a run waits for: whether calls of server-side tools may run (azure-ai-agents 1.2)."""

    submit_tool_approval: CallsToApprove


RequiredAction: TypeAlias = SubmitToolOutputsAction | SubmitToolApprovalAction


class RunObject(ObjectWithOptions, frozen=True, kw_only=True):
    """A run."""

    object: Literal["thread.run"] = "thread.run"
    created_at: int
    assistant_id: str
    thread_id: str
    status: RunStatus
    started_at: int | None
    expires_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    required_action: RequiredAction | None
    last_error: LastError | None
    incomplete_details: RunIncompleteDetails | None
    model: str
    instructions: str | None
    tools: list[DeclaredTool]
    tool_resources: ToolResources
    metadata: dict[str, str]
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    truncation_strategy: TruncationStrategy
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    usage: UsageObject | None


class StepObject(Struct, frozen=True, kw_only=True):
    """A run step. Its expiry has two names, one a service."""

    id: str
    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: StepType
    status: StepStatus
    cancelled_at: int | None
    completed_at: int | None
    expired_at: int | None
    expires_at: int | None
    failed_at: int | None
    last_error: LastError | None
    step_details: StepDetails
    usage: UsageObject | None
    metadata: dict[str, str]


class Deleted(Struct, frozen=True):
    """The answer to a deletion."""

    id: str
    object: Literal[
        "assistant.deleted",
        "thread.deleted",
        "thread.message.deleted",
        "webhook.deleted",
        "file",
        "vector_store.deleted",
        "vector_store.file.deleted",
    ]
    deleted: bool = True


class ModelObject(Struct, frozen=True, kw_only=True):
    """A model that agents can use. What else is known of it is Clew's own, and left out if it isn't."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "clew"
    context_tokens: int | UnsetType = UNSET
    tools: bool | UnsetType = UNSET
    vision: bool | UnsetType = UNSET
    reasoning: bool | UnsetType = UNSET


class WebhookErrorObject(Struct, frozen=True, kw_only=True):
    """Why a webhook could not be told of an event. Without ``next_attempt_at``, it was given up."""

    at: int
    event: str
    run_id: str
    attempts: int
    status_code: int | None
    message: str
    next_attempt_at: int | None


class WebhookObject(Struct, frozen=True, kw_only=True):
    """A webhook. Only the answer to its creation holds the secret that signs what it is sent."""

    id: str
    object: Literal["webhook"] = "webhook"
    created_at: int
    url: str
    events: list[str]
    status: Literal["enabled", "disabled"]
    last_error: WebhookErrorObject | None
    metadata: dict[str, str]
    secret: str | UnsetType = UNSET


class ListObject(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: Sequence[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


def listed(items: Sequence[Any], has_more: bool) -> ListObject[Any]:
    """Return a list's envelope. An empty page has no ids: Azure's client pages until it sees that."""
    return ListObject(
        data=items,
        first_id=items[0].id if items else None,
        last_id=items[-1].id if items else None,
        has_more=has_more,
    )


def agent(record: Agent) -> AgentObject:
    """Return an agent as clients see it."""
    return AgentObject(
        id=record.id,
        created_at=record.created_at // 1000,
        name=record.name,
        description=record.description,
        model=record.model,
        instructions=record.instructions,
        tools=_shown(record.tools),
        tool_resources=record.tool_resources,
        metadata=record.metadata,
        **_sampling(record),
    )


def _sampling(record: Sampling) -> dict[str, Any]:
    options = zip(OPTIONS, option_values(record), _IF_UNSET, strict=True)
    return {name: unset if value is None else value for name, value, unset in options}


def _shown(tools: list[Tool]) -> list[DeclaredTool]:
    """Return tools as they were declared; what is of an unknown kind as it was given."""
    if OtherTool not in map(type, tools):
        return cast(list[DeclaredTool], tools)
    return [cast(DeclaredTool, tool.given) if isinstance(tool, OtherTool) else tool for tool in tools]


def thread(record: Thread) -> ThreadObject:
    """Return a thread as clients see it."""
    return ThreadObject(
        id=record.id,
        created_at=record.created_at // 1000,
        metadata=record.metadata,
        tool_resources=record.tool_resources,
        token_budget=record.token_budget,
        tokens_used=record.tokens_used,
    )


def message(record: Message) -> MessageObject:
    """Return a message as clients see it."""
    return MessageObject(
        id=record.id,
        created_at=record.created_at // 1000,
        thread_id=record.thread_id,
        status=record.status,
        incomplete_details=_incomplete(MessageIncompleteDetails, record.incomplete_reason),
        completed_at=_seconds(record.completed_at),
        incomplete_at=_seconds(record.incomplete_at),
        role=record.role,
        content=record.content,
        assistant_id=record.assistant_id,
        run_id=record.run_id,
        attachments=record.attachments,
        metadata=record.metadata,
    )


def run(record: Run, open_step: Step | None = None) -> RunObject:
    """Return a run as clients see it. ``open_step`` holds the calls that it waits for, if it does."""
    live = record.status.live
    config = record.config
    return RunObject(
        id=record.id,
        created_at=record.created_at // 1000,
        assistant_id=record.assistant_id or "",
        thread_id=record.thread_id,
        status=record.status,
        started_at=_seconds(record.started_at),
        expires_at=record.expires_at // 1000 if live and record.held is None else None,
        cancelled_at=_seconds(record.cancelled_at),
        failed_at=_seconds(record.failed_at),
        completed_at=_seconds(record.completed_at),
        required_action=_required_action(record, open_step) if open_step is not None else None,
        last_error=_last_error(record.last_error) if record.last_error is not None else None,
        incomplete_details=_incomplete(RunIncompleteDetails, record.incomplete_reason),
        model=config.model,
        instructions=config.instructions,
        tools=_shown(config.tools),
        tool_resources=config.tool_resources,
        metadata=record.metadata,
        max_completion_tokens=config.max_completion_tokens,
        max_prompt_tokens=config.max_prompt_tokens,
        truncation_strategy=config.truncation_strategy,
        tool_choice=config.tool_choice,
        parallel_tool_calls=config.parallel_tool_calls,
        usage=None if live else _usage(record.usage),
        **_sampling(config),
    )


def reasoned(record: Step) -> str | None:
    """Return what the model reasoned in the turn that a step ends, where its answer told."""
    facts = record.facts
    if facts is None:
        return None
    echo = facts.echo or {}
    told = next((echo[name] for name in _REASONING if isinstance(echo.get(name), str)), None)
    if told is None and isinstance(details := echo.get("reasoning_details"), list):
        texts = [each.get("text") or each.get("summary") for each in details if isinstance(each, dict)]
        told = "".join(text for text in texts if isinstance(text, str))
    return told or facts.thoughts


_REASONING = ("reasoning_content", "reasoning", "reasoning_text")
"""Fields in which models tell their reasoning."""


def step(record: Step, *, reasoning: bool = False, content: bool = False) -> StepObject:
    """Return a run step as clients see it.

    With ``reasoning``, what the model reasoned in its turn too; with ``content``, what searches found.
    """
    expired_at = _seconds(record.expired_at)
    return StepObject(
        id=record.id,
        created_at=record.created_at // 1000,
        run_id=record.run_id,
        assistant_id=record.assistant_id or "",
        thread_id=record.thread_id,
        type=record.type,
        status=record.status,
        cancelled_at=_seconds(record.cancelled_at),
        completed_at=_seconds(record.completed_at),
        expired_at=expired_at,
        expires_at=expired_at,
        failed_at=_seconds(record.failed_at),
        last_error=_last_error(record.last_error) if record.last_error is not None else None,
        step_details=_step_details(record, reasoning, content),
        usage=None if record.status == StepStatus.IN_PROGRESS else _usage(record.usage),
        metadata=record.metadata,
    )


def _step_details(record: Step, reasoning: bool, content: bool) -> StepDetails:
    told = (reasoned(record) or UNSET) if reasoning else UNSET
    if record.type == "message_creation":
        return MessageCreationDetails(WrittenMessage(record.message_id or ""), told)
    return ToolCallsDetails([calls.shown(call, content=content) for call in record.calls], told)


def _required_action(record: Run, open_step: Step) -> RequiredAction | None:
    if record.status != RunStatus.REQUIRES_ACTION:
        return None
    if record.waits_for == WaitsFor.APPROVAL:
        to_approve = [
            CallToApprove(id=call.id, type=call.kind, name=call.name, arguments=call.arguments)
            for call in open_step.calls
            if call.state == CallState.WAITS_FOR_APPROVAL
        ]
        return SubmitToolApprovalAction(submit_tool_approval=CallsToApprove(to_approve))
    waiting = [
        RequiredCall(id=call.id, function=CalledFunction(call.name, call.arguments))
        for call in open_step.calls
        if call.state == CallState.WAITS_FOR_CLIENT
    ]
    return SubmitToolOutputsAction(submit_tool_outputs=RequiredCalls(waiting))


def _usage(usage: Usage) -> UsageObject:
    return UsageObject(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        prompt_token_details=PromptTokenDetails(usage.cached_tokens),
    )


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000


def _incomplete(kind: Callable[[Any], T], reason: str | None) -> T | None:
    return None if reason is None else kind(reason)


def _last_error(failure: Failure) -> LastError:
    return LastError(failure.code, failure.message)
