"""Cross-entropy and label smoothing.

    cross-entropy            l = log sum_j e^(z_j) - z_y
    label smoothing (delta)  l = cross-entropy against the target (1 - delta) y + delta/K

Sources: szegedy16 (label smoothing), zhou22b (as a contrastive loss of a feature model).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ufm.losses.loss import Loss, Spelling
from ufm.losses.softmax import nll, softmax, softmax_hvp, softmax_on
from ufm.numerics import arguments


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy against (1 - smoothing) y + smoothing/K; smoothing = 0 is the plain one."""

    smoothing: float = 0.0  # pyright: ignore[reportIncompatibleVariableOverride]
    convex = True
    shift_invariant = True
    gradient_bound = math.sqrt(2.0)  # a column's gradient is the difference of two probability vectors

    def __post_init__(self):
        delta = arguments.real("smoothing", self.smoothing)
        if not 0 <= delta < 1:
            raise ValueError(f"smoothing must lie in [0, 1); got smoothing={self.smoothing!r}.")

    @property
    def name(self) -> str:
        return f"label_smoothing({arguments.short(self.smoothing)})" if self.smoothing else "ce"

    @property
    def label(self) -> str:
        return self.name if self.smoothing else "CE"

    def value(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        value = nll(Z, Y)
        if self.smoothing:
            value = value + self.smoothing * (np.sum(Z * Y, axis=-2) - np.mean(Z, axis=-2))
        return value

    def grad(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        W, _, u = softmax(Z, Y)
        G = W - u * Y
        return G + self.smoothing * (Y - 1.0 / Z.shape[-2]) if self.smoothing else G

    def value_grad(self, Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # One exponential serves both: z_y is subtracted, so the label's exponential is exp(-top).
        T = Z - np.add.reduce(Z * Y, axis=-2, keepdims=True)
        top = np.maximum.reduce(T, axis=-2, keepdims=True)  # at least 0, the label's own entry
        W = np.exp(T - top)
        W *= 1.0 - Y
        other, own = np.add.reduce(W, axis=-2, keepdims=True), np.exp(-top)
        value = np.where(top > 0, top + np.log(own + other), np.log1p(other))[..., 0, :]
        W -= other * Y
        W /= own + other
        if self.smoothing:
            value = value + self.smoothing * (np.sum(Z * Y, axis=-2) - np.mean(Z, axis=-2))
            W += self.smoothing * (Y - 1.0 / Z.shape[-2])
        return value, W

    def hvp(self, Z: np.ndarray, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
        W, p, u = softmax(Z, Y)
        return softmax_hvp(W, p, u, Y, V)

    def value_grad_on(self, xp: Any, Z: Any, Y: Any) -> tuple:
        W, other, own, value = softmax_on(xp, Z, Y)
        value, grad = value[..., 0, :], (W - other * Y) / (own + other)
        if self.smoothing:
            value = value + self.smoothing * (xp.sum(Z * Y, axis=-2) - xp.mean(Z, axis=-2))
            grad = grad + self.smoothing * (Y - 1.0 / Z.shape[-2])
        return value, grad

    def prepared(self, Y: np.ndarray) -> Callable:
        return self.value_grad if self.smoothing else _ClassesFirst(Y)


class _ClassesFirst:
    """CrossEntropy.value_grad for Z (B, K, N) with classes as the leading axis, where numpy's sums over classes are
    fast; the same bits."""

    def __init__(self, Y):
        self.label, self.wrong, self.each = np.argmax(Y, axis=0), 1.0 - Y[:, None, :], np.arange(Y.shape[1])

    def __call__(self, Z, Y):
        W = np.subtract(
            np.swapaxes(Z, 0, 1), Z[:, self.label, self.each], out=np.empty((Z.shape[1], len(Z), Z.shape[2]))
        )
        top = np.maximum.reduce(W, axis=0)
        W -= top
        np.exp(W, out=W)
        W *= self.wrong
        other, own = np.add.reduce(W, axis=0), np.exp(-top)
        total = own + other
        value = np.where(top > 0, top + np.log(total), np.log1p(other))
        W[self.label, :, self.each] = -other.T
        W /= total
        return value, np.swapaxes(W, 0, 1)


def ce() -> CrossEntropy:
    """Cross-entropy: log sum_j e^(z_j) - z_y."""
    return CrossEntropy()


def label_smoothing(smoothing: float = 0.1) -> CrossEntropy:
    """Cross-entropy against the target (1 - smoothing) y + smoothing/K."""
    return CrossEntropy(smoothing)


SPELLINGS = Spelling("ce", ce), Spelling("label_smoothing", label_smoothing)
