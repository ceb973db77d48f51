"""Assumption 1 of Theorem 7, watched on real runs.

With M_l the class means of the pre-activations W_{l-1} s(...) that enter the ReLU of layer l, and M~_l those of its
output,

    r = |M 11'/K|_F / |M (I - 11'/K)|_F  (global mean part over simplex part),
        Assumption 1: r_l <= r~_l for l = 2, ..., L.

It is no theorem about matrices: a neuron that is negative on every class has a global mean part which ReLU removes.
"""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.problem import Problem
from ufm.solvers.descent import descend
from ufm.solvers.methods.gd import GradientDescent
from ufm.solvers.starts import gaussian

INSTANTS = 40
"""Steps of a run at which the ratios are read, log-spaced."""
ROUNDING = 1e-12
"""Relative: an idle ReLU leaves r as it is."""
EARLY = 0.2
"""Share of a run's steps after which r_l > r~_l is no longer called transient."""


def mean_ratio(M) -> float:
    """|M 11'/K|_F / |M (I - 11'/K)|_F of a matrix with one column per class; inf where its columns are equal, NaN where
    it is zero."""
    mean = M.mean(axis=1, keepdims=True)
    size, rest = float(np.sqrt(M.shape[1]) * np.linalg.norm(mean)), float(np.linalg.norm(M - mean))
    return size / rest if rest > 0 else math.inf if size > 0 else math.nan


def ratios(problem: Problem, factors) -> list[tuple[float, float]]:
    """[(r_l, r~_l)] for l = 2, ..., L."""
    classes = problem.samples.Y.T / problem.counts
    found, inputs = [], factors[0]
    for W in factors[1:-1]:
        before = W @ inputs
        inputs = problem.activation.value(before)
        found.append((mean_ratio(before @ classes), mean_ratio(inputs @ classes)))
    return found


def trajectory(
    problem: Problem, rng: int, steps: int, scale: float | None = None, lr: float = 0.5
) -> list[tuple[int, list[tuple[float, float]]]]:
    """[(step, ratios)] at log-spaced steps of full-batch gradient descent from a Gaussian start, the last step
    included."""
    objective, draw = FactorObjective(problem), generator(seed_sequence(rng))
    marks, found = {0, steps, *np.round(np.geomspace(1, steps, INSTANTS)).astype(int).tolist()}, []

    def watch(labels, step, fun, grad, x):
        if step in marks:
            found.append((step, ratios(problem, objective.unpack(x[0])[0])))

    start = gaussian(scale)(objective, draw)[None]
    way = GradientDescent(lr=lr, steps=steps)
    descend(objective, start, way, 0.0, [draw], lambda *_: None, watch=watch)
    return found


def holds(pair: tuple[float, float]) -> bool:
    before, after = pair
    return before <= after * (1 + ROUNDING)


def known(pair: tuple[float, float]) -> bool:
    """Whether both ratios are numbers: the layer tells some classes apart before its ReLU and after it."""
    return all(map(math.isfinite, pair))


def check(case):
    """Readings at which the assumption fails: none at the end of the run, and along it in its early part alone."""
    if case.get("dead"):
        M = np.vstack([np.eye(case.K), -case.dead * np.ones((1, case.K))])
        yield Evidence(
            mean_ratio(M), "<=", mean_ratio(np.maximum(M, 0.0)), 1e-12, note="a neuron that is negative on every class"
        )
        return
    problem = case.problem(activation="relu")
    path = trajectory(problem, case.rng, case.steps)
    readings = [(step, l + 2, pair) for step, pairs in path for l, pair in enumerate(pairs)]
    failed = [(step, l) for step, l, pair in readings if not holds(pair) and known(pair)]
    where = (
        f"; fails at {len(failed)} of {len(readings)}, steps {failed[0][0]} to {failed[-1][0]}, layers"
        f" {sorted({l for _, l in failed})}"
        if failed
        else ""
    )
    end = path[-1]
    if not all(map(known, end[1])):
        yield Evidence(
            math.nan,
            "==",
            0,
            0,
            "sampled",
            f"at step {end[0]} the features of a layer do not tell the classes apart: no ratio",
        )
        return
    tightest = max((before / after for before, after in end[1] if after > 0), default=math.nan)
    yield Evidence(
        sum(not holds(pair) for pair in end[1]), "==", 0, 0, "sampled", f"at step {end[0]}; largest r/r~ {tightest:.4f}"
    )
    last = max((step for step, _ in failed), default=0)
    yield Evidence(last, "<", EARLY * case.steps, 0, "sampled", f"last step at which it fails, of {case.steps}{where}")


CLAIM = Claim(
    id="gk25:assumption1",
    title=(
        "Assumption 1 (ReLU does not lower the ratio of global mean to simplex part) at the end of gradient descent"
        " runs"
    ),
    statement=(
        "At the end of full-batch gradient descent from Gaussian starts r_l <= r~_l at every layer; "
        "along a run it fails, if at all, in the first fifth of its steps."
    ),
    source="gk25, Assumption 1",
    hypotheses={
        "relu layers: L >= 2": lambda c: c.L >= 2,
        "K >= 10, as in Theorem 7": lambda c: c.K >= 10,
        "no neuron is dead on all classes": lambda c: not c.get("dead"),
    },
    check=check,
    kind="empirical",
    cases=[
        Case(K=10, n=5, d=20, L=L, lam=lam, rng=rng, steps=1500)
        for L, lam, rngs in ((3, 2**-9, 3), (4, 2**-9, 3))
        for rng in range(rngs)
    ],
    controls=[
        *(Case(K=4, n=1, d=8, L=4, lam=2**-9, rng=rng, steps=1500) for rng in (7, 9)),
        Case(K=10, n=1, d=11, L=3, lam=2**-9, rng=0, steps=0, dead=1.0),
        planted(
            "the ratios are read of M = I with one dead neuron, weakly negative",
            K=10,
            n=1,
            d=11,
            L=2,
            lam=2**-9,
            rng=0,
            steps=0,
            dead=0.5,
        ),
    ],
    scope=(
        "runs of 1500 steps at K=10, n=5, d=20: at L = 3 it held at every reading; at L = 4 it failed in one of three"
        " runs, at layer 4 within the first 50 steps, and never at the end. Seen on samples, not proved: at K=4, n=1,"
        " d=8, L=4 two of twelve runs end against it"
    ),
)
