"""What endpoints refuse of a request, in words like those of the servers that do.

Each function is an oddity: its name is the oddity's, the first line of its docstring what it does.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from clew.core.options import Json
from clew.testing.replies import Request, text_of

_TOP = frozenset(
    (
        "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls",
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "response_format",
        "reasoning_effort", "n", "seed", "stop", "user",
    )
)  # fmt: skip
_OF_MESSAGE = frozenset(("role", "content", "name", "tool_calls", "tool_call_id", "refusal"))
_OF_CALL = frozenset(("id", "type", "function"))
_BYTES_PER_TOKEN = 3
_NINE = re.compile("[A-Za-z0-9]{9}")


class Refused(NamedTuple):
    """A refusal: its words, the field that it names apart from them, and its usual shape."""

    words: str
    field: str | None = None
    shape: str = "object"
    status: int = 400


def shaped(refused: Refused, shape: str) -> Any:
    """Return the body of a refusal in one of the shapes that servers have for it.

    Raises:
        KeyError: there is no such shape.
    """
    words, field = refused.words, refused.field
    if field is not None and field not in words and shape not in ("object", "detail_list"):
        words = f"{field}: {words}"
    shapes: dict[str, Callable[[], Any]] = {
        "object": lambda: {"error": {"message": words, "type": "invalid_request_error", "param": field}},
        "string": lambda: {"error": words},
        "message": lambda: {"object": "error", "message": words, "type": "BadRequestError", "code": 400},
        "detail": lambda: {"detail": words},
        "detail_list": lambda: {"detail": [{"type": "extra", "loc": _place(field), "msg": words}]},
        "list": lambda: [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}],
        "raw": lambda: {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": msgspec.json.encode({"error": {"message": words}}).decode()},
            }
        },
    }
    return shapes[shape]()


SHAPES = ("object", "string", "message", "detail", "detail_list", "list", "raw")


def _place(field: str | None) -> list[str | int]:
    parts = re.split(r"[.\[\]]+", field.rstrip("]")) if field else []
    return ["body", *(int(part) if part.isdigit() else part for part in parts)]


def _extra(field: str) -> Refused:
    return Refused("Extra inputs are not permitted", field, "detail_list", 422)


def prompt_tokens(request: Request) -> int:
    """Return what these endpoints count a prompt as: a token every three bytes."""
    asked = [*request.messages, *(request.body.get("tools") or ())]
    return sum(len(msgspec.json.encode(each)) for each in asked) // _BYTES_PER_TOKEN


def _answer_tokens(request: Request) -> int:
    given = request.body.get("max_completion_tokens") or request.body.get("max_tokens")
    return int(given or 0)


def _calling(request: Request) -> Iterator[tuple[int, Json]]:
    """Yield the messages that call functions, with their places."""
    return ((at, each) for at, each in enumerate(request.messages) if each.get("tool_calls"))


# --- messages -----------------------------------------------------------------------------------------


def strict_roles(request: Request, _: int) -> Refused | None:
    """User and assistant must take turns, the user first and last."""
    roles = [each["role"] for each in request.messages]
    if roles and roles[0] in ("system", "developer"):
        roles = roles[1:]
    turns = [role for role in roles if role != "tool"]
    follows = {"user": ("assistant",), "assistant": ("user", "tool"), "tool": ("assistant", "tool")}
    legal = all(after in follows.get(before, ()) for before, after in pairwise(roles))
    if legal and turns and turns[0] == "user" and roles[-1] != "assistant":
        return None
    return Refused(
        "After the optional system message, conversation roles must alternate "
        "user/assistant/user/assistant/...",
        shape="message",
    )


def no_empty_content(request: Request, _: int) -> Refused | None:
    """No message may have empty content; null beside calls is none."""
    for at, each in enumerate(request.messages):
        content = each.get("content")
        if (content is not None or not each.get("tool_calls")) and not text_of(each).strip():
            return Refused(f"messages.{at}: text content blocks must be non-empty")
    return None


def no_null_content(request: Request, _: int) -> Refused | None:
    """The content of a message must be a string, if it is there."""
    for at, each in enumerate(request.messages):
        if "content" in each and each["content"] is None:
            field = f"messages[{at}].content"
            return Refused(f"Invalid value for 'content': expected a string, got null. ({field})", field)
    return None


def no_content_beside_calls(request: Request, _: int) -> Refused | None:
    """A message that calls functions must not have an empty or null content."""
    for at, each in _calling(request):
        if "content" in each and not each["content"]:
            return Refused(f"messages.{at}.content: content must not be null or empty", shape="detail")
    return None


def no_system_role(request: Request, _: int) -> Refused | None:
    """There is no system role."""
    if any(each["role"] in ("system", "developer") for each in request.messages):
        return Refused("System role not supported", shape="message")
    return None


def no_developer_instruction(request: Request, _: int) -> Refused | None:
    """There is no system role; the refusal says so in Google's words."""
    if any(each["role"] in ("system", "developer") for each in request.messages):
        return Refused("Developer instruction is not enabled for models/gemma-3-1b-it", shape="list")
    return None


