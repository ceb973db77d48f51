"""Graph codes and the ranks of deep ReLU models drawn."""

from __future__ import annotations

import numpy as np

from ufm.numerics.graphs import Graph, adjacency
from ufm.plot.style import colour, house_style, new_axes

LABELLED = 21
"""Edges up to which they carry their class numbers."""


def graph_code(graph: Graph, ax=None, title: str | None = None):
    """A graph whose edges are classes, numbered: vertices on a circle, or in two rows where it is bipartite.

    Two classes meet in a neuron of the hidden layers where their edges meet in a vertex.
    """
    if not isinstance(graph, Graph):
        raise ValueError(f"graph must be a Graph; got {type(graph).__name__}.")
    with house_style():
        ax = new_axes(ax, figsize=(3.2, 3.2))
        at = _positions(graph)
        tint = colour("code")
        for e, (i, j) in enumerate(graph.edges):
            ax.plot(*np.stack([at[i], at[j]]).T, color=tint, lw=1.2, alpha=0.7, zorder=1)
            if len(graph) <= LABELLED:
                x, y = at[i] + 0.28 * (at[j] - at[i])  # off the middle, where edges cross
                box = {"boxstyle": "circle,pad=0.12", "fc": "white", "ec": "none"}
                ax.text(x, y, str(e), fontsize=7, ha="center", va="center", bbox=box, zorder=2)
        ax.plot(*at.T, "o", color="0.15", ms=7, zorder=3)
        title = f"{graph.name}: {len(graph)} classes, {graph.vertices} neurons" if title is None else title
        ax.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), title=title)
        ax.set_aspect("equal")
        ax.set_axis_off()
        return ax


def _positions(graph: Graph) -> np.ndarray:
    """(r, 2) on the unit circle, or in two rows."""
    sides = _sides(adjacency(graph))
    if sides is None:
        angle = np.pi / 2 - 2 * np.pi * np.arange(graph.vertices) / graph.vertices
        return np.column_stack([np.cos(angle), np.sin(angle)])
    at = np.empty((graph.vertices, 2))
    for side, height in ((0, 0.8), (1, -0.8)):
        members = np.flatnonzero(sides == side)
        at[members] = np.column_stack(
            [np.linspace(-0.9, 0.9, len(members)) if len(members) > 1 else np.zeros(1), np.full(len(members), height)]
        )
    return at


def _sides(A: np.ndarray) -> np.ndarray | None:
    """0 and 1 for the sides of a bipartite graph, None for others."""
    side = np.full(len(A), -1)
    for start in range(len(A)):
        if side[start] >= 0:
            continue
        side[start], queue = 0, [start]
        while queue:
            v = queue.pop()
            for w in np.flatnonzero(A[v]):
                if side[w] == side[v]:
                    return None
                if side[w] < 0:
                    side[w] = 1 - side[v]
                    queue.append(int(w))
    return side
