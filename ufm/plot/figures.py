"""Whole figures: what `--plot` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ufm.landscapes.table import Landscape
from ufm.plot import parts
from ufm.plot.style import house_style
from ufm.points import LogitPoint
from ufm.solvers.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison(result: Landscape) -> Figure:
    """A Landscape in four panels: loss curves over the structures' values, DNC and the winner, singular values."""
    from ufm.plot.sheet import Sheet

    with house_style():
        figure = Sheet(figsize=(10, 6.4))
        grid = figure.add_gridspec(2, 2, width_ratios=(1.35, 1))
        runs = result.runs.results if result.runs is not None else []
        parts.losses(runs, result, figure.add_subplot(grid[0, 0])).set_title(_title(result))
        shown = _two(result)
        for p, cell in zip(shown, (grid[0, 1], grid[1, 1]), strict=False):
            parts.logits(p.point, figure.add_subplot(cell), f"{p.name}, rank {p.rank}: F = {p.fun:.6f}")
        linear = {p.name: p.point for p in shown if isinstance(p.point, LogitPoint)}
        parts.singular_values(linear or {p.name: p.point for p in shown}, figure.add_subplot(grid[1, 0]))
        return figure


def runs(results: Iterable[Result], comparison: Landscape | None = None, names: Sequence[str] = ()) -> Figure:
    """Runs of `solve`: loss curves, the best run's mean logits, and the singular values of each of its factors."""
    from ufm.plot.sheet import Sheet

    with house_style():
        results = list(results)
        best = min(results, key=lambda r: r.fun)
        name = names[results.index(best)] if names else getattr(best.point, "name", None) or "best"
        figure = Sheet(figsize=(12, 3.6))
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.4, 1, 1))
        parts.losses(results, comparison, left)
        parts.logits(best.point, middle, f"{name}: F = {best.fun:.6f}")
        parts.singular_values({name: best.point}, right)
        return figure


def _two(result: Landscape):
    """The winner and what it is compared with: DNC, or the runner-up where DNC wins or is missing."""
    ranked = sorted((p for p in result.points if p.rank != 0), key=lambda p: p.fun) or list(result.points)
    winner = result.winner
    other = next((p for p in ranked if p.name == "dnc" and p is not winner), None) or next(
        (p for p in ranked if p is not winner), None
    )
    return [p for p in (other, winner) if p is not None]


def _title(result: Landscape) -> str:
    p = result.problem
    lam = f"{p.lam:.4g}" if isinstance(p.lam, float) else "per factor"
    return f"{p.loss.name}, K={p.K}, n={p.n if p.balanced else 'counts'}, L={p.L}, lam={lam}"
