"""The signature of a critical point: index and nullity of the Hessian in the full factor space.

For a linear model with D factors, at a critical point of rank r,

    index(F)   = index(Hess F_r on the rank stratum)                       [+ (d-r) #{sigma_i(G_perp) > Lam} at D = 2]
    nullity(F) = nullity(Hess F_r) + sum_l (r d_l - r(r+1)/2)              [+ (d-r) #{sigma_i(G_perp) = Lam} at D = 2]

so a width of 10^5 costs what a width of r does. n collapsed samples add, for each class c, n_c - 1 copies of
(1/N) U'H_c U + diag(phi'_i/s_i), H_c the loss's Hessian at the class's logits. Where class permutations fix the point,
the counts are read off the whole spectrum by irreducible blocks (`critical.spectrum`), whatever K. The nullity
explained by symmetry is that of the frames' rotations (sum_l r d_l - r(r+1)/2), of the loss's own continuous symmetries
(rotations that fix the labels under a quadratic loss) and of a free constant in an unpenalised bias.

Numbers are floats, so an eigenvalue has a sign only where it exceeds rounding and what the leftover gradient may do to
it; Newton's method says both (`critical.near_zero`). Zeros beyond those of symmetry are open: an index is then a range.

Sources: gk25 (Lemma 1, Theorem 4); achour24 for the unregularised analogue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from ufm.critical.near_zero import ROUND, Spectrum, counted, settled, third_bound
from ufm.critical.point import CriticalPoint
from ufm.critical.spectrum import Dense, Split, core_size, merged, spectrum_of
from ufm.critical.symmetry import EXACT
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below, is_zero
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

SPLIT_FROM = 20
"""Number of classes above which a signature is sought by irreducible blocks first."""
DENSE_LIMIT = 1500
"""Largest stratum whose Hessian is formed."""
COLUMN_LIMIT = 3e7
"""Largest K^2 M for which the K x K Hessians of all M columns are formed."""
EXTREMES_LIMIT = 700
"""Largest width-r factor Hessian formed to report the lowest and highest eigenvalue."""


def classify_linear(
    point: LogitPoint | FactorPoint, tolerances: dict, decreed: bool = False, extremes: bool = True
) -> CriticalPoint:
    """`critical.classify` for linear models. decreed: eigenvalues up to the tolerance are taken to be zero."""
    logit, seen = _seen(point, tolerances["gradient"])
    stratum = Stratum(logit)
    split = Split.of(logit) if logit.problem.K > SPLIT_FROM and stratum.size else None
    exact = split is not None and split.deviation <= EXACT
    at = split if split is not None and exact else stratum
    fun, grad_norm = (at.fun, at.grad_norm) if seen is None else seen
    named = getattr(point, "name", None)
    common: dict[str, Any] = {"rank": logit.rank, "tolerances": tolerances}

    def without(status: str, why: str) -> CriticalPoint:
        return CriticalPoint.unsigned(point, fun, grad_norm, status=status, why=why, **common)

    below, norm = critical_below(stratum.ridge_norm, tolerances["gradient"]), at.grad_norm
    norm = max(norm, grad_norm) if logit.rank else norm
    below += stratum.rounding if norm > below and not exact else 0.0
    tolerances["critical_below"] = below
    if norm > below:
        return without("not critical", f"gradient norm {norm:.1e} exceeds {below:.1e}")
    found = _spectrum(stratum, split, exact)
    if found is None:
        why = f"the stratum has {stratum.size} dimensions, too many to form its Hessian"
        return without("unknown", f"{why}, and no class symmetry to split it")
    loose = tolerances["eigenvalue"] * logit.problem.Lam
    count = settled(found, counted(found, loose), loose, _dense if _formed(stratum) else None)
    if decreed and count.critical:
        zero = zero_below(logit.problem, found.size, found.grad_norm, tolerances["eigenvalue"])
        count = counted(found, loose, zero=zero).decreed()
    tolerances["zero_below"] = count.zero
    if not count.critical:
        why = f"gradient norm {grad_norm:.1e}, and Newton's method finds no critical point nearby: {count.why}"
        return without("not critical", why)
    lowest, highest = found.ends if found.ends else _extremes(stratum) if extremes else (None, None)
    common |= {"lowest": lowest, "highest": highest, "name": named}
    symmetry = gauge_nullity(logit) + _loss_symmetry(stratum)
    return CriticalPoint.signed(
        point, fun, grad_norm, index=count.index, nullity=count.nullity, symmetry=symmetry, **common
    )


def _seen(point: LogitPoint | FactorPoint, grad_tol: float) -> tuple[LogitPoint, tuple[float, float] | None]:
    """(logits, (F, gradient norm)) of a FactorPoint; of rank 0 where it is zero up to its size, else not critical."""
    if isinstance(point, LogitPoint):
        return point, None
    objective, x = objective_of(point)
    value, grad = objective.value_grad(x)
    fun, grad_norm = float(value), float(np.linalg.norm(grad))
    logit = point.to_logits(rel_tol=1e-9)
    if logit.rank and grad_norm > critical_below(Stratum(logit).ridge_norm, grad_tol) and is_zero(objective, x):
        logit = point.to_logits(rank=0, collapse=True)
    return logit, (fun, grad_norm)


def _formed(stratum: Stratum) -> bool:
    """Whether the stratum's Hessian is formed; at zero without a bias there is none."""
    if not stratum.size:
        return True
    return stratum.size <= DENSE_LIMIT and stratum.point.problem.K**2 * len(stratum.point.right) <= COLUMN_LIMIT


