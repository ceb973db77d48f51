"""Pictures of basins: shares with intervals of one census, or over a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ufm.critical.same import short_name
from ufm.landscapes.table import Landscape
from ufm.plot.style import house_style, legend_beside, new_axes, tints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

if TYPE_CHECKING:
    from ufm.sweeps.census import Census

REST = "others"
GREYS = {REST: "0.75", "not converged": "0.9"}


def shares(found: Landscape, ax: Axes | None = None, most: int = 12) -> Axes:
    """Bars of the most frequent ends with Wilson's intervals; one for what is not shown, one for not converged."""
    with house_style():
        rows = [(b.name, b.share, b.low, b.high) for b in found.rows[:most]]
        if len(found) > most:
            rows.append((f"{len(found) - most} others", *_joined([found], [b.name for b in found.rows[most:]])[0]))
        if found.not_converged:
            rows.append(("not converged", *found.share("not converged")))
        ax = new_axes(ax, figsize=(5, 0.9 + 0.28 * len(rows)))
        shades = _tints([row[0] for row in rows])
        for y, (name, share, low, high) in enumerate(rows):
            ax.barh(y, share, color=shades[name], height=0.7)
            reach = [[max(share - low, 0.0)], [max(high - share, 0.0)]]
            ax.errorbar(share, y, xerr=reach, color="0.2", lw=1, capsize=2)
        ax.set_yticks(range(len(rows)), [short_name(row[0]) for row in rows])
        ax.invert_yaxis()
        ax.set(xlim=(0, 1), xlabel=f"share of {found.starts} starts")
        return ax


def census(found: Census, ax: Axes | None = None, by: str = "name", kind: str = "stack", most: int = 6) -> Axes:
    """Shares over the parameter of a census.

    by: `name` or `rank`. kind: `stack` (a bar per value, filled up to 1) or `lines` (with Wilson intervals; over a
    logarithmic axis where positive numbers span more than a factor of 20). most: so many names, the others joined.
    Raises ValueError for other words and for a census without a finished value.
    """
    from ufm.numerics.arguments import choice

    choice("by", by, ("name", "rank"))
    choice("kind", kind, ("stack", "lines"))
    if not len(found):
        raise ValueError(f"nothing to draw: no value of the census over {found.over} was finished.")
    with house_style():
        ax = new_axes(ax, figsize=(5.6, 3.4))
        series = _by_rank(found) if by == "rank" else _by_name(found, most)
        shades = _rank_tints(list(series)) if by == "rank" else _tints(list(series))
        x, numeric = _places(found.values) if kind == "lines" else (np.arange(len(found.values)), False)
        bottom = np.zeros(len(x))
        for name, values in series.items():
            look = {"color": shades[name], "label": short_name(name)}
            if kind == "stack":
                ax.bar(x, values[:, 0], bottom=bottom, width=0.7, edgecolor="white", lw=0.4, **look)
                bottom = bottom + values[:, 0]
            else:
                ax.errorbar(x, values[:, 0], yerr=_reach(values), marker="o", ms=4, lw=1.2, capsize=2, **look)
        if not numeric:
            ax.set_xticks(x, [f"{v:.4g}" if isinstance(v, float) else str(v) for v in found.values])
        elif np.min(x) > 0 and np.max(x) > 20 * np.min(x):
            ax.set_xscale("log")
        label = {"lam": "$\\lambda$", "d": "$d$"}.get(found.over, found.over)
        ax.set(ylim=(0, 1), ylabel="share of starts", xlabel=label)
        legend_beside(ax)
        return ax


def _places(values):
    """(x, whether they are the values themselves)."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return np.array(values, dtype=float), True
    return np.arange(len(values), dtype=float), False


def _reach(values) -> np.ndarray:
    return np.maximum([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0.0)


def _by_name(found: Census, most: int) -> dict:
    series = {name: found.shares(name) for name in found.names[:most]}
    if rest := found.names[most:]:
        series[REST] = _joined(found.cells, rest)
    return series | _unfinished(found)


def _by_rank(found: Census) -> dict:
    return {f"rank {rank}": values for rank, values in found.ranks().items()} | _unfinished(found)


def _unfinished(found: Census) -> dict:
    return {"not converged": found.shares("not converged")} if any(cell.not_converged for cell in found.cells) else {}


def _joined(cells, names) -> np.ndarray:
    """(share, low, high) of several names together, per cell."""
    from ufm.numerics.statistics import share

    counts = [sum(b.count for b in cell if b.name in set(names)) for cell in cells]
    return np.array([share(k, cell.starts, cell.level) for k, cell in zip(counts, cells, strict=True)])


def _tints(names: list[str]) -> dict:
    """The colour of every name's structure, and greys for what is none."""
    greys = {name: GREYS.get(name, GREYS[REST]) for name in names if name in GREYS or name.endswith(" others")}
    rest = [name for name in names if name not in greys]
    return greys | dict(zip(rest, tints(rest), strict=True))


def _rank_tints(names: list[str]) -> dict:
    from matplotlib import colormaps

    ranks = [name for name in names if name not in GREYS]
    shades = colormaps["viridis"](np.linspace(0.05, 0.9, max(len(ranks), 1)))
    return {**dict(zip(ranks, shades, strict=False)), **GREYS}
