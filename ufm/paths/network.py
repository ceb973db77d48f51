"""Minima and the index-1 saddles that join them, modulo class permutation.

A node stands for all permuted copies of a minimum, and an edge says that some copy of one is joined to some copy of the
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from scipy.sparse import coo_array, csgraph

from ufm.critical.classify import critical_of
from ufm.critical.point import CriticalPoint
from ufm.critical.same import free_name, same_kind
from ufm.numerics import interruption
from ufm.numerics.bars import each
from ufm.numerics.content import ByContent
from ufm.numerics.records import picked
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column, Shown
from ufm.numerics.words import named_arguments
from ufm.paths.descents import Descent, descend_both
from ufm.paths.tree import Tree, disconnectivity
from ufm.points import PointLike, point_of


@dataclass(frozen=True, eq=False, repr=False)
class Network(ByContent, Shown):
    """Minima and the saddles of index 1 that join them, modulo class permutation, among points given or met on the way.

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
            result.append(free_name(p.name or "unnamed", set(result)))
        return result

    def tree(self) -> Tree:
        return disconnectivity([p.fun for p in self.minima], [p.fun for p in self.saddles], self.ends)

    def to_dict(self) -> dict:
        def row(p):
            return {**picked(p, "name fun rank"), **p.signature.to_dict(), "status": p.status}

        minima = [row(p) | {"name": name} for p, name in zip(self.minima, self.names, strict=True)]
        saddles = [row(p) | {"ends": pair} for p, pair in zip(self.saddles, self.ends.tolist(), strict=True)]
        components = [list(c) for c in self.components]
        return {"minima": minima, "saddles": saddles, "components": components, "note": self.note}

    def shown(self) -> list:
        names = self.names
        width = max(map(len, [*names, *(p.name or "unnamed" for p in self.saddles), "minimum"]))
        minima = [(name, p.rank, p.fun) for name, p in zip(names, self.minima, strict=True)]
        ends = (" -- ".join(names[i] for i in pair) for pair in self.ends)
        saddles = [(p.name, p.rank, p.fun, joined) for p, joined in zip(self.saddles, ends, strict=True)]
        numbers = [Column("rank", itemgetter(1), width=4), Column("F", itemgetter(2), ".12f", 16)]
        first, second = (Column(head, itemgetter(0), width=width, side="<") for head in ("minimum", "saddle"))
        joins, parts = Column("joins", itemgetter(3), side="<"), len(self.components)
        foot = f"{len(names)} minima, {len(saddles)} saddles, {parts} component{'' if parts == 1 else 's'}"
        tables = (minima, [first, *numbers], False), (saddles, [second, *numbers, joins], False)
        return [tables[0], "", tables[1], "", foot, *([self.note] if self.note else [])]


@named_arguments
@own_numpy_state
def connect(points: Iterable[PointLike], *, progress: bool | None = None) -> Network:
    """The network of the minima and index-1 saddles in `points`: every saddle is descended on both sides.

    points: CriticalPoints, LogitPoints, or a Landscape. Ends that are among the minima given, up to class permutation,
    are edges to those; new ones are added as nodes. Points of another kind are left out, and `note` counts them. Ctrl-C
    keeps the saddles finished.

    Raises ValueError for nonlinear models, points that are not critical, and points of different problems.
    """
    points = list(points)
    for p in points:
        point_of("points", p).problem.needs_ridge("connect")
    critical = [critical_of("points", p) for p in points]
    if any(p.point.problem != critical[0].point.problem for p in critical):
        raise ValueError("points must belong to one problem; got points of several.")
    minima: list[CriticalPoint] = []
    for p in critical:
        if p.status == "local minimum":
            _node_number(minima, p)
    given = len(minima)
    todo = [p for p in critical if p.status == "strict saddle" and p.index == 1]
    others = len(critical) - len(todo) - sum(p.status == "local minimum" for p in critical)
    found, interrupted = each(todo, interruption.whole()(descend_both), desc="saddles", progress=progress)
    ends = [[_node_number(minima, side.end) for side in sides] for sides in found]
    note = [f"interrupted after {len(found)} of {len(todo)} saddles"] * interrupted
    note += [f"{len(minima) - given} minima met on the way were added"] * (len(minima) > given)
    note += [f"{others} points are neither minima nor saddles of index 1 and were left out"] * (others > 0)
    ends = np.array(ends, dtype=int).reshape(-1, 2)
    return Network(tuple(minima), tuple(todo[: len(found)]), ends, tuple(found), "; ".join(note))


def _node_number(minima: list[CriticalPoint], p: CriticalPoint) -> int:
    """The number of the minimum that p is a copy of; p is appended if there is none."""
    for k, q in enumerate(minima):
        if same_kind(p, q):
            return k
    minima.append(p)
    return len(minima) - 1
