"""Runs the calls a model asks for, and gives an output for every one of them, whatever happens."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import anyio
import msgspec
import stamina
from msgspec import Struct
from pydantic_core import PydanticSerializationError, to_json

from clew.daemons import in_daemon_thread
from clew.toolkit._blocking import blocking
from clew.toolkit._time import REAL_TIME, Time
from clew.toolkit.errors import ToolDefinitionError, ToolError, ToolFailed, ToolInputError
from clew.toolkit.records import Json, ToolCall
from clew.toolkit.tools.results import Outcome, ToolResult, call_of
from clew.toolkit.tools.text import clean, cut, forms, mask
from clew.toolkit.tools.tool import Tool, tool

F = TypeVar("F", bound=Callable[..., object])

_SCANNED = 4_000_000
"""Characters of an output that are looked at; far more than the limit keeps of its two ends."""


class ProposedCall(Struct, frozen=True):
    """A call that waits for a person's yes."""

    call_id: str
    name: str
    arguments: dict[str, Any]


Approve: TypeAlias = Callable[[ProposedCall], "bool | Awaitable[bool]"]


class ToolExecutor:
    """Tools, and the rules under which they run.

    Nothing raises out of a call: an unknown tool, wrong arguments, an exception, a time-out or a
    refusal becomes the output ``{"error": ...}``, which the model reads and can react to.

    >>> tools = ToolExecutor([get_weather])              # any function with type hints
    >>> agent = service.create_agent("gpt", tools=tools.definitions)
    """

    def __init__(
        self,
        tools: Iterable[Tool | Callable[..., object]] = (),
        *,
        timeout: float = 30.0,
        parallel: int = 4,
        max_output: int = 16_000,
        secrets: Iterable[str] = (),
        approve: Approve | None = None,
        reveal_errors: bool = False,
        time: Time = REAL_TIME,
    ) -> None:
        """Prepare an executor.

        Args:
            tools: functions, or tools made with :func:`~clew.toolkit.tools.tool.tool`.
            timeout: seconds a call may take, where its tool doesn't say.
            parallel: how many calls may run at once; 1 runs them in the model's order.
            max_output: characters of an output; more is cut in its middle.
            secrets: values that must never reach a model or a log; known kinds of keys are masked anyway.
            approve: asked before each call of a tool that needs approval, one at a time; may be
                asynchronous. Without it such calls are refused.
            reveal_errors: whether the model is told an exception's text; by default only its kind,
                except for ToolInputError and ToolFailed, which are meant for it.
            time: measures how long calls take.
        """
        if parallel < 1 or timeout <= 0 or max_output < 100:
            raise ValueError("parallel must be at least 1, timeout more than 0, max_output at least 100")
        self._tools: dict[str, Tool] = {}
        self._timeout = timeout
        self._parallel = parallel
        self._max_output = max_output
        self._secrets = forms(secrets)
        self._approve = approve
        self._reveal = reveal_errors
        self._time = time
        for each in tools:
            self.add(each)

    # --- which tools ---

    def add(self, function: Tool | Callable[..., object], **policy: Any) -> Tool:
        """Add a tool; ``policy`` are the keywords of :func:`~clew.toolkit.tools.tool.tool`.

        Raises:
            ToolDefinitionError: it can't be made into a tool, or the name is taken.
        """
        added = function if isinstance(function, Tool) else tool(function, **policy)
        if added.name in self._tools:
            raise ToolDefinitionError(f"there is already a tool {added.name!r}")
        self._tools[added.name] = added
        return added

    def tool(self, **policy: Any) -> Callable[[F], F]:
        """Add the decorated function, which stays as it is: ``@tools.tool(timeout=5)``."""

        def decorate(function: F) -> F:
            self.add(function, **policy)
            return function

        return decorate

    @property
    def definitions(self) -> list[Json]:
        """Return what ``create_agent(tools=...)`` takes."""
        return [each.definition for each in self._tools.values()]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the tools' names."""
        return tuple(self._tools)

    # --- running them ---

    async def aexecute(self, calls: Iterable[Any]) -> list[ToolResult]:
        """Run calls and return one result for each, in their order.

        Args:
            calls: ``run.pending_calls``, or a vendor's ``required_action.submit_tool_outputs.tool_calls``.
        """
        wanted = [call_of(call) for call in calls]
        results: dict[int, ToolResult] = {}
        limit, asking = anyio.Semaphore(self._parallel), anyio.Lock()

        async def work(index: int) -> None:
            async with limit:
                results[index] = await self._run(wanted[index], asking)

        for group in self._groups(wanted):
            async with anyio.create_task_group() as tasks:
                for index in group:
                    tasks.start_soon(work, index)
        return [results[index] for index in range(len(wanted))]

    execute = blocking(aexecute)

    def _groups(self, calls: Sequence[ToolCall]) -> Iterator[list[int]]:
        """Yield which calls may run together: a sequential one is alone, and waits for those before it."""
        group: list[int] = []
        for index, call in enumerate(calls):
            known = self._tools.get(call.name)
            if self._parallel == 1 or (known is not None and known.sequential):
                if group:
                    yield group
                yield [index]
                group = []
            else:
                group.append(index)
        if group:
            yield group

    async def _run(self, call: ToolCall, asking: anyio.Lock) -> ToolResult:
        known = self._tools.get(call.name)
        if known is None:
            message = f"There is no tool {call.name!r}; there are: {', '.join(self._tools) or 'none'}."
            return self._failed(call, "unknown", ToolFailed(message))
        text = call.function.arguments if call.function is not None else ""
        try:
            arguments = known.arguments.read(text)
        except ToolInputError as error:
            return self._failed(call, "invalid", error)
        if known.needs_approval:
            refusal = await self._ask(call, arguments, asking)
            if refusal is not None:
                return self._failed(call, "refused", refusal)
        return await self._attempt(known, call, arguments)

    async def _ask(self, call: ToolCall, arguments: Json, asking: anyio.Lock) -> ToolError | None:
        """Return None if a person said yes, else what to tell the model."""
        if self._approve is None:
            return ToolFailed("This needs a person's approval, and nobody can be asked.")
        proposed = ProposedCall(call.id, call.name, arguments)
        async with asking:  # a person answers one question at a time
            try:
                approved = await _call(self._approve, {"": proposed})
            except Exception as error:
                refusal = ToolFailed("Nobody could be asked for approval.")
                refusal.__cause__ = error
                return refusal
        return None if approved is True else ToolFailed("A person refused this call.")

    async def _attempt(self, known: Tool, call: ToolCall, arguments: Json) -> ToolResult:
        limit = known.timeout or self._timeout
        begun, attempts = self._time.now(), 0
        try:
            async for attempt in stamina.retry_context(
                on=_may_help, attempts=known.attempts, timeout=None, wait_jitter=0.1
            ):
                with attempt:
                    attempts += 1
                    value = await _within(limit, known.function, arguments)
            output = _text_of(value)
        except ToolInputError as error:
            return self._failed(call, "invalid", error, self._time.now() - begun, attempts)
        except _TookTooLong as error:
            message = f"It took longer than {limit:g} seconds."
            failure = ToolFailed(message)
            failure.__cause__ = error
            return self._failed(call, "timeout", failure, self._time.now() - begun, attempts)
        except Exception as error:
            return self._failed(call, "failed", error, self._time.now() - begun, attempts)
        seconds = self._time.now() - begun
        safe, missing = cut(self._safe(output), self._max_output)
        return _result(call, safe, "ok", seconds, attempts, missing)

    # --- what the model is told ---

    def _failed(
        self, call: ToolCall, outcome: Outcome, error: Exception, seconds: float = 0.0, attempts: int = 0
    ) -> ToolResult:
        if isinstance(error, ToolError):
            message = str(error)
        else:
            detail = f": {error}" if self._reveal else ""
            message = f"{call.name} failed with {type(error).__name__}{detail}."
        # escapes make JSON at most six times as long, so that the whole stays inside the limit
        safe, missing = cut(self._safe(message), self._max_output // 6)
        output = msgspec.json.encode({"error": safe}).decode()
        return _result(call, output, outcome, seconds, attempts, missing, error)

    def _safe(self, text: str) -> str:
        kept, _ = cut(text, _SCANNED)
        return mask(clean(kept), self._secrets)


class _TookTooLong(Exception):
    """A call was stopped by its time-out; not the TimeoutError that a tool may raise itself."""


def _may_help(error: Exception) -> bool:
    """Return whether a second attempt may go better."""
    return not isinstance(error, ToolError | _TookTooLong)


async def _within(seconds: float, function: Callable[..., object], arguments: Json) -> object:
    with anyio.move_on_after(seconds) as scope:
        return await _call(function, arguments)
    assert scope.cancelled_caught
    raise _TookTooLong


async def _call(function: Callable[..., object], arguments: Json) -> object:
    """Call a function: an asynchronous one here, a plain one in a thread. The key ``""`` is positional."""
    given = dict(arguments)
    positional = (given.pop(""),) if "" in given else ()
    target = function if inspect.isroutine(function) else type(function).__call__
    value: Any
    if inspect.iscoroutinefunction(target):
        value = function(*positional, **given)
    else:
        value = await in_daemon_thread(function, *positional, **given)
    return await value if inspect.isawaitable(value) else value


def _text_of(value: object) -> str:
    """Return a tool's value as text: a string as it is, everything else as JSON.

    Raises:
        ToolFailed: it can't be written as JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise ToolFailed(f"It gave a {type(value).__name__}, which can't be written as JSON.") from error


def _result(
    call: ToolCall,
    output: str,
    outcome: Outcome,
    seconds: float,
    attempts: int,
    missing: int,
    error: Exception | None = None,
) -> ToolResult:
    return ToolResult(
        call_id=call.id,
        name=call.name,
        arguments=call.function.arguments if call.function is not None else "",
        output=output,
        outcome=outcome,
        seconds=seconds,
        attempts=attempts,
        cut=missing,
        error=error,
    )
