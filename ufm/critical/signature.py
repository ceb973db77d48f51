"""The signature of a critical point: index and nullity of the Hessian in the full factor space.

For a linear model with D factors, at a critical point of rank r,

    index(F)   = index(Hess F_r on the rank stratum)                       [+ (d-r) #{sigma_i(G_perp) > Lam} at D = 2]
    nullity(F) = nullity(Hess F_r) + sum_l (r d_l - r(r+1)/2)              [+ (d-r) #{sigma_i(G_perp) = Lam} at D = 2]

so a width of 10^5 costs what a width of r does. n collapsed samples add, for each class c, n_c - 1 copies of
(1/N) U'H_c U + diag(phi'_i/s_i), H_c the loss's Hessian at the class's logits. The nullity explained by
symmetry is that of the frames' rotations (sum_l r d_l - r(r+1)/2), of the loss's own continuous symmetries
(rotations that fix the labels under MSE) and of a free constant in an unpenalised bias.

Sources: gk25 (Lemma 1, Theorem 4); achour24 for the unregularised analogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.critical.symmetry import block_spectrum
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.newton import scaled_hessian
from ufm.solvers.result import Result

DENSE_LIMIT = 1500
"""Largest stratum whose Hessian is formed."""
COLUMN_LIMIT = 3e7
"""Largest K^2 M for which the K x K Hessians of all M columns are formed."""
ROUNDING = 2e-14
"""Gradient norm that is zero whatever the scale of the ridge."""
EXTREMES_LIMIT = 700
"""Largest width-r factor Hessian formed to report the lowest and highest eigenvalue."""


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A critical point with its signature in the problem's own factor space (width d, n samples).

    index, nullity: numbers of negative and zero eigenvalues; nullity_symmetry: the zeros that symmetry
    explains. lowest, highest: extreme eigenvalues. None where not computed; `why` says the reason.
    status: `local minimum` (index 0, all zeros explained), `strict saddle` (index > 0), `degenerate` (index 0
    and unexplained zeros: undecided to second order), `not critical`, or `unknown`.
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

    def __repr__(self) -> str:
        signature = f"index {self.index}, nullity {self.nullity} ({self.nullity_symmetry} by symmetry)" if self.index is not None else self.why
        return f"{self.name or 'unnamed'}: F = {self.fun:.12f}, rank {self.rank}, {self.status}; {signature}; |grad| = {self.grad_norm:.1e}"


def classify(point, *, grad_tol: float = 1e-6, eig_tol: float = 1e-6, extremes: bool = True) -> CriticalPoint:
    """The signature of a LogitPoint, FactorPoint or Result; see the module for the theorem used.

    grad_tol: gradient norm (full factor space), relative to that of the ridge term alone, above which a point is
    `not critical` and gets no signature.
    eig_tol: size in units of Lam below which an eigenvalue is zero. extremes: also the lowest and highest eigenvalue.

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
        return _dense(point, tolerances)
    logit, fun, grad_norm = _in_logits(point)
    stratum = Stratum(logit)
    named = getattr(point, "name", None)
    blank = dict.fromkeys(("index", "nullity", "nullity_symmetry", "lowest", "highest"))
    tolerances["critical_below"] = below = critical_below(stratum.ridge_norm, grad_tol)
    if grad_norm > below:
        why = f"gradient norm {grad_norm:.1e} exceeds {below:.1e}"
        return CriticalPoint(point, fun, grad_norm, logit.rank, **blank, status="not critical", name=named, tolerances=tolerances, why=why)
    spectrum, why = _stratum_spectrum(stratum)
    if spectrum is None:
        return CriticalPoint(point, fun, grad_norm, logit.rank, **blank, status="unknown", name=named, tolerances=tolerances, why=why)
    tolerances["zero_below"] = zero = zero_below(logit.problem, max((abs(v) for v, _ in spectrum), default=0.0), grad_norm, eig_tol)
    index, zeros = _inertia(spectrum, zero)
    more_index, more_zeros = _leaving_rank(stratum, eig_tol)
    index += more_index + _within_class_index(stratum)
    gauge = gauge_nullity(logit)
    symmetry = gauge + _loss_symmetry(stratum)
    nullity = zeros + more_zeros + gauge
    lowest, highest = _extremes(stratum) if extremes else (None, None)
    status = "strict saddle" if index else "local minimum" if nullity <= symmetry else "degenerate"
    return CriticalPoint(point, fun, grad_norm, logit.rank, index, nullity, min(symmetry, nullity), lowest, highest, status, named, tolerances, why)


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


def _in_logits(point) -> tuple[LogitPoint, float, float]:
    if isinstance(point, LogitPoint):
        stratum = Stratum(point)
        return point, stratum.fun, stratum.grad_norm
    objective, x = objective_of(point)
    fun, grad = objective.value_grad(x)
    return point.to_logits(tol=1e-9), float(fun), float(np.linalg.norm(grad))


def _stratum_spectrum(stratum: Stratum):
    """([(eigenvalue, multiplicity)], "") of the scaled stratum Hessian, or (None, reason)."""
    _, K, M = stratum.shape
    if stratum.size <= DENSE_LIMIT and K * K * M <= COLUMN_LIMIT:
        return [(v, 1) for v in linalg.eigvalsh(scaled_hessian(stratum))] if stratum.size else [], ""
    spectrum = block_spectrum(stratum)
    if spectrum is None:
        return None, f"the stratum has {stratum.size} dimensions, too many to form its Hessian, and no class symmetry to split it"
    return spectrum, ""


