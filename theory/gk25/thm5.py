"""Theorem 5 as published: a Grassmannian for every hidden layer where singular values coincide. It is refuted."""

from __future__ import annotations

from fractions import Fraction

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import exists
from theory.gk25.thm5_corrected import measured_dimension, structure


def grassmann(K: int, d: int, L: int, rank: int) -> int:
    """L r (d - r): subspaces of dimension r, one per hidden layer."""
    return L * rank * (d - rank)


def stiefel(d: int, L: int, rank: int) -> int:
    """L (r d - r(r+1)/2): frames of r orthonormal vectors, one per hidden layer."""
    return L * (2 * rank * d - rank * (rank + 1)) // 2


def check(case):
    """Measured dimension at DNC, whose singular values all coincide, against the Grassmannian count; the measured ratio
    at d = K against 1."""
    K, L = case.K, case.L
    dnc = structure(case.problem(), "dnc")
    counted = case.get("factor", 1) * grassmann(K, case.d, L, K - 1)
    yield Evidence(
        measured_dimension(dnc), "==", counted, 0, note="rank of the tangent vectors of the orbit; Grassmannians"
    )
    if case.d == K:
        r = case.rank
        yield Evidence(
            Fraction(measured_dimension(dnc), stiefel(K, L, r)),
            "<",
            1,
            0,
            "float",
            f"ratio at d = K to rank {r}, distinct singular values",
        )


CLAIM = Claim(
    id="gk25:thm5",
    title="As published: solutions at DNC form Grassmannians, and their dimension ratio to low rank starts below 1",
    statement=(
        "The set of factors with a given critical Z of rank r has dimension L r (d-r) where its singular values"
        " coincide, so that DNC has the smaller set at d = K and overtakes rank r, 2 <= r < K - 1, only as d grows."
    ),
    source="gk25, Theorem 5",
    hypotheses={
        "K >= 4": lambda c: c.K >= 4,
        "L >= 2": lambda c: c.L >= 2,
        "d >= K": lambda c: c.d >= c.K,
        "2 <= r < K - 1": lambda c: 2 <= c.rank < c.K - 1,
        "DNC exists": lambda c: exists(c.K, c.n, c.L, c.lam),
    },
    check=check,
    cases=[
        Case(K=4, n=1, d=4, L=2, lam=1e-3, rank=2),
        *grid(K=4, n=1, d=[5, 6, 9], L=[2, 3], lam=1e-3, rank=2),
        *grid(K=[5, 6], n=[1, 2], d=[6, 8], L=2, lam=1e-3, rank=[2, 3]),
    ],
    controls=[
        Case(K=3, n=1, d=3, L=2, lam=1e-3, rank=1),
        planted("the count is doubled", K=4, n=1, d=6, L=2, lam=1e-3, rank=2, factor=2),
    ],
    uses=("gk25:lemma1",),
    corrected_by="gk25:thm5-corrected",
    scope="refuted at the first case; the others show that it fails at every width, not at small ones alone",
)
