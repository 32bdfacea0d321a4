"""How endpoints spell a streamed answer, besides the usual way: its text, its end, its bytes.

Each function is an oddity: its name is the oddity's, the first line of its docstring what it does.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from clew.core.options import Json
from clew.testing.http1 import Cut
from clew.testing.odd_calls import choices, delta_of, deltas, whole_calls, with_delta
from clew.testing.signals import Gate
from clew.testing.stream import Item, Stream


def _texts(stream: Stream) -> Iterator[Json]:
    return (delta for delta in deltas(stream) if delta.get("content"))


def _frame(stream: Stream, delta: Json) -> Json:
    """Return a frame like the first, with another delta."""
    return with_delta(stream.frames[0], delta)


def _insert(stream: Stream, before: Callable[[Json], bool], *items: Item) -> None:
    """Put items before the first frame that is such; at the end if none is."""
    places = (
        index for index, item in enumerate(stream.items) if isinstance(item, dict) and before(delta_of(item))
    )
    at = next(places, len(stream.items))
    stream.items[at:at] = items


def says(delta: Json) -> bool:
    """Whether a delta is part of the answer."""
    return bool(delta.get("content") or delta.get("tool_calls"))


def _message(stream: Stream) -> Json:
    """Return the whole message."""
    text = "".join(delta["content"] for delta in _texts(stream))
    calls = [{k: v for k, v in call.items() if k != "index"} for call in whole_calls(stream)]
    return {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})


def _completion(stream: Stream) -> Json:
    """Return the answer as one chat completion."""
    last = next(choice for choice in reversed(list(choices(stream))) if choice["finish_reason"])
    choice = {"index": 0, "message": _message(stream), "finish_reason": last["finish_reason"]}
    usage = next((frame["usage"] for frame in stream.frames if frame.get("usage")), None)
    return stream.frames[0] | {"object": "chat.completion", "choices": [choice], "usage": usage}


def only(stream: Stream, data: bytes, **headers: str) -> None:
    """Send nothing but bytes."""
    stream.items, stream.done = ([data] if data else []), b""
    stream.headers |= {name.replace("_", "-"): value for name, value in headers.items()}


# --- text ---------------------------------------------------------------------------------------------


def reasoning(stream: Stream) -> None:
    """The answer begins with ``reasoning_content``, as DeepSeek's does."""
    thoughts = [
        _frame(stream, {"content": None, "reasoning_content": text}) for text in ("Let me ", "think.")
    ]
    _insert(stream, says, *thoughts)


def reasoning_details(stream: Stream) -> None:
    """The answer begins with ``reasoning`` and ``reasoning_details``, as OpenRouter's does."""
    _insert(
        stream,
        says,
        *(
            _frame(stream, {"reasoning": text, "reasoning_details": [{"index": 0, "text": text}]})
            for text in ("Let me ", "think.")
        ),
        _frame(stream, {"reasoning_details": [{"index": 0, "signature": "c2ln"}]}),
    )


def think_tags(stream: Stream) -> None:
    """The text begins with reasoning in ``<think>`` tags."""
    _insert(stream, says, *(_frame(stream, {"content": text}) for text in ("<th", "ink>Hm.</think>", "\n\n")))


def white_space_before_calls(stream: Stream) -> None:
    """There is white space as text before the calls."""
    _insert(stream, lambda delta: bool(delta.get("tool_calls")), _frame(stream, {"content": "\n\n"}))


def content_in_parts(stream: Stream) -> None:
    """The content is a list of parts."""
    for delta in _texts(stream):
        delta["content"] = [{"type": "text", "text": delta["content"]}]


def text_choices(stream: Stream) -> None:
    """The text is ``choices[].text``, as older servers have it."""
    for choice in choices(stream):
        if choice["delta"].get("content") or not choice["delta"].get("tool_calls"):
            choice["text"] = choice.pop("delta").get("content") or ""


def null_fields(stream: Stream) -> None:
    """Every field that says nothing is there, and null."""
    for delta in deltas(stream):
        nothing = dict.fromkeys(
            ("role", "content", "refusal", "tool_calls", "function_call", "audio", "reasoning_content")
        )
        delta |= nothing | delta


def role_everywhere(stream: Stream) -> None:
    """Every delta has the role."""
    for delta in deltas(stream):
        delta["role"] = "assistant"


def no_role(stream: Stream) -> None:
    """No delta has a role."""
    for delta in deltas(stream):
        delta.pop("role", None)


def unknown_fields(stream: Stream) -> None:
    """Frames and choices have fields that nobody knows."""
    for frame in stream.frames:
        frame |= {"x_request": {"id": [1, None]}, "system_fingerprint": 7, "provider": "x"}
    for choice in choices(stream):
        choice |= {"logprobs": [], "native_finish_reason": {}, "content_filter_results": {"hate": {}}}


