"""The deep cross-entropy claim of Dang et al. 2023 fails, and what holds instead."""

from __future__ import annotations

from dataclasses import replace

from theory import strength
from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.lowest import at_zero_bias
from theory.gk25.thm1 import covered, exists
from ufm.objectives.logits import value
from ufm.points import LogitPoint
from ufm.structures import blocks, dnc, pairs, pairs_apex, zero


def rivals(problem) -> list[LogitPoint]:
    """Points that are no simplex frame, with b = 0: zero, pairs (K >= 4), pairs+apex (odd K >= 5), blocks(2,1) (K = 3),
    where they exist."""
    free, found = replace(problem, bias=None), []
    makers = [
        zero,
        *([pairs] if problem.K >= 4 else []),
        *([pairs_apex] if problem.K > 4 else []),
        *([lambda p: blocks(p, (2, 1))] if problem.K == 3 else []),
    ]
    for make in makers:
        try:
            found.append(at_zero_bias(make(free), problem))
        except ValueError:
            continue
    return found


def simplex_below_zero(case) -> bool:
    """Whether a simplex frame exists that costs less than zero, so that the minimum is not the trivial one."""
    return exists(case) and value(dnc(case.problem())) < value(zero(case.problem()))


def check(case) -> Evidence:
    """The best simplex frame against the lowest rival: a rival below it is a global minimum's upper bound that no
    simplex frame attains."""
    problem = case.problem()
    rival = min(rivals(problem), key=value)
    sides = (rival, "dnc") if case.get("reversed") else ("dnc", rival)
    return strength.order(problem, *sides, note=f"rival {rival.name}, rank {rival.rank}, b = 0")


def check_corrected(case) -> Evidence:
    """L = 1: the simplex frame is the global minimum of a convex problem. Deeper: pairs, with b = 0, cost less than
    it."""
    problem = case.problem()
    if case.L == 1:
        return strength.dnc_is_global(problem) or check(case)
    below = at_zero_bias(pairs(replace(problem, bias=None)), problem) if case.K > 2 else zero(problem)
    sides = ("dnc", below) if case.get("reversed") else (below, "dnc")
    return strength.order(problem, *sides, note=f"{below.name}, rank {below.rank}, b = 0")


COUNTEREXAMPLE = Case(K=4, n=1, d=5, L=3, lam=2e-3, bias=0.05)

CLAIMS = (
    Claim(
        id="gk25:dang",
        title="As published: in deep linear models with cross-entropy every global minimum is a simplex frame",
        statement=(
            "Balanced classes, cross-entropy, L linear layers, a penalised bias, d >= K - 1: every nonzero global"
            " minimum has Z = a S (x) 1_n' + b 1'."
        ),
        source="dang23, Theorem A.1",
        hypotheses={
            "d >= K - 1": lambda c: c.d >= c.K - 1,
            "the bias is penalised": lambda c: c.bias is not None and c.bias > 0,
            "a simplex frame costs less than zero": simplex_below_zero,
        },
        check=check,
        cases=[
            *[Case(K=K, n=1, d=5, L=L, lam=2e-3, bias=0.05) for K in (2, 3) for L in (1, 2, 3)],
            *[Case(K=4, n=1, d=5, L=L, lam=2e-3, bias=0.05) for L in (1, 2)],
            COUNTEREXAMPLE,
            *grid(K=[4, 5, 6, 10], n=[1, 5], d=12, L=[3, 5], lam=[1e-3, 1e-5], bias=[0.01, 1.0]),
            Case(K=3, n=1, d=5, L=3, lam=0.15, bias=0.05),
            Case(K=4, n=1, d=5, L=2, lam=0.02, bias=0.05),
        ],
        controls=[
            Case(K=6, n=1, d=8, L=3, lam=1e-3, bias=0.0),
            planted(
                "the sign is flipped where the simplex frame is the minimum",
                K=4,
                n=1,
                d=5,
                L=1,
                lam=2e-3,
                bias=0.05,
                reversed=True,
            ),
        ],
        uses=("gk25:lemma1",),
        corrected_by="gk25:dang-corrected",
        scope="the best simplex frame has b = 0; rivals in closed form",
    ),
    Claim(
        id="gk25:dang-corrected",
        title="With a bias: simplex frames are the minima at L = 1, and at no lam for K >= 4, L >= 3 and K >= 6, L = 2",
        statement=(
            "Balanced classes, cross-entropy, a penalised bias: at L = 1 the simplex frame is a global minimum wherever"
            " it exists; for K >= 4, L >= 3 and for K >= 6, L = 2 pairs with b = 0 cost less than every simplex frame,"
            " at every lam."
        ),
        source="dang23, Theorem A.1",
        hypotheses={
            "L = 1, or K >= 4 and L >= 3, or K >= 6 and L = 2": lambda c: c.L == 1 or covered(c),
            "d >= K - 1": lambda c: c.d >= c.K - 1,
            "a simplex frame exists": exists,
        },
        check=check_corrected,
        cases=[
            *grid(K=[2, 3, 4, 7], n=[1, 3], d=8, L=1, lam=[1e-2, 1e-4], bias=[0.05, 1.0]),
            COUNTEREXAMPLE,
            *[
                c
                for c in grid(K=[4, 5, 6, 9, 10], n=[1, 4], d=12, L=[2, 3, 6], lam=[1e-3, 1e-6], bias=[0.05, 2.0])
                if covered(c)
            ],
        ],
        controls=[
            *[Case(K=K, n=1, d=5, L=L, lam=2e-3, bias=0.05) for K, L in [(4, 2), (5, 2), (3, 2), (3, 6), (2, 3)]],
            planted("the sign is flipped", K=4, n=1, d=5, L=3, lam=2e-3, bias=0.05, reversed=True),
        ],
        uses=("gk25:thm1",),
        scope=(
            "at the declared parameters; for every lam by Theorem 1, since the bias adds nothing to pairs and costs a"
            " simplex frame at least 0"
        ),
    ),
)
