"""Small ridge weights: F on a ray a M grows like Lam (D/2) (log 1/Lam)^(2/D) R, R = sum s_i(M)^(2/D) of the code M with
smallest margin 1.

With p = 2/D, l = Lam n^(1/D), x = -log l and codes M (K x K, samples collapsed), every point a M has

    log(1 + e^-a)/K <= g <= (K - 1) e^-a,      penalty = (D/2) l R a^p,

so that choosing a = x + log x gives the right, and minimising over all a the left of

    1 - log+(K D R)/x  <=  min_a F(a M) / ((D/2) l R x^p)  <=  (1 + log(x)/x)^p + 2 (K-1)/(D R x^(1+p)),     x >= 1.

The left holds for every collapsed Z of least margin a > 0 with nu_p = min R in place of R, since its penalty is at
least (D/2) l a^p nu_p; a <= 0 costs g >= log(2)/K. Global minima are collapsed, so for small lam both hold for the
global minimum with nu_p: what wins at last is the code of least R. The candidates' R (margin 1, n = 1):

    dnc  K - 1   pairs (K even)  (K/2) 2^p   circle  2 (K/(2 (1 - cos(2 pi/K))))^p   binary (K = 2^m)  m (K/2)^p
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.numerics.schemes import dihedral, hamming, symmetric, wreath
from ufm.points import from_matrix
from ufm.problem import Problem

TOL = 1e-11
"""Relative: singular values of a K x K matrix, and a minimum over one scale."""
CODES = ("dnc", "pairs", "circle", "binary")


def fits(K: int, name: str) -> bool:
    """Whether the code exists for K classes."""
    return {"dnc": K >= 2, "pairs": K >= 4 and K % 2 == 0, "circle": K >= 3, "binary": K >= 2 and K & (K - 1) == 0}[
        name
    ]


def code(K: int, name: str) -> tuple[np.ndarray, int]:
    """(M, rank), M scaled to least margin 1: the first idempotent of a scheme."""
    makers = {
        "dnc": lambda: symmetric(K),
        "pairs": lambda: wreath(2, K // 2),
        "circle": lambda: dihedral(K),
        "binary": lambda: hamming(K.bit_length() - 1),
    }
    scheme = makers[name]()
    M = scheme.idempotents[0]
    return M / least_margin(M), scheme.multiplicities[0]


def margins(M: np.ndarray) -> np.ndarray:
    """(K, K-1): M_cc - M_jc, j != c."""
    gaps = np.diag(M)[None, :] - M
    return gaps.T[~np.eye(len(M), dtype=bool)].reshape(len(M), -1)


def least_margin(M: np.ndarray) -> float:
    return float(np.min(margins(M)))


def penalty(K: int, L: int, name: str, exponent: float = 1.0) -> float:
    """R by formula. `exponent` other than 1 falsifies p."""
    p = exponent * 2 / (L + 1)
    return {
        "dnc": lambda: K - 1.0,
        "pairs": lambda: K / 2 * 2**p,
        "circle": lambda: 2 * (K / (2 * (1 - math.cos(2 * math.pi / K)))) ** p,
        "binary": lambda: math.log2(K) * (K / 2) ** p,
    }[name]()


def ray_minimum(M: np.ndarray, R: float, D: int, ell: float) -> tuple[float, float]:
    """(F, a): least F(a M) = mean log(1 + sum e^(-a margin)) + (D/2) ell R a^p over the scales from 1e-3 x to 4 x + 4,
    x = -log ell, to rounding."""
    gaps, x = margins(M), -math.log(ell)

    def fun(a):
        return float(np.mean(np.log1p(np.sum(np.exp(-a * gaps), axis=1)))) + 0.5 * D * ell * R * a ** (2 / D)

    scales = np.geomspace(1e-3 * x, 4 * x + 4, 400)
    values = [fun(a) for a in scales]
    i = int(np.clip(np.argmin(values), 1, len(scales) - 2))
    end = optimize.minimize_scalar(
        fun, bounds=(scales[i - 1], scales[i + 1]), method="bounded", options={"xatol": 1e-10 * x}
    )
    return min((float(end.fun), float(end.x)), (values[i], float(scales[i])))


def check_values(case):
    """R by formula against the singular values, the rank, and F of the ray against the library's F of the same matrix;
    binary codes split into bits."""
    K, L, name = case.K, case.L, case.code
    M, rank = code(K, name)
    s = np.linalg.svd(M, compute_uv=False)[:rank]
    R = penalty(K, L, name, case.get("exponent", 1.0))
    yield Evidence(float(np.sum(s ** (2 / (L + 1)))) / R, "==", 1.0, TOL, note=f"R = {R:.9g}, rank {rank}")
    for a in (0.5, 4.0, 20.0):
        problem = Problem(K=K, n=case.n, L=L, lam=1e-3)
        fit = float(np.mean(np.log1p(np.sum(np.exp(-a * margins(M)), axis=1))))
        ray = fit + 0.5 * (L + 1) * 1e-3 * case.n ** (1 / (L + 1)) * R * a ** (2 / (L + 1))
        yield Evidence(
            full_value(problem, a * M, rank), "==", ray, TOL * max(1.0, ray), note=f"F at scale {a:g}, n = {case.n}"
        )
        if name == "binary":
            bits = math.log2(K)
            yield Evidence(
                fit, "==", bits * math.log1p(math.exp(-a)), TOL, note="cross-entropy is that of m independent bits"
            )


def full_value(problem: Problem, Z: np.ndarray, rank: int) -> float:
    """F of logits Z (x) 1_n' of declared rank."""
    from ufm.objectives.logits import value

    return value(from_matrix(problem, Z, rank=rank))


