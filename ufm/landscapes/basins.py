"""Who wins the basins: many starts, their ends named and counted, and the same over a parameter.

A share is a statement about a dynamics and a distribution of starts. `dynamics` says which were run: gradient descent on all factors
at width d is one thing, a descent of the exact reduction another with the same minima and other basins.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ufm.critical.identify import identify
from ufm.landscapes.ends import End, distinct
from ufm.landscapes.merge import free_name
from ufm.numerics import arguments
from ufm.numerics.files import write_atomically
from ufm.numerics.records import fingerprint, plain
from ufm.numerics.rows import Store
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.statistics import wilson
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers import starts as start_kinds
from ufm.solvers.batch import engine
from ufm.solvers.batch.finish import finish

NEAR = 0.05
"""How far, relative, Newton may move the class logits of a descent's end for the end to count as reached."""
LOOSE = {"loss": 1e-6, "logits": 1e-3}
"""Agreement of ends that no Newton step sharpened (nonlinear models); see `ends`."""


@dataclass(frozen=True, eq=False)
class Basin:
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


@dataclass(frozen=True, eq=False)
class Basins:
    """Ends of many starts, most frequent first; iterates over them. Shares are of all finished starts.

    starts: finished ones, of `requested`. converged: those with a named or unnamed end; the others are `not_converged`, an end of their own.
    ends (starts,): place in `basins` of each start's end, -1 where it did not converge. dynamics: what was run, and what it says nothing about.
    A name that several ends carry is followed by #2, #3, ... in ascending F. `continuum(rank=r)`: ends of one loss and spectrum that no permutation
    joins, on a manifold of critical points (MSE).
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
        basin = found[arguments.choice("name", name, found)]
        return replace(_end(basin).point(self.problem), name=name)

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
            "winner": self.winner,
            "level": self.level,
            "basins": [_row(b) for b in self.basins],
            "rng": self.rng,
            "seconds": self.seconds,
        }

    def save(self, path) -> None:
        """Write everything, class logits and the end of every start included, as JSON."""
        rest = {"logits": [b.logits.tolist() for b in self.basins], "b": [_listed(b.b) for b in self.basins], "ends": self.ends.tolist()}
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
        some = f" of {self.requested}" if self.starts < self.requested else ""
        return "\n".join([*lines, "", f"{self.starts}{some} starts, {self.converged} converged; rng={self.rng}", f"dynamics: {self.dynamics}"])


COLUMNS = ("name", "count", "share", "low", "high", "fun", "rank", "distance", "first")


def _row(basin: Basin) -> dict:
    return {**{name: getattr(basin, name) for name in COLUMNS}, "scales": list(basin.scales)}


def basins(
    problem: Problem,
    starts: int = 1000,
    rng=None,
    method: str = "lbfgs",
    space: str | None = None,
    *,
    scale: float | None = None,
    tol: float = 1e-9,
    memory: float = 2**26,
    level: float = 0.95,
    progress: bool | None = None,
    out=None,
    **settings,
) -> Basins:
    """Shares of the ends of `starts` runs from random starts, ends named and told apart modulo class permutation.

    method, space and settings (lr, momentum, batch, betas, steps, max_steps, device, threads, ...) as in `solvers.batch.engine.run_batch`: `lbfgs` runs by
    default on the exact reduction, which has the minima of the problem but not the basins of gradient descent; `gd` and `adam` run on all parameters.
    scale: standard deviation of the Gaussian start (None: 1/sqrt(width) of the factors that are run).

    A start counts as converged if its end, finished by Newton on the rank stratum, has gradient norm at most tol, no larger F and no direction
    of descent, and lies within a relative distance of 0.05 of where the descent stopped (class logits; linear models). Others are counted apart.
    Ends are one if loss, rank and, up to a permutation of the classes, all class logits agree; near losses alone make nothing one.

    L-BFGS keeps `PAIRS` pairs here and 10 in `minimize`: pass pairs=10 for the ends of `multistart` with the same seed.
    Work is done in blocks of bounded memory. out: a JSON-lines file of finished blocks, so that the same call goes on after Ctrl-C, a kill, or with
    more starts; it may hold several problems. Ctrl-C returns the finished blocks (never part of one: fast starts would be over-counted), and is
    passed on if there are none.

    >>> census = basins(Problem(K=4, L=2, lam=0.02), starts=50, rng=0)
    >>> census.winner, census.starts, census.converged
    ('pairs', 50, 50)

    Raises ValueError for unknown arguments, and for an `out` whose blocks were made with another seed. Source: gk25 (Figures 2 and 5), wilson27.
    """
    arguments.instance("problem", problem, Problem)
    count = arguments.integer("starts", starts, 1)
    tol, level = arguments.positive("tol", tol), arguments.real("level", level)
    wilson(0, 1, level)
    if scale is not None:
        settings["start"] = start_kinds.gaussian(scale)
    if method == "lbfgs":
        settings.setdefault("pairs", PAIRS)
    began = time.perf_counter()
    with _store(out, settings, scale) as store:
        run = _Run.of(problem, method, space, scale, tol, memory, rng, settings, store)
        blocks = run.blocks(count, store, progress)
    if not blocks:
        raise KeyboardInterrupt
    return replace(_count(run, blocks, count, level), seconds=time.perf_counter() - began)


def _store(out, settings, scale):
    if out is None:
        return _Memory()
    if "start" in settings and scale is None:
        raise ValueError("start is a function that a file cannot record; leave out `out`, or use scale.")
    return Store(out)


class _Memory:
    """Blocks of this call alone."""

    def __init__(self):
        self.rows: dict[str, dict] = {}

    def add(self, row: dict) -> None:
        self.rows[row["key"]] = row

    def __enter__(self) -> _Memory:
        return self

    def __exit__(self, *_) -> None:
        return None


@dataclass(frozen=True, eq=False)
class _Run:
    """What is run, and the key under which its blocks are stored."""

    problem: Problem
    method: str
    space: str
    scale: float | None
    tol: float
    memory: float
    rng: dict
    said: dict
    passed: dict
    key: str

    @staticmethod
    def of(problem, method, space, scale, tol, memory, rng, settings, store) -> _Run:
        """Checked, with the seed of the store's blocks where none is given."""
        method = arguments.choice("method", method, engine.METHODS)
        space = engine.single._space(problem, None, "gd" if method == "adam" else method, space)
        own = {name: value for name, value in settings.items() if name not in MACHINE}
        said = {**_named(engine.checked_settings(method, own, problem, space)), "tol": tol, "scale": scale}
        cell = {"problem": problem.to_dict(), "method": method, "space": space, "settings": said}
        key = fingerprint(plain(cell))[:16]
        known = store.rows.get(key)
        record = seed_record(seed_sequence(known["rng"] if known and rng is None else rng))
        if known and plain(known["rng"]) != plain(record):
            raise ValueError(f"rng must be that of the blocks in out, {known['rng']}, or None; got rng={record}.")
        if not known:
            store.add(plain({"key": key, **cell, "rng": record}))
        return _Run(problem, method, space, scale, tol, memory, record, said, settings, key)

    @property
    def exact(self) -> bool:
        """Whether ends are finished by Newton on the rank stratum."""
        return self.problem.linear

    def blocks(self, count: int, store, progress) -> list[dict]:
        """Rows of finished blocks, in the order of their starts; what is missing is run and stored."""
        from tqdm import tqdm

        done = sorted((row for row in store.rows.values() if row.get("run") == self.key), key=lambda row: row["from"])
        todo = _missing(done, count, self._block())
        with tqdm(total=count, initial=count - sum(map(len, todo)), desc="starts", delay=2, leave=False, disable=_hidden(progress), unit="start") as bar:
            for block in todo:
                try:
                    row = self._block_row(block)
                except KeyboardInterrupt:
                    break
                if row is None:
                    break
                store.add(row)
                done.append(row)
                bar.update(len(block))
        return sorted(done, key=lambda row: row["from"])

    def _block(self) -> int:
        """Starts per block: seconds of work, and memory for their points."""
        size = engine.single._objective(self.problem, self.space).size
        most = BLOCK if self.method == "lbfgs" else DESCENTS
        return int(max(1, min(most, self.memory // (64 * size))))

    def _block_row(self, block: range) -> dict | None:
        """The block's distinct ends, or None if Ctrl-C cut it short."""
        batch = engine.run_batch(
            self.problem, block, self.rng, self.method, self.space, tol=self.tol, memory=self.memory, progress=False, keep="points", **self.passed
        )
        if not batch.done.all():
            return None
        ends, places = _ends(self, batch)
        found, place = distinct(self.problem, ends, **({} if self.exact else LOOSE))
        which = np.full(len(block), -1)
        which[places] = place
        rows = [{name: plain(getattr(e, name)) for name in STORED} | {"logits": e.logits.tolist(), "b": _listed(e.b)} for e in found]
        place = {"key": f"{self.key}:{block.start}-{block.stop}", "run": self.key, "from": block.start, "to": block.stop}
        return place | {"ends": rows, "which": which.tolist()}


STORED = ("fun", "rank", "first", "count", "continuum")
MACHINE = ("threads", "device", "xp", "start")
"""Settings that change no number, and the start, which is recorded as `scale`."""
BLOCK = 4096
DESCENTS = 128


def _hidden(progress: bool | None) -> bool | None:
    return None if progress is None else not progress


def _named(settings: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items() if name != "tol"}


def _listed(b):
    return None if b is None else b.tolist()


def _missing(done: list[dict], count: int, size: int) -> list[range]:
    """The starts below count that no block holds, in blocks of at most `size`."""
    gaps, at = [], 0
    for row in done:
        gaps.append((at, min(row["from"], count)))
        at = max(at, row["to"])
    gaps.append((at, count))
    return [range(a, min(a + size, stop)) for start, stop in gaps for a in range(start, stop, size)]


def _ends(run: _Run, batch) -> tuple[list[End], np.ndarray]:
    """(ends of the rows that converged, their rows)."""
    problem = run.problem
    if run.method == "lbfgs" or not run.exact:
        good, fun, rank, M, b = batch.success, batch.fun, batch.rank, batch.class_logits(), batch.biases()
    else:
        at = finish(batch, run.tol)
        good, fun, rank, M, b = at.accepted & (at.moved <= NEAR), at.fun, at.rank, at.logits, at.b
    rows = np.flatnonzero(good)
    index = batch.index
    rank = rank if problem.linear else np.full(len(rank), -1)
    return [End(float(fun[i]), int(rank[i]), M[i], None if b is None else b[i], 1, int(index[i])) for i in rows], rows


def _count(run: _Run, blocks: list[dict], count: int, level: float) -> Basins:
    """Ends of all blocks joined, named and counted; starts beyond `count` are left out."""
    everyone, which = [], []
    for row in blocks:
        inside = np.array(row["which"][: max(0, count - row["from"])], dtype=int)
        which.append(np.where(inside >= 0, inside + len(everyone), -1))
        hits = np.bincount(inside[inside >= 0], minlength=len(row["ends"]))
        everyone += [
            End(e["fun"], e["rank"], np.array(e["logits"]), None if e["b"] is None else np.array(e["b"]), int(hit), e["first"], e["continuum"])
            for e, hit in zip(row["ends"], hits, strict=True)
        ]
    which = np.concatenate(which) if which else np.zeros(0, dtype=int)
    seen = np.flatnonzero([end.count > 0 for end in everyone])
    found, place = distinct(run.problem, [everyone[i] for i in seen], **({} if run.exact else LOOSE))
    number = np.full(len(everyone) + 1, -1)
    number[seen] = place
    listed = _named_ends(run.problem, found, len(which), level)
    order = sorted(range(len(listed)), key=lambda i: (-listed[i].count, listed[i].fun))
    rank = np.full(len(listed) + 1, -1)
    rank[order] = np.arange(len(order))
    said = dynamics(run.problem, run.method, run.space, run.said), run.method, run.space, run.said, run.rng, level
    return Basins(run.problem, tuple(listed[i] for i in order), rank[number[which]], count, *said)


def _named_ends(problem: Problem, found: list[End], total: int, level: float) -> list[Basin]:
    """Basins of distinct ends in ascending F."""
    result, taken = [], set()
    for end in found:
        if end.continuum:
            name, distance, scales = f"continuum(rank={end.rank})", None, ()
        else:
            who = identify(end.point(problem) if problem.linear else end.logits)
            name, distance, scales = who.name, who.distance, who.scales
        name = free_name(name, taken)
        taken.add(name)
        rank = end.rank if problem.linear else None
        share = end.count / total, *wilson(end.count, total, level)
        result.append(Basin(name, end.count, *share, end.fun, rank, distance, scales, end.first, end.logits, end.b))
    return result


def _end(basin: Basin) -> End:
    return End(basin.fun, basin.rank, basin.logits, basin.b, basin.count, basin.first)


def dynamics(problem: Problem, method: str, space: str, settings: dict) -> str:
    """One sentence: what was run, from which starts, and what its shares say nothing about."""
    objective = engine.single._objective(problem, space)
    width = max(shape[0] for shape in objective.shapes[:-1])
    scale = settings.get("scale")
    begin = f"Gaussian starts of scale {scale:g}" if scale is not None else "Gaussian starts of scale 1/sqrt(width)"
    ran = {"lbfgs": "L-BFGS", "gd": "gradient descent", "adam": "Adam"}[method]
    if method != "lbfgs":
        ran += f" (lr={settings['lr']:g}" + (f", momentum={settings['momentum']:g}" if settings.get("momentum") else "")
        ran += (f", batches of {settings['batch']}" if settings.get("batch") else "") + f", at most {settings['steps']} steps)"
    end = "; ends finished by Newton on the rank stratum" if problem.linear else ""
    if space == "factors":
        return f"{ran} at width {_widths(problem)} in all {objective.size} parameters, {begin}{end}"
    what = "class means" + (f" and width {width}" if problem.linear else "")
    return (
        f"{ran} on the exact reduction of minima to {what} ({objective.size} parameters), {begin}{end}"
        f" (says nothing of basins of gradient descent at width {_widths(problem)})"
    )


def _widths(problem: Problem) -> str:
    return str(problem.d) if isinstance(problem.d, int) else ",".join(map(str, problem.d))


def load(path) -> Basins:
    """The census written by `Basins.save`; ValueError naming the file when it is not one."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        listed = []
        for row, logits, b in zip(data["basins"], data["logits"], data["b"], strict=True):
            row = {**row, "scales": tuple(row["scales"])}
            listed.append(Basin(**row, logits=np.array(logits), b=None if b is None else np.array(b)))
        said = (data[name] for name in ("requested", "dynamics", "method", "space", "settings", "rng", "level", "seconds"))
        return Basins(Problem.from_dict(data["problem"]), tuple(listed), np.array(data["ends"], dtype=int), *said)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"file {str(path)!r} does not hold a census of basins: {error}") from None


@dataclass(frozen=True, eq=False)
class Census:
    """Basins over one parameter: `values[i]` gave `cells[i]`.

    Cells run equal starts where shapes agree, so they are not independent of each other. Names join cells: of `unnamed(...)` and
    of #2, #3 that says little, `logits` of the cells say what was found.
    """

    over: str
    values: tuple
    cells: tuple[Basins, ...]
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
        return {rank: np.array([cell.get(rank, none) for cell, none in zip(found, nobody, strict=True)]) for rank in known}

    def table(self) -> list[dict]:
        """One flat row per value and end, `not converged` included where there are any."""
        rows = []
        for value, cell in zip(self.values, self.cells, strict=True):
            rows += [{self.over: value, **_row(b)} for b in cell]
            if cell.not_converged:
                share, low, high = cell.share("not converged")
                rows.append({self.over: value, "name": "not converged", "count": cell.not_converged, "share": share, "low": low, "high": high})
        return rows

    def to_dict(self) -> dict:
        """The JSON shape of `ufm basins --over ... --json`."""
        return {"over": self.over, "values": list(self.values), "requested": list(self.requested), "cells": [cell.to_dict() for cell in self.cells]}

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[tuple]:
        return iter(zip(self.values, self.cells, strict=True))

    def __repr__(self) -> str:
        if not self.cells:
            return f"Census over {self.over}: no value of {len(self.requested)} finished"
        shown, rest = self.names[:SHOWN], self.names[SHOWN:]
        columns = [*shown, *([f"{len(rest)} more"] if rest else []), *(["not converged"] if any(c.not_converged for c in self.cells) else [])]
        values = [_text(value) for value in self.values]
        widths = [max(len(name), len("100.0 (100.0-100.0)")) for name in columns]
        first = max([len(self.over), *map(len, values)])
        head = "  ".join([f"{self.over:>{first}}", f"{'starts':>7}", *(f"{name:>{w}}" for name, w in zip(columns, widths, strict=True))])
        lines = [repr(self.cells[0].problem), "", head, "-" * len(head)]
        for value, cell in zip(values, self.cells, strict=True):
            texts = [_percent(cell, [name] if name not in (f"{len(rest)} more",) else rest) for name in columns]
            lines.append("  ".join([f"{value:>{first}}", f"{cell.starts:>7}", *(f"{t:>{w}}" for t, w in zip(texts, widths, strict=True))]))
        left = f"; {len(self.requested) - len(self.cells)} values not finished" if len(self.cells) < len(self.requested) else ""
        said = dict.fromkeys(cell.dynamics for cell in self.cells)
        return "\n".join([*lines, "", f"percent of starts ({100 * self.cells[0].level:g}% intervals){left}", *(f"dynamics: {one}" for one in said)])


SHOWN = 6


def _percent(cell: Basins, names: list[str]) -> str:
    count = cell.not_converged if names == ["not converged"] else sum(b.count for b in cell if b.name in names)
    low, high = wilson(count, cell.starts, cell.level)
    return f"{100 * count / cell.starts:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


FIELDS = ("K", "n", "d", "L", "lam", "loss", "activation", "bias")


def census(problem: Problem, over: dict, starts: int = 1000, rng=None, *, out=None, progress: bool | None = None, **options) -> Census:
    """`basins` at every value of one parameter: over={"d": [20, 40, 70]}, {"lam": [...]}, {"scale": [...]}, {"lr": [...]}, {"method": [...]}, ...

    A field of the problem replaces the problem's; anything else is an option of `basins`. Every value uses the seed `rng`, so that one value alone gives
    the same numbers. out: as in `basins`, one file for all values. Ctrl-C keeps the values that have finished blocks.

    >>> found = census(Problem(K=4, L=2, lam=0.02), {"lam": [0.01, 0.02]}, starts=30, rng=0)
    >>> [cell.converged for _, cell in found]
    [30, 30]

    Raises ValueError before any work for parameters and values that cannot be used.
    """
    arguments.instance("problem", problem, Problem)
    if not isinstance(over, dict) or len(over) != 1:
        raise ValueError(f"over must name one parameter and its values, such as {{'d': [20, 40, 70]}}; got over={over!r}.")
    ((name, values),) = over.items()
    if isinstance(values, str) or not np.iterable(values) or not len(values := list(values)):
        raise ValueError(f"over must give a list of values for {name}; got over={over!r}.")
    if name in options:
        raise ValueError(f"{name} is given both in over and by itself.")
    cells = [_cell(problem, name, value, options) for value in values]
    found, record = [], None if rng is None else seed_record(seed_sequence(rng))
    for at, given in cells:
        try:
            one = basins(at, starts, record, progress=progress, out=out, **given)
        except KeyboardInterrupt:
            break
        found.append(one)
        record = record or one.rng
        if one.starts < one.requested:
            break
    return Census(name, tuple(values[: len(found)]), tuple(found), tuple(values))


def _cell(problem: Problem, name: str, value, options: dict):
    """(problem, options of basins) at one value."""
    if name in FIELDS:
        return replace(problem, **{name: tuple(value) if isinstance(value, list) else value}), options
    given = {**options, name: value}
    method = arguments.choice("method", given.get("method", "lbfgs"), engine.METHODS)
    if name not in ("method", "space", "scale", "tol", "starts"):
        engine.checked_settings(method, {k: v for k, v in given.items() if k not in OWN and k not in MACHINE}, problem, _space(problem, given))
    elif name == "scale" and value is not None:
        arguments.positive("scale", value)
    return problem, given


def _space(problem: Problem, given: dict) -> str:
    method = given.get("method", "lbfgs")
    return engine.single._space(problem, None, "gd" if method == "adam" else method, given.get("space"))


PAIRS = 2
"""Stored pairs of L-BFGS in a census: in a batch, short histories are cheaper (0.9 s against 1.4 s for 1000 starts of Figure 1)."""
OWN = ("method", "space", "scale", "tol", "memory", "level")
