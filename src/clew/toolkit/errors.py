"""Everything that can go wrong, as one hierarchy.

Every error says what happened (``str(error)``), carries the service's ``request_id`` where there is
one, has ``advice`` on what to do next, and keeps its cause as ``__cause__``. Whether it is safe to do
the same thing again is ``retryable``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from clew.toolkit.records import Message, Run, Step


class ToolkitError(Exception):
    """Something went wrong.

    Attributes:
        message: what happened.
        request_id: the service's id of the request that failed, if it said one.
        advice: what to do next.
    """

    default_advice: ClassVar[str] = ""
    retryable: ClassVar[bool] = False
    """Whether the same call may simply be made again, later."""

    def __init__(self, message: str, *, request_id: str | None = None, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        self.advice = self.default_advice if advice is None else advice

    def __str__(self) -> str:
        parts = [self.message]
        if self.advice:
            parts.append(self.advice)
        if self.request_id:
            parts.append(f"(request {self.request_id})")
        return " ".join(parts)


# --- no answer -------------------------------------------------------------------------------------


class ConnectionFailed(ToolkitError):
    """The service gave no answer.

    Attributes:
        sent: whether the request may have reached the service, so that it may have been carried out.
    """

    default_advice = "Check the address, and that the server runs."
    retryable = True

    def __init__(self, message: str, *, sent: bool = True, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.sent = sent


class AnswerTimedOut(ConnectionFailed):
    """The service, or the way to it, was silent for longer than the client waits."""

    default_advice = "Look whether the server is overloaded, or give the client a longer time-out."


class StreamLost(ConnectionFailed):
    """The connection ended in the middle of a stream of events."""

    default_advice = "The run itself goes on: read it again by its id."


class StartTimedOut(ConnectionFailed):
    """The time that was given was over before the service had said anything of the run."""

    default_advice = "Give it more time, or look for the run: it may have been started."


# --- refusals --------------------------------------------------------------------------------------


class ServiceError(ToolkitError):
    """The service answered with an error.

    Attributes:
        status: the HTTP status.
        code: the service's own code, such as ``invalid_value``, or None.
        param: the parameter it complains about, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, advice=advice)
        self.status = status
        self.code = code
        self.param = param


class BadRequest(ServiceError):
    """The request itself is wrong (400, 413, 422)."""

    default_advice = "Change the request: the same one will be refused again."


class ThreadBusy(BadRequest):
    """A run is active on the thread, which is locked until it ends (400).

    Attributes:
        run_id: the run that holds the lock, if the service named it.
    """

    default_advice = "Wait for that run to end, or cancel it."

    def __init__(self, message: str, *, run_id: str | None, status: int, request_id: str | None) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.run_id = run_id


class RunNotWaiting(BadRequest):
    """Tool outputs came for a run that waits for none: it has ended, or they were accepted before (400)."""

    default_advice = "Read the run: its status says what became of it."


class AuthenticationFailed(ServiceError):
    """The key is missing, wrong, or not allowed to do this (401, 403)."""

    default_advice = "Check the key and the project: `clew env` prints those of a Clew server."


class NotFound(ServiceError):
    """The object doesn't exist, or not under this parent (404)."""

    default_advice = "Check the id, and that it belongs to this thread and project."


class RateLimited(ServiceError):
    """Too many requests (429). The refused request had no effect.

    Attributes:
        retry_after: seconds to wait, if the service said so.
    """

    default_advice = "Wait, then ask again; ask for a higher limit if it happens often."
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        status: int = 429,
        code: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id)
        self.retry_after = retry_after


class ServerFault(ServiceError):
    """The service has a problem of its own (5xx)."""

    default_advice = "Try again later; tell the service's owner the request id if it stays."
    retryable = True


class UnexpectedAnswer(ServiceError):
    """The answer isn't what this API answers: perhaps a proxy, or another service."""

    default_advice = "Check that the address is the root of the API, such as http://127.0.0.1:8787/v1."


# --- how a run ended -------------------------------------------------------------------------------


