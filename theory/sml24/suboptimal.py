"""Explicit strongly regular weights below every collapsed point, for all ridge weights at which zero is not the
minimum."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml24 import chains
from theory.sml24.rho import below_one, number, power
from ufm.numerics.graphs import complete
from ufm.objectives.factors import value
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse

ROUNDING, SLACK = 1e-12, 1e-9
"""Relative: of F; what an upper bound that is nearly attained at small lam is given."""


def order_of(K: int, L: int) -> int:
    """r of the code: 6 classes with r = 4 or 10 with r = 5, the larger where both serve."""
    return 5 if K >= 10 else 4


def stated(K: int, L: int) -> bool:
    return (K >= 6 and L >= 4) or (K >= 10 and L == 3)


def problem_of(case) -> Problem:
    """The ReLU problem under MSE with weights lam exp(tilt t), t from -1 (H_1) to 1 (W_L): the same product."""
    return case.problem(
        lam=tuple(float(v) for v in case.lam * np.exp(case.tilt * np.linspace(-1, 1, case.L + 1))),
        loss="mse",
        activation="relu",
    )


def reach(case) -> float:
    """kappa rho/tau_L of the case: below 1 the code costs less than zero."""
    r, problem = order_of(case.K, case.L), problem_of(case)
    return float(relu_collapse.kappa(problem)[0]) * number(*power(r, case.L), case.L) / relu_collapse.tau(case.L)


def check(case):
    problem, r, L = problem_of(case), order_of(case.K, case.L), case.L
    K0, variant, graph = r * (r - 1) // 2, case.get("variant", "disjoint"), complete(r)
    yield below_one(*power(r, L, variant), f"rho(r={r}, L={L}) = {number(*power(r, L, variant), L):.6f}")
    kappa, bound = float(relu_collapse.kappa(problem)[0]), chains.best_collapsed(problem)
    point = graph_codes.graph_code(problem, graph, variant)
    F = value(point)
    ratio = graph_codes.rho(graph, L, variant)
    upper = K0 / problem.K * relu_collapse.f(ratio * kappa, L) + (1 - K0 / problem.K) * bound
    yield Evidence(
        F,
        "==",
        graph_codes.loss(problem, graph, variant),
        ROUNDING,
        note="F of the explicit weights against the formula in one variable",
    )
    yield Evidence(
        F,
        "<=",
        upper * (1 + SLACK),
        ROUNDING * upper,
        note="F is at most K_0/K f(rho kappa) + (1 - K_0/K) min(1/2, f(kappa))",
    )
    yield Evidence(
        F,
        "<",
        bound,
        ROUNDING * bound,
        note=f"least F of collapsed points; kappa/tau_L = {kappa / relu_collapse.tau(L):.4f}",
    )


def lam_at(K: int, n: int, L: int, share: float) -> float:
    """The equal ridge weight with kappa rho = share tau_L: shares from rho to 1 are the window where collapse has given
    way to zero."""
    rho = number(*power(order_of(K, L), L), L)
    return share * relu_collapse.tau(L) / rho / K / n ** (1 / (L + 1))


CLAIM = Claim(
    id="sml24:suboptimal",
    title="No collapsed point is globally optimal for K >= 6, L >= 4 and for K >= 10, L = 3",
    statement=(
        "ReLU, MSE, no bias, d >= K: for K >= 6, L >= 4 or K >= 10, L = 3 and any weights per factor at which zero is"
        " not the minimum, a strongly regular graph code on 6 or 10 classes with DNC (or zero) on the others costs"
        " K_0/K f(rho kappa) + (1 - K_0/K) min(1/2, f(kappa)) or less, below every DNC point, partial fit and zero;"
        " also for tau_L <= kappa < tau_L/rho, where DNC has given way to zero. With K = r(r-1)/2 all classes take"
        " part."
    ),
    source="sml24",
    hypotheses={
        "K >= 6, L >= 4 or K >= 10, L = 3": lambda c: stated(c.K, c.L),
        "d >= K": lambda c: np.min(c.d) >= c.K,
        "rho kappa < tau_L": lambda c: reach(c) < 1,
    },
    check=check,
    cases=[
        c.but(lam=lam_at(c.K, c.n, c.L, share), tilt=tilt)
        for c in grid(K=[6, 8, 10, 14], n=[1, 4], d=36, L=[3, 4, 7])
        if stated(c.K, c.L)
        for share, tilt in ((1e-3, 0.0), (0.5, 1.5), (0.995, 0.7))
    ],
    controls=[
        *grid(K=6, n=1, d=8, L=3, lam=[1e-4, 1e-2], tilt=0.0),
        *grid(K=[7, 9], n=1, d=10, L=3, lam=1e-3, tilt=0.5),
        planted("the sign of W_(L-1) is flipped", K=10, n=1, d=10, L=3, lam=1e-3, tilt=0.0, variant="identity"),
    ],
    uses=("sml24:rho",),
    scope=(
        "rho < 1 in fractions; the rest are float comparisons at chosen lam, some a little below the end of the window."
        " f rises with kappa, so rho < 1 decides all"
    ),
)
