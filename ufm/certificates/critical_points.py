"""Proofs about critical points: each exists, is alone nearby, and has the index that is said.

Found here, in floating point and then to thirty decimals; proved by `ufm.certificates.check.critical`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import linalg

from ufm.certificates import models
from ufm.certificates.certificate import Certificate, certify_data, refused
from ufm.certificates.check.critical import BITS, DECIMALS, METHOD, UNIT, Place, System, decimal
from ufm.certificates.check.losses import column_loss
from ufm.certificates.check.matrices import largest, matrix
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls
from ufm.numerics.hints import Exact
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import GRADIENT, critical_below
from ufm.points import FactorPoint, LogitPoint, PointLike, from_matrix

MOVED = 1e-3
"""Relative distance over which the last digits may move the factors."""
DEGENERATE = 1e-6
"""Eigenvalue of the stratum Hessian, in units of Lam, below which a family is suspected, in words only."""
CONTRACTION = 0.25
"""Largest ratio of successive Newton steps at which the zero is taken to be the given point's."""
STEPS = 60
"""Newton steps in balls."""
UNKNOWNS = 900
"""Largest system that is tried (K = 20 at full rank has 779)."""


KNOWN = "the proof knows cross-entropy, label smoothing, MSE and contributed losses with an enclosure"


class _Undecided(Exception):
    """Why nothing is proved."""


def critical(point: PointLike, lam: Exact = None) -> Certificate:
    """A critical point of rank r and index i lies at the given one, and no other of its rank within rho.

    point: LogitPoint, FactorPoint, or anything with `.point` (CriticalPoint, Result, a point of a landscape).
    lam: exact text(s) such as `1/3`, as in `certificates.models.model`. The index is that of the Hessian in the full
    factor space (width d, n samples); index 0 is certified only with no eigenvalue that could be 0, apart from those of
    the gauge, and is then called a local minimum. What is stored are balanced factors to thirty decimals.

    Nothing is proved (`holds` False, with the reason) for points that are not critical, degenerate ones, nonlinear
    models, and losses other than cross-entropy, label smoothing, MSE and those that a file of one's own says in balls.

    >>> from ufm.problem import Problem
    >>> from ufm.structures import pairs
    >>> critical(pairs(Problem(K=4, L=2, lam=1e-2)))
    proved: a critical point of rank 2 and index 0 (local minimum), F = 0.15170334814..., lies within 1e-30 ...
        (critical, ball, margin ...)

    Raises ValueError for anything that is not a point and for a lam that is not the problem's; ImportError without
    [certify].
    Source: krawczyk69; rump10; gk25 (Lemma 1).
    """
    given = _point(point)
    balls.flint()
    name = getattr(given, "name", None)
    try:
        _require_kind(given.problem)
        model = models.model(given.problem, lam)
        stratum = Stratum(_on_classes(given))
        _require_critical(stratum)
        hope = f"{name or 'the point'} is a nondegenerate critical point of rank {stratum.point.rank}"
    except _Undecided as reason:
        return refused("critical", f"{name or 'the point'} is critical", str(reason), METHOD)
    try:
        made = certify_data(METHOD, _data(model, stratum.point), "critical", hope)
        why = made.why
    except (_Undecided, Rejected) as reason:
        made, why = None, str(reason)
    if made is not None and made.holds:
        return made
    return refused("critical", hope, f"undecided: {why} {_smallest(stratum)}", METHOD)


def certify_landscape(landscape: Any, lam: Exact = None) -> list[Certificate]:
    """`critical` of every point of a landscape, in its order."""
    return [critical(point, lam) for point in landscape.points]


def _point(subject) -> LogitPoint | FactorPoint:
    given = subject
    while not isinstance(given, (LogitPoint, FactorPoint)):
        if not hasattr(given, "point"):
            raise ValueError(
                f"point must be a LogitPoint, a FactorPoint or have one as its point; got {type(subject).__name__}."
            )
        given = given.point
    return given


def _require_kind(problem) -> None:
    reason = models.uncovered(problem)
    if reason:
        raise _Undecided(reason if not problem.linear else f"{KNOWN}: {reason}")
    if not column_loss(problem.loss.name).smooth:
        raise _Undecided(f"{KNOWN}; got loss={problem.loss.name!r}.")


def _on_classes(given) -> LogitPoint:
    """The point on class columns."""
    logit = given.to_logits(rel_tol=1e-9) if isinstance(given, FactorPoint) else given
    if logit.collapsed:
        return logit
    Z = logit.matrix()
    means = Z @ (given.problem.samples.Y.T / given.problem.counts)
    if np.linalg.norm(Z - means[:, given.problem.labels]) > GRADIENT * np.linalg.norm(Z):
        convex = column_loss(given.problem.loss.name).convex
        why = "the point is not critical: its samples vary within a class, which a convex loss excludes."
        raise _Undecided(why if convex else "its samples vary within a class; the proof is for collapsed points.")
    return from_matrix(given.problem, means, logit.rank, b=logit.b)


def _require_critical(stratum: Stratum) -> None:
    below = critical_below(stratum.ridge_norm, GRADIENT, stratum.rounding)
    if not stratum.grad_norm <= below:
        raise _Undecided(f"the point is not critical: gradient norm {stratum.grad_norm:.1e} exceeds {below:.1e}.")


def _eigenvalues(stratum: Stratum) -> np.ndarray:
    """Of the scaled stratum Hessian, with b_K fixed where the bias has a free constant."""
    keep = slice(0, stratum.size - _has_constant(stratum.point.problem))
    return linalg.eigvalsh(stratum.scaled_hessian()[keep, keep]) if stratum.size else np.zeros(0)


