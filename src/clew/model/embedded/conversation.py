"""What a request's messages are to the embedded model: instructions, turns, questions and facts."""

from collections.abc import Sequence

from clew.core.options import Json
from clew.core.tools import CODE_INTERPRETER, FILE_SEARCH
from clew.model.embedded.prompts import (
    answer_messages,
    fact,
    recall_messages,
    said_before,
    text_of,
    user_texts,
)
from clew.model.embedded.recall import Turn, is_question, statements, without_echoes
from clew.model.embedded.searching import telling, without_markers

_SYSTEM_ROLES = ("system", "developer")
_MOST_FACTS = 6000  # characters: some 1,800 tokens, a dozen seconds on two cores
_SHORT_FACT = 200
_FEW_FACTS = 5
_FEW_STATEMENTS = 10
_RECENT = 2  # turns that a question may refer to ("And of Italy?")


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


def chat_turns(messages: Sequence[Json]) -> list[Turn]:
    """The conversation as plain turns. Earlier calls are told in the instructions, not as turns:
    shown as turns, they make a small model write calls as text."""
    return _with_system(_system(messages), _spoken(messages))


def recall_turns(messages: Sequence[Json]) -> list[Turn]:
    """The turns for a model that loses the thread of a long conversation: no answers that only repeat,
    and what the user said before right beside a question that it bears on."""
    spoken, system = _spoken(messages), _system(messages)
    turns, unanswered = without_echoes(spoken)
    if turns and turns[-1][0] == "user" and is_question(turns[-1][1]):
        question = turns[-1][1]
        said = statements(spoken[:-1], question)
        if said:
            return recall_messages(system, turns[:-1][-_RECENT:], said, question)
    if unanswered:
        system = f"{system}\n\n{said_before(unanswered[-_FEW_STATEMENTS:])}".strip()
    return _with_system(system, turns)


def _spoken(messages: Sequence[Json]) -> list[Turn]:
    texts = ((str(message.get("role")), text_of(message.get("content"))) for message in messages)
    return [(role, text) for role, text in texts if role in ("user", "assistant") and text.strip()]


def _with_system(system: str, turns: Sequence[Turn]) -> list[Turn]:
    return [("system", system), *turns] if system else list(turns)


def _system(messages: Sequence[Json]) -> str:
    """The instructions, and what the last few calls returned."""
    facts = _facts(messages, _SHORT_FACT)[-_FEW_FACTS:]
    known = "\n\nKnown from earlier:\n" + "\n".join(facts) if facts else ""
    return (instructions(messages) + known).strip()


def answer_turns(messages: Sequence[Json], context_tokens: int) -> list[tuple[str, str]]:
    """The turns that ask for an answer from the tool outputs at the end."""
    start = max((n for n, m in enumerate(messages) if m.get("role") == "user"), default=0)
    recent = messages[start:]
    outputs = sum(message.get("role") == "tool" for message in recent)
    longest = min(_MOST_FACTS, context_tokens * 2) // max(1, outputs)
    question = last_said(messages[: start + 1]) or "What do the facts say?"
    return answer_messages(instructions(messages), question, _facts(recent, longest, question))


def _facts(messages: Sequence[Json], longest: int, question: str = "") -> list[str]:
    """Each tool output as a line, with the call that it answers; of files, what bears on the question."""
    calls: dict[str, Json] = {}
    facts = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            calls[call.get("id", "")] = call.get("function") or {}
        if message.get("role") == "tool":
            call = calls.get(message.get("tool_call_id", ""), {})
            output = text_of(message.get("content"))
            if call.get("name") == FILE_SEARCH:
                output = telling(output, question) if question else without_markers(output)
            given = call.get("arguments", "")
            if call.get("name") == CODE_INTERPRETER:
                given = ""  # shown a program, a small model goes on with it
            facts.append(fact(call.get("name", "tool"), given, output, longest))
    return facts
