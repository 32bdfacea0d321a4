"""What a very small model is shown of a long conversation, so that it neither loses what the user said
nor falls into repeating. The measured reasons are in docs/embedded-model.md."""

import re
from collections import Counter
from collections.abc import Sequence
from heapq import nlargest

_WORD = re.compile(r"\w+")
_STEM = 4  # letters that two forms of a word share
_QUESTION = ("?", "\uff1f", "\u061f", "\u037e")  # as Latin, Chinese, Arabic and Greek scripts write it
_LONGEST = 300  # characters of a question or statement; anything longer is no small talk
_MOST = 4
_FEWEST_WORDS = 3

Turn = tuple[str, str]


def is_question(text: str) -> bool:
    """Whether a text is a short question, told by its last character."""
    return len(text) <= _LONGEST and text.rstrip().endswith(_QUESTION)


def statements(turns: Sequence[Turn], question: str) -> list[str]:
    """What the user said, other than questions, that a question is likely to be about; likeliest last,
    since a small model heeds that most.

    Nothing, unless a statement shares a word of four letters with the question, or two shorter ones.
    Then it is the four that share most, later ones before earlier ones; a word counts the more the fewer
    statements it is in. Nothing as well if one of the four is long: the conversation is about a text
    then, not about the user.
    """
    said = list(dict.fromkeys(text for role, text in turns if role == "user" and not is_question(text)))
    asked = _stems(question)
    shared = {text: _stems(text) & asked for text in said}
    if not any(sum(map(_weight, stems)) >= _STEM for stems in shared.values()):
        return []
    spread = Counter(stem for stems in shared.values() for stem in stems)
    scores = [sum(_weight(stem) / spread[stem] for stem in shared[text]) for text in said]
    sharing = (n for n, score in enumerate(scores) if score)
    best = nlargest(_MOST, sharing, key=lambda n: (scores[n], n))[::-1]
    return [] if any(len(said[n]) > _LONGEST for n in best) else [said[n] for n in best]


def _weight(stem: str) -> float:
    return _STEM if len(stem) == _STEM else _STEM / 2


def without_echoes(turns: Sequence[Turn]) -> tuple[list[Turn], list[str]]:
    """The turns without exchanges in which the answer only repeats the user or an earlier answer, and
    what the user said in those, other than questions.

    One such answer in its prompt, and a small model goes on like that.
    """
    shown: list[Turn] = []
    unanswered: list[str] = []
    answers: set[str] = set()
    for role, text in turns:
        said = shown[-1][1] if role == "assistant" and shown and shown[-1][0] == "user" else None
        if said is None or not (text in answers or _echoes(text, said)):
            shown.append((role, text))
        else:
            shown.pop()
            unanswered += [] if is_question(said) else [said]
        if role == "assistant" and len(_words(text)) >= _FEWEST_WORDS:
            answers.add(text)
    return shown, unanswered


def _echoes(answer: str, said: str) -> bool:
    """Whether an answer is what the user said, or at least half of a statement and nothing else."""
    words, theirs = _words(answer), _words(said)
    if is_question(said):
        return words == theirs
    return len(words) >= _FEWEST_WORDS and 2 * len(words) >= len(theirs) and set(words) <= set(theirs)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _words(text)}
