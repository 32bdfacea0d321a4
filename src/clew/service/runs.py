"""Runs that are there: gone on with, cancelled, waited for, read."""

import asyncio
from functools import partial

from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import Decision, RunState
from clew.core.entries import Entry
from clew.core.errors import ApprovalsMismatch, NotFound, OutputsMismatch
from clew.core.events import CancelRequested, Event, Started, Submitted
from clew.core.records import Run, Step
from clew.core.states import RunStatus
from clew.service.commands import Submit
from clew.service.context import Services
from clew.service.following import RunKeys
from clew.service.once import Key, once
from clew.service.starting import RunReceipt
from clew.store import runs, steps, threads
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction

_MOVING = frozenset((RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.CANCELLING))

# --- going on --------------------------------------------------------------------------------------


async def submit(services: Services, keys: RunKeys, command: Submit, key: Key | None = None) -> RunReceipt:
    """Answer all the calls that a run waits for. Of two submissions one wins.

    Raises:
        NotFound: there is no such run.
        OutputsNotAccepted: the run waits for none.
        OutputsMismatch, ApprovalsMismatch: they are not exactly what it waits for.
        KeyReused: the key was used for another request.
    """
    event, claimant = Submitted(command.outputs, command.approvals), services.dispatch.claimant
    function = partial(change, keys=keys, event=event, now=services.process.clock.now(), claimant=claimant)
    try:
        done = await once(services, keys.project, key, function, _resumed, RunReceipt)
    except (OutputsMismatch, ApprovalsMismatch) as refused:
        services.refusals.note(keys.run_id, refused, services.process.clock.now())
        raise
    services.refusals.forget(keys.run_id)
    if done.result is not None:
        decision, state = done.result
        services.dispatch.advance(keys.run_id, state if claimant else None, project=keys.project)
        services.events.committed(keys.run_id, decision.entries)
        services.tell_of(state.run)
    return done.receipt


def _resumed(result: tuple[Decision, RunState]) -> RunReceipt:
    decision, state = result
    queued = replace(state.run, status=RunStatus.QUEUED, completed_at=None, incomplete_reason=None)
    return RunReceipt(queued, decision.entries[0].position - 1)


async def cancel(services: Services, keys: RunKeys, key: Key | None = None) -> Run:
    """Cancel a run: whoever works on it stops at once.

    Raises:
        NotFound: there is no such run.
        NotCancellable: it is over, or being cancelled already.
        KeyReused: the key was used for another request.
    """
    ask = partial(_cancel, keys=keys, now=services.process.clock.now())
    done = await once(services, keys.project, key, ask, lambda result: result[0].run, Run)
    if done.result is not None:
        _tell_of_cancellation(services, *done.result)
    services.dispatch.interrupt(keys.run_id)
    return done.receipt


def _tell_of_cancellation(services: Services, state: RunState, entries: tuple[Entry, ...]) -> None:
    if entries:
        services.events.committed(state.run.id, entries)
        services.wake_webhooks()
    else:
        services.events.feed.tell_of(state.run)
    services.tell_of(state.run)


async def _cancel(tx: Transaction, keys: RunKeys, now: int) -> tuple[RunState, tuple[Entry, ...]]:
    """Ask for the cancellation; a run that still waits in line has no worker to wait for."""
    _, state = await change(tx, keys, CancelRequested(), now, None)
    if state.run.held is None:
        return state, ()
    ended = decide(RunState(replace(state.run, held=None), state.open_step), Started(), now)
    return (await runs.apply(tx, state, ended, now)).state, ended.entries


async def change(
    tx: Transaction, keys: RunKeys, event: Event, now: int, claimant: str | None
) -> tuple[Decision, RunState]:
    """Decide on what a client asks for, and write it; claim the run for a worker that can go on with it.

    Raises:
        NotFound: there is no such run.
        Refused: the run's status does not allow what is asked.
    """
    await threads.hold(tx, keys.project, keys.thread_id)
    run = await runs.hold(tx, *keys)
    if run is None:
        raise NotFound("run", keys.run_id)
    before = await runs.state(tx, run)
    decision = decide(before, event, now)
    if claimant is not None:
        owned = RunState(runs.claimed(decision.state.run, claimant, now), decision.state.open_step)
        decision = decision.then(decide(owned, Started(), now))
    return decision, (await runs.apply(tx, before, decision, now)).state


# --- reading ---------------------------------------------------------------------------------------


async def read(services: Services, keys: RunKeys, wait: float = 0) -> RunState:
    """Return a run's state; with ``wait``, when it is over or waits for a client, or after so many seconds.

    A process that is about to stop keeps nobody waiting, nor does one whose project has as many who wait as
    it may.

    Raises:
        NotFound: there is no such run.
    """
    if not wait or not services.shares.long_poll(keys.project, 1):
        return await _look(services, keys)
    news, stopping = services.events.subscribe(keys.run_id), services.stopping
    try:
        async with asyncio.timeout(wait):
            while (state := await _look(services, keys)).run.status in _MOVING and not stopping.begun:
                await news.wait_for_commit()
        return state
    except TimeoutError:
        return await _look(services, keys)
    finally:
        services.shares.long_poll(keys.project, -1)
        news.close()


async def _look(services: Services, keys: RunKeys) -> RunState:
    """Return a run's state; of most runs that is one row."""
    run = await services.db.fetch(runs.get, *keys)
    if run is None:
        raise NotFound("run", keys.run_id)
    if run.open_step is not None:
        return await services.db.read(_state, keys)
    return RunState(run)


async def _state(tx: Transaction, keys: RunKeys) -> RunState:
    run = await runs.get(tx, *keys)
    if run is None:
        raise NotFound("run", keys.run_id)
    return await runs.state(tx, run)


async def update(services: Services, keys: RunKeys, metadata: dict[str, str] | None) -> RunState:
    """Change a run's metadata, if any is given; return the run's state as it is now.

    Raises:
        NotFound: there is no such run.
    """
    return await services.db.write(_update, keys, metadata)


async def _update(tx: Transaction, keys: RunKeys, metadata: dict[str, str] | None) -> RunState:
    state = await _state(tx, keys)
    if metadata is None:
        return state
    changed = replace(state.run, metadata=metadata)
    await runs.save_metadata(tx, changed)
    return RunState(changed, state.open_step)


async def page(
    services: Services, project: str, thread_id: str, wanted: PageRequest
) -> tuple[Page, Step | None]:
    """Return one page of a thread's runs, and the step that its one live run waits for, if it does.

    Raises:
        NotFound: there is no such thread.
    """
    return await services.db.read(_page, project, thread_id, wanted)


async def _page(
    tx: Transaction, project: str, thread_id: str, wanted: PageRequest
) -> tuple[Page, Step | None]:
    if await threads.get(tx, project, thread_id) is None:
        raise NotFound("thread", thread_id)
    found = await runs.page(tx, thread_id, wanted)
    parked = [run for run in found.items if run.status == RunStatus.REQUIRES_ACTION]
    return found, await steps.open_of(tx, parked[0]) if parked else None
