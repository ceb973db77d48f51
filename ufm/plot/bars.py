"""What a point pays: its fit and its penalty, side by side with others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ufm.critical.classify import with_name
from ufm.objectives.logits import value
from ufm.objectives.strata import schatten
from ufm.plot.style import beside, colour, house_style, new_axes
from ufm.points import LogitPoint, PointLike, logit_point_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def split(point: LogitPoint) -> tuple[float, float]:
    """(g(Z), (D/2) Lam sum s_i^(2/D)): F of a linear model's point as fit and penalty; a bias pays within the fit.

    >>> from ufm import Problem, structures
    >>> fit, penalty = split(structures.dnc(Problem(K=4, L=2, lam=0.01)))
    >>> round(fit, 6), round(penalty, 6)
    (0.017544, 0.133901)
    """
    penalty = float(np.sum(schatten(point.problem).phi(point.s)))
    return value(point) - penalty, penalty


def costs(points: Iterable[PointLike], ax: Axes | None = None) -> Axes:
    """One bar per point, its fit (dark) below its penalty (light), with F at its end and the rank beside its name.

    points: of linear models, or what holds them. Raises ValueError where there is nothing to draw.
    """
    points = [with_name(logit_point_of("points", point)) for point in points]
    if not points:
        raise ValueError("points must hold at least one point; got none.")
    with house_style():
        ax = new_axes(ax, figsize=(5, 0.8 + 0.45 * len(points)))
        for y, point in enumerate(points):
            fit, penalty = split(point)
            tint = colour(point.name)
            ax.barh(y, fit, color=tint, height=0.62)
            ax.barh(y, penalty, left=fit, color=tint, height=0.62, alpha=0.45)
            beside(ax, f"{fit + penalty:.4g}", (fit + penalty, y), (4, 0), va="center")
        ax.set_yticks(range(len(points)), [f"{p.name or 'unnamed'}, rank {p.rank}" for p in points])
        ax.invert_yaxis()
        ax.set(xlabel="$F$ = fit (dark) + penalty (light)", xlim=(0, 1.16 * max(value(p) for p in points)))
        ax.tick_params(axis="y", length=0)
        return ax
