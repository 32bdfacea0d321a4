"""The prompts that make a very small model choose tools and answer from what they return.

All pure functions of the request. The models here share the ChatML format.
"""

import json
import re
from collections.abc import Iterable, Sequence

from clew.core.options import Json

_MARK = re.compile(r"<\|(?=\w+\|>)")
_NO_IMAGES = "[an image, which this model cannot see]"
_DEFAULT_SYSTEM = "You are a helpful assistant."

CALL_OPENINGS = ("```", "{", "<tool", "[")
"""How a first token looks with which a call begins."""

_TOOLS_BEFORE = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_TOOLS_AFTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": '
    "<args-json-object>}\n</tool_call>"
)

_CALL_SYSTEM = (
    "You translate the user's message into function calls.\n\nFunctions:\n%s\n\n"
    'Reply with JSON: {"tool_calls": [{"name": "...", "arguments": {...}}]}. '
    "One item for each thing that the user asks for. Copy values from the user's message."
)
_CALLS_BEGIN = '{"tool_calls": ['


def text_of(content: object) -> str:
    """A message's content as plain text; images leave a note, since the model can't see them."""
    if isinstance(content, str):
        return _harmless(content)
    if not isinstance(content, list):
        return ""
    parts = (_part(part) for part in content if isinstance(part, dict))
    return _harmless("\n".join(part for part in parts if part))


def _part(part: Json) -> str:
    if isinstance(part.get("text"), str):
        return str(part["text"])
    return _NO_IMAGES if "image" in str(part.get("type")) else ""


def _harmless(text: str) -> str:
    """Text that can't pose as the format's own marks (``<|im_start|>``)."""
    return _MARK.sub("< |", text)


