"""Proposition 1: what collapse looks like in every layer."""

from __future__ import annotations

import functools

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm import structures
from ufm.objectives.factors import objective_of
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize

TOL = 1e-9
"""Of all distances below, which are relative to the norm of what they compare; rounding gives 1e-14."""
ENDS = 1e-12
"""Gradient at which a descent ends; the curvatures it has left are of size lam, so that it ends within about ENDS /
lam."""


def problem_of(case) -> Problem:
    """Widths K + more; ridge weights lam spread^(2l/L - 1), l = 0, ..., L, whose geometric mean is lam."""
    lam = [case.lam * case.spread ** (2 * l / case.L - 1) for l in range(case.L + 1)]
    return case.problem(d=case.K + case.more, lam=lam)


def factors(case) -> FactorPoint:
    """The lift of a structure with random frames; `descent`: where a descent from 1% beside the lift of dnc ends."""
    problem = problem_of(case)
    if case.point != "descent":
        return structures.catalogue(problem)[case.point]().lift(rng=case.rng)
    start, draw = structures.dnc(problem).lift(rng=case.rng), np.random.default_rng(case.rng)
    near = [A + 0.01 * np.linalg.norm(A) * draw.standard_normal(A.shape) / np.sqrt(A.size) for A in start.factors]
    return minimize(problem, start=FactorPoint(problem, tuple(near)), space="factors", tol=ENDS).point


def collapse(point: FactorPoint) -> dict[str, list[float]]:
    """Distances from DNC1-3 in every layer l = 1, ..., L, with M_l the class means of the features H_l (d_l, N).

    within: |H_l - M_l (x) 1'| / |H_l|;  mean: |sum_c m_c| / |M_l|;  simplex: |M_l'M_l/|M_l'M_l| - S/sqrt(K-1)|;
    rows: |W_l (1 - projector on the columns of M_l)| / |W_l|;  aligned: W_l against M_{l+1} M_l', W_L against M_L', as
    directions.
    """
    problem, found = point.problem, {"within": [], "mean": [], "simplex": [], "rows": [], "aligned": []}
    K, share = problem.K, problem.samples.Y.T / problem.counts
    S = (np.eye(K) - 1 / K) / np.sqrt(K - 1)
    means = [H @ share for H in point.layers()]
    for l, (H, M, W) in enumerate(zip(point.layers(), means, point.factors[1:], strict=True)):
        found["within"].append(np.linalg.norm(H - M[:, problem.labels]) / np.linalg.norm(H))
        found["mean"].append(np.linalg.norm(M.sum(axis=1)) / np.linalg.norm(M))
        found["simplex"].append(np.linalg.norm(M.T @ M / np.linalg.norm(M.T @ M) - S))
        found["rows"].append(np.linalg.norm(W - W @ M @ np.linalg.pinv(M, rcond=1e-6)) / np.linalg.norm(W))
        target = means[l + 1] @ M.T if l + 1 < len(means) else M.T
        found["aligned"].append(np.linalg.norm(W / np.linalg.norm(W) - target / np.linalg.norm(target)))
    return found


def check(case):
    """The gradient in factor space, then the five distances in every layer."""
    point = factors(case)
    if case.get("twisted"):
        W = list(point.factors)
        W[-1] = W[-1][np.roll(np.arange(case.K), 1)]
        point = FactorPoint(point.problem, tuple(W))
    objective, x = objective_of(point)
    tol = max(TOL, ENDS / case.lam) if case.point == "descent" else TOL
    yield Evidence(
        float(np.linalg.norm(objective.value_grad(x)[1])), "<=", 0.1 * TOL, 0.0, note="gradient in factor space"
    )
    for name, distances in collapse(point).items():
        for l, distance in enumerate(distances, 1):
            yield Evidence(float(distance), "==", 0, tol, note=f"{name}, layer {l}")


@functools.lru_cache(4096)
def exists(case) -> bool:
    """Whether DNC exists at the case."""
    try:
        structures.dnc(problem_of(case))
    except ValueError:
        return False
    return True


@functools.lru_cache(4096)
def at_simplex(case) -> bool:
    """Whether a descent ended at Z proportional to S; where DNC is a saddle it may leave."""
    if case.point != "descent":
        return True
    Z = factors(case).to_logits(rel_tol=1e-6).class_logits()
    return np.linalg.norm(Z / np.linalg.norm(Z) - (np.eye(case.K) - 1 / case.K) / np.sqrt(case.K - 1)) < 1e-6


CLAIM = Claim(
    id="gk25:prop1",
    title="The DNC point collapses in every layer, with zero global means",
    statement=(
        "Factors with Z = a S (x) 1_n' that are critical have, in each layer l = 1..L: no variation within classes"
        " (DNC1); class means of mean zero that form a simplex equiangular tight frame (DNC2); W_l a multiple of"
        " M_{l+1} M_l', and W_L of M_L', so that its rows lie in the span of the means (DNC3)."
    ),
    source="gk25, Proposition 1",
    hypotheses={
        "two roots: L >= 2 for the small one": lambda c: c.point != "dnc(small)" or c.L >= 2,
        "the point is dnc, or the end of a descent beside it": lambda c: c.point in ("dnc", "dnc(small)", "descent"),
        "dnc exists at (K, n, L, lam), and d >= K - 1": exists,
        "Z = a S (x) 1_n' at the end of a descent": lambda c: exists(c) and at_simplex(c),
    },
    check=check,
    cases=[
        *grid(
            K=[2, 3, 4, 10],
            n=[1, 3],
            L=[1, 2, 5],
            lam=[5e-3, 1e-4],
            spread=[1.0, 3.0],
            more=[-1, 2],
            rng=0,
            point="dnc",
        ),
        *grid(K=[3, 5], n=2, L=[2, 4], lam=[1e-3], spread=2.0, more=1, rng=0, point="dnc(small)"),
        *grid(K=[3, 4], n=2, L=[1, 2], lam=[1e-3], spread=[1.0, 2.0], more=1, rng=[0, 1], point="descent"),
    ],
    controls=[
        *[
            Case(K=K, n=2, L=2, lam=1e-3, spread=1.0, more=0, rng=0, point=point)
            for K, point in [(4, "pairs"), (6, "pairs"), (5, "pairs+apex"), (4, "blocks(2,1,1)")]
        ],
        planted(
            "the rows of W_L are permuted",
            K=4,
            n=2,
            L=3,
            lam=1e-3,
            spread=1.0,
            more=0,
            rng=0,
            point="dnc",
            twisted=True,
        ),
    ],
    uses=("gk25:lemma1",),
    scope=(
        "lifts with random frames at the declared parameters (every balanced critical point is one, by Lemma 1), and"
        " end points of descents beside them"
    ),
)
