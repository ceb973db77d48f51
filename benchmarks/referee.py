"""One judge for everybody's answers: value and gradient norm at full width on all samples, and the critical point it
belongs to."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks.measure import End
from ufm.objectives.factors import FactorObjective
from ufm.points import LogitPoint
from ufm.problem import Problem

CLOSE = 1e-5
"""Gradient norm below which an answer is given a name."""


def judge(problem: Problem, answer) -> End:
    """The End of (point or flat factors, evaluations).

    At kinks of ReLU the gradient norm is the smallest over the slopes there, as `classify` gives it.
    """
    where, evaluations = answer
    objective = FactorObjective(problem)
    x = flat(objective, where)
    if not problem.linear:
        return _kinked(objective, x, evaluations)
    fun, grad = objective.value_grad(x)
    fun, grad_norm = float(fun), float(np.linalg.norm(grad))
    name, off = ("not converged", None) if grad_norm > CLOSE else nearest(objective, x, fun)
    return End(fun, grad_norm, evaluations, off, name)


def _kinked(objective: FactorObjective, x, evaluations) -> End:
    import ufm

    point = objective.point(x)
    critical = ufm.classify(point)
    name = "not converged" if critical.grad_norm > CLOSE else ufm.identify(point).name
    return End(float(objective.value(x)), critical.grad_norm, evaluations, name=name)


def flat(objective: FactorObjective, where) -> np.ndarray:
    """A LogitPoint, FactorPoint or flat vector as factors at full width."""
    if isinstance(where, LogitPoint):
        return objective.lift(where)
    return where if isinstance(where, np.ndarray) else objective.pack(where.factors, where.b)


def nearest(objective: FactorObjective, x, fun: float) -> tuple[str, float | None]:
    """(name, F minus the value of that critical point): the closed form where the name has one, else Newton's end on
    the rank stratum."""
    import ufm

    point = objective.to_logits(x, collapse=True, tol=1e-4)
    name = ufm.identify(point).name
    value = closed(objective.problem).get(name)
    if value is None:
        end = ufm.minimize(objective.problem, point, method="newton")
        value = end.fun if end.success else None
    return name, None if value is None else fun - value


@functools.cache
def closed(problem: Problem) -> dict[str, float]:
    """Values of the structures in closed form."""
    from ufm import structures

    return {name: float(_value(point)) for name, point in structures.existing(problem)[0].items()}


def _value(point) -> float:
    from ufm.objectives.logits import value

    return value(point)
