"""Text from outside is cleaned, masked and cut, whatever it is."""

import json
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clew.toolkit.tools.text import clean, cut, forms, mask

_ANYTHING = st.text(st.characters(exclude_categories=()))


@given(_ANYTHING)
@example("\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2J \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\")
@example("unfinished \x1b]52;c;ZXZpbA==")
@example("a\x1b")
def test_nothing_that_controls_is_left(text: str) -> None:
    cleaned = clean(text)
    left = {character for character in cleaned if unicodedata.category(character) in ("Cc", "Cs")}
    assert left <= {"\n", "\t"}
    assert clean(cleaned) == cleaned
    cleaned.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_sequences_go_as_a_whole() -> None:
    assert clean("a\x1b[1;31mb\x1b[0mc\r\nd\re\x00f\ud800") == "abc\nd\nef\ufffd"
    assert clean("\x1b]0;evil title\x07safe") == "safe"
    assert clean("\x1bP1$r0m\x1b\\safe") == "safe"


@given(_ANYTHING, st.integers(0, 300))
def test_cutting_keeps_both_ends_within_the_limit(text: str, limit: int) -> None:
    kept, missing = cut(text, limit)
    assert len(kept) <= limit or kept == text
    assert (missing == 0) == (len(text) <= limit)


def test_cutting_says_how_much_is_missing() -> None:
    text = "".join(str(number % 10) for number in range(1000))
    kept, missing = cut(text, 200)
    head, note, tail = kept.split("\n")
    assert note == f"[... {missing} characters cut ...]"
    assert len(head) + len(tail) + missing == 1000
    assert text.startswith(head)
    assert text.endswith(tail)
    assert 195 <= len(kept) <= 200


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnopqrstuvwxyz",
        "clew_" + "a" * 43,
        "ghp_" + "a1" * 18,
        "xoxb-123456789012-abcdef",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
        "Bearer abcdefghijklmnop1234",
    ],
)
def test_keys_are_known_by_their_look(secret: str) -> None:
    masked = mask(f"the key is {secret}, keep it")
    assert secret not in masked
    assert masked == "the key is [hidden], keep it"


@given(st.text(min_size=4).filter(lambda text: text.strip() == text and text.isprintable()), st.text())
def test_a_secret_never_shows_in_any_form(secret: str, around: str) -> None:
    known = forms([secret])
    for shown in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        text = f"\x01{shown}\x02"
        assert shown not in mask(text, known).replace("[hidden]", "")


def test_longer_secrets_are_hidden_before_those_they_contain() -> None:
    assert mask("password-plus", forms(["password", "password-plus"])) == "[hidden]"


def test_a_secret_too_short_to_hide_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        forms(["abc"])


@pytest.mark.parametrize("piece", ["\x1b]", "eyJ", "-----BEGIN PRIVATE KEY-----", "\x1b[", "sk-", "Bearer "])
def test_hostile_text_takes_no_longer_than_other_text(piece: str) -> None:
    hostile = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    mask(clean(hostile))
    mask(hostile)
    assert time.process_time() - begun < 2.0  # a quadratic pattern takes minutes
