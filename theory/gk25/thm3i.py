"""Theorem 3 (i): where the ridge weight falls more slowly than 1/L, everything dies faster than exponentially in L."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.gk25.lowest import code, lowest, ray_minimum, schedule, spread_counts
from ufm.objectives.fit import Fit
from ufm.points import LogitPoint
from ufm.problem import Problem

SEARCHED = 16
"""Descents are run up to this depth; beyond, the codes' own rays are searched."""


def problem_of(case) -> Problem:
    """lam_L = c L^-alpha; n samples in the smallest class, n R in the largest."""
    return Problem(
        K=case.K, n=spread_counts(case.K, case.n, case.get("R", 1)), L=case.L, lam=schedule(case.L, case.c, case.alpha)
    )


def last_depth(case) -> float:
    """L_r: beyond it (1/2) log(2 log K / ((L+1) lam_L)) <= -rate, so that the bound is below exp(-rate L); inf where
    alpha >= 1.

    The left side falls in L from alpha/(1 - alpha) on, so that the first L after that which satisfies it settles it.
    """

    def settled(L):
        return 0.5 * math.log(2 * math.log(case.K) / ((L + 1) * schedule(L, case.c, case.alpha))) <= -case.rate

    low = 0 if case.alpha <= 0 else math.ceil(case.alpha / (1 - case.alpha)) if case.alpha < 1 else math.inf
    high = low + 1
    while high < 1e15 and not settled(high):
        low, high = high, 2 * high
    while high < 1e15 and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return low if high < 1e15 else math.inf


def found(problem: Problem, rng) -> tuple[int, float]:
    """(rank, log of the largest singular value, -inf for 0) of the lowest point found."""
    if problem.L <= SEARCHED:
        point: LogitPoint = lowest(problem, rng)
        return point.rank, math.log(point.s[0]) if point.rank else -math.inf
    best = (math.log(problem.K), 0, -math.inf)
    frames = [np.array([[1.0, -1.0]])] if problem.K == 2 else [code(problem.K, r) for r in (2, problem.K)]
    for X in frames:
        Z = (X.T @ X)[:, problem.labels]
        fun, a = ray_minimum(problem, Z, len(X))
        best = min(best, (fun, len(X), math.log(a * np.linalg.norm(Z, 2)) if a else -math.inf))
    return (best[1], best[2]) if best[2] > -math.inf else (0, -math.inf)


def dearer(problem: Problem, rate: float, weight: float = 1.0) -> tuple[float, float]:
    """(least F - log K, its log s_1) on the rays of the polygon and the simplex where s_1 >= exp(-rate L). `weight`
    times lam falsifies it.

    The penalty is taken in logarithms, for s_1 may be far below what a float can hold; Z itself is then zero to
    rounding.
    """
    K, D, fit, found = problem.K, problem.D, Fit.of(problem, False), []
    X = code(K, 2)
    for Z, rank in ((np.eye(K) - 1 / K, K - 1), *([(X.T @ X, 2)] if K > 2 else [])):
        Z = Z[:, problem.labels]
        s = np.linalg.svd(Z, compute_uv=False)[:rank]
        for size in np.linspace(-rate * problem.L, 12.0, 60):
            penalty = 0.5 * D * weight * problem.Lam * float(np.sum(np.exp((2 / D) * (size + np.log(s / s[0])))))
            found.append((float(fit.value(math.exp(size) / s[0] * Z)) + penalty - math.log(K), float(size)))
    return min(found)


def check(case):
    """No point with a singular value above exp(-rate L) costs less than zero, on two rays; and log s_max / L of the
    lowest point found.

    The proof: the penalty of such a point is at least (D lam/2) exp(-2 rate), and log K is the cost of zero. Where D
    lam >= 2 log K a minimiser has s <= 1; then s^(2/D) >= s and F(Z) - F(0) >= (D lam/2 - |grad g(0)|_2) |Z|_*, which
    is positive because |grad g(0)|_2 is at most sqrt((1 - 1/K)/N) < log K: zero is the only global minimum.
    """
    problem = problem_of(case)
    least, size = dearer(problem, case.rate, case.get("weight", 1.0))
    note = f"F - F(0) where s_1 >= exp(-rate L), least at log s_1 = {size:.4g}; L_r = {last_depth(case)}"
    yield Evidence(least, ">", 0.0, 1e-12, "sampled", note)
    rank, size = found(problem, case.rng)
    yield Evidence(size / case.L, "<=", -case.rate, 1e-9, "sampled", "lowest point found")
    if problem.D * problem.Lam >= 2 * math.log(case.K):
        yield Evidence(
            rank, "<", 1, 0, "sampled", "the lowest point found is zero, as it must be where D lam >= 2 log K"
        )


HYPOTHESES = {
    "1/lam_L = o(L): alpha < 1": lambda c: c.alpha < 1,
    "L > L_r": lambda c: c.L > last_depth(c),
}
STATEMENT = (
    "If 1/lam_L = o(L), every singular value of the global minimisers is 0 or falls faster than exponentially: for each"
    " rate r there is L_r with s <= exp(-r L) for L > L_r. Here lam_L = c L^-alpha, and L_r is the last L with (L+1)"
    " lam_L < 2 log K e^(2r). More is true: zero is the only global minimum once (L+1) lam_L >= 2 log K."
)
CASES = [
    case
    for case in grid(
        K=[2, 3, 4, 7, 10], n=[1, 3], L=[12, 80, 1000], c=[0.3, 2.0], alpha=[0.0, 0.5], rate=[0.1, 1.0], rng=0
    )
    if all(holds(case) for holds in HYPOTHESES.values())
]
CONTROLS = [
    *grid(K=[4, 7], n=1, L=12, c=0.05, alpha=[1.0, 2.0], rate=0.1, rng=0),
    *grid(K=4, n=1, L=[2, 5], c=0.02, alpha=0.5, rate=0.1, rng=0),
]

LIGHT = {"K": 4, "n": 1, "L": 80, "c": 0.3, "alpha": 0.0, "rate": 1.0, "rng": 0, "weight": 0.02}

CLAIM = Claim(
    id="gk25:thm3i",
    title="1/lam_L = o(L): the singular values of the global minimum vanish superexponentially",
    statement=STATEMENT,
    source="gk25, Theorem 3 (i)",
    hypotheses=HYPOTHESES,
    check=check,
    cases=CASES,
    controls=[*CONTROLS, planted("lam in the penalty is a fiftieth of what it is", **LIGHT)],
    uses=("gk25:lemma1",),
    scope=(
        "lam_L = c L^-alpha at the declared rates; proved there for every minimiser by the a-priori bound, and seen at"
        " the lowest point of a search"
    ),
)
