"""Runs: /threads/{thread_id}/runs and /threads/runs."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import Decision, Refused, RunState
from clew.core.events import CancelRequested, Event, OutputsSubmitted, Started
from clew.core.journal import Entry, journal
from clew.core.records import Message, Run, Step, Thread
from clew.core.states import RunStatus
from clew.http.call import Call, page_request, patience, waits_in_line, whole_number
from clew.http.follower import RunKeys
from clew.http.handlers.threads import new_messages, new_thread
from clew.http.once import once
from clew.http.streams import RunStream
from clew.ids import AGENT, RUN
from clew.store import agents, budgets, line, messages, runs, steps, threads
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction
from clew.wire import frames, objects
from clew.wire.bodies import run_config
from clew.wire.errors import ApiError, invalid, not_found
from clew.wire.objects import ListObject, RunObject, ThreadObject
from clew.wire.requests import (
    CreateRun,
    CreateThread,
    CreateThreadAndRun,
    RunOptions,
    SubmitToolOutputs,
    UpdateMetadata,
)

# --- starting --------------------------------------------------------------------------------------


class _NewRun(Struct, frozen=True, kw_only=True):
    """A run that is to be inserted, with all that comes with it."""

    id: str
    project: str
    thread_id: str
    body: RunOptions
    messages: Sequence[Message]
    now: int
    expires_at: int
    claimant: str | None
    """The worker that can go on with it at once, so that it may be born claimed."""
    wait: bool
    """Whether it waits in line if the thread is busy."""
    daily_budget: int | None
    """Tokens that the project may use on one day."""
    thread: Thread | None = None


async def create(call: Call[CreateRun]) -> RunObject | RunStream:
    """Start a run on a thread, with the messages that the body adds, all or nothing."""
    thread_id = call.path["thread_id"]
    if call.body.tool_resources is not None and "project" not in call.path:  # OpenAI's API has none here
        name = "tool_resources"
        raise invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    bodies = call.body.additional_messages or ()
    added = new_messages(call, thread_id, bodies, "additional_messages")
    return await _start(call, thread_id, added)


async def create_thread_and_run(call: Call[CreateThreadAndRun]) -> RunObject | RunStream:
    """Create a thread and start a run on it, all or nothing."""
    thread, first = new_thread(call, call.body.thread or CreateThread())
    return await _start(call, thread.id, first, thread)


async def _start(
    call: Call[CreateRun] | Call[CreateThreadAndRun],
    thread_id: str,
    added: Sequence[Message],
    thread: Thread | None = None,
) -> RunObject | RunStream:
    """Insert a run, already claimed if this process can work on it at once; then have it advanced."""
    if call.azure and not call.body.assistant_id.startswith(AGENT):
        raise invalid(
            f"Invalid 'assistant_id': '{call.body.assistant_id[:64]}'. "
            "Expected an ID that begins with 'asst'.",
            param="assistant_id",
            code="invalid_value",
        )
    services, now = call.services, call.now
    new = _NewRun(
        id=services.ids.new(RUN),
        project=call.project,
        thread_id=thread_id,
        body=call.body,
        messages=added,
        now=now,
        expires_at=now + (call.body.expires_in * 1000 if call.body.expires_in else services.run_expiry),
        claimant=services.dispatch.claimant,
        wait=waits_in_line(call),
        daily_budget=services.daily_token_budget,
        thread=thread,
    )
    created = objects.thread(thread) if thread is not None else None
    receipt = partial(_started_receipt, thread=created)
    done = await once(call, partial(_insert, new=new), receipt, _Receipt)
    if (state := done.result) is not None:
        if state.run.held is None:
            services.dispatch.wake_at(new.expires_at)
            services.dispatch.advance(new.id, state if state.run.epoch else None)
        services.events.committed(new.id, journal(state.run, (), ()))
    return _answer(call, done.receipt)


class _Receipt(Struct, frozen=True):
    """What a client gets for a run that it set going: the run, or its stream after a position."""

    run: RunObject
    after: int
    thread: ThreadObject | None = None


def _started_receipt(state: RunState, thread: ThreadObject | None) -> _Receipt:
    queued = replace(state.run, status=RunStatus.QUEUED, started_at=None)
    return _Receipt(objects.run(queued), 0, thread)


def _answer(call: Call[Any], receipt: _Receipt) -> RunObject | RunStream:
    if not call.body.stream:
        return receipt.run
    keys = RunKeys(call.project, receipt.run.thread_id, receipt.run.id)
    preface = frames.thread_created(receipt.thread) if receipt.thread is not None else b""
    return RunStream(call.services, keys, after=receipt.after, preface=preface)


async def _insert(tx: Transaction, new: _NewRun) -> RunState:
    if new.thread is not None:
        return await _insert_with_thread(tx, new, new.thread)
    if new.messages or new.wait:
        await threads.hold(tx, new.project, new.thread_id)
    while True:  # once, if the thread is held; else until nobody has changed it since the look
        ground = await runs.ground(tx, new.project, new.thread_id, new.body.assistant_id)
        run = await _run(tx, new, ground)
        place = None if run.held is None else run.held - 1  # a run waits right behind its messages
        for message in new.messages:
            await messages.add(tx, replace(message, held=place))
        if await runs.add(tx, run, tokens_used=ground.tokens_used, last=True):
            return RunState(run)


async def _insert_with_thread(tx: Transaction, new: _NewRun, thread: Thread) -> RunState:
    agent = await agents.get(tx, new.project, new.body.assistant_id)
    lock = threads.lock_of(None, thread.token_budget, 0)
    run = await _run(tx, new, runs.Ground(lock, 0, agent))
    await runs.add_with_thread(tx, thread, new.messages, run)
    return RunState(run)


async def _run(tx: Transaction, new: _NewRun, ground: runs.Ground) -> Run:
    """Return the run as it is to be inserted, or say why there can't be one."""
    lock, agent = ground.lock, ground.agent
    if lock is None:
        raise not_found("thread", new.thread_id)
    if agent is None:
        raise not_found("assistant", new.body.assistant_id)
    if lock.active is not None and not new.wait:
        raise invalid(f"Thread {new.thread_id} already has an active run {lock.active}.")
    allowance = await _allowance(tx, new, lock.tokens_left)
    place = None if lock.active is None else await line.next_place(tx, new.thread_id)
    run = Run(
        id=new.id,
        project=new.project,
        thread_id=new.thread_id,
        assistant_id=agent.id,
        created_at=new.now,
        expires_at=new.expires_at,
        config=replace(run_config(agent, new.body), token_allowance=allowance),
        metadata=new.body.metadata or {},
        position=2,  # created and queued
        held=None if place is None else place + 1,
    )
    if new.claimant is not None and place is None:
        run = replace(decide(RunState(run), Started(), new.now).state.run, epoch=1, worker=new.claimant)
    return run


