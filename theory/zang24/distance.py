"""Distance from rank K is at most a constant times within-class variation over lambda, at every point."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.zang24.bounds import NAMES, layer_bounds
from theory.zang24.nets import fits, objective_of, point_of
from ufm.numerics.seeds import child, generator, seed_sequence

SLACK = 1e-9
"""Relative: by so much rounding may move the ratio of a distance and its bound."""


def partitions(case, N: int, y):
    """The classes, and a random partition into two groups."""
    yield "classes", y
    mixed = generator(child(seed_sequence(case.rng), 2)).permutation(np.arange(N) % 2)
    yield "two random groups", mixed


def check(case):
    """The largest ratio of dist and each bound over all layers and both partitions; the note counts layers where the
    bound says nothing."""
    objective = objective_of(case)
    params = point_of(case, objective)
    rows = []
    for _, groups in partitions(case, objective.data.N, objective.data.y):
        rows += layer_bounds(objective, params, groups, case.get("drop", ""))
    for name in NAMES:
        ratio, vacuous = max(row.ratio(name) for row in rows), sum(row.vacuous(name) for row in rows)
        yield Evidence(
            ratio,
            "<=",
            1,
            SLACK,
            note=f"dist / {name} bound; {vacuous} of {len(rows)} bounds are vacuous (at least |W_l|)",
        )


CLAIM = Claim(
    id="zang24:distance",
    title="dist(W_l, rank K) is bounded by within-class variation over lambda, at every point",
    statement=(
        "For F = (1/N) sum_i l_i + (1/2) sum_l lam_l |W_l|^2, any activation, loss, skips and any partition of the"
        " samples into K groups, at every point: dist_K(W_l) <= |(1/N) sum_i delta~_i z~_i'|_F/lam_l + e <="
        " (TCV(delta^l) TCV(z^(l-1)))^(1/2)/lam_l + e <= rms(delta^l) TCV(z^(l-1))^(1/2)/lam_l + e with e = |grad_l"
        " F|/lam_l, which is 0 at critical points; and dist_K(W_l) <= M TCV(z^(l-1))/lam_l + e if z^(l-1) -> delta^l is"
        " M-Lipschitz within groups."
    ),
    source="zang24",
    hypotheses=fits() | {"lam > 0 in every layer": lambda c: min(c.lam if isinstance(c.lam, tuple) else (c.lam,)) > 0},
    check=check,
    cases=[
        *grid(
            K=[2, 4],
            n=5,
            d=9,
            L=[1, 2, 4],
            lam=[1e-3, 0.1],
            sigma=[0.0, 0.5],
            loss=["ce", "mse"],
            activation=["relu", "tanh"],
            at="start",
            rng=[0, 1],
        ),
        *grid(
            K=[3],
            n=4,
            d=8,
            L=[2, 3],
            lam=[3e-3, 3e-2],
            sigma=[0.1, 1.0],
            loss=["ce", "mse"],
            activation=["tanh"],
            at="stationary",
            rng=[0],
        ),
        *grid(
            K=3,
            n=4,
            d=8,
            L=3,
            lam=[3e-3],
            sigma=0.5,
            loss=["mse"],
            activation=["linear", "relu"],
            at="stationary",
            rng=[0],
        ),
        *grid(
            K=2,
            n=6,
            d=7,
            L=3,
            lam=[1e-2],
            sigma=0.5,
            loss=["logistic", "exponential"],
            activation=["relu", "tanh"],
            at=["start", "stationary"],
            rng=0,
        ),
        *grid(
            K=3,
            n=(7, 2, 1),
            d=6,
            L=3,
            lam=[1e-2, 1.0],
            sigma=0.3,
            loss=["ce", "focal"],
            activation="tanh",
            at=["start", "stationary"],
            rng=[0, 1],
            bias=True,
        ),
        *grid(
            K=3,
            n=5,
            d=6,
            L=4,
            lam=[1e-2],
            sigma=0.3,
            loss=["ce"],
            activation=["tanh", "relu"],
            at="start",
            rng=[0, 1],
            skip=["identity", "trainable"],
        ),
        Case(
            K=3, n=5, d=6, L=3, lam=(1e-3, 1e-1, 1e-2), sigma=0.3, loss="mse", activation="tanh", at="stationary", rng=0
        ),
    ],
    controls=[
        planted(
            "the gradient's term is left out away from critical points",
            K=2,
            n=5,
            d=9,
            L=2,
            lam=0.1,
            sigma=0.5,
            loss="ce",
            activation="tanh",
            at="start",
            rng=0,
            drop="grad",
        ),
        planted(
            "rank K - 1 is claimed",
            K=4,
            n=5,
            d=9,
            L=2,
            lam=1e-3,
            sigma=0.0,
            loss="mse",
            activation="tanh",
            at="stationary",
            rng=0,
            drop="rank",
        ),
    ],
    scope=(
        "random points and points trained to stationarity, over losses, activations, depths, biases, skips and unequal"
        " classes; at these sizes the bounds are loose: each note counts the layers where a bound is at least |W_l|,"
        " that is, says nothing. That the constants cannot be improved is zang24:attained"
    ),
)