def tool_names_required(request: Request, _: int) -> Refused | None:
    """The outputs of functions must have the functions' names."""
    for at, each in enumerate(request.messages):
        if each["role"] == "tool" and not each.get("name"):
            return Refused("Field required", f"messages.{at}.tool.name", "detail_list", 422)
    return None


def nine_letter_ids(request: Request, _: int) -> Refused | None:
    """The ids of calls must be nine letters and digits, as Mistral's are."""
    for _at, each in _calling(request):
        for call in each["tool_calls"]:
            if not _NINE.fullmatch(call["id"]):
                words = f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."
                return Refused(words, shape="message")
    return None


def own_ids_only(request: Request, _: int) -> Refused | None:
    """No two calls may have the same id, and none an empty one."""
    ids = [call.get("id") for _at, each in _calling(request) for call in each["tool_calls"]]
    if "" in ids or None in ids or len(set(ids)) < len(ids):
        return Refused("Duplicate or empty value for 'tool_call_id'.")
    return None


def wants_reasoning_back(request: Request, _: int) -> Refused | None:
    """Reasoning that came with calls must be passed back, as DeepSeek wants it."""
    if any(not each.get("reasoning_content") for _at, each in _calling(request)):
        words = "The `reasoning_content` in the thinking mode must be passed back to the API."
        return Refused(words)
    return None


def wants_signatures_back(request: Request, _: int) -> Refused | None:
    """Thought signatures of calls must be passed back, as Gemini wants it."""
    calls = (call for _at, each in _calling(request) for call in each["tool_calls"])
    if any("thought_signature" not in str(call.get("extra_content")) for call in calls):
        words = "Function call is missing a thought_signature in functionCall parts."
        return Refused(words, shape="list")
    return None


def unknown_fields_refused(request: Request, _: int) -> Refused | None:
    """No field may be there that OpenAI's API does not have."""
    for name in request.body:
        if name not in _TOP:
            return _extra(name)
    for at, each in enumerate(request.messages):
        for name in each:
            if name not in _OF_MESSAGE:
                return _extra(f"messages.{at}.{each['role']}.{name}")
        for number, call in enumerate(each.get("tool_calls") or ()):
            for name in call:
                if name not in _OF_CALL:
                    return _extra(f"messages.{at}.{each['role']}.tool_calls.{number}.{name}")
    return None


# --- fields -------------------------------------------------------------------------------------------


def no_stream_options(request: Request, _: int) -> Refused | None:
    """There is no ``stream_options``."""
    return _extra("stream_options") if "stream_options" in request.body else None


def no_streaming(request: Request, _: int) -> Refused | None:
    """Answers can't be streamed."""
    return Refused("Streaming is not supported by this model.", shape="string") if request.stream else None