async def _allowance(tx: Transaction, new: _NewRun, of_thread: int | None) -> int | None:
    """Return what is left of the thread's and the project's token budgets; refuse if nothing is."""
    if of_thread == 0:
        raise invalid(
            f"Thread {new.thread_id} has used up its token budget. "
            "Raise 'token_budget' by updating the thread.",
            code="token_budget_exceeded",
        )
    today = await budgets.left_today(tx, new.project, new.daily_budget, new.now)
    if today == 0:
        raise ApiError(
            429,
            f"The project has used up its budget of {new.daily_budget} tokens for today.",
            type="insufficient_quota",
            code="insufficient_quota",
            headers={"x-should-retry": "false"},
        )
    left = [tokens for tokens in (of_thread, today) if tokens is not None]
    return min(left) if left else None


# --- going on --------------------------------------------------------------------------------------


async def submit_tool_outputs(call: Call[SubmitToolOutputs]) -> RunObject | RunStream:
    """Answer all the calls that a run waits for. Of two submissions one wins."""
    services, run_id = call.services, call.path["run_id"]
    keys = RunKeys(call.project, call.path["thread_id"], run_id)
    outputs = OutputsSubmitted(
        tuple((each.tool_call_id or "", each.output or "") for each in call.body.tool_outputs)
    )
    claimant = services.dispatch.claimant
    submit = partial(_transition, keys=keys, event=outputs, now=call.now, claimant=claimant)
    done = await once(call, submit, _resumed_receipt, _Receipt)
    if done.result is not None:
        decision, state = done.result
        services.dispatch.advance(run_id, state if claimant else None)
        services.events.committed(run_id, decision.entries)
    return _answer(call, done.receipt)


def _resumed_receipt(result: tuple[Decision, RunState]) -> _Receipt:
    decision, state = result
    queued = replace(state.run, status=RunStatus.QUEUED, completed_at=None, incomplete_reason=None)
    return _Receipt(objects.run(queued), decision.entries[0].position - 1)


async def cancel(call: Call[None]) -> RunObject:
    """Cancel a run: whoever works on it stops at once."""
    services, run_id = call.services, call.path["run_id"]
    keys = RunKeys(call.project, call.path["thread_id"], run_id)
    ask = partial(_cancel, keys=keys, now=call.now)
    done = await once(call, ask, lambda result: objects.run(result[0].run), RunObject)
    if done.result is not None and done.result[1]:
        services.events.committed(run_id, done.result[1])
        services.announced()
    services.dispatch.interrupt(run_id)
    return done.receipt


async def _cancel(tx: Transaction, keys: RunKeys, now: int) -> tuple[RunState, tuple[Entry, ...]]:
    """Ask for the cancellation; a run that still waits in line has no worker to wait for."""
    _, state = await _transition(tx, keys, CancelRequested(), now, None)
    if state.run.held is None:
        return state, ()
    ended = decide(RunState(replace(state.run, held=None)), Started(), now)
    return (await runs.apply(tx, state, ended, now)).state, ended.entries


