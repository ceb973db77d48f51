"""Theorem 7: ReLU layers with the logits of pairs against the linear bound on every collapsed ReLU point.

In units of its logit scale, with D = L + 1 and m = floor(K/2), the least penalty of factors with squared norms B_0,
..., B_L is (D/2) Lam times (4 n b^2 B_0 ... B_L)^(1/D). Hidden features X + 11' (X = blockdiag([[1,-1],[-1,1]], ...))
have singular values 2 (m times) and K = 2m (once), so that B = 2m for H_1 and W_1 (the root of the nuclear norm,
halved), m + 1 for W_2, ..., W_{L-1} and m for W_L:

    K even   (16 m^3 (m+1)^(L-2))^(1/D) < K - 1;     K odd   (16 m^3 (m+1)^(L-2))^(1/D) + 1 < K - 1,

the lone class of odd K costing 1 at its best share of every layer. Both read 16 m^3 (m+1)^(L-2) < (2m-1)^(L+1).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import exists
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import value
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import dnc
from ufm.structures.relu_pairs import relu_pairs

TOL = 1e-12
"""Of the largest entry, or of F: sums of a few hundred products."""


def matched_scale(K: int, L: int, ones: int = 1) -> tuple[int, int]:
    """(left, right) of 16 m^3 (m+1)^(L-2) < (2m-1)^(L+1), m = K // 2. `ones` other than 1 falsifies it."""
    m = K // 2
    return 16 * m**3 * (m + ones) ** (L - 2), (2 * m - 1) ** (L + 1)


def penalty_constant(K: int, L: int, features: str) -> float:
    """penalty / ((D/2) Lam n^(1/D) b^(2/D)): (4 (m + y)^2 (m+1)^(L-2) m)^(1/D), and 1 more for odd K; y = m plain,
    sqrt(m) hadamard."""
    m = K // 2
    y = m if features == "plain" else math.sqrt(m)
    return (4 * (m + y) ** 2 * (m + 1) ** (L - 2) * m) ** (1 / (L + 1)) + K % 2


def loss_formula(problem: Problem, b: float, features: str) -> float:
    """F of the construction at scale b."""
    K, L, D, x = problem.K, problem.L, problem.D, math.exp(-b)
    fit = (K - K % 2) / K * math.log1p((K - 2) * x + x * x) + (K % 2) / K * math.log1p((K - 1) * x)
    return fit + 0.5 * D * problem.Lam * problem.n ** (1 / D) * penalty_constant(K, L, features) * b ** (2 / D)


