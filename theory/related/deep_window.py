"""The window of Theorem 3: lam = 2c/(L+1) as L -> infinity. The minimum tends to min_r (c r + m_r), m_r the least
cross-entropy that rank r allows.

    m_0 = log K,      m_1 = (1/N) sum_j n_j log(1 + min(j, K-1-j)),      m_r = 0 for r >= 2 (K >= 3; m_1 = 0 for K = 2),

the largest classes at the outermost places of the order j = 0, ..., K-1. So zero wins for c > max(log K - m_1, (log
K)/2), rank one between m_1 and log K - m_1 where m_1 < (log K)/2 (balanced: K <= 19), rank two below both: Theorem 3
(i) and (ii) are the two ends.

m_1: Z = u v' with u in rising order. The column of class j sees e^(v (u_k - u_j)) >= 1 from every k above it where v >=
0 and from every k below where v <= 0: ">=". Gaps of u that grow fast towards the middle, with v_j large against the gap
inside of j and small against what lies outside, come as near as one likes. From above, any fixed Z has penalty c sum
s^(2/D) -> c r. From below, let r count the s_i >= q = (1-e)^(D/2): their penalty is at least c (1-e) r, and the others
change the fit by at most sqrt(2K/N) q, since a column loss has slope at most sqrt 2. So F >= min_r (c (1-e) r + m_r) -
sqrt(2K/N) q, 0 < e < 1.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.numerics.seeds import child, generator, seed_sequence

TOL = 1e-12
"""Rounding of losses of size one."""


def order_of_sizes(n) -> list[int]:
    """Class sizes in the order of u: the largest outermost, alternating."""
    left, right = [], []
    for i, size in enumerate(sorted(n, reverse=True)):
        (right if i % 2 else left).append(size)
    return left + right[::-1]


def least_fits(n, places: int = 1) -> list[float]:
    """[m_0, m_1, m_2] for class sizes n. `places` other than 1 falsifies the count of classes that cannot be beaten."""
    n, K, N = order_of_sizes(n), len(n), sum(n)
    first = sum(size * math.log(places + min(j, K - 1 - j)) for j, size in enumerate(n)) / N
    return [math.log(K), first, 0.0 if K >= 3 else first]


def limit(n, c: float, places: int = 1) -> tuple[float, int]:
    """(min_r (c r + m_r), the r that attains it)."""
    values = [c * r + m for r, m in enumerate(least_fits(n, places))]
    return min(values), int(np.argmin(values))


def lower_bound(n, c: float, L: int) -> float:
    """max over e of min_r (c (1-e) r + m_r) - sqrt(2K/N) (1-e)^(D/2), a lower bound of F everywhere."""
    D, N, K = L + 1, sum(n), len(n)
    fits = least_fits(n)
    found = [
        min(c * (1 - e) * r + m for r, m in enumerate(fits)) - math.sqrt(2 * K / N) * (1 - e) ** (D / 2)
        for e in np.geomspace(1e-6, 0.9, 300)
    ]
    return max(found)


def gaps(K: int, M: float) -> np.ndarray:
    """K - 1 gaps of u, in rising order: 1, M, M^2, ... from both ends to the middle, the upper of two middle ones a
    power larger."""
    h = K // 2
    powers = [*range(h), *range(h - 2, -1, -1)] if K % 2 == 0 else [*range(h), h, *range(h - 2, -1, -1)]
    return float(M) ** np.array(powers)


def column_loss(distances: np.ndarray, v: float) -> float:
    """log sum_k e^(v (u_k - u_j)) from the distances u_k - u_j of one class."""
    x = v * distances
    return float(np.max(x) + np.log(np.sum(np.exp(x - np.max(x)))))


def distances_of(steps: np.ndarray) -> np.ndarray:
    """(K, K): u_k - u_j in row j, summed from the gaps without cancellation."""
    K = len(steps) + 1
    return np.array([[np.sum(steps[j:k]) if k >= j else -np.sum(steps[k:j]) for k in range(K)] for j in range(K)])


def rank_one(n, M: float) -> tuple[float, float]:
    """(fit, singular value) of u v', u with the gaps above, v_j = +-log M over the gap on the inner side of class j (2
    log M for the outermost two)."""
    n, K, steps = order_of_sizes(n), len(n), gaps(len(n), M)
    table, total = distances_of(steps), 0.0
    v = np.zeros(K)
    for j in range(K):
        lower = j < K - 1 - j or (2 * j == K - 1)  # the middle class of an odd number leans to its smaller gap
        v[j] = (
            (-1.0 if lower else 1.0)
            * math.log(M)
            / (steps[j] if lower else steps[j - 1])
            * (2.0 if j in (0, K - 1) else 1.0)
        )
        total += n[j] * column_loss(table[j], v[j])
    u = table[0] - np.mean(table[0])
    return total / sum(n), float(np.linalg.norm(u) * np.sqrt(np.sum(np.array(n) * v**2)))


@functools.cache
def ladders(n: tuple[int, ...]) -> list[tuple[float, float]]:
    """`rank_one` for gap ratios from 2 to 1e12."""
    return [rank_one(n, M) for M in np.geomspace(2, 1e12, 120)]


def best_found(n, c: float, L: int) -> dict[int, float]:
    """{rank: least F found}: zero; ladders over M; polygons over the scale (K >= 3). Upper bounds."""
    n, K, N, p = order_of_sizes(n), len(n), sum(n), 2 / (L + 1)
    found = {0: math.log(K), 1: min(fit + c * s**p for fit, s in ladders(tuple(n)))}
    if K >= 3:
        angle = 2 * np.pi * np.arange(K) / K
        gram = np.cos(angle[:, None] - angle)
        s = np.linalg.svd(gram * np.sqrt(n)[None, :], compute_uv=False)[:2]
        fits = (
            (a, sum(size * column_loss(a * (gram[:, j] - 1), 1.0) for j, size in enumerate(n)) / N)
            for a in np.geomspace(1, 1e6, 80)
        )
        found[2] = min(fit + c * float(np.sum((a * s) ** p)) for a, fit in fits)
    return found


def sizes(case) -> tuple[int, ...]:
    return case.n if isinstance(case.n, tuple) else (case.n,) * case.K


def margin_of(n, c: float) -> float:
    """By how much the least of c r + m_r lies below the next."""
    values = sorted(c * r + m for r, m in enumerate(least_fits(n)[: 2 if len(n) == 2 else 3]))
    return values[1] - values[0]


def inside(K: int, n, L: int) -> list[Case]:
    """Cases at `spots`, those that depth L can tell apart."""
    cases = [Case(K=K, n=n, L=L, c=x) for x in spots(n if isinstance(n, tuple) else (n,) * K)]
    return [case for case in cases if clear(case)]


def clear(case) -> bool:
    """Whether the limits of the ranks are further apart than what is left at depth L."""
    n = sizes(case)
    return margin_of(n, case.c) > 2 * len(n) * max(case.c, 1.0) * math.log((case.L + 1) * sum(n)) / (case.L + 1)


def check(case):
    """The least F found, and the lower bound, on both sides of the limit and within their rates of it; the winning
    rank."""
    n, c, L = sizes(case), case.c, case.L
    value, rank = limit(n, c, case.get("places", 1))
    low, found = lower_bound(n, c, L), best_found(n, c, L)
    winner = min(found, key=found.get)
    D, K, N = L + 1, len(n), sum(n)
    e = 4 * math.log(D) / D
    yield Evidence(
        found[winner] - low,
        "in",
        (-TOL, math.inf),
        0.0,
        note=f"least F found over the lower bound, at lam = {2 * c / D:.6g}",
    )
    yield Evidence(
        low,
        "in",
        (value * (1 - e) - math.sqrt(2 * K / N) / D**2, value + TOL),
        0.0,
        note=f"lower bound, limit {value:.9g}",
    )
    yield Evidence(
        found[winner],
        "in",
        (value - e * value, value + 2 * K * max(c, 1.0) * math.log(D * N) / D),
        0.0,
        note=f"least F found, rank {winner}",
    )
    yield Evidence(
        winner, "==", rank, 0, note=f"the winning rank; m = {np.round(least_fits(n), 6).tolist()}, c = {c:.6g}"
    )


def check_rank_one(case):
    """m_1 from above by the ladders, from below by random u with every v_j at its best (a convex problem each)."""
    n = sizes(case)
    ordered, K, wanted = order_of_sizes(n), len(n), least_fits(n, case.get("places", 1))[1]
    M = 10.0**case.digits
    yield Evidence(
        rank_one(n, M)[0] - wanted,
        "in",
        (-TOL, 6 * K * math.log(M) / M),
        0.0,
        note=f"ladder of gaps M^k, M = {M:g}, above m_1 = {wanted:.9g}",
    )
    seed, least = seed_sequence(case.rng), math.inf
    for i in range(case.draws):
        draw = generator(child(seed, i))
        table = distances_of(np.exp(draw.uniform(-4, 4, K - 1)))
        order = draw.permutation(K)
        losses = [
            optimize.minimize_scalar(functools.partial(column_loss, row), bounds=(-1e3, 1e3), method="bounded").fun
            for row in table
        ]
        least = min(least, sum(ordered[k] * loss for k, loss in zip(order, losses, strict=True)) / sum(n))
    yield Evidence(
        least - wanted, "in", (-1e-9, math.inf), 0.0, "sampled", note=f"least fit over {case.draws} random u"
    )


def spots(n) -> list[float]:
    """Values of c inside each phase, 5% or more away from the borders in c."""
    m = least_fits(n)
    if len(n) == 2 or 2 * m[1] > m[0]:
        border = m[0] if len(n) == 2 else 0.5 * m[0]
        return [0.5 * border, 0.9 * border, 1.1 * border, 2 * border]
    low, high = m[1], m[0] - m[1]
    return [0.5 * low, 0.9 * low, low + 0.1 * (high - low), low + 0.9 * (high - low), 1.1 * high, 2 * high]


SHAPES = (
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 2),
    (7, 1),
    (3, (5, 3, 1)),
    (4, (6, 1, 1, 1)),
    (5, (4, 3, 2, 1, 1)),
    (19, 1),
    (20, 1),
    (26, 1),
)
"""(K, n)."""
COUNTED = {"one count per class": lambda c: isinstance(c.n, int) or len(c.n) == c.K, "K >= 2": lambda c: c.K >= 2}
CLAIMS = (
    Claim(
        id="related:deep-window-rank-one",
        title="The least cross-entropy of rank-one logits is (1/N) sum n_j log(1 + min(j, K-1-j))",
        statement=(
            "The infimum of the mean cross-entropy over Z = u v' is (1/N) sum_j n_j log(1 + min(j, K-1-j)), j = 0, ...,"
            " K-1 an order of the classes with the largest outermost; it is not attained."
        ),
        source="gk25, Theorem 3",
        hypotheses=COUNTED,
        check=check_rank_one,
        cases=[Case(K=K, n=n, digits=digits, draws=10, rng=0) for K, n in SHAPES if K < 10 for digits in (3, 9)],
        controls=[
            planted(
                "a class in the middle is allowed to be fitted",
                K=4,
                n=(1, 1, 1, 1),
                digits=6,
                draws=10,
                rng=0,
                places=0.5,
            )
        ],
        scope=(
            "from above by explicit matrices, from below by the argument of theory.related.deep_window and by random"
            " matrices"
        ),
    ),
    Claim(
        id="related:deep-window",
        title=(
            "Between the two regimes of Theorem 3: lam = 2c/(L+1) has three phases, of rank 0, 1 and 2, with explicit"
            " borders"
        ),
        statement=(
            "Deep linear CE, K >= 3, lam = 2c/(L+1), L -> infinity: min F -> min(log K, c + m_1, 2c), m_1 = (1/N) sum"
            " n_j log(1 + min(j, K-1-j)). Zero wins for c > max(log K - m_1, (log K)/2), rank 1 for m_1 < c < log K -"
            " m_1, rank 2 below; K = 2: zero for c > log 2, else rank 1. min F is above the limit times 1 - 4 log(D)/D,"
            " less sqrt(2K/N)/D^2."
        ),
        source="gk25, Theorem 3",
        hypotheses=COUNTED
        | {
            "L >= 1000": lambda c: c.L >= 1000,
            "the ranks differ by more than 2 K log(L N)/L in c r + m_r": clear,
        },
        check=check,
        cases=[case for K, n in SHAPES for L in (3000, 10**6) for case in inside(K, n, L)],
        controls=[
            *grid(K=3, n=1, L=[2, 5], c=0.3),
            planted("every class of rank one is taken to be beaten by one more", K=3, n=1, L=10**6, c=0.3, places=2),
        ],
        uses=("gk25:lemma1", "related:deep-window-rank-one"),
        scope=(
            "upper bounds from explicit matrices and lower bounds valid everywhere, for L from 3000 to 1e7; between"
            " them min F lies"
        ),
    ),
)
