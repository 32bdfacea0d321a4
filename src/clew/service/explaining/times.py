"""Where a run's time went, from its steps, its waits and its takeovers. Pure. Times are milliseconds."""

from collections.abc import Iterable, Sequence

from clew.core.calls import is_client_s
from clew.core.records import Run, Step
from clew.core.states import WaitsFor
from clew.service.explaining.situation import Finding, Situation, Spell, several, span

_SLOW = 10_000
"""Milliseconds from which it is said what took most of them."""

_Piece = tuple[int, int]


def spells(situation: Situation) -> list[Spell]:
    """Return what a run's time was spent on, in the order in which it mostly comes; together all of it."""
    run, end = situation.run, situation.until
    began = end if run.begun_at is None else run.begun_at
    starts = max(0, min(began, end) - run.created_at)
    by_client = _waits(run, WaitsFor.CLIENT, end)
    by_person = _waits(run, WaitsFor.APPROVAL, end)
    again = _length((each.resumed_at, each.started_at or end) for each in run.waits if each.resumed_at)
    tools = _length(_server_calls(situation.steps, end))
    known = starts + by_client + by_person + again + tools
    model = max(0, end - run.created_at - known)
    first = min(model, sum(_first_words(situation)))
    found = [
        Spell("start", starts, _of_start(run)),
        Spell("first_word", first, "asking the model, up to its first word or call of each turn"),
        Spell("answer", model - first, _of_answer(situation)),
        Spell("tools", tools, "tools that the server runs"),
        Spell("client", by_client, "waiting for the client's tool outputs"),
        Spell("approval", by_person, "waiting for a person's approval"),
        Spell("resume", again, "waiting for a worker after what was asked for had been submitted"),
    ]
    return [spell for spell in found if spell.ms > 0]


def _of_start(run: Run) -> str:
    if run.begun_at is None:
        return "waiting to be started, all the time"
    return "waiting to be started: in the thread's line, or for a worker"


def _of_answer(situation: Situation) -> str:
    if situation.run.turns or situation.steps:
        return "the model's answers, from their first word on"
    return "asking the model, which has brought nothing that was kept"


def slow(situation: Situation, found: Sequence[Spell]) -> Finding | None:
    """Return what took most of a long run's time, and what would make it shorter."""
    total = situation.until - situation.run.created_at
    most = max(found, key=lambda spell: spell.ms, default=None)
    if total < _SLOW or most is None or most.ms * 2 < total:
        return None
    calls = [call.name for step in situation.steps for call in step.calls if not is_client_s(call)]
    says = f"{span(most.ms)} of {span(total)} went into {most.says}."
    return Finding(f"slow_{most.code}", says, _ADVICE[most.code].format(calls=several(len(calls), "call")))


_ADVICE = {
    "start": "One run at a time works on a thread; on different threads they work side by side. Start more "
    "workers (`clew worker`), or raise CLEW_MAX_ACTIVE_RUNS.",
    "first_word": "The endpoint is slow to begin: it may be loading the model, busy with others, reasoning, "
    "or reading a long conversation. `clew models try` measures it; a shorter thread or truncation_strategy "
    "makes the prompt shorter.",
    "answer": "The model writes slowly or much, or was asked again after it had broken off: a smaller model, "
    "max_completion_tokens, or instructions to be brief.",
    "tools": "{calls} of tools on the server: `clew steps list <run>` shows which, and what they answered.",
    "client": "Submit the outputs sooner, together for all calls; a program that polls should ask with "
    "wait=30, or follow the run's stream.",
    "approval": "Nobody decided for so long: a webhook on run.requires_action tells at once.",
    "resume": "All workers were busy: start more of them (`clew worker`), or raise CLEW_MAX_ACTIVE_RUNS.",
}


def _waits(run: Run, reason: WaitsFor, end: int) -> int:
    return _length((each.at, each.resumed_at or end) for each in run.waits if each.reason == reason)


def _server_calls(steps: Iterable[Step], end: int) -> list[_Piece]:
    """Return when calls of the server's own tools were at work, together where they overlap."""
    pieces = sorted(
        (call.begun_at, call.ended_at or end)
        for step in steps
        for call in step.calls
        if call.begun_at is not None and not is_client_s(call)
    )
    joined: list[_Piece] = []
    for begin, over in pieces:
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(over, joined[-1][1])
        else:
            joined.append((begin, over))
    return joined


def _first_words(situation: Situation) -> Iterable[int]:
    """Yield for each turn how long its first word or call took, from when the model could be asked."""
    bounds = sorted(_bounds(situation))
    firsts = {step.turn: step.first_token_at for step in situation.steps if step.first_token_at is not None}
    for first in firsts.values():
        asked = max((bound for bound in bounds if bound <= first), default=None)
        if asked is not None:
            yield first - asked


def _bounds(situation: Situation) -> Iterable[int]:
    """Yield the moments at which a turn may have begun."""
    run = situation.run
    if run.begun_at is not None:
        yield run.begun_at
    for wait in run.waits:
        if wait.started_at is not None:
            yield wait.started_at
    for _, over in _server_calls(situation.steps, situation.until):
        yield over
    for takeover in situation.takeovers:
        yield takeover.at


def _length(pieces: Iterable[tuple[int | None, int]]) -> int:
    return sum(max(0, over - begin) for begin, over in pieces if begin is not None)
