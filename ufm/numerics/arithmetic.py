"""Numbers written as arithmetic: `2**-10`, `1e-3`, `5**(1/3)`, read without `eval`."""

from __future__ import annotations

import ast
import math
import operator
import re
from fractions import Fraction

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
LENGTH, EXPONENT, SHOWN = 4000, 10_000, 60
"""Most characters of a number, most digits of an exact one, and so many characters are shown in a refusal."""
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_EXACT = re.compile(r"[+-]?([0-9]+/0*[1-9][0-9]*|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)")
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}


class TooLarge(ValueError):
    """A number that takes too much room to be written out."""


def number(text: str) -> float:
    """The value of an arithmetic expression in + - * / ** and parentheses.

    >>> number("2**-10"), number("5**(1/3)") == 5 ** (1 / 3)
    (0.0009765625, True)

    Raises ValueError naming the text when it is not such an expression or not a finite real number.
    """
    value = evaluate(text, float)
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"{shown(text)} is not a finite real number.")
    if value == 0 and _DECIMAL.fullmatch(text.strip()) and re.search("[1-9]", re.split("[eE]", text)[0]):
        raise ValueError(f"{shown(text)} is too small: the least number of float64 is 5e-324.")
    return value


def evaluate(text: str, constant):
    """The expression with every literal read by `constant(token)`, a number type with + - * / **.

    >>> from fractions import Fraction
    >>> evaluate("(1 + 0.1) / 2**3", Fraction)
    Fraction(11, 80)

    Raises ValueError naming the text; also where a literal, a power or a value on the way is too large to be a number
    here (`1e-99999999`).
    """
    stripped = text.strip()
    try:
        if len(stripped) > LENGTH:
            raise TooLarge(f"{shown(text)} is too long for a number; at most {LENGTH} characters are read.")
        if _DECIMAL.fullmatch(stripped):
            return constant(_sized(stripped))
        tree = ast.parse(stripped, mode="eval").body
        if constant is not float:
            _evaluate(tree, stripped, float)  # what overflows here would never end in exact arithmetic
        return _evaluate(tree, stripped, constant)
    except TooLarge:
        raise
    except (SyntaxError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError, ValueError):
        raise ValueError(f"{shown(text)} is not a number; write for example 2**-10, 1e-3 or 5**(1/3).") from None


def shown(text: str) -> str:
    """The text as a message quotes it: of a long one its beginning and its length."""
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}... ({len(text)} characters)"


def exact(text: str) -> Fraction:
    """The fraction that a decimal text or a quotient of integers stands for, exactly.

    >>> exact("1e-3"), exact("1/3")
    (Fraction(1, 1000), Fraction(1, 3))

    Raises ValueError naming the text where it is neither, or where writing it out would take more than `EXPONENT`
    digits.
    """
    if not isinstance(text, str) or len(text) > LENGTH or not _EXACT.fullmatch(text):
        given = shown(text) if isinstance(text, str) else repr(text)
        raise ValueError(f"{given} is not an exact number; write a decimal or a quotient of integers.")
    return Fraction(_sized(text))


def _sized(token: str) -> str:
    """The literal, or TooLarge where its exponent is."""
    exponent = token.lower().partition("e")[2].lstrip("+-0_")
    if len(exponent) > len(str(EXPONENT)) or int(exponent or 0) > EXPONENT:
        raise TooLarge(f"{shown(token)} has an exponent beyond {EXPONENT}; float64 holds 1e-308 to 1e308.")
    return token


def _evaluate(node, text: str, constant):
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return constant(_sized((ast.get_source_segment(text, node) or "").replace("_", "")))
    if isinstance(node, ast.BinOp):
        left, right = _evaluate(node.left, text, constant), _evaluate(node.right, text, constant)
        if isinstance(node.op, ast.Pow) and isinstance(left, Fraction) and _digits(left) * abs(right) > EXPONENT:
            raise TooLarge(f"{text!r} has an exact power of more than {EXPONENT} digits.")
        value = _BINARY[type(node.op)](left, right)
        if isinstance(value, float) and not math.isfinite(value):
            raise OverflowError
        return value
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_evaluate(node.operand, text, constant))
    raise TypeError


def _digits(value: Fraction) -> float:
    """About how many decimal digits numerator and denominator have."""
    return 0.30103 * max(value.numerator.bit_length(), value.denominator.bit_length())
