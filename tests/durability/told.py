"""Holds what readers of a run were told against its journal, as the rows tell it in the end."""

from collections.abc import Iterator

from tests.support.api import TERMINAL, Json, text
from tests.support.sse import Frame

_UNCOMMITTED = {"created", "in_progress", "delta"}
"""Last words of the events that may be told before their commit, and be replaced after a crash."""

_ENDS_OF_RUNS = {f"thread.run.{status}" for status in TERMINAL}
_ENDS_OF_STEPS = {f"thread.run.step.{status}" for status in ("completed", "failed", "cancelled", "expired")}


def ended(frames: list[Frame]) -> bool:
    """Whether a stream has told of its run's end."""
    return any(frame.event in _ENDS_OF_RUNS for frame in frames)


def check_stream(told: list[Frame], events: list[Frame]) -> Iterator[str]:
    """Hold a reader's events, which have positions, against the journal, as far as the reader got."""
    numbers = [_number(frame) for frame in told]
    if numbers != sorted(set(numbers)):
        yield "a reader was told events out of order, or twice"
    if not numbers:
        return
    lasting = {_number(frame): frame for frame in events if _commits(frame)}
    heard = {_number(frame): frame for frame in told if _commits(frame)}
    for number, frame in lasting.items():
        if number <= numbers[-1] and number not in heard:
            yield f"a reader got as far as {numbers[-1]} and missed {frame.event} at {number}"
    for number, frame in heard.items():
        if number not in lasting or lasting[number].event != frame.event:
            yield f"a reader was told {frame.event} at {number}, which has not happened"
        elif not _alike(lasting[number], frame):
            yield f"a reader was told another {frame.event} at {number} than there is"
    yield from _check_pieces(told)


def check_part(told: list[Frame], events: list[Frame]) -> Iterator[str]:
    """Hold a stream without positions against the journal: what lasts in it is a part without gaps."""
    heard = [frame.event for frame in told if _commits(frame)]
    lasting = [frame.event for frame in events if _commits(frame)]
    places = range(len(lasting) - len(heard) + 1)
    if not any(lasting[place : place + len(heard)] == heard for place in places):
        yield f"a stream told of {heard}, which is no part of {lasting}"
    yield from _check_pieces(told)


def _number(frame: Frame) -> int:
    assert frame.id is not None or frame.event == "done"
    return frame.id or 0


def _commits(frame: Frame) -> bool:
    """Whether an event is told only after its commit."""
    kind, _, last = frame.event.removeprefix("thread.").rpartition(".")
    return frame.event != "done" and (kind == "run" or last not in _UNCOMMITTED)


def _alike(one: Frame, other: Frame) -> bool:
    return bool(_compared(one) == _compared(other))


def _compared(frame: Frame) -> Json:
    """Return what must be told alike at any time.

    Of a run that goes on, the rows keep the last start, and no longer know that it waited in line.
    """
    data: Json = dict(frame.data)
    if data["object"] == "thread.run" and frame.event not in _ENDS_OF_RUNS:
        del data["started_at"], data["expires_at"]
    return data


# --- pieces --------------------------------------------------------------------------------------


def _check_pieces(told: list[Frame]) -> Iterator[str]:
    """What was said in pieces since an object was last begun is what the object ends with."""
    said: dict[str, list[str]] = {}
    outputs: dict[str, dict[int, str]] = {}
    for frame in told:
        match frame.event:
            case "thread.message.created" | "thread.run.step.created":
                said[frame.data["id"]] = []
            case "thread.message.delta":
                said.setdefault(frame.data["id"], []).append(_text_of_piece(frame.data))
            case "thread.run.step.delta":
                said.setdefault(frame.data["id"], []).append(_call_of_piece(frame.data))
                outputs.setdefault(frame.data["id"], {}).update(_outputs_of_piece(frame.data))
            case "thread.message.completed" | "thread.message.incomplete":
                yield from _compare(said, frame, text(frame.data))
            case ending if ending in _ENDS_OF_STEPS and frame.data["type"] == "tool_calls":
                calls = frame.data["step_details"]["tool_calls"]
                yield from _compare(said, frame, "".join(map(_head_and_arguments, calls)))
                yield from _compare_outputs(outputs.get(frame.data["id"], {}), calls)


def _head_and_arguments(call: Json) -> str:
    if call["type"] == "file_search":  # of it, only that it has begun is told in pieces
        return str(call["id"])
    called = call[call["type"]]
    return f"{call['id']}{called['name']}{called['arguments']}"


def _compare_outputs(told: dict[int, str], calls: list[Json]) -> Iterator[str]:
    for index, output in told.items():
        call = calls[index]
        if (kept := call[call["type"]]["output"]) != output:
            yield f"a reader was told that {call['id']} gave {output!r}, and it gave {kept!r}"


def _outputs_of_piece(data: Json) -> dict[int, str]:
    """Return the outputs of server-side tools that a delta tells, by the place of their calls."""
    calls = data["delta"]["step_details"]["tool_calls"]
    told = {call["index"]: call[call["type"]].get("output") for call in calls}
    return {index: output for index, output in told.items() if output is not None}


def _compare(said: dict[str, list[str]], frame: Frame, whole: str) -> Iterator[str]:
    pieces = said.get(frame.data["id"])
    if pieces is not None and "".join(pieces) != whole:
        yield f"a reader heard {''.join(pieces)!r} of {frame.data['id']}, which is {whole!r}"


def _text_of_piece(data: Json) -> str:
    return "".join(part["text"]["value"] for part in data["delta"]["content"] if part["type"] == "text")


def _call_of_piece(data: Json) -> str:
    pieces = ""
    for call in data["delta"]["step_details"]["tool_calls"]:
        if call["type"] == "file_search":
            pieces += call["id"]
            continue
        called = call[call["type"]]
        head = f"{call['id']}{called['name']}" if "id" in call else ""
        pieces += f"{head}{called.get('arguments', '')}"
    return pieces
