"""The calculator: arithmetic that a small model gets wrong. Clew's own, from the lesson.

A library walks the expression's tree and knows nothing but numbers and the operators given to it. What
could grow without bound is bounded here: the length of the expression, and the size of every number on the
way, so that whatever a model writes is answered within milliseconds.
"""

import ast
import math
import warnings
from collections.abc import Callable, Sequence

from msgspec import Struct

from clew.core.records import Call, Outcome
from clew.core.tools import CalculatorTool, FunctionDefinition
from clew.tools.tool import CallContext, WrongArguments, arguments_of

_LONGEST = 200
"""Characters of an expression."""

_MOST_BITS = 2_048
"""Bits of any whole number on the way."""

_KNOWN = "+ - * / // % **"
"""The operators."""

_FUNCTION = FunctionDefinition(
    name="clew_calculator",
    description="Calculates the value of an arithmetic expression exactly, such as (25 + 17) * 4 / 2.",
    parameters={
        "type": "object",
        "properties": {"expression": {"type": "string", "description": f"numbers, {_KNOWN} and brackets"}},
        "required": ["expression"],
    },
)

_Number = int | float


class _Arguments(Struct):
    expression: str


class Calculator:
    """The kind ``clew_calculator``."""

    kind = "clew_calculator"
    repeatable = True
    deadline = 1_000

    def functions(self, tool: CalculatorTool) -> Sequence[FunctionDefinition]:
        return (_FUNCTION,)

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        return Outcome(output=calculate(arguments_of(call, _Arguments).expression))


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression.

    Raises:
        WrongArguments: it is too long, is no arithmetic, has no value, or one that is too large.
    """
    from simpleeval import InvalidExpression, OperatorNotDefined, SimpleEval

    if len(expression) > _LONGEST:
        raise WrongArguments(f"The expression has more than {_LONGEST} characters.")
    try:
        evaluator = SimpleEval(operators=_OPERATORS, functions={}, names={})
        # Left to itself it also evaluates methods, attributes, subscripts and f-strings of literals.
        evaluator.nodes = {kind: evaluator.nodes[kind] for kind in _ARITHMETIC} | {ast.Constant: _number}
        value = evaluator.eval(expression, _parsed(expression))
    except OperatorNotDefined:
        raise WrongArguments(f"It can't be calculated: it has another operator than {_KNOWN}.") from None
    except (*_UNUSABLE, InvalidExpression) as wrong:
        raise WrongArguments(f"It can't be calculated: {wrong}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongArguments("It can't be calculated: the number is too large.")
    return str(value)


def _parsed(expression: str) -> ast.expr:
    with warnings.catch_warnings():  # of what is written in an odd way, such as 1if 1else 2
        warnings.simplefilter("ignore")
        return ast.parse(expression.strip(), mode="eval").body


_ARITHMETIC = (ast.Expr, ast.UnaryOp, ast.BinOp)
"""What an expression may be made of, besides numbers."""

_UNUSABLE = (SyntaxError, ArithmeticError, TypeError, ValueError, RecursionError, MemoryError)


def _number(node: ast.Constant) -> _Number:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise TypeError("it isn't arithmetic")
    return node.value


def _bounded(operator: Callable[[_Number, _Number], _Number]) -> Callable[[_Number, _Number], _Number]:
    def apply(left: _Number, right: _Number) -> _Number:
        result = operator(left, right)
        if isinstance(result, int) and result.bit_length() > _MOST_BITS:
            raise ArithmeticError("the number is too large")
        return result

    return apply


def _power(base: _Number, exponent: _Number) -> _Number:
    bits = math.log2(abs(base)) * abs(exponent) if base else 0
    if bits > _MOST_BITS:
        raise ArithmeticError("the power is too large")
    result: _Number | complex = base**exponent
    if isinstance(result, complex):
        raise ArithmeticError("the root of a negative number isn't real")
    return result


_OPERATORS: dict[type[ast.AST], Callable[..., _Number]] = {
    ast.Add: _bounded(lambda left, right: left + right),
    ast.Sub: _bounded(lambda left, right: left - right),
    ast.Mult: _bounded(lambda left, right: left * right),
    ast.Div: _bounded(lambda left, right: left / right),
    ast.FloorDiv: _bounded(lambda left, right: left // right),
    ast.Mod: _bounded(lambda left, right: left % right),
    ast.Pow: _bounded(_power),
    ast.USub: lambda value: -value,
    ast.UAdd: lambda value: +value,
}
