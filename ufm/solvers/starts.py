"""Where runs start: in which space, on which objective, at which point, each checked, with its default.

A start is a function (objective, generator) -> x on the objective's own factors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.arrays import NUMPY, Arrays
from ufm.numerics.spectra import thin_svd
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint, PointLike, point_of
from ufm.problem import Problem
from ufm.solvers.methods.method import METHODS

Start = Callable[[FactorObjective, np.random.Generator], np.ndarray]
"""Where a run starts: (objective, generator) -> x."""


def gaussian(scale: float | None = None) -> Start:
    """Entries N(0, scale^2), default N(0, 1/d) with d the largest hidden width of the factors at hand."""
    scale = None if scale is None else arguments.positive("scale", scale)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        sigma = 1.0 / np.sqrt(max(shape[0] for shape in objective.shapes[:-1])) if scale is None else scale
        x = sigma * draw.standard_normal(objective.size)
        if objective.problem.bias is not None:
            x[-objective.problem.K :] = 0.0
        return x

    return start


def balanced(scale: float = 1.0) -> Start:
    """Balanced factors in random frames, whose product is scale times that of a Gaussian start (linear models)."""
    scale = arguments.positive("scale", scale)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        Z = scale * objective.logits(gaussian()(objective, draw))
        svd = thin_svd(Z)
        point = LogitPoint(objective.problem, svd.U, svd.s, svd.V)
        return objective.lift(point, draw)

    return start


def near(point: PointLike, radius: float = 1e-3) -> Start:
    """A point or what holds one, lifted if need be, plus Gaussian noise of norm about radius times its own."""
    point = point_of("point", point)
    radius = arguments.nonnegative("radius", radius)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        x = at(objective, point, draw)
        size = max(float(np.linalg.norm(x)), 1e-3)
        return x + radius * size / np.sqrt(len(x)) * draw.standard_normal(len(x))

    return start


def at(
    objective: FactorObjective, point: FactorPoint | LogitPoint, draw: np.random.Generator | None = None
) -> np.ndarray:
    """x of a given point on the objective's factors."""
    if isinstance(point, LogitPoint):
        return objective.lift(point, draw)
    plain = FactorObjective(objective.problem)
    if plain.shapes != objective.shapes:
        return objective.lift(point.to_logits(rel_tol=1e-12, collapse=objective.collapsed), draw)
    return objective.pack(point.factors, point.b)


# what a run needs before its first step


def objective_in(problem: Problem, space: str, on: Arrays = NUMPY) -> FactorObjective:
    """On all factors and samples, or the exact reduction: a column per class and, for linear models with a ridge,
    widths min(d, K).

    ValueError where its parameters are too many to be held.
    """
    few = space == "reduced" and problem.linear and not problem.ridgeless
    narrow = tuple(min(d, problem.K) for d in problem.widths) if few else None
    objective = FactorObjective(problem, space == "reduced", narrow, on=on)
    arguments.room("the vector of all parameters", objective.size, instead="take smaller n, d or L, or space='reduced'")
    return objective


def space_of(problem: Problem, start: PointLike | Start | None, method: str, space: str | None) -> str:
    """The space asked for, or `reduced` unless the method, the start or the activation needs all factors."""
    own = METHODS.get(method, "method")
    if space is None:
        whole = own.space == "factors" or not problem.activation.homogeneous or isinstance(start, FactorPoint)
        if isinstance(start, LogitPoint) and not start.collapsed:
            whole = True
        return "factors" if whole else "reduced"
    return arguments.choice("space", space, ("factors", "reduced"))


def check_start(problem: Problem, start: PointLike | Start | None) -> None:
    """ValueError for a point of another problem or kind of model."""
    if isinstance(start, LogitPoint) and not problem.linear:
        raise ValueError(
            f"start is a LogitPoint, which needs a linear model; got activation={problem.activation.name!r}."
        )
    if isinstance(start, (FactorPoint, LogitPoint)) and (start.problem.K, start.problem.n, start.problem.L) != (
        problem.K,
        problem.n,
        problem.L,
    ):
        raise ValueError(f"start must have the problem's K, n and L; got a point of {start.problem!r}.")


def start_of(start: PointLike | Start | None) -> Start:
    """start as a function (objective, generator) -> x."""
    if start is None:
        return gaussian()
    if isinstance(start, (FactorPoint, LogitPoint)):
        return lambda objective, draw: at(objective, start, draw)
    if callable(start):
        return start
    raise ValueError(
        f"start must be None, a point, what holds one, or a function from solvers.starts; got {type(start).__name__}."
    )
