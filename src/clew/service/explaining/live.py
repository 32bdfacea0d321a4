"""What is to be known of a run that is not over. Pure."""

from collections.abc import Iterator

from clew.core.calls import those
from clew.core.decide import MOST_ATTEMPTS
from clew.core.records import Call, Step
from clew.core.states import CallState, RunStatus, WaitsFor
from clew.service.explaining.situation import Finding, Situation, listed, several, span

_SOON = 3_000
"""Milliseconds in which a worker that has room takes a run up."""

_SILENT = 20_000
"""Milliseconds without a word after which a model is called slow."""


def findings(situation: Situation) -> Iterator[Finding]:
    """Yield what is to be known of a live run."""
    match situation.run.status:
        case RunStatus.QUEUED if situation.run.held is not None:
            yield _in_line(situation)
        case RunStatus.QUEUED:
            yield _queued(situation)
        case RunStatus.IN_PROGRESS:
            yield from _in_progress(situation)
        case RunStatus.REQUIRES_ACTION:
            yield from _requires_action(situation)
        case RunStatus.CANCELLING:
            yield _cancelling(situation)


# --- queued -------------------------------------------------------------------------------------------


def _in_line(situation: Situation) -> Finding:
    line = situation.line
    before = f", behind {several(line.before, 'other run')}" if line.before else ""
    if line.live is None:
        return Finding("in_line", f"It waits in its thread's line{before}, and is about to be let in.")
    return Finding(
        "in_line",
        f"It waits in its thread's line{before}: run {line.live} is active there ({line.live_status}), and "
        "one run at a time works on a thread. Its own time to expire has not begun yet.",
        f"Ask why that one takes so long (`clew runs explain {line.live}`), cancel it "
        f"(`clew runs cancel {line.live}`), or use a thread of its own.",
    )


def _queued(situation: Situation) -> Finding:
    """A queued run that waits in no line: it only needs a worker."""
    workers = situation.workers
    since = max(situation.run.created_at, *(wait.resumed_at or 0 for wait in situation.run.waits), 0)
    waited = situation.now - since
    if not workers.alive:
        return Finding(
            "no_worker",
            f"It has waited for {span(waited)}, and no worker is there: nobody works on runs.",
            "Start one: `clew worker` with the same database and bus, or `clew serve` without --no-worker.",
        )
    if situation.run.waits_for == WaitsFor.SHARE:
        return _beyond_share(situation, waited)
    if workers.waiting:
        return Finding(
            "workers_busy",
            f"It has waited for {span(waited)} for a worker with room: all of them have as many runs as they "
            "take.",
            "It will have its turn. Start more workers (`clew worker`), or raise CLEW_MAX_ACTIVE_RUNS; "
            "`clew doctor` says how full they are.",
        )
    if waited <= _SOON or workers.here:
        return Finding("starting", f"It was queued {span(waited)} ago, and a worker is about to take it.")
    return Finding(
        "not_taken_up",
        f"It has waited for {span(waited)} though a worker is there. What should have woken one was lost, "
        "perhaps with a process that died; a sweep finds such runs every 5 seconds.",
        "If that does not help within half a minute, look at the servers' logs and `clew doctor`: the bus or "
        "the database may be away for the workers.",
    )


def _beyond_share(situation: Situation, waited: int) -> Finding:
    limit = "" if situation.share is None else f", {several(situation.share, 'run')},"
    return Finding(
        "share_used",
        f"It has waited for {span(waited)}: its project has as many runs at work as it may{limit} and this "
        "one comes when another ends, first come, first served.",
        "See which are at work (`clew runs list --status in_progress`) and cancel what nobody needs, or "
        "have an operator raise the limit (`clew projects set`).",
    )


# --- in progress ----------------------------------------------------------------------------------


def _in_progress(situation: Situation) -> Iterator[Finding]:
    run, step = situation.run, _open_step(situation)
    if run.waits_for == WaitsFor.RETRY:
        yield _retrying(situation)
        return
    if situation.workers.owner is False or (situation.workers.owner is None and not situation.workers.here):
        yield _without_owner(situation)
    if step is not None and (at_work := those(step, CallState.AT_WORK)):
        yield _tools_at_work(situation, at_work)
    elif step is None:
        yield _model_at_work(situation)
    if run.attempts:
        yield Finding(
            "attempts",
            f"{several(run.attempts, 'worker')} died or broke off since anything of it was last stored; "
            f"after {MOST_ATTEMPTS} the run fails.",
            "Look for the run's id in the servers' logs.",
        )


def _retrying(situation: Situation) -> Finding:
    run = situation.run
    since = span(situation.now - run.retrying_since) if run.retrying_since is not None else "a while"
    again = span(run.due - situation.now) if run.due is not None and run.due > situation.now else "a moment"
    lost = [endpoint.name for endpoint in situation.endpoints if endpoint.lost]
    where = f" The endpoint {listed(lost)} can't be reached." if lost else ""
    return Finding(
        "model_away",
        f"Its model has not answered for {since}. It waits without holding a place, and asks again in "
        f"{again}.{where}",
        "Is the model's endpoint running, and does it take the key? `clew models try` and `clew doctor` say "
        "so. The run goes on by itself once it answers; CLEW_MODEL_RETRY_FOR says for how long it tries.",
    )


