"""Collapsed features make weight matrices of rank at most K, at every critical point."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.zang24.nets import fits, objective_of, point_of
from ufm.networks.data import tcv

TOL = 1e-6
"""Of |W_l|: how far the end of a descent may be from rank K. The theorem's own allowance |grad_l F|/(lam |W_l|) is the
error of the check."""
ROUNDING = 1e-15
"""Of a gradient, whose terms are of size one."""


def check(case):
    """dist_K(W_l)/|W_l|, the largest over layers, where the samples of a class are equal; |grad_l F|/lam_l beside
    it."""
    objective = objective_of(case)
    params = point_of(case, objective)
    lams, grads = objective.decay.lams(objective.net), objective.gradients(params)
    worst, left = 0.0, 0.0
    for W, g, lam in zip(objective.net.weights(params), grads, lams, strict=False):
        s = np.linalg.svd(W, compute_uv=False)
        size = max(np.linalg.norm(s), 1e-3)  # matrices that decay have removed are compared with numbers of order one
        worst, left = (
            max(worst, np.linalg.norm(s[case.K - case.get("fewer", 0) :]) / size),
            max(left, (np.linalg.norm(g) + ROUNDING) / lam / size),
        )
    within = max(tcv(Z, objective.data.y) for Z in objective.net.features(params, objective.data))
    error = (
        left if case.at == "stationary" else 0.0
    )  # how far from critical the end of a descent is, as the theorem counts it
    yield Evidence(
        worst,
        "==",
        0,
        TOL,
        error=error,
        note=f"dist_K/|W|, largest over layers; |grad|/(lam |W|) <= {left:.1e}, TCV <= {within:.1e}",
    )


CLAIM = Claim(
    id="zang24:collapsed",
    title="At critical points the matrix after a collapsed layer has rank at most K",
    statement=(
        "If the samples of each class share their features z^(l-1) and lam_l > 0, then rank W_l <= K at every critical"
        " point: dist_K(W_l) <= |grad_l F|/lam_l at every point."
    ),
    source="zang24",
    hypotheses=fits()
    | {
        "DNC1 at the input: sigma = 0": lambda c: c.sigma == 0,
        "critical": lambda c: c.at == "stationary",
    },
    check=check,
    cases=[
        *grid(
            K=[2, 3],
            n=4,
            d=8,
            L=[2, 3],
            lam=[1e-2],
            sigma=0.0,
            loss=["ce", "mse"],
            activation=["linear", "tanh"],
            at="stationary",
            rng=0,
        ),
        *grid(
            K=3,
            n=(5, 1, 2),
            d=8,
            L=3,
            lam=1e-2,
            sigma=0.0,
            loss="ce",
            activation="tanh",
            at="stationary",
            rng=[0, 1],
            bias=True,
        ),
    ],
    controls=[
        *grid(
            K=[3], n=4, d=8, L=[2, 3], lam=[3e-3], sigma=1.0, loss=["mse"], activation="tanh", at="stationary", rng=0
        ),
        *grid(K=3, n=4, d=8, L=3, lam=3e-3, sigma=0.0, loss="ce", activation="tanh", at="start", rng=0),
        planted(
            "rank K - 1 is claimed",
            K=3,
            n=4,
            d=8,
            L=3,
            lam=3e-3,
            sigma=0.0,
            loss="mse",
            activation="tanh",
            at="stationary",
            rng=0,
            fewer=1,
        ),
    ],
    uses=("zang24:distance",),
    scope="at ends of L-BFGS whose remaining gradient is in the notes",
)
