"""The journal told from the rows is the journal that was published, event for event."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clew.core.decide import MOST_ATTEMPTS, decide
from clew.core.decisions import AddMessage, AddStep, RunState, SaveCall, SaveStep
from clew.core.entries import CallOutput, CallPiece, Entry, ImagePiece, TextPiece, trimmed
from clew.core.errors import Refused
from clew.core.events import (
    CallEnded,
    CallsStopped,
    CancelRequested,
    Event,
    ModelFailed,
    ModelReplied,
    ModelStopped,
    Started,
    Submitted,
)
from clew.core.journal import JUMP, journal
from clew.core.records import (
    Call,
    CallsItem,
    Failure,
    Message,
    Outcome,
    Run,
    RunConfig,
    Step,
    TextItem,
    Turn,
    Usage,
)
from clew.core.states import CallResult, CallState, RunStatus, WaitsFor
from clew.core.tools import (
    CODE_INTERPRETER,
    ClockTool,
    CodeInterpreterTool,
    FunctionDefinition,
    FunctionTool,
    Offer,
    Tool,
)

TOOLS: list[Tool] = [
    FunctionTool(function=FunctionDefinition(name="known")),
    ClockTool(),
    CodeInterpreterTool(),
]
OFFERS = {
    "repeatable": Offer(kind="clew_clock", tool=1, function="clew_clock", repeatable=True),
    "once": Offer(kind="clew_clock", tool=1, function="clew_clock", repeatable=False),
    "asked": Offer(kind="clew_clock", tool=1, function="clew_clock", repeatable=True, approval=True),
    "code": Offer(kind=CODE_INTERPRETER, tool=2, function=CODE_INTERPRETER, repeatable=True),
}
NAMES = ["known", "unknown", *OFFERS]


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
                case AddStep(step):
                    self.steps[step.id] = step
                case SaveStep(step):
                    self.steps[step.id] = replace(step, calls=self.steps[step.id].calls)
                case SaveCall(call):
                    self._save(call)
        self.state = decision.state
        assert self.state.open_step is None or self.state.open_step == self.steps[self.state.open_step.id]
        assert (self.state.open_step is None) == (self.state.run.open_step is None)

    def _save(self, call: Call) -> None:
        step = self.steps[call.step_id]
        calls = [call if each.id == call.id else each for each in step.calls]
        self.steps[step.id] = replace(step, calls=calls)

    def take_over(self) -> None:
        """Another worker claims the run: what the former one may have said is skipped."""
        run = self.state.run
        at_work = run.status in (RunStatus.IN_PROGRESS, RunStatus.CANCELLING) and run.begun_at is not None
        if at_work and self.state.open_step is None:
            run = replace(run, position=run.position + JUMP)
        attempts = min(run.attempts + 1, MOST_ATTEMPTS - 1) if run.status == RunStatus.IN_PROGRESS else 0
        self.state = RunState(replace(run, attempts=attempts), self.state.open_step)

    def journal(self) -> list[Entry]:
        return journal(self.state.run, list(self.steps.values()), list(self.messages.values()))


def new_rows(*, parallel: bool = True) -> Rows:
    config = RunConfig(model="m", tools=list(TOOLS), offers=OFFERS, parallel_tool_calls=parallel)
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
calls = st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=5)), max_size=12)
images = st.lists(st.just("file_1"), max_size=2).map(tuple)
said = st.tuples(texts, texts, images).filter(lambda drawn: any(drawn[:2]))
items = st.one_of(
    st.lists(said, max_size=1),
    st.tuples(calls.filter(bool)).map(list),
    st.tuples(said, calls.filter(bool)).map(list),
    st.tuples(calls.filter(bool), said).map(list),
    st.tuples(said, calls.filter(bool), said).map(list),
)
turns = st.tuples(items, st.sampled_from(["stop", "stop", "stop", "length", "content_filter"]))
actions = st.one_of(
    st.tuples(st.just("start"), st.none()),
    st.tuples(st.just("reply"), turns),
    st.tuples(st.just("fail"), turns),
    st.tuples(st.just("submit"), st.booleans()),
    st.tuples(st.just("submit"), st.booleans()),
    st.tuples(st.just("end a call"), st.integers(0, 7)),
    st.tuples(st.just("end a call"), st.integers(0, 7)),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("stop"), turns),
    st.tuples(st.just("take over"), st.none()),
    st.tuples(st.just("expire"), st.none()),
)


def turn_of(run: Run, drawn: tuple[list[object], str], now: int) -> Turn:
    brought, reason = drawn
    number = run.turns + 1
    return Turn(
        number=number,
        started_at=now,
        blank=TextItem(message_id=f"msg_{number}_0", step_id=f"step_{number}_0"),
        items=tuple(_item(number, index, each) for index, each in enumerate(brought)),
        finish_reason=reason,
        usage=Usage(prompt_tokens=1, completion_tokens=2),
    )


def _item(number: int, index: int, drawn: object) -> TextItem | CallsItem:
    if isinstance(drawn, tuple):
        text, refusal, images = drawn
        return TextItem(
            message_id=f"msg_{number}_{index}",
            step_id=f"step_{number}_{index}",
            text=text,
            refusal=refusal,
            images=images,
        )
    assert isinstance(drawn, list)
    step_id = f"step_{number}_calls"
    return CallsItem(
        step_id=step_id,
        calls=tuple(
            Call(
                id=f"call_{number}_{place}",
                project="p",
                created_at=0,
                run_id="run_1",
                step_id=step_id,
                turn=number,
                index=place,
                name=name,
                arguments=arguments,
                kind=OFFERS[name].kind if name in OFFERS else "function",
            )
            for place, (name, arguments) in enumerate(drawn)
        ),
    )


def perform(rows: Rows, action: str, drawn: object, now: int) -> None:
    """Let one thing happen, if it can happen to the run as it is."""
    run, step = rows.state.run, rows.state.open_step
    working = run.status in (RunStatus.IN_PROGRESS, RunStatus.CANCELLING) and run.begun_at is not None
    if action in ("reply", "fail", "stop") and (not working or step is not None):
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
        case "stop" if step is None:
            rows.apply(ModelStopped(turn_of(run, drawn, now)), now)  # type: ignore[arg-type]
        case "stop":
            rows.apply(CallsStopped(), now)
        case "end a call":
            _end_a_call(rows, drawn, now)
        case "submit":
            _submit(rows, drawn is True, now)
        case "cancel":
            rows.apply(CancelRequested(), now)
        case "expire":
            rows.apply(Started(), 601_000)


def _end_a_call(rows: Rows, drawn: object, now: int) -> None:
    step = rows.state.open_step
    at_work = [call for call in step.calls if call.state == CallState.AT_WORK] if step else []
    if at_work and isinstance(drawn, int):
        call = at_work[drawn % len(at_work)]
        result = CallResult.FAILED if drawn % 2 else CallResult.OK
        detail = {"outputs": [{"type": "logs", "logs": call.id}]} if call.kind == CODE_INTERPRETER else None
        rows.apply(CallEnded(call.id, Outcome(output=f"out of {call.id}", result=result, detail=detail)), now)


def _submit(rows: Rows, approve: bool, now: int) -> None:
    step = rows.state.open_step
    if step is None:
        rows.apply(Submitted(), now)
        return
    if rows.state.run.waits_for == WaitsFor.APPROVAL:
        waiting = [call for call in step.calls if call.state == CallState.WAITS_FOR_APPROVAL]
        decided = tuple((call.id, approve or index > 0) for index, call in enumerate(waiting))
        rows.apply(Submitted(approvals=decided), now)
    else:
        waiting = [call for call in step.calls if call.state == CallState.WAITS_FOR_CLIENT]
        rows.apply(Submitted(outputs=tuple((call.id, "out") for call in waiting)), now)


_ASKED = {
    WaitsFor.APPROVAL: CallState.WAITS_FOR_APPROVAL,
    WaitsFor.CLIENT: CallState.WAITS_FOR_CLIENT,
}


def outline(entries: list[Entry]) -> list[tuple[object, ...]]:
    """Return what must agree: position, name, and whom it is about in which status."""
    told: list[tuple[object, ...]] = []
    for entry in entries:
        subject = entry.subject
        match subject:
            case TextPiece():
                about: tuple[object, ...] = (subject.message_id, subject.value, subject.refusal)
            case CallPiece():
                about = (
                    *(subject.step_id, subject.index, subject.id, subject.name),
                    *(subject.arguments, subject.kind),
                )
            case CallOutput():
                about = (subject.call_id, subject.index, subject.kind, subject.output, subject.detail)
            case ImagePiece():
                about = (subject.message_id, subject.part, subject.file_id)
            case Run(status=RunStatus.REQUIRES_ACTION):
                assert entry.open_step is not None
                assert subject.waits_for is not None
                state = _ASKED[subject.waits_for]
                asked = [call.id for call in entry.open_step.calls if call.state == state]
                about = (subject.id, str(subject.status), str(subject.waits_for), subject.started_at, asked)
            case Run() | Step() | Message():
                about = (subject.id, str(subject.status))
            case _:
                about = ()
        told.append((entry.position, str(entry.kind), *about))
    return told


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.lists(actions, max_size=20))
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
    assert heard(before, cut, whole) + heard(after, None, whole) == heard(whole, None, whole)
    assert all(entry.position > cut for entry in after)


def heard(entries: list[Entry], cut: int | None, whole: list[Entry]) -> str:
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
    calls = [("known", "{}"), ("repeatable", "{}"), ("asked", "{}")]
    rows.apply(ModelReplied(turn_of(rows.state.run, ([("Hello", None, ()), calls], "stop"), 2001)), 2001)
    rows.apply(CallEnded("call_1_1", Outcome(output="noon")), 2002)
    rows.apply(Submitted(approvals=(("call_1_2", True),)), 2003)
    rows.apply(Started(), 2004)
    rows.apply(CallEnded("call_1_2", Outcome(output="12:00")), 2005)
    rows.apply(Submitted(outputs=(("call_1_0", "12"),)), 2006)
    rows.apply(Started(), 2007)
    rows.apply(
        ModelReplied(turn_of(rows.state.run, ([("It is noon.", None, ("file_1",))], "stop"), 2008)), 2008
    )
    entries = rows.journal()
    assert entries[0].position == 1
    assert all(after.position == before.end + 1 for before, after in pairwise(entries))
    assert entries[-1].end == rows.state.run.position
    assert [
        entry.kind for entry in entries if entry.kind.startswith("run.") and ".step." not in entry.kind
    ] == [
        "run.created",
        "run.queued",
        "run.in_progress",
        "run.requires_action",
        "run.queued",
        "run.in_progress",
        "run.requires_action",
        "run.queued",
        "run.in_progress",
        "run.completed",
    ]
