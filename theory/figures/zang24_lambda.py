"""Rank of trained weight matrices against lambda, and what the distance bounds say about it."""

from __future__ import annotations

import numpy as np

from theory.cases import Case
from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.zang24.bounds import layer_bounds
from theory.zang24.nets import objective_of, point_of, stationary
from ufm.numerics.ranks import numerical_rank, stable_rank

TINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
LINES = {
    "dist": ("-", "dist$_K$ to rank $K$"),
    "exact": ("--", "exact bound"),
    "second": ("-.", "$\\sqrt{\\mathrm{TCV}(\\delta)\\, \\mathrm{TCV}(z)}$ bound"),
    "first": (":", "rms$(\\delta) \\sqrt{\\mathrm{TCV}(z)}$ bound"),
}
TOL = 1e-2
GONE = 1e-3
"""A matrix of at most this norm has been removed by the decay, and is drawn with rank 0."""


def data(work) -> dict:
    """A tanh network of four matrices on a Gaussian mixture under MSE, trained by L-BFGS from one random start for
    every lambda."""
    base = {"K": 4, "n": 8, "inputs": 12, "d": 16} if work.fast else {"K": 6, "n": 20, "inputs": 24, "d": 32}
    lams = np.geomspace(1e-4, 0.1, 7 if work.fast else 16)
    cells = [
        {**base, "L": 4, "sigma": 1.0, "lam": float(lam), "rng": work.rng, "steps": 600 if work.fast else 6000}
        for lam in lams
    ]
    return {**base, "L": 4, "sigma": 1.0, "runs": work.map(trained, cells, "trainings")}


def trained(cell: dict) -> dict:
    """Ranks of every matrix, its distance from rank K and the bounds, at the end of one training."""
    case = Case(
        **{key: value for key, value in cell.items() if key != "steps"}, loss="mse", activation="tanh", at="start"
    )
    objective = objective_of(case)
    params = stationary(objective, point_of(case, objective), steps=cell["steps"])
    layers = []
    for row, W in zip(layer_bounds(objective, params), params, strict=True):
        s = np.linalg.svd(W, compute_uv=False) * (row.norm > GONE)
        layers.append(
            {
                "layer": row.layer,
                "rank": numerical_rank(s, TOL),
                "stable": stable_rank(s),
                "norm": row.norm,
                "grad": row.grad,
            }
            | {name: getattr(row, name) for name in LINES}
        )
    return {"lam": cell["lam"], "accuracy": objective.accuracy(params), "layers": layers}


def rows(data: dict) -> list[dict]:
    return [
        {"lam": run["lam"], "accuracy": run["accuracy"], **layer} for run in data["runs"] for layer in run["layers"]
    ]


def draw(data: dict):
    figure = sheet(PAGE, 2.5)
    left, right = figure.subplots(1, 2)
    K, L, lams = data["K"], data["L"], [run["lam"] for run in data["runs"]]
    for l, tint in zip(range(L - 1), TINTS, strict=False):
        left.plot(
            lams,
            [run["layers"][l]["rank"] for run in data["runs"]],
            "o-",
            color=tint,
            label=f"$W_{l + 1}$, $s_i > 10^{{-2}} |W|$",
        )
        left.plot(
            lams,
            [run["layers"][l]["stable"] for run in data["runs"]],
            ":",
            color=tint,
            label="stable rank" if l == 0 else None,
        )
    left.axhline(K, color="0.5", lw=0.7)
    left.annotate("$K$", (lams[-1], K), (2, 2), textcoords="offset points", color="0.4")
    left.set(
        xscale="log",
        xlabel="$\\lambda$",
        ylabel="rank",
        ylim=(0, None),
        title=f"(a) tanh, MSE, $L = {L}$, $K = {K}$, width {data['d']}",
    )
    left.legend()
    layer = 1  # the second matrix: hidden on both sides
    found = [run["layers"][layer] for run in data["runs"] if run["layers"][layer]["norm"] > GONE]
    shown = [run["lam"] for run in data["runs"] if run["layers"][layer]["norm"] > GONE]
    for (name, (style, label)), tint in zip(LINES.items(), ("black", *TINTS), strict=False):
        right.plot(
            shown,
            [row[name] / row["norm"] for row in found],
            style,
            color=tint,
            label=label,
            marker="o" if name == "dist" else None,
        )
    low = min(max(row["dist"] / row["norm"], 1e-12) for row in found)
    top = 30 * max(row["first"] / row["norm"] for row in found)
    right.axhspan(1, top, color="0.93", lw=0, zorder=0)
    right.annotate(
        "says nothing",
        (0.98, top),
        (0, -2),
        ("axes fraction", "data"),
        "offset points",
        color="0.4",
        fontsize=7,
        ha="right",
        va="top",
    )
    right.set(
        xscale="log",
        yscale="log",
        xlabel="$\\lambda$",
        ylabel="share of $|W_2|$",
        ylim=(0.3 * low, top),
        title="(b) $W_2$: distance from rank $K$ and its bounds",
    )
    right.legend(loc="lower left")
    return figure


FIGURE = PaperFigure(
    id="zang24-lambda",
    title="Rank falls as lambda grows, and the bounds that say so",
    source="zang24, experiments (sweep of lambda)",
    data=data,
    draw=draw,
    rows=rows,
    takes="2 minutes",
    takes_fast="8 s",
)
