"""L-BFGS for many starts at once, each with its own line search, stages and history.

The iteration is that of `solvers.lbfgs`, row by row: two-loop recursion, weak Wolfe bisection with the approximate
Wolfe test near rounding, one retry along the gradient, offers to Newton at falling gradients. Rows never mix, so a
row's numbers depend neither on its companions nor on the chunk. Rows that reach a stage are parked; when nobody is left
running, Newton sees all parked rows at once, and those it sends back run on.
Source: nocedal06 (two-loop recursion, Wolfe conditions), hager05 (approximate Wolfe test).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ufm.numerics.arrays import Arrays
from ufm.objectives.rows import BatchObjective
from ufm.objectives.stationary import asked_at
from ufm.solvers.lbfgs import STAGES

ARMIJO, WOLFE, TRIALS = 1e-4, 0.9, 40
OVERFLOW = "the objective overflowed: the start is too large"


@dataclass
class Rows:
    """Running starts. Big arrays live on the device; one number per start lives in numpy.

    steps, changes (memory, B, size): stored pairs, oldest first; curvature (memory, B): their inner products, 1 where
    nothing is stored (the pair is then zero and does nothing).
    """

    label: np.ndarray
    nit: np.ndarray
    nfev: np.ndarray
    stage: np.ndarray
    fun: np.ndarray
    stored: np.ndarray
    x: object
    grad: object
    gamma: object
    steps: list
    changes: list
    curvature: list

    def __len__(self):
        return len(self.label)

    def take(self, on: Arrays, index) -> Rows:
        """A copy of some rows."""
        pick = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                pick[field.name] = [on.rows(a, index) for a in value]
            else:
                pick[field.name] = value[index] if isinstance(value, np.ndarray) else on.rows(value, index)
        return Rows(**pick)

    @staticmethod
    def join(on: Arrays, parts: list[Rows]) -> Rows:
        """The rows of several one after another; shorter histories are padded by pairs that do nothing."""
        depth = max(len(part.steps) for part in parts)
        for part in parts:
            missing = depth - len(part.steps)
            if missing:
                nothing, one = on.zeros(part.x.shape), on.zeros((len(part),)) + 1.0
                part.steps = [nothing] * missing + part.steps
                part.changes = [nothing] * missing + part.changes
                part.curvature = [one] * missing + part.curvature
        joined = {}
        for field in fields(Rows):
            values = [getattr(part, field.name) for part in parts]
            if isinstance(values[0], list):
                joined[field.name] = [on.xp.concat(list(column), axis=0) for column in zip(*values, strict=True)]
            else:
                joined[field.name] = (np if isinstance(values[0], np.ndarray) else on.xp).concat(values, axis=0)
        return Rows(**joined)

    def push(self, on: Arrays, step, change, curvature, square, good, memory: int) -> list:
        """Append one pair per row where `good`; other rows keep their history. The arrays that dropped out."""
        xp = on.xp
        if good.all():
            latest, self.gamma = curvature, curvature / square
        else:
            keep, wide = on.put_in(good), on.put_in(good)[:, None]
            nothing, one = on.zeros(self.x.shape), on.zeros((len(self),)) + 1.0
            newest = (self.steps[-1], self.changes[-1], self.curvature[-1]) if self.steps else (nothing, nothing, one)
            for pairs, mask, blank in (
                (self.steps, wide, nothing),
                (self.changes, wide, nothing),
                (self.curvature, keep, one),
            ):
                # rows that store nothing move back one place, so that their newest pair stays the newest
                pairs[:] = [xp.where(mask, now, older) for now, older in zip(pairs, [blank, *pairs[:-1]], strict=False)]
            step, change, latest = (
                xp.where(wide, step, newest[0]),
                xp.where(wide, change, newest[1]),
                xp.where(keep, curvature, newest[2]),
            )
            self.gamma = xp.where(keep, curvature / xp.where(square > 0, square, one), self.gamma)
        self.steps.append(step)
        self.changes.append(change)
        self.curvature.append(latest)
        dropped = (
            [pairs.pop(0) for pairs in (self.steps, self.changes, self.curvature)][:2]
            if len(self.steps) > memory
            else []
        )
        self.stored = np.minimum(self.stored + good, memory)
        return dropped

    def forget(self, on: Arrays, index) -> None:
        """Empty the history of some rows."""
        gone = np.zeros(len(self), dtype=bool)
        gone[index] = True
        keep = on.put_in(~gone)
        xp = on.xp
        self.steps = [xp.where(keep[:, None], a, xp.zeros_like(a)) for a in self.steps]
        self.changes = [xp.where(keep[:, None], a, xp.zeros_like(a)) for a in self.changes]
        self.curvature = [xp.where(keep, a, xp.ones_like(a)) for a in self.curvature]
        self.gamma = xp.where(keep, self.gamma, xp.ones_like(self.gamma))
        self.stored[index] = 0


class Pool:
    """Arrays of one shape to write into again: fresh memory from the system would cost more than the arithmetic."""

    def __init__(self):
        self.free: list[np.ndarray] = []

    def get(self, like):
        while self.free:
            a = self.free.pop()
            if a.shape == like.shape:
                return a
        return np.empty_like(like)

    def give(self, *arrays) -> None:
        self.free.extend(arrays)


def lbfgs(
    objective: BatchObjective, X, tol: float, max_steps: int, memory: int, ended, offer, tick=lambda: None
) -> None:
    """Run every row of X (B, size) to its end.

    `ended(labels, x, nit, nfev, sentence)` receives rows that end on their own (sentence per row); labels are row
    numbers of X. `offer(labels, x, fun, last, nit, nfev)` receives rows for Newton (last: take a saddle too) and
    returns the mask of those accepted, which it has then dealt with itself. `tick()` is called once per iteration and
    may raise.
    """
    on, problem = objective.on, objective.problem
    stages = np.array(STAGES) * problem.Lam if problem.linear else np.zeros(0)
    count = X.shape[0]
    nothing = np.zeros(count, dtype=int)
    value, grad = objective.value_grad(X)
    fun = np.array(on.take_out(value))
    running = Rows(
        np.arange(count),
        nothing,
        nothing + 1,
        nothing.copy(),
        fun,
        nothing.copy(),
        X,
        grad,
        on.zeros((count,)) + 1.0,
        [],
        [],
        [],
    )
    fresh = True
    while len(running):
        parked: list[Rows] = []
        _run(objective, running, fresh, stages, tol, max_steps, memory, ended, parked, tick)
        if not parked:
            return
        rows = Rows.join(on, parked)
        accepted = offer(rows.label, rows.x, rows.fun, rows.stage == len(stages), rows.nit, rows.nfev)
        running, fresh = rows.take(on, np.flatnonzero(~accepted)), False


def _run(objective, rows: Rows, arrived: bool, stages, tol, max_steps, memory, ended, parked, tick) -> None:
    """Iterate until every row has ended or is parked. arrived: whether the rows stand at points not looked at yet."""
    on, xp = objective.on, objective.on.xp
    alive, pool = np.ones(len(rows), dtype=bool), Pool()

    def end(mask, sentence):
        index = np.flatnonzero(mask)
        if len(index):
            alive[index] = False
            ended(rows.label[index], on.rows(rows.x, index), rows.nit[index], rows.nfev[index], sentence)

    while True:
        tick()
        if arrived:
            square = on.take_out(on.dot(rows.grad, rows.grad))
            overflow = alive & ~np.isfinite(rows.fun)
            end(overflow, OVERFLOW)
            end(alive & _converged(objective, rows.x, square, tol), "converged")
            if len(stages):
                size = on.take_out(xp.max(xp.abs(rows.grad), axis=-1))
                reached = np.sum(size[:, None] <= stages, axis=1)
                offered = np.flatnonzero(alive & (reached > rows.stage))
                if len(offered):
                    rows.stage[offered] = reached[offered]
                    parked.append(rows.take(on, offered))
                    alive[offered] = False
        arrived = True
        end(alive & (rows.nit >= max_steps), f"L-BFGS used its {max_steps} steps")
        if not alive.any():
            return
        if np.mean(alive) < 0.8 or (on.host and len(rows) < 16 and not alive.all()):
            index = np.flatnonzero(alive)
            rows, alive = rows.take(on, index), np.ones(len(index), dtype=bool)
        found = _step(objective, rows, alive, memory, pool)
        for nit in np.unique(rows.nit[alive & ~found]):
            end(alive & ~found & (rows.nit == nit), f"L-BFGS found no lower point after {nit} steps")
        rows.nit[alive] += 1


def _converged(objective: BatchObjective, X, square, tol: float) -> np.ndarray:
    """Mask of the rows of X (B, size), of squared gradient norms `square` (B,), whose gradient is as small as success
    asks."""
    done = square <= tol * tol
    rows = np.flatnonzero(done)
    if len(rows):
        done[rows] = np.sqrt(square[rows]) <= asked_at(
            objective.single, objective.on.take_out(objective.on.rows(X, rows)), tol
        )
    return done


def _step(objective, rows: Rows, alive, memory: int, pool: Pool) -> np.ndarray:
    """Move every living row to its next iterate, in place; the mask of rows that found one."""
    on, xp = objective.on, objective.on.xp
    direction = _two_loop(on, rows, pool)
    first = rows.stored == 0
    t = np.ones(len(rows))
    if first.any():
        t[first] = _first_step(on, rows)[first]
    x, fun, grad, found = _weak_wolfe(objective, rows, direction, t, alive, pool)
    again = np.flatnonzero(alive & ~found & (rows.stored > 0))
    if len(again):
        rows.forget(on, again)
        back = rows.take(on, again)
        x2, fun2, grad2, found2 = _weak_wolfe(
            objective, back, -back.grad, _first_step(on, back), np.ones(len(again), dtype=bool), Pool()
        )
        x, grad, fun[again], found[again] = on.put_rows(x, again, x2), on.put_rows(grad, again, grad2), fun2, found2
        rows.nfev[again] = back.nfev
    step, change = _minus(on, x, rows.x, pool), _minus(on, grad, rows.grad, pool)
    curvature, square = on.dot(step, change), on.dot(change, change)
    good = found & (on.take_out(curvature) > 1e-14 * np.sqrt(on.take_out(on.dot(step, step)) * on.take_out(square)))
    dropped = rows.push(
        on, step, change, curvature, square, good | ~alive, memory
    )  # what happens to rows that have ended does not matter
    if (found | ~alive).all():
        if on.host:
            pool.give(*dropped, direction, rows.x, rows.grad)
        rows.x, rows.grad, rows.fun = x, grad, fun
    else:
        moved = on.put_in(found)[:, None]
        rows.x, rows.grad, rows.fun = (
            xp.where(moved, x, rows.x),
            xp.where(moved, grad, rows.grad),
            np.where(found, fun, rows.fun),
        )
    return found


def _first_step(on: Arrays, rows: Rows) -> np.ndarray:
    """min(1, 1/|grad|), the trial along the gradient where no pair is stored."""
    length = np.sqrt(on.take_out(on.dot(rows.grad, rows.grad)))
    return np.minimum(1.0, 1.0 / np.where(length > 0, length, 1.0))


def _minus(on: Arrays, a, b, pool: Pool):
    return np.subtract(a, b, out=pool.get(a)) if on.host else a - b


def _two_loop(on: Arrays, rows: Rows, pool: Pool):
    """Minus the inverse quasi-Newton matrix of every row's pairs times its gradient."""
    q, buffer = (pool.get(rows.grad), pool.get(rows.grad)) if on.host else (rows.grad + 0.0, None)
    if on.host:
        q[...] = rows.grad
    coefficients = []
    for step, change, curvature in zip(
        reversed(rows.steps), reversed(rows.changes), reversed(rows.curvature), strict=True
    ):
        coefficients.append(on.dot(step, q) / curvature)
        q -= _times(on, coefficients[-1], change, buffer)
    if rows.steps:
        q *= rows.gamma[:, None]
    for step, change, curvature, a in zip(
        rows.steps, rows.changes, rows.curvature, reversed(coefficients), strict=True
    ):
        q += _times(on, a - on.dot(change, q) / curvature, step, buffer)
    if not on.host:
        return -q
    pool.give(buffer)
    return np.negative(q, out=q)


