"""What the claims about the plain model (L = 1) share: its minimum, found by descent, by a convex programme, and
between proved bounds.

With width at least K the model is the convex problem  min g(Z, b) + c |Z|_* + (bias/2)|b|^2,  c = Lam = sqrt(lam_H
lam_W), so that every minimum found by one way must be that of the others. Statements are in our notation and with
constants of our own; the papers named in `source` are their origin, and their numbering is not used.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np

from theory.claim import Evidence
from theory.related.deep_tools import newton_points
from theory.strength import global_proof
from ufm.critical.classify import classify
from ufm.objectives.logits import Stratum, value
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures import zero

SOLVER = 2e-6
"""How far the convex programme's value may be off: 1e-8 of the size of its terms, with room."""
MINIMUM = 1e-9
"""Of F, and at least of 1: so near the minimum a critical point counts as one."""
SIDES = (-0.01, 0.01)
"""Relative distances from a threshold at which both its sides are looked at."""


def spread_lam(case) -> tuple[float, ...]:
    """(lam_H, lam_W) = (lam spread, lam/spread), of geometric mean lam; lam for the layers between, where L > 1."""
    return case.lam * case.spread, *[case.lam] * (case.L - 1), case.lam / case.spread


@functools.lru_cache(2048)
def minimum(problem: Problem, rng: int = 0) -> LogitPoint:
    """The end of a descent from a random start, to a gradient far below the ridge weights; a saddle of the convex
    problem is not taken for one.

    Where it ends elsewhere, as with ridge weights far apart, a second descent starts from the minimum with both weights
    Lam. RuntimeError where that does not end at a minimum either.
    """
    tol = min(1e-12, 1e-4 * min(problem.lams))
    start = None
    for _ in range(2):
        end = minimize(problem, start=start, rng=rng, tol=tol, space="reduced")
        if end.grad_norm <= 10 * tol and not is_saddle(end.logit_point()):
            return end.logit_point()
        if len(set(problem.lams)) == 1:
            break
        start = minimum(replace(problem, lam=problem.Lam), rng)
    raise RuntimeError(f"no minimum reached; the last descent: {end.message}")


def is_saddle(point: LogitPoint) -> bool:
    """Whether a critical point of the convex problem (L = 1, width >= K) is not its minimum: the fit pulls somewhere
    with more than Lam."""
    problem = point.problem
    convex = problem.L == 1 and problem.loss.convex and problem.max_rank == problem.K
    return convex and float(np.linalg.norm(Stratum(point).G, 2)) > problem.Lam * (1 + 1e-4)


def saddles(problem: Problem, tries: int, rng: int) -> list[LogitPoint]:
    """Critical points that no descent chose: zero, and ends of Newton runs on the strata from random matrices of random
    rank, one for each value."""
    found = {}
    for point in (zero(problem), *newton_points(problem, tries, rng, 2.0)):
        found.setdefault(round(value(point), 9), point)
    return list(found.values())


def benign(problem: Problem, minimum: float, tries: int, rng: int, saddle: str = "strict saddle"):
    """Evidence that every critical point met costs `minimum` or is a strict saddle. `saddle` names another status, and
    falsifies it."""
    tol = MINIMUM * max(1.0, abs(minimum))
    for point in saddles(problem, tries, rng):
        excess = value(point) - minimum
        if abs(excess) <= tol:
            continue
        found = classify(point, extremes=False)
        decided = 0.0 if found.status != "degenerate" else math.inf
        note = f"rank {point.rank}, {excess:.3g} above the minimum: {found.status}, index {found.index}"
        yield Evidence(int(found.status == saddle), "==", 1, 0, "float", note, error=decided)


def class_product(point: LogitPoint) -> np.ndarray:
    """W H per class, (K, K): logits without the bias."""
    return point.class_logits() - (0.0 if point.b is None else point.b[:, None])


def proved(problem: Problem) -> tuple[float, float] | None:
    """An interval proved to hold the global minimum of the convex problem; None without the extra [certify] or where
    nothing is proved."""
    found = global_proof(problem)
    if found is None or not found.holds:
        return None
    low, high = (found.data.get(name) for name in ("lower", "upper"))
    return (float(low), float(high or low)) if low else None


def global_value(problem: Problem, value: float, tol: float, solve: bool = True):
    """Evidence that `value` is the global minimum: inside the proved interval, widened by tol, and that of the convex
    programme (`solve`)."""
    if problem.L > 1:
        return
    interval = proved(problem)
    if interval is not None:
        yield Evidence(
            value, "in", (interval[0] - tol, interval[1] + tol), 0.0, note="the proved interval of the global minimum"
        )
    if solve or interval is None:
        from ufm.certificates.convex import convex_minimum

        wide = replace(problem, d=max(problem.K, *problem.widths))
        yield Evidence(convex_minimum(wide)[0], "==", value, SOLVER, note="the convex programme")


def softmax_loss(margin: float, others: int) -> float:
    """log(1 + others e^-margin)."""
    return math.log1p(others * math.exp(-margin))
