"""Vectors are of length 1 and survive being kept as float16s."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clew.search.encoding import packed, zero
from clew.search.texts import shown
from tests.search.vectors import floats

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=FINITE))
def test_the_length_is_one_and_the_direction_stays(values: "np.ndarray[Any, Any]") -> None:
    kept = packed(values)
    assert len(kept) == 2 * len(values)
    if not values.any():
        assert kept == zero(len(values))
        return
    scaled = values / np.abs(values).max()
    assert np.linalg.norm(floats(kept)) == pytest.approx(1, abs=0.01)
    assert floats(kept) @ scaled / np.linalg.norm(scaled) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        packed([1.0, value])


@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_what_is_shown_can_be_sent(text: str, most: int) -> None:
    seen = shown(text, most)
    assert len(seen) <= most
    assert "\0" not in seen
    assert seen.encode("utf-8").decode("utf-8") == seen
    assert not seen or seen.strip()


def test_a_text_without_oddities_is_shown_as_it_is() -> None:
    assert shown("Straße\n 你好", 100) == "Straße\n 你好"
    assert shown("\ud800 a\0b", 100) == "? a b"
    assert shown(" \n\0\t ", 100) == ""
