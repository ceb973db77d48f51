"""Minima of piecewise linear models sit on kinks, where L-BFGS stalls at gradients of 1e-2: how to finish.

1. Reduce. One column per class, equal ridge weights, H_1 in the frame of its rank, parallel neurons merged, dead ones dropped.
2. Smooth. max(x, slope x) becomes a parabola on |x| <= eps; L-BFGS down a ladder of eps. Pre-activations that stay inside are kinks,
   their slopes the masks: as eps -> 0 a central path to the point and its multipliers.
3. Newton. With the kinks held at zero and all other slopes frozen F is smooth: KKT steps, of least norm because frames are free. The
   multiplier of a kink is its mask times the gradient at the neuron's output. Masks outside [slope, 1] leave the kinks,
   pre-activations of the wrong sign join them, and a direction of descent on the piece is followed.
4. Accept where the Clarke residual (`objectives.clarke`) is at most tol and F did not rise.

Sources: sml24 (the model); chen12 (smoothing); nocedal06 (the KKT system).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from ufm.activations import smoothed
from ufm.objectives.clarke import Clarke, Gated, at, kinked, slope_of
from ufm.objectives.factors import FactorObjective
from ufm.solvers.lbfgs import next_iterate

KINKED = 500
"""L-BFGS steps on the model itself before this takes over."""
LADDER = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)
"""Half widths eps of the rounded kink, relative to the largest pre-activation of the layer where that is smallest."""
NEWTON_FROM = 1e-3
"""First rung at which Newton is tried."""
STEPS, MEMORY = 1500, 20
"""L-BFGS steps on every rung, and memory."""
CURVED, NEWTON = 700, 150
"""Coordinates up to which Newton takes over from L-BFGS on a rung, and most of its steps, fewer above 200 coordinates."""
NEAR, FLAT = 1e-3, 1e-9
"""Gradients, relative to the ridge's own, at which Newton takes over and that end a rung."""
ANGLE, DEAD = 1e-3, 1e-6
"""1 - cosine below which neurons are parallel; product of in- and outgoing size, relative to the largest, below which one is dead."""
WIDER = (1.0, 20.0)
"""Multiples of eps within which pre-activations are tried as kinks: one whose mask is at an end of its range goes to zero with eps, outside of it."""
FORMED = 2600
"""Largest KKT system that is formed."""
CUTOFFS = (1e-5, 1e-7, 1e-9, 1e-11, 1e-13)
"""Eigenvalues of the KKT matrix, relative to its largest, that count as zero: the best of these is taken at every step."""
ENOUGH = 1e-8
"""Relative gradient and pre-activations at kinks up to which Newton's end is handed on to be judged."""
EXACT = 1e-10
"""Pre-activations up to this, relative to their layer's largest, are on the kink after Newton."""
ROUNDS, ESCAPES = 5, 5
"""Most changes of the kinks on one rung, and of descents along negative curvature."""


@dataclass(frozen=True, eq=False)
class KinkEnd:
    """Where the finish ended, in the coordinates of the objective it was given; lowest: least curvature on the piece (None without Newton)."""

    x: np.ndarray
    fun: float
    clarke: Clarke
    steps: int
    nfev: int
    lowest: float | None = None


def _zero(objective: FactorObjective, x, fun: float, tol: float) -> KinkEnd | None:
    """The point with all factors zero and its best bias, where F is no larger and stationary there: what runs that die come to."""
    factors, b = objective.unpack(x)
    nothing = [np.zeros_like(A) for A in factors]
    if b is not None:
        b, Z, penalty = np.array(b), objective.logits(objective.pack(nothing, b)), objective.problem.bias
        for _ in range(5):
            H = objective.fit.hessians(Z, b).sum(axis=0) + penalty * np.eye(len(b))
            b -= np.linalg.lstsq(H, objective.fit.value_grad(Z, b)[2] + penalty * b, rcond=1e-12)[0]
    zero = objective.pack(nothing, b)
    value = float(objective.value(zero))
    end = at(objective, zero) if value <= fun else None
    return KinkEnd(zero, value, end, 0, 1) if end is not None and end.residual <= tol else None


def finished_on_kinks(problem, max_steps: int) -> bool:
    """Whether `minimize` ends a run of L-BFGS here: a piecewise linear model, and steps enough to come near a kink."""
    return max_steps >= KINKED and kinked(problem)


