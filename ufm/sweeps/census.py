"""Shares of ends over one parameter of the problem or the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ufm.landscapes.basins import basins
from ufm.landscapes.blocks import KIND, MACHINE
from ufm.landscapes.table import Landscape
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.rows import set_aside
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.statistics import wilson
from ufm.numerics.words import named_arguments
from ufm.problem import Problem
from ufm.solvers import choices
from ufm.solvers.methods.method import METHODS, method_of
from ufm.sweeps.over import over_grid

SHOWN = 6
"""Columns of names in print."""
FIELDS = ("K", "n", "d", "L", "lam", "loss", "activation", "bias")
"""What may vary of the problem."""
OWN = ("method", "space", "scale", "tol", "memory", "level")
"""Options of `basins` that are no settings of a method."""


@dataclass(frozen=True, eq=False)
class Census(ByContent):
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
        nobody = [(0.0, *wilson(0, cell.starts, cell.level)) for cell in self.cells]
        return {
            rank: np.array([cell.get(rank, none) for cell, none in zip(found, nobody, strict=True)]) for rank in known
        }

    def table(self) -> list[dict]:
        """One flat row per value and end, `not converged` included where there are any."""
        rows = []
        for value, cell in zip(self.values, self.cells, strict=True):
            rows += [{self.over: value, **b.flat()} for b in cell]
            if cell.not_converged:
                share, low, high = cell.share("not converged")
                rows.append(
                    {
                        self.over: value,
                        "name": "not converged",
                        "count": cell.not_converged,
                        "share": share,
                        "low": low,
                        "high": high,
                    }
                )
        return rows

    @property
    def interrupted(self) -> bool:
        """Whether values, or starts of the last one, are missing."""
        return len(self.cells) < len(self.requested) or any(cell.interrupted for cell in self.cells)

    def to_dict(self) -> dict:
        """The JSON shape of `ufm basins --over ... --json`."""
        return {
            "over": self.over,
            "values": list(self.values),
            "requested": list(self.requested),
            "interrupted": self.interrupted,
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[tuple]:
        return iter(zip(self.values, self.cells, strict=True))

    def __repr__(self) -> str:
        if not self.cells:
            return f"Census over {self.over}: no value of {len(self.requested)} finished"
        shown, rest = self.names[:SHOWN], self.names[SHOWN:]
        columns = [
            *shown,
            *([f"{len(rest)} more"] if rest else []),
            *(["not converged"] if any(c.not_converged for c in self.cells) else []),
        ]
        values = [_text(value) for value in self.values]
        widths = [max(len(name), len("100.0 (100.0-100.0)")) for name in columns]
        first = max([len(self.over), *map(len, values)])
        head = "  ".join(
            [
                f"{self.over:>{first}}",
                f"{'starts':>7}",
                *(f"{name:>{w}}" for name, w in zip(columns, widths, strict=True)),
            ]
        )
        lines = [repr(self.cells[0].problem), "", head, "-" * len(head)]
        for value, cell in zip(values, self.cells, strict=True):
            texts = [_percent(cell, [name] if name not in (f"{len(rest)} more",) else rest) for name in columns]
            lines.append(
                "  ".join(
                    [
                        f"{value:>{first}}",
                        f"{cell.starts:>7}",
                        *(f"{t:>{w}}" for t, w in zip(texts, widths, strict=True)),
                    ]
                )
            )
        left = (
            f"; interrupted: {len(self.requested) - len(self.cells)} values not finished"
            if len(self.cells) < len(self.requested)
            else ""
        )
        said = dict.fromkeys(cell.dynamics for cell in self.cells)
        return "\n".join(
            [
                *lines,
                "",
                f"percent of starts ({100 * self.cells[0].level:g}% intervals){left}",
                *(f"dynamics: {one}" for one in said),
            ]
        )


def _percent(cell: Landscape, names: list[str]) -> str:
    count = cell.not_converged if names == ["not converged"] else sum(b.count for b in cell if b.name in names)
    low, high = wilson(count, cell.starts, cell.level)
    return f"{100 * count / cell.starts:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@named_arguments
@own_numpy_state
def census(
    problem: Problem,
    over: dict,
    starts: int = 1000,
    rng=None,
    *,
    out=None,
    fresh: bool = False,
    progress: bool | None = None,
    **options,
) -> Census:
    """`basins` at every value of one parameter: over={"d": [20, 40, 70]}, {"lam": [...]}, {"scale": [...]}, {"lr":
    [...]}, {"method": [...]}, ...

    A field of the problem replaces the problem's; anything else is an option of `basins`. Every value uses the seed
    `rng`, so that one value alone gives the same numbers. out, fresh: as in `basins`, one file for all values. Ctrl-C
    keeps the values that have finished blocks.

    >>> found = census(Problem(K=4, L=2, lam=0.02), {"lam": [0.01, 0.02]}, starts=30, rng=0)
    >>> [cell.converged for _, cell in found]
    [30, 30]

    Raises ValueError before any work for parameters and values that cannot be used.
    """
    arguments.instance("problem", problem, Problem)
    if not isinstance(over, dict) or len(over) != 1:
        raise ValueError(
            f"over must name one parameter and its values, such as {{'d': [20, 40, 70]}}; got over={over!r}."
        )
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

    found, _ = over_grid(cells, one, lambda census: bool(census.interrupted), progress=False)
    return Census(name, tuple(values[: len(found)]), tuple(found), tuple(values))


def _cell(problem: Problem, name: str, value, options: dict):
    """(problem, options of basins) at one value."""
    if name in FIELDS:
        return replace(problem, **{name: tuple(value) if isinstance(value, list) else value}), options
    given = {**options, name: value}
    method = arguments.choice("method", given.get("method", "lbfgs"), METHODS.members())
    if name not in ("method", "space", "scale", "tol", "starts"):
        method_of(
            method,
            {k: v for k, v in given.items() if k not in OWN and k not in MACHINE},
            problem,
            _space(problem, given),
        )
    elif name == "scale" and value is not None:
        arguments.positive("scale", value)
    return problem, given


def _space(problem: Problem, given: dict) -> str:
    method = given.get("method", "lbfgs")
    return choices.space_of(problem, None, method, given.get("space"))