def _without_owner(situation: Situation) -> Finding:
    if not situation.workers.alive:
        return Finding(
            "no_worker",
            "The worker that had it has gone, and no other is there.",
            "Start one: `clew worker` with the same database and bus, or `clew serve` without --no-worker.",
        )
    return Finding(
        "owner_gone",
        "The worker that had it has gone or gave it up. Another takes it over within seconds, and goes on "
        "from what was last stored.",
    )


def _tools_at_work(situation: Situation, at_work: list[Call]) -> Finding:
    begun = min(call.begun_at or situation.now for call in at_work)
    names = listed([call.name for call in at_work])
    return Finding("tools_at_work", f"The server runs {names}, for {span(situation.now - begun)} now.")


def _model_at_work(situation: Situation) -> Finding:
    run = situation.run
    ended = [call.ended_at or 0 for step in situation.steps for call in step.calls]
    since = max(run.started_at or run.created_at, *ended, *(each.at for each in situation.takeovers), 0)
    asked = situation.now - since
    lost = [endpoint.name for endpoint in situation.endpoints if endpoint.lost]
    if lost:
        return Finding(
            "model_away",
            f"Its model is being asked, for {span(asked)} now, and the endpoint {listed(lost)} could not be "
            "reached when it was last tried.",
            "Is the endpoint running? `clew models try` and `clew doctor` ask it.",
        )
    advice = None
    if asked >= _SILENT:
        advice = (
            "Watch what it says, if anything: `clew runs watch <run>`. A model that stays silent ends the "
            "run after CLEW_MODEL_TIMEOUT seconds."
        )
    turn = f"for turn {run.turns + 1}, " if run.turns else ""
    return Finding("model_at_work", f"Its model is being asked, {turn}for {span(asked)} now.", advice)


# --- requires action ------------------------------------------------------------------------------


def _requires_action(situation: Situation) -> Iterator[Finding]:
    step = _open_step(situation)
    approval = situation.run.waits_for == WaitsFor.APPROVAL
    if step is None:
        return
    state = CallState.WAITS_FOR_APPROVAL if approval else CallState.WAITS_FOR_CLIENT
    waiting = those(step, state)
    left = span(situation.run.expires_at - situation.now)
    calls = listed([f"{call.id} ({call.name})" for call in waiting])
    if situation.refused is not None:
        yield _refused(situation, [call.id for call in waiting])
    if approval:
        yield Finding(
            "waits_for_approval",
            f"It waits until somebody approves or denies {several(len(waiting), 'call')}: {calls}. "
            f"It expires in {left}.",
            "Submit one decision for each, all together: "
            + _submit(situation, [f"--approve {call.id}" for call in waiting]),
        )
        return
    yield Finding(
        "waits_for_outputs",
        f"It waits for the outputs of {several(len(waiting), 'call')}: {calls}. It expires in {left}.",
        "Submit exactly one output for each, all together: "
        + _submit(situation, [f"--output {call.id}=TEXT" for call in waiting]),
    )


def _submit(situation: Situation, options: list[str]) -> str:
    """Return the command that submits; of many options, the first few and that there are more."""
    shown = " ".join(options[:3]) + (" ..." if len(options) > 3 else "")
    return f"`clew runs submit {situation.run.id} {shown}`"


def _refused(situation: Situation, open_ids: list[str]) -> Finding:
    refused = situation.refused
    assert refused is not None
    missing = [each for each in open_ids if each not in refused.got]
    unknown = [each for each in dict.fromkeys(refused.got) if each not in open_ids]
    twice = [each for each in dict.fromkeys(refused.got) if refused.got.count(each) > 1]
    wrong = [
        f"{word} {listed(ids)}"
        for word, ids in (
            ("it lacks", missing),
            ("it does not wait for", unknown),
            ("it had twice", twice),
        )
        if ids
    ]
    sent = listed(list(refused.got)) if refused.got else "nothing"
    return Finding(
        "submission_refused",
        f"A submission of {refused.what} was refused {span(situation.now - refused.at)} ago: it named "
        f"{sent}; {'; '.join(wrong) or 'the run waited for others then'}.",
        "Ids of calls are new in each turn: read them from required_action of the run as it is now.",
    )


def _cancelling(situation: Situation) -> Finding:
    if not situation.workers.alive:
        return Finding(
            "no_worker",
            "It is to be cancelled, and no worker is there to end it.",
            "Start one: `clew worker`, or `clew serve` without --no-worker.",
        )
    return Finding("cancelling", "It is to be cancelled: whoever works on it stops and ends it in a moment.")


def _open_step(situation: Situation) -> Step | None:
    return next((step for step in situation.steps if step.id == situation.run.open_step), None)