def only_max_tokens(request: Request, _: int) -> Refused | None:
    """The limit is ``max_tokens``; there is no ``max_completion_tokens``."""
    return _extra("max_completion_tokens") if "max_completion_tokens" in request.body else None


def only_max_completion_tokens(request: Request, _: int) -> Refused | None:
    """The limit is ``max_completion_tokens``; there is no ``max_tokens``."""
    if "max_tokens" not in request.body:
        return None
    words = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    return Refused(words, "max_tokens")


def no_parallel_tool_calls(request: Request, _: int) -> Refused | None:
    """There is no ``parallel_tool_calls``."""
    if "parallel_tool_calls" not in request.body:
        return None
    words = "Unsupported parameter: 'parallel_tool_calls' is not supported with this model."
    return Refused(words, "parallel_tool_calls")


def no_temperature(request: Request, _: int) -> Refused | None:
    """The temperature must be left at its default."""
    if request.body.get("temperature") in (None, 1):
        return None
    words = (
        f"Unsupported value: 'temperature' does not support {request.body['temperature']} with this model. "
        "Only the default (1) value is supported."
    )
    return Refused(words, "temperature")


def no_tool_choice(request: Request, _: int) -> Refused | None:
    """There is no ``tool_choice``."""
    if "tool_choice" not in request.body:
        return None
    return Refused("tool_choice is not supported by this model", shape="string")


def parameters_required(request: Request, _: int) -> Refused | None:
    """Each function must have its parameters."""
    for at, tool in enumerate(request.body.get("tools") or ()):
        if not isinstance(tool["function"].get("parameters"), dict):
            return Refused("Field required", f"tools.{at}.function.parameters", "detail_list", 422)
    return None


def no_strict(request: Request, _: int) -> Refused | None:
    """Functions can't be strict."""
    for at, tool in enumerate(request.body.get("tools") or ()):
        if "strict" in tool["function"]:
            field = f"tools[{at}].function.strict"
            return Refused(f"Unknown parameter: '{field}'.", field)
    return None


def no_tools(request: Request, _: int) -> Refused | None:
    """There are no functions."""
    return Refused("gemma:2b does not support tools", shape="string") if request.body.get("tools") else None


# --- length -------------------------------------------------------------------------------------------


def small_context(request: Request, context: int) -> Refused | None:
    """The context is small: ``context`` tokens. The refusal has the numbers."""
    tokens = prompt_tokens(request)
    if tokens <= context:
        return None
    words = f"This model's maximum context length is {context} tokens. However, your messages resulted in"
    return Refused(f"{words} {tokens} tokens. Please reduce the length of the messages.", "messages")


def small_context_untold(request: Request, context: int) -> Refused | None:
    """The context is small: ``context`` tokens. The refusal has no numbers."""
    if prompt_tokens(request) <= context:
        return None
    return Refused("Input is too long for requested model.", shape="message")


def small_context_with_answer(request: Request, context: int) -> Refused | None:
    """The context is small, and the limit of the answer counts too: ``context`` tokens for both."""
    tokens, answer = prompt_tokens(request), _answer_tokens(request)
    if tokens + answer <= context:
        return None
    return Refused(
        f"This model's maximum context length is {context} tokens. However, you requested {tokens + answer} "
        f"tokens ({tokens} in the messages, {answer} in the completion). Please reduce the length of the "
        "messages or completion.",
        shape="message",
    )


Demand = Callable[[Request, int], Refused | None]

DEMANDS: tuple[Demand, ...] = (
    strict_roles, no_empty_content, no_null_content, no_content_beside_calls, no_system_role,
    no_developer_instruction, tool_names_required, nine_letter_ids, own_ids_only, wants_reasoning_back,
    wants_signatures_back, unknown_fields_refused,
    no_stream_options, no_streaming, only_max_tokens, only_max_completion_tokens, no_parallel_tool_calls,
    no_temperature, no_tool_choice, parameters_required, no_strict, no_tools,
    small_context, small_context_untold, small_context_with_answer,
)  # fmt: skip