def _inertia(spectrum, zero: float) -> tuple[int, int]:
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
    if stratum.point.problem.loss.convex:
        return 0
    return sum((copies - 1) * int(np.sum(values < 0)) for copies, values in _within_class(stratum))


def _within_class(stratum: Stratum):
    """(n_c, eigenvalues of S^(D-1)/D (1/N) U'H_c U S^(D-1)/D + lam_0) per class of a collapsed point."""
    point = stratum.point
    problem = point.problem
    if not point.collapsed or problem.N == problem.K or not point.rank:
        return
    Z, known = stratum.logits, {}
    for c in range(problem.K):
        others = np.sort(np.delete(Z[:, c], c))
        key = (int(problem.counts[c]), *np.round(np.append(others, Z[c, c]), 9).tolist())
        if key not in known:
            known[key] = linalg.eigvalsh(within_class_block(stratum, c))
        yield int(problem.counts[c]), known[key]


def within_class_block(stratum: Stratum, c: int) -> np.ndarray:
    """(1/N) P'H_c P + lam_0 I (r, r), P = W_L ... W_1 in the frame of H_1: the Hessian along variation inside class c."""
    problem, point = stratum.point.problem, stratum.point
    H = problem.loss.hessians(stratum.logits[:, [c]], stratum.fit.columns.Y[:, [c]])[0] / problem.N
    P = point.U * point.s ** ((problem.D - 1.0) / problem.D) * np.sqrt(problem.lams[0] / problem.Lam)
    return P.T @ H @ P + problem.lams[0] * np.eye(point.rank)


def _loss_symmetry(stratum: Stratum) -> int:
    """Dimension of the orbit of (Z, b) under continuous symmetries of the fit: rotations fixing the labels under MSE,
    and the free constant of an unpenalised bias under a shift-invariant loss."""
    point = stratum.point
    problem = point.problem
    if problem.bias == 0 and problem.loss.shift_invariant:
        return 1
    if problem.loss.name != "mse" or not point.collapsed or not point.rank:
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
    """Lowest and highest eigenvalue of the full Hessian, from its width-r part and the known rest."""
    point = stratum.point
    problem, r = point.problem, point.rank
    values = [np.array(problem.lams)]
    if r:
        objective = FactorObjective(problem, point.collapsed, (r,) * problem.L)
        if objective.size > EXTREMES_LIMIT:
            return None, None
        values.append(linalg.eigvalsh(objective.hessian(objective.lift(point))))
        if max(problem.widths) > r:
            values.append(np.zeros(1))
            values += [np.array([a + b]) for a, b in zip(problem.lams[:-1], problem.lams[1:], strict=True)]
        values += [v for _, v in _within_class(stratum)]
    elif problem.bias is not None:
        if problem.K**3 > COLUMN_LIMIT:
            return None, None
        values.append(linalg.eigvalsh(stratum.hessian()))
    if problem.D == 2 and problem.widths[0] > r and stratum.G_perp.size:
        for sigma in np.linalg.svd(stratum.G_perp, compute_uv=False)[:1]:
            values.append(np.linalg.eigvalsh(np.array([[problem.lams[0], -sigma], [-sigma, problem.lams[1]]])))
    everything = np.concatenate(values)
    return float(np.min(everything)), float(np.max(everything))


def _dense(point: FactorPoint, tolerances: dict, limit: int = 2000) -> CriticalPoint:
    """Nonlinear models: the dense Hessian in factor space, where it is small enough and smooth."""
    objective, x = objective_of(point)
    fun, grad = objective.value_grad(x)
    grad_norm = float(np.linalg.norm(grad))
    blank = dict.fromkeys(("index", "nullity", "nullity_symmetry", "lowest", "highest"))
    common = {"point": point, "fun": float(fun), "grad_norm": grad_norm, "rank": None, "name": None, "tolerances": tolerances}
    ridge = np.linalg.norm(np.concatenate([lam * A.ravel() for lam, A in zip(point.problem.lams, point.factors, strict=True)]))
    tolerances["critical_below"] = below = critical_below(ridge, tolerances["gradient"])
    if grad_norm > below:
        why = f"gradient norm {grad_norm:.1e} exceeds {below:.1e}"
        return CriticalPoint(**common, **blank, status="not critical", why=why)
    if objective.size > limit or not point.problem.activation.smooth:
        why = "the stratum theorem needs a linear model" + (
            f" and the dense Hessian at most {limit} coordinates" if objective.size > limit else " and the activation is not smooth"
        )
        return CriticalPoint(**common, **blank, status="unknown", why=why)
    values = linalg.eigvalsh(objective.hessian(x))
    tolerances["zero_below"] = zero = zero_below(point.problem, np.max(np.abs(values)), grad_norm, tolerances["eigenvalue"])
    index, nullity = _inertia([(v, 1) for v in values], zero)
    status = "strict saddle" if index else "degenerate" if nullity else "local minimum"
    blank |= {"index": index, "nullity": nullity, "lowest": float(values[0]), "highest": float(values[-1])}
    return CriticalPoint(**common, **blank, status=status, why="" if not nullity else "zeros not attributed: no symmetry count for this activation")
