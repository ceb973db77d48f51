"""D1. A batch gradient is a sum of few outer products, and so of low rank."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from ufm.networks import diagnostics
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.numerics.seeds import generator, seed_sequence

ROUNDING = 1e-12
"""Of |G|: how large a singular value that is zero may come out."""


def objective_of(case) -> Objective:
    """Case(K, d, width, L, lam, rng), perhaps n, sigma, activation, loss, bias -> the objective on a Gaussian mixture
    with L weight matrices.

    The data come from child 0 of the seed; `start_of` draws from child 1, so that data and start are independent.
    """
    net = Network(
        [case.d, *[case.width] * (case.L - 1), case.K], case.get("activation", "relu"), bias=case.get("bias", False)
    )
    n = case.get("n", 1 + -(-case.get("B", 1) // case.K))
    data = Data.mixture(
        K=case.K, n=n, d=case.d, sigma=case.get("sigma", 1.0), rng={"entropy": case.rng, "spawn_key": [0]}
    )
    return Objective(net, data, case.get("loss", "ce"), case.get("lam", 0.0))


def start_of(objective: Objective, rng: int) -> np.ndarray:
    """Flat Gaussian parameters."""
    draw = generator(seed_sequence({"entropy": rng, "spawn_key": [1]}))
    return objective.net.pack(objective.net.init(draw))


def batches(N: int, B: int, count: int, rng: int) -> list[np.ndarray]:
    """`count` random batches of B of the N samples."""
    draw = generator(seed_sequence({"entropy": rng, "spawn_key": [2]}))
    return [np.sort(draw.permutation(N)[:B]) for _ in range(count)]


def batch_gradient(objective: Objective, x, batch, patches: int = 1) -> list[np.ndarray]:
    """[G_1, ..., G_L, ...]: the gradient of the mean loss of a batch, for every parameter.

    patches = m > 1: every sample is m noisy copies (patches) of itself that go through the network with the same
    weights and whose outputs are
    summed: a convolution with kernel 1 and sum pooling, in which every shared matrix sees m columns per sample.
    """
    net, X, Y = objective.net, objective.data.X[:, batch], objective.Y[:, batch]
    if patches == 1:
        return net.unpack(objective.fit_grad(x, X, Y)[1])
    params, B = net.unpack(x), X.shape[1]
    noise = generator(seed_sequence({"entropy": B, "spawn_key": [patches]})).standard_normal((X.shape[0], patches, B))
    run = net.forward(params, (X[:, None, :] + 0.5 * noise).reshape(X.shape[0], -1))
    Z = run.logits.reshape(-1, patches, B).sum(axis=1)
    dZ = objective.loss.grad(Z, Y) / B
    return net.backward(params, run, np.repeat(dZ[:, None, :], patches, axis=1).reshape(len(dZ), -1))[0]


def tail(W, r: int) -> float:
    """dist_r(W): the Frobenius distance of W to the matrices of rank r at most, (sum_{i > r} s_i^2)^(1/2)."""
    return diagnostics.tail(np.linalg.svd(W, compute_uv=False), r)


def relative(part: float, whole: float) -> float:
    """part / whole, and 0 for 0 / 0."""
    return part / whole if whole else 0.0


def check(case):
    """dist_{mB}(G_l) / |G_l| = 0 in every layer; nothing is claimed where mB is at least the smaller side."""
    objective = objective_of(case)
    x, m, momentum = start_of(objective, case.rng), case.get("patches", 1), case.get("momentum", 0.0)
    steps = [batch_gradient(objective, x, batch, m) for batch in batches(objective.data.N, case.B, 3, case.rng)]
    for l in range(case.L):
        G = sum(momentum**j * grads[l] for j, grads in enumerate(steps)) if momentum else steps[0][l]
        r = m * case.B - case.get("less", 0)
        if r >= min(G.shape):
            yield Evidence(
                min(G.shape), "<=", r, strength="exact", note=f"layer {l + 1}: the bound is the smaller side"
            )
        else:
            yield Evidence(
                relative(tail(G, r), float(np.linalg.norm(G))),
                "==",
                0.0,
                ROUNDING,
                note=f"layer {l + 1}: dist_{r}(G)/|G|",
            )


def settings(count: int) -> list[Case]:
    """So many cases with everything drawn: sizes, depth, activation, loss, batch, patches, bias."""
    draw, found = np.random.default_rng(22), []
    for rng in range(count):
        K, d, width = int(draw.integers(2, 8)), int(draw.integers(2, 41)), int(draw.integers(2, 41))
        words = {
            "activation": str(draw.choice(["relu", "tanh", "linear", "leaky_relu"])),
            "loss": str(draw.choice(["ce", "mse"])),
        }
        found.append(
            Case(
                K=K,
                d=d,
                width=width,
                L=int(draw.integers(1, 6)),
                B=int(draw.integers(1, 13)),
                patches=int(draw.integers(1, 4)),
                **words,
                rng=rng,
            )
        )
    return sorted(found, key=lambda c: c.L * math.prod((c.d, c.width)))


WIDE = {"K": 4, "d": 30, "width": 30, "L": 3}

CLAIM = Claim(
    id="gsgp22:gradient-rank",
    title="The gradient of a batch has rank at most m B",
    statement=(
        "G_l = (1/B) sum over the B samples of a batch, and over the m columns that each sends through W_l, of delta"
        " z'. So rank G_l <= min(m B, sides of W_l), at every point, for every loss and activation; m = 1 in a fully"
        " connected layer."
    ),
    source="gsgp22, rank of the batch gradient",
    hypotheses={
        "B >= 1": lambda c: c.B >= 1,
        "m >= 1 columns per sample": lambda c: c.get("patches", 1) >= 1,
        "the step is the gradient of one batch: no momentum": lambda c: not c.get("momentum", 0.0),
    },
    check=check,
    cases=settings(120),
    controls=[
        Case(**WIDE, B=4, momentum=0.9, rng=0),
        planted("the bound is m B - 1", **WIDE, B=5, patches=1, activation="tanh", rng=0, less=1),
        planted(
            "the bound is B though two columns of a sample share the weights",
            **WIDE,
            B=5,
            patches=2,
            activation="tanh",
            rng=0,
            less=5,
        ),
    ],
    scope="120 drawn settings; shared weights are seen in a network of kernel 1 with sum pooling, for m up to 3",
)
