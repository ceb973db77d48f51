"""The signature of a critical point: index and nullity of the Hessian in the full factor space.

For a linear model with D factors, at a critical point of rank r,

    index(F)   = index(Hess F_r on the rank stratum)                       [+ (d-r) #{sigma_i(G_perp) > Lam} at D = 2]
    nullity(F) = nullity(Hess F_r) + sum_l (r d_l - r(r+1)/2)              [+ (d-r) #{sigma_i(G_perp) = Lam} at D = 2]

so a width of 10^5 costs what a width of r does. n collapsed samples add, for each class c, n_c - 1 copies of
(1/N) U'H_c U + diag(phi'_i/s_i), H_c the loss's Hessian at the class's logits. Where class permutations fix the point,
the counts are read off the whole spectrum by irreducible blocks (`critical.spectrum`), whatever K. The nullity explained by
symmetry is that of the frames' rotations (sum_l r d_l - r(r+1)/2), of the loss's own continuous symmetries
(rotations that fix the labels under MSE) and of a free constant in an unpenalised bias.

Sources: gk25 (Lemma 1, Theorem 4); achour24 for the unregularised analogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.critical.spectrum import Dense, Split, core_size, spectrum_of
from ufm.critical.symmetry import EXACT
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.newton import scaled_hessian
from ufm.solvers.result import Result

SPLIT_FROM = 20
"""Number of classes above which a signature is sought by irreducible blocks first."""
DENSE_LIMIT = 1500
"""Largest stratum whose Hessian is formed."""
COLUMN_LIMIT = 3e7
"""Largest K^2 M for which the K x K Hessians of all M columns are formed."""
ROUNDING = 2e-14
"""Gradient norm that is zero whatever the scale of the ridge."""
EXTREMES_LIMIT = 700
"""Largest width-r factor Hessian formed to report the lowest and highest eigenvalue."""


@dataclass(frozen=True, eq=False)
class CriticalPoint(ByContent):
    """A critical point with its signature in the problem's own factor space (width d, n samples).

    index, nullity: numbers of negative and zero eigenvalues; nullity_symmetry: the zeros that symmetry
    explains. lowest, highest: extreme eigenvalues. None where not computed; `why` says the reason.
    status: `local minimum` (index 0, all zeros explained), `strict saddle` (index > 0), `degenerate` (index 0
    and unexplained zeros: undecided to second order), `not critical`, or `unknown`. With relu or leaky_relu (`critical.nonlinear`):
    grad_norm is the Clarke residual, a point on kinks is at best `stationary`, or `not a local minimum` where a restart from
    nearby ended lower; rank is that of the last hidden pre-activation, ranks those of H_1, all pre-activations and the output.
    tolerances: a point is critical when its gradient norm is at most `gradient` times that of the ridge alone (the two
    parts that cancel there), kept as `critical_below`; an eigenvalue counts as zero below `zero_below` =
    `eigenvalue` Lam + rounding of the largest (5e-14 of it) + the gradient norm, Lam being the size of the ridge's own.
    """

    point: LogitPoint | FactorPoint
    fun: float
    grad_norm: float
    rank: int | None
    index: int | None
    nullity: int | None
    nullity_symmetry: int | None
    lowest: float | None
    highest: float | None
    status: str
    name: str | None
    tolerances: dict
    why: str = ""
    ranks: tuple[int, ...] = ()

    def __repr__(self) -> str:
        signature = f"index {self.index}, nullity {self.nullity} ({self.nullity_symmetry} by symmetry)" if self.index is not None else self.why
        return f"{self.name or 'unnamed'}: F = {self.fun:.12f}, rank {self.rank}, {self.status}; {signature}; |grad| = {self.grad_norm:.1e}"


@named_arguments
@own_numpy_state
def classify(point, *, grad_tol: float = 1e-6, eig_tol: float = 1e-6, extremes: bool = True, restarts: int = 0, noise: float = 1e-3, rng=None) -> CriticalPoint:
    """The signature of a LogitPoint, FactorPoint or Result; see the module for the theorem used.

    grad_tol: gradient norm (full factor space), relative to that of the ridge term alone, above which a point is
    `not critical` and gets no signature.
    eig_tol: size in units of Lam below which an eigenvalue is zero. extremes: also the lowest and highest eigenvalue.
    restarts, noise, rng: perturbed restarts of a stationary point on kinks (`critical.nonlinear.local_minimum_test`); not used elsewhere.

    >>> from ufm.problem import Problem
    >>> from ufm.structures import dnc
    >>> classify(dnc(Problem(K=4, n=2, d=6, L=2, lam=1e-3)))
    dnc: F = 0.023358703170, rank 3, local minimum; index 0, nullity 24 (24 by symmetry); |grad| = ...

    Raises ValueError for anything that is not a point.
    """
    point = point.point if isinstance(point, Result) else point
    if not isinstance(point, (LogitPoint, FactorPoint)):
        raise ValueError(f"point must be a LogitPoint, FactorPoint or Result; got {type(point).__name__}.")
    tolerances = {"gradient": grad_tol, "eigenvalue": eig_tol}
    if not point.problem.linear:
        from ufm.critical.nonlinear import classify_nonlinear

        restarts, noise = arguments.integer("restarts", restarts, 0), arguments.positive("noise", noise)
        return classify_nonlinear(point, tolerances, restarts, noise, rng)
    logit = point if isinstance(point, LogitPoint) else point.to_logits(tol=1e-9)
    stratum, split = Stratum(logit), Split.of(logit) if logit.problem.K > SPLIT_FROM else None
    exact = split is not None and split.deviation <= EXACT
    fun, grad_norm = _value_and_slope(point, split if exact else stratum)
    named = getattr(point, "name", None)
    blank = dict.fromkeys(("index", "nullity", "nullity_symmetry", "lowest", "highest"))
    tolerances["critical_below"] = below = critical_below(stratum.ridge_norm, grad_tol)
    if grad_norm > below:
        why = f"gradient norm {grad_norm:.1e} exceeds {below:.1e}"
        return CriticalPoint(point, fun, grad_norm, logit.rank, **blank, status="not critical", name=named, tolerances=tolerances, why=why)
    found = _signature(stratum, split, exact, grad_norm, eig_tol, extremes)
    if found is None:
        why = f"the stratum has {stratum.size} dimensions, too many to form its Hessian, and no class symmetry to split it"
        return CriticalPoint(point, fun, grad_norm, logit.rank, **blank, status="unknown", name=named, tolerances=tolerances, why=why)
    index, nullity, lowest, highest, tolerances["zero_below"] = found
    symmetry = gauge_nullity(logit) + _loss_symmetry(stratum)
    status = "strict saddle" if index else "local minimum" if nullity <= symmetry else "degenerate"
    return CriticalPoint(point, fun, grad_norm, logit.rank, index, nullity, min(symmetry, nullity), lowest, highest, status, named, tolerances)


def _signature(stratum: Stratum, split: Split | None, exact: bool, grad_norm: float, eig_tol: float, extremes: bool):
    """(index, nullity, lowest, highest, zero_below): from the whole spectrum by blocks, or the stratum's Hessian; None where neither is possible."""
    problem = stratum.point.problem
    formed = stratum.size <= DENSE_LIMIT and problem.K**2 * len(stratum.point.right) <= COLUMN_LIMIT
    if exact or (split is not None and not formed):
        values = spectrum_of(split)
        zero = zero_below(problem, max(abs(v) for v, _ in values), grad_norm, eig_tol)
        return *inertia(values, zero), values[0][0], values[-1][0], zero
    if not formed:
        return None
    values = linalg.eigvalsh(scaled_hessian(stratum)) if stratum.size else np.zeros(0)
    zero = zero_below(problem, np.max(np.abs(values), initial=0.0), grad_norm, eig_tol)
    (index, nullity), (more_index, more_zeros) = inertia([(v, 1) for v in values], zero), _leaving_rank(stratum, eig_tol)
    index, nullity = index + more_index + _within_class_index(stratum), nullity + more_zeros + gauge_nullity(stratum.point)
    return index, nullity, *(_extremes(stratum) if extremes else (None, None)), zero


