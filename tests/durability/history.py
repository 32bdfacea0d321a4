"""A checker of histories: holds what clients were told against what is there in the end.

It knows the promises and the wire, and nothing of how the server keeps them. Every complaint is a
sentence; no complaint means that nothing was lost and nothing doubled.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from tests.support.api import TERMINAL, Json
from tests.support.sse import Frame

# Which statuses a client may see after which, however many it misses in between.
_NEXT = {
    "queued": {"in_progress", "cancelling", "expired"},
    "in_progress": {"requires_action", "completed", "failed", "incomplete", "expired", "cancelling"},
    "requires_action": {"queued", "cancelling", "expired"},
    "cancelling": {"cancelled"},
}
_ENDS_OF_RUNS = {f"thread.run.{status}" for status in TERMINAL}
_UNCOMMITTED = {"created", "in_progress", "delta"}
"""Last words of the events that may be told before their commit, and be replaced after a crash."""

Outputs: TypeAlias = dict[str, str]


class Log:
    """What one client was told by the server, in the order in which it was told."""

    def __init__(self) -> None:
        self.messages: dict[str, list[tuple[str, str]]] = {}
        """Acknowledged messages by thread: id and text."""
        self.runs: dict[str, str] = {}
        """Acknowledged runs, with their threads."""
        self.outputs: dict[str, list[Outputs]] = {}
        """Acknowledged tool outputs by run, a submission each."""
        self.cancelled: set[str] = set()
        """Runs whose cancellation was acknowledged."""
        self.seen: dict[str, list[Json]] = {}
        """Runs as they were read, in order."""
        self.streams: dict[str, list[list[Frame]]] = {}
        """What each reader of a run was told, over all its connections."""

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        said = sum(map(len, self.messages.values())) + sum(map(len, self.outputs.values()))
        return len(self.messages) + len(self.runs) + len(self.cancelled) + said


class Final(NamedTuple):
    """A thread as it is in the end: its messages and runs, oldest first; of each run, steps and events."""

    messages: list[Json]
    runs: list[Json]
    steps: dict[str, list[Json]]
    events: dict[str, list[Frame]]


def check(log: Log, threads: dict[str, Final]) -> list[str]:
    """Return every way in which a client's log and the threads it used don't agree."""
    complaints: list[str] = []
    for thread_id in log.messages:
        if thread_id not in threads:
            complaints.append(f"{thread_id}: the thread was acknowledged and is not there")
            continue
        final = threads[thread_id]
        complaints += [f"{thread_id}: {problem}" for problem in _check_thread(log, thread_id, final)]
        for run in final.runs:
            complaints += [f"{run['id']}: {problem}" for problem in _check_run(log, run, final)]
    return complaints


def _check_thread(log: Log, thread_id: str, final: Final) -> Iterator[str]:
    ids = [message["id"] for message in final.messages]
    if len(ids) != len(set(ids)):
        yield "a message is there twice"
    there = {message["id"]: _text(message) for message in final.messages}
    acknowledged = log.messages[thread_id]
    for message_id, text in acknowledged:
        if message_id not in there:
            yield f"the message {message_id} was acknowledged and is not there"
        elif there[message_id] != text:
            yield f"the message {message_id} says {there[message_id]!r}, not {text!r}"
    order = [message_id for message_id in ids if message_id in dict(acknowledged)]
    if order != [message_id for message_id, _ in acknowledged if message_id in there]:
        yield "messages are in another order than they were acknowledged in"
    texts = [_text(message) for message in final.messages if message["role"] == "user"]
    if len(texts) != len(set(texts)):
        yield "a message that was sent once is there twice"
    known = {run["id"] for run in final.runs}
    for run_id, of_thread in log.runs.items():
        if of_thread == thread_id and run_id not in known:
            yield f"the run {run_id} was acknowledged and is not there"
    yield from _check_one_at_a_time(final.runs)


def _check_one_at_a_time(runs: list[Json]) -> Iterator[str]:
    for before, after in itertools.pairwise(runs):
        ended = before["completed_at"] or before["cancelled_at"] or before["failed_at"]
        if before["status"] in TERMINAL and ended is not None and ended > after["created_at"]:
            yield f"{after['id']} was created while {before['id']} was active"
        if before["status"] not in TERMINAL:
            yield f"{after['id']} was created though {before['id']} is active"


def _check_run(log: Log, run: Json, final: Final) -> Iterator[str]:
    steps, events = final.steps[run["id"]], final.events[run["id"]]
    if run["status"] not in TERMINAL:
        yield f"it has not ended: {run['status']}"
    if run["id"] in log.cancelled and run["status"] != "cancelled":
        yield f"its cancellation was acknowledged, and it ended {run['status']}"
    yield from _check_seen(log.seen.get(run["id"], []), run)
    yield from _check_steps(run, steps, final.messages)
    yield from _check_outputs(log.outputs.get(run["id"], []), steps)
    for told in log.streams.get(run["id"], []):
        yield from _check_stream(told, events)


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


def _check_steps(run: Json, steps: list[Json], messages: list[Json]) -> Iterator[str]:
    written = [message["id"] for message in messages if message["run_id"] == run["id"]]
    told_of = [
        step["step_details"]["message_creation"]["message_id"]
        for step in steps
        if step["type"] == "message_creation"
    ]
    if written != told_of:
        yield f"it wrote {len(written)} messages and has {len(told_of)} steps for messages"
    booked = sum(step["usage"]["total_tokens"] for step in steps if step["usage"])
    used = run["usage"]["total_tokens"] if run["usage"] else 0
    if booked != used:
        yield f"its steps used {booked} tokens, and it {used}"
    if any(step["status"] == "in_progress" for step in steps) and run["status"] in TERMINAL:
        yield "a step of it has not ended"


def _check_outputs(acknowledged: list[Outputs], steps: list[Json]) -> Iterator[str]:
    there = {
        call["id"]: call["function"]["output"]
        for step in steps
        if step["type"] == "tool_calls"
        for call in step["step_details"]["tool_calls"]
    }
    for outputs in acknowledged:
        for call_id, output in outputs.items():
            if (kept := there.get(call_id)) != output:
                yield f"the output {output!r} of {call_id} was acknowledged, and {kept!r} is there"


# --- streams -------------------------------------------------------------------------------------


def _check_stream(told: list[Frame], events: list[Frame]) -> Iterator[str]:
    """Hold what a reader was told against the journal, as far as the reader got."""
    numbers = [_number(frame) for frame in told if frame.id is not None]
    if numbers != sorted(set(numbers)):
        yield "a reader was told events out of order, or twice"
    if not numbers:
        return
    lasting = {_number(frame): frame for frame in events if frame.id is not None and _commits(frame)}
    heard = {_number(frame): frame.event for frame in told if frame.id is not None and _commits(frame)}
    for number, frame in lasting.items():
        if number <= numbers[-1] and heard.get(number) != frame.event:
            yield f"a reader got as far as {numbers[-1]} and missed {frame.event} at {number}"
    for number, name in heard.items():
        if number not in lasting:
            yield f"a reader was told {name} at {number}, which has not happened"
    yield from _check_texts(told)


def _number(frame: Frame) -> int:
    assert frame.id is not None
    return frame.id


def _commits(frame: Frame) -> bool:
    """Whether an event is told only after its commit."""
    kind, _, last = frame.event.removeprefix("thread.").rpartition(".")
    return kind == "run" or last not in _UNCOMMITTED


def _check_texts(told: list[Frame]) -> Iterator[str]:
    """The pieces since a message was last begun are the text that it ends with."""
    pieces: dict[str, str] = {}
    for frame in told:
        match frame.event:
            case "thread.message.created":
                pieces[frame.data["id"]] = ""
            case "thread.message.delta":
                pieces[frame.data["id"]] = pieces.get(frame.data["id"], "") + _delta(frame.data)
            case "thread.message.completed" | "thread.message.incomplete":
                said = pieces.get(frame.data["id"])
                if said is not None and said != _text(frame.data):
                    yield f"a reader heard {said!r} of the message {_text(frame.data)!r}"


def _delta(data: Any) -> str:
    return "".join(part["text"]["value"] for part in data["delta"]["content"] if part["type"] == "text")


def _text(message: Json) -> str:
    return "".join(part["text"]["value"] for part in message["content"] if part["type"] == "text")


def ended(frames: list[Frame]) -> bool:
    """Whether a stream has told of its run's end."""
    return any(frame.event in _ENDS_OF_RUNS for frame in frames)
