"""Rank over batch size, learning rate and decay, next to the same runs over E = sum of lr lam."""

from __future__ import annotations

import itertools

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.gsgp22.sweep import RANKS, correlation, trained

SHOWN = {
    "stable": "stable rank",
    "effective": "effective rank",
    "0.1": "$s_i > 0.1\\,|W|$",
    "0.01": "$s_i > 0.01\\,|W|$",
    "0.001": "$s_i > 0.001\\,|W|$",
}
AXES = {
    "B": "batch size $B$",
    "lr": "learning rate $\\mu$",
    "lam": "decay $\\lambda$",
    "E": "$E = \\Sigma\\,\\mu\\lambda$",
}
COLOURS = ("#D55E00", "#E69F00", "#009E73", "#56B4E9", "#0072B2", "#882255")
NONE = "0.6"
"""The grey of the runs without decay."""
BOX = {"fc": "white", "ec": "none", "pad": 0.6, "alpha": 0.8}


def data(work) -> dict:
    """One start and one mixture; all combinations of batch, learning rate and decay, and the same without decay, for a
    fixed number of epochs."""
    if work.fast:
        shape = {"K": 6, "n": 20, "d": 40, "width": 40, "L": 3, "sigma": 1.0, "epochs": 24}
        batches, lrs, lams = (2, 4, 8, 16), (0.05, 0.1, 0.2), (3e-3, 1e-2, 2e-2)
    else:
        shape = {"K": 10, "n": 40, "d": 64, "width": 100, "L": 4, "sigma": 1.0, "epochs": 40}
        batches, lrs, lams = (2, 4, 8, 16, 32, 64), (0.03, 0.1, 0.3), (3e-4, 1e-3, 3e-3, 1e-2)
    cells = [
        {**shape, "B": B, "lr": lr, "lam": lam, "rng": work.rng}
        for B, lr, lam in itertools.product(batches, lrs, (0.0, *lams))
    ]
    runs = work.map(trained, cells, "runs")
    decayed = [run for run in runs if run["lam"]]
    found = {name: {axis: correlation(decayed, name, axis) for axis in AXES} for name in RANKS}
    return {**shape, "batches": list(batches), "lrs": list(lrs), "lams": list(lams), "runs": runs, "spearman": found}


def rows(data: dict) -> list[dict]:
    """The runs, then the correlations of every rank with every axis (runs with decay)."""
    runs = [{"kind": "run", **run} for run in data["runs"]]
    return runs + [
        {"kind": "spearman", "rank": name, "axis": axis, "value": rho}
        for name, found in data["spearman"].items()
        for axis, rho in found.items()
    ]


def draw(data: dict):
    """A row for each measure of rank, a column for each axis; colour: batch size; grey crosses: no decay (at the left
    edge of decay, absent from E)."""
    from matplotlib.lines import Line2D

    figure = sheet(PAGE, 1.2 * len(SHOWN) + 0.6)
    panels = figure.subplots(len(SHOWN), len(AXES), sharey="row", sharex="col", width_ratios=(1, 1, 1, 1.6))
    tints = dict(zip(data["batches"], COLOURS, strict=False))
    for line, (name, label) in zip(panels, SHOWN.items(), strict=True):
        for ax, (axis, words) in zip(line, AXES.items(), strict=True):
            for run in data["runs"]:
                _mark(ax, axis, run, name, tints[run["B"]], data)
            ax.set(xscale="log", ylim=(0, None))
            ax.annotate(
                f"$\\rho = {data['spearman'][name][axis]:.2f}$",
                (0.05, 0.06),
                xycoords="axes fraction",
                fontsize=7,
                bbox=BOX,
            )
            if name == "stable":
                ax.set_title(f"({'abcd'[list(AXES).index(axis)]}) against {words}")
            if name == list(SHOWN)[-1]:
                ax.set_xlabel(words)
                _ticks(ax, {"B": data["batches"], "lr": data["lrs"], "lam": data["lams"]}.get(axis))
        line[0].set_ylabel(label)
    handles = [Line2D([], [], marker="o", ls="none", color=tint, label=f"$B = {B}$") for B, tint in tints.items()]
    handles.append(Line2D([], [], marker="x", ls="none", color=NONE, label="$\\lambda = 0$"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _mark(ax, axis: str, run: dict, name: str, tint: str, data: dict) -> None:
    """One run; batches of one setting stand side by side."""
    steps = len(data["batches"])
    shift = 1.0 if axis in ("B", "E") else 1.05 ** (data["batches"].index(run["B"]) - (steps - 1) / 2)
    if run["lam"]:
        ax.plot(run[axis] * shift, run[name], "o", ms=2.8, color=tint, mew=0)
    elif axis in ("B", "lr"):
        ax.plot(run[axis] * shift, run[name], "x", ms=3, color=NONE, mew=0.7, zorder=1)


def _ticks(ax, values) -> None:
    """Ticks at the values of a grid and nowhere else."""
    if values:
        ax.set_xticks(values, [f"{v:g}" for v in values])
        ax.minorticks_off()


FIGURE = PaperFigure(
    id="gsgp22-sweep",
    title="Rank over batch size, learning rate and decay at fixed epochs, and the same runs over E",
    source="gsgp22, rank against batch size, learning rate and decay",
    data=data,
    draw=draw,
    rows=rows,
    takes="1 minute on two cores",
    takes_fast="6 s",
)
