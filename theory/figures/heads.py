"""Deep heads on a small trained network: digits, a feature map, L fully connected layers. A helper of figures, not one.

    Z = W_L s(... s(W_1 H)),  H = A_3 relu(A_2 relu(A_1 X)),  s linear or ReLU,
        X the 8 x 8 digits of scikit-learn, n of each class.

The paper trains a ResNet-20 on MNIST and CIFAR-10 in batches of 10 000; this is an analogue that runs on two cores:
descent on all samples with momentum, one step an epoch, and a last layer of the feature map without ReLU, so that
features may take any sign as in the model. Two decays:

    ufm  (lam/2) sum |W_l|^2 + (lam_H/2)|H|^2: the objective is F of the deep unconstrained feature model at (H, W_1,
        ..., W_L) exactly, so
                the line of DNC is its closed form, for a ReLU head a lower bound for every DNC point (gk25, proof of
                Theorem 7);
    standard  (lam/2)|W|^2 of all weights, the map's too. No closed form: the line is what training finds where the head
        is held in collapse.

A linear head held in collapse is W_1 = ... = W_(L-1) = c Q S Q', W_L = c S Q' with Q'Q = I, S = I - 11'/K: the K - 1
directions of the simplex are its only singular space, and one scale c is the best split of the decay. With A_3 = c^(-L)
Q B the objective is

    CE(B z) + (lam/2)(|A_1|^2 + |A_2|^2) + (lam/2) |B|^2 c^(-2L) + (lam/2) L (K-1) c^2,

for fixed c a network with a decay of its own per layer (whose minimisers have B = S B); the best c has c^(2L+2) =
|B|^2/(K-1). Its minimum over all maps would bound every network with a collapsed linear head from below; training finds
a local minimum, so this line is a comparison, no bound.

Random starts are Gaussian, of variance scale^2/fan-in in the head (2 scale^2/fan-in before ReLU). Smaller scales tend
to lower rank; at 0.5 four layers leave the plateau at zero so abruptly that these steps diverge or stop every ReLU,
which happens to four ReLU layers at larger scales too. Ends at `zero` and `diverged` are counted as such.
Beside the random starts one run, the control, starts from the linear model's collapse: there the first kind of network
rests if the line is right.

The numbers 3, 4 (linear head) and 7, 8 (ReLU head), UFM-style decay first, are this package's way to share the four
combinations among the paper's four figures, which use other data and networks.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from theory.figures.descents import centred
from theory.figures.ends import short
from theory.figures.figure import PAGE, epochs, sheet
from ufm import structures
from ufm.critical.identify import identify
from ufm.metrics import collapse
from ufm.networks import Data, Decay, MultiStep, Network, Objective, train
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.logits import value
from ufm.plot.style import colour
from ufm.points import frame
from ufm.problem import Problem

PAPER = {"n": 20, "h": 64, "d": 64, "steps": 5000, "seeds": 3, "scales": (0.7, 1.0), "rounds": 6}
SMALL = {"n": 8, "h": 32, "d": 24, "steps": 1500, "seeds": 2, "scales": (1.0,), "rounds": 4}
UFM = {"kind": "ufm", "lam": 5e-3, "lam_H": 6e-3, "lr": 0.1}
STANDARD = {"kind": "standard", "lam": 3e-3, "lam_H": None, "lr": 0.05}
"""lam_H here is that of one sample per class; with n of them each sample decays by lam_H / n, which leaves the same
problem."""
K, MOMENTUM, DEPTHS = 10, 0.9, (3, 4)
RECORDS = 250
FIT = 1000
"""Steps of L-BFGS, at most, for a start in collapse."""
COUNTED = 0.05
"""Share of the largest above which a singular value counts for the rank."""
SHOWN = 12
DIVERGED = 1e3
"""An end above this value, far above that of zero (log K), has diverged."""
CONTROL = {"ls": ":", "marker": "o", "ms": 2.5, "markevery": 40}
LAYERS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")


def data(work, activation: str, decay: dict) -> dict:
    """Both depths: random starts, the run from collapse, and the values of the model. Needs scikit-learn: ImportError
    naming the extra."""
    Data.digits(n=1)
    size = SMALL if work.fast else PAPER
    base = {
        **{key: val for key, val in size.items() if key not in ("seeds", "scales")},
        **decay,
        "activation": activation,
        "rng": work.rng,
    }
    starts = [(scale, seed) for scale in size["scales"] for seed in range(size["seeds"])] + [(None, 0)]
    cells = [{**base, "L": L, "scale": scale, "seed": seed} for L in DEPTHS for scale, seed in starts]
    runs = work.map(trained, cells, "runs")
    parts = []
    for L in DEPTHS:
        here = [
            {"scale": cell["scale"], "seed": cell["seed"], **run}
            for cell, run in zip(cells, runs, strict=True)
            if cell["L"] == L
        ]
        parts.append({"L": L, "values": values({**base, "L": L}, here), "runs": here})
    return {"activation": activation, "settings": base, "parts": parts}


def problem_of(cell: dict) -> Problem:
    """The linear model whose objective the network's is, for ufm decay and a linear head."""
    lams = (cell["lam_H"] / cell["n"], *(cell["lam"],) * cell["L"])
    return Problem(K=K, n=cell["n"], d=cell["d"], L=cell["L"], lam=lams)


