"""What a request's messages are to the embedded model: instructions, turns, questions and facts."""

from collections.abc import Sequence

from clew.core.options import Json
from clew.model.embedded.prompts import answer_messages, fact, text_of, user_texts

_SYSTEM_ROLES = ("system", "developer")
_MOST_FACTS = 6000  # characters: some 1,800 tokens, a dozen seconds on two cores
_SHORT_FACT = 200
_FEW_FACTS = 5


def ends_in_outputs(messages: Sequence[Json]) -> bool:
    """Whether the model is asked to go on from tool outputs."""
    return bool(messages) and messages[-1].get("role") == "tool"


def instructions(messages: Sequence[Json]) -> str:
    """The system's words, joined."""
    texts = (text_of(m.get("content")) for m in messages if m.get("role") in _SYSTEM_ROLES)
    return "\n\n".join(text for text in texts if text.strip())


def last_said(messages: Sequence[Json]) -> str:
    """The user's last words: the user messages behind the last one of anybody else, as one text."""
    said: list[Json] = []
    for message in reversed(messages):
        if message.get("role") == "user":
            said.append(message)
        elif message.get("role") not in _SYSTEM_ROLES:
            break
    return "\n".join(user_texts(said[::-1]))


def chat_turns(messages: Sequence[Json]) -> list[tuple[str, str]]:
    """The conversation as plain turns. Earlier calls are told in the instructions, not as turns:
    shown as turns, they make a small model write calls as text."""
    facts = _facts(messages, _SHORT_FACT)[-_FEW_FACTS:]
    system = instructions(messages)
    if facts:
        system += "\n\nKnown from earlier:\n" + "\n".join(facts)
    turns = [("system", system.strip())] if system.strip() else []
    for message in messages:
        text = text_of(message.get("content"))
        if message.get("role") in ("user", "assistant") and text.strip():
            turns.append((message["role"], text))
    return turns


def answer_turns(messages: Sequence[Json], context_tokens: int) -> list[tuple[str, str]]:
    """The turns that ask for an answer from the tool outputs at the end."""
    start = max((n for n, m in enumerate(messages) if m.get("role") == "user"), default=0)
    recent = messages[start:]
    outputs = sum(message.get("role") == "tool" for message in recent)
    longest = min(_MOST_FACTS, context_tokens * 2) // max(1, outputs)
    question = last_said(messages[: start + 1]) or "What do the facts say?"
    return answer_messages(instructions(messages), question, _facts(recent, longest))


def _facts(messages: Sequence[Json], longest: int) -> list[str]:
    """Each tool output as a line, with the call that it answers."""
    calls: dict[str, Json] = {}
    facts = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            calls[call.get("id", "")] = call.get("function") or {}
        if message.get("role") == "tool":
            call = calls.get(message.get("tool_call_id", ""), {})
            output = text_of(message.get("content"))
            facts.append(fact(call.get("name", "tool"), call.get("arguments", ""), output, longest))
    return facts
