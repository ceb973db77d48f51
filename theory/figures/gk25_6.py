"""ReLU: a descent of low rank that falls below every collapsed point, since it falls below the linear model's
collapse."""

from __future__ import annotations

import numpy as np

from theory.figures.descents import LR, spectra
from theory.figures.ends import model
from theory.figures.figure import PAGE, PaperFigure, epochs, sheet
from ufm import structures
from ufm.numerics.seeds import child, seed_sequence
from ufm.objectives.logits import value
from ufm.plot.style import colour
from ufm.problem import Problem
from ufm.solvers.batch import run_batch
from ufm.solvers.minimize import minimize
from ufm.solvers.starts import gaussian

RECORDS = 400
COUNTED = 0.05
"""Share of the largest above which a singular value counts for the rank."""
LAYERS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")


def data(work) -> dict:
    """Starts with entries N(0, s^2/d), s = 1 first and then PyTorch's 1/sqrt(3); the lowest run of the first s that has
    one below the bound is drawn.

    A run is so many epochs, not a gradient norm: with lr 0.5 the iterates keep jumping across the kinks of ReLU
    (`grad_norm` says how much).
    """
    if work.fast:
        cell = {"K": 10, "n": 1, "d": 40, "L": 3, "lam": 2.0**-6, "starts": 6, "steps": 5000}
    else:
        cell = {"K": 10, "n": 5, "d": 70, "L": 3, "lam": 2.0**-9, "starts": 10, "steps": 40_000}
    linear = Problem(**{key: cell[key] for key in ("K", "n", "d", "L", "lam")})
    bound, tried = value(structures.dnc(linear)), []
    for scale in (1.0, 3.0**-0.5):
        cells = [{**cell, "scale": scale, "start": i, "rng": work.rng} for i in range(cell["starts"])]
        runs = (
            work.map(relu_run, cells, f"starts of scale {scale:.3g}")
            if not work.fast
            else work.map(relu_runs, [{**cells[0], "start": None}])[0]
        )
        tried.append(
            {"scale": scale, "funs": [run["fun"] for run in runs], "below": sum(run["fun"] < bound for run in runs)}
        )
        if tried[-1]["below"]:
            break
    best = min(range(len(runs)), key=lambda i: runs[i]["fun"])
    (curve,) = work.map(relu_curve, [cells[best]], "curve")
    return {**cell, "scale": scale, "tried": tried, "bound": bound, "run": {"start": best, **curve}}


def relu_problem(cell: dict) -> Problem:
    return Problem(**{key: cell[key] for key in ("K", "n", "d", "L", "lam")}, activation="relu")


def _batch(cell: dict, starts) -> list[dict]:
    problem = relu_problem(cell)
    start = gaussian(cell["scale"] / np.sqrt(cell["d"]))
    done = run_batch(
        problem,
        starts,
        cell["rng"],
        "gd",
        lr=LR,
        steps=cell["steps"],
        start=start,
        threads=1,
        keep="numbers",
        progress=False,
    )
    return [{"fun": float(fun), "grad_norm": float(norm)} for fun, norm in zip(done.fun, done.grad_norm, strict=True)]


def relu_run(cell: dict) -> dict:
    """Value and gradient norm at the end of one start."""
    return _batch(cell, [cell["start"]])[0]


def relu_runs(cell: dict) -> list[dict]:
    """The same for all starts together."""
    return _batch(cell, cell["starts"])


def relu_curve(cell: dict) -> dict:
    """One start again, with its loss at log-spaced epochs and the singular values of all layers at its end."""
    problem = relu_problem(cell)
    recorded = sorted({round(e) for e in np.geomspace(1, cell["steps"], RECORDS)})
    wanted, losses = set(recorded), []

    def record(intermediate):
        if intermediate.nit in wanted:
            losses.append(intermediate.fun)

    seed, start = child(seed_sequence(cell["rng"]), cell["start"]), gaussian(cell["scale"] / np.sqrt(cell["d"]))
    end = minimize(problem, start, "gd", seed, callback=record, lr=LR, steps=cell["steps"], progress=False)
    layers = spectra(end.point, cell["K"])
    ranks = [sum(s > COUNTED * layer[0] for s in layer) for layer in layers]
    return {
        "fun": end.fun,
        "grad_norm": end.grad_norm,
        "epochs": recorded[: len(losses)],
        "losses": losses,
        "layers": layers,
        "ranks": ranks,
    }


def rows(data: dict) -> list[dict]:
    run = data["run"]
    found = [{"kind": "bound", "loss": data["bound"]}]
    found += [{"kind": "loss", "epoch": e, "loss": f} for e, f in zip(run["epochs"], run["losses"], strict=True)]
    found += [
        {"kind": "singular value", "layer": l + 1, "number": i + 1, "value": s}
        for l, layer in enumerate(run["layers"])
        for i, s in enumerate(layer)
    ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.3)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    run, bound = data["run"], data["bound"]
    left.axhline(bound, color=colour("dnc"), lw=0.8, ls="--")
    left.plot(run["epochs"], run["losses"], color="0.15")
    low, high = min(run["losses"][-1], bound), max(run["losses"][-1], bound)
    roof, floor = high + max(high - low, 0.1 * high) * 2.5, low - max(high - low, 0.1 * high) * 0.6
    seen = [e for e, f in zip(run["epochs"], run["losses"], strict=True) if f <= roof]
    left.set(ylabel="loss $F$", ylim=(floor, roof))
    epochs(left, seen[0], run["epochs"][-1])
    left.set_title("(a) ReLU, " + model(data, "K", "n", "L", "d", "lam"))
    at = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "top", "fontsize": 7}
    left.annotate(
        f"linear DNC, {bound:.5f},\na bound for every DNC point", (0.0, bound), (3, -3), color=colour("dnc"), **at
    )
    left.annotate(f"{run['fun']:.5f}", (1.0, run["fun"]), (-2, -3), ha="right", **at)
    for l, layer in enumerate(run["layers"]):
        tint = LAYERS[l % len(LAYERS)]
        label = f"$H_{{{l + 1}}}$: {run['ranks'][l]} above 5% of {layer[0]:.3g}"
        right.plot(
            range(1, len(layer) + 1),
            [s / layer[0] for s in layer],
            marker="os^D"[l % 4],
            color=tint,
            lw=0.8,
            label=label,
        )
    right.set(
        xlabel="number",
        ylabel="singular value / largest",
        ylim=(-0.03, 1.05),
        title="(b) features of every layer at the end",
    )
    right.set_xticks(range(1, len(run["layers"][0]) + 1))
    right.legend(loc="upper right")
    return figure


FIGURE = PaperFigure(
    id="gk25-6",
    title="ReLU: a run of low rank below the linear DNC bound, and the singular values of every layer",
    source="gk25, Figure 6",
    data=data,
    draw=draw,
    rows=rows,
    takes="5 minutes on two cores",
    takes_fast="5 s",
)
