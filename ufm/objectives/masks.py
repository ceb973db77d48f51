"""Slopes at kinks that make a gradient small: min over masks Gamma, in [slope, 1] where free, of |grad F_Gamma|.

The gradient is multilinear in the masks and linear in those of one layer: bounded least squares, one per neuron, from
the top layer down, then Gauss-Newton steps on all masks together. What is found is an upper bound on the minimum.
"""

from __future__ import annotations

import numpy as np

from ufm.numerics import bounded
from ufm.objectives.gated import Gated, gathered, scattered

SETTLED = 1e-9
"""Gradient, relative to the ridge's own, above which a second start of the masks is tried."""
SWEEPS = 20
"""Most Gauss-Newton steps on all masks together."""


def solve_masks(here: Gated, kinks, slope: float, start=None) -> Gated:
    """The same point with the masks at kinks that make |grad F_Gamma| small: layer by layer, then together.

    Where that leaves a gradient, once more from masks in the middle of their range. start: masks to go on from instead.
    """
    if not any(k.any() for k in kinks):
        return here
    if start is not None:
        return _settled(_at(here, kinks, start, slope), kinks, slope)
    first = _at(here, kinks, here.gates, slope)
    for k in range(len(kinks) - 1, -1, -1):
        first = _rows_masks(first, k, kinks[k], slope)
    first = _settled(first, kinks, slope)
    size = np.linalg.norm(first.gradient())
    if size <= SETTLED * np.linalg.norm(here.objective.ridge * here.x):
        return first
    middle = [np.full(g.shape, 0.5 * (1 + slope)) for g in here.gates]
    second = _settled(_at(here, kinks, middle, slope), kinks, slope)
    return second if np.linalg.norm(second.gradient()) < size else first


def _at(here: Gated, kinks, masks, slope: float) -> Gated:
    """With the given masks at kinks, clipped to their range."""
    parts = zip(here.gates, kinks, masks, strict=True)
    return here.with_gates([np.where(k, np.clip(m, slope, 1.0), g) for g, k, m in parts])


def _settled(best: Gated, kinks, slope: float) -> Gated:
    """After Gauss-Newton steps on all masks together, until they gain nothing."""
    size, ridge = float(np.linalg.norm(best.gradient())), np.linalg.norm(best.objective.ridge * best.x)
    for _ in range(SWEEPS):
        if size <= 1e-15 * ridge or (here := _joint_masks(best, kinks, slope, size)) is None:
            break
        before, best, size = size, here, float(np.linalg.norm(here.gradient()))
        if size > (0.99 if size < 1e-3 * ridge else 0.9) * before:
            break
    return best


def _rows_masks(here: Gated, k: int, kinks, slope: float) -> Gated:
    """Masks of layer k that make the gradient in its own weight smallest: one bounded least squares per neuron."""
    signal, u, W = here.signals()[k], here.inputs[k], here.factors[k + 1]
    lam = here.objective.problem.lams[k + 1]
    gate = here.gates[k].copy()
    for j in np.flatnonzero(kinks.any(axis=1)):
        free = kinks[j] & (signal[j] != 0)
        if free.any():
            rest = u[:, ~free] @ (gate[j] * signal[j])[~free] + lam * W[j]
            J, ends = u[:, free] * signal[j, free], (np.full(free.sum(), slope), np.ones(free.sum()))
            gate[j, free] = bounded.least_squares(J, -rest, *ends)
    return here.with_gates([*here.gates[:k], gate, *here.gates[k + 1 :]])


def _joint_masks(here: Gated, kinks, slope: float, size: float) -> Gated | None:
    """One Gauss-Newton step on all masks, halved until the gradient is smaller; None where none is."""
    signals = here.signals()
    live = [k & (np.abs(g) > 1e-14 * np.max(np.abs(g), initial=0.0)) for k, g in zip(kinks, signals, strict=True)]
    weight = gathered(signals, live)
    if not len(weight):
        return None
    J = (here.rows(live) * weight[:, None]).T
    now = gathered(here.gates, live)
    # the smallest step: masks are often not unique
    step = bounded.least_squares(J, -here.gradient(), slope - now, 1.0 - now)
    for halvings in range(8):
        there = here.with_gates(scattered(np.clip(now + 0.5**halvings * step, slope, 1.0), here.gates, live))
        if np.linalg.norm(there.gradient()) < size:
            return there
    return None
