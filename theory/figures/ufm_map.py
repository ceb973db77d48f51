"""Where collapse loses, and to what: the lowest point found for every number of classes and depth, at several ridge
weights."""

from __future__ import annotations

from dataclasses import replace

from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm import structures
from ufm.critical.identify import identify
from ufm.numerics import balls
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.plot.style import colour
from ufm.problem import Problem
from ufm.solvers.multistart import multistart

SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, are one point."""
FAMILIES = {
    "dnc": "DNC",
    "pairs": "pairs",
    "pairs+apex": "pairs and an apex",
    "blocks": "other blocks",
    "code": "named code",
    "circle": "circle",
    "petersen": "Petersen",
    "unnamed": "without a name",
    "zero": "zero",
}


def data(work) -> dict:
    """One cell per (K, L, lam), n = 1: the structures in closed form and the best of random starts."""
    Ks, Ls = (range(2, 9), range(1, 6)) if work.fast else (range(2, 17), range(1, 9))
    lams, starts = ((1e-3, 5e-2), 4) if work.fast else ((1e-4, 1e-3, 1e-2, 5e-2), 40)
    cells = [{"K": K, "L": L, "lam": lam, "starts": starts, "rng": work.rng} for lam in lams for K in Ks for L in Ls]
    return {
        "Ks": list(Ks),
        "Ls": list(Ls),
        "lams": list(lams),
        "starts": starts,
        "balls": balls.available(),
        "cells": work.map(winner, cells),
    }


def winner(cell: dict) -> dict:
    """The lowest point found, the margin below collapse (above which value the runner-up lies, where collapse wins),
    and whether that order is proved."""
    problem = Problem(K=cell["K"], L=cell["L"], lam=cell["lam"])
    points = dict(_critical(structures.existing(problem)[0]))
    run = multistart(
        problem, cell["starts"], {"entropy": cell["rng"], "spawn_key": [cell["K"], cell["L"]]}, progress=False
    ).best
    known = min(fun for fun, _ in points.values())
    if run.success and run.fun < known - SAME * (1 + abs(known)):
        point = run.logit_point()
        name = identify(point).name
        points[name if name not in points else f"{name}#2"] = (run.fun, replace(point, name=name))
    (best, (fun, point)), *rest = sorted(points.items(), key=lambda item: item[1][0])
    above = [name for name, (other, _) in rest if other > fun + SAME * (1 + abs(fun))]
    against = "dnc" if "dnc" in above else above[0] if above and best == "dnc" else None
    margin = None if against is None else points[against][0] - fun
    proved = against is not None and balls.available() and _proved(problem, best, against, points)
    dnc = points["dnc"][0] if "dnc" in points else None
    return {
        **cell,
        "winner": best,
        "rank": point.rank,
        "fun": fun,
        "dnc": dnc,
        "against": against,
        "margin": margin,
        "proved": proved,
    }


def _critical(points: dict):
    """(name, (F, point)) of those that are critical, barrier roots left out."""
    for name, point in points.items():
        stratum = Stratum(point)
        if "small" not in name and stratum.grad_norm <= critical_below(stratum.ridge_norm):
            yield name, (stratum.fun, point)


def _proved(problem: Problem, best: str, against: str, points: dict) -> bool:
    from ufm.certificates.orders import order

    catalogue = structures.catalogue(problem)
    sides = [name if name in catalogue else points[name][1] for name in (best, against)]
    return bool(order(*sides, problem).holds)


def family(name: str) -> str:
    """The colour's owner: `blocks`, `code`, ... of a name."""
    base = name.split("#")[0].split("(")[0]
    return base if base in FAMILIES else "code" if name.startswith("code") else "unnamed"


def rows(data: dict) -> list[dict]:
    return [{"family": family(c["winner"]), **{k: v for k, v in c.items() if k != "rng"}} for c in data["cells"]]


def draw(data: dict):
    """Colours say which structure is lowest, numbers its rank, a dot that no proof stands behind the order, a bar that
    DNC does not exist."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Rectangle

    Ks, Ls, lams = data["Ks"], data["Ls"], data["lams"]
    across = 2
    down = -(-len(lams) // across)
    cell_size = 2.75 / len(Ks)
    figure = sheet(PAGE, down * (cell_size * len(Ls) + 0.5) + 0.1)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for letter, ax, lam in zip("abcdef", panels, lams, strict=False):
        for c in (c for c in data["cells"] if c["lam"] == lam):
            tint = colour(family(c["winner"]))
            ax.add_patch(Rectangle((c["K"] - 0.5, c["L"] - 0.5), 1, 1, facecolor=tint, edgecolor="white", lw=0.6))
            ink = _ink(tint)
            ax.text(
                c["K"], c["L"], c["rank"], ha="center", va="center", color=ink, fontsize=6.5 if cell_size > 0.2 else 5
            )
            if c["against"] is not None and not c["proved"]:
                ax.plot(c["K"] + 0.36, c["L"] + 0.36, ".", color=ink, ms=1.6)
            if c["dnc"] is None:
                ax.plot([c["K"] - 0.3, c["K"] + 0.3], [c["L"] - 0.38] * 2, color=ink, lw=0.7)
        ax.set(
            xlim=(Ks[0] - 0.5, Ks[-1] + 0.5),
            ylim=(Ls[0] - 0.5, Ls[-1] + 0.5),
            title=f"({letter}) $\\lambda = {_ten(lam)}$",
        )
        ax.set_xticks(Ks)
        ax.set_yticks(Ls)
        ax.set_aspect("equal")
        ax.tick_params(length=0, labelsize=6.5)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("classes $K$", labelpad=2)
        ax.set_ylabel("depth $L$", labelpad=2)
    for ax in panels[len(lams) :]:
        ax.set_axis_off()
    seen = {family(c["winner"]) for c in data["cells"]}
    handles = [Patch(color=colour(name), label=text) for name, text in FAMILIES.items() if name in seen]
    if any(c["dnc"] is None for c in data["cells"]):
        handles.append(Line2D([], [], color="0.2", lw=0.8, label="DNC does not exist"))
    if any(c["against"] is not None and not c["proved"] for c in data["cells"]):
        handles.append(Line2D([], [], color="0.2", marker=".", ms=3, ls="none", label="not proved"))
    proved = "\norders against DNC\nproved" if any(c["proved"] for c in data["cells"]) else ""
    title = f"lowest point found\n(number: its rank){proved}"
    figure.legend(
        handles=handles, loc="outside right center", title=title, title_fontsize=7, handlelength=1.2, handleheight=1.1
    )
    return figure


def _ink(tint: str) -> str:
    from matplotlib.colors import to_rgb

    r, g, b = to_rgb(tint)
    return "white" if 0.3 * r + 0.59 * g + 0.11 * b < 0.6 else "black"


def _ten(value: float) -> str:
    """1e-3 as 10^{-3}, 5e-2 as 5 x 10^{-2}."""
    digits, exponent = f"{value:e}".split("e")
    lead = f"{float(digits):g}"
    return (f"{lead} \\times " if lead != "1" else "") + f"10^{{{int(exponent)}}}"


FIGURE = PaperFigure(
    id="ufm-map",
    title="Where DNC loses and to what: the lowest point found over K and L at several ridge weights",
    source="gk25, Theorem 1 (beyond it)",
    data=data,
    draw=draw,
    rows=rows,
    takes="6 minutes on two cores",
    takes_fast="8 s",
)
