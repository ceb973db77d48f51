"""Krawczyk's operator, the one proof that a box holds exactly one zero of a system f, in balls and in float intervals.

    K(X) = x - Y f(x) + (1 - Y f'(X)) (X - x),   x in X, Y any matrix (near f'(x)^-1).

If K(X) lies inside X, X holds exactly one zero, and it lies in K(X); every zero in X lies in K(X). With q at least the
largest row sum of |1 - Y f'(X)|: f is injective on X where q < 1, and the box of radius rho about x holds exactly one
zero where |Y f(x)| + q rho < rho (sup norm).

Source: krawczyk69; rump10 (the test).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ufm.certificates.check.matrices import eye, floats, largest, matrix, row_sums
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls

STEPS = 60
"""Newton steps before a start is given up."""
RADII = (2 / 3, 1 / 2, 1 / 4)
"""Shares of the precision: boxes of radius 2^(-share bits) around the end of Newton's method are tried."""
U = 2.0**-52
FLOOR = 1e-300


# One box, in balls


def zero_near(system: Callable, start) -> list | None:
    """Balls that hold exactly one zero of x -> (f, f'), near the start (numbers); None where none is proved.

    Newton's method from the start, then K(X) for growing boxes about its end.
    """
    try:
        x = newton(system, start)
        f, J = system(x)
        Y = matrix(J).inv().mid()
    except (ZeroDivisionError, OverflowError):
        return None
    centre = [a - b for a, b in zip(x, times(Y, f), strict=True)]
    size = _size(x)
    for share in RADII:
        radius = balls.ball(2) ** -int(share * balls.bits()) * size
        box = [v + balls.between(-radius, radius) for v in x]
        spread = (eye(len(x)) - Y * matrix(system(box)[1])) * matrix([[b - v] for b, v in zip(box, x, strict=True)])
        image = [c + s for c, s in zip(centre, spread.entries(), strict=True)]
        if all(b.contains_interior(v) for b, v in zip(box, image, strict=True)):
            return image
    return None


def newton(system: Callable, start) -> list:
    """The end of Newton's method, exact numbers: one step after the first that is small against the precision. Raises
    ZeroDivisionError where f' is singular."""
    x = [balls.ball(value).mid() for value in start]
    for _ in range(STEPS):
        step = _step(system, x)
        x = [(a - b).mid() for a, b in zip(x, step, strict=True)]
        if largest(abs(v) for v in step) < balls.ball(2) ** (-(balls.bits() // 2)) * _size(x):
            break
    return [(a - b).mid() for a, b in zip(x, _step(system, x), strict=True)]


def _step(system: Callable, x) -> list:
    f, J = system(x)
    step = times(matrix(J).inv(), f)
    if not all(v.is_finite() for v in step):
        raise ZeroDivisionError
    return step


def _size(x):
    """max |x_i|, at least 2^-20 so that a zero at 0 has a box too."""
    return largest([balls.ball(2) ** -20, *(abs(v) for v in x)])


def times(M, v) -> list:
    """The entries of M v, balls."""
    return (M * matrix([[entry] for entry in v])).entries() if v else []


def inverse(J):
    """Y, an approximate inverse of a matrix of balls, exact: from floats, or from balls where J is nearly singular.
    Raises Rejected."""
    try:
        with np.errstate(all="ignore"):
            Y = np.linalg.inv(floats(J))
        if np.all(np.isfinite(Y)) and largest(row_sums(eye(len(Y)) - matrix(Y) * J)) < 0.1:
            return matrix(Y)
    except np.linalg.LinAlgError:
        pass
    try:
        return J.mid().inv().mid()
    except ZeroDivisionError:
        raise Rejected("the stratum Hessian is singular, or not finite.") from None


def holds(step, q, rho) -> bool:
    """Proved: |step| + q rho < rho, step = Y f(x)."""
    return bool(largest(abs(v) for v in step) + q * rho < rho)


# A stack of boxes (B, k), in float intervals


def images(lo, hi, R, J_lo, J_hi) -> tuple[np.ndarray, np.ndarray]:
    """(below, above) of K(X) for boxes [lo, hi] about their middles 0.5 lo + 0.5 hi, R an Interval of f there; whole
    space where there is no bound."""
    k = lo.shape[1]
    mid = 0.5 * lo + 0.5 * hi
    Y = inverses(0.5 * (J_lo + J_hi))
    M = defect(Y, J_lo, J_hi)
    rad = np.nextafter(np.maximum(hi - mid, mid - lo), np.inf)
    with np.errstate(all="ignore"):
        centre = mid - np.einsum("bij,bj->bi", Y, R.middle)
        error = np.einsum("bij,bj->bi", np.abs(Y), 0.5 * R.width + 2 * U * (np.abs(R.middle) + R.width)) * (1 + 40 * U)
        error += 8 * k * U * (np.abs(mid) + np.einsum("bij,bj->bi", np.abs(Y), np.abs(R.middle)))
        spread = np.einsum("bij,bj->bi", M, rad) * (1 + 40 * U) + error
        k_lo, k_hi = np.nextafter(centre - spread, -np.inf), np.nextafter(centre + spread, np.inf)
    bad = ~np.all(np.isfinite(k_lo) & np.isfinite(k_hi), axis=1)
    k_lo[bad], k_hi[bad] = -np.inf, np.inf
    return k_lo, k_hi


def injective(J_lo, J_hi) -> np.ndarray:
    """Whether |1 - Y J| < 1 on each box: f takes no value twice there."""
    M = defect(inverses(0.5 * (J_lo + J_hi)), J_lo, J_hi)
    with np.errstate(invalid="ignore"):
        return np.max(np.sum(M, axis=2) * (1 + 40 * U), axis=1) < 1


def inverses(J) -> np.ndarray:
    """Approximate inverses of a stack; zeros where there is none, which proves nothing and harms nothing."""
    try:
        Y = np.linalg.inv(J)
    except np.linalg.LinAlgError:
        det = np.linalg.det(J)
        fine = np.isfinite(det) & (np.abs(det) > FLOOR)
        Y = np.zeros_like(J)
        for i in np.flatnonzero(fine):
            try:
                Y[i] = np.linalg.inv(J[i])
            except np.linalg.LinAlgError:
                continue
    return np.where(np.isfinite(Y), Y, 0.0)


def defect(Y, J_lo, J_hi) -> np.ndarray:
    """An upper bound of |1 - Y J| in every entry, for all J between."""
    k = Y.shape[1]
    with np.errstate(all="ignore"):
        mid = 0.5 * J_lo + 0.5 * J_hi
        rad = np.nextafter(np.maximum(J_hi - mid, mid - J_lo), np.inf)
        size = np.abs(Y) @ np.abs(mid)
        M = np.abs(np.eye(k) - Y @ mid) + np.abs(Y) @ rad * (1 + 2 * (k + 4) * U) + 2 * (k + 4) * U * (1 + size) + FLOOR
    return np.where(np.isnan(M), np.inf, M)
