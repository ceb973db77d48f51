"""The fit term g(Z, b) = sum_j weight_j l(scale_j z_j + b, y_j) over columns of samples or classes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ufm.losses import Loss
from ufm.numerics.arrays import NUMPY, Arrays
from ufm.problem import Columns, Problem


@dataclass(frozen=True)
class Fit:
    """g with gradient, Hessian-vector product and column Hessians; Z has shape (..., K, M), b (..., K) or None."""

    loss: Loss
    columns: Columns
    on: Arrays = NUMPY

    @functools.cached_property
    def _constants(self):
        """(Y, weight, scale or None) as arrays of the namespace."""
        columns, put = self.columns, self.on.put_in
        scale = put(columns.scale) if np.any(columns.scale != 1.0) else None
        return put(columns.Y), put(columns.weight), scale

    @functools.cached_property
    def _on_rows(self):
        """The loss for many calls on arrays (rows, K, M)."""
        return self.loss.prepared(self.columns.Y) if self.on.host else self.loss.on(self.on.xp)

    @staticmethod
    def of(problem: Problem, collapsed: bool, on: Arrays = NUMPY) -> Fit:
        return Fit(problem.loss, problem.classes if collapsed else problem.samples, on)

    def logits(self, Z, b):
        """The columns the loss sees: scale_j z_j + b."""
        scale = self._constants[2]
        Z = Z if scale is None else Z * scale
        return Z if b is None else Z + b[..., :, None]

    def value(self, Z, b=None):
        return self.loss.value(self.logits(Z, b), self.columns.Y) @ self.columns.weight

    def value_grad(self, Z, b=None, weight=None):
        """(g, dg/dZ, dg/db); the last is None without a bias. `weight`, (M,) or (..., M), replaces the columns' own
        (mini-batches)."""
        Y, own, scale = self._constants
        weight, loss = own if weight is None else weight, self._on_rows if Z.ndim == 3 else self.loss.value_grad
        value, grad = loss(self.logits(Z, b), Y)
        grad = grad * (weight if weight.ndim == 1 else weight[..., None, :])
        dZ = grad if scale is None else grad * scale
        return self.on.dot(value, weight), dZ, None if b is None else self.on.xp.sum(grad, axis=-1)

    def hvp(self, Z, b, dZ, db):
        """Derivative of (dg/dZ, dg/db) along (dZ, db)."""
        columns = self.columns
        inner = self.loss.hvp(self.logits(Z, b), columns.Y, self.logits(dZ, db)) * columns.weight
        return inner * columns.scale, None if b is None else np.sum(inner, axis=-1)

    def hessians(self, Z, b=None):
        """Hessian of each column's term in its (unscaled) logits, times its weight: (..., M, K, K)."""
        return self.loss.hessians(self.logits(Z, b), self.columns.Y) * self.columns.weight[:, None, None]
