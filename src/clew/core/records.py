"""The objects that Clew keeps: immutable records, one type a table, and the values they hold.

All times are milliseconds since the Unix epoch; the wire shows whole seconds. They are msgspec
structs rather than dataclasses because a turn reads and writes a dozen of them, and a struct is
built and encoded about ten times faster.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from clew.core.states import MessageStatus, RunStatus, StepStatus

Json: TypeAlias = dict[str, Any]
ErrorCode: TypeAlias = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
StepType: TypeAlias = Literal["message_creation", "tool_calls"]


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one model call, or the sum over several."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class Failure(Struct, frozen=True):
    """What a failed run's or step's ``last_error`` says."""

    code: ErrorCode
    message: str


class Agent(Struct, frozen=True, kw_only=True):
    """A model with instructions and tools; the wire calls it an assistant."""

    id: str
    project: str
    created_at: int
    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: list[Json] = []
    tool_resources: Json = {}
    metadata: dict[str, str] = {}
    temperature: float = 1.0
    top_p: float = 1.0
    response_format: str | Json = "auto"
    reasoning_effort: str | None = None


class Thread(Struct, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    project: str
    created_at: int
    metadata: dict[str, str] = {}
    tool_resources: Json = {}
    token_budget: int | None = None
    """Tokens that all its runs may use together; None for any number."""
    tokens_used: int = 0


class Message(Struct, frozen=True, kw_only=True):
    """One message of a thread. ``content`` holds the parts as the wire shows them."""

    id: str
    project: str
    thread_id: str
    created_at: int
    role: Literal["user", "assistant"]
    content: list[Json]
    assistant_id: str | None = None
    run_id: str | None = None
    status: MessageStatus = MessageStatus.COMPLETED
    incomplete_reason: str | None = None
    completed_at: int | None = None
    incomplete_at: int | None = None
    attachments: list[Json] = []
    metadata: dict[str, str] = {}
    held: int | None = None
    """Its place in the line of a busy thread; None once it is in the thread."""


class RunConfig(Struct, frozen=True, kw_only=True):
    """The values in force for one run: a snapshot that later changes of the agent don't touch."""

    model: str
    instructions: str | None = None
    tools: list[Json] = []
    tool_resources: Json = {}
    temperature: float = 1.0
    top_p: float = 1.0
    response_format: str | Json = "auto"
    reasoning_effort: str | None = None
    tool_choice: str | Json = "auto"
    parallel_tool_calls: bool = True
    truncation_strategy: Json = field(default_factory=lambda: {"type": "auto", "last_messages": None})
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    token_allowance: int | None = None
    """What was left of its thread's and its project's budgets when the run was created."""

    def functions(self) -> list[Json]:
        """Return the function tools among the tools."""
        return [tool for tool in self.tools if tool.get("type") == "function"]

    def function_names(self) -> list[str]:
        """Return the names of the functions that the model may call."""
        return [tool["function"]["name"] for tool in self.functions()]


class Run(Struct, frozen=True, kw_only=True):
    """One execution of an agent on a thread.

    ``epoch`` is the fencing token: it counts the claims, and a worker whose epoch is not the
    row's can write nothing. ``version`` counts the writes of the row. ``position`` is where the run's
    journal ends (:mod:`clew.core.journal`), ``starts`` how often it went to work.
    """

    id: str
    project: str
    thread_id: str
    assistant_id: str
    created_at: int
    expires_at: int
    config: RunConfig
    status: RunStatus = RunStatus.QUEUED
    started_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    last_error: Failure | None = None
    incomplete_reason: str | None = None
    usage: Usage = Usage()
    turns: int = 0
    metadata: dict[str, str] = {}
    epoch: int = 0
    version: int = 0
    position: int = 0
    starts: int = 0
    held: int | None = None
    """Its place in the line of a busy thread; None once it may start."""
    worker: str | None = None
    """Who claimed it last; None if nobody has."""
    begun_at: int | None = None
    """When it first went to work; ``started_at`` is when it last did."""
    spoke_at: int | None = None
    """When the first word of an answer came."""


class Call(Struct, frozen=True, kw_only=True):
    """One function call that a model made; ``output`` is None until somebody answers it."""

    id: str
    name: str
    arguments: str
    output: str | None = None


class Step(Struct, frozen=True, kw_only=True):
    """One step of a run: a message written, or tools called.

    ``turn`` counts the model calls; ``position`` is where the step begins in the run's journal;
    ``waited`` tells whether the run waited for a client to answer its calls.
    """

    id: str
    project: str
    run_id: str
    thread_id: str
    assistant_id: str
    created_at: int
    type: StepType
    turn: int
    position: int = 0
    waited: bool = False
    status: StepStatus = StepStatus.IN_PROGRESS
    message_id: str | None = None
    calls: list[Call] = []
    last_error: Failure | None = None
    usage: Usage = Usage()
    first_token_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    expired_at: int | None = None
    metadata: dict[str, str] = {}


class Turn(Struct, frozen=True, kw_only=True):
    """What one model call has brought so far. Its ids are chosen before the model says a word."""

    number: int
    message_id: str
    message_step_id: str
    tools_step_id: str
    started_at: int
    first_token_at: int | None = None
    text: str | None = None
    refusal: str | None = None
    calls: tuple[Call, ...] = ()
    finish_reason: str | None = None
    usage: Usage = Usage()

    @property
    def begun(self) -> bool:
        """Whether a message was begun."""
        return self.text is not None or self.refusal is not None


def text_part(value: str) -> Json:
    """Return a text part as a stored message holds it."""
    return {"type": "text", "text": {"value": value, "annotations": []}}
