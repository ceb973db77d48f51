"""Three, four and five classes: lower rank than collapse, at a lower loss, in narrow networks."""

from __future__ import annotations

import numpy as np

from theory.figures.figure import PAGE, PaperFigure, epochs, sheet
from theory.figures.sml24_runs import descents, heat, matrices, problem_of, references
from ufm.plot.style import colour

MODELS = ({"K": 3, "d": 6, "lam": 0.02}, {"K": 4, "d": 6, "lam": 0.015}, {"K": 5, "d": 8, "lam": 0.01})
"""Narrow on purpose: at width 30 such runs end in collapse."""


def data(work) -> dict:
    """L = 4, n = 1, lr 0.5; of `starts` runs the lowest is drawn. fast: 20 starts of 3000 steps, full: 100 of 20000."""
    base = {
        "n": 1,
        "L": 4,
        "rng": work.rng,
        "starts": list(range(20 if work.fast else 100)),
        "steps": 3000 if work.fast else 20_000,
    }
    cells = [{**model, **base} for model in MODELS]
    found = []
    for cell, runs in zip(cells, work.map(descents, cells, "runs"), strict=True):
        best = min(runs, key=lambda run: run["fun"])
        (picture,) = work.map(
            matrices, [{**{k: v for k, v in cell.items() if k != "starts"}, "start": best["start"]}], "matrices"
        )
        refs, steps = references(problem_of(cell)), cell["steps"]
        below = sum(run["fun"] < (1 - 1e-3) * refs["dnc"] for run in runs)
        found.append(
            {
                **{k: cell[k] for k in ("K", "n", "L", "d", "lam")},
                "steps": steps,
                "starts": len(runs),
                "below": below,
                "references": refs,
                "best": best,
                **picture,
            }
        )
    return {"models": found}


def rows(data: dict) -> list[dict]:
    found = []
    for model in data["models"]:
        K, best = model["K"], model["best"]
        found.append({"K": K, "kind": "collapse", "value": model["references"]["dnc"]})
        for step, fun, fit in zip(best["steps"], best["funs"], best["fits"], strict=True):
            found += [
                {"K": K, "kind": "loss", "i": step, "value": fun},
                {"K": K, "kind": "fit", "i": step, "value": fit},
            ]
            found.append({"K": K, "kind": "ridge", "i": step, "value": fun - fit})
        for name, M in _pictures(model).items():
            found += [
                {"K": K, "kind": name, "i": i, "j": j, "value": float(v)}
                for i, line in enumerate(M)
                for j, v in enumerate(line)
            ]
    return found


def _pictures(model: dict) -> dict:
    _, M3, M4 = map(np.array, model["before"])
    return {"M3": M3, "M4": M4, "G3": M3.T @ M3}


def draw(data: dict):
    figure = sheet(PAGE, 4.6)
    grid = figure.subplots(3, 4, width_ratios=(1.7, 1, 1, 1))
    for line, model in zip(grid, data["models"], strict=True):
        best, dnc, K = model["best"], model["references"]["dnc"], model["K"]
        steps, ax = best["steps"][1:], line[0]
        ax.plot(steps, best["funs"][1:], color="0.1", label="loss $F$")
        ax.plot(steps, best["fits"][1:], color="#E69F00", lw=0.9, label="fit")
        ax.plot(
            steps,
            [F - fit for F, fit in zip(best["funs"][1:], best["fits"][1:], strict=True)],
            color="#CC79A7",
            lw=0.9,
            label="ridge",
        )
        ax.axhline(dnc, color=colour("dnc"), ls="--", lw=0.9, label="collapse")
        ax.set_ylim(0, 2.4 * dnc)
        epochs(ax, 20, model["steps"])
        if K < 5:
            ax.set_xlabel("")
        said = f"$K = {K}$, $d = {model['d']}$, $\\lambda = {model['lam']:g}$: {best['fun'] / dnc:.3f} of collapse"
        ax.set_title(said + f"\n{model['below']} of {model['starts']} runs end below it")
        titles = {
            "M3": f"$M_3$, rank {best['ranks'][1]}",
            "M4": f"$M_4$, rank {best['ranks'][2]}",
            "G3": "$M_3^\\top M_3$",
        }
        for ax, (name, M) in zip(line[1:], _pictures(model).items(), strict=True):
            heat(ax, M, titles[name])
    grid[0, 0].legend(loc="upper right", ncols=2)
    figure.suptitle(f"$L = 4$, step size 0.5, {data['models'][0]['steps']} steps; the lowest run of each", fontsize=8)
    return figure


FIGURE = PaperFigure(
    id="sml24-5",
    title=(
        "Three, four and five classes, four layers: the lowest run ends below collapse, with fewer dimensions than"
        " classes"
    ),
    source="sml24, Figure 5",
    data=data,
    draw=draw,
    rows=rows,
    takes="2 minutes on two cores",
    takes_fast="5 s",
)
