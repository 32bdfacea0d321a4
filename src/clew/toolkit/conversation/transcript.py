"""A conversation as a file. Pure: records in, text out, and back.

Three forms: JSON as in the lesson (``{"thread_id", "messages": [{"id", "role", "content",
"created_at"}]}``), JSON Lines with everything and a checksum for each line, and Markdown for people.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from clew.toolkit.errors import ExportInvalid
from clew.toolkit.records import Content, Json, Message, Run, Step, Text, Thread
from clew.toolkit.tools.text import clean

Format: TypeAlias = Literal["json", "jsonl", "markdown"]

_NAME = "clew-thread"
_VERSION = 1
_encode = msgspec.json.Encoder(order="deterministic").encode


class Transcript(Struct, frozen=True, kw_only=True):
    """A thread with all that is in it, oldest first. Runs and steps are only there in a backup."""

    thread: Thread
    messages: tuple[Message, ...] = ()
    runs: tuple[Run, ...] = ()
    steps: tuple[Step, ...] = ()


# --- the lesson's JSON -----------------------------------------------------------------------------


class _LessonMessage(Struct, frozen=True, kw_only=True):
    id: str = ""
    role: str
    content: str
    created_at: str | None = None


class _Lesson(Struct, frozen=True, kw_only=True):
    thread_id: str
    messages: tuple[_LessonMessage, ...]


def to_json(transcript: Transcript) -> str:
    """Return the lesson's JSON, indented; times are ISO 8601 in UTC."""
    messages = tuple(
        _LessonMessage(
            id=message.id, role=message.role, content=message.text, created_at=_iso(message.created_at)
        )
        for message in transcript.messages
    )
    lesson = _Lesson(thread_id=transcript.thread.id, messages=messages)
    return msgspec.json.format(msgspec.json.encode(lesson), indent=2).decode() + "\n"


def from_json(text: str) -> Transcript:
    """Read the lesson's JSON.

    Raises:
        ExportInvalid: it is something else.
    """
    try:
        lesson = msgspec.json.decode(text, type=_Lesson)
        messages = tuple(_message(each) for each in lesson.messages)
    except (msgspec.MsgspecError, UnicodeError, ValueError, OverflowError) as error:
        raise ExportInvalid(f"This isn't an exported conversation: {error}.") from error
    return Transcript(thread=Thread(id=lesson.thread_id), messages=messages)


def _message(exported: _LessonMessage) -> Message:
    at = exported.created_at
    created = 0 if not at else int(datetime.fromisoformat(at).timestamp())
    content = (Content(type="text", text=Text(value=exported.content)),)
    return Message(id=exported.id, role=exported.role, content=content, created_at=created)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


# --- JSON Lines ------------------------------------------------------------------------------------


class _Header(Struct, frozen=True, kw_only=True):
    format: str
    version: int
    thread: Json
    messages: int
    runs: int
    steps: int


class _Line(Struct, frozen=True, kw_only=True):
    kind: str
    sha256: str
    data: Json


def to_jsonl(transcript: Transcript) -> Iterator[str]:
    """Yield the lines of a full export: a header that says what follows, then one record a line."""
    header = _Header(
        format=_NAME,
        version=_VERSION,
        thread=_builtins(transcript.thread),
        messages=len(transcript.messages),
        runs=len(transcript.runs),
        steps=len(transcript.steps),
    )
    yield _encode(header).decode() + "\n"
    kinds: tuple[tuple[str, Iterable[Struct]], ...] = (
        ("message", transcript.messages),
        ("run", transcript.runs),
        ("step", transcript.steps),
    )
    for kind, records in kinds:
        for record in records:
            data = _builtins(record)
            yield _encode(_Line(kind=kind, sha256=_checksum(data), data=data)).decode() + "\n"


def from_jsonl(lines: Iterable[str]) -> Transcript:
    """Read a full export.

    Raises:
        ExportInvalid: it isn't one, is of a newer version, is cut short, or a line was changed.
    """
    found: dict[str, list[Json]] = {"message": [], "run": [], "step": []}
    rest = iter(lines)
    header = _header(next(rest, ""))
    for number, line in enumerate(rest, start=2):
        if line.strip():
            kind, data = _record(line, number)
            found.setdefault(kind, []).append(data)  # kinds of newer versions are kept apart
    for kind, count in (("message", header.messages), ("run", header.runs), ("step", header.steps)):
        if len(found[kind]) != count:
            raise ExportInvalid(f"The export has {len(found[kind])} of {count} {kind}s: it was cut short.")
    try:
        return Transcript(
            thread=msgspec.convert(header.thread, Thread),
            messages=msgspec.convert(found["message"], tuple[Message, ...]),
            runs=msgspec.convert(found["run"], tuple[Run, ...]),
            steps=msgspec.convert(found["step"], tuple[Step, ...]),
        )
    except msgspec.ValidationError as error:
        raise ExportInvalid(f"A record of the export isn't what it should be: {error}.") from error


def _header(line: str) -> _Header:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ExportInvalid(f"The first line isn't the header of an export: {error}.") from error
    if header.format != _NAME:
        raise ExportInvalid(f"This is a file of the format {header.format!r}, not {_NAME!r}.")
    if header.version > _VERSION:
        raise ExportInvalid(f"This export has version {header.version}; this toolkit reads {_VERSION}.")
    return header


def _record(line: str, number: int) -> tuple[str, Json]:
    try:
        record = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ExportInvalid(f"Line {number} isn't a record: {error}.") from error
    if _checksum(record.data) != record.sha256:
        raise ExportInvalid(f"Line {number} was changed: its checksum doesn't fit.")
    return record.kind, record.data


def _builtins(record: Struct) -> Json:
    data: Json = msgspec.to_builtins(record)
    return data


def _checksum(data: Json) -> str:
    return hashlib.sha256(_encode(data)).hexdigest()


# --- Markdown --------------------------------------------------------------------------------------


def to_markdown(transcript: Transcript) -> str:
    """Return the conversation as Markdown. What was said is quoted, so that it can't become headings."""
    parts = [f"# Conversation {transcript.thread.id}\n"]
    for message in transcript.messages:
        quoted = "\n".join(f"> {line}".rstrip() for line in clean(message.text).split("\n"))
        parts.append(f"**{message.role}**, {_iso(message.created_at)}\n\n{quoted}\n")
    return "\n".join(parts)


# --- any of them -----------------------------------------------------------------------------------


def render(transcript: Transcript, form: Format) -> str:
    """Return a transcript in one of the three forms."""
    if form == "json":
        return to_json(transcript)
    return "".join(to_jsonl(transcript)) if form == "jsonl" else to_markdown(transcript)


def parse(text: str) -> Transcript:
    """Read what :func:`render` wrote as JSON or JSON Lines, whichever it is.

    Raises:
        ExportInvalid: it is neither, or damaged.
    """
    first = text.partition("\n")[0]
    try:
        header: Any = msgspec.json.decode(first)
    except (msgspec.MsgspecError, UnicodeError):
        header = None
    if isinstance(header, dict) and "format" in header:
        return from_jsonl(text.split("\n"))  # not splitlines: texts may hold U+2028 and its like
    return from_json(text)
