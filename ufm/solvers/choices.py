"""What a run needs before its first step: space, objective, start and settings, each checked, with its default."""

from __future__ import annotations

from ufm.numerics import arguments, words
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers import starts

SETTINGS = {
    "lbfgs": {"max_steps": 10_000, "memory": 10},
    "newton": {"max_steps": 50},
    "gd": {"lr": 0.5, "momentum": 0.0, "batch": None, "steps": 20_000},
    "flow": {"time": 1e4, "integrator": "RK45", "rtol": 1e-6, "atol": 1e-9},
}

VERB_WORDS = ("rng", "starts", "start", "method", "space", "tol", "scale", "progress", "trace")
"""What verbs take beside the settings of a method: the words that a wrong one may stand for."""


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
    if space is None:
        whole = method in ("gd", "adam", "flow") or not problem.activation.homogeneous or isinstance(start, FactorPoint)
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
        "start must be None, a FactorPoint, a LogitPoint or a function from solvers.starts; got"
        f" {type(start).__name__}."
    )


def refuse_unknown(method: str, given, known) -> None:
    """ValueError for the first setting that a method does not have, with the word that is meant, a verb's own
    included."""
    for name in given:
        if name not in known:
            hint = words.suggestion(name, [*known, *(word for word in VERB_WORDS if word not in known)])
            raise ValueError(
                f"{name} is not a setting of method {method!r}; {hint + ' It' if hint else 'it'} has"
                f" {', '.join(known)}."
            )


def settings_of(method: str, given: dict, problem: Problem, space: str) -> dict:
    """The settings of a method with its defaults; ValueError naming one that is unknown or of wrong value."""
    refuse_unknown(method, given, SETTINGS[method])
    result = SETTINGS[method] | given
    for name in ("lr", "time", "rtol", "atol"):
        if name in result:
            result[name] = arguments.positive(name, result[name])
    for name in ("steps", "max_steps", "memory"):
        if name in result:
            result[name] = arguments.integer(name, result[name], 1)
    if "momentum" in result and not 0 <= arguments.real("momentum", result["momentum"]) < 1:
        raise ValueError(f"momentum must lie in [0, 1); got momentum={result['momentum']!r}.")
    if result.get("batch") is not None:
        result["batch"] = arguments.integer("batch", result["batch"], 1)
        if result["batch"] > problem.N:
            raise ValueError(f"batch must be at most the number of samples {problem.N}; got batch={result['batch']}.")
        if space == "reduced":
            raise ValueError(
                f"batch draws samples and needs space='factors'; got batch={result['batch']} with space='reduced'."
            )
    if "integrator" in result:
        arguments.choice("integrator", result["integrator"], ("RK45", "DOP853", "BDF", "LSODA"))
    return result
