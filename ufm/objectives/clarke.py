"""Stationarity of piecewise linear models (relu, leaky_relu), whose minimisers sit on kinks, without a gradient.

A hidden pre-activation within rel_tol of zero, relative to the largest of its layer, is on a kink: its slope may be
any mask m in [slope, 1]. All others have the slope of their side. With Gamma_k the slopes of hidden layer k (rows:
neurons, columns: samples),

    residual = min over masks of |grad F_Gamma|,   F_Gamma: backward pass with the slopes Gamma,

the norm being that over all factors and the bias. The gradient is multilinear in the masks, linear in those of one
layer, so the minimum is sought by bounded least squares, from the top layer down and then jointly.

What it means: the set {grad F_Gamma} contains Clarke's subdifferential (for compositions the two may differ), so
residual 0 is necessary for a local minimum, and says `stationary` in the sense of backpropagation. The value found is
an upper bound on the minimum over masks, the joint problem not being convex for L >= 3. Points within rel_tol of a kink
are read as if on it: the residual speaks of the exact point nearby, and `largest` says how far from the kinks it is.
Sources: sml24 (the model); clarke90 (the subdifferential).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.renamed import renamed, renamed_to
from ufm.objectives.factors import FactorObjective
from ufm.objectives.gated import Gated
from ufm.objectives.masks import solve_masks
from ufm.points import FactorPoint, LogitPoint, point_of

TOL = 1e-9
"""Modulus of a pre-activation, relative to the largest of its layer, up to which it is on the kink."""


@dataclass(frozen=True, eq=False)
class Clarke(ByContent):
    """The smallest gradient found over masks at kinks.

    residual: its norm; relative: that divided by ridge_norm, the norm of the ridge's own gradient (lam_l A_l)_l, which
    the fit must cancel.
    masks: slopes of every hidden layer (d_{k+1}, M), those off the kinks being the slope of their side; kinks: where
    they were free.
    columns: 'classes' where the samples of each class coincide and were merged, else 'samples'. largest: the largest
    pre-activation read as zero, relative.
    """

    residual: float
    relative: float
    masks: tuple[np.ndarray, ...] = field(repr=False)
    kinks: tuple[np.ndarray, ...] = field(repr=False)
    rel_tol: float = TOL
    largest: float = 0.0
    ridge_norm: float = 0.0
    columns: str = "samples"

    @property
    @renamed_to("rel_tol")
    def tol(self) -> float:
        """`rel_tol`, under the name it had; goes with the next release."""
        return self.rel_tol

    @property
    def count(self) -> int:
        """How many pre-activations are on a kink."""
        return int(sum(np.sum(k) for k in self.kinks))

    def __repr__(self) -> str:
        head = f"Clarke: residual {self.residual:.1e} (relative {self.relative:.1e}), {self.count} kinks"
        return f"{head} (|pre-activation| <= {self.rel_tol:g} of its layer's largest)"


@renamed(tol="rel_tol")
def clarke(point, rel_tol: float = TOL) -> Clarke:
    """min over masks of |grad F| at a point, or what holds one; for linear and smooth activations |grad F|.

    rel_tol >= 0 is relative to the largest pre-activation of the layer; 0 leaves only exact zeros free.
    Raises ValueError for what is no point, and for activations that are neither smooth nor piecewise linear with
    one kink at 0.
    """
    point = point_of("point", point)
    objective, x = merged(point.lift() if isinstance(point, LogitPoint) else point)
    return at(objective, x, rel_tol, columns="classes" if objective.collapsed else "samples")


def merged(point: FactorPoint) -> tuple[FactorObjective, np.ndarray]:
    """(objective, x) with one column per class where samples of a class are equal and s(t x) = t s(x), else all."""
    problem = point.problem
    if problem.N > problem.K and problem.activation.homogeneous:
        H, labels = point.factors[0], problem.labels
        first = H[:, np.searchsorted(labels, np.arange(problem.K))]
        if np.array_equal(first[:, labels], H):
            objective = FactorObjective(problem, collapsed=True)
            return objective, objective.pack([first * np.sqrt(problem.counts), *point.factors[1:]], point.b)
    objective = FactorObjective(problem)
    return objective, objective.pack(point.factors, point.b)


def at(objective: FactorObjective, x, rel_tol: float = TOL, columns: str = "samples", masks=None) -> Clarke:
    """`clarke` at a flat vector of an objective. masks: slopes to start from at the kinks."""
    rel_tol = arguments.nonnegative("rel_tol", rel_tol)
    ridge = float(np.linalg.norm(objective.ridge * x))
    here = Gated.of(objective, x)
    slope = slope_of(objective.problem)
    if slope is None:
        kinks = [np.zeros(p.shape, bool) for p in here.pres]
    else:
        kinks = here.near(rel_tol)
        here = solve_masks(here, kinks, slope, masks)
    residual = float(np.linalg.norm(here.gradient()))
    seen = zip(here.pres, kinks, here.sizes, strict=True)
    largest = max((float(np.max(np.abs(p[k]), initial=0.0)) / size for p, k, size in seen if size), default=0.0)
    relative = residual / ridge if ridge else residual
    return Clarke(residual, relative, tuple(here.gates), tuple(kinks), rel_tol, largest, ridge, columns)


def slope_of(problem) -> float | None:
    """Slope left of the kink of a piecewise linear activation; None where no kink acts (smooth activations, L = 1)."""
    s = problem.activation
    if s.smooth or problem.L == 1:
        return None
    seen, t = s.value(np.array([-1.0, -2.0, -0.5, 1.0, 3.0])), np.array([1.0, 2.0, 0.5])
    expected = np.append(seen[0] * t, [1.0, 3.0])
    if not s.homogeneous or -seen[0] >= 1 or not np.allclose(seen, expected, rtol=1e-12):
        raise ValueError(f"kinks are understood at 0 only, for max(x, slope x); got activation={s.name!r}.")
    return float(-seen[0])


def kinked(problem) -> bool:
    """Whether the model is piecewise linear, with kinks at 0 only, and a hidden layer has them."""
    try:
        return slope_of(problem) is not None
    except ValueError:
        return False
