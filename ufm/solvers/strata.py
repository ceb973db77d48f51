"""Newton on the rank stratum for many points at once: starts of equal rank are a leading axis.

The same steps as `solvers.newton` and the same acceptance as `solvers.finish`: gradient and Hessian of F_r are
assembled for all points of one rank together, each point is damped, loses modes and ends by itself. Runs in numpy on
the host.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ufm.objectives.fit import Fit
from ufm.objectives.logits import schatten
from ufm.objectives.stationary import asked
from ufm.problem import Problem


@dataclass(frozen=True, eq=False)
class Strata:
    """F_r to second order at B collapsed points of rank r: U (B, K, r), s (B, r), Vt (B, r, K), b or None."""

    problem: Problem
    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray
    b: np.ndarray | None

    def __len__(self):
        return len(self.s)

    @property
    def rank(self) -> int:
        return self.s.shape[1]

    @functools.cached_property
    def fit(self) -> Fit:
        return Fit.of(self.problem, True)

    @functools.cached_property
    def size(self) -> int:
        K, r = self.problem.K, self.rank
        return r * (2 * K - r) + (0 if self.b is None else K)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        return (self.U * self.s[:, None, :]) @ self.Vt

    @functools.cached_property
    def _fit_grad(self):
        columns, b = self.fit.columns, self.b
        value, grad = self.problem.loss.value_grad(self.fit.logits(self.matrix, b), columns.Y)
        grad = grad * columns.weight
        scaled = grad * columns.scale if np.any(columns.scale != 1.0) else grad
        return np.vecdot(value, columns.weight), scaled, None if b is None else np.sum(grad, axis=-1)

    @functools.cached_property
    def fun(self) -> np.ndarray:
        ridge = 0.0 if self.b is None else 0.5 * self.problem.bias * np.vecdot(self.b, self.b)
        return self._fit_grad[0] + np.sum(schatten(self.problem).phi(self.s), axis=-1) + ridge

    @functools.cached_property
    def blocks(self):
        """(A, B, C, db) of the gradient, B and C in ambient coordinates."""
        G, V, r = self._fit_grad[1], _t(self.Vt), self.rank
        UG, GV = _t(self.U) @ G, G @ V
        X = UG @ V
        A = X.copy()
        A[:, np.arange(r), np.arange(r)] += schatten(self.problem).derivative(self.s)
        db = None if self.b is None else self._fit_grad[2] + self.problem.bias * self.b
        return A, UG - X @ self.Vt, GV - self.U @ X, db

    @functools.cached_property
    def grad_norm(self) -> np.ndarray:
        """Norm of the full gradient at the balanced lifts, (B,)."""
        D, s = self.problem.D, self.s
        A, B, C, db = self.blocks
        share = self.problem.shares
        edge = s ** ((D - 1.0) / D)
        total = share[0] * _squares(edge[:, :, None] * B) + share[-1] * _squares(C * edge[:, None, :])
        for l in range(D):
            total += share[l] * _squares(s[:, :, None] ** ((D - 1.0 - l) / D) * A * s[:, None, :] ** (l / D))
        return np.sqrt(total + (0.0 if db is None else np.vecdot(db, db)))

    @functools.cached_property
    def ridge_norm(self) -> np.ndarray:
        p = self.problem
        return np.sqrt(np.sum(p.lams) * p.Lam * np.sum(self.s ** (2.0 / p.D), axis=-1))

    @functools.cached_property
    def living(self) -> np.ndarray:
        """(B, r): modes whose pull to zero does not exceed half the penalty's own."""
        pull = np.diagonal(self.blocks[0], axis1=1, axis2=2) / (
            self.problem.Lam * self.s ** (2.0 / self.problem.D - 1.0)
        )
        return pull < 0.5

    @functools.cached_property
    def frames(self):
        """(U, U_perp) and (V, V_perp), (B, K, K)."""
        return _completed(self.U), _completed(_t(self.Vt))

    @functools.cached_property
    def scale(self) -> np.ndarray:
        """Norm of dZ (and db) per unit of factor motion, (B, size)."""
        (count, r), K, D = self.s.shape, self.problem.K, self.problem.D
        squares = (self.s[:, :, None] ** (np.arange(D) / D)) ** 2
        inner = np.sqrt(squares[:, :, ::-1] @ _t(squares))
        edge = self.s ** ((D - 1.0) / D)
        parts = [inner.reshape(count, -1), np.repeat(edge, K - r, axis=1), np.tile(edge, (1, K - r))]
        return np.concatenate(parts if self.b is None else [*parts, np.ones((count, K))], axis=1)

    def gradient(self) -> np.ndarray:
        (A, B, C, db), (U, V), r, count = self.blocks, self.frames, self.rank, len(self)
        parts = [A, B @ V[:, :, r:], _t(U[:, :, r:]) @ C, *([] if db is None else [db])]
        return np.concatenate([part.reshape(count, -1) for part in parts], axis=1)

    @functools.cached_property
    def G_perp(self) -> np.ndarray:
        U, V = self.frames
        return _t(U[:, :, self.rank :]) @ self._fit_grad[1] @ V[:, :, self.rank :]

    def hessian(self, whole: bool = False) -> np.ndarray:
        """Transposes of the Hessians of F_r in scaled coordinates, (B, size, size): LAPACK reads them as they are.

        Below the diagonal only, unless whole; above it some blocks are then zero.
        """
        (count, r), K = self.s.shape, self.problem.K
        U, V = self.frames
        scaled = V * self.fit.columns.scale[:, None]
        column = self._columns_hessian()
        half = _t(U)[:, None] @ column
        inner, outer = half @ U[:, None], scaled[:, :, :, None] * scaled[:, :, None, :]
        low, up = np.tril_indices(K, -1)
        inner[:, :, low, up] = inner[:, :, up, low]
        H = np.zeros((count, self.size, self.size))
        a, b, c = r * r, r * K, r * (2 * K - r)  # ends of A, B, C
        head, tail = (
            (0, a, slice(r), r),
            (a, b, slice(r, K), K - r),
        )  # rows of A and of B: where in H, which of V's columns, how many
        own = _outer_sums(inner[:, :, :r, :r], outer)
        for (i, j, rows, p), (k, l, cols, q) in ((head, head), (tail, head), (tail, tail)):
            H[:, i:j, k:l].reshape(count, r, p, r, q)[...] = own[:, :, :, rows, cols].transpose(0, 1, 3, 2, 4)
        cross = _outer_sums(inner[:, :, :r, r:], outer[:, :, :, :r])
        for i, j, rows, p in (head, tail):
            H[:, b:c, i:j].reshape(count, K - r, r, r, p)[...] = cross[:, :, :, rows].transpose(0, 2, 4, 1, 3)
        corner = _outer_sums(inner[:, :, r:, r:], outer[:, :, :r, :r])
        H[:, b:c, b:c].reshape(count, K - r, r, K - r, r)[...] = corner.transpose(0, 1, 3, 2, 4)
        if self.b is not None:
            bias = np.einsum("zjak,zjb->zabk", half, scaled)
            H[:, c:, :a] = _t(bias[:, :r, :r].reshape(count, -1, K))
            H[:, c:, a:b] = _t(bias[:, :r, r:].reshape(count, -1, K))
            H[:, c:, b:c] = _t(bias[:, r:, :r].reshape(count, -1, K))
            H[:, c:, c:] = column.sum(axis=1) + self.problem.bias * np.eye(K)
        self._add_spectral(H)
        if whole:
            for i, j, k in ((0, a, b), (0, b, c), (0, c, self.size)):
                H[:, i:j, j:k] = _t(H[:, j:k, i:j])
        H *= self.scale[:, None, :]
        H *= self.scale[:, :, None]
        return H

    def _columns_hessian(self) -> np.ndarray:
        """Hessian of each column's term in its logits, (B, M, K, K)."""
        columns, K = self.fit.columns, self.problem.K
        directions = np.broadcast_to(np.eye(K)[:, :, None], (K, K, K))
        logits = self.fit.logits(self.matrix, self.b)
        full = self.problem.loss.hvp(logits[:, None], columns.Y, directions)
        return np.moveaxis(full, -1, 1) * columns.weight[:, None, None]

    def _add_spectral(self, H) -> None:
        phi, s, (_, r), K = schatten(self.problem), self.s, self.s.shape, self.problem.K
        d1, d2 = phi.derivative(s), phi.second(s)
        gap, total = s[:, :, None] - s[:, None, :], s[:, :, None] + s[:, None, :]
        near = np.abs(gap) <= 1e-6 * total
        minus = np.where(
            near, 0.5 * (d2[:, :, None] + d2[:, None, :]), (d1[:, :, None] - d1[:, None, :]) / np.where(near, 1.0, gap)
        )
        plus, edge = (d1[:, :, None] + d1[:, None, :]) / total, d1 / s
        A = np.arange(r * r).reshape(r, r)
        B = r * r + np.arange(r * (K - r)).reshape(r, K - r)
        C = r * K + np.arange((K - r) * r).reshape(K - r, r)
        H[:, A, A] += 0.5 * (minus + plus)
        H[:, A, A.T] += 0.5 * (minus - plus)
        H[:, B, B] += edge[:, :, None]
        H[:, C, C] += edge[:, None, :]
        bend = self.G_perp[:, :, None, :] / s[:, None, :, None]
        H[:, C[:, :, None], B[None, :, :]] += bend

    def retract(self, vector, rows):
        """(Strata, mask): the nearest points of rank r to Z + dZ for some rows; the mask tells which have that rank."""
        (_, r), K, U, V = self.s.shape, self.problem.K, *(F[rows] for F in self.frames)
        T = np.zeros((len(rows), K, K))
        a, b, c = r * r, r * K, r * (2 * K - r)
        T[:, :r, :r] = vector[:, :a].reshape(len(rows), r, r)
        T[:, :r, r:] = vector[:, a:b].reshape(len(rows), r, K - r)
        T[:, r:, :r] = vector[:, b:c].reshape(len(rows), K - r, r)
        Z = self.matrix[rows] + U @ T @ _t(V)
        fine = np.isfinite(Z).all(axis=(1, 2))
        left, s, right = np.linalg.svd(np.where(fine[:, None, None], Z, 1.0))
        fine &= s[:, r - 1] > 0 if r else True
        s = np.where(fine[:, None], s, 1.0)
        moved = None if self.b is None else self.b[rows] + vector[:, c:]
        return Strata(self.problem, left[:, :, :r], s[:, :r], right[:, :r], moved), fine

    def take(self, rows) -> Strata:
        return Strata(self.problem, self.U[rows], self.s[rows], self.Vt[rows], None if self.b is None else self.b[rows])