def values(cell: dict, runs: list[dict]) -> dict:
    """{name: loss} of the lines: closed forms of the model for ufm decay, the held head's value for standard decay."""
    if cell["kind"] == "ufm":
        problem, makers = problem_of(cell), {"dnc": structures.dnc, "pairs": structures.pairs}
        return {
            name: value(make(problem))
            for name, make in makers.items()
            if name == "dnc" or cell["activation"] == "linear"
        }
    return {"dnc": next(run["held"] for run in runs if run["scale"] is None)}


def network(cell: dict) -> Network:
    widths = [64, cell["h"], cell["h"], *[cell["d"]] * cell["L"], K]
    return Network(widths, ["relu", "relu", "linear", *[cell["activation"]] * (cell["L"] - 1)])


def decay_of(cell: dict):
    return (
        Decay("ufm", W=cell["lam"], H=cell["lam_H"] / cell["n"], head=cell["L"])
        if cell["kind"] == "ufm"
        else cell["lam"]
    )


def trained(cell: dict) -> dict:
    """One run: its losses, what its end is called, singular values of the head, class logits, collapse of every layer
    of the head."""
    digits, net, L = Data.digits(n=cell["n"]), network(cell), cell["L"]
    start, held = (
        (net.init(_seed(cell), [1.0] * 3 + [cell["scale"]] * L), None)
        if cell["scale"] is not None
        else collapsed(cell, digits)
    )
    recorded = sorted({round(e) for e in np.geomspace(1, cell["steps"], RECORDS)})
    wanted, losses = set(recorded), []

    def record(progress):
        if progress.step in wanted:
            losses.append(progress.objective.value_grad(progress.x)[0])

    settings = {
        "lr": cell["lr"],
        "momentum": MOMENTUM,
        "steps": cell["steps"],
        "schedule": MultiStep([round(0.8 * cell["steps"])]),
    }
    run = train(
        net,
        digits,
        "ce",
        "sgd",
        decay_of(cell),
        _seed(cell),
        start=start,
        tol=0.0,
        callback=record,
        progress=False,
        **settings,
    )
    found = {
        "held": held,
        "fun": run.fun,
        "loss": run.loss,
        "grad_norm": run.grad_norm,
        "accuracy": run.accuracy,
        "epochs": recorded[: len(losses)],
    }
    if not np.isfinite(run.fun) or run.fun > DIVERGED:
        return {
            **found,
            "losses": losses,
            "fun": None,
            **dict.fromkeys(("rank", "distance", "within_class")),
            "name": "diverged",
            "nc": [],
        }
    return {**found, "losses": losses, **end(net, run.params, digits, L)}


def end(net: Network, params, digits: Data, L: int) -> dict:
    """What the head of a network looks like: its name with distance, spectra and ranks of W_1, ..., W_L, class logits,
    NC per layer."""
    features, head = net.features(params, digits)[net.L - L : -1], net.weights(params)[-L:]
    named = identify(features=features[-1].T, weights=head[-1], labels=digits.y)
    spectra = [np.linalg.svd(W, compute_uv=False) for W in head]
    M = centred(head[-1] @ features[-1] @ (np.eye(digits.K)[digits.y] / digits.counts))
    order = [c for part in named.members for c in part] or list(range(digits.K))
    return {
        "name": named.name,
        "rank": named.rank,
        "distance": named.distance,
        "within_class": named.within_class,
        "ranks": [int(np.sum(s > COUNTED * s[0])) if s[0] > 0 else 0 for s in spectra],
        "spectra": [s[:SHOWN].tolist() for s in spectra],
        "order": [int(c) for c in order],
        "logits": M[np.ix_(order, order)].tolist(),
        "nc": metrics(features, head, digits.y),
    }


def metrics(features, head, y) -> list[dict]:
    """NC metrics of every layer that the head reads, H_1 to H_L; NC3 and NC4 of the last; nothing (None) where class
    means agree."""
    found = []
    for l, (H, W) in enumerate(zip(features, head, strict=True), 1):
        layer = collapse(H.T, y, W if l == len(head) else None)
        row = {
            "nc1": layer.nc1_quotient,
            "nc1_rank": layer.nc1_rank,
            "nc2": layer.nc2,
            "nc3": layer.nc3,
            "nc4": layer.nc4,
        }
        found.append(
            {"layer": l, **{key: None if val is None or not np.isfinite(val) else val for key, val in row.items()}}
        )
    return found


