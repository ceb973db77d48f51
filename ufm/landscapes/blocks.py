"""Many starts in blocks: each finished block is a row of its distinct ends, kept in memory or in a file from which the
same call goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from ufm.critical.kinds import Ends, kinds
from ufm.numerics import interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.documents import Fields
from ufm.numerics.records import fingerprint, plain
from ufm.numerics.rows import Memory, Store, fields
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers import batch as batches
from ufm.solvers import starts as start_kinds
from ufm.solvers.finish import finish_all
from ufm.solvers.methods.method import METHODS, method_of

NEAR = 0.05
"""How far, relative, Newton may move the class logits of a descent's end for the end to count as reached."""
LOOSE = {"value": 1e-6, "logits": 1e-3}
"""Agreement of ends that no Newton step sharpened (nonlinear models); see `critical.kinds`."""
STORED = ("fun", "rank", "first", "count", "continuum")
"""What a row keeps of an end, besides its logits and bias."""
MACHINE = ("threads", "device", "xp", "start")
"""Settings that change no number, and the start, which is recorded as `scale`."""
BLOCK, DESCENTS = 4096, 128
"""Most starts in a block, with L-BFGS and with the other methods."""
FIRST, SECONDS = 16, 3.0
"""Starts in the first block, and how long a block should take: it is what Ctrl-C, or a kill, can lose."""
KIND = "basins"
"""What a store of blocks says it is."""


def store_for(out, settings, scale, fresh: bool = False):
    """Where blocks are kept: the file out, or memory."""
    if out is None:
        return Memory()
    if "start" in settings and scale is None:
        raise ValueError("start is a function that a file cannot record; leave out `out`, or use scale.")
    return Store(out, KIND, fresh=fresh)


