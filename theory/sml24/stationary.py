"""Which strongly regular codes are critical points, and which only upper bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from ufm.numerics.graphs import complete
from ufm.objectives.clarke import clarke
from ufm.points import FactorPoint
from ufm.structures.graph_codes import graph_code

SMALL, LARGE = 1e-6, 1e-3
"""Smallest gradient over the slopes at kinks, relative to the ridge's own: below SMALL the point counts as stationary,
above LARGE as not."""
ROUNDING = 1e-14
"""Of a logit: what forward and backward pass lose, over a few dozen classes."""


def stated(r: int, L: int) -> bool:
    """Where the code is stationary."""
    return (r in (5, 6) and L in (3, 4, 5)) or (r, L) == (7, 3)


def check(case):
    problem = case.problem(K=case.r * (case.r - 1) // 2, loss="mse", activation="relu")
    point = graph_code(problem, complete(case.r), case.variant)
    if "last" in case:
        point = replace(point, factors=(*point.factors[:-1], case.last * point.factors[-1]))
    found, error = clarke(point), cancellation(point)
    if case.stationary:
        yield Evidence(
            found.relative, "<", SMALL, 1e-12, error=error, note=f"relative residual over {found.count} kinks"
        )
    else:
        yield Evidence(
            found.relative, ">", LARGE, 1e-12, error=error, note=f"relative residual over {found.count} kinks"
        )


def cancellation(point: FactorPoint) -> float:
    """Rounding of a gradient relative to the ridge's own: the gradient of the fit is made of logits less targets, two
    numbers of size one."""
    targets = point.problem.samples.Y
    apart = float(np.linalg.norm(point.logits() - targets))
    return ROUNDING * point.problem.D * float(np.linalg.norm(targets)) / apart if apart else np.inf


def code_exists(case) -> bool:
    """Whether the code's ray has a minimum other than zero at this lam."""
    try:
        K = case.r * (case.r - 1) // 2
        graph_code(case.problem(K=K, d=K, loss="mse", activation="relu"), complete(case.r), case.variant)
    except ValueError:
        return False
    return True


STATEMENT = (
    "With slopes in [0, 1] free at exact zeros, the code on all K = r(r-1)/2 classes is stationary for r = 5, 6 with L"
    " = 3, 4, 5 and for r = 7 with L = 3. It is not for r = 4, for r = 7 with L = 4, 5 and for r = 8 with L = 3, 4,"
    " where it is an upper bound and a start for descent. Neither is the variant with -W_(L-1)."
)
HYPOTHESES = {
    "stationary exactly as stated": lambda c: c.stationary == (stated(c.r, c.L) and c.variant == "disjoint"),
    "in the list": lambda c: 4 <= c.r <= 8 and c.L in (3, 4, 5),
    "d >= K": lambda c: np.min(c.d) >= c.r * (c.r - 1) // 2,
    "the code exists at lam": code_exists,
}
SCOPE = (
    "residuals in float at these lam; the residual is an upper bound of the smallest over slopes, so `not stationary`"
    " rests on that search as well"
)

CLAIM = Claim(
    id="sml24:stationary",
    title=(
        "The strongly regular code is Clarke-stationary for r = 5, 6 (L = 3, 4, 5) and r = 7 (L = 3), not for r = 4,"
        " nor for larger r and L"
    ),
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
        planted(
            "the last layer is a thousandth too large",
            r=5,
            n=1,
            d=10,
            L=4,
            lam=1e-3,
            variant="disjoint",
            stationary=True,
            last=1.001,
        ),
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
    controls=[
        planted("it is said to be stationary", r=7, n=1, d=21, L=5, lam=1e-3, variant="disjoint", stationary=True)
    ],
    pace="slow",
    scope=SCOPE,
)

CLAIMS = (LARGER,)
