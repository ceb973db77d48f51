"""The fit term g(Z, b) = sum_j weight_j l(scale_j z_j + b, y_j) over columns of samples or classes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ufm.losses import Loss
from ufm.problem import Columns, Problem


@dataclass(frozen=True)
class Fit:
    """g with gradient, Hessian-vector product and column Hessians; Z has shape (..., K, M), b (..., K) or None."""

    loss: Loss
    columns: Columns

    @functools.cached_property
    def _scaled(self) -> bool:
        return bool(np.any(self.columns.scale != 1.0))

    @staticmethod
    def of(problem: Problem, collapsed: bool) -> Fit:
        return Fit(problem.loss, problem.classes if collapsed else problem.samples)

    def logits(self, Z, b):
        """The columns the loss sees: scale_j z_j + b."""
        Z = Z * self.columns.scale if self._scaled else Z
        return Z if b is None else Z + b[..., :, None]

    def value(self, Z, b=None):
        return self.loss.value(self.logits(Z, b), self.columns.Y) @ self.columns.weight

    def value_grad(self, Z, b=None, weight=None):
        """(g, dg/dZ, dg/db); the last is None without a bias. `weight` replaces the columns' own (mini-batches)."""
        columns = self.columns
        weight = columns.weight if weight is None else weight
        value, grad = self.loss.value_grad(self.logits(Z, b), columns.Y)
        grad = grad * weight
        dZ = grad * columns.scale if self._scaled else grad
        return value @ weight, dZ, None if b is None else np.sum(grad, axis=-1)

    def hvp(self, Z, b, dZ, db):
        """Derivative of (dg/dZ, dg/db) along (dZ, db)."""
        columns = self.columns
        inner = self.loss.hvp(self.logits(Z, b), columns.Y, self.logits(dZ, db)) * columns.weight
        return inner * columns.scale, None if b is None else np.sum(inner, axis=-1)

    def hessians(self, Z, b=None):
        """Hessian of each column's term in its (unscaled) logits, times its weight: (M, K, K)."""
        return self.loss.hessians(self.logits(Z, b), self.columns.Y) * self.columns.weight[:, None, None]
