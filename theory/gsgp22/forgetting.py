"""How much of W_0 is left: exp(-E), E = sum of lr lam, whatever the batches. Seen exactly where no sample looks."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import objective_of, start_of, tail
from theory.gsgp22.memory import fading, run_of

ROUNDING = 1e-12
"""Of |W_0|: rounding of some hundred steps."""


def check(case):
    """W_1 beside the span of the inputs, before and after; its logarithm against E; the distance of W_1 to rank N."""
    objective = objective_of(case)
    x = start_of(objective, case.rng)
    momentum = case.get("momentum", 0.0)
    end, _, lrs = run_of(
        objective,
        x,
        case.rng,
        lambda x: None,
        lr=case.lr,
        batch=case.B,
        epochs=case.epochs,
        momentum=momentum,
        schedule=fading(case),
    )
    before, after = (unseen(W, objective.data.X) for W in (objective.net.unpack(x)[0], end.weights[0]))
    share = math.prod(1 - h * case.get("factor", 1) * case.lam for h in lrs)
    E, largest = end.E, max(lrs) * case.lam
    whole, left = np.linalg.norm(before), np.linalg.norm(after)
    yield Evidence(
        np.linalg.norm(after - share * before) / whole,
        "==",
        0.0,
        ROUNDING,
        note=f"E = {E:.4g}: prod(1 - lr lam) = {share:.4g}",
    )
    if left > 1e-9 * whole:
        decayed = -math.log(left / whole)
        yield Evidence(decayed, ">", 1.0, 1e-7, note="-log of what is left")
        yield Evidence(decayed, "in", (E, E / (1 - largest)), 1e-7, note="between E and E/(1 - largest lr lam)")
    yield Evidence(
        tail(end.weights[0], objective.data.N) / whole,
        "<",
        1.01 * math.exp(-E) * case.get("shrink", 1) + ROUNDING,
        1e-13,
        note="dist_N(W_1)/|W_0 unseen|",
    )


def unseen(W, X) -> np.ndarray:
    """W (I - P) with P the projector on the span of the columns of X."""
    Q = np.linalg.svd(X, full_matrices=False)[0]
    return W - (W @ Q) @ Q.T


BASE = {
    "K": 3,
    "n": 5,
    "d": 40,
    "width": 40,
    "L": 3,
    "sigma": 0.5,
    "B": 3,
    "lr": 0.1,
    "lam": 0.02,
    "epochs": 120,
    "rng": 0,
}


def least_E(c) -> bool:
    """E >= 1.1 at a constant learning rate, or at what is left of it by halving."""
    return c.lr * c.lam * (c.n * c.K // c.B) * (c.epochs if c.get("schedule") != "halving" else 2) >= 1.1


CLAIM = Claim(
    id="gsgp22:forgetting",
    title="The start is forgotten like exp(-E), E = sum of lr lam, whatever the batch",
    statement=(
        "W_0 enters W_T with the weight prod (1 - lr_t lam), between e^(-E/(1 - max lr lam)) and e^-E, E = sum lr_t"
        " lam: the batch size enters only by the number of steps. Beside the span of N < d inputs W_1 is that share of"
        " W_0, and nothing else. So W_1 is within e^-E |W_0| of rank N; at lam = 0 the full rank of W_0 stays for ever."
    ),
    source="gsgp22, the unrolled recursion",
    hypotheses={
        "no momentum": lambda c: not c.get("momentum", 0.0),
        "no run diverges: lr <= 1/2, lr lam <= 1/2": lambda c: c.lr <= 0.5 and c.lr * c.lam <= 0.5,
        "B <= N": lambda c: c.B <= c.n * c.K,
        "E >= 1.1": least_E,
        "N < d: some directions of the inputs are seen by no sample": lambda c: c.n * c.K < c.d,
    },
    check=check,
    cases=[
        *(Case(**{**BASE, "B": B, "epochs": 40 * B, "rng": B}) for B in (1, 3, 5, 15)),
        *(
            Case(**{**BASE, "lr": lr, "lam": lam, "activation": activation, "L": L})
            for lr, lam in ((0.3, 0.02), (0.05, 0.3), (0.2, 0.1))
            for activation, L in (("tanh", 2), ("linear", 4), ("relu", 3))
        ),
        Case(**{**BASE, "lr": 0.5, "lam": 0.3, "schedule": "halving", "epochs": 20}),
        Case(**{**BASE, "loss": "mse", "bias": True}),
    ],
    controls=[
        Case(**{**BASE, "lam": 0.0}),
        Case(**{**BASE, "momentum": 0.9}),
        planted("the weight is exp(-2E): lam is read as that of lam |W|^2", **BASE, factor=2),
        planted("the distance to rank N is a tenth of the bound", **BASE, shrink=0.1),
    ],
    uses=("gsgp22:memory",),
    scope=(
        "the first layer, in which the unseen directions of the inputs are known; in deeper layers only the weight of"
        " W_0 is"
    ),
)
