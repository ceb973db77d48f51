"""One verb for every way down."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from ufm.numerics import arguments
from ufm.numerics.seeds import generator, seed_record, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers import starts
from ufm.solvers.descent import gradient_descent
from ufm.solvers.flow import gradient_flow
from ufm.solvers.kinks import KINKED, finish_on_kinks, finished_on_kinks
from ufm.solvers.lbfgs import lbfgs
from ufm.solvers.newton import newton_on_factors, newton_on_stratum
from ufm.solvers.result import Intermediate, Result, Trace

SETTINGS = {
    "lbfgs": {"max_steps": 10_000, "memory": 10},
    "newton": {"max_steps": 50},
    "gd": {"lr": 0.5, "momentum": 0.0, "batch": None, "steps": 20_000},
    "flow": {"time": 1e4, "integrator": "RK45", "rtol": 1e-6, "atol": 1e-9},
}

GRADIENT, CLARKE = "gradient norm", "Clarke residual"


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

    method: `lbfgs` (finished by Newton on the rank stratum; with relu or leaky_relu on the kinks, see `solvers.kinks`, unless
    max_steps < 500 cuts it short), `newton` (the critical point nearest the
    start, of any index), `gd` (lr, momentum, batch, steps), `flow` (time, integrator, rtol, atol).
    start: None for Gaussian N(0, 1/d), a FactorPoint, a LogitPoint, or one of `solvers.starts`.
    space: `factors` runs on all N columns at full width; `reduced` on one weighted column per class and
    (linear models) widths min(d, K), which has the same minima. Default: `factors` for gd, flow, FactorPoint starts and models
    without s(t x) = t s(x), else `reduced`. tol: on the norm of the full gradient; after a finish on kinks, of the smallest
    gradient over slopes at kinks (`objectives.clarke`). trace: record every that many steps. callback(intermediate_result) may
    raise StopIteration to stop the run.

    Returns a Result; not converging is a result whose message says so. Interrupting with Ctrl-C returns
    the point reached. Raises ValueError for unknown methods, spaces and settings, naming them.

    >>> minimize(Problem(K=4, L=2, lam=0.02), rng=0).success
    True
    """
    arguments.instance("problem", problem, Problem)
    began = time.perf_counter()
    method = arguments.choice("method", method, SETTINGS)
    tol = arguments.positive("tol", tol)
    every = arguments.integer("trace", trace, 0)
    space = _space(problem, start, method, space)
    settings = _settings(method, settings, problem, space)
    seed = seed_sequence(rng)
    draw = generator(seed)
    objective = _objective(problem, space)
    _check_start(problem, start)
    x = _start(start)(objective, draw)
    records = Trace() if every else None
    bar = tqdm(total=settings.get("steps"), desc=method, delay=2, leave=False, disable=_hidden(method, progress))
    watch = _watcher(objective, every, records, callback, bar)
    try:
        with bar, np.errstate(over="ignore", invalid="ignore"):
            point, grad_norm, fun, nit, nfev, message, measure = _run(objective, x, method, tol, draw, settings, watch, start)
    except (_Stopped, KeyboardInterrupt) as stop:
        stop = watch.stopped(stop, x)
        x = stop.x
        point, grad_norm, fun, nit, nfev, message, measure = *_end(objective, x), stop.nit, stop.nit, str(stop), GRADIENT
    success = bool(grad_norm <= tol)
    message = _sentence(success, message, grad_norm, tol, measure)
    seconds = time.perf_counter() - began
    return Result(
        point, float(fun), float(grad_norm), success, message, nit, nfev, method, space, seed_record(seed), {"tol": tol, **settings}, records, seconds
    )


def _hidden(method: str, progress: bool | None) -> bool | None:
    """tqdm's `disable`: only gradient descent runs long enough for a bar; None shows it on a terminal."""
    return True if method != "gd" else None if progress is None else not progress


def _run(objective, x, method, tol, draw, settings, watch, start):
    """(point, gradient norm, value, steps, evaluations, message, what the norm is of) of one method."""
    linear = objective.problem.linear
    if method == "newton" and linear:
        point = (
            replace(start, problem=objective.problem)
            if isinstance(start, LogitPoint)
            else objective.to_logits(x, collapse=objective.collapsed or None, tol=1e-12)
        )
        end, nit, message = newton_on_stratum(point, tol, settings["max_steps"], watch.stratum)
        return end.point, end.grad_norm, end.fun, nit, nit, message, GRADIENT
    if method == "newton":
        x, nit, message = newton_on_factors(objective, x, tol, settings["max_steps"], watch=watch)
        nfev = nit
    elif method == "gd":
        x, nit, message = gradient_descent(objective, x, tol, draw, **settings, watch=watch)
        nfev = nit + 1
    elif method == "flow":
        x, nit, nfev, message = gradient_flow(objective, x, tol, **settings, watch=watch)
    elif finished_on_kinks(objective.problem, settings["max_steps"]):
        x, _, nit, nfev, message = lbfgs(objective, x, tol, KINKED, settings["memory"], watch=watch)
        if np.isfinite(objective.value(x)):
            end = finish_on_kinks(objective, x, tol)
            message = "converged" if end.clarke.residual <= tol else f"{message}; no smoothing of the kinks led to a stationary point"
            return objective.point(end.x), end.clarke.residual, end.fun, nit + end.steps, nfev + end.nfev, message, CLARKE
    else:
        x, stratum, nit, nfev, message = lbfgs(objective, x, tol, **settings, watch=watch)
        if stratum is not None and objective.collapsed:
            return stratum.point, stratum.grad_norm, stratum.fun, nit, nfev, message, GRADIENT
    return *_end(objective, x), nit, nfev, message, GRADIENT


