"""The door to Arb (python-flint): real numbers as balls [mid +/- rad] that contain the true value.

Numbers enter as *exact texts*: arithmetic expressions like `2**-10`, `0.01`, `5**(1/3)`, evaluated in ball arithmetic,
so that a decimal means the decimal and not the nearest float. Needs the extra [certify].

>>> with precision(128):
...     print(ball("2**(1/2)").str(20), ball("0.1") * 10 == 1, ball("2**-2") == 0.25)
[1.4142135623730950488 +/- 1.69e-21] False True

Source: Johansson's Arb, through python-flint.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ufm.numerics import arithmetic, install

if TYPE_CHECKING:
    from flint import arb as Ball


def flint():
    """The library, or an ImportError that names the extra."""
    try:
        import flint as library
    except ImportError:
        raise install.missing("a proof in balls (Arb)", "python-flint", "certify") from None
    return library


def available() -> bool:
    """Whether the extra [certify] is installed."""
    return importlib.util.find_spec("flint") is not None


@contextlib.contextmanager
def precision(bits: int = 128):
    """Balls computed inside have mid-points of so many bits."""
    ctx = flint().ctx
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def bits() -> int:
    """The precision now set."""
    return flint().ctx.prec


def text(value) -> str:
    """The exact text of a number. Texts stay as they are (checked); a float is read as its shortest decimal, which is
    what was typed, unless it is a short multiple of a power of two, which is then exact: `1e-3`, `3*2**-40`.

    >>> text(0.1), text(2**-30), text("1/3"), text(7), text(3 * 2**-40)
    ('0.1', '2**-30', '1/3', '7', '3*2**-40')
    """
    if isinstance(value, str):
        arithmetic.number(value)
        return value.strip()
    if isinstance(value, Fraction) or float(value).is_integer():
        exact = Fraction(value)
        return str(exact.numerator) if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}"
    value = float(value)
    if Fraction(repr(value)) == Fraction(value):
        return repr(value)
    mantissa, exponent = math.frexp(value)
    while not mantissa.is_integer():
        mantissa, exponent = 2 * mantissa, exponent - 1
    if abs(mantissa) < 2**20:
        return f"2**{exponent}" if mantissa == 1 else f"{int(mantissa)}*2**{exponent}"
    return repr(value)


def ball(value) -> Any:
    """An arb containing the number an exact text, Fraction, integer, float (exactly) or arb stands for."""
    arb = flint().arb
    if isinstance(value, str):
        return arithmetic.evaluate(value, _constant)
    if isinstance(value, Fraction):
        return arb(value.numerator) / value.denominator
    return value if isinstance(value, arb) else arb(value)


def _constant(token: str):
    arb = flint().arb
    exact = Fraction(token)
    return arb(exact.numerator) if exact.denominator == 1 else arb(exact.numerator) / exact.denominator


def total(values: Iterable) -> Ball:
    """The sum as a ball, of none as well."""
    result = ball(0)
    for value in values:
        result += value
    return result


def between(low, high):
    """The ball that contains both numbers (arbs, floats, texts) and all between."""
    return ball(low).union(ball(high))


def below(value, digits: int = 17) -> str:
    """A decimal text at most the ball's lower end, for a human to read."""
    return _directed(value, digits, -1)


def above(value, digits: int = 17) -> str:
    """A decimal text at least the ball's upper end."""
    return _directed(value, digits, 1)


def _directed(value, digits: int, side: int) -> str:
    """Rounded outwards in exact decimal arithmetic."""
    import decimal

    end = value.upper() if side > 0 else value.lower()
    if not end.is_finite():
        raise ValueError(f"a decimal text needs a finite ball; got {value}.")
    mantissa, exponent = (int(part) for part in end.mid().man_exp())
    exact = Fraction(mantissa) * Fraction(2) ** exponent
    rounding = decimal.ROUND_CEILING if side > 0 else decimal.ROUND_FLOOR
    context = decimal.Context(prec=digits, rounding=rounding, Emin=-(10**9), Emax=10**9)
    return str(context.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator)))


def to_float(value) -> float:
    """The ball's middle as a float."""
    return float(value.mid())