def pair_logits(K: int) -> np.ndarray:
    """blockdiag([[1, -1], [-1, 1]], ...), and 1 for a lone class."""
    Z = np.zeros((K, K))
    Z[: K - K % 2, : K - K % 2] = np.kron(np.eye(K // 2), np.array([[1.0, -1.0], [-1.0, 1.0]]))
    if K % 2:
        Z[-1, -1] = 1.0
    return Z


def relu_problem(case) -> Problem:
    return case.problem(activation="relu")


def bound_is_below_zero(case) -> bool:
    """Whether linear DNC exists and costs less than the zero point."""
    if case.K < 2 or case.L < 1 or not exists(case.K, case.n, case.L, case.lam):
        return False
    return value(dnc(Problem(K=case.K, n=case.n, L=case.L, lam=case.lam))) < math.log(case.K)


def check_construction(case):
    """The explicit weights: every ReLU idle, the logits those of pairs, equal penalties, the loss as the formula
    says."""
    problem = relu_problem(case)
    point = relu_pairs(problem, features=case.features)
    if "sign" in case:
        point = FactorPoint(problem, (point.factors[0], case.sign * point.factors[1], *point.factors[2:]))
    before = [W @ h for W, h in zip(point.factors[1:-1], point.layers(), strict=False)]
    yield Evidence(
        min(float(np.min(M) / np.max(np.abs(M))) for M in before),
        "in",
        (-TOL, 1.0),
        1e-16,
        note="least entry before a ReLU, of the largest",
    )
    Z = point.logits()
    b = float(Z[0, 0])
    expected = b * np.repeat(pair_logits(problem.K), problem.n, axis=1)
    yield Evidence(
        float(np.max(np.abs(Z - expected))), "==", 0.0, TOL * max(1.0, abs(b)), note=f"forward pass, b = {b:.6g}"
    )
    parts = [problem.Lam * float(np.sum(A**2)) for A in point.factors]
    yield Evidence(max(parts) / min(parts), "==", 1.0, TOL, note="equal norms")
    objective, x = objective_of(point)
    F = float(objective.value(x))
    yield Evidence(
        F,
        "==",
        loss_formula(problem, abs(b), case.get("formula", case.features)),
        TOL * max(1.0, F),
        note="explicit F against the formula",
    )


def check_integers(case) -> Evidence:
    """At equal scales the construction fits better; its penalty is smaller by integers."""
    return Evidence(Fraction(*matched_scale(case.K, case.L, case.get("ones", 1))), "<", 1, strength="exact")


def check_losses(case) -> Evidence:
    """F of the explicit weights below the linear DNC value at this lam. `stretch` other than 1 falsifies the
    weights."""
    objective, x = objective_of(relu_pairs(relu_problem(case), features=case.features))
    x = case.get("stretch", 1.0) * x
    bound = value(dnc(case.problem()))
    return Evidence(float(objective.value(x)), "<", bound, 1e-12 * bound, note=f"log K = {math.log(case.K):.6g}")


def stated(K: int, L: int) -> bool:
    """The set of Theorem 7."""
    return (K >= 10 and L >= 5) or (K >= 16 and L == 4)


CONSTRUCTION = Claim(
    id="gk25:thm7-construction",
    title="ReLU layers with nonnegative features carry the logits of pairs, every ReLU idle",
    statement=(
        "For L >= 2 and d >= K, factors W_L s(... s(W_1 H_1)) = b blockdiag([[1,-1],[-1,1]], ...) with nonnegative"
        " features and equal norms cost fit(b) + (D/2) Lam n^(1/D) (4 (m+y)^2 (m+1)^(L-2) m)^(1/D) b^(2/D), one more in"
        " place of (...)^(1/D) for odd K; y = m, or sqrt(m) with Hadamard features."
    ),
    source="gk25, Theorem 7 (its construction)",
    hypotheses={
        "L >= 2": lambda c: c.L >= 2,
        "d >= K": lambda c: c.d >= c.K,
        "the linear bound is below the zero point": bound_is_below_zero,
    },
    check=check_construction,
    cases=[
        *grid(K=[3, 4, 5, 10, 17], n=[1, 3], d=20, L=[2, 3, 5], lam=[1e-3, 1e-6], features=["plain", "hadamard"]),
        *(
            Case(K=K, n=5, d=K, L=L, lam=2**-10, features=f)
            for K, L in ((10, 5), (16, 4), (23, 2))
            for f in ("plain", "hadamard")
        ),
    ],
    controls=[
        planted("W_1 has the other sign", K=6, n=1, d=8, L=3, lam=1e-3, features="plain", sign=-1.0),
        planted(
            "the formula of plain features is used for Hadamard ones",
            K=6,
            n=1,
            d=8,
            L=3,
            lam=1e-3,
            features="hadamard",
            formula="plain",
        ),
    ],
    uses=("gk25:lemma1",),
)

THEOREM = Claim(
    id="gk25:thm7",
    title="With ReLU layers no DNC point is globally optimal for K >= 10, L >= 5 and for K >= 16, L = 4",
    statement=(
        "Under Assumption 1 and d >= K, linear DNC bounds every ReLU DNC loss from below, and the construction beats it"
        " at equal scale, so at every lam."
    ),
    source="gk25, Theorem 7",
    hypotheses={"K >= 10 and L >= 5, or K >= 16 and L = 4": lambda c: stated(c.K, c.L)},
    check=check_integers,
    cases=[case for case in grid(K=range(10, 61), L=range(4, 17)) if stated(case.K, case.L)],
    controls=[
        *grid(K=[10, 13], L=4),
        *grid(K=[16, 60], L=[2, 3]),
        *grid(K=[4, 5], L=[5, 16]),
        planted("m + 1 is replaced by m + 9", K=16, L=4, ones=9),
    ],
    uses=("gk25:thm7-construction", "gk25:thm7-bound", "gk25:assumption1", "gk25:thm1"),
    scope=(
        "the bound holds with or without Assumption 1 (gk25:thm7-bound), which is looked at on real runs in"
        " gk25:assumption1"
    ),
)

LOSSES = Claim(
    id="gk25:thm7-losses",
    title="The explicit ReLU weights cost less than the linear DNC bound at actual lam",
    statement=(
        "For (K, L) of Theorem 7, d >= K and every lam at which the linear DNC value is below log K, F of the"
        " construction is below it."
    ),
    source="gk25, Theorem 7",
    hypotheses={
        "K >= 10 and L >= 5, or K >= 16 and L = 4": lambda c: stated(c.K, c.L),
        "d >= K": lambda c: c.d >= c.K,
        "the linear bound is below the zero point": bound_is_below_zero,
    },
    check=check_losses,
    cases=[
        case
        for case in grid(
            K=[10, 11, 16, 17, 24], n=[1, 4], d=24, L=[4, 5, 8], lam=[1e-2, 1e-3, 1e-5, 1e-8], features="plain"
        )
        if stated(case.K, case.L) and bound_is_below_zero(case)
    ],
    controls=[
        *grid(K=[4, 6], n=1, d=10, L=5, lam=1e-3, features="plain"),
        *grid(K=[10, 16], n=1, d=20, L=3, lam=1e-3, features="plain"),
        planted("every factor is a tenth too small", K=10, n=1, d=10, L=5, lam=1e-3, features="plain", stretch=0.9),
    ],
    uses=("gk25:thm7-construction", "gk25:thm7"),
    scope="lam from 1e-2 to 1e-8 where the bound is below the zero point; gk25:thm7 is the proof for every lam",
)

CLAIMS = (CONSTRUCTION, THEOREM, LOSSES)
