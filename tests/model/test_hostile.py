"""What a hostile model sends costs what it weighs, and no more of it is kept than somebody can use."""

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from clew.core.records import Usage
from clew.model.answer import AnswerReader
from clew.model.chat import Chunk, Finished, ModelError
from clew.model.frames import FrameReader, TooLong, decoded
from clew.model.trouble import LONGEST_WORDS, model_error, problem_of

SIZE = 50_000
"""Bytes of the smaller one of two answers that are compared."""


def answer(piece: bytes, bodies: list[bytes], **options: Any) -> list[Chunk]:
    """Return the chunks of an answer whose body comes in these pieces."""
    frames, reader = FrameReader(), AnswerReader(["look"], **options)
    chunks: list[Chunk] = []
    try:
        for body in [piece, *bodies]:
            for frame in frames.feed(body):
                chunks += reader.read(frame)
        for frame in frames.end():
            chunks += reader.read(frame)
        chunks += reader.end(lambda _: Usage(prompt_tokens=1, completion_tokens=1))
    except (ModelError, TooLong):
        pass
    return chunks


def frame(**delta: Any) -> bytes:
    """Return a frame of an event stream."""
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def call(**function: Any) -> bytes:
    return frame(tool_calls=[{"index": 0, "id": "a", "function": function}])


def nested(depth: int, of: Any = "x") -> Any:
    for _ in range(depth):
        of = [of]
    return of


def thinking(count: int) -> bytes:
    return frame(content=[{"type": "thinking", "thinking": nested(count % 900)}])


ANSWERS: dict[str, Callable[[int], tuple[bytes, list[bytes]]]] = {
    "white space, a little at a time": lambda size: (frame(content=" "), [frame(content=" ")] * (size // 60)),
    "white space behind a call": lambda size: (call(name="look"), [frame(content=" ")] * (size // 60)),
    "white space in a call's arguments": lambda size: (
        call(name="look", arguments="{"),
        [call(arguments=" ")] * (size // 60),
    ),
    "thoughts that nest": lambda size: (thinking(900), [thinking(900)] * (size // 2000)),
    "a tag of reasoning that never comes": lambda size: (
        frame(content=" "),
        [frame(content=" " * 50)] * (size // 100) + [frame(content="<thin")],
    ),
    "a call's name, a letter at a time": lambda size: (call(name="l"), [call(name="o")] * (size // 60)),
    "a call's identifier": lambda size: (
        frame(tool_calls=[{"index": 0, "id": "a" * size, "function": {"name": "look"}}]),
        [],
    ),
    "what came with a call": lambda size: (
        call(name="look", sig="s"),
        [call(sig=f"{number}") for number in range(size // 60)],
    ),
    "what came with a turn": lambda size: (
        frame(signature="s"),
        [frame(signature=f"{number}") for number in range(size // 60)],
    ),
    "keys that nobody knows": lambda size: (
        frame(a=1),
        [frame(**{f"k{number}": 1}) for number in range(size // 60)],
    ),
    "lines of data in one event": lambda size: (b"data: {\n", [b"data:1\n"] * (size // 7)),
    "lines of data at once": lambda size: (b"data: {\n", [b"data:1\n" * (size // 7)]),
    "a line, a byte at a time": lambda size: (b"data: {", [b"x"] * size),
    "a value over lines, a byte at a time": lambda size: (b"{\n", [b"1"] * size),
    "white space before anything": lambda size: (b" ", [b" "] * size),
    "comments": lambda size: (b":\n", [b":\n"] * (size // 2)),
    "carriage returns": lambda size: (b"data: {\r", [b"\r"] * size),
    "frames without choices": lambda size: (b'data: {"a":1}\n\n', [b'data: {"a":1}\n\n'] * (size // 15)),
    "empty calls": lambda size: (frame(tool_calls=[]), [frame(tool_calls=[{}])] * (size // 60)),
}


def seconds(name: str, size: int) -> float:
    piece, bodies = ANSWERS[name](size)
    taken = []
    for _ in range(3):
        start = time.process_time()
        answer(piece, bodies, hides_thoughts=True)
        taken.append(time.process_time() - start)
    return min(taken)


@pytest.mark.parametrize("name", ANSWERS)
def test_twice_as_much_costs_twice_as_much(name: str) -> None:
    little, much = seconds(name, SIZE), seconds(name, 8 * SIZE)
    assert much < 20 * little + 0.02


def test_lines_of_data_take_the_memory_of_their_bytes() -> None:
    reader, piece = FrameReader(), b"data:1\n" * 100
    tracemalloc.start()
    try:
        reader.feed(b"data: {\n")
        for _ in range(1_000):
            reader.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000 * len(piece)


def test_what_is_too_long_to_go_back_is_left_out_and_the_answer_stands() -> None:
    bodies = [call(summary="s" * 100_000) for _ in range(30)]
    chunks = answer(call(name="look", arguments="{}"), [*bodies, b"data: [DONE]\n\n"])
    finished = chunks[-1]
    assert isinstance(finished, Finished)
    assert [fact.extras for fact in finished.calls] == [None]


LONG = "x" * 500_000


@pytest.mark.parametrize("hides", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        frame(content=LONG),
        frame(content=" " * len(LONG)),
        frame(content=f"<think>{LONG}"),
        frame(content=[{"type": "thinking", "thinking": LONG}]),
        frame(refusal=LONG),
        frame(reasoning=LONG),
        frame(**{LONG: 1}),
        call(name="look", summary=LONG),
        call(name="look", arguments=LONG),
        call(arguments=LONG),
    ],
    ids=lambda body: body[:70],
)
def test_more_than_any_answer_holds_is_refused_whatever_it_is(body: bytes, hides: bool) -> None:
    with pytest.raises(ModelError, match="too long"):
        read_for_ever(body, hides)


def read_for_ever(body: bytes, hides: bool) -> None:
    frames, reader = FrameReader(), AnswerReader(["look"], hides_thoughts=hides)
    for _ in range(20):
        for each in frames.feed(body):
            reader.read(each)


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "a" * 8_000_000}},
        {"error": {"message": " " * 8_000_000 + "a"}},
        {"error": {"message": "no", "param": ["x" * 100] * 1000, "code": list(range(100_000))}},
        {"error": {"message": json.dumps({"error": "x" * 4_000_000})}},
        {f"k{number}": {"code": number} for number in range(100_000)},
        {"detail": [{"loc": nested(500), "msg": "m" * 100_000}] * 1000},
        {"error": {"message": "https://" * 1_000_000}},
        {"error": {"message": "sk-" + "a" * 8_000_000}},
    ],
    ids=lambda said: next(iter(said)),
)
def test_a_problem_of_any_size_is_told_in_a_few_words_at_once(said: Any) -> None:
    start = time.process_time()
    error = model_error(problem_of(said), "The model failed")
    assert time.process_time() - start < 0.2
    assert len(str(error)) < LONGEST_WORDS + 200


@pytest.mark.parametrize("digits", [400, 401, 5_000, 1_000_000])
def test_a_number_of_any_length_is_a_number(digits: int) -> None:
    value = decoded(b'{"n": ' + b"9" * digits + b"}")["n"]
    assert isinstance(value, int | float)
    assert value > 10**300
    assert decoded(b'{"n": -' + b"9" * digits + b"}")["n"] < 0
