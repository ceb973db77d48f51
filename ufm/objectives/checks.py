"""Derivative checks by Taylor slope, for our objectives and for the user's own losses and activations.

|F(x + t v) - F(x)|  ~ t      |F(x + t v) - F(x) - t <grad, v>| ~ t^2      ... - t^2/2 <v, Hv>| ~ t^3
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.numerics.seeds import generator, seed_sequence


@dataclass(frozen=True)
class TaylorCheck:
    """Slopes of the remainders in log-log: 2 for a right gradient, 3 for a right Hessian (None if not given)."""

    gradient: float
    hessian: float | None

    @property
    def ok(self) -> bool:
        """Slopes within 0.2 of 2 and 3 or above; an exact remainder of zero counts as infinite slope."""
        return self.gradient > 1.8 and (self.hessian is None or self.hessian > 2.8)


def taylor_check(value, gradient, x, hvp=None, direction=None, rng=None) -> TaylorCheck:
    """Slopes of the Taylor remainders of value at x (any shape) along a direction (default random, unit).

    value(x) -> float, gradient(x) -> x's shape, hvp(x, v) -> x's shape.

    >>> taylor_check(lambda x: np.sum(x**4), lambda x: 4 * x**3, np.ones(3), lambda x, v: 12 * x**2 * v, rng=0).ok
    True
    """
    x = np.asarray(x, dtype=float)
    v = generator(seed_sequence(rng)).standard_normal(x.shape) if direction is None else np.asarray(direction, float)
    v = v / np.linalg.norm(v)
    f0, slope = value(x), float(np.vdot(gradient(x), v))
    steps = np.geomspace(1e-1, 1e-5, 25) * max(1.0, np.max(np.abs(x)))
    first = np.array([value(x + t * v) - f0 - t * slope for t in steps])
    curve = None if hvp is None else 0.5 * float(np.vdot(hvp(x, v), v))
    floor = 1e-14 * max(1.0, abs(f0))
    second = None if curve is None else _slope(steps, first - curve * steps**2, floor)
    return TaylorCheck(_slope(steps, first, floor), second)


def _slope(steps, remainders, floor) -> float:
    """Median log-log slope over the last four steps before the remainder meets rounding."""
    above = np.abs(remainders) > 100 * floor
    count = len(above) if above.all() else int(np.argmin(above))
    if count < 4:
        return np.inf
    return float(np.median((np.diff(np.log(np.abs(remainders[:count]))) / np.diff(np.log(steps[:count])))[-4:]))
