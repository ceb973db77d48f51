"""A landscape as levels: the critical points of every rank as rungs, as a physicist draws the levels of an atom."""

from __future__ import annotations

import numpy as np

from ufm.critical.same import short_name
from ufm.landscapes.table import Landscape
from ufm.plot.style import colour, house_style, new_axes


def ladder(atlas: Landscape, ax=None, highest: float | None = None, labels: bool = True):
    """Every critical point as a rung at its rank (across) and value (up): thick for local minima, thin for saddles,
    coloured by structure.

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
                _name(
                    [p for p in points if p.rank == rank and p.status == "local minimum"],
                    ax,
                    0.035 * ((high - low) or 1.0),
                )
        margin = 0.05 * ((high - low) or abs(high) or 1.0)
        ranks = [p.rank for p in points]
        ax.set(
            xlabel="rank", ylabel="$F$", xlim=(min(ranks) - 0.6, max(ranks) + 1.2), ylim=(low - margin, high + margin)
        )
        ax.set_xticks(range(min(ranks), max(ranks) + 1))
        return ax


def _name(minima, ax, step: float) -> None:
    """Names to the right of the rungs of one rank."""
    minima = sorted(minima, key=lambda p: p.fun)
    places = np.array([p.fun for p in minima])
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + step)
    for p, place in zip(minima, places, strict=True):
        ax.text(p.rank + 0.38, place, short_name(p.name), fontsize=7, color=colour(p.name), va="center")
