"""Where runs start. A start is a function (objective, generator) -> x on the objective's own factors."""

from __future__ import annotations

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.spectra import thin_svd
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint, point_of


def gaussian(scale: float | None = None):
    """Entries N(0, scale^2), default N(0, 1/d) with d the largest hidden width of the factors at hand."""
    scale = None if scale is None else arguments.positive("scale", scale)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        sigma = 1.0 / np.sqrt(max(shape[0] for shape in objective.shapes[:-1])) if scale is None else scale
        x = sigma * draw.standard_normal(objective.size)
        if objective.problem.bias is not None:
            x[-objective.problem.K :] = 0.0
        return x

    return start


def balanced(scale: float = 1.0):
    """Balanced factors in random frames, whose product is scale times that of a Gaussian start (linear models)."""
    scale = arguments.positive("scale", scale)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        Z = scale * objective.logits(gaussian()(objective, draw))
        svd = thin_svd(Z)
        point = LogitPoint(objective.problem, svd.U, svd.s, svd.V)
        return objective.lift(point, draw)

    return start


def near(point, radius: float = 1e-3):
    """A point or what holds one, lifted if need be, plus Gaussian noise of norm about radius times its own norm (radius
    0: itself)."""
    point = point_of("point", point)
    radius = arguments.nonnegative("radius", radius)

    def start(objective: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        x = at(objective, point, draw)
        size = max(float(np.linalg.norm(x)), 1e-3)
        return x + radius * size / np.sqrt(len(x)) * draw.standard_normal(len(x))

    return start


def at(objective: FactorObjective, point: FactorPoint | LogitPoint, draw=None) -> np.ndarray:
    """x of a given point on the objective's factors."""
    if isinstance(point, LogitPoint):
        return objective.lift(point, draw)
    plain = FactorObjective(objective.problem)
    if plain.shapes != objective.shapes:
        return objective.lift(point.to_logits(rel_tol=1e-12, collapse=objective.collapsed), draw)
    return objective.pack(point.factors, point.b)
