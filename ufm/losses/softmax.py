"""Softmax of the logits of a column, accurate where the label's probability is nearly 1: what cross-entropy and focal
loss share. Arrays as in `ufm.losses.loss`; `on` functions take any array namespace."""

from __future__ import annotations

import numpy as np


def softmax(Z, Y):
    """(P, p, u): column softmax with 0 in the label's place, probability p of the label and u = 1 - p, both accurate
    when u is tiny."""
    E = np.exp(Z - np.max(Z, axis=-2, keepdims=True))
    wrong = E * (1.0 - Y)
    other = np.sum(wrong, axis=-2, keepdims=True)
    own = np.sum(E * Y, axis=-2, keepdims=True)
    total = own + other
    return wrong / total, own / total, other / total


def nll(Z, Y):
    """-log softmax(z)_y, without overflow and with full relative accuracy near 0."""
    T = Z - np.sum(Z * Y, axis=-2, keepdims=True)
    top = np.max(T, axis=-2)
    other = np.sum(np.exp(T - np.maximum(top, 0.0)[..., None, :]) * (1.0 - Y), axis=-2)
    return np.where(top > 0.0, np.maximum(top, 0.0) + np.log(np.exp(-np.maximum(top, 0.0)) + other), np.log1p(other))


def softmax_hvp(W, p, u, Y, V):
    """(diag P - P P') V per column, P = W + p Y, written so that its label row keeps its relative accuracy."""
    D = V - np.sum(V * Y, axis=-2, keepdims=True)
    mean = np.sum(W * D, axis=-2, keepdims=True)
    return W * (D - mean) - p * Y * mean


def softmax_on(xp, Z, Y):
    """(exponentials of the others, their sum, the label's, -log p) of T = Z - z_y, each (..., K or 1, N)."""
    T = Z - xp.sum(Z * Y, axis=-2, keepdims=True)
    top = xp.max(T, axis=-2, keepdims=True)
    W = xp.exp(T - top) * (1.0 - Y)
    other, own = xp.sum(W, axis=-2, keepdims=True), xp.exp(-top)
    return W, other, own, xp.where(top > 0, top + xp.log(own + other), xp.log1p(other))