def finish_on_kinks(objective: FactorObjective, x, tol: float) -> KinkEnd:
    """The Clarke-stationary point below x; if none is reached, the lowest point met, with its residual.

    Samples are seen through their class means. Needs max(x, slope x) and L >= 2. F never rises.
    """
    fun, slope = float(objective.value(x)), slope_of(objective.problem)
    if (zero := _zero(objective, x, fun, tol)) is not None:
        return zero
    start = at(objective, x)
    if start.residual <= tol:
        return KinkEnd(np.array(x), fun, start, 0, 1)
    small, y = reduced(objective, x)
    best, steps, nfev, escapes = (fun, small, None), 0, 1, 0
    rungs = deque(_ladder(start.relative))
    while rungs:
        eps = rungs.popleft()
        width = eps * max(min(Gated.of(small, y).sizes), 1e-300)
        y, more, evaluations = _descend(small, y, width, slope)
        small, y = compressed(small, y)
        steps, nfev = steps + more, nfev + evaluations
        best = min(best, (float(small.value(y)), small, y), key=lambda found: found[0])
        found = None if eps > NEWTON_FROM else next(filter(None, (newton_on_piece(small, y, width, slope, wide) for wide in WIDER)), None)
        if found is None:
            continue
        here, steps = found.here, steps + found.steps
        value = float(small.value(here.x))
        end = at(small, here.x, EXACT, masks=here.gates)
        if end.residual > tol * 10 or value > fun + 1e-12 * abs(fun):
            continue
        if found.down is not None and escapes < ESCAPES and (lower := _escape(found, value)) is not None:
            y, escapes, rungs = lower, escapes + 1, deque(e for e in LADDER if e <= NEWTON_FROM)
            continue
        whole, gates = _expanded(objective, small, here.x, here.gates)
        end = at(objective, whole, EXACT, masks=gates)
        if end.residual <= tol:
            return KinkEnd(whole, float(objective.value(whole)), end, steps, nfev, found.lowest)
    value, o, y = best
    whole = np.array(x) if y is None else _expanded(objective, o, y)[0]
    return KinkEnd(whole, float(objective.value(whole)), at(objective, whole), steps, nfev)


def _ladder(relative: float) -> list[float]:
    """The rungs from about a tenth of the relative gradient on: a start close to a minimum stays close."""
    return [eps for eps in LADDER if eps <= max(0.1 * relative, NEWTON_FROM)]


# 1. A smaller model with the same value


def reduced(objective: FactorObjective, x) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x): class means as columns, every ridge weight Lam, compressed."""
    problem = objective.problem
    factors, b = objective.unpack(x)
    A = [np.sqrt(lam / problem.Lam) * F for lam, F in zip(problem.lams, factors, strict=True)]
    if objective.collapsed:
        columns = objective.fit.columns
    else:
        columns = problem.classes
        A[0] = A[0] @ (problem.samples.Y.T / np.sqrt(problem.counts))
    plain = FactorObjective(replace(problem, lam=problem.Lam, n=1), False, tuple(F.shape[0] for F in A[:-1]), columns)
    return compressed(plain, plain.pack(A, b))


def compressed(objective: FactorObjective, x, angle: float = ANGLE) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x) at narrower widths: H_1 in its singular frame, parallel neurons merged, dead ones dropped; each neuron's weights balanced."""
    factors, b = objective.unpack(x)
    A = [np.array(F) for F in factors]
    U, s, Vt = np.linalg.svd(A[0], full_matrices=False)
    keep = np.maximum(np.arange(len(s)) == 0, s > 1e-9 * s[0])
    A[0], A[1] = s[keep, None] * Vt[keep], A[1] @ U[:, keep]
    u, value = A[0], objective.problem.activation.value
    for k in range(1, len(A) - 1):
        A[k], A[k + 1] = _merged(A[k], A[k + 1], u, angle)
        u = value(A[k] @ u)
    small = FactorObjective(objective.problem, False, tuple(F.shape[0] for F in A[:-1]), objective.columns)
    return small, small.pack(A, b)


