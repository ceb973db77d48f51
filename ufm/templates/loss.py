"""A loss: l(z, y) = width^2 sum_i (sqrt(1 + ((z_i - y_i)/width)^2) - 1).

Near the label it is the squared error over two, far from it width times the distance. Replace the formula, its
gradient and its Hessian; `ufm.losses.loss` says what else a loss may state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.losses import Loss
from ufm.numerics import arguments


@dataclass(frozen=True)
class Example(Loss):
    """width^2 sum_i (sqrt(1 + ((z_i - y_i)/width)^2) - 1).

    >>> Example(1.0).value(np.zeros((2, 1)), np.array([[1.0], [0.0]])).round(6)
    array([0.414214])
    """

    width: float = 1.0  # every field is a number of the name: loss="example(0.5)"
    keyword = "example"
    convex = True  # a promise: what is said of a point goes by it

    def __post_init__(self):
        arguments.positive("width", self.width)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Of every column: Z (..., K, N) logits, Y (K, N) labels, value (..., N)."""
        return self.width**2 * np.sum(np.sqrt(1 + ((Z - Y) / self.width) ** 2) - 1, axis=-2)

    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return (Z - Y) / np.sqrt(1 + ((Z - Y) / self.width) ** 2)

    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        """The Hessian applied to V, all (..., K, N)."""
        return V / (1 + ((Z - Y) / self.width) ** 2) ** 1.5

    def value_grad_on(self, xp, Z, Y) -> tuple:
        """Both in another array namespace (PyTorch, JAX); leave it out where numpy is enough."""
        root = xp.sqrt(1 + ((Z - Y) / self.width) ** 2)
        return self.width**2 * xp.sum(root - 1, axis=-2), (Z - Y) / root
