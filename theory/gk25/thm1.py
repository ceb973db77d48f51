"""Theorem 1: where DNC cannot be a global minimum."""

from __future__ import annotations

from fractions import Fraction

from theory import strength
from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.certificates.theorems import theorem
from ufm.objectives.logits import value
from ufm.problem import Problem
from ufm.structures import dnc, pairs


def matched_scale(K: int, L: int, scales: int = 2) -> tuple[int, int]:
    """(left, right) of the integer form of m 2^(2/D) + [K odd] < K - 1, m = floor(K/2), D = L + 1.

    With K - 1 - [K odd] = 2m - 1, raised to the D-th power: 2^2 m^D < (2m-1)^D. `scales` other than 2 falsifies it.
    """
    m, D = K // 2, L + 1
    return scales**2 * m**D, (2 * m - 1) ** D


def check(case) -> Evidence:
    """Pairs against DNC at the scale of DNC: their penalties by integers; the fit of pairs is lower at every equal
    scale > 0."""
    left, right = matched_scale(case.K, case.L, case.get("scales", 2))
    return Evidence(Fraction(left, right), "<", 1, strength="exact")


def in_float(K: int, L: int, lam: float) -> tuple[float, float]:
    """(F of pairs, F of DNC) at one lam, for the tests: the order that the integers imply."""
    problem = Problem(K=K, L=L, lam=lam)
    return value(pairs(problem)), value(dnc(problem))


def covered(case) -> bool:
    """Whether (K, L) is in the set of the theorem."""
    return (case.K >= 4 and case.L >= 3) or (case.K >= 6 and case.L == 2)


def exists(case) -> bool:
    """Whether DNC exists at the case."""
    try:
        dnc(case.problem())
    except ValueError:
        return False
    return True


def check_all(case):
    """The integers at the corner, then the certificate that covers the whole quadrant; where the corner fails there is
    nothing to certify.

    Without the extra [certify]: the integers on the 50 x 50 pairs from the corner on.
    """
    corner = check(case)
    yield corner
    if corner.margin <= 0:
        return
    try:
        proof = theorem("gk25:thm1", K=(case.K, None), L=(case.L, None))
        yield Evidence(int(proof.holds and proof.check()), ">", 0, strength="exact", note=proof.statement)
    except ImportError:
        worst = max(check(case.but(K=case.K + i, L=case.L + j)).left for i in range(50) for j in range(50))
        yield Evidence(worst, "<", 1, 0, "sampled", "50 x 50 pairs (K, L)")


def check_order(case) -> Evidence:
    """F(pairs) < F(dnc) at one lam; `reversed` claims the opposite."""
    names = ("dnc", "pairs") if case.get("reversed") else ("pairs", "dnc")
    return strength.order(case.problem(), *names)


SET = {"K >= 4 and L >= 3, or K >= 6 and L = 2": covered}

CLAIM = Claim(
    id="gk25:thm1",
    title="DNC is not globally optimal for K >= 4, L >= 3 and for K >= 6, L = 2",
    statement=(
        "At every lam at which DNC exists, pairs at its scale have smaller penalty and fit. Sufficient only: outside"
        " the set the order depends on lam."
    ),
    source="gk25, Theorem 1",
    hypotheses=SET,
    check=check,
    cases=[case for case in grid(K=range(4, 41), L=range(2, 13)) if case.K >= 6 or case.L >= 3],
    controls=[
        *grid(K=[4, 5], L=2),
        *grid(K=[2, 3], L=[3, 12]),
        *grid(K=[10, 40], L=1),
        planted("the singular values of pairs are taken to be 3b instead of 2b", K=4, L=3, scales=3),
    ],
    uses=("gk25:lemma1",),
)

CLAIMS = (
    Claim(
        id="gk25:thm1-all",
        title="Theorem 1 for infinitely many K and L at once",
        statement=(
            "For all K' >= K and L' >= L, with (K, L) >= (4, 3) or (6, 2): no DNC point is a global minimum, at any n"
            " and lam."
        ),
        source="gk25, Theorem 1",
        hypotheses={
            "K >= 4 and L >= 3, or K >= 6 and L >= 2": lambda c: (c.K >= 4 and c.L >= 3) or (c.K >= 6 and c.L >= 2)
        },
        check=check_all,
        cases=[Case(K=4, L=3), Case(K=6, L=2), Case(K=7, L=2), Case(K=5, L=6), Case(K=30, L=2)],
        controls=[*grid(K=[3, 4, 5], L=2), *grid(K=[4, 40], L=1), planted("3b instead of 2b", K=4, L=3, scales=3)],
        uses=("gk25:thm1",),
        scope="quadrants K' >= K, L' >= L, by an argument in integers; the fits at equal scale by hand",
    ),
    Claim(
        id="gk25:thm1-orders",
        title="Pairs cost less than DNC at their own best scales",
        statement="For K >= 4, L >= 3 and K >= 6, L = 2: F(pairs) < F(dnc) at every n and lam at which DNC exists.",
        source="gk25, Theorem 1",
        hypotheses=SET | {"dnc exists at lam": exists},
        check=check_order,
        cases=[
            *[
                c
                for c in grid(K=[4, 5, 6, 9, 10, 25], n=[1, 4], L=[2, 3, 7], lam=[1e-2, 1e-5, 1e-9])
                if covered(c) and exists(c)
            ],
            *[
                Case(K=K, n=n, L=L, lam=lam)
                for K, n, L, lam in [(4, 1, 3, 0.1), (6, 5, 2, 0.03), (40, 2, 12, 1e-12), (100, 1, 3, 1e-5)]
            ],
        ],
        controls=[
            *[
                Case(K=K, n=1, L=L, lam=lam)
                for K, L, lam in [(4, 2, 1e-3), (5, 2, 1e-3), (3, 2, 1e-2), (3, 8, 1e-3), (10, 1, 1e-2)]
            ],
            planted("the order is reversed", K=4, n=1, L=3, lam=1e-3, reversed=True),
        ],
        uses=("gk25:thm1",),
        scope="at the declared n and lam, over nine decades of lam",
    ),
)
