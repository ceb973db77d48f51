"""L-BFGS for many starts at once, each with its own line search, stages and history; and for one function alone.

Two-loop recursion, weak Wolfe bisection with the approximate Wolfe test near rounding, one retry along the gradient.
Rows never mix, so a row's numbers depend neither on its companions nor on the chunk.

Quasi-Newton steps stall near 1e-8 where values no longer tell points apart. So rows whose gradient reaches a stage are
parked; when nobody is left running, Newton sees all parked rows at once (`solvers.finish`), and those it sends back run
on to a smaller gradient.

For D >= 3 a mode of zero stays at zero (its curvature is the ridge's own), so once a large problem's product has shown
its rank r << K, descent goes on in balanced factors of width r: the same critical points and minima at r/K of the cost.

Source: nocedal06 (two-loop recursion, Wolfe conditions), hager05 (approximate Wolfe test).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ufm.numerics.arrays import NUMPY, Arrays
from ufm.numerics.products import padded
from ufm.objectives.factors import FactorObjective
from ufm.objectives.stationary import asked_at
from ufm.solvers.result import CONVERGED, Reason, Status

STAGES = (1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
"""Gradients (sup norm, in units of Lam) at which L-BFGS offers its point to Newton, one after another."""
WIDE = 20_000
"""Coordinates above which the width follows the rank."""
LOOK = 25
"""Steps between two looks at the rank."""
DEAD = 1e-6
"""Singular value, relative to the largest, of a mode that is dead."""
ARMIJO, WOLFE, TRIALS, NOISE = 1e-4, 0.9, 40, 1e-14
OVERFLOW = Reason(Status.OVERFLOWED, "the objective overflowed: the start is too large")
STOPPED = Reason(Status.STOPPED)


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
    x: Any
    grad: Any
    gamma: Any
    steps: list
    changes: list
    curvature: list

    def __len__(self):
        return len(self.label)

    def take(self, on: Arrays, index) -> Rows:
        """Some rows; themselves where all are meant."""
        if len(index) == len(self) and (np.diff(index) > 0).all():
            return self
        pick = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                pick[field.name] = [on.rows(a, index) for a in value]
            else:
                pick[field.name] = value[index] if isinstance(value, np.ndarray) else on.rows(value, index)
        return Rows(**pick)

    @staticmethod
    def begin(objective, X) -> Rows:
        """Rows at their starts X (B, size), nothing stored."""
        on, count = objective.on, X.shape[0]
        value, grad = objective.value_grad(X)
        nit, nfev, stage, stored = np.zeros((4, count), dtype=int)
        fun, gamma = np.array(on.take_out(value)), on.zeros((count,)) + 1.0
        return Rows(np.arange(count), nit, nfev + 1, stage, fun, stored, X, grad, gamma, [], [], [])

    @staticmethod
    def join(on: Arrays, parts: list[Rows]) -> Rows:
        """The rows of several one after another; shorter histories are padded by pairs that do nothing."""
        if len(parts) == 1:
            return parts[0]
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
        if all(good):
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
    objective: FactorObjective,
    X: np.ndarray,
    tol: float,
    max_steps: int,
    pairs: int,
    ended: Any,
    offer: Any = None,
    tick: Any = lambda *_: None,
    watch: Callable | None = None,
) -> None:
    """Run every row of X (B, size) to its end.

    `ended(labels, x, nit, nfev, reason)` receives rows that end on their own; labels are row numbers of X.
    `offer(labels, x, fun, last, nit, nfev)` receives rows for Newton (last: take a saddle too) and returns the mask of
    those accepted, which it has then dealt with itself; None: there is no such finish. `tick(labels, nit, x)` is called
    once per iteration and may raise; `watch(labels, nit, fun, grad, x)` sees every iterate and returns the mask of rows
    to stop, or None.
    """
    run = _Running(objective, tol, max_steps, pairs, ended, offer, tick, watch)
    rows, fresh = Rows.begin(objective, X), True
    while len(rows):
        parked = run.on_their_way(rows, fresh)
        if not parked:
            return
        rows = Rows.join(objective.on, parked)
        accepted = offer(rows.label, run.wide(rows.x), rows.fun, rows.stage == len(run.stages), rows.nit, rows.nfev)
        rows, fresh = rows.take(objective.on, np.flatnonzero(~accepted)), False


class _Running:
    """A descent: what is asked of its rows, and to whom it reports."""

    def __init__(self, objective, tol, max_steps, pairs, ended, offer, tick, watch):
        self.objective, self.whole, self.tol, self.max_steps, self.pairs = objective, objective, tol, max_steps, pairs
        self.ended, self.tick, self.watch = ended, tick, watch
        self.stages = np.zeros(0) if offer is None else np.array(STAGES) * objective.problem.Lam

    def _whole(self, labels, x):
        return self.wide(x)

    def wide(self, x):
        """x on the coordinates of the objective that was given."""
        return x if self.objective is self.whole else widened(self.whole, self.objective, x)

    def on_their_way(self, rows: Rows, arrived: bool) -> list[Rows]:
        """Iterate until every row has ended or is parked. arrived: whether the rows stand at points not looked at."""
        on, xp, pool, parked = self.objective.on, self.objective.on.xp, Pool(), []
        alive = np.ones(len(rows), dtype=bool)

        def end(mask, reason):
            index = np.flatnonzero(mask)
            if len(index):
                alive[index] = False
                x = self.wide(_some(on, rows.x, index))
                self.ended(rows.label[index], x, rows.nit[index], rows.nfev[index], reason)

        while True:
            self.tick(rows.label, rows.nit, rows.x, self._whole)
            if arrived:
                if self.watch is not None and alive.any():
                    end(*self._watched(rows, alive))
                square = on.take_out(on.dot(rows.grad, rows.grad))
                fine, small = np.isfinite(rows.fun), square <= self.tol * self.tol
                if not all(fine):
                    end(alive & ~fine, OVERFLOW)
                if any(small):
                    end(alive & _converged(self.objective, rows.x, square, small, self.tol), CONVERGED)
                if self.objective.size > WIDE and self._narrows(rows, alive):
                    rows = self._narrowed(rows)
                if len(self.stages):
                    size = on.take_out(xp.max(xp.abs(rows.grad), axis=-1))
                    if min(size) <= self.stages[0]:
                        reached = np.sum(size[:, None] <= self.stages, axis=1)
                        offered = np.flatnonzero(alive & (reached > rows.stage))
                        if len(offered):
                            rows.stage[offered] = reached[offered]
                            parked.append(rows.take(on, offered))
                            alive[offered] = False
            arrived = True
            late = rows.nit >= self.max_steps
            if any(late):
                end(alive & late, Reason(Status.STEPS, f"L-BFGS used its {self.max_steps} steps"))
            if not any(alive):
                return parked
            if not all(alive) and (np.mean(alive) < 0.8 or (on.host and len(rows) < 16)):
                index = np.flatnonzero(alive)
                rows, alive = rows.take(on, index), np.ones(len(index), dtype=bool)
            found = step(self.objective, rows, alive, self.pairs, pool)
            if not all(found):
                for nit in np.unique(rows.nit[alive & ~found]):
                    said = f"L-BFGS found no lower point after {nit} steps"
                    end(alive & ~found & (rows.nit == nit), Reason(Status.STALLED, said))
            rows.nit[alive] += 1

    def _watched(self, rows: Rows, alive):
        """(mask of rows that are stopped by who looks on, the reason)."""
        on, index = self.objective.on, np.flatnonzero(alive)
        x, grad = (on.take_out(_some(on, a, index)) for a in (self.wide(rows.x), rows.grad))
        stop = self.watch(rows.label[index], rows.nit[index], rows.fun[index], grad, x)
        mask = np.zeros(len(rows), dtype=bool)
        if stop is not None:
            mask[index] = stop
        return mask, STOPPED

    def _narrows(self, rows: Rows, alive) -> bool:
        return len(rows) == 1 and alive[0] and rows.nit[0] > 0 and rows.nit[0] % LOOK == 0

    def _narrowed(self, rows: Rows) -> Rows:
        """The row in the width of its living rank, its history forgotten, where that is much less."""
        found = narrowed(self.objective, rows.x[0], rows.fun[0])
        if found is None:
            return rows
        self.objective, x = found
        after = Rows.begin(self.objective, x[None])
        after.label, after.nit, after.nfev, after.stage = rows.label, rows.nit, rows.nfev, rows.stage
        return after


def _some(on: Arrays, a, index):
    """Rows of an array: itself where all are meant."""
    return a if len(index) == a.shape[0] else on.rows(a, index)


def _converged(objective: FactorObjective, X, square, small, tol: float) -> np.ndarray:
    """Mask of the rows of X (B, size), of squared gradient norms `square` (B,), whose gradient is as small as success
    asks, among those `small`."""
    done, rows = np.array(small), np.flatnonzero(small)
    done[rows] = np.sqrt(square[rows]) <= asked_at(
        objective.host, objective.on.take_out(objective.on.rows(X, rows)), tol
    )
    return done


def narrowed(objective: FactorObjective, x, fun: float) -> tuple[FactorObjective, np.ndarray] | None:
    """(objective, x) at widths of the living rank, where that is at most half and F does not rise; or None."""
    problem = objective.problem
    if not problem.linear or problem.D < 3 or not objective.collapsed or problem.ridgeless:
        return None
    point = objective.to_logits(x, collapse=True, tol=DEAD)
    if not 0 < point.rank <= 0.5 * max(A for A, _ in objective.shapes[:-1]):
        return None
    narrow = FactorObjective(problem, True, (point.rank,) * problem.L)
    start = narrow.lift(point)
    return (narrow, start) if narrow.value(start) <= fun else None


def widened(whole: FactorObjective, objective: FactorObjective, X) -> np.ndarray:
    """Rows of a narrow objective among the first coordinates of every hidden layer of the whole one."""
    found = []
    for x in X:
        factors, b = objective.unpack(x)
        found.append(whole.pack(padded(factors, whole.shapes), b))
    return np.array(found)


def step(objective, rows: Rows, alive, pairs: int, pool: Pool) -> np.ndarray:
    """Move every living row to its next iterate, in place; the mask of rows that found one."""
    on, xp = objective.on, objective.on.xp
    direction = _two_loop(on, rows, pool)
    t, first = np.ones(len(rows)), rows.stored == 0
    if any(first):
        t[first] = _first_step(on, rows)[first]
    x, fun, grad, found = _weak_wolfe(objective, rows, direction, t, alive, pool)
    every = all(found)
    again = () if every else np.flatnonzero(alive & ~found & (rows.stored > 0))
    if len(again):
        rows.forget(on, again)
        back = rows.take(on, again)
        x2, fun2, grad2, found2 = _weak_wolfe(
            objective, back, -back.grad, _first_step(on, back), np.ones(len(again), dtype=bool), Pool()
        )
        x, grad, fun[again], found[again] = on.put_rows(x, again, x2), on.put_rows(grad, again, grad2), fun2, found2
        rows.nfev[again] = back.nfev
    move, change = _minus(on, x, rows.x, pool), _minus(on, grad, rows.grad, pool)
    curvature, square = on.dot(move, change), on.dot(change, change)
    good = found & (on.take_out(curvature) > 1e-14 * np.sqrt(on.take_out(on.dot(move, move)) * on.take_out(square)))
    # what happens to rows that have ended does not matter
    dropped = rows.push(on, move, change, curvature, square, good if every else good | ~alive, pairs)
    if every or (found | ~alive).all():
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
    kept = rows.steps, rows.changes, rows.curvature
    if not on.host:
        return -_recursion(rows.grad + 0.0, *kept, rows.gamma[:, None], on.dot, lambda a, b: a[:, None] * b)
    q, buffer = pool.get(rows.grad), pool.get(rows.grad)
    q[...] = rows.grad
    if len(rows) == 1:  # vectors and numbers are quicker than arrays of one row
        steps, changes, curvatures = ([a[0] for a in one] for one in kept)
        _recursion(q[0], steps, changes, curvatures, rows.gamma[0], np.dot, operator.mul)
    else:

        def times(a, b):
            return np.multiply(a[:, None], b, out=buffer)

        _recursion(q, *kept, rows.gamma[:, None], on.dot, times)
    pool.give(buffer)
    return np.negative(q, out=q)


def _recursion(q, steps, changes, curvatures, gamma, dot, times):
    """The inverse quasi-Newton matrix of the pairs times q, in place: vectors, or rows of them, with `dot` and `times`
    of their kind."""
    coefficients = []
    for step, change, curvature in zip(reversed(steps), reversed(changes), reversed(curvatures), strict=True):
        coefficients.append(dot(step, q) / curvature)
        q -= times(coefficients[-1], change)
    if steps:
        q *= gamma
    for step, change, curvature, a in zip(steps, changes, curvatures, reversed(coefficients), strict=True):
        q += times(a - dot(change, q) / curvature, step)
    return q


def _weak_wolfe(objective, rows: Rows, direction, t, alive, pool: Pool):
    """(x, fun, grad, found): bisection on every row for a step that descends and flattens the slope.

    Rows not found keep meaningless x, fun and grad.
    """
    on, count = objective.on, len(rows)
    slope = on.take_out(on.dot(rows.grad, direction))
    x, fun, grad, new_slope = _trial(objective, rows, direction, t, pool)
    if count == 1 and slope[0] < 0:
        return _bisection_alone(objective, rows, direction, slope[0], t, (x, fun, grad, new_slope), pool)
    open_, found = alive & (slope < 0), np.zeros(count, dtype=bool)
    rows.nfev += open_
    noise = NOISE * np.maximum(1.0, np.abs(rows.fun))
    far, short = _judged(rows.fun, noise, slope, t, fun, new_slope)
    low, high, index, mine = np.zeros(count), np.full(count, np.inf), np.arange(count), open_
    for trial in range(TRIALS):
        high[index] = np.where(far & mine, t[index], high[index])
        low[index] = np.where(short & mine, t[index], low[index])
        done = index[mine & ~far & ~short]
        found[done], open_[done] = True, False
        wait = index[mine & (far | short)]
        bounded = np.isfinite(high[wait])
        t[wait] = np.where(bounded, 0.5 * (low[wait] + np.where(bounded, high[wait], 0.0)), 2.0 * t[wait])
        index = np.flatnonzero(open_)
        if not len(index) or trial + 1 == TRIALS:
            break
        along = _some(on, direction, index)
        there = _some(on, rows.x, index) + on.put_in(t[index])[:, None] * along
        value, gradient = objective.value_grad(there)
        fun[index], new_slope = on.take_out(value), on.take_out(on.dot(gradient, along))
        x, grad = on.put_rows(x, index, there), on.put_rows(grad, index, gradient)
        rows.nfev[index] += 1
        far, short = _judged(rows.fun[index], noise[index], slope[index], t[index], fun[index], new_slope)
        mine = open_[index]
    return x, fun, grad, found


def _bisection_alone(objective, rows: Rows, direction, slope, t, at, pool: Pool):
    """The same for a row that has no companions, whose numbers are quicker than arrays of them."""
    low, high, noise, t = 0.0, np.inf, NOISE * max(1.0, abs(rows.fun[0])), float(t[0])
    for trial in range(TRIALS):
        x, fun, grad, new_slope = at
        rows.nfev += 1
        far, short = _judged(rows.fun[0], noise, slope, t, fun[0], new_slope[0])
        if not (far or short):
            return x, fun, grad, np.ones(1, dtype=bool)
        low, high = (low, t) if far else (t, high)
        t = 0.5 * (low + high) if high < np.inf else 2.0 * t
        if trial + 1 < TRIALS:
            if objective.on.host:
                pool.give(x, grad)
            at = _trial(objective, rows, direction, np.array([t]), pool)
    return x, fun, grad, np.zeros(1, dtype=bool)


def _trial(objective, rows: Rows, direction, t, pool: Pool):
    """(x, value, gradient, slope along the direction) of all rows at their step lengths; values and slopes on the
    host."""
    on = objective.on
    if on.host:
        x, grad, ridge = pool.get(rows.x), pool.get(rows.x), pool.get(rows.x)
        np.multiply(t[:, None], direction, out=x)
        x += rows.x
        value, grad = objective.value_grad(x, None, (grad, ridge))
        pool.give(ridge)
    else:
        x = rows.x + on.put_in(t)[:, None] * direction
        value, grad = objective.value_grad(x)
    return x, np.array(on.take_out(value)), grad, on.take_out(on.dot(grad, direction))


def _judged(fun, noise, slope, t, value, new_slope):
    """(the step is too long, too short) by the weak Wolfe conditions, of numbers or arrays of them."""
    descends = value <= fun + ARMIJO * t * slope
    flat = (value <= fun + noise) & (new_slope <= (2 * ARMIJO - 1) * slope)
    far = ~(descends | flat) | ~np.isfinite(value)
    return far, ~far & (new_slope < WOLFE * slope)


class Walk:
    """L-BFGS on one function: `value_grad(x)` of vectors x, from x on, a step at a time.

    x, fun, grad: where it stands. pairs: how many (step, gradient change) it keeps; stored: those to begin with, oldest
    first.
    """

    on = NUMPY

    def __init__(self, value_grad, x, pairs: int = 10, fun=None, grad=None, stored=()):
        self.function, self.pairs, self._pool = value_grad, pairs, Pool()
        if grad is None:
            fun, grad = value_grad(x)
        one = np.ones(1, dtype=int)
        x, grad = np.array(x)[None], np.array(grad)[None]
        self.rows = Rows(
            0 * one, 0 * one, one, 0 * one, np.array([fun], float), 0 * one, x, grad, np.ones(1), [], [], []
        )
        for move, change in stored:
            move, change = move[None], change[None]
            inner, square = np.vecdot(move, change), np.vecdot(change, change)
            self.rows.push(NUMPY, move, change, inner, square, np.array([True]), pairs)

    def value_grad(self, X, weight=None, buffers=(None, None)):
        """The function on an array of one row."""
        fun, grad = self.function(X[0])
        return np.array([fun]), grad[None]

    def step(self) -> bool:
        """Whether a lower point was found; if so, it stands there."""
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(step(self, self.rows, np.array([True]), self.pairs, self._pool)[0])

    @property
    def x(self):
        return self.rows.x[0]

    @property
    def fun(self):
        return self.rows.fun[0]

    @property
    def grad(self):
        return self.rows.grad[0]

    @property
    def nfev(self) -> int:
        """Evaluations so far, the one at the start included."""
        return int(self.rows.nfev[0])

    def stored(self) -> list[tuple]:
        """(step, gradient change) of the pairs kept, oldest first."""
        kept = list(zip(self.rows.steps, self.rows.changes, strict=True))[-int(self.rows.stored[0]) :]
        return [(move[0], change[0]) for move, change in kept] if self.rows.stored[0] else []
