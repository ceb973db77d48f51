"""The constants of the distance bounds cannot be improved: a ridge regression where they are attained."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.zang24.bounds import layer_bounds
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.objective import Objective

ROUNDING = 1e-15
"""Of the targets: the error of the residuals, which are smaller than they by lam/(sigma^2 + lam)."""


def example(case):
    """(objective, minimiser): one matrix, MSE, x = e_k +- sigma e_{K+1}, target t e_k +- e_{K+1} with the same sign,
    n/2 samples of each sign per class.

    Classes and noise live in different coordinates, so the ridge minimiser is diagonal and known: (t/K)/(1/K + lam) on
    the K classes, and sigma/(sigma^2 + lam) on the noise, smaller than the former.
    """
    K, half, sigma, lam, t = case.K, case.n // 2, case.sigma, case.lam, target(case)
    y = np.repeat(np.arange(K), 2 * half)
    sign = np.tile(np.repeat([1.0, -1.0], half), K)
    X, T = np.zeros((K + 1, len(y))), np.zeros((K + 1, len(y)))
    X[y, np.arange(len(y))], X[K] = 1.0, sigma * sign
    T[y, np.arange(len(y))], T[K] = t, sign
    objective = Objective(Network((K + 1, K + 1)), Data(X, y, K, T=T), "mse", lam)
    return objective, [np.diag([*(t / K / (1 / K + lam),) * K, sigma / (sigma**2 + lam)])]


def target(case) -> float:
    """So many times as large as needed for the K classes to outweigh the noise in W."""
    return case.times * case.sigma / (case.sigma**2 + case.lam) * (1 + case.K * case.lam)


def check(case):
    """At the minimiser dist_K equals the exact and the second bound, and is the share (1 + (K lam m)^2/c^2)^(-1/2) of
    the first."""
    objective, params = example(case)
    (row,) = layer_bounds(objective, params, drop=case.get("drop", ""))
    lam, W = case.lam, params[0]
    tol = 1e-12 + ROUNDING * (1 + target(case)) * (1 + (1 + case.sigma**2) / lam)
    for name in ("exact", "second", "lipschitz"):
        yield Evidence(
            row.dist / getattr(row, name), "==", 1, tol, note=f"dist / {name}, |grad| = {row.grad * lam:.1e}"
        )
    between, within = case.K * lam * W[0, 0], lam / (case.sigma**2 + lam)
    yield Evidence(
        row.dist / row.first,
        "==",
        1 / math.sqrt(1 + (between / within) ** 2),
        tol,
        note="dist / first: the residual of the class means counts too",
    )


CLAIM = Claim(
    id="zang24:attained",
    title="The constant 1/lambda of the distance bounds is the best one",
    statement=(
        "For a single matrix, K classes x = e_k +- sigma e_(K+1) and targets t e_k +- e_(K+1) under MSE, t large"
        " enough, the minimiser has dist_K(W) equal to the exact, the second and the Lipschitz bound of"
        " zang24:distance; it is the share (1 + (K lam m)^2/c^2)^(-1/2) of the first, m = W_11, c = lam/(sigma^2 +"
        " lam)."
    ),
    source="zang24",
    hypotheses={
        "lam > 0": lambda c: c.lam > 0,
        "sigma > 0": lambda c: c.sigma > 0,
        "n even": lambda c: c.n % 2 == 0,
        "t large enough": lambda c: c.times > 1,
    },
    check=check,
    cases=grid(K=[2, 3, 10], n=[2, 10], sigma=[0.1, 1.0, 3.0], lam=[1e-6, 1e-2, 1.0], times=[1.5, 4.0]),
    controls=[
        planted("half the constant", K=3, n=4, sigma=0.5, lam=1e-2, times=2.0, drop="half"),
        planted("rank K - 1 is claimed", K=3, n=4, sigma=0.5, lam=1e-2, times=2.0, drop="rank"),
        Case(K=3, n=4, sigma=0.5, lam=1e-2, times=0.3),
    ],
    uses=("zang24:distance",),
)
