"""Shares of ends over one parameter of the problem or the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ufm.landscapes.basins import basins
from ufm.landscapes.blocks import KIND, MACHINE
from ufm.landscapes.table import NOT_CONVERGED, Landscape
from ufm.numerics import arguments, families
from ufm.numerics.bars import each
from ufm.numerics.content import ByContent
from ufm.numerics.hints import FileName, Rng
from ufm.numerics.records import picked
from ufm.numerics.renamed import places
from ufm.numerics.rows import set_aside
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.statistics import share
from ufm.numerics.tables import Column, Shown
from ufm.numerics.words import named_arguments
from ufm.problem import Problem
from ufm.solvers import starts as start_kinds
from ufm.solvers.methods.method import METHODS, method_of

SHOWN = 6
"""Columns of names in print."""
FIELDS = ("K", "n", "d", "L", "lam", "loss", "activation", "bias")
"""What may vary of the problem."""
OWN = ("method", "space", "scale", "tol", "memory", "level")
"""Options of `basins` that are no settings of a method."""


@dataclass(frozen=True, eq=False, repr=False)
class Census(ByContent, Shown):
    """Landscape over one parameter: `values[i]` gave `cells[i]`.

    Cells run equal starts where shapes agree, so they are not independent of each other. Names join cells: of
    `unnamed(...)` and of #2, #3 that says little, `logits` of the cells say what was found.
    """

    over: str
    values: tuple
    cells: tuple[Landscape, ...]
    requested: tuple

    @property
    def names(self) -> list[str]:
        """All names, the most frequent over all values first."""
        total: dict[str, int] = {}
        for cell in self.cells:
            for basin in cell:
                total[basin.name] = total.get(basin.name, 0) + basin.count
        return sorted(total, key=lambda name: (-total[name], name))

    def shares(self, name: str) -> np.ndarray:
        """(share, low, high) of a name at every value, (values, 3)."""
        return np.array([cell.share(name) for cell in self.cells]).reshape(-1, 3)

    def ranks(self) -> dict[int, np.ndarray]:
        """(share, low, high) of every rank at every value, (values, 3)."""
        found = [cell.ranks() for cell in self.cells]
        known = sorted({rank for cell in found for rank in cell})
        nobody = [share(0, cell.starts, cell.level) for cell in self.cells]
        both = list(zip(found, nobody, strict=True))
        return {rank: np.array([cell.get(rank, none) for cell, none in both]) for rank in known}

    def table(self) -> list[dict]:
        """One flat row per value and end, `not converged` included where there are any."""
        rows = []
        for value, cell in zip(self.values, self.cells, strict=True):
            rows += [{self.over: value, **b.flat()} for b in cell]
            if cell.not_converged:
                part = dict(zip(("share", "low", "high"), cell.share(NOT_CONVERGED), strict=True))
                rows.append({self.over: value, "name": NOT_CONVERGED, "count": cell.not_converged, **part})
        return rows

    @property
    def interrupted(self) -> bool:
        """Whether values, or starts of the last one, are missing."""
        return len(self.cells) < len(self.requested) or any(cell.interrupted for cell in self.cells)

    def to_dict(self) -> dict:
        """The JSON shape of `ufm basins --over ... --json`."""
        lists = {"values": list(self.values), "requested": list(self.requested)}
        said = picked(self, "interrupted")
        return {"over": self.over, **lists, **said, "cells": [cell.to_dict() for cell in self.cells]}

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[tuple]:
        return iter(zip(self.values, self.cells, strict=True))

    def shown(self) -> list:
        if not self.cells:
            return [f"Census over {self.over}: no value of {len(self.requested)} finished"]
        shown, rest = self.names[:SHOWN], self.names[SHOWN:]
        groups = {name: [name] for name in shown} | ({f"{len(rest)} more": rest} if rest else {})
        groups |= {NOT_CONVERGED: [NOT_CONVERGED]} if any(cell.not_converged for cell in self.cells) else {}
        columns = [Column(self.over, lambda row: _text(row[0])), Column("starts", lambda row: row[1].starts, width=7)]
        columns += [
            Column(head, lambda row, names=names: _percent(row[1], names), width=19) for head, names in groups.items()
        ]
        missing = len(self.requested) - len(self.cells)
        foot = f"percent of starts ({100 * self.cells[0].level:g}% intervals)"
        foot += f"; interrupted: {missing} values not finished" if missing else ""
        said = dict.fromkeys(f"dynamics: {cell.dynamics}" for cell in self.cells)
        return [repr(self.cells[0].problem), "", (list(self), columns), "", foot, *said]


def _percent(cell: Landscape, names: list[str]) -> str:
    count = cell.not_converged if names == [NOT_CONVERGED] else sum(b.count for b in cell if b.name in names)
    _, low, high = share(count, cell.starts, cell.level)
    return f"{100 * count / cell.starts:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@places("problem", "over", "starts", "rng", when=lambda args: len(args) > 1 and isinstance(args[1], dict))
@named_arguments
@own_numpy_state
def census(
    problem: Problem,
    starts: int | None = None,
    rng: Rng = None,
    *,
    over: dict,
    out: FileName | None = None,
    fresh: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Census:
    """`basins` at every value of one parameter: over={"d": [20, 40, 70]}, {"lam": [...]}, {"method": [...]}, ...

    A field of the problem replaces the problem's; anything else is an option of `basins`. Every value uses the seed
    `rng`, so that one value alone gives the same numbers. out, fresh: as in `basins`, one file for all values. Ctrl-C
    keeps the values that have finished blocks.

    >>> found = census(Problem(K=4, L=2, lam=0.02), starts=30, rng=0, over={"lam": [0.01, 0.02]})
    >>> [cell.converged for _, cell in found]
    [30, 30]

    Raises ValueError before any work for parameters and values that cannot be used.
    """
    arguments.instance("problem", problem, Problem)
    if not isinstance(over, dict) or len(over) != 1:
        example = "such as {'d': [20, 40, 70]}"
        raise ValueError(f"over must name one parameter and its values, {example}; got over={over!r}.")
    ((name, values),) = over.items()
    if isinstance(values, str) or not np.iterable(values) or not len(values := list(values)):
        raise ValueError(f"over must give a list of values for {name}; got over={over!r}.")
    if name in options:
        raise ValueError(f"{name} is given both in over and by itself.")
    cells = [_cell(problem, name, value, options) for value in values]
    if fresh and out is not None:
        set_aside(out, KIND)
    record = seed_record(seed_sequence(rng)) if out is None or rng is not None else None

    def one(cell) -> Landscape:
        nonlocal record
        at, given = cell
        census = basins(at, starts, record, progress=progress, out=out, **given)
        record = record or census.rng
        return census

    found, _ = each(cells, one, desc="cells", progress=False, part=lambda census: bool(census.interrupted))
    return Census(name, tuple(values[: len(found)]), tuple(found), tuple(values))


def _cell(problem: Problem, name: str, value, options: dict):
    """(problem, options of basins) at one value."""
    if name in FIELDS:
        return replace(problem, **{name: tuple(value) if isinstance(value, list) else value}), options
    given = {**options, name: value}
    method = families.choice("method", given.get("method", "lbfgs"), METHODS.members())
    if name not in ("method", "space", "scale", "tol", "starts"):
        settings = {k: v for k, v in given.items() if k not in OWN and k not in MACHINE}
        space = start_kinds.space_of(problem, None, method, given.get("space"))
        method_of(method, settings, problem, space)
    elif name == "scale" and value is not None:
        arguments.positive("scale", value)
    return problem, given
