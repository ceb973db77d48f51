"""Samples of a class coincide at a global minimum.

For fixed W the loss is a sum over samples of psi_c(h) = |f_W(h) - e_c|^2/(2N) + (lam_0/2)|h|^2. So

* replacing every sample of a class by the cheapest of them never raises F: some global minimiser is collapsed;
* at a global minimiser every sample of class c minimises psi_c, and every choice of one sample per class, repeated, is
  a global minimiser with the same W. There lam_1 W_1'W_1 = lam_0 sum_c n h_c h_c' (the first two factors are linear),
  so h h' is the same for all samples of a class: h' = h or -h.
* h and -h together, h != 0: stationarity in W_1 asks for backprop vectors d, d' at W_1 h and -W_1 h with d' = -d. Away
  from zeros of W_1 h their supports are disjoint, so d = 0 and lam_0 h = -W_1'd = 0. Points with exact zeros in W_1 h
  are not covered by this last step, which is a sketch for them.
"""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml23.starts import restarted
from theory.sml23.twin import random_point, representatives
from ufm.metrics import class_means
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective, value
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import relu_collapse

NEAR = 2e-4
"""Of F of DNC: how near a descent must come to count as back."""
SPREAD = 1e-3
"""Within-class part of H_1, relative, that counts as none at the end of a descent."""


def within(point: FactorPoint) -> float:
    """|H_1 - class means|_F / |H_1|_F; 0 for H_1 = 0."""
    H, labels = point.factors[0], point.problem.labels
    means = class_means(H.T, labels, point.problem.K).T
    size = np.linalg.norm(H)
    return float(np.linalg.norm(H - means[:, labels]) / size) if size > 0 else 0.0


def collapse_of(point: FactorPoint) -> FactorPoint:
    """Every sample replaced by the cheapest of its class."""
    kept = representatives(point)
    return FactorPoint(point.problem, (point.factors[0][:, kept][:, point.problem.labels], *point.factors[1:]))


def descended(problem: Problem, seed, steps: int, noise: float) -> FactorPoint:
    """L-BFGS from DNC with all factors perturbed, each sample by itself."""
    objective = FactorObjective(problem)
    x = objective.pack(relu_collapse.relu_dnc(problem).factors)
    x = x + noise * np.linalg.norm(x) / np.sqrt(len(x)) * generator(seed).standard_normal(len(x))
    return objective.point(restarted(objective.value_grad, x, 6, maxiter=steps, ftol=0.0, gtol=1e-11).x)


def there(case) -> bool:
    """Whether DNC fits the widths and costs less than zero, so that a descent can come back to it."""
    problem = case.problem(loss="mse", activation="relu")
    return case.steps == 0 or (
        min(problem.widths) >= problem.K and float(relu_collapse.kappa(problem)[0]) < relu_collapse.tau(problem.L)
    )


def check(case):
    problem = case.problem(loss="mse", activation="relu")
    if case.steps == 0:
        draw = generator(child(seed_sequence(case.rng), 0))
        for _ in range(5):
            point = random_point(problem, draw)
            other = collapse_of(point) if case.get("by", "cheapest") == "cheapest" else _split(point)
            yield Evidence(
                value(other), "<", value(point), 1e-12, note="F after each class took its cheapest sample, F before"
            )
        return
    point = descended(problem, child(seed_sequence(case.rng), 1), case.steps, case.noise)
    F, dnc = value(point), relu_collapse.loss(problem)
    back = abs(F - dnc) <= NEAR * dnc  # a descent that stalled elsewhere says nothing about minimisers
    error = loose(point, abs(F - dnc))
    yield Evidence(
        F if back or case.steps < 100 else math.nan,
        "==",
        dnc,
        NEAR * dnc,
        "sampled",
        note="the descent came back to DNC",
    )
    yield Evidence(
        within(point) if back or case.steps < 100 else math.nan,
        "<",
        SPREAD,
        1e-7,
        "sampled",
        error=error if case.steps >= 100 else 0.0,
        note="within-class part of H_1 at its end",
    )


def loose(point: FactorPoint, excess: float) -> float:
    """The within-class part that an excess of F over its minimum allows, relative: (lam_0/2) |H - means|^2 is part of
    the excess."""
    size = float(np.linalg.norm(point.factors[0]))
    return math.sqrt(2 * (excess + 1e-15) / point.problem.lams[0]) / size if size else 0.0


def _split(point: FactorPoint) -> FactorPoint:
    """Every sample moved away from the mean of its class by as much again."""
    H, labels = point.factors[0], point.problem.labels
    means = class_means(H.T, labels, point.problem.K).T[:, labels]
    return FactorPoint(point.problem, (2 * H - means, *point.factors[1:]))


CLAIM = Claim(
    id="sml24:collapsed",
    title="Global minimisers have no variation within classes (DNC1)",
    statement=(
        "ReLU, MSE, no bias, any K, L, n, d: replacing each sample by the cheapest of its class never raises F, and at"
        " a global minimiser the samples of a class are equal up to sign; they are equal where no pre-activation W_1 h"
        " vanishes. So n samples act as one with n lam_0."
    ),
    source="sml24",
    hypotheses={
        "samples to compare": lambda c: c.n >= 2,
        "descents run": lambda c: c.steps == 0 or c.steps >= 100,
        "DNC to come back to": there,
    },
    check=check,
    cases=[
        *grid(K=[2, 4, 7], n=[2, 5], d=[3, 7], L=[1, 2, 4], lam=[0.05, 1e-3], rng=0, steps=0, noise=0.0),
        *grid(K=[2, 3], n=[2, 4], d=4, L=[2, 3], lam=0.03, rng=0, steps=300, noise=0.1),
    ],
    controls=[
        planted("samples move apart instead", K=3, n=3, d=4, L=2, lam=0.3, rng=0, steps=0, noise=0.0, by="apart"),
        *grid(K=3, n=2, d=4, L=3, lam=0.03, rng=0, steps=3, noise=0.1),
    ],
    uses=("sml24:scaling",),
    scope=(
        "the first two statements are proved in the module's docstring, the sign for points without exact zeros;"
        " descents end near DNC, not at certified minima"
    ),
)
