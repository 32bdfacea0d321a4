"""A checker of histories: holds what clients were told against what is there in the end.

It knows the promises and the wire, and nothing of how the server keeps them. Every complaint is a
sentence; no complaint means that nothing was lost and nothing doubled. Clients ask until they are
answered, so in the end whatever is there has been acknowledged to somebody, too.
"""

import itertools
import json
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from tests.durability.told import check_part, check_stream
from tests.support.api import TERMINAL, Json, text
from tests.support.sse import Frame

# Which statuses a client may see after which, however many it misses in between.
_NEXT = {
    "queued": {"in_progress", "cancelling", "expired"},
    "in_progress": {"requires_action", "completed", "failed", "incomplete", "expired", "cancelling"},
    "requires_action": {"queued", "cancelling", "expired"},
    "cancelling": {"cancelled"},
}
_ACTIVE = {"in_progress", "requires_action", "cancelling"}
_STAMPS = ("completed_at", "failed_at", "cancelled_at", "expired_at")

Outputs: TypeAlias = dict[str, str]
Approvals: TypeAlias = dict[str, bool]


class Listed(NamedTuple):
    """What was listed when a run was seen to be over: its thread's messages, its steps; oldest first."""

    messages: list[Json]
    steps: list[Json]


class Log:
    """What one client was told by the server, in the order in which it was told."""

    def __init__(self) -> None:
        self.acknowledged = 0
        """Writes that were answered."""
        self.messages: dict[str, list[tuple[str, str]]] = {}
        """Acknowledged messages by thread: id and text."""
        self.metadata: dict[str, Json] = {}
        """The metadata that each thread was given last."""
        self.gone: set[str] = set()
        """Threads and messages that were deleted."""
        self.runs: dict[str, str] = {}
        """Acknowledged runs, with their threads."""
        self.answers: dict[str, list[str]] = {}
        """What each run must have written if it completes."""
        self.outputs: dict[str, list[Outputs]] = {}
        """Acknowledged tool outputs by run, a submission each."""
        self.approvals: dict[str, list[Approvals]] = {}
        """Acknowledged decisions on calls of server-side tools by run, a submission each."""
        self.cancelled: set[str] = set()
        """Runs whose cancellation was acknowledged."""
        self.seen: dict[str, list[Json]] = {}
        """Runs as they were read, in order."""
        self.lists: dict[str, list[list[Json]]] = {}
        """Threads' runs as they were listed."""
        self.ends: dict[str, Listed] = {}
        """What was listed as soon as a run was seen to be over."""
        self.streams: dict[str, list[list[Frame]]] = {}
        """What each reader of a run was told, over all its connections."""
        self.parts: dict[str, list[list[Frame]]] = {}
        """What was told of a run by streams without positions: those that answer a POST."""


class Final(NamedTuple):
    """A thread as it is in the end: its messages and runs, oldest first; of each run, steps and events.

    ``newest_first`` are the ids of its messages once more, read by other pages.
    """

    thread: Json
    messages: list[Json]
    newest_first: list[str]
    runs: list[Json]
    steps: dict[str, list[Json]]
    events: dict[str, list[Frame]]


def check(log: Log, threads: dict[str, Final]) -> list[str]:
    """Return every way in which a client's log and the threads it used don't agree."""
    complaints: list[str] = []
    for thread_id in log.messages:
        final = threads.get(thread_id)
        if thread_id in log.gone:
            if final is not None:
                complaints.append(f"{thread_id}: its deletion was acknowledged, and it is there")
        elif final is None:
            complaints.append(f"{thread_id}: the thread was acknowledged and is not there")
        else:
            complaints += [f"{thread_id}: {problem}" for problem in _check_thread(log, thread_id, final)]
            for run in final.runs:
                complaints += [f"{run['id']}: {problem}" for problem in _check_run(log, run, final)]
    return complaints


# --- threads -------------------------------------------------------------------------------------


