"""Codes drawn: the classes of a rank 2 or 3 point as directions in the plane or in space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ufm.critical.identify import identify
from ufm.plot.style import colour, house_style
from ufm.points import LogitPoint, PointLike, logit_point_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def code(point: PointLike, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Class features V diag(s)^(1/2) of a point of rank 2 (plane) or 3 (space), with edges between nearest classes.

    In space the convex hull is shaded. Points of other rank are refused: ValueError naming the rank.
    ax: axes of the right projection (3-D for rank 3), or None for a new figure.
    """
    point = logit_point_of("point", point)
    if point.rank not in (2, 3):
        raise ValueError(f"point must have rank 2 or 3 to be drawn as a code; got {point!r}.")
    X = _features(point)
    name = title if title is not None else point.name or identify(point).name
    with house_style():
        ax = _axes(ax, point.rank)
        tint = colour(identify(point).name)
        near = _nearness(X)
        for i, j in nearest_pairs(X):
            front = 0.5 * (near[i] + near[j])
            look = {"lw": 0.8 + 1.6 * front, "alpha": 0.25 + 0.75 * front, "solid_capstyle": "round", "zorder": 2}
            ax.plot(*np.stack([X[i], X[j]]).T, color=tint, **look)
        if point.rank == 3:
            _shade(ax, X, tint)
        else:
            ax.plot(*np.zeros((2, 1)), marker="+", color="0.5", ms=8)
            for x in X:
                ax.plot(*np.stack([0 * x, x]).T, color="0.75", lw=0.8, zorder=1)
        for x, front in zip(X, near, strict=True):
            look = {"ms": 5 + 5 * front, "alpha": 0.35 + 0.65 * front, "mec": "white", "mew": 0.8, "zorder": 4}
            ax.plot(*x[:, None], marker="o", color=tint, ls="", **look)
        for c, x in enumerate(_lifted_labels(X)):
            ax.text(*x, s=str(c), fontsize=8, ha="center", va="center", color="0.15", zorder=5)
        ax.set_title(name, fontfamily="STIXGeneral")
        _frame(ax, X)
        return ax


def nearest_pairs(X: np.ndarray, slack: float = 0.12) -> list[tuple[int, int]]:
    """Pairs of classes that are nearest neighbours of one of the two, up to a relative slack in distance."""
    distance = np.linalg.norm(X[:, None] - X[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = distance <= (1 + slack) * distance.min(axis=1, keepdims=True)
    near |= near.T
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(near)), strict=True)]


def _features(point: LogitPoint) -> np.ndarray:
    """Class features in the principal frame, longest axis last so that it stands upright."""
    if point.collapsed:
        return (point.right * point.columns.scale[:, None] * np.sqrt(point.s))[:, ::-1]
    member = point.problem.samples.Y / point.problem.counts[:, None]
    return (member @ point.right * np.sqrt(point.s))[:, ::-1]


def _axes(ax, rank: int):
    if ax is not None:
        return ax
    from ufm.plot.sheet import Sheet

    return Sheet(figsize=(4, 4)).add_subplot(projection="3d" if rank == 3 else None)


def _shade(ax, X, tint) -> None:
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(X, qhull_options="QJ")
    except QhullError:
        return
    light = hull.equations[:, :3] @ _view()
    for corners, towards in zip(X[hull.simplices], light, strict=True):
        alpha = 0.05 + 0.22 * max(0.0, float(towards))
        ax.add_collection3d(Poly3DCollection([corners], facecolor=tint, alpha=alpha, edgecolor="none"))


ELEVATION, AZIMUTH = 20, 33


def _view() -> np.ndarray:
    """Unit vector towards the reader."""
    e, a = np.radians([ELEVATION, AZIMUTH])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def _nearness(X) -> np.ndarray:
    """1 for the class nearest the reader, 0 for the farthest; 1 for all in the plane."""
    if X.shape[1] == 2:
        return np.ones(len(X))
    depth = X @ _view()
    return (depth - depth.min()) / max(np.ptp(depth), 1e-12)


def _lifted_labels(X) -> np.ndarray:
    length = np.linalg.norm(X, axis=1, keepdims=True)
    reach = float(np.max(length))
    return X * (1 + 0.16 * reach / np.maximum(length, 0.3 * reach))


def _frame(ax, X) -> None:
    reach = 1.2 * float(np.max(np.abs(X)))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    if X.shape[1] == 3:
        ax.set_zlim(-reach, reach)
        ax.set_box_aspect((1, 1, 1), zoom=1.45)
        ax.view_init(elev=ELEVATION, azim=AZIMUTH)
    else:
        ax.set_aspect("equal")
    ax.set_axis_off()
