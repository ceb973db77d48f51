"""Theorem 4 (ii): collapsed points of large scale have no direction of descent to second order."""

from __future__ import annotations

import math

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import dnc_at, exists, fold_scale, lam_at
from theory.gk25.thm4_sharp import EIGENVALUE, proved_index, standard_turn, threshold
from ufm.critical.classify import classify
from ufm.critical.measures import CORE_LIMIT, spectrum
from ufm.structures import dnc

ROUNDING = 1e-9
"""Of Lam, or 1e-13 of the largest eigenvalue: how negative a computed zero may be."""
PROVED = 4
"""Largest K whose index is also proved by an isolating ball, at n = 1."""


def last_stable_scale(K: int, L: int) -> float:
    """The scale from which on the Hessian is PSD: K (L-1)/(L+1) for K >= 4, where the standard block turns at K = 3,
    the fold at K = 2; 0 at L = 1."""
    if K >= 4 or L == 1:
        return float(threshold(K, L))
    return fold_scale(K, L) if K == 2 else standard_turn(K, L)


def lam_stable(K: int, n: int, L: int) -> float:
    """Up to this lam collapse on the large branch is stable."""
    a = last_stable_scale(K, L)
    return lam_at(K, n, L, a) if a else 1 / (K * math.sqrt(n))


def check(case):
    """Index and lowest eigenvalue of the Hessian at the large-scale collapsed point; a proof where K is small."""
    problem = case.problem()
    a = case.get("share", 1.0) * dnc(problem).scales[0]
    point = dnc(problem) if "share" not in case else dnc_at(case.K, case.n, case.L, a, case.d)
    found = classify(point, eig_tol=EIGENVALUE, extremes=False)
    yield Evidence(
        found.index,
        "==",
        0,
        0,
        note=f"lam is {case.lam / lam_stable(case.K, case.n, case.L):.3g} of the last stable lam, a = {a:.6g}",
    )
    rank = case.K - 1
    if rank * (2 * case.K + (case.L - 1) * rank) <= min(CORE_LIMIT, 400):
        values = spectrum(point)
        tol = ROUNDING * point.problem.Lam + 1e-13 * values[-1][0]
        yield Evidence(
            min(values[0][0] / tol, 0.0),
            "in",
            (-2.0, 1.0),
            1e-12,
            note="lowest eigenvalue in units of rounding, all parameters",
        )
    proof = proved_index(point) if case.K <= PROVED and case.n == 1 and case.lam > 1e-12 else None
    if proof is not None:
        yield Evidence(
            proof, "==", 0, 0, "certified", "an isolating ball, no eigenvalue that could be zero but those of the gauge"
        )


def near_threshold():
    """The last stable lam, less one part in a thousand, over a range of K and L."""
    for K, n, L in ((2, 1, 3), (3, 1, 2), (3, 2, 5), (4, 1, 2), (5, 3, 3), (10, 5, 2), (20, 1, 3), (60, 1, 12)):
        yield Case(K=K, n=n, d=K + 1, L=L, lam=0.999 * lam_stable(K, n, L))


CLAIM = Claim(
    id="gk25:thm4ii",
    title="For small lam the Hessian at large-scale collapse has no negative eigenvalue",
    statement=(
        "For L >= 1 the Hessian at a S (x) 1_n' is PSD for every lam up to the explicit lam_0(K, n, L) at which a ="
        " K(L-1)/(L+1) (K >= 4; at K = 3 where the standard block turns, at K = 2 the fold)."
    ),
    source="gk25, Theorem 4 (ii)",
    hypotheses={
        "lam <= lam_0(K, n, L)": lambda c: c.lam <= lam_stable(c.K, c.n, c.L),
        "d >= K - 1": lambda c: c.d >= c.K - 1,
        "DNC exists": lambda c: exists(c.K, c.n, c.L, c.lam),
    },
    check=check,
    cases=[
        *(
            c
            for c in grid(K=[2, 3, 4, 5, 8], n=[1, 3], d=[9], L=[1, 2, 4], lam=[1e-2, 1e-3, 1e-6])
            if c.lam < lam_stable(c.K, c.n, c.L)
        ),
        *near_threshold(),
        Case(K=10, n=5, d=70, L=2, lam=2**-10),
    ],
    controls=[
        *(
            Case(K=K, n=n, d=K + 1, L=L, lam=1.001 * lam_stable(K, n, L))
            for K, n, L in ((4, 1, 2), (5, 3, 3), (10, 5, 2), (20, 1, 3))
        ),
        Case(K=20, n=1, d=20, L=3, lam=1e-3),
        planted("the small root is taken for the large one", K=5, n=1, d=6, L=3, lam=1e-3, share=0.3),
    ],
    uses=("gk25:thm4i", "gk25:thm4-sharp"),
    scope=(
        "'lam small' is lam <= lam_0, which is exhibited and, for K >= 4, exponentially small in K: 2.4e-2 at K=10,"
        " L=2, n=5 and 1.4e-4 at K=20, L=3"
    ),
)
