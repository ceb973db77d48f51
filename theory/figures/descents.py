"""The paper's method: full-batch gradient descent from N(0, 1/d), run until it rests, its ends named. A helper of
figures, not one.

A linear model's descent does not need its width for ever. With Q_l orthonormal for the span of the features H_l and of
the pullbacks (W_L ... W_l)' at hidden layer l, 2K directions, the part of W_l outside Q_{l+1} Q_l' is never fed by a
gradient, only damped by 1 - lr lam a step. Once it and the spread within classes are below `FADED` of the factors,
(Q_1' H_1, Q_2' W_1 Q_1, ..., W_L Q_L) goes on as the same recursion on K columns at width 2K; logits are kept exactly
at that moment, and what is left out moves them afterwards by order FADED^2.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from ufm.critical.classify import classify
from ufm.critical.identify import Identity, identify
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.descent import descend
from ufm.solvers.methods.gd import GradientDescent
from ufm.solvers.newton import newton_on_stratum
from ufm.solvers.result import Status
from ufm.solvers.starts import gaussian

LR = 0.5
FADED = 1e-3
BLOCK = 1000
"""Steps between looks at whether the width can be left behind."""
CACHE = 2**21
"""Bytes of starts that step together, so that they stay near the processor."""
NEAR = 1e-2
"""Relative distance of logits up to which a critical point may give its name to an end of descent."""


@dataclass(frozen=True)
class End:
    """Where one descent rests.

    fun, grad_norm, steps: of gradient descent alone. name, rank, distance: of the critical point next to the end,
    reached from it by Newton on its rank stratum (distance: how far the end's class logits lie from that point's,
    relative Frobenius).
    polished: whether Newton found one within `NEAR`; otherwise the name is that of the end itself, or `diverged`.
    polished_fun, status, index: value and signature of that point. fit: its relative distance from the named family
    (None if unnamed).
    """

    fun: float
    grad_norm: float
    steps: int
    name: str
    rank: int
    distance: float | None
    polished: bool
    polished_fun: float | None
    status: str | None
    index: int | None
    fit: float | None
    logits: list
    singular_values: list


@own_numpy_state
def rest(
    problem: Problem, starts: int, seed, tol: float, steps: int, scale: float | None = None, first: int = 0
) -> list[End]:
    """The ends of `starts` gradient descents (lr 0.5) of a linear model, from children first, first + 1, ... of the
    seed; entries N(0, scale^2), default 1/d.

    A run rests when its gradient norm is at most tol, and is given up after `steps` steps.
    """
    wide = FactorObjective(problem)
    seeds = [child(seed_sequence(seed), first + i) for i in range(starts)]
    x, done = np.stack([gaussian(scale)(wide, generator(s)) for s in seeds]), 0
    ends: dict[int, tuple] = {}
    labels, objective = np.arange(starts), wide
    while len(labels):
        block = min(BLOCK if objective is wide else steps, steps - done)
        x, rows = advance(objective, x, tol, block)
        for row, (kind, taken) in rows.items():
            if kind != "moves" or done + block >= steps:
                ends[int(labels[row])] = (objective, None if kind == "diverged" else x[row], done + taken)
        keep = np.array([int(label) not in ends for label in labels], dtype=bool)
        labels, x, done = labels[keep], x[keep], done + block
        if objective is wide and len(labels) and max(remnant(wide, v) for v in x) <= FADED:
            objective = narrow_objective(problem)
            x = np.stack([narrowed(wide, v) for v in x])
    return [_end(problem, *ends[i]) for i in range(starts)]


def cell(
    K: int,
    n: int,
    L: int,
    d: int,
    lam: float,
    rng: int,
    starts: int,
    tol: float,
    steps: int,
    scale: float | None = None,
) -> dict:
    """One point of a figure, for `named_ends`; its seed comes from rng and the point itself, so that cells are
    independent of each other."""
    key = [K, d, round(1 / lam), 0 if scale is None else round(1e6 * scale)]
    seed = {"entropy": rng, "spawn_key": key}
    return {
        "K": K,
        "n": n,
        "L": L,
        "d": d,
        "lam": lam,
        "scale": scale,
        "seed": seed,
        "starts": starts,
        "tol": tol,
        "steps": steps,
    }


def problem_of(cell: dict) -> Problem:
    return Problem(K=cell["K"], n=cell["n"], d=cell["d"], L=cell["L"], lam=cell["lam"])


def named_ends(cell: dict) -> list[dict]:
    """The ends of all descents of a cell, without their logits."""
    ends = rest(problem_of(cell), cell["starts"], cell["seed"], cell["tol"], cell["steps"], cell["scale"])
    return [
        {key: value for key, value in vars(end).items() if key not in ("logits", "singular_values")} for end in ends
    ]


HAPPENED = {Status.CONVERGED: "rests", Status.DIVERGED: "diverged"}
"""What a run that ended so is said to do; others move."""


def advance(objective: FactorObjective, x, tol: float, steps: int):
    """(x after at most `steps` steps, {row: (what happened, steps)})."""
    rows, after = {}, np.array(x)

    def ended(part, which, points, nit, nfev, reason):
        for i, v, taken in zip(which, points, nit, strict=True):
            after[part[i]] = v
            rows[part[i]] = HAPPENED.get(reason.status, "moves"), int(taken)

    together = max(1, CACHE // (8 * objective.size))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(x), together):
            part = range(start, min(start + together, len(x)))
            descend(
                objective,
                np.array(x[start : part.stop]),
                GradientDescent(lr=LR, steps=steps),
                tol,
                None,
                functools.partial(ended, part),
            )
    return after, rows


@functools.lru_cache(maxsize=8)
def narrow_objective(problem: Problem) -> FactorObjective:
    """The objective at width 2K on one column per class."""
    return FactorObjective(problem, True, tuple(min(d, 2 * problem.K) for d in problem.widths))


def class_frames(objective: FactorObjective, x):
    """(class features sqrt(n) H (d, K), spread within classes, [Q_1, ..., Q_L]) of flat factors."""
    problem = objective.problem
    H, *W = objective.unpack(x)[0]
    means = H @ (problem.samples.Y.T / problem.counts)
    spread = np.linalg.norm(H - means[:, problem.labels])
    forward, back, frames = means * np.sqrt(problem.counts), W[-1].T, []
    pullbacks = [back]
    for A in W[-2::-1]:
        back = A.T @ back
        pullbacks.insert(0, back)
    features = [forward]
    for A in W[:-1]:
        features.append(A @ features[-1])
    for feature, pullback in zip(features, pullbacks, strict=True):
        both = np.hstack([feature / np.linalg.norm(feature), pullback / np.linalg.norm(pullback)])
        frames.append(np.linalg.svd(both, full_matrices=False)[0][:, : 2 * problem.K])
    return forward, spread, frames


def remnant(objective: FactorObjective, x) -> float:
    """The largest share of a factor that the change to width 2K leaves out but for the part both of whose sides lie
    outside."""
    H, *W = objective.unpack(x)[0]
    _, spread, Q = class_frames(objective, x)
    parts = [spread / np.linalg.norm(H)]
    for A, before, after in zip(W[:-1], Q[:-1], Q[1:], strict=True):
        inside = after.T @ A @ before
        across = np.hypot(np.linalg.norm(A @ before - after @ inside), np.linalg.norm(after.T @ A - inside @ before.T))
        parts.append(across / np.linalg.norm(inside))
    return float(max(parts))


def narrowed(objective: FactorObjective, x) -> np.ndarray:
    """(Q_1' H_1, Q_2' W_1 Q_1, ..., W_L Q_L) on class columns, as a flat vector of `narrow_objective`."""
    _, *W = objective.unpack(x)[0]
    H, _, Q = class_frames(objective, x)
    inner = [after.T @ A @ before for A, before, after in zip(W[:-1], Q[:-1], Q[1:], strict=True)]
    return narrow_objective(objective.problem).pack([Q[0].T @ H, *inner, W[-1] @ Q[-1]])


def _end(problem: Problem, objective: FactorObjective, x, steps: int) -> End:
    if x is None:
        return End(np.inf, np.inf, steps, "diverged", -1, None, False, None, None, None, None, [], [])
    fun, grad = objective.value_grad(x)
    point = objective.to_logits(x, collapse=True, tol=1e-12)
    M = centred(point.class_logits())
    named, polished = name_end(point)
    signature = classify(polished, extremes=False) if polished is not None else None
    apart = (
        None
        if polished is None
        else float(np.linalg.norm(centred(polished.class_logits()) - M) / max(np.linalg.norm(M), 1e-300))
    )
    grad_norm = float(np.linalg.norm(grad))
    found = (None, None, None) if signature is None else (signature.fun, signature.status, signature.index)
    return End(
        float(fun),
        grad_norm,
        steps,
        named.name,
        named.rank,
        apart,
        polished is not None,
        *found,
        named.distance,
        M.tolist(),
        point.s.tolist(),
    )


def name_end(point: LogitPoint) -> tuple[Identity, LogitPoint | None]:
    """(the name of the critical point next to an end of descent, that point); (the end's own name, None) where Newton
    finds none near it."""
    M = centred(point.class_logits())
    size = np.linalg.norm(M)
    if size <= 1e-6:
        empty = np.zeros((point.problem.K, 0))
        zero = LogitPoint(point.problem, empty, np.zeros(0), empty, name="zero")
        return identify(zero), zero
    for level in (1e-9, 1e-6, 1e-4, 1e-3, 1e-2):
        keep = point.s > level * point.s[0]
        start = LogitPoint(point.problem, point.U[:, keep], point.s[keep], point.right[:, keep])
        here, _, _ = newton_on_stratum(start, tol=1e-12)
        end = here.point
        if (
            here.grad_norm <= 1e-9 * max(here.ridge_norm, 1e-300)
            and np.linalg.norm(centred(end.class_logits()) - M) <= NEAR * size
        ):
            named = identify(end)
            return named, replace(end, name=named.name)
    return identify(point.class_logits()), None


def centred(M: np.ndarray) -> np.ndarray:
    """Logits without the mean of every column, which cross-entropy does not see."""
    return M - M.mean(axis=0)


def spectra(point: FactorPoint, most: int) -> list[list[float]]:
    """Leading singular values of H_1, ..., H_L, the inputs of every weight."""
    return [np.linalg.svd(H, compute_uv=False)[:most].tolist() for H in point.layers()]
