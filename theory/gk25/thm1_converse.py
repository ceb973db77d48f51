"""Theorem 1 says nothing for K <= 5 with L = 2 and for K = 3: what happens there.

One ridge weight carries everything: the orders of collapsed points depend on lam and n through x = lam n^(1/(L+1)).
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from scipy import optimize

from theory import strength
from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.lowest import descended, lowest
from theory.gk25.thm1 import exists
from ufm.objectives.logits import value
from ufm.problem import Problem
from ufm.structures import blocks, dnc, existing, zero

PAIRS_AT_4 = 0.01176049807928839417706
"""K = 4, L = 2: pairs and DNC cost the same at this x."""
APEX_AT_5 = 0.00012357455442109106444671
"""K = 5, L = 2: pairs+apex and DNC cost the same at this x."""


def effective(case) -> float:
    """x = lam n^(1/(L+1)); the planted `power` replaces the exponent."""
    return case.lam * case.n ** case.get("power", 1 / (case.L + 1))


def check_crossing(rival: str, crossing: float):
    """The order of `rival` and dnc that the side of the crossing says."""

    def check(case) -> Evidence:
        above = effective(case) > case.get("crossing", crossing)
        return strength.order(
            case.problem(),
            *((rival, "dnc") if above else ("dnc", rival)),
            note=f"x / crossing = {effective(case) / crossing:.9g}",
        )

    return check


def check_interval(case) -> Evidence:
    """One certificate for all x in [low, high]; without the extra [certify], the orders at nine points of it."""
    names = ("dnc", "pairs") if case.low < case.get("crossing", PAIRS_AT_4) else ("pairs", "dnc")
    try:
        from ufm.certificates.certified_phases import order_on

        proof = order_on(case.K, 1, case.L, *names, case.low, case.high)
    except ImportError:
        step = (case.high / case.low) ** 0.125
        weakest = min(
            (strength.order(Problem(K=case.K, L=case.L, lam=case.low * step**i), *names) for i in range(9)),
            key=lambda e: e.margin,
        )
        return Evidence(weakest.left, "<", weakest.right, weakest.tol, "sampled", "nine points of the interval")
    if proof.holds:
        return Evidence(0, "<", float(proof.margin), strength="certified", note=proof.statement)
    ends = [strength.order(Problem(K=case.K, L=case.L, lam=x), *names) for x in (case.low, case.high)]
    return min(ends, key=lambda e: e.margin)


def both_exist(case) -> bool:
    """Whether pairs and DNC exist at lam, and so below it."""
    return {"pairs", "dnc"} <= existing(case.problem())[0].keys()


@functools.cache
def rank_one_window(L: int) -> tuple[float, float]:
    """(x where blocks(2,1) and dnc cost the same, x where blocks(2,1) and zero do) for K = 3, in floating point."""

    def under(rival, x):
        problem = Problem(K=3, L=L, lam=x)
        try:
            other = value(rival(problem))
        except ValueError:  # dnc ends above the crossing
            other = math.inf
        return max(-10.0, min(10.0, other - value(blocks(problem, (2, 1)))))

    ends = []
    for rival, sign in ((dnc, -1), (zero, 1)):
        x = 0.1 / (L + 1)
        while under(rival, x) * sign > 0:
            x *= 1.1
        ends.append(optimize.brentq(lambda v, rival=rival: under(rival, v), x / 1.1, x, xtol=1e-14))
    return tuple(ends)


def check_rank_one(case):
    """blocks(2,1) against dnc and against zero, at x a given share of the way through the window."""
    low, high = (case.get("shift", 1.0) * end for end in rank_one_window(case.L))
    x = low ** (1 - case.share) * high**case.share
    problem = Problem(K=case.K, n=case.n, L=case.L, lam=x / case.n ** (1 / (case.L + 1)))
    for rival in ("dnc", "zero"):
        yield strength.order(problem, "blocks(2,1)", rival, note=f"x = {x:.6g} in ({low:.6g}, {high:.6g})")


def check_three_global(case):
    """DNC against the other closed forms, and as the global minimum: by branch and bound where it ends, else against
    the lowest point found."""
    problem = case.problem()
    if "stretch" in case:
        point = dnc(problem)
        off = value(replace(point, s=case.stretch * point.s))
        yield Evidence(
            off,
            "==",
            value(lowest(problem)),
            1e-9 * off,
            "sampled",
            f"dnc at {case.stretch} times its scale against the lowest point found",
        )
        return
    for rival in ("blocks(2,1)", "pairs", "zero"):
        yield strength.order(problem, "dnc", rival)
    if proof := strength.dnc_is_global(problem):
        yield proof
    else:
        best = value(dnc(problem))
        yield strength.searched(value(descended(problem)), best, 1e-9 * best, "against the lowest end of descents")


HERE = {"dnc exists at lam": exists}

CLAIMS = (
    Claim(
        id="gk25:thm1-k4",
        title="K = 4, L = 2: pairs beat DNC exactly above one value of lam n^(1/3)",
        statement=f"For K = 4, L = 2, where both exist: F(pairs) < F(dnc) iff lam n^(1/3) > {PAIRS_AT_4:.16g}.",
        source="gk25, Theorem 1",
        hypotheses={"K = 4": lambda c: c.K == 4, "L = 2": lambda c: c.L == 2, **HERE},
        check=check_crossing("pairs", PAIRS_AT_4),
        cases=[
            Case(K=4, n=n, L=2, lam=ratio * PAIRS_AT_4 / n ** (1 / 3))
            for n in (1, 2, 5, 30)
            for ratio in (1e-8, 1e-4, 0.1, 0.99, 1 - 1e-6, 1 + 1e-6, 1.01, 2.0, 8.0)
        ],
        controls=[
            Case(K=4, n=1, L=3, lam=1e-3),
            Case(K=5, n=1, L=2, lam=0.02),
            planted(
                "the crossing is put 1% too high", K=4, n=1, L=2, lam=1.005 * PAIRS_AT_4, crossing=1.01 * PAIRS_AT_4
            ),
            planted(
                "the crossing is put 1% too low", K=4, n=1, L=2, lam=0.995 * PAIRS_AT_4, crossing=0.99 * PAIRS_AT_4
            ),
            planted("n^(1/3) is replaced by n^(1/2)", K=4, n=5, L=2, lam=0.9 * PAIRS_AT_4 / 5 ** (1 / 3), power=0.5),
        ],
        uses=("gk25:lemma1",),
        scope="from 1e-8 to 8 times the crossing and within 1e-6 of it; on whole intervals in gk25:thm1-k4-intervals",
    ),
    Claim(
        id="gk25:thm1-k4-intervals",
        title="K = 4, L = 2: the order of pairs and DNC on whole intervals of lam",
        statement=(
            "dnc < pairs for every lam n^(1/3) in [1e-8, 0.011760498], and pairs < dnc from 0.011760499 as long as both"
            " exist."
        ),
        source="gk25, Theorem 1",
        hypotheses={
            "K = 4": lambda c: c.K == 4,
            "L = 2": lambda c: c.L == 2,
            "pairs and dnc exist on the interval": lambda c: both_exist(c.but(n=1, lam=c.high)),
            "the interval does not hold the crossing": lambda c: c.low <= c.high and not c.low <= PAIRS_AT_4 <= c.high,
        },
        check=check_interval,
        cases=[
            Case(K=4, L=2, low=low, high=high)
            for low, high in [(1e-8, 1e-3), (1e-3, 0.0117), (0.0117, 0.011760498), (0.011760499, 0.012), (0.012, 0.1)]
        ],
        controls=[
            Case(K=4, L=2, low=0.01, high=0.02),
            Case(K=4, L=3, low=1e-3, high=1e-2),
            Case(K=10, L=2, low=1e-3, high=1e-2),
            planted(
                "the crossing is put 1% too high",
                K=4,
                L=2,
                low=1.002 * PAIRS_AT_4,
                high=1.005 * PAIRS_AT_4,
                crossing=1.01 * PAIRS_AT_4,
            ),
        ],
        uses=("gk25:thm1-k4",),
    ),
    Claim(
        id="gk25:thm1-k5",
        title="K = 5, L = 2: two pairs and an apex, of rank 3, beat DNC exactly above one value of lam n^(1/3)",
        statement=(
            f"For K = 5, L = 2, where both exist: F(pairs+apex) < F(dnc) iff lam n^(1/3) > {APEX_AT_5:.16g}. The"
            " one-scale pairs alone do not show it."
        ),
        source="gk25, Theorem 1",
        hypotheses={"K = 5": lambda c: c.K == 5, "L = 2": lambda c: c.L == 2, **HERE},
        check=check_crossing("pairs+apex", APEX_AT_5),
        cases=[
            Case(K=5, n=n, L=2, lam=ratio * APEX_AT_5 / n ** (1 / 3))
            for n, ratio in [(1, 0.01), (3, 1 - 1e-6), (3, 1 + 1e-6), (1, 30.0), (2, 800.0)]
        ],
        controls=[
            Case(K=5, n=1, L=3, lam=1e-5),
            planted("the crossing is put 1% too high", K=5, n=1, L=2, lam=1.005 * APEX_AT_5, crossing=1.01 * APEX_AT_5),
            planted("n^(1/3) is replaced by n^(1/2)", K=5, n=3, L=2, lam=0.9 * APEX_AT_5 / 3 ** (1 / 3), power=0.5),
        ],
        uses=("gk25:lemma1",),
        scope="from 0.01 to 800 times the crossing, and within 1e-6 of it",
    ),
    Claim(
        id="gk25:thm1-k3",
        title="K = 3: DNC is the global minimum at moderate lam, at every depth looked at",
        statement="For K = 3 and lam n^(1/(L+1)) <= 0.4/(L+1), DNC costs less than every other point.",
        source="gk25, Theorem 1",
        hypotheses={
            "K = 3": lambda c: c.K == 3,
            "lam n^(1/(L+1)) <= 0.4/(L+1)": lambda c: effective(c) <= 0.4 / (c.L + 1),
            **HERE,
        },
        check=check_three_global,
        cases=[Case(K=3, n=n, L=L, lam=lam) for n, L, lam in [(1, 2, 1e-2), (1, 3, 1e-2), (4, 5, 1e-2)]],
        controls=[
            Case(K=3, n=1, L=2, lam=0.18),
            Case(K=3, n=1, L=3, lam=0.15),
            Case(K=3, n=1, L=12, lam=0.06),
            planted("the scale of DNC is one per cent too large", K=3, n=1, L=2, lam=1e-2, stretch=1.01),
        ],
        uses=("gk25:lemma1",),
        scope="branch and bound at the declared lam for L <= 5; the other closed forms where that does not finish",
    ),
    Claim(
        id="gk25:thm1-k3-rank-one",
        title="K = 3: a rank-1 point that leaves one class undecided beats DNC and zero in a window of lam",
        statement=(
            "For K = 3 and every L >= 2 there is an interval of lam n^(1/(L+1)) in which blocks(2,1) costs less than "
            "both DNC and zero: (0.1320, 0.1656) at L = 3."
        ),
        source="gk25, Theorem 1",
        hypotheses={
            "K = 3": lambda c: c.K == 3,
            "L >= 2": lambda c: c.L >= 2,
            "inside the window": lambda c: 0 < c.share < 1,
        },
        check=check_rank_one,
        cases=grid(K=3, n=[1, 6], L=[2, 3, 4, 8], share=[0.01, 0.5]),
        controls=[
            *grid(K=3, n=1, L=[2, 3, 6], share=[-0.05, 1.05]),
            planted("the window lies two per cent lower", K=3, n=1, L=3, share=0.01, shift=0.98),
        ],
        uses=("gk25:lemma1",),
        scope="L <= 8; the window closes neither with L nor with n",
    ),
)