class FollowedRun(Protocol):
    """What is known of a run that a monitor followed.

    It is a :class:`clew.toolkit.RunResult`, which knows more: ``isinstance`` tells a type checker so.
    """

    @property
    def run(self) -> Run: ...

    @property
    def steps(self) -> tuple[Step, ...]: ...

    @property
    def messages(self) -> tuple[Message, ...]: ...

    @property
    def text(self) -> str: ...


class RunError(ToolkitError):
    """A run didn't complete.

    Attributes:
        run: the run as it was last read.
        code: a short reason that can be counted, such as ``rate_limit_exceeded`` or ``expired``.
        result: all that is known of the run, if a monitor followed it.
    """

    code: str = "run_error"
    result: FollowedRun | None = None

    def __init__(self, message: str, run: Run, *, code: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.run = run
        if code is not None:
            self.code = code


class RunFailed(RunError):
    """The run failed: ``run.last_error`` says why."""

    code = "server_error"


class RunExpired(RunError):
    """The run took longer than the service allows."""

    code = "expired"
    default_advice = "Submit tool outputs sooner, ask for less in one run, or raise the server's run expiry."


class RunCancelled(RunError):
    """The run was cancelled, by this program or another."""

    code = "cancelled"
    default_advice = "Start a new run when you want an answer after all; the thread is free."


class RunIncomplete(RunError):
    """A token limit or a content filter cut the run short; what it wrote so far is in the thread."""

    code = "incomplete"
    default_advice = "Raise the token limit, shorten the thread, or set a truncation strategy."


class RunTimedOut(RunError):
    """The run wasn't done when the monitor's overall time-out passed."""

    code = "timeout"
    default_advice = "Give the monitor a longer timeout, or ask for less in one run."


class RunNeedsTools(RunError):
    """The run waits for tool outputs and the monitor has no tools."""

    code = "no_tools"
    default_advice = "Give the monitor a ToolExecutor, or submit the outputs yourself."


class RunNeedsApproval(RunError):
    """The run waits until a person approves or denies calls of the service's own tools."""

    code = "needs_approval"
    default_advice = "Submit tool_approvals yourself, or declare the tools with require_approval 'never'."


class TooManyToolRounds(RunError):
    """The model asked for tools again and again, more often than the monitor allows."""

    code = "too_many_tool_rounds"
    default_advice = "Look at the tool outputs: the model may not understand them. Or allow more rounds."


# --- tools -----------------------------------------------------------------------------------------


class ToolError(ToolkitError):
    """A tool can't be used as asked.

    Raise :class:`ToolInputError` or :class:`ToolFailed` inside a tool to tell the model what happened.
    """


class ToolDefinitionError(ToolError):
    """A function or schema can't be made into a tool."""


class ToolInputError(ToolError):
    """The arguments are wrong in a way the model can mend: it is told so and may call again."""

    default_advice = "Correct the arguments and call again."


class ToolFailed(ToolError):
    """The tool can't do it, whatever the arguments: the model is told not to try again."""

    default_advice = "Do not call it again with these arguments."


class ToolOutputInvalid(ToolError):
    """The outputs aren't what the run waits for, so they weren't sent."""

    default_advice = "Give exactly one string for each call the run waits for."


# --- conversations ---------------------------------------------------------------------------------


class ConversationError(ToolkitError):
    """A conversation can't do what was asked."""


class ConversationTooLong(ConversationError):
    """The conversation, or one message, is longer than its limits allow. Nothing was sent."""

    default_advice = "Start a new conversation, branch from a later message, or raise the limits."


class ExportInvalid(ConversationError):
    """A file isn't an export, is of a newer version, or was damaged."""

    default_advice = "Export it again; a file of a newer version needs a newer toolkit."


class RestoreIncomplete(ConversationError):
    """A restored thread doesn't hold what the backup holds.

    Attributes:
        differences: one sentence for each.
    """

    default_advice = "The restored thread was deleted again; the backup is unchanged."

    def __init__(self, message: str, differences: Sequence[str]) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class ConversationWarning(UserWarning):
    """A conversation comes near a limit."""
