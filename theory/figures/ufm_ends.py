"""The same question as the paper's Figures 2 and 5, answered exactly: what every end costs, and which of them descent
reaches."""

from __future__ import annotations

import numpy as np

from theory.figures.descents import cell, problem_of
from theory.figures.ends import (
    CUTS,
    MEMORY,
    SCALES,
    SMALL_SCALES,
    centre,
    common,
    cuts,
    joined,
    look,
    model,
    power_of_two,
    ranks,
    shares,
    short,
)
from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.figures.gk25_2 import lam_axis
from ufm import structures
from ufm.objectives.logits import value
from ufm.paths.follow import at_lam
from ufm.plot.style import colour


def data(work) -> dict:
    """The runs of gk25-2, starts of other scales at the centre, and the exact values of every structure without idle
    classes."""
    d, lam = centre(work.fast)
    scales = SMALL_SCALES if work.fast else SCALES
    cells = [cell(d=d, lam=lam, **common(work), scale=None if s == 1 else s / np.sqrt(d)) for s in scales]
    found = cuts(work)
    lams = [point["lam"] for point in found["lam"]]
    grid = np.geomspace(lams[0], lams[-1], 49)
    return {
        **found,
        **joined(work, cells, {"scale": len(cells)}),
        "scales": list(scales),
        "values": values(problem_of(cells[0]), grid),
    }


def values(problem, lams) -> dict:
    """{"lam": lams, name: F at each of them or None where it does not exist}; no lam at which DNC is gone."""
    found: dict[str, list] = {"lam": []}
    for lam in lams:
        points = structures.existing(at_lam(problem, float(lam)))[0]
        if "dnc" not in points:
            break
        found["lam"].append(float(lam))
        for name, point in points.items():
            if "(small)" not in name and name != "zero" and ",1" not in name:
                found.setdefault(name, []).append(value(point))
    count = len(found["lam"])
    return {name: column + [None] * (count - len(column)) for name, column in found.items()}


def rows(data: dict) -> list[dict]:
    table = [
        {"part": "value", "lam": lam, "name": name, "loss": fun}
        for name, column in data["values"].items()
        if name != "lam"
        for lam, fun in zip(data["values"]["lam"], column, strict=True)
        if fun is not None
    ]
    for part in (*CUTS, "scale"):
        for i, point in enumerate(data[part]):
            scale = data["scales"][i] if part == "scale" else 1.0
            shared = {
                "part": part,
                "d": point["d"],
                "lam": point["lam"],
                "start_scale": scale,
                "runs": len(point["ends"]),
            }
            table += [{**shared, "name": name, "hits": hits} for name, hits in sorted(shares(point).items())]
    return table


def draw(data: dict):
    names = ranks([point for part in (*CUTS, "scale") for point in data[part]])
    style = look(names)
    figure = sheet(PAGE, 4.0)
    (top, width), (lam, scale) = figure.subplots(2, 2)
    _values(top, data["values"], names)
    top.set_title("(a) exact values; " + model(data["width"][0], "K", "n", "L"))
    _bars(width, data["width"], [p["d"] for p in data["width"]], names, style)
    width.set(xlabel="width $d$", title="(b) ends; " + model(data["width"][0], "lam"))
    _bars(lam, data["lam_wide"], [power_of_two(p["lam"]) for p in data["lam_wide"]], names, style)
    lam.set(xlabel="ridge weight $\\lambda$", title="(c) ends; " + model(data["lam_wide"][0], "d"))
    _bars(scale, data["scale"], [f"{s:g}" for s in data["scales"]], names, style)
    scale.set(
        xlabel="standard deviation of the start $\\times \\sqrt{d}$",
        title="(d) ends; " + model(data["scale"][0], "d", "lam"),
    )
    handles = [_patch(style[name], f"{short(name)} (rank {rank})") for name, rank in names.items()]
    figure.legend(
        handles=handles[::-1], loc="outside right center", title="end of descent", handlelength=1.6, handleheight=1.2
    )
    return figure


def _values(ax, table: dict, seen) -> None:
    """F over that of DNC: one line per structure, those that descent reached drawn strongly."""
    for name, column in table.items():
        if name == "lam":
            continue
        ratio = [np.nan if f is None else f / g for f, g in zip(column, table["dnc"], strict=True)]
        strong = {"lw": 1.3} if name in seen else {"lw": 0.6, "alpha": 0.6}
        ax.plot(table["lam"], ratio, color=colour(name), zorder=3 if name in ("dnc", "pairs") else 2, **strong)
    low, high = table["lam"][0], table["lam"][-1]
    lam_axis(ax, [2.0**e for e in range(-60, 10) if low <= 2.0**e * (1 + 1e-9) and 2.0**e <= high * (1 + 1e-9)])
    ax.set(xlabel="ridge weight $\\lambda$", ylabel="$F\\,/\\,F_{\\mathrm{DNC}}$", xlim=(low, high))
    drawn = np.concatenate([line.get_ydata() for line in ax.lines])
    least, most = np.nanmin(drawn), np.nanmax(drawn)
    ax.set_ylim(least - 0.15 * (most - least), most + 0.15 * (most - least))
    for name, side, place in (("dnc", 3, "bottom"), ("pairs", -3, "top")):
        at = (table["lam"][0], table[name][0] / table["dnc"][0])
        ax.annotate(short(name), at, (4, side), textcoords="offset points", color=colour(name), va=place, fontsize=7)
    middle = 0.5 * (1 + table["pairs"][0] / table["dnc"][0])
    ax.annotate(
        "block mixtures",
        (table["lam"][0], middle),
        (4, 0),
        textcoords="offset points",
        color=colour("blocks"),
        va="center",
        fontsize=7,
    )


def _bars(ax, points, ticks, names, style) -> None:
    base = np.zeros(len(points))
    for name in names:
        part = np.array([shares(p)[name] / len(p["ends"]) for p in points])
        if part.any():
            ax.bar(range(len(points)), part, 0.86, bottom=base, **style[name])
        base += part
    ax.set_xticks(range(len(points)), ticks)
    ax.set(ylim=(0, 1), ylabel="share of runs", xlim=(-0.6, len(points) - 0.4))
    ax.tick_params(axis="x", length=0)


def _patch(style: dict, label: str):
    from matplotlib.patches import Patch

    return Patch(label=label, **style)


FIGURE = PaperFigure(
    id="ufm-ends",
    title="What every end of descent costs, and which are reached: by width, ridge weight and scale of the start",
    source="gk25, Figures 2 and 5 (our version)",
    data=data,
    draw=draw,
    rows=rows,
    takes="2 minutes beyond gk25-2, whose runs it shares",
    takes_fast="12 s",
    memory=MEMORY,
)
