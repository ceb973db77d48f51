"""Who wins the basins: many starts, their ends named and counted.

A share is a statement about a dynamics and a distribution of starts. `dynamics` says which were run: gradient descent
on all factors at width d is one thing, a descent of the exact reduction another with the same minima and other basins.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ufm.critical.classify import classify_end
from ufm.critical.identify import Identity, identify
from ufm.critical.kinds import Ends, kinds
from ufm.critical.point import CriticalPoint
from ufm.critical.same import free_name, same_kind
from ufm.landscapes.blocks import LOOSE, Run, store_for, stored_ends
from ufm.landscapes.row import FUN, RANK, Row, name_column, named
from ufm.landscapes.table import NOT_CONVERGED, Landscape, View
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.hints import FileName, Rng
from ufm.numerics.renamed import places
from ufm.numerics.seeds import seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.statistics import share, wilson
from ufm.numerics.tables import Column
from ufm.numerics.words import named_arguments
from ufm.problem import Problem
from ufm.solvers import starts as start_kinds
from ufm.solvers.methods.method import METHODS, method_of, settings_of

STARTS = 1000
"""Starts of a census."""
PAIRS = 2
"""Stored pairs of L-BFGS in a census: in a batch, short histories are cheaper (0.9 s against 1.4 s for 1000 starts of
Figure 1)."""


CLASSIFIED = 400
"""Largest stratum of an end that is classified here."""


@places("problem", "starts", "rng", "method", "space")
@named_arguments
@own_numpy_state
def basins(
    problem: Problem,
    starts: int | None = None,
    rng: Rng = None,
    *,
    method: str = "lbfgs",
    space: str | None = None,
    scale: float | None = None,
    tol: float = 1e-9,
    memory: float = 2**26,
    level: float = 0.95,
    progress: bool | None = None,
    out: FileName | None = None,
    fresh: bool = False,
    **settings: Any,
) -> Landscape:
    """Shares of the ends of `starts` runs (default 1000) from random starts, ends named and told apart modulo
    class permutation.

    method, space and settings (lr, momentum, batch, betas, steps, max_steps, device, threads, ...) as in
    `solvers.batch.run_batch`: `lbfgs` and `newton` run by default on the exact reduction, which has the minima
    of the problem but not the basins of gradient descent; `gd`, `adam` and the others run on all parameters.
    scale: standard deviation of the Gaussian start (None: 1/sqrt(width) of the factors that are run).

    A start counts as converged if its end, finished by Newton on the rank stratum, has gradient norm at most tol, no
    larger F and no direction of descent, and lies within a relative distance of 0.05 of where the descent stopped
    (class logits; linear models). Others are counted apart. Ends are one if loss, rank and, up to a permutation of the
    classes, all class logits agree; near losses alone make nothing one.

    L-BFGS keeps `PAIRS` pairs here and 10 in `minimize`: pass pairs=10 for the ends of `multistart` with the same seed.
    Work is done in blocks of about three seconds and bounded memory. out: a JSON-lines file of finished blocks, so that
    the same call goes on after Ctrl-C, a kill, or with more starts; it may hold several problems. fresh: put a file
    that is there aside, as `out.bak`, and begin anew. Ctrl-C returns the finished blocks (never part of one: fast
    starts would be over-counted), and is passed on if there are none.

    >>> census = basins(Problem(K=4, L=2, lam=0.02), starts=50, rng=0)
    >>> census.winner, census.starts, census.converged
    ('pairs', 50, 50)

    Raises ValueError, before any work, for unknown arguments, and for an `out` that is no such file or whose blocks
    were made with another seed.
    Source: gk25 (Figures 2 and 5), wilson27.
    """
    arguments.instance("problem", problem, Problem)
    count = STARTS if starts is None else arguments.count("starts", starts, 1)
    tol, level = arguments.positive("tol", tol), arguments.real("level", level)
    wilson(0, 1, level)
    if scale is not None:
        settings["start"] = start_kinds.gaussian(scale)
    if "pairs" in settings_of(METHODS.get(method, "method")):
        settings.setdefault("pairs", PAIRS)
    began = time.perf_counter()
    seed_sequence(rng)
    run = Run.of(problem, method, space, scale, tol, memory, settings)
    with store_for(out, settings, scale, fresh) as store:
        run = run.seeded(rng, store)
        blocks = run.blocks(count, store, progress)
    if not blocks:
        raise KeyboardInterrupt(f"after 0 of {count} starts")
    others = sum("problem" in row for row in store.rows.values()) - 1
    also = f"also in {out}: blocks of {others} other problem{'s' * (others > 1)} or settings, not counted here"
    notes = [also] if others else []
    notes += [f"{out} was deleted while it was being written; it has been written again"] if store.restored else []
    return replace(_table(run, blocks, count, level), seconds=time.perf_counter() - began, note="; ".join(notes))


@dataclass(frozen=True, eq=False)
class Runs(ByContent):
    """What was run, and where every start went.

    ends (starts,): the row of the table in which each start ended, -1 where it did not converge. requested: starts
    asked for; level: of the intervals.
    dynamics: what was run, and what its shares say nothing about.
    """

    ends: np.ndarray
    requested: int
    dynamics: str
    method: str
    space: str
    settings: dict
    level: float = 0.95

    @property
    def starts(self) -> int:
        return len(self.ends)

    @property
    def converged(self) -> int:
        return int(np.sum(self.ends >= 0))

    @property
    def not_converged(self) -> int:
        return self.starts - self.converged

    def __len__(self) -> int:
        return len(self.ends)


def _table(run: Run, blocks: list[dict], count: int, level: float) -> Landscape:
    """Ends of all blocks joined, named and counted, the most frequent first; starts beyond `count` are left out."""
    everyone, which = _joined(run.problem, blocks, count)
    seen = np.flatnonzero(everyone.count > 0)
    found, place = kinds(run.problem, everyone.take(seen), **run.agreement)
    signed = [_signed(run, found, i) for i in range(len(found))]
    home = _homes(signed) if not run.problem.linear else list(range(len(found)))
    hits = np.bincount(home, found.count, minlength=len(found)).astype(int) if len(found) else found.count
    order = sorted(set(home), key=lambda i: (-hits[i], found.fun[i]))
    rank = np.full(len(found) + 1, -1)
    rank[order] = np.arange(len(order))
    number = np.full(len(everyone) + 1, -1)
    number[seen] = np.array(home, dtype=int)[place] if len(found) else place
    who = {i: identify(signed[i].point) for i in sorted(order)}
    names = _names({i: one.name for i, one in who.items()})
    rows = [_row(run, found, i, named(signed[i], names[i]), who[i], int(hits[i]), len(which), level) for i in order]
    said = dynamics(run.problem, run.method, run.space, run.said)
    runs = Runs(rank[number[which]], count, said, run.method, run.space, run.said, level)
    ended = f"after {len(which)} of {count} starts" if len(which) < count else ""
    return Landscape(run.problem, tuple(rows), BASINS, rng=run.rng, interrupted=ended, runs=runs)


def _homes(signed: list[CriticalPoint]) -> list[int]:
    """For each end of a nonlinear model the first that is the same point: their logits agree less than their values and
    ranks do."""
    return [
        next(j for j in range(i + 1) if j == i or same_kind(signed[i], signed[j], LOOSE["value"]))
        for i in range(len(signed))
    ]


def _names(given: dict[int, str]) -> dict[int, str]:
    """Each name once, in ascending F."""
    names: dict[int, str] = {}
    for i, name in given.items():
        names[i] = free_name(name, set(names.values()))
    return names


def _joined(problem: Problem, blocks: list[dict], count: int) -> tuple[Ends, np.ndarray]:
    """(the ends of all blocks with their counts, for each start the number of its end or -1)."""
    parts, which, at = [], [np.zeros(0, dtype=int)], 0
    for row in blocks:
        inside, ends = np.array(row["which"][: max(0, count - row["from"])], dtype=int), stored_ends(row, problem.K)
        which.append(np.where(inside >= 0, inside + at, -1))
        parts.append(replace(ends, count=np.bincount(inside[inside >= 0], minlength=len(ends))))
        at += len(ends)
    return Ends.joined(parts, problem.K), np.concatenate(which)


def _row(
    run: Run, found: Ends, i: int, critical: CriticalPoint, who: Identity, hits: int, total: int, level: float
) -> Row:
    """The row of an end."""
    more = dict(zip(("share", "low", "high"), share(hits, total, level), strict=True))
    more |= {"distance": who.distance, "first": int(found.first[i]), "scales": who.scales}
    return Row(
        critical, hits, {run.method: hits}, more | {"continuum": bool(found.continuum[i]), "logits": found.logits[i]}
    )


def _signed(run: Run, found: Ends, i: int) -> CriticalPoint:
    """An end with its signature, where that is cheap: a census of many classes has many ends."""
    problem = run.problem
    if not problem.linear:
        return classify_end(run.point(int(found.first[i])))
    point, rank = found.point(problem, i), int(found.rank[i])
    if rank * (2 * problem.K - rank) <= CLASSIFIED:
        return classify_end(point)
    why = "a census leaves large strata unclassified; classify(row) does it"
    nan = float("nan")
    return CriticalPoint.unsigned(point, float(found.fun[i]), nan, rank, status="unknown", why=why, name=None)


def dynamics(problem: Problem, method: str, space: str, settings: dict) -> str:
    """One sentence: what was run, from which starts, and what its shares say nothing about."""
    objective = start_kinds.objective_in(problem, space)
    width = max(shape[0] for shape in objective.shapes[:-1])
    scale = settings.get("scale")
    begin = f"Gaussian starts of scale {scale:g}" if scale is not None else "Gaussian starts of scale 1/sqrt(width)"
    known = settings_of(METHODS.get(method))
    ran = method_of(method, {name: value for name, value in settings.items() if name in known}).said()
    end = "; ends finished by Newton on the rank stratum" if problem.linear and not problem.ridgeless else ""
    if space == "factors":
        return f"{ran} at width {_widths(problem)} in all {objective.size} parameters, {begin}{end}"
    what = "class means" + (f" and width {width}" if problem.linear else "")
    return (
        f"{ran} on the exact reduction of minima to {what} ({objective.size} parameters), {begin}{end}"
        f" (says nothing of basins of gradient descent at width {_widths(problem)})"
    )


def _widths(problem: Problem) -> str:
    return str(problem.d) if isinstance(problem.d, int) else ",".join(map(str, problem.d))


# how it is shown


def _columns(table: Landscape) -> list[Column]:
    interval = Column(
        f"{100 * table.level:g}% interval", lambda row: f"{row.low:.4f}-{row.high:.4f}", side="<", width=14
    )
    counts = Column("count", "hits", width=7), Column("share", "share", ".4f", width=6), interval
    return [name_column("end", len(NOT_CONVERGED)), RANK, FUN, *counts]


def _foot(table: Landscape) -> list[str]:
    lines = []
    if table.not_converged:
        part, low, high = table.share(NOT_CONVERGED)
        lines = [f"{NOT_CONVERGED}: {table.not_converged}, share {part:.4f}, {low:.4f}-{high:.4f}"]
    some = f"interrupted {table.interrupted}" if table.interrupted else f"{table.starts} starts"
    notes = [table.note] if table.note else []
    return [*lines, f"{some}, {table.converged} converged; rng={table.rng}", f"dynamics: {table.dynamics}", *notes]


def _entry(_: Landscape, row: Row) -> dict:
    return {**row.flat(), "count": row.hits}


def _shape(table: Landscape) -> dict:
    facts = {
        name: getattr(table.runs, name)
        for name in ("dynamics", "method", "space", "settings", "requested", "starts", "converged", "not_converged")
    }
    return {**facts, "winner": most_frequent(table), "level": table.level}


def most_frequent(table: Landscape) -> str | None:
    """Name of the most frequent end; None if no start converged."""
    return table.rows[0].name if len(table) else None


BASINS = View("basins", "basins", _columns, _foot, _shape, _entry, winner=most_frequent, counts=True)
