"""The scalar law of deep linear MSE: how far a singular mode is fitted against N Lam, and what it gains, for several
depths."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures.modes import binodal, mse_families, spinodal

TINTS = {1: "#000000", 2: "#0072B2", 3: "#D55E00", 5: "#009E73", 11: "#CC79A7"}
"""One of Okabe and Ito's colours for every L."""
DEPTHS = (1, 2, 3, 5, 11)
CELL = {"K": 2, "n": 2, "d": 3}
"""The problem on which descents are run."""


def data(work) -> dict:
    """Branches t -> N Lam/y^(2-2/D) in closed form, their thresholds, and ends of descents from random starts of
    growing size."""
    found = 4 if work.fast else 14
    shares = {L: [float(x) for x in np.linspace(0.15, 1.1, found)] for L in (1, 2, 3)}
    cells = [{"L": L, "share": share, "rng": work.rng} for L in shares for share in shares[L]]
    return {"branches": [branch(L) for L in DEPTHS], "ends": work.map(ends, cells, "descents")}


def branch(L: int) -> dict:
    """t, level = N Lam/y^(2-2/D) = (1 - t) t^(1-2/D), gain = N F/(y^2/2) - 1 on the roots, and the two thresholds."""
    D = L + 1
    t = np.concatenate([np.geomspace(1e-4, 0.02, 60)[:-1], np.linspace(0.02, 1.0, 240)])
    level = (1 - t) * t ** (1 - 2 / D)
    return {
        "L": L,
        "t": t.tolist(),
        "level": level.tolist(),
        "gain": ((1 - t) ** 2 + D * t * (1 - t) - 1).tolist(),
        "spinodal": [spinodal(1.0, D), (D - 2) / (2 * D - 2)],
        "binodal": [binodal(1.0, D), (D - 2) / (D - 1)],
    }


def ends(cell: dict) -> dict:
    """s/y at the ends of descents at N Lam = share of the spinodal, with how far the nearest listed value of F is."""
    y, D = np.sqrt(CELL["n"]), cell["L"] + 1
    level = cell["share"] * spinodal(1.0, D)
    problem = Problem(**CELL, L=cell["L"], lam=level * y ** (2 - 2 / D) / (CELL["K"] * CELL["n"]), loss="mse")
    values, found = np.array([f.fun for f in mse_families(problem)]), []
    for i in range(3):
        run = minimize(problem, rng=10 * cell["rng"] + i)
        s = run.logit_point().s
        found.append({"t": float(s[0] / y) if len(s) else 0.0, "off": float(np.min(np.abs(values - run.fun)))})
    return {**cell, "level": level, "runs": found}


def rows(data: dict) -> list[dict]:
    found = []
    for b in data["branches"]:
        found += [
            {"kind": "branch", "L": b["L"], "t": t, "level": x, "gain": g}
            for t, x, g in zip(b["t"], b["level"], b["gain"], strict=True)
        ]
        found += [{"kind": name, "L": b["L"], "t": b[name][1], "level": b[name][0]} for name in ("spinodal", "binodal")]
    return found + [
        {"kind": "descent", "L": c["L"], "level": c["level"], "share": c["share"], **run}
        for c in data["ends"]
        for run in c["runs"]
    ]


def draw(data: dict):
    figure = sheet(PAGE, 2.7)
    left, right = figure.subplots(1, 2)
    for b in data["branches"]:
        tint, t, level, gain = TINTS[b["L"]], *(np.array(b[k]) for k in ("t", "level", "gain"))
        large = t >= b["spinodal"][1]
        for ax, y in ((left, t), (right, gain)):
            ax.plot(level[large], y[large], color=tint, label=f"$L = {b['L']}$")
            ax.plot(level[~large], y[~large], color=tint, ls="--", lw=0.7)
        if b["L"] > 1:
            left.plot(*b["spinodal"], "o", color=tint, ms=4)
            left.plot(*b["binodal"], "s", mfc="white", mec=tint, ms=3.6)
            right.plot(b["binodal"][0], 0.0, "s", mfc="white", mec=tint, ms=3.6, zorder=4)
    for c in data["ends"]:
        for run in c["runs"]:
            left.plot(c["level"], run["t"], "x", color=TINTS[c["L"]], ms=3.5, mew=0.8, clip_on=False)
    left.plot([], [], "o", color="0.3", ms=4, label="spinodal")
    left.plot([], [], "s", mfc="white", mec="0.3", ms=3.6, label="binodal")
    left.plot([], [], "x", color="0.3", ms=3.5, label="ends of descents")
    left.set(xlim=(0, 1.15), ylim=(0, 1.02), ylabel="$s/y$", title="(a) positive roots of the scalar law")
    left.legend(loc="upper right", ncols=1, handlelength=1.4)
    right.axhline(0.0, color="0.6", lw=0.6)
    right.set(
        xlim=(0, 1.15),
        ylim=(-1.05, 1.55),
        ylabel="$2N(F - F(0))/y^2$",
        title="(b) value on a root: lower than zero below the binodal",
    )
    for ax in (left, right):
        ax.set_xlabel("$N\\Lambda\\,/\\,y^{2-2/D}$")
    return figure


FIGURE = PaperFigure(
    id="ufm-bifurcation",
    title="Roots of the scalar law of deep linear MSE against the ridge weight, with spinodal and binodal",
    source="dang23",
    data=data,
    draw=draw,
    rows=rows,
    takes="20 s",
    takes_fast="5 s",
)
