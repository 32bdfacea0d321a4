"""The run loop: claim, decide, commit, publish, perform the effects, and again with what comes of them."""

import logging
from collections.abc import Callable

from anyio import CancelScope
from msgspec.structs import replace

from clew.about import ABOUT
from clew.bus.dispatch import Dispatch
from clew.bus.events import Events
from clew.core import turns
from clew.core.decide import decide
from clew.core.decisions import CallModel, Decision, RunCall, RunState, effects_of
from clew.core.entries import trimmed
from clew.core.events import (
    CallsStopped,
    Event,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    Started,
    Unstorable,
)
from clew.core.records import Failure, Run, Usage
from clew.core.tools import FunctionTool, kind_of
from clew.engine import watching
from clew.engine.asking import Asking
from clew.engine.calls import CallsAtWork
from clew.engine.images import Images
from clew.engine.recorder import TurnRecorder
from clew.engine.shares import Shares
from clew.model.catalogue import Models
from clew.process import Process
from clew.store import budgets, projects, runs, steps, vector_stores
from clew.store.database import CommitUnknown, Database, is_passing
from clew.store.database import Unstorable as NotKept
from clew.store.statement import Transaction
from clew.tools.toolbox import Toolbox

_STORE_PAUSE = 1_000
"""Milliseconds after which what a store did not take that has trouble of its own is stored again."""

_TURNED = (ModelReplied, ModelFailed, ModelStopped)
"""Events that bring a turn, and what it used."""

_log = logging.getLogger(__name__)


class _Work:
    """A run being worked on: where to reach what it performs, and whether somebody wants attention."""

    __slots__ = ("calls", "epoch", "interrupted", "scope")

    def __init__(self) -> None:
        self.scope: CancelScope | None = None
        self.calls: CallsAtWork | None = None
        self.interrupted = False
        self.epoch = 0

    def interrupt(self) -> None:
        """Have the run's row looked at again."""
        self.interrupted = True
        if self.scope is not None:
            self.scope.cancel()
        if self.calls is not None:
            self.calls.interrupt()


