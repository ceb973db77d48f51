"""What the second layer may look like at collapse: the loss does not see it."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.factors import value
from ufm.points import FactorPoint
from ufm.structures import relu_collapse

ROUNDING = 1e-12
KINDS = ("identity", "pairs", "etf", "mixed", "random")


def correlations(kind: str, K: int, rng: int) -> np.ndarray:
    """Unit diagonal, PSD and nothing positive off it: by name, a mixture, or I minus a scaled nonnegative matrix;
    `positive` has a positive entry."""
    draw, pair = generator(seed_sequence(rng)), np.arange(K - K % 2)
    named = {
        "identity": np.eye(K),
        "pairs": np.eye(K),
        "etf": np.where(np.eye(K), 1.0, -1.0 / (K - 1)),
        "positive": np.eye(K),
    }
    named["pairs"][pair, pair ^ 1] = -1.0
    named["positive"][0, 1] = named["positive"][1, 0] = 0.5
    if kind == "mixed":
        return sum(
            w * named[name] for w, name in zip(draw.dirichlet(np.ones(3)), ("identity", "pairs", "etf"), strict=True)
        )
    if kind != "random":
        return named[kind]
    A = draw.uniform(0, 1, (K, K))
    A = A + A.T
    np.fill_diagonal(A, 0.0)
    return np.eye(K) - draw.uniform(0.2, 1.0) * A / np.linalg.eigvalsh(A)[-1]


def rank_of(kind: str, K: int) -> int:
    return {"identity": K, "pairs": (K + 1) // 2, "etf": K - 1}.get(kind, 0)


def point_of(problem, C) -> FactorPoint:
    """DNC with s(M_2) as it was and M_2 a multiple of C, in the balanced factors of M_2."""
    point = relu_collapse.relu_dnc(problem)
    H, W = point.factors[:2]
    size = float((W @ H)[0, 0])
    values, U = np.linalg.eigh(C)
    root = np.sqrt(np.maximum(values, 0.0) * size)
    ratio = (problem.lams[1] / (problem.n * problem.lams[0])) ** 0.25
    A, B = np.zeros_like(H), np.zeros_like(W)
    A[: problem.K] = (ratio * root[:, None] * U.T)[:, problem.labels]
    B[: problem.K, : problem.K] = U * root / ratio
    return FactorPoint(problem, (A, B, *point.factors[2:]))


def check(case):
    problem = case.problem(loss="mse", activation="relu")
    C = correlations(case.kind, case.K, case.rng) * (1 + case.get("off", 0.0) * (1 - np.eye(case.K)))
    point = point_of(problem, C)
    M = point.factors[1] @ point.factors[0]
    yield Evidence(
        value(point), "==", relu_collapse.loss(problem), ROUNDING, note="F with M_2 a multiple of C, F of DNC"
    )
    s = np.linalg.svd(M, compute_uv=False)
    if rank_of(case.kind, case.K):
        yield Evidence(
            int(np.sum(s > 1e-7 * s[0])), "==", rank_of(case.kind, case.K), 0, note="rank of M_2 before its ReLU"
        )
    yield Evidence(int(np.sum(s > 1e-7 * s[0])), ">=", (case.K + 1) // 2 - 0.5, 0.1, note="rank at least K/2")
    image = np.maximum(M, 0.0)[: case.K] @ (np.eye(case.K)[problem.labels] / problem.n)
    yield Evidence(
        float(np.max(np.abs(image / image[0, 0] - np.eye(case.K)))),
        "==",
        0.0,
        1e-10,
        note="after it: one neuron per class",
    )


CLAIM = Claim(
    id="sml24:degenerate",
    title="Collapse does not determine the second layer before its ReLU: any rank from K/2 to K, at the same loss",
    statement=(
        "At a DNC point M_2 = W_1 M_1 may be t C for any positive semidefinite C with unit diagonal and no positive"
        " entry off it: s(M_2) = t I and |M_2|_* = t K stay, so F does. Rank K (identity), K - 1 (simplex), ceil(K/2)"
        " (pairs [[1, -1], [-1, 1]]), never less. Ranks at collapse are read after the ReLU."
    ),
    source="sml24, derived here",
    hypotheses={
        "L >= 2": lambda c: c.L >= 2,
        "C has no positive entry off the diagonal": lambda c: c.kind != "positive",
        "d >= K": lambda c: np.min(c.d) >= c.K,
        "DNC exists": lambda c: (
            relu_collapse.kappa(c.problem(loss="mse", activation="relu"))[0] < relu_collapse.fold(c.L)
        ),
    },
    check=check,
    cases=grid(K=[2, 5, 8], n=[1, 3], d=9, L=[2, 4], lam=[1e-4, 0.01], kind=list(KINDS), rng=0),
    controls=[
        *grid(K=[3, 5], n=1, d=6, L=3, lam=0.01, kind="positive", rng=0),
        planted(
            "C of pairs is stretched, no longer semidefinite",
            K=4,
            n=1,
            d=5,
            L=3,
            lam=0.01,
            kind="pairs",
            rng=0,
            off=0.5,
        ),
    ],
    scope=(
        "the lower bound ceil(K/2) on the rank is the classical one on vectors with no positive inner products, looked"
        " at in the cases"
    ),
)
