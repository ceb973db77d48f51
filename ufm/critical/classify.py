"""The one door to signatures: `classify` takes every point, and chooses what is known of its model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ufm.critical.identify import identify
from ufm.critical.nonlinear import classify_nonlinear, model_rank
from ufm.critical.point import CriticalPoint
from ufm.critical.signature import classify_linear
from ufm.numerics import arguments
from ufm.numerics.hints import Rng
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint, PointLike, point_of

SYMMETRIC = 1e-6
"""Size in units of Lam up to which the zeros that symmetry explains are looked for."""


@named_arguments
@own_numpy_state
def classify(
    point: PointLike,
    *,
    grad_tol: float = 1e-6,
    eig_tol: float | None = None,
    extremes: bool = True,
    restarts: int = 0,
    noise: float = 1e-3,
    rng: Rng = None,
) -> CriticalPoint:
    """The signature of what is a point or holds one: LogitPoint, FactorPoint, Result, CriticalPoint, row of a table.

    grad_tol: gradient norm (full factor space), relative to that of the ridge term alone, above which a point is
    `not critical` and gets no signature; a FactorPoint that is zero up to its own size (`objectives.stationary`) is
    judged as zero.
    eig_tol: size in units of Lam up to which an eigenvalue is taken to be zero; without one, what is not told from zero
    is open.
    extremes: also the lowest and highest eigenvalue.
    restarts, noise, rng: perturbed restarts of a stationary point on kinks (`critical.nonlinear.local_minimum_test`);
    not used elsewhere.

    >>> from ufm.problem import Problem
    >>> from ufm.structures import dnc
    >>> classify(dnc(Problem(K=4, n=2, d=6, L=2, lam=1e-3)))
    dnc: F = 0.023358703170, rank 3, local minimum; index 0, nullity 24 (24 by symmetry); |grad| = ...

    Raises ValueError for anything that is not a point. The theorem used: `critical.signature`; of models that are not
    linear: `critical.nonlinear`.
    """
    point = point_of("point", point)
    point.problem.needs_ridge("classify")
    tolerances = {"gradient": grad_tol, "eigenvalue": SYMMETRIC if eig_tol is None else eig_tol}
    decreed = eig_tol is not None
    if isinstance(point, LogitPoint) or point.problem.linear:  # a LogitPoint belongs to a linear model
        return classify_linear(point, tolerances, decreed, extremes)
    restarts, noise = arguments.integer("restarts", restarts, 0), arguments.positive("noise", noise)
    return classify_nonlinear(point, tolerances, decreed, restarts, noise, rng)


def classify_end(end) -> CriticalPoint:
    """The end of a descent, with its signature where it has one: `classify` without the extreme eigenvalues; without a
    ridge, where no end is a minimum, the end of status `unknown` with its value, gradient norm and rank."""
    point = point_of("end", end)
    if not point.problem.ridgeless:
        return classify(point, extremes=False)
    if isinstance(point, LogitPoint):
        here = Stratum(point)
        fun, grad_norm, rank = here.fun, here.grad_norm, point.rank
    else:
        objective, x = objective_of(point)
        rank = point.to_logits(rel_tol=1e-9).rank if point.problem.linear else model_rank(point)
        fun, grad_norm = float(objective.value(x)), float(np.linalg.norm(np.asarray(objective.grad(x))))
    why = point.problem.without_ridge("a signature")
    return CriticalPoint.unsigned(point, fun, grad_norm, rank, status="unknown", why=why, name=None)


def critical_of(name: str, value) -> CriticalPoint:
    """The CriticalPoint that a value is or holds, else the value classified; under a name.

    Raises ValueError naming the argument for what is no point, and for points that are not critical.
    """
    held = getattr(value, "critical", value)
    point_of(name, held).problem.needs_ridge("a critical point")
    critical = held if isinstance(held, CriticalPoint) else classify(point_of(name, held))
    if critical.status == "not critical":
        raise ValueError(f"{name} must be a critical point; got one that is not: {critical.why}.")
    return with_name(critical)


def with_name(point):
    """A CriticalPoint or LogitPoint under the name that `identify` gives it, where it has none."""
    return point if point.name else replace(point, name=identify(point).name)
