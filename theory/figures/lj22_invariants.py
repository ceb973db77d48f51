"""What gradient descent keeps: identities between neighbouring layers, and their decay under weight decay."""

from __future__ import annotations

import itertools

import numpy as np

from theory.cases import Case
from theory.figures.figure import PAGE, PaperFigure, sheet
from theory.lj22.invariants import agreeing, sides
from theory.lj22.nets import objective_of, start
from ufm.networks.trace import balancedness

TINTS = {"linear": "#0072B2", "relu": "#D55E00"}
WIDTHS = {"linear": 3.0, "relu": 1.1}
STYLES = {"diagonal": "-", "off": "--"}


def data(work) -> dict:
    """W_2' G_2 - G_1 W_1' of a ReLU network at a random point (a); imbalance along gradient descent with decay (b)."""
    base = {"K": 3, "n": 2, "d": 12 if work.fast else 24, "L": 2, "loss": "ce", "rng": work.rng}
    run = {**base, "n": 5, "lr": 0.02, "lam": 0.05, "steps": 1500 if work.fast else 6000}
    cells = [{**run, "activation": activation} for activation in TINTS]
    return {
        "gap": work.map(gap, [{**base, "activation": "relu"}], "identity")[0],
        "lam": run["lam"],
        "lr": run["lr"],
        "runs": work.map(decay, cells, "descents"),
    }


def gap(cell: dict) -> dict:
    """|W_2' G_2 - G_1 W_1'| over its largest side, neurons sorted by their patterns; the sizes of the groups of equal
    patterns."""
    case = Case(**cell)
    objective = objective_of(case)
    params = start(case, objective)
    pre = objective.net.forward(params, objective.data.X).pre[0]
    A, B = sides(objective, params, 1)
    _, pattern = np.unique(pre > 0, axis=0, return_inverse=True)
    pattern = pattern.ravel()
    order = np.argsort(pattern, kind="stable")
    whole = np.abs(A - B) / max(np.max(np.abs(A)), np.max(np.abs(B)))
    equal = agreeing(pre, False)
    return {
        "gap": whole[np.ix_(order, order)].tolist(),
        "groups": np.bincount(pattern).tolist(),
        "equal": float(np.max(whole[equal])),
        "other": float(np.max(whole[~equal], initial=0.0)),
    }


def decay(cell: dict) -> dict:
    """Size of the diagonal and of the rest of C_1 along gradient descent with decay, over their first values."""
    case = Case(**{key: value for key, value in cell.items() if key not in ("lr", "lam", "steps")})
    objective = objective_of(case, cell["lam"])
    x, lr = objective.net.pack(start(case, objective)), cell["lr"]
    times, sizes = [], []
    for step in range(cell["steps"] + 1):
        if step % max(1, cell["steps"] // 150) == 0:
            C = balancedness(objective.net, objective.net.unpack(x))[0]
            times.append(step)
            sizes.append([np.linalg.norm(np.diag(C)), np.linalg.norm(C - np.diag(np.diag(C)))])
        x = x - lr * objective.grad(x)
    sizes = np.array(sizes) / np.array(sizes[0])
    return {
        "activation": cell["activation"],
        "step": times,
        "diagonal": sizes[:, 0].tolist(),
        "off": sizes[:, 1].tolist(),
    }


def rows(data: dict) -> list[dict]:
    found = [
        {"panel": "a", "row": i, "column": j, "gap": v}
        for i, line in enumerate(data["gap"]["gap"])
        for j, v in enumerate(line)
    ]
    for run in data["runs"]:
        found += [
            {"panel": "b", "name": run["activation"], "step": t, "diagonal": a, "off": b, "predicted": _rate(data, t)}
            for t, a, b in zip(run["step"], run["diagonal"], run["off"], strict=True)
        ]
    return found


def _rate(data: dict, step) -> float:
    return (1 - data["lr"] * data["lam"]) ** (2 * step)


def draw(data: dict):
    figure = sheet(PAGE, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    values = np.log10(np.maximum(np.array(data["gap"]["gap"]), 1e-17))
    image = left.imshow(values, cmap="Greys", vmin=-17, vmax=0, interpolation="nearest")
    edges = np.cumsum([0, *data["gap"]["groups"]]) - 0.5
    for a, b in itertools.pairwise(edges):
        left.plot([a, b, b, a, a], [a, a, b, b, a], color="#D55E00", lw=0.8)
    left.set(xlabel="neuron", ylabel="neuron", title="(a) $|W_2^\\top G_2 - G_1 W_1^\\top|$, ReLU")
    left.set_xticks([])
    left.set_yticks([])
    bar = figure.colorbar(image, ax=left, shrink=0.85, label="$\\log_{10}$, relative")
    bar.outline.set_linewidth(0.4)
    names = {"linear": "linear", "relu": "ReLU"}
    for run in data["runs"]:
        for part, style in STYLES.items():
            word = "diagonal" if part == "diagonal" else "off-diagonal"
            right.plot(
                run["step"],
                run[part],
                style,
                color=TINTS[run["activation"]],
                lw=WIDTHS[run["activation"]],
                alpha=0.8,
                label=f"{names[run['activation']]}, {word}",
            )
    right.plot(
        data["runs"][0]["step"],
        [_rate(data, t) for t in data["runs"][0]["step"]],
        ":",
        color="black",
        label="$(1 - h\\lambda)^{2t}$",
    )
    right.set(
        yscale="log",
        xlabel="step $t$",
        ylabel="$|C(t)|/|C(0)|$",
        title=f"(b) gradient descent, $h = {data['lr']:g}$, $\\lambda = {data['lam']:g}$",
    )
    right.legend()
    return figure


FIGURE = PaperFigure(
    id="lj22-invariants",
    title="Conserved quantities: exact for neurons of equal patterns, forgotten at the rate of weight decay",
    source="lj22, invariances",
    data=data,
    draw=draw,
    rows=rows,
    takes="10 s",
    takes_fast="2 s",
)
