"""A source of points: Newton from the middle of two structures.

Where (Z_1 + Z_2)/2 is near a critical point, that is one which a descent may pass by. Replace the places to look from;
`ufm.landscapes.sources.source` says what else a source may state.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ufm.landscapes.sources.source import Settings, Source
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers.minimize import minimize

MOST = 10
"""Structures whose middles are tried."""


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """(how it was met, the run) for every pair that Newton brings to a rest; returns what was searched, in words."""
    structures = settings.structures[0].items()
    known = [(name, point) for name, point in structures if isinstance(point, LogitPoint)][:MOST]
    pairs = list(itertools.combinations(known, 2))
    for (one, first), (other, second) in pairs:
        middle = from_matrix(problem, (first.matrix() + second.matrix()) / 2)
        run = minimize(problem, middle, "newton") if middle.rank <= problem.max_rank else None
        if run is not None and run.success:
            yield f"between {one} and {other}", run
    return f"example: Newton from {len(pairs)} middles of two structures"


def applies(problem: Problem) -> str:
    """Why there is nothing to be found this way, or ""."""
    return "" if problem.linear else "the middle of two structures is known for linear layers."


EXAMPLE = Source("example", "Newton from the middle of two structures", points, ("compare", "landscape"), applies)
