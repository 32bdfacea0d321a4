"""Starting a run: on a thread that is there or with a new one, with messages, all or nothing."""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import RunState
from clew.core.errors import (
    ModelNotFound,
    NotFound,
    ProjectBudgetSpent,
    ThreadBudgetSpent,
    ThreadBusy,
    UnknownToolChoice,
)
from clew.core.events import Started
from clew.core.journal import journal
from clew.core.records import Agent, Message, Run, RunConfig, Thread
from clew.core.states import RunStatus, WaitsFor
from clew.core.tools import FILE_SEARCH, ChosenFunction, FileSearchTool, NamedTool, ToolResources
from clew.ids import RUN
from clew.model.catalogue import Models
from clew.service import resources
from clew.service.commands import Given, StartRun
from clew.service.context import Services
from clew.service.messages import draft as draft_message
from clew.service.once import Key, once
from clew.service.threads import add as add_thread
from clew.service.threads import draft as draft_thread
from clew.service.vector_stores import Making, making
from clew.store import agents, budgets, line, messages, runs, threads, vector_stores
from clew.store.statement import Transaction
from clew.tools.toolbox import KINDS, Toolbox

_FILES = 60_000
"""Milliseconds for which a run waits for the files of its thread, as the services do."""


class RunReceipt(Struct, frozen=True):
    """What a caller gets for a run that it set going.

    ``run`` is as it was before any worker had it; what happens to it is told by its events after the
    position ``after``. ``thread`` is the one that was made for it.
    """

    run: Run
    after: int
    thread: Thread | None = None


class _NewRun(Struct, frozen=True, kw_only=True):
    """A run that is to be inserted, with all that comes with it."""

    id: str
    project: str
    thread_id: str
    command: StartRun
    messages: Sequence[Message]
    now: int
    expires_at: int
    toolbox: Toolbox
    models: Models
    claimant: str | None
    """The worker that can go on with it at once, so that it may be born claimed."""
    may_work: bool
    """Whether its project's share has room for it."""
    daily_budget: int | None
    """Tokens that the project may use on one day."""
    thread: Thread | None
    making: Making
    given: Given


async def start(services: Services, project: str, command: StartRun, key: Key | None = None) -> RunReceipt:
    """Insert a run, already claimed if this process can work on it at once; then have it advanced.

    Raises:
        NotFound: there is no such thread or agent.
        ThreadBusy: another run is active, and this one may not wait.
        ThreadFull: its messages are too many.
        BudgetSpent: the thread or the project may use no more tokens.
        UnknownToolChoice: it is to call a tool that it doesn't have.
        ModelNotFound: nobody answers to its model's name.
        ToolNotSwitchedOn, TooManyFunctions: its tools can't be used here.
        KeyReused: the key was used for another request.
    """
    new = _draft(services, project, command)
    receipt = partial(_receipt, thread=new.thread)
    owned = False
    try:
        done = await once(services, project, key, partial(_insert, new=new), receipt, RunReceipt)
        owned = done.result is not None and done.result.run.epoch > 0
    finally:
        if not owned:
            services.shares.leave(new.id)
    if (state := done.result) is not None:
        if state.run.held is None:
            services.dispatch.wake_at(new.expires_at if state.run.due is None else state.run.due)
            if state.run.waits_for is None:
                services.dispatch.advance(new.id, state if owned else None, project=project)
        services.events.committed(new.id, journal(state.run, (), ()))
        services.tell_of(state.run)
        if resources.has_to_read(new.messages, new.given, command.resources):
            services.wake_ingestion()
    return done.receipt


def _draft(services: Services, project: str, command: StartRun) -> _NewRun:
    now, thread, run_id = services.process.clock.now(), None, services.process.ids.new(RUN)
    if isinstance(command.thread, str):
        thread_id = command.thread
        added = [draft_message(services, project, thread_id, each, now) for each in command.messages]
    else:
        thread, added = draft_thread(services, project, command.thread, now)
        thread_id = thread.id
    return _NewRun(
        id=run_id,
        project=project,
        thread_id=thread_id,
        command=command,
        messages=added,
        now=now,
        expires_at=now + (command.expires_in or services.run_expiry),
        toolbox=services.toolbox,
        models=services.models,
        claimant=services.dispatch.claimant,
        may_work=services.shares.enter(run_id, project),
        daily_budget=services.shares.tokens_a_day(project),
        thread=thread,
        making=making(services, now),
        given=Given() if isinstance(command.thread, str) else command.thread.resources,
    )


def _receipt(state: RunState, thread: Thread | None) -> RunReceipt:
    return RunReceipt(replace(state.run, status=RunStatus.QUEUED, started_at=None), 0, thread)


