"""The one runner: starts in chunks of bounded memory, each run by a method, their ends kept in the order of the starts.

`minimize` is a run of one row, `run_batch` of many. A row's numbers depend on its start alone: not on the chunk, the
threads or the other rows. Traces, callbacks and Ctrl-C work row by row.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ufm.numerics import interruption
from ufm.numerics.records import picked
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked, asked_at, is_zero
from ufm.points import LogitPoint
from ufm.solvers.finish import found_from, lift_near
from ufm.solvers.kinks import KinkEnd
from ufm.solvers.methods.method import Method
from ufm.solvers.result import CONVERGED, BatchResult, Intermediate, Reason, Result, Status, Trace, class_logits

KEEP = ("points", "logits", "numbers")
TRACED = 64
"""Classes up to which a trace keeps class logits."""
INTERRUPTED = Reason(Status.INTERRUPTED)


class Job:
    """What is run, and where every row ended.

    start(row) -> (x, generator): where a row begins, and its draws. given: the start as the caller gave it. index: the
    numbers of the starts.
    """

    def __init__(
        self,
        objective: FactorObjective,
        way: Method,
        tol: float,
        start: Callable,
        index,
        space: str,
        keep: str = "points",
        memory: float = 2.0**28,
        every: int = 0,
        callback=None,
        given=None,
    ):
        self.objective, self.way, self.tol, self.start, self.index = objective, way, tol, start, np.asarray(index)
        self.space, self.keep, self.memory, self.every, self.callback = space, keep, memory, every, callback
        self.given = given
        self.problem, self.host, count = objective.problem, objective.host, len(self.index)
        self.reduced = self.problem.linear and objective.collapsed and not self.problem.ridgeless
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.done, self.kinks = np.zeros((2, count), dtype=bool)
        self.fun, self.grad_norm = np.full((2, count), np.nan)
        self.asked, self.rank = np.full(count, tol), np.full(count, -1)
        self.nit, self.nfev = np.zeros((2, count), dtype=int)
        self.status, self.message = np.empty((2, count), dtype=object)
        self.status.fill(Status.UNFINISHED)
        self.message.fill(str(Status.UNFINISHED))
        self.traces = {row: Trace() for row in range(count)} if every else {}
        self.store = self._empty(count)

    def _empty(self, count: int) -> dict:
        K = self.problem.K
        if self.keep == "numbers":
            return {}
        if self.keep == "logits":
            return {"class_logits": np.full((count, K, K), np.nan)}
        if not self.reduced:
            return {"x": np.full((count, self.host.size), np.nan), "objective": self.host, "points": {}}
        bias = {} if self.problem.bias is None else {"b": np.zeros((count, K))}
        U, Vt = np.full((2, count, K, K), np.nan)
        return {"U": U, "s": np.full((count, K), np.nan), "Vt": Vt, **bias}

    def result(self, rng: dict, chunk: int, seconds: float) -> BatchResult:
        said = "problem index done fun grad_norm rank nit nfev status message asked kinks space traces"
        used = {"method": self.way.name, "settings": {"tol": self.tol, **self.way.settings}, "rng": rng}
        ran = {"device": self.objective.on.name, "chunk": chunk, "seconds": seconds}
        return BatchResult(**picked(self, said), **used, **ran, kept=self.keep, _store=self.store)

    def run(self, rows: int, threads: int = 1, bar=None) -> None:
        """Run all starts, `rows` at a time. Ctrl-C ends it; rows on their way are kept where they stand."""
        chunks = [np.arange(i, min(i + rows, len(self.index))) for i in range(0, len(self.index), rows)]
        try:
            if threads == 1 or len(chunks) == 1:
                for chunk in chunks:
                    self._run(chunk, bar)
                return
            with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
                try:
                    for future in [pool.submit(self._run, chunk, bar) for chunk in chunks]:
                        future.result()
                except BaseException:
                    self.stop.set()
                    raise
        except KeyboardInterrupt:
            interruption.pass_on()

    def _run(self, rows, bar) -> None:
        """Run some rows; one that fails is a result with a message, and is not its companions' failure."""
        if self.stop.is_set():
            return
        chunk = Chunk(self, rows, bar)
        with np.errstate(all="ignore"):
            try:
                chunk.run()
            except Halted:
                pass
            except KeyboardInterrupt:
                interruption.pass_on()
                chunk.stand(INTERRUPTED)
                raise
            except (np.linalg.LinAlgError, ArithmeticError, MemoryError) as error:
                left = rows[~self.done[rows]]
                if len(left) > 1:
                    for row in left:
                        self._run(np.array([row]), bar)
                elif isinstance(error, MemoryError):  # says nothing of the run
                    raise
                else:
                    self.status[left], self.message[left] = Status.FAILED, f"failed: {error}"
                    self.done[left], self.grad_norm[left] = True, np.inf

    # where rows end

    def end(self, rows, x, nit, nfev, reason: Reason) -> None:
        """Write down where rows ended in factors."""
        self.nit[rows], self.nfev[rows] = nit, nit + 1 if nfev is None else nfev
        if self.reduced:
            for row, one in zip(rows, x, strict=True):
                if np.isfinite(self.host.logits(one)).all():
                    end = reduced_end(self.host, one)
                    self._keep_point(row, end.point, end.fun, end.grad_norm, end.ridge_norm)
                else:
                    self.fun[row], self.grad_norm[row] = np.inf, np.inf
        else:
            x = np.ascontiguousarray(x)
            value, grad = self.host.value_grad(x)
            self.fun[rows], self.grad_norm[rows] = value, np.sqrt(np.vecdot(grad, grad))
            self.asked[rows] = asked_at(self.host, x, self.tol)
            if self.problem.linear:
                self.rank[rows] = _ranks(self.host.logits(x))
            self._keep_factors(rows, x)
        self._over(rows, reason)

    def end_at(self, row, point: LogitPoint, fun, grad_norm, ridge_norm, nit, nfev, reason: Reason, near=None) -> None:
        """Write down an end on its stratum: as it is in reduced space; in factor space lifted near x, or (near=None)
        both the point and its balanced lift."""
        self.nit[row], self.nfev[row] = nit, nfev
        if self.reduced or near is None:
            self._keep_point(row, point, fun, grad_norm, ridge_norm)
        else:
            x = lift_near(self.host, near, point)[None]
            value, grad = self.host.value_grad(x)
            self.fun[row], self.grad_norm[row], self.rank[row] = value[0], np.linalg.norm(grad[0]), point.rank
            self.asked[row] = asked(self.tol, ridge_norm)
            self._keep_factors(np.array([row]), x)
        self._over(np.array([row]), reason)

    def end_on_kinks(self, row, end, nit, nfev, reason: Reason) -> None:
        """Write down the end of a finish on kinks (`solvers.kinks.KinkEnd`)."""
        self.nit[row], self.nfev[row], self.kinks[row] = nit, nfev, True
        self.fun[row], self.grad_norm[row] = end.fun, end.clarke.residual
        self.asked[row] = asked(self.tol, end.clarke.ridge_norm)
        self._keep_factors(np.array([row]), end.x[None])
        self._over(np.array([row]), reason)

    def _over(self, rows, reason: Reason) -> None:
        """The verdict on rows whose numbers are written."""
        rows = np.asarray(rows)
        self.done[rows] = reason.status is not Status.INTERRUPTED
        self.status[rows], self.message[rows] = reason.status, str(reason)
        if reason.status is Status.CONVERGED:
            self.status[rows[~(self.grad_norm[rows] <= self.asked[rows])]] = Status.EARLY

    def _keep_point(self, row, point: LogitPoint, fun, grad_norm, ridge_norm) -> None:
        self.fun[row], self.grad_norm[row], self.rank[row] = fun, grad_norm, point.rank
        self.asked[row] = asked(self.tol, ridge_norm)
        if self.keep == "points" and self.reduced:
            store, r = self.store, point.rank
            store["U"][row], store["s"][row], store["Vt"][row] = 0.0, 0.0, 0.0
            store["U"][row, :, :r], store["s"][row, :r], store["Vt"][row, :r] = point.U, point.s, point.right.T
            if point.b is not None:
                store["b"][row] = point.b
        elif self.keep == "points":
            self.store["points"][int(row)] = point
            if point.rank <= min(shape[0] for shape in self.host.shapes[:-1]):
                self.store["x"][row] = self.host.lift(point)
        elif self.keep == "logits":
            self.store["class_logits"][row] = point.class_logits()

    def _keep_factors(self, rows, x) -> None:
        if self.keep == "points":
            self.store["x"][rows] = x
        elif self.keep == "logits":
            self.store["class_logits"][rows] = class_logits(self.host, np.ascontiguousarray(x))


