"""Classes die one by one at the global minimum of imbalanced deep linear MSE as the ridge weight grows, abruptly for L
>= 2."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.related.deep_mse_modes import modes
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.starts import near
from ufm.structures.modes import binodal, mode_groups

COUNTS = (100, 30, 10, 3)
DEPTHS = (1, 2, 4)
TINTS = ("#0072B2", "#009E73", "#E69F00", "#D55E00")
"""One colour per class."""


def data(work) -> dict:
    """s_c/sqrt(n_c) at the global minimum against N Lam, by the complete list, and descents started near it."""
    curves = [{"L": L, "level": levels(L, 90 if work.fast else 400)} for L in DEPTHS]
    curves = [{**curve, "fits": [fits(curve["L"], x) for x in curve["level"]]} for curve in curves]
    cells = [
        {"L": L, "level": float(x), "rng": work.rng}
        for L in DEPTHS
        for x in np.geomspace(0.3, 14.0, 4 if work.fast else 12)
    ]
    deaths = [{"L": L, "level": [binodal(np.sqrt(n), L + 1) for n in COUNTS]} for L in DEPTHS]
    return {
        "counts": list(COUNTS),
        "curves": curves,
        "deaths": deaths,
        "descents": work.map(descent, cells, "descents"),
    }


def levels(L: int, count: int) -> list[float]:
    """Values of N Lam, each death from just below among them."""
    deaths = [binodal(np.sqrt(n), L + 1) * (1 - 1e-6) for n in COUNTS]
    return np.sort(np.concatenate([np.geomspace(0.2, 130.0, count), deaths])).tolist()


def problem_at(L: int, level: float) -> Problem:
    """N Lam = level."""
    return Problem(K=len(COUNTS), n=COUNTS, L=L, lam=level / sum(COUNTS), loss="mse")


def fits(L: int, level: float) -> list[float]:
    """s_c/sqrt(n_c) at the global minimum: the largest root where that costs less than zero."""
    found = []
    for group in mode_groups(problem_at(L, level)):
        t = group.roots[-1] / group.y if group.roots else 0.0
        found.append(t if t * (2 - t - (L + 1) * (1 - t)) > 0 else 0.0)
    return found


def descent(cell: dict) -> dict:
    """The fits at the lower end of two descents: from near the labels themselves, and from near the predicted
    minimum."""
    problem = problem_at(cell["L"], cell["level"])
    labels = LogitPoint(problem, np.eye(problem.K), np.sqrt(problem.counts), np.eye(problem.K))
    wanted = np.array(fits(cell["L"], cell["level"])) * modes(problem)[1]
    alive = wanted > 0
    target = LogitPoint(problem, np.eye(problem.K)[:, alive], wanted[alive], np.eye(problem.K)[:, alive])
    runs = [minimize(problem, start=near(p, 1e-2), rng=cell["rng"]) for p in (labels, target)]
    best = min(runs, key=lambda run: run.fun)
    Z = best.logit_point().matrix()
    return {**cell, "fits": (np.diag(Z) / np.sqrt(problem.counts)).tolist(), "fun": best.fun}


def rows(data: dict) -> list[dict]:
    names = [f"n={n}" for n in data["counts"]]
    found = []
    for c in data["curves"]:
        found += [
            {"kind": "global minimum", "L": c["L"], "level": x, **dict(zip(names, f, strict=True))}
            for x, f in zip(c["level"], c["fits"], strict=True)
        ]
    found += [{"kind": "death", "L": c["L"], **dict(zip(names, c["level"], strict=True))} for c in data["deaths"]]
    return found + [
        {"kind": "descent", "L": c["L"], "level": c["level"], **dict(zip(names, c["fits"], strict=True))}
        for c in data["descents"]
    ]


def draw(data: dict):
    figure = sheet(PAGE, 2.4)
    panels = figure.subplots(1, len(data["curves"]), sharey=True)
    for ax, curve, deaths in zip(panels, data["curves"], data["deaths"], strict=True):
        values = np.array(curve["fits"])
        for c, n in enumerate(data["counts"]):
            alive = values[:, c] > 0
            ax.plot(np.array(curve["level"])[alive], values[alive, c], color=TINTS[c], label=f"$n_c = {n}$")
            ax.axvline(deaths["level"][c], color=TINTS[c], lw=0.5, ls=":")
        for point in data["descents"]:
            if point["L"] == curve["L"]:
                for c, t in enumerate(point["fits"]):
                    ax.plot(point["level"], t, "o", mfc="white", mec=TINTS[c], ms=3.2, mew=0.8, clip_on=False, zorder=4)
        ax.set(xscale="log", xlim=(0.2, 130), ylim=(0, 1.0), xlabel="$N\\Lambda$", title=f"$L = {curve['L']}$")
    panels[0].set_ylabel("fit $z_{cc}$ of class $c$ at the minimum")
    panels[0].legend(loc="upper right", handlelength=1.0, borderaxespad=0.2)
    return figure


FIGURE = PaperFigure(
    id="ufm-death",
    title="Class by class death at the global minimum of imbalanced deep linear MSE",
    source="dang23",
    data=data,
    draw=draw,
    rows=rows,
    takes="30 s",
    takes_fast="10 s",
)
