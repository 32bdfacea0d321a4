"""Words of a query, for the full-text search of both databases. What a user types is never an expression of
theirs."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

MOST_TERMS = 64
"""Terms of a query. Each is a look-up in an index."""

MOST_CHARACTERS = 64
"""Characters of a term; a longer one is no word. PostgreSQL refuses words from 2 kB on."""

_TRIGRAM = 3

_ENGLISH = """
a about above after again against all am an and any are as at be because been before being below between
both but by can could did do does doing down during each few for from further had has have having he her
here hers him his how i if in into is it its itself just me more most my no nor not now of off on once only
or other our ours out over own same she should so some such than that the their theirs them then there these
they this those through to too under until up very was we were what when where which while who whom why will
with would you your yours
"""

STOP_WORDS = frozenset(_ENGLISH.split())
"""Words of English that say nothing of what is sought. Left out, they raise nDCG@10 a little and halve the
time."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Runs of scripts that are written without spaces: Thai, Lao, Burmese, Khmer, Kana, Han."""


def terms_of(query: str) -> list[str]:
    """Return the words of a query, in time linear in its length.

    Words are runs of letters, digits and marks of any script, in lower case. They are not casefolded, since
    the tokenizers of both databases fold "ß" to itself, and would not find "strasse" in "Straße".

    Of scripts without spaces, a run is a term, as it stands alone in an index of words; and so is each three
    characters of it, which an index of trigrams finds anywhere.

    Args:
        query: of at most some 100,000 characters.

    Returns:
        At most 64 terms of at most 64 characters, each once, in the query's order; without English stop
        words, unless there are no others.
    """
    terms: dict[str, None] = {}
    stopped: dict[str, None] = {}
    for word in _words(query):
        for term in _terms(word):
            if term in STOP_WORDS:
                if len(stopped) < MOST_TERMS:
                    stopped[term] = None
            else:
                terms[term] = None
                if len(terms) == MOST_TERMS:
                    return list(terms)
    return list(terms or stopped)


def fts5_query(terms: Iterable[str], column: str | None = None) -> str | None:
    """Return an expression for SQLite's ``MATCH`` that finds any of the first 64 terms, None if there are
    none.

    It is safe whatever the terms are: each is a quoted string, without what SQLite cannot take.

    Args:
        terms: to be found.
        column: in which, by default in all.
    """
    quoted = [_fts5_string(term) for term in _first(terms)]
    if not quoted:
        return None
    expression = " OR ".join(quoted)
    return expression if column is None else f"{_fts5_string(column)} : ({expression})"


def tsquery(terms: Iterable[str]) -> str | None:
    """Return the argument of PostgreSQL's ``to_tsquery`` that finds any of the first 64 terms, None if there
    are none.

    It is safe whatever the terms are. Pass it as a parameter.
    """
    quoted = []
    for term in _first(terms):
        doubled = term.replace("\\", "\\\\").replace("'", "''")
        quoted.append(f"'{doubled}'")
    return " | ".join(quoted) or None


def _first(terms: Iterable[str]) -> Iterator[str]:
    """Yield the first terms that have anything to them, as both databases can take them."""
    left = MOST_TERMS
    for term in terms:
        clean = term.replace("\0", " ").encode("utf-8", "replace").decode()
        if left and any(map(str.isalnum, clean)):
            left -= 1
            yield clean


def _fts5_string(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _words(query: str) -> Iterator[str]:
    lowered = query.lower()
    if not lowered.isascii():
        lowered = "".join(char if _is_of_word(char) else " " for char in lowered)
        return iter(lowered.split())
    return (match.group() for match in re.finditer(r"[a-z0-9]+", lowered))


def _is_of_word(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def _terms(word: str) -> Iterator[str]:
    """Yield the terms of a word: itself, and trigrams of its parts without spaces."""
    if len(word) <= MOST_CHARACTERS:
        yield word
    if word.isascii():
        return
    for run in _UNSPACED.findall(word):
        if len(run) <= MOST_CHARACTERS:
            yield run
        for start in range(len(run) - _TRIGRAM + 1):
            yield run[start : start + _TRIGRAM]
