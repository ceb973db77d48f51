"""The matrices of the strongly regular code beside those of collapse."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.figures.sml24_runs import heat, layers, problem_of
from ufm.structures import graph_codes, relu_collapse


def data(work) -> dict:
    """L = 4, K = 10, r = 5 at lam = 0.004: explicit weights, nothing is trained, and the fast version is the whole
    one."""
    cell = {"K": 10, "n": 1, "d": 10, "L": 4, "lam": 0.004, "r": 5}
    problem = problem_of(cell)
    before, after = layers(graph_codes.srg(problem, cell["r"]))
    collapsed, _ = layers(relu_collapse.relu_dnc(problem))
    kept = before[1][: cell["r"]], before[2]
    found = {
        "M3": kept[0],
        "M4": kept[1],
        "G4": kept[1].T @ kept[1],
        "S4": after[2].T @ after[2],
        "dnc": collapsed[2].T @ collapsed[2],
    }
    losses = {"srg": graph_codes.loss(problem, graph_codes.complete(5)), "dnc": relu_collapse.loss(problem)}
    ranks = {name: int(np.linalg.matrix_rank(M, tol=1e-9 * np.max(np.abs(M)))) for name, M in found.items()}
    return {**cell, "losses": losses, "ranks": ranks, "matrices": {name: M.tolist() for name, M in found.items()}}


TITLES = {
    "M3": "$M_3$",
    "M4": "$M_4$",
    "G4": "$M_4^\\top M_4$",
    "S4": "$s(M_4)^\\top s(M_4)$",
    "dnc": "collapse: $M_4^\\top M_4$",
}


def rows(data: dict) -> list[dict]:
    return [
        {"matrix": name, "row": i, "column": j, "value": v}
        for name, M in data["matrices"].items()
        for i, line in enumerate(M)
        for j, v in enumerate(line)
    ]


def draw(data: dict):
    figure = sheet(PAGE, 1.95)
    axes = figure.subplots(1, 5)
    for ax, (name, M) in zip(axes, data["matrices"].items(), strict=True):
        heat(ax, M, f"{TITLES[name]}, rank {data['ranks'][name]}")
        if name == "M3":
            ax.set_ylabel("vertices of $K_5$")
            ax.set_xlabel("classes: edges of $K_5$")
    losses = data["losses"]
    figure.suptitle(
        f"$K = 10$, $L = 4$, $\\lambda = {data['lam']:g}$: loss {losses['srg']:.5f} of the graph, {losses['dnc']:.5f}"
        " of collapse",
        fontsize=8,
    )
    return figure


FIGURE = PaperFigure(
    id="sml24-1",
    title=(
        "The strongly regular code of ten classes: matrices of the last two layers and Gram matrices, beside collapse"
    ),
    source="sml24, Figure 1",
    data=data,
    draw=draw,
    rows=rows,
    takes="1 s",
    takes_fast="1 s",
)
