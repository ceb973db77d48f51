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

import numpy as np

from ufm.numerics.arrays import namespace
from ufm.objectives.factors import FactorObjective
from ufm.objectives.rows import BatchObjective
from ufm.objectives.stationary import halts
from ufm.solvers.methods.descent import Descent

NUMPY = namespace()


def descend(
    objective: BatchObjective, X, method: Descent, tol: float, draws, ended, tick=lambda: None, watch=None
) -> None:
    """Run every row of X (B, size) until `stationary.halts` (full batch), divergence or its last step.

    draws: one generator per row, for its mini-batches. `ended(labels, x, nit, nfev, sentence)` receives rows as they
    end; `tick()` is called every step and may raise; `watch(step, fun, grad, x)` sees the rows at every step.
    """
    on, xp, lr = objective.on, objective.on.xp, method.lr
    labels = np.arange(X.shape[0])
    x, last = X, X + 0.0
    state = method.init(on, objective, x)
    apart = method.decay == "decoupled"
    batches = (
        None
        if method.batch is None
        else [minibatches(len(objective.single.fit.columns.weight), method.batch, draw) for draw in draws]
    )
    buffers = (np.empty_like(X), np.empty_like(X)) if on.host else (None, None)
    for step in range(method.steps + 1):
        tick()
        weight = None if batches is None else on.put_in(np.stack([next(batches[label]) for label in labels]))
        fit, penalty, own = objective.parts(x, weight, buffers, not apart)
        grad = own + penalty if apart else own
        if watch is not None:
            watch(step, on.take_out(fit + 0.5 * on.dot(penalty, x)), on.take_out(grad), on.take_out(x))
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
            x, last, own = on.rows(x, index), on.rows(last, index), on.rows(own, index)
            penalty = on.rows(penalty, index)
            state = tuple(on.rows(part, index) for part in state)
            buffers = tuple(None if a is None else a[: len(index)] for a in buffers)
        if step == method.steps:
            break
        move, state = method.direction(on, objective.single, own, state, step + 1)
        if apart:
            move = move + penalty
        move = np.multiply(move, lr, out=buffers[1]) if on.host else lr * move
        x, last = np.subtract(x, move, out=last) if on.host else x - move, x
    ended(labels, x, np.full(len(labels), method.steps), None, f"used its {method.steps} steps")


def minibatches(size: int, batch: int, draw: np.random.Generator):
    """Column weights of successive batches: 1/batch on the batch, 0 elsewhere."""
    while True:
        order = draw.permutation(size)
        for i in range(0, size - batch + 1, batch):
            weight = np.zeros(size)
            weight[order[i : i + batch]] = 1.0 / batch
            yield weight


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
