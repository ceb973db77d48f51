"""Zhou et al. 2022b: label smoothing keeps the simplex, with a scale in closed form and a threshold of its own."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import SIDES, benign, class_product, global_value, minimum, spread_lam
from ufm.objectives.logits import value
from ufm.solvers.multistart import multistart

TOL = 1e-9


def problem_of(case):
    """L = 1, cross-entropy with smoothing delta, K classes of n samples, width K + more."""
    return case.problem(
        d=case.K + case.more, loss=f"label_smoothing({case.delta!r})" if case.delta else "ce", lam=spread_lam(case)
    )


def scale(K: int, n: float, c: float, delta: float, bigger: float = 1.0) -> float:
    """alpha with e^alpha = (1 + (K-1) eta)/(1 - eta), eta = 1 - delta - K sqrt(n) c, and 0 where eta <= 0. `bigger`
    falsifies delta."""
    eta = 1 - bigger * delta - K * math.sqrt(n) * c
    return math.log((1 + (K - 1) * eta) / (1 - eta)) if eta > 0 else 0.0


def loss(K: int, n: float, c: float, delta: float, alpha: float) -> float:
    """log(1 + (K-1) e^-alpha) + delta (K-1) alpha/K + c (K-1) alpha sqrt(n)."""
    return math.log1p((K - 1) * math.exp(-alpha)) + (K - 1) * alpha * (delta / K + c * math.sqrt(n))


def check(case):
    """The closed form against the end of a descent, the proved minimum and, up to K = 4, a convex programme."""
    problem = problem_of(case)
    K, n, c = case.K, problem.N / case.K, problem.Lam
    alpha = scale(K, n, c, case.delta, case.get("bigger", 1.0))
    F, point = loss(K, n, c, case.delta, alpha), minimum(problem, case.rng)
    yield Evidence(value(point), "==", F, TOL, note="value")
    yield from global_value(problem, F, TOL, solve=K <= 4 and not case.planted)
    yield Evidence(
        np.max(np.abs(class_product(point) - alpha * (np.eye(K) - 1 / K))), "==", 0.0, 1e-7, note="Z = alpha S"
    )


def check_threshold(case):
    """One percent of K sqrt(n) c on either side of 1 - delta."""
    K, n = case.K, case.n
    for side in SIDES:
        c = (1 + side) * (1 - case.delta) * case.get("bigger", 1.0) / (K * math.sqrt(n))
        Z = class_product(minimum(problem_of(case.but(lam=c)), case.rng))
        found, note = float(np.max(np.abs(Z))), f"largest logit at K sqrt(n) c = {1 + side:g} (1 - delta)"
        yield (
            Evidence(found, ">", 2e-3 * (1 - case.delta), 1e-6, note=note)
            if side < 0
            else Evidence(found, "<", 1e-6, 1e-7, note=note)
        )


def check_landscape(case):
    """Random starts over all samples at full width, and what critical points above the minimum are."""
    problem = problem_of(case)
    runs = multistart(problem, case.starts, case.rng, space="factors", progress=False)
    F = loss(
        case.K, problem.N / case.K, problem.Lam, case.delta, scale(case.K, problem.N / case.K, problem.Lam, case.delta)
    )
    values = [r.fun for r in runs if r.success]
    yield Evidence(len(values), "==", case.starts, 0, "sampled", "converged", error=case.starts - len(values))
    if not values:
        return
    yield Evidence(max(values), "==", F, TOL, "sampled", "highest end")
    yield Evidence(min(values), "==", F, TOL, "sampled", "lowest end")
    yield from benign(problem, F, case.starts, case.rng, case.get("saddle", "strict saddle"))


HYPOTHESES = {
    "balanced": lambda c: isinstance(c.n, int),
    "L = 1": lambda c: c.L == 1,
    "d >= K": lambda c: c.more >= 0,
    "0 <= delta < 1": lambda c: 0 <= c.delta < 1,
}

CLAIMS = (
    Claim(
        id="related:zhou22b-label-smoothing",
        title="Label smoothing: the same simplex at a smaller scale",
        statement=(
            "L = 1, cross-entropy with smoothing delta, balanced, d >= K, any bias weight or none: the minimum is alpha"
            " S (x) 1_n' with e^alpha = (1 + (K-1) eta)/(1 - eta), eta = 1 - delta - K sqrt(n lam_H lam_W), and zero"
            " iff eta <= 0; b = 0."
        ),
        source="zhou22b, global minimum (the scale in closed form is added here)",
        hypotheses=HYPOTHESES,
        check=check,
        cases=[
            *grid(
                K=[2, 3, 4],
                n=[1, 4],
                L=1,
                more=[0, 2],
                lam=[0.1, 1e-2, 1e-4],
                spread=[1.0, 3.0],
                bias=[None, 0.1],
                delta=[0.0, 0.05, 0.5],
                rng=0,
            )[::17],
            *grid(K=10, n=5, L=1, more=0, lam=1e-3, spread=2.0, bias=[None, 0.0], delta=[0.1, 0.9], rng=1),
        ],
        controls=[
            Case(K=4, n=2, L=1, more=-2, lam=1e-3, spread=1.0, bias=None, delta=0.1, rng=0),
            Case(K=4, n=2, L=2, more=0, lam=1e-3, spread=1.0, bias=None, delta=0.1, rng=0),
            Case(K=4, n=(3, 1, 1, 3), L=1, more=0, lam=1e-3, spread=1.0, bias=None, delta=0.1, rng=0),
            planted(
                "delta is one percent larger",
                K=4,
                n=2,
                L=1,
                more=0,
                lam=1e-3,
                spread=1.0,
                bias=None,
                delta=0.1,
                rng=0,
                bigger=1.01,
            ),
        ],
        uses=("related:zhu21-minimum",),
    ),
    Claim(
        id="related:zhou22b-threshold",
        title="Label smoothing: nonzero exactly for K sqrt(n lam_H lam_W) < 1 - delta",
        statement=(
            "As related:zhou22b-label-smoothing: one percent below the threshold a small simplex, one percent above"
            " zero."
        ),
        source="zhou22b, global minimum (the threshold is added here)",
        hypotheses=HYPOTHESES,
        check=check_threshold,
        cases=grid(K=[2, 3, 6], n=[1, 5], L=1, more=0, spread=1.0, bias=[None, 0.1], delta=[0.1, 0.6], rng=0)[::5],
        controls=[
            planted(
                "the threshold is two percent lower",
                K=4,
                n=2,
                L=1,
                more=0,
                spread=1.0,
                bias=None,
                delta=0.3,
                rng=0,
                bigger=0.98,
            )
        ],
        uses=("related:zhou22b-label-smoothing",),
    ),
    Claim(
        id="related:zhou22b-benign",
        title="Label smoothing: every descent ends at the one value",
        statement=(
            "As related:zhou22b-label-smoothing: critical points are global minima or strict saddles, so that descents"
            " from random starts end at one value."
        ),
        source="zhou22b, landscape",
        hypotheses=HYPOTHESES,
        check=check_landscape,
        cases=[
            *grid(
                K=[2, 4],
                n=[1, 3],
                L=1,
                more=[0, 2],
                lam=[2e-2, 1e-3],
                spread=1.0,
                bias=None,
                delta=[0.1, 0.5],
                rng=0,
                starts=6,
            )[::3],
            Case(K=7, n=2, L=1, more=1, lam=1e-3, spread=2.0, bias=0.1, delta=0.2, rng=1, starts=6),
        ],
        controls=[
            Case(K=6, n=1, L=1, more=-3, lam=1e-3, spread=1.0, bias=None, delta=0.1, rng=0, starts=20),
            Case(K=4, n=1, L=2, more=0, lam=1e-2, spread=1.0, bias=None, delta=0.1, rng=0, starts=20),
            planted(
                "saddles are taken for minima",
                K=4,
                n=1,
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                bias=None,
                delta=0.1,
                rng=0,
                starts=6,
                saddle="local minimum",
            ),
        ],
        uses=("related:zhou22b-label-smoothing",),
        scope="ends of descents from random starts, and critical points of every rank that Newton's method met",
    ),
)
