"""The 3 x 3 rook graph: nine classes, three layers."""

from __future__ import annotations

from fractions import Fraction

from theory.claim import Claim, Evidence, grid, planted
from theory.sml24 import chains
from theory.sml24.rho import below_one
from theory.sml24.sharper import below, kappa_below
from theory.sml24.stationary import cancellation
from ufm.numerics.graphs import complete_multipartite
from ufm.objectives.clarke import clarke
from ufm.structures.graph_codes import graph_code

ROUNDING = 1e-12


def check(case):
    """Edges of K_{p,p}; at p = 3 the value is exact, elsewhere in floats."""
    graph = complete_multipartite(case.p, case.p)
    chain = chains.graph_chain(graph, 3)
    rho4 = chains.rho(chain) ** 4
    if case.p == 3:
        a, b = Fraction(9, 16), Fraction(1, 4) + Fraction(case.get("off", 0), 10)
        yield below_one(a, b, 2, "rho^4 = 9/16 + sqrt(2)/4")
        yield Evidence(rho4, "==", float(a) + float(b) * 2**0.5, ROUNDING, note="of the explicit weights")
    problem = case.problem(loss="mse", activation="relu")
    yield from below(problem, [chain])
    if problem.K == len(graph):
        code = graph_code(problem, graph)
        yield Evidence(
            clarke(code).relative,
            "<",
            1e-6,
            1e-12,
            error=cancellation(code),
            note="Clarke residual of the code with its best last layer",
        )


CLAIM = Claim(
    id="sml24:rook",
    title="Nine classes, three layers: the rook graph costs less than DNC, with rho^4 = 9/16 + sqrt(2)/4",
    statement=(
        "The graph code of K_{3,3}, whose edges are the squares of the 3 x 3 rook graph, has rho = 0.97831... < 1 at L"
        " = 3: DNC is beaten at nine classes, below the ten of the published set. On all nine classes the code is"
        " Clarke-stationary. K_{2,2} has C of an invertible pairing and rho > 1."
    ),
    source="sml24, sharpened here",
    hypotheses={
        "p = 3": lambda c: c.p == 3,
        "K >= 9": lambda c: c.K >= 9,
        "L = 3": lambda c: c.L == 3,
        "d >= K": lambda c: c.d >= c.K,
        "kappa < tau_3: zero is not optimal": kappa_below,
    },
    check=check,
    cases=grid(p=3, K=[9, 10, 12], n=[1, 3], d=12, L=3, lam=[1e-4, 3e-3]),
    controls=[
        *grid(p=2, K=[4, 5], n=1, d=6, L=3, lam=[1e-3]),
        planted("a tenth of sqrt(2) is added", p=3, K=9, n=1, d=9, L=3, lam=1e-3, off=1),
    ],
    scope="sharper still: sml24:sharper, seven classes",
)
