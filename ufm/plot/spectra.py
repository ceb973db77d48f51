"""Spectra of Hessians: few eigenvalues, many times each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.critical.measures import spectrum
from ufm.plot.style import beside, colour, house_style, new_axes
from ufm.points import PointLike, point_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def hessian_spectra(points: Mapping[str, PointLike], ax: Axes | None = None, floor: float = 1e-9) -> Any:
    """Multiplicity (up, log) against eigenvalue (across) of the Hessian in all parameters, one row of stems per point.

    points: {name: point or what holds one}, critical ones. Eigenvalues below `floor` times the largest are drawn at
    zero, hollow: flat directions. The axis is symmetric-logarithmic: linear within the power of ten below the ridge
    weight, logarithmic outside.
    """
    if not points:
        raise ValueError("points must hold at least one critical point; got none.")
    with house_style():
        found = {name: spectrum(point) for name, point in points.items()}
        axes = _rows(ax, len(found))
        size = max(abs(value) for rows in found.values() for value, _ in rows)
        Lam = min(point_of("points", p).problem.Lam for p in points.values())
        most = max(count for rows in found.values() for _, count in rows)
        for row, (name, rows) in zip(axes, found.items(), strict=True):
            tint = colour(name)
            for value, count in rows:
                flat = abs(value) <= floor * size
                place = 0.0 if flat else value
                row.plot([place, place], [0.7, count], color=tint, lw=1.1, alpha=0.8)
                row.plot(place, count, "o", ms=5, mec=tint, mfc="white" if flat else tint)
            row.set(yscale="log", ylim=(0.7, 4 * most), ylabel="multiplicity")
            row.set_xscale("symlog", linthresh=10.0 ** np.floor(np.log10(Lam)))
            look = {"xycoords": "axes fraction", "ha": "right", "va": "top", "color": tint, "fontsize": 9}
            beside(row, f"{name}: {len(rows)} eigenvalues", (0.99, 0.97), **look)
        low = min(0.0, *(value for rows in found.values() for value, _ in rows))
        for row in axes:
            row.set_xlim(1.6 * low - 0.2 * 10.0 ** np.floor(np.log10(Lam)), 2 * size)
        axes[-1].set_xlabel("eigenvalue of the Hessian in all parameters")
        return axes[0] if len(axes) == 1 else axes


def _rows(ax, count: int):
    """One axes per point: new ones, or `ax` itself (one axes, or as many as there are points)."""
    if ax is not None:
        axes = list(np.atleast_1d(ax))
        if len(axes) != count:
            raise ValueError(f"ax must hold {count} axes, one per point; got {len(axes)}.")
        return axes
    if count == 1:
        return [new_axes(None, figsize=(6, 2.4))]
    from ufm.plot.sheet import Column, Sheet

    return Column(Sheet(figsize=(6, 1.9 * count + 0.5)).subplots(count, 1, sharex=True))
