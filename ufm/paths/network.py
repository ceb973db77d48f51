"""Minima and the index-1 saddles that join them, modulo class permutation.

A node stands for all permuted copies of a minimum, and an edge says that some copy of one is joined to some copy of the
other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csgraph

from ufm.critical.classify import critical_of
from ufm.critical.point import CriticalPoint
from ufm.critical.same import free_name, same_kind
from ufm.numerics import interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.paths.descents import Descent, descend_both
from ufm.paths.tree import Tree, disconnectivity


@dataclass(frozen=True, eq=False)
class Network(ByContent):
    """Minima and the saddles of index 1 that join them, modulo class permutation, among the points given or met on the
    way.

    ends (S, 2): the minima that saddle k joins. descents: the two ways down of every saddle. components: numbers of the
    minima that the saddles join. note: what was left out. A missing edge says that no saddle given here makes it, no
    more.
    """

    minima: tuple[CriticalPoint, ...]
    saddles: tuple[CriticalPoint, ...]
    ends: np.ndarray
    descents: tuple[tuple[Descent, Descent], ...]
    note: str = ""

    @property
    def edges(self) -> list[tuple[int, int, int]]:
        """(saddle, minimum, minimum)."""
        return [(k, int(i), int(j)) for k, (i, j) in enumerate(self.ends)]

    @property
    def components(self) -> list[tuple[int, ...]]:
        M = len(self.minima)
        graph = coo_array((np.ones(len(self.ends)), (self.ends[:, 0], self.ends[:, 1])), shape=(M, M))
        count, label = csgraph.connected_components(graph, directed=False) if M else (0, np.zeros(0))
        return [tuple(np.flatnonzero(label == c).tolist()) for c in range(count)]

    @property
    def names(self) -> list[str]:
        """Names of the minima, made distinct by #2, #3, ..."""
        result: list[str] = []
        for p in self.minima:
            result.append(free_name(p.name, set(result)))
        return result

    def tree(self) -> Tree:
        return disconnectivity([p.fun for p in self.minima], [p.fun for p in self.saddles], self.ends)

    def to_dict(self) -> dict:
        def row(p):
            return {"name": p.name, "fun": p.fun, "rank": p.rank, **p.signature.to_dict(), "status": p.status}

        return {
            "minima": [row(p) | {"name": name} for p, name in zip(self.minima, self.names, strict=True)],
            "saddles": [
                row(p) | {"ends": [int(i) for i in pair]} for p, pair in zip(self.saddles, self.ends, strict=True)
            ],
            "components": [list(c) for c in self.components],
            "note": self.note,
        }

    def __repr__(self) -> str:
        names = self.names
        width = max([len(n) for n in names] + [len(p.name) for p in self.saddles] + [7])
        lines = [f"{'minimum':<{width}}  {'rank':>4}  {'F':>16}"]
        lines += [f"{n:<{width}}  {p.rank:>4}  {p.fun:>16.12f}" for n, p in zip(names, self.minima, strict=True)]
        lines += ["", f"{'saddle':<{width}}  {'rank':>4}  {'F':>16}  joins"]
        for p, (i, j) in zip(self.saddles, self.ends, strict=True):
            lines.append(f"{p.name:<{width}}  {p.rank:>4}  {p.fun:>16.12f}  {names[i]} -- {names[j]}")
        parts = len(self.components)
        lines += ["", f"{len(names)} minima, {len(self.saddles)} saddles, {parts} component{'' if parts == 1 else 's'}"]
        return "\n".join([*lines, self.note] if self.note else lines)


@named_arguments
@own_numpy_state
def connect(points, *, progress: bool | None = None) -> Network:
    """The network of the minima and index-1 saddles in `points`: every saddle is descended on both sides.

    points: CriticalPoints, LogitPoints, or a Landscape. Ends that are among the minima given, up to class permutation,
    are edges to those; new ones are added as nodes. Points of another kind are left out, and `note` counts them. Ctrl-C
    keeps the saddles finished.

    Raises ValueError for nonlinear models, points that are not critical, and points of different problems.
    """
    critical = [critical_of("points", p) for p in points]
    if any(p.point.problem != critical[0].point.problem for p in critical):
        raise ValueError("points must belong to one problem; got points of several.")
    minima: list[CriticalPoint] = []
    for p in critical:
        if p.status == "local minimum":
            _node_number(minima, p)
    given = len(minima)
    saddles, ends, descents, note = [], [], [], []
    todo = [p for p in critical if p.status == "strict saddle" and p.index == 1]
    others = len(critical) - len(todo) - sum(p.status == "local minimum" for p in critical)
    try:
        for p in progress_bar(todo, desc="saddles", progress=progress):
            with interruption.whole():
                sides = descend_both(p)
            ends.append([_node_number(minima, side.end) for side in sides])
            saddles.append(p)
            descents.append(sides)
    except KeyboardInterrupt:
        interruption.pass_on()
        note.append(f"interrupted after {len(saddles)} of {len(todo)} saddles")
    note += [f"{len(minima) - given} minima met on the way were added"] * (len(minima) > given)
    note += [f"{others} points are neither minima nor saddles of index 1 and were left out"] * (others > 0)
    return Network(
        tuple(minima), tuple(saddles), np.array(ends, dtype=int).reshape(-1, 2), tuple(descents), "; ".join(note)
    )


def _node_number(minima: list[CriticalPoint], p: CriticalPoint) -> int:
    """The number of the minimum that p is a copy of; p is appended if there is none."""
    for k, q in enumerate(minima):
        if same_kind(p, q):
            return k
    minima.append(p)
    return len(minima) - 1
