"""Andriopoulos et al.: regression onto several targets; the classifier's Gram matrix is a thresholded root of the
targets' covariance."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import SOLVER
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.problem import Columns, Problem

TOL = 1e-7
"""Of matrices of size 1 where a descent to gradient 1e-10 ends."""


def targets(case) -> np.ndarray:
    """K correlated targets of M samples (K, M) with means, of size 1."""
    draw = generator(seed_sequence(case.rng))
    mix = draw.standard_normal((case.K, case.K)) / np.sqrt(case.K)
    return mix @ draw.standard_normal((case.K, case.M)) + draw.standard_normal((case.K, 1))


def problem_of(case) -> Problem:
    """(1/2M)|WH + b 1' - Y|^2 + (lam_H/2M)|H|^2 + (lam_W/2)|W|^2; with `bias` a free b, else none."""
    lam = (case.lam_H / case.M, *[case.lam_W] * case.L)
    return Problem(K=case.K, n=1, d=case.d, L=case.L, lam=lam, loss="mse", bias=0.0 if case.bias else None)


def columns(Y: np.ndarray) -> Columns:
    """One column per sample, weight 1/M."""
    M = Y.shape[1]
    return Columns(Y, np.full(M, 1.0 / M), np.ones(M), np.ones(M, int))


def closed_form(
    Y: np.ndarray, lam_H: float, lam_W: float, d: int, bias: bool, power: float = 0.5
) -> tuple[np.ndarray, np.ndarray, float]:
    """(W W', residual W H + b 1' - Y, F): W W' = sqrt(lam_H/lam_W) [Sigma^(1/2) - sqrt(c)]_+ on the d largest modes, c
    = lam_H lam_W.

    Sigma = (Y - Ybar)(Y - Ybar)'/M, Ybar = 0 without a bias. `power` other than 1/2 falsifies the root.
    """
    M, X = Y.shape[1], Y - (Y.mean(axis=1, keepdims=True) if bias else 0.0)
    values, Q = np.linalg.eigh(X @ X.T / M)
    values, Q, c = np.maximum(values[::-1], 0.0), Q[:, ::-1], lam_H * lam_W
    kept = np.where(np.arange(len(values)) < d, np.maximum(values**power - np.sqrt(c), 0.0), 0.0)
    fitted = np.divide(kept, np.sqrt(values), out=np.zeros_like(kept), where=values > 0)
    F = float(np.sum(0.5 * (np.sqrt(values) - kept) ** 2 + np.sqrt(c) * kept))
    return np.sqrt(lam_H / lam_W) * (Q * kept) @ Q.T, -(Q * (1 - fitted)) @ Q.T @ X, F


def descent(case, Y: np.ndarray):
    """(F, factors, b) where L-BFGS ends."""
    objective = FactorObjective(problem_of(case), columns=columns(Y))
    x = generator(child(seed_sequence(case.rng), 1)).standard_normal(objective.size)
    settings = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 0, "gtol": 1e-11, "maxcor": 40}
    end = optimize.minimize(objective.value_grad, x, jac=True, method="L-BFGS-B", options=settings)
    return float(end.fun), *objective.unpack(end.x)


def check(case):
    """Value, W W' and residual of a descent against the closed form; the value of a convex programme too where d >= K
    and M is small."""
    Y = targets(case)
    gram, residual, F = closed_form(Y, case.lam_H, case.lam_W, case.d, case.bias, case.get("power", 0.5))
    found, factors, b = descent(case, Y)
    yield Evidence(found, "==", F, TOL, note="value")
    W = factors[-1]
    yield Evidence(np.max(np.abs(W @ W.T - gram)), "==", 0.0, 100 * TOL, note="W W'")
    left = np.linalg.multi_dot([*factors[::-1]]) + (0.0 if b is None else b[:, None]) - Y
    yield Evidence(np.max(np.abs(left - residual)), "==", 0.0, 100 * TOL, note="residual")
    if case.d >= case.K and case.M <= 12 and case.L == 1:
        from ufm.certificates.convex import convex_minimum

        yield Evidence(
            convex_minimum(problem_of(case), columns=columns(Y))[0], "==", F, SOLVER, note="the convex programme"
        )


CLAIM = Claim(
    id="related:andriopoulos24",
    title="Regression: W W' is a thresholded square root of the targets' covariance",
    statement=(
        "L = 1, K targets, M samples, loss (1/2M)|WH + b - Y|^2 + (lam_H/2M)|H|^2 + (lam_W/2)|W|^2, c = lam_H lam_W,"
        " Sigma the covariance of the targets (the second moment without a bias): W W' = sqrt(lam_H/lam_W) [Sigma^(1/2)"
        " - sqrt(c)]_+; residual -sqrt(c) Sigma^(-1/2)(Y - Ybar) on the modes with sigma > c, and -(Y - Ybar) on the"
        " others. For d < K the d largest modes."
    ),
    source="andriopoulos24, global minimum (all modes active; thresholds and d < K follow from mirsky75)",
    hypotheses={"L = 1": lambda c: c.L == 1, "lam > 0": lambda c: c.lam_H > 0 and c.lam_W > 0},
    check=check,
    cases=[
        *grid(K=[2, 3, 5], M=[10, 40], d=[2, 7], L=1, lam_H=[1e-2, 1.0], lam_W=[1e-2, 0.3], bias=[True, False], rng=0)[
            ::5
        ],
        Case(K=8, M=100, d=10, L=1, lam_H=0.2, lam_W=0.05, bias=True, rng=1),
        Case(K=4, M=30, d=6, L=1, lam_H=20.0, lam_W=5.0, bias=True, rng=2),
    ],
    controls=[
        Case(K=3, M=20, d=5, L=2, lam_H=1e-2, lam_W=1e-2, bias=True, rng=0),
        planted(
            "Sigma^(0.51) instead of the square root",
            K=3,
            M=20,
            d=5,
            L=1,
            lam_H=1e-2,
            lam_W=1e-2,
            bias=True,
            rng=0,
            power=0.51,
        ),
    ],
)
