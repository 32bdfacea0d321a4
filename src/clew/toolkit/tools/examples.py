"""Two tools to begin with: a calculator that can only calculate, and a clock."""

import ast
import math
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from clew.clock import Clock, SystemClock
from clew.toolkit.errors import ToolInputError

_LONGEST = 200
_BIGGEST_POWER = 1_000
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd)

Number = int | float
_NODES = (ast.Expr, ast.UnaryOp, ast.BinOp)


def _number(node: ast.Constant) -> Number:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise TypeError("it isn't arithmetic")
    return node.value


def _power(base: Number, exponent: Number) -> Number:
    if abs(exponent) > _BIGGEST_POWER or abs(base) > 10**12:
        raise ArithmeticError("the power is too big")
    result = base**exponent
    if not isinstance(result, int | float):
        raise ArithmeticError("the root of a negative number isn't real")
    return result


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression, such as 25 * 47 or (3 + 4) / 2.

    Args:
        expression: numbers, + - * / // % ** and brackets.
    """
    from simpleeval import DEFAULT_OPERATORS, InvalidExpression, SimpleEval

    if len(expression) > _LONGEST:
        raise ToolInputError(f"The expression has more than {_LONGEST} characters.")
    operators = {kind: DEFAULT_OPERATORS[kind] for kind in _ARITHMETIC} | {ast.Pow: _power}
    try:
        evaluator = SimpleEval(operators=operators, functions={}, names={})
        # Left to itself it also evaluates methods, attributes, subscripts and f-strings of literals.
        evaluator.nodes = {kind: evaluator.nodes[kind] for kind in _NODES} | {ast.Constant: _number}
        value = evaluator.eval(expression, ast.parse(expression.strip(), mode="eval").body)
        if isinstance(value, float) and not math.isfinite(value):
            raise ArithmeticError("the number is too big")
        return str(value)
    except (InvalidExpression, SyntaxError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise ToolInputError(f"It can't be calculated: {error}.") from error


def clock_tool(clock: Clock | None = None) -> Callable[[str], str]:
    """Return the tool ``current_time``, which reads ``clock`` or, by default, the machine's."""
    source = clock or SystemClock()

    def current_time(time_zone: str = "UTC") -> str:
        """Return the date and time in a time zone.

        Args:
            time_zone: an IANA name, such as Europe/Lisbon or UTC.
        """
        try:
            zone = UTC if time_zone.upper() == "UTC" else ZoneInfo(time_zone)
        except (OSError, ValueError, KeyError) as error:  # unknown, or no name at all such as "../x"
            raise ToolInputError(f"There is no time zone {time_zone!r}.") from error
        return datetime.fromtimestamp(source.now() / 1000, zone).strftime("%A, %d %B %Y, %H:%M:%S %Z")

    return current_time
