"""Ends of many starts and their shares: what `basins` returns, how it prints, and its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ufm.landscapes.ends import End
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.documents import Fields, read_json
from ufm.numerics.files import write_atomically
from ufm.numerics.records import own, plain
from ufm.numerics.statistics import wilson
from ufm.points import LogitPoint
from ufm.problem import Problem

COLUMNS = ("name", "count", "share", "low", "high", "fun", "rank", "distance", "first")


@dataclass(frozen=True, eq=False)
class Basin(ByContent):
    """One end: its name, how many starts went there, share = count/starts with its Wilson interval (low, high), loss and rank.

    distance, scales: of the name, as in `identify` (distance None for unnamed ends). first: lowest start that ended here.
    logits (K, K): class means with the bias. rank is None for nonlinear models.
    """

    name: str
    count: int
    share: float
    low: float
    high: float
    fun: float
    rank: int | None
    distance: float | None
    scales: tuple[float, ...]
    first: int
    logits: np.ndarray
    b: np.ndarray | None = None

    def __post_init__(self):
        own(self, "logits", "b")

    def point(self, problem: Problem) -> LogitPoint:
        """The end as a named LogitPoint (linear models)."""
        return replace(End(self.fun, self.rank, self.logits, self.b, self.count, self.first).point(problem), name=self.name)

    def row(self) -> dict:
        """One flat row, without the logits."""
        return {**{name: getattr(self, name) for name in COLUMNS}, "scales": list(self.scales)}


@dataclass(frozen=True, eq=False)
class Basins(ByContent):
    """Ends of many starts, most frequent first; iterates over them. Shares are of all finished starts.

    starts: finished ones, of `requested`. converged: those with a named or unnamed end; the others are `not_converged`, an end of their own.
    ends (starts,): place in `basins` of each start's end, -1 where it did not converge. dynamics: what was run, and what it says nothing about.
    A name that several ends carry is followed by #2, #3, ... in ascending F. `continuum(rank=r)`: ends of one loss and spectrum that no permutation
    joins, on a manifold of critical points (MSE). note: what else the file of its blocks holds.
    """

    problem: Problem
    basins: tuple[Basin, ...]
    ends: np.ndarray
    requested: int
    dynamics: str
    method: str
    space: str
    settings: dict
    rng: dict
    level: float = 0.95
    seconds: float = 0.0
    note: str = field(default="", compare=False)

    def __post_init__(self):
        own(self, "ends", "settings", "rng")

    @property
    def starts(self) -> int:
        return len(self.ends)

    @property
    def converged(self) -> int:
        return int(np.sum(self.ends >= 0))

    @property
    def not_converged(self) -> int:
        return self.starts - self.converged

    @property
    def winner(self) -> str | None:
        """Name of the most frequent end; None if no start converged."""
        return self.basins[0].name if self.basins else None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came before all the starts asked for."""
        return self.starts < self.requested

    @property
    def lowest(self) -> Basin | None:
        """The end of lowest F found: a sample, not a proof."""
        return min(self.basins, key=lambda basin: basin.fun, default=None)

    def share(self, name: str) -> tuple[float, float, float]:
        """(share, low, high) of a name; ends that nobody reached have share 0 with an interval too. `not converged` is a name."""
        count = self.not_converged if name == "not converged" else next((b.count for b in self if b.name == name), 0)
        return count / self.starts, *wilson(count, self.starts, self.level)

    def ranks(self) -> dict[int, tuple[float, float, float]]:
        """(share, low, high) of every rank reached, ascending."""
        counts: dict[int, int] = {}
        for basin in self.basins:
            counts[basin.rank] = counts.get(basin.rank, 0) + basin.count
        return {rank: (counts[rank] / self.starts, *wilson(counts[rank], self.starts, self.level)) for rank in sorted(counts)}

    def point(self, name: str) -> LogitPoint:
        """The end of a name as a LogitPoint, for `classify` and others (linear models). ValueError for a name that is not here."""
        if not self.problem.linear:
            raise ValueError(f"point needs a linear model; got activation={self.problem.activation.name!r}. Class logits are in .logits.")
        found = {basin.name: basin for basin in self.basins}
        return found[arguments.choice("name", name, found)].point(self.problem)

    def __len__(self) -> int:
        return len(self.basins)

    def __iter__(self) -> Iterator[Basin]:
        return iter(self.basins)

    def to_dict(self) -> dict:
        """The JSON shape of `ufm basins --json`."""
        return {
            "problem": self.problem.to_dict(),
            "dynamics": self.dynamics,
            "method": self.method,
            "space": self.space,
            "settings": self.settings,
            "requested": self.requested,
            "starts": self.starts,
            "converged": self.converged,
            "not_converged": self.not_converged,
            "interrupted": self.interrupted,
            "winner": self.winner,
            "level": self.level,
            "basins": [b.row() for b in self.basins],
            "rng": self.rng,
            "seconds": self.seconds,
        }

    def save(self, path) -> None:
        """Write everything, class logits and the end of every start included, as JSON."""
        logits = [basin.logits.tolist() for basin in self.basins]
        b = [None if basin.b is None else basin.b.tolist() for basin in self.basins]
        rest = {"logits": logits, "b": b, "ends": self.ends.tolist()}
        text = json.dumps({**plain(self.to_dict()), **rest}, allow_nan=False)
        write_atomically(path, lambda stream: stream.write(text.encode()))

    def __repr__(self) -> str:
        width = max([len(b.name) for b in self.basins] + [len("not converged")])
        percent = f"{100 * self.level:g}% interval"
        head = f"{'end':<{width}}  {'rank':>4}  {'F':>16}  {'count':>7}  {'share':>6}  {percent:<14}"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for b in self.basins:
            rank = "-" if b.rank is None else b.rank
            lines.append(f"{b.name:<{width}}  {rank:>4}  {b.fun:>16.12f}  {b.count:>7}  {b.share:>6.4f}  {b.low:.4f}-{b.high:.4f}")
        if self.not_converged:
            share, low, high = self.share("not converged")
            lines.append(f"{'not converged':<{width}}  {'-':>4}  {'-':>16}  {self.not_converged:>7}  {share:>6.4f}  {low:.4f}-{high:.4f}")
        some = f"interrupted after {self.starts} of {self.requested}" if self.interrupted else f"{self.starts}"
        notes = [self.note] if self.note else []
        return "\n".join([*lines, "", f"{some} starts, {self.converged} converged; rng={self.rng}", f"dynamics: {self.dynamics}", *notes])


