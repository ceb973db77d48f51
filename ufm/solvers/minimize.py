"""One verb for every way down."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ufm.numerics import arguments, interruption
from ufm.numerics.arrays import namespace
from ufm.numerics.bars import progress_bar
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import generator, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.rows import BatchObjective
from ufm.objectives.stationary import asked, asked_at, is_zero
from ufm.points import LogitPoint, held_point
from ufm.problem import Problem
from ufm.solvers.choices import check_start, objective_in, space_of, start_of
from ufm.solvers.descent import descend
from ufm.solvers.flow import gradient_flow
from ufm.solvers.kinks import KINKED, finish_on_kinks, finished_on_kinks
from ufm.solvers.lbfgs import lbfgs
from ufm.solvers.messages import CLARKE, GRADIENT, sentence
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import method_of
from ufm.solvers.newton import newton_on_factors, newton_on_stratum
from ufm.solvers.result import Result, Trace
from ufm.solvers.watch import Stopped, Watcher


@renamed(memory="pairs")
@named_arguments
@own_numpy_state
def minimize(
    problem: Problem,
    start=None,
    method: str = "lbfgs",
    rng=None,
    tol: float = 1e-12,
    callback=None,
    *,
    space: str | None = None,
    trace: int = 0,
    progress: bool | None = None,
    **settings,
) -> Result:
    """A critical point of F(W_L, ..., W_1, H_1) = g(Z) + sum_l (lam_l/2)||A_l||^2 downhill of a start.

    method: `lbfgs` (finished by Newton on the rank stratum; with relu or leaky_relu on the kinks, see `solvers.kinks`,
    unless max_steps < 500 cuts it short), `newton` (the critical point nearest the
    start, of any index), `gd`, `adam`, `adamw`, `sign`, `polar`, `flow`, and every other that `solvers.methods` or a
    file in use holds; their settings are the fields of their records. decay="decoupled" (gd, adam, sign, polar; adamw
    has no other) keeps the ridge out of the direction: x <- x - lr direction - lr lam x. The result is about F all the
    same: fun and grad_norm are those of F.
    start: None for Gaussian N(0, 1/d), anything that is a point or holds one, or one of `solvers.starts`.
    space: `factors` runs on all N columns at full width; `reduced` on one weighted column per class and (linear models)
    widths min(d, K), which has the same minima. Default: `reduced` for lbfgs and newton but for FactorPoint starts and
    models without s(t x) = t s(x), else `factors`. tol: on the norm of the full gradient; after a finish on kinks, of
    the smallest gradient over slopes at kinks (`objectives.clarke`). Success asks for 1e-6 of the ridge's own gradient
    besides (`objectives.stationary`). trace: record every that many steps. callback(intermediate_result) may raise
    StopIteration to stop the run.

    Returns a Result; not converging is a result whose message says so. Interrupting with Ctrl-C returns
    the point reached. Raises ValueError for unknown methods, spaces and settings, naming them.

    >>> minimize(Problem(K=4, L=2, lam=0.02), rng=0).success
    True
    """
    arguments.instance("problem", problem, Problem)
    began = time.perf_counter()
    tol = arguments.positive("tol", tol)
    every = arguments.integer("trace", trace, 0)
    start = held_point(start) or start
    space = space_of(problem, start, method, space)
    way = method_of(method, settings, problem, space)
    settings = way.settings
    seed = seed_sequence(rng)
    draw = generator(seed)
    objective = objective_in(problem, space)
    check_start(problem, start)
    x = start_of(start)(objective, draw)
    records = Trace() if every else None
    bar = progress_bar(total=settings.get("steps"), desc=method, progress=progress if "steps" in settings else False)
    watch = Watcher(objective, every, records, callback, bar)
    try:
        with bar, np.errstate(over="ignore", invalid="ignore"):
            (point, grad_norm, fun, target), nit, nfev, message, measure = _run(
                objective, x, way, tol, draw, watch, start
            )
    except (Stopped, KeyboardInterrupt) as stop:
        if isinstance(stop, KeyboardInterrupt):
            interruption.pass_on()
        stop = watch.stopped(stop, x)
        (point, grad_norm, fun, target), nit, nfev, message, measure = (
            _end(objective, stop.x, tol),
            stop.nit,
            stop.nit,
            str(stop),
            GRADIENT,
        )
    success = bool(grad_norm <= target)
    message = sentence(success, message, grad_norm, tol, target, measure)
    said = (
        method,
        space,
        seed_record(seed),
        {"tol": tol, **settings},
        records,
        time.perf_counter() - began,
        float(target),
    )
    return Result(point, float(fun), float(grad_norm), success, message, nit, nfev, *said)


def _run(objective, x, way, tol, draw, watch, start):
    """((point, gradient norm, value, norm asked for), steps, evaluations, message, what the norm is of) of one
    method."""
    linear, method, settings = objective.problem.linear, way.name, way.settings
    if method == "newton" and linear:
        point = (
            replace(start, problem=objective.problem)
            if isinstance(start, LogitPoint)
            else objective.to_logits(x, collapse=objective.collapsed or None, tol=1e-12)
        )
        end, nit, message = newton_on_stratum(point, tol, settings["max_steps"], watch.stratum)
        return _at(end, tol), nit, nit, message, GRADIENT
    if method == "newton":
        x, nit, message = newton_on_factors(objective, x, tol, settings["max_steps"], watch=watch)
        nfev = nit
    elif isinstance(way, Descent):
        x, nit, message = _descended(objective, x, way, tol, draw, watch)
        nfev = nit + 1
    elif method == "flow":
        x, nit, nfev, message = gradient_flow(objective, x, tol, **settings, watch=watch)
    elif finished_on_kinks(objective.problem, settings["max_steps"]):
        x, _, nit, nfev, message = lbfgs(objective, x, tol, KINKED, settings["pairs"], watch=watch)
        if np.isfinite(objective.value(x)):
            end = finish_on_kinks(objective, x, tol)
            target = float(asked(tol, end.clarke.ridge_norm))
            message = (
                "converged"
                if end.clarke.residual <= target
                else f"{message}; no smoothing of the kinks led to a stationary point"
            )
            return (
                (objective.point(end.x), end.clarke.residual, end.fun, target),
                nit + end.steps,
                nfev + end.nfev,
                message,
                CLARKE,
            )
    else:
        x, stratum, nit, nfev, message = lbfgs(objective, x, tol, settings["max_steps"], settings["pairs"], watch=watch)
        if stratum is not None and objective.collapsed:
            return _at(stratum, tol), nit, nfev, message, GRADIENT
    return _end(objective, x, tol), nit, nfev, message, GRADIENT


def _descended(objective, x, way, tol, draw, watch):
    """(x, steps, message) of the end of a descent."""
    found = []

    def ended(labels, x, nit, nfev, sentence):
        found.append((np.array(x[0]), int(nit[0]), sentence))

    descend(
        BatchObjective(objective, namespace()),
        np.array(x)[None],
        way,
        tol,
        [draw],
        ended,
        watch=lambda step, fun, grad, x: watch(step, fun[0], grad[0], x[0]),
    )
    return found[0]


def _at(stratum: Stratum, tol: float):
    """(point, gradient norm, value, norm asked for) at a point of a stratum."""
    return stratum.point, stratum.grad_norm, stratum.fun, asked(tol, stratum.ridge_norm)


def _end(objective: FactorObjective, x, tol: float):
    """The end point: factors where they were the space, logits through the reduction of a linear model."""
    if objective.problem.linear and objective.collapsed:
        return _at(reduced_end(objective, x), tol)
    fun, grad = objective.value_grad(x)
    return objective.point(x), float(np.linalg.norm(grad)), fun, asked_at(objective, x, tol)


def reduced_end(objective: FactorObjective, x) -> Stratum:
    """Where a flat vector of the reduction stands in logits; at rank 0 where it is zero up to its own size and not
    critical besides."""
    end = Stratum(objective.to_logits(x, collapse=True, tol=1e-14))
    small = end.point.rank and end.grad_norm > asked(np.inf, end.ridge_norm) and is_zero(objective, x)
    return Stratum(objective.to_logits(x, 0, collapse=True)) if small else end