def _merged(W, V, u, angle: float):
    """(W, V) of a hidden layer with inputs u: rows of W u with parallel columns of V become one neuron, |W_j| = |V_j| throughout."""
    into, out = np.linalg.norm(W @ u, axis=1), np.linalg.norm(V, axis=0)
    size = into * out
    left = [j for j in np.argsort(-size) if size[j] > DEAD * np.max(size)]
    if not left:
        return np.zeros((1, W.shape[1])), np.zeros((V.shape[0], 1))
    rows, columns = [], []
    while left:
        seen, sent = (W[left] @ u) / into[left, None], V[:, left] / out[left]
        same = (seen @ seen[0] > 1 - angle) & (sent.T @ sent[:, 0] > 1 - angle)
        group, left = [j for j, s in zip(left, same, strict=True) if s], [j for j, s in zip(left, same, strict=True) if not s]
        norms = np.linalg.norm(W[group], axis=1)
        w, v = (size[group] / norms) @ W[group], V[:, group] @ norms
        root = np.sqrt(np.linalg.norm(v))
        rows.append(w * root / np.linalg.norm(w))
        columns.append(v / root)
    return np.array(rows), np.array(columns).T


def _expanded(objective: FactorObjective, small: FactorObjective, y, gates=None):
    """(x, masks) of the given objective from its reduction: the narrow factors among the first coordinates, neurons that are not there dead."""
    problem = objective.problem
    factors, b = small.unpack(y)
    wide = [np.zeros(shape) for shape in objective.shapes]
    if not objective.collapsed:
        factors[0] = (factors[0] * problem.classes.scale)[:, problem.labels]
    for lam, W, A in zip(problem.lams, wide, factors, strict=True):
        W[: A.shape[0], : A.shape[1]] = np.sqrt(problem.Lam / lam) * A
    if gates is None:
        return objective.pack(wide, b), None
    masks = [np.pad(g if objective.collapsed else g[:, problem.labels], [(0, W.shape[0] - len(g)), (0, 0)]) for g, W in zip(gates, wide[1:-1], strict=True)]
    return objective.pack(wide, b), masks


# 2. Descent with the kink rounded off


def _descend(objective: FactorObjective, x, width: float, slope: float):
    """(x, steps, evaluations) of L-BFGS, then Newton, on the smoothed model."""
    soft = _softened(objective, width, slope)
    fun, grad = soft.value_grad(x)
    pairs, nfev = deque(maxlen=MEMORY), 1
    enough, steps = NEAR if objective.size <= CURVED else FLAT, 0
    while steps < STEPS and np.linalg.norm(grad) > enough * np.linalg.norm(soft._ridge * x):
        found, more = next_iterate(soft, x, fun, grad, pairs)
        nfev += more
        if found is None:
            break
        (x, fun, grad), steps = found, steps + 1
    if objective.size > CURVED:
        return x, steps, nfev
    x, more = _newton_descent(soft, x)
    return x, steps + more, nfev + more


def _softened(objective: FactorObjective, width: float, slope: float) -> FactorObjective:
    problem = replace(objective.problem, activation=smoothed(slope, width))
    return FactorObjective(problem, False, objective.widths, objective.columns)


