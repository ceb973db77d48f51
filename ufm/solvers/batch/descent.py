"""Gradient descent, momentum and Adam for many starts at once, full batch or mini-batch, on all coordinates.

    gd      v <- momentum v + grad F(x),  x <- x - lr v
    adam    m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
            x <- x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

A step size makes its own dynamics, and these are they, on all N columns. What is exact about smaller coordinates:

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

Source of Adam: kingma15.
"""

from __future__ import annotations

import numpy as np

from ufm.objectives.factors import FactorObjective
from ufm.objectives.stationary import halts
from ufm.solvers.batch.arrays import namespace
from ufm.solvers.batch.objective import BatchObjective
from ufm.solvers.descent import minibatches

NUMPY = namespace()


def descend(
    objective: BatchObjective,
    X,
    tol: float,
    draws,
    ended,
    tick=lambda: None,
    *,
    lr: float,
    steps: int,
    momentum: float = 0.0,
    betas=None,
    eps: float = 1e-8,
    batch: int | None = None,
) -> None:
    """Run every row of X (B, size) until `stationary.halts` (full batch), divergence or its last step.

    draws: one generator per row, for its mini-batches. betas: (beta1, beta2) for Adam, None for gradient descent.
    `ended(labels, x, nit, nfev, sentence)` receives rows as they end; `tick()` is called every step and may raise.
    """
    on, xp = objective.on, objective.on.xp
    labels = np.arange(X.shape[0])
    x, last = X, X + 0.0
    velocity = xp.zeros_like(X) if momentum or betas else None
    squares = xp.zeros_like(X) if betas else None
    batches = (
        None
        if batch is None
        else [minibatches(len(objective.single.fit.columns.weight), batch, draw) for draw in draws]
    )
    buffers = (np.empty_like(X), np.empty_like(X)) if on.host else (None, None)
    for step in range(steps + 1):
        tick()
        weight = None if batches is None else on.put_in(np.stack([next(batches[label]) for label in labels]))
        fit, penalty, grad = objective.parts(x, weight, buffers)
        square = on.take_out(on.dot(grad, grad))
        bad = ~np.isfinite(square)
        if bad.any():  # a square may overflow before the gradient and the value do
            finite = xp.isfinite(fit + 0.5 * on.dot(penalty, x)) & xp.all(xp.isfinite(grad), axis=-1)
            bad = ~np.array(on.take_out(finite))
        done = np.zeros(len(labels), dtype=bool) if batches is not None else ~bad & (square <= tol * tol)
        if (low := np.flatnonzero(done)).size:
            done[low] = halts(objective.single, on.take_out(on.rows(x, low)), np.sqrt(square[low]), tol)
        if bad.any():
            index = np.flatnonzero(bad)
            ended(
                labels[index],
                on.rows(last, index),
                np.full(len(index), max(step - 1, 0)),
                None,
                f"diverged at step {step}: lr={lr:g} is too large here",
            )
        if done.any():
            index = np.flatnonzero(done)
            ended(labels[index], on.rows(x, index), np.full(len(index), step), None, "converged")
        if (bad | done).any():
            index = np.flatnonzero(~(bad | done))
            labels = labels[index]
            if not len(labels):
                return
            x, last, grad = on.rows(x, index), on.rows(last, index), on.rows(grad, index)
            velocity = None if velocity is None else on.rows(velocity, index)
            squares = None if squares is None else on.rows(squares, index)
            buffers = tuple(None if a is None else a[: len(index)] for a in buffers)
        if step == steps:
            break
        if betas:
            velocity = betas[0] * velocity + (1 - betas[0]) * grad
            squares = betas[1] * squares + (1 - betas[1]) * grad * grad
            grad = (
                lr * (velocity / (1 - betas[0] ** (step + 1))) / (xp.sqrt(squares / (1 - betas[1] ** (step + 1))) + eps)
            )
        elif velocity is not None:
            velocity *= momentum
            velocity += grad
            grad = lr * velocity
        else:
            grad *= lr
        x, last = np.subtract(x, grad, out=last) if on.host else x - grad, x
    ended(labels, x, np.full(len(labels), steps), None, f"used its {steps} steps")


def narrow(objective: BatchObjective, X):
    """(objective, X, lift) at width K + M for L = 1 where that halves the width, else what was given and None.

    `lift(labels, x)` takes rows of the narrow problem back to the width of the given one.
    """
    single = objective.single
    (d, M), (K, _) = single.shapes[0], single.shapes[-1]
    if len(single.shapes) != 2 or d < 2 * (K + M):
        return objective, X, None
    (H, W), b = BatchObjective(single, NUMPY).unpack(X)
    Q = np.linalg.qr(np.concatenate([H, np.swapaxes(W, -1, -2)], axis=-1))[0]
    small = FactorObjective(single.problem, single.collapsed, (K + M,))
    across = np.swapaxes(Q, -1, -2)

    def lift(labels, x):
        (H, W), b = BatchObjective(small, NUMPY).unpack(np.ascontiguousarray(x))
        return single.pack([Q[labels] @ H, W @ across[labels]], b)

    return BatchObjective(small, objective.on), small.pack([across @ H, W @ Q], b), lift