def load(path) -> Basins:
    """The census written by `Basins.save`; ValueError naming the file and the field when it is not one."""
    data = read_json(path, "a census of basins")
    problem, K = data.take("problem", Problem.from_dict), data.fields("problem").whole("K")
    rows = data.rows("basins")
    logits, b = data.arrays("logits", len(rows), (K, K)), data.arrays("b", len(rows), (K,), none=True)
    listed = tuple(_basin(*parts, K) for parts in zip(rows, logits, b, strict=True))
    ends = data.array("ends", (None,))
    if np.any(ends != np.round(ends)) or np.any(ends < -1) or np.any(ends >= len(listed)):
        data.refuse("ends", f"must hold places in `basins`, -1 to {len(listed) - 1}")
    words = {name: data.text(name) for name in ("dynamics", "method", "space")}
    numbers = {"requested": data.whole("requested"), "level": data.real("level"), "seconds": data.real("seconds")}
    return Basins(problem, listed, ends.astype(int), settings=data.table("settings"), rng=data.table("rng"), **words, **numbers)


def _basin(row: Fields, logits, b, K: int) -> Basin:
    numbers = {name: row.real(name, none=name == "distance") for name in ("share", "low", "high", "fun", "distance")}
    whole = {"count": row.whole("count"), "rank": row.whole("rank", none=True, most=K), "first": row.whole("first")}
    scales = tuple(row.array("scales", (None,)).tolist())
    return Basin(name=row.text("name"), scales=scales, logits=logits, b=b, **numbers, **whole)
