"""The calculator: right, and bounded whatever a model writes."""

import time
import warnings
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.tools.calculator import Calculator, calculate
from clew.tools.tool import CallContext, WrongArguments
from tests.support import store
from tests.support.clock import ManualClock

CONTEXT = CallContext(clock=ManualClock(), project="p", thread_id="t", run_id="r", key="k")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(25 + 17) * 4 / 2", "84.0"),
        ("2 ** 10", "1024"),
        ("2 ** 1200 // 2 ** 1199", "2"),
        ("2 ** 1025", str(2**1025)),
        ("-7 // 2", "-4"),
        ("7 % 3", "1"),
        (" 1e3 + 0.5 ", "1000.5"),
        ("2 ** -1", "0.5"),
        ("0 ** 5", "0"),
        ("123456789 * 987654321", "121932631112635269"),
    ],
)
def test_arithmetic(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9**999999999",
        "2**2048*2**2048",
        "1/0",
        "(-8) ** 0.5",
        "1e308 * 10 ** 400",
        "(" * 10_000 + ")" * 10_000,
        "(" * 90 + "2" + ")" * 90 + "**" + "9" * 10,
        "-" * 190 + "1" + "x",
        "1" * 1_000_000,
        "__import__('os').system('true')",
        "().__class__",
        "[1] * 10**8",
        "'a' * 10**8",
        "lambda: 1",
        "x",
        "True",
        "-True",
        "True + 1",
        "1e999",
        "1e308 * 10",
        "1e999 - 1e999",
        "1 if 2 else 3",
        "1 == 1",
        "not 1",
        "(1).real",
        "'a'[5]",
        "'1'.zfill(2_000_000_000).find('x')",
        "(1).to_bytes(2_000_000_000, 'big')",
        "f'{1:>2000000000}'",
        "rand()",
        "1; 2",
        "1\n2",
        "x = 1",
        "",
        "1 +",
        "1 << 100000",
        "\x00",
        "\ud800",
    ],
)
def test_what_can_not_be_calculated_ends_as_an_error_at_once(expression: str) -> None:
    calculate("1 + 1")  # the library is loaded when it is first used
    begun = time.thread_time()
    with pytest.raises(WrongArguments):
        calculate(expression)
    assert time.thread_time() - begun < 0.01


@pytest.mark.parametrize("expression", ["1 << 9", "1 | 2", "1 @ 2", "~1", "not 1"])
def test_another_operator_is_refused_in_words(expression: str) -> None:
    with pytest.raises(WrongArguments, match=r"another operator than \+ - \* / // % \*\*\.$"):
        calculate(expression)


@pytest.mark.parametrize("expression", ["1if 1else 2", "0xfor 1", "1is 1"])
def test_odd_writing_says_nothing_in_the_log(expression: str) -> None:
    with warnings.catch_warnings(record=True) as said, suppress(WrongArguments):
        warnings.simplefilter("always")
        calculate(expression)
    assert said == []


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="0123456789+-*/%(). e", max_size=200))
def test_any_text_is_answered_or_refused(expression: str) -> None:
    calculate("1 + 1")
    begun = time.thread_time()
    with suppress(WrongArguments):
        calculate(expression)
    assert time.thread_time() - begun < 0.1


@given(st.integers(-999, 999), st.sampled_from("+-*"), st.integers(-999, 999))
def test_whole_numbers_are_exact(left: int, operator: str, right: int) -> None:
    exact = {"+": left + right, "-": left - right, "*": left * right}[operator]
    assert Fraction(calculate(f"({left}) {operator} ({right})")) == exact


@pytest.mark.anyio
async def test_a_call_takes_an_expression() -> None:
    call = store.call(name="clew_calculator", arguments='{"expression": "6 * 7"}')
    assert (await Calculator().perform(call, CONTEXT)).output == "42"


@pytest.mark.anyio
@pytest.mark.parametrize("arguments", ["", "{}", '{"expression": 7}', "[", '{"expression": "1"', "\x00"])
async def test_wrong_arguments_say_what_is_wrong(arguments: str) -> None:
    with pytest.raises(WrongArguments, match="clew_calculator"):
        await Calculator().perform(store.call(name="clew_calculator", arguments=arguments), CONTEXT)
