"""Zhu et al.: the plain model with cross-entropy, with or without a bias, collapses; its landscape has one value."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import SIDES, benign, class_product, global_value, minimum, softmax_loss, spread_lam
from ufm.objectives.logits import value
from ufm.solvers.multistart import multistart

TOL = 1e-9
"""Of numbers of size 1: values, scales and norms of a converged descent."""


def problem_of(case):
    """K classes of n samples, width K + more, weights (lam spread, lam/spread)."""
    return case.problem(d=case.K + case.more, lam=spread_lam(case))


def scale(K: int, n: float, c: float, bigger: float = 1.0) -> float:
    """alpha = log(1/(sqrt(n) c) - (K - 1)), or 0 where K sqrt(n) c >= 1. `bigger` other than 1 falsifies it."""
    inner = bigger / (math.sqrt(n) * c) - (K - 1)
    return math.log(inner) if inner > 1 else 0.0


def loss(K: int, n: float, c: float, alpha: float) -> float:
    """log(1 + (K-1) e^-alpha) + c (K-1) alpha sqrt(n)."""
    return softmax_loss(alpha, K - 1) + c * (K - 1) * alpha * math.sqrt(n)


def check(case):
    """The closed form against the end of a descent, the proved minimum and, up to K = 5, a convex programme."""
    problem = problem_of(case)
    K, n, c, lam_H, lam_W = case.K, problem.N / problem.K, problem.Lam, problem.lams[0], problem.lams[-1]
    alpha = scale(K, n, c, case.get("bigger", 1.0))
    F, point = loss(K, n, c, alpha), minimum(problem, case.rng)
    yield Evidence(value(point), "==", F, TOL, note="value")
    yield from global_value(problem, F, TOL, solve=K <= 5 and not case.planted)
    Z = class_product(point)
    yield Evidence(np.max(np.abs(Z - alpha * (np.eye(K) - 1 / K))), "==", 0.0, 1e-7, note="Z = alpha S")
    H, *_, W = point.lift().factors
    size = (K - 1) * alpha * math.sqrt(n)
    yield Evidence(np.sum(W * W), "==", size * math.sqrt(lam_H / lam_W), 1e-6 * (1 + size), note="|W|^2")
    yield Evidence(np.sum(H * H), "==", size * math.sqrt(lam_W / lam_H), 1e-6 * (1 + size), note="|H|^2")
    if problem.bias is not None:
        b = point.b if problem.bias > 0 else point.b - np.mean(point.b)
        yield Evidence(np.max(np.abs(b)), "==", 0.0, 1e-7, note="b = 0, up to a constant where it costs nothing")


def check_threshold(case):
    """One percent on either side of K sqrt(n) c = 1: the scale found, and that nothing is left above."""
    for side in SIDES:
        c = (1 + side) * case.get("bigger", 1.0) / (case.K * math.sqrt(case.n))
        problem = problem_of(case.but(lam=c))
        Z = class_product(minimum(problem, case.rng))
        found, note = float(np.mean(np.diag(Z)) * case.K / (case.K - 1)), f"alpha at K sqrt(n) c = {1 + side:g}"
        if side < 0:
            yield Evidence(found, ">", 0.005, 1e-6, note=note)
        else:
            yield Evidence(abs(found), "<", 1e-6, 1e-7, note=note)


def check_landscape(case):
    """Random starts, over all samples and at full width: the values at which they come to rest; and what critical
    points above the minimum are."""
    problem = problem_of(case)
    runs = multistart(problem, case.starts, case.rng, space="factors", progress=False)
    values = [r.fun for r in runs if r.success]
    yield Evidence(len(values), "==", case.starts, 0, "sampled", "converged", error=case.starts - len(values))
    if not values:
        return
    F = loss(case.K, case.n, problem.Lam, scale(case.K, case.n, problem.Lam))
    yield Evidence(
        max(values) - min(values), "<", TOL, TOL / 10, "sampled", "spread of the values at which descents converged"
    )
    yield Evidence(min(values), "==", F, TOL, "sampled", "the closed form")
    yield from benign(problem, F, case.starts, case.rng, case.get("saddle", "strict saddle"))


PLAIN = {"balanced": lambda c: isinstance(c.n, int), "L = 1": lambda c: c.L == 1, "d >= K - 1": lambda c: c.more >= -1}

CLAIMS = (
    Claim(
        id="related:zhu21-minimum",
        title="The plain model collapses: its minimum in closed form",
        statement=(
            "L = 1, cross-entropy, n samples per class, c = sqrt(lam_H lam_W), a bias of any weight lam_b >= 0 or none,"
            " d >= K - 1: the global minimum has Z = alpha S (x) 1_n', alpha = log(1/(c sqrt(n)) - (K - 1)), or 0 iff K"
            " sqrt(n) c >= 1; b = 0 (b in span(1) if lam_b = 0); |W|^2 = (K-1) alpha sqrt(n lam_H/lam_W); F = log(1 +"
            " (K-1) e^-alpha) + c (K-1) alpha sqrt(n)."
        ),
        source="zhu21, global minimum",
        hypotheses=PLAIN,
        check=check,
        cases=[
            *grid(
                K=[2, 3, 5],
                n=[1, 4],
                L=1,
                more=[-1, 2],
                lam=[0.3, 1e-2, 1e-5],
                spread=[1.0, 4.0],
                bias=[None, 0.0, 0.1],
                rng=0,
            )[::7],
            *grid(K=[10, 20], n=[1, 50], L=1, more=0, lam=1e-3, spread=2.0, bias=[None, 1.0], rng=1)[::2],
        ],
        controls=[
            Case(K=4, n=2, L=1, more=-2, lam=1e-2, spread=1.0, bias=None, rng=0),
            Case(K=4, n=2, L=2, more=0, lam=1e-2, spread=1.0, bias=None, rng=0),
            Case(K=4, n=(3, 1, 1, 3), L=1, more=0, lam=1e-2, spread=1.0, bias=None, rng=0),
            planted(
                "sqrt(lam_H lam_W) is one percent smaller",
                K=4,
                n=2,
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                bias=0.1,
                rng=0,
                bigger=1.01,
            ),
        ],
        scope="the paper gives the scale by its stationarity condition; its solution in logarithms is used here",
    ),
    Claim(
        id="related:zhu21-threshold",
        title="The plain model is nonzero exactly for K sqrt(n) c < 1",
        statement=(
            "As related:zhu21-minimum: one percent below K sqrt(n lam_H lam_W) = 1 the minimum is a small simplex"
            " frame, one percent above it is zero."
        ),
        source="zhu21, global minimum",
        hypotheses=PLAIN,
        check=check_threshold,
        cases=grid(K=[2, 3, 6], n=[1, 7], L=1, more=[-1, 1], spread=[1.0, 3.0], bias=[None, 0.2], rng=0)[::11],
        controls=[
            planted(
                "the threshold is two percent higher", K=4, n=3, L=1, more=0, spread=1.0, bias=None, rng=0, bigger=1.02
            ),
            planted(
                "the threshold is two percent lower", K=4, n=3, L=1, more=0, spread=1.0, bias=None, rng=0, bigger=0.98
            ),
        ],
        uses=("related:zhu21-minimum",),
    ),
    Claim(
        id="related:zhu21-benign",
        title="Every descent of the plain model ends at the one value",
        statement=(
            "L = 1, cross-entropy, d >= K: every critical point is a global minimum or a strict saddle, so that"
            " descents from random starts end at one value."
        ),
        source="zhu21, landscape",
        hypotheses={
            "balanced": lambda c: isinstance(c.n, int),
            "L = 1": lambda c: c.L == 1,
            "d >= K": lambda c: c.more >= 0,
        },
        check=check_landscape,
        cases=[
            *grid(
                K=[2, 4], n=[1, 3], L=1, more=[0, 3], lam=[2e-2, 1e-3], spread=1.0, bias=[None, 0.1], rng=0, starts=6
            )[::2],
            Case(K=8, n=2, L=1, more=2, lam=1e-2, spread=3.0, bias=0.5, rng=1, starts=6),
        ],
        controls=[
            Case(K=6, n=1, L=1, more=-3, lam=1e-3, spread=1.0, bias=None, rng=0, starts=20),
            Case(K=4, n=1, L=2, more=0, lam=1e-2, spread=1.0, bias=None, rng=0, starts=20),
            planted(
                "saddles are taken for local minima",
                K=4,
                n=1,
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                bias=None,
                rng=0,
                starts=6,
                saddle="local minimum",
            ),
        ],
        uses=("related:zhu21-minimum",),
        scope=(
            "the paper's theorem is for d > K; ends of descents from random starts, and critical points of every rank"
            " that Newton's method met"
        ),
    ),
)
