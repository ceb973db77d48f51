"""Half the squared distance to the one-hot label: l = ||z - y||^2 / 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses.loss import Loss


@dataclass(frozen=True)
class MSE(Loss):
    """Half the squared distance to the one-hot label: ||z - y||^2 / 2."""

    keyword = "mse"
    convex = True
    quadratic = True
    gradient_bound = 1.0  # the squares of the gradients are twice the losses, which are 1/2 at z = 0

    @property
    def label(self) -> str:
        return "MSE"

    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum((Z - Y) ** 2, axis=-2)

    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return Z - Y

    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        return V + np.zeros_like(Z)

    def value_grad_on(self, xp: Any, Z: Any, Y: Any) -> tuple:
        return 0.5 * xp.sum((Z - Y) ** 2, axis=-2), Z - Y
