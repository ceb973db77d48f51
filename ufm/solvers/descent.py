"""The one loop of every method with steps of a given length: gradient descent, momentum, Adam, signs, polar factors.

A step size makes its own dynamics, and these are they, on all N columns. What is exact about smaller coordinates, for
methods whose steps are combinations of gradients (`spans`):

* L = 1: the columns of H_1 (d x N) and the rows of W_1 (K x d) never leave the span of their start, of dimension at
  most K + N, since each gradient is a combination of the other's vectors and the ridge only scales. With Q an
  orthonormal basis of it, (Q' H_1, W_1 Q) follows the same recursion at width K + N; `narrow` uses this for gradient
  descent with momentum and mini-batches at large d. (Adam divides coordinate by coordinate, so it depends on the basis
  and is not reduced.)
* L >= 2: false for a Gaussian start. H_1 moves along W_1' W_2' and W_2' along W_1 H_1, while an inner W_1 keeps the
  part (1 - lr lam)^t W_1(0), which carries every span on: subspaces A_1 of R^(d_1), A_2 of R^(d_2) that the descent
  does not leave must satisfy A_1 > H_1(0) + W_1(0)' A_2 and A_2 > W_2(0)' + W_1(0) A_1, so A_1 holds (W_1' W_1)^k H_1
  for every k and is all of R^d as a rule. It has dimension K + N only for special W_1(0), such as multiples of
  orthogonal matrices. Nothing is reduced here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.objectives.stationary import halts
from ufm.solvers.result import CONVERGED, Reason, Status

if TYPE_CHECKING:
    from ufm.solvers.methods.descent import Descent


def descend(
    objective: FactorObjective,
    X: np.ndarray,
    method: Descent,
    tol: float,
    draws: Any,
    ended: Any,
    tick: Any = lambda *_: None,
    watch: Callable | None = None,
) -> None:
    """Run every row of X (B, size) until `stationary.halts` (full batch), divergence or its last step.

    draws: one generator per row, for its mini-batches. `ended(labels, x, nit, nfev, reason)` receives rows as they end;
    `tick(labels, nit, x)` is called every step and may raise; `watch(labels, nit, fun, grad, x)` sees every iterate, as
    numpy arrays, and returns the mask of rows to stop, or None.
    """
    on, xp, lr = objective.on, objective.on.xp, method.lr
    labels = np.arange(X.shape[0])
    x, last = X, X + 0.0
    state = method.init(on, objective, x)
    apart, steps = method.decay == "decoupled", method.steps
    batches = None
    if method.batch is not None:
        batches = [minibatches(len(objective.fit.columns.weight), method.batch, draw) for draw in draws]
    buffers = (np.empty_like(X), np.empty_like(X)) if on.host else (None, None)
    too_large = f"lr={lr:g} is too large here"

    def end(mask, at, nit, reason):
        index = np.flatnonzero(mask)
        if len(index):
            ended(labels[index], on.rows(at, index), np.full(len(index), nit), None, reason)

    for step in range(steps + 1):
        tick(labels, step, x)
        weight = None if batches is None else on.put_in(np.stack([next(batches[label]) for label in labels]))
        fit, penalty, own = objective.parts(x, weight, buffers, not apart)
        grad = own + penalty if apart else own
        square = on.take_out(on.dot(grad, grad))
        over = bad = ~np.isfinite(square)
        if watch is not None:
            stop = watch(labels, step, *map(on.take_out, (fit + 0.5 * on.dot(penalty, x), grad, x)))
            if stop is not None and stop.any():
                end(stop, x, step, Reason(Status.STOPPED))
                over, bad = over | stop, bad & ~stop
        if bad.any():  # a square may overflow before the gradient and the value do
            finite = xp.isfinite(fit + 0.5 * on.dot(penalty, x)) & xp.all(xp.isfinite(grad), axis=-1)
            finite = np.array(on.take_out(finite))
            over, bad = over & ~(bad & finite), bad & ~finite
            end(bad, last, max(step - 1, 0), Reason(Status.DIVERGED, f"diverged at step {step}: {too_large}"))
        small = square <= tol * tol
        if batches is None and small.any():
            low = np.flatnonzero(small & ~over)
            done = np.zeros(len(labels), dtype=bool)
            if len(low):
                done[low] = halts(objective.host, on.take_out(on.rows(x, low)), np.sqrt(square[low]), tol)
            end(done, x, step, CONVERGED)
            over = over | done
        if over.any():
            index = np.flatnonzero(~over)
            labels = labels[index]
            if not len(labels):
                return
            x, last, own = on.rows(x, index), on.rows(last, index), on.rows(own, index)
            penalty = on.rows(penalty, index)
            state = tuple(on.rows(part, index) for part in state)
            buffers = tuple(None if a is None else a[: len(index)] for a in buffers)
        if step == steps:
            break
        move, state = method.direction(on, objective, own, state, step + 1)
        if apart:
            move = move + penalty
        move = np.multiply(move, lr, out=buffers[1]) if on.host else lr * move
        x, last = np.subtract(x, move, out=last) if on.host else x - move, x
    ended(labels, x, np.full(len(labels), steps), None, Reason(Status.STEPS, f"used its {steps} steps"))


def minibatches(size: int, batch: int, draw: np.random.Generator):
    """Column weights of successive batches: 1/batch on the batch, 0 elsewhere."""
    while True:
        order = draw.permutation(size)
        for i in range(0, size - batch + 1, batch):
            weight = np.zeros(size)
            weight[order[i : i + batch]] = 1.0 / batch
            yield weight


def narrow(objective: FactorObjective, X):
    """(objective, X, lift) at width K + M for L = 1 where that halves the width, else what was given and None.

    `lift(labels, x)` takes rows of the narrow problem back to the width of the given one.
    """
    whole = objective.host
    (d, M), (K, _) = whole.shapes[0], whole.shapes[-1]
    if len(whole.shapes) != 2 or d < 2 * (K + M):
        return objective, X, None
    (H, W), b = whole.unpack(X)
    Q = np.linalg.qr(np.concatenate([H, W.mT], axis=-1))[0]
    small = FactorObjective(whole.problem, whole.collapsed, (K + M,), on=objective.on)

    def lift(labels, x):
        (H, W), b = small.host.unpack(np.ascontiguousarray(x))
        return whole.pack([Q[labels] @ H, W @ Q[labels].mT], b)

    return small, small.host.pack([Q.mT @ H, W @ Q], b), lift


def gradient_flow(
    objective: FactorObjective,
    x: np.ndarray,
    tol: float,
    time: float = 1e4,
    integrator: str = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    watch: Callable | None = None,
) -> tuple:
    """(x, steps, evaluations, Reason) of dx/dt = -grad F(x) at the given time or where `stationary.halts`.

    F falls along the exact flow; `rtol`, `atol` bound the integrator's local error. `watch(steps, fun, grad, x)` sees
    every step and ends the run with True.
    """
    from scipy import integrate

    classes = {"RK45": integrate.RK45, "DOP853": integrate.DOP853, "BDF": integrate.BDF, "LSODA": integrate.LSODA}
    solver = classes[integrator](
        lambda t, x: -objective.grad(x), 0.0, np.array(x, dtype=float), time, rtol=rtol, atol=atol
    )
    steps = 0
    while True:
        fun, grad = objective.value_grad(solver.y)
        if watch is not None and watch(steps, fun, grad, solver.y):
            return solver.y, steps, solver.nfev + steps, Reason(Status.STOPPED)
        norm = np.linalg.norm(grad)
        if norm <= tol and halts(objective, solver.y, norm, tol):
            return solver.y, steps, solver.nfev + steps, CONVERGED
        if solver.status == "finished":
            reached = Reason(Status.TIME, f"reached its end time at t={solver.t:.6g}")
            return solver.y, steps, solver.nfev + steps, reached
        if solver.status != "running":
            failed = Reason(Status.FAILED, f"the integrator failed at t={solver.t:.6g}")
            return solver.y, steps, solver.nfev + steps, failed
        solver.step()
        steps += 1