def _t(a):
    return np.swapaxes(a, -1, -2)


def _squares(a):
    a = a.reshape(len(a), -1)
    return np.vecdot(a, a)


def _completed(U):
    if not U.shape[-1]:
        return np.broadcast_to(np.eye(U.shape[-2]), (len(U), U.shape[-2], U.shape[-2]))
    return np.concatenate([U, np.linalg.qr(U, mode="complete")[0][:, :, U.shape[-1] :]], axis=-1)


def _outer_sums(inner, outer):
    """sum_j inner_j[a, c] outer_j[b, d] as (B, a, c, b, d)."""
    count, M, *first = inner.shape
    second = outer.shape[2:]
    full = _t(inner.reshape(count, M, -1)) @ outer.reshape(count, M, -1)
    return full.reshape(count, *first, *second)


@dataclass
class Ends:
    """Where Newton ended, per point: rank, U (K, r), s, Vt, b as lists; value, gradient norm, that of the ridge's own,
    steps and acceptance as arrays."""

    points: list
    fun: np.ndarray
    grad_norm: np.ndarray
    ridge_norm: np.ndarray
    steps: np.ndarray
    accepted: np.ndarray


def finish(problem: Problem, Z, b, fun, tol: float, saddles, block: int, max_steps: int = 50) -> Ends:
    """Newton from every collapsed Z (B, K, K), accepted where the value did not rise and no descent is left.

    b (B, K) or None; fun (B,): value of the point each comes from; saddles (B,): take a saddle too. block: points per
    group, which bounds the memory of their Hessians and changes no number.
    """
    count = len(Z)
    ends = Ends(
        [None] * count,
        np.full(count, np.inf),
        np.full(count, np.inf),
        np.zeros(count),
        np.zeros(count, dtype=int),
        np.zeros(count, dtype=bool),
    )
    for i in range(0, count, block):
        part = slice(i, i + block)
        _finish_block(
            problem, Z[part], None if b is None else b[part], fun[part], tol, saddles[part], max_steps, ends, i
        )
    return ends


