"""Step 1 of Theorem 7 without Assumption 1: ReLU is 1-Lipschitz, so it cannot widen the simplex.

Write Mc = M (I - 11'/K) for class means less their global mean. Then |Mc|_F^2 = (1/2K) sum_{c,c'} |m_c - m_c'|^2, and
entrywise |s(x) - s(y)| <= |x - y|, so

    |s(M)c|_F <= |Mc|_F        for every matrix M, whatever its global mean.

Take W_l s(M_l) = M_{l+1}, l = 2, ..., L, M_{L+1} the logits with M_{L+1}c = a S, and let every centred M_l be a
simplex, of K - 1 equal singular values. Then |M_{l+1}c|_* = sqrt(K-1) |M_{l+1}c|_F <= |W_l|_F |s(M_l)c|_F <= |W_l|_F
|M_l c|_F, and |W_1|_F |H_1|_F >= sqrt(n) |M_2 c|_*. Multiplied out,

    |H_1|^2 |W_1|^2 ... |W_L|^2 >= n (K-1)^D a^2,

so the penalty is at least (D/2) Lam (K-1) n^(1/D) a^(2/D), that of linear DNC at a; and the fit is at least log(1 +
(K-1) e^-a) by convexity in the logits' global mean. The same chain with |W_l|^2 >= (K-1) |M_{l+1}c|^2 / |s(M_l)c|^2
serves where the simplex is asked for after the ReLU and of H_1. Assumption 1 implies |s(M)c| <= |Mc| from |s(M)| <=
|M|; it is not needed for it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.problem import Problem
from ufm.structures.relu_pairs import relu_pairs
from ufm.structures.scales import helmert

TOL = 1e-10
"""Relative: singular values and pseudo-inverses of matrices of a few dozen rows."""


def centred_norm(M) -> float:
    """|M (I - 11'/K)|_F."""
    return float(np.linalg.norm(M - M.mean(axis=1, keepdims=True)))


def simplex(K: int, d: int, draw) -> np.ndarray:
    """A simplex in random directions, of random size, about a random global mean, (d, K)."""
    Q = np.linalg.qr(draw.standard_normal((d, K - 1)))[0]
    return draw.lognormal() * (Q @ helmert(K).T + draw.choice([0.2, 1.0]) * draw.standard_normal((d, 1)) / np.sqrt(d))


def means_before(K: int, d: int, L: int, draw) -> list[np.ndarray]:
    """[M_2, ..., M_L], each a simplex."""
    return [simplex(K, d, draw) for _ in range(L - 1)]


def means_after(K: int, d: int, L: int, draw) -> list[np.ndarray]:
    """[M_2, ..., M_L] with s(M_l) = x (I and copies of it, rows permuted) + a row of ones, and anything negative where
    s(M_l) vanishes."""
    means = []
    for _ in range(L - 1):
        X = np.zeros((d, K))
        X[: K * (d // K)] = np.tile(np.eye(K), (d // K, 1))
        X[-1] = draw.choice([0.0, 1.0])
        X = draw.lognormal() * draw.permutation(X)
        means.append(X - draw.exponential(0.5, X.shape) * (X == 0) * (draw.random((d, 1)) < 0.5))
    return means


def squared_norms(means, Z, H=None, slope: float = 1.0) -> list[float]:
    """[|H_1|^2, |W_1|^2, ..., |W_L|^2] at n = 1 of the least factors with these means: |M_{l+1} s(M_l)^+|^2 from l = 2
    on.

    Before it, those of H and of M_2 H^+ where H_1 is given, else the nuclear norm of M_2 twice.
    """
    nuclear = float(np.sum(np.linalg.svd(means[0], compute_uv=False)))
    norms = [nuclear, nuclear] if H is None else [float(np.sum(H**2)), squared_map(H, means[0])]
    return norms + [squared_map(slope * np.maximum(M, 0.0), after) for M, after in itertools.pairwise([*means, Z])]


def squared_map(X, after) -> float:
    """|W|^2 of the least W with W X = after; ArithmeticError where there is none."""
    W = after @ np.linalg.pinv(X)
    if np.linalg.norm(W @ X - after) > 1e-8 * np.linalg.norm(after):
        raise ArithmeticError("the features do not determine the next layer's means")
    return float(np.sum(W**2))


def check(case):
    """The simplex part across every ReLU, and the geometric mean of the squared norms at a = 1 against K - 1."""
    K, L = case.K, case.L
    if case.means == "pairs":
        point = relu_pairs(Problem(K=K, d=case.d, L=L, lam=1e-4, activation="relu"))
        norms = [float(np.sum(A**2)) / float(point.logits()[0, 0]) ** (2 / (L + 1)) for A in point.factors]
        yield Evidence(math.exp(np.mean(np.log(norms))), ">", K - 1, TOL * K, note="the features of relu_pairs")
        return
    draw, slope = np.random.default_rng(case.rng), case.get("slope", 1.0)
    means = {"before": means_before, "after": means_after}[case.means](K, case.d, L, draw)
    for l, M in enumerate(means, 2):
        yield Evidence(
            centred_norm(slope * np.maximum(M, 0.0)) / centred_norm(M),
            "<=",
            1.0 + TOL,
            0.0,
            note=f"simplex part after over before the ReLU of layer {l}",
        )
    norms = squared_norms(
        means, np.eye(K) - 1.0 / K, None if case.means == "before" else simplex(K, case.d, draw), slope
    )
    yield Evidence(math.exp(np.mean(np.log(norms))), ">", K - 1, TOL * K, note="geometric mean of the squared norms")


CLAIM = Claim(
    id="gk25:thm7-bound",
    title="The linear DNC value bounds every collapsed ReLU point from below, with or without Assumption 1",
    statement=(
        "If class means less their global mean are a simplex at every layer (all before the ReLU, or all after it and"
        " at H_1), then |H_1|^2 |W_1|^2 ... |W_L|^2 >= n (K-1)^D a^2, so that F >= F(linear DNC): ReLU, being"
        " 1-Lipschitz, never widens the simplex part."
    ),
    source="gk25, Theorem 7 (its first step, with a weaker hypothesis)",
    hypotheses={
        "L >= 2": lambda c: c.L >= 2,
        "d >= 3K": lambda c: c.d >= 3 * c.K,
        "collapsed: centred class means are a simplex": lambda c: c.means in ("before", "after"),
    },
    check=check,
    cases=grid(K=[2, 3, 5, 10], d=[30, 41], L=[2, 3, 5], means=["before", "after"], rng=range(5)),
    controls=[
        Case(K=16, d=48, L=4, means="pairs", rng=0),
        Case(K=10, d=30, L=8, means="pairs", rng=0),
        planted("the activation is 3 max(x, 0), not 1-Lipschitz", K=5, d=30, L=3, means="after", rng=0, slope=3.0),
    ],
    uses=("gk25:lemma1",),
    scope=(
        "random collapsed networks with active ReLUs; the inequality is proved in the module. d >= 3K only keeps the"
        " sampled chains solvable"
    ),
)