def _check_thread(log: Log, thread_id: str, final: Final) -> Iterator[str]:
    if (given := log.metadata.get(thread_id, {})) != final.thread["metadata"]:
        yield f"its metadata was acknowledged to be {given}, and is {final.thread['metadata']}"
    yield from _check_messages(log, log.messages[thread_id], final)
    there = [run["id"] for run in final.runs]
    acknowledged = [run_id for run_id, of_thread in log.runs.items() if of_thread == thread_id]
    for run_id in acknowledged:
        if run_id not in there:
            yield f"the run {run_id} was acknowledged and is not there"
    for run_id in there:
        if run_id not in acknowledged:
            yield f"the run {run_id} is there, and nobody was told of it"
    yield from _check_one_at_a_time(final.runs)
    for runs in log.lists.get(thread_id, []):
        active = [run["id"] for run in runs if run["status"] in _ACTIVE]
        if len(active) > 1:
            yield f"{' and '.join(active)} were active at the same moment"


def _check_messages(log: Log, acknowledged: list[tuple[str, str]], final: Final) -> Iterator[str]:
    ids = [message["id"] for message in final.messages]
    if len(ids) != len(set(ids)):
        yield "a message is there twice"
    if final.newest_first != ids[::-1]:
        yield "its messages are not the same by small pages and by large ones"
    there = {message["id"]: text(message) for message in final.messages}
    for message_id, said in acknowledged:
        if message_id not in there:
            if message_id not in log.gone:
                yield f"the message {message_id} was acknowledged and is not there"
        elif message_id in log.gone:
            yield f"the message {message_id} was deleted and is there"
        elif there[message_id] != said:
            yield f"the message {message_id} says {there[message_id]!r}, not {said!r}"
    order = [message_id for message_id in ids if message_id in dict(acknowledged)]
    if order != [message_id for message_id, _ in acknowledged if message_id in there]:
        yield "messages are in another order than they were acknowledged in"
    of_users = [message for message in final.messages if message["role"] == "user"]
    if len(of_users) != len({text(message) for message in of_users}):
        yield "a message that was sent once is there twice"
    for message in of_users:
        if message["id"] not in dict(acknowledged):
            yield f"the message {message['id']} is there, and nobody was told of it"


def _check_one_at_a_time(runs: list[Json]) -> Iterator[str]:
    for before, after in itertools.pairwise(runs):
        if before["created_at"] > after["created_at"]:
            yield f"{after['id']} was created before {before['id']} and is listed after it"
        if before["status"] not in TERMINAL:
            yield f"{after['id']} was created though {before['id']} is active"
        ended, begun = _ended_at(before), after["started_at"]
        if ended is not None and begun is not None and ended > begun:
            yield f"{after['id']} was started while {before['id']} was active"


def _ended_at(run: Json) -> int | None:
    """Return when a run ended, as far as it says so: an expired one does not."""
    return next((run[stamp] for stamp in _STAMPS if run.get(stamp) is not None), None)


# --- runs ----------------------------------------------------------------------------------------


def _check_run(log: Log, run: Json, final: Final) -> Iterator[str]:
    run_id = run["id"]
    steps, events = final.steps[run_id], final.events[run_id]
    written = _written(final.messages, run_id)
    if run["status"] not in TERMINAL:
        yield f"it has not ended: {run['status']}"
    if run_id in log.cancelled and run["status"] != "cancelled":
        yield f"its cancellation was acknowledged, and it ended {run['status']}"
    said = [text(message) for message in written]
    if run["status"] == "completed" and said != log.answers.get(run_id, said):
        yield f"it completed and said {said}, not {log.answers[run_id]}"
    yield from _check_seen(log.seen.get(run_id, []), run)
    yield from _check_steps(run, steps, written)
    yield from _check_times(run, steps)
    yield from _check_outputs(log.outputs.get(run_id, []), steps)
    yield from _check_server_calls(log.approvals.get(run_id, []), steps)
    if run_id in log.ends:
        yield from _check_end(log.ends[run_id], run_id, final, log.gone)
    for told in log.streams.get(run_id, []):
        yield from check_stream(told, events)
    for told in log.parts.get(run_id, []):
        yield from check_part(told, events)


def _check_seen(seen: list[Json], final: Json) -> Iterator[str]:
    for before, after in itertools.pairwise([*seen, final]):
        if before["status"] in TERMINAL and _lasting(before) != _lasting(after):
            yield f"it had ended {before['status']} and changed afterwards"
        elif not _may_follow(before["status"], after["status"]):
            yield f"it went from {before['status']} to {after['status']}"


def _lasting(run: Json) -> Json:
    return {name: value for name, value in run.items() if name != "metadata"}


