"""Pictures of how critical points hang together: the tree of barriers, F along paths, the plateaus of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.critical.same import short_name
from ufm.numerics import arguments
from ufm.paths.network import Network
from ufm.paths.path import Path
from ufm.paths.trajectory import Reading
from ufm.paths.tree import Node, Tree
from ufm.plot.style import beside, colour, house_style, new_axes
from ufm.solvers.result import Result, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def disconnectivity_graph(tree: Tree | Network, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """The disconnectivity tree, F upwards: a line from every minimum to the lowest saddle that joins it to others.

    names (M,): of the minima (a Network has its own). Components that nothing joins end in a dotted line. Lone minima
    far above all that is joined are left out of the frame and listed at its upper edge.
    """
    names = tree.names if names is None and isinstance(tree, Network) else names
    tree = tree.tree() if isinstance(tree, Network) else tree
    if not isinstance(tree, Tree):
        raise ValueError(f"tree must be a Tree or a Network; got {type(tree).__name__}.")
    names = [f"{i}" for i in range(len(tree.minima))] if names is None else list(names)
    if len(names) != len(tree.minima):
        raise ValueError(f"names must name all {len(tree.minima)} minima; got {len(names)}.")
    low, high = _frame(tree)
    shown = [root for root in tree.roots if root.children or root.energy <= high]
    above = [_number(leaf) for root in tree.roots if root not in shown for leaf in root.leaves()]
    roof = high + 0.08 * ((high - low) or abs(high) or 1.0)
    with house_style():
        ax = new_axes(ax, figsize=(max(3.0, 0.6 * len(names) + 1.4), 3.4))
        for root in shown:
            ax.plot([root.position] * 2, [root.energy, roof], color="0.45", lw=1, ls=":" if len(shown) > 1 else "-")
            _branches(ax, root)
            for leaf in root.leaves():
                name = short_name(names[_number(leaf)])
                ax.plot(leaf.position, leaf.energy, marker="o", ms=5, color=colour(name), zorder=3)
                beside(ax, name, (leaf.position, leaf.energy), (0, -7), ha="right", va="top", rotation=35)
        right = max(len(names) - len(above) - 0.3, 0.7)
        ax.set(ylabel="F", xticks=[], xlim=(-0.7, right), ylim=(low - 0.06 * (roof - low), roof))
        ax.spines["bottom"].set_visible(False)
        if above:
            listed = ", ".join(f"{names[i]} at {tree.minima[i]:.4g}" for i in above)
            ax.set_title(f"above: {listed}", fontsize=8, color="0.4", loc="right")
        return ax


def _number(leaf: Node) -> int:
    """Which minimum a leaf stands for."""
    assert leaf.minimum is not None
    return leaf.minimum


def _frame(tree: Tree) -> tuple[float, float]:
    """Lowest and highest energy drawn: all joined branches, and lone minima up to twice their height above."""
    everything = [*tree.minima.tolist(), *tree.saddles.tolist()] or [0.0, 1.0]
    joined = [root for root in tree.roots if root.children]
    if not joined:
        return min(everything), max(everything)
    low, high = float(np.min(tree.minima)), max(root.energy for root in joined)
    lone = [root.energy for root in tree.roots if not root.children and root.energy <= high + 2 * (high - low)]
    return low, max([high, *lone])


def _branches(ax, root) -> None:
    todo, look = [root], {"color": "0.25", "lw": 1, "solid_capstyle": "round"}
    while todo:
        node = todo.pop()
        todo += node.children
        if node.children:
            ax.plot([node.children[0].position, node.children[-1].position], [node.energy] * 2, **look)
        for child in node.children:
            ax.plot([child.position] * 2, [child.energy, node.energy], **look)


def paths(found: Any, ax: Axes | None = None) -> Axes:
    """F along every path against the share of its length, ends named, tops marked (filled: refined to a saddle)."""
    found = [found] if isinstance(found, Path) else list(found)
    if not found or not all(isinstance(p, Path) for p in found):
        raise ValueError("paths must be Path objects, at least one.")
    looks = {"straight": ("0.6", ":"), "balanced": ("0.35", "--"), "string": ("#000000", "-")}
    with house_style():
        ax = new_axes(ax, figsize=(5, 3.2))
        for i, p in enumerate(found):
            tint, dash = looks[p.kind]
            ax.plot(p.t, p.fun, color=tint, ls=dash, lw=1.3, label=f"{p.kind}, barrier {p.barrier:.4g}")
            k = int(np.argmax(p.fun))
            ax.plot(p.t[k], p.fun[k], marker="D", ms=5, color=tint, mfc=tint if p.refined else "white", zorder=3 + i)
        for place, which in ((0.0, 0), (1.0, -1)):
            for name, fun in sorted({(p.names[which], float(p.fun[which])) for p in found}, key=lambda end: end[1]):
                ax.plot(place, fun, marker="o", ms=6, color=colour(name), zorder=9, clip_on=False)
                beside(ax, name, (place, fun), (0, -9), fontsize=9, ha="center", va="top")
        low, high = ax.get_ylim()
        ends = low - 0.12 * (high - low), high + 0.04 * (high - low)
        ax.set(xlabel="share of the length travelled", ylabel="F", ylim=ends)
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.0, 1.0 + 0.085 * len(found)), borderaxespad=0.0)
        return ax


def plateaus(reading: Reading, trace: Trace | Result | None = None, ax: Axes | None = None) -> Axes:
    """The loss (with a trace) or the distances along a run, its plateaus shaded in their colours and named."""
    if not isinstance(reading, Reading):
        raise ValueError(f"reading must be a Reading; got {type(reading).__name__}.")
    trace = trace.trace if isinstance(trace, Result) else trace
    if trace is not None and not len(trace):
        raise ValueError("trace must hold at least one record; got none.")
    with house_style():
        ax = new_axes(ax, figsize=(6, 3.2))
        if trace is None:
            _distances(ax, reading)
        else:
            ax.plot(trace.nit, trace.fun, color="0.15", lw=1.2)
            ax.set_ylabel("F")
        last = float(reading.steps[-1])
        spans = [(p.name, float(p.entry), last if p.exit is None else float(p.exit)) for p in reading.plateaus]
        for name, entry, exit in spans:
            ax.axvspan(entry, exit, color=colour(name), alpha=0.13, lw=0)
        _names_above(ax, spans, float(reading.steps[0]), last)
        ax.set(xlabel="step", xlim=(float(reading.steps[0]), last if len(reading) > 1 else last + 1))
        return ax


def _distances(ax, reading: Reading) -> None:
    smallest = 1e-12
    for name, curve in reading.curves.items():
        ax.plot(reading.steps, np.maximum(curve, smallest), color=colour(name), lw=1.2)
    ax.axhline(reading.threshold, color="0.6", lw=0.8, ls=":")
    ax.set(yscale="log", ylabel="relative distance")


def _names_above(ax, spans, first: float, last: float, share: float = 0.011) -> None:
    """Names over their spans, in as many rows as keep them apart; a character takes about `share` of the width."""
    arguments.positive("share", share)
    ends: list[float] = []
    reach = (last - first) or 1.0
    for name, entry, exit in spans:
        middle = (0.5 * (entry + exit) - first) / reach
        half = 0.5 * share * (len(name) + 2)
        middle = min(max(middle, half), 1 - half)
        row = next((r for r, end in enumerate(ends) if middle - half > end), len(ends))
        ends += [0.0] * (row == len(ends))
        ends[row] = middle + half
        beside(ax, name, (middle, 1.0), (0, 3 + 11 * row), xycoords="axes fraction", ha="center")
