"""The request that an endpoint gets, and what is done differently for those that refuse the usual form. Pure.

What differs is data (:class:`Quirks`): set by the endpoint's owner, or learned from a refusal that names
what it does not take (:func:`lesson`).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from clew.core.options import Json, Sampling
from clew.model.chat import ChatRequest
from clew.model.trouble import Problem

LimitField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]
SystemRole: TypeAlias = Literal["system", "developer", "fold"]
NoContent: TypeAlias = Literal["null", "empty", "omit"]

_LIMITS: tuple[LimitField, LimitField] = ("max_completion_tokens", "max_tokens")
_STANDARD = frozenset(("role", "content", "tool_calls", "tool_call_id", "name", "refusal"))
_STANDARD_OF_CALL = frozenset(("id", "type", "function"))
_BEGIN, _CONTINUE, _NOTHING = "Begin.", "Continue.", "(nothing)"


class Quirks(Struct, frozen=True, kw_only=True):
    """What is done differently for an endpoint.

    ``drop`` are fields that are left out; ``limit_field`` what it calls the answer's token limit;
    ``system`` how instructions are given: as that role, or folded into the first message of the user;
    ``stream`` whether it can stream; ``merge_roles`` whether neighbours of one role become one message, and
    the user has the first word; ``no_content`` how an assistant's message without text is written;
    ``fill_empty`` whether empty content is filled with a word; ``tool_names`` whether a tool's message has
    the function's name.
    """

    drop: frozenset[str] = frozenset()
    limit_field: LimitField = "max_completion_tokens"
    system: SystemRole = "system"
    stream: bool = True
    merge_roles: bool = False
    no_content: NoContent = "null"
    fill_empty: bool = False
    tool_names: bool = False


USUAL = Quirks()


def body_of(request: ChatRequest, quirks: Quirks, more: Json) -> Json:
    """Return a request's body, without what is default: small servers choke on what they don't know.

    ``more`` are fields that the endpoint's owner adds; they win.
    """
    body: Json = {
        "model": request.model,
        "messages": list(request.messages if quirks == USUAL else _messages(request, quirks)),
        "stream": quirks.stream,
    }
    if quirks.stream:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(tool, quirks) for tool in request.tools]
        if request.tool_choice not in (None, "auto"):
            body["tool_choice"] = request.tool_choice
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    for name in Sampling.__struct_fields__:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.max_completion_tokens is not None:
        body[quirks.limit_field] = request.max_completion_tokens
    for name in quirks.drop:
        body.pop(name, None)
    return body | more


def _tool(tool: Json, quirks: Quirks) -> Json:
    function = tool["function"]
    if "parameters" not in function or ("strict" in function and "strict" in quirks.drop):
        function = {"parameters": {"type": "object", "properties": {}}} | function
        if "strict" in quirks.drop:
            function.pop("strict", None)
        return tool | {"function": function}
    return tool


# --- messages ---------------------------------------------------------------------------------------


def _messages(request: ChatRequest, quirks: Quirks) -> Iterator[Json]:
    messages = list(request.messages)
    if quirks.system != "system" and messages and messages[0]["role"] == "system":
        messages = _with_instructions(messages, quirks.system)
    if quirks.tool_names:
        messages = _with_names(messages)
    if quirks.merge_roles:
        messages = _merged(messages)
    for message in messages:
        yield _shaped(message, quirks)


def _with_instructions(messages: list[Json], system: SystemRole) -> list[Json]:
    head, rest = messages[0], messages[1:]
    if system == "developer":
        return [head | {"role": "developer"}, *rest]
    first = next((index for index, each in enumerate(rest) if each["role"] == "user"), None)
    if first is None or first > 0:
        return [{"role": "user", "content": head["content"]}, *rest]
    return [rest[0] | {"content": _both(head["content"], rest[0]["content"])}, *rest[1:]]


def _with_names(messages: list[Json]) -> list[Json]:
    names = {call["id"]: call["function"]["name"] for each in messages for call in each.get("tool_calls", ())}
    return [
        each | {"name": names.get(each["tool_call_id"], "")} if each["role"] == "tool" else each
        for each in messages
    ]


def _merged(messages: list[Json]) -> list[Json]:
    """Return messages in which user and assistant take turns, and the user begins and asks last."""
    merged: list[Json] = []
    for message in messages:
        before = merged[-1] if merged else None
        joins = before is not None and before["role"] == message["role"] != "tool"
        if joins and before is not None and not before.get("tool_calls"):
            merged[-1] = before | message | {"content": _both(before.get("content"), message.get("content"))}
        else:
            if message["role"] == "assistant" and (
                before is None or before["role"] in ("system", "developer")
            ):
                merged.append({"role": "user", "content": _BEGIN})
            merged.append(message)
    if merged and merged[-1]["role"] == "assistant":
        merged.append({"role": "user", "content": _CONTINUE})
    return merged


def _both(one: Any, two: Any) -> Any:
    """Return two contents as one."""
    if not one or not two:
        return one or two
    if isinstance(one, str) and isinstance(two, str):
        return f"{one}\n\n{two}"
    return _parts(one) + _parts(two)


def _parts(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _shaped(message: Json, quirks: Quirks) -> Json:
    shaped = {key: value for key, value in message.items() if key in _STANDARD or key not in quirks.drop}
    if (calls := shaped.get("tool_calls")) and any(quirks.drop & call.keys() for call in calls):
        shaped["tool_calls"] = [_without(call, quirks.drop - _STANDARD_OF_CALL) for call in calls]
    if shaped.get("tool_calls") and not shaped.get("content"):
        if quirks.no_content == "empty":
            shaped["content"] = ""
        elif quirks.no_content == "omit":
            shaped.pop("content", None)
    elif quirks.fill_empty and not str(shaped.get("content") or "").strip():
        shaped["content"] = _NOTHING
    if isinstance(parts := shaped.get("content"), list) and "detail" in quirks.drop:
        shaped["content"] = [_without_detail(part) for part in parts]
    return shaped


def _without(fields: Json, dropped: frozenset[str]) -> Json:
    return {key: value for key, value in fields.items() if key not in dropped}


def _without_detail(part: Json) -> Json:
    image = part.get("image_url")
    if not isinstance(image, dict):
        return part
    return part | {"image_url": {key: value for key, value in image.items() if key != "detail"}}


# --- learning from refusals --------------------------------------------------------------------------


class _Lesson(NamedTuple):
    """What a refusal in such words teaches; None where it was known already.

    ``in_fault`` says whether a fault of the server (500) in such words teaches it too.
    """

    words: re.Pattern[str]
    teaches: Callable[[Quirks, Json], Quirks | None]
    in_fault: bool = True


def lesson(problem: Problem, body: Json, quirks: Quirks) -> Quirks | None:
    """Return how to ask instead, after a refusal; None if it names nothing that we could do without."""
    if problem.status not in (400, 422, 500):
        return None
    if problem.status != 500 and (learned := _field_lesson(problem, body, quirks)) is not None:
        return learned
    words = " ".join((problem.words, *problem.marks, *problem.fields))
    for each in _LESSONS:
        if problem.status == 500 and not each.in_fault:
            continue
        if each.words.search(words) and (learned := each.teaches(quirks, body)) is not None:
            return learned
    return None


def _field_lesson(problem: Problem, body: Json, quirks: Quirks) -> Quirks | None:
    """Do without a field that the refusal names."""
    for name in (*_DISPENSABLE, *_echoed(body), "strict", "detail"):
        if name in quirks.drop or not (name in body or _is_nested(name, body)):
            continue
        if not _names(problem, name):
            continue
        if name in _LIMITS:
            other = _LIMITS[1 - _LIMITS.index(name)]
            tried = quirks.limit_field != USUAL.limit_field
            if not tried:
                return replace(quirks, limit_field=other)
        return replace(quirks, drop=quirks.drop | {name})
    return None


_DISPENSABLE = (
    "stream_options", "parallel_tool_calls", "max_completion_tokens", "max_tokens", "temperature", "top_p",
    "reasoning_effort", "tool_choice",
)  # fmt: skip
"""Fields without which there is an answer too."""


def _echoed(body: Json) -> list[str]:
    """Return the fields of messages and calls that came from the model and went back to it."""
    said = [each for each in body["messages"] if each["role"] == "assistant"]
    found = [key for each in said for key in each if key not in _STANDARD]
    found += [key for each in _calls(said) for key in each if key not in _STANDARD_OF_CALL]
    return list(dict.fromkeys(found))


def _calls(messages: list[Json]) -> Iterator[Json]:
    return (call for each in messages for call in each.get("tool_calls") or ())


def _is_nested(name: str, body: Json) -> bool:
    if name == "strict":
        return any("strict" in tool["function"] for tool in body.get("tools", ()))
    contents = (each.get("content") for each in body["messages"])
    if name == "detail":
        return any(isinstance(parts, list) for parts in contents)
    return any(name in each for each in (*body["messages"], *_calls(body["messages"])))


def _names(problem: Problem, name: str) -> bool:
    """Whether a refusal names a field, in whatever spelling; what it gives apart from words counts most."""
    ends = {field.replace("[", ".").split(".")[-1].strip("'\"]") for field in problem.fields}
    if name in ends or any(name in field.split(".") for field in problem.fields):
        return True
    spelled = name.replace("_", "[_ -]?")
    if name in ("strict", "detail"):
        return re.search(rf"['\"`.]{spelled}['\"`]?", problem.words) is not None
    return re.search(rf"(?<![A-Za-z]){spelled}(?![A-Za-z])", problem.words, re.IGNORECASE) is not None


def _no_stream(quirks: Quirks, _: Json) -> Quirks | None:
    return replace(quirks, stream=False) if quirks.stream else None


def _other_system(quirks: Quirks, body: Json) -> Quirks | None:
    has = any(each["role"] in ("system", "developer") for each in body["messages"])
    return replace(quirks, system="fold") if has and quirks.system != "fold" else None


def _taking_turns(quirks: Quirks, _: Json) -> Quirks | None:
    return None if quirks.merge_roles else replace(quirks, merge_roles=True)


def _with_content(quirks: Quirks, body: Json) -> Quirks | None:
    if not any(each.get("tool_calls") and not each.get("content") for each in body["messages"]):
        return None
    following: dict[NoContent, NoContent] = {"null": "empty", "empty": "omit"}
    after = following.get(quirks.no_content)
    return None if after is None else replace(quirks, no_content=after)


def _without_empty(quirks: Quirks, body: Json) -> Quirks | None:
    empty = any(not each.get("tool_calls") and not each.get("content") for each in body["messages"])
    if empty and not quirks.fill_empty:
        return replace(quirks, fill_empty=True)
    if any(each.get("tool_calls") and not each.get("content") for each in body["messages"]):
        return None if quirks.no_content == "omit" else replace(quirks, no_content="omit")
    return None


def _named_tools(quirks: Quirks, body: Json) -> Quirks | None:
    has = any(each["role"] == "tool" for each in body["messages"])
    return replace(quirks, tool_names=True) if has and not quirks.tool_names else None


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_LESSONS = (
    _Lesson(_words(r"empty|blank|white ?space|at least (?:1|one)|min_?length|too.?short"), _without_empty),
    _Lesson(
        _words(
            r"alternat|consecutive|same role|roles? must|(?:first|last|final) (?:\w+ ){0,3}(?:message|role)"
            r"|(?:start|begin|end)s? with (?:an? |the )?.{0,12}(?:user|assistant)|role order|order of roles"
            r"|after (?:an? |the )?.{0,12}(?:user|assistant)|prefill"
        ),
        _taking_turns,
    ),
    _Lesson(
        _words(
            r"(?:system|developer).{0,40}(?:role|message|prompt|instruction)|role.{0,40}(?:system|developer)"
            r"|only\b.{0,12}\buser\b.{0,30}\brole|roles?\b.{0,30}\bonly\b.{0,12}\buser\b"
            r"|role\b.{0,60}\b(?:one of|expected|must be|should be|supported|allowed)\b.{0,12}\buser\b"
        ),
        _other_system,
    ),
    _Lesson(
        _words(r"(?:tool|function)\b.{0,80}\bname|\bname\b.{0,80}(?:tool|function)|tool.{0,40}\.name"),
        _named_tools,
    ),
    _Lesson(
        _words(r"content.{0,120}(?:null|none|string|required|missing|type)|(?:null|none).{0,80}content"),
        _with_content,
    ),
    _Lesson(_words(r"\bstream(?:ing|ed)?\b"), _no_stream, in_fault=False),
)  # fmt: skip
