"""Plain words are read by a short way: it comes to what the long way comes to, wherever a body is cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.records import Usage
from clew.model import frames
from clew.model.answer import AnswerReader
from clew.model.chat import CallDelta, Chunk, Finished, ModelError, TextDelta, joined
from clew.model.frames import FrameReader, Words
from clew.model.plain import plain_words

_WORDS = st.text(max_size=6)
_PLAIN: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _event(delta: Any, *, end: str = "\n\n", choice: Any = None, ascii: bool = True, **more: Any) -> bytes:
    value = {**_PLAIN, "choices": [{"index": 0, "delta": delta, **(choice or {})}], **more}
    return f"data: {json.dumps(value, ensure_ascii=ascii)}{end}".encode("utf-8", "surrogatepass")


_DELTAS = st.one_of(
    st.fixed_dictionaries({"content": _WORDS}),
    st.fixed_dictionaries({"content": _WORDS}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.just("")}),
    st.fixed_dictionaries({"content": _WORDS, "reasoning_content": st.sampled_from([None, "", "so"])}),
    st.fixed_dictionaries({"content": _WORDS, "refusal": st.sampled_from([None, "", "no"])}),
    st.just({"content": "\ud800"}),
    st.just({"content": None}),
    st.just({}),
)
_EVENTS = st.one_of(
    st.builds(_event, _DELTAS),
    st.builds(_event, _DELTAS, ascii=st.just(False)),
    st.builds(_event, _DELTAS, end=st.just("\r\n\r\n")),
    st.builds(_event, _DELTAS, end=st.just("\n")),
    st.builds(_event, _DELTAS, choice=st.sampled_from([{"index": 1}, {"finish_reason": "stop"}, {"x": 1}])),
    st.builds(_event, _DELTAS, usage=st.sampled_from([None, {"prompt_tokens": 3, "completion_tokens": 1}])),
    st.sampled_from(
        [b": hi\n\n", b"event: ping\n\n", b"\n", b"event: message\n", b"data: {\n\n", b"id: 5\n"]
    ),
)


def _read(body: bytes, cuts: list[int]) -> tuple[list[Chunk], str | None]:
    reader, whole, at = FrameReader(), AnswerReader(hides_thoughts=True), 0
    chunks: list[Chunk] = []
    try:
        for cut in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
            if whole.over:
                break
            chunks += whole.read_all(reader.feed(body[at:cut]))
            at = cut
        if not whole.over:
            chunks += whole.read_all(reader.end())
        chunks += whole.end(lambda said: Usage(completion_tokens=said))
    except ModelError as error:
        return joined(chunks), error.message
    return joined(chunks), None


@given(events=st.lists(_EVENTS, max_size=8), cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_the_short_way_comes_to_what_the_long_way_comes_to(events: list[bytes], cuts: list[int]) -> None:
    body = b"".join([*events, b"data: [DONE]\n\n"])
    short = _read(body, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "plain_words", lambda events: [])
        assert _read(body, []) == short


def test_words_that_came_together_stay_together() -> None:
    body = b"".join(_event({"content": word}) for word in ("Go ", "left, ", "", "then right."))
    found = FrameReader().feed(body)
    assert found == [Words(["Go ", "left, ", "", "then right."])]
    apart = [TextDelta("Go "), TextDelta("left, "), TextDelta("then right.")]
    assert AnswerReader().read_all(found) == apart
    assert AnswerReader().read_all(found, merge=True) == [TextDelta("Go left, then right.")]


@pytest.mark.parametrize(
    "event",
    [
        _event({"content": "x", "something": 1}),
        _event({"content": "x"}, error={"message": "no"}),
        _event({"content": "x"}, usage={"prompt_tokens": 1}),
        _event({"content": "x"}, choice={"index": 1}),
        _event({"content": "x"}, choice={"finish_reason": "stop"}),
        _event({"content": ["x"]}),
        _event({"content": None}),
        b'data: {"choices": []}',
        b"data: [DONE]",
        b"event: error\n" + _event({"content": "x"}),
        _event({"content": "x"}).rstrip() + b"\ndata: more",
    ],
)
def test_what_says_anything_else_is_no_plain_word(event: bytes) -> None:
    plain = _event({"content": "y"}).strip()
    assert plain_words([plain, event.strip(), plain]) == ["y"]


def test_an_error_behind_words_is_told_when_they_were_heard() -> None:
    reader = AnswerReader()
    body = _event({"content": "Go "}) + b'data: {"error": {"message": "it broke"}}\n\n'
    assert reader.read_all(FrameReader().feed(body)) == [TextDelta("Go ")]
    assert reader.over
    with pytest.raises(ModelError, match="in the middle of its answer"):
        reader.end(lambda said: Usage())


def test_pieces_of_one_call_are_joined_and_of_two_are_not() -> None:
    end = Finished("tool_calls", Usage())
    chunks: list[Chunk] = [
        TextDelta("a"), TextDelta("b"), CallDelta(0, "x", "look"), CallDelta(0, arguments="{"),
        CallDelta(0, arguments="}"), CallDelta(1, "y", "turn"), CallDelta(1, arguments="{}"), end,
    ]  # fmt: skip
    assert joined(chunks) == [
        TextDelta("ab"), CallDelta(0, "x", "look"), CallDelta(0, arguments="{}"), CallDelta(1, "y", "turn"),
        CallDelta(1, arguments="{}"), end,
    ]  # fmt: skip
