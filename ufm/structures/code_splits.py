"""Which graph codes to put side by side: the cheapest split of the classes into codes and single DNC classes, exactly
among the graphs given."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from ufm.numerics import arguments
from ufm.numerics.graphs import Graph, complete, complete_multipartite
from ufm.problem import Problem
from ufm.structures.graph_codes import graph_code, lone_loss, part_loss, srg, srg_order
from ufm.structures.relu_collapse import rectified
from ufm.structures.structure import Structure


def code_label(parts: Sequence[Graph], left: int = 0) -> str:
    """`srg(r=5)`, `rook(3x3)`, `code(C5)`, `2srg(r=4)+dnc(3)`: the parts, then the DNC classes."""
    counted = Counter(_part_label(g) for g in parts)
    words = [name if k == 1 else f"{k}{name}" for name, k in counted.items()]
    return "+".join([*words, *([f"dnc({left})"] if left else [])])


def _part_label(graph: Graph) -> str:
    name = graph.name
    if name == f"K{graph.vertices}" and graph.vertices >= 4:
        return f"srg(r={graph.vertices})"
    return f"code({name})"


def best_parts(problem: Problem, graphs: Sequence[Graph], count: int | None = None) -> tuple[tuple[Graph, ...], float]:
    """(parts, cost) of the cheapest way to split `count` classes (default all) into codes of the given graphs and
    single classes.

    Exact among these splits: costs add up, so the best of k classes follows from the best of fewer.
    """
    count = problem.K if count is None else arguments.integer("count", count, 1)
    lone = lone_loss(problem)
    priced = [(g, part_loss(problem, g)) for g in graphs if len(g) <= count]
    best: list[tuple[float, tuple[Graph, ...]]] = [(0.0, ())]
    for k in range(1, count + 1):
        options = [(best[k - 1][0] + lone, best[k - 1][1])]
        options += [
            (best[k - len(g)][0] + price, (*best[k - len(g)][1], g))
            for g, price in priced
            if len(g) <= k and price < len(g) * lone
        ]
        best.append(min(options, key=lambda option: option[0]))
    cost, parts = best[count]
    return tuple(sorted(parts, key=lambda g: -len(g))), cost


def cheapest(problem: Problem, graphs: Sequence[Graph]) -> Graph | None:
    """The graph of the least part_loss, where that is less than of as many single classes; else None."""
    priced = [(part_loss(problem, g), i) for i, g in enumerate(graphs)]
    fun, i = min(priced, default=(0.0, -1))
    return graphs[i] if i >= 0 and fun < len(graphs[i]) * lone_loss(problem) else None


def named_graphs(K: int) -> list[Graph]:
    """K_r (r >= 4), and up to 60 edges K_{p,q} (p, q >= 3), with at most K edges."""
    found = [complete(r) for r in range(4, K) if r * (r - 1) // 2 <= K]
    return found + [complete_multipartite(p, q) for p in range(3, 8) for q in range(p, 21) if p * q <= min(K, 60)]


def variants(problem: Problem):
    """The code of K_r where K = r(r-1)/2, and the cheapest split into codes of named graphs and DNC classes."""
    if problem.K < 6 or not problem.loss.quadratic:
        return
    whole = ()
    try:
        whole = (complete(srg_order(problem.K)),)
    except ValueError:
        pass
    else:
        yield code_label(whole), lambda: srg(problem)
    try:
        parts, _ = best_parts(problem, named_graphs(problem.K))
    except ValueError as reason:
        if not whole:
            yield "code", functools.partial(_raise, reason)
        return
    if parts and parts != whole:
        yield code_label(parts, problem.K - sum(map(len, parts))), lambda: graph_code(problem, parts)


def _raise(reason: ValueError):
    raise reason


CODE = Structure(
    "code",
    "classes are the edges of a graph, W_{L-1} B = x (11' - B'B), then classes of DNC; also points named by symmetry",
    graph_code,
    variants=variants,
    models=rectified,
    colour="#882255",
)
SRG = Structure(
    "srg",
    "the code of the complete graph on r vertices, K = r(r-1)/2; offered by `code`",
    srg,
    variants=lambda problem: (),
    models=rectified,
    colour="#117733",
)
