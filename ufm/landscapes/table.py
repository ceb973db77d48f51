"""The one table: critical points of a problem modulo gauge and class permutation, how each was met and how often.

Every verb that finds points returns a `Landscape` of `Row`s. A `View` says what a verb shows of it: its columns, the
lines under the table, the shape of its JSON. Rows are filled by `landscapes.gather`, which alone decides what is
critical, what is the same, and what a point is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from ufm import points
from ufm.critical.same import SAME
from ufm.landscapes import files
from ufm.landscapes.row import Row
from ufm.numerics import arguments, statistics
from ufm.numerics.content import ByContent
from ufm.numerics.hints import FileName
from ufm.numerics.records import plain
from ufm.numerics.tables import Column, Listed, data_frame, latex_table
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

SAID = {
    **{"scope": (str,), "complete": (bool,), "rng": (dict, type(None)), "left_out": (dict,), "seconds": (int, float)},
    **{"interrupted": (str,), "lower_bound": (int, float, type(None)), "note": (str,)},
}
"""What a file keeps of a table besides its rows and runs."""
NOT_CONVERGED = "not converged"
"""The name under which starts without an end are counted."""


@dataclass(frozen=True)
class View:
    """What a verb shows of its table.

    verb: its name. listed: what its rows are called in JSON. columns(table) -> Columns. foot(table) -> lines under the
    table. shape(table) -> the verb's own JSON fields; entry(table, row) -> those of a row (default: `flat`).
    by: what an integer in table[i] means, `position` or an attribute such as `rank`. winner(table): the verb's answer
    (default: the best row). counts: whether its rows are told from runs, which a file must then hold.
    """

    verb: str
    listed: str
    columns: Callable[[Landscape], list[Column]]
    foot: Callable[[Landscape], list[str]]
    shape: Callable[[Landscape], dict]
    entry: Callable[[Landscape, Row], dict] | None = None
    by: str = "position"
    winner: Callable[[Landscape], object] | None = None
    counts: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Landscape(ByContent, Listed):
    """Critical points of one problem, a row each: what `landscape`, `compare`, `profile` and `basins` return.

    problem, rows; scope: what was searched, in one sentence; complete: True only with a proof that nothing is missing;
    note: what a reader should know besides; rng: the seed that replays it;
    left_out: {structure: why it is not here}; lower_bound: of the global minimum, or None; certificates: proofs about
    the rows;
    runs: the runs behind the table (a Multistart, or what `basins` says of its starts), whose fields read as those of
    the table;
    interrupted: how far it came where Ctrl-C ended it, such as `after 7 of 20 starts`, else empty.

    Iterate over it, `len` it, index it by name or number; `where(rank=3, index=1)`, `filter`, `sort`, `minima`,
    `saddles`, `lowest_by("rank")` select; `best` is the lowest row, `winner` the verb's answer. `to_dataframe`,
    `to_latex` and the HTML of notebooks show the columns that print shows; `save` writes everything as JSON and
    `Landscape.load` reads it.
    """

    problem: Problem
    rows: tuple[Row, ...]
    view: View
    scope: str = ""
    complete: bool = False
    rng: dict | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: str = ""
    lower_bound: float | None = None
    certificates: tuple = ()
    runs: Any = None
    note: str = field(default="", compare=False)

    # what is in it

    @overload
    def __getitem__(self, which: slice) -> Landscape: ...

    @overload
    def __getitem__(self, which: str | int) -> Row: ...

    def __getitem__(self, which):
        """A row by name; by number, its place, or in a profile its rank; a slice gives a table."""
        if isinstance(which, slice):
            return replace(self, rows=self.rows[which])
        if isinstance(which, str):
            by_name = {alias: row for row in self.rows for alias in row.aliases}
            by_name |= {row.name: row for row in reversed(self.rows)}
            return by_name[arguments.choice("name", which, by_name)]
        if self.view.by == "position":
            return super().__getitem__(which)
        return self._keyed(which)

    def _keyed(self, which) -> Row:
        known = {getattr(row, self.view.by): row for row in reversed(self.rows)}
        if which not in known:
            by = self.view.by
            where = f"one of {sorted(known)}, where a critical point was found"
            raise ValueError(f"{by} must be {where}; got {by}={which!r}.")
        return known[which]

    def __contains__(self, name) -> bool:
        return any(name == row.name or name is row for row in self.rows)

    def __getattr__(self, name: str):
        runs = self.__dict__.get("runs")
        if name.startswith("__") or runs is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(runs, name)

    @property
    def points(self) -> tuple[Row, ...]:
        """The rows."""
        return self.rows

    @property
    def names(self) -> list[str]:
        return [row.name for row in self.rows]

    @property
    def hits(self) -> dict[str, int]:
        """{name: how often it was met} of the rows that were met."""
        return {row.name: row.hits for row in self.rows if row.hits}

    @property
    def minima(self) -> Landscape:
        return self.filter(lambda row: row.status == "local minimum")

    @property
    def saddles(self) -> Landscape:
        return self.filter(lambda row: row.status == "strict saddle")

    @property
    def best(self) -> Row:
        """The row of lowest value, the first among equals; the global minimum only where a proof says so."""
        lowest = min(row.fun for row in self.rows)
        return next(row for row in self.rows if row.fun <= lowest + 1e-3 * SAME * (1 + abs(lowest)))

    @property
    def winner(self) -> Any:
        """The verb's answer: the best row, or in a census the name of the most frequent end."""
        return self.view.winner(self) if self.view.winner else self.best

    @property
    def lowest(self) -> Row | None:
        """The best row, None in an empty table."""
        return self.best if self.rows else None

    @property
    def above(self) -> list[Row]:
        """Rows of a distinct value above the best one's, lowest first."""
        best = self.best.fun
        return sorted((row for row in self.rows if row.fun - best > SAME * (1 + abs(best))), key=lambda row: row.fun)

    @property
    def margin(self) -> float | None:
        """How far the next distinct value lies above the best one; None if there is none."""
        return self.above[0].fun - self.best.fun if self.above else None

    @property
    def certified(self) -> bool:
        """Whether there are certificates and all of them hold."""
        return bool(self.certificates) and all(c.holds for c in self.certificates)

    @property
    def is_global(self) -> bool:
        """Whether the best row meets the lower bound to 1e-10: a global minimum up to rounding."""
        return self.lower_bound is not None and self.best.fun - self.lower_bound <= 1e-10 * (1 + abs(self.lower_bound))

    # selection

    def filter(self, keep: Callable[[Row], bool]) -> Landscape:
        """The table of the rows for which keep(row) holds."""
        return replace(self, rows=tuple(row for row in self.rows if keep(row)))

    def where(self, **wanted: Any) -> Landscape:
        """Rows with the given attributes, for example where(rank=3, index=0)."""
        return self.filter(lambda row: all(getattr(row, name) == value for name, value in wanted.items()))

    def sort(self, key: str) -> Landscape:
        """Rows sorted by an attribute; None last."""
        ordered = sorted(self.rows, key=lambda row: (getattr(row, key) is None, getattr(row, key)))
        return replace(self, rows=tuple(ordered))

    def lowest_by(self, key: str) -> dict:
        """{value of an attribute: the lowest row that has it}, ascending: lowest_by("rank") is the table's profile."""
        found: dict = {}
        for row in self.rows:
            at = getattr(row, key)
            if at not in found or row.fun < found[at].fun:
                found[at] = row
        return dict(sorted(found.items(), key=lambda item: (item[0] is None, item[0])))

    # shares

    def share(self, name: str, level: float = 0.95) -> tuple[float, float, float]:
        """(share, low, high) of the starts that ended at a name, with Wilson's interval; a name nobody reached has
        share 0 with an interval too."""
        starts, count = self._starts(), sum(row.hits for row in self.rows if row.name == name)
        if name == NOT_CONVERGED:
            count = starts - sum(row.hits for row in self.rows)
        return statistics.share(count, starts, getattr(self.runs, "level", level))

    def shares(self, level: float = 0.95) -> dict[str, tuple[float, float, float]]:
        """{name: (share, low, high)} of the rows that were met, most frequent first, `not converged` last."""
        met = sorted((row for row in self.rows if row.hits), key=lambda row: -row.hits)
        ended = sum(row.hits for row in met)
        names = [row.name for row in met] + [NOT_CONVERGED] * (self._starts() > ended)
        return {name: self.share(name, level) for name in names}

    def ranks(self, level: float = 0.95) -> dict[int, tuple[float, float, float]]:
        """(share, low, high) of every rank reached, ascending."""
        counts: dict[int, int] = {}
        for row in self.rows:
            if row.hits:
                counts[row.rank] = counts.get(row.rank, 0) + row.hits
        starts, level = self._starts(), getattr(self.runs, "level", level)
        return {rank: statistics.share(k, starts, level) for rank, k in sorted(counts.items())}

    def _starts(self) -> int:
        if self.runs is None:
            raise ValueError("shares need starts: this table was made without runs from random starts.")
        return len(self.runs)

    # forms

    def verdict(self) -> str:
        """The last line under the table: what the verb says."""
        return (self.view.foot(self) or [""])[-1]

    def to_dict(self) -> dict:
        """The verb's JSON shape."""
        entry = self.view.entry
        rows = [entry(self, row) if entry else row.flat() for row in self.rows]
        said = {"problem": self.problem.to_dict(), self.view.listed: rows, **self.view.shape(self)}
        return plain({**said, "interrupted": bool(self.interrupted), "rng": self.rng, "seconds": self.seconds})

    def save(self, path: FileName) -> None:
        """Write the verb's own JSON and beside it every row in full, atomically; `Landscape.load` reads it. Of the runs
        behind the table the traces are not kept, nor certificates; the end of every start of a census is."""
        said = {name: getattr(self, name) for name in SAID}
        files.write(path, self.view.verb, self.to_dict(), self.view.listed, self.rows, said, self.runs)

    @staticmethod
    def load(path: FileName) -> Landscape:
        """The table written by `save`; ValueError naming the file and the field when it is not one."""
        view, problem, rows, said, runs = files.read(path, SAID)
        return Landscape(problem, rows, view, **said, runs=runs)

    def to_dataframe(self) -> Any:
        """A pandas DataFrame, one row a point, all plain fields; needs pandas."""
        return data_frame([row.flat() for row in self.rows])

    def to_latex(self) -> str:
        """The columns that are printed, as a booktabs table."""
        return latex_table(self.rows, self.view.columns(self))

    def shown(self) -> list:
        foot = self.view.foot(self)
        return [repr(self.problem), "", (self.rows, self.view.columns(self)), *([""] if foot else []), *foot]


@named_arguments
def load(path: FileName) -> Landscape | FactorPoint | LogitPoint:
    """The table written by `Landscape.save` (a .json file), else the point written by a point's `save` (.npz).

    Raises ValueError naming the file, and the field that is missing or wrong.
    """
    return Landscape.load(path) if Path(path).suffix.lower() == ".json" else points.load(path)
