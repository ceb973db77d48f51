"""Gradient descent on factors: learning rate, momentum, full batch or mini-batch."""

from __future__ import annotations

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.objectives.stationary import halts


def gradient_descent(
    objective: FactorObjective,
    x,
    tol: float,
    draw: np.random.Generator,
    lr: float = 0.5,
    momentum: float = 0.0,
    batch: int | None = None,
    steps: int = 20_000,
    watch=None,
):
    """(x, steps done, sentence): v <- momentum v + grad F(x), x <- x - lr v.

    batch: columns per step, drawn without replacement epoch by epoch; the fit is then the mean over the
    batch and the ridge acts in full. Full-batch runs stop where `stationary.halts` says; mini-batch runs do not.
    `watch(step, fun, grad, x)` sees every step and may raise StopIteration.
    """
    x, last, velocity = np.array(x, dtype=float), np.array(x, dtype=float), np.zeros_like(x)
    batches = None if batch is None else minibatches(len(objective.fit.columns.weight), batch, draw)
    for step in range(steps + 1):
        weight = None if batches is None else next(batches)
        fun, grad = objective.value_grad(x, weight)
        if watch is not None:
            watch(step, fun, grad, x)
        if not (np.isfinite(fun) and np.all(np.isfinite(grad))):
            return last, max(step - 1, 0), f"diverged at step {step}: lr={lr:g} is too large here"
        if batches is None and grad @ grad <= tol * tol and halts(objective, x, np.linalg.norm(grad), tol):
            return x, step, "converged"
        if step == steps:
            break
        last[:] = x
        if momentum:
            velocity *= momentum
            velocity += grad
            x -= lr * velocity
        else:
            grad *= lr
            x -= grad
    return x, steps, f"used its {steps} steps"


def minibatches(size: int, batch: int, draw: np.random.Generator):
    """Column weights of successive batches: 1/batch on the batch, 0 elsewhere."""
    while True:
        order = draw.permutation(size)
        for i in range(0, size - batch + 1, batch):
            weight = np.zeros(size)
            weight[order[i : i + batch]] = 1.0 / batch
            yield weight
