"""Fang et al.: the layer-peeled model, with bounded norms in place of ridge weights; its minimum, its relaxation, and
when minorities collapse."""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, planted
from theory.related.shallow import SIDES, SOLVER, softmax_loss
from ufm.certificates.convex import gram_minimum
from ufm.losses import CrossEntropy
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.problem import Columns, Problem

TOL = 1e-8


def normalised_fit(x: np.ndarray, weights: np.ndarray, d: int, sizes: tuple[float, float]):
    """(sum_c weights_c CE, gradient) at logits W'H, W and H (d, K) the two halves of x scaled to sum |w_k|^2 = K E_W,
    sum |h_c|^2 = K E_H."""
    K = len(weights)
    A, B = x.reshape(2, d, K)
    r = [math.sqrt(K * E) / np.linalg.norm(X) for X, E in zip((A, B), sizes, strict=True)]
    W, H = r[0] * A, r[1] * B
    value, G = CrossEntropy().value_grad(W.T @ H, np.eye(K))
    G = G * weights
    grads = (H @ G.T, W @ G)
    pulled = [s * (g - X * np.sum(g * X) / np.sum(X * X)) for s, g, X in zip(r, grads, (W, H), strict=True)]
    return float(value @ weights), np.concatenate([g.ravel() for g in pulled])


def descent(weights, d: int, sizes, draw) -> tuple[float, np.ndarray]:
    """(value, W (d, K)) where L-BFGS ends from a random start."""
    K = len(weights)
    settings = {"maxiter": 5000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-11, "maxcor": 30}
    end = optimize.minimize(
        normalised_fit,
        draw.standard_normal(2 * d * K),
        args=(np.asarray(weights), d, sizes),
        jac=True,
        method="L-BFGS-B",
        options=settings,
    )
    A = end.x.reshape(2, d, K)[0]
    return float(end.fun), A * math.sqrt(K * sizes[0]) / np.linalg.norm(A)


def balanced_minimum(K: int, E_W: float, E_H: float, bigger: float = 1.0) -> float:
    """log(1 + (K-1) exp(-sqrt(E_W E_H) K/(K-1)))."""
    return softmax_loss(bigger * math.sqrt(E_W * E_H) * K / (K - 1), K - 1)


def check_balanced(case):
    """The closed form against random descents in R^d and the semidefinite relaxation."""
    K, sizes = case.K, (case.E_W, case.E_H)
    F = balanced_minimum(K, *sizes, case.get("bigger", 1.0))
    ends = [
        descent([1 / K] * K, case.d, sizes, generator(child(seed_sequence(case.rng), i)))[0] for i in range(case.starts)
    ]
    yield Evidence(min(ends), "==", F, TOL, "sampled", "lowest of the descents")
    if K <= 6:
        low, _ = gram_minimum([1 / K] * K, *sizes)
        yield Evidence(low, "==", F, SOLVER, note="the semidefinite relaxation")


def weights_of(kA: int, kB: int, R: float) -> np.ndarray:
    """n_c/N for kA classes of R samples and kB of one."""
    counts = np.array([R] * kA + [1.0] * kB)
    return counts / counts.sum()


@functools.lru_cache(256)
def collapse_size(kA: int, kB: int, R: float) -> float:
    """sqrt(E_W E_H) at which minorities split: |Z|_*/K of the minimum of sum_c (n_c/N) CE(z_c) + c |Z|_* at c = 1/(R kA
    + kB).

    The bounds meet the ridge model with features weighted per class, whose minority contrasts are pulled with n_B/N
    when merged.
    """
    weights = weights_of(kA, kB, R)
    K, c = len(weights), float(weights[-1])
    columns = Columns(np.eye(K), weights, np.ones(K), np.ones(K, int))
    objective = FactorObjective(Problem(K=K, d=K, L=1, lam=c * (1 + 1e-9)), columns=columns)
    x = generator(seed_sequence(0)).standard_normal(objective.size)
    settings = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0, "gtol": 1e-10, "maxcor": 40}
    x = optimize.minimize(objective.value_grad, x, jac=True, method="L-BFGS-B", options=settings).x
    return 0.5 * float(x @ x) / K