def critical_below(ridge_norm: float, grad_tol: float = 1e-6) -> float:
    """Gradient norm up to which a point is critical: grad_tol times that of the ridge term alone, plus rounding."""
    return grad_tol * ridge_norm + ROUNDING


def zero_below(problem: Problem, size: float, grad_norm: float, eig_tol: float = 1e-6) -> float:
    """Modulus up to which an eigenvalue is zero: eig_tol Lam, plus rounding of the largest (`size`) and the gradient norm."""
    return eig_tol * problem.Lam + 5e-14 * size + grad_norm


def gauge_nullity(point: LogitPoint) -> int:
    """sum_l (r d_l - r(r+1)/2): dimension of the rotations of hidden frames that keep Z."""
    r = point.rank
    return int(sum(r * d - r * (r + 1) // 2 for d in point.problem.widths))


def _value_and_slope(point, logits: Stratum | Split) -> tuple[float, float]:
    """(F, gradient norm): of a FactorPoint at its own factors, of a LogitPoint at its balanced lift."""
    if isinstance(point, LogitPoint):
        return logits.fun, logits.grad_norm
    objective, x = objective_of(point)
    fun, grad = objective.value_grad(x)
    return float(fun), float(np.linalg.norm(grad))


def inertia(spectrum, zero: float) -> tuple[int, int]:
    """(negative, zero) counts with multiplicities; zero is at most `zero` in modulus."""
    return int(sum(m for v, m in spectrum if v < -zero)), int(sum(m for v, m in spectrum if abs(v) <= zero))


def _leaving_rank(stratum: Stratum, tol: float) -> tuple[int, int]:
    """At D = 2 only: directions that raise the rank, (d - r) for each singular value of G_perp above, at Lam."""
    problem, r = stratum.point.problem, stratum.point.rank
    if problem.D != 2 or not stratum.G_perp.size:
        return 0, 0
    sigma, free = np.linalg.svd(stratum.G_perp, compute_uv=False), problem.widths[0] - r
    level = problem.Lam
    return free * int(np.sum(sigma > level * (1 + tol))), free * int(np.sum(np.abs(sigma - level) <= tol * level))


def _within_class_index(stratum: Stratum) -> int:
    """Negative directions of within-class variation; none for a convex loss."""
    return 0 if stratum.point.problem.loss.convex else int(sum(m for v, m in Dense(stratum).within() if v < 0))


def _loss_symmetry(stratum: Stratum) -> int:
    """Dimension of the orbit of (Z, b) under continuous symmetries of the fit: rotations fixing the labels under MSE,
    and the free constant of an unpenalised bias under a shift-invariant loss."""
    point = stratum.point
    problem = point.problem
    if problem.bias == 0 and problem.loss.shift_invariant:
        return 1
    if not problem.loss.quadratic or not point.collapsed or not point.rank:
        return 0
    Z, total = point.matrix(), 0
    for count in set(problem.counts.tolist()):
        members = np.flatnonzero(problem.counts == count)
        block = Z[np.ix_(members, members)]
        if problem.bias is not None:  # rotations must also fix the all-ones direction
            k = len(members)
            H = linalg.null_space(np.ones((1, k))) if k > 1 else np.zeros((1, 0))
            block = H.T @ block @ H
        values = np.sort(linalg.eigvalsh(0.5 * (block + block.T))) if block.size else np.zeros(0)
        clusters = np.split(values, np.flatnonzero(np.diff(values) > 1e-6 * max(1e-300, np.max(np.abs(values), initial=0.0))) + 1)
        sizes = [len(c) for c in clusters]
        total += (sum(sizes) ** 2 - sum(k * k for k in sizes)) // 2
    return total


def _extremes(stratum: Stratum) -> tuple[float | None, float | None]:
    """Lowest and highest eigenvalue of the full Hessian, where its core is small."""
    if core_size(stratum.point) > EXTREMES_LIMIT or (not stratum.point.rank and stratum.size and stratum.point.problem.K**3 > COLUMN_LIMIT):
        return None, None
    values = spectrum_of(Dense(stratum))
    return values[0][0], values[-1][0]