# ---------------------------------------------------------------------------------------------- starts in collapse


def collapsed(cell: dict, digits: Data) -> tuple[list, float]:
    """(parameters of a network whose head is collapsed, its objective were its head linear)."""
    return _fitted(cell, digits) if cell["kind"] == "ufm" else _held(cell, digits)


def _fitted(cell: dict, digits: Data):
    """The factors of the model's DNC point, and a map fitted to its features in mean squares."""
    H, *head = structures.dnc(problem_of(cell)).lift(rng=generator(_seed(cell))).factors
    small = Network([64, cell["h"], cell["h"], cell["d"]], "relu")
    size = np.sqrt(np.mean(H**2))  # the fit sees targets of order one
    run = train(
        small, digits.with_targets(H / size), "mse", "lbfgs", 0.0, _seed(cell), tol=1e-6, max_steps=FIT, progress=False
    )
    *below, last = run.weights
    params = [*below, size * last, *head]
    return params, _linear_value(cell, digits, params)


def _held(cell: dict, digits: Data):
    """Training with the head held in collapse, as in the module's docstring; c is renewed after every round."""
    lam, L, h = cell["lam"], cell["L"], cell["h"]
    small, c = Network([64, h, h, K], "relu"), 1.0
    params = small.init(_seed(cell))
    for _ in range(cell["rounds"]):
        decay = [lam, lam, lam * c ** (-2 * L)]
        params = train(
            small, digits, "ce", "lbfgs", decay, 0, start=params, tol=1e-6, max_steps=FIT, progress=False
        ).params
        c = float((np.sum(params[-1] ** 2) / (K - 1)) ** (1 / (2 * L + 2)))
    Q, S = frame(cell["d"], K, generator(_seed(cell))), np.eye(K) - 1.0 / K
    head = [*[c * Q @ S @ Q.T] * (L - 1), c * S @ Q.T]
    start = [*params[:-1], Q @ S @ params[-1] * c**-L, *head]
    return start, _linear_value(cell, digits, start)


def _linear_value(cell: dict, digits: Data, params) -> float:
    linear = {**cell, "activation": "linear"}
    return Objective(network(linear), digits, "ce", decay_of(linear)).value(params)


def _seed(cell: dict):
    return child(seed_sequence(cell["rng"]), cell["seed"])


# ---------------------------------------------------------------------------------------------- tables and pictures


def random_runs(part: dict) -> list[dict]:
    return [run for run in part["runs"] if run["scale"] is not None]


def drawn(part: dict) -> dict:
    """The run whose end is shown: the lowest of the random starts, where not all of them diverged."""
    return min((run for run in random_runs(part) if run["fun"] is not None), key=lambda run: run["fun"], default=None)


def below(run: dict, line: float) -> bool:
    return run["fun"] is not None and run["fun"] < line


def rows(data: dict) -> list[dict]:
    found = []
    for part in data["parts"]:
        L = part["L"]
        found += [{"kind": "value", "L": L, "name": name, "loss": fun} for name, fun in part["values"].items()]
        for run in part["runs"]:
            which = {
                "L": L,
                "start": "collapsed" if run["scale"] is None else "random",
                "scale": run["scale"],
                "seed": run["seed"],
            }
            said = {
                "name": run["name"],
                "rank": run["rank"],
                "distance": run["distance"],
                "loss": run["fun"],
                "below": below(run, part["values"]["dnc"]),
            }
            found.append(
                {
                    "kind": "end",
                    **which,
                    **said,
                    "grad_norm": run["grad_norm"],
                    "accuracy": run["accuracy"],
                    "within_class": run["within_class"],
                }
            )
            found += [
                {"kind": "loss", **which, "epoch": e, "loss": f}
                for e, f in zip(run["epochs"], run["losses"], strict=True)
            ]
            found += [{"kind": "collapse", **which, **layer} for layer in run["nc"]]
        if (run := drawn(part)) is None:
            continue
        which = {"L": L, "start": "random", "scale": run["scale"], "seed": run["seed"]}
        for l, s in enumerate(run["spectra"], 1):
            found += [
                {"kind": "singular value", **which, "layer": l, "number": i, "value": v} for i, v in enumerate(s, 1)
            ]
        for i, line in zip(run["order"], run["logits"], strict=True):
            found += [
                {"kind": "logit", **which, "row": i, "column": j, "value": v}
                for j, v in zip(run["order"], line, strict=True)
            ]
    return found


