"""The calls of one run that are at work: server-side tools, side by side, each with a deadline.

One task owns the run's state; those that perform calls send it what came of them through a queue, and never
raise. A call that hangs is ended at its deadline, one that breaks is an error that the model is told, and
when the run is over whatever is still at work is cancelled.
"""

import asyncio
import logging

from clew.core.decisions import RunCall
from clew.core.events import CallEnded, CallsStopped
from clew.core.records import Call, Outcome, Run
from clew.hooks import ToolCalled
from clew.process import Process
from clew.tools.tool import CallContext, WrongArguments, bounded, failed
from clew.tools.toolbox import Toolbox

_TIMEOUT = 1.0
"""Seconds in which a call that is cancelled must have ended; after that it is left to itself."""

_log = logging.getLogger(__name__)


class CallsAtWork:
    """Performs the calls of one run."""

    def __init__(self, toolbox: Toolbox, process: Process, run: Run) -> None:
        self._toolbox, self._clock, self._run = toolbox, process.clock, run
        self._hooks = process.hooks
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outcomes: asyncio.Queue[CallEnded | CallsStopped] = asyncio.Queue()

    async def next(self, effects: tuple[RunCall, ...]) -> CallEnded | CallsStopped:
        """Begin what has not begun; return what comes of any call, or that somebody wants attention."""
        for effect in effects:
            if effect.call.id not in self._tasks:
                self._tasks[effect.call.id] = asyncio.ensure_future(self._perform(effect))
        return await self._outcomes.get()

    def interrupt(self) -> None:
        """Have the run's row looked at again."""
        self._outcomes.put_nowait(CallsStopped())

    async def stop(self) -> None:
        """Cancel what is still at work."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=_TIMEOUT)
            for _ in hanging:
                _log.error("run %s: a tool did not end when it was cancelled", self._run.id)

    async def _perform(self, effect: RunCall) -> None:
        call, begun = effect.call, self._clock.now()
        outcome = await self._outcome(call, effect.key)
        if self._hooks.tool_called:
            self._hooks.tell(
                ToolCalled(
                    project=self._run.project,
                    run_id=self._run.id,
                    call_id=call.id,
                    kind=call.kind,
                    name=call.name,
                    ms=max(0, self._clock.now() - begun),
                    result=outcome.result.value,
                )
            )
        self._outcomes.put_nowait(CallEnded(call.id, outcome))

    async def _outcome(self, call: Call, key: str) -> Outcome:
        if call.kind not in self._toolbox:
            return failed(f"This server does not run {call.kind} now.")
        tool = self._toolbox[call.kind]
        context = CallContext(
            clock=self._clock,
            project=self._run.project,
            thread_id=self._run.thread_id,
            run_id=self._run.id,
            key=key,
        )
        limit = asyncio.timeout(tool.deadline / 1000)
        try:
            async with limit:
                return bounded(await tool.perform(call, context))
        except WrongArguments as wrong:
            return failed(str(wrong))
        except Exception:
            if limit.expired():
                return failed(f"The call took longer than {tool.deadline / 1000:g} seconds and was ended.")
            _log.exception("run %s: a call of %s broke", self._run.id, call.name)
            return failed("The tool broke. The server's log says more.")
