"""Rank of a hidden matrix against the number of classes."""

from __future__ import annotations

import numpy as np

from theory.cases import Case
from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.zang24.nets import objective_of, point_of, stationary
from ufm.numerics.ranks import numerical_rank, stable_rank

TINTS = ("#0072B2", "#E69F00", "#D55E00", "#009E73")
TOL = 1e-2


def data(work) -> dict:
    """Tanh networks of three matrices on Gaussian mixtures under MSE, n samples per class, trained by L-BFGS; every (K,
    lambda) from `starts` random starts."""
    base = {"n": 6, "inputs": 12, "d": 14} if work.fast else {"n": 15, "inputs": 24, "d": 32}
    Ks = range(2, 7) if work.fast else range(2, 13)
    lams, starts = ((1e-3, 3e-3, 1e-2), 2) if work.fast else ((3e-4, 1e-3, 3e-3, 1e-2), 5)
    cells = [
        {**base, "K": K, "L": 3, "sigma": 0.5, "lam": lam, "rng": work.rng + i, "steps": 400 if work.fast else 5000}
        for lam in lams
        for K in Ks
        for i in range(starts)
    ]
    return {**base, "Ks": list(Ks), "lams": list(lams), "runs": work.map(trained, cells, "trainings")}


def trained(cell: dict) -> dict:
    """Ranks of the middle matrix at the end of one training."""
    case = Case(
        **{key: value for key, value in cell.items() if key != "steps"}, loss="mse", activation="tanh", at="start"
    )
    objective = objective_of(case)
    params = stationary(objective, point_of(case, objective), steps=cell["steps"])
    s = np.linalg.svd(params[1], compute_uv=False)
    return {
        "K": cell["K"],
        "lam": cell["lam"],
        "rng": cell["rng"],
        "rank": numerical_rank(s, TOL),
        "stable": stable_rank(s),
        "accuracy": objective.accuracy(params),
    }


def rows(data: dict) -> list[dict]:
    return data["runs"]


def draw(data: dict):
    figure = sheet(PAGE, 2.4)
    panels = figure.subplots(1, 2)
    for ax, key, name in zip(
        panels, ("rank", "stable"), ("(a) $\\#\\{s_i > 10^{-2} |W_2|\\}$", "(b) stable rank"), strict=True
    ):
        ax.plot(data["Ks"], data["Ks"], color="0.6", lw=2.5, alpha=0.5, label="$K$")
        for lam, tint in zip(data["lams"], TINTS, strict=False):
            found = [[run[key] for run in data["runs"] if (run["K"], run["lam"]) == (K, lam)] for K in data["Ks"]]
            ax.plot(data["Ks"], [np.mean(v) for v in found], "-", color=tint, label=f"$\\lambda = {lam:g}$")
            ax.plot(
                [K for K, v in zip(data["Ks"], found, strict=True) for _ in v],
                [x for v in found for x in v],
                "o",
                color=tint,
                ms=2.5,
                mec="none",
                alpha=0.6,
            )
        ax.set(xlabel="classes $K$", ylabel="rank of $W_2$", title=name, ylim=(0, None))
        ax.set_xticks(data["Ks"])
    panels[0].legend()
    return figure


FIGURE = PaperFigure(
    id="zang24-classes",
    title="Rank of a hidden matrix against the number of classes",
    source="zang24, experiments (sweep of classes)",
    data=data,
    draw=draw,
    rows=rows,
    takes="4 minutes",
    takes_fast="8 s",
)
