"""Within-class variation of any earlier layer bounds the distance from rank K: activations that are Lipschitz hand it
on."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.zang24.bounds import layer_bounds
from theory.zang24.distance import SLACK
from theory.zang24.nets import fits, objective_of, point_of
from ufm.networks.data import tcv

LIPSCHITZ = ("linear", "relu", "leaky_relu", "tanh")
"""Activations with |s(a) - s(b)| <= |a - b|; leaky_relu(slope) too."""


def factors(net, params, power: str = "spectral") -> list[float]:
    """[f_1, ..., f_L], TCV(z^l) <= f_l^2 TCV(z^(l-1)): |W_l|_2, and 1 + |W_l|_2 where an identity skip runs around
    layer l."""
    around = {s.end for s in net.skip}
    size = {"spectral": lambda W: np.linalg.norm(W, 2), "none": lambda W: 1.0}[power]
    return [float(size(W)) + (l in around) for l, W in enumerate(net.weights(params), 1)]


def check(case):
    """TCV(z^l) over f_l^2 TCV(z^(l-1)) in every layer; dist_K(W_l) over the bound from every layer m < l."""
    objective = objective_of(case)
    params, lams = point_of(case, objective), objective.decay.lams(objective.net)
    post = objective.net.features(params, objective.data)
    within = [tcv(Z, objective.data.y) for Z in post]
    f = factors(objective.net, params, case.get("factor", "spectral"))
    bounds = [f[l - 1] ** 2 * within[l - 1] for l in range(1, case.L)]
    steps = [
        after / bound if bound > 0 else math.inf if after > 0 else 0.0
        for after, bound in zip(within[1 : case.L], bounds, strict=True)
    ]
    yield Evidence(max(steps), "<=", 1, SLACK, note="TCV(z^l) / f_l^2 TCV(z^(l-1)), the largest over layers")
    rows, ratios = layer_bounds(objective, params), []
    for l, row in enumerate(rows, 1):
        for m in range(l):
            bound = math.sqrt(row.tcv_delta * within[m]) * math.prod(f[m : l - 1]) / lams[l - 1] + row.grad
            dist = row.dist - 1e-14 * row.norm
            ratios.append(0.0 if dist <= 0 else dist / bound if bound > 0 else math.inf)
    yield Evidence(max(ratios), "<=", 1, SLACK, note="dist_K(W_l) over the bound from layer m, the largest over m < l")


CLAIM = Claim(
    id="zang24:earlier",
    title="The same bounds with the within-class variation of any earlier layer",
    statement=(
        "If the activation is 1-Lipschitz, TCV(z^l) <= f_l^2 TCV(z^(l-1)) with f_l = |W_l|_2 (f_l = 1 + |W_l|_2 around"
        " an identity skip). So for every m < l, dist_K(W_l) <= (TCV(delta^l) TCV(z^m))^(1/2) f_(m+1) ... f_(l-1) /"
        " lam_l + |grad_l F|/lam_l."
    ),
    source="zang24",
    hypotheses=fits()
    | {
        "1-Lipschitz activation": lambda c: c.activation.split("(")[0] in LIPSCHITZ,
        "sigma > 0": lambda c: c.sigma > 0,
        "lam > 0": lambda c: c.lam > 0,
        "some class has two samples": lambda c: np.max(c.n) >= 2,
        "L >= 2": lambda c: c.L >= 2,
    },
    check=check,
    cases=[
        *grid(
            K=[2, 4],
            n=5,
            d=8,
            L=[2, 5],
            lam=[1e-3, 0.1],
            sigma=[0.1, 1.0],
            loss=["ce", "mse"],
            activation=["linear", "relu", "tanh"],
            at="start",
            rng=[0, 1],
        ),
        *grid(
            K=3,
            n=4,
            d=7,
            L=[3],
            lam=[1e-3, 1e-2],
            sigma=0.5,
            loss=["ce", "mse"],
            activation="tanh",
            at="stationary",
            rng=0,
        ),
        *grid(
            K=3,
            n=5,
            d=6,
            L=4,
            lam=1e-2,
            sigma=0.3,
            loss="ce",
            activation=["leaky_relu", "relu"],
            at="start",
            rng=[0, 1],
            skip="identity",
            bias=True,
        ),
    ],
    controls=[
        *grid(
            K=3, n=5, d=8, L=3, lam=1e-2, sigma=1.0, loss="ce", activation="square", at="start", scale=2.0, rng=[0, 1]
        ),
        planted(
            "the factors |W_l| are left out",
            K=3,
            n=5,
            d=8,
            L=3,
            lam=1e-2,
            sigma=0.5,
            loss="mse",
            activation="linear",
            at="start",
            scale=2.0,
            rng=0,
            factor="none",
        ),
    ],
    uses=("zang24:distance",),
    scope=(
        "over depths 2 to 5, at random points and trained ones; products of norms make these bounds looser with every"
        " layer"
    ),
)
