"""The objective in factor space, on flat vectors x = (H_1, W_1, ..., W_L, b) with any leading batch axes.

F(x) = g(Z(x), b) + (1/2) sum_l lam_l ||A_l||^2 + (bias/2)||b||^2
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm.numerics import products
from ufm.objectives.fit import Fit
from ufm.points import FactorPoint, LogitPoint, balanced_factors, frame, from_matrix
from ufm.problem import Columns, Problem


@dataclass(frozen=True)
class FactorObjective:
    """F, gradient and Hessian-vector product in factor space.

    collapsed: one column per class, H_1 (d_1, K) holding sqrt(n_c) times the class's features; the
    value is that of all N samples with equal features within a class. widths: hidden sizes, default the
    problem's; for linear models min(d_l, K) has the same minima (`reductions.width`). columns: other targets,
    weights and scales than the problem's (soft labels, regression), with columns.Y of shape (K, M).
    """

    problem: Problem
    collapsed: bool = False
    widths: Sequence[int] | None = None
    columns: Columns | None = None

    def __post_init__(self):
        if self.columns is not None and self.columns.Y.shape[0] != self.problem.K:
            raise ValueError(f"columns.Y must have K={self.problem.K} rows; got shape {self.columns.Y.shape}.")
        if (
            self.collapsed
            and not (self.problem.activation.homogeneous or self.problem.linear)
            and self.problem.N > self.problem.K
        ):
            raise ValueError(
                f"samples merge into classes only if s(t x) = t s(x); got activation={self.problem.activation.name!r}."
                " Use space='factors'."
            )

    @functools.cached_property
    def fit(self) -> Fit:
        return Fit.of(self.problem, self.collapsed) if self.columns is None else Fit(self.problem.loss, self.columns)

    @functools.cached_property
    def shapes(self) -> list[tuple[int, int]]:
        return self.problem.shapes(len(self.fit.columns.weight), self.widths)

    @functools.cached_property
    def ends(self) -> list[int]:
        """Where the factors begin and end in x."""
        return list(itertools.accumulate((a * b for a, b in self.shapes), initial=0))

    @functools.cached_property
    def size(self) -> int:
        return self.ends[-1] + (0 if self.problem.bias is None else self.problem.K)

    @functools.cached_property
    def ridge(self):
        """The weight of every coordinate: a number when all are equal, else (size,)."""
        problem = self.problem
        if isinstance(problem.lam, float) and problem.bias in (None, problem.lam):
            return problem.lam
        sizes = np.diff(self.ends)
        parts = [np.repeat(problem.lams, sizes)]
        if problem.bias is not None:
            parts.append(np.full(problem.K, problem.bias))
        return np.concatenate(parts)

    def unpack(self, x) -> tuple[list[np.ndarray], np.ndarray | None]:
        """(factors, b) as views into x (..., size)."""
        lead, ends = x.shape[:-1], self.ends
        factors = [
            x[..., i:j].reshape(lead + shape) for i, j, shape in zip(ends[:-1], ends[1:], self.shapes, strict=True)
        ]
        return factors, None if self.problem.bias is None else x[..., ends[-1] :]

    def pack(self, factors, b=None) -> np.ndarray:
        """The flat vector of factors and bias (zero if the problem has one and none is given)."""
        lead = factors[0].shape[:-2]
        parts = [A.reshape((*lead, -1)) for A in factors]
        if self.problem.bias is not None:
            parts.append(np.zeros((*lead, self.problem.K)) if b is None else b)
        return np.concatenate(parts, axis=-1)

    def point(self, x) -> FactorPoint:
        """The FactorPoint of a flat vector; a collapsed one is spread over its samples."""
        factors, b = self.unpack(np.asarray(x, dtype=float))
        if self.widths is not None and tuple(self.widths) != self.problem.widths:
            raise ValueError(
                f"x has widths {tuple(self.widths)}, not the problem's {self.problem.widths}: use its logits instead."
            )
        if self.collapsed:
            columns = self.problem.classes
            factors = [(factors[0] * columns.scale)[:, self.problem.labels], *factors[1:]]
        return FactorPoint(self.problem, tuple(factors), b)

    def lift(self, point: LogitPoint, draw=None, frames=None) -> np.ndarray:
        """x of balanced factors with the point's logits; frames random from a generator, or given as (d_l, r)
        columns."""
        widths = [shape[0] for shape in self.shapes[:-1]]
        if point.rank > min(widths):
            raise ValueError(f"widths must be at least the rank {point.rank} of the point; got widths={tuple(widths)}.")
        if self.collapsed and not point.collapsed:
            raise ValueError(
                "a collapsed objective needs a within-class collapsed point; this one has one column per sample."
            )
        frames = [frame(d, point.rank, draw) for d in widths] if frames is None else frames
        right = point.right if self.collapsed else point.V
        return self.pack(balanced_factors(self.problem, [right, *frames, point.U], point.s), point.b)

    def to_logits(self, x, rank: int | None = None, collapse: bool | None = None, tol: float = 1e-10) -> LogitPoint:
        """The LogitPoint of a flat vector (linear models); arguments as in `FactorPoint.to_logits`."""
        b = self.unpack(x)[1]
        Z = self.logits(x)
        return from_matrix(self.problem, Z * self.fit.columns.scale, rank, tol, collapse, b)

    def logits(self, x) -> np.ndarray:
        """Output of the model without the bias, as stored columns (..., K, M)."""
        factors, _ = self.unpack(x)
        return products.product(factors) if self.problem.linear else self.forward(factors)[0]

    def value(self, x):
        factors, b = self.unpack(x)
        Z = products.product(factors) if self.problem.linear else self.forward(factors)[0]
        return self.fit.value(Z, b) + 0.5 * np.sum(self.ridge * x * x, axis=-1)

    def value_grad(self, x, weight=None):
        """(F, gradient), shapes (...) and (..., size); `weight` (M,) replaces the columns' weights (mini-batches)."""
        if np.shape(x)[-1] != self.size:
            raise ValueError(f"x must have {self.size} coordinates on its last axis; got shape {np.shape(x)}.")
        factors, b = self.unpack(x)
        grad = np.empty(x.shape)
        parts, bias_part = self.unpack(grad)
        if self.problem.linear:
            P = products.suffixes(factors)
            Z = factors[0] if P[0] is None else P[0] @ factors[0]
            value, G, Gb = self.fit.value_grad(Z, b, weight)
            products.gradient(factors, P, G, parts)
        else:
            Z, inputs, slopes = self.forward(factors)
            value, G, Gb = self.fit.value_grad(Z, b, weight)
            for part, found in zip(parts, self.backward(factors, inputs, slopes, G), strict=True):
                part[...] = found
        if bias_part is not None:
            bias_part[...] = Gb
        penalty = self.ridge * x
        grad += penalty
        return value + 0.5 * (penalty @ x if x.ndim == 1 else np.einsum("...i,...i->...", penalty, x)), grad

    def grad(self, x):
        return self.value_grad(x)[1]

    def hvp(self, x, v):
        """Hessian at x applied to v (..., size); x and v may carry different batch axes that broadcast."""
        factors, b = self.unpack(x)
        tangents, db = self.unpack(v)
        if self.problem.linear:
            P = products.suffixes(factors)
            Z = factors[0] if P[0] is None else P[0] @ factors[0]
            _, G, _ = self.fit.value_grad(Z, b)
            dZ, dP = products.directional(factors, P, tangents)
            dG, dGb = self.fit.hvp(Z, b, dZ, db)
            parts = products.gradient_directional(factors, P, G, tangents, dP, dG)
        else:
            parts, dGb = self._hvp_nonlinear(factors, b, tangents, db)
        return self.pack(parts, dGb) + self.ridge * v

    def hessian(self, x, limit: int = 4000) -> np.ndarray:
        """Dense Hessian (size, size) at one point; refuses sizes above `limit`."""
        if self.size > limit:
            raise ValueError(f"a dense Hessian needs size <= limit={limit}; this problem has {self.size} coordinates.")
        rows = [self.hvp(x, e) for e in np.array_split(np.eye(self.size), max(1, self.size**2 // 500_000))]
        H = np.concatenate(rows)
        return 0.5 * (H + H.T)

    def forward(self, factors):
        """(Z, inputs of every weight, sigma' at every hidden pre-activation)."""
        sigma = self.problem.activation
        inputs, slopes = [factors[0]], []
        for W in factors[1:-1]:
            pre = W @ inputs[-1]
            slopes.append(sigma.derivative(pre))
            inputs.append(sigma.value(pre))
        return factors[-1] @ inputs[-1], inputs, slopes

    def backward(self, factors, inputs, slopes, G):
        """Gradients in all factors of what has gradient G in the output: those of the forward pass with the given
        slopes."""
        result = [None] * len(factors)
        for l in range(len(factors) - 1, 0, -1):
            if l < len(factors) - 1:
                G = G * slopes[l - 1]
            result[l] = G @ np.swapaxes(inputs[l - 1], -1, -2)
            G = np.swapaxes(factors[l], -1, -2) @ G
        result[0] = G
        return result

    def backward_directional(self, factors, b, Z, inputs, slopes, tangents, db, dinputs, dslopes=None):
        """(parts, bias): how `backward` of the fit's gradient changes along tangents, the slopes by dslopes (None: held
        fixed)."""
        last, result = len(factors) - 1, [None] * len(factors)
        _, G, _ = self.fit.value_grad(Z, b)
        dG, dGb = self.fit.hvp(Z, b, tangents[-1] @ inputs[-1] + factors[-1] @ dinputs[-1], db)
        for l in range(last, 0, -1):
            if l < last:
                dG = dG * slopes[l - 1] if dslopes is None else dG * slopes[l - 1] + G * dslopes[l - 1]
                G = G * slopes[l - 1]
            result[l] = dG @ np.swapaxes(inputs[l - 1], -1, -2) + G @ np.swapaxes(dinputs[l - 1], -1, -2)
            Wt, dWt = np.swapaxes(factors[l], -1, -2), np.swapaxes(tangents[l], -1, -2)
            G, dG = Wt @ G, Wt @ dG + dWt @ G
        result[0] = dG
        return result, dGb

    def _hvp_nonlinear(self, factors, b, tangents, db):
        sigma = self.problem.activation
        inputs, dinputs, slopes, dslopes = [factors[0]], [tangents[0]], [], []
        for W, dW in zip(factors[1:-1], tangents[1:-1], strict=True):
            pre, dpre = W @ inputs[-1], dW @ inputs[-1] + W @ dinputs[-1]
            slopes.append(sigma.derivative(pre))
            dslopes.append(sigma.second(pre) * dpre)
            inputs.append(sigma.value(pre))
            dinputs.append(slopes[-1] * dpre)
        return self.backward_directional(
            factors, b, factors[-1] @ inputs[-1], inputs, slopes, tangents, db, dinputs, dslopes
        )


def objective_of(point: FactorPoint) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x) of a FactorPoint in its own width and samples."""
    objective = FactorObjective(point.problem)
    return objective, objective.pack(point.factors, point.b)


def value(point: FactorPoint) -> float:
    """F of a FactorPoint."""
    objective, x = objective_of(point)
    return float(objective.value(x))
