"""Fifteen classes and seven layers: features of low rank in all layers but the last."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.figures.sml24_runs import LAYERS, descents, heat, matrices, problem_of, rank, references


def data(work) -> dict:
    """K = 15, L = 7, n = 1, lr 0.5; the lowest run is drawn. fast: 3 starts of 4000 steps at d = 40, full: 10 of 60000
    at d = 60."""
    cell = {
        "K": 15,
        "n": 1,
        "L": 7,
        "lam": 0.002,
        "rng": work.rng,
        "d": 40 if work.fast else 60,
        "steps": 4000 if work.fast else 60_000,
    }
    cells = [{**cell, "starts": part} for part in ([[0, 1, 2]] if work.fast else [[i] for i in range(10)])]
    runs = [run for part in work.map(descents, cells, "runs") for run in part]
    best = min(runs, key=lambda run: run["fun"])
    (picture,) = work.map(matrices, [{**cell, "start": best["start"]}], "matrices")
    refs = references(problem_of(cell))
    return {
        **cell,
        "references": refs,
        "funs": [run["fun"] for run in runs],
        "best": best,
        "M2": picture["before"][0],
        "M6": picture["before"][4],
    }


def rows(data: dict) -> list[dict]:
    found = [{"kind": name, "value": value} for name, value in data["references"].items()]
    found += [{"kind": "end", "i": i, "value": fun} for i, fun in enumerate(data["funs"])]
    for l, s in enumerate(data["best"]["before"]):
        found += [
            {"kind": "singular value", "i": l + 2, "j": i + 1, "value": v, "share": v / s[0]}
            for i, v in enumerate(s[: data["K"]])
        ]
    for name in ("M2", "M6"):
        found += [
            {"kind": name, "i": i, "j": j, "value": v} for i, line in enumerate(data[name]) for j, v in enumerate(line)
        ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.6)
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.4))
    refs, best = data["references"], data["best"]
    for ax, name, l in ((axes[0], "M2", 0), (axes[1], "M6", 4)):
        heat(ax, np.array(data[name]), f"$M_{name[1]}$, rank {best['ranks'][l]}")
        ax.set(xlabel="classes", ylabel="neurons with load" if l == 0 else "")
    for l, s in enumerate(best["before"]):
        label = f"$H_{l + 2}$: {rank(s)}"
        axes[2].plot(
            range(1, data["K"] + 1),
            [v / s[0] for v in s[: data["K"]]],
            marker="os^Dv<>"[l % 7],
            ms=2.6,
            color=LAYERS[l % len(LAYERS)],
            lw=0.8,
            label=label,
        )
    axes[2].set(
        xlabel="number",
        ylabel="singular value / largest",
        ylim=(-0.03, 1.05),
        title="singular values, and how many are above 5%",
    )
    axes[2].legend(loc="upper right", ncols=2)
    below = sum(fun < (1 - 1e-3) * refs["dnc"] for fun in data["funs"])
    said = (
        f"$K = 15$, $L = 7$, $d = {data['d']}$, $\\lambda = {data['lam']:g}$, {data['steps']} steps: {below} of"
        f" {len(data['funs'])} runs end below collapse; "
    )
    said += (
        f"the lowest at {best['fun'] / refs['dnc']:.3f} of it (strongly regular code {refs['srg'] / refs['dnc']:.3f})"
    )
    figure.suptitle(said, fontsize=8)
    return figure


FIGURE = PaperFigure(
    id="sml24-6",
    title="Fifteen classes and seven layers: low rank in every layer but the last",
    source="sml24, Figure 6",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 minutes on two cores",
    takes_fast="5 s",
)
