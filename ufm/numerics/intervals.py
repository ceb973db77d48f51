"""Intervals in float64, whole arrays at a time: every result contains the true value, by IEEE rounding alone.

    [a] o [b]  is contained in  [prev(min), next(max)]   for o in + - * /,

where prev and next are the neighbouring floats: an IEEE operation is off by at most half a unit in the last place.
sqrt is rounded correctly by IEEE too. exp and log do not trust the system's library: they are argument reduction
and a Taylor polynomial, with the rounding errors bounded once and for all (docstrings of `_exp`, `_log`).

>>> import numpy as np
>>> x = Interval(np.array([0.1, 2.0]), np.array([0.2, 2.0]))
>>> (x.log().exp().lo <= x.lo).all() and (x.hi <= x.log().exp().hi).all()
np.True_

Shapes broadcast as in numpy. Source: the standard model of floating point, |fl(a o b) - a o b| <= u |a o b|, u =
2**-53.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_EXP = [1.0 / math.factorial(k) for k in range(1, 17)]
_ATANH = [1.0 / (2 * k + 1) for k in range(14)]
_LN2 = 0.6931471805599453
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # ln 2 to 1e-26; the first has 32 bits
PAD = 8e-15
_FAR = 690.0


@dataclass(frozen=True, eq=False)
class Interval:
    """The set of x with lo <= x <= hi, entrywise; arrays of one shape, or numbers. ValueError where lo > hi or NaN."""

    lo: np.ndarray
    hi: np.ndarray

    def __post_init__(self):
        lo, hi = np.asarray(self.lo, dtype=float), np.asarray(self.hi, dtype=float)
        if not np.all(lo <= hi):
            raise ValueError("an interval needs lo <= hi in every entry, and no NaN.")
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    @staticmethod
    def of(value) -> Interval:
        """An interval as it is, a float as a point, an exact Fraction or integer enclosed."""
        if isinstance(value, Interval):
            return value
        if isinstance(value, (Fraction, int)) and Fraction(near := float(value)) != value:
            return Interval(np.nextafter(near, -np.inf), np.nextafter(near, np.inf))
        value = np.asarray(value, dtype=float)
        return Interval(value, value)

    def __add__(self, other) -> Interval:
        other = Interval.of(other)
        return _outward(self.lo + other.lo, self.hi + other.hi)

    __radd__ = __add__

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other) -> Interval:
        other = Interval.of(other)
        return _outward(self.lo - other.hi, self.hi - other.lo)

    def __rsub__(self, other) -> Interval:
        return Interval.of(other) - self

    def __mul__(self, other) -> Interval:
        other = Interval.of(other)
        with np.errstate(invalid="ignore"):
            corners = [self.lo * other.lo, self.lo * other.hi, self.hi * other.lo, self.hi * other.hi]
        corners = [np.where(np.isnan(c), 0.0, c) for c in corners]  # 0 times infinity: the set product is 0
        return _outward(_least(corners), _most(corners))

    __rmul__ = __mul__

    def __truediv__(self, other) -> Interval:
        other = Interval.of(other)
        if np.any((other.lo <= 0) & (other.hi >= 0)):
            raise ZeroDivisionError("division by an interval that contains 0.")
        with np.errstate(over="ignore"):
            return self * _outward(1.0 / other.hi, 1.0 / other.lo)

    def __rtruediv__(self, other) -> Interval:
        return Interval.of(other) / self

    def square(self) -> Interval:
        """x^2, at least 0."""
        a, b = np.abs(self.lo), np.abs(self.hi)
        inside = (self.lo <= 0) & (self.hi >= 0)
        low = np.where(inside, 0.0, np.minimum(a, b) ** 2)
        out = _outward(low, np.maximum(a, b) ** 2)
        return Interval(np.maximum(out.lo, 0.0), out.hi)

    def sqrt(self) -> Interval:
        """The square root; negative parts count as 0."""
        out = _outward(np.sqrt(np.maximum(self.lo, 0.0)), np.sqrt(np.maximum(self.hi, 0.0)))
        return Interval(np.maximum(out.lo, 0.0), out.hi)

    def exp(self) -> Interval:
        return Interval(_exp(self.lo)[0], _exp(self.hi)[1])

    def log(self) -> Interval:
        """The logarithm of a nonnegative interval; -inf at 0."""
        if np.any(self.lo < 0):
            raise ValueError("log needs an interval that is not negative.")
        return Interval(_log(self.lo)[0], _log(self.hi)[1])

    def log1p(self) -> Interval:
        """log(1 + x) of a nonnegative interval, with its leading digits also where x is tiny."""
        if np.any(self.lo < 0):
            raise ValueError("log1p needs an interval that is not negative.")
        return Interval(_log1p(self.lo)[0], _log1p(self.hi)[1])

    def power(self, q) -> Interval:
        """x^q for x >= 0 and an exponent q (number, Fraction or Interval) that is positive throughout."""
        q = Interval.of(q)
        if np.any(q.lo <= 0):
            raise ValueError("power needs a positive exponent.")
        out = (self.log() * q).exp()
        return Interval(out.lo, np.where(self.hi == 0, 0.0, out.hi))

    def softplus(self) -> Interval:
        """log(1 + e^x)."""
        x = Interval(np.clip(self.lo, -_FAR, _FAR), np.clip(self.hi, -_FAR, _FAR))
        out = (1.0 + x.exp()).log()
        below = np.where(self.lo < -_FAR, 0.0, np.maximum(out.lo, 0.0))
        return Interval(below, np.where(self.hi > _FAR, np.inf, out.hi))

    def sum(self, axis=None) -> Interval:
        """The sum along an axis; n terms are off by at most (n-1) u sum|x|."""
        count = self.lo.size if axis is None else self.lo.shape[axis]
        pad = 2.0**-52 * count * 1.01
        down = np.sum(self.lo, axis) - pad * np.sum(np.abs(self.lo), axis)
        up = np.sum(self.hi, axis) + pad * np.sum(np.abs(self.hi), axis)
        return _outward(down, up)

    def __getitem__(self, key) -> Interval:
        return Interval(self.lo[key], self.hi[key])

    @property
    def width(self) -> np.ndarray:
        return self.hi - self.lo

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * self.lo + 0.5 * self.hi

    def __repr__(self) -> str:
        if self.lo.ndim:
            return f"Interval{self.lo.shape}"
        return f"[{float(self.lo)!r}, {float(self.hi)!r}]"


def _outward(lo, hi) -> Interval:
    return Interval(np.nextafter(lo, -np.inf), np.nextafter(hi, np.inf))


def _least(parts):
    return np.minimum(np.minimum(parts[0], parts[1]), np.minimum(parts[2], parts[3]))


def _most(parts):
    return np.maximum(np.maximum(parts[0], parts[1]), np.maximum(parts[2], parts[3]))


def _exp(x):
    """(below, above) e^x. x = k ln 2 + r, |r| <= .36; q = e^r - 1 by Horner's rule with 16 terms.

    ln 2 is the sum of two floats, the first of 32 bits, so that x - k ln 2 is off by at most 1e-16 for |x| <= 690;
    Horner's rule by gamma_34 (e^|r| - 1) <= 34 u * .44 < 1.7e-15, the tail is below .36^17/17! < 1e-22: together
    below 2e-15 of values above .69, 3e-15 relative. The padding is 8e-15. Beyond |x| = 690 only 0 or infinity is said.
    """
    x = np.asarray(x, dtype=float)
    y = np.clip(x, -_FAR, _FAR)
    k = np.rint(y / _LN2)
    r = (y - k * _LN2_HIGH) - k * _LN2_LOW  # the first product is exact: 32 bits times at most 10
    q = np.full_like(r, _EXP[-1])
    for c in _EXP[-2::-1]:
        q = q * r + c
    value = np.ldexp(1.0 + q * r, k.astype(int))
    below, above = value * (1 - PAD), value * (1 + PAD)
    return np.where(x < -_FAR, 0.0, below), np.where(x > _FAR, np.inf, above)


def _log(x):
    """(below, above) log x, x >= 0. x = 2^e m, m in [.7, 1.42); log m = 2 atanh f, f = (m-1)/(m+1), |f| <= .175.

    m - 1 is exact, f is off by 2 u relative, Horner's rule with 14 terms in f^2 by gamma_32, the tail is below 1e-22
    relative: log m is off by less than 5e-15 relative, e ln 2 by u, and their sum, whose parts may cancel only if
    e = 0 or |e ln 2| >= 2 |log m| - 1e-15, by 8e-15 (|e| ln 2 + |log m|).
    """
    x = np.asarray(x, dtype=float)
    zero, infinite = x == 0, np.isposinf(x)
    m, e = np.frexp(np.where(infinite, 1.0, x))
    small = m < 0.7071
    m, e = np.where(small, 2 * m, m), e - small
    f = (m - 1.0) / (m + 1.0)
    square = f * f
    q = np.full_like(f, _ATANH[-1])
    for c in _ATANH[-2::-1]:
        q = q * square + c
    part, whole = 2.0 * f * q, e * _LN2
    value, pad = whole + part, PAD * (np.abs(whole) + np.abs(part))
    below = np.where(zero, -np.inf, np.where(infinite, 709.0, value - pad))
    return below, np.where(zero, -np.inf, np.where(infinite, np.inf, value + pad))


def _log1p(x):
    """(below, above) log(1 + x), x >= 0: up to x = .4 2 atanh f, f = x/(2+x) <= .17 off by 2 u; else as in `_log`.

    Beyond, 1 + x is off by u relative, its logarithm by u absolute, less than 4e-16 relative. Below 1e-290, where
    floats begin to lose digits, x - x^2/2 < log(1 + x) < x lies between x and the float before.
    """
    x = np.asarray(x, dtype=float)
    near = np.minimum(x, 0.4)
    f = near / (2.0 + near)
    square = f * f
    q = np.full_like(f, _ATANH[-1])
    for c in _ATANH[-2::-1]:
        q = q * square + c
    near = 2.0 * f * q
    below, above = _log(1.0 + x)
    tiny, small = x < 1e-290, x <= 0.4
    below = np.where(small, near, below) * (1 - PAD)
    above = np.where(small, near, above) * (1 + PAD)
    return np.where(tiny, np.maximum(np.nextafter(x, -np.inf), 0.0), below), np.where(tiny, x, above)
