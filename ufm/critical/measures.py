"""How flat, how large, how fast: the whole Hessian spectrum at a critical point of a linear model, at any width and n.

The splitting behind these numbers, dense or by irreducible blocks, is `ufm.critical.spectrum`.

Sources: gk25 (Lemma 1, Theorem 6), garrod24 (the spectrum at deep neural collapse under MSE).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.critical.signature import gauge_nullity, zero_below
from ufm.critical.spectrum import (
    CORE_LIMIT,
    MERGE,
    Dense,
    Split,
    core_hessian,
    core_objective,
    core_size,
    coupling,
    spectrum_of,
    within_blocks,
)
from ufm.critical.symmetry import EXACT
from ufm.numerics import arguments, products
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.points import FactorPoint, LogitPoint, PointLike, point_of
from ufm.problem import Problem


@dataclass(frozen=True)
class Flatness:
    """Of the Hessian in all parameters: trace, largest |eigenvalue|, root of the sum of squares, sum of |eigenvalue|.

    parameters: their number. negative, zero: eigenvalues below and within `zero_below` of 0.
    """

    trace: float
    spectral: float
    frobenius: float
    nuclear: float
    parameters: int
    negative: int
    zero: int
    zero_below: float

    def __repr__(self) -> str:
        norms = f"spectral {self.spectral:.6g}, Frobenius {self.frobenius:.6g}, nuclear {self.nuclear:.6g}"
        counts = f"{self.parameters} parameters, {self.negative} negative, {self.zero} zero"
        return f"Flatness: trace {self.trace:.6g}, {norms}; {counts}"


def spectrum(point: PointLike, *, merge: float = MERGE, grad_tol: float = 1e-6) -> list[tuple[float, int]]:
    """[(eigenvalue, multiplicity)], ascending, of the Hessian in all parameters: width d, N samples, the bias.

    point: a LogitPoint, FactorPoint, or anything with one as its `.point`. merge: eigenvalues closer than merge times
    the largest are one. grad_tol: largest gradient norm, relative to that of the ridge, of a critical point.

    >>> from ufm.structures import dnc
    >>> values = spectrum(dnc(Problem(K=3, n=2, d=50, L=2, lam=0.01)))
    >>> sum(m for _, m in values), next(m for v, m in values if abs(v) < 1e-12)
    (2950, 194)

    Raises ValueError for nonlinear models, points that are not critical, and cores above CORE_LIMIT at points that no
    class permutations fix. Source: gk25 (Lemma 1).
    """
    return spectrum_of(_critical(point, grad_tol), arguments.nonnegative("merge", merge))


def flatness(point: PointLike, *, grad_tol: float = 1e-6) -> Flatness:
    """Trace, spectral norm, Frobenius norm and nuclear (trace) norm of the Hessian in all parameters, from `spectrum`.

    >>> from ufm.structures import zero
    >>> flatness(zero(Problem(K=3, L=2, lam=0.5)))
    Flatness: trace 13.5, spectral 0.5, Frobenius 2.59808, nuclear 13.5; 27 parameters, 0 negative, 0 zero

    Raises ValueError as `spectrum` does. Source: gk25 (Theorem 6 compares these at DNC and at low rank).
    """
    parts, values = _values(point, grad_tol)
    v, m = np.array([v for v, _ in values]), np.array([m for _, m in values])
    size = float(np.max(np.abs(v)))
    zero = _zero_level(parts, size)
    norms = float(m @ v), size, float(np.sqrt(m @ v**2)), float(m @ np.abs(v))
    counts = int(np.sum(m)), int(np.sum(m[v < -zero])), int(np.sum(m[np.abs(v) <= zero]))
    return Flatness(*norms, *counts, zero)


def solution_dimension(point: PointLike, *, check: bool = False, grad_tol: float = 1e-6) -> int:
    """sum_l (r d_l - r (r + 1)/2): dimension of the set of critical factors whose product is this Z.

    That set is the orbit of the balanced lift under rotations of the hidden layers, a product of Stiefel manifolds
    St(r, d_l).
    check: also find the dimension as the rank of the tangent map (Omega_l skew) -> (.., Omega_l A_{l-1}, -A_l Omega_l,
    ..) at a random lift, and raise ArithmeticError if the two differ; refuses above 4000 generators or parameters.

    >>> from ufm.structures import dnc, pairs
    >>> problem = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
    >>> solution_dimension(dnc(problem)), solution_dimension(pairs(problem))
    (1170, 670)

    Raises ValueError as `spectrum` does. Source: gk25 (Theorem 5), counting frames and not subspaces.
    """
    here = _critical(point, grad_tol).point
    dimension = gauge_nullity(here)
    if check and (measured := _orbit_rank(here)) != dimension:
        said = f"{dimension} by count but its tangent vectors have rank {measured}"
        raise ArithmeticError(f"the orbit has dimension {said}.")
    return dimension


def escape_rate(point: PointLike, *, grad_tol: float = 1e-6) -> float:
    """max(0, -lowest eigenvalue): the exponential rate at which gradient flow leaves a strict saddle; 0 elsewhere.

    Gradient descent with learning rate lr leaves by a factor 1 + lr rate per step; momentum m by the larger root q of
    q^2 - (1 + m + lr rate) q + m = 0. The direction is `escape_direction`.

    >>> from ufm.structures import dnc
    >>> escape_rate(dnc(Problem(K=6, L=2, lam=0.1))), round(escape_rate(dnc(Problem(K=6, L=2, lam=0.11))), 6)
    (0.0, 0.010878)

    Raises ValueError as `spectrum` does.
    """
    parts, values = _values(point, grad_tol)
    lowest, size = values[0][0], max(abs(v) for v, _ in values)
    return -lowest if lowest < -_zero_level(parts, size) else 0.0


def escape_direction(point: PointLike, *, grad_tol: float = 1e-6) -> FactorPoint | None:
    """The unit eigenvector of the lowest eigenvalue, at `lift()` of the point, as a FactorPoint; None at rate 0.

    Raises ValueError as `spectrum` does, and for every core above CORE_LIMIT.
    """
    parts, values = _values(point, grad_tol)
    stratum = Stratum(parts.point)
    if (size := core_size(parts.point)) > CORE_LIMIT:
        more = f"more than {CORE_LIMIT}; see escape_rate for the rate alone"
        raise ValueError(f"the core of the Hessian has {size} coordinates, {more}.")
    candidates = [c for lowest in (_core_lowest, _leaving_lowest, _within_lowest) if (c := lowest(stratum)) is not None]
    if not candidates:
        return None
    lowest, build = min(candidates, key=lambda c: c[0])
    size = max(abs(v) for v, _ in values)
    return build() if lowest < -_zero_level(parts, size) else None


def _critical(point, grad_tol: float) -> Dense | Split:
    """The parts of the spectrum at the point, or a ValueError saying why it has none here."""
    grad_tol = arguments.positive("grad_tol", grad_tol)
    point = point_of("point", point)
    point.problem.needs_ridge("the spectrum")
    if not point.problem.linear:
        model = f"a linear model; got activation={point.problem.activation.name!r}"
        raise ValueError(f"the splitting of the Hessian needs {model}.")
    logit = point.to_logits(rel_tol=1e-9) if isinstance(point, FactorPoint) else point
    stratum, split = Stratum(logit), Split.of(logit)
    exact = split if split is not None and split.deviation <= EXACT else None
    below, norm = critical_below(stratum.ridge_norm, grad_tol), _grad_norm(point, exact or stratum)
    if norm > below + (0.0 if exact else stratum.rounding):
        why = f"its gradient norm is {norm:.2e}, above {below:.2e} (grad_tol={grad_tol:g} of the ridge's)"
        raise ValueError(f"the point is not critical: {why}.")
    if split is not None and (exact or core_size(logit) > CORE_LIMIT):
        return split
    if core_size(logit) > CORE_LIMIT:
        more = f"more than {CORE_LIMIT}, and no class symmetry splits it; see classify"
        raise ValueError(f"the core of the Hessian has {core_size(logit)} coordinates, {more}.")
    return Dense(stratum)


def _grad_norm(point, logits: Stratum | Split) -> float:
    if isinstance(point, LogitPoint):
        return logits.grad_norm
    objective = FactorObjective(point.problem)
    return float(np.linalg.norm(objective.grad(objective.pack(point.factors, point.b))))


def _values(point, grad_tol: float):
    """(parts, the spectrum as found)."""
    parts = _critical(point, grad_tol)
    return parts, spectrum_of(parts, 0.0)


def _zero_level(parts: Dense | Split, size: float) -> float:
    slope = parts.grad_norm if isinstance(parts, Split) else parts.stratum.grad_norm
    return zero_below(parts.point.problem, size, slope, 0.0)


# Directions


def _core_lowest(stratum: Stratum):
    """(lowest eigenvalue, its direction as a function), or None."""
    H = core_hessian(stratum)
    if not len(H):
        return None
    values, vectors = linalg.eigh(H, subset_by_index=[0, 0])
    return float(values[0]), functools.partial(_widened, stratum.point, vectors[:, 0])


def _widened(point: LogitPoint, vector) -> FactorPoint:
    """A core vector in the first r coordinates of every hidden layer, class columns spread over their samples."""
    problem = point.problem
    if not point.rank:
        return FactorPoint(problem, _zeros(problem), vector)
    factors, b = core_objective(point).unpack(vector)
    if point.collapsed:
        factors[0] = (factors[0] * problem.classes.scale)[:, problem.labels]
    result = _zeros(problem)
    for whole, part in zip(result, factors, strict=True):
        whole[: part.shape[0], : part.shape[1]] = part
    return FactorPoint(problem, result, b)


def _zeros(problem: Problem) -> tuple[np.ndarray, ...]:
    return tuple(np.zeros(shape) for shape in problem.shapes())


def _leaving_lowest(stratum: Stratum):
    """(lowest eigenvalue, direction) of raising the rank at D = 2, or None."""
    point = stratum.point
    problem, r = point.problem, point.rank
    if problem.D > 2 or problem.widths[0] == r or not stratum.G_perp.size:
        return None
    left, sigma, right = np.linalg.svd(stratum.G_perp)
    values, vectors = linalg.eigh(coupling(problem, sigma[0]))

    def build():
        U, V = stratum.frames
        row, column = V[:, r:] @ right[0], -U[:, r:] @ left[:, 0]
        if point.collapsed:
            row = (row * problem.classes.scale)[problem.labels]
        H, W = _zeros(problem)
        H[r], W[:, r] = vectors[0, 0] * row, vectors[1, 0] * column
        return FactorPoint(problem, (H, W))

    return float(values[0]), build


def _within_lowest(stratum: Stratum):
    """(lowest eigenvalue, direction) of variation within a class, or None."""
    problem, best = stratum.point.problem, None
    for c, block in within_blocks(stratum):
        values, vectors = linalg.eigh(block, subset_by_index=[0, 0])
        if best is None or values[0] < best[0]:
            best = float(values[0]), functools.partial(_contrast, problem, c, vectors[:, 0])
    return best


def _contrast(problem: Problem, c: int, vector) -> FactorPoint:
    """The first two samples of class c moved apart along a vector of active rows."""
    result = _zeros(problem)
    first = int(np.flatnonzero(problem.labels == c)[0])
    result[0][: len(vector), first] = vector / np.sqrt(2)
    result[0][: len(vector), first + 1] = -vector / np.sqrt(2)
    return FactorPoint(problem, result)


# The orbit of solutions


def _orbit_rank(point: LogitPoint, limit: int = 4000, tol: float = 1e-9) -> int:
    """Rank of the tangent vectors of the hidden rotations at a random lift."""
    problem = point.problem
    size, generators = sum(a * b for a, b in problem.shapes()), sum(d * (d - 1) // 2 for d in problem.widths)
    if max(size, generators) > limit:
        most = f"{limit} parameters and generators"
        raise ValueError(f"check needs at most {most}; this problem has {size} and {generators}.")
    factors = point.lift(rng=0).factors
    pairs = ((l, i, j) for l, d in enumerate(problem.widths) for i, j in itertools.combinations(range(d), 2))
    rows = [products.turned(factors, *pair) for pair in pairs]
    if not rows or not point.rank:
        return 0
    s = np.linalg.svd(np.array(rows), compute_uv=False)
    return int(np.sum(s > tol * s[0]))
