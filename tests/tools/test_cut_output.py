"""What code has printed, cut to what is kept and told of it."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.tools.code_interpreter import within


@given(
    st.lists(st.tuples(st.sampled_from('x"\x01\ufffd\N{BALL OF YARN}'), st.integers(1, 9_000)), max_size=5),
    st.integers(100, 20_000),
)
def test_what_is_kept_is_the_beginning_and_the_end(runs: list[tuple[str, int]], most: int) -> None:
    text = "".join(character * times for character, times in runs)
    kept = within(text, most)
    if len(msgspec.json.encode(text)) - 2 <= most:
        assert kept == text
        return
    head, note, tail = kept.split("\n")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert note == f"[cut: {len(text) - len(head) - len(tail)} characters left out]"
    assert most - 12 <= len(msgspec.json.encode(head + tail)) - 2 <= most


@pytest.mark.parametrize("character", ["\x01", '"', "\ufffd"])
def test_to_cut_does_not_hold_up_others_for_long(character: str) -> None:
    def seconds() -> float:
        begun = time.thread_time()
        within(character * 1024 * 1024, 640 * 1024)
        return time.thread_time() - begun

    assert min(seconds() for _ in range(5)) < 0.02
