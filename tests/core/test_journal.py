"""The journal told from the rows is the journal that was published, event for event."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.decide import decide
from clew.core.decisions import AddMessage, AddStep, RunState, SaveStep
from clew.core.errors import Refused
from clew.core.events import (
    CancelRequested,
    Event,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    OutputsSubmitted,
    Started,
    TimeIsUp,
)
from clew.core.journal import JUMP, CallPiece, Entry, TextPiece, journal, trimmed
from clew.core.records import Call, Failure, Message, Run, RunConfig, Step, Turn, Usage
from clew.core.states import RunStatus

TOOL = {"type": "function", "function": {"name": "known"}}


@dataclass
class Rows:
    """What the store would hold of one run, and what its readers would have been told."""

    state: RunState
    steps: dict[str, Step] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    told: list[Entry] = field(default_factory=list)

    def apply(self, event: Event, now: int) -> None:
        """Decide, and write as the store does."""
        try:
            decision = decide(self.state, event, now)
        except Refused:
            return
        self.told += decision.entries
        for write in decision.writes:
            match write:
                case AddMessage(message):
                    self.messages[message.id] = message
                case AddStep(step) | SaveStep(step):
                    self.steps[step.id] = step
        self.state = decision.state

    def take_over(self) -> None:
        """Another worker claims the run: what the former one may have said is skipped."""
        run = self.state.run
        at_work = run.status == RunStatus.IN_PROGRESS
        if at_work or (run.status == RunStatus.CANCELLING and self.state.waiting is None):
            self.state = RunState(replace(run, position=run.position + JUMP), self.state.waiting)

    def journal(self) -> list[Entry]:
        return journal(self.state.run, list(self.steps.values()), list(self.messages.values()))


def new_rows(*, parallel: bool = True) -> Rows:
    config = RunConfig(model="m", tools=[TOOL], parallel_tool_calls=parallel)
    run = Run(
        id="run_1",
        project="p",
        thread_id="thread_1",
        assistant_id="asst_1",
        created_at=1000,
        expires_at=601_000,
        config=config,
        position=2,
    )
    return Rows(RunState(run))


texts = st.none() | st.text(min_size=1, max_size=6)
calls = st.lists(st.tuples(st.sampled_from(["known", "unknown"]), st.text(max_size=5)), max_size=3)
turns = st.tuples(texts, texts, calls, st.sampled_from(["stop", "length", "content_filter"]))
actions = st.one_of(
    st.tuples(st.just("start"), st.none()),
    st.tuples(st.just("reply"), turns),
    st.tuples(st.just("fail"), turns),
    st.tuples(st.just("submit"), st.none()),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("stop"), turns),
    st.tuples(st.just("take over"), st.none()),
    st.tuples(st.just("expire"), st.none()),
)


def turn_of(run: Run, drawn: tuple[str | None, str | None, list[tuple[str, str]], str], now: int) -> Turn:
    text, refusal, called, reason = drawn
    number = run.turns + 1
    return Turn(
        number=number,
        message_id=f"msg_{number}",
        message_step_id=f"step_{number}m",
        tools_step_id=f"step_{number}t",
        started_at=now,
        text=text,
        refusal=refusal,
        calls=tuple(
            Call(id=f"call_{number}_{index}", name=name, arguments=arguments)
            for index, (name, arguments) in enumerate(called)
        ),
        finish_reason=reason,
        usage=Usage(prompt_tokens=1, completion_tokens=2),
    )


def perform(rows: Rows, action: str, drawn: object, now: int) -> None:
    """Let one thing happen, if it can happen to the run as it is."""
    run = rows.state.run
    working = run.status in (RunStatus.IN_PROGRESS, RunStatus.CANCELLING) and rows.state.waiting is None
    if action in ("reply", "fail", "stop") and not (working and run.starts):
        return
    match action:
        case "start":
            rows.take_over()
            rows.apply(Started(), now)
        case "take over":
            rows.take_over()
        case "reply":
            rows.apply(ModelReplied(turn_of(run, drawn, now)), now)  # type: ignore[arg-type]
        case "fail":
            turn = turn_of(run, drawn, now)  # type: ignore[arg-type]
            rows.apply(ModelFailed(turn, Failure("server_error", "broken")), now)
        case "stop":
            rows.apply(ModelStopped(turn_of(run, drawn, now)), now)  # type: ignore[arg-type]
        case "submit":
            waiting = rows.state.waiting
            ids = [call.id for call in waiting.calls if call.output is None] if waiting else []
            rows.apply(OutputsSubmitted(tuple((call_id, "out") for call_id in ids)), now)
        case "cancel":
            rows.apply(CancelRequested(), now)
        case "expire":
            rows.apply(TimeIsUp(), 601_000)


def outline(entries: list[Entry]) -> list[tuple[object, ...]]:
    """Return what must agree: position, name, and whom it is about in which status."""
    told: list[tuple[object, ...]] = []
    for entry in entries:
        subject = entry.subject
        match subject:
            case TextPiece():
                about: tuple[object, ...] = (subject.message_id, subject.value, subject.refusal)
            case CallPiece():
                about = (subject.step_id, subject.index, subject.id, subject.name, subject.arguments)
            case Run() | Step() | Message():
                about = (subject.id, str(subject.status))
            case _:
                about = ()
        told.append((entry.position, entry.name, *about))
    return told


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.lists(actions, max_size=14))
def test_the_rows_tell_what_was_published(script: list[tuple[str, object]]) -> None:
    rows = new_rows()
    opening = journal(rows.state.run, (), ())
    for step, (action, drawn) in enumerate(script):
        perform(rows, action, drawn, 2000 + step)
        assert outline(rows.journal()) == outline(opening + rows.told)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(actions, max_size=14), st.data())
def test_a_reader_may_stop_and_go_on_anywhere(script: list[tuple[str, object]], data: st.DataObject) -> None:
    rows = new_rows()
    for step, (action, drawn) in enumerate(script):
        perform(rows, action, drawn, 2000 + step)
    whole = rows.journal()
    cut = data.draw(st.integers(0, max(1, whole[-1].end % JUMP)))
    before = [entry for entry in whole if entry.end <= cut]
    after = [left for entry in whole if (left := trimmed(entry, cut)) is not None]
    assert said(before, cut, whole) + said(after, None, whole) == said(whole, None, whole)
    assert all(entry.position > cut for entry in after)


def said(entries: list[Entry], cut: int | None, whole: list[Entry]) -> str:
    """Return all text and arguments in a list of events, with the cut-off part of a split one."""
    text = "".join(_text(entry) for entry in entries)
    if cut is not None:
        split = [entry for entry in whole if entry.position <= cut < entry.end]
        text += "".join(_text(entry)[: cut - entry.position + 1] for entry in split)
    return text


def _text(entry: Entry) -> str:
    match entry.subject:
        case TextPiece(value=value):
            return value
        case CallPiece(arguments=arguments):
            return arguments
    return ""


def test_positions_follow_each_other_without_a_gap() -> None:
    rows = new_rows()
    rows.apply(Started(), 2000)
    rows.apply(ModelReplied(turn_of(rows.state.run, ("Hello", None, [("known", "{}")], "stop"), 2001)), 2001)
    rows.apply(OutputsSubmitted((("call_1_0", "12:00"),)), 2002)
    rows.apply(Started(), 2003)
    rows.apply(ModelReplied(turn_of(rows.state.run, ("It is noon.", None, [], "stop"), 2004)), 2004)
    entries = rows.journal()
    assert entries[0].position == 1
    assert all(after.position == before.end + 1 for before, after in pairwise(entries))
    assert entries[-1].end == rows.state.run.position
    assert [
        entry.name for entry in entries if entry.name.startswith("run.") and ".step." not in entry.name
    ] == [
        "run.created",
        "run.queued",
        "run.in_progress",
        "run.requires_action",
        "run.queued",
        "run.in_progress",
        "run.completed",
    ]
