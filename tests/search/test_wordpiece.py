"""WordPiece, against google-research/bert's tokenization.py: what it says, and its tests' samples."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.search import wordpiece as module
from clew.search.wordpiece import WordPiece

# Of tokenization_test.py, with what this file needs besides.
WORDS = ["want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "low", "lowest", "cafe", "$", "^"]
WORDS += ["你", "好", "i", "o", "x", "##x"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
PIECES = WordPiece(VOCABULARY)


def words(text: str, most: int = 256) -> list[str]:
    tokens = [VOCABULARY[number] for number in PIECES.tokens(text, most)]
    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
    return tokens[1:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("UNwant\u00e9d,running", ["un", "##want", "##ed", ",", "runn", "##ing"]),
        ("unwanted running", ["un", "##want", "##ed", "runn", "##ing"]),
        ("unwantedX running", ["un", "##want", "##ed", "##x", "runn", "##ing"]),
        ("unwantedQ running", ["[UNK]", "runn", "##ing"]),
        ("low lowest", ["low", "lowest"]),
        ("Cafe\u0301 CAF\u00c9", ["cafe", "cafe"]),
        ("low$low^low", ["low", "$", "low", "^", "low"]),
        ("low\u4f60\u597dlow", ["low", "你", "好", "low"]),
        ("lo\u200bw\u0007 \u00a0low\ufffd", ["low", "low"]),
        ("\u0130", ["i"]),
        ("x" * 100, ["x"] + ["##x"] * 99),
        ("x" * 101, ["[UNK]"]),
        ("[CLS] low", ["[UNK]", "[UNK]", "[UNK]", "low"]),
    ],
)
def test_words_become_pieces(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(st.characters(), max_size=200), st.integers(2, 20))
def test_never_more_than_there_may_be_and_only_the_end_is_cut(text: str, most: int) -> None:
    cut = words(text, most)
    assert len(cut) <= most - 2
    assert cut == words(text, 1000)[: most - 2]


@given(st.text("lowest x\u0301$你\u2028", max_size=60), st.integers(1, 8))
def test_it_does_not_matter_where_a_text_is_looked_at_in_parts(text: str, size: int) -> None:
    whole = words(text, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", size)
        assert words(text, 1000) == whole


def test_what_is_beyond_is_not_looked_at() -> None:
    pieces = WordPiece(VOCABULARY)
    assert len(pieces.tokens("low " * 1000 + "я", 256)) == 256
    assert ord("я") not in pieces._characters


def test_a_word_with_a_character_that_no_token_has_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    class Ids(dict[str, int]):
        def get(self, piece: str, default: Any = None) -> Any:
            looked_up.append(piece)
            return super().get(piece, default)

    monkeypatch.setattr(PIECES, "_ids", Ids(PIECES._ids))
    assert words("x" * 99 + "я") == ["[UNK]"]
    assert looked_up == []


def test_a_vocabulary_without_special_tokens_is_none() -> None:
    with pytest.raises(ValueError, match="SEP"):
        WordPiece(["[CLS]", "[UNK]", "low"])


def test_characters_are_remembered_up_to_a_bound_and_the_newest_then() -> None:
    pieces = WordPiece(VOCABULARY)
    every = "".join(map(chr, range(0x1400, 0x1400 + 30_000)))
    pieces.tokens(every + "low", 60_000)
    assert sys.getsizeof(pieces._characters) < 2_000_000
    assert ord("w") in pieces._characters
