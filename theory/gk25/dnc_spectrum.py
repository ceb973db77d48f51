"""The whole Hessian spectrum at collapse in closed form, and the branch of collapsed points on which it is read.

With D = L + 1, t = a/K, delta = (e^a - 1)/(e^a + K - 1), q = e^a/(e^a + K - 1), m = d - K + 1, in units of lam:

    scale           D t (1 + (K-1) delta) - (D-2)                                              x 1
    standard        [[D t (1 + (K-2) delta) - (D-2), sqrt(D (K-2)) t delta], [., 1 + t (1 + delta)]]   x (K-1)
    zero-diagonal   D t - (D-2)                                                                x K(K-3)/2
    antisymmetric   D (t + 1)                                                                  x (K-1)(K-2)/2
    frames          0 x (D-1) ((K-1)(K-2)/2 + (K-1) m),   2 x (D-1) (K(K-1)/2 + (K-1) m)
    within classes  1 + t x K(n-1)(K-2),   1 + K q t x K(n-1)
    the rest        1 x (K-1) + m + m (N-K+1) + (D-2) m^2

Everything is in units of lam because the scale equation lam n^(1/D) = a^(1-2/D) / (e^a + K - 1) turns the curvature of
the fit, s^(2-2/D) / (N (e^a + K - 1)), into lam a/K.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.optimize import brentq

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.critical.measures import spectrum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import dnc

TOL = 1e-11
"""Of the largest eigenvalue: eigenvalues of a dense symmetric matrix of a few hundred rows."""


def lam_at(K: int, n: int, L: int, a: float) -> float:
    """The ridge weight at which a S (x) 1_n' is critical."""
    D = L + 1
    return math.exp((1 - 2 / D) * math.log(a) - a - math.log1p((K - 1) * math.exp(-a)) - math.log(n) / D)


@functools.cache
def fold_scale(K: int, L: int) -> float:
    """Where large and small branch meet, a = (1 - 2/D)(1 + (K-1) e^-a); 0 at L = 1, where there is one branch."""
    kappa = 1 - 2 / (L + 1)
    if not kappa:
        return 0.0
    return brentq(lambda a: a - kappa * (1 + (K - 1) * math.exp(-a)), 1e-9 * kappa, kappa * K, xtol=1e-15, rtol=1e-14)


def exists(K: int, n: int, L: int, lam: float) -> bool:
    """Whether a collapsed point exists at lam: it lies below the fold."""
    fold = fold_scale(K, L)
    return lam < (lam_at(K, n, L, fold) if fold else 1 / (K * math.sqrt(n)))


def dnc_at(K: int, n: int, L: int, a: float, d: int | None = None) -> LogitPoint:
    """The collapsed point of scale a, on whichever branch that is."""
    root = "large" if a > fold_scale(K, L) else "small"
    return dnc(Problem(K=K, n=n, d=d, L=L, lam=lam_at(K, n, L, a)), root)


def stratum_blocks(K: int, L: int, a, exp_a):
    """(scale, standard 2 x 2 as (x, y^2, z), zero-diagonal) in units of lam; a and e^a floats, fractions or balls."""
    D, t = L + 1, a / K
    delta = (exp_a - 1) / (exp_a + K - 1)
    zero_diagonal = D * t - (D - 2)
    standard = (D * t * (1 + delta * (K - 2)) - (D - 2), D * (K - 2) * (t * delta) ** 2, 1 + t * (1 + delta))
    return D * t * (1 + delta * (K - 1)) - (D - 2), standard, zero_diagonal


def exponential(a: float) -> float:
    """e^a, held where delta is 1 to rounding so that it does not overflow."""
    return math.exp(min(a, 600.0))


def curvatures(K: int, a: float) -> tuple[float, float, float]:
    """(t, delta, q) = (a/K, (e^a - 1)/(e^a + K - 1), e^a/(e^a + K - 1))."""
    e = exponential(a)
    return a / K, (e - 1) / (e + K - 1), e / (e + K - 1)


def index_of_blocks(K: int, L: int, a, exp_a) -> int:
    """Number of negative eigenvalues at scale a, for K >= 3; of the standard block (z > 0) at most one is."""
    scale, (x, y2, z), zero_diagonal = stratum_blocks(K, L, a, exp_a)
    return (scale < 0) + (K - 1) * (x * z - y2 < 0) + K * (K - 3) // 2 * (zero_diagonal < 0)


