"""Follows one run to its end: streams where there are streams, polls where there are none."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from msgspec import Struct

from clew.toolkit._time import REAL_TIME, Time
from clew.toolkit.clients.sse import ServerEvent
from clew.toolkit.errors import (
    BadRequest,
    ConnectionFailed,
    NotFound,
    RateLimited,
    RunNeedsApproval,
    RunNeedsTools,
    RunNotWaiting,
    ServerFault,
    ToolkitError,
    TooManyToolRounds,
    UnexpectedAnswer,
)
from clew.toolkit.monitor.events import ConnectionDropped, ToolFinished, ToolsRequested
from clew.toolkit.monitor.progress import Progress
from clew.toolkit.records import Run, ToolCall
from clew.toolkit.service import RunOptions, Service, ToolOutput
from clew.toolkit.tools.executor import ToolExecutor
from clew.toolkit.tools.results import check_outputs

_MOST_SUBMISSIONS = 5


class Polling(Struct, frozen=True, kw_only=True):
    """How often to read a run that doesn't stream.

    Attributes:
        first: seconds before the second look, unless the service suggests something.
        factor: by which each pause is longer than the one before.
        longest: seconds of the longest pause.
        failures: how many reads may fail one after another before the monitor gives up.
    """

    first: float = 0.1
    factor: float = 1.5
    longest: float = 2.0
    failures: int = 20


DEFAULT_POLLING = Polling()


class Follower:
    """One run, from its start or from now, to its end."""

    def __init__(
        self,
        service: Service,
        progress: Progress,
        *,
        tools: ToolExecutor | None,
        stream: bool,
        polling: Polling = DEFAULT_POLLING,
        max_tool_rounds: int = 20,
        time: Time = REAL_TIME,
    ) -> None:
        self._service = service
        self._progress = progress
        self._tools = tools
        self._stream = stream
        self._polling = polling
        self._max_rounds = max_tool_rounds
        self._time = time
        self._thread_id = self._run_id = ""
        self._outputs: dict[str, ToolOutput] = {}
        self._rounds = self._submissions = 0
        self._polled = not stream

    async def start(self, thread_id: str, agent_id: str, options: RunOptions) -> None:
        """Start a run and follow it."""
        self._thread_id = thread_id
        if self._stream:
            await self._read(self._service.astream_run(thread_id, agent_id, **options))
        else:
            self._progress.saw_run(await self._service.acreate_run(thread_id, agent_id, **options))
        self._run_id = self._run.id
        await self._go_on()

    async def join(self, thread_id: str, run_id: str) -> None:
        """Follow a run that was started elsewhere."""
        self._thread_id = thread_id
        self._run_id = run_id
        run = await self._service.aget_run(thread_id, run_id)
        if not (self._stream and await self._join()):
            self._progress.saw_run(run)
            self._polled = True
        await self._go_on()

    @property
    def _run(self) -> Run:
        assert self._progress.run is not None
        return self._progress.run

    async def _go_on(self) -> None:
        while not self._run.is_terminal:
            if self._run.pending_calls:
                await self._answer(self._run.pending_calls)
            elif self._run.pending_approvals:
                names = ", ".join(call.name for call in self._run.pending_approvals)
                raise RunNeedsApproval(f"The run {self._run.id} waits for approval of: {names}.", self._run)
            else:
                await self._poll()
        if self._polled or not self._progress.is_whole:
            await self._read_rest()

    # --- events ---

    async def _read(self, stream: AbstractAsyncContextManager[AsyncIterator[ServerEvent]]) -> None:
        """Read a stream to its end. If it breaks off while the run is known, read the run instead."""
        try:
            async with stream as events:
                async for event in events:
                    self._progress.saw_event(event)
        except (ConnectionFailed, ServerFault) as error:
            if self._progress.run is None:
                raise
            self._run_id = self._progress.run.id
            self._dropped(error)
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Find out what became of the run: from its events where they can be joined, else by a look."""
        if not (self._stream and await self._join()):
            self._polled = True
            await self._look()

    async def _join(self) -> bool:
        """Read the run's events from the first; return False if the service can't repeat them.

        Returns when the run has ended, or waits for tool outputs or approvals.
        """
        after: str | None = None
        pause = self._polling.first
        for failures in range(self._polling.failures + 1):
            if after is None:
                self._progress.begin_again()
            try:
                async with self._service.astream_events(self._thread_id, self._run_id, after=after) as events:
                    async for event in events:
                        after = event.id or after
                        self._progress.saw_event(event)
                        if self._run.needs_answers and await self._still_waits():
                            return True
                return True
            except (NotFound, BadRequest, UnexpectedAnswer):
                return False
            except (ConnectionFailed, RateLimited, ServerFault) as error:
                if failures == self._polling.failures:
                    raise
                self._dropped(error)
                await self._time.sleep(pause)
                pause = min(pause * self._polling.factor, self._polling.longest)
        raise AssertionError("the last failure was raised")

    async def _still_waits(self) -> bool:
        """Return whether the calls just heard of are still open: repeated events tell of the past."""
        now = await self._service.aget_run(self._thread_id, self._run_id)
        open_now = (now.pending_calls, now.pending_approvals)
        return open_now == (self._run.pending_calls, self._run.pending_approvals)

    def _dropped(self, error: ToolkitError) -> None:
        self._progress.reconnects += 1
        self._progress.tell(ConnectionDropped(error=error, seconds=self._progress.seconds))

    # --- polls ---

    async def _poll(self) -> None:
        """Read the run, again and again, until it has ended or needs something."""
        self._polled = True
        pause: float | None = None
        while True:
            hint = await self._look()
            if self._run.is_terminal:
                return
            await self._read_steps()
            if self._run.needs_answers:
                return
            pause = min(hint or self._polling.first, self._polling.longest) if pause is None else pause
            await self._time.sleep(pause)
            pause = min(pause * self._polling.factor, self._polling.longest)

    async def _look(self) -> float | None:
        """Read the run once, patiently; return the service's hint when to look again."""
        pause = self._polling.first
        for failures in range(self._polling.failures + 1):
            try:
                run, hint = await self._service.apoll_run(self._thread_id, self._run_id)
            except (ConnectionFailed, RateLimited, ServerFault) as error:
                if failures == self._polling.failures:
                    raise
                self._dropped(error)
                asked = error.retry_after if isinstance(error, RateLimited) else None
                await self._time.sleep(max(pause, asked or 0.0))
                pause = min(pause * self._polling.factor, self._polling.longest)
            else:
                self._progress.saw_run(run)
                return hint
        raise AssertionError("the last failure was raised")

    async def _read_steps(self) -> None:
        after = self._progress.last_closed_step
        page = await self._service.alist_steps(
            self._thread_id, self._run.id, limit=100, order="asc", after=after
        )
        for step in page.data:
            self._progress.saw_step(step)

    async def _read_rest(self) -> None:
        """Read what events would have told: final steps, and the messages."""
        for step in await self._service.aall_steps(self._thread_id, self._run.id):
            self._progress.saw_step(step)
        for message in await self._service.aall_messages(self._thread_id, run_id=self._run.id):
            self._progress.saw_message(message)

    # --- tools ---

    async def _answer(self, calls: tuple[ToolCall, ...]) -> None:
        """Run the calls and submit their outputs. A call runs once, however often it is submitted."""
        fresh = [call for call in calls if call.id not in self._outputs]
        if fresh:
            await self._execute(fresh)
        outputs = [self._outputs[call.id] for call in calls]
        check_outputs(calls, outputs)
        self._submissions += 1
        try:
            await self._submit(outputs)
        except (RunNotWaiting, ConnectionFailed, RateLimited, ServerFault) as error:
            # the run has ended meanwhile, or the outputs arrived although the answer didn't
            if self._submissions >= _MOST_SUBMISSIONS:
                raise
            self._dropped(error)
            await self._catch_up()
        else:
            self._submissions = 0

    async def _execute(self, calls: list[ToolCall]) -> None:
        progress = self._progress
        progress.tell(ToolsRequested(run=self._run, calls=tuple(calls), seconds=progress.seconds))
        if self._tools is None:
            names = ", ".join(call.name for call in calls)
            raise RunNeedsTools(f"The run {self._run.id} waits for outputs of: {names}.", self._run)
        self._rounds += 1
        if self._rounds > self._max_rounds:
            raise TooManyToolRounds(
                f"The run {self._run.id} asked for tools more than {self._max_rounds} times.",
                self._run,
            )
        begun = self._time.now()
        for result in await self._tools.aexecute(calls):
            self._outputs[result.call_id] = result.to_wire()
            progress.calls.append(result)
            progress.tell(ToolFinished(result=result, seconds=progress.seconds))
        progress.tool_seconds += self._time.now() - begun

    async def _submit(self, outputs: list[ToolOutput]) -> None:
        run_id = self._run.id
        if self._stream:
            await self._read(self._service.astream_tool_outputs(self._thread_id, run_id, outputs))
        else:
            self._progress.saw_run(await self._service.asubmit_tool_outputs(self._thread_id, run_id, outputs))
