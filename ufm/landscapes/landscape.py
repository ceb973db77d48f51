"""The atlas of a problem: critical points modulo gauge and class permutation, classified, named, counted."""

from __future__ import annotations

import time
from dataclasses import replace

from ufm.critical.same import group_order
from ufm.landscapes.gather import Gathering, is_sharp
from ufm.landscapes.row import FUN, INDEX, NULLITY, RANK, STATUS, name_column
from ufm.landscapes.sources.source import Settings, asked
from ufm.landscapes.table import Landscape, View
from ufm.numerics import arguments
from ufm.numerics.hints import Rng
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column
from ufm.numerics.words import named_arguments
from ufm.points import logit_point_of
from ufm.problem import Problem
from ufm.structures.modes import decouples, explain


@named_arguments
@own_numpy_state
def landscape(
    problem: Problem,
    starts: int | None = None,
    rng: Rng = None,
    *,
    max_idempotents: int | None = None,
    progress: bool | None = None,
) -> Landscape:
    """All critical points found of F(W_L, ..., W_1, H_1), modulo gauge and class permutation, each with its signature.

    MSE (linear; balanced, imbalanced without bias or with a free one): the complete list, by singular modes.
    Other losses: structures in closed form, symmetric points from class-permutation groups (balanced, no bias), and a
    search without symmetry from random starts: descents, Newton from random points of every rank, eigenvector following
    to saddles of index 1 to 3. Points are merged modulo permutation (under MSE by value and spectrum, rotations being
    symmetries). Sources of the user's own (`landscapes.sources.source`) join.

    max_idempotents: size of the symmetry classes, in modes (default 4 up to K = 8, 3 up to 12, none beyond; 0 switches
    them off).
    starts: of the search (default 60 up to K = 6, 40 up to 12, 10 beyond; 0 switches it off). rng: its seed.
    Ctrl-C during the search keeps what was found, and `scope` says so.

    >>> atlas = landscape(Problem(K=3, n=2, L=2, lam=0.01, loss="mse"))
    >>> atlas.complete, len(atlas), atlas.best.name
    (True, 10, 'dnc')

    Raises ValueError for nonlinear models: the stratum theorem needs a linear one (`compare`, `profile` do not).
    Source: gk25 (Lemma 1); dang23 (MSE).
    """
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("landscape")
    if not problem.linear:
        theorem = "the stratum theorem, by which points are listed rank by rank and classified, does not hold otherwise"
        other = "`compare` shows structures and a search, and for relu `profile` the lowest found at each rank"
        got = f"activation={problem.activation.name!r}"
        raise ValueError(f"landscape needs a linear model ({theorem}); got {got}. {other}.")
    began, seed = time.perf_counter(), seed_sequence(rng)
    starts = None if starts is None else arguments.count("starts", starts, 0)
    limit = None if max_idempotents is None else arguments.integer("max_idempotents", max_idempotents, 0)
    settings = Settings("landscape", problem, seed, starts, progress, {"max_idempotents": limit})
    if decouples(problem):
        complete, scope = explain(problem)
        return _table(problem, Gathering().collect(*asked(settings)), began, scope=scope, complete=complete)
    found = Gathering(is_sharp).collect(*asked(settings))
    ended = [f"interrupted {found.interrupted}"] * bool(found.interrupted)
    scope = f"Searched: {'; '.join([*found.said, *ended])}. Not claimed to be complete."
    return _table(problem, found, began, scope=scope, rng=seed_record(seed))


def _table(problem: Problem, found: Gathering, began: float, **said) -> Landscape:
    rows = tuple(
        replace(row, more={**row.more, "group_order": group_order(logit_point_of("point", row))})
        for row in found.rows()
    )
    return Landscape(problem, rows, ATLAS, interrupted=found.interrupted, seconds=time.perf_counter() - began, **said)


def _columns(table: Landscape) -> list[Column]:
    group = Column("group", "group_order", width=9)
    return [name_column("point", 5), RANK, FUN, INDEX, NULLITY, STATUS, group, Column("hits", "hits", width=5)]


def _foot(table: Landscape) -> list[str]:
    minima, saddles = len(table.minima), len(table.saddles)
    kinds = f"{minima} local minima, {saddles} strict saddles, {len(table) - minima - saddles} other"
    return [f"{len(table)} critical points: {kinds}", table.scope]


def _shape(table: Landscape) -> dict:
    return {"complete": table.complete, "scope": table.scope}


ATLAS = View("landscape", "points", _columns, _foot, _shape)
