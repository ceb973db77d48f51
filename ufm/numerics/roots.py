"""One root of a function between two ends of different sign."""

from __future__ import annotations

from collections.abc import Callable

from scipy import optimize


def bracketed(function: Callable[[float], float], low: float, high: float, xtol: float, rtol: float) -> float:
    """x in [low, high] with function(x) = 0, to |dx| <= xtol + rtol |x|, by Brent's method.

    >>> bracketed(lambda x: x * x - 2, 0.0, 2.0, 1e-15, 8.9e-16)
    1.414213562373095...

    Raises ValueError where the ends have one sign.
    """
    return float(optimize.brentq(function, low, high, xtol=xtol, rtol=rtol))  # pyright: ignore[reportArgumentType]
