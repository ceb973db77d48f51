"""Stationarity of piecewise linear models (relu, leaky_relu), where minimisers sit on kinks and the gradient says nothing.

A hidden pre-activation within tol of zero, relative to the largest of its layer, is on a kink: its slope may be any mask m in
[slope, 1]. All others have the slope of their side. With Gamma_k the slopes of hidden layer k (rows: neurons, columns: samples),

    residual = min over masks of |grad F_Gamma|,   F_Gamma: backward pass with the slopes Gamma,

the norm being that over all factors and the bias. The gradient is multilinear in the masks, linear in those of one layer, so the
minimum is sought by bounded least squares, from the top layer down and then jointly.

What it means: the set {grad F_Gamma} contains Clarke's subdifferential (for compositions the two may differ), so residual 0 is necessary
for a local minimum, and says `stationary` in the sense of backpropagation. The value found is an upper bound on the minimum over masks, the joint
problem not being convex for L >= 3. Points within tol of a kink are read as if on it: the residual speaks of the exact point
nearby, and `largest` says how far from the kinks it is. Sources: sml24 (the model); clarke90 (the subdifferential).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from ufm.numerics import arguments
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint

TOL = 1e-9
"""Modulus of a pre-activation, relative to the largest of its layer, up to which it is on the kink."""
SETTLED = 1e-9
"""Gradient, relative to the ridge's own, above which a second start of the masks is tried."""
SWEEPS, NEWTON = 20, 50
"""Most Gauss-Newton steps on all masks together, and projected Newton steps in each."""


@dataclass(frozen=True, eq=False)
class Clarke:
    """The smallest gradient found over masks at kinks.

    residual: its norm; relative: that divided by the norm of the ridge's own gradient (lam_l A_l)_l, which the fit must cancel.
    masks: slopes of every hidden layer (d_{k+1}, M), those off the kinks being the slope of their side; kinks: where they were free.
    columns: 'classes' where the samples of each class coincide and were merged, else 'samples'. largest: the largest pre-activation read as zero, relative.
    """

    residual: float
    relative: float
    masks: tuple[np.ndarray, ...] = field(repr=False)
    kinks: tuple[np.ndarray, ...] = field(repr=False)
    tol: float = TOL
    largest: float = 0.0
    columns: str = "samples"

    @property
    def count(self) -> int:
        """How many pre-activations are on a kink."""
        return int(sum(np.sum(k) for k in self.kinks))

    def __repr__(self) -> str:
        return (
            f"Clarke: residual {self.residual:.1e} (relative {self.relative:.1e}), {self.count} kinks (|pre-activation| <= {self.tol:g} of its layer's largest)"
        )


def clarke(point: FactorPoint, tol: float = TOL) -> Clarke:
    """min over masks of |grad F| at a FactorPoint; the norm of the gradient for linear and smooth activations.

    tol >= 0 is relative to the largest pre-activation of the layer; 0 leaves only exact zeros free.
    Raises ValueError for what is no FactorPoint, and for activations that are neither smooth nor piecewise linear with one kink at 0.
    """
    arguments.instance("point", point, FactorPoint)
    objective, x = merged(point)
    return at(objective, x, tol, columns="classes" if objective.collapsed else "samples")


