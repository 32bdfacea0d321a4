"""The objects that Clew keeps: immutable records, one type a table, and the values they hold.

All times are milliseconds since the Unix epoch; the wire shows whole seconds. They are msgspec
structs rather than dataclasses because a turn reads and writes a dozen of them, and a struct is
built and encoded about ten times faster.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from clew.core.content import Annotation, Attachment, Content
from clew.core.files import File
from clew.core.options import Json, Sampling, TruncationStrategy
from clew.core.states import CallResult, CallState, MessageStatus, RunStatus, StepStatus, WaitsFor
from clew.core.tools import FunctionTool, Offer, Tool, ToolChoice, ToolResources

ErrorCode: TypeAlias = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
StepType: TypeAlias = Literal["message_creation", "tool_calls"]

FUNCTION = "function"
"""The kind of calls that the client answers."""


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one model call, or the sum over several."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    """Of the completion tokens, those of reasoning."""

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class Failure(Struct, frozen=True):
    """What a failed run's or step's ``last_error`` says."""

    code: ErrorCode
    message: str


class Agent(Sampling, frozen=True, kw_only=True):
    """A model with instructions and tools; the wire calls it an assistant."""

    id: str
    project: str
    created_at: int
    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: list[Tool] = []
    tool_resources: ToolResources = ToolResources()
    metadata: dict[str, str] = {}


class Thread(Struct, frozen=True, kw_only=True):
    """A conversation.

    A hidden thread is in no list. One that continues another's history from the middle on begins where
    ``begins_in`` was at ``begins_after``: the last of that thread's rows that belongs to it too.
    """

    id: str
    project: str
    created_at: int
    metadata: dict[str, str] = {}
    tool_resources: ToolResources = ToolResources()
    token_budget: int | None = None
    """Tokens that all its runs may use together; None for any number."""
    tokens_used: int = 0
    hidden: bool = False
    begins_in: str | None = None
    begins_after: int | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One message of a thread."""

    id: str
    project: str
    thread_id: str
    created_at: int
    role: Literal["user", "assistant"]
    content: list[Content]
    assistant_id: str | None = None
    run_id: str | None = None
    status: MessageStatus = MessageStatus.COMPLETED
    incomplete_reason: str | None = None
    completed_at: int | None = None
    incomplete_at: int | None = None
    attachments: list[Attachment] = []
    metadata: dict[str, str] = {}
    held: int | None = None
    """Its place in the line of a busy thread; None once it is in the thread."""


class RunConfig(Sampling, frozen=True, kw_only=True):
    """The values in force for one run: a snapshot that later changes of the agent don't touch."""

    model: str
    instructions: str | None = None
    tools: list[Tool] = []
    tool_resources: ToolResources = ToolResources()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    truncation_strategy: TruncationStrategy = TruncationStrategy(type="auto")
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    token_allowance: int | None = None
    """What was left of its thread's and its project's budgets when the run was created."""
    thread_stores: list[str] = []
    """The vector stores of its thread, when it was created."""
    offers: dict[str, Offer] = {}
    """The functions that the server runs, by the name that the model is offered."""

    def functions(self) -> list[FunctionTool]:
        """Return the tools that the client runs."""
        return [tool for tool in self.tools if isinstance(tool, FunctionTool)]

    def function_names(self) -> list[str]:
        """Return the names of the functions that the client runs."""
        return [tool.function.name for tool in self.functions()]


class Wait(Struct, frozen=True, array_like=True):
    """A time for which a run was parked, with where its events stand in the run's journal.

    ``position`` is that of ``run.requires_action``, ``resumed`` that of ``run.queued``, ``started`` that
    of ``run.in_progress``; the times go with them. None is what has not happened.
    """

    reason: WaitsFor
    step_id: str
    at: int
    position: int = 0
    resumed_at: int | None = None
    resumed: int | None = None
    started_at: int | None = None
    started: int | None = None


class Run(Struct, frozen=True, kw_only=True):
    """One execution of an agent on a thread.

    ``epoch`` is the fencing token: it counts the claims, and a worker whose epoch is not the
    row's can write nothing. ``version`` counts the writes of the row. ``position`` is where the run's
    journal ends (:mod:`clew.core.journal`).
    """

    id: str
    project: str
    thread_id: str
    assistant_id: str | None
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
    held: int | None = None
    """Its place in the line of a busy thread; None once it may start."""
    worker: str | None = None
    """Who claimed it last; None if nobody has."""
    claimed_at: int | None = None
    attempts: int = 0
    """Claims since its last commit whose owners died or broke off."""
    open_step: str | None = None
    """The step whose calls have not all ended; None if there is none."""
    waits_for: WaitsFor | None = None
    """Why it is parked; None if somebody works on it or should."""
    due: int | None = None
    """When it goes on by itself, if it is parked until then."""
    retrying_since: int | None = None
    """When the model of its next turn first did not answer."""
    lost_turns: int = 0
    """Turns in a row that called only functions that were not offered."""
    cost: int | None = None
    """What its turns have cost, in millionths; None where a price is not known."""
    waits: list[Wait] = []
    begun_at: int | None = None
    """When it first went to work; ``started_at`` is when it last did."""
    spoke_at: int | None = None
    """When the first word of an answer came."""


