"""What is to be run: a verb, a grid of arguments, and settings, as a dict or a TOML file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.numerics.arithmetic import number
from ufm.numerics.documents import read_toml
from ufm.numerics.hints import FileName
from ufm.numerics.records import picked
from ufm.problem import Problem
from ufm.sweeps.tasks import VERBS, Cell, as_arguments

PROBLEM = ("K", "n", "d", "L", "lam", "loss", "activation", "bias")
WORDS = ("loss", "activation")
CELLS = 1_000_000
"""So many cells a sweep may have."""
FIELDS = ("verb", "rng", "grid", "fixed", "settings", "repeats")


@dataclass(frozen=True)
class Spec:
    """The product of the grid's lists, in their order, `repeats` times each.

    verb: compare, solve, landscape or basins. grid: name -> list, fixed: name -> value, for the problem's arguments
    and the verb's settings alike (settings: fixed ones, for clarity). Numbers may be texts, `2**-10`; an entry of
    a list may itself be a list (class counts, widths, lam per factor).

    >>> Spec.read({"verb": "compare", "grid": {"K": [4, 6], "lam": ["2**-8", 1e-3]}, "fixed": {"L": 2, "starts": 0}})
    Spec(compare; K x lam = 2 x 2, 4 cells, rng=0)

    Raises ValueError naming the field, for unknown names, empty lists, problems that are not one, unreadable files.
    """

    verb: str
    rng: int
    grid: dict
    fixed: dict
    repeats: int

    @staticmethod
    def read(source: Spec | Mapping | FileName) -> Spec:
        """From a Spec, a dict, or the path of a TOML file."""
        if isinstance(source, Spec):
            return source
        data = source if isinstance(source, dict) else read_toml(source, "spec file")
        for name in data:
            arguments.choice("spec field", name, FIELDS)
        verb = arguments.choice("verb", data.get("verb", "compare"), VERBS)
        grid = {name: _listed(name, values) for name, values in _table("grid", data).items()}
        fixed = {**_table("fixed", data), **_table("settings", data)}
        known = (*PROBLEM, *VERBS[verb].settings)
        for name in (*grid, *fixed):
            arguments.choice("sweep argument", name, known)
        for name in grid.keys() & fixed.keys():
            raise ValueError(f"{name} is both in the grid and fixed; say it once.")
        rng = arguments.integer("rng", data.get("rng", 0), 0)
        repeats = arguments.integer("repeats", data.get("repeats", 1), 1)
        sizes = [*(len(values) for values in grid.values()), repeats]
        if math.prod(sizes) > CELLS:
            shown = f"{' x '.join(map(str, sizes))} (repeats last): take shorter lists or several sweeps"
            raise ValueError(f"a sweep has at most {CELLS} cells; the grid has {shown}.")
        grid = {name: [_value(name, v) for v in values] for name, values in grid.items()}
        spec = Spec(verb, rng, grid, {name: _value(name, v) for name, v in fixed.items()}, repeats)
        spec.check()
        return spec

    def check(self) -> None:
        """Refuse a grid none of whose problems exists; single bad cells become rows with their message."""
        mistakes = []
        for problem, _ in self._points():
            try:
                Problem(**as_arguments(problem))
                return
            except (ValueError, TypeError) as mistake:
                mistakes.append(mistake)
        raise ValueError(f"no cell of the grid is a problem; the first says: {mistakes[0]}")

    def cells(self) -> list[Cell]:
        """All cells in the grid's order, the last name running fastest, repeats fastest of all; equal cells once."""
        found = {}
        for problem, settings in self._points():
            for repeat in range(self.repeats):
                cell = Cell(self.verb, problem, settings, repeat, self.rng)
                found.setdefault(cell.key, cell)
        return list(found.values())

    def _points(self) -> Iterator[tuple[dict, dict]]:
        """(problem, settings) of every point of the grid, in its order."""
        for values in itertools.product(*self.grid.values()):
            chosen = {**self.fixed, **dict(zip(self.grid, values, strict=True))}
            problem = {name: chosen.pop(name) for name in PROBLEM if name in chosen}
            yield problem, dict(sorted(chosen.items()))

    def to_dict(self) -> dict:
        return picked(self, "verb rng grid fixed repeats")

    def __repr__(self) -> str:
        sizes = " x ".join(self.grid), " x ".join(str(len(v)) for v in self.grid.values())
        return f"Spec({self.verb}; {sizes[0]} = {sizes[1]}, {len(self.cells())} cells, rng={self.rng})"


def _table(name: str, data: dict) -> dict:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"spec field {name} must be a table of name = value; got {table!r}.")
    return table


def _listed(name: str, values) -> list:
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        raise ValueError(f"grid.{name} must be a list of values; got {values!r}.")
    values = list(values)
    if not values:
        raise ValueError(f"grid.{name} must not be empty.")
    return values


def _value(name: str, value):
    """A plain JSON value; texts that are arithmetic become numbers, numpy numbers plain ones."""
    if isinstance(value, (list, tuple)) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1):
        return [_value(name, v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, str) and name not in WORDS:
        try:
            value = number(value)
        except ValueError:
            return value
        return int(value) if value.is_integer() and name not in ("lam", "bias") else value
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"{name} must be a number, a word or a list of them; got {value!r}.")
    return float(value) if name in ("lam", "bias") and value is not None else value
