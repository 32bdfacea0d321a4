"""Reads server-sent events as a strict client does."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2


class Frame(NamedTuple):
    """One event of a stream."""

    event: str
    data: Any
    id: int | None


def frames(response: httpx2.Response) -> Iterator[Frame]:
    """Yield the frames of a stream as they come, keep-alives left out."""
    rest = ""
    for chunk in response.iter_text():
        rest += chunk
        while "\n\n" in rest:
            block, rest = rest.split("\n\n", 1)
            yield parse(block)
    assert rest == "", f"the stream ended in the middle of {rest!r}"


def parse(block: str) -> Frame:
    """Return the frame of a block of lines.

    Raises:
        AssertionError: it is not exactly an event, its data and perhaps its id.
    """
    assert "\r" not in block
    lines = [line for line in block.split("\n") if not line.startswith(":")]
    names = [line.partition(": ")[0] for line in lines]
    assert names in (["event", "data"], ["event", "data", "id"]), lines
    values = [line.partition(": ")[2] for line in lines]
    data = values[1] if values[1] == "[DONE]" else json.loads(values[1])
    return Frame(values[0], data, int(values[2]) if len(values) == 3 else None)


def outline(told: list[Frame]) -> list[str]:
    """Return the events' names, less what all of them begin with; pieces in a row as one."""
    names: list[str] = []
    for frame in told:
        name = frame.event.removeprefix("thread.")
        if not (name.endswith(".delta") and names and names[-1] == name):
            names.append(name)
    return names


def said(told: list[Frame]) -> str:
    """Return all text that a stream's pieces say, one after another."""
    parts = [
        part["text"]["value"]
        for frame in told
        if frame.event == "thread.message.delta"
        for part in frame.data["delta"]["content"]
    ]
    return "".join(parts)


def names(stream: str) -> list[str]:
    """Return the names of a whole stream's events."""
    assert stream.endswith("event: done\ndata: [DONE]\n\n"), stream[-200:]
    return [parse(block).event for block in stream.split("\n\n")[:-1]]
