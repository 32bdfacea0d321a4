"""What is not this installation's own, or not as it was sent, is found out."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.bus.seal import TAG, Dropped, Seal
from clew.vault import fingerprint

SECRET, OTHER = b"a" * 32, b"b" * 32
SEAL = Seal(SECRET)

subjects = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(subjects, subjects, st.binary(max_size=200))
def test_what_was_sent_is_what_comes(subject: str, reply: str, payload: bytes) -> None:
    assert SEAL.open(subject, SEAL.close(subject, payload, reply), reply) == payload


@given(subjects, st.binary(max_size=100), st.data())
def test_one_changed_bit_anywhere_is_found_out(subject: str, payload: bytes, data: st.DataObject) -> None:
    sent = bytearray(SEAL.close(subject, payload))
    bit = data.draw(st.integers(0, len(sent) * 8 - 1))
    sent[bit // 8] ^= 1 << bit % 8
    assert SEAL.open(subject, bytes(sent)) is None


@given(subjects, st.binary(max_size=100), st.data())
def test_a_part_of_a_message_is_none(subject: str, payload: bytes, data: st.DataObject) -> None:
    sent = SEAL.close(subject, payload)
    assert SEAL.open(subject, sent[: data.draw(st.integers(0, len(sent) - 1))]) is None


@given(st.tuples(subjects, subjects, st.binary(max_size=20)), st.tuples(subjects, subjects))
def test_a_tag_is_good_for_one_subject_and_one_place_of_answers(
    sent: tuple[str, str, bytes], elsewhere: tuple[str, str]
) -> None:
    subject, reply, payload = sent
    opened = SEAL.open(elsewhere[0], SEAL.close(subject, payload, reply), elsewhere[1])
    assert opened == (payload if elsewhere == (subject, reply) else None)


def test_a_name_that_moves_into_the_payload_is_found_out() -> None:
    tag = SEAL.close("clew", b"", "a")[:TAG]
    assert SEAL.open("clew", tag + b"a\0", "") is None
    assert SEAL.open("clewa", tag, "") is None


def test_another_secret_says_nothing() -> None:
    assert Seal(OTHER).open("clew.events", SEAL.close("clew.events", b"x")) is None


def test_the_fingerprint_is_neither_the_secret_nor_the_key() -> None:
    assert fingerprint(SECRET) == fingerprint(bytes(SECRET)) != fingerprint(OTHER)
    assert bytes.fromhex(fingerprint(SECRET)) not in (SECRET, SEAL._key)


def test_what_is_dropped_is_counted_and_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    dropped = Dropped(lambda: now)
    with caplog.at_level(logging.WARNING):
        for number in range(500):
            dropped.add(f"clew.events.run_{number}")
        assert len(caplog.records) == 1
        assert "1 dropped, the last of them on clew.events.run_0" in caplog.text
        now += 59
        dropped.add("clew.events.x")
        assert len(caplog.records) == 1
        now += 1
        dropped.add("clew.events." + "y" * 10_000)
        assert "501 dropped" in caplog.records[1].getMessage()
        assert len(caplog.records[1].getMessage()) < 500
    assert dropped.count == 502
