"""The objective in factor space, on flat vectors x = (H_1, W_1, ..., W_L, b) with any leading batch axes.

F(x) = g(Z(x), b) + (1/2) sum_l lam_l ||A_l||^2 + (bias/2)||b||^2
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.numerics import products
from ufm.numerics.arrays import NUMPY, Arrays
from ufm.objectives.fit import Fit
from ufm.points import FactorPoint, LogitPoint, balanced_factors, frame, from_matrix
from ufm.problem import Columns, Problem


@dataclass(frozen=True)
class FactorObjective:
    """F, gradient and Hessian-vector product in factor space.

    collapsed: one column per class, H_1 (d_1, K) holding sqrt(n_c) times the class's features; the
    value is that of all N samples with equal features within a class. widths: hidden sizes, default the
    problem's; for linear models min(d_l, K) has the same minima (`reductions.width`). columns: other targets,
    weights and scales than the problem's (soft labels, regression), with columns.Y of shape (K, M). on: the arrays of
    value_grad and logits (`numerics.arrays`); on numpy losses and activations are the problem's own objects, the
    user's included, elsewhere those that say what they are there. A row's numbers do not depend on its companions.
    """

    problem: Problem
    collapsed: bool = False
    widths: Sequence[int] | None = None
    columns: Columns | None = None
    on: Arrays = NUMPY

    def __post_init__(self):
        if not self.on.host:  # refused before any work where a loss or an activation is known to numpy only
            self.problem.loss.on(self.on.xp)
            if not self.problem.linear:
                self.problem.activation.on(self.on.xp)
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
        if self.columns is None:
            return Fit.of(self.problem, self.collapsed, self.on)
        return Fit(self.problem.loss, self.columns, self.on)

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
        """The weight of every coordinate: a number when all are equal, else (size,), on the host."""
        problem = self.problem
        if isinstance(problem.lam, float) and problem.bias in (None, problem.lam):
            return problem.lam
        sizes = np.diff(self.ends)
        parts = [np.repeat(problem.lams, sizes)]
        if problem.bias is not None:
            parts.append(np.full(problem.K, problem.bias))
        return np.concatenate(parts)

    @functools.cached_property
    def _ridge(self):
        """`ridge` in the namespace."""
        return self.ridge if np.ndim(self.ridge) == 0 else self.on.put_in(self.ridge)

    @functools.cached_property
    def host(self) -> FactorObjective:
        """The same on numpy."""
        return self if self.on.host else FactorObjective(self.problem, self.collapsed, self.widths, self.columns)

    def unpack(self, x) -> tuple[list[np.ndarray], np.ndarray | None]:
        """(factors, b) of x (..., size); views on numpy."""
        lead, ends = tuple(x.shape[:-1]), self.ends
        places = zip(ends[:-1], ends[1:], self.shapes, strict=True)
        if self.on.host:
            factors = [x[..., i:j].reshape(lead + shape) for i, j, shape in places]
        else:
            factors = [self.on.xp.reshape(x[..., i:j], lead + shape) for i, j, shape in places]
        return factors, None if self.problem.bias is None else x[..., ends[-1] :]

    def pack(self, factors, b=None) -> np.ndarray:
        """The flat vector of factors and bias (zero if the problem has one and none is given)."""
        lead, xp = tuple(factors[0].shape[:-2]), self.on.xp
        parts = [xp.reshape(A, (*lead, -1)) for A in factors]
        if self.problem.bias is not None:
            parts.append(self.on.zeros((*lead, self.problem.K)) if b is None else b)
        return xp.concat(parts, axis=-1)

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

    def value_grad(self, x, weight=None, buffers=(None, None)) -> tuple[Any, Any]:
        """(F, gradient), shapes (...) and (..., size); `weight`, (M,) or (..., M), replaces the columns' weights
        (mini-batches), buffers as in `parts`."""
        if x.shape[-1] != self.size:
            raise ValueError(f"x must have {self.size} coordinates on its last axis; got shape {tuple(x.shape)}.")
        fit, penalty, grad = self.parts(x, weight, buffers)
        return fit + 0.5 * self.on.dot(penalty, x), grad

    def parts(self, x, weight=None, buffers=(None, None), whole: bool = True):
        """(g (...), ridge times x, gradient of F, or of g unless whole); on numpy gradient and ridge are written to
        `buffers` if given."""
        if self.on.host and x.ndim == 2 and len(x) == 1:  # matrices multiply faster than stacks of one
            alone = (
                None if a is None else a[0]
                for a in (weight if weight is not None and np.ndim(weight) == 2 else None, *buffers)
            )
            rows = next(alone)
            fit, penalty, grad = self.parts(x[0], weight if rows is None else rows, tuple(alone), whole)
            return np.array([fit]), penalty[None], grad[None]
        host = self.on.host
        factors, b = self.unpack(x)
        grad = (np.empty(x.shape) if buffers[0] is None else buffers[0]) if host else None
        places, bias_place = self.unpack(grad) if host else (None, None)
        if self.problem.linear:
            P = products.suffixes(factors)
            value, G, Gb = self.fit.value_grad(factors[0] if P[0] is None else P[0] @ factors[0], b, weight)
            found = products.gradient(factors, P, G, places)
        else:
            Z, inputs, slopes = self.forward(factors)
            value, G, Gb = self.fit.value_grad(Z, b, weight)
            found = self.backward(factors, inputs, slopes, G, places)
        if not host:
            grad = self.pack(found, Gb)
        elif bias_place is not None:
            bias_place[...] = Gb
        penalty = np.multiply(self.ridge, x, out=buffers[1]) if host else self._ridge * x
        if whole:
            grad += penalty
        return value, penalty, grad

    def grad(self, x) -> Any:
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
        sigma, slope = self._activation
        inputs, slopes = [factors[0]], []
        for W in factors[1:-1]:
            pre = W @ inputs[-1]
            slopes.append(slope(pre))
            inputs.append(sigma(pre))
        return factors[-1] @ inputs[-1], inputs, slopes

    @functools.cached_property
    def _activation(self):
        """(sigma, sigma') in the namespace."""
        own = self.problem.activation
        return (own.value, own.derivative) if self.on.host else own.on(self.on.xp)

    def backward(self, factors, inputs, slopes, G, out=None):
        """Gradients in all factors of what has gradient G in the output: those of the forward pass with the given
        slopes; written to `out` (numpy) if given."""
        result: list[Any] = [None] * len(factors)
        for l in range(len(factors) - 1, 0, -1):
            if l < len(factors) - 1:
                G = G * slopes[l - 1]
            result[l] = G @ inputs[l - 1].mT if out is None else np.matmul(G, inputs[l - 1].mT, out=out[l])
            G = factors[l].mT @ G
        result[0] = products.stored(G, None if out is None else out[0])
        return result

    def backward_directional(self, factors, b, Z, inputs, slopes, tangents, db, dinputs, dslopes=None):
        """(parts, bias): how `backward` of the fit's gradient changes along tangents, the slopes by dslopes (None: held
        fixed)."""
        last = len(factors) - 1
        result: list[Any] = [None] * len(factors)
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
