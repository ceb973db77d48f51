"""Collapse metrics in one pass over batches, and joined over workers."""

from __future__ import annotations

import numpy as np

from ufm.metrics.measures import measure, triangle
from ufm.metrics.moments import LEAST, QUIET, Moments, agreement, exponent, moments
from ufm.metrics.records import Collapse
from ufm.numerics import arguments
from ufm.numerics.hints import Arrays
from ufm.numerics.renamed import renamed
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments


@named_arguments
@own_numpy_state
class Accumulator:
    """Counts, class means and within-class scatter of a stream of batches, for K classes of features in R^d.

    Two parts a, b of a class with n_a, n_b samples join as n = n_a + n_b, mu = mu_a + (n_b/n)(mu_b - mu_a), and their
    scatters add up with (n_a n_b/n)(mu_b - mu_a)(mu_b - mu_a)'. The scatter is kept as rows R (at most 2d + a batch,
    then made triangular by QR), with R'R = N S_W, which keeps all digits of small directions. One pass; 16 d^2 + 8 K d
    bytes are kept, and a batch.

    >>> import numpy as np
    >>> from ufm.metrics import collapse
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 20)
    >>> X = np.eye(3, 5)[y] + 0.1 * rng.standard_normal((60, 5))
    >>> stream = Accumulator(K=3, d=5)
    >>> for rows in np.split(rng.permutation(60), 6):
    ...     stream = stream.update(X[rows], y[rows])
    >>> abs(stream.collapse().nc1 / collapse(X, y).nc1 - 1) < 1e-12
    True

    NC4 compares every sample with the final means and cannot be had in one pass: sum `agreeing` (and `ties`) over a
    second one. Raises ValueError for K < 2, d < 1.  Source: chan83.
    """

    def __init__(self, K: int, d: int):
        self.K, self.d = arguments.integer("K", K, 2), arguments.integer("d", d, 1)
        arguments.room("class means", self.K, self.d, instead="take fewer classes, or features of fewer dimensions")
        self.counts = np.zeros(self.K, dtype=int)
        self.means = np.zeros((self.K, self.d))
        self._rows = np.zeros((0, self.d))
        self._squares, self._e = np.zeros(self.K), LEAST

    @renamed(X_batch="features", y_batch="labels")
    def update(self, features: Arrays, labels: Arrays) -> Accumulator:
        """Add samples, features (B, d) with labels (B,) in 0..K-1; returns self. A refusal changes nothing."""
        X = arguments.array("features", features, shape=(None, self.d))
        y, _ = arguments.labels("labels", labels, len(X), self.K)
        return self._join(moments(X, y, self.K))

    def merge(self, other: Accumulator) -> Accumulator:
        """Add everything another Accumulator (same K and d) has seen; returns self, leaves other as it is."""
        arguments.instance("other", other, Accumulator)
        if (other.K, other.d) != (self.K, self.d):
            raise ValueError(f"other must have K={self.K} and d={self.d}; got K={other.K} and d={other.d}.")
        return self._join(Moments(other.counts, other.means, other._rows, other._squares, other._e))

    @renamed(X_batch="features", W="weights")
    def agreeing(self, features: Arrays, weights: Arrays, b: Arrays | None = None) -> float:
        """How many samples of a batch have argmin_c |x - mu_c| = argmax_c <w_c, x> + b_c: NC4 is their part of all.

        A sample with ties counts |A and B| / (|A| |B|), A and B the two sets of tied classes.
        """
        return self._agreement(features, weights, b)[0]

    @renamed(X_batch="features", W="weights")
    def ties(self, features: Arrays, weights: Arrays, b: Arrays | None = None) -> int:
        """How many samples of a batch have two nearest means or two largest logits, up to rounding."""
        return self._agreement(features, weights, b)[1]

    @renamed(W="weights")
    def collapse(
        self,
        weights: Arrays | None = None,
        agreeing: float | None = None,
        *,
        ties: int | None = None,
        gap: float = 100.0,
        rank: int | None = None,
    ) -> Collapse:
        """The Collapse of all samples seen; nc4 is agreeing / N and nc4_ties is ties / N, or None.

        Raises ValueError when a class has no sample yet.
        """
        known, N = self._moments(), int(self.counts.sum())
        W = None if weights is None else arguments.array("weights", weights, shape=(self.K, self.d))
        for name, value in (("agreeing", agreeing), ("ties", ties)):
            if value is not None and not arguments.nonnegative(name, value) <= N * (1 + 1e-12):
                raise ValueError(f"{name} counts samples, at most N={N}; got {name}={value}.")
        nc4, nc4_ties = (None if value is None else float(value) / N for value in (agreeing, ties))
        return measure(known, W, nc4, nc4_ties, gap, rank)

    def _agreement(self, features, weights, b) -> tuple[float, int]:
        known = self._moments()
        W = arguments.array("weights", weights, shape=(self.K, self.d))
        b = None if b is None else arguments.array("b", b, shape=(self.K,))
        return agreement(arguments.array("features", features, shape=(None, self.d)), W, b, known)

    def _moments(self) -> Moments:
        arguments.every_class("y", np.flatnonzero(self.counts), self.K)
        return Moments(self.counts, self.means, self._rows, self._squares, self._e)

    @QUIET
    def _join(self, part: Moments) -> Accumulator:
        share = part.counts / np.maximum(self.counts + part.counts, 1)
        step = part.means - self.means
        between = np.sqrt(self.counts * share)[:, None] * step
        e = max(self._e, part.e, exponent(between))
        squares = (self._squares, self._e), (part.squares, part.e)
        old, new = (np.ldexp(values, 2 * (f - e)) for values, f in squares)
        self._squares = old + new + np.sum(np.ldexp(between, -e) ** 2, axis=1)
        self._e = e
        self.means = self.means + share[:, None] * step
        self._rows = np.concatenate([self._rows, part.rows, between[(self.counts > 0) & (part.counts > 0)]])
        self.counts = self.counts + part.counts
        if len(self._rows) > 2 * self.d:
            self._rows = triangle(self._rows)
        return self

    def __repr__(self) -> str:
        seen, without = int(self.counts.sum()), int(np.sum(self.counts == 0))
        return f"Accumulator(K={self.K}, d={self.d}): {seen} samples, {without} classes without"
