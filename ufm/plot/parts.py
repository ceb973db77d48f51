"""Pictures of one thing each; every function takes an object and `ax=None`, and returns the axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.landscapes.table import Landscape
from ufm.plot.style import apart, beside, colour, house_style, new_axes
from ufm.points import FactorPoint, LogitPoint, PointLike, class_logits, point_of
from ufm.solvers.result import Result
from ufm.structures.structure import is_barrier

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def losses(runs: Iterable[Result], comparison: Landscape | None = None, ax: Axes | None = None, lines: int = 6) -> Axes:
    """F against step for runs that kept a trace, with horizontal lines at the values of structures.

    runs: Results or one Result; ends are coloured by name where `comparison` knows the value. lines: at most so many
    structures, lowest first (DNC always).
    """
    with house_style():
        ax = new_axes(ax, figsize=(5, 3.4))
        runs = [run for run in (runs if np.iterable(runs) else [runs]) if run.trace is not None and len(run.trace)]
        traces: list[Any] = [run.trace for run in runs]
        drawn = _lines(comparison, lines) if comparison else []
        for run, trace in zip(runs, traces, strict=True):
            ax.plot(np.array(trace.nit) + 1, trace.fun, color=_end_colour(run, comparison), lw=1, alpha=0.7)
        for p in drawn:
            ax.axhline(p.fun, color=colour(p.name), ls="--" if p.status == "strict saddle" else "-", lw=1, alpha=0.9)
        last = max((trace.nit[-1] + 1 for trace in traces), default=1)
        _spread_labels(ax, [(p.fun, p.name, colour(p.name)) for p in drawn], last)
        ax.set(xscale="log", xlabel="step", ylabel="F")
        top = [trace.fun[0] for trace in traces] + [p.fun for p in drawn]
        if drawn and top:
            low, high = min(p.fun for p in drawn), max(p.fun for p in drawn)
            roof = min(max(top), high + 1.5 * (high - low or high))
            ax.set_ylim(low - 0.25 * (high - low or low), roof)
            curves = [zip(trace.nit, trace.fun, strict=True) for trace in traces]
            seen = [nit + 1 for curve in curves for nit, fun in curve if fun <= roof]
            if seen and last > 10:
                ax.set_xlim(max(1.0, min(seen) / 2), last)
        return ax


def logits(point: PointLike, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Heat map of the class-mean logits: column c is the mean over class c, colours symmetric about zero."""
    with house_style():
        ax = new_axes(ax, figsize=(3.2, 3))
        M = class_logits(point_of("point", point))
        M = M - M.mean(axis=0)
        reach = float(np.max(np.abs(M))) or 1.0
        image = ax.imshow(M, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
        ax.figure.colorbar(image, ax=ax, shrink=0.8)
        title = title if title is not None else getattr(point, "name", None) or "mean logits"
        ax.set(xlabel="true class", ylabel="logit", title=title)
        ax.spines[["left", "bottom"]].set_visible(False)
        return ax


def singular_values(points: Mapping[str, PointLike], ax: Axes | None = None) -> Axes:
    """Singular values of every factor (H_1, W_1, ..., W_L) against their number, one colour per point.

    points: {name: point or what holds one}. A balanced LogitPoint's factors have sqrt(Lam/lam_l) s^(1/D); markers
    tell the factors apart where they differ.
    """
    with house_style():
        ax = new_axes(ax, figsize=(4, 3))
        for name, point in points.items():
            spectra = factor_spectra(point_of("points", point))
            distinct = spectra if _differ(spectra) else spectra[:1]
            for l, s in enumerate(distinct):
                look = {"marker": "osv^D*"[l % 6], "ms": 4, "lw": 0.8, "color": colour(name)}
                ax.plot(np.arange(1, len(s) + 1), s, label=name if l == 0 else None, **look)
        ax.set(xlabel="number", ylabel="singular values of each factor", ylim=(0, None))
        if points:
            ax.legend(fontsize=8)
        return ax


def factor_spectra(point: LogitPoint | FactorPoint) -> list[np.ndarray]:
    """Singular values of (H_1, W_1, ..., W_L), as many as there are classes, zeros included."""
    problem = point.problem
    if isinstance(point, FactorPoint):
        return [np.linalg.svd(A, compute_uv=False)[: problem.K] for A in point.factors]
    root = np.zeros(problem.K)
    root[: point.rank] = np.sort(point.s)[::-1] ** (1 / problem.D)
    return [stretch * root for stretch in problem.stretches]


def _differ(spectra) -> bool:
    return any(not np.allclose(s, spectra[0], rtol=1e-6, atol=1e-9) for s in spectra[1:])


def _lines(comparison: Landscape, most: int):
    """Structures to draw: the lowest ones, and always DNC; zero and barriers only if nothing else is there."""
    real = [p for p in comparison.points if p.status != "not critical" and p.rank and not is_barrier(p.name)]
    ranked = sorted(real, key=lambda p: p.fun)
    return ranked[:most] + [p for p in ranked[most:] if p.name == "dnc"] or list(comparison.points)


def _end_colour(run, comparison: Landscape | None) -> str:
    if comparison is None:
        return colour(None)
    gaps = [(abs(p.fun - run.fun), p.name) for p in comparison.points]
    gap, name = min(gaps)
    return colour(name if gap <= 1e-6 * (1 + abs(run.fun)) else None)


def _spread_labels(ax, labels, x) -> None:
    """Names to the right of the lines, pushed apart so that none overlap."""
    if not labels:
        return
    labels = sorted(labels)
    values = np.array([value for value, _, _ in labels])
    reach = (values[-1] - values[0]) or abs(values[0]) or 1.0
    places = apart(values, 0.09 * 1.6 * reach)
    places -= (places - values).mean()
    for (value, name, tint), place in zip(labels, places, strict=True):
        arrow = {"arrowstyle": "-", "color": tint, "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
        look = {"xycoords": ("axes fraction", "data"), "textcoords": ("axes fraction", "data"), "va": "center"}
        beside(ax, name, (1.0, value), (1.06, place), color=tint, arrowprops=arrow, **look)