def chatml(messages: Iterable[tuple[str, str]]) -> str:
    """Roles and texts in the models' own format, with the assistant's turn opened."""
    turns = (f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def user_texts(messages: Sequence[Json]) -> list[str]:
    """What the user said, oldest first; empty messages are left out."""
    texts = (text_of(message.get("content")) for message in messages if message.get("role") == "user")
    return [text for text in texts if text.strip()]


def gate_prompt(tools: Sequence[Json], last: str) -> str:
    """The models' own tool prompt with nothing but the last user message.

    Earlier turns without calls would teach the model not to call.
    """
    listed = "".join("\n" + json.dumps(_declared(tool)) for tool in tools)
    return chatml([("system", _DEFAULT_SYSTEM + _TOOLS_BEFORE + listed + _TOOLS_AFTER), ("user", last)])


def _declared(tool: Json) -> Json:
    function = tool["function"]
    kept = {key: function[key] for key in ("name", "description", "parameters") if function.get(key)}
    return {"type": "function", "function": kept}


def calls_prompt(tools: Sequence[Json], users: Sequence[str], written: Sequence[str]) -> str:
    """The prompt that is continued by the next call, as JSON; ``written`` are those there already."""
    listed = "\n".join(f"- {_signature(tool)}" for tool in tools)
    earlier = [("user", text) for text in users[-3:]]
    prompt = chatml([("system", _CALL_SYSTEM % listed), *earlier])
    return prompt + _CALLS_BEGIN + "".join(f"{call}, " for call in written)


def after_calls_prompt(tools: Sequence[Json], users: Sequence[str], written: Sequence[str]) -> str:
    """The prompt whose next token tells whether the list of calls goes on."""
    return calls_prompt(tools, users, written).removesuffix(", ")


def _signature(tool: Json) -> str:
    function = tool["function"]
    parameters = function.get("parameters") or {}
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    required = parameters.get("required") or [] if isinstance(parameters, dict) else []
    shown = ", ".join(
        f"{name}{'' if name in required else '?'}: {_kind(schema)}"
        for name, schema in (properties or {}).items()
    )
    return f"{function['name']}({shown}): {_harmless(str(function.get('description') or ''))}".rstrip(": ")


def _kind(schema: object) -> str:
    if not isinstance(schema, dict):
        return "any"
    if isinstance(schema.get("enum"), list):
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    kind = " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    described = schema.get("description")
    return f"{kind} ({_harmless(str(described))})" if described else kind


_ANSWER_SYSTEM = (
    "Answer the question in one or two sentences. Use only the facts. Repeat numbers and names exactly."
)
_EXAMPLES = (
    (
        "How warm is it in Oslo, and what is 12 times 12?",
        '- get_weather(city="Oslo"): temperature_c = 4; sky = "light rain"\n'
        '- calculate(expression="12*12"): 144',
        "It is 4 °C with light rain in Oslo, and 12 times 12 is 144.",
    ),
    (
        "When does order A-17 arrive?",
        '- find_order(id="A-17"): status = "shipped"; carrier = "DHL"; arrival = "2024-03-09"',
        "Order A-17 was shipped with DHL and arrives on 2024-03-09.",
    ),
)


def answer_messages(system: str, question: str, facts: Sequence[str]) -> list[tuple[str, str]]:
    """The conversation that asks for an answer from tool outputs, with two worked examples."""
    turns = [("system", f"{system}\n\n{_ANSWER_SYSTEM}" if system else _ANSWER_SYSTEM)]
    for asked, known, answered in _EXAMPLES:
        turns += [("user", _question(asked, known)), ("assistant", answered)]
    return [*turns, ("user", _question(question, "\n".join(facts)))]


def _question(question: str, facts: str) -> str:
    return f"Question: {question}\nFacts:\n{facts}"


_RECALLED = (
    (
        ("My name is Kim.", "I used to drive a van.", "Now I drive a bus."),
        "What do I drive now?",
        "You drive a bus now.",
    ),
    (
        ("My horse is called Star.", "I live in Oslo with my aunt."),
        "What is my goat called?",
        "You haven't told me what your goat is called.",
    ),
    (("My name is Kim.",), "How many legs does a dog have?", "A dog has four legs."),
    (("Je m'appelle Luc.", "Mon fils a 6 ans."), "Quel âge a mon fils ?", "Votre fils a 6 ans."),
)


def recall_messages(
    system: str, recent: Sequence[tuple[str, str]], said: Sequence[str], question: str
) -> list[tuple[str, str]]:
    """The conversation that asks a question together with what the user said before, after four worked
    examples: one fact changed, one was never told, one is no matter of the user's."""
    turns = [("system", system)] if system else []
    for known, asked, answered in _RECALLED:
        turns += [("user", _reminded(known, asked)), ("assistant", answered)]
    return [*turns, *recent, ("user", _reminded(said, question))]


def _reminded(said: Sequence[str], question: str) -> str:
    return f"{said_before(said)}\n\nQuestion: {question}"


def said_before(said: Sequence[str]) -> str:
    """What the user said, as a list."""
    return "\n".join(("The user said:", *(f"- {text}" for text in said)))


def fact(name: str, arguments: str, output: str, longest: int) -> str:
    """One tool output as a line ``- name(arguments): output``, cut to ``longest`` characters."""
    try:
        given = json.loads(arguments or "{}")
    except ValueError:
        given = {}
    shown = (
        ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in given.items())
        if isinstance(given, dict)
        else ""
    )
    try:
        told = flat(json.loads(output))
    except ValueError:
        told = output
    told = _harmless(told.strip()) or "(nothing)"
    return f"- {name}({shown}): {told if len(told) <= longest else told[:longest] + ' ...'}"


def flat(value: object, path: str = "") -> str:
    """A JSON value as ``key = value`` pairs: ``{"a": {"b": 1}}`` becomes ``a.b = 1``."""
    if isinstance(value, dict) and value:
        return "; ".join(flat(part, f"{path}.{key}" if path else str(key)) for key, part in value.items())
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        return "; ".join(flat(part, f"{path}[{n}]") for n, part in enumerate(value, start=1))
    if isinstance(value, list):
        shown = ", ".join(str(part) for part in value) or "(none)"
    else:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{path} = {shown}" if path else shown
