"""Pictures of families: loss against rank, branches over the ridge weight, and maps of who wins."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ufm.critical.same import short_name
from ufm.landscapes.table import Landscape
from ufm.paths.follow import Branch
from ufm.plot.style import colour, house_style, legend_beside, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ufm.sweeps.phases import PhaseDiagram

MARKERS = {"fold": ">", "bifurcation": "o", "end": "X"}


def plot_profile(profile: Landscape, ax: Axes | None = None, zero: bool = False) -> Axes:
    """Lowest F found against rank, one colour per structure; filled markers are local minima of the full problem.

    zero: also draw rank 0, which lies far above the rest at small lam. With relu the value of DNC is a line.
    """
    with house_style():
        ax = new_axes(ax, figsize=(5, 3.4))
        entries = [e for e in profile if zero or e.rank or len(profile) == 1]
        ranks, funs = [e.rank for e in entries], [e.fun for e in entries]
        ax.plot(ranks, funs, color="0.8", lw=1, zorder=1)
        for e in entries:
            tint = colour(e.name)
            look = {"mec": tint, "mfc": tint if e.status == "local minimum" else "white", "mew": 1.4, "zorder": 2}
            ax.plot(e.rank, e.fun, "o", ms=7, label=f"{e.rank}: {short_name(e.name)}", **look)
        if profile.reference is not None:
            ax.axhline(profile.reference, color=colour("dnc"), ls="--", lw=0.8, zorder=0)
        if min(funs) > 0 and max(funs) > 5 * min(funs):
            ax.set_yscale("log")
        ax.set_xticks(ranks)
        label = "rank" if profile.problem.linear else "rank of the last hidden pre-activations"
        ax.set(xlabel=label, ylabel="lowest $F$ found")
        _legend(ax, [("filled: local minimum", "o", "0.4", "0.4"), ("open: not a minimum", "o", "0.4", "white")])
        return ax


def plot_branches(branches: Branch | Iterable[Branch], ax: Axes | None = None) -> Axes:
    """F against lam along branches: solid where the index is 0, else dashed; marks at folds, bifurcations and ends."""
    with house_style():
        ax = new_axes(ax, figsize=(5.6, 3.6))
        branches = [branches] if isinstance(branches, Branch) else list(branches)
        kinds = []
        for branch in branches:
            tint, label = colour(branch.name), short_name(branch.name or "unnamed")
            lam, fun, stable_at = _with_events(branch)
            for start, stop, stable in _runs(stable_at):
                piece, dash = slice(start, stop + 1), "-" if stable else "--"
                ax.plot(lam[piece], fun[piece], color=tint, lw=1.4, ls=dash, label=None if start else label)
            for event in branch.events:
                ax.plot(event.lam, event.fun, MARKERS[event.kind], ms=6, mec=tint, mfc="white", mew=1.2, zorder=3)
                kinds.append(event.kind)
        ax.set(xscale="log", xlabel="$\\lambda$", ylabel="$F$")
        seen = [(kind, MARKERS[kind], "0.3", "white") for kind in MARKERS if kind in kinds]
        _legend(ax, seen, lines=any(not b.stable.all() for b in branches))
        return ax


def plot_phases(diagram: PhaseDiagram, ax: Axes | None = None, lam: float | None = None) -> Axes:
    """Map of the winner over K (across) and L (up) at one lam (default: the least), one colour per structure.

    Numbers tell apart structures of one colour; unfinished cells stay white. Raises ValueError for a lam not in the
    diagram.
    """
    lam = diagram.lams[0] if lam is None else lam
    if lam not in diagram.lams:
        raise ValueError(f"lam must be one of the diagram's {list(diagram.lams)}; got lam={lam!r}.")
    from matplotlib.patches import Patch, Rectangle

    with house_style():
        ax = new_axes(ax, figsize=(1.8 + 0.42 * len(diagram.Ks), 1.0 + 0.42 * len(diagram.Ls)))
        cells = [c for c in diagram.cells if c.lam == lam]
        names = list(dict.fromkeys(c.winner for c in cells))
        marks = _marks(names)
        for c in cells:
            x, y = diagram.Ks.index(c.K), diagram.Ls.index(c.L)
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour(c.winner), edgecolor="white", lw=1))
            ax.text(x, y, marks[c.winner], ha="center", va="center", color="white", fontsize=8)
        width, height = (-0.5, len(diagram.Ks) - 0.5), (-0.5, len(diagram.Ls) - 0.5)
        ax.set(xlim=width, ylim=height, xlabel="$K$", ylabel="$L$", title=f"$\\lambda$ = {lam:g}")
        ax.set_xticks(range(len(diagram.Ks)), map(str, diagram.Ks))
        ax.set_yticks(range(len(diagram.Ls)), map(str, diagram.Ls))
        ax.set_aspect("equal")
        ax.tick_params(length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
        handles = [Patch(color=colour(name), label=f"{marks[name]}  {name}".strip()) for name in names]
        if handles:
            legend_beside(ax, handles)
        return ax


def _with_events(branch: Branch):
    """(lam, fun, stable behind the point) along the branch, its folds and bifurcations being points of their own."""
    rows = []
    for i, (lam, fun, stable) in enumerate(zip(branch.lam, branch.fun, branch.stable, strict=True)):
        rows.append((lam, fun, stable))
        rows += [(e.lam, e.fun, e.index_after == 0) for e in branch.events if e.after == i and e.kind != "end"]
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def _runs(flags) -> list[tuple[int, int, bool]]:
    """(first, last, value) of the runs of equal flags; each reaches to the next one's first point, so lines join."""
    cuts = [0, *(np.flatnonzero(np.diff(np.asarray(flags, dtype=int))) + 1).tolist(), len(flags)]
    return [(a, min(b, len(flags) - 1), bool(flags[a])) for a, b in pairwise(cuts)]


def _marks(names: list[str]) -> dict[str, str]:
    """'' for a colour with one name, numbers for names that share a colour."""
    marks = {}
    for name in names:
        family = [other for other in names if colour(other) == colour(name)]
        marks[name] = "" if len(family) == 1 else str(family.index(name) + 1)
    return marks


def _legend(ax, extra, lines: bool = False) -> None:
    """A legend of the labelled artists, each label once, and of what the signs mean."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    entries = list(dict(zip(labels, handles, strict=True)).values())
    dashes = (("-", "index 0"), ("--", "index > 0")) if lines else ()
    entries += [Line2D([], [], color="0.3", ls=ls, label=text) for ls, text in dashes]
    entries += [Line2D([], [], ls="", marker=mark, mec=edge, mfc=face, label=text) for text, mark, edge, face in extra]
    legend_beside(ax, entries)
