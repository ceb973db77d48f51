"""Rank over batch size, learning rate and decay at a fixed number of epochs: one curve in E = sum of lr lam."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import spearmanr

from theory.claim import Case, Claim, Evidence, planted
from theory.gsgp22.gradient_rank import start_of
from ufm.networks.data import Data
from ufm.networks.network import Network
from ufm.networks.objective import Objective
from ufm.networks.train import train
from ufm.numerics.ranks import effective_rank, numerical_rank, stable_rank

TOLERANCES = (1e-1, 3e-2, 1e-2, 1e-3)
RANKS = ("stable", "effective", *(f"{tol:g}" for tol in TOLERANCES))
"""Names of the six ranks: two smooth ones, and how many singular values exceed so much of |W|."""


def data_of(cell) -> Data:
    """The data of a case or cell: a Gaussian mixture, or (`data="digits"`, extra [data]) n handwritten digits per
    class, standardised."""
    if cell.get("data", "mixture") == "digits":
        return Data.digits(n=cell["n"], rng=cell["rng"]).standardised()
    return Data.mixture(K=cell["K"], n=cell["n"], d=cell["d"], sigma=cell["sigma"], rng=cell["rng"])


def network_of(cell, data: Data) -> Network:
    """L weight matrices, all hidden layers of one width."""
    return Network([data.d, *[cell["width"]] * (cell["L"] - 1), data.K], cell.get("activation", "relu"))


def trained(cell) -> dict:
    """One run of SGD: E, the mean over hidden matrices of six ranks, accuracy. cell: a dict or Case with B, lr, lam and
    epochs or steps."""
    data = data_of(cell)
    net = network_of(cell, data)
    start = net.unpack(start_of(Objective(net, data), cell["rng"]))
    length = {"steps": cell["steps"]} if cell.get("steps") else {"epochs": cell["epochs"]}
    end = train(
        net,
        data,
        cell.get("loss", "ce"),
        decay=cell["lam"],
        rng=cell["rng"],
        start=start,
        lr=cell["lr"],
        batch=cell["B"],
        progress=False,
        **length,
    )
    end.require()
    return {
        "B": cell["B"],
        "lr": cell["lr"],
        "lam": cell["lam"],
        "steps": end.steps,
        "E": end.E,
        "accuracy": end.accuracy,
    } | ranks(end.weights[:-1])


def ranks(weights) -> dict[str, float]:
    """The six ranks, each the mean over the matrices."""
    spectra = [np.linalg.svd(W, compute_uv=False) for W in weights]
    counted = {f"{tol:g}": [numerical_rank(s, tol) for s in spectra] for tol in TOLERANCES}
    found = {"stable": [stable_rank(s) for s in spectra], "effective": [effective_rank(s) for s in spectra]} | counted
    return {name: float(np.mean(values)) for name, values in found.items()}


def correlation(rows: list[dict], name: str, other: str) -> float:
    """Spearman's correlation of two columns, by scipy.stats.spearmanr; 0 where one of them is constant and orders
    nothing."""
    left, right = ([row[key] for row in rows] for key in (name, other))
    return float(spearmanr(left, right).statistic) if np.ptp(left) > 0 and np.ptp(right) > 0 else 0.0


def cells(case) -> list[Case]:
    """The runs of a case: all combinations of its batches, lrs and lams."""
    return [case.but(B=B, lr=lr, lam=lam) for B, lr, lam in itertools.product(case.batches, case.lrs, case.lams)]


def check(case):
    """The correlations of stable and effective rank with E and with the batch size; all six in the notes."""
    rows = [trained(cell) for cell in cells(case)]
    if case.get("shuffled"):
        rows = [{**row, "E": other["E"]} for row, other in zip(rows, rows[::-1], strict=True)]
    found = {name: (correlation(rows, name, "E"), correlation(rows, name, "B")) for name in RANKS}
    words = ", ".join(f"{name} {with_E:.3f} (B {with_B:.3f})" for name, (with_E, with_B) in found.items())
    for name in ("stable", "effective"):
        with_E, with_B = found[name]
        yield Evidence(with_E, "<=", -0.95, 1e-9, "sampled", f"{name} rank, {len(rows)} runs. Spearman with E: {words}")
        yield Evidence(
            abs(with_E) - abs(with_B),
            ">=",
            0.1,
            1e-9,
            "sampled",
            f"{name} rank: {with_E:.3f} with E, {with_B:.3f} with B",
        )


def spread(values) -> float:
    """log of the largest over the smallest."""
    return float(np.log(max(values) / min(values))) if min(values) > 0 else 0.0


def largest_E(case) -> float:
    """E of the smallest batch, largest learning rate and decay."""
    return max(case.lrs) * max(case.lams) * case.epochs * (case.n * case.K // min(case.batches))


BASE = {
    "K": 6,
    "n": 20,
    "d": 40,
    "width": 40,
    "L": 3,
    "sigma": 1.0,
    "batches": (2, 4, 8, 16),
    "lrs": (0.05, 0.1, 0.2),
    "lams": (3e-3, 1e-2, 2e-2),
    "epochs": 24,
}

CLAIM = Claim(
    id="gsgp22:sweep",
    title="At fixed epochs rank falls with E = sum of lr lam, and with the batch size only through E",
    statement=(
        "Over a grid of batch sizes, learning rates and decays at a fixed number of epochs, the stable and the"
        " effective rank of the hidden matrices have a Spearman correlation with E of at most -0.95, by 0.1 and more"
        " above that with the batch size in absolute value."
    ),
    source="gsgp22, rank against batch size, learning rate and decay",
    hypotheses={
        "lam > 0": lambda c: min(c.lams) > 0,
        "E reaches 2, so that some runs forget, and stays below 40": lambda c: 2 <= largest_E(c) <= 40,
        "every run moves: lr (N/B) epochs >= 6": lambda c: min(c.lrs) * c.epochs * (c.n * c.K // max(c.batches)) >= 6,
        "lr lam varies at least half as much as B (as logarithms)": lambda c: (
            spread(c.lrs) + spread(c.lams) >= 0.5 * spread(c.batches) > 0
        ),
        "two hidden matrices or more: L >= 3": lambda c: c.L >= 3,
        "cross-entropy": lambda c: c.get("loss", "ce") == "ce",
    },
    check=check,
    kind="empirical",
    cases=[
        *(Case(**BASE, rng=rng) for rng in range(2)),
        Case(
            **{
                **BASE,
                "batches": (3, 6, 15, 30),
                "lrs": (0.08, 0.15, 0.3),
                "lams": (2e-3, 6e-3, 1.8e-2),
                "activation": "tanh",
            },
            rng=2,
        ),
        Case(**{**BASE, "K": 4, "n": 25, "L": 4, "width": 30}, rng=3),
    ],
    controls=[
        Case(**{**BASE, "lams": (0.0,), "lrs": (0.05, 0.1)}, rng=0),
        planted(
            "the runs are given each other's E", **{**BASE, "epochs": 20, "lams": (6e-3, 3e-2)}, rng=0, shuffled=True
        ),
    ],
    uses=("gsgp22:forgetting",),
    scope=(
        "Gaussian mixtures, networks of 3 and 4 matrices, ReLU and tanh, no batch normalisation; a fresh grid of 36"
        " runs per case. With MSE the effective rank does the same and the stable rank does not (-0.8): there it is not"
        " monotone along a run"
    ),
)