def _spectrum(stratum: Stratum, split: Split | None, exact: bool) -> Spectrum | None:
    """The eigenvalues with multiplicities: the whole by blocks, or those of the stratum's Hessian, or None."""
    if split is not None and (exact or not _formed(stratum)):
        listed = spectrum_of(split, merge=0.0)
        values, copies = (np.array(column) for column in zip(*listed, strict=True))
        symmetry = gauge_nullity(stratum.point) + _loss_symmetry(stratum)
        joined = merged(listed)
        ends = (joined[0][0], joined[-1][0])
        third = third_bound(max(-ends[0], ends[1]), stratum.point.s[0], stratum.point.problem.D)
        more = {"symmetry": symmetry, "grad_norm": split.grad_norm, "ends": ends}
        return Spectrum(stratum, values, copies.astype(int), third, **more)
    return _dense(stratum) if _formed(stratum) else None


def _dense(stratum: Stratum) -> Spectrum:
    """The eigenvalues of the stratum's Hessian, of leaving the rank at D = 2, and within classes without convexity."""
    values = linalg.eigvalsh(stratum.scaled_hessian()) if stratum.size else np.zeros(0)
    copies, certain = np.ones(len(values), dtype=int), np.zeros(len(values), dtype=bool)
    if not stratum.point.problem.loss.convex:
        within = [(v, m) for v, m in Dense(stratum).within() if m]
        values = np.append(values, [v for v, _ in within])
        copies = np.append(copies, [m for _, m in within]).astype(int)
        certain = np.zeros(len(values), dtype=bool)
    leaving, free, known = _leaving_rank(stratum)
    values, certain = np.append(values, leaving), np.append(certain, known)
    copies = np.append(copies, np.full(len(leaving), free, dtype=int))
    size, top = np.max(np.abs(values), initial=0.0), np.max(stratum.point.s, initial=0.0)
    third = third_bound(size, top, stratum.point.problem.D)
    zeros = gauge_nullity(stratum.point), _loss_symmetry(stratum)
    return Spectrum(stratum, values, copies, third, certain, *zeros, stratum.grad_norm)


def zero_below(problem: Problem, size: float, grad_norm: float, eig_tol: float = 1e-6) -> float:
    """Modulus up to which an eigenvalue is zero: eig_tol Lam, rounding of the largest (`size`), the gradient norm."""
    return eig_tol * problem.Lam + ROUND * size + grad_norm


def gauge_nullity(point: LogitPoint) -> int:
    """sum_l (r d_l - r(r+1)/2): dimension of the rotations of hidden frames that keep Z."""
    r = point.rank
    return int(sum(r * d - r * (r + 1) // 2 for d in point.problem.widths))


def inertia(spectrum, zero: float) -> tuple[int, int]:
    """(negative, zero) counts with multiplicities; zero is at most `zero` in modulus."""
    return int(sum(m for v, m in spectrum if v < -zero)), int(sum(m for v, m in spectrum if abs(v) <= zero))


def _leaving_rank(stratum: Stratum) -> tuple[np.ndarray, int, np.ndarray]:
    """(eigenvalues, multiplicity, which are exact) of the directions that raise the rank: at D = 2, one per sigma_i.

    The lower eigenvalue of [[lam_0, -sigma], [-sigma, lam_1]] is (Lam - sigma)(Lam + sigma)/upper. Under a loss that
    does not see shifts 1'G = 0 and 1'U = 0, so that the least sigma is zero exactly.
    """
    problem, r = stratum.point.problem, stratum.point.rank
    if problem.D != 2 or not stratum.G_perp.size or problem.widths[0] == r:
        return np.zeros(0), 0, np.zeros(0, dtype=bool)
    sigma, (a, b) = np.linalg.svd(stratum.G_perp, compute_uv=False), problem.lams
    known = np.zeros(len(sigma), dtype=bool)
    if problem.loss.shift_invariant and len(sigma) == problem.K - r:
        sigma[-1], known[-1] = 0.0, True
    upper = 0.5 * (a + b + np.hypot(a - b, 2 * sigma))
    return (problem.Lam - sigma) * (problem.Lam + sigma) / upper, problem.widths[0] - r, known


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
        clusters = np.split(values, np.flatnonzero(np.diff(values) > 1e-6 * np.max(np.abs(values), initial=0.0)) + 1)
        sizes = [len(c) for c in clusters]
        total += (sum(sizes) ** 2 - sum(k * k for k in sizes)) // 2
    return total


def _extremes(stratum: Stratum) -> tuple[float | None, float | None]:
    """Lowest and highest eigenvalue of the full Hessian, where its core is small."""
    heavy = not stratum.point.rank and stratum.size and stratum.point.problem.K**3 > COLUMN_LIMIT
    if core_size(stratum.point) > EXTREMES_LIMIT or heavy:
        return None, None
    values = spectrum_of(Dense(stratum))
    return values[0][0], values[-1][0]