def check_rate(case):
    """min_a F / ((D/2) l R x^p) between its two bounds, which tend to 1."""
    K, L, name, D = case.K, case.L, case.code, case.L + 1
    M, _ = code(K, name)
    R, p = penalty(K, L, name), 2 / D * case.get("exponent", 1.0)
    ell = 10.0**-case.digits * case.n ** (1 / D)
    x = -math.log(ell)
    fun, a = ray_minimum(M, R, D, ell)
    ratio = fun / (0.5 * D * ell * R * x**p)
    low = 1 - max(0.0, math.log(K * D * R)) / x
    high = (1 + math.log(x) / x) ** p + 2 * (K - 1) / (D * R * x ** (1 + p))
    note = f"lam = 1e-{case.digits:g}: a = {a:.6g}, ratio to the limit {ratio:.6g}, bounds {low:.4g} and {high:.4g}"
    yield Evidence(ratio, "in", (low, high), TOL, note=note)


def check_winner(case):
    """The least F among the codes at a tiny lam belongs to the least R; as L grows R tends to the rank, and a code of
    rank 2 wins."""
    K, L, D = case.K, case.L, case.L + 1
    names = [name for name in CODES if fits(K, name)]
    found = {}
    for name in names:
        M, rank = code(K, name)
        R = penalty(K, L, name)
        found[name] = ray_minimum(M, R, D, 10.0**-case.digits)[0], R, rank
    by_value, by_penalty = (min(found, key=lambda name: found[name][i]) for i in (0, 1))
    wanted = min(found, key=lambda name: -found[name][1]) if case.get("worst") else by_penalty
    order = sorted(v[1] for v in found.values())
    note = (
        f"F of {wanted}, of least R = {found[wanted][1]:.6g}, over the least F, of {by_value}; all R:"
        f" {np.round(order, 4).tolist()}"
    )
    yield Evidence(found[wanted][0] / found[by_value][0], "in", (1 - 1e-9, 1 + 1e-9), 0.0, note=note)
    far = 10**6
    for name in names:
        rank = found[name][2]
        yield Evidence(
            penalty(K, far, name), "in", (rank - 1e-9, rank * 1.001), 0.0, note=f"R of {name} at L = 1e6 is its rank"
        )


def gapped(case) -> bool:
    """Whether the two least R of different codes are 2% apart, which a tiny lam can tell. (At K = 3 and 4 two names
    mean one code.)"""
    order = sorted(
        {(round(penalty(case.K, case.L, name), 9), code(case.K, name)[1]) for name in CODES if fits(case.K, name)}
    )
    return len(order) < 2 or order[1][0] > 1.02 * order[0][0]


EXISTS = {"the code exists": lambda c: fits(c.K, c.code)}
SOME = [(K, name) for K in (3, 4, 5, 8, 10, 16) for name in CODES if fits(K, name)]