def run_on(objective: FactorObjective, x, way: Method, tol: float) -> Result:
    """One run of a method from x on the given objective."""
    space = "reduced" if objective.collapsed else "factors"
    job = Job(objective, way, tol, lambda _: (x, np.random.default_rng(0)), (0,), space)
    job.run(1)
    if not job.done[0]:
        raise KeyboardInterrupt
    return job.result({}, 1, 0.0).row(0, None)


class Chunk:
    """Some rows on their way: what a method needs in order to run them, and where it reports.

    objective, X (B, size) on the host, tol, draws (a generator per row). Labels are row numbers of X.
    """

    def __init__(self, job: Job, rows: np.ndarray, bar: Any = None):
        self.job, self.rows, self.bar = job, rows, bar
        self.objective, self.problem, self.tol, self.memory = job.objective, job.problem, job.tol, job.memory
        self.watch = self._watch if job.every or job.callback is not None else None
        self._ticks, self._part = itertools.count(1), None
        self._here: tuple[Any, Any, Any, Callable | None] | None = None

    def run(self) -> None:
        starts = [self.job.start(int(row)) for row in self.rows]
        self.X, self.draws = np.stack([x for x, _ in starts]), [draw for _, draw in starts]
        self.tick(np.arange(len(self.X)), np.zeros(len(self.X), dtype=int), self.X)
        self.job.way.run(self)

    def tick(self, labels: np.ndarray, nit: int | np.ndarray, x: Any, whole: Callable | None = None) -> None:
        """Called at every step with the rows on their way; whole(labels, x) brings x to the objective's own coordinates
        if it lives in others."""
        if self.job.stop.is_set():
            raise Halted
        self._here = labels, nit, x, whole
        count = next(self._ticks)
        if self.bar is not None and count % 100 == 0:
            with self.job.lock:
                if len(self.job.index) == 1:
                    self.bar.update(int(np.max(nit)) - self.bar.n)
                elif count % 500 == 0:
                    self.bar.set_postfix_str(f"{count} steps of {len(self.rows)}")

    def alone(self) -> Iterator[Chunk]:
        """The rows one after another, each a chunk of its own."""
        for i in range(len(self.rows)):
            if self.job.stop.is_set():
                raise Halted
            self._part = Chunk(self.job, self.rows[i : i + 1], self.bar)
            self._part.X, self._part.draws = self.X[i : i + 1], self.draws[i : i + 1]
            self._part.tick(np.zeros(1, dtype=int), 0, self._part.X)
            yield self._part

    def stand(self, reason: Reason) -> None:
        """Rows on their way end where they stand."""
        if self._part is not None:
            self._part.stand(reason)
            return
        if self._here is None:
            return
        labels, nit, x, whole = self._here
        if isinstance(x, Stratum):
            self.ended_at(labels, x, nit, nit, reason)
            return
        nit = np.broadcast_to(nit, len(labels))
        open_ = ~self.job.done[self.rows[labels]]
        if open_.any():
            x = self.objective.on.take_out(x)
            x = np.array((x if whole is None else whole(labels, x))[open_])
            self.job.end(self.rows[labels[open_]], x, nit[open_], nit[open_], reason)

    def ended(
        self, labels: np.ndarray, x: Any, nit: int | np.ndarray, nfev: int | np.ndarray | None, reason: Reason
    ) -> None:
        """Rows that end in factors; nfev None: one more than steps."""
        self.job.end(self.rows[labels], self.objective.on.take_out(x), nit, nfev, reason)
        self._count(len(labels))

    def ended_at(self, label: int, end: Stratum, nit: int, nfev: int, reason: Reason) -> None:
        """A row that ends on its stratum."""
        self.job.end_at(self.rows[label], end.point, end.fun, end.grad_norm, end.ridge_norm, nit, nfev, reason)
        self._count(1)

    def ended_on_kinks(self, label: int, end: KinkEnd, nit: int, nfev: int, reason: Reason) -> None:
        """A row that was finished on kinks."""
        self.job.end_on_kinks(self.rows[label], end, nit, nfev, reason)
        self._count(1)

    def offer(
        self, labels: np.ndarray, x: Any, fun: np.ndarray, saddles: np.ndarray, nit: np.ndarray, nfev: np.ndarray
    ) -> np.ndarray:
        """Newton's finish for rows: those accepted have ended; the mask of them."""
        x, accepted = self.objective.on.take_out(x), np.zeros(len(labels), dtype=bool)
        for i, at in found_from(self.job.host, x, fun, saddles, self.tol, self.memory):
            if self.job.stop.is_set():
                raise Halted
            numbers = at.fun, at.grad_norm, at.ridge_norm, nit[i] + at.steps, nfev[i]
            self.job.end_at(self.rows[labels[i]], at.point, *numbers, CONVERGED, near=x[i])
            accepted[i] = True
        self._count(int(accepted.sum()))
        return accepted

    def _count(self, ended: int) -> None:
        if self.bar is not None and len(self.job.index) > 1:
            with self.job.lock:
                self.bar.update(ended)

    def _watch(self, labels, nit, fun, grad, x) -> np.ndarray:
        """Traces and callbacks of rows at their iterates; the mask of rows whose callback stops them."""
        stop, nit = np.zeros(len(labels), dtype=bool), np.broadcast_to(nit, len(labels))
        for i, label in enumerate(labels):
            norm = float(np.linalg.norm(grad[i]))
            every = self.job.every
            kept = every and nit[i] % every == 0 and self.problem.K <= TRACED
            logits = class_logits(self.job.host, x[i]) if kept else None
            stop[i] = self._look(label, int(nit[i]), float(fun[i]), norm, logits, np.array(x[i]), self.job.host)
        return stop

    def watch_stratum(self, label: int, nit: int, here: Stratum) -> bool:
        """The same for an iterate on its stratum."""
        self._here = label, nit, here, None
        if self.watch is None:
            return False
        kept = self.job.every and nit % self.job.every == 0 and self.problem.K <= TRACED
        logits = here.point.class_logits() if kept else None
        return self._look(label, nit, here.fun, here.grad_norm, logits, None, here)

    def _look(self, label, nit: int, fun: float, grad_norm: float, logits, x, objective) -> bool:
        job = self.job
        if job.every and nit % job.every == 0:
            job.traces[int(self.rows[label])].record(nit, fun, grad_norm, logits)
        if job.callback is not None:
            try:
                job.callback(Intermediate(nit, fun, grad_norm, x, objective))
            except StopIteration:
                return True
        return False


class Halted(Exception):
    """Another thread was interrupted."""


def reduced_end(objective: FactorObjective, x) -> Stratum:
    """Where a flat vector of the reduction stands in logits; at rank 0 where it is zero up to its own size and not
    critical besides."""
    end = Stratum(objective.to_logits(x, collapse=True, tol=1e-14))
    small = end.point.rank and end.grad_norm > asked(np.inf, end.ridge_norm) and is_zero(objective, x)
    return Stratum(objective.to_logits(x, 0, collapse=True)) if small else end


def _ranks(Z, tol: float = 1e-9) -> np.ndarray:
    """Numbers of singular values above tol times the largest."""
    fine = np.isfinite(Z).all(axis=(1, 2))
    s = np.linalg.svd(np.where(fine[:, None, None], Z, 0.0), compute_uv=False)
    return np.where(fine, np.sum((s > tol * s[:, :1]) & (s[:, :1] > 0), axis=1), -1)
