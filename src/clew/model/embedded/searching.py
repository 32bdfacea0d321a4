"""Files that a small model may search in: it always does, and what it says is cited for it.

Asked whether to search, it guesses; asked to write markers, it forgets or invents them. So the question
itself is searched for, and behind an answer comes the marker of the passage with which it shares most words.
"""

import json
import re
from collections.abc import Iterator, Sequence

from clew.core.citing import MARKER
from clew.core.options import Json
from clew.core.tools import FILE_SEARCH
from clew.model.embedded.prompts import text_of

_WORD = re.compile(r"\w+")
_LONGEST_QUERY = 500
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_STEM, _MOST_SENTENCES = 5, 6
_LEAST = 2
"""Words that an answer shares with a passage it is said to come from; numbers count as two."""


def is_search(tool: Json) -> bool:
    """Whether a tool searches in files, as the server's own does."""
    function = tool.get("function", {})
    parameters = function.get("parameters") or {}
    return function.get("name") == FILE_SEARCH and parameters.get("required") == ["query"]


def arguments(question: str) -> str:
    """Return the arguments of a search for what the user asks."""
    return json.dumps({"query": question[:_LONGEST_QUERY]}, ensure_ascii=False)


def without_markers(text: str) -> str:
    """Return what was found without its markers, which a small model would only repeat."""
    return MARKER.sub("", text)


def telling(found: str, question: str) -> str:
    """Return the sentences of what was found that bear on a question, in their order; all if none does.

    Shown a whole page, a small model says what stands at its top.
    """
    asked = _stems(question)
    sentences = [each for each in _SENTENCE.split(without_markers(found)) if each.strip()]
    shared = [len(asked & _stems(sentence)) for sentence in sentences]
    best = sorted(range(len(sentences)), key=lambda number: -shared[number])[:_MOST_SENTENCES]
    most = max(shared, default=0)
    kept = [sentences[number].strip() for number in sorted(best) if shared[number] * 2 > most]
    return "\n".join(kept) or without_markers(found)


def citation(answer: str, messages: Sequence[Json]) -> str:
    """Return the marker of the passage that an answer comes from; nothing if it comes from none."""
    said = _words(answer)
    best, most = "", _LEAST - 1
    for marker, passage in _passages(messages):
        shared = sum(2 if word.isdigit() else 1 for word in said & _words(passage))
        if shared > most:
            best, most = marker, shared
    return best


def _passages(messages: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """Yield what was found since the user last spoke: markers, and the texts behind them."""
    start = max((n for n, m in enumerate(messages) if m.get("role") == "user"), default=0)
    for message in messages[start:]:
        if message.get("role") == "tool":
            text = text_of(message.get("content"))
            found = list(MARKER.finditer(text))
            for number, each in enumerate(found):
                end = found[number + 1].start() if number + 1 < len(found) else len(text)
                yield each[0], text[each.end() : end]


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text) if len(word) > 3 or word.isdigit()}


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _words(text)}
