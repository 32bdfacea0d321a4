"""What a monitor tells of a run while it goes on, and what it knows at the end.

``seconds`` are counted from the moment the run was asked for, on this program's clock.
"""

from typing import TypeAlias

from msgspec import Struct

from clew.toolkit.errors import RunError, ToolkitError
from clew.toolkit.monitor.endings import problem_of
from clew.toolkit.records import Message, Run, Step, ToolCall, Usage
from clew.toolkit.tools.results import ToolResult


class Timings(Struct, frozen=True, kw_only=True):
    """How long things took, in seconds on this program's clock.

    Attributes:
        queue: until the run was seen in progress; None if it never was.
        first_token: until the first piece of text; None if it was polled or wrote none.
        tools: spent in tools of this program, over all rounds.
        total: until the end was seen.
    """

    queue: float | None = None
    first_token: float | None = None
    tools: float = 0.0
    total: float = 0.0


class RunResult(Struct, frozen=True, kw_only=True):
    """A run that a monitor followed.

    Attributes:
        run: as it was last read.
        steps: oldest first.
        messages: those that the run wrote, oldest first.
        calls: the tool calls that this program answered.
        states: each status with the seconds at which it was first seen.
        reconnects: how often a connection was lost on the way.
        failure: why the monitor gave the run up, if it did: a time-out, missing tools, too many rounds.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    messages: tuple[Message, ...] = ()
    calls: tuple[ToolResult, ...] = ()
    states: tuple[tuple[str, float], ...] = ()
    timings: Timings = Timings()
    reconnects: int = 0
    failure: RunError | None = None

    @property
    def text(self) -> str:
        """Return what the run wrote, its messages joined by empty lines."""
        return "\n\n".join(message.text for message in self.messages)

    @property
    def usage(self) -> Usage:
        """Return the tokens it took; zeros if the service didn't say."""
        return self.run.usage or Usage()

    @property
    def problem(self) -> RunError | None:
        """Return the error that says why it didn't complete, or None if it did."""
        error = self.failure or problem_of(self.run)
        if error is not None:
            error.result = self
        return error


class StatusChanged(Struct, frozen=True, kw_only=True):
    """The run's status is another; ``before`` is None for the first."""

    run: Run
    before: str | None
    seconds: float


class StepChanged(Struct, frozen=True, kw_only=True):
    """A step appeared (``before`` is None) or its status changed."""

    step: Step
    before: str | None
    seconds: float


class TextDelta(Struct, frozen=True, kw_only=True):
    """A piece of text, as the model writes it."""

    message_id: str
    text: str
    seconds: float


class TextRestarted(Struct, frozen=True, kw_only=True):
    """The text of this message told so far is void: the server lost it and asks the model again."""

    message_id: str
    seconds: float


class MessageWritten(Struct, frozen=True, kw_only=True):
    """A message of the run is there in its final form."""

    message: Message
    seconds: float


class ToolsRequested(Struct, frozen=True, kw_only=True):
    """The run waits for the outputs of these calls."""

    run: Run
    calls: tuple[ToolCall, ...]
    seconds: float


class ToolFinished(Struct, frozen=True, kw_only=True):
    """A tool of this program gave its output, which is about to be submitted."""

    result: ToolResult
    seconds: float


class ConnectionDropped(Struct, frozen=True, kw_only=True):
    """A connection was lost or refused; the monitor reads the run again."""

    error: ToolkitError
    seconds: float


class RunEnded(Struct, frozen=True, kw_only=True):
    """The last event: nothing follows."""

    result: RunResult
    seconds: float


Event: TypeAlias = (
    StatusChanged
    | StepChanged
    | TextDelta
    | TextRestarted
    | MessageWritten
    | ToolsRequested
    | ToolFinished
    | ConnectionDropped
    | RunEnded
)
