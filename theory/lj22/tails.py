"""How far trailing linear layers are from rank K: no further than their imbalance says, at every point."""

from __future__ import annotations

import itertools

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.numerics.seeds import generator, seed_sequence

SLACK = 1e-9
ROUNDING = 1e-13
"""Of |W_l|^2: by so much a sum of squared singular values may be off."""


def imbalance(weights) -> list[float]:
    """[b_1, ..., b_L], b_l = sum_{j >= l} tr_+(-C_j), C_j = W_{j+1}' W_{j+1} - W_j W_j', b_L = 0, of successive linear
    layers."""
    parts = [positive(A @ A.T - B.T @ B) for A, B in itertools.pairwise(weights)]
    return [float(sum(parts[l:])) for l in range(len(weights))]


def positive(A) -> float:
    """tr_+(A): the sum of the positive eigenvalues of a symmetric matrix."""
    return float(np.sum(np.maximum(np.linalg.eigvalsh(A), 0.0)))


def tail(W, K: int) -> float:
    """sum_{i > K} s_i(W)^2."""
    return float(np.sum(np.linalg.svd(W, compute_uv=False)[K:] ** 2))


def matrices(case) -> list[np.ndarray]:
    """Random [W_1, ..., W_L], K rows in the last: balanced ones plus `noise` times Gaussian ones, layers of different
    scales."""
    draw = generator(seed_sequence(case.rng))
    widths = (*(case.d,) * case.L, case.K)
    r = min(case.K, case.d)
    frames = [np.linalg.qr(draw.standard_normal((w, r)))[0] for w in widths]
    s = draw.uniform(0.5, 2.0, r)
    balanced = [(B * s) @ A.T for A, B in itertools.pairwise(frames)]
    return [W + case.noise * 10 ** draw.uniform(-1, 1) * draw.standard_normal(W.shape) for W in balanced]


def check(case):
    """The largest of tail_K(W_l)/b_l over layers and `points` draws."""
    worst = 0.0
    for i in range(case.points):
        W = matrices(case.but(rng=1000 * case.rng + i))
        for A, b in zip(W, imbalance(W), strict=True):
            over = tail(A, case.K - case.get("fewer", 0)) - ROUNDING * float(np.sum(A**2))
            worst = max(worst, 0.0 if over <= 0 else over * case.get("times", 1) / b if b > 0 else np.inf)
    yield Evidence(worst, "<=", 1, SLACK, "sampled", note=f"largest tail over bound in {case.points} draws")


CLAIM = Claim(
    id="lj22:tails",
    title="Successive linear layers are as near to rank K as they are balanced",
    statement=(
        "For matrices W_1, ..., W_L of successive linear layers, W_L with K rows, at every point: sum_{i>K} s_i(W_l)^2"
        " <= sum_{j=l}^{L-1} tr_+(-C_j), C_j = W_{j+1}' W_{j+1} - W_j W_j' (Ky Fan, layer by layer from the last)."
    ),
    source="lj22",
    hypotheses={"K rows in the last matrix, rank K": lambda c: c.get("fewer", 0) == 0},
    check=check,
    cases=[
        *grid(K=[1, 2, 5], d=[1, 4, 10], L=[1, 2, 4, 7], noise=[0.0, 1e-3, 1.0], points=10, rng=[0, 1]),
    ],
    controls=[
        Case(K=3, d=8, L=4, noise=1e-3, points=10, rng=0, fewer=1),
        planted("a hundredth of the bound", K=1, d=8, L=2, noise=1.0, points=20, rng=0, times=100),
    ],
)
