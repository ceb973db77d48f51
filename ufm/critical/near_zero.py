"""Signs of eigenvalues near zero: what rounding, the leftover gradient and Newton's method say of them.

Computed at a point with gradient g, an eigenvalue v of the Hessian is off by rounding, at most ROUND times the largest
one, and by what it changes on the way to the critical point, of length |g|/v or less. With T a bound on the third
derivative, Kantorovich's test

    h = T |g| / v^2 <= 1/2,  v the least modulus that symmetry does not explain,

says that there is a critical point that near, and that no eigenvalue changes sign on the way. Where a rough bound T
fails, T is measured: Newton's method goes to rounding, and an eigenvalue has a sign where it exceeds rounding and twice
its change in the last full step. What has none is open; where Newton's method finds no critical point nearby, there is
none to speak of.

Sources: kantorovich48 (the test), deuflhard04 (reading its constant off Newton's own steps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from ufm.objectives.logits import Stratum

ROUND = 5e-14
"""Rounding of eigenvalues, relative to the largest."""
SAFE = 0.05
"""h, with the rough bound of the third derivative, up to which nothing has to be measured."""
STEPS, HALVINGS = 20, 6
"""Most Newton steps, and halvings of one."""
FLOOR = 1e-12
"""Gradient, relative to the ridge's own, that is rounding."""
CONTRACTION = 0.25
"""The gradient after a full Newton step, relative to that before, where h <= 1/2."""
NEARBY = 0.05
"""How far a critical point may lie, relative to the logits."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues at a point of a stratum, with multiplicities, ascending within each of their kinds.

    third: a rough bound of the third derivative. certain: which values are free of rounding. gauge: zeros besides,
    known without numbers.
    symmetry: zeros that symmetry explains among the values. ends: the extreme eigenvalues, where the values are the
    whole spectrum.
    """

    stratum: Stratum | None
    values: np.ndarray
    copies: np.ndarray
    third: float = 0.0
    certain: np.ndarray | None = None
    gauge: int = 0
    symmetry: int = 0
    grad_norm: float = 0.0
    ends: tuple[float, float] | None = None

    @property
    def here(self) -> Stratum:
        """The stratum, where there is one: of a linear model."""
        assert self.stratum is not None
        return self.stratum

    @property
    def size(self) -> float:
        return float(np.max(np.abs(self.values), initial=0.0))


@dataclass(frozen=True)
class Count:
    """index: its two ends; nullity: eigenvalues zero or not told from zero; least: modulus of the smallest other one.

    zero: rounding and gradient.
    """

    index: tuple[int, int]
    nullity: int
    least: float
    zero: float
    critical: bool = True
    why: str = ""

    def decreed(self) -> Count:
        """The same where what is not told from zero is taken to be zero."""
        return replace(self, index=(self.index[0],) * 2)


def third_bound(size: float, s: float, D: int) -> float:
    """size (D/a)(3 + s): the third derivative in factor space, the Hessian being of size `size`, s = a^D largest."""
    return size * (3.0 + s) * (D / s ** (1.0 / D) if s > 0 else 1.0)


def unmeasured(found: Spectrum) -> float:
    """The modulus beyond which an eigenvalue has a sign by the rough bound alone."""
    return float(np.sqrt(found.third * found.grad_norm / SAFE))


def counted(found: Spectrum, loose: float, change: float | np.ndarray = 0.0, zero: float = 0.0) -> Count:
    """Eigenvalues by sign: the least moduli are the zeros of symmetry, up to `loose` and an error of at least `zero`.

    change: how much each value may be off besides rounding and the gradient.
    """
    zero = max(zero, ROUND * found.size + found.grad_norm)
    certain = np.zeros(len(found.values), dtype=bool) if found.certain is None else found.certain
    error = np.where(certain, 0.0, zero + np.broadcast_to(change, found.values.shape))
    left, low, open_, zeros, least = found.symmetry, 0, 0, found.gauge, np.inf
    for i in np.argsort(np.abs(found.values), kind="stable"):
        value, copies = found.values[i], int(found.copies[i])
        taken = min(left, copies) if abs(value) <= loose + error[i] and not certain[i] else 0
        left, copies, zeros = left - taken, copies - taken, zeros + taken
        if not copies:
            continue
        if abs(value) <= error[i]:
            open_ += copies
            continue
        low += copies * int(value < 0)
        least = least if certain[i] else min(least, abs(float(value)))
    return Count((low, low + open_), zeros + open_, least, zero)


def settled(found: Spectrum, count: Count, loose: float, dense: Callable[[Stratum], Spectrum] | None) -> Count:
    """The count that stands: the given one where h is small, else that of the critical point Newton's method finds;
    dense: None where none is formed."""
    h = found.third / count.least * (found.grad_norm / count.least)
    moot = count.index[0] < count.index[1] and found.grad_norm > ROUND * found.size
    if h <= SAFE and not moot:
        return count
    if dense is not None:
        return _followed(dense(found.here), loose, dense)
    again = counted(found, loose, zero=unmeasured(found))
    return again if at_rounding(found.here) else replace(again, critical=False, why="Kantorovich's test fails")


def at_rounding(here: Stratum) -> bool:
    """Whether the gradient is rounding: of its own terms, or relative to the ridge's."""
    return here.grad_norm <= max(FLOOR * here.ridge_norm, here.rounding)


def _followed(here: Spectrum, loose: float, dense: Callable[[Stratum], Spectrum]) -> Count:
    """Newton's method from a point to rounding, or to a full step on which no eigenvalue changes by half."""
    start = here.here.point.matrix()
    count = counted(here, loose)
    for _ in range(STEPS):
        floor = at_rounding(here.here)
        after, full = _step(here.here, floor)
        if after is None:
            return count if floor else replace(count, critical=False, why="its steps do not lower the gradient")
        if np.linalg.norm(after.point.matrix() - start) > NEARBY * np.linalg.norm(start):
            return replace(count, critical=False, why="it leaves the neighbourhood")
        there = dense(after)
        contracts = floor or after.grad_norm <= CONTRACTION * here.here.grad_norm
        count = counted(there, loose, 2.0 * np.abs(there.values - here.values))
        if full and contracts and (floor or count.index[0] == count.index[1]):
            return count
        here = there
    return replace(count, critical=False, why=f"it has not converged after {STEPS} steps")


def _step(here: Stratum, floor: bool) -> tuple[Stratum | None, bool]:
    """(the stratum after a Newton step that lowers the gradient, or any at rounding; whether the step was full)."""
    values, vectors = linalg.eigh(here.scaled_hessian()) if here.size else (np.zeros(0), np.zeros((0, 0)))
    g = vectors.T @ (here.scale * here.gradient())
    keep = np.abs(values) > ROUND * np.max(np.abs(values), initial=0.0)
    step = -here.scale * (vectors[:, keep] @ (g[keep] / values[keep]))
    for halvings in range(HALVINGS):
        try:
            after = Stratum(here.retract(0.5**halvings * step))
        except ValueError:  # a singular value reached zero on the way
            continue
        if floor or after.grad_norm < (1 - 1e-4 * 0.5**halvings) * here.grad_norm:
            return after, halvings == 0
    return None, False
