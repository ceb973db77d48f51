"""Newton on a piece of a piecewise linear model: the kinks held at zero and all other slopes frozen, F is smooth.

KKT steps, of least norm because frames are free. The multiplier of a kink is its mask times the gradient at the
neuron's output; masks outside [slope, 1] leave the kinks, pre-activations of the wrong sign join them. Source:
nocedal06 (the KKT system).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.objectives.clarke import at
from ufm.objectives.factors import FactorObjective
from ufm.objectives.gated import Gated, gathered, scattered
from ufm.solvers.kinks.smoothing import softened

FORMED = 2600
"""Largest KKT system that is formed."""
CUTOFFS = (1e-5, 1e-7, 1e-9, 1e-11, 1e-13)
"""Eigenvalues of the KKT matrix, relative to its largest, that count as zero: the best of these is taken at every
step."""
ENOUGH = 1e-8
"""Relative gradient and pre-activations at kinks up to which Newton's end is handed on to be judged."""
EXACT = 1e-10
"""Pre-activations up to this, relative to their layer's largest, are on the kink after Newton."""
ROUNDS = 5
"""Most changes of the kinks on one rung."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A critical point of F with the kinks held at zero: lowest is the least curvature on the piece relative to the
    largest, down its direction if negative."""

    here: Gated
    kinks: list[np.ndarray]
    lowest: float
    down: np.ndarray | None
    steps: int


def newton_on_piece(objective: FactorObjective, x, width: float, slope: float, wide: float = 1.0) -> Piece | None:
    """The Piece of a minimum x of the model smoothed on |x| <= width, kinks being within wide * width of zero.

    None where Newton fails or the system is too large.
    """
    start = Gated.of(softened(objective, width, slope), x)  # its slopes at the kinks are the masks
    kinks, gates = [np.abs(p) <= wide * width for p in start.pres], start.gates
    steps = 0
    for _ in range(ROUNDS):
        if objective.size + sum(int(k.sum()) for k in kinks) > FORMED:
            return None
        here, more = _newton(Gated.of(objective, x, gates), kinks)
        steps += more
        if here is None:
            return None
        out = [k & ((g < slope - 1e-9) | (g > 1 + 1e-9)) for k, g in zip(kinks, here.gates, strict=True)]
        middle, inside = 0.5 * (1 + slope), True
        flipped = [
            ~k & ((p > 0) != (g > middle)) & (np.abs(p) > EXACT * size)
            for k, p, g, size in zip(kinks, here.pres, here.gates, here.sizes, strict=True)
        ]
        if not any(f.any() for f in flipped):
            if any(o.any() for o in out):  # masks are often not unique: others may be in range
                found = at(objective, here.x, EXACT, masks=here.gates)
                here, inside = Gated.of(objective, here.x, list(found.masks)), found.relative <= ENOUGH
            if inside:
                return Piece(here, kinks, *_curvature(here, kinks), steps)
        gates = [np.where(o, np.where(g > middle, 1.0, slope), g) for o, g in zip(out, here.gates, strict=True)]
        kinks = [(k & ~o) | f for k, o, f in zip(kinks, out, flipped, strict=True)]
    return None


def _newton(here: Gated, kinks, most: int = 20) -> tuple[Gated | None, int]:
    """KKT steps until they gain nothing: (the end or None, steps)."""
    merit = merit_of(here, kinks)
    for step in range(most):
        if merit <= 1e-16:
            break
        after = min(_kkt_steps(here, kinks), key=lambda found: found[0])
        if not after[0] < 0.9 * merit or (step == 5 and after[0] > 1e-2):
            break
        merit, here = after
    return (here if merit <= ENOUGH else None), step


def merit_of(here: Gated, kinks) -> float:
    """Gradient relative to the ridge's own, and pre-activations at kinks to their layer's, as one norm."""
    ridge = max(float(np.linalg.norm(here.objective.ridge * here.x)), 1e-300)
    off = [np.linalg.norm(p[k]) / max(size, 1e-300) for p, k, size in zip(here.pres, kinks, here.sizes, strict=True)]
    value = np.linalg.norm([np.linalg.norm(here.gradient()) / ridge, *off])
    return float(value) if np.isfinite(value) else np.inf


def _kkt_steps(here: Gated, kinks):
    """(merit, Gated) after the least-norm KKT step, for every cutoff of small eigenvalues."""
    g, J, c = here.gradient(), here.rows(kinks), gathered(here.pres, kinks)
    n, m = len(g), len(c)
    M = np.zeros((n + m, n + m))
    M[:n, :n], M[:n, n:], M[n:, :n] = here.hessian(), J.T, J
    try:
        values, vectors = linalg.eigh(M)
    except (linalg.LinAlgError, ValueError):  # overflowed, or LAPACK gave up
        yield np.inf, here
        return
    along, size = vectors.T @ np.concatenate([g, c]), np.abs(values)
    signals = gathered(here.signals(), kinks)
    heard = np.abs(signals) > 1e-10 * np.max(np.abs(signals), initial=0.0)
    for cutoff in CUTOFFS:
        keep = size > cutoff * np.max(size)
        step = -vectors[:, keep] @ (along[keep] / values[keep])
        change = np.where(heard, step[n:] / np.where(heard, signals, 1.0), 0.0)
        gates = scattered(gathered(here.gates, kinks) + change, here.gates, kinks)
        after = Gated.of(here.objective, here.x + step[:n], gates)
        yield merit_of(after, kinks), after


def _curvature(here: Gated, kinks, tol: float = 1e-7):
    """(least eigenvalue relative to the largest, its eigenvector if that is below -tol else None) of the Hessian on the
    tangent space of the piece."""
    J, H = here.rows(kinks), here.hessian()
    if len(J):
        _, s, Vt = linalg.svd(J, lapack_driver="gesvd")
        T = Vt[int(np.sum(s > 1e-9 * s[0])) :].T if s[0] > 0 else np.eye(len(H))
        H = T.T @ H @ T
    else:
        T = np.eye(len(H))
    if not len(H):
        return 0.0, None
    try:
        values, vectors = linalg.eigh(H)
    except linalg.LinAlgError:
        return 0.0, None
    lowest = float(values[0] / max(np.max(np.abs(values)), 1e-300))
    return lowest, T @ vectors[:, 0] if lowest < -tol else None


def escape(piece: Piece, fun: float) -> np.ndarray | None:
    """A lower point along +- the direction of negative curvature, pulled back to the kinks; or None."""
    here, kinks = piece.here, piece.kinks
    if piece.down is None:
        return None
    back = np.linalg.pinv(here.rows(kinks), rcond=1e-9)
    length = 0.3 * np.linalg.norm(here.x)
    for i in range(15):
        for sign in (1.0, -1.0):
            y = here.x + sign * 0.5**i * length * piece.down
            for _ in range(3):
                y = y - back @ gathered(Gated.of(here.objective, y, here.gates).pres, kinks)
            if here.objective.value(y) < fun - 1e-13 * abs(fun):
                return y
    return None