def _finish_block(problem, Z, b, fun, tol, saddles, max_steps, ends: Ends, offset: int) -> None:
    left, s, right = np.linalg.svd(Z)
    rank = np.sum((s > 1e-14 * s[:, :1]) & (s[:, :1] > 0), axis=1)
    work = []  # groups (Strata, labels, steps, sharp)
    for r in np.unique(rank):
        rows = np.flatnonzero(rank == r)
        here = Strata(problem, left[rows, :, :r], s[rows, :r], right[rows, :r], None if b is None else b[rows])
        work += [(lower, rows[i], np.zeros(len(i), dtype=int)) for lower, i in _cut(here)]
    sharp = np.empty(len(Z))
    for here, rows, _ in work:
        sharp[rows] = np.minimum(tol, 1e-9 * here.ridge_norm)
    while work:
        after = []
        for here, rows, steps in work:
            after += _newton_round(here, rows, steps, sharp, saddles, max_steps, fun, tol, ends, offset)
        work = _merge(after)


def _cut(here: Strata):
    """Groups (Strata, rows) of equal rank with the dying modes cut off."""
    living, groups = here.living, []
    keep = living.sum(axis=1)
    for r in np.unique(keep):
        rows = np.flatnonzero(keep == r)
        order = np.argsort(~living[rows], axis=1, kind="stable")[:, :r]
        U = np.take_along_axis(here.U[rows], order[:, None, :], axis=2)
        Vt = np.take_along_axis(here.Vt[rows], order[:, :, None], axis=1)
        s = np.take_along_axis(here.s[rows], order, axis=1)
        U = _t(np.ascontiguousarray(_t(U)))  # the layout, and so the bits, of the single point's
        groups.append((Strata(here.problem, U, s, Vt, None if here.b is None else here.b[rows]), rows))
    return groups


