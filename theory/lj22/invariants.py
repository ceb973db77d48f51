"""What a gradient says about neighbouring matrices, at any point: the identities behind conserved quantities."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.lj22.nets import homogeneous, objective_of, start
from theory.zang24.nets import fits

TOL = 1e-10
"""Relative."""


def sides(objective, params, l: int):
    """(W_{l+1}' G_{l+1}, G_l W_l'), both (d_l, d_l)."""
    G = objective.fit_gradients(params)
    return params[l].T @ G[l], G[l - 1] @ params[l - 1].T


def agreeing(pre, linear: bool) -> np.ndarray:
    """Which pairs of neurons have the same sign of the pre-activation on every sample (all of them where the activation
    is linear), (d, d)."""
    on = np.zeros((len(pre), 1), dtype=bool) if linear else pre > 0
    return np.all(on[:, None, :] == on[None, :, :], axis=2)


def check(case):
    """Entries of both sides that should agree, layer by layer: pairs of neurons with equal patterns."""
    objective = objective_of(case)
    params = with_pairs(case, start(case, objective))
    pre = objective.net.forward(params, objective.data.X).pre
    worst, pairs, rest = 0.0, 0, 0.0
    for l in range(1, case.L):
        A, B = sides(objective, params, l)
        equal = agreeing(pre[l - 1], case.activation == "linear")
        if case.get("all", False):
            equal = np.ones_like(equal)
        size = max(np.max(np.abs(A)), np.max(np.abs(B)))
        if size == 0:
            continue
        gap = np.abs(A - B) / size
        worst = max(worst, float(np.max(gap[equal])))
        pairs += int(np.sum(equal)) - len(A)
        rest = max(rest, float(np.max(gap[~equal], initial=0.0)))
    yield Evidence(
        worst,
        "==",
        0,
        TOL,
        note=(
            f"relative, over the diagonals and {pairs} pairs of neurons with equal patterns; up to {rest:.2g} for other"
            " pairs"
        ),
    )


def with_pairs(case, params):
    """Every second row of the hidden matrices is replaced by its neighbour's plus a little noise, so that more neurons
    share a pattern."""
    draw = np.random.default_rng(case.rng)
    for W in params[:-1]:
        rows = W[1::2].shape[0]
        W[1::2] = draw.uniform(0.5, 2.0, (rows, 1)) * W[0::2][:rows] + 1e-3 * draw.standard_normal((rows, W.shape[1]))
    return params


CLAIM = Claim(
    id="lj22:invariants",
    title=(
        "W_{l+1}' G_{l+1} and G_l W_l' agree: in full between linear layers, for neurons of equal patterns across a"
        " ReLU"
    ),
    statement=(
        "Let G_l be the gradient of the loss in W_l and s(a) = s'(a) a. Then (W_{l+1}' G_{l+1})_jk = (G_l W_l')_jk at"
        " every point for j = k and for all neurons j, k of layer l with s'(a_j) = s'(a_k) on every sample: for all"
        " pairs if s is linear, for neurons of equal activation patterns if s is (leaky) ReLU. So gradient flow keeps"
        " these entries of W_{l+1}' W_{l+1} - W_l W_l' while the patterns agree; others move in general."
    ),
    source="lj22",
    hypotheses=fits()
    | {
        "s(a) = s'(a) a": homogeneous,
        "only pairs of equal patterns": lambda c: not c.get("all", False),
        "L >= 2": lambda c: c.L >= 2,
    },
    check=check,
    cases=[
        *grid(
            K=[2, 4],
            n=[1, 5],
            d=[4, 9],
            L=[2, 3, 5],
            loss=["ce", "mse"],
            activation=["linear", "relu", "leaky_relu(0.2)"],
            rng=[0, 1],
        ),
        *grid(K=2, n=4, d=6, L=[2, 4], loss=["logistic", "exponential"], activation=["linear", "relu"], rng=[0, 1, 2]),
        *grid(K=3, n=(6, 1, 2), d=5, L=3, loss=["ce", "focal"], activation=["relu", "leaky_relu"], rng=[0]),
    ],
    controls=[
        Case(K=3, n=4, d=6, L=3, loss="ce", activation="tanh", rng=0),
        Case(K=3, n=4, d=6, L=3, loss="ce", activation="relu", rng=0, all=True),
        planted(
            "all pairs of ReLU neurons are compared", K=4, n=5, d=9, L=2, loss="mse", activation="relu", rng=1, all=True
        ),
    ],
)
