"""One answer, read from its frames: how it ended, what came with it, and what is no answer at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.records import Usage
from clew.model.answer import AnswerReader
from clew.model.chat import CallDelta, Chunk, Finished, ModelError, RefusalDelta, TextDelta
from clew.model.endings import Ending, ending_of, word_of
from clew.model.frames import Done, Frame

GUESS = Usage(prompt_tokens=11, completion_tokens=7)


def choice(finish_reason: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def read(*values: Any, done: bool = True, **options: Any) -> list[Chunk]:
    """Return the chunks of an answer of these frames."""
    reader = AnswerReader(["look"], **options)
    chunks: list[Chunk] = []
    for value in values:
        chunks += reader.read(value if isinstance(value, Frame) else Frame("", value))
    if done:
        chunks += reader.read(Done())
    return [*chunks, *reader.end(lambda _: GUESS)]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


def end(chunks: list[Chunk]) -> Finished:
    last = chunks[-1]
    assert isinstance(last, Finished)
    return last


def failure(*values: Any, done: bool = False, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as raised:
        read(*values, done=done, **options)
    return raised.value


CALL = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}]}

# --- endings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "reason"), [("length", "length"), ("SAFETY", "content_filter")])
@pytest.mark.parametrize("later", ["stop", "tool_calls", "of_course"])
def test_an_end_that_was_told_is_not_taken_back(word: str, reason: str, later: str) -> None:
    assert end(read(choice(word, content="Le"), choice(later))).reason == reason
    assert end(read(choice("stop", content="Le"), choice(word))).reason == reason
    assert failure(choice("abort", content="Le"), choice(later), done=True).code == "server_error"


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        *(
            (word, Ending.WHOLE)
            for word in ("stop", "STOP", "end_turn", "endTurn", "eos", "eos_token", "tool_use")
        ),
        *((word, Ending.WHOLE) for word in ("tool_calls", "function_call", "stop_sequence", "Tool-Calls")),
        *(
            (word, Ending.LENGTH)
            for word in ("length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length")
        ),
        *((word, Ending.FILTERED) for word in ("content_filter", "content_filtered", "SAFETY", "RECITATION")),
        *((word, Ending.FILTERED) for word in ("sensitive", "blocklist", "PROHIBITED_CONTENT", "SPII")),
        *(
            (word, Ending.BROKEN)
            for word in ("error", "network_error", "abort", "cancelled", "internal_error")
        ),
        *((word, Ending.BROKEN) for word in ("insufficient_system_resource", "malformed_function_call")),
        *((word, Ending.UNKNOWN) for word in ("mystery", "other")),
    ],
)
def test_a_reason_is_read_without_regard_to_its_spelling(word: str, ending: Ending) -> None:
    assert ending_of(word_of(word)) == ending


@pytest.mark.parametrize("reason", [None, "", "null", " ", 0, [], {}, False, {"type": None}])
def test_what_says_nothing_is_no_reason(reason: Any) -> None:
    assert word_of(reason) == ""
    assert end(read(choice(reason, content="Left."))).reason == "stop"


def test_done_without_a_reason_is_an_end() -> None:
    assert end(read(choice(content="Left."))).reason == "stop"
    assert end(read(choice(**CALL))).reason == "tool_calls"


def test_the_end_of_the_connection_is_none() -> None:
    error = failure(choice(content="Le"))
    assert (error.message, error.again) == ("The model broke off in the middle of its answer.", False)


def test_an_end_before_the_first_word_may_be_tried_again() -> None:
    assert failure().again
    assert failure(done=True).again, "nothing but the end is no answer"


def test_calls_are_calls_whatever_the_reason_says() -> None:
    assert end(read(choice("stop", **CALL))).reason == "tool_calls"


@pytest.mark.parametrize(("word", "reason"), [("MAX_TOKENS", "length"), ("SAFETY", "content_filter")])
def test_a_cut_answer_is_told_for_one(word: str, reason: str) -> None:
    assert end(read(choice(content="Le"), choice(word))).reason == reason


def test_a_broken_answer_is_none() -> None:
    error = failure(choice(content="Le"), choice("insufficient_system_resource"), done=True)
    assert error.message == "The model broke off its answer (insufficient_system_resource)."
    assert not error.again
    assert failure(choice("network_error"), done=True).again


def test_an_unknown_reason_is_whole_if_there_is_an_answer() -> None:
    assert end(read(choice(content="Left."), choice("mystery"))).reason == "stop"
    assert "mystery" in failure(choice("mystery"), done=True).message


def test_an_empty_answer_is_an_answer() -> None:
    assert read(choice("stop", role="assistant", content="")) == [Finished("stop", GUESS)]


# --- what is read ------------------------------------------------------------------------------------


def test_the_first_choice_alone_is_read() -> None:
    frame = {"choices": [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}]}
    other = {"choices": [{"index": "1", "delta": {"content": "b"}}, None, 7]}
    assert text(read(frame, other)) == "Bb"


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"message": {"role": "assistant", "content": "Left."}, "finish_reason": "stop"}]},
        {"choices": [{"text": "Left.", "finish_reason": "stop"}]},
        {"choices": {"delta": {"content": "Left."}, "finish_reason": "stop"}},
        {"choices": [{"index": None, "delta": {"content": [{"type": "text", "text": "Left."}, 3]}}]},
        {"choices": [{"index": 0.0, "delta": {"content": ["Le", {"text": "ft."}]}}], "usage": None},
        {"id": 7, "created": "now", "choices": [{"delta": {"content": "Left.", "role": None}}]},
    ],
)
def test_older_and_odder_shapes_are_content_too(value: Any) -> None:
    assert text(read(value)) == "Left."


def test_white_space_is_a_message_only_with_words() -> None:
    assert text(read(choice(content="\n\n"), choice(content="Left."))) == "\n\nLeft."
    assert text(read(choice(content="\n\n"), choice(**CALL), choice(content=" \n"))) == ""
    assert text(read(choice(content="\n \n"))) == ""


def test_text_after_calls_is_kept() -> None:
    chunks = read(choice(content="So."), choice(**CALL), choice(content=" Then."))
    kinds = [type(chunk) for chunk in chunks[:-1]]
    assert kinds[0] == TextDelta
    assert TextDelta(" Then.") in chunks
    assert any(isinstance(chunk, CallDelta) for chunk in chunks)


def test_the_whole_message_again_in_the_last_frame_is_no_second_one() -> None:
    twice = {"choices": [{"message": {"content": "Go left."}, "finish_reason": "stop"}]}
    assert text(read(choice(content="Go "), choice(content="left."), twice)) == "Go left."
    again = choice("stop", content="Go left.")
    assert text(read(choice(content="Go "), choice(content="left."), again)) == "Go left."
    assert text(read(choice(content="ha"), choice("stop", content="ha"))) == "haha"


def test_a_refusal_is_told_apart() -> None:
    assert RefusalDelta("No.") in read(choice(refusal="No."))


def test_what_came_with_a_turn_goes_back_with_it() -> None:
    chunks = read(
        choice(reasoning_content="First ", content=None),
        choice(reasoning_content="look.", reasoning_details=[{"index": 0, "type": "text", "text": "a"}]),
        choice(reasoning_details=[{"index": 0, "text": "b", "signature": "s"}, {"index": 1, "data": "c"}]),
        choice("stop", content="Left.", annotations=[], audio=None),
    )
    assert end(chunks).echo == {
        "reasoning_content": "First look.",
        "reasoning_details": [
            {"index": 0, "type": "text", "text": "ab", "signature": "s"},
            {"index": 1, "data": "c"},
        ],
    }
    assert text(chunks) == "Left."


@pytest.mark.parametrize("cut", range(1, 12))
def test_reasoning_in_tags_can_be_kept_out(cut: int) -> None:
    said = "<think>\nHm, <b>.</think>\n\nGo left."
    pieces = [choice(content=said[at : at + cut]) for at in range(0, len(said), cut)]
    hidden = read(*pieces, hides_thoughts=True)
    assert text(hidden) == "Go left."
    assert end(hidden).thoughts == "Hm, <b>."
    assert text(read(*pieces)) == said


@pytest.mark.parametrize("said", ["<thin ice", "<", "I <think> so</think>", "  plain"])
def test_what_only_looks_like_a_tag_is_text(said: str) -> None:
    assert text(read(*(choice(content=letter) for letter in said), hides_thoughts=True)) == said


def test_reasoning_that_never_ends_is_no_message() -> None:
    chunks = read(choice(content="<think>Hm, "), choice("stop", content="hm"), hides_thoughts=True)
    assert (text(chunks), end(chunks).thoughts) == ("", "Hm, hm")


# --- tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4, 0, 0)),
        ({"prompt_tokens": "3", "completion_tokens": 4.0}, (3, 4, 0, 0)),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4, 0, 0)),
        ({"prompt_tokens": 3, "total_tokens": 7}, (3, 4, 0, 0)),
        ({"prompt_tokens": None, "completion_tokens": 4}, (11, 4, 0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": -1}, (3, 7, 0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": float("inf")}, (3, 10_000_000, 0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": float("nan")}, (3, 7, 0, 0)),
        ({"prompt_tokens": 10**400, "completion_tokens": 4}, (10_000_000, 4, 0, 0)),
        ({"prompt_tokens": "1" * 10_000, "completion_tokens": 4}, (10_000_000, 4, 0, 0)),
        ({"prompt_tokens": True, "completion_tokens": [4]}, (11, 7, 0, 0)),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
            (3, 4, 2, 0),
        ),
        ({"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 9}, (3, 4, 3, 0)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
            (3, 4, 0, 1),
        ),
        ({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": [1]}, (3, 4, 0, 0)),
        ({}, (11, 7, 0, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (11, 7, 0, 0)),
        ("three", (11, 7, 0, 0)),
    ],
)
def test_tokens_never_harm_an_answer(usage: Any, expected: tuple[int, int, int, int]) -> None:
    found = end(read(choice(content="Left."), choice("stop") | {"usage": usage})).usage
    assert (
        found.prompt_tokens, found.completion_tokens, found.cached_tokens, found.reasoning_tokens,
    ) == expected  # fmt: skip


def test_a_count_of_nothing_does_not_replace_a_count() -> None:
    counted = {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    nothing: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    assert end(read(choice("stop", content="Left.") | counted, nothing)).usage.prompt_tokens == 3


def test_tokens_are_found_where_some_put_them() -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": 4}
    in_choice = {"choices": [{"delta": {"content": "Left."}, "usage": counted}]}
    assert end(read(in_choice)).usage.completion_tokens == 4
    assert (
        end(read(choice("stop", content="Left.") | {"x_groq": {"usage": counted}})).usage.prompt_tokens == 3
    )


@pytest.mark.parametrize("beside", [{"id": "req_1"}, {"id": "req_1", "usage": None}, {}, None, [], "req_1"])
def test_where_usage_may_be_there_may_be_something_else(beside: Any) -> None:
    first = choice(content="Left.") | {"x_groq": beside, "usageMetadata": beside}
    assert end(read(first, choice("stop") | {"x_groq": beside})).usage == GUESS


# --- what is no answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (Frame("", {"error": {"message": "It is down.", "code": 503}}), "It is down."),
        (Frame("", {"error": "It is down."}), "It is down."),
        (Frame("", {"error": ["It is", "down."]}), "It is: down."),
        (Frame("error", {"message": "It is down."}), "It is down."),
        (Frame("error", None, "It is down."), "It is down."),
        (Frame("", {"object": "error", "message": "It is down.", "code": 500}), "It is down."),
        (Frame("", {"detail": "It is down."}), "It is down."),
        (Frame("", {"choices": [{"error": {"message": "It is down."}, "delta": {}}]}), "It is down."),
    ],
)  # fmt: skip
def test_an_error_is_told_in_the_providers_words(frame: Frame, words: str) -> None:
    error = failure(frame)
    assert words in error.message
    assert error.again
    later = failure(choice(content="Le"), frame)
    assert words in later.message
    assert later.code == "server_error"


def test_too_many_requests_inside_an_answer_is_a_rate_limit() -> None:
    error = failure({"error": {"message": "Slow down.", "code": 429}})
    assert (error.code, error.again) == ("rate_limit_exceeded", True)
    assert failure({"error": {"message": "No.", "type": "insufficient_quota"}}).code == "rate_limit_exceeded"


def test_pings_and_strangers_between_the_frames_change_nothing() -> None:
    frames = [
        Frame("ping", {"type": "ping"}),
        Frame("ping", None, "hi"),
        Frame("", []),
        Frame("", None, "keep-alive"),
        Frame("", {"type": "ping", "message": "hi"}),
        Frame("", {"id": "x"}),
    ]
    chunks = read(*frames, choice(content="Left."), *frames, choice("stop"), *frames)
    assert text(chunks) == "Left."


def test_a_frame_that_holds_something_and_cannot_be_read_breaks_the_answer() -> None:
    assert "cannot be read" in failure(choice(content="Le"), Frame("", None, '{"choices": [')).message


def test_another_protocol_is_named() -> None:
    error = failure({"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False})
    assert "CLEW_MODEL_URL" in error.message


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_KEYS = (
    "content",
    "refusal",
    "tool_calls",
    "function_call",
    "reasoning_content",
    "reasoning_details",
    "text",
    "x",
)
_choice = st.fixed_dictionaries(
    {},
    optional={
        "index": _anything,
        "delta": st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _anything)) | _anything,
        "message": _anything,
        "finish_reason": _anything | st.sampled_from(["stop", "length", "error"]),
        "usage": _anything,
        "error": _anything,
    },
)
_frame = st.fixed_dictionaries(
    {},
    optional={"choices": st.lists(_choice, max_size=2) | _anything, "usage": _anything, "error": _anything},
)


@given(values=st.lists(_frame | _anything, max_size=5), done=st.booleans(), hides=st.booleans())
def test_whatever_comes_is_an_answer_or_a_failure_in_words(
    values: list[Any], done: bool, hides: bool
) -> None:
    try:
        chunks = read(*values, done=done, hides_thoughts=hides)
    except ModelError:
        return
    assert isinstance(chunks[-1], Finished)
    assert not any(isinstance(chunk, Finished) for chunk in chunks[:-1])
