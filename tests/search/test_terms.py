"""No query is an expression of a database, and every script has its words."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clew.search.terms import MOST_CHARACTERS, MOST_TERMS, STOP_WORDS, fts5_query, terms_of, tsquery
from tests.support.postgres import PostgresServer

TEXTS = {
    1: "The quick brown foxes jumped",
    2: "Straße und Übermaß",
    3: "東京の天気は晴れです",
    4: "हिन्दी में खोज",
    5: "don't panic: snake_case, C3PO",
}


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as database:
        for table, tokenizer in (("words", "porter unicode61"), ("grams", "trigram")):
            database.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(text, tokenize = '{tokenizer}')")
            database.executemany(f"INSERT INTO {table}(rowid, text) VALUES (?, ?)", TEXTS.items())
        yield database


def _found(database: sqlite3.Connection, query: str, table: str = "words") -> list[int]:
    expression = fts5_query(terms_of(query), "text")
    rows = database.execute(f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (expression,))
    return sorted(row for (row,) in rows)


@pytest.mark.parametrize(
    ("query", "table", "rows"),
    [
        ("a FOX, please", "words", [1]),
        ("STRASSE straße", "words", [2]),
        ("ubermaß", "words", [2]),
        ("हिन्दी", "words", [4]),
        ("don't", "words", [5]),
        ("snake case", "words", [5]),
        ("c3po", "words", [5]),
        ("東京の天気は晴れです", "words", [3]),
        ("明日の天気は?", "words", []),
        ("明日の天気は?", "grams", [3]),
        ("東京の", "grams", [3]),
        ("東京", "grams", []),
        ("nothing here", "words", []),
    ],
)
def test_words_are_found_in_any_script(
    words: sqlite3.Connection, query: str, table: str, rows: list[int]
) -> None:
    assert _found(words, query, table) == rows


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("What is the Capital of France?", ["capital", "france"]),
        ("to be or not to be", ["to", "be", "or", "not"]),
        ("red Red RED blue", ["red", "blue"]),
        ("x" * (MOST_CHARACTERS + 1) + " y", ["y"]),
        ("天気予報 x", ["天気予報", "天気予", "気予報", "x"]),
        ("v2天気", ["v2天気", "天気"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 검색", ["한국어", "검색"]),
        ("", []),
        ('"*^:(){}', []),
        ("\ud800 \0", []),
    ],
)
def test_the_terms_of_a_query(query: str, terms: list[str]) -> None:
    assert terms_of(query) == terms


@given(st.text())
@example('"')
@example("NEAR(a b, 3)")
@example("a AND OR NOT b")
@example("text : a* ^b -c")
@example("'; DROP TABLE words --")
@example("\0 \ud800 a\0b")
@example(" ".join(f"word{n}" for n in range(10_000)))
def test_no_query_raises(words: sqlite3.Connection, query: str) -> None:
    terms = terms_of(query)
    assert len(terms) == len(set(terms)) <= MOST_TERMS
    assert all(0 < len(term) <= MOST_CHARACTERS for term in terms)
    # As terms of anybody else, too: what was typed is itself one.
    for some in (terms, [query], query.split(" ")):
        for column in (None, "text"):
            expression = fts5_query(some, column)
            for table in ("words", "grams"):
                if expression is not None:
                    words.execute(
                        f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (expression,)
                    ).fetchall()


@given(st.lists(st.sampled_from(sorted(STOP_WORDS)), max_size=5), st.text("qxz", min_size=1))
def test_stop_words_count_only_where_there_is_nothing_else(stopped: list[str], word: str) -> None:
    assert terms_of(" ".join([*stopped, word])) == [word]
    assert terms_of(" ".join(stopped)) == list(dict.fromkeys(stopped))


def test_postgresql_takes_any_terms_too(postgres: PostgresServer) -> None:
    def found(*terms: str) -> bool:
        matches = "SELECT to_tsvector('english', $1) @@ to_tsquery('english', $2)"
        ((found,),) = postgres.query(
            matches, "The quick foxes don't panic in Straße 東京", tsquery(terms) or ""
        )
        return bool(found)

    assert found("nothing", "fox")
    assert found(*terms_of("a STRASSE straße"))
    assert found("東京")
    assert not found("tokyo")
    for odd in ["'", "\\", "a'b", "a\\'b", "! | &", "a:*", "(", "<->", "\0a", "\ud800a", "the", "x" * 3000]:
        found(*terms_of(odd))
        if len(odd) < 2000:
            found(odd, "fox")
            assert found("fox")


def test_expressions_are_quoted() -> None:
    assert fts5_query(["a", 'b"c'], "col") == '"col" : ("a" OR "b""c")'
    assert fts5_query(["a"]) == '"a"'
    assert fts5_query(["!", ""]) is None
    assert tsquery(["a", "b'c\\d"]) == "'a' | 'b''c\\\\d'"
    assert tsquery([]) is None
    assert str(fts5_query(map(str, range(10_000)))).count(" OR ") == MOST_TERMS - 1


@pytest.mark.parametrize("pattern", ["a ", "天", "é", "the ", "x y "])
def test_the_time_is_linear(pattern: str) -> None:
    def taken(size: int) -> float:
        query = (pattern * size)[:size]
        begun = time.process_time()
        terms_of(query)
        return time.process_time() - begun

    taken(1000)
    # The square of the length would take 400 times as long.
    assert taken(400_000) < 200 * max(taken(20_000), 0.001)
