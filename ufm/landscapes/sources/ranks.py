"""The lowest point of each rank: descents in models whose widths let no other rank end low, and from known codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ufm.landscapes.gather import is_critical, met
from ufm.landscapes.sources.narrow import code_ends
from ufm.landscapes.sources.relu_search import low_rank_search
from ufm.landscapes.sources.source import Settings, Source
from ufm.numerics import interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.newton import newton_on_stratum
from ufm.structures.relu_collapse import embedded

KNOWN_CODE, AT_RANK = "known code", "search for rank "
"""How points were met."""
STATIONARY = 1e-6
"""Clarke residual, relative to the ridge's gradient, up to which an end of a ReLU model counts."""


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """Descents for every rank in options["ranks"], `starts` each; none for 0."""
    if settings.starts:
        yield from (_descents if problem.linear else _searches)(problem, settings)


def _descents(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """Linear models: descents at widths r, r + 1, r + 2, and from known codes, polished at their rank."""
    jobs, done = [(r, i) for r in settings.options["ranks"] for i in range(settings.starts or 0)], 0
    try:
        with interruption.whole():
            for r, i in progress_bar(jobs, desc="ranks", progress=settings.progress):
                run = minimize(replace(problem, d=min(r + i % 3, problem.K)), rng=child(child(settings.seed, r), i))
                done += 1
                yield f"{AT_RANK}{r}", _polished(problem, run.logit_point())
            for _, run in code_ends(problem, settings.progress):
                yield KNOWN_CODE, _polished(problem, run.logit_point())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {len(jobs)} descents") from None


def _searches(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """ReLU models: low-rank searches whose hidden widths but the last are at most r."""
    ranks, how = settings.options["ranks"], {"hops": 1, "progress": settings.progress}
    for done, r in enumerate(ranks):
        narrow = replace(problem, d=tuple(min(d, r) for d in problem.widths[:-1]) + problem.widths[-1:])
        try:
            with interruption.whole():
                ends = low_rank_search(narrow, settings.starts or 0, child(settings.seed, r), ranks=[r], **how)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"after {done} of {len(ranks)} ranks") from None
        for row in ends:
            if row.residual <= STATIONARY:
                yield f"search at width {r}, {row.start}", embedded(problem, row.point.factors)


def _polished(problem: Problem, point: LogitPoint) -> LogitPoint | None:
    """The critical point of the same rank next to an end point, or None where there is none, or the widths do not admit
    it."""
    if point.rank > problem.max_rank:
        return None
    point = replace(point, problem=problem)
    if point.rank == 0 and point.b is None:
        return point
    end = newton_on_stratum(point)[0].point
    return end if end.rank == point.rank and is_critical(met(end)) else None


RANKS = Source(
    "ranks",
    "descents in models as narrow as a rank, and from known codes",
    points,
    verbs=("profile",),
    applies=lambda problem: (
        ""
        if problem.linear or (problem.activation.rectifies and problem.bias is None)
        else "ranks are searched in linear models, and in relu models without a bias."
    ),
    counts=True,
)
