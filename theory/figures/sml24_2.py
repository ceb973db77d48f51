"""Gradient descent at K = 10 ends below collapse: loss, variation within classes, singular values."""

from __future__ import annotations

from theory.figures.figure import PAGE, PaperFigure, epochs, sheet
from theory.figures.sml24_runs import LAYERS, SRG, descents, problem_of, rank, references
from ufm.plot.style import colour


def data(work) -> dict:
    """10 runs at d = 30, lam = 0.004, L = 4, lr 0.5. Two samples per class, so that there is variation within classes
    to lose.

    fast: lam = 0.01 and 4000 steps, in which the runs come about as far as in 12000 at lam = 0.004.
    """
    cell = {
        "K": 10,
        "n": 2,
        "d": 30,
        "L": 4,
        "lam": 0.01 if work.fast else 0.004,
        "rng": work.rng,
        "steps": 4000 if work.fast else 60_000,
    }
    cells = [{**cell, "starts": part} for part in ([list(range(10))] if work.fast else [[i] for i in range(10)])]
    runs = [run for part in work.map(descents, cells, "runs") for run in part]
    return {**cell, "references": references(problem_of(cell)), "runs": runs}


def best(data: dict) -> dict:
    return min(data["runs"], key=lambda run: run["fun"])


def rows(data: dict) -> list[dict]:
    found = [{"kind": "reference", "name": name, "value": value} for name, value in data["references"].items()]
    for run in data["runs"]:
        for step, fun, spread in zip(run["steps"], run["funs"], run["spreads"], strict=True):
            found.append({"kind": "run", "name": run["start"], "step": step, "value": fun, "within": spread})
    for l, s in enumerate(best(data)["before"]):
        found += [
            {"kind": "singular value", "name": f"H_{l + 2}", "step": i + 1, "value": v, "share": v / s[0]}
            for i, v in enumerate(s)
        ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 2.3)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    refs, chosen = data["references"], best(data)
    for run in data["runs"]:
        bold = run is chosen
        left.plot(
            run["steps"][1:],
            run["funs"][1:],
            color="0.1" if bold else "0.65",
            lw=1.2 if bold else 0.6,
            zorder=3 if bold else 2,
        )
        middle.plot(
            run["steps"][1:],
            [max(v, 1e-16) for v in run["spreads"][1:]],
            color="0.1" if bold else "0.65",
            lw=1.2 if bold else 0.6,
        )
    left.axhline(refs["dnc"], color=colour("dnc"), ls="--", lw=0.9, label=f"collapse, {refs['dnc']:.4f}")
    left.axhline(refs["srg"], color=SRG, ls="--", lw=0.9, label=f"strongly regular, {refs['srg']:.4f}")
    below = sum(run["fun"] < refs["dnc"] * (1 - 1e-3) for run in data["runs"])
    left.set(
        ylabel="loss $F$",
        ylim=(0.9 * refs["srg"], 1.7 * refs["dnc"]),
        title=f"(a) {below} of {len(data['runs'])} runs end below collapse",
    )
    left.legend(loc="upper right")
    floor = max(min(v for run in data["runs"] for v in run["spreads"]), 1e-16)
    middle.set(
        yscale="log",
        ylim=(0.1 * floor, 10),
        ylabel="within classes / class means",
        title="(b) variation of $H_1$ (DNC1)",
    )
    for ax in (left, middle):
        epochs(ax, 50, data["steps"])
    for l, s in enumerate(chosen["before"]):
        label = f"$H_{l + 2}$: {rank(s)} above 5%"
        right.plot(
            range(1, data["K"] + 1),
            [v / s[0] for v in s[: data["K"]]],
            marker="os^D"[l % 4],
            color=LAYERS[l % len(LAYERS)],
            lw=0.8,
            label=label,
        )
    right.set(
        xlabel="number",
        ylabel="singular value / largest",
        ylim=(-0.03, 1.05),
        title=f"(c) lowest run, {chosen['fun'] / refs['dnc']:.3f} of collapse",
    )
    right.set_xticks(range(1, data["K"] + 1))
    right.legend(loc="upper right")
    sizes = (
        f"$K = {data['K']}$, $n = {data['n']}$, $L = {data['L']}$, $d = {data['d']}$, $\\lambda = {data['lam']:g}$,"
        f" step size 0.5, {data['steps']} steps"
    )
    figure.suptitle(sizes, fontsize=8)
    return figure


FIGURE = PaperFigure(
    id="sml24-2",
    title="Gradient descent of a four-layer ReLU model with ten classes ends below collapse and at low rank",
    source="sml24, Figure 2 (its upper row)",
    data=data,
    draw=draw,
    rows=rows,
    takes="2 minutes on two cores",
    takes_fast="5 s",
)
