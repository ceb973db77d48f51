"""The objective in logit space, on matrices of one rank.

    F_r(Z, b) = g(Z, b) + (D/2) Lam sum_i s_i(Z)^(2/D) + (bias/2)||b||^2   on {Z : rank Z = r}

is the least value of F over factors with product Z (gk25, Lemma 1), and a point is critical for F iff
its Z is critical for F_r at its own rank. Gradient and Hessian in
tangent coordinates are those of `objectives.strata`, of a single row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ufm.numerics.spectra import thin_svd
from ufm.objectives.fit import Fit
from ufm.objectives.strata import SecondOrder, Strata, schatten
from ufm.points import LogitPoint
from ufm.problem import Problem


def value(point: LogitPoint) -> float:
    """F_r at a LogitPoint: the objective at its balanced lift."""
    _linear_only(point.problem)
    fit = Fit.of(point.problem, point.collapsed)
    ridge = 0.0 if point.b is None else 0.5 * (point.problem.bias or 0.0) * float(point.b @ point.b)
    return float(fit.value(point.matrix(), point.b)) + float(np.sum(schatten(point.problem).phi(point.s))) + ridge


@dataclass(frozen=True, eq=False)
class Stratum(SecondOrder):
    """F_r to second order at a LogitPoint: gradient, Hessian and retraction in tangent coordinates."""

    point: LogitPoint

    def __post_init__(self):
        p = self.point
        _linear_only(p.problem)
        for name, held in (("problem", p.problem), ("U", p.U), ("s", p.s), ("V", p.right), ("b", p.b)):
            object.__setattr__(self, name, held)

    @functools.cached_property
    def fit(self) -> Fit:
        return Fit.of(self.problem, self.point.collapsed)

    def row(self) -> Strata:
        """The point as the only one of many."""
        b = None if self.b is None else self.b[None]
        return Strata(self.problem, self.U[None], self.s[None], self.V.T[None], b, self.fit)

    @functools.cached_property
    def logits(self) -> np.ndarray:
        """The columns the loss sees, (K, M): unscaled and with the bias."""
        return self.fit.logits(self.matrix, self.b)

    @property
    def rounding(self) -> float:
        """Rounding of `grad_norm`: eps (|G| + |H dZ|) s_1^((D-1)/D) (sum_l lam_l/Lam)^(1/2), G being larger than what
        of it a saddle's modes see, and H dZ what the fit's Hessian makes of logits that are each off by eps of the
        largest, with signs that alternate at random."""
        p, s, Z = self.problem, np.max(self.s, initial=0.0), self.matrix
        off = np.where(np.cos(np.arange(1.0, Z.size + 1.0) ** 2).reshape(Z.shape) > 0, 1.0, -1.0)
        off = off * np.max(np.abs(Z), initial=0.0)
        felt, _ = self.fit.hvp(Z, self.b, off, None if self.b is None else np.zeros(p.K))
        size = np.linalg.norm(self.G) + np.linalg.norm(felt)
        return float(np.finfo(float).eps * size * s ** ((p.D - 1.0) / p.D) * np.sqrt(np.sum(p.shares)))

    def retract(self, vector) -> LogitPoint:
        """The nearest point of rank r to Z + dZ, with the bias moved by db."""
        dZ, db = self.ambient(vector)
        svd = thin_svd(self.matrix + dZ, self.rank)
        return LogitPoint(self.problem, svd.U, svd.s, svd.V, None if db is None else self.b + db)


def _linear_only(problem: Problem) -> None:
    if not problem.linear:
        model = f"activation={problem.activation.name!r}"
        raise ValueError(f"logit space needs a linear model: the stratum theorem does not hold for {model}.")
