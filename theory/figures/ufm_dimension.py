"""Theorem 5 corrected: how much larger the set of factors of collapse is than that of a structure of rank r, against
the width."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm import structures
from ufm.objectives.factors import FactorObjective
from ufm.plot.style import colour
from ufm.problem import Problem


def frames(rank: int, d: int) -> float:
    """r d - r(r+1)/2: orthonormal r-frames in R^d, for every hidden layer."""
    return rank * d - rank * (rank + 1) / 2


def subspaces(rank: int, d: int) -> float:
    """r (d - r): the published count where singular values coincide."""
    return rank * (d - rank)


def published(K: int, rank: int, d: int) -> tuple[float, float]:
    """The least and largest ratio that the published range of counts allows: subspaces at collapse, subspaces to frames
    at rank r."""
    ratios = [subspaces(K - 1, d) / count for count in (frames(rank, d), subspaces(rank, d)) if count > 0]
    return min(ratios), max(ratios)


def data(work) -> dict:
    """Curves over d for K = 10 and four ranks, published range beside; and the ratio of Hessian nullities where both
    are computed."""
    K, L, n = 10, 2, 1
    widths = sorted({int(d) for d in np.geomspace(K, 200, 20 if work.fast else 60).round()})
    curves = [
        {"K": K, "rank": r, "d": widths, "ratio": [frames(K - 1, d) / frames(r, d) for d in widths]} for r in (2, 5, 8)
    ]
    for curve in curves:
        curve["published_low"], curve["published_high"] = map(
            list, zip(*(published(K, curve["rank"], d) for d in widths), strict=True)
        )
    cells = [
        {"K": K, "n": n, "L": L, "d": d, "lam": 2.0**-8} for d in ((10, 12, 15) if work.fast else (10, 12, 15, 20, 28))
    ]
    return {"K": K, "L": L, "curves": curves, "measured": work.map(nullities, cells, "Hessians")}


def nullities(cell: dict) -> dict:
    """Numbers of zero eigenvalues of the dense Hessian in all parameters at collapse, and at structures of rank 5 and
    8."""
    problem = Problem(**cell)
    objective = FactorObjective(problem)
    found = {}
    for point in (structures.dnc(problem), structures.pairs(problem), structures.blocks(problem, (8, 2))):
        values = np.linalg.eigvalsh(objective.hessian(objective.lift(point)))
        found[str(point.rank)] = int(np.sum(np.abs(values) <= 1e-6 * problem.Lam))
    return {"d": cell["d"], "nullity": found}


def rows(data: dict) -> list[dict]:
    found = [
        {
            "kind": "count",
            "K": c["K"],
            "rank": c["rank"],
            "d": d,
            "ratio": ratio,
            "published_low": low,
            "published_high": high,
        }
        for c in data["curves"]
        for d, ratio, low, high in zip(c["d"], c["ratio"], c["published_low"], c["published_high"], strict=True)
    ]
    for m in data["measured"]:
        top = m["nullity"][str(data["K"] - 1)]
        found += [
            {"kind": "Hessian", "K": data["K"], "rank": int(r), "d": m["d"], "ratio": top / v}
            for r, v in m["nullity"].items()
            if int(r) < data["K"] - 1
        ]
    return found


def draw(data: dict):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = sheet(PAGE, 2.4)
    panels = figure.subplots(1, len(data["curves"]))
    tints = {2: colour("circle"), 5: colour("pairs"), 8: colour("blocks")}
    measured = [row for row in rows(data) if row["kind"] == "Hessian"]
    for letter, ax, curve in zip("abc", panels, data["curves"], strict=True):
        tint, K, r = tints[curve["rank"]], curve["K"], curve["rank"]
        limit = (K - 1) / r
        ax.axhline(1, color="0.35", lw=0.7)
        ax.axhline(limit, color=tint, lw=0.7, ls=":")
        ax.fill_between(curve["d"], curve["published_low"], curve["published_high"], color="0.85", lw=0)
        ax.plot(curve["d"], curve["ratio"], color=tint)
        seen = [row for row in measured if row["rank"] == r]
        if seen:
            ax.plot(
                [row["d"] for row in seen],
                [row["ratio"] for row in seen],
                "o",
                mfc="white",
                mec=tint,
                mew=0.9,
                ls="none",
                zorder=4,
                clip_on=False,
            )
        ax.set(
            xscale="log",
            xlabel="width $d$",
            xlim=(K, curve["d"][-1]),
            ylim=(0, 1.12 * limit),
            title=f"({letter}) $K = {K}$, rank {r}",
        )
        ax.set_xticks([10, 20, 50, 100, 200], [10, 20, 50, 100, 200])
        ax.annotate(
            f"$(K-1)/{r}$",
            (1.0, limit),
            (-1, 2),
            ("axes fraction", "data"),
            "offset points",
            ha="right",
            va="bottom",
            color=tint,
            fontsize=7,
        )
        ax.minorticks_off()
    panels[0].set_ylabel("dimension at DNC / at rank $r$")
    handles = [Patch(color="0.85", label="published range"), Line2D([], [], color="0.3", label="corrected")]
    handles.append(Line2D([], [], marker="o", mfc="white", mec="0.3", ls="none", label="dense Hessians"))
    panels[1].legend(handles=handles, loc="lower right")
    return figure


FIGURE = PaperFigure(
    id="ufm-dimension",
    title="Dimension of the factors of DNC over that of rank r, corrected and as published",
    source="gk25, Theorem 5 (corrected)",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 s",
    takes_fast="3 s",
)
