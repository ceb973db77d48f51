"""How far the parameters move in an epoch, late in a run: a plateau that grows with the decay, and nothing without
it."""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import start_of
from theory.gsgp22.sweep import data_of, network_of
from ufm.networks.objective import Objective
from ufm.networks.train import train

FORGOTTEN = 24
"""E at the end of a run; the two windows compared are the last quarter and the one before it."""


def displacements(cell) -> np.ndarray:
    """|x_{e+1} - x_e| / |x_{e+1}| for every epoch e of one run of SGD; cell: a dict or Case with B, lr, lam and
    steps."""
    data = data_of(cell)
    net = network_of(cell, data)
    start, points, per_epoch = net.unpack(start_of(Objective(net, data), cell["rng"])), [], data.N // cell["B"]

    def record(progress):
        if progress.step % per_epoch == 0:
            points.append(progress.x)
        if len(points) == 2:
            moved.append(float(np.linalg.norm(points[1] - points[0]) / np.linalg.norm(points[1])))
            del points[0]

    moved: list[float] = []
    settings = {"lr": cell["lr"], "batch": cell["B"], "steps": cell["steps"]}
    train(
        net,
        data,
        cell.get("loss", "ce"),
        decay=cell["lam"],
        rng=cell["rng"],
        start=start,
        callback=record,
        progress=False,
        **settings,
    ).require()
    return np.array(moved)


def quarters(moved) -> tuple[float, float]:
    """Medians over the third and over the last quarter of the epochs."""
    q = len(moved) // 4
    return float(np.median(moved[-2 * q : -q])), float(np.median(moved[-q:]))


def steps_of(case, lam: float) -> int:
    """Steps to E = 24; without decay those of the slowest run, or of lam = 1e-2 where there is none."""
    slowest = min([lam for lam in case.lams if lam > 0], default=1e-2)
    return math.ceil(FORGOTTEN / (case.lr * (lam or slowest)))


def check(case):
    """Late displacements of every lam do not fall any more, and increase with lam; without decay they fall."""
    found = [quarters(displacements(case.but(lam=lam, steps=steps_of(case, lam)))) for lam in case.lams]
    for lam, (before, late) in zip(case.lams, found, strict=True):
        yield Evidence(
            late / before,
            "in",
            (0.8, 1.3),
            1e-9,
            "sampled",
            f"lam = {lam:g}: last quarter over the third, {late:.3g} of the norm per epoch",
        )
    levels = [late for _, late in found]
    levels = levels[::-1] if case.get("turned") else levels
    for (small, low), (large, high) in itertools.pairwise(zip(case.lams, levels, strict=True)):
        yield Evidence(high / low, ">", 1.0, 1e-9, "sampled", f"displacement at lam = {large:g} over that at {small:g}")
    before, late = quarters(displacements(case.but(lam=0.0, steps=steps_of(case, 0.0))))
    yield Evidence(
        late / before,
        "<",
        0.78,
        1e-9,
        "sampled",
        f"lam = 0: last quarter over the third, {late:.3g}: it falls like one over the time",
    )
    yield Evidence(late / min(levels), "<", 0.5, 1e-9, "sampled", "lam = 0: over the smallest with decay")


BASE = {
    "K": 3,
    "n": 10,
    "d": 24,
    "width": 24,
    "L": 3,
    "sigma": 1.0,
    "activation": "tanh",
    "B": 5,
    "lr": 0.3,
    "lams": (1e-2, 2e-2, 5e-2),
}

CLAIM = Claim(
    id="gsgp22:displacement",
    title="Late in a run the parameters keep moving by an amount that grows with the decay",
    statement=(
        "After E = 12, when the start is forgotten, the relative displacement of the parameters in an epoch of SGD with"
        " B < N stays where it is for every lam > 0, and is the larger the larger lam; at lam = 0 it goes on falling."
        " With all samples in every batch it falls as well."
    ),
    source="gsgp22, the displacement of an epoch",
    hypotheses={
        "lam > 0, increasing by factors of two or more": lambda c: (
            min(c.lams) > 0 and all(b >= 2 * a for a, b in itertools.pairwise(c.lams))
        ),
        "lam <= 0.15/K": lambda c: max(c.lams) <= 0.151 / c.K,
        "B <= N/3": lambda c: 3 * c.B <= c.K * c.n,
        "lr <= 0.3": lambda c: c.lr <= 0.3,
        "samples differ within classes: sigma >= 0.5": lambda c: c.sigma >= 0.5,
    },
    check=check,
    kind="empirical",
    cases=[
        Case(**BASE, rng=0),
        Case(**{**BASE, "B": 3, "activation": "relu"}, rng=1),
        Case(**{**BASE, "L": 2, "K": 4, "lams": (1e-2, 3.5e-2)}, rng=2),
    ],
    controls=[
        Case(**{**BASE, "lams": (0.0,)}, rng=0),
        Case(**{**BASE, "B": 30, "lams": (2e-2, 5e-2)}, rng=0),
        planted("the levels are taken in the opposite order", **{**BASE, "lams": (2e-2, 5e-2)}, rng=0, turned=True),
    ],
    uses=("gsgp22:noise",),
    scope=(
        "small networks on Gaussian mixtures, constant learning rate; that no batch size below N can stop is the floor"
        " of gsgp22:noise"
    ),
)
