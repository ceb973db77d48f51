"""Reductions: smaller problems with the same answer. Each says when it refuses, and lifts solutions back.

    samples   (K, n, lam_0, ...) -> (K, 1, n lam_0, ...)   on within-class collapsed points
    width     hidden widths d_l -> min(d_l, K)             for linear models
    weights   (lam_0, ..., lam_L) -> Lam = (prod lam_l)^(1/(L+1))   for linear and homogeneous models

A reduced problem has the same values at corresponding points, and every global minimum corresponds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from ufm.numerics import products
from ufm.points import FactorPoint
from ufm.problem import Problem


class Reduction(ABC):
    """A map between problems with a map of points back. `refuses` returns None or the reason."""

    @abstractmethod
    def refuses(self, problem: Problem) -> str | None:
        """Why the reduction does not apply, or None."""

    @abstractmethod
    def _apply(self, problem: Problem) -> Problem: ...

    @abstractmethod
    def _lift(self, problem: Problem, point: FactorPoint) -> FactorPoint: ...

    def apply(self, problem: Problem) -> Problem:
        """The reduced problem; ValueError with the reason where it refuses."""
        reason = self.refuses(problem)
        if reason:
            raise ValueError(f"the reduction {type(self).__name__.lower()} does not apply: {reason}.")
        return self._apply(problem)

    def lift(self, problem: Problem, point: FactorPoint) -> FactorPoint:
        """A point of `problem` with the value of `point`, which belongs to `apply(problem)`."""
        if point.problem != self.apply(problem):
            raise ValueError(f"the point belongs to another problem than {type(self).__name__.lower()} of this one.")
        return self._lift(problem, point)


class Samples(Reduction):
    """n equal samples per class are one sample whose feature carries n times the ridge weight.

    Z of the full problem repeats each column n times, and ||H_1||^2 = n ||H_1 of one each||^2. With
    `weights` after it this is the problem (K, 1, lam n^(1/(L+1))). Source: gk25; sml24 for ReLU.
    """

    def refuses(self, problem):
        why = "collapsed points of unequal classes are carried by LogitPoint itself"
        return None if problem.balanced else f"class counts differ (n={problem.n}); {why}"

    def _apply(self, problem):
        first, *rest = problem.lams
        return replace(problem, n=1, lam=(problem.per_class * first, *rest))

    def _lift(self, problem, point):
        return FactorPoint(
            problem, (np.repeat(point.factors[0], problem.per_class, axis=1), *point.factors[1:]), point.b
        )


class Width(Reduction):
    """Hidden width K is enough: no point of a linear model has rank above K. Source: gk25 (Lemma 1)."""

    def refuses(self, problem):
        return None if problem.linear else f"it needs a linear model and activation={problem.activation.name!r}"

    def _apply(self, problem):
        return replace(problem, d=tuple(min(d, problem.K) for d in problem.widths))

    def _lift(self, problem, point):
        return FactorPoint(problem, tuple(products.padded(point.factors, problem.shapes())), point.b)


class Weights(Reduction):
    """Ridge weights per factor act only through their geometric mean: A_l -> sqrt(Lam/lam_l) A_l.

    The rescaling keeps the product because prod sqrt(Lam/lam_l) = 1, and lam_l ||A_l||^2 becomes Lam ||A_l||^2.
    Needs an activation with s(t x) = t s(x), t > 0.
    """

    def refuses(self, problem):
        why = f"it needs s(t x) = t s(x) and activation={problem.activation.name!r}"
        return None if problem.activation.homogeneous else why

    def _apply(self, problem):
        return replace(problem, lam=problem.Lam)

    def _lift(self, problem, point):
        scaled = (stretch * A for A, stretch in zip(point.factors, problem.stretches, strict=True))
        return FactorPoint(problem, tuple(scaled), point.b)


samples, width, weights = Samples(), Width(), Weights()
ALL = (samples, width, weights)
