"""D3. At any point: a small regularised gradient of one small batch means low rank."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import batch_gradient, batches, objective_of, start_of, tail
from theory.gsgp22.memory import run_of
from ufm.networks.objective import Objective

SLACK = 1e-12
"""Of |W|: rounding of singular values."""


def check(case):
    """In every layer, the batch with the least room: dist_{mB}(W) <= |G_B + lam W| / lam, both over |W|."""
    for l, W, found in layers(case):
        size, lam, factor = np.linalg.norm(W), case.lam, case.get("factor", 1.0)
        far = tail(W, case.get("patches", 1) * case.B) / size
        bounds = [factor * np.linalg.norm(G + lam * W) / (lam * size) for G in found]
        note = (
            f"layer {l + 1}: dist_{case.get('patches', 1) * case.B}(W)/|W|; {sum(b < 1 for b in bounds)} of"
            f" {len(bounds)} bounds below 1"
        )
        yield Evidence(
            far,
            "==" if case.point == "tight" else "<=",
            min(bounds),
            1e-9 if case.point == "tight" else SLACK,
            note=note,
        )


def layers(case):
    """(l, W_l, [G_l of every batch]) at the case's point, for the matrices that are not zero."""
    objective, x, chosen = point_of(case)
    grads = [batch_gradient(objective, x, batch, case.get("patches", 1)) for batch in chosen]
    for l, W in enumerate(objective.net.unpack(x)[: objective.net.L]):
        if np.any(W):
            yield l, W, [g[l] for g in grads]


def point_of(case) -> tuple[Objective, np.ndarray, list]:
    """(objective, flat parameters, batches) at the case's `point`: `start`, the end of SGD (`trained`), or `tight`."""
    if case.point == "tight":
        return tight(case)
    objective = objective_of(case)
    x = start_of(objective, case.rng)
    if case.point == "trained":
        x = run_of(objective, x, case.rng, lambda x: None, lr=0.1, batch=case.B, steps=400)[0].params
        x = objective.net.pack(x)
    return objective, x, batches(objective.data.N, case.B, 10, case.rng)


def tight(case) -> tuple[Objective, np.ndarray, list]:
    """One layer under MSE where the bound is an equality: W = W* + R, W* the minimiser of one batch's ridge problem, R
    small with R X = 0 and R'G = 0.

    Needs K > B and d > B.
    """
    objective = objective_of(case.but(L=1, loss="mse", n=case.B + 1, width=1))
    batch = (case.B + 1) * np.arange(case.B)  # of different classes, so that G_B has rank B
    X, Y = objective.data.X[:, batch], objective.Y[:, batch]
    W = Y @ np.linalg.inv(X.T @ X + case.B * case.lam * np.eye(case.B)) @ X.T
    U, s, Vt = np.linalg.svd(W)
    smallest = s[np.sum(s > 1e-9 * s[0]) - 1]
    R = 0.5 * smallest * np.outer(U[:, -1], Vt[-1])
    return objective, (W + R).ravel(), [batch]


def settings(count: int, *kinds: str) -> list[Case]:
    """So many drawn cases of every kind of point."""
    draw, found = np.random.default_rng(3), []
    for rng in range(count):
        for point in kinds:
            K, d, width, B = (
                int(draw.integers(2, 8)),
                int(draw.integers(4, 31)),
                int(draw.integers(4, 31)),
                int(draw.integers(1, 6)),
            )
            words = {
                "activation": str(draw.choice(["relu", "tanh", "linear"])),
                "loss": str(draw.choice(["ce", "mse"])),
                "lam": float(10 ** draw.uniform(-4, 0)),
            }
            patches = int(draw.integers(1, 4)) if point == "start" else 1
            found.append(
                Case(
                    K=K,
                    n=10,
                    d=d,
                    width=width,
                    L=int(draw.integers(1, 5)),
                    B=B,
                    patches=patches,
                    point=point,
                    rng=rng,
                    **words,
                )
            )
    return found


TIGHT = [
    Case(K=K, d=d, width=1, L=1, B=B, lam=lam, point="tight", rng=K)
    for K, d, B in ((3, 6, 1), (4, 9, 2), (6, 8, 4))
    for lam in (1e-3, 0.1)
]

CLAIM = Claim(
    id="gsgp22:residual",
    title="dist to rank m B is at most |G_B + lam W| / lam, at every point",
    statement=(
        "lam W = (G_B + lam W) - G_B with rank G_B <= m B. So the distance of W/|W| to rank m B is at most |G_B + lam"
        " W|/(lam |W|), for every batch of B, at every point of every network with lam > 0. One layer with a remainder"
        " orthogonal to G_B attains it."
    ),
    source="gsgp22, the bound by the regularised gradient of a batch",
    hypotheses={
        "lam > 0": lambda c: c.lam > 0,
        "a tight point is one layer on whole inputs": lambda c: c.point != "tight" or c.get("patches", 1) == 1,
        "B <= N": lambda c: c.point == "tight" or ("n" in c and c.B <= c.K * c.n),
        "a tight point needs K > B and d > B": lambda c: c.point != "tight" or min(c.K, c.d) > c.B,
    },
    check=check,
    cases=[*TIGHT, *settings(40, "start", "trained")],
    controls=[
        *(planted("half of it: lam is taken twice, once as the paper's", **{**case}, factor=0.5) for case in TIGHT[:3]),
        planted("a hundredth less", **{**TIGHT[3]}, factor=0.99),
    ],
    uses=("gsgp22:gradient-rank",),
    scope="86 drawn settings with ten batches each; most bounds exceed 1 and say nothing: the notes count those below",
)
