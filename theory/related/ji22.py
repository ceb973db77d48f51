"""Ji et al.: without any ridge, gradient flow on features and classifier tends to the same direction, simplex-encoded
labels."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.train import train

LOGS = (-10.0, -30.0, -100.0)
"""Logarithms of the loss at which the direction is looked at; beyond, the integrator's own error of 10^-2 in step
shows."""
NEAR = 2e-2
"""Distance of Z/|Z| from SEL/|SEL| at the last of them."""


def direction(counts, width: int, scale: float, rng: int, floor: float, step: float = 1e-2) -> np.ndarray:
    """Z/|Z| (K, N) where the flow of W_1 H_1 reaches a log-loss: free features are a linear layer on orthonormal
    inputs."""
    K, N = len(counts), sum(counts)
    net, data = (
        Network((N, width, K), "linear"),
        Data(np.eye(N), np.repeat(np.arange(K), counts), K, "orthonormal inputs"),
    )
    settings = {"time": 60.0, "step": step, "integrator": "heun", "floor": floor}
    run = train(net, data, "ce", "log_flow", rng=rng, scale=scale, trace=0, progress=False, **settings)
    H, W = net.weights(run.params)
    return W @ H / np.linalg.norm(W @ H)


def check(case):
    """Distances from SEL at falling losses, and from the labels without centring, to which they do not tend."""
    K = len(case.n)
    target = np.eye(K) - case.get("mean", 1.0) / K
    limit = np.repeat(target, case.n, axis=1)
    limit = limit / np.linalg.norm(limit)
    found = [
        float(np.linalg.norm(direction(case.n, K + case.more, case.scale, case.rng, floor) - limit))
        for floor in LOGS[: case.stages]
    ]
    falling = len(found) > 1 and NEAR <= found[-1] < 0.5 * found[-2]  # on its way, which decides nothing
    note = f"distances {', '.join(f'{x:.4g}' for x in found)} at log-losses {LOGS[: case.stages]}"
    yield Evidence(math.nan if falling else found[-1], "<", NEAR, NEAR / 100, "sampled", note)
    if len(found) > 1:
        yield Evidence(found[-1], "<", 0.5 * found[0], 1e-6, "sampled", "less than half of the first distance")


CLAIM = Claim(
    id="related:ji22-flow",
    title="Gradient flow without ridge tends to simplex-encoded labels",
    statement=(
        "L = 1, cross-entropy, no penalty, any counts, d >= K: gradient flow from a small start drives the loss to zero"
        " and Z/|Z| to SEL/|SEL|, SEL = (I - 11'/K) Y; the distance falls as the logarithm of the loss grows."
    ),
    source=(
        "ji22, gradient flow (convergence in direction to a KKT point of the margin problem; that it is SEL:"
        " thrampoulidis22)"
    ),
    hypotheses={
        "n lists class counts": lambda c: isinstance(c.n, tuple),
        "d >= K": lambda c: c.more >= 0,
        "run to its end": lambda c: c.stages == len(LOGS),
    },
    check=check,
    cases=[
        Case(n=n, more=more, scale=0.1, rng=rng, stages=3)
        for n, more, rng in [((2, 1), 0, 0), ((4, 2, 1), 1, 0), ((6, 3, 1, 1), 0, 1)]
    ],
    controls=[
        Case(n=(6, 3, 1, 1), more=0, scale=0.1, rng=1, stages=1),
        planted("the labels are not centred", n=(4, 2, 1), more=1, scale=0.1, rng=0, stages=3, mean=0.0),
    ],
    uses=("related:seli-margin",),
    scope=(
        "Heun steps in the logarithm of time, to a loss of e^-100; at smaller losses their error keeps the distance"
        " near 10^-2"
    ),
)
