"""The run loop: claim, decide, commit, publish, perform the effect, and again."""

import logging
from collections.abc import Callable

import anyio

from clew.bus.dispatch import Dispatch
from clew.bus.events import Events
from clew.clock import Clock
from clew.core.decide import decide
from clew.core.decisions import CallModel, Decision, RunState
from clew.core.events import Event, ModelFailed, ModelReplied, ModelStopped, PromptTooLong, Started
from clew.core.journal import trimmed
from clew.core.records import Failure, Message, Run, Step
from clew.engine import prompt
from clew.engine.histories import Histories
from clew.engine.recorder import TurnRecorder
from clew.ids import Ids
from clew.model.catalogue import Models
from clew.model.chat import ChatRequest, ModelError
from clew.store import messages, runs, steps
from clew.store.database import CommitUnknown, Database
from clew.store.statement import Transaction

_log = logging.getLogger(__name__)


class _Work:
    """A run being worked on: where to reach the model call, and whether somebody wants attention."""

    __slots__ = ("epoch", "interrupted", "scope")

    def __init__(self) -> None:
        self.scope: anyio.CancelScope | None = None
        self.interrupted = False
        self.epoch = 0


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
        clock: Clock,
        ids: Ids,
        announced: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare a worker; ``announced`` is called when webhooks are to be told of something."""
        self._id, self._announced = id, announced
        self._db, self._dispatch, self._events = db, dispatch, events
        self._models, self._clock, self._ids = models, clock, ids
        self._histories = Histories(db)
        self._working: dict[str, _Work] = {}

    def interrupt(self, run_id: str) -> bool:
        """Have the run's row looked at again; return whether this worker works on the run."""
        if (work := self._working.get(run_id)) is None:
            return False
        work.interrupted = True
        if work.scope is not None:
            work.scope.cancel()
        return True

    async def advance(
        self,
        run_id: str,
        claimed: RunState | None = None,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """Work on a run until it is over, waits for a client, or belongs to somebody else."""
        work = self._working[run_id] = _Work()
        try:
            state = claimed or await self._take(run_id)
            if settled is not None:
                settled()
            if state is not None:
                work.epoch = state.run.epoch
                await self._loop(state, work)
        finally:
            if self._working.get(run_id) is work:
                del self._working[run_id]
                self._events.left(run_id)

    async def _take(self, run_id: str) -> RunState | None:
        """Claim a run and start on it in one transaction; None if there is nothing to do."""
        taken = await self._db.write(_take, run_id, self._id, self._clock.now())
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
        event: Event = Started()
        recorder: TurnRecorder | None = None
        try:
            while True:
                state, decision = await self._settle(state, event)
                self._publish(decision, recorder)
                if decision.call_model is None:
                    return
                recorder = TurnRecorder(state.run, ids=self._ids, clock=self._clock, events=self._events)
                event = await self._call_model(state.run, decision.call_model, recorder, work)
                if isinstance(event, ModelStopped):  # something has changed: look before deciding
                    state = await self._db.read(runs.reload, state.run.id, state.run.epoch)
        except runs.ClaimLost:
            _log.info("run %s: another worker has taken it over, or it was deleted", state.run.id)

    async def _settle(self, state: RunState, event: Event) -> tuple[RunState, Decision]:
        """Decide and commit; again on the run's newest version if a client has changed it meanwhile."""
        while True:
            decision = decide(state, event, self._clock.now())
            if not decision.writes and decision.state.run == state.run:
                return state, decision
            try:
                applied = await self._db.write(runs.apply, state, decision, self._clock.now(), last=True)
            except (runs.Changed, CommitUnknown):
                newest = await self._db.read(runs.reload, state.run.id, state.run.epoch)
                if newest.run == decision.state.at_version(state.run.version + 1).run:
                    return newest, decision  # the commit that nobody answered for was made
                state = newest
                continue
            self._applied(applied)
            return applied.state, decision

    def _applied(self, applied: runs.Applied) -> None:
        """See to what else has come of a decision that is written."""
        if applied.released is not None:
            self._dispatch.advance(applied.released)
        if applied.announced:
            self._announced()

    def _publish(self, decision: Decision, recorder: TurnRecorder | None) -> None:
        """Tell what is committed, less what the recorder has told already."""
        told = recorder.position if recorder is not None else 0
        entries = [entry for entry in decision.entries if trimmed(entry, told) is not None]
        self._events.committed(decision.state.run.id, entries)

    # --- the effect --------------------------------------------------------------------------

    async def _call_model(self, run: Run, call: CallModel, recorder: TurnRecorder, work: _Work) -> Event:
        """Ask the model for one turn, unless interrupted. Whatever happens becomes an event."""
        if not work.interrupted:
            with anyio.CancelScope() as work.scope:
                return await self._ask(run, call, recorder, work)
        work.interrupted, work.scope = False, None
        return ModelStopped(recorder.turn())

    async def _ask(self, run: Run, call: CallModel, recorder: TurnRecorder, work: _Work) -> Event:
        if failure := _unavailable(run):
            return ModelFailed(recorder.turn(), failure)
        model, name = self._models.resolve(run.config.model)
        try:
            request = await self._request(run, name, call, model.context_tokens)
            recorder.asked(request)
            stream = model.stream(request)
            try:
                async for chunk in stream:
                    if work.interrupted:
                        return ModelStopped(recorder.turn())
                    recorder.add(chunk)
            finally:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
        except prompt.DoesNotFit:
            return PromptTooLong()
        except ModelError as error:
            return ModelFailed(recorder.turn(), Failure(error.code, error.message))
        except Exception:
            _log.exception("run %s: the model call broke", run.id)
            failure = Failure(
                "server_error", "The server could not make sense of the model. Its log says more."
            )
            return ModelFailed(recorder.turn(), failure)
        return ModelReplied(recorder.turn())

    async def _request(self, run: Run, model: str, call: CallModel, context: int | None) -> ChatRequest:
        history = await self._histories.before(run.thread_id, run.id, prompt.history_limit(run))
        own_steps, own_messages = await self._db.read(_own_turns, run.id) if run.turns else ([], [])
        return prompt.build(run, model, history, own_steps, own_messages, call, context)


async def _take(tx: Transaction, run_id: str, worker: str, now: int) -> tuple[Decision, runs.Applied] | None:
    while (run := await runs.queued(tx, run_id)) is not None:
        decision = decide(RunState(runs.claimed(run, worker)), Started(), now)
        try:
            return decision, await runs.apply(tx, RunState(run), decision, now, last=True)
        except (runs.Changed, runs.ClaimLost):
            continue  # somebody was quicker: look again
    await runs.hold_thread(tx, run_id)
    owned = await runs.claim(tx, run_id, worker, now)
    if owned is None:
        return None
    decision = decide(owned, Started(), now)
    if not decision.writes and decision.state.run == owned.run:
        return decision, runs.Applied(owned, None, announced=False)
    return decision, await runs.apply(tx, owned, decision, now)


async def _own_turns(tx: Transaction, run_id: str) -> tuple[list[Step], list[Message]]:
    """Return a run's own steps and messages so far."""
    return await steps.of_run(tx, run_id), await messages.of_run(tx, run_id)


def _unavailable(run: Run) -> Failure | None:
    kinds = sorted({tool["type"] for tool in run.config.tools if tool["type"] != "function"})
    if not kinds:
        return None
    return Failure(
        "server_error", f"This server does not run these tools yet: {', '.join(kinds)}. Function tools work."
    )
