"""Descent through kinks: what a point of a deep ReLU model comes to.

Minimisers of a ReLU model sit on kinks, where descent stalls above them. Replace s(x) = max(x, 0) by

    s_eps(x) = (x + sqrt(x^2 + eps^2))/2,      0 <= s_eps - s <= eps/2,

descend, and follow the minimum as eps falls. Broad smoothing first passes over small barriers and revives silent
neurons, so that more starts end low; `solvers.kinks` then takes the end to a stationary point of the ReLU model itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ufm.activations import Activation
from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.landscapes.gather import REFINED
from ufm.landscapes.row import Row, named
from ufm.landscapes.sources.source import Settings, Source
from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives import reductions
from ufm.objectives.clarke import merged
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.kinks import finish_on_kinks
from ufm.solvers.lbfgs import Walk
from ufm.structures import relu_collapse

COARSE = (0.3, 0.1, 0.03, 0.01)
"""Smoothing eps that starts go through, in units where all factors have entries of order one; most from the second
on."""
STEPS = 300
"""L-BFGS steps at each."""
PAIRS = 20
"""Its memory."""
SPARE = 2
"""Neurons that a start has beyond those it uses, where the widths allow."""
NOISE = 0.1
"""Standard deviation of the noise on factors of order one."""
REFINED_K = 28
"""Classes up to which structures that are not stationary are refined by descent: K_8, in about 15 s."""
TOL = 1e-12
"""Clarke residual asked of the end, relative to 1."""


def smooth_relu(eps: float) -> Activation:
    """s_eps with its derivatives."""
    eps = arguments.positive("eps", eps)

    def root(x):
        return np.sqrt(x * x + eps * eps)

    name = f"relu smoothed by {arguments.short(eps)}"
    return Activation(
        name, lambda x: 0.5 * (x + root(x)), lambda x: 0.5 + 0.5 * x / root(x), lambda x: 0.5 * eps * eps / root(x) ** 3
    )


def refine(point: FactorPoint, rng=None, noise: float = NOISE) -> Row:
    """What descent from a little noise around a point of a ReLU model reaches.

    The point is first brought to one column per class (if the samples of a class agree and counts are equal), equal
    ridge weights, and no dead neurons but a few spare ones; the end is brought back. noise: standard deviation, factors
    being of order one there; 0: from the point itself.

    Raises ValueError for other activations than relu, and with a bias.
    """
    arguments.instance("point", point, FactorPoint)
    relu_only(point.problem, "refine")
    noise = arguments.nonnegative("noise", noise)
    small, factors = reduced(point)
    draw = generator(seed_sequence(rng))
    start = [A + noise * draw.standard_normal(A.shape) for A in factors]
    before = value_of(point)
    return finished(point.problem, coarse(small, start, COARSE[1:] if noise else ()), before, "noise around a point")


def coarse(small: Problem, factors, schedule) -> FactorPoint:
    """Descent with the smoothed ReLU at each eps in turn, to gradients of 1e-2 Lam; `solvers.kinks` ends it."""
    x = FactorObjective(small).pack(factors)
    for eps in schedule:
        soft = FactorObjective(replace(small, activation=smooth_relu(eps)))
        walk = Walk(soft.value_grad, x, PAIRS)
        for _ in range(STEPS):
            if np.linalg.norm(walk.grad) <= 1e-2 * small.Lam or not walk.step():
                break
        x = walk.x
    return FactorObjective(small).point(x)


def finished(problem: Problem, point: FactorPoint, before: float, words: str) -> Row:
    """The stationary point of the ReLU model below a point of a reduced problem, as a row of the given problem:
    `before` is the value it started from, `residual` the Clarke residual relative to the ridge's gradient, `start` the
    start in words."""
    objective, x = merged(point)
    try:
        found = finish_on_kinks(objective, x, TOL)
        x, residual = found.x, found.clarke.relative
    except np.linalg.LinAlgError:  # LAPACK gave up: the rough end, with the gradient of slope 0 at kinks
        residual = float(np.linalg.norm(objective.grad(x)) / (objective.problem.Lam * np.linalg.norm(x)))
    end = lifted(problem, objective.point(x))
    critical = named(classify(end), identify(end).name)
    return Row(critical, 1, {words: 1}, {"before": before, "residual": residual, "start": words})


def value_of(point: FactorPoint) -> float:
    """F, on one column per class where the samples of a class agree."""
    objective, x = merged(point)
    return float(objective.value(x))


def one_each(problem: Problem) -> Problem:
    """The problem with one sample per class and one ridge weight: the same values at collapsed points."""
    few = reductions.samples.apply(problem) if problem.balanced else problem
    return reductions.weights.apply(few)


def reduced(point: FactorPoint) -> tuple[Problem, list[np.ndarray]]:
    """(`one_each` problem of the live neurons and a few spare ones, factors) of a point; all samples are kept where
    those of a class differ."""
    problem, factors = point.problem, [np.array(A) for A in point.factors]
    if problem.balanced:
        means = factors[0].reshape(len(factors[0]), problem.K, problem.per_class).mean(axis=2)
        if np.allclose(
            np.repeat(means, problem.per_class, axis=1), factors[0], rtol=0, atol=1e-9 * max(1.0, np.max(np.abs(means)))
        ):
            problem, factors[0] = reductions.samples.apply(problem), means
    factors = [np.sqrt(lam / problem.Lam) * A for lam, A in zip(problem.lams, factors, strict=True)]
    widths = []
    for l, d in enumerate(problem.widths):
        live = np.flatnonzero(np.any(factors[l], axis=1) & np.any(factors[l + 1], axis=0))
        room = min(d, len(live) + SPARE)
        factors[l] = np.pad(factors[l][live], [(0, room - len(live)), (0, 0)])
        factors[l + 1] = np.pad(factors[l + 1][:, live], [(0, 0), (0, room - len(live))])
        widths.append(room)
    return replace(reductions.weights.apply(problem), d=tuple(widths)), factors


def lifted(problem: Problem, point: FactorPoint) -> FactorPoint:
    """A point of `one_each(problem)`, of smaller widths, in the given problem: padded, weights restored."""
    fewer = point.problem.N != problem.N
    few = reductions.samples.apply(problem) if fewer else problem
    wide = relu_collapse.embedded(reductions.weights.apply(few), point.factors)
    end = reductions.weights.lift(few, wide)
    return reductions.samples.lift(problem, end) if fewer else end


def relu_only(problem: Problem, name: str) -> None:
    """ValueError for models that descent through kinks does not know."""
    problem.needs_ridge(name)
    if not problem.activation.rectifies or problem.bias is not None:
        raise ValueError(
            f"{name} needs activation='relu' without bias; got activation={problem.activation.name!r},"
            f" bias={problem.bias}."
        )
    if problem.L < 2:
        raise ValueError(f"{name} needs a hidden activation, L >= 2; got L={problem.L}.")


def rectifies(problem: Problem, largest: int) -> bool:
    """Whether descent through kinks from structured starts applies, up to so many classes."""
    deep = problem.activation.rectifies and problem.L >= 2
    return deep and problem.bias is None and problem.balanced and 3 <= problem.K <= largest


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """What descent finds from those structures that are not stationary, as `NAME refined`."""
    known = settings.structures[0]
    rough = [name for name in known if settings.classified(name).status == "not critical"]
    for i, name in enumerate(progress_bar(rough, desc="refine", progress=settings.progress)):
        yield (
            f"{name}{REFINED}",
            refine(arguments.instance(name, known[name], FactorPoint), child(child(settings.seed, 2), i)).point,
        )
    return ""


REFINED_STRUCTURES = Source(
    "refined structures",
    "descent through kinks from structures of a ReLU model that are not stationary",
    points,
    verbs=("compare",),
    applies=lambda problem: (
        "" if rectifies(problem, REFINED_K) else f"descent through kinks is for relu, up to {REFINED_K} classes."
    ),
)
