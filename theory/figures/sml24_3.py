"""Strongly regular codes against collapse in number of classes and depth; the rank of ends against the ridge weight;
how often collapse is found, by width."""

from __future__ import annotations

from collections import Counter

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.figures.sml24_runs import descents
from theory.sml24.rho import number, power
from ufm.numerics.statistics import wilson
from ufm.plot.style import colour

LEVEL = 0.95
DEPTHS = {3: ("#E69F00", "o"), 4: ("#0072B2", "s"), 5: ("#009E73", "^")}
PATIENCE = {True: 25.0, False: 240.0}
"""Steps of a run times lam. Singular values that will die fall as exp(-lr lam steps): by e^-12 in the fast version. 240
are 60000 steps at lam = 0.004."""


def data(work) -> dict:
    """Left: rho(r, L), exact. Middle: K = 10, L = 4, d = 30, equal ridge weights. Right: the same by width, at one
    ridge weight.

    fast: 6 and 8 runs for a point and larger ridge weights, which need fewer steps; full: 10 and 20 runs, lam = 0.004
    on the right.
    """
    base = {"K": 10, "n": 1, "L": 4, "rng": work.rng}
    lams = [2.0**-e for e in ((7, 6.5, 6) if work.fast else (10, 9.5, 9, 8.5, 8, 7.5, 7, 6.5))]
    widths, lam, runs = (
        ((20, 30, 60), 0.01, (6, 8)) if work.fast else ((12, 16, 20, 25, 30, 40, 50, 60, 80), 0.004, (10, 20))
    )
    cells = [{**base, "d": 30, "lam": l, "starts": list(range(runs[0]))} for l in lams]
    cells += [{**base, "d": d, "lam": lam, "starts": list(range(runs[1]))} for d in widths]
    cells = [{**cell, "steps": round(min(PATIENCE[work.fast] / cell["lam"], 120_000))} for cell in cells]
    found = [
        {**cell, "runs": [_short(run) for run in part]}
        for cell, part in zip(cells, work.map(descents, cells, "runs"), strict=True)
    ]
    curves = {str(L): {str(r): number(*power(r, L), L) for r in range(4, 21)} for L in DEPTHS}
    return {"curves": curves, "by_lam": found[: len(lams)], "by_width": found[len(lams) :], "level": LEVEL}


def _short(run: dict) -> dict:
    return {key: run[key] for key in ("fun", "name", "ranks", "lost", "full")}


def rows(data: dict) -> list[dict]:
    found = [
        {"panel": "rho", "L": int(L), "x": int(r), "y": v}
        for L, line in data["curves"].items()
        for r, v in line.items()
    ]
    for point in data["by_lam"]:
        means = [float(np.mean(run["ranks"])) for run in point["runs"]]
        mean, deviation = float(np.mean(means)), float(np.std(means))
        found.append(
            {
                "panel": "rank",
                "L": point["L"],
                "x": point["lam"],
                "y": mean,
                "low": mean - deviation,
                "high": mean + deviation,
            }
        )
    for point in data["by_width"]:
        hits, runs = sum(run["full"] for run in point["runs"]), len(point["runs"])
        low, high = wilson(hits, runs, data["level"])
        share = {"y": hits / runs, "low": low, "high": high, "runs": runs, "ends": _ends(point)}
        found.append({"panel": "width", "L": point["L"], "x": point["d"], **share})
    return found


def _ends(point: dict) -> str:
    """How many runs ended where: `dnc 5, full rank 2, rank 9 1`."""
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(run["name"] for run in point["runs"]).items()))


def draw(data: dict):
    figure = sheet(PAGE, 2.4)
    left, middle, right = figure.subplots(1, 3)
    table = rows(data)
    for L, (tint, marker) in DEPTHS.items():
        line = [row for row in table if row["panel"] == "rho" and row["L"] == L]
        left.plot(
            [row["x"] for row in line],
            [row["y"] for row in line],
            marker=marker,
            color=tint,
            ms=2.8,
            lw=0.9,
            label=f"$L = {L}$",
        )
    left.axhline(1.0, color=colour("dnc"), ls="--", lw=0.8)
    left.set(
        xlabel="$r$, with $K = r(r-1)/2$ classes",
        ylabel="loss / loss of collapse, $\\lambda \\to 0$",
        ylim=(0.35, 1.1),
        title="(a) strongly regular codes",
    )
    left.set_xticks([4, 8, 12, 16, 20])
    left.legend(loc="lower left")
    _bars(middle, [row for row in table if row["panel"] == "rank"], "0.15", 2)
    first, second = data["by_lam"][0], data["by_width"][0]
    middle.axhline(first["K"], color=colour("dnc"), ls="--", lw=0.8)
    middle.set_xscale("log", base=2)
    middle.set(
        xlabel="ridge weight $\\lambda$",
        ylabel="rank, mean over $H_2, \\dots, H_L$",
        title=f"(b) {len(first['runs'])} runs each, $d = {first['d']}$",
    )
    middle.set_ylim(4, first["K"] + 0.5)
    _bars(right, [row for row in table if row["panel"] == "width"], colour("dnc"), 2)
    right.set(xlabel="width $d$", ylabel="fraction at collapse (full rank)", ylim=(-0.03, 1.03))
    right.set_title(f"(c) {len(second['runs'])} runs each, $\\lambda = {second['lam']:g}$")
    right.grid(axis="y", color="0.92", lw=0.5)
    right.set_axisbelow(True)
    figure.suptitle(
        f"(b), (c): $K = {first['K']}$, $L = {first['L']}$, step size 0.5,"
        f" {round(second['steps'] * second['lam'])}/$\\lambda$ steps",
        fontsize=8,
    )
    return figure


def _bars(ax, line, tint, cap) -> None:
    reach = [[row["y"] - row["low"] for row in line], [row["high"] - row["y"] for row in line]]
    ax.errorbar(
        [row["x"] for row in line],
        [row["y"] for row in line],
        reach,
        fmt="o-",
        color=tint,
        elinewidth=0.7,
        capsize=cap,
        lw=1,
        clip_on=False,
        zorder=3,
    )


FIGURE = PaperFigure(
    id="sml24-3",
    title=(
        "Strongly regular codes against collapse; rank at the end against the ridge weight; fraction of runs of full"
        " rank against width"
    ),
    source="sml24, Figure 3",
    data=data,
    draw=draw,
    rows=rows,
    takes="20 minutes on two cores",
    takes_fast="10 s",
)