async def _insert(tx: Transaction, new: _NewRun) -> RunState:
    added: Sequence[Message] = new.messages
    given = _given(new)
    if new.thread is not None:
        if new.given.plain and given is None and not resources.needs_files(added):
            return await _insert_with_thread(tx, new, new.thread)
        await add_thread(tx, new.thread, added, new.given, new.making)
        added = ()
    if given is not None:
        settled = await resources.settled(tx, new.making, new.project, given)
        options = {**new.command.options, "tool_resources": settled}
        new = replace(new, command=replace(new.command, options=options))
    if added or new.command.wait:
        await threads.hold(tx, new.project, new.thread_id)
    if resources.needs_files(added):
        await resources.attach(tx, new.making, new.project, new.thread_id, added, "additional_messages")
    while True:  # once, if the thread is held; else until nobody has changed it since the look
        found = await runs.preconditions(tx, new.project, new.thread_id, new.command.agent_id)
        run = await _run(tx, new, found)
        place = None if run.held is None else run.held - 1  # a run waits right behind its messages
        for message in added:
            await messages.add(tx, replace(message, held=place))
        if await runs.add(tx, run, tokens_used=found.tokens_used, last=True):
            return RunState(run)


def _given(new: _NewRun) -> Given | None:
    """Return what stands in the place of the agent's resources: Azure's clients send an empty one."""
    given = new.command.resources
    return None if given is None or given.plain else given


async def _insert_with_thread(tx: Transaction, new: _NewRun, thread: Thread) -> RunState:
    agent = await agents.get(tx, new.project, new.command.agent_id)
    lock = threads.lock_of(None, thread.token_budget, 0)
    run = await _run(tx, new, runs.Preconditions(lock, 0, agent, thread.tool_resources))
    await runs.add_with_thread(tx, thread, new.messages, run)
    return RunState(run)


async def _run(tx: Transaction, new: _NewRun, found: runs.Preconditions) -> Run:
    """Return the run as it is to be inserted, or say why there can't be one."""
    lock, agent, command = found.lock, found.agent, new.command
    if lock is None:
        raise NotFound("thread", new.thread_id)
    if agent is None:
        raise NotFound("agent", command.agent_id)
    if lock.active is not None and not command.wait:
        raise ThreadBusy(new.thread_id, lock.active, "run")
    allowance = await _allowance(tx, new, lock.tokens_left)
    place = None if lock.active is None else await line.next_place(tx, new.thread_id)
    run = Run(
        id=new.id,
        project=new.project,
        thread_id=new.thread_id,
        assistant_id=agent.id,
        created_at=new.now,
        expires_at=new.expires_at,
        config=_config(new, agent, allowance, found.resources),
        metadata=command.metadata,
        position=2,  # created and queued
        held=None if place is None else place + 1,
    )
    if place is None and not new.may_work:
        return replace(run, waits_for=WaitsFor.SHARE)
    if place is None and await _reads_files(tx, run):
        return replace(run, waits_for=WaitsFor.FILES, due=new.now + _FILES)
    if new.claimant is not None and place is None:
        begun = decide(RunState(run), Started(), new.now).state.run
        run = replace(begun, epoch=1, worker=new.claimant, claimed_at=new.now)
    return run


async def _allowance(tx: Transaction, new: _NewRun, of_thread: int | None) -> int | None:
    """Return what is left of the thread's and the project's token budgets; refuse if nothing is."""
    if of_thread == 0:
        raise ThreadBudgetSpent(new.thread_id)
    today = await budgets.left_today(tx, new.project, new.daily_budget, new.now)
    if today == 0:
        raise ProjectBudgetSpent(new.daily_budget or 0)
    left = [tokens for tokens in (of_thread, today) if tokens is not None]
    return min(left) if left else None


_OF_AGENT = tuple(name for name in RunConfig.__struct_fields__ if name in Agent.__struct_fields__)


def _config(new: _NewRun, agent: Agent, allowance: int | None, of_thread: ToolResources) -> RunConfig:
    """Return the values in force for a run: its own where given, else its agent's."""
    toolbox, command = new.toolbox, new.command
    of_agent = {name: getattr(agent, name) for name in _OF_AGENT}
    config = RunConfig(**{**of_agent, **command.options, "token_allowance": allowance})
    if command.additional_instructions:
        parts = [part for part in (config.instructions, command.additional_instructions) if part]
        config = replace(config, instructions="\n\n".join(parts))
    if (stores := _stores(of_thread)) and FILE_SEARCH in toolbox:
        tools = config.tools
        if not any(isinstance(tool, FileSearchTool) for tool in tools):
            tools = [*tools, FileSearchTool()]
        config = replace(config, tools=tools, thread_stores=stores)
    if config.tools:
        toolbox.check(config.tools)
        config = replace(config, offers=toolbox.offers(config.tools))
    _check_tool_choice(config)
    if not new.models.knows(config.model):
        raise ModelNotFound(config.model, new.models.names)
    return config


def _stores(resources: ToolResources) -> list[str]:
    return list((resources.file_search and resources.file_search.vector_store_ids) or ())


async def _reads_files(tx: Transaction, run: Run) -> bool:
    """Whether files of the run's thread are being read. It waits for them, and not for its agent's."""
    stores = run.config.thread_stores
    return any(store.in_progress for store in await vector_stores.several(tx, run.project, stores))


def _check_tool_choice(config: RunConfig) -> None:
    match config.tool_choice:
        case NamedTool(function=ChosenFunction(name=name)) if name not in config.function_names():
            raise UnknownToolChoice(name)
        case NamedTool(type=kind) if kind in {*KINDS, FILE_SEARCH} and kind not in {
            offer.kind for offer in config.offers.values()
        }:
            raise UnknownToolChoice(kind)
