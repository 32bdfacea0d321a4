"""The use cases of runs on a real SQLite store, against a model of the rules: hundreds of random histories.

Clients create, submit, approve, cancel; workers claim, reply, run calls and fail, some of them after they
have lost their claim; time passes; the store is closed and opened again. After every step the rows are
compared with what the model expects, and every run's journal must still begin with what its readers
were told.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from clew.bus.feed import Feed
from clew.bus.local_events import LocalEvents, LocalSubscription
from clew.bus.turnstile import Turnstile
from clew.clock import SystemClock
from clew.core.decide import decide
from clew.core.decisions import RunState
from clew.core.entries import Entry
from clew.core.errors import (
    ApprovalsMismatch,
    NotCancellable,
    OutputsMismatch,
    OutputsNotAccepted,
    Refused,
    ThreadBusy,
)
from clew.core.events import CallEnded, ModelFailed, ModelReplied, Started
from clew.core.journal import journal
from clew.core.records import Failure, Outcome, Turn, Usage
from clew.core.tools import CalculatorTool, ClockTool, FunctionDefinition, FunctionTool
from clew.process import Process
from clew.service import agents, threads
from clew.service import runs as going
from clew.service.commands import NewThread, StartRun, Submit
from clew.service.context import Services
from clew.service.following import RunKeys
from clew.service.starting import start
from clew.store import messages, runs, steps
from clew.store.sqlite import SqliteDatabase
from clew.store.statement import Transaction
from clew.tools.searcher import Searcher
from clew.tools.toolbox import KINDS, Toolbox
from tests.support.blobs import NO_BLOBS
from tests.support.clock import ManualClock
from tests.support.database import miscounted_threads, new_database
from tests.support.ids import CountingIds
from tests.support.models import unasked_models
from tests.support.store import turn

PROJECT, EXPIRY = "alpha", 600_000
LIVE = {"queued", "in_progress", "requires_action", "cancelling"}
TOOLS = [
    FunctionTool(function=FunctionDefinition(name="look")),
    ClockTool(require_approval="always"),
    CalculatorTool(),
]
CALLED = {
    "calls": ["look", "look"],
    "both": ["look", "look"],
    "served": ["clew_calculator", "clew_calculator"],
    "asked": ["clew_clock", "clew_clock"],
    "mixed": ["look", "clew_clock", "clew_calculator"],
}
"""What a model calls in an answer: functions of the client, of the server, and such as need approval."""


class NoWorkers:
    """A dispatch that hands runs to nobody: in this test the rules are the workers."""

    claimant = None
    full = works = False
    waiting = 0

    def full_for(self, project: str) -> bool:
        return False

    def advance(self, run_id: str, claimed: RunState | None = None, *, project: str = "") -> None: ...

    def interrupt(self, run_id: str) -> None: ...

    def wake_at(self, due: int) -> None: ...

    def at_work(self) -> set[str]:
        return set()

    def works_on(self, run_id: str) -> bool:
        return False


class Told:
    """The bus's end of what readers are told: it remembers everything."""

    def __init__(self) -> None:
        self.lasting: dict[str, list[tuple[int, str]]] = {}
        self.feed, self.turnstile = Feed(), Turnstile()

    def publish(self, run_id: str, entries: Sequence[Entry]) -> None:
        self.committed(run_id, entries)

    def committed(self, run_id: str, entries: Sequence[Entry]) -> None:
        self.lasting.setdefault(run_id, []).extend(_lasting(entries))

    def left(self, run_id: str) -> None: ...

    def wake_readers(self) -> None: ...

    def subscribe(self, run_id: str) -> LocalSubscription:
        return LocalEvents().subscribe(run_id)


class Expected(Struct):
    """What the model knows of a run: its calls are the client's, ``asked`` those that a person must approve,
    ``approved`` begin when it is claimed, ``served`` are at work.
    """

    thread: str
    created: int
    status: str = "queued"
    calls: list[str] = []
    asked: list[str] = []
    approved: list[str] = []
    served: list[str] = []
    tokens: int = 0
    attempts: int = 0
    claimed: int = 0


class RunMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.path = new_database(Path(self.folder.name) / "clew.db")
        self.clock, self.ids = ManualClock(), CountingIds()
        self.expected: dict[str, Expected] = {}
        self.workers: list[RunState] = []
        self.told = Told()
        self.over: dict[str, Any] = {}
        self.db = SqliteDatabase(self.path, synchronous="NORMAL")

    def teardown(self) -> None:
        self.do(self.db.close())
        self.loop.close()
        self.folder.cleanup()

    def do(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def ask(self, use_case: Any) -> tuple[Any, Refused | None]:
        """Return what a use case gives, or how it refuses."""
        try:
            return self.do(use_case), None
        except Refused as refused:
            return None, refused

    @property
    def services(self) -> Services:
        return Services(
            db=self.db,
            dispatch=NoWorkers(),
            events=self.told,
            process=Process(self.clock, self.ids),
            toolbox=Toolbox(KINDS),
            models=unasked_models(),
            blobs=NO_BLOBS,
            searcher=Searcher(self.db, None, SystemClock()),
            run_expiry=EXPIRY,
        )

    def keys(self, run_id: str) -> RunKeys:
        return RunKeys(PROJECT, self.expected[run_id].thread, run_id)

    @initialize()
    def begin(self) -> None:
        fields = {"model": "m", "tools": TOOLS}
        self.agent = self.do(agents.create(self.services, PROJECT, fields)).id
        self.threads = [self.do(threads.create(self.services, PROJECT, NewThread())).id for _ in range(2)]
        for which in range(2):  # so that every history has something to be at work on
            self.create(which)
            self.claim(which)

    # --- clients -------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def create(self, which: int) -> None:
        thread = self.threads[which]
        busy = [run for run in self.expected.values() if run.thread == thread and run.status in LIVE]
        command = StartRun(agent_id=self.agent, thread=thread)
        made, refusal = self.ask(start(self.services, PROJECT, command))
        assert bool(busy) == (refusal is not None)
        if refusal is not None:
            assert isinstance(refusal, ThreadBusy)
            return
        assert made.run.status == "queued"
        self.expected[made.run.id] = Expected(thread, self.clock.now())

    @precondition(lambda self: self.expected)
    @rule(
        pick=st.integers(0), how=st.sampled_from(["right", "reversed", "partial", "twice", "foreign", "none"])
    )
    def submit(self, pick: int, how: str) -> None:
        if not (run_id := self.picked(pick)):
            return
        run = self.expected[run_id]
        ids = {
            "right": run.calls,
            "reversed": run.calls[::-1],
            "partial": run.calls[:-1],
            "twice": [*run.calls, *run.calls[:1]],
            "foreign": [*run.calls[:-1], "call_foreign"],
            "none": [],
        }[how]
        command = Submit(outputs=tuple((call_id, "out") for call_id in ids))
        waits = run.status == "requires_action" and not self.late(run)
        _, refusal = self.ask(going.submit(self.services, self.keys(run_id), command))
        assert (refusal is None) == (waits and not run.asked and how in ("right", "reversed"))
        if refusal is not None:
            kind = ApprovalsMismatch if run.asked else OutputsMismatch
            assert isinstance(refusal, kind if waits else OutputsNotAccepted)
            return
        run.status, run.calls = "queued", []

    @precondition(lambda self: any(run.asked for run in self.expected.values()))
    @rule(pick=st.integers(0), how=st.sampled_from(["yes", "no", "one", "partial", "foreign", "none"]))
    def approve(self, pick: int, how: str) -> None:
        if not (run_id := self.picked(pick)):
            return
        run = self.expected[run_id]
        ids = {"partial": run.asked[:-1], "foreign": [*run.asked, "call_foreign"], "none": []}
        decided = {
            each: how == "yes" or (how == "one" and i == 0) for i, each in enumerate(ids.get(how, run.asked))
        }
        waits = run.status == "requires_action" and not self.late(run)
        command = Submit(approvals=tuple(decided.items()))
        _, refusal = self.ask(going.submit(self.services, self.keys(run_id), command))
        assert (refusal is None) == (waits and bool(run.asked) and how in ("yes", "no", "one"))
        if refusal is not None:
            kind = ApprovalsMismatch if run.asked else OutputsMismatch
            assert isinstance(refusal, kind if waits else OutputsNotAccepted)
            return
        run.status, run.asked, run.approved = "queued", [], [each for each, yes in decided.items() if yes]

    @precondition(lambda self: self.expected)
    @rule(pick=st.integers(0))
    def cancel(self, pick: int) -> None:
        if not (run_id := self.picked(pick)):
            return
        run = self.expected[run_id]
        possible = run.status in LIVE - {"cancelling"} and not self.late(run)
        _, refusal = self.ask(going.cancel(self.services, self.keys(run_id)))
        assert (refusal is None) == possible
        if refusal is not None:
            assert isinstance(refusal, NotCancellable)
            return
        run.status = "cancelling"

    # --- workers -------------------------------------------------------------------------------

    @precondition(lambda self: self.expected)
    @rule(pick=st.integers(0))
    def claim(self, pick: int) -> None:
        """A worker is handed a run and starts on it, whoever may be at work on it already."""
        if not (run_id := self.picked(pick)):
            return
        run, now = self.expected[run_id], self.clock.now()
        state = self.do(self.db.write(runs.claim, run_id, "worker_1", now))
        work = run.status in LIVE and (run.status != "requires_action" or self.late(run))
        broke_off = run.status == "in_progress"
        if broke_off and not self.late(run):  # the first takeover is at once, each further one waits longer
            work = now >= run.claimed + (0, 1_000, 5_000, 15_000, 30_000)[run.attempts]
        assert (state is not None) == work
        if state is None:
            return
        run.claimed = now
        run.attempts += broke_off
        state = self.settle(state, Started())
        if run.status == "cancelling":
            self.ends(run, "cancelled")
        elif self.late(run):
            self.ends(run, "expired")
        elif run.attempts == 5:
            self.ends(run, "failed")
        else:
            run.served, run.approved = [*run.served, *run.approved], []
            self.goes_on(run, state)

    @precondition(lambda self: any(state.open_step is None for state in self.workers))
    @rule(
        pick=st.integers(0),
        answer=st.sampled_from(["text", "cut", "failure", *CALLED]),
    )
    def reply(self, pick: int, answer: str) -> None:
        """A worker's model has answered. If it has lost its claim meanwhile, nothing may come of it."""
        asked = [state for state in self.workers if state.open_step is None]
        state = asked[pick % len(asked)]
        self.workers.remove(state)
        run_id = state.run.id
        run = self.expected[run_id]
        newest = self.do(self.db.read(_by_id, run_id))
        brought = _turn(state, answer, self.clock.now())
        failed = ModelFailed(brought, Failure("server_error", "broken"))
        event = failed if answer == "failure" else ModelReplied(brought)
        if newest.epoch != state.run.epoch:
            self.may_not_write(state, event)
            return
        if run.status == "cancelling":
            state = self.do(self.db.read(runs.reload, run_id, state.run.epoch))
        state = self.settle(state, event)
        run.tokens += brought.usage.total_tokens
        run.attempts = 0
        ends = {"text": "completed", "cut": "incomplete", "failure": "failed"}
        if run.status == "cancelling":
            self.ends(run, "cancelled")
        elif self.late(run):
            self.ends(run, "expired")
        elif answer in ends:
            self.ends(run, ends[answer])
        else:
            assert brought.called is not None
            for call in brought.called.calls:
                at = {"look": run.calls, "clew_clock": run.asked, "clew_calculator": run.served}[call.name]
                at.append(call.id)
            self.goes_on(run, state)

    @precondition(lambda self: any(state.open_step is not None for state in self.workers))
    @rule(pick=st.integers(0))
    def call_ends(self, pick: int) -> None:
        """A call of a server-side tool has ended. Without a claim nothing may come of it."""
        at_work = [state for state in self.workers if state.open_step is not None]
        state = at_work[pick % len(at_work)]
        self.workers.remove(state)
        run = self.expected[state.run.id]
        assert state.open_step is not None
        (call_id, *_) = [call.id for call in state.open_step.calls if call.state == "at_work"]
        event = CallEnded(call_id, Outcome(output="42"))
        if self.do(self.db.read(_by_id, state.run.id)).epoch != state.run.epoch:
            self.may_not_write(state, event)
            return
        if run.status == "cancelling":
            state = self.do(self.db.read(runs.reload, state.run.id, state.run.epoch))
        state = self.settle(state, event)
        if run.status == "cancelling":
            self.ends(run, "cancelled")
        elif self.late(run):
            self.ends(run, "expired")
        else:
            run.attempts = 0
            run.served.remove(call_id)
            self.goes_on(run, state)

    def goes_on(self, run: Expected, state: RunState) -> None:
        """First what is at work, then approvals, then the client's outputs, then the model."""
        parked = not run.served and (run.asked or run.calls)
        run.status = "requires_action" if parked else "in_progress"
        if not parked:
            self.workers.append(state)

    def ends(self, run: Expected, status: str) -> None:
        run.status, run.calls, run.asked, run.approved, run.served = status, [], [], [], []

    def may_not_write(self, state: RunState, event: Any) -> None:
        try:
            self.settle(state, event)
        except runs.ClaimLost:
            return
        raise AssertionError("a worker without a claim has written")

    def settle(self, state: RunState, event: Any) -> RunState:
        decision = decide(state, event, self.clock.now())
        applied = self.do(self.db.write(runs.apply, state, decision, self.clock.now()))
        self.told.committed(state.run.id, decision.entries)
        after: RunState = applied.state
        return after

    # --- the world -----------------------------------------------------------------------------

    @rule(milliseconds=st.sampled_from([1, 1000, 5000, EXPIRY // 3, EXPIRY]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)

    @rule()
    def restart(self) -> None:
        """The process dies, its workers with it, and another opens the store."""
        self.do(self.db.close())
        self.db = SqliteDatabase(self.path, synchronous="NORMAL")
        self.workers.clear()

    @invariant()
    def threads_say_what_locks_them(self) -> None:
        assert miscounted_threads(self.path) == []

    @invariant()
    def rows_are_as_expected(self) -> None:
        for run_id, expected in self.expected.items():
            run, its_steps, its_messages = self.do(self.db.read(_rows, run_id))
            assert str(run.status) == expected.status
            assert run.usage.total_tokens == expected.tokens
            assert sum(step.usage.total_tokens for step in its_steps) == expected.tokens
            stamps = [run.completed_at, run.failed_at, run.cancelled_at]
            assert sum(stamp is not None for stamp in stamps) == (
                expected.status in {"completed", "failed", "cancelled", "incomplete"}
            )
            if expected.status not in LIVE:
                assert all(str(step.status) != "in_progress" for step in its_steps)
                assert self.over.setdefault(run_id, run) == run, "a run that is over never changes"
            entries = journal(run, its_steps, its_messages)
            assert _lasting(entries) == self.told.lasting[run_id]

    # --- helpers -------------------------------------------------------------------------------

    def picked(self, number: int) -> str | None:
        """Return a run, the newest ones more often."""
        ids = list(self.expected)[-3:]
        return ids[number % len(ids)] if ids else None

    def late(self, run: Expected) -> bool:
        return self.clock.now() >= run.created + EXPIRY


def _lasting(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    return [(entry.position, str(entry.kind)) for entry in entries if not entry.kind.endswith(".delta")]


def _turn(state: RunState, answer: str, now: int) -> Turn:
    number = state.run.turns + 1
    run_id = state.run.id
    return turn(
        number,
        "Some text" if answer in ("text", "both", "cut") else None,
        CALLED.get(answer, []),
        run_id,
        started_at=now,
        finish_reason={"cut": "length", "failure": None}.get(answer, "stop"),
        usage=Usage() if answer == "failure" else Usage(prompt_tokens=3, completion_tokens=2),
    )


async def _by_id(tx: Transaction, run_id: str) -> Any:
    run, _, _ = await _rows(tx, run_id)
    return run


async def _rows(tx: Transaction, run_id: str) -> Any:
    row = await tx.one(runs.SELECT_BY_ID, {"id": run_id})
    assert row is not None
    return runs._RUN.read(row), await steps.of_run(tx, run_id), await messages.of_run(tx, run_id)


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(max_examples=300, stateful_step_count=50, deadline=None, derandomize=True)
