"""Singular values along gradient flow: linear layers become rank one, a matrix before a ReLU need not."""

from __future__ import annotations

import numpy as np

from theory.cases import Case
from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.lj22 import counterexample, rank_one

TINTS = {"linear": "#0072B2", "relu": "#D55E00"}
LAYERS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")


def data(work) -> dict:
    """Two orthogonal points with two layers (a); a ReLU layer below four linear ones on separable data (b). Curves of
    the log-loss flow."""
    cells = [
        {
            "activation": activation,
            "d": 2,
            "width": 20,
            "loss": "exponential",
            "scale": 0.1,
            "rng": work.rng,
            "floor": -1e4 if work.fast else -1e6,
        }
        for activation in TINTS
    ]
    deep = {
        "K": 2,
        "n": 5 if work.fast else 20,
        "d": 5 if work.fast else 10,
        "width": 7 if work.fast else 16,
        "L": 5,
        "body": 1,
        "loss": "exponential",
        "scale": 0.5,
        "rng": work.rng,
        "floor": -1e5 if work.fast else -1e7,
    }
    return {"points": work.map(ratios, cells, "two points"), "deep": work.map(tails, [deep], "deep")[0]}


def ratios(cell: dict) -> dict:
    """s_2/s_1 of W_1 against -log loss."""
    trace = counterexample.run_of(Case(**cell), trace=10).trace
    s = trace.spectra[0]
    return {
        "activation": cell["activation"],
        "log_loss": trace.log_loss.tolist(),
        "ratio": (s[:, 1] / s[:, 0]).tolist(),
    }


def tails(cell: dict) -> dict:
    """1 - s_1^2/|W_l|^2 of the trailing layers and the bound from the first imbalance, against -log loss."""
    case = Case(**cell)
    trace = rank_one.run_of(case, trace=10).trace
    tails, norms, bounds = rank_one.trailing(trace, case.body, 1)
    return {
        "first": case.body + 1,
        "log_loss": trace.log_loss.tolist(),
        "share": (tails / norms).T.tolist(),
        "bound": (bounds / norms).T.tolist(),
    }


def rows(data: dict) -> list[dict]:
    found = [
        {"panel": "a", "name": run["activation"], "log_loss": x, "ratio": y}
        for run in data["points"]
        for x, y in zip(run["log_loss"], run["ratio"], strict=True)
    ]
    deep = data["deep"]
    for i, (share, bound) in enumerate(zip(deep["share"], deep["bound"], strict=True)):
        found += [
            {"panel": "b", "name": f"W_{deep['first'] + i}", "log_loss": x, "share": a, "bound": b}
            for x, a, b in zip(deep["log_loss"], share, bound, strict=True)
        ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.5)
    left, right = figure.subplots(1, 2)
    for run in data["points"]:
        x, y = _falling(run["log_loss"], run["ratio"])
        name = {"linear": "linear", "relu": "ReLU"}[run["activation"]]
        left.plot(x, y, color=TINTS[run["activation"]], label=name)
    left.axhline(1, color="0.6", lw=0.6)
    left.set(
        xscale="log",
        xlabel="$-\\log$ loss",
        ylabel="$s_2/s_1$ of $W_1$",
        ylim=(0, 1.05),
        title="(a) two orthogonal points, two layers",
    )
    left.legend()
    deep = data["deep"]
    for i, tint in zip(range(len(deep["share"]) - 1), LAYERS, strict=False):
        x, y = _falling(deep["log_loss"], deep["share"][i])
        right.plot(x, y, color=tint, label=f"$W_{deep['first'] + i}$")
        right.plot(*_falling(deep["log_loss"], deep["bound"][i]), "--", color=tint, lw=0.8)
    right.plot([], [], "--", color="0.4", lw=0.8, label="bound")
    right.set(
        xscale="log",
        yscale="log",
        xlabel="$-\\log$ loss",
        ylabel="$1 - s_1^2/|W_l|^2$",
        title="(b) linear layers after a ReLU layer",
    )
    right.axvline(745, color="0.7", lw=0.6)
    right.annotate(
        "float64 ends", (745, 1), (2, -8), ("data", "axes fraction"), "offset points", color="0.5", fontsize=6.5
    )
    right.legend(loc="lower left")
    return figure


def _falling(log_loss, values):
    """(-log loss, values) from where the loss is below 0.9."""
    pairs = [(-x, y) for x, y in zip(log_loss, values, strict=True) if x < -0.1]
    return np.array(pairs).T if pairs else ([], [])


FIGURE = PaperFigure(
    id="lj22-rank-one",
    title="Linear layers become rank one along gradient flow; a matrix before a ReLU need not",
    source="lj22, rank-one limit and its failure across a ReLU",
    data=data,
    draw=draw,
    rows=rows,
    takes="20 s",
    takes_fast="4 s",
)