def _merge(work):
    """Join groups of equal rank."""
    merged = []
    for r in sorted({here.rank for here, _, _ in work}):
        same = [group for group in work if group[0].rank == r]
        if len(same) == 1:
            merged += same
            continue
        first = same[0][0]
        U, s, Vt = (np.concatenate([getattr(group[0], name) for group in same]) for name in ("U", "s", "Vt"))
        b = None if first.b is None else np.concatenate([group[0].b for group in same])
        here = Strata(first.problem, U, s, Vt, b)
        merged.append((here, np.concatenate([g[1] for g in same]), np.concatenate([g[2] for g in same])))
    return merged


def _newton_round(here: Strata, rows, steps, sharp, saddles, max_steps, fun, tol, ends, offset):
    """One Newton step of every point of a group; ended points go to `ends`, the others come back in groups."""
    over = (here.grad_norm <= sharp[rows]) | (steps >= max_steps)
    _end(here, rows, steps, over, saddles, fun, tol, ends, offset)
    if over.all():
        return []
    if over.any():
        go = np.flatnonzero(~over)
        here, rows, steps = here.take(go), rows[go], steps[go]
    result, stay = [], np.arange(len(rows))
    dying = np.flatnonzero(~here.living.all(axis=1))
    if len(dying):
        for lower, i in _cut(here.take(dying)):
            falls = lower.fun <= here.fun[dying[i]]
            if falls.any():
                chosen = np.flatnonzero(falls)
                result.append((lower.take(chosen), rows[dying[i[chosen]]], steps[dying[i[chosen]]] + 1))
                stay = np.setdiff1d(stay, dying[i[chosen]])
        if not len(stay):
            return result
        here, rows, steps = here.take(stay), rows[stay], steps[stay]
    step, given_up = _directions(here, ~saddles[rows])
    after, moved = _damped(here, step, np.flatnonzero(~given_up))
    stuck = np.ones(len(rows), dtype=bool)
    stuck[moved] = False
    _end(here, rows, steps, stuck, saddles, fun, tol, ends, offset)
    return [*result, *((part, rows[i], steps[i] + 1) for part, i in after)]


