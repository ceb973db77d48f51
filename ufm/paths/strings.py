"""The simplified string method: images on a path moved by steepest descent and kept at equal distances."""

from __future__ import annotations

import numpy as np
from scipy import optimize
from scipy.interpolate import CubicSpline

from ufm.critical.classify import classify, with_name
from ufm.critical.point import CriticalPoint
from ufm.numerics.spectra import thin_svd
from ufm.objectives.factors import FactorObjective
from ufm.paths.gauge import align_gauge
from ufm.points import LogitPoint
from ufm.solvers.newton import newton_on_stratum

STALL = 150
"""Steps without progress after which a string stops, unconverged."""


class String:
    """Images X (P, size) between fixed ends, what moves them, and how far they are from steepest descent."""

    def __init__(self, objective: FactorObjective, X, limit: float, climb: bool):
        self.objective, self.X, self.limit, self.climb = objective, X, limit, climb
        self.steps, self.residual, self._history = 0, np.inf, []
        self._floor = float(np.min(objective.value(X[[0, -1]])))

    @property
    def t(self) -> np.ndarray:
        return _lengths(self.X)

    def run(self, max_steps: int, bar) -> None:
        while self.steps < max_steps:
            if self.steps % 50 == 0:
                self.lr = 1.0 / _curvature(self.objective, self.X)
            if self.steps % 10 == 0:
                self._align()
            fun, grad = self.objective.value_grad(self.X)
            tangent = _tangents(self.X)
            along = np.sum(grad * tangent, axis=1, keepdims=True) * tangent
            self.residual = float(np.max(np.linalg.norm((grad - along)[1:-1], axis=1)))
            if self.residual <= self.limit or self._stalled(float(np.max(fun))):
                return
            self._move(fun, grad, along)
            self.steps += 1
            bar.update()

    def _stalled(self, top: float) -> bool:
        """Neither residual nor top has changed over the last STALL steps: kinks on the way keep a residual."""
        self._history.append((self.residual, top))
        if len(self._history) <= 2 * STALL:
            return False
        residuals, tops = np.array(self._history[-2 * STALL :]).T
        still = np.ptp(tops[STALL:]) <= 1e-6 * max(top - self._floor, 1e-9)
        return bool(still and np.min(residuals[STALL:]) > 0.95 * np.min(residuals[:STALL]))

    def _move(self, fun, grad, along) -> None:
        k = int(np.argmax(fun))
        climbing = self.climb and 0 < k < len(fun) - 1 and self.residual <= 10 * self.limit
        if climbing:
            grad[k] -= 2.0 * along[k]
        X = self.X.copy()
        X[1:-1] -= self.lr * grad[1:-1]
        self.X = np.concatenate([respaced(X[: k + 1])[:-1], respaced(X[k:])]) if climbing else respaced(X)

    def _align(self) -> None:
        """Hidden frames of every image turned towards those of the one before: no motion along the gauge."""
        for i in range(1, len(self.X)):
            self.X[i] = align_gauge(self.objective, self.X[i], self.X[i - 1])

    def shake(self, draw: np.random.Generator) -> None:
        size = 1e-2 * np.linalg.norm(self.X[1:-1], axis=1, keepdims=True) / np.sqrt(self.X.shape[1])
        self.X[1:-1] += size * draw.standard_normal(self.X[1:-1].shape)
        self.residual, self._history = np.inf, []

    @property
    def curve(self) -> CubicSpline:
        return CubicSpline(self.t, self.X)

    def highest(self) -> float:
        """Where the curve through the images is highest; a narrow well is not overlooked at its ends."""
        curve, t = self.curve, self.t
        shares = np.linspace(0, 1, 8, endpoint=False)
        fine = np.unique(np.concatenate([*(t[:-1] + share * np.diff(t) for share in shares), [1.0]]))
        return highest(lambda u: self.objective.value(curve(u)), fine)

    def refine(self) -> CriticalPoint | None:
        """The saddle, no lower than the path's ends, that Newton finds near the highest point; or None."""
        fun, where = self.objective.value(self.X[[0, -1]]), self.highest()
        if where in (0.0, 1.0):
            return None
        x = self.curve(where)
        size = float(np.linalg.norm(self.objective.logits(x)))
        found = []
        for point in _ranks(self.objective, x):
            end, _, _ = newton_on_stratum(point, drop=False)
            gap = np.linalg.norm(end.point.matrix() - self.objective.logits(x))
            good = end.grad_norm <= max(1e-12, 1e-9 * end.ridge_norm) and end.fun > max(fun[0], fun[-1])
            if good and gap <= 0.3 * size:
                found.append((gap, end.point))
        for _, point in sorted(found, key=lambda pair: pair[0]):
            critical = classify(point)
            if critical.descends:
                return with_name(critical)
        return None


def _ranks(objective: FactorObjective, x):
    """x as LogitPoints of the ranks it may be meant to have: cut at several factor-scale singular values."""
    Z, b = objective.logits(x), objective.unpack(x)[1]
    svd = thin_svd(Z, tol=1e-14)
    root = svd.s ** (1.0 / objective.problem.D)
    cuts = (np.sum(root > cut * root[0]) for cut in (1e-6, 1e-3, 0.05, 0.15, 0.3))
    for rank in dict.fromkeys(min(int(kept), objective.problem.max_rank) for kept in cuts):
        yield LogitPoint(objective.problem, svd.U[:, :rank], svd.s[:rank], svd.V[:, :rank], b)


def _lengths(X) -> np.ndarray:
    """Share of the polygon's length up to every image."""
    steps = np.linalg.norm(np.diff(X, axis=0), axis=1)
    total = np.append(0.0, np.cumsum(steps))
    return total / total[-1] if total[-1] > 0 else np.linspace(0.0, 1.0, len(X))


def respaced(X) -> np.ndarray:
    """As many images at equal distances on the cubic spline through X."""
    t = _lengths(X)
    if len(X) < 3 or np.any(np.diff(t) <= 0):
        return X
    return CubicSpline(t, X)(np.linspace(0.0, 1.0, len(X)))


def _tangents(X) -> np.ndarray:
    t = _lengths(X)
    if np.any(np.diff(t) <= 0):
        t = np.linspace(0.0, 1.0, len(X))
    slope = CubicSpline(t, X)(t, 1)
    return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)


def _curvature(objective: FactorObjective, X, rounds: int = 12) -> float:
    """1.3 times the largest |eigenvalue| of the Hessian over the images, by power iteration."""
    v = objective.grad(X) + 1e-3 * np.roll(X, 1, axis=1)
    size = np.linalg.norm(v, axis=1, keepdims=True)
    for _ in range(rounds):
        v = v / np.maximum(size, 1e-300)
        v = objective.hvp(X, v)
        size = np.linalg.norm(v, axis=1, keepdims=True)
    return 1.3 * float(np.max(size))


def highest(fun, t) -> float:
    """Where fun is largest on [0, 1]: the best grid point, refined between its neighbours."""
    values = np.asarray(fun(t))
    k = int(np.argmax(values))
    low, high = t[max(k - 1, 0)], t[min(k + 1, len(t) - 1)]
    options = {"bounds": (low, high), "method": "bounded", "options": {"xatol": 1e-10}}
    found = optimize.minimize_scalar(lambda u: -float(fun(np.array(u))), **options)
    return float(found.x) if -found.fun > values[k] else float(t[k])
