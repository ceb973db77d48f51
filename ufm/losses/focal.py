"""Focal loss: l = -(1 - p_y)^gamma log p_y, p = softmax(z).

Sources: lin17, zhou22b (as a contrastive loss of a feature model).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses.loss import Loss
from ufm.losses.softmax import nll, softmax, softmax_hvp, softmax_on
from ufm.numerics import arguments


@dataclass(frozen=True)
class Focal(Loss):
    """-(1 - p_y)^gamma log p_y; gamma = 0 is cross-entropy. Not convex in z for gamma > 0."""

    gamma: float = 2.0
    keyword = "focal"
    shift_invariant = True

    def __post_init__(self):
        arguments.nonnegative("gamma", self.gamma)

    @property
    def convex(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.gamma == 0

    @property
    def smoothing(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return None if self.gamma else 0.0

    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        u = softmax(Z, Y)[2][..., 0, :]
        return u**self.gamma * nll(Z, Y)

    def _outer(self, Z, Y):
        """(f', f'') of f(q) = -(1 - e^q)^gamma q at q = log p_y, with p, u, e = y - P."""
        W, p, u = softmax(Z, Y)
        g, q = self.gamma, -nll(Z, Y)[..., None, :]
        safe = np.where(u > 0, u, 1.0)
        ratio = np.where(u > 0, q / safe, -1.0)  # log(1 - u)/u
        power = np.where(u > 0, safe ** (g - 1), 0.0 if g > 1 else 1.0) if g else np.zeros_like(u)
        first = u**g * (g * p * ratio - 1.0)
        second = g * p * power * (q + 2.0 - (g - 1) * p * ratio)
        return first, second, W, p, u

    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        first, _, W, p, u = self._outer(Z, Y)
        return first * (u * Y - W)

    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        first, second, W, p, u = self._outer(Z, Y)
        e = u * Y - W
        return second * e * np.sum(e * V, axis=-2, keepdims=True) - first * softmax_hvp(W, p, u, Y, V)

    def value_grad_on(self, xp: Any, Z: Any, Y: Any) -> tuple:
        # u^gamma (-log p) and (u^gamma (gamma p log(p)/u - 1)) (u y - W), p = softmax(z)_y, u = 1 - p
        W, other, own, value = softmax_on(xp, Z, Y)
        total = own + other
        W, p, u = W / total, own / total, other / total
        ratio = xp.where(u > 0, -value / xp.where(u > 0, u, xp.ones_like(u)), -xp.ones_like(u))
        first = u**self.gamma * (self.gamma * p * ratio - 1.0)
        return (u**self.gamma * value)[..., 0, :], first * (u * Y - W)
