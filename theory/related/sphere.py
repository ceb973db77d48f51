"""Features and classifiers on spheres: the simplex where it fits, softmax codes where it does not."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, planted
from theory.related.shallow import SOLVER, softmax_loss
from ufm.certificates.convex import gram_minimum
from ufm.losses import CrossEntropy
from ufm.numerics.seeds import child, generator, seed_sequence

TOL = 1e-8
HARD = (5.0, 20.0, 80.0, 320.0, 1280.0)
"""Scales tau at which the codes are annealed; the margin of the last is within log(K)/tau of the best near it."""


def normalised_fit(x: np.ndarray, K: int, d: int, tau: float):
    """(CE, gradient) at logits tau w_j'h_c, w and h the normalised columns of x (d, 2K)."""
    X = x.reshape(d, 2 * K)
    size = np.linalg.norm(X, axis=0)
    V = X / size
    W, H = V[:, :K], V[:, K:]
    Z, Y = tau * W.T @ H, np.eye(K)
    value, G = CrossEntropy().value_grad(Z, Y)
    G = tau * G / K
    D = np.hstack([H @ G.T, W @ G])
    return float(np.mean(value)), ((D - V * np.sum(D * V, axis=0)) / size).ravel()


def descent(K: int, d: int, tau: float, x: np.ndarray, scale: float = 1.0) -> tuple[float, np.ndarray]:
    """(value, x) where L-BFGS ends; the value is divided by `scale` for the solver's sake."""

    def fun(x):
        value, grad = normalised_fit(x, K, d, tau)
        return value / scale, grad / scale

    end = optimize.minimize(
        fun,
        x,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-11, "maxcor": 30},
    )
    return float(end.fun * scale), end.x


def simplex_minimum(K: int, tau: float, bigger: float = 1.0) -> float:
    """log(1 + (K-1) e^(-tau K/(K-1))). `bigger` falsifies the margin."""
    return softmax_loss(bigger * tau * K / (K - 1), K - 1)


def check_simplex(case):
    """The closed form against random descents, each of which should end there for d >= K, and the semidefinite
    relaxation, which bounds every d from below."""
    K, d, tau = case.K, case.d, case.tau
    F = simplex_minimum(K, tau, case.get("bigger", 1.0))
    ends = [
        descent(K, d, tau, generator(child(seed_sequence(case.rng), i)).standard_normal(2 * d * K), F)
        for i in range(case.starts)
    ]
    values = [value / F for value, _ in ends]
    yield Evidence(min(values), "==", 1, TOL, "sampled", "lowest end, in units of the closed form")
    if d >= K:
        yield Evidence(max(values), "==", 1, TOL, "sampled", "highest end")
    best = min(ends, key=lambda end: end[0])[1].reshape(d, 2 * K)
    V = best / np.linalg.norm(best, axis=0)
    simplex = K / (K - 1) * np.eye(K) - 1 / (K - 1)
    yield Evidence(np.max(np.abs(V[:, :K].T @ V[:, K:] - simplex)), "==", 0.0, 1e-3, "sampled", "W'H is the simplex")
    if K <= 6:
        low, _ = gram_minimum([1 / K] * K, 1.0, tau**2, each=True)
        yield Evidence(low, "==", F, SOLVER, note="the semidefinite relaxation")


def margin(W: np.ndarray) -> float:
    """min_k distance of w_k from the hull of the others: the largest margin that unit features can have for the unit
    columns of W (d, K)."""
    return min(_distance(W[:, k], np.delete(W, k, axis=1)) for k in range(W.shape[1]))


def _distance(point: np.ndarray, others: np.ndarray, weight: float = 1e4) -> float:
    """Distance of a point from a convex hull, by nonnegative least squares with a heavy row for the sum; 0 inside."""
    A = np.vstack([others, np.full(others.shape[1], weight)])
    coefficients, _ = optimize.nnls(A, np.append(point, weight))
    total = np.sum(coefficients)
    return float(np.linalg.norm(point - others @ (coefficients / total)))


def one_vs_rest(K: int, d: int) -> float:
    """The largest margin: K/(K-1) for K <= d + 1; 1 for d + 2 <= K <= 2d; 1 - cos(2 pi/K) for d = 2. NaN where no
    formula is known."""
    if K <= d + 1:
        return K / (K - 1)
    if d == 2:
        return 1 - math.cos(2 * math.pi / K)
    return 1.0 if K <= 2 * d else math.nan


