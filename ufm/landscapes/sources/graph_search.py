"""Which graph makes the cheapest code: all graphs with K edges, and all ways to split the classes into smaller codes
and single classes.

F of a code is a scalar minimisation (`ufm.structures.graph_codes`), so every graph is tried. Fit and ridge add up over
blocks of classes: the cheapest split follows from the cheapest code for each smaller number of classes, exactly among
the graphs tried.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.files import write_atomically
from ufm.numerics.graphs import Graph, simple_graphs
from ufm.numerics.records import picked, plain
from ufm.numerics.renamed import places
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column, Listed
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import graph_codes
from ufm.structures.code_splits import best_parts, cheapest, code_label

LARGEST_K = 15
"""Classes up to which all graphs are tried."""
VERTICES = 7
"""Vertices up to which they are, by default."""


@dataclass(frozen=True, eq=False)
class Ranked(ByContent):
    """One code or split: its parts, the number of single DNC (or zero) classes, F, and rho, the limit of F/F(DNC) as
    lam -> 0 (one part only)."""

    parts: tuple[Graph, ...]
    single: int
    fun: float
    rho: float | None

    @property
    def name(self) -> str:
        if self.parts:
            return code_label(self.parts, self.single)
        return f"dnc({self.single})" if self.fun < 0.5 * (1 - 1e-14) else "zero"

    @property
    def vertices(self) -> int:
        return sum(g.vertices for g in self.parts) + self.single

    def point(self, problem: Problem) -> FactorPoint:
        """Explicit weights; ValueError where the widths are too narrow."""
        return graph_codes.graph_code(problem, self.parts)

    def to_dict(self) -> dict:
        edges = [[list(e) for e in g.edges] for g in self.parts]
        return picked(self, "name fun rho vertices single") | {"edges": edges}


@dataclass(frozen=True, eq=False, repr=False)
class GraphSearch(ByContent, Listed):
    """The `best` cheapest codes, lowest first. `tried`: number of graphs with K edges; `alone`: F of K single classes
    (DNC or zero, whichever is less).

    A code is an upper bound of the minimum, with explicit weights, and not always stationary:
    `refine(search.winner.point(problem))` goes on from there.
    """

    problem: Problem
    rows: tuple[Ranked, ...]
    alone: float
    vertices: int
    tried: int
    seconds: float

    @property
    def winner(self) -> Ranked:
        return self.rows[0]

    def to_dict(self) -> dict:
        rest = picked(self, "alone vertices tried") | {"winner": self.winner.name, "seconds": self.seconds}
        return plain({"problem": self.problem.to_dict(), "codes": [row.to_dict() for row in self.rows], **rest})

    def save(self, path) -> None:
        """Write `to_dict()` as JSON, atomically."""
        write_atomically(path, lambda stream: stream.write(json.dumps(self.to_dict()).encode()))

    def shown(self) -> list:
        columns = [
            Column("code", "name", side="<", width=9),
            Column("vertices", "vertices", width=8),
            Column("F", "fun", ".12f", 16),
            Column("F/DNC", lambda row: row.fun / self.alone, ".5f", 8),
            Column("rho", "rho", ".5f", 8),
        ]
        tried = f"{self.tried} graphs with {self.problem.K} edges on at most {self.vertices} vertices"
        return [repr(self.problem), "", (self.rows, columns), "", f"{tried}, and splits into smaller ones"]


@places("problem", "vertices", "best")
@named_arguments
@own_numpy_state
def graph_search(problem: Problem, *, vertices: int | None = None, best: int = 10) -> GraphSearch:
    """The cheapest graph codes of a deep ReLU model under MSE (L >= 3, equal counts, no bias), K <= 15.

    Tried: every graph with K edges on at most `vertices` vertices (default 7, at most 8; connected or not, its ReLU
    seeing all edges together), and the cheapest split of the classes into separate codes and single classes. Codes
    whose ray has no minimum (large lam, or every two edges meet) are left out.

    >>> graph_search(Problem(K=9, L=3, lam=1e-3, loss="mse", activation="relu")).winner.name
    'code(K3,3)'

    Raises ValueError where codes do not apply, for K > 15 and for vertices < 2 or > 8. Source: sml24 for K_r; other
    graphs derived here.
    """
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("graph_search")
    best = arguments.integer("best", best, 1)
    vertices = VERTICES if vertices is None else arguments.integer("vertices", vertices, 2)
    K, began = problem.K, time.perf_counter()
    if K > LARGEST_K or vertices > 8:
        raise ValueError(
            f"graph_search tries all graphs up to K={LARGEST_K} classes and 8 vertices; got K={K}, vertices={vertices}."
        )
    graph_codes.refuse(problem)
    alone = K * graph_codes.lone_loss(problem)
    whole = simple_graphs(K, vertices)
    rows = [
        Ranked((g,), 0, fun, graph_codes.rho(g, problem.L)) for g in whole if (fun := _value(problem, g)) is not None
    ]
    rows += [Ranked((), K, alone, None)]
    smaller = [cheapest(problem, simple_graphs(k, vertices)) for k in range(4, K - 1)]
    parts, fun = best_parts(problem, [g for g in smaller if g is not None])
    if parts:
        rows.append(Ranked(parts, K - sum(map(len, parts)), fun, None))
    rows.sort(key=lambda row: (row.fun, row.vertices))
    return GraphSearch(problem, tuple(rows[:best]), alone, vertices, len(whole), time.perf_counter() - began)


def _value(problem: Problem, graph: Graph) -> float | None:
    """F of the code of all classes, or None where its ray has no minimum but zero."""
    try:
        return graph_codes.code(problem, graph).fun
    except ValueError:
        return None
