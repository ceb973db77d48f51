"""A short search from random starts of full width, beside the structures that `compare` lists."""

from __future__ import annotations

from collections.abc import Iterator

from ufm.landscapes.sources.refine import rectifies
from ufm.landscapes.sources.relu_search import SEARCHED_K
from ufm.landscapes.sources.source import Settings, Source
from ufm.problem import Problem
from ufm.solvers.multistart import multistart

SEARCH = "search"
"""How a point was met from random starts."""


def count(settings: Settings) -> int:
    """Random starts of full width: as many as asked for, else by the number of classes; none where descents from
    structured starts find more."""
    if settings.starts is not None:
        return settings.starts
    if rectifies(settings.problem, SEARCHED_K):
        return 0
    return 20 if settings.problem.K <= 30 else 5 if settings.problem.K <= 60 else 0


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """Converged ends, lowest first, and of the others the lowest where it lies below all of them. options: those of
    `multistart`. Where there is no structure at all, one start at least."""
    starts = max(count(settings), 0 if settings.structures[0] else 1)
    if not starts:
        searched = settings.starts is not None or rectifies(problem, SEARCHED_K)
        return "" if searched else f"search: off by default at K={problem.K}; pass starts to search."
    runs = multistart(problem, starts, settings.seed, **{"progress": settings.progress, **settings.options})
    settings.runs = runs
    converged = sorted((run for run in runs if run.success), key=lambda run: run.fun)
    for run in converged:
        yield SEARCH, run
    rest = [run for run in runs if not run.success and (not converged or run.fun < converged[0].fun)]
    if rest:
        yield SEARCH, min(rest, key=lambda run: run.fun)
    if runs.interrupted:
        raise KeyboardInterrupt(f"after {runs.done} of {runs.requested} starts")
    return ""


STARTS = Source("starts", "descents from random starts of full width", points, verbs=("compare",), counts=True)
