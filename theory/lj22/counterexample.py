"""A whole matrix before a ReLU need not become rank one."""

from __future__ import annotations

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.train import train
from ufm.numerics.seeds import seed_sequence

HIGH, LOW = 0.99, 1e-3
"""s_2/s_1 of W_1 at the end: above HIGH across a ReLU, below LOW across a linear layer."""
FLOOR = -1e5
"""log of the loss at which a run ends."""


def two_points(d: int) -> Data:
    """x_1 = e_1 with y = +1, x_2 = e_2 with y = -1, in R^d."""
    return Data(np.eye(d)[:, :2], [1, 0], 2, "two orthogonal points")


def run_of(case, trace: int = 0):
    """The log-loss flow of d - width - 1 with the case's activation on the two points."""
    net = Network((case.d, case.width, 1), case.activation)
    return train(
        net,
        two_points(case.d),
        case.loss,
        "log_flow",
        rng=seed_sequence(case.rng),
        scale=case.scale,
        trace=trace,
        progress=False,
        time=40.0,
        step=1e-2,
        integrator="heun",
        floor=case.get("floor", FLOOR),
    )


def check(case):
    """s_2/s_1 of W_1 where the run ends."""
    run = run_of(case)
    s = np.linalg.svd(run.params[0], compute_uv=False)
    ratio, ending = float(s[1] / s[0]), f"s_2/s_1 of W_1; {run.message}"
    if case.get("expected", case.activation) == "relu":
        yield Evidence(ratio, ">", HIGH, 1e-9, note=ending)
    else:
        yield Evidence(ratio, "<", LOW, 1e-9, note=ending)


CLAIM = Claim(
    id="lj22:counterexample",
    title="Two orthogonal points: W_1 tends to rank two across a ReLU, to rank one across a linear layer",
    statement=(
        "For x_1 = e_1, y = +1 and x_2 = e_2, y = -1, two layers, exponential or logistic loss: gradient flow takes"
        " W_1/|W_1| to singular values s_2/s_1 -> 1 with ReLU, one group of neurons for each point, and to rank one"
        " (e_1 - e_2) with identity activation. So the rank-one limit of linear layers does not hold for the whole"
        " matrix before a ReLU."
    ),
    source="lj22",
    hypotheses={
        "two orthogonal points: d >= 2": lambda c: c.d >= 2,
        "a small start: scale <= 0.06": lambda c: c.scale <= 0.06,
        "each point has neurons of its sign": lambda c: c.activation == "linear" or c.width >= 12,
        "run to its end": lambda c: c.get("floor", FLOOR) == FLOOR,
    },
    check=check,
    cases=[
        *grid(width=[12, 30], d=[2], activation=["linear", "relu"], loss="exponential", scale=[0.05], rng=[0, 1]),
        *grid(width=20, d=5, activation=["linear", "relu"], loss="logistic", scale=[0.05], rng=0),
    ],
    controls=[
        *grid(width=20, d=2, activation=["linear", "relu"], loss="exponential", scale=0.05, rng=0, floor=-2.0),
        planted(
            "rank one is claimed across the ReLU",
            width=20,
            d=2,
            activation="relu",
            loss="exponential",
            scale=0.05,
            rng=0,
            expected="linear",
        ),
    ],
    scope=(
        "small random starts, run to a loss of e^-100000; s_2/s_1 dips on the way (early alignment) before it rises."
        " Steps of 1/100 of |W| leave it at 0.993; of 1/200, at 0.9965; of 1/50, at 0.986"
    ),
)
