"""Where ReLU layers with the logits of pairs beat the linear DNC bound: the exact frontier of gk25's construction, and
a better one.

Scaling the factors against each other gains nothing: equal norms are the best split (arithmetic and geometric mean).
The features do. Any idle features F >= 0 that the class permutations of pairs fix have F'F = x P_X + y P_Y + t P_T
(pairs, the mean, differences between pairs), and partners have the inner product -x/2 + y/K + t (1/2 - 1/K) >= 0. So y
>= m x at t = 0, while X + 11' has y = m^2 x. Equality means orthogonal partners and every other angle 60 degrees:
columns (1 +- B_i)/2 of a Hadamard matrix, within width K. H_1 and W_1 then cost m + sqrt(m) in place of 2m:

    4 m (m + sqrt m)^2 (m+1)^(L-2) < (2m-1)^(L+1).

The quotient of the sides is 4 (m/(2m-1))^2 ((m+1)/(2m-1))^(L-2) (sqrt m + 1)^2/(2m-1), each factor falling in m; at m =
3 and above it falls in L. So the set is the union of the quadrants at its corners: K >= 22 at L = 2, K >= 10 at L = 3,
K >= 8 at L = 4 and 5, K >= 6 at L >= 6; at m = 2 the quotient is 3.45 for every L.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.optimize import minimize

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.thm7 import bound_is_below_zero, check_losses, matched_scale
from ufm.numerics.arguments import choice, integer

CORNERS = {"plain": ((14, 4), (10, 5), (8, 6), (6, 8)), "hadamard": ((22, 2), (10, 3), (8, 4), (6, 6))}
"""The set of (K, L) is the union of the quadrants K >= K_0, L >= L_0."""
SEARCH = 1e-6
"""How far above the infimum a search from random starts may end, in the logarithm of the cost."""


def hadamard_sides(K: int, L: int, root: int = 1) -> tuple[int, int]:
    """(left, right), integers with left < right iff 4 m (m + sqrt m)^2 (m+1)^(L-2) < (2m-1)^(L+1), m = K // 2.

    The left is P + Q sqrt(m), P = 4 m^2 (m+1)^(L-1), Q = 8 m^2 (m+1)^(L-2): compare Q^2 m with (right - P)^2 where
    right > P, else P with right.
    """
    m = K // 2
    P, Q, C = 4 * m**2 * (m + 1) ** (L - 1), 8 * root * m**2 * (m + 1) ** (L - 2), (2 * m - 1) ** (L + 1)
    return (Q * Q * m, (C - P) ** 2) if C > P else (P, C)


def beats(K: int, L: int, features: str) -> bool:
    """Whether the construction costs less than linear DNC at every common scale, by integers."""
    left, right = matched_scale(K, L) if features == "plain" else hadamard_sides(K, L)
    return left < right


def inside(K: int, L: int, features: str) -> bool:
    """The same from the corners."""
    return any(K >= K0 and L >= L0 for K0, L0 in CORNERS[features])


def frontier(L: int, features: str = "hadamard", most: int = 10_000) -> int | None:
    """The least K from which on the construction beats linear DNC at L layers and every lam; None where there is none.

    >>> [frontier(L) for L in range(2, 9)], [frontier(L, "plain") for L in range(2, 9)]
    ([22, 10, 8, 8, 6, 6, 6], [None, None, 14, 10, 8, 8, 6])

    Raises ValueError for L < 2 and unknown features.
    """
    integer("L", L, 2, "Without a hidden layer there is no ReLU.")
    choice("features", features, CORNERS)
    if not any(L >= L0 for _, L0 in CORNERS[features]):
        return None
    return next(K for K in range(2, most) if beats(K, L, features))


def check_exact(case) -> Evidence:
    """The integers of the construction."""
    left, right = (
        matched_scale(case.K, case.L, case.get("ones", 1))
        if case.features == "plain"
        else hadamard_sides(case.K, case.L, case.get("root", 1))
    )
    return Evidence(Fraction(left, right), "<", 1, strength="exact")


def log_cost(m: int, L: int, tau, extra, least: float = 1.0) -> float:
    """log of B_0 ... B_L for features with singular values 1 (pairs), tau_l (differences between pairs) and y_l = its
    least + extra_l (mean).

    B: nuclear norm of H_2, twice; for 2 <= l < L the squared norm of the least map from layer l to l + 1; m for the
    last. `least` below 1 allows negative entries.
    """
    y = np.sqrt(least * (m - (m - 1) * tau**2)) + extra
    steps = m + (y[1:] / y[:-1]) ** 2 + (m - 1) * (tau[1:] / tau[:-1]) ** 2
    return float(2 * np.log(m + y[0] + (m - 1) * tau[0]) + np.sum(np.log(steps)) + np.log(m))


def searched(m: int, L: int, rng: int, least: float = 1.0, starts: int = 3) -> float:
    """The least log cost found over tau_2, ..., tau_L in (0, 1] and extra >= 0, from random starts."""
    draw, layers, best = np.random.default_rng(rng), L - 1, np.inf
    bounds = [(1e-9, 1.0)] * layers + [(0.0, 10.0)] * layers
    for _ in range(starts):
        x = np.concatenate([10.0 ** draw.uniform(-6, 0, layers), draw.exponential(1.0, layers)])
        end = minimize(lambda x: log_cost(m, L, x[:layers], x[layers:], least), x, method="L-BFGS-B", bounds=bounds)
        best = min(best, float(end.fun))
    return best


def hadamard_log_cost(m: int, L: int, power: float = 0.5) -> float:
    """log((m + sqrt m)^2 (m+1)^(L-2) m). `power` other than 1/2 falsifies it."""
    return float(2 * np.log(m + m**power) + (L - 2) * np.log(m + 1) + np.log(m))


def check_split(case):
    """No features of the family found cheaper than Hadamard ones; plain ones dearer; scales alone change nothing."""
    m, L = case.K // 2, case.L
    best = hadamard_log_cost(m, L, case.get("power", 0.5))
    found = searched(m, L, case.rng, case.get("least", 1.0))
    yield Evidence(found, ">=", best - SEARCH, 1e-9, "sampled", f"least found {found:.9g}, Hadamard {best:.9g}")
    yield Evidence(best, "<", hadamard_log_cost(m, L, 1.0), 1e-12, "float", "plain features cost more")
    scales = np.random.default_rng(case.rng).lognormal(size=L + 1)
    scales /= np.exp(np.mean(np.log(scales)))
    yield Evidence(float(np.mean(scales)), ">", 1.0, 1e-12, "float", "unequal norms of the same product cost more")


def _claim(features: str, **more) -> Claim:
    name = {"plain": "sharp", "hadamard": "hadamard"}[features]
    return Claim(
        id=f"gk25:thm7-{name}",
        source="gk25, Theorem 7 (a sharper form)",
        hypotheses={
            "K >= K_0 and L >= L_0 at a corner " + ", ".join(map(str, CORNERS[features])): lambda c: inside(
                c.K, c.L, c.features
            ),
        },
        check=check_exact,
        cases=[
            case for case in grid(K=range(2, 61), L=range(2, 21), features=features) if inside(case.K, case.L, features)
        ],
        controls=[
            *(Case(K=K - 1, L=L, features=features) for K, L in CORNERS[features]),
            *(Case(K=K, L=L - 1, features=features) for K, L in CORNERS[features] if L > 2),
            *grid(K=[4, 5], L=[8, 60], features=features),
            *more.pop("controls", ()),
        ],
        **more,
    )


SHARP = _claim(
    "plain",
    title=(
        "The construction of Theorem 7 works exactly for K >= 14, L = 4; K >= 10, L = 5; K >= 8, L = 6, 7; K >= 6, L"
        " >= 8"
    ),
    statement=(
        "16 m^3 (m+1)^(L-2) < (2m-1)^(L+1), m = floor(K/2), holds on this set and nowhere else; there, for d >= K, no"
        " ReLU DNC point is global."
    ),
    uses=("gk25:thm7-construction", "gk25:thm7-bound"),
    scope="integers for K up to 60 and L up to 20; ufm.certificates.theorems proves it for all K and L",
    controls=(planted("m + 1 is replaced by m + 2", K=8, L=6, features="plain", ones=2),),
)

HADAMARD = _claim(
    "hadamard",
    title="With Hadamard features: K >= 22, L = 2; K >= 10, L = 3; K >= 8, L = 4, 5; K >= 6, L >= 6",
    statement=(
        "Idle ReLU features whose columns are (1 +- B_i)/2 of a Hadamard matrix give the logits of pairs "
        "at the penalty of 4 m (m + sqrt m)^2 (m+1)^(L-2), below (2m-1)^(L+1) on this set; "
        "so for d >= K no ReLU DNC point is global there, for L = 2 and 3 as well."
    ),
    uses=("gk25:thm7-construction", "gk25:thm7-bound"),
    scope=(
        "integers for K up to 60 and L up to 20; the quotient of the sides falls in K and, from K = 6, in L, which"
        " carries it to all larger ones"
    ),
    controls=(planted("sqrt(m) is replaced by 3 sqrt(m)", K=10, L=3, features="hadamard", root=3),),
)

LOSSES = Claim(
    id="gk25:thm7-hadamard-losses",
    title="Explicit ReLU weights with Hadamard features cost less than the linear DNC bound at actual lam",
    statement=(
        "For K >= 22, L = 2; K >= 10, L = 3; K >= 8, L = 4, 5; K >= 6, L >= 6, d >= K and every lam at which linear DNC"
        " is below log K, F of the construction is below it."
    ),
    source="gk25, Theorem 7 (a sharper form)",
    hypotheses={
        "(K, L) beyond the Hadamard frontier": lambda c: inside(c.K, c.L, c.features),
        "d >= K": lambda c: c.d >= c.K,
        "the linear bound is below the zero point": bound_is_below_zero,
    },
    check=check_losses,
    cases=[
        case
        for case in grid(
            K=[6, 7, 8, 9, 10, 11, 22, 23],
            n=[1, 4],
            d=[23],
            L=[2, 3, 4, 6],
            lam=[1e-2, 1e-3, 1e-6],
            features="hadamard",
        )
        if inside(case.K, case.L, "hadamard") and bound_is_below_zero(case)
    ],
    controls=[
        *grid(K=[10, 20], n=1, d=20, L=2, lam=1e-6, features="hadamard"),
        *grid(K=[4, 5], n=1, d=8, L=6, lam=1e-3, features="hadamard"),
        planted("every factor is a tenth too small", K=22, n=1, d=22, L=2, lam=1e-3, features="hadamard", stretch=0.9),
    ],
    uses=("gk25:thm7-hadamard",),
    scope=(
        "lam from 1e-2 to 1e-6 where the bound is below the zero point; gk25:thm7-hadamard is the proof for every lam"
    ),
)

SPLIT = Claim(
    id="gk25:thm7-split",
    title="Hadamard features at equal norms are the cheapest idle features that the permutations of pairs fix",
    statement=(
        "Over features F_l >= 0 with F_l'F_l = P_X + y_l P_Y + t_l P_T at every layer, "
        "the least product of squared norms is (m + sqrt m)^2 (m+1)^(L-2) m, at t_l = 0, y_l = m."
    ),
    source="gk25, Theorem 7 (a sharper form)",
    hypotheses={"K even >= 4": lambda c: c.K % 2 == 0 and c.K >= 4, "L >= 2": lambda c: c.L >= 2},
    check=check_split,
    cases=grid(K=[4, 8, 14, 22], L=[2, 3, 6], rng=0),
    controls=[
        planted("features may have negative entries", K=8, L=3, rng=0, least=0.5),
        planted("the plain features' m is taken for the optimum", K=8, L=3, rng=0, power=1.0),
    ],
    uses=("gk25:thm7-hadamard",),
    scope="the least of three descents from random starts in 2(L-1) unknowns per case: evidence, not a proof",
)

CLAIMS = (SHARP, HADAMARD, LOSSES, SPLIT)
