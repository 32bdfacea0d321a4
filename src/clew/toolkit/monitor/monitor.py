"""Follows runs, from the start or from the middle, until they end one way or another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Literal, TypeAlias, Unpack

import anyio

from clew.toolkit._blocking import blocking, iterate
from clew.toolkit._time import REAL_TIME, Time
from clew.toolkit.connect import AnyClient, connect
from clew.toolkit.errors import RunError, RunTimedOut, StartTimedOut, ToolkitError
from clew.toolkit.monitor.events import Event, RunEnded, RunResult
from clew.toolkit.monitor.follower import DEFAULT_POLLING, Follower, Polling
from clew.toolkit.monitor.progress import Listener, Progress
from clew.toolkit.monitor.views import View, view_named
from clew.toolkit.records import Run
from clew.toolkit.service import RunOptions
from clew.toolkit.tools.executor import ToolExecutor

Viewing: TypeAlias = Literal["auto", "live", "plain"] | Callable[[], View] | None

_GRACE = 5.0
"""Seconds that a run may take to be cancelled when it is left."""


class RunMonitor:
    """Follows runs.

    >>> monitor = RunMonitor(client, tools=tools, timeout=60)
    >>> result = monitor.run(thread.id, agent.id)
    >>> print(result.text, result.timings.total)

    A run that doesn't complete raises a :class:`~clew.toolkit.errors.RunError` that says what
    happened and what to do; ``check=False`` returns it as :attr:`RunResult.problem` instead.
    """

    def __init__(
        self,
        client: AnyClient,
        *,
        tools: ToolExecutor | None = None,
        timeout: float | None = 600.0,
        stream: bool = True,
        polling: Polling = DEFAULT_POLLING,
        max_tool_rounds: int = 20,
        view: Viewing = None,
        listeners: Iterable[Listener] = (),
        on_result: Iterable[Callable[[RunResult], object]] = (),
        time: Time = REAL_TIME,
    ) -> None:
        """Prepare a monitor.

        Args:
            client: anything :func:`clew.toolkit.connect` takes.
            tools: answers the calls of runs.
            timeout: seconds that a whole run may take, tools included; None waits for ever.
            stream: whether to follow by events where the service has them; otherwise by polling.
            polling: how often to look where there are no events.
            max_tool_rounds: how often a run may ask for tools.
            view: shows each run: ``live`` in a terminal, ``plain`` lines for logs, ``auto`` whichever
                fits; or a function that makes a view.
            listeners: called with every event, in the event loop: they must not block.
            on_result: called with the result of each run, however it ended.
            time: measures and waits.
        """
        self.service = connect(client)
        self._tools = tools
        self._timeout = timeout
        self._stream = stream
        self._polling = polling
        self._max_tool_rounds = max_tool_rounds
        self._view = view_named(view) if isinstance(view, str) else view
        self._listeners = tuple(listeners)
        self._on_result = tuple(on_result)
        self._time = time

    # --- to the end ---

    async def arun(
        self,
        thread_id: str,
        agent_id: str,
        *,
        check: bool = True,
        listener: Listener | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Start a run and follow it to its end, answering its tool calls.

        If this is left early (an exception, a cancellation, Ctrl-C, the time-out) the run is cancelled.

        Args:
            thread_id: the thread.
            agent_id: the agent.
            check: whether to raise if the run doesn't complete.
            listener: called with every event of this run.
            options: what the run is given besides.

        Raises:
            RunError: the run didn't complete in time, or at all.
            ServiceError: the service refused; :class:`~clew.toolkit.errors.ThreadBusy` if another
                run is active.
            ConnectionFailed: there is no service, or no longer.
        """

        def begin(follower: Follower) -> Coroutine[Any, Any, None]:
            return follower.start(thread_id, agent_id, options)

        return await self._follow(begin, check=check, cancel=True, listener=listener)

    async def awatch(
        self,
        thread_id: str,
        run_id: str,
        *,
        check: bool = True,
        cancel_on_leaving: bool = False,
        listener: Listener | None = None,
    ) -> RunResult:
        """Follow a run that was started elsewhere to its end; by polling, since its stream is gone.

        Raises:
            RunError, ServiceError, ConnectionFailed: as :meth:`arun` does.
        """

        def begin(follower: Follower) -> Coroutine[Any, Any, None]:
            return follower.join(thread_id, run_id)

        return await self._follow(begin, check=check, cancel=cancel_on_leaving, listener=listener)

    run = blocking(arun)
    watch = blocking(awatch)

    # --- event by event ---

    @asynccontextmanager
    async def afollow(
        self, thread_id: str, agent_id: str, **options: Unpack[RunOptions]
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """Start a run and offer its events; leaving before the end cancels the run.

        >>> async with monitor.afollow(thread.id, agent.id) as events:
        ...     async for event in events: ...

        The last event is a :class:`RunEnded`, whose result says how it ended: nothing is raised for
        a run that didn't complete by itself.
        """
        send, receive = anyio.create_memory_object_stream[Event](float("inf"))
        failure: list[BaseException] = []

        async def work() -> None:
            try:
                await self.arun(thread_id, agent_id, check=False, listener=send.send_nowait, **options)
            except Exception as error:
                failure.append(error)
            finally:
                send.close()

        async def events() -> AsyncIterator[Event]:
            async for event in receive:
                yield event
            if failure:
                raise failure[0]

        task = asyncio.ensure_future(work())
        try:
            yield events()
        finally:
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((task,))
            receive.close()

    def follow(
        self, thread_id: str, agent_id: str, **options: Unpack[RunOptions]
    ) -> "AbstractContextManager[Any]":
        """Return the waiting form of :meth:`afollow`: ``with ... as events: for event in events``."""
        return iterate(self.afollow(thread_id, agent_id, **options))

    # --- how ---

    async def _follow(
        self,
        begin: Callable[[Follower], Coroutine[Any, Any, None]],
        *,
        check: bool,
        cancel: bool,
        listener: Listener | None,
    ) -> RunResult:
        shown = self._view() if self._view is not None else None
        extra = tuple(each for each in (shown, listener) if each is not None)
        progress = Progress(self._time, self._listeners + extra)
        with shown if shown is not None else nullcontext():
            try:
                await self._bounded(begin(self._follower(progress)), progress)
            except BaseException as error:
                await self._leave(progress, error, cancel=cancel)
                raise
            result = self._finish(progress)
        if check and result.problem is not None:
            raise result.problem
        return result

    def _follower(self, progress: Progress) -> Follower:
        return Follower(
            self.service,
            progress,
            tools=self._tools,
            stream=self._stream,
            polling=self._polling,
            max_tool_rounds=self._max_tool_rounds,
            time=self._time,
        )

    async def _bounded(self, work: Coroutine[Any, Any, None], progress: Progress) -> None:
        with anyio.move_on_after(self._timeout) as scope:
            await work
        if not scope.cancelled_caught:
            return
        if progress.run is None:
            raise StartTimedOut(f"The service said nothing of the run within {self._timeout:g} s.")
        raise RunTimedOut(
            f"The run {progress.run.id} was still {progress.run.status} after {self._timeout:g} s.",
            progress.run,
        )

    async def _leave(self, progress: Progress, error: BaseException, *, cancel: bool) -> None:
        """Cancel the run that is left, and tell those who count."""
        if progress.run is None:
            return
        if cancel and not progress.run.is_terminal:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_GRACE):
                await self._cancel(progress, progress.run)
        failure = error if isinstance(error, RunError) else None
        result = self._finish(progress, failure)
        if failure is not None:
            failure.run, failure.result = result.run, result

    async def _cancel(self, progress: Progress, run: Run) -> None:
        """Cancel a run and wait until it has ended, so that its thread is free again."""
        with contextlib.suppress(ToolkitError):  # it has just ended, or nobody can be reached: look, below
            progress.saw_run(await self.service.acancel_run(run.thread_id, run.id))
        pause = self._polling.first / 4
        while not (progress.run or run).is_terminal:
            try:
                progress.saw_run(await self.service.aget_run(run.thread_id, run.id))
            except ToolkitError:
                return
            await self._time.sleep(pause)

    def _finish(self, progress: Progress, failure: RunError | None = None) -> RunResult:
        result = progress.result(failure)
        progress.tell(RunEnded(result=result, seconds=progress.seconds))
        for tell in self._on_result:
            tell(result)
        return result
