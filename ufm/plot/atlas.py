"""A landscape drawn: every critical point by index and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.landscapes.table import Landscape
from ufm.plot.style import apart, beside, colour, house_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def landscape(atlas: Landscape, ax: Axes | None = None, names: int = 8) -> Axes:
    """F against index of every classified point: filled for minima, size by rank, colour by structure.

    names: how many of the lowest minima are listed at the side, in order of value, pushed apart so that none overlap.
    """
    with house_style():
        ax = new_axes(ax, figsize=(6, 4.2))
        points = [p for p in atlas.points if p.index_range is not None]
        for p in points:
            tint, minimum = colour(p.name), p.status == "local minimum"
            ax.plot(p.index_range, (p.fun, p.fun), "-", color=tint, lw=1)  # an open index is a line between its ends
            face = tint if minimum else "none"
            ax.plot(p.index_range[0], p.fun, "o", ms=4 + 1.2 * p.rank**0.8, mfc=face, mec=tint, alpha=0.85, ls="")
        _label(ax, [p for p in points if p.status == "local minimum"][:names], points)
        ax.set(xlabel="index", ylabel="F", title=f"{len(atlas)} critical points, {len(atlas.minima)} local minima")
        ax.locator_params(axis="x", integer=True)
        return ax


def _label(ax, minima, points) -> None:
    if not minima:
        return
    low, high = min(p.fun for p in points), max(p.fun for p in points)
    places = apart([p.fun for p in minima], 0.055 * (high - low or 1.0))
    right = 1.08 * max(p.index_range[1] for p in points) + 0.4
    for p, place in zip(minima, places, strict=True):
        said, look = f"{p.name}  {p.fun:.6f}", {"textcoords": "data", "color": colour(p.name), "va": "center"}
        beside(ax, said, (p.index_range[0], p.fun), (right, place), **look)
