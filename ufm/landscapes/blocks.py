"""Many starts in blocks: each finished block is a row of its distinct ends, kept in memory or in a file from which the same call goes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.landscapes.ends import End, distinct
from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.records import fingerprint, plain
from ufm.numerics.rows import Store
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.problem import Problem
from ufm.solvers import choices
from ufm.solvers.batch import engine
from ufm.solvers.batch.finish import finish

NEAR = 0.05
"""How far, relative, Newton may move the class logits of a descent's end for the end to count as reached."""
LOOSE = {"loss": 1e-6, "logits": 1e-3}
"""Agreement of ends that no Newton step sharpened (nonlinear models); see `ends`."""
STORED = ("fun", "rank", "first", "count", "continuum")
"""What a row keeps of an end, besides its logits and bias."""
MACHINE = ("threads", "device", "xp", "start")
"""Settings that change no number, and the start, which is recorded as `scale`."""
BLOCK, DESCENTS = 4096, 128
"""Most starts in a block, with L-BFGS and with the other methods."""


def store_for(out, settings, scale):
    """Where blocks are kept: the file out, or memory."""
    if out is None:
        return Memory()
    if "start" in settings and scale is None:
        raise ValueError("start is a function that a file cannot record; leave out `out`, or use scale.")
    return Store(out)


class Memory:
    """Blocks of this call alone."""

    def __init__(self):
        self.rows: dict[str, dict] = {}

    def add(self, row: dict) -> None:
        self.rows[row["key"]] = row

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_) -> None:
        return None


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

    @staticmethod
    def of(problem, method, space, scale, tol, memory, rng, settings, store) -> Run:
        """Checked, with the seed of the store's blocks where none is given."""
        method = arguments.choice("method", method, engine.METHODS)
        space = choices.space_of(problem, None, method, space)
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
        return Run(problem, method, space, scale, tol, memory, record, said, settings, key)

    @property
    def exact(self) -> bool:
        """Whether ends are finished by Newton on the rank stratum."""
        return self.problem.linear

    @property
    def agreement(self) -> dict:
        """How nearly ends must agree to be one, for `ends.distinct`."""
        return {} if self.exact else LOOSE

    def blocks(self, count: int, store, progress) -> list[dict]:
        """Rows of finished blocks, in the order of their starts; what is missing is run and stored."""
        done = sorted((row for row in store.rows.values() if row.get("run") == self.key), key=lambda row: row["from"])
        todo = _missing(done, count, self._block())
        with progress_bar(total=count, initial=count - sum(map(len, todo)), desc="starts", progress=progress, unit="start") as bar:
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
        size = choices.objective_in(self.problem, self.space).size
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
        found, place = distinct(self.problem, ends, **self.agreement)
        which = np.full(len(block), -1)
        which[places] = place
        rows = [{name: plain(getattr(e, name)) for name in STORED} | {"logits": e.logits.tolist(), "b": None if e.b is None else e.b.tolist()} for e in found]
        place = {"key": f"{self.key}:{block.start}-{block.stop}", "run": self.key, "from": block.start, "to": block.stop}
        return place | {"ends": rows, "which": which.tolist()}


def _named(settings: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items() if name != "tol"}


def _missing(done: list[dict], count: int, size: int) -> list[range]:
    """The starts below count that no block holds, in blocks of at most `size`."""
    gaps, at = [], 0
    for row in done:
        gaps.append((at, min(row["from"], count)))
        at = max(at, row["to"])
    gaps.append((at, count))
    return [range(a, min(a + size, stop)) for start, stop in gaps for a in range(start, stop, size)]


def _ends(run: Run, batch) -> tuple[list[End], np.ndarray]:
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