def merged(point: FactorPoint) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x) with one column per class where the samples of every class have equal features and s(t x) = t s(x), else all samples."""
    problem = point.problem
    if problem.N > problem.K and problem.activation.homogeneous:
        H, labels = point.factors[0], problem.labels
        first = H[:, np.searchsorted(labels, np.arange(problem.K))]
        if np.array_equal(first[:, labels], H):
            objective = FactorObjective(problem, collapsed=True)
            return objective, objective.pack([first * np.sqrt(problem.counts), *point.factors[1:]], point.b)
    objective = FactorObjective(problem)
    return objective, objective.pack(point.factors, point.b)


def at(objective: FactorObjective, x, tol: float = TOL, columns: str = "samples", masks=None) -> Clarke:
    """`clarke` at a flat vector of an objective. masks: slopes to start from at the kinks."""
    tol = arguments.nonnegative("tol", tol)
    ridge = float(np.linalg.norm(objective._ridge * x))
    here = Gated.of(objective, x)
    slope = slope_of(objective.problem)
    if slope is None:
        return _result(here, float(np.linalg.norm(here.gradient())), ridge, [np.zeros(p.shape, bool) for p in here.pres], tol, columns)
    kinks = here.near(tol)
    here = here.solve_masks(kinks, slope, masks)
    return _result(here, float(np.linalg.norm(here.gradient())), ridge, kinks, tol, columns)


def _result(here, residual, ridge, kinks, tol, columns) -> Clarke:
    largest = max((float(np.max(np.abs(p[k]), initial=0.0)) / size for p, k, size in zip(here.pres, kinks, here.sizes, strict=True) if size), default=0.0)
    return Clarke(residual, residual / ridge if ridge else residual, tuple(here.gates), tuple(kinks), tol, largest, columns)


def slope_of(problem) -> float | None:
    """Slope left of the kink of a piecewise linear activation; None where no kink acts (smooth activations, L = 1)."""
    s = problem.activation
    if s.smooth or problem.L == 1:
        return None
    left = -s.value(np.array([-1.0, -2.0, -0.5, 1.0, 3.0]))
    if not s.homogeneous or left[0] >= 1 or not np.allclose(left, left[0] * np.array([1.0, 2.0, 0.5, 0, 0]) - np.array([0, 0, 0, 1.0, 3.0]), rtol=1e-12):
        raise ValueError(f"kinks are understood at 0 only, for max(x, slope x); got activation={s.name!r}.")
    return float(left[0])


def kinked(problem) -> bool:
    """Whether the model is piecewise linear, with kinks at 0 only, and a hidden layer has them."""
    try:
        return slope_of(problem) is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class Identities:
    """How far a point is from what holds at every stationary point of a homogeneous model, relative to T: necessary, cheap, not sufficient.

    first     lam_1 W_1' W_1 = lam_0 H_1 H_1'
    neurons   lam_l ||row j of W_l||^2 = lam_{l+1} ||column j of W_{l+1}||^2 for every hidden neuron
    norms     lam_l ||A_l||^2 = T, the same for all factors
    pull      T = -<grad g(Z), Z>, Z without the bias
    loss      MSE without bias: F = ||R||^2/(2N) - (L+1)/(2N) <R, Z>, R = Z - Y, relative to F; None otherwise
    """

    first: float
    neurons: float
    norms: float
    pull: float
    loss: float | None

    @property
    def worst(self) -> float:
        return max(self.first, self.neurons, self.norms, self.pull, self.loss or 0.0)


def identities(point: FactorPoint) -> Identities:
    """The deviations of a point; all zero at the zero point. Raises ValueError for activations without s(t x) = t s(x).

    Masks do not enter: W_l and its neighbours see the same sums whatever the slopes at kinks. Source: sml24 for MSE; du18 for the balance of neurons.
    """
    arguments.instance("point", point, FactorPoint)
    problem = point.problem
    if not problem.activation.homogeneous:
        raise ValueError(f"the identities need s(t x) = t s(x); got activation={problem.activation.name!r}.")
    A, lams, Z = point.factors, problem.lams, point.product()
    costs = np.array([lam * np.sum(F**2) for lam, F in zip(lams, A, strict=True)])
    T = float(np.mean(costs))
    scale = T or 1.0
    columns = problem.samples
    logits = Z if point.b is None else Z + point.b[:, None]
    G = problem.loss.grad(logits, columns.Y) * columns.weight
    neurons = [np.max(np.abs(p * np.sum(W**2, axis=1) - q * np.sum(V**2, axis=0))) for p, W, q, V in zip(lams[1:-1], A[1:-1], lams[2:], A[2:], strict=True)]
    first = np.linalg.norm(lams[1] * A[1].T @ A[1] - lams[0] * A[0] @ A[0].T)
    loss = None
    if problem.loss.name == "mse" and point.b is None:
        R, fun = Z - columns.Y, problem.loss.value(Z, columns.Y) @ columns.weight + 0.5 * np.sum(costs)
        loss = float(abs(fun - (np.sum(R * R) - problem.D * np.sum(R * Z)) / (2 * problem.N)) / fun)
    deviations = (first, max(neurons, default=0.0), np.ptp(costs), abs(T + np.sum(G * Z)))
    return Identities(*(float(v / scale) for v in deviations), loss)


@dataclass(eq=False)
class Gated:
    """The model at x with slopes Gamma_k: value and inputs of the true forward pass, derivatives through the slopes."""

    objective: FactorObjective
    x: np.ndarray
    gates: list[np.ndarray]
    factors: list[np.ndarray]
    b: np.ndarray | None
    Z: np.ndarray
    inputs: list[np.ndarray]
    pres: list[np.ndarray]

    @staticmethod
    def of(objective: FactorObjective, x, gates=None) -> Gated:
        """With the true activations; or, gates given, the model whose activation of layer k is u -> Gamma_k u entrywise."""
        factors, b = objective.unpack(x)
        s = objective.problem.activation
        inputs, slopes, pres = [factors[0]], [], []
        for k, W in enumerate(factors[1:-1]):
            pres.append(W @ inputs[-1])
            slopes.append(s.derivative(pres[-1]) if gates is None else gates[k])
            inputs.append(s.value(pres[-1]) if gates is None else gates[k] * pres[-1])
        return Gated(objective, x, slopes, factors, b, factors[-1] @ inputs[-1], inputs, pres)

    @property
    def sizes(self) -> list[float]:
        """Largest pre-activation of every layer."""
        return [float(np.max(np.abs(p), initial=0.0)) for p in self.pres]

    def near(self, tol: float) -> list[np.ndarray]:
        """Where pre-activations are within tol of the kink, relative to their layer's largest."""
        return [np.abs(p) <= tol * size for p, size in zip(self.pres, self.sizes, strict=True)]

    def value(self) -> float:
        return float(self.objective.fit.value(self.Z, self.b) + 0.5 * np.sum(self.objective._ridge * self.x**2))

    def gradient(self) -> np.ndarray:
        """grad F_Gamma, flat."""
        _, G, Gb = self.objective.fit.value_grad(self.Z, self.b)
        parts = self.objective._backward(self.factors, self.inputs, self.gates, G)
        return self.objective.pack(parts, Gb) + self.objective._ridge * self.x

    def signals(self) -> list[np.ndarray]:
        """dF/d(output) of every hidden layer, the slope of the layer itself not applied."""
        _, G, _ = self.objective.fit.value_grad(self.Z, self.b)
        found = []
        for k in range(len(self.pres), 0, -1):
            G = self.factors[k + 1].T @ G
            found.append(G)
            G = G * self.gates[k - 1]
        return found[::-1]

    def rows(self, where) -> np.ndarray:
        """Derivatives in x of the pre-activations at `where` (a boolean array per layer), (count, size), layer by layer."""
        blocks = [np.zeros((0, self.objective.size))]
        for k, mask in enumerate(where):
            a, c = np.nonzero(mask)
            if not len(a):
                continue
            seeds = np.zeros((len(a), *mask.shape))
            seeds[np.arange(len(a)), a, c] = 1.0
            parts = self.objective._backward(self.factors[: k + 2], self.inputs, self.gates, seeds)
            block = np.zeros((len(a), self.objective.size))
            block[:, : self.objective._ends[k + 2]] = np.concatenate([p.reshape(len(a), -1) for p in parts], axis=1)
            blocks.append(block)
        return np.concatenate(blocks)

    def hessian(self) -> np.ndarray:
        """Hessian of F_Gamma, the slopes held fixed: symmetric, (size, size)."""
        o = self.objective
        tangents, db = o.unpack(np.eye(o.size))
        dinputs, last = [tangents[0]], len(self.factors) - 1
        for W, dW, u, gate in zip(self.factors[1:-1], tangents[1:-1], self.inputs, self.gates, strict=False):
            dinputs.append(gate * (dW @ u + W @ dinputs[-1]))
        dZ = tangents[-1] @ self.inputs[-1] + self.factors[-1] @ dinputs[-1]
        _, G, _ = o.fit.value_grad(self.Z, self.b)
        dG, dGb = o.fit.hvp(self.Z, self.b, dZ, db)
        result = [None] * (last + 1)
        for l in range(last, 0, -1):
            if l < last:
                G, dG = G * self.gates[l - 1], dG * self.gates[l - 1]
            result[l] = dG @ np.swapaxes(self.inputs[l - 1], -1, -2) + G @ np.swapaxes(dinputs[l - 1], -1, -2)
            dG = self.factors[l].T @ dG + np.swapaxes(tangents[l], -1, -2) @ G
            G = self.factors[l].T @ G
        result[0] = dG
        H = o.pack(result, dGb)
        H[np.diag_indices(o.size)] += o._ridge
        return 0.5 * (H + H.T)

    def with_gates(self, gates) -> Gated:
        return Gated(self.objective, self.x, gates, self.factors, self.b, self.Z, self.inputs, self.pres)

    def solve_masks(self, kinks, slope: float, start=None) -> Gated:
        """The same point with the masks at kinks that make |grad F_Gamma| small: layer by layer from the top, then together.

        Where that leaves a gradient, once more from masks in the middle of their range. start: masks to go on from instead.
        """
        if not any(k.any() for k in kinks):
            return self
        if start is not None:
            return self._at(kinks, start, slope)._settled(kinks, slope)
        first = self._at(kinks, self.gates, slope)
        for k in range(len(kinks) - 1, -1, -1):
            first = first._rows_masks(k, kinks[k], slope)
        first = first._settled(kinks, slope)
        size = np.linalg.norm(first.gradient())
        if size <= SETTLED * np.linalg.norm(self.objective._ridge * self.x):
            return first
        second = self._at(kinks, [np.full(g.shape, 0.5 * (1 + slope)) for g in self.gates], slope)._settled(kinks, slope)
        return second if np.linalg.norm(second.gradient()) < size else first

    def _at(self, kinks, masks, slope: float) -> Gated:
        """With the given masks at kinks, clipped to their range."""
        return self.with_gates([np.where(k, np.clip(m, slope, 1.0), g) for g, k, m in zip(self.gates, kinks, masks, strict=True)])

    def _settled(self, kinks, slope: float) -> Gated:
        """After Gauss-Newton steps on all masks together, until they gain nothing."""
        best, size, ridge = self, np.linalg.norm(self.gradient()), np.linalg.norm(self.objective._ridge * self.x)
        for _ in range(SWEEPS):
            if size <= 1e-15 * ridge or (here := best._joint_masks(kinks, slope, size)) is None:
                break
            before, best, size = size, here, np.linalg.norm(here.gradient())
            if size > (0.99 if size < 1e-3 * ridge else 0.9) * before:
                break
        return best

    def _rows_masks(self, k: int, kinks, slope: float) -> Gated:
        """Masks of layer k that make the gradient in its own weight smallest: one bounded least squares per neuron."""
        signal, u, W = self.signals()[k], self.inputs[k], self.factors[k + 1]
        lam = self.objective.problem.lams[k + 1]
        gate = self.gates[k].copy()
        for j in np.flatnonzero(kinks.any(axis=1)):
            free = kinks[j] & (signal[j] != 0)
            if free.any():
                rest = u[:, ~free] @ (gate[j] * signal[j])[~free] + lam * W[j]
                gate[j, free] = _bounded(u[:, free] * signal[j, free], -rest, np.full(free.sum(), slope), np.ones(free.sum()))
        return self.with_gates([*self.gates[:k], gate, *self.gates[k + 1 :]])

    def _joint_masks(self, kinks, slope: float, size: float) -> Gated | None:
        """One Gauss-Newton step on all masks, halved until the gradient is smaller; None where none is."""
        signals = self.signals()
        live = [k & (np.abs(g) > 1e-14 * np.max(np.abs(g), initial=0.0)) for k, g in zip(kinks, signals, strict=True)]
        weight = np.concatenate([g[k] for g, k in zip(signals, live, strict=True)])
        if not len(weight):
            return None
        J = (self.rows(live) * weight[:, None]).T
        now = np.concatenate([g[k] for g, k in zip(self.gates, live, strict=True)])
        step = _bounded(J, -self.gradient(), slope - now, 1.0 - now)  # the smallest step: masks are often not unique
        for halvings in range(8):
            trial, gates, i = now + 0.5**halvings * step, [g.copy() for g in self.gates], 0
            for gate, k in zip(gates, live, strict=True):
                n = int(k.sum())
                gate[k], i = np.clip(trial[i : i + n], slope, 1.0), i + n
            there = self.with_gates(gates)
            if np.linalg.norm(there.gradient()) < size:
                return there
        return None