def draw(data: dict):
    figure = sheet(PAGE, 5.2)
    axes = figure.subplots(len(data["parts"]), 3, width_ratios=(1.45, 1, 1.05))
    letters = iter("abcdef")
    for (left, middle, right), part in zip(axes, data["parts"], strict=True):
        curves(left, part, data)
        if (run := drawn(part)) is not None:
            _spectra(middle, run)
            _heat_map(right, run, figure)
        for ax in (left, middle, right):
            ax.set_title(f"({next(letters)}) {ax.get_title()}")
    return figure


def curves(ax, part: dict, data: dict) -> None:
    """Losses coloured by the name of their end, and the lines; the legend counts the random starts."""
    bound, runs = part["values"]["dnc"], random_runs(part)
    low = min((run["fun"] for run in part["runs"] if run["fun"] is not None), default=bound)
    gap = max(bound - low, 0.1 * bound)
    roof, floor = bound + 0.8 * gap, min(low, bound) - 0.15 * gap
    for run in part["runs"]:
        losses = [np.nan if f is None else f for f in run["losses"]]  # None: beyond the numbers
        look = {"ls": "-"} if run["scale"] is not None else CONTROL
        ax.plot(run["epochs"], losses, color=colour(run["name"]), lw=0.9, **look)
    for name, fun in part["values"].items():
        ax.axhline(fun, color=colour(name), lw=0.8, ls="--")
    seen = [e for run in runs for e, f in zip(run["epochs"], run["losses"], strict=True) if f is not None and f <= roof]
    last = max(run["epochs"][-1] for run in runs)
    ax.set(ylabel="objective", ylim=(floor, roof))
    epochs(ax, min([*seen, last / 30]), last)
    line = said(data)
    count = sum(below(run, bound) for run in runs)
    ax.set_title(f"$L = {part['L']}$: {count} of {len(runs)} end below {line}", fontsize=7.5)
    ax.legend(
        handles=_legend(part, line),
        loc="upper center",
        bbox_to_anchor=(0.46, -0.26),
        ncols=2,
        fontsize=6,
        handlelength=1.5,
        columnspacing=1.0,
    )


def said(data: dict) -> str:
    """What the line is."""
    if data["settings"]["kind"] == "standard":
        return "the collapsed head"
    return "DNC" if data["activation"] == "linear" else "linear DNC"


def _legend(part: dict, line: str) -> list:
    """The lines, the control, and every name of an end with its rank and how many random starts ended there."""
    from matplotlib.lines import Line2D

    labels = [
        (colour(name), {"ls": "--"}, f"{line if name == 'dnc' else name}, {fun:.4f}")
        for name, fun in part["values"].items()
    ]
    control = next(run for run in part["runs"] if run["scale"] is None)
    labels.append((colour(control["name"]), CONTROL | {"markevery": None}, f"from collapse: {_called(control)}"))
    counts, tints = (
        Counter(map(_called, random_runs(part))),
        {_called(run): colour(run["name"]) for run in random_runs(part)},
    )
    labels += [
        (tints[name], {"ls": "-"}, f"{name} ({count})")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return [Line2D([], [], color=tint, lw=0.9, label=label, **look) for tint, look, label in labels]


def _called(run: dict) -> str:
    """The name of an end with its rank; of ends without a name the rank alone."""
    if run["rank"] is None or run["name"] == "zero":
        return run["name"]
    return (
        f"rank {run['rank']}, unnamed"
        if run["name"].startswith("unnamed")
        else f"{short(run['name'])}, rank {run['rank']}"
    )


def _spectra(ax, run: dict) -> None:
    for l, s in enumerate(run["spectra"]):
        ax.plot(
            range(1, len(s) + 1),
            s,
            marker="os^D"[l % 4],
            ms=3,
            lw=0.7,
            color=LAYERS[l % 4],
            label=f"$W_{{{l + 1}}}$, rank {run['ranks'][l]}",
        )
    ax.set(
        xlabel="number",
        ylabel="singular value",
        ylim=(0, None),
        title=f"head of the lowest, start $\\times$ {run['scale']:g}",
    )
    ax.set_xticks(range(2, SHOWN + 1, 2))
    ax.legend(loc="upper right", fontsize=6.5)


def _heat_map(ax, run: dict, figure) -> None:
    reach = max(abs(v) for line in run["logits"] for v in line) or 1.0
    image = ax.imshow(run["logits"], cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    ax.set_xticks(range(K), run["order"])
    ax.set_yticks(range(K), run["order"])
    ax.tick_params(length=0, labelsize=6)
    ax.spines[:].set_visible(False)
    near = "" if run["distance"] is None else f", at {run['distance']:.1g}"
    ax.set(xlabel="digit", ylabel="mean logit")
    ax.set_title(f"{_called(run)}{near}", fontsize=7.5)
    bar = figure.colorbar(image, ax=ax, shrink=0.9, pad=0.02)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=6)
