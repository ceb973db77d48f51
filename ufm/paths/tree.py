"""The disconnectivity tree of minima and saddles, straight from arrays of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Arrays


@dataclass(frozen=True)
class Node:
    """A leaf (`minimum` is its number) or where branches join (`saddle`: the number of the lowest that joins them).

    energy: of either. position: horizontal place for drawing; a parent stands over the mean of its leaves.
    """

    energy: float
    position: float
    minimum: int | None = None
    saddle: int | None = None
    children: tuple[Node, ...] = ()

    def leaves(self) -> list[Node]:
        found: list[Node] = []
        todo: list[Node] = [self]
        while todo:
            node = todo.pop()
            todo += node.children[::-1]
            found += [node] if node.minimum is not None else []
        return found


@dataclass(frozen=True, eq=False)
class Tree(ByContent):
    """Which minima are joined below which energy: `roots`, one for each component, lowest first.

    minima (M,), saddles (S,): energies; ends (S, 2). joins (M,): energy of the lowest saddle at which a minimum's
    branch joins another, inf where none does. escapes (M,): the least height to climb to on a way to a lower minimum,
    inf where there is none.
    """

    minima: np.ndarray
    saddles: np.ndarray
    ends: np.ndarray
    roots: tuple[Node, ...]
    joins: np.ndarray
    escapes: np.ndarray

    def join(self, i: int, j: int) -> float:
        """The least energy below which minima i and j are joined: min over ways of the highest saddle; inf if never."""
        for k in (i, j):
            _index("minimum", k, len(self.minima))
        if i == j:
            return float(self.minima[i])
        best, todo = np.inf, list(self.roots)
        while todo:
            node = todo.pop()
            if {i, j} <= {leaf.minimum for leaf in node.leaves()}:
                best, todo = node.energy, list(node.children)
        return float(best)

    def __repr__(self) -> str:
        lines = [f"Tree of {len(self.minima)} minima, {len(self.saddles)} saddles, {len(self.roots)} components"]
        todo = [(root, 1) for root in self.roots[::-1]]
        while todo:
            node, depth = todo.pop()
            what = f"minimum {node.minimum}" if node.minimum is not None else f"saddle {node.saddle}"
            lines.append(f"{'  ' * depth}{what} at {node.energy:.12g}")
            todo += [(child, depth + 1) for child in node.children[::-1]]
        return "\n".join(lines)


def disconnectivity(minima: Arrays, saddles: Arrays, ends: Arrays) -> Tree:
    """The disconnectivity tree: i and j lie on one branch below E iff saddles of energy < E join them.

    minima (M,): energies. saddles (S,): energies. ends (S, 2): numbers 0..M-1 of the minima each saddle joins; several
    saddles may join the same two (all are kept, the lowest counts), and one may join a minimum to itself (it joins
    nothing). Single linkage on saddle energies; branches that meet at one energy meet in one node.

    >>> disconnectivity([0.0, 0.5, 0.2], [1.0, 2.0], [(0, 1), (1, 2)])
    Tree of 3 minima, 2 saddles, 1 components
      saddle 1 at 2
        saddle 0 at 1
          minimum 0 at 0
          minimum 1 at 0.5
        minimum 2 at 0.2

    Raises ValueError for wrong shapes, indices outside 0..M-1, and saddles below one of their minima. Source: becker97.
    """
    minima, saddles = arguments.array("minima", minima, ndim=1), arguments.array("saddles", saddles, ndim=1)
    raw = arguments.array("ends", np.reshape(ends, (0, 2)) if np.size(ends) == 0 else ends, shape=(len(saddles), 2))
    ends = raw.astype(int)
    if np.any(ends != raw) or np.any(ends < 0) or np.any(ends >= len(minima)):
        raise ValueError(f"ends must be numbers of minima, 0..{len(minima) - 1}; got {raw.tolist()}.")
    for k, (energy, pair) in enumerate(zip(saddles, ends, strict=True)):
        if energy < np.max(minima[pair]):
            joins = f"saddle {k} at {energy:.12g} joins minima at {minima[pair].tolist()}"
            raise ValueError(f"saddles must not lie below the minima they join; {joins}.")
    forest, joins, escapes = _merges(minima, saddles, ends)
    return Tree(minima, saddles, ends, _nodes(minima, saddles, forest), joins, escapes)


def _merges(minima, saddles, ends):
    """(forest, joins, escapes); forest: {node: (saddle, [children])} by height, nodes 0..M-1 being the minima."""
    M = len(minima)
    home = list(range(M))  # union-find: the lowest minimum stands for its component
    node, waiting = list(range(M)), [[i] for i in range(M)]  # of every component: its node, and its lowest minima
    forest: dict[int, tuple[int, list[int]]] = {}
    joins, escapes = np.full(M, np.inf), np.full(M, np.inf)

    def find(i):
        while home[i] != i:
            home[i] = i = home[home[i]]
        return i

    for k in np.argsort(saddles, kind="stable").tolist():
        i, j = sorted((find(int(e)) for e in ends[k]), key=lambda m: (minima[m], m))
        if i == j:
            continue
        home[j] = i
        if minima[j] > minima[i]:
            escapes[waiting[j]] = saddles[k]
        else:
            waiting[i] += waiting[j]
        saddle, children = k, []
        for side in (node[i], node[j]):
            if side in forest and saddles[forest[side][0]] == saddles[k]:
                below = forest.pop(side)
                saddle, children = min(saddle, below[0]), children + below[1]
            else:
                children.append(side)
            if side < M:
                joins[side] = saddles[k]
        node[i] = M + k
        forest[node[i]] = (saddle, children)
    return forest, joins, escapes


def _nodes(minima, saddles, forest) -> tuple[Node, ...]:
    """Roots with their branches, lowest first, leaves at 0, 1, 2, ... from left to right."""
    lowest = {i: (float(e), i) for i, e in enumerate(minima)}
    for name, (_, children) in forest.items():
        lowest[name] = min(lowest[c] for c in children)
        children.sort(key=lowest.__getitem__)
    inner = {c for _, children in forest.values() for c in children}
    roots = [name for name in lowest if name not in inner and (name < len(minima) or name in forest)]
    roots = sorted(roots, key=lowest.__getitem__)
    todo, position, count = roots[::-1], {}, dict.fromkeys(range(len(minima)), 1)
    while todo:
        name = todo.pop()
        if name in forest:
            todo += forest[name][1][::-1]
        else:
            position[name] = float(len(position))
    made = {i: Node(float(minima[i]), position[i], minimum=i) for i in range(len(minima))}
    for name, (saddle, children) in forest.items():
        count[name] = sum(count[c] for c in children)
        place = sum(made[c].position * count[c] for c in children) / count[name]
        made[name] = Node(float(saddles[saddle]), place, saddle=saddle, children=tuple(made[c] for c in children))
    return tuple(made[name] for name in roots)


def _index(name: str, value, size: int) -> int:
    value = arguments.integer(name, value, 0)
    if value >= size:
        raise ValueError(f"{name} must be below {size}; got {name}={value}.")
    return value
