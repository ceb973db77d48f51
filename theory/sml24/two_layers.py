"""Two layers: nothing below collapse was found."""

from __future__ import annotations

import math

from theory.claim import Claim, Evidence, grid, planted
from theory.sml23.starts import lowest
from theory.sml24 import chains
from ufm.numerics.graphs import complete
from ufm.structures import graph_codes

ROUNDING = 1e-9


def check(case):
    """The lowest of the descents is not below the least F of collapsed points; with `code`, the strongly regular code
    joins them."""
    problem = case.problem(loss="mse", activation="relu")
    bound = chains.best_collapsed(problem) * (1 + case.get("raised", 0.0))
    fun, _ = lowest(problem, case.starts, case.rng) if case.starts else (math.inf, None)
    if case.get("code"):
        fun = min(fun, graph_codes.loss(problem, complete(case.code)))
    yield Evidence(
        fun,
        ">=",
        bound * (1 - ROUNDING),
        ROUNDING * bound * 1e-3,
        "sampled",
        note=f"lowest of {case.starts} starts, F of collapse {bound:.9f}",
    )


CLAIM = Claim(
    id="sml24:two-layers",
    title="With two layers no start was seen to end below collapse",
    statement=(
        "L = 2, ReLU, MSE, no bias: no point below the best collapsed point (DNC, partial fit, zero) was found, for K"
        " up to 7, in descents from random starts at several widths and ridge weights. A proof for K >= 3 is not known"
        " here; for K = 2 it is sml23:value."
    ),
    source="sml24",
    hypotheses={"L = 2": lambda c: c.L == 2, "searched": lambda c: c.starts > 0},
    check=check,
    cases=[
        *grid(K=[3, 5], n=1, d=[3, 8], L=2, lam=[0.003, 0.03], starts=6, rng=0),
        *grid(K=[4, 7], n=2, d=7, L=2, lam=0.01, starts=6, rng=0),
    ],
    controls=[
        *grid(K=10, n=1, d=10, L=[3, 4], lam=2e-3, starts=1, rng=0, code=5),
        planted("the bound is raised by a fifth", K=3, n=1, d=6, L=2, lam=0.01, starts=9, rng=0, raised=0.2),
    ],
    scope="a search: six starts for each case, a third of them near one neuron a class",
)