def minority_spread(W: np.ndarray, kB: int) -> float:
    """|w_i - w_j| over |w| of the minorities, largest."""
    V = W[:, -kB:]
    return float(max(np.linalg.norm(V - V[:, [j]], axis=0).max() for j in range(kB)) / np.linalg.norm(W, axis=0).max())


def check_minority(case):
    """Minority classifiers one percent on either side of the size at which they merge, in descents and (value) against
    the relaxation."""
    shape = case.kA, case.kB, case.R
    weights, K = weights_of(*shape), case.kA + case.kB
    size = case.get("times", 1.0) * collapse_size(*shape)
    for side in SIDES:
        E = (1 + side) * size
        sizes = (E * case.spread, E / case.spread)
        ends = [
            descent(weights, case.d, sizes, generator(child(seed_sequence(case.rng), i))) for i in range(case.starts)
        ]
        value, W = min(ends, key=lambda end: end[0])
        found, note = minority_spread(W, case.kB), f"minority classifiers at {1 + side:g} of the size"
        yield (
            Evidence(found, "<", 1e-5, 1e-6, "sampled", note)
            if side < 0
            else Evidence(found, ">", 1e-2, 1e-3, "sampled", note)
        )
        if K <= 6:
            yield Evidence(
                gram_minimum(weights.tolist(), *sizes)[0], "==", value, SOLVER, "sampled", "the semidefinite relaxation"
            )


CLAIMS = (
    Claim(
        id="related:fang21-balanced",
        title="Layer-peeled model: minimum in closed form, relaxation tight",
        statement=(
            "(1/K) sum |w_k|^2 <= E_W, (1/K) sum_c (1/n) sum_i |h_ci|^2 <= E_H, balanced cross-entropy, d >= K - 1: "
            "min = log(1 + (K-1) exp(-sqrt(E_W E_H) K/(K-1))), which is also the value of its semidefinite relaxation."
        ),
        source="fang21, balanced minimum and its relaxation",
        hypotheses={"d >= K - 1": lambda c: c.d >= c.K - 1},
        check=check_balanced,
        cases=[
            Case(K=K, d=d, E_W=E_W, E_H=E_H, starts=3, rng=0)
            for K, d, E_W, E_H in [
                (2, 1, 1.0, 1.0),
                (3, 2, 2.0, 0.5),
                (3, 6, 9.0, 1.0),
                (4, 4, 0.1, 0.3),
                (5, 8, 4.0, 9.0),
                (6, 6, 1.0, 2.0),
                (12, 14, 5.0, 5.0),
            ]
        ],
        controls=[
            Case(K=5, d=2, E_W=2.0, E_H=2.0, starts=3, rng=0),
            planted("a margin one percent larger", K=4, d=4, E_W=1.0, E_H=2.0, starts=2, rng=0, bigger=1.01),
        ],
        uses=("related:sphere-simplex",),
    ),
    Claim(
        id="related:fang21-minority",
        title="Layer-peeled model: minority collapse is exact from a finite ratio on",
        statement=(
            "k_A classes of R n samples, k_B >= 2 of n, features bounded per class: the minority classifiers are equal"
            " iff sqrt(E_W E_H) <= |Z|_*/K, Z the minimum of sum_c (n_c/N) CE(z_c) + c |Z|_* at c = 1/(R k_A + k_B);"
            " the relaxation is tight for d >= 2K."
        ),
        source="fang21, minority collapse (collapse as R -> infinity; the exact size is added here)",
        hypotheses={
            "d >= 2K": lambda c: c.d >= 2 * (c.kA + c.kB),
            "k_B >= 2": lambda c: c.kB >= 2,
            "R > 1": lambda c: c.R > 1,
        },
        check=check_minority,
        cases=[
            Case(kA=kA, kB=kB, R=R, d=12, spread=s, starts=3, rng=0)
            for kA, kB, R, s in [(1, 2, 5.0, 1.0), (2, 2, 10.0, 1.0), (3, 3, 4.0, 3.0), (2, 3, 100.0, 1.0)]
        ],
        controls=[
            planted(
                "the size is two percent smaller", kA=2, kB=2, R=10.0, d=12, spread=1.0, starts=3, rng=0, times=0.98
            )
        ],
        uses=("related:hong-merging",),
    ),
)
