"""How far the parameters move in an epoch: a plateau with decay, ever less without."""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.gsgp22.displacement import displacements, quarters

COLOURS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")
BINS = 60
"""So many bins of epochs, equal on a logarithmic scale; a curve is the median in each."""


def data(work) -> dict:
    """Runs of one length without and with decay for a small batch, and the late displacement over decay for several
    batches."""
    if work.fast:
        shape = {"K": 3, "n": 10, "d": 24, "width": 24, "L": 3, "sigma": 1.0, "activation": "tanh", "lr": 0.3}
        batches, lams, steps = (3, 10, 30), (0.0, 1e-2, 2e-2, 5e-2), 5000
    else:
        shape = {"K": 4, "n": 16, "d": 40, "width": 40, "L": 3, "sigma": 1.0, "activation": "tanh", "lr": 0.3}
        batches, lams, steps = (2, 4, 16, 64), (0.0, 2e-3, 5e-3, 1e-2, 2e-2, 4e-2), 40_000
    cells = [{**shape, "B": B, "lam": lam, "steps": steps, "rng": work.rng} for B in batches for lam in lams]
    return {
        **shape,
        "batches": list(batches),
        "lams": list(lams),
        "steps": steps,
        "runs": work.map(curve, cells, "runs"),
    }


def curve(cell: dict) -> dict:
    """The displacement over the epochs in bins, and its medians over the last two quarters."""
    moved = displacements(cell)
    edges = np.unique(np.round(np.geomspace(1, len(moved) + 1, BINS + 1)).astype(int))
    bins = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    before, late = quarters(moved)
    curve = {
        "epochs": [math.sqrt(a * b) for a, b in bins],
        "moved": [float(np.median(moved[a - 1 : b - 1])) for a, b in bins],
    }
    return {
        "B": cell["B"],
        "lam": cell["lam"],
        "E": cell["steps"] * cell["lr"] * cell["lam"],
        "before": before,
        "late": late,
        **curve,
    }


def rows(data: dict) -> list[dict]:
    found = [{"kind": "late", **{key: run[key] for key in ("B", "lam", "E", "before", "late")}} for run in data["runs"]]
    return found + [
        {"kind": "epoch", "B": run["B"], "lam": run["lam"], "epoch": e, "moved": m}
        for run in data["runs"]
        for e, m in zip(run["epochs"], run["moved"], strict=True)
    ]


def draw(data: dict):
    figure = sheet(PAGE, 2.5)
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    small, whole = data["batches"][0], data["batches"][-1]
    panels[1].sharey(panels[0])
    for ax, B, letter in ((panels[0], small, "a"), (panels[1], whole, "b")):
        for run, tint in zip([run for run in data["runs"] if run["B"] == B], COLOURS, strict=False):
            ax.plot(run["epochs"], run["moved"], color=tint, lw=0.9, label=f"$\\lambda = {run['lam']:g}$")
        every = ", all samples: no noise" if B == data["K"] * data["n"] else ""
        ax.set(xscale="log", yscale="log", xlabel="epoch", title=f"({letter}) $B = {B}${every}")
    panels[0].set_ylabel("$|W_{e+1} - W_e|\\,/\\,|W_{e+1}|$, an epoch")
    panels[0].legend(loc="lower left")
    for B, marker in zip(data["batches"], "os^D", strict=False):
        line = [run for run in data["runs"] if run["B"] == B and run["lam"]]
        panels[2].plot(
            [run["lam"] for run in line],
            [run["late"] for run in line],
            marker=marker,
            color="0.2",
            mfc="white",
            lw=0.7,
            label=f"$B = {B}$",
        )
    panels[2].set(xscale="log", yscale="log", xlabel="decay $\\lambda$", title="(c) last quarter of the epochs, median")
    panels[2].set_xticks(data["lams"][1:], [f"{lam:g}" for lam in data["lams"][1:]])
    panels[2].minorticks_off()
    panels[2].legend(loc="upper left")
    return figure


FIGURE = PaperFigure(
    id="gsgp22-displacement",
    title="The displacement of the parameters in an epoch, with and without decay",
    source="gsgp22, the displacement of an epoch",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 minutes on two cores",
    takes_fast="15 s",
)