def frames_without_choices(stream: Stream) -> None:
    """There are frames without choices, as Azure's first one."""
    first = {"id": "", "object": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    stream.items[0:0] = [first, {"choices": None}, {}]


def second_choice(stream: Stream) -> None:
    """There is a second choice, which nobody has asked for."""
    for frame in stream.frames:
        if frame["choices"]:
            frame["choices"].append({"index": 1, "delta": {"content": "No."}, "finish_reason": None})


def choices_as_an_object(stream: Stream) -> None:
    """``choices`` is one choice, not a list of them."""
    for frame in stream.frames:
        frame["choices"] = frame["choices"][0] if frame["choices"] else None


def repeats_message(stream: Stream) -> None:
    """The last frame has the whole message again, in ``message``."""
    message = _message(stream)
    for choice in choices(stream):
        if choice["finish_reason"]:
            choice["message"] = message


def repeats_delta(stream: Stream) -> None:
    """The last frame has the whole message again, in ``delta``."""
    message = _message(stream)
    for choice in choices(stream):
        if choice["finish_reason"]:
            choice["delta"] = message


def half_characters(stream: Stream) -> None:
    """The reasoning has one half of a surrogate pair."""
    _insert(stream, says, _frame(stream, {"reasoning_content": "\ud83d"}))
    stream.encode = lambda frame: json.dumps(frame).encode()


def nan(stream: Stream) -> None:
    """There are NaN and Infinity among fields that nobody needs."""
    for choice in choices(stream):
        choice["logprobs"] = {"token_logprobs": [float("nan"), float("-inf")]}
    stream.encode = lambda frame: json.dumps(frame, ensure_ascii=False).encode()


# --- its end ------------------------------------------------------------------------------------------


def finish(stream: Stream, reason: Any) -> None:
    """Give another finish reason."""
    for choice in choices(stream):
        if choice["finish_reason"]:
            choice["finish_reason"] = reason


def no_done(stream: Stream) -> None:
    """There is no ``[DONE]``."""
    stream.done = b""


def no_finish(stream: Stream) -> None:
    """The finish reason is null throughout."""
    finish(stream, None)


def empty_finish(stream: Stream) -> None:
    """The finish reason is an empty string throughout."""
    for choice in choices(stream):
        choice["finish_reason"] = ""


def finish_in_capitals(stream: Stream) -> None:
    """The finish reason is written in capitals."""
    for choice in choices(stream):
        choice["finish_reason"] = choice["finish_reason"] and choice["finish_reason"].upper()


def finish_end_turn(stream: Stream) -> None:
    """The finish reason is ``end_turn`` or ``tool_use``, as Anthropic's."""
    finish(stream, "tool_use" if whole_calls(stream) else "end_turn")


def finish_unknown(stream: Stream) -> None:
    """The finish reason is a word that nobody knows."""
    finish(stream, "fin_de_siecle")


def finish_stop_with_calls(stream: Stream) -> None:
    """The finish reason is ``stop`` even if there are calls."""
    finish(stream, "stop")


def finish_max_tokens(stream: Stream) -> None:
    """The finish reason is ``MAX_TOKENS``: the answer is cut."""
    finish(stream, "MAX_TOKENS")


def finish_safety(stream: Stream) -> None:
    """The finish reason is ``SAFETY``: the answer is filtered."""
    finish(stream, "SAFETY")


def finish_error(stream: Stream) -> None:
    """The finish reason is ``error``: the answer is broken."""
    finish(stream, "error")


def stays_open(stream: Stream) -> None:
    """The connection stays open after ``[DONE]``."""
    stream.close = (Gate(),)


def stays_open_without_done(stream: Stream) -> None:
    """The connection stays open after the usage, and there is no ``[DONE]``."""
    stream.close, stream.done = (Gate(),), b""


def pings_without_done(stream: Stream) -> None:
    """After the usage there are comments for ever, and no ``[DONE]``."""
    stream.done = b""
    stream.items += [each for _ in range(600) for each in (b": ping\n\n", 0.05)]


def breaks_after_done(stream: Stream) -> None:
    """The connection breaks after ``[DONE]``."""
    stream.close = (Cut(),)


def breaks_after_finish(stream: Stream) -> None:
    """The connection breaks after the finish reason, before ``[DONE]``."""
    stream.close, stream.done = (Cut(),), b""


def more_after_done(stream: Stream) -> None:
    """There are further frames after ``[DONE]``."""
    stream.done += b'data: {"choices":[{"index":0,"delta":{"content":"No."}}]}\n\n'


# --- usage --------------------------------------------------------------------------------------------


def _usage(stream: Stream, changed: Callable[[Json], Any]) -> None:
    for frame in stream.frames:
        if frame.get("usage"):
            frame["usage"] = changed(frame["usage"])


def usage_as_text(stream: Stream) -> None:
    """The tokens are counted in strings."""
    _usage(stream, lambda usage: {name: f"{tokens}.0" for name, tokens in usage.items()})


def usage_absurd(stream: Stream) -> None:
    """The tokens are negative, or more than there are."""
    _usage(stream, lambda _: {"prompt_tokens": 10**30, "completion_tokens": -5, "total_tokens": []})


def usage_zero_last(stream: Stream) -> None:
    """After the usage comes one that is all zero."""
    stream.items.append({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})


def usage_null(stream: Stream) -> None:
    """The usage is null, or its counts are."""
    _usage(stream, lambda usage: dict.fromkeys(usage))
    for frame in stream.frames:
        frame.setdefault("usage", None)


def usage_elsewhere(stream: Stream) -> None:
    """The usage is ``x_groq.usage``."""
    for frame in stream.frames:
        if "usage" in frame:
            frame["x_groq"] = {"usage": frame.pop("usage")}


# --- bytes --------------------------------------------------------------------------------------------


def crlf(stream: Stream) -> None:
    """Lines end with CR and LF."""
    stream.respelled.append(lambda data: data.replace(b"\n", b"\r\n"))


def cr(stream: Stream) -> None:
    """Lines end with CR."""
    stream.respelled.append(lambda data: data.replace(b"\n", b"\r"))


def comments(stream: Stream) -> None:
    """There are comments between the events."""
    stream.respelled.append(lambda data: b": OPENROUTER PROCESSING\n\n" + data)


def pings(stream: Stream) -> None:
    """There are events of the type ``ping`` between the others."""
    stream.respelled.append(lambda data: b'event: ping\ndata: {"type": "ping"}\n\n' + data)


def event_fields(stream: Stream) -> None:
    """Events have a type, an id and a time to retry."""
    stream.respelled.append(lambda data: b"event: message\nid: 7\nretry: 100\n" + data)


def no_blank_lines(stream: Stream) -> None:
    """There are no blank lines between events."""
    stream.respelled.append(lambda data: data.replace(b"\n\n", b"\n"))


def no_blank_after_colon(stream: Stream) -> None:
    """There is no blank after ``data:``."""
    stream.respelled.append(lambda data: data.replace(b"data: ", b"data:"))


def split_data_lines(stream: Stream) -> None:
    """The data of an event comes in several lines."""
    stream.encode = lambda frame: msgspec.json.format(msgspec.json.encode(frame), indent=1)
    stream.write = lambda frame: b"".join(b"data: %b\n" % line for line in frame.split(b"\n")) + b"\n"


def bom(stream: Stream) -> None:
    """The body begins with a byte order mark."""
    stream.items.insert(0, b"\xef\xbb\xbf")


def byte_by_byte(stream: Stream) -> None:
    """Each byte comes on its own, so that characters are cut."""
    stream.pieces = 1


def wrong_content_type(stream: Stream) -> None:
    """The content type is text/html."""
    stream.headers["content-type"] = "text/html"


def no_content_type(stream: Stream) -> None:
    """There is no content type."""
    stream.headers.pop("content-type")


def created_201(stream: Stream) -> None:
    """The status is 201."""
    stream.status = 201


def whole_json(stream: Stream) -> None:
    """A whole chat completion comes in place of a stream."""
    only(stream, msgspec.json.encode(_completion(stream)), content_type="application/json")


def whole_json_in_lines(stream: Stream) -> None:
    """A whole chat completion comes in place of a stream, over several lines, as an event stream."""
    only(stream, msgspec.json.format(msgspec.json.encode(_completion(stream)), indent=2))


def whole_json_as_event(stream: Stream) -> None:
    """A whole chat completion comes as one event of the stream."""
    stream.items = [_completion(stream)]


def json_lines(stream: Stream) -> None:
    """Each frame is a line of JSON, without ``data:``."""
    stream.write = lambda frame: frame + b"\n"
    stream.done = b""


TEXTS: tuple[Callable[[Stream], Any], ...] = (
    reasoning, reasoning_details, think_tags, white_space_before_calls, content_in_parts, text_choices,
    null_fields, role_everywhere, no_role, unknown_fields, frames_without_choices, second_choice,
    choices_as_an_object, repeats_message, repeats_delta, half_characters, nan,
)  # fmt: skip
ENDS: tuple[Callable[[Stream], Any], ...] = (
    no_done, no_finish, empty_finish, finish_in_capitals, finish_end_turn, finish_unknown,
    finish_stop_with_calls, finish_max_tokens, finish_safety, finish_error,
    stays_open, stays_open_without_done, pings_without_done, breaks_after_done, breaks_after_finish,
    more_after_done,
)  # fmt: skip
USAGES: tuple[Callable[[Stream], Any], ...] = (
    usage_as_text, usage_absurd, usage_zero_last, usage_null, usage_elsewhere,
)  # fmt: skip
BYTES: tuple[Callable[[Stream], Any], ...] = (
    crlf, cr, comments, pings, event_fields, no_blank_lines, no_blank_after_colon, split_data_lines, bom,
    byte_by_byte, wrong_content_type, no_content_type, created_201,
    whole_json, whole_json_in_lines, whole_json_as_event, json_lines,
)  # fmt: skip
