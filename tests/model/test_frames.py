"""Frames of an answer: event streams as the standard says, and what servers send instead."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clew.model.frames import LONGEST_LINE, Done, Frame, FrameReader, TooLong, decoded

TWO = [{"a": 1}, {"b": [2]}]

BODIES: dict[str, tuple[bytes, list[Any]]] = {
    "as the standard says": (b'data: {"a": 1}\n\ndata: {"b": [2]}\n\ndata: [DONE]\n\n', [*TWO, Done()]),
    "CRLF": (b'data: {"a": 1}\r\n\r\ndata: {"b": [2]}\r\n\r\ndata: [DONE]\r\n\r\n', [*TWO, Done()]),
    "CR": (b'data: {"a": 1}\r\rdata: {"b": [2]}\r\rdata: [DONE]\r\r', [*TWO, Done()]),
    "no blank lines": (b'data: {"a": 1}\ndata: {"b": [2]}\ndata: [DONE]\n', [*TWO, Done()]),
    "no space": (b'data:{"a": 1}\n\ndata:{"b": [2]}\n\ndata:[DONE]', [*TWO, Done()]),
    "several lines of data": (b'data: {"a":\ndata: 1}\n\ndata: {"b":\r\ndata: [2]}\n\n', TWO),
    "comments and fields": (b': hi\nid: 1\nretry: 5\ndata: {"a": 1}\n\n: more\n\ndata: {"b": [2]}\n\n', TWO),
    "a byte order mark": (b'\xef\xbb\xbfdata: {"a": 1}\n\ndata: {"b": [2]}\n\n', TWO),
    "a value a line": (b'{"a": 1}\n{"b": [2]}\n', TWO),
    "one value": (b'{"a": 1}', TWO[:1]),
    "one value over lines": (b'\n{\n  "a":\r\n  1\n}\n', TWO[:1]),
    "bare values between events": (b'data: {"a": 1}\n\n{"b": [2]}\n', TWO),
    "nothing": (b"", []),
    "white space": (b" \n\r\n ", []),
}


def _frames(body: bytes, cuts: list[int]) -> tuple[list[Any], FrameReader]:
    reader, found, at = FrameReader(), [], 0
    for cut in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
        found += reader.feed(body[at:cut])
        at = cut
    found += reader.end()
    return found, reader


@pytest.mark.parametrize("name", BODIES)
def test_the_frames_are_the_same_wherever_a_body_is_cut(name: str) -> None:
    body, expected = BODIES[name]
    for size in range(1, len(body) + 1):
        found, _ = _frames(body, list(range(0, len(body), size)))
        assert [frame if isinstance(frame, Done) else frame.value for frame in found] == expected, size


@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
@example(body=b"data: \xe2\x82", cuts=[7])
@example(body=b"\r\n\r{\r", cuts=[1, 3])
def test_garbage_is_read_the_same_wherever_it_is_cut(body: bytes, cuts: list[int]) -> None:
    whole, first = _frames(body, [])
    cut, second = _frames(body, cuts)
    assert (cut, second.page, second.words) == (whole, first.page, first.words)


def test_an_event_has_its_type() -> None:
    found, _ = _frames(b'event: error\ndata: {"message": "no"}\n\nerror: it broke\n', [])
    assert found == [Frame("error", {"message": "no"}), Frame("error", None, "it broke")]


def test_a_page_is_known_for_one() -> None:
    found, reader = _frames(b"  <!doctype html>\n<title>Sign in</title>", [7, 20])
    assert (found, reader.page) == ([], True)
    assert reader.words == "<!doctype html>\n<title>Sign in</title>"


def test_what_is_no_frame_is_kept_as_words() -> None:
    found, reader = _frames(b"upstream connect error\nor disconnect", [5])
    assert (found, reader.words) == ([], "upstream connect error\nor disconnect\n")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": NaN, "b": Infinity}', None),
        (b'{"a": "\\ud83d"}', {"a": "\ufffd"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\xe2\x82"}', {"a": "\ufffd"}),
        (b'{"a": 1e400}', {"a": float("inf")}),
    ],
)
def test_values_are_read_leniently(data: bytes, value: Any) -> None:
    assert decoded(data) == value or (value is None and set(decoded(data)) == {"a", "b"})


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b'{"a":}', b"\x00"])
def test_what_is_no_value_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        decoded(data)


def test_a_line_without_end_is_not_kept() -> None:
    reader, piece = FrameReader(), b"x" * (1024 * 1024)
    for _ in range(LONGEST_LINE // len(piece)):
        reader.feed(piece)
    with pytest.raises(TooLong):
        reader.feed(piece)
