"""Exports come back as they went, whatever was said."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.toolkit.conversation.transcript import (
    Transcript,
    from_json,
    from_jsonl,
    parse,
    to_json,
    to_jsonl,
    to_markdown,
)
from clew.toolkit.errors import ExportInvalid
from clew.toolkit.records import Content, Message, Run, Step, Text, Thread, Usage

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_MESSAGES = st.builds(
    Message,
    id=st.from_regex(r"msg_[a-z0-9]{8}", fullmatch=True),
    role=st.sampled_from(["user", "assistant"]),
    content=st.lists(st.builds(lambda value: Content(type="text", text=Text(value=value)), _TEXT)).map(tuple),
    created_at=st.integers(0, 4_000_000_000),
    metadata=st.dictionaries(st.text(max_size=10), _TEXT, max_size=3),
)
_TRANSCRIPTS = st.builds(
    Transcript,
    thread=st.builds(Thread, id=st.just("thread_x"), metadata=st.dictionaries(_TEXT, _TEXT, max_size=3)),
    messages=st.lists(_MESSAGES, max_size=5).map(tuple),
    runs=st.lists(st.builds(Run, id=st.just("run_x"), usage=st.just(Usage(total_tokens=3)))).map(tuple),
    steps=st.lists(st.builds(Step, id=st.just("step_x"))).map(tuple),
)


@given(_TRANSCRIPTS)
def test_json_lines_come_back_as_they_went(transcript: Transcript) -> None:
    text = "".join(to_jsonl(transcript))
    assert parse(text) == transcript
    assert len(text.split("\n")) == 2 + sum(
        map(len, (transcript.messages, transcript.runs, transcript.steps))
    )


@given(_TRANSCRIPTS)
def test_the_lessons_json_keeps_what_it_has_room_for(transcript: Transcript) -> None:
    read = parse(to_json(transcript))
    assert read.thread.id == transcript.thread.id
    for got, went in zip(read.messages, transcript.messages, strict=True):
        assert (got.id, got.role, got.text) == (went.id, went.role, went.text)
        assert got.created_at == went.created_at


@given(_TRANSCRIPTS.filter(lambda transcript: transcript.messages), st.data())
def test_any_changed_character_is_noticed(transcript: Transcript, data: st.DataObject) -> None:
    header, *lines = to_jsonl(transcript)
    number = data.draw(st.integers(0, len(lines) - 1))
    record = json.loads(lines[number])
    record["data"]["id"] += "x"
    lines[number] = json.dumps(record)
    with pytest.raises(ExportInvalid, match=f"Line {number + 2} was changed"):
        from_jsonl([header, *lines])


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ExportInvalid):
        parse(text)


@given(_TRANSCRIPTS)
def test_markdown_has_exactly_one_heading(transcript: Transcript) -> None:
    lines = to_markdown(transcript).split("\n")
    assert [line for line in lines if line.startswith("#")] == [lines[0]]


def test_unknown_kinds_of_a_newer_toolkit_are_passed_over() -> None:
    lines = list(to_jsonl(Transcript(thread=Thread(id="thread_x"))))
    data = {"id": "file_x"}
    checksum = hashlib.sha256(b'{"id":"file_x"}').hexdigest()
    lines.append(json.dumps({"kind": "file", "sha256": checksum, "data": data}))
    assert from_jsonl(lines).messages == ()


def test_times_of_other_programs_are_read() -> None:
    text = '{"thread_id":"t","messages":[{"role":"user","content":"x","created_at":"2026-01-01T00:00:00Z"}]}'
    assert from_json(text).messages[0].created_at == 1_767_225_600
