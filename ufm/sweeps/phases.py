"""Who wins where: the structure of lowest value over ridge weights, classes and depths.

Along lam each candidate has its value F(Lam); the winner is the lowest. Boundaries between winners are roots of
differences of values (Brent) or ends of a structure's existence (bisection; as sharp as its maker finds it near its
fold), never grid points. A grid in log Lam only brackets them, so that an interval narrower than its spacing, inside
which a third candidate wins and loses again, can be missed. The winner is the lowest among the candidates, no more.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from ufm import structures
from ufm.critical.classify import with_name
from ufm.critical.same import SAME, free_name
from ufm.landscapes.gather import is_critical, met
from ufm.landscapes.sources.narrow import lowest_end
from ufm.numerics import arguments, families, interruption
from ufm.numerics.bars import each
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Rng
from ufm.numerics.records import picked
from ufm.numerics.roots import bracketed
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column, Shown
from ufm.numerics.words import named_arguments
from ufm.objectives.logits import Stratum
from ufm.paths.follow import ARRAYS, Branch, at_lam, follow
from ufm.points import LogitPoint
from ufm.problem import Problem

DEFAULT_LAMS = (1e-4, 1e-3, 1e-2, 1e-1)


class Boundary(NamedTuple):
    """Where the winner changes, from `below` Lam = lam to `above`; kind `crossing`, or `existence` where one ends."""

    lam: float
    below: str
    above: str
    kind: str


class Interval(NamedTuple):
    """[low, high] of Lam on which `winner` is the lowest candidate."""

    low: float
    high: float
    winner: str


@dataclass(frozen=True, eq=False)
class Winners(ByContent):
    """Intervals of Lam ascending with their winners, and the boundaries between them.

    candidates: names that took part; branches: those found by search and continued, by name.
    """

    problem: Problem
    intervals: tuple[Interval, ...]
    boundaries: tuple[Boundary, ...]
    candidates: tuple[str, ...]
    branches: dict[str, Branch]
    rng: dict

    def at(self, lam: float) -> str:
        """The winner at a Lam; ValueError outside the range."""
        low, high = self.intervals[0].low, self.intervals[-1].high
        if not low <= lam <= high:
            raise ValueError(f"lam must lie in [{low:g}, {high:g}]; got lam={lam!r}.")
        return next(interval.winner for interval in self.intervals if lam <= interval.high)

    def to_dict(self) -> dict:
        said = {"candidates": list(self.candidates), "searched": list(self.branches), "rng": self.rng}
        found = {name: [one._asdict() for one in getattr(self, name)] for name in ("intervals", "boundaries")}
        return {"problem": self.problem.to_dict(), **found, **said}

    def __repr__(self) -> str:
        lines = [f"lowest of {len(self.candidates)} candidates over lam:"]
        lines += [f"  {i.low:.12g} .. {i.high:.12g}  {i.winner}" for i in self.intervals]
        lines += [f"  boundary {b.lam:.14g}: {b.below} | {b.above} ({b.kind})" for b in self.boundaries]
        return "\n".join(lines)


class Cell(NamedTuple):
    """The winner at one (K, L, lam), its value, the runner-up, and by how much that lies above (None without one)."""

    K: int
    L: int
    lam: float
    winner: str
    fun: float
    runner_up: str | None
    margin: float | None


@dataclass(frozen=True, eq=False, repr=False)
class PhaseDiagram(ByContent, Shown):
    """Cells over the grid, and for every finished (K, L) the boundaries in Lam between the ends of its lams."""

    Ks: tuple[int, ...]
    Ls: tuple[int, ...]
    lams: tuple[float, ...]
    cells: tuple[Cell, ...]
    boundaries: dict[tuple[int, int], tuple[Boundary, ...]]
    options: dict
    rng: dict
    seconds: float
    interrupted: bool = False

    def cell(self, K: int, L: int, lam: float) -> Cell:
        """One cell; ValueError where it was not computed."""
        found = next((c for c in self.cells if c[:3] == (K, L, lam)), None)
        if found is None:
            raise ValueError(f"K, L, lam must be a finished cell of the diagram; got K={K!r}, L={L!r}, lam={lam!r}.")
        return found

    def to_dict(self) -> dict:
        axes = {name: list(values) for name, values in picked(self, "Ks Ls lams").items()}
        edges = [{"K": K, "L": L, **b._asdict()} for (K, L), found in self.boundaries.items() for b in found]
        rest = picked(self, "options rng seconds interrupted")
        return {**axes, "cells": [c._asdict() for c in self.cells], "boundaries": edges, **rest}

    def shown(self) -> list:
        width, parts = max([len(c.winner) for c in self.cells] + [4]), []
        for lam in self.lams:
            known = {(c.K, c.L): c.winner for c in self.cells if c.lam == lam}
            columns = [Column("K", itemgetter(0), width=4)]
            columns += [Column(f"L={L}", itemgetter(j), width=width, side="<") for j, L in enumerate(self.Ls, 1)]
            rows = [(K, *(known.get((K, L)) for L in self.Ls)) for K in self.Ks]
            parts += [f"lam = {lam:g}: lowest candidate", (rows, columns, False)]
        done = len({(cell.K, cell.L) for cell in self.cells})
        ended = f"interrupted after {done} of {len(self.Ks) * len(self.Ls)} columns: cells marked - are missing"
        return parts + [ended] * self.interrupted


@own_numpy_state
def winners(
    problem: Problem,
    low: float,
    high: float,
    names: Iterable[str] | None = None,
    *,
    starts: int = 0,
    grid: int = 40,
    rng=None,
) -> Winners:
    """The lowest candidate for every effective Lam in [low, high], the other arguments of the problem fixed.

    names: structures taking part (default: all of `structures.catalogue` but barrier roots); points that are not
    critical do not count.
    starts: random starts at each of 5 Lams and at every boundary between structures, joined by those of
    `landscapes.sources.narrow` where these pay; what is found below all candidates joins as a branch, followed over the
    range up to its folds. grid: number of Lams that bracket boundaries. rng: seed of the search.

    >>> winners(Problem(K=4, L=2, lam=1.0), 1e-3, 1e-1, ("zero", "dnc", "pairs"))
    lowest of 3 candidates over lam:
      0.001 .. 0.01176049807...  dnc
      0.01176049807... .. 0.1  pairs
      boundary 0.01176049807...: dnc | pairs (crossing)

    Raises ValueError for unknown names, a bad range, nonlinear models, or where no candidate exists.
    """
    arguments.instance("problem", problem, Problem)
    if not problem.linear:
        raise ValueError(f"winners needs a linear model; got activation={problem.activation.name!r}.")
    problem.needs_ridge("winners")
    low, high = arguments.positive("low", low), arguments.positive("high", high)
    if not low < high:
        raise ValueError(f"low must be below high; got low={low!r}, high={high!r}.")
    starts, grid = arguments.count("starts", starts, 0), arguments.count("grid", grid, 2)
    seed = seed_sequence(rng)
    makers = _structure_values(problem, _chosen(problem, None if names is None else list(names)))
    branches = _searched(problem, makers, _search_lams(low, high), grid, starts, seed) if starts else {}
    values = {**makers, **{name: _branch_value(branch) for name, branch in branches.items()}}
    return _winners(problem, values, branches, low, high, grid, seed_record(seed))


@named_arguments
@own_numpy_state
def phase_diagram(
    Ks: Iterable[int],
    Ls: Iterable[int],
    lams: Iterable[float] | None = None,
    names: Iterable[str] | None = None,
    *,
    starts: int = 0,
    grid: int = 20,
    rng: Rng = None,
    progress: bool | None = None,
    **problem_options: Any,
) -> PhaseDiagram:
    """The lowest candidate on a grid of K, L and lam (default 1e-4, 1e-3, 1e-2, 0.1), and its boundaries in lam.

    names, starts, grid, rng: as in `winners` (with three to five lams the search is made at these, with one at that
    alone); names that a K does not know are left out there.
    problem_options: passed to `Problem` (n, d, loss, bias). lam is the ridge weight of every factor.
    Ctrl-C keeps the finished cells.

    >>> phase_diagram([4, 6], [2, 3], [1e-2], ("dnc", "pairs"))
    lam = 0.01: lowest candidate
       K  L=2    L=3
       4  dnc    pairs
       6  pairs  pairs
    """
    began, seed = time.perf_counter(), seed_sequence(rng)
    Ks = tuple(arguments.integer("Ks", K, 2) for K in Ks)
    Ls = tuple(arguments.integer("Ls", L, 1) for L in Ls)
    lams = tuple(sorted({arguments.positive("lams", lam) for lam in (DEFAULT_LAMS if lams is None else lams)}))
    starts, grid = arguments.count("starts", starts, 0), arguments.count("grid", grid, 2)
    if not Ks or not Ls or not lams:
        raise ValueError("Ks, Ls and lams must each hold at least one value.")
    names = None if names is None else tuple(names)
    if "lam" in problem_options:
        raise ValueError("lam is given by lams, the values of the grid; it is not a problem option here.")
    problems = {(K, L): Problem(K=K, L=L, lam=1.0, **problem_options) for K in Ks for L in Ls}
    if names is not None:
        every = set().union(*map(structures.catalogue, problems.values()))
        for name in names:
            families.choice("names", name, every)

    @interruption.whole()
    def column(cell):
        number, problem = cell
        return _column(problem, lams, names, starts, grid, child(seed, number))

    found, interrupted = each(enumerate(problems.values()), column, desc="phases", progress=progress)
    cells = tuple(cell for column, _ in found for cell in column)
    boundaries = {at: edges for at, (_, edges) in zip(problems, found, strict=False)}
    described = {k: v if isinstance(v, (int, float, str, type(None))) else repr(v) for k, v in problem_options.items()}
    options = {"names": None if names is None else list(names), "starts": starts, "grid": grid, **described}
    ran = options, seed_record(seed), time.perf_counter() - began, interrupted
    return PhaseDiagram(Ks, Ls, lams, cells, boundaries, *ran)


def _column(problem: Problem, lams, names, starts: int, grid: int, seed):
    """(cells at all lams, boundaries) of one problem."""
    makers = _structure_values(problem, [name for name in _chosen(problem, None) if names is None or name in names])
    low, high = lams[0], lams[-1]
    branches, values = {}, dict(makers)
    if starts and low < high:
        searched = list(lams) if 2 < len(lams) < 6 else _search_lams(low, high)
        branches = _searched(problem, makers, searched, grid, starts, seed)
        values |= {name: _branch_value(branch) for name, branch in branches.items()}
    elif starts:
        point = _found_below(at_lam(problem, low), makers, starts, child(seed, 0))
        values |= {} if point is None else {point.name or "unnamed": lambda lam: Stratum(point).fun}
    cells = []
    for lam in lams:
        ranked = _ranked(values, lam)
        best, fun = ranked[0]
        above = next(((name, f) for name, f in ranked if f - fun > SAME * (1 + abs(fun))), None)
        cells.append(Cell(problem.K, problem.L, lam, best, fun, above and above[0], above and above[1] - fun))
    edges = _winners(problem, values, branches, low, high, grid, {}).boundaries if low < high else ()
    return cells, edges


def _chosen(problem: Problem, names) -> list[str]:
    """The names asked for, each of them in the catalogue; by default all but barrier roots."""
    catalogue = structures.catalogue(problem)
    if names is None:
        return [name for name in catalogue if not structures.is_barrier(name)]
    for name in names:
        families.choice("names", name, catalogue)
    return list(dict.fromkeys(names))


def _structure_values(problem: Problem, names: list[str]) -> dict[str, Callable[[float], float]]:
    """Name -> (Lam -> F, or inf where it does not exist or is not critical)."""
    if not names:
        raise ValueError(f"names must hold at least one structure in the catalogue of K={problem.K}, L={problem.L}.")

    def value_of(name):
        def value(lam: float) -> float:
            try:
                found = met(structures.catalogue(at_lam(problem, lam))[name]())
            except ValueError:
                return np.inf
            return found.fun if is_critical(found) else np.inf

        return functools.cache(value)

    return {name: value_of(name) for name in names}


def _branch_value(branch: Branch) -> Callable[[float], float]:
    def value(lam: float) -> float:
        if not branch.covers(lam):
            return np.inf
        try:
            return Stratum(branch.at(lam)).fun
        except ValueError:
            return np.inf

    return functools.cache(value)


def _searched(problem: Problem, makers, lams: list[float], grid: int, starts: int, seed) -> dict[str, Branch]:
    """Branches of points found below all candidates so far, by name, from the least to the largest of `lams` (at least
    two); searched at these and where the structures change places."""
    branches: dict[str, Branch] = {}
    values, (low, *_, high) = dict(makers), lams
    edges = [b.lam for b in _winners(problem, makers, {}, low, high, grid, {}).boundaries]
    for number, lam in enumerate([*lams, *edges]):
        point = _found_below(at_lam(problem, min(max(lam, low), high)), values, starts, child(seed, number))
        if point is not None:
            name = point.name or "unnamed"
            branches[name] = _both_ways(point, low, high)
            values[name] = _branch_value(branches[name])
    return branches


def _found_below(problem: Problem, values, starts: int, seed) -> LogitPoint | None:
    """The lowest end of a search, under a free name, where it lies below all candidates."""
    best = lowest_end(problem, starts, seed)
    known = min(value(problem.Lam) for value in values.values())
    if best is None or best.fun >= known - SAME * (1 + abs(best.fun)):
        return None
    point = with_name(best.logit_point())
    return replace(point, name=free_name(point.name or "unnamed", set(values)))


def _search_lams(low: float, high: float) -> list[float]:
    """Five Lams, the ends themselves among them."""
    return [low, *np.geomspace(low, high, 5)[1:-1].tolist(), high]


def _both_ways(point: LogitPoint, low: float, high: float) -> Branch:
    """The branch through a point over [low, high] as far as it goes without turning, ascending in Lam."""
    if low == point.problem.Lam:
        return _until_turn(follow(point, high))
    down = _until_turn(follow(point, low))
    if high == point.problem.Lam:
        return down
    up = _until_turn(follow(point, high))
    arrays = zip(picked(down, ARRAYS).items(), picked(up, ARRAYS).values(), strict=True)
    join = {name: np.concatenate([before[::-1], after[1:]]) for (name, before), after in arrays}
    return replace(up, **join, points=(*down.points[::-1], *up.points[1:]), events=())


def _until_turn(branch: Branch) -> Branch:
    """The first monotone piece of a branch, its fold included."""
    turn = branch.folds()
    if not turn:
        return branch
    first, n = turn[0], turn[0].after + 1
    there = (first.lam, first.fun, Stratum(first.point).grad_norm, first.index_before, 0.0)
    cut = {k: np.append(a[:n], v) for (k, a), v in zip(picked(branch, ARRAYS).items(), there, strict=True)}
    return replace(branch, **cut, points=(*branch.points[:n], first.point), events=(), message="cut at its first fold")


def _ranked(values: dict[str, Callable], lam: float) -> list[tuple[str, float]]:
    """(name, F) of the candidates that exist, lowest first; equal values keep the order of the candidates."""
    found = [(name, value(lam)) for name, value in values.items()]
    found = [(name, f) for name, f in found if np.isfinite(f)]
    if not found:
        raise ValueError(f"none of the candidates {', '.join(values)} exists at lam={lam:.6g}.")
    lowest = min(f for _, f in found)
    return sorted(found, key=lambda item: item[1] if item[1] > lowest + 1e-14 * (1 + abs(lowest)) else -np.inf)


def _winners(problem, values, branches, low: float, high: float, grid: int, rng: dict) -> Winners:
    lams = [float(v) for v in np.geomspace(low, high, grid)]
    lams[0], lams[-1] = low, high
    best = [_ranked(values, lam)[0][0] for lam in lams]
    boundaries: list[Boundary] = []
    for a, b, first, second in zip(lams[:-1], lams[1:], best[:-1], best[1:], strict=True):
        boundaries += _boundaries(values, a, b, first, second)
    edges = [low, *(b.lam for b in boundaries), high]
    names = [best[0], *(b.above for b in boundaries)]
    intervals = tuple(Interval(a, b, name) for a, b, name in zip(edges[:-1], edges[1:], names, strict=True))
    return Winners(problem, intervals, tuple(boundaries), tuple(values), branches, rng)


def _boundaries(values, a: float, b: float, first: str, second: str, depth: int = 30) -> list[Boundary]:
    """The boundaries inside [a, b], won by `first` at a, `second` at b; a third winner at their meeting splits it."""
    if first == second:
        return []
    lam, kind = _meeting(values[first], values[second], a, b)
    ranked = _ranked(values, lam)
    third, fun = ranked[0]
    duel = min(values[first](lam), values[second](lam))
    if depth and third not in (first, second) and fun < duel - 1e-13 * (1 + abs(fun)):
        below = _boundaries(values, a, lam, first, third, depth - 1)
        return below + _boundaries(values, lam, b, third, second, depth - 1)
    return [Boundary(lam, first, second, kind)]


def _meeting(first: Callable, second: Callable, a: float, b: float) -> tuple[float, str]:
    """(Lam, kind) where the order of two candidates changes between a and b."""
    low, high = np.log(a), np.log(b)

    def values(u: float) -> tuple[float, float]:
        return first(float(np.exp(u))), second(float(np.exp(u)))

    def ahead(u: float) -> float:
        """Negative where `first` is lower; +-1 where only one exists."""
        f, g = values(u)
        return f - g if both(u) else float(np.isfinite(g)) - float(np.isfinite(f))

    def both(u: float) -> bool:
        return bool(np.all(np.isfinite(values(u))))

    while not (both(low) and both(high)) and high - low > 1e-15 * max(1.0, abs(low)):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if ahead(middle) < 0:
            low = middle
        else:
            high = middle
    if both(low) and both(high) and ahead(low) * ahead(high) < 0:
        return float(np.exp(bracketed(ahead, low, high, 1e-15, 8.9e-16))), "crossing"
    return float(np.exp(0.5 * (low + high))), "existence"
