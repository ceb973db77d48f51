"""Numbers written as arithmetic: `2**-10`, `1e-3`, `5**(1/3)`, read without `eval`."""

from __future__ import annotations

import ast
import math
import operator

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def number(text: str) -> float:
    """The value of an arithmetic expression in + - * / ** and parentheses.

    >>> number("2**-10"), number("5**(1/3)") == 5 ** (1 / 3)
    (0.0009765625, True)

    Raises ValueError naming the text when it is not such an expression or not a finite real number.
    """
    value = evaluate(text, float)
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite real number.")
    return value


def evaluate(text: str, constant):
    """The expression with every literal read by `constant(token)`, a number type with + - * / **.

    >>> from fractions import Fraction
    >>> evaluate("(1 + 0.1) / 2**3", Fraction)
    Fraction(11, 80)

    Raises ValueError naming the text.
    """
    try:
        stripped = text.strip()
        return _evaluate(ast.parse(stripped, mode="eval").body, stripped, constant)
    except (SyntaxError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError, ValueError):
        raise ValueError(f"{text!r} is not a number; write for example 2**-10, 1e-3 or 5**(1/3).") from None


def _evaluate(node, text: str, constant):
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return constant(ast.get_source_segment(text, node).replace("_", ""))
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_evaluate(node.left, text, constant), _evaluate(node.right, text, constant))
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_evaluate(node.operand, text, constant))
    raise TypeError
