"""Least squares on a box: argmin |J m - target| over low <= m <= high."""

from __future__ import annotations

import numpy as np
from scipy import linalg


def least_squares(J, target, low, high, steps: int = 50) -> np.ndarray:
    """argmin |J m - target| over low <= m <= high, of least norm, by projected Newton steps (bertsekas82)."""
    if J.shape[0] > J.shape[1]:  # the same problem with as many equations as masks
        Q, J = np.linalg.qr(J)
        target = Q.T @ target
    m = _least(J, target)
    if np.all((m >= low) & (m <= high)):
        return m
    m = np.clip(m, low, high)
    gap = J @ m - target
    for _ in range(steps):
        pull = J.T @ gap
        free = ~(((m <= low) & (pull >= 0)) | ((m >= high) & (pull <= 0)))
        if not free.any():
            break
        found = _projected(J, target, m, gap, free, low, high)
        if found is None:
            break
        m, gap = found
    return m


def _projected(J, target, m, gap, free, low, high):
    """(m, J m - target) after the longest halved, projected step that lowers |J m - target|; None if none does."""
    step = np.zeros(len(m))
    size, pull = gap @ gap, (J.T @ gap)[free]
    fall = -(pull @ pull) / max(np.sum((J[:, free] @ pull) ** 2), 1e-300) * pull
    for direction in (_least(J[:, free], -gap), fall):
        step[free] = direction
        for halvings in range(12):
            trial = np.clip(m + 0.5**halvings * step, low, high)
            moved = J @ trial - target
            if moved @ moved < (1 - 1e-6) * size:
                return trial, moved
    return None


def _least(J, target) -> np.ndarray:
    """Least-squares solution of least norm."""
    try:
        return np.linalg.lstsq(J, target, rcond=1e-13)[0]
    except np.linalg.LinAlgError:  # the SVD inside did not converge; a pivoted QR needs no iteration
        return linalg.lstsq(J, target, cond=1e-13, lapack_driver="gelsy")[0]  # pyright: ignore[reportOptionalSubscript] never None
