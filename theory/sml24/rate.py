"""How fast the gap grows with the number of classes."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml24.rho import number, power
from ufm.numerics.graphs import complete
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse

SLOPE = 0.15
"""How near the exponent the slope over r from r to 2r must be, times (L-3)/(2(L+1)); 1/r corrections remain."""


def ratio(r: int, L: int, kappa: float) -> float:
    """F(code)/F(DNC) at K = r(r-1)/2, lam = kappa/K."""
    K = r * (r - 1) // 2
    problem = Problem(K=K, L=L, lam=kappa / K, loss="mse", activation="relu")
    return graph_codes.loss(problem, complete(r)) / relu_collapse.f(kappa, L)


def check(case):
    L, kappa, exponent = case.L, case.kappa, (3 - case.L) / (2 * (case.L + 1)) * case.get("bend", 1.0)
    Ks = [r * (r - 1) // 2 for r in (case.r, 2 * case.r)]
    ratios = [ratio(r, L, kappa) for r in (case.r, 2 * case.r)]
    slope = float(np.log(ratios[1] / ratios[0]) / np.log(Ks[1] / Ks[0]))
    yield Evidence(
        slope,
        "==",
        exponent,
        SLOPE * abs(exponent),
        note=f"slope of log(F_SRG/F_DNC) in log K from K = {Ks[0]} to {Ks[1]}",
    )
    constant = (L + 1) * kappa / (2 * relu_collapse.f(kappa, L))
    for r, K, found in zip((case.r, 2 * case.r), Ks, ratios, strict=True):
        rho = number(*power(r, L), L)
        yield Evidence(found, "<=", rho * constant, 1e-12, note=f"at most rho (L+1) kappa/(2 f(kappa)), at K = {K}")
        yield Evidence(
            rho * (K / 2) ** -exponent,
            "in",
            (1 - 3 / r, 1 + 3 / r),
            1e-9,
            note="rho (K/2)^((L-3)/(2(L+1))), tends to 1",
        )


CLAIM = Claim(
    id="sml24:rate",
    title="F_SRG/F_DNC falls as K^(-(L-3)/(2(L+1))) at fixed kappa",
    statement=(
        "At K = r(r-1)/2, L >= 4 and kappa = K (n prod lam)^(1/(L+1)) below tau_L fixed, F_SRG/F_DNC <= rho (L+1)"
        " kappa/(2 f(kappa)), with rho (K/2)^((L-3)/(2(L+1))) -> 1: the ratio is of the order K^((3-L)/(2(L+1))), which"
        " tends to K^(-1/2) with depth."
    ),
    source="sml24",
    hypotheses={
        "L >= 4": lambda c: c.L >= 4,
        "kappa < tau_L": lambda c: 0 < c.kappa < relu_collapse.tau(c.L),
        "r >= 12": lambda c: c.r >= 12,
    },
    check=check,
    cases=grid(r=[12, 16], L=[4, 5, 7, 12], kappa=[1e-4, 0.01, 0.05]),
    controls=[
        planted("the exponent is half as large", r=16, L=5, kappa=0.01, bend=0.5),
        planted("the exponent is 1.5 times as large", r=16, L=7, kappa=0.01, bend=1.5),
        *grid(r=4, L=[4, 5, 7], kappa=0.01),
    ],
    uses=("sml24:rho",),
    scope=(
        "the upper bound is proved; that the ratio is no smaller is seen in slopes between r and 2r, r = 12 and 16, K"
        " from 66 to 496"
    ),
)
