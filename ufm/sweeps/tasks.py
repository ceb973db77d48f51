"""One task of a sweep, and what it does: a verb's row of plain numbers and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ufm.numerics import families, interruption
from ufm.numerics.records import fingerprint, picked
from ufm.numerics.seeds import child, seed_sequence
from ufm.problem import Problem
from ufm.solvers.methods.method import known_settings


@dataclass(frozen=True)
class Cell:
    """One task: a verb on a problem with settings; `repeat` counts copies that differ by their seed alone.

    key: a hash of everything that determines the result, and nothing else: not the place in the grid.
    """

    verb: str
    problem: dict
    settings: dict
    repeat: int
    rng: int

    @property
    def key(self) -> str:
        return fingerprint(self.to_dict())[:24]

    def to_dict(self) -> dict:
        return picked(self, "verb problem settings repeat rng")


def as_arguments(problem: dict) -> dict:
    """Lists as tuples, as Problem wants them."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in problem.items()}


class Verb(NamedTuple):
    """run(problem, rng, **settings) -> dict."""

    run: Callable
    own: tuple[str, ...]
    descends: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """The names it takes: its own and, of a verb that descends, those of every method."""
        return (*self.own, "method", "space", "tol", *known_settings()) if self.descends else self.own


MACHINE = (MemoryError, OSError, ImportError, families.Unknown)
"""What says nothing of a cell: another machine, or another day, may do it."""


def row(cell: Cell) -> dict:
    """The cell with its result, or with the message of what went wrong. Depends on the cell alone.

    `again` marks the one exception, a failure for the machine's reasons (`MACHINE`): such a row is not kept in a store.
    """
    line = {"key": cell.key, **cell.to_dict()}
    try:
        problem = Problem(**as_arguments(cell.problem))
        with interruption.whole():
            return {**line, "ok": True, "result": VERBS[cell.verb].run(problem, _seed(cell), **cell.settings)}
    except Exception as mistake:  # a failing cell is a row, not the end of a sweep
        again = {"again": True} if isinstance(mistake, MACHINE) else {}
        return {**line, "ok": False, "error": f"{type(mistake).__name__}: {mistake}", **again}


def _seed(cell: Cell):
    """The seed of a cell: the sweep's, then 64 bits of the cell's key."""
    return child(child(seed_sequence(cell.rng), int(cell.key[:8], 16)), int(cell.key[8:16], 16))


def _compare(problem, rng, **settings) -> dict:
    from ufm.landscapes.compare import compare

    settings = {"starts": 0, "prove": False, **settings}
    duel = compare(problem, settings["starts"], rng, progress=False, prove=settings["prove"])
    funs = {p.name: p.fun for p in duel.points}
    statuses = {p.name: p.status for p in duel.points}
    numbers = {"fun": duel.winner.fun, **picked(duel, "margin lower_bound certified")}
    return {"winner": duel.winner.name, **numbers, "F": funs, "status": statuses}


def _solve(problem, rng, starts=1, **settings) -> dict:
    from ufm.critical.identify import identify
    from ufm.points import LogitPoint
    from ufm.solvers.multistart import multistart

    runs = multistart(problem, starts, rng, progress=False, **settings)
    best = runs.best
    at = best.point if isinstance(best.point, LogitPoint) else best.logit_point() if problem.linear else None
    end = {"name": identify(best).name, "fun": best.fun, "grad_norm": best.grad_norm, "rank": at and at.rank}
    return {**end, "success": best.success, "converged": sum(r.success for r in runs)}


def _landscape(problem, rng, **settings) -> dict:
    from ufm.landscapes.landscape import landscape

    atlas = landscape(problem, rng=rng, progress=False, **settings)
    lowest = min(atlas, key=lambda p: p.fun)
    counts = {"points": len(atlas), "minima": len(atlas.minima)}
    return {"lowest": lowest.name, "fun": lowest.fun, **counts, "complete": atlas.complete}


def _basins(problem, rng, **settings) -> dict:
    from ufm.landscapes.basins import basins

    census = basins(problem, rng=rng, progress=False, **settings)
    return {**picked(census, "starts converged winner"), "counts": {b.name: b.count for b in census}}


VERBS = {
    "compare": Verb(_compare, ("starts", "prove")),
    "solve": Verb(_solve, ("starts",), True),
    "landscape": Verb(_landscape, ("starts",)),
    "basins": Verb(_basins, ("starts", "scale"), True),
}
