"""A search for low-rank competitors of DNC in deep ReLU models: descents through kinks from starts of low rank.

Starts: graph codes plus noise, and Gaussian weights of width r in all layers but the last. Values of a search are upper
bounds on the minimum, no more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ufm.critical.same import same_kind
from ufm.landscapes.row import FUN, RANK, Row, name_column
from ufm.landscapes.sources.refine import (
    COARSE,
    NOISE,
    SPARE,
    coarse,
    finished,
    one_each,
    rectifies,
    refine,
    relu_only,
    value_of,
)
from ufm.landscapes.sources.source import Settings, Source
from ufm.landscapes.table import Landscape, View
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.graphs import simple_graphs
from ufm.numerics.seeds import child, generator, seed_record, seed_sequence
from ufm.numerics.tables import Column
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse

HOP = 0.2
"""Standard deviation of the noise around the best point of a search, on factors of order one."""
SPREAD = 0.9
"""Standard deviation of the entries of Gaussian factors."""
SAME = 1e-7
"""Values closer than this, relative to 1 + |F|, are one point in a search: looser than the common rule, for ends may
lack their last digits on kinks."""
LOW_RANK_STARTS = 6
"""Starts of the search for low rank that stands in for random starts with relu, where these are slow and end at DNC
when widths are large."""
SEARCHED_K = 21
"""Classes up to which a ReLU model is searched for low rank by default, a matter of seconds."""
LOW_RANK = "low rank"
"""How points of this search were met."""
LARGEST_GRAPH_K = 15
"""Classes up to which starts are drawn from all graphs."""


def low_rank_search(
    problem: Problem,
    starts: int = 60,
    rng=None,
    ranks: Sequence[int] | None = None,
    *,
    keep: int = 6,
    hops: int = 6,
    progress: bool | None = None,
) -> Landscape:
    """Points of a deep ReLU model of low rank and low value: `starts` descents with a smoothed ReLU, the `keep` lowest
    distinct ones finished, and `hops` descents from noise around the best so far.

    Even starts: a graph code with noise, drawn among graphs with K edges on r vertices (K <= 15, mse, L >= 3), the
    cheaper ones first; odd starts: Gaussian factors of widths (r, ..., r, 2K), in turn with signs and (widths 3K,
    broader smoothing) without. r runs through `ranks` (default: about sqrt(2K), and its neighbours). All within the
    problem's widths.

    Returns a Landscape whose `runs` know the number of starts and the reference, F of DNC (or of zero where that is
    lower): lowest found, not proved. Ctrl-C keeps what was found. Raises ValueError for other activations than relu,
    with a bias, and for bad arguments.
    """
    arguments.instance("problem", problem, Problem)
    relu_only(problem, "low_rank_search")
    starts, keep = arguments.count("starts", starts, 1), arguments.integer("keep", keep, 1)
    hops = arguments.integer("hops", hops, 0)
    ranks = _default_ranks(problem) if ranks is None else [arguments.integer("rank", r, 1) for r in ranks]
    if not ranks:
        raise ValueError("ranks must name at least one rank.")
    began, seed = time.perf_counter(), seed_sequence(rng)
    one, graphs = one_each(problem), _graph_starts(problem, ranks)
    ends, done, ended = [], 0, ""
    try:
        for i in progress_bar(range(starts), desc="starts", progress=progress):
            small, factors, schedule, words = _draw(one, graphs, ranks, i, generator(child(seed, i)))
            point = coarse(small, factors, schedule)
            ends.append((value_of(point), words, point))
            done = i + 1
    except KeyboardInterrupt:
        interruption.pass_on()
        ended = f"after {done} of {starts} starts"
    found: list[Row] = []
    try:
        for words, point, hits in _distinct(ends, 1 if ended else keep):
            _join(found, replace(finished(problem, point, value_of(point), words), hits=hits))
        for i in range(hops if found and not ended else 0):
            best = min(found, key=lambda e: e.fun)
            end = refine(arguments.instance("point", best.point, FactorPoint), child(child(seed, starts), i), HOP)
            start = f"noise around {best.start.removeprefix('noise around ')}"
            _join(found, replace(end, how={start: 1}, more={**end.more, "start": start}))
    except KeyboardInterrupt:
        interruption.pass_on()
        ended = ended or "before all ends were finished"
    if not found:
        raise KeyboardInterrupt(ended)
    runs, ordered = Searched(done, reference(problem)), tuple(sorted(found, key=lambda e: e.fun))
    return Landscape(
        problem, ordered, ENDS, rng=seed_record(seed), seconds=time.perf_counter() - began, interrupted=ended, runs=runs
    )


@dataclass(frozen=True)
class Searched:
    """How many starts were run, the value that ends of ReLU models are compared with, F of DNC or of zero where that is
    lower, and ranks at which nothing was found."""

    starts: int
    reference: float | None = None
    missing: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.starts


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """The two lowest ends of `low_rank_search`, without hops, where no random starts were asked for."""
    if settings.starts is not None:
        return ""
    options = {"keep": 2, "hops": 0, "progress": settings.progress}
    found = low_rank_search(problem, LOW_RANK_STARTS, child(settings.seed, 1), **options)
    for row in found:
        yield LOW_RANK, row.critical, row.hits
    if found.interrupted:
        raise KeyboardInterrupt(f"{found.interrupted} of low rank")
    how = "narrow Gaussian factors, graph codes under mse"
    return f"search: {LOW_RANK_STARTS} starts of low rank ({how}); pass starts for random ones of full width."


def ratio_column(reference: float) -> Column:
    """F over the reference value."""
    return Column("F/DNC", lambda row: row.fun / reference, "8.5f", width=8)


def _columns(table: Landscape) -> list[Column]:
    residual = Column("residual", "residual", "8.1e", width=8)
    start = Column("start", "start", side="<")
    ends = residual, Column("hits", "hits", width=4), start
    return [name_column("structure", 9), RANK, FUN, ratio_column(table.reference), *ends]


def _foot(table: Landscape) -> list[str]:
    ended = ", interrupted" if table.interrupted else ""
    return [f"{table.starts} starts{ended}; lowest found, global optimality is open; rng={table.rng}"]


def _entry(table: Landscape, row: Row) -> dict:
    return {**row.flat(), "ratio": row.fun / table.reference}


def _shape(table: Landscape) -> dict:
    return {"reference": table.reference, "starts": table.starts}


ENDS = View("low_rank_search", "found", _columns, _foot, _shape, _entry)


def _join(found: list[Row], end: Row) -> None:
    """Add an end, or its hits to the one that it is."""
    twin = next((k for k, e in enumerate(found) if same_kind(e.critical, end.critical, SAME)), None)
    if twin is None:
        found.append(end)
    else:
        found[twin] = replace(found[twin], hits=found[twin].hits + end.hits)


def reference(problem: Problem) -> float:
    """F at DNC, or at zero where that is lower or DNC does not exist."""
    objective = FactorObjective(problem)
    zero = float(objective.value(np.zeros(objective.size)))
    try:
        return min(zero, relu_collapse.loss(problem))
    except ValueError:
        return zero


def _default_ranks(problem: Problem) -> list[int]:
    r = round((1 + np.sqrt(1 + 8 * problem.K)) / 2)
    most = min(problem.widths)
    return sorted({max(1, min(most, k)) for k in (r - 1, r, r + 1)})


def _graph_starts(problem: Problem, ranks) -> dict[int, list]:
    """Graphs with K edges by number of vertices, the cheapest code first; none where codes do not apply."""
    if not problem.loss.quadratic or problem.L < 3 or not problem.balanced or problem.K > LARGEST_GRAPH_K:
        return {}
    every = simple_graphs(problem.K, min(max(ranks) + 1, 7))
    known = [g for g in every if g.vertices <= min(problem.widths) and problem.widths[-1] >= problem.K]
    priced = sorted(((graph_codes.part_loss(problem, g), g) for g in known), key=lambda pair: pair[0])
    return {r: [g for _, g in priced if g.vertices == r] for r in {g.vertices for g in known}}


def _draw(one: Problem, graphs: dict, ranks, i: int, draw: np.random.Generator):
    """(problem of small widths, factors, schedule of eps, words) of start i."""
    r, K = ranks[i // 2 % len(ranks)], one.K
    if i % 2 == 0 and graphs:
        r = r if r in graphs else int(draw.choice(sorted(graphs)))
        graph = graphs[r][min(int(draw.exponential(0.35 * len(graphs[r]))), len(graphs[r]) - 1)]
        small = _narrowed(one, r, K + SPARE)
        try:
            factors = graph_codes.graph_code(small, graph).factors
            return small, [A + NOISE * draw.standard_normal(A.shape) for A in factors], COARSE[1:], f"code {graph.name}"
        except ValueError:
            pass
    signed = i // 2 // len(ranks) % 2 == 0
    small = _narrowed(one, r, 2 * K if signed else 3 * K)
    factors = [SPREAD * draw.standard_normal(shape) for shape in small.shapes()]
    if not signed:
        factors[:-1] = [np.abs(A) for A in factors[:-1]]
    return small, factors, COARSE[1:] if signed else COARSE, f"Gaussian of width {r}"


def _narrowed(one: Problem, r: int, last: int) -> Problem:
    return replace(one, d=(*(min(d, r) for d in one.widths[:-1]), min(one.widths[-1], last)))


def _distinct(ends, keep: int, tol: float = 1e-4):
    """(words, point, hits) of the lowest ends, values within tol being one."""
    groups: list[list] = []
    for fun, words, point in sorted(ends, key=lambda end: end[0]):
        if groups and fun - groups[-1][0] <= tol * abs(fun):
            groups[-1][3] += 1
        elif len(groups) < keep:
            groups.append([fun, words, point, 1])
        else:
            break
    return [(words, point, hits) for _, words, point, hits in groups]


LOW_RANK_SOURCE = Source(
    "low rank",
    "a short search for low rank in ReLU models, where random starts are slow and end at collapse",
    points,
    verbs=("compare",),
    applies=lambda problem: (
        "" if rectifies(problem, SEARCHED_K) else f"the search for low rank is for relu, up to {SEARCHED_K} classes."
    ),
    counts=True,
)