def _bounded(J, target, low, high) -> np.ndarray:
    """argmin |J m - target| over low <= m <= high, of least norm where that is free: projected Newton steps on what can move (bertsekas82)."""
    if J.shape[0] > J.shape[1]:  # the same problem with as many equations as masks
        Q, J = np.linalg.qr(J)
        target = Q.T @ target
    m = _least(J, target)
    if np.all((m >= low) & (m <= high)):
        return m
    m = np.clip(m, low, high)
    gap = J @ m - target
    for _ in range(NEWTON):
        pull = J.T @ gap
        free = ~(((m <= low) & (pull >= 0)) | ((m >= high) & (pull <= 0)))
        if not free.any():
            break
        found = _projected(J, target, m, gap, free, low, high)
        if found is None:
            break
        m, gap = found
    return m


def _projected(J, target, m, gap, free, low, high):
    """(m, J m - target) after the longest halved step, projected on the box, that lowers |J m - target|; None if none does."""
    step = np.zeros(len(m))
    size, pull = gap @ gap, (J.T @ gap)[free]
    fall = -(pull @ pull) / max(np.sum((J[:, free] @ pull) ** 2), 1e-300) * pull
    for direction in (_least(J[:, free], -gap), fall):
        step[free] = direction
        for halvings in range(12):
            trial = np.clip(m + 0.5**halvings * step, low, high)
            moved = J @ trial - target
            if moved @ moved < (1 - 1e-6) * size:
                return trial, moved
    return None


def _least(J, target) -> np.ndarray:
    """Least-squares solution of least norm."""
    try:
        return np.linalg.lstsq(J, target, rcond=1e-13)[0]
    except np.linalg.LinAlgError:  # the SVD inside did not converge; a pivoted QR needs no iteration
        return linalg.lstsq(J, target, cond=1e-13, lapack_driver="gelsy")[0]