def closed_form(K: int, n: int, d: int, L: int, a: float, coupling: float = 0.5) -> list[tuple[float, int]]:
    """[(eigenvalue / lam, multiplicity)] of the Hessian in all parameters at scale a. `coupling` other than 1/2
    falsifies it."""
    D, t, m, N = L + 1, a / K, d - K + 1, K * n
    q = 1 / (1 + (K - 1) * math.exp(-a))
    scale, (x, y2, z), zero_diagonal = stratum_blocks(K, L, a, exponential(a))
    low, high = np.linalg.eigvalsh([[x, y2**coupling], [y2**coupling, z]])
    return [
        (scale, 1),
        *((float(v), K - 1) for v in (low, high)),
        (zero_diagonal, K * (K - 3) // 2),
        (D * (t + 1), (K - 1) * (K - 2) // 2),
        (0.0, (D - 1) * ((K - 1) * (K - 2) // 2 + (K - 1) * m)),
        (2.0, (D - 1) * (K * (K - 1) // 2 + (K - 1) * m)),
        (1 + t, K * (n - 1) * (K - 2)),
        (1 + K * q * t, K * (n - 1)),
        (1.0, (K - 1) + m + m * (N - K + 1) + (D - 2) * m * m),
    ]


def closed_spectrum(point: LogitPoint, coupling: float = 0.5) -> list[tuple[float, int]]:
    """[(eigenvalue, multiplicity)] of `closed_form` at a collapsed point."""
    problem = point.problem
    return [
        (v * problem.Lam, m)
        for v, m in closed_form(problem.K, problem.n, problem.d, problem.L, point.scales[0], coupling)
    ]


def check(case):
    """The eigenvalues of the dense core and of the split-off rest, sorted, against the list above."""
    point = dnc(case.problem())
    problem, a = point.problem, point.scales[0]
    measured = np.repeat(*map(np.array, zip(*spectrum(point, merge=0.0), strict=True)))
    values, copies = zip(*closed_spectrum(point, case.get("coupling", 0.5)), strict=True)
    listed = np.sort(np.repeat(values, copies))
    yield Evidence(
        sum(copies),
        "==",
        sum(x * y for x, y in problem.shapes()),
        strength="exact",
        note="multiplicities sum to the number of parameters",
    )
    yield Evidence(
        float(np.max(np.abs(measured - listed))) / measured[-1],
        "==",
        0.0,
        TOL,
        note=f"a = {a:.6g}, largest difference of sorted eigenvalues",
    )


CLAIM = Claim(
    id="gk25:dnc-spectrum",
    title="Every eigenvalue of the Hessian at collapse in closed form",
    statement=(
        "At a collapsed point of scale a the Hessian in all parameters has the ten eigenvalues and multiplicities"
        " listed in theory.gk25.dnc_spectrum."
    ),
    source="gk25, Theorem 4 (a sharper form)",
    hypotheses={
        "K >= 3": lambda c: c.K >= 3,
        "d >= K - 1": lambda c: c.d >= c.K - 1,
        "one lam for all factors": lambda c: isinstance(c.lam, float),
        "DNC exists": lambda c: exists(c.K, c.n, c.L, math.exp(np.mean(np.log(c.lam)))),
    },
    check=check,
    cases=[
        *grid(K=[3, 4, 5], n=[1, 3], d=[5, 8], L=[1, 2, 4], lam=[1e-2, 1e-4]),
        Case(K=7, n=2, d=6, L=3, lam=2e-3),
        Case(K=10, n=5, d=70, L=2, lam=2**-10),
        Case(K=8, n=1, d=9, L=6, lam=1e-30),
    ],
    controls=[
        Case(K=4, n=2, d=5, L=2, lam=(1e-2, 1e-3, 1e-3)),
        planted("the coupling of the standard block is squared", K=4, n=2, d=5, L=2, lam=1e-2, coupling=1.0),
    ],
    scope=(
        "measured on the stated grid by dense eigenvalues; the derivation, by irreducible representations of the class"
        " permutations, covers all K, n, d, L"
    ),
)