def known_code(K: int, d: int) -> np.ndarray:
    """Columns that attain it: a simplex, a regular polygon, or two simplices of the most equal sizes in orthogonal
    spaces (d, K)."""
    if K <= d + 1:
        return _simplex(K, d)
    if d == 2:
        angle = 2 * math.pi * np.arange(K) / K
        return np.array([np.cos(angle), np.sin(angle)])
    parts = [K // (K - d)] * (K - d)
    for i in range(K - sum(parts)):
        parts[i] += 1
    W, row, column = np.zeros((d, K)), 0, 0
    for k in parts:
        W[row : row + k - 1, column : column + k] = _simplex(k, k - 1)
        row, column = row + k - 1, column + k
    return W


def _simplex(K: int, d: int) -> np.ndarray:
    from ufm.structures.scales import helmert

    W = np.zeros((d, K))
    W[: K - 1] = helmert(K).T
    return W / np.linalg.norm(W, axis=0)


def check_code(case):
    """The margin of the known code, and of codes annealed from random starts: the former attains the formula, none of
    the latter exceeds it."""
    K, d, best = case.K, case.d, 0.0
    bound = case.get("times", 1.0) * one_vs_rest(K, d)
    yield Evidence(margin(known_code(K, d)), "==", bound, 1e-7, note="margin of the known code")
    for i in range(case.starts):
        x = generator(child(seed_sequence(case.rng), i)).standard_normal(2 * d * K)
        for tau in HARD:
            value, x = descent(K, d, tau, x, scale=max(normalised_fit(x, K, d, tau)[0], 1e-300))
        W = x.reshape(d, 2 * K)[:, :K]
        best = max(best, margin(W / np.linalg.norm(W, axis=0)))
    yield Evidence(
        best,
        "in",
        (bound * (1 - case.get("slack", 2e-2)), bound + 1e-6),
        0.0,
        "sampled",
        f"best of {case.starts} annealed codes",
    )


CLAIMS = (
    Claim(
        id="related:sphere-simplex",
        title="On spheres cross-entropy is least at the simplex, and every descent ends there",
        statement=(
            "Unit w_k and unit h_c in R^d, logits tau w_k'h_c, balanced cross-entropy, d >= K - 1 (d >= K for the"
            " landscape): min = log(1 + (K-1) e^(-tau K/(K-1))), attained by W'H = simplex, w_k = h_k; critical points"
            " are global minima or strict saddles."
        ),
        source="graf21, global minimum; lu22 likewise; yaras22 for the landscape",
        hypotheses={"d >= K - 1": lambda c: c.d >= max(2, c.K - 1), "0 < tau <= 50": lambda c: 0 < c.tau <= 50},
        check=check_simplex,
        cases=[
            *[
                Case(K=K, d=d, tau=tau, starts=4, rng=0)
                for K, d, tau in [
                    (2, 2, 1.0),
                    (2, 3, 5.0),
                    (3, 2, 2.0),
                    (3, 5, 8.0),
                    (4, 4, 1.0),
                    (5, 4, 5.0),
                    (6, 9, 3.0),
                ]
            ],
            Case(K=12, d=14, tau=4.0, starts=3, rng=1),
        ],
        controls=[
            Case(K=5, d=3, tau=3.0, starts=3, rng=0),
            planted("a margin one percent larger", K=4, d=4, tau=2.0, starts=2, rng=0, bigger=1.01),
        ],
    ),
    Claim(
        id="related:jiang24-codes",
        title="Softmax codes: the largest one-vs-rest distance on a sphere",
        statement=(
            "Unit w_1, ..., w_K in R^d: max min_k dist(w_k, hull of the others) is K/(K-1) for K <= d+1 (simplex), 1"
            " for d+2 <= K <= 2d (for K = 2d the cross-polytope), and 1 - cos(2 pi/K) for d = 2 (regular polygon)."
        ),
        source="jiang24, softmax codes",
        hypotheses={
            "one of the three families": lambda c: not math.isnan(one_vs_rest(c.K, c.d)),
            "d >= 2": lambda c: c.d >= 2,
        },
        check=check_code,
        cases=[
            Case(K=K, d=d, starts=4, rng=0)
            for K, d in [(3, 2), (4, 2), (5, 2), (8, 2), (4, 3), (5, 3), (6, 3), (5, 5), (7, 4), (8, 4), (7, 5)]
        ],
        controls=[
            planted("a margin three percent larger", K=5, d=2, starts=2, rng=0, times=1.03),
            planted("a margin three percent smaller", K=6, d=3, starts=2, rng=0, times=0.97),
        ],
        scope="no annealed code exceeded the formula; at the declared K and d",
    ),
)
