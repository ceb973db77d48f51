"""Every critical point of one deep linear MSE problem in the plane of value and index, joined where one mode changes
its root."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.related.deep_mse_modes import labelled_points
from theory.related.deep_tools import dense_inertia
from ufm.problem import Problem
from ufm.structures.modes import spinodal

PROBLEMS = (
    {"K": 3, "n": [6, 3, 2], "d": 4, "L": 2, "share": 0.75},
    {"K": 4, "n": [8, 5, 3, 2], "d": 2, "L": 3, "share": 0.75},
)
"""One without a bottleneck and one of width 2; `share` is N Lam over the spinodal of the rarest class."""
TINTS = ("#7f7f7f", "#56B4E9", "#0072B2", "#D55E00", "#882255")
"""One colour per rank."""


def data(work) -> dict:
    """Value, rank, index, nullity of every choice of roots, the dense Hessian's index, and the edges between
    neighbouring choices."""
    return {"panels": work.map(panel, [dict(problem) for problem in PROBLEMS], "critical points")}


def panel(cell: dict) -> dict:
    """All labelled critical points of one problem."""
    n, D = tuple(cell["n"]), cell["L"] + 1
    lam = cell["share"] * spinodal(np.sqrt(min(n)), D) / sum(n)
    found = labelled_points(Problem(K=cell["K"], n=n, d=cell["d"], L=cell["L"], lam=lam, loss="mse"))
    points = []
    for p in found:
        index, nullity = p.signature()
        states = "".join("s" if small else "L" if s else "0" for s, small in zip(p.s, p.small, strict=True))
        measured = dense_inertia(p.point(), 0, 1e-10)[0]
        points.append(
            {
                "states": states,
                "fun": p.fun(),
                "rank": p.rank,
                "index": index,
                "nullity": nullity,
                "dense_index": measured,
            }
        )
    states = [p["states"] for p in points]
    edges = [[i, j] for i, a in enumerate(states) for j, b in enumerate(states) if i < j and neighbours(a, b)]
    return {**cell, "lam": lam, "points": points, "edges": edges}


def neighbours(a: str, b: str) -> bool:
    """One mode differs, by zero or large against small."""
    changed = [{x, y} for x, y in zip(a, b, strict=True) if x != y]
    return len(changed) == 1 and "s" in changed[0]


def rows(data: dict) -> list[dict]:
    return [
        {"K": p["K"], "d": p["d"], "L": p["L"], "lam": p["lam"], **point}
        for p in data["panels"]
        for point in p["points"]
    ]


def draw(data: dict):
    figure = sheet(PAGE, 3.1)
    for letter, ax, p in zip("ab", figure.subplots(1, 2), data["panels"], strict=True):
        x, y = np.array([q["fun"] for q in p["points"]]), np.array([q["index"] for q in p["points"]])
        for i, j in p["edges"]:
            ax.plot(x[[i, j]], y[[i, j]], color="0.85", lw=0.5, zorder=1)
        for rank in sorted({q["rank"] for q in p["points"]}):
            mine = np.array([q["rank"] == rank for q in p["points"]])
            ax.plot(x[mine], y[mine], "o", color=TINTS[rank], ms=4, zorder=3, label=f"rank {rank}", ls="none")
        wrong = [i for i, q in enumerate(p["points"]) if q["index"] != q["dense_index"]]
        ax.plot(x[wrong], y[wrong], "x", color="red", ms=8, zorder=4)
        last, low = -np.inf, False
        for i in sorted(np.flatnonzero(y == 0), key=lambda i: x[i]):
            low = x[i] - last < 0.09 * (x.max() - x.min()) and not low
            ax.annotate(
                p["points"][i]["states"],
                (x[i], 0),
                (0, -14 if low else -5),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=6,
            )
            last = x[i]
        counts = ", ".join(map(str, p["n"]))
        title = f"({letter}) $n = ({counts})$, $d = {p['d']}$, $L = {p['L']}$: {len(x)} critical values"
        ax.set(xlabel="$F$", ylim=(-1.1, max(y) + 0.5), title=title)
        ax.set_yticks(range(0, int(max(y)) + 1, 1 if max(y) < 8 else 2))
        ax.legend(loc="upper left", handletextpad=0.2)
    figure.axes[0].set_ylabel("negative eigenvalues of the Hessian")
    return figure


FIGURE = PaperFigure(
    id="ufm-morse",
    title="The complete critical set of deep linear MSE: value against index",
    source="dang23",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 s",
    takes_fast="5 s",
)