def _may_follow(before: str, after: str) -> bool:
    reached, fresh = {before}, {before}
    while fresh:
        fresh = {status for each in fresh for status in _NEXT.get(each, ())} - reached
        reached |= fresh
    return after in reached


def _check_steps(run: Json, steps: list[Json], written: list[Json]) -> Iterator[str]:
    told_of = [
        step["step_details"]["message_creation"]["message_id"]
        for step in steps
        if step["type"] == "message_creation"
    ]
    if [message["id"] for message in written] != told_of:
        yield f"it wrote {len(written)} messages and has {len(told_of)} steps for messages"
    calls = [call["id"] for step in steps for call in _calls(step)]
    if len(calls) != len(set(calls)):
        yield "a call of it is there twice"
    booked = sum(step["usage"]["total_tokens"] for step in steps if step["usage"])
    used = run["usage"]["total_tokens"] if run["usage"] else 0
    if booked != used:
        yield f"its steps used {booked} tokens, and it {used}"
    if any(step["status"] == "in_progress" for step in steps) and run["status"] in TERMINAL:
        yield "a step of it has not ended"


def _calls(step: Json) -> list[Json]:
    calls: list[Json] = step["step_details"].get("tool_calls", [])
    return calls


def _check_times(run: Json, steps: list[Json]) -> Iterator[str]:
    """Time goes forward, from the run's creation to its end. It starts anew after each wait."""
    created, ended = run["created_at"], _ended_at(run)
    begun = [step["created_at"] for step in steps]
    over = [_ended_at(step) for step in steps]
    each = list(zip(begun, over, strict=True))
    for times in (
        (created, *begun, ended),
        (created, *over, ended),
        (created, run["started_at"], ended),
        *each,
    ):
        known = [time for time in times if time is not None]
        if known != sorted(known):
            yield f"its times go back: {known}"
            return


def _check_outputs(acknowledged: list[Outputs], steps: list[Json]) -> Iterator[str]:
    functions = [call for step in steps for call in _calls(step) if call["type"] == "function"]
    there = {call["id"]: call["function"]["output"] for call in functions}
    for outputs in acknowledged:
        for call_id, output in outputs.items():
            if (kept := there.get(call_id)) != output:
                yield f"the output {output!r} of {call_id} was acknowledged, and {kept!r} is there"
    known = {call_id for outputs in acknowledged for call_id in outputs}
    for call_id, kept in there.items():
        if kept is not None and call_id not in known:
            yield f"the output {kept!r} of {call_id} is there, and nobody was told so"


def _check_server_calls(acknowledged: list[Approvals], steps: list[Json]) -> Iterator[str]:
    """What the server ran has its right outcome, what was denied none, and each was decided on once."""
    decided: dict[str, bool] = {}
    for approvals in acknowledged:
        if approvals.keys() & decided.keys():
            yield "two decisions on one call were acknowledged"
        decided |= approvals
    for step in steps:
        for call in _calls(step):
            if call["type"] in ("function", "file_search"):
                continue
            called = call[call["type"]]
            output = called["output"]
            right = _DECLINED if decided.get(call["id"]) is False else _sum_of(called["arguments"])
            if output is None and step["status"] == "completed":
                yield f"the call {call['id']} has no outcome, and its step is complete"
            if output is not None and output != right:
                yield f"the outcome of {call['id']} is {output!r}, not {right!r}"


_DECLINED = "The user declined this tool call."


def _sum_of(arguments: str) -> str:
    """Return what the calculator must make of the expressions that the model of the load writes."""
    left, operator, right = json.loads(arguments)["expression"].split()
    return str(int(left) + int(right) if operator == "+" else int(left) * int(right))


def _check_end(listed: Listed, run_id: str, final: Final, gone: set[str]) -> Iterator[str]:
    """Whoever sees that a run is over can list all that it has brought."""
    if listed.steps != final.steps[run_id]:
        yield "its steps were not all there when it was over, or changed afterwards"
    kept = [message for message in listed.messages if message["id"] not in gone]
    if kept != final.messages[: len(kept)]:
        yield "messages were missing from a list, or changed afterwards"
    if _written(kept, run_id) != _written(final.messages, run_id):
        yield "what it wrote was not all there when it was over"


def _written(messages: list[Json], run_id: str) -> list[Json]:
    return [message for message in messages if message["run_id"] == run_id]
