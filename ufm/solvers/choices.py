"""What a run needs before its first step: space, objective and start, each checked, with its default."""

from __future__ import annotations

from ufm.numerics import arguments
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers import starts
from ufm.solvers.methods.method import METHODS


def objective_in(problem: Problem, space: str) -> FactorObjective:
    """On all factors and samples, or the exact reduction: a column per class and, for linear models, widths min(d, K).

    ValueError where its parameters are too many to be held.
    """
    if space == "factors":
        objective = FactorObjective(problem)
    else:
        objective = FactorObjective(
            problem, True, tuple(min(d, problem.K) for d in problem.widths) if problem.linear else None
        )
    arguments.room("the vector of all parameters", objective.size, instead="take smaller n, d or L, or space='reduced'")
    return objective


def space_of(problem: Problem, start, method: str, space: str | None) -> str:
    """The space asked for, or the default: `reduced` unless the method, the start or the activation needs all
    factors."""
    own = METHODS.get(method, "method")
    if space is None:
        whole = own.space == "factors" or not problem.activation.homogeneous or isinstance(start, FactorPoint)
        if isinstance(start, LogitPoint) and not start.collapsed:
            whole = True
        return "factors" if whole else "reduced"
    return arguments.choice("space", space, ("factors", "reduced"))


def check_start(problem: Problem, start) -> None:
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


def start_of(start):
    """start as a function (objective, generator) -> x."""
    if start is None:
        return starts.gaussian()
    if isinstance(start, (FactorPoint, LogitPoint)):
        return lambda objective, draw: starts.at(objective, start, draw)
    if callable(start):
        return start
    raise ValueError(
        f"start must be None, a point, what holds one, or a function from solvers.starts; got {type(start).__name__}."
    )