def _has_constant(problem) -> bool:
    return problem.bias == 0 and problem.loss.shift_invariant


def _smallest(stratum: Stratum) -> str:
    values = _eigenvalues(stratum) / stratum.point.problem.Lam
    if not values.size:
        return ""
    nearest = values[np.argmin(np.abs(values))]
    family = abs(nearest) < DEGENERATE and stratum.point.problem.loss.quadratic
    more = " Under MSE, rotations that keep the labels make whole families of critical points." if family else ""
    return f"The stratum Hessian's eigenvalue nearest 0 is {nearest:.1e} Lam.{more}"


def _data(model: Model, point: LogitPoint) -> dict:
    """What the checker reads: thirty decimals, and the largest power of ten that is a radius of isolation."""
    r = point.rank
    if 2 * model.K * r + r > UNKNOWNS:
        raise _Undecided(f"the system has more than {UNKNOWNS} unknowns.")
    order = _pivots((point.U * point.s ** (1.0 / point.problem.D)).T) if r else np.arange(model.K)
    with balls.precision(BITS):
        system = System.at(model, r, order[: max(r - 1, 0)].tolist())
        data = {"problem": model.to_dict(), **texts(system, sharpened(system, in_gauge(system, point, order)))}
        system = System.of(model, data)
        place = Place(system, system.read(data))
        return {**data, "rho": radius(place) if r else None, "index": place.index()}


def _pivots(A: np.ndarray) -> np.ndarray:
    """The columns of A in the order in which a QR factorisation with pivoting takes them."""
    pivots: np.ndarray = linalg.qr(A, mode="r", pivoting=True)[1]  # pyright: ignore[reportGeneralTypeIssues] of two
    return pivots


def in_gauge(system: System, point: LogitPoint, order: np.ndarray) -> list[float]:
    """The unknowns of a point: balanced factors (A, B, E) rotated so that A is lower triangular, with positive
    diagonal, in the rows `order`; the bias with b_K = 0 where a constant is free."""
    problem, root = point.problem, point.s ** (1.0 / point.problem.D)
    Q, R = np.linalg.qr((point.U * root)[order].T) if point.rank else (np.zeros((0, 0)),) * 2
    Q = Q[:, : point.rank] * np.where(np.diag(R) < 0, -1.0, 1.0)
    A, B, E = (point.U * root) @ Q, (point.right * root) @ Q, Q.T @ (root[:, None] * Q)
    b = np.zeros(problem.K) if point.b is None else point.b - (point.b[-1] if _has_constant(problem) else 0.0)
    long = np.concatenate([A.ravel(), B.ravel(), E.ravel(), b])
    return [float(long[places[0]]) for places in system.free]


def sharpened(system: System, floating: list[float]) -> list:
    """Newton's method in balls from floating unknowns, to twelve digits more than are stored.

    Raises _Undecided unless every step is at most CONTRACTION of the one before and the whole way short: where several
    critical points lie near the given one, the certificate must not be another's.
    """
    x = start = [balls.ball(v) for v in floating]
    if not x:
        return x
    enough, size, inverse = balls.ball(UNIT) * balls.ball("1e-12"), None, None
    for _ in range(STEPS):
        inverse = Place(system, x).inverse if inverse is None else inverse
        step = (inverse * matrix([[v] for v in system.gradient(x)])).entries()
        x, before, size = [(v - dv).mid() for v, dv in zip(x, step, strict=True)], size, largest(abs(dv) for dv in step)
        if size < enough:
            return x
        if before is not None and not size < before * CONTRACTION:
            raise _Undecided("Newton's method does not converge quickly: others may be too near, or a family.")
        moved, norm = largest(abs(v - w) for v, w in zip(x, start, strict=True)), largest(abs(v) for v in start)
        if not moved < MOVED * norm + 1e-9:
            raise _Undecided("Newton's method leads away from the point.")
        inverse = None if before is not None and not size < before / 1000 else inverse
    raise _Undecided("Newton's method converges too slowly.")


def texts(system: System, x) -> dict:
    """{A, B, E, b} rounded to the decimals of the checker."""
    A, B, E, b = system.parts(x)
    square = E if system.model.L > 1 else matrix([])
    rows = {
        name: [[_rounded(v) for v in row] for row in block.tolist()]
        for name, block in (("A", A), ("B", B), ("E", square))
    }
    return {**rows, "b": None if system.model.bias is None else [_rounded(v) for v in b]}


def _rounded(value) -> str:
    mantissa, exponent = (int(part) for part in value.mid().man_exp())
    return decimal(round(Fraction(mantissa) * Fraction(2) ** exponent * 10**DECIMALS))


def radius(place: Place) -> str:
    """The largest power of ten, from 1e-1 down, that passes Krawczyk's test by a third. Raises _Undecided."""
    probe = -12
    slope = balls.to_float(place.contraction(balls.ball(10) ** probe)) * 10.0**-probe
    largest_power = (
        -1 if not slope > 0 else min(-1, math.floor(math.log10(0.6 / slope))) if math.isfinite(slope) else probe
    )
    for power in range(largest_power, -DECIMALS, -1):
        rho = f"1e{power}"
        if place.contraction(balls.ball(rho)) < 0.66 and place.alone_within(balls.ball(rho)):
            return rho
        if power < probe:
            break
    raise _Undecided("Krawczyk's test proves no isolation.")