def _end(objective: FactorObjective, x):
    """The end point: factors where they were the space, logits through the reduction of a linear model."""
    if objective.problem.linear and objective.collapsed:
        end = Stratum(objective.to_logits(x, collapse=True, tol=1e-14))
        return end.point, end.grad_norm, end.fun
    fun, grad = objective.value_grad(x)
    return objective.point(x), float(np.linalg.norm(grad)), fun


def _objective(problem: Problem, space: str) -> FactorObjective:
    if space == "factors":
        return FactorObjective(problem)
    return FactorObjective(problem, True, tuple(min(d, problem.K) for d in problem.widths) if problem.linear else None)


def _space(problem: Problem, start, method: str, space: str | None) -> str:
    if space is None:
        whole = method in ("gd", "flow") or not problem.activation.homogeneous or isinstance(start, FactorPoint)
        if isinstance(start, LogitPoint) and not start.collapsed:
            whole = True
        return "factors" if whole else "reduced"
    return arguments.choice("space", space, ("factors", "reduced"))


def _check_start(problem: Problem, start) -> None:
    if isinstance(start, LogitPoint) and not problem.linear:
        raise ValueError(f"start is a LogitPoint, which needs a linear model; got activation={problem.activation.name!r}.")
    if isinstance(start, (FactorPoint, LogitPoint)) and (start.problem.K, start.problem.n, start.problem.L) != (problem.K, problem.n, problem.L):
        raise ValueError(f"start must have the problem's K, n and L; got a point of {start.problem!r}.")


def _start(start):
    if start is None:
        return starts.gaussian()
    if isinstance(start, (FactorPoint, LogitPoint)):
        return lambda objective, draw: starts.at(objective, start, draw)
    if callable(start):
        return start
    raise ValueError(f"start must be None, a FactorPoint, a LogitPoint or a function from solvers.starts; got {type(start).__name__}.")


def _settings(method: str, given: dict, problem: Problem, space: str) -> dict:
    for name in given:
        if name not in SETTINGS[method]:
            raise ValueError(f"{name} is not a setting of method {method!r}; it has {', '.join(SETTINGS[method])}.")
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
            raise ValueError(f"batch draws samples and needs space='factors'; got batch={result['batch']} with space='reduced'.")
    if "integrator" in result:
        arguments.choice("integrator", result["integrator"], ("RK45", "DOP853", "BDF", "LSODA"))
    return result


def _sentence(success: bool, message: str, grad_norm: float, tol: float, measure: str = GRADIENT) -> str:
    if success:
        return f"converged to {measure} {grad_norm:.1e} <= {tol:g}" if message == "converged" else message
    said = "" if message == "converged" else message + "; "
    return f"not converged: {said}{measure} {grad_norm:.2e} > {tol:g}"


class _Stopped(Exception):
    """A run ended early, by its callback or by Ctrl-C, at x."""

    def __init__(self, x, nit: int, why: str):
        super().__init__(why)
        self.x, self.nit = x, nit


class _watcher:
    """Feeds the trace and the callback, and turns their wish to stop, or Ctrl-C, into `_Stopped`."""

    def __init__(self, objective, every, records, callback, bar):
        self.objective, self.every, self.records, self.callback, self.bar = objective, every, records, callback, bar
        self._x, self._nit = None, 0

    def stopped(self, stop, start) -> _Stopped:
        """The early end as a `_Stopped`; after Ctrl-C, at the last point seen."""
        if isinstance(stop, _Stopped):
            return stop
        return _Stopped(np.array(start if self._x is None else self._x), self._nit, "interrupted")

    def __call__(self, nit, fun, grad, x):
        self._x, self._nit = x, nit
        if nit % 100 == 0:
            self.bar.update(nit - self.bar.n)
        if self.every and nit % self.every == 0:
            self.records.record(nit, fun, np.linalg.norm(grad), self._class_logits(x))
        if self.callback is not None:
            try:
                self.callback(Intermediate(nit, float(fun), float(np.linalg.norm(grad)), np.array(x), self.objective))
            except StopIteration:
                raise _Stopped(np.array(x), nit, "stopped by the callback") from None

    def stratum(self, nit, stratum):
        """The same for Newton's iterates on a stratum."""
        self._x, self._nit = self.objective.lift(stratum.point), nit
        if self.every and nit % self.every == 0:
            self.records.record(nit, stratum.fun, stratum.grad_norm, stratum.point.class_logits())
        if self.callback is not None:
            try:
                self.callback(Intermediate(nit, stratum.fun, stratum.grad_norm, None, stratum))
            except StopIteration:
                raise _Stopped(self.objective.lift(stratum.point), nit, "stopped by the callback") from None

    def _class_logits(self, x, largest: int = 64):
        problem = self.objective.problem
        if problem.K > largest:
            return None
        Z, columns = self.objective.logits(x) * self.objective.fit.columns.scale, problem.samples
        Z = Z if self.objective.collapsed else Z @ (columns.Y.T / problem.counts)
        b = self.objective.unpack(x)[1]
        return Z if b is None else Z + b[:, None]
