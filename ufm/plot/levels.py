"""A landscape as levels: the critical points of every rank as rungs, as a physicist draws the levels of an atom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.critical.same import short_name
from ufm.landscapes.table import Landscape
from ufm.plot.style import apart, colour, house_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ladder(atlas: Landscape, ax: Axes | None = None, highest: float | None = None, labels: bool = True) -> Axes:
    """Every critical point as a rung at its rank (across) and value (up): thick for minima, thin for saddles.

    highest: points above it are left out (default: none). labels: names of the local minima, beside their rungs, pushed
    apart. Raises ValueError where no point lies below `highest`.
    """
    points = [p for p in atlas if highest is None or p.fun <= highest]
    if not points:
        raise ValueError(
            f"highest must leave at least one point; the lowest has F = {min(p.fun for p in atlas):g}, got"
            f" highest={highest!r}."
        )
    with house_style():
        ax = new_axes(ax, figsize=(6.4, 4.4))
        low, high = min(p.fun for p in points), max(p.fun for p in points)
        for p in points:
            minimum = p.status == "local minimum"
            look = {"lw": 3.0, "alpha": 1.0, "zorder": 3} if minimum else {"lw": 0.8, "alpha": 0.55, "zorder": 2}
            ax.plot([p.rank - 0.34, p.rank + 0.34], [p.fun] * 2, color=colour(p.name), solid_capstyle="butt", **look)
        if labels:
            for rank in sorted({p.rank for p in points}):
                minima = [p for p in points if p.rank == rank and p.status == "local minimum"]
                _name(minima, ax, 0.035 * ((high - low) or 1.0))
        margin = 0.05 * ((high - low) or abs(high) or 1.0)
        ranks = [p.rank for p in points]
        width, height = (min(ranks) - 0.6, max(ranks) + 1.2), (low - margin, high + margin)
        ax.set(xlabel="rank", ylabel="$F$", xlim=width, ylim=height)
        ax.set_xticks(range(min(ranks), max(ranks) + 1))
        return ax


def _name(minima, ax, step: float) -> None:
    """Names to the right of the rungs of one rank."""
    minima = sorted(minima, key=lambda p: p.fun)
    for p, place in zip(minima, apart([p.fun for p in minima], step), strict=True):
        ax.text(p.rank + 0.38, place, short_name(p.name), fontsize=7, color=colour(p.name), va="center")