async def _transition(
    tx: Transaction, keys: RunKeys, event: Event, now: int, claimant: str | None
) -> tuple[Decision, RunState]:
    """Decide on what a client asks for, and write it; claim the run for a worker that can go on with it."""
    await threads.hold(tx, keys.project, keys.thread_id)
    run = await runs.hold(tx, *keys)
    if run is None:
        raise not_found("run", keys.run_id)
    before = await runs.state(tx, run)
    try:
        decision = decide(before, event, now)
    except Refused as refused:
        raise invalid(str(refused)) from None
    if claimant is not None:
        owned = RunState(runs.claimed(decision.state.run, claimant))
        started = decide(owned, Started(), now)
        decision = replace(decision.then(started), entries=decision.entries + started.entries)
    return decision, (await runs.apply(tx, before, decision, now)).state


_MOVING = frozenset((RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.CANCELLING))
_WITH_A_STEP = frozenset((RunStatus.REQUIRES_ACTION, RunStatus.CANCELLING))
"""Statuses in which a step may wait for outputs."""

# --- reading ---------------------------------------------------------------------------------------


async def get(call: Call[None]) -> RunObject:
    """Read a run; with ``wait``, as soon as it needs nobody's patience any more, or after so long."""
    keys = RunKeys(call.project, call.path["thread_id"], call.path["run_id"])
    seconds = patience(call)
    state = await (_when_still(call, keys, seconds) if seconds else _look(call, keys))
    return objects.run(state.run, state.waiting)


async def _when_still(call: Call[None], keys: RunKeys, seconds: float) -> RunState:
    """Return the run's state when it is over or waits for a client, or after ``seconds``."""
    news = call.services.events.subscribe(keys.run_id)
    try:
        async with asyncio.timeout(seconds):
            while (state := await _look(call, keys)).run.status in _MOVING:
                await news.wait_for_commit()
        return state
    except TimeoutError:
        return await _look(call, keys)
    finally:
        news.close()


async def _look(call: Call[None], keys: RunKeys) -> RunState:
    """Return a run's state; of most runs that is one row."""
    run = await call.services.db.fetch(runs.get, *keys)
    if run is None:
        raise not_found("run", keys.run_id)
    if run.status in _WITH_A_STEP:
        return await call.services.db.read(_state, *keys)
    return RunState(run)


async def _state(tx: Transaction, project: str, thread_id: str, run_id: str) -> RunState:
    run = await runs.get(tx, project, thread_id, run_id)
    if run is None:
        raise not_found("run", run_id)
    return await runs.state(tx, run)


LAST_POSITION = 999_999_999_999_999
"""No run's journal gets that far, and any client's numbers do."""


async def follow(call: Call[None]) -> RunStream:
    """Stream a run's events, from the one after position ``after`` on, whether it lives or is over."""
    keys = RunKeys(call.project, call.path["thread_id"], call.path["run_id"])
    await _look(call, keys)
    return RunStream(call.services, keys, after=_after(call), joined=True)


def _after(call: Call[None]) -> int:
    """Return the position to go on from: the query's, or the later one that an EventSource has seen.

    An EventSource that connects again repeats its URL, with the ``after`` that it once began with.
    """
    asked, seen = call.query.get("after") or "0", call.headers.get("last-event-id", "0")
    return max(
        whole_number(asked, "after", least=0, most=LAST_POSITION),
        whole_number(seen, "Last-Event-ID", least=0, most=LAST_POSITION),
    )


async def update(call: Call[UpdateMetadata]) -> RunObject:
    """Change a run's metadata."""
    keys = RunKeys(call.project, call.path["thread_id"], call.path["run_id"])
    state = await call.services.db.write(_update, keys, call.body)
    return objects.run(state.run, state.waiting)


async def _update(tx: Transaction, keys: RunKeys, body: UpdateMetadata) -> RunState:
    state = await _state(tx, *keys)
    if body.metadata is None:
        return state
    changed = replace(state.run, metadata=body.metadata)
    await runs.save_metadata(tx, changed)
    return RunState(changed, state.waiting)


async def list_(call: Call[None]) -> ListObject[RunObject]:
    """List a thread's runs."""
    page, waiting = await call.services.db.read(
        _list, call.project, call.path["thread_id"], page_request(call)
    )
    return objects.listed([objects.run(each, waiting) for each in page.items], page.has_more)


async def _list(
    tx: Transaction, project: str, thread_id: str, wanted: PageRequest
) -> tuple[Page, Step | None]:
    """Return a page, and the step that the one live run of the thread waits for, if it does."""
    if await threads.get(tx, project, thread_id) is None:
        raise not_found("thread", thread_id)
    page = await runs.page(tx, thread_id, wanted)
    parked = [run for run in page.items if run.status == RunStatus.REQUIRES_ACTION]
    return page, await steps.waiting(tx, parked[0].id) if parked else None