class Worker:
    """Advances the runs it is handed until they are over or wait for a client."""

    def __init__(
        self,
        id: str,
        db: Database,
        *,
        dispatch: Dispatch,
        events: Events,
        models: Models,
        toolbox: Toolbox,
        process: Process,
        shares: Shares,
        wake_webhooks: Callable[[], None] = lambda: None,
        images: Images | None = None,
    ) -> None:
        """Prepare a worker; ``wake_webhooks`` is called when webhooks are to be told of something."""
        self._id, self._wake_webhooks = id, wake_webhooks
        self._db, self._dispatch, self._events = db, dispatch, events
        self._toolbox, self._process, self._shares = toolbox, process, shares
        self._clock, self._ids, self._hooks = process.clock, process.ids, process.hooks
        self._asking = Asking(db, models=models, toolbox=toolbox, clock=process.clock, images=images)
        self._working: dict[str, _Work] = {}

    def interrupt(self, run_id: str) -> bool:
        """Have the run's row looked at again; return whether this worker works on the run."""
        if (work := self._working.get(run_id)) is None:
            return False
        work.interrupt()
        return True

    async def advance(
        self,
        run_id: str,
        claimed: RunState | None = None,
        acknowledge: Callable[[], None] | None = None,
    ) -> None:
        """Work on a run until it is over, waits for a client, or belongs to somebody else."""
        work = self._working[run_id] = _Work()
        ABOUT.set(run_id)
        try:
            state = claimed or await self._take(run_id)
            if acknowledge is not None:
                acknowledge()
            if state is not None:
                work.epoch = state.run.epoch
                self._shares.note(run_id, state.run.project)
                await self._loop(state, work)
        finally:
            self._shares.leave(run_id)
            if self._working.get(run_id) is work:
                del self._working[run_id]
                self._events.left(run_id)

    async def _take(self, run_id: str) -> RunState | None:
        """Claim a run and start on it in one transaction; None if there is nothing to do, or it must wait."""
        taken = await self._db.write(_take, run_id, self._id, self._clock.now(), self._shares)
        if taken is None:
            return None
        decision, applied = taken
        self._applied(applied)
        self._publish(decision, None)
        return applied.state

    async def disown(self, run_id: str, epoch: int) -> None:
        """Give up a run that this worker owned, so that another may take it up at once."""
        await self._db.write(runs.disown, run_id, epoch)

    def owned(self) -> list[tuple[str, int]]:
        """Return the runs that this worker works on, each with the epoch of its claim."""
        return [(run_id, work.epoch) for run_id, work in self._working.items() if work.epoch]

    async def _loop(self, state: RunState, work: _Work) -> None:
        """Perform what a run's state asks for until that is nothing."""
        recorder: TurnRecorder | None = None
        used = Usage()
        try:
            while effects := effects_of(state):
                match effects:
                    case (CallModel() as call,):  # nothing goes on beside it: no task is needed
                        recorder = TurnRecorder(
                            state.run, ids=self._ids, clock=self._clock, events=self._events
                        )
                        event = await self._call_model(state.run, call, recorder, work)
                    case _:
                        calls = tuple(each for each in effects if isinstance(each, RunCall))
                        event = await self._run_calls(state.run, calls, work)
                used = event.turn.usage if isinstance(event, _TURNED) else Usage()
                if isinstance(event, ModelStopped | CallsStopped):  # something has changed: look first
                    state = await self._db.read(runs.reload, state.run.id, state.run.epoch)
                state, decision = await self._settle(state, event)
                self._publish(decision, recorder)
        except runs.ClaimLost:
            _log.info("run %s: another worker has taken it over, or it was deleted", state.run.id)
            if state.run.config.token_allowance is not None:
                tokens = (state.run.usage + used).total_tokens
                await self._db.write(runs.book_gone, state.run, tokens, self._clock.now())
        finally:
            if work.calls is not None:
                await work.calls.stop()

    async def _settle(self, state: RunState, event: Event) -> tuple[RunState, Decision]:
        """Decide and commit; again on the run's newest version if a client has changed it meanwhile.

        While the store itself has trouble, what has come of an effect is kept, and stored when it can be: to
        ask a model twice costs more than to wait. What can't be stored for any other reason ends the run.
        """
        while True:
            decision = decide(state, event, self._clock.now())
            if not decision.writes and decision.state.run == state.run:
                return state, decision
            try:
                applied = await self._db.write(runs.apply, state, decision, self._clock.now(), last=True)
            except (runs.Changed, CommitUnknown):
                newest = await self._db.read(runs.reload, state.run.id, state.run.epoch)
            except runs.ClaimLost:
                raise
            except Exception as error:
                if isinstance(event, Unstorable):
                    raise
                if is_passing(error):
                    newest = await self._reloaded(state)
                else:
                    event = _without_nul(event, error) or self._unstorable(state.run)
                    newest = await self._db.read(runs.reload, state.run.id, state.run.epoch)
            else:
                self._applied(applied)
                return applied.state, decision
            if newest.run == decision.state.at_version(state.run.version + 1).run:
                return newest, decision  # the commit that nobody answered for was made
            state = newest

    def _unstorable(self, run: Run) -> Unstorable:
        _log.exception("run %s: what came of its last effect can't be stored", run.id)
        return Unstorable(
            Failure("server_error", "The server could not store the answer. Its log says more.")
        )

    async def _reloaded(self, state: RunState) -> RunState:
        """Return the run's newest state as soon as the store has got over its trouble."""
        while True:
            await self._clock.sleep(_STORE_PAUSE)
            try:
                return await self._db.read(runs.reload, state.run.id, state.run.epoch)
            except Exception as error:
                if not is_passing(error):
                    raise
                _log.warning("run %s: the store does not answer: %s", state.run.id, error)

    def _applied(self, applied: runs.Applied) -> None:
        """See to what else has come of a decision that is written."""
        if applied.released is not None:
            self._dispatch.advance(applied.released, project=applied.state.run.project)
        if applied.told_webhooks:
            self._wake_webhooks()
        if (due := applied.state.run.due) is not None:
            self._dispatch.wake_at(due)
        if applied.moved and self._hooks.run_changed:
            self._hooks.tell(watching.run_changed(applied.state.run, self._clock.now()))

    def _publish(self, decision: Decision, recorder: TurnRecorder | None) -> None:
        """Tell what is committed, less what the recorder has told already."""
        told = recorder.position if recorder is not None else 0
        entries = [entry for entry in decision.entries if trimmed(entry, told) is not None]
        self._events.committed(decision.state.run.id, entries)

    # --- the effects -------------------------------------------------------------------------

    async def _run_calls(self, run: Run, effects: tuple[RunCall, ...], work: _Work) -> Event:
        """Have calls performed; return what comes of one of them, or that somebody wants attention."""
        if work.interrupted:
            work.interrupted = False
            return CallsStopped()
        if work.calls is None:
            work.calls = CallsAtWork(self._toolbox, self._process, run)
        event = await work.calls.next(effects)
        if isinstance(event, CallsStopped):
            work.interrupted = False
        return event

    async def _call_model(self, run: Run, call: CallModel, recorder: TurnRecorder, work: _Work) -> Event:
        """Ask the model for one turn, unless interrupted. Whatever happens becomes an event."""
        failure = _unavailable(run)
        if run.config.thread_stores and not run.turns and failure is None:
            failure = await self._expired(run)
        if (budget := self._shares.tokens_a_day(run.project)) is not None and failure is None:
            call, failure = await self._within(budget, run, call)
        if not work.interrupted:
            with CancelScope() as work.scope:
                if failure:
                    event: Event = ModelFailed(recorder.turn(), failure)
                else:
                    event = await self._asking.turn(run, call, recorder, work)
                if self._hooks.model_called:
                    self._tell_of_call(run, event)
                return event
        work.interrupted, work.scope = False, None
        return ModelStopped(recorder.turn())

    async def _expired(self, run: Run) -> Failure | None:
        """Return why a run can't be whose thread's files have expired."""
        stores = await self._db.fetch(vector_stores.several, run.project, run.config.thread_stores)
        now = self._clock.now()
        if not stores or any(store.status(now) != "expired" for store in stores):
            return None
        said = f"The vector store {stores[0].id} of the thread is expired: attach its files anew."
        return Failure("server_error", said)

    async def _within(self, budget: int, run: Run, call: CallModel) -> tuple[CallModel, Failure | None]:
        """Return a call within what is left of its project's tokens for today, or why there can be none.

        What was left when the run was made may have been used by others that were made before.
        """
        left = await self._db.fetch(budgets.left_today, run.project, budget, self._clock.now())
        left = (left or 0) - run.usage.total_tokens  # booked when it ends
        if left <= 0:
            said = f"The project has used up its budget of {budget} tokens for today."
            return call, Failure("rate_limit_exceeded", f"{said} It begins anew at 00:00 UTC.")
        own = call.completion_tokens_left
        return replace(call, completion_tokens_left=left if own is None else min(own, left)), None

    def _tell_of_call(self, run: Run, event: Event) -> None:
        now = self._clock.now()
        match event:
            case ModelReplied(turn):
                self._hooks.tell(watching.model_called(run, turn, now))
            case ModelFailed(turn, failure):
                told = watching.model_called(run, turn, now, code=failure.code, message=failure.message)
                self._hooks.tell(told)