class Call(Struct, frozen=True, kw_only=True):
    """One call of a tool that a model made.

    ``index`` is its place in its step. ``model_id`` and ``extras`` are what the model itself gave with it,
    which only the model is shown again. ``output`` is what the model is told, and None until the call has
    ended; ``detail`` is the outcome as its kind of tool keeps it. ``position`` is where the outcome stands
    in the run's journal, if it was told by itself.
    """

    id: str
    project: str
    created_at: int
    run_id: str
    step_id: str
    turn: int
    index: int
    name: str
    arguments: str
    kind: str = FUNCTION
    state: CallState = CallState.PROPOSED
    result: CallResult | None = None
    approval: bool = False
    """Whether a person must approve it."""
    repeatable: bool = False
    attempts: int = 0
    output: str | None = None
    detail: Json | None = None
    model_id: str | None = None
    extras: Json | None = None
    position: int | None = None
    begun_at: int | None = None
    ended_at: int | None = None


class TurnFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one call of the model besides its answer.

    ``endpoint`` and ``model`` are who answered, ``cost`` what it took, in millionths, where it has a price;
    ``first`` and ``last`` are the ids of the first and the last message of the thread that it was shown,
    ``dropped`` how many between them it was not; ``request`` is the digest of what it was asked; ``echo``
    is what came with the answer and goes back to the same model; ``thoughts`` is reasoning in tags that its
    text began with.
    """

    model: str
    endpoint: str = "default"
    first: str | None = None
    last: str | None = None
    dropped: int = 0
    request: str = ""
    echo: Json | None = None
    thoughts: str | None = None
    cost: int | None = None


class Step(Struct, frozen=True, kw_only=True):
    """One step of a run: a message written, or tools called.

    ``turn`` counts the model calls; ``position`` is where the step begins in the run's journal,
    ``end_position`` where a step of calls ends there. ``calls`` are rows of their own.
    """

    id: str
    project: str
    run_id: str
    thread_id: str
    assistant_id: str | None
    created_at: int
    type: StepType
    turn: int
    position: int = 0
    end_position: int | None = None
    status: StepStatus = StepStatus.IN_PROGRESS
    message_id: str | None = None
    calls: list[Call] = []
    last_error: Failure | None = None
    usage: Usage = Usage()
    facts: TurnFacts | None = None
    first_token_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    cancelled_at: int | None = None
    expired_at: int | None = None
    metadata: dict[str, str] = {}


class TextItem(Struct, frozen=True, kw_only=True):
    """A message that a turn brings. Its ids were chosen before the model said a word."""

    message_id: str
    step_id: str
    text: str | None = None
    refusal: str | None = None
    annotations: tuple[Annotation, ...] = ()
    images: tuple[str, ...] = ()
    """Files that are shown before the text: plots that calls of the run have made."""


class CallsItem(Struct, frozen=True, kw_only=True):
    """The calls that a turn brings, together one step."""

    step_id: str
    calls: tuple[Call, ...]


Item: TypeAlias = TextItem | CallsItem


class Turn(Struct, frozen=True, kw_only=True):
    """What one model call has brought so far, in the order in which it came.

    ``blank`` is the message that it leaves if it ends without having brought anything.
    """

    number: int
    started_at: int
    blank: TextItem
    items: tuple[Item, ...] = ()
    first_token_at: int | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    facts: TurnFacts | None = None

    @property
    def said(self) -> list[TextItem]:
        """Its messages."""
        return [item for item in self.items if isinstance(item, TextItem)]

    @property
    def called(self) -> CallsItem | None:
        """Its calls, if it has any."""
        return next((item for item in self.items if isinstance(item, CallsItem)), None)


class MadeFile(Struct, frozen=True, kw_only=True):
    """A file that a call of a tool has made; ``name`` is what the session calls it, None for a plot."""

    file: File
    name: str | None


class Outcome(Struct, frozen=True, kw_only=True):
    """How a call of a server-side tool ended: what the model is told, and what is kept besides."""

    output: str
    result: CallResult = CallResult.OK
    detail: Json | None = None
    made: tuple[MadeFile, ...] = ()
    """Files that it has made, whose bytes are kept already: their rows are written with the outcome."""
