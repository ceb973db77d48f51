"""The ways to train, each a function State -> State without memory of its own, so that a saved run goes on bit by bit.

sgd       V <- momentum V + G + lam W,  W <- W - h V;  without momentum exactly  W <- (1 - h lam) W - h G
lbfgs     quasi-Newton steps with a weak Wolfe line search
flow      dx/dt = -grad F
log_flow  dx/dt = -(|x|/|g|) g,  g = grad log(mean loss): gradient flow of the loss in the clock |dx|/|x|
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ufm.networks.objective import Objective
from ufm.networks.schedules import factor
from ufm.numerics.seeds import child, generator
from ufm.solvers.lbfgs import Walk
from ufm.solvers.result import CONVERGED, Reason, Status

FIXED = ("heun", "rk4")
ADAPTIVE = ("RK45", "DOP853")


@dataclass(frozen=True, eq=False)
class State:
    """Where a run is: step, flat parameters x, what the method remembers, and why it ended, if it did."""

    step: int
    x: np.ndarray
    memory: dict = field(default_factory=dict)
    done: Reason | None = None
    converged: bool = False

    def at(self, x, **memory) -> State:
        return State(self.step + 1, x, memory)

    def end(self, status: Status, why: str = "", converged: bool = False) -> State:
        return replace(self, done=Reason(status, why), converged=converged)


def epoch_order(seed: np.random.SeedSequence, epoch: int, N: int) -> np.ndarray:
    """The order of samples in an epoch: a function of the run's seed and the epoch alone."""
    return generator(child(seed, epoch)).permutation(N)