def _times(on, a, b, buffer):
    return np.multiply(a[:, None], b, out=buffer) if on.host else a[:, None] * b


def _weak_wolfe(objective, rows: Rows, direction, t, alive, pool: Pool):
    """(x, fun, grad, found): bisection on every row for a step that descends and flattens the slope; counts into
    rows.nfev.

    Rows not found keep meaningless x, fun and grad.
    """
    on = objective.on
    slope = np.array(on.take_out(on.dot(rows.grad, direction)))
    open_ = alive & (slope < 0)
    found = np.zeros(len(rows), dtype=bool)
    low, high, noise = np.zeros(len(rows)), np.full(len(rows), np.inf), 1e-14 * np.maximum(1.0, np.abs(rows.fun))
    x, fun, grad = None, None, None
    index = np.arange(len(rows))
    for _ in range(TRIALS):
        if x is None:  # the first trial of all rows at once
            if on.host:
                x, grad, ridge = pool.get(rows.x), pool.get(rows.x), pool.get(rows.x)
                np.multiply(t[:, None], direction, out=x)
                x += rows.x
                value, grad = objective.value_grad(x, None, (grad, ridge))
                pool.give(ridge)
            else:
                x = rows.x + on.put_in(t)[:, None] * direction
                value, grad = objective.value_grad(x)
            value = fun = np.array(on.take_out(value))
            new_slope = on.take_out(on.dot(grad, direction))
        else:
            index = np.flatnonzero(open_)
            if not len(index):
                break
            along = on.rows(direction, index)
            trial = on.rows(rows.x, index) + on.put_in(t[index])[:, None] * along
            value, gradient = objective.value_grad(trial)
            value, new_slope = on.take_out(value), on.take_out(on.dot(gradient, along))
            x, grad = on.put_rows(x, index, trial), on.put_rows(grad, index, gradient)
            fun[index] = value
        with np.errstate(invalid="ignore", over="ignore"):
            descends = value <= rows.fun[index] + ARMIJO * t[index] * slope[index]
            flat = (value <= rows.fun[index] + noise[index]) & (new_slope <= (2 * ARMIJO - 1) * slope[index])
            far = ~(descends | flat) | ~np.isfinite(value)
            short = ~far & (new_slope < WOLFE * slope[index])
        mine = open_[index]
        rows.nfev[index] += mine
        high[index], low[index] = (
            np.where(far & mine, t[index], high[index]),
            np.where(short & mine, t[index], low[index]),
        )
        done = index[mine & ~far & ~short]
        found[done], open_[done] = True, False
        wait = index[mine & (far | short)]
        t[wait] = np.where(
            np.isfinite(high[wait]),
            0.5 * (low[wait] + np.where(np.isfinite(high[wait]), high[wait], 0.0)),
            2.0 * t[wait],
        )
    return x, fun, grad, found
