"""When collapse and pairs are stable, in scales: with any ridge weights per layer, any n.

The Hessian with weights lam_l is congruent to the one with equal weights Lam = (prod lam_l)^(1/D), so index and
threshold are those of Lam n^(1/D).

Pairs of scale b, K = 2m: the motion that mixes two pairs, Delta = x_i x_j' + x_j x_i' with x_i = (e_2i-1 - e_2i)/sqrt
2, sees the curvature 1/(N Q) of the fit, Q = e^b + e^-b + K - 2, because both classes of another pair have probability
1/Q. With Lam s^(2/D-1) = sqrt n (K - 2 + 2 e^-b)/(N Q), s = 2 b sqrt n, its eigenvalue D s^(2-2/D)/(N Q) - (D-2) Lam is
nonnegative iff

    b >= (L-1)/(L+1) (K/2 - 1 + e^-b),

and there are m(m-1)/2 such motions. That none of the others turns earlier is measured. At K = 4 this is where large and
small branch meet, because e^-b/(1 + e^-b) + tanh(b/2) = 1/(1 + e^-b): pairs of four classes are stable on their whole
large branch.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import fold_scale, lam_at
from theory.gk25.thm4_sharp import threshold
from theory.related.deep_tools import dense_inertia, mean_one_weights
from ufm.critical.classify import classify
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import dnc

DISTANCES = (1e-2, 1e-4)
"""Relative distances to the threshold at which both sides are looked at."""
EIGENVALUE = 1e-8
"""Of Lam: an eigenvalue below it counts as zero; the nearest here is about 1e-4 (L-1) Lam."""
FULL = 450
"""Most parameters whose dense Hessian is formed."""


def pairs_threshold(K: int, L: int, half: float = 0.5) -> float:
    """The root b of b = (L-1)/(L+1) (K/2 - 1 + e^-b); 0 at L = 1. `half` other than 1/2 falsifies it."""
    kappa = (L - 1) / (L + 1)
    return (
        brentq(lambda b: b - kappa * (half * K - 1 + math.exp(-b)), 0.0, half * K + 1.0, xtol=1e-15) if kappa else 0.0
    )


def pairs_at(K: int, n: int, L: int, b: float) -> LogitPoint:
    """Pairs of scale b at the ridge weight that makes them critical."""
    D, m = L + 1, K // 2
    U = np.zeros((K, m))
    for i in range(m):
        U[2 * i : 2 * i + 2, i] = (math.sqrt(0.5), -math.sqrt(0.5))
    s = 2 * b * math.sqrt(n)
    pull = math.sqrt(n) * (K - 2 + 2 * math.exp(-b)) / (K * n * (math.exp(b) + math.exp(-b) + K - 2))
    return LogitPoint(Problem(K=K, n=n, L=L, lam=pull * s ** (1 - 2 / D)), U, np.full(m, s), U)


def pairs_fold(K: int, L: int) -> float:
    """The scale at which Lam is largest on the branch of pairs."""
    kappa = (L - 1) / (L + 1)

    def slope(b):
        top, Q = K - 2 + 2 * math.exp(-b), math.exp(b) + math.exp(-b) + K - 2
        return kappa / b - 2 * math.exp(-b) / top - (math.exp(b) - math.exp(-b)) / Q

    return brentq(slope, 1e-9, 10.0 + K) if kappa else 0.0


def check_pairs(case):
    """Index on both sides of the threshold, and zero all the way up; the measured mixing eigenvalue changes sign
    there."""
    K, n, L = case.K, case.n, case.L
    b, m = pairs_threshold(K, L, case.get("half", 0.5)), case.K // 2
    yield Evidence(
        pairs_fold(K, L), "<", b * (1 - DISTANCES[0]), 1e-12, note="the threshold lies on the branch of large scales"
    )
    for distance in DISTANCES:
        for side in (1, -1):
            point = pairs_at(K, n, L, b * (1 + side * distance))
            yield Evidence(
                Stratum(point).grad_norm, "<=", 1e-10 * Stratum(point).ridge_norm, 0.0, note="the point is critical"
            )
            index = index_at(K, n, L, b * (1 + side * distance))
            where = f"b = {point.s[0] / 2 / math.sqrt(n):.9g}, {'above' if side > 0 else 'below'} by {distance:g}"
            yield Evidence(index, "==", 0 if side > 0 else m * (m - 1) // 2, 0, note=f"{where}: index")
    yield Evidence(index_at(K, n, L, 2 * b), "==", 0, 0, note="index at twice the threshold")


def index_at(K: int, n: int, L: int, b: float) -> int:
    """Index of the Hessian at pairs of scale b; -1 where the point is not critical."""
    found = classify(pairs_at(K, n, L, b), eig_tol=EIGENVALUE, extremes=False)
    return -1 if found.index is None else found.index


def check_square(case):
    """At K = 4 fold and threshold agree; the index is 0 all along the large branch."""
    K, n, L = case.K, case.n, case.L
    fold, b = pairs_fold(K, L), pairs_threshold(K, L)
    yield Evidence(fold, "==", b, 1e-11, note="fold of the branch, and threshold")
    for times in (1 + 1e-4, 1.01, 1.2, 2.0, 6.0):
        yield Evidence(index_at(K, n, L, fold * times), "==", 0, 0, note=f"index at {times:g} times the fold's scale")
    yield Evidence(
        index_at(K, n, L, fold * (1 - 1e-3)),
        "==",
        case.get("below", 3),
        0,
        note="index on the small branch: two scales and one mixing",
    )


def check_weights(case):
    """Index of collapse on both sides of a = K(L-1)/(L+1) with random ridge weights per layer of geometric mean lam*,
    all parameters in one dense Hessian."""
    K, n, L = case.K, case.n, case.L
    share = mean_one_weights(L + 1, case.spread, generator(seed_sequence(case.rng)))
    for side in (1.01, 0.99):
        a = side * float(threshold(K, L, case.get("shift", -1)))
        Lam = lam_at(K, n, L, a)
        problem = Problem(
            K=K,
            n=n,
            d=case.d,
            L=L,
            lam=tuple(Lam * share) if case.get("product", True) else tuple(Lam * share * share[0]),
        )
        point = dnc(problem, "large" if a > fold_scale(K, L) else "small")
        expected = 0 if side > 1 else K * (K - 3) // 2
        size = sum(x * y for x, y in problem.shapes())
        where = f"a = {a:.6g}, weights {np.round(problem.lams, 6).tolist()}"
        yield Evidence(
            classify(point, eig_tol=EIGENVALUE, extremes=False).index,
            "==",
            expected,
            0,
            note=f"{where}: index by the stratum",
        )
        if size <= FULL:
            yield Evidence(
                dense_inertia(point, case.rng, EIGENVALUE)[0],
                "==",
                expected,
                0,
                note=f"{where}: index of the dense Hessian",
            )


CLAIMS = (
    Claim(
        id="related:deep-dnc-weights",
        title="The stability threshold of collapse sees ridge weights per layer through their geometric mean alone",
        statement=(
            "For K >= 4, L >= 2, any n and any weights lam_l: the CE-DNC point of scale a has no negative curvature iff"
            " a >= K(L-1)/(L+1), that is iff Lam n^(1/D) <= a^((L-1)/(L+1))/(e^a + K - 1) at that a; just below, the"
            " index is K(K-3)/2."
        ),
        source="gk25, Theorem 4 (a sharper form)",
        hypotheses={"K >= 4": lambda c: c.K >= 4, "L >= 2": lambda c: c.L >= 2, "d >= K - 1": lambda c: c.d >= c.K - 1},
        check=check_weights,
        cases=[
            *grid(K=[4, 5], n=[1, 2], d=6, L=[2, 3], spread=1.5, rng=0),
            Case(K=8, n=3, d=9, L=4, spread=2.0, rng=1),
            Case(K=12, n=1, d=12, L=2, spread=3.0, rng=2),
        ],
        controls=[
            planted(
                "the arithmetic instead of the geometric mean, up to a factor",
                K=4,
                n=1,
                d=5,
                L=2,
                spread=1.5,
                rng=3,
                product=False,
            ),
            planted("the threshold is taken to be K L/(L+1)", K=5, n=1, d=5, L=2, spread=1.0, rng=0, shift=0),
        ],
        uses=("gk25:thm4-sharp",),
        scope="1% on either side of the threshold",
    ),
    Claim(
        id="related:deep-pairs-stable",
        title="Pairs are stable iff b >= (L-1)/(L+1) (K/2 - 1 + e^-b); below, m(m-1)/2 mixings of pairs are unstable",
        statement=(
            "K = 2m >= 6, L >= 2, CE: pairs of scale b have no negative curvature if b >= (L-1)/(L+1)(K/2 - 1 + e^-b),"
            " and just below exactly m(m-1)/2, the motions that mix two pairs."
        ),
        source="gk25, Theorem 4 (a sharper form)",
        hypotheses={"K even, at least 6": lambda c: c.K >= 6 and c.K % 2 == 0, "L >= 2": lambda c: c.L >= 2},
        check=check_pairs,
        cases=[*grid(K=[6, 8, 12], n=[1, 3], L=[2, 3, 6]), Case(K=18, n=1, L=12)],
        controls=[
            Case(K=4, n=1, L=2),
            planted("K/2 is replaced by 0.45 K", K=6, n=1, L=3, half=0.45),
            planted("K/2 is replaced by 0.55 K", K=6, n=2, L=2, half=0.55),
        ],
        uses=("related:deep-stratum-inertia",),
        scope=(
            "that b must be so large is proved (see theory.related.deep_stability); that it suffices is measured at"
            " distances 1e-4, 1e-2 and 1"
        ),
    ),
    Claim(
        id="related:deep-pairs-square",
        title="Pairs of four classes are stable on their whole large branch",
        statement=(
            "K = 4, L >= 2, CE: the threshold b = (L-1)/(L+1)(1 + e^-b) of the mixing of the two pairs is the fold of"
            " the branch, so that pairs are local minima wherever the large root exists."
        ),
        source="gk25, Theorem 4 (a sharper form)",
        hypotheses={"K = 4": lambda c: c.K == 4, "L >= 2": lambda c: c.L >= 2},
        check=check_square,
        cases=grid(K=4, n=[1, 5], L=[2, 3, 5, 10]),
        controls=[
            Case(K=6, n=1, L=2),
            planted("one negative direction is expected on the small branch", K=4, n=1, L=2, below=1),
        ],
        uses=("related:deep-pairs-stable",),
        scope="fold = threshold is an identity; the index is measured at five scales of the branch",
    ),
)
