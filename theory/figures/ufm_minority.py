"""Minority collapse: the angle between minority classifiers against the imbalance ratio, with the ratio at which they
become one."""

from __future__ import annotations

import math

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, sheet
from ufm.numerics.seeds import child, seed_sequence
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures.sel import merging_thresholds, step_cosines, vanishing_threshold

KA, KB, N_MIN = 3, 3, 10
"""Majority classes, minority classes, and samples of each minority class."""
LAMS = (2e-2, 5e-3, 1e-3)
TINTS = ("#0072B2", "#D55E00", "#009E73")
MARKS = {
    0: ("X", "zero"),
    KA - 1: ("D", "minorities undecided"),
    KA: ("s", "minorities merged"),
    KA + KB - 1: ("o", "all apart"),
}
"""Marker and words for a rank; others are drawn as dots."""


def data(work) -> dict:
    """(a) cosines against R for three lam, descents; (b) the rank of the minimum over (R, lam) and the two
    thresholds."""
    low, high = 0.0, 3.0
    Rs = sorted({round(N_MIN * 10**u) for u in np.linspace(low, high, 10 if work.fast else 40)})
    cells = [{"R": m / N_MIN, "lam": lam, "rng": work.rng} for lam in LAMS for m in Rs]
    map_R = sorted({round(N_MIN * 10**u) for u in np.linspace(low, high, 6 if work.fast else 14)})
    cells += [
        {"R": m / N_MIN, "lam": float(lam), "rng": work.rng, "map": True}
        for lam in np.geomspace(2e-4, 1e-1, 6 if work.fast else 14)
        for m in map_R
    ]
    grid = sorted({round(N_MIN * 10**u) for u in np.linspace(low, high, 60)})
    lines = [
        {"R": m / N_MIN, **thresholds(m / N_MIN), "limit": step_cosines(KA + KB, m / N_MIN, KA)["minority"]}
        for m in grid
    ]
    return {
        "points": work.map(descended, cells, "descents"),
        "lines": lines,
        "exact": [{"lam": lam, "R": merging_ratio(lam)} for lam in LAMS],
    }


def problem_of(R: float, lam: float) -> Problem:
    """KA classes of R N_MIN samples, KB of N_MIN."""
    return Problem(K=KA + KB, n=(round(R * N_MIN),) * KA + (N_MIN,) * KB, L=1, lam=lam)


def thresholds(R: float) -> dict:
    """lam at which the minorities merge, and at which everything is zero."""
    problem = problem_of(R, 1.0)
    return {"merge": merging_thresholds(problem)[N_MIN], "vanish": vanishing_threshold(problem)}


def merging_ratio(lam: float) -> float:
    """R with lam = sqrt(n)/N, N = n (KA R + KB)."""
    return (1 / (lam * math.sqrt(N_MIN)) - KB) / KA


def descended(cell: dict) -> dict:
    """Rank and mean cosines of the classifiers where a descent ends; 1 where they are equal, NaN becomes None at
    zero."""
    problem = problem_of(cell["R"], cell["lam"])
    point = minimize(
        problem, rng=child(seed_sequence(cell["rng"]), round(cell["R"] * N_MIN)), tol=1e-12, progress=False
    ).logit_point()
    s = point.s[point.s > 1e-7 * np.max(point.s, initial=1e-7)]
    found = {**cell, "rank": len(s)}
    return found | ({} if cell.get("map") else classifier_cosines(point, KA))


def classifier_cosines(point: LogitPoint, majority: int) -> dict:
    """Mean cosines between the rows of W_1, W W' = U s U', within and across the first `majority` and the other
    classes; None where a row is zero."""
    G = (point.U * point.s) @ point.U.T
    size = np.sqrt(np.diag(G))
    if np.min(size, initial=np.inf) < 1e-6:
        return {"minority": None, "majority": None, "mixed": None}
    C, K = G / np.outer(size, size), len(G)
    pairs = {
        "majority": [(i, j) for i in range(majority) for j in range(i)],
        "minority": [(i, j) for i in range(majority, K) for j in range(majority, i)],
    }
    pairs["mixed"] = [(i, j) for i in range(majority, K) for j in range(majority)]
    return {name: float(np.mean([C[i, j] for i, j in at])) if at else None for name, at in pairs.items()}


def rows(data: dict) -> list[dict]:
    found = [
        {"kind": "map" if p.get("map") else "descent", **{k: v for k, v in p.items() if k != "map"}}
        for p in data["points"]
    ]
    return (
        found
        + [{"kind": "threshold", **line} for line in data["lines"]]
        + [{"kind": "merging ratio", **line} for line in data["exact"]]
    )


def draw(data: dict):
    figure = sheet(PAGE, 2.6)
    left, right = figure.subplots(1, 2)
    for lam, tint, exact in zip(LAMS, TINTS, data["exact"], strict=True):
        seen = [p for p in data["points"] if not p.get("map") and p["lam"] == lam and p["minority"] is not None]
        left.plot(
            [p["R"] for p in seen],
            [p["minority"] for p in seen],
            "-o",
            color=tint,
            mfc="white",
            ms=2.8,
            lw=0.8,
            label=f"$\\lambda = {lam:g}$",
        )
        if exact["R"] > 1:
            left.axvline(exact["R"], color=tint, lw=0.7, ls=":")
    R = [line["R"] for line in data["lines"]]
    left.plot(
        R, [line["limit"] for line in data["lines"]], color="0.3", ls="--", lw=0.8, label="$\\lambda \\to 0$ (SEL)"
    )
    left.set(
        xscale="log", xlabel="imbalance ratio $R$", ylabel="cosine of two minority classifiers", ylim=(-0.45, 1.05)
    )
    left.set_title(f"(a) ${KA}$ classes of ${N_MIN}R$, ${KB}$ of ${N_MIN}$; dotted: exact $R$")
    left.legend(loc="lower right")
    right.plot(R, [line["merge"] for line in data["lines"]], color="#D55E00", label="$\\sqrt{n}\\,/N$")
    right.plot(
        R,
        [line["vanish"] for line in data["lines"]],
        color="0.3",
        label="$\\Vert S\\,\\mathrm{diag}\\sqrt{n}\\,\\Vert/N$",
    )
    for rank in sorted({p["rank"] for p in data["points"] if p.get("map")}):
        mark, words = MARKS.get(rank, (".", f"rank {rank}"))
        seen = [p for p in data["points"] if p.get("map") and p["rank"] == rank]
        right.plot(
            [p["R"] for p in seen],
            [p["lam"] for p in seen],
            mark,
            mfc="white",
            mec="#0072B2" if rank else "0.5",
            mew=0.8,
            ms=4,
            label=words,
        )
    right.set(
        xscale="log",
        yscale="log",
        xlabel="imbalance ratio $R$",
        ylabel="$\\lambda$",
        ylim=(1.5e-4, 4),
        title="(b) the minimum's rank and its thresholds",
    )
    right.legend(loc="upper right", ncols=2)
    return figure


FIGURE = PaperFigure(
    id="ufm-minority",
    title="Minority collapse: when the classifiers of small classes become one",
    source="hong23, minority collapse",
    data=data,
    draw=draw,
    rows=rows,
    takes="30 s",
    takes_fast="8 s",
)