def _directions(here: Strata, to_minimum):
    """(-H^+ g per row, mask of rows given up because they are not near a minimum)."""
    H, scale = here.hessian(), here.scale
    g = scale * here.gradient()
    step, given_up, singular = np.zeros_like(g), np.zeros(len(g), dtype=bool), []
    for i in range(len(g)):
        factor, failed = linalg.lapack.dpotrf(H[i].T, lower=0, clean=0, overwrite_a=1)
        diagonal = factor.diagonal()
        if failed or not diagonal.min() > 1e-5 * diagonal.max():
            singular.append(i)
            continue
        step[i] = linalg.lapack.dpotrs(factor, g[i], lower=0)[0]
    np.multiply(step, -scale, out=step)
    if singular:
        H = here.take(singular).hessian(whole=True)
    for i, own in zip(singular, H[: len(singular)], strict=True):
        values, vectors = linalg.eigh(own.T, check_finite=False, overwrite_a=True)
        size = np.max(np.abs(values), initial=0.0)
        if to_minimum[i] and np.any(values < -1e-8 * size):
            given_up[i] = True
            continue
        keep = np.abs(values) > 1e-11 * size
        step[i] = -scale[i] * (vectors[:, keep] @ ((vectors[:, keep].T @ g[i]) / values[keep]))
    return step, given_up


def _damped(here: Strata, step, rows, most: int = 30):
    """([(Strata, rows)], rows that moved): steps halved until the gradient norm falls."""
    found, moved = [], []
    for halvings in range(most):
        if not len(rows):
            break
        after, fine = here.retract(step[rows] * 0.5**halvings, rows)
        falls = fine & (after.grad_norm < (1 - 1e-4 * 0.5**halvings) * here.grad_norm[rows])
        if falls.all():
            found.append((after, rows))
        elif falls.any():
            found.append((after.take(np.flatnonzero(falls)), rows[falls]))
        moved.append(rows[falls])
        rows = rows[~falls]
    return found, np.concatenate(moved) if moved else np.zeros(0, dtype=int)


def _end(here: Strata, rows, steps, over, saddles, fun, tol, ends: Ends, offset: int) -> None:
    """Record the points of a group that are over, and whether they are accepted."""
    index = np.flatnonzero(over)
    if not len(index):
        return
    at = offset + rows[index]
    ends.fun[at], ends.grad_norm[at], ends.steps[at] = here.fun[index], here.grad_norm[index], steps[index]
    ends.ridge_norm[at] = here.ridge_norm[index]
    slack = 1e-9 * np.maximum(1.0, np.abs(fun[rows[index]]))
    good = (here.grad_norm[index] <= asked(tol, here.ridge_norm[index])) & (here.fun[index] <= fun[rows[index]] + slack)
    ask = np.flatnonzero(good & ~saddles[rows[index]])
    if len(ask):
        good[ask] = _stable(here.take(index[ask]))
    ends.accepted[at] = good
    for i, label in zip(index, at, strict=True):
        ends.points[label] = (here.U[i], here.s[i], here.Vt[i], None if here.b is None else here.b[i])


def _stable(here: Strata, tol: float = 1e-8) -> np.ndarray:
    """No direction of descent: lambda_min(H) >= -tol max|H| by a shifted Cholesky factorisation, and at D = 2 none
    leaving the stratum."""
    good = np.ones(len(here), dtype=bool)
    if here.size:
        H = here.hessian()
        for i in range(len(here)):
            H[i].flat[:: here.size + 1] += tol * max(np.max(H[i]), -np.min(H[i]))
            good[i] = linalg.lapack.dpotrf(H[i].T, lower=0, clean=0, overwrite_a=1)[1] == 0
    problem = here.problem
    if problem.D == 2 and here.rank < problem.max_rank and here.G_perp.size:
        good &= np.linalg.norm(here.G_perp, 2, axis=(1, 2)) <= problem.Lam * (1 + 1e-7)
    return good
