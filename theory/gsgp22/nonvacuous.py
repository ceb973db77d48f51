"""D2 at work: a run whose memory bound is below the width, and what its rank is."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import objective_of, start_of
from theory.gsgp22.memory import run_of
from theory.gsgp22.window import least_steps
from ufm.numerics.ranks import numerical_rank, stable_rank


def check(case):
    """The bound from the last steps of a run that fits its data, the distance it bounds, and ranks at three
    tolerances."""
    objective = objective_of(case)

    def norms(x):
        return [float(np.linalg.norm(W)) for W in objective.net.unpack(x)[: case.L]]

    end, sizes, lrs = run_of(
        objective, start_of(objective, case.rng), case.rng, norms, lr=case.lr, batch=case.B, epochs=case.epochs
    )
    yield Evidence(end.accuracy, ">", 0.99, 1e-12, note="accuracy on its data: it has learned")
    for l, W in enumerate(end.weights[:-1]):
        s = np.linalg.svd(W, compute_uv=False)
        n, bound = forgotten([size[l] for size in sizes], lrs, case.lam, case.eps)
        r, ranks = n * case.B, [numerical_rank(s, tol) for tol in (1e-1, 1e-2, 1e-3)]
        yield Evidence(
            r,
            "<",
            min(W.shape) - case.get("less", 0),
            0.5,
            note=f"layer {l + 1}: rank that the bound names at eps = {case.eps:g}, n = {n}",
        )
        yield Evidence(
            np.linalg.norm(s[r:]) / np.linalg.norm(s), "<", bound, 1e-12, note=f"layer {l + 1}: dist_{r}(W/|W|)"
        )
        yield Evidence(
            ranks[-1],
            "<",
            case.K + 1.5,
            0.25,
            note=f"layer {l + 1}: ranks at 0.1, 0.01, 0.001 of |W| {ranks}, stable rank {stable_rank(s):.3g}",
        )


def forgotten(sizes: list, lrs: list, lam: float, eps: float) -> tuple[int, float]:
    """(n, f |W_{T-n}|/|W_T|) for the least n at which the latter is at most eps; n = T where there is none."""
    f, n, bound = 1.0, 0, float("inf")
    for n, h in enumerate(reversed(lrs), 1):
        f *= 1 - h * lam
        bound = f * sizes[-1 - n] / sizes[-1]
        if bound <= eps:
            break
    return n, bound


def hopeful(case) -> bool:
    """B log(1/eps)/-log(1 - lr lam), the bound for constant |W|, is at most four fifths of the width."""
    return (
        0 < case.lr * case.lam < 1
        and 0 < case.eps < 1
        and case.B * least_steps(case.lr * case.lam, case.eps) <= 0.8 * case.width
    )


BASE = {
    "K": 4,
    "n": 30,
    "d": 120,
    "width": 120,
    "L": 2,
    "B": 1,
    "lr": 0.4,
    "lam": 0.08,
    "eps": 0.1,
    "epochs": 8,
    "sigma": 0.3,
}
WIDE = {"d": 200, "width": 200}

CLAIM = Claim(
    id="gsgp22:nonvacuous",
    title="A run with a memory bound below the width, and rank at most K + 1",
    statement=(
        "There are runs that fit their data in which the memory bound names a rank below the width, the distance to"
        " that rank is below the bound, and the hidden matrices have rank at most K + 1 at 1e-3 of their norm."
    ),
    source="gsgp22, the memory bound at finite n",
    hypotheses={
        "B log(1/eps)/-log(1 - lr lam) is at most four fifths of the width": hopeful,
        "the classes are apart: sigma <= 0.4": lambda c: c.sigma <= 0.4,
        "2 <= L <= 4": lambda c: 2 <= c.L <= 4,
        "decay does not win: K lam (L-1) <= 1/2, or 4/5 for L = 2": lambda c: (
            c.K * c.lam * (c.L - 1) <= (0.8 if c.L == 2 else 0.5)
        ),
        "lr <= 1/2": lambda c: c.lr <= 0.5,
        "W_0 is forgotten: lr lam (N/B) epochs >= 20": lambda c: c.lr * c.lam * (c.n * c.K // c.B) * c.epochs >= 20,
    },
    check=check,
    kind="existential",
    cases=[
        *(Case(**BASE, rng=rng) for rng in range(3)),
        Case(**{**BASE, "lam": 0.04, "L": 3, "epochs": 12} | WIDE, rng=3),
        Case(**{**BASE, "K": 3, "n": 40, "eps": 0.01} | WIDE, rng=4),
        Case(**{**BASE, "K": 6, "n": 20, "lr": 0.2, "lam": 0.08, "epochs": 12} | WIDE, rng=5),
    ],
    controls=[
        Case(**{**BASE, "lam": 0.0}, rng=0),
        Case(**{**BASE, "B": 10, "epochs": 80}, rng=0),
        planted("half the width is claimed", **{**BASE, "eps": 0.01} | WIDE, rng=0, less=100),
    ],
    uses=("gsgp22:memory",),
    scope=(
        "Gaussian mixtures, ReLU, one sample per step, and a decay near the largest that still trains (twice as much"
        " ends in the zero function)"
    ),
)