async def _take(
    tx: Transaction, run_id: str, worker: str, now: int, shares: Shares
) -> tuple[Decision, runs.Applied] | None:
    while (run := await runs.queued(tx, run_id)) is not None:
        if now < run.expires_at and not shares.enter(run_id, run.project):
            if run.waits_for is None:
                await projects.have_wait(tx, run)
            return None
        owned = RunState(runs.claimed(run, worker, now), await steps.open_of(tx, run))
        decision = decide(owned, Started(), now)
        try:
            return decision, await runs.apply(tx, RunState(run), decision, now, last=True)
        except (runs.Changed, runs.ClaimLost):
            continue  # somebody was quicker: look again
    await runs.hold_thread(tx, run_id)
    claimed = await runs.claim(tx, run_id, worker, now)
    if claimed is None:
        return None
    decision = decide(claimed, Started(), now)
    if not decision.writes and decision.state.run == claimed.run:
        return decision, runs.Applied(claimed, None, told_webhooks=False)
    return decision, await runs.apply(tx, claimed, decision, now)


def _without_nul(event: Event, error: Exception) -> Event | None:
    """Return what a model has said without the NUL that a database doesn't keep; None if that is not why."""
    if not isinstance(error, NotKept) or not isinstance(event, ModelReplied | ModelFailed):
        return None
    cleaned = turns.without_nul(event.turn)
    return None if cleaned == event.turn else replace(event, turn=cleaned)


def _unavailable(run: Run) -> Failure | None:
    if all(isinstance(tool, FunctionTool) for tool in run.config.tools):
        return None
    offered = {offer.tool for offer in run.config.offers.values()}
    kinds = sorted(
        {
            kind_of(tool)
            for index, tool in enumerate(run.config.tools)
            if not isinstance(tool, FunctionTool) and index not in offered
        }
    )
    if not kinds:
        return None
    return Failure(
        "server_error", f"This server does not run these tools yet: {', '.join(kinds)}. Function tools work."
    )