CLAIMS = (
    Claim(
        id="related:deep-margin-values",
        title=(
            "The Schatten penalties at margin one of DNC, pairs, circle and binary codes; binary codes are independent"
            " bits"
        ),
        statement=(
            "With least margin 1, sum s_i^(2/D) is K - 1 for DNC, (K/2) 2^p for pairs, 2 (K/(2(1 - cos(2 pi/K))))^p for"
            " the circle and m (K/2)^p for the binary code of K = 2^m classes, whose cross-entropy at margin a is m"
            " log(1 + e^-a)."
        ),
        source="gk25, Theorem 1",
        hypotheses=EXISTS | {"L >= 1": lambda c: c.L >= 1},
        check=check_values,
        cases=[Case(K=K, n=n, L=L, code=name) for K, name in SOME for n, L in ((1, 1), (1, 2), (3, 4), (2, 9))],
        controls=[
            planted("p is replaced by 2p", K=K, n=1, L=3, code=name, exponent=2.0)
            for K, name in ((5, "circle"), (6, "pairs"), (8, "binary"))
        ],
        uses=("gk25:lemma1",),
    ),
    Claim(
        id="related:deep-margin-rate",
        title="On the ray of a code F -> Lam (D/2) (log 1/Lam)^(2/D) R as lam -> 0, between two explicit bounds",
        statement=(
            "For a code of least margin 1 and R = sum s^p, l = lam n^(1/D), x = -log l >= 1: 1 - log+(KDR)/x <= min_a"
            " F(a M)/((D/2) l R x^p) <= (1 + log(x)/x)^p + 2(K-1)/(D R x^(1+p)). With nu_p = min R the same holds for"
            " the global minimum at small lam."
        ),
        source="gk25, Theorem 1",
        hypotheses=EXISTS
        | {
            "L >= 1": lambda c: c.L >= 1,
            "x >= 1": lambda c: c.digits * math.log(10) - math.log(c.n) / (c.L + 1) >= 1,
        },
        check=check_rate,
        cases=[
            Case(K=K, n=n, L=L, code=name, digits=digits)
            for K, name in SOME
            for n, L in ((1, 1), (2, 2), (1, 5))
            for digits in (3, 10, 40, 150, 300)
        ],
        controls=[
            planted(
                "(log 1/lam)^p is replaced by (log 1/lam)^(2p)", K=4, n=1, L=4, code="dnc", digits=100, exponent=2.0
            ),
            planted(
                "(log 1/lam)^p is replaced by (log 1/lam)^(2p)", K=8, n=1, L=4, code="pairs", digits=100, exponent=2.0
            ),
            planted(
                "(log 1/lam)^p is replaced by (log 1/lam)^(p/2)", K=4, n=1, L=2, code="circle", digits=200, exponent=0.5
            ),
        ],
        uses=("related:deep-margin-values",),
        scope=(
            "lam from 1e-3 to 1e-300 on rays of four codes; for the global minimum proved from nu_p, whose value is not"
            " known beyond K = 2 (nu_p = 1)"
        ),
    ),
    Claim(
        id="related:deep-margin-winner",
        title=(
            "Among codes the least Schatten penalty at margin one wins as lam -> 0, and only the rank counts as L ->"
            " infinity"
        ),
        statement=(
            "At small enough lam the order of min_a F(a M) over codes M is that of R; R tends to the rank as D grows."
        ),
        source="gk25, Theorem 3",
        hypotheses={
            "K >= 3": lambda c: c.K >= 3,
            "L >= 1": lambda c: c.L >= 1,
            "the two least R differ by 2%": gapped,
            "lam <= 1e-250": lambda c: c.digits >= 250,
        },
        check=check_winner,
        cases=[c for c in grid(K=[3, 4, 5, 6, 8, 10, 16, 20], L=[1, 2, 3, 6, 12, 40], digits=290) if gapped(c)],
        controls=[
            planted("the largest R is taken", K=8, L=3, digits=290, worst=True),
            *[Case(K=4, L=2, digits=digits) for digits in (1.5, 1.8)],
        ],
        uses=("related:deep-margin-rate",),
        scope="among four families of codes at lam = 1e-290; other codes can be better",
    ),
)
