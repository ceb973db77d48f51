"""A problem along one ray: F(tZ) for t >= 0, on which a structure's two roots are a barrier and a valley."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ufm.critical.classify import with_name
from ufm.objectives.logits import value
from ufm.plot.style import house_style, new_axes, tints
from ufm.points import LogitPoint, PointLike, logit_point_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def along_ray(point: LogitPoint, t) -> np.ndarray:
    """F(tZ) for every t >= 0 of an array; at t = 0 the value of zero logits.

    >>> import ufm
    >>> point = ufm.structures.dnc(ufm.Problem(K=4, L=2, lam=0.01))
    >>> F = along_ray(point, [0.0, 0.9, 1.0, 1.1])
    >>> bool(F[2] < min(F[1], F[3])), round(float(F[0]), 6)
    (True, 1.386294)
    """
    K = point.problem.K
    nothing = replace(point, U=np.zeros((K, 0)), s=np.zeros(0), right=np.zeros((len(point.right), 0)), name="zero")
    points = [replace(point, s=u * point.s) if u > 0 else nothing for u in np.asarray(t, dtype=float)]
    return np.array([value(p) for p in points])


def ray(points: Mapping[str, PointLike], reach: float = 1.35, ax: Axes | None = None, samples: int = 400) -> Axes:
    """F along the ray of every point against the size |Z| of the logits, with the points themselves marked.

    points: {label: point or what holds one}, linear models; one colour per structure, later points of one colour
    lighter. reach: how far beyond the point the ray goes. Raises ValueError where there is nothing to draw.
    """
    if not points:
        raise ValueError("points must hold at least one point; got none.")
    points = {label: with_name(logit_point_of("points", point)) for label, point in points.items()}
    with house_style():
        ax = new_axes(ax, figsize=(5, 3.4))
        for (label, point), tint in zip(points.items(), tints(p.name for p in points.values()), strict=True):
            size = float(np.linalg.norm(point.s))
            t = reach * np.linspace(0, 1, samples) ** 2
            ax.plot(t * size, along_ray(point, t), color=tint, lw=1.5, label=label)
            ax.plot(size, value(point), "o", ms=6, mfc=tint, mec="white", mew=0.8, zorder=3)
        ax.set(xlabel="size of the logits, $\\|Z\\|$", ylabel="$F$", xlim=(0, None))
        ax.legend(fontsize=8)
        return ax