def _newton_descent(soft: FactorObjective, x) -> tuple[np.ndarray, int]:
    """(x, steps) of damped Newton with the moduli of the Hessian's eigenvalues: downhill, and away from saddles."""
    fun, grad = soft.value_grad(x)
    most = min(NEWTON, 30_000 // len(x))
    for step in range(most):
        if np.linalg.norm(grad) <= FLAT * np.linalg.norm(soft._ridge * x):
            return x, step
        try:
            values, vectors = linalg.eigh(soft.hessian(x))
        except (linalg.LinAlgError, ValueError):  # overflowed, or LAPACK gave up
            return x, step
        size = np.maximum(np.abs(values), 1e-9 * np.max(np.abs(values)))
        direction = -vectors @ ((vectors.T @ grad) / size)
        slope = grad @ direction
        for halvings in range(25):
            trial = x + 0.5**halvings * direction
            value, after = soft.value_grad(trial)
            if value <= fun + 1e-4 * 0.5**halvings * slope or (value <= fun * (1 + 1e-15) and np.linalg.norm(after) < 0.5 * np.linalg.norm(grad)):
                break
        else:
            return x, step
        x, fun, grad = trial, value, after
    return x, most


# 3. Newton on the piece


@dataclass(frozen=True, eq=False)
class Piece:
    """A critical point of F with the kinks held at zero: lowest is the least curvature on the piece relative to the largest, down its direction if negative."""

    here: Gated
    kinks: list[np.ndarray]
    lowest: float
    down: np.ndarray | None
    steps: int


def newton_on_piece(objective: FactorObjective, x, width: float, slope: float, wide: float = 1.0) -> Piece | None:
    """The Piece of a minimum x of the model smoothed on |x| <= width, its kinks the pre-activations within wide * width of zero.

    None where Newton fails or the system is too large.
    """
    start = Gated.of(_softened(objective, width, slope), x)  # its slopes at the kinks are the masks
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
        flipped = [~k & ((p > 0) != (g > middle)) & (np.abs(p) > EXACT * size) for k, p, g, size in zip(kinks, here.pres, here.gates, here.sizes, strict=True)]
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
    merit = _merit(here, kinks)
    for step in range(most):
        if merit <= 1e-16:
            break
        after = min(_kkt_steps(here, kinks), key=lambda found: found[0])
        if not after[0] < 0.9 * merit or (step == 5 and after[0] > 1e-2):
            break
        merit, here = after
    return (here if merit <= ENOUGH else None), step


def _merit(here: Gated, kinks) -> float:
    """Gradient relative to the ridge's own and pre-activations at kinks relative to their layer's largest, as one norm."""
    ridge = max(np.linalg.norm(here.objective._ridge * here.x), 1e-300)
    off = [np.linalg.norm(p[k]) / max(size, 1e-300) for p, k, size in zip(here.pres, kinks, here.sizes, strict=True)]
    value = np.linalg.norm([np.linalg.norm(here.gradient()) / ridge, *off])
    return float(value) if np.isfinite(value) else np.inf


def _at_kinks(arrays, kinks) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(a[k] for a, k in zip(arrays, kinks, strict=True))])


def _kkt_steps(here: Gated, kinks):
    """(merit, Gated) after the least-norm KKT step, for every cutoff of small eigenvalues."""
    g, J, c = here.gradient(), here.rows(kinks), _at_kinks(here.pres, kinks)
    n, m = len(g), len(c)
    M = np.zeros((n + m, n + m))
    M[:n, :n], M[:n, n:], M[n:, :n] = here.hessian(), J.T, J
    try:
        values, vectors = linalg.eigh(M)
    except (linalg.LinAlgError, ValueError):  # overflowed, or LAPACK gave up
        yield np.inf, here
        return
    along, size = vectors.T @ np.concatenate([g, c]), np.abs(values)
    signals = _at_kinks(here.signals(), kinks)
    heard = np.abs(signals) > 1e-10 * np.max(np.abs(signals), initial=0.0)
    for cutoff in CUTOFFS:
        keep = size > cutoff * np.max(size)
        step = -vectors[:, keep] @ (along[keep] / values[keep])
        change = np.where(heard, step[n:] / np.where(heard, signals, 1.0), 0.0)
        gates, i = [q.copy() for q in here.gates], 0
        for q, k in zip(gates, kinks, strict=True):
            count = int(k.sum())
            q[k], i = q[k] + change[i : i + count], i + count
        after = Gated.of(here.objective, here.x + step[:n], gates)
        yield _merit(after, kinks), after


def _curvature(here: Gated, kinks, tol: float = 1e-7):
    """(least eigenvalue relative to the largest, its eigenvector if that is below -tol else None) of the Hessian on the tangent space of the piece."""
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


def _escape(piece: Piece, fun: float) -> np.ndarray | None:
    """A lower point along +- the direction of negative curvature, pulled back to the kinks; None where none is found."""
    here, kinks = piece.here, piece.kinks
    back = np.linalg.pinv(here.rows(kinks), rcond=1e-9)
    length = 0.3 * np.linalg.norm(here.x)
    for i in range(15):
        for sign in (1.0, -1.0):
            y = here.x + sign * 0.5**i * length * piece.down
            for _ in range(3):
                y = y - back @ _at_kinks(Gated.of(here.objective, y, here.gates).pres, kinks)
            if here.objective.value(y) < fun - 1e-13 * abs(fun):
                return y
    return None
