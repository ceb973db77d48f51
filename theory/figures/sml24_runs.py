"""Full-batch gradient descent of ReLU models under MSE, many starts at once, with what the figures of sml24 read off. A
helper of figures, not one.

A descent at lr 0.5 keeps drifting for tens of thousands of steps: an end is read by ranks, not by a gradient norm.
`full rank`: K singular values above `COUNTED` of the largest in every layer after its ReLU and before it from the third
on, and every class fitted. That is where collapse lies: at K = 10, L = 4, d = 60, lam = 0.01 the runs of full rank
after 2500 steps were within `NAMED` of collapse after 12000. Before its ReLU the second layer is left out, since
collapse does not determine it.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ufm.critical.relu_names import name_of
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.descent import descend
from ufm.solvers.methods.gd import GradientDescent
from ufm.solvers.starts import gaussian
from ufm.structures import graph_codes, relu_collapse

LR = 0.5
CACHE = 2**20
"""Bytes of starts that step together, so that they stay near the processor."""
COUNTED = 0.05
FITTED = 0.5
"""Of the largest own logit: a class below it counts as lost."""
NAMED = 0.1
"""Entries of normalised Gram matrices that may differ from a structure's for an end to have its name."""
MARKS = 60
LAYERS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#D55E00", "#882255")
SRG = "#009E73"
"""Colour of strongly regular graphs, that of the Petersen graph, whose complement is the first of them."""


def problem_of(cell: dict) -> Problem:
    return Problem(**{key: cell[key] for key in ("K", "n", "d", "L", "lam")}, loss="mse", activation="relu")


def descents(cell: dict) -> list[dict]:
    """The runs of `starts` (a list of children of the seed) from N(0, 1/d): losses along the way and what their ends
    look like."""
    problem = problem_of(cell)
    objective = FactorObjective(problem)
    x = np.stack([gaussian()(objective, generator(child(seed_sequence(cell["rng"]), i))) for i in cell["starts"]])
    marks = sorted({0, *np.round(np.geomspace(10, cell["steps"], MARKS)).astype(int).tolist()})
    funs, fits, spreads = [], [], []
    for before, after in zip([0, *marks[:-1]], marks, strict=True):
        x = _steps(objective, x, after - before)
        funs.append(objective.value(x).tolist())
        fits.append([float(objective.fit.value(objective.logits(v), None)) for v in x])
        spreads.append([spread(objective, v) for v in x])
    ends = [end_of(objective.point(v)) for v in x]
    curves = {"funs": funs, "fits": fits, "spreads": spreads}
    return [
        {"start": i, "steps": marks, **{k: [at[j] for at in c] for k, c in curves.items()}, **ends[j]}
        for j, i in enumerate(cell["starts"])
    ]


def _steps(objective: FactorObjective, x, steps: int):
    if not steps:
        return x
    out, together = x.copy(), max(1, CACHE // (8 * objective.size))
    for first in range(0, len(x), together):
        part = out[first : first + together]

        def ended(labels, points, *_, part=part):
            part[labels] = points

        way = GradientDescent(lr=LR, steps=steps)
        descend(objective, part.copy(), way, 1e-12, None, ended)
    return out


def spread(objective: FactorObjective, x) -> float:
    """DNC1: |H_1 - class means|^2/|class means|^2 as samples see them; 0 for one sample per class."""
    problem = objective.problem
    H = objective.unpack(x)[0][0]
    means = H @ (problem.samples.Y.T / problem.counts)
    size = float(np.sum(means**2) * problem.n)
    return float(np.sum((H - means[:, problem.labels]) ** 2)) / size if size > 1e-30 else 0.0


def layers(point: FactorPoint) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(before, after): class means of H_2, ..., H_L before and after their ReLU, each (d, K)."""
    problem = point.problem
    X, before, after = point.factors[0] @ (problem.samples.Y.T / problem.counts), [], []
    for W in point.factors[1:-1]:
        before.append(W @ X)
        X = np.maximum(before[-1], 0.0)
        after.append(X)
    return before, after


def spectra(matrices) -> list[list[float]]:
    return [np.linalg.svd(M, compute_uv=False).tolist() for M in matrices]


def rank(s) -> int:
    return sum(v > COUNTED * s[0] for v in s) if s[0] > 1e-9 else 0


def end_of(point: FactorPoint) -> dict:
    """What a run came to: F, its name, ranks and singular values of the layers, and how many classes it lost."""
    problem = point.problem
    before, after = map(spectra, layers(point))
    own = np.array(
        [
            z[c]
            for z, c in zip((point.logits() @ (problem.samples.Y.T / problem.counts)).T, range(problem.K), strict=True)
        ]
    )
    ranks, lost = [rank(s) for s in before], int(np.sum(own < FITTED * np.max(own)))
    full = lost == 0 and min(*ranks[1:], *map(rank, after), problem.K) == problem.K
    objective, x = objective_of(point)
    return {
        "fun": float(objective.value(x)),
        "name": _name(point, ranks, lost, full),
        "ranks": ranks,
        "lost": lost,
        "full": full,
        "before": before,
        "after": after,
    }


def _name(point: FactorPoint, ranks: list[int], lost: int, full: bool) -> str:
    """The name of the point within `NAMED`; else `full rank`, `partial(m)` with m classes fitted, or `rank r`, the
    largest from the third layer on."""
    name = name_of(point, NAMED)
    if not name.startswith("unnamed"):
        return name
    return (
        "full rank"
        if full
        else f"partial({point.problem.K - lost})"
        if lost
        else f"rank {max(ranks[1:], default=ranks[0])}"
    )


def matrices(cell: dict) -> dict:
    """The run of one start again: class means before the ReLU of every layer at its end, neurons with features first
    and in the order of their loads."""
    problem = problem_of(cell)
    objective = FactorObjective(problem)
    x = gaussian()(objective, generator(child(seed_sequence(cell["rng"]), cell["start"])))[None]
    before, _ = layers(objective.point(_steps(objective, x, cell["steps"])[0]))
    return {"before": [_ordered(M).tolist() for M in before]}


def _ordered(M: np.ndarray) -> np.ndarray:
    """Rows above a twentieth of the largest, the largest first."""
    size = np.linalg.norm(M, axis=1)
    order = np.argsort(-size, kind="stable")
    return M[order[size[order] > 0.05 * size[order[0]]]]


def references(problem: Problem) -> dict:
    """Losses of DNC, of zero, and of the strongly regular code where K = r(r-1)/2."""
    found = {"dnc": relu_collapse.f(float(relu_collapse.kappa(problem)[0]), problem.L), "zero": 0.5}
    with contextlib.suppress(ValueError):
        found["srg"] = graph_codes.loss(problem, graph_codes.complete(graph_codes.srg_order(problem.K)))
    return found


def heat(ax, M, title: str, limit: float | None = None) -> None:
    """A matrix in blue (negative) and red (positive), zero white."""
    M = np.asarray(M)
    limit = np.max(np.abs(M)) if limit is None else limit
    ax.imshow(M, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="equal", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title)