def sgd(objective: Objective, settings: dict, seed, tol: float):
    """Gradient descent on all samples (batch None) or on `batch` of them, N // batch disjoint ones per epoch."""
    steps, batch = settings["steps"], settings["batch"]
    lr, momentum = settings["lr"], settings["momentum"]
    per_epoch = 1 if batch is None else objective.data.N // batch
    columns = _batches(objective, batch, seed)

    def advance(state: State) -> State:
        if state.step >= steps:
            return state.end(Status.STEPS, f"used its {steps} steps", converged=batch is not None)
        h = lr * factor(settings["schedule"], state.step // per_epoch, state.step / steps)
        _, grad = objective.fit_grad(state.x, *columns(state.step))
        x, ridge = state.x, objective.ridge
        if batch is None:
            full = grad + ridge * x
            if full @ full <= tol * tol:
                return state.end(Status.CONVERGED, converged=True)
        memory = {"lr_sum": state.memory.get("lr_sum", 0.0) + h}
        if momentum:
            velocity = momentum * state.memory.get("velocity", 0.0) + grad + ridge * x
            memory["velocity"] = velocity
            after = x - h * velocity
        else:
            after = (1.0 - h * ridge) * x
            grad *= h
            after -= grad
        if not np.isfinite(after @ after):
            return state.end(Status.DIVERGED, f"diverged at step {state.step}: lr={lr:g} is too large here")
        return state.at(after, **memory)

    return advance


def _batches(objective: Objective, batch: int | None, seed):
    """step -> the columns (X, Y) of its batch, those of an epoch being disjoint; (None, None) for all samples."""
    N, cache = objective.data.N, {}

    def columns(step: int):
        if batch is None:
            return None, None
        epoch, i = divmod(step, N // batch)
        if cache.get("epoch") != epoch:
            order = epoch_order(seed, epoch, N)
            cache.update(epoch=epoch, X=objective.data.X[:, order], Y=objective.Y[:, order])
        part = slice(i * batch, (i + 1) * batch)
        return cache["X"][:, part], cache["Y"][:, part]

    return columns


def lbfgs(objective: Objective, settings: dict, seed, tol: float):
    """Quasi-Newton steps to a gradient of norm tol; ends where no lower point is found."""

    def advance(state: State) -> State:
        memory = state.memory
        if "grad" in memory:
            fun, grad = float(memory["fun"]), memory["grad"]
        else:
            fun, grad = objective.value_grad(state.x)
        if not np.isfinite(fun):
            return state.end(Status.OVERFLOWED, "the objective overflowed: the start is too large")
        if grad @ grad <= tol * tol:
            return state.end(Status.CONVERGED, converged=True)
        if state.step >= settings["max_steps"]:
            return state.end(Status.STEPS, f"used its {settings['max_steps']} steps")
        stored = zip(memory.get("steps", ()), memory.get("changes", ()), strict=True)
        walk = Walk(objective.value_grad, state.x, settings["pairs"], fun, grad, stored)
        if not walk.step():
            return state.end(Status.STALLED, f"found no lower point after {state.step} steps")
        pairs = walk.stored()
        kept = {"steps": [p[0] for p in pairs], "changes": [p[1] for p in pairs]} if pairs else {}
        return state.at(walk.x, fun=walk.fun, grad=walk.grad, **kept)

    return advance


def flow(objective: Objective, settings: dict, seed, tol: float):
    """dx/dt = -grad F to the end time, or to a gradient of norm tol."""

    gradient = _remembering(objective.grad)

    def arrived(x):
        return CONVERGED if np.linalg.norm(gradient(x)) <= tol else None

    return _integrate(lambda x: -gradient(x), settings, arrived)


def log_flow(objective: Objective, settings: dict, seed, tol: float):
    """The curve of gradient flow of the loss, in the clock |dx|/|x|, until its logarithm is `floor`."""
    log_grad = _remembering(objective.log_grad)

    def field(x):
        _, g = log_grad(x)
        size = np.linalg.norm(g)
        return -(np.linalg.norm(x) / size) * g if size > 0 else np.zeros_like(g)

    def arrived(x):
        value, g = log_grad(x)
        if value <= settings["floor"]:
            return Reason(Status.REACHED, f"reached log-loss {value:.6g} <= {settings['floor']:g}")
        return None if np.any(g) else Reason(Status.REACHED, "converged")

    return _integrate(field, settings, arrived)


def _remembering(function):
    """The function, which does not compute again at the array it was last asked about."""
    last = []

    def remembered(x):
        if not last or last[0] is not x:
            last[:] = x, function(x)
        return last[1]

    return remembered


def _integrate(field, settings, arrived):
    """Steps of the chosen integrator; the state remembers its time and, for the adaptive ones, the next step size."""
    end, h, cache = settings["time"], settings["step"], {}

    def advance(state: State) -> State:
        t = float(state.memory.get("time", 0.0))
        if (why := arrived(state.x)) is not None:
            return replace(state, done=why, converged=True)
        if t >= end:
            return state.end(Status.TIME, f"reached its end time {end:g}", converged=True)
        if state.step >= settings["max_steps"]:
            return state.end(Status.STEPS, f"used its {settings['max_steps']} steps at time {t:.6g}")
        if settings["integrator"] in FIXED:
            dt = min(h, end - t)
            dt = end - t if end - t - dt < 1e-9 * h else dt  # no sliver of a step at the end
            x = (_heun if settings["integrator"] == "heun" else _rk4)(field, state.x, dt)
            memory = {"time": end if dt == end - t else t + dt}
        else:
            solver = cache.get("solver")
            if solver is None or solver.y is not state.x:
                solver = cache["solver"] = _solver(field, state, t, settings)
            solver.step()
            if solver.status == "failed":
                said = f"the integrator failed at time {t:.6g}: {settings['integrator']} finds no step"
                return state.end(Status.FAILED, said)
            x, memory = solver.y, {"time": float(solver.t), "h": float(solver.h_abs)}
        if not np.isfinite(x @ x):
            return state.end(Status.DIVERGED, f"diverged at time {t:.6g}: the step is too large here")
        return state.at(x, **memory)

    return advance


def _heun(field, x, h):
    a = field(x)
    return x + 0.5 * h * (a + field(x + h * a))


def _rk4(field, x, h):
    a = field(x)
    b = field(x + 0.5 * h * a)
    c = field(x + 0.5 * h * b)
    return x + (h / 6) * (a + 2 * b + 2 * c + field(x + h * c))


def _solver(field, state: State, t: float, settings):
    """scipy's integrator at a state, with the step size it would have used next."""
    from scipy import integrate

    kind = getattr(integrate, settings["integrator"])
    solver = kind(lambda t, x: field(x), t, state.x, settings["time"], rtol=settings["rtol"], atol=settings["atol"])
    if "h" in state.memory:
        solver.h_abs = float(state.memory["h"])
    return solver


METHODS = {"sgd": sgd, "lbfgs": lbfgs, "flow": flow, "log_flow": log_flow}
