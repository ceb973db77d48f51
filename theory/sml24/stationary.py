"""Which strongly regular codes are critical points, and which only upper bounds."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid
from ufm.numerics.graphs import complete
from ufm.objectives.clarke import clarke
from ufm.structures.graph_codes import graph_code

SMALL, LARGE = 1e-6, 1e-3
"""Smallest gradient over the slopes at kinks, relative to the ridge's own: below SMALL the point counts as stationary, above LARGE as not."""


def stated(r: int, L: int) -> bool:
    """Where the code is stationary."""
    return (r in (5, 6) and L in (3, 4, 5)) or (r, L) == (7, 3)


def check(case):
    problem = case.problem(K=case.r * (case.r - 1) // 2, loss="mse", activation="relu")
    point = graph_code(problem, complete(case.r), case.variant)
    found = clarke(point)
    if case.stationary:
        yield Evidence(found.relative, "<", SMALL, 1e-12, note=f"relative residual over {found.count} kinks")
    else:
        yield Evidence(found.relative, ">", LARGE, 1e-12, note=f"relative residual over {found.count} kinks")


STATEMENT = (
    "With slopes in [0, 1] free at exact zeros, the code on all K = r(r-1)/2 classes is stationary for r = 5, 6 with L = 3, 4, 5 and for r = 7 with L = 3. "
    "It is not for r = 4, for r = 7 with L = 4, 5 and for r = 8 with L = 3, 4, where it is an upper bound and a start for descent. "
    "Neither is the variant with -W_(L-1)."
)
HYPOTHESES = {
    "stationary exactly as stated": lambda c: c.stationary == (stated(c.r, c.L) and c.variant == "disjoint"),
    "in the list": lambda c: 4 <= c.r <= 8 and c.L in (3, 4, 5),
    "d >= K": lambda c: np.min(c.d) >= c.r * (c.r - 1) // 2,
}
SCOPE = "residuals in float at these lam; the residual is an upper bound of the smallest over slopes, so `not stationary` rests on that search as well"

CLAIM = Claim(
    id="sml24:stationary",
    title="The strongly regular code is Clarke-stationary for r = 5, 6 (L = 3, 4, 5) and r = 7 (L = 3), not for r = 4, nor for larger r and L",
    statement=STATEMENT,
    source="sml24",
    hypotheses=HYPOTHESES,
    check=check,
    cases=[
        *grid(r=[5, 6], n=1, d=15, L=[3, 4, 5], lam=1e-3, variant="disjoint", stationary=True),
        *grid(r=7, n=1, d=21, L=3, lam=1e-3, variant="disjoint", stationary=True),
        *grid(r=5, n=3, d=12, L=4, lam=[1e-4, 8e-3], variant="disjoint", stationary=True),
        *grid(r=4, n=1, d=6, L=[3, 4, 5], lam=[1e-3, 0.01], variant="disjoint", stationary=False),
        *grid(r=7, n=1, d=21, L=4, lam=1e-3, variant="disjoint", stationary=False),
        *grid(r=[5, 6], n=1, d=15, L=[3, 4], lam=1e-3, variant="identity", stationary=False),
    ],
    controls=[
        *grid(r=4, n=1, d=6, L=4, lam=1e-3, variant="disjoint", stationary=True),
        *grid(r=7, n=1, d=21, L=4, lam=1e-3, variant="disjoint", stationary=True),
        *grid(r=5, n=1, d=10, L=4, lam=1e-3, variant="disjoint", stationary=False),
    ],
    scope=SCOPE,
)

LARGER = Claim(
    id="sml24:stationary-larger",
    title="The strongly regular codes of r = 7, L = 5 and r = 8, L = 3, 4 are not Clarke-stationary",
    statement=STATEMENT,
    source="sml24",
    hypotheses=HYPOTHESES,
    check=check,
    cases=[
        *grid(r=7, n=1, d=21, L=5, lam=1e-3, variant="disjoint", stationary=False),
        *grid(r=8, n=1, d=28, L=[3, 4], lam=5e-4, variant="disjoint", stationary=False),
    ],
    controls=grid(r=7, n=1, d=21, L=5, lam=1e-3, variant="disjoint", stationary=True),
    pace="slow",
    scope=SCOPE,
)

CLAIMS = (LARGER,)