@dataclass(frozen=True, eq=False)
class Run:
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
    points: dict = field(default_factory=dict, repr=False)
    """Ends of nonlinear models by the number of their start, of the blocks run in this call."""

    @staticmethod
    def of(problem, method, space, scale, tol, memory, settings) -> Run:
        """What is asked for, checked; without a seed."""
        space = start_kinds.space_of(problem, None, method, space)
        own = {name: value for name, value in settings.items() if name not in MACHINE}
        said = {**_named(method_of(method, own, problem, space).settings), "tol": tol, "scale": scale}
        key = fingerprint(plain(_cell(problem, method, space, said)))[:16]
        return Run(problem, method, space, scale, tol, memory, {}, said, settings, key)

    def seeded(self, rng, store) -> Run:
        """The same with a seed, noted in the store: that of the blocks there where none is given."""
        known = store.rows.get(self.key)
        if known:
            fields(known, getattr(store, "path", ""), rng=dict)
        record = seed_record(seed_sequence(known["rng"] if known and rng is None else rng))
        if known and plain(known["rng"]) != plain(record):
            where = repr(str(getattr(store, "path", "")))
            raise ValueError(
                f"rng must be that of the blocks in out {where}, {known['rng']}, or None; got rng={record}. --fresh"
                " (fresh=True) begins anew."
            )
        if not known:
            store.add(
                plain({"key": self.key, **_cell(self.problem, self.method, self.space, self.said), "rng": record})
            )
        return replace(self, rng=record)

    @property
    def exact(self) -> bool:
        """Whether ends are finished by Newton on the rank stratum."""
        return self.problem.linear and not self.problem.ridgeless

    @property
    def agreement(self) -> dict:
        """How nearly ends must agree to be one, for `critical.kinds`."""
        return {} if self.exact else LOOSE

    def blocks(self, count: int, store, progress) -> list[dict]:
        """Rows of finished blocks, in the order of their starts; what is missing is run and stored. Ctrl-C ends it."""
        done = sorted(
            (_checked(row, store, self.problem) for row in store.rows.values() if row.get("run") == self.key),
            key=lambda row: row["from"],
        )
        gaps, most = _missing(done, count), self._most()
        size = min(FIRST, most)
        try:
            with progress_bar(
                total=count, initial=count - sum(map(len, gaps)), desc="starts", progress=progress, unit="start"
            ) as bar:
                for gap in gaps:
                    while gap:
                        block, began = gap[:size], time.perf_counter()
                        row = self._block_row(block)
                        store.add(row)
                        done.append(row)
                        bar.update(len(block))
                        gap, size = gap[size:], _next(size, time.perf_counter() - began, most)
        except KeyboardInterrupt:
            interruption.pass_on()
        return sorted(done, key=lambda row: row["from"])

    def _most(self) -> int:
        """Most starts in a block: memory for their points."""
        size = start_kinds.objective_in(self.problem, self.space).size
        most = BLOCK if METHODS.get(self.method).finished else DESCENTS
        return int(max(1, min(most, self.memory // (64 * size))))

    def _block_row(self, block: range) -> dict:
        """The block's distinct ends; all of them, for fast starts would be over-counted in a part."""
        batch = self._batch(block)
        ends = _ends(self, batch)
        found, place = kinds(self.problem, ends, **self.agreement)
        which = np.full(len(block), -1)
        which[ends.first - block.start] = place
        if not self.problem.linear:
            self.points.update({int(i): batch.point(i - block.start) for i in found.first})
        rows = [{name: plain(getattr(found, name)[i]) for name in STORED} for i in range(len(found))]
        for i, row in enumerate(rows):
            row |= {"logits": found.logits[i].tolist(), "b": None if found.b is None else found.b[i].tolist()}
        place = {"key": f"{self.key}:{block.start}-{block.stop}", "run": self.key}
        place |= {"from": block.start, "to": block.stop}
        return place | {"ends": rows, "which": which.tolist()}

    def _batch(self, starts):
        with interruption.whole():
            how = {"tol": self.tol, "memory": self.memory, "progress": False, "keep": "points", **self.passed}
            return batches.run_batch(self.problem, starts, self.rng, self.method, self.space, **how)

    def point(self, start: int) -> FactorPoint:
        """Where a start of a nonlinear model ended: known, or run again."""
        if start not in self.points:
            self.points[start] = self._batch([start]).point(0)
        return self.points[start]


def stored_ends(row: dict, K: int) -> Ends:
    """The ends of a stored block."""
    if not row["ends"]:
        return Ends.joined([], K)
    columns = {name: np.array([end[name] for end in row["ends"]]) for name in (*STORED, "logits")}
    b = None if row["ends"][0]["b"] is None else np.array([end["b"] for end in row["ends"]])
    return Ends(b=b, **columns)


def _named(settings: dict) -> dict:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items() if name != "tol"
    }


def _cell(problem: Problem, method: str, space: str, said: dict) -> dict:
    return {"problem": problem.to_dict(), "method": method, "space": space, "settings": said}


def _checked(row: dict, store, problem: Problem) -> dict:
    """A stored block; ValueError naming the field that is damaged."""
    K = problem.K
    block = Fields(f"store {str(getattr(store, 'path', ''))!r}: row {row['key']!r}", row)
    ends, which = block.rows("ends"), block.array("which", (max(0, block.whole("to") - block.whole("from")),))
    if np.any(which != np.round(which)) or np.any(which < -1) or np.any(which >= len(ends)):
        block.refuse("which", f"must hold places in `ends`, -1 to {len(ends) - 1}")
    for end in ends:
        end.real("fun")
        end.whole("rank", none=not problem.linear, most=K)
        end.truth("continuum")
        end.array("logits", (K, K))
        for name in ("first", "count"):
            end.whole(name)
        if end.take("b") is not None:
            end.array("b", (K,))
    return row


def _missing(done: list[dict], count: int) -> list[range]:
    """The starts below count that no block holds."""
    gaps, at = [], 0
    for row in done:
        gaps.append(range(at, min(row["from"], count)))
        at = max(at, row["to"])
    return [gap for gap in (*gaps, range(at, count)) if gap]


def _next(size: int, seconds: float, most: int) -> int:
    """Starts in the next block, which should take `SECONDS`: at most four times those of the last."""
    return max(1, min(most, 4 * size, int(size * SECONDS / max(seconds, 1e-3))))


def _ends(run: Run, batch) -> Ends:
    """Ends of the rows that converged."""
    problem = run.problem
    if METHODS.get(run.method).finished or not run.exact:
        good, fun, rank, M, b = batch.success, batch.fun, batch.rank, batch.class_logits(), batch.biases()
    else:
        at = finish_all(batch, run.tol)
        good, fun, rank, M, b = at.accepted & (at.moved <= NEAR), at.fun, at.rank, at.logits, at.b
    rows = np.flatnonzero(good)
    rank = np.asarray(rank) if problem.linear else np.full(len(fun), -1)
    found = np.asarray(fun)[rows], rank[rows].astype(int), np.asarray(M)[rows]
    return Ends.of(*found, None if b is None else np.asarray(b)[rows], batch.index[rows])
