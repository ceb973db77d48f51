"""What the metrics need of the features: counts, means and scatter of every class, nearest and predicted classes.

Arrays are divided by a power of two before anything is squared, which changes no digit: features of 1e-80 or 1e80 lose
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from ufm.numerics.content import ByContent

ROUNDING = 1e-13
"""Numbers that differ by less than this part of what they were computed from do not differ."""
LEAST = -1074
"""Exponent of the smallest float."""
QUIET = np.errstate(under="ignore")
"""What falls below the smallest float beside numbers of size 1 is zero, whatever the caller's numpy does about it."""
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Moments(ByContent):
    """Counts (K,), class means (K, d), rows R with R'R = N S_W, and squares (K,) = 4^-e sum |x - mu_c|^2 per class."""

    counts: np.ndarray
    means: np.ndarray
    rows: np.ndarray
    squares: np.ndarray
    e: int

    @property
    def sizes(self) -> np.ndarray:
        """Root mean square norm of the samples of every class (K,): a class mean is known to ROUNDING times it."""
        return np.hypot(np.ldexp(np.sqrt(self.squares / self.counts), self.e), lengths(self.means))

    def scaled(self) -> tuple[Moments, int]:
        """(the moments of the features divided by 2^f, f), with e = 0 and all numbers about 1 or smaller."""
        f = exponent(self.means, np.ldexp(np.sqrt(self.squares), self.e))
        squares = np.ldexp(self.squares, 2 * (self.e - f))
        return Moments(self.counts, np.ldexp(self.means, -f), np.ldexp(self.rows, -f), squares, 0), f


@QUIET
def moments(X, y, K: int) -> Moments:
    """Moments of samples X (N, d) with labels y (N,); means of classes without samples are 0."""
    e = exponent(X)
    A = np.ldexp(X, -e)
    member, counts = _members(y, K), np.bincount(y, minlength=K)
    means = (member @ A) / np.maximum(counts, 1)[:, None]
    R = A - means[y]
    return Moments(counts, np.ldexp(means, e), np.ldexp(R, e), member @ np.sum(R**2, axis=1), e)


def class_means(X: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    """Mean row of X (N, d) in every class, (K, d)."""
    return (_members(labels, K) @ X) / np.bincount(labels, minlength=K)[:, None]


@QUIET
def agreement(X, W, b, known: Moments) -> tuple[float, int]:
    """(sum over samples of |A and B| / (|A| |B|), samples with a tie), A the nearest classes, B those of largest logit.

    Without ties that is the number of samples on which argmin_c |x - mu_c| and argmax_c w_c x + b_c agree. A tie,
    equality up to rounding, counts as if it were broken by chance: no answer depends on the numbers of the classes.
    """
    agreeing, ties = 0.0, 0
    for start in range(0, len(X), CHUNK):
        part = X[start : start + CHUNK]
        A, B = nearest(part, known), predicted(part, W, b)
        one, two = np.sum(A, axis=1), np.sum(B, axis=1)
        agreeing += float(np.sum(np.sum(A & B, axis=1) / (one * two)))
        ties += int(np.sum((one > 1) | (two > 1)))
    return agreeing, ties


def nearest(X, known: Moments) -> np.ndarray:
    """Which class means are nearest to every sample, (N, K) of bool: within rounding of the least distance."""
    sizes = known.sizes
    e = exponent(X, sizes)
    X, means, sizes = np.ldexp(X, -e), np.ldexp(known.means, -e), np.ldexp(sizes, -e)
    m = means.mean(axis=0)
    C, M = X - m, means - m
    score = C @ M.T - 0.5 * np.sum(M**2, axis=1)  # (|x - m|^2 - |x - mu_c|^2) / 2
    norms, largest = lengths(X), np.max(sizes)
    error = ROUNDING * np.maximum(norms, largest) * (lengths(C) + np.max(lengths(M)))
    near = score >= (np.max(score, axis=1) - 2 * error)[:, None]
    close = np.flatnonzero(np.sum(near, axis=1) > 1)  # these are decided by distances without cancellation
    if len(close):
        distance = cdist(X[close], means)
        near[close] = distance <= np.min(distance, axis=1, keepdims=True) + ROUNDING * (norms[close, None] + sizes)
    return near


def predicted(X, W, b=None) -> np.ndarray:
    """Which classes have the largest logit w_c x + b_c, (N, K) of bool: all within rounding of the largest."""
    e, f = exponent(X), exponent(W)
    X, W = np.ldexp(X, -e), np.ldexp(W, -f)
    logits, error = X @ W.T, np.outer(lengths(X), lengths(W))
    if b is not None:
        g = max(e + f, exponent(b))
        b = np.ldexp(b, -g)
        logits, error = np.ldexp(logits, e + f - g) + b, np.ldexp(error, e + f - g) + np.abs(b)
    top = np.argmax(logits, axis=1)[:, None]
    slack = ROUNDING * (error + np.take_along_axis(error, top, axis=1))
    return logits >= np.take_along_axis(logits, top, axis=1) - slack


def lengths(A) -> np.ndarray:
    """Norm of every row of A (m, d), free of overflow and underflow of the largest."""
    e = exponent(A)
    return np.ldexp(np.linalg.norm(np.ldexp(A, -e), axis=1), e)


def exponent(*arrays) -> int:
    """e with 2^(e-1) <= the largest entry < 2^e; for zeros the least there is."""
    top = max(float(np.max(np.abs(A), initial=0.0)) for A in arrays)
    return int(np.frexp(top)[1]) if top > 0 else LEAST


def _members(labels, K: int) -> csr_array:
    return csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))), shape=(K, len(labels)))
