"""Thousands of starts as one call: chunks in bounded memory, results in the order of their starts.

Start i draws from child i of the seed and its numbers depend on nothing else: not on the chunk, the threads, the number
of starts or the other starts. They are those of `minimize` with the same child.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ufm.numerics import arguments, interruption
from ufm.numerics.arrays import Arrays, namespace
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child, generator, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.objectives.clarke import merged
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.objectives.rows import BatchObjective
from ufm.objectives.stationary import asked, asked_at
from ufm.points import LogitPoint, held_point
from ufm.problem import Problem
from ufm.solvers import choices, messages
from ufm.solvers import lbfgs as single_lbfgs
from ufm.solvers.batch import newton
from ufm.solvers.batch.lbfgs import lbfgs
from ufm.solvers.batch.result import BatchResult, class_logits
from ufm.solvers.descent import descend, narrow
from ufm.solvers.kinks import finished_on_kinks
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import Method, method_of
from ufm.solvers.minimize import minimize, reduced_end
from ufm.solvers.newton import FORMED, newton_on_factors

KEEP = ("points", "logits", "numbers")


@own_numpy_state
def run_batch(
    problem: Problem,
    starts: int | Sequence[int] = 100,
    rng=None,
    method: str = "lbfgs",
    space: str | None = None,
    *,
    start=None,
    tol: float = 1e-12,
    memory: float = 2**28,
    threads: int | None = None,
    device=None,
    xp=None,
    keep: str = "points",
    progress: bool | None = None,
    **settings,
) -> BatchResult:
    """Many independent descents of F(W_L, ..., W_1, H_1), row i from child i of the seed.

    starts: how many, or the numbers of the starts to run (`range(1000, 2000)` is the second thousand of the same run).
    method, space, start, tol and settings are those of `minimize`, whose result for the same child is row i's.
    memory: bytes of working arrays, from which chunks of starts are
    cut (results are kept besides; see `keep`).
    threads: chunks at a time on numpy (default 1; more pay only where one chunk is large). device, xp: see
    `arrays.namespace`; Newton's last steps run in numpy. keep: `points`, `logits` (class logits only) or `numbers`.

    Returns a BatchResult; divergence and failure are rows with a message. Ctrl-C returns what was finished.
    Raises ValueError for unknown arguments and for losses or activations that the device does not know.

    >>> from ufm.problem import Problem
    >>> run = run_batch(Problem(K=4, L=2, lam=0.02), starts=20, rng=0)
    >>> len(run), bool(run.success.all()), bool(run.fun.min() <= 0.37)
    (20, True, True)
    """
    arguments.instance("problem", problem, Problem)
    index = _indices(starts)
    start = held_point(start) or start
    space = choices.space_of(problem, start, method, space)
    way = method_of(method, settings, problem, space)
    settings = {"tol": arguments.positive("tol", tol), **way.settings}
    arguments.choice("keep", keep, KEEP)
    memory = arguments.positive("memory", memory)
    on = namespace(device, xp)
    threads = _threads(threads, on)
    seed = seed_sequence(rng)
    choices.check_start(problem, start)
    objective = BatchObjective(choices.objective_in(problem, space), on)
    rows = _rows(objective, way, memory / threads, len(index), threads)
    job = _Job(objective, way, settings, seed, choices.start_of(start), memory / threads, keep, index, space, rows)
    bar = progress_bar(total=len(index), desc="starts", progress=progress, unit="start")
    began = time.perf_counter()
    with bar:
        job.run(threads, bar)
    return job.result(time.perf_counter() - began)


def _indices(starts) -> np.ndarray:
    if isinstance(starts, (range, list, tuple, np.ndarray)):
        return np.array([arguments.integer("starts", i, 0) for i in starts], dtype=int)
    return np.arange(arguments.count("starts", starts, 1))


def _threads(threads, on: Arrays) -> int:
    """One by default: on two idle cores two threads were slower (1.6 s against 1.4 s, 12 s against 7 s), the calls
    being short."""
    return 1 if threads is None or not on.host else arguments.integer("threads", threads, 1)


def _rows(objective: BatchObjective, way: Method, memory: float, count: int, threads: int) -> int:
    """Starts per chunk: as many as `memory` holds, and on numpy no more than keep the processors busy and their caches
    warm."""
    size, columns = objective.single.size, len(objective.single.fit.columns.weight)
    arrays = 12 + (4 * way.pairs if way.name == "lbfgs" else 4)
    each = 8 * (arrays * size + 20 * objective.problem.K * columns)
    rows = max(1, int(memory // each))
    if objective.on.host:
        rows = min(rows, max(ROWS, int(CACHE // each)))
    chunks = -(-count // rows)
    chunks = min(count, -(-chunks // threads) * threads)
    return -(-count // chunks)


ROWS, CACHE = 64, 2**26  # a chunk on numpy: at least so many rows, beyond that so many bytes


class _Job:
    """One call of run_batch: cuts chunks, runs them, and keeps what ended."""

    def __init__(self, objective, way, settings, seed, start, memory, keep, index, space, rows):
        self.objective, self.way, self.settings, self.seed, self.start = objective, way, settings, seed, start
        self.memory, self.keep, self.index, self.space, self.rows = memory, keep, index, space, rows
        self.problem, count = objective.problem, len(index)
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.done, self.rank = np.zeros(count, dtype=bool), np.full(count, -1)
        self.fun, self.grad_norm = np.full(count, np.nan), np.full(count, np.nan)
        self.asked = np.full(count, self.settings["tol"])
        self.nit, self.nfev = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
        self.message = np.full(count, "not finished", dtype=object)
        self.reduced = self.problem.linear and objective.single.collapsed
        self.host = BatchObjective(objective.single, namespace())
        self.store = self._empty(count)

    def _empty(self, count: int) -> dict:
        K = self.problem.K
        if self.keep == "numbers":
            return {}
        if self.keep == "logits":
            return {"class_logits": np.full((count, K, K), np.nan)}
        if not self.reduced:
            return {"x": np.full((count, self.objective.single.size), np.nan), "objective": self.objective.single}
        bias = {} if self.problem.bias is None else {"b": np.zeros((count, K))}
        return {
            "U": np.full((count, K, K), np.nan),
            "s": np.full((count, K), np.nan),
            "Vt": np.full((count, K, K), np.nan),
            **bias,
        }

    def result(self, seconds: float) -> BatchResult:
        arrays = (
            self.index,
            self.done,
            self.fun,
            self.grad_norm,
            self.rank,
            self.nit,
            self.nfev,
            self.message,
            self.asked,
        )
        said = (
            self.way.name,
            self.space,
            self.settings,
            seed_record(self.seed),
            self.objective.on.name,
            self.rows,
            seconds,
            self.keep,
        )
        return BatchResult(self.problem, *arrays, *said, self.store)

    def run(self, threads: int, bar) -> None:
        chunks = [np.arange(i, min(i + self.rows, len(self.index))) for i in range(0, len(self.index), self.rows)]
        try:
            if threads == 1 or len(chunks) == 1:
                for chunk in chunks:
                    self._chunk(chunk, bar)
                return
            with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
                try:
                    for future in [pool.submit(self._chunk, chunk, bar) for chunk in chunks]:
                        future.result()
                except BaseException:
                    self.stop.set()
                    raise
        except KeyboardInterrupt:
            interruption.pass_on()

    def _chunk(self, rows, bar) -> None:
        """Run some rows; one that cannot even start is a result with a message."""
        if self.stop.is_set():
            return
        draws = [generator(child(self.seed, int(i))) for i in self.index[rows]]
        with np.errstate(all="ignore"):
            try:
                if self.one_by_one:
                    self._alone(rows, bar)
                else:
                    X = np.stack([self.start(self.objective.single, draw) for draw in draws])
                    self._descend(X, draws, rows, bar)
            except _Halted:
                pass
            except (np.linalg.LinAlgError, ArithmeticError, MemoryError) as error:
                left = rows[~self.done[rows]]
                if len(left) > 1:  # one row's failure must not be its companions'
                    for row in left:
                        self._chunk(np.array([row]), bar)
                elif isinstance(error, MemoryError):  # says nothing of the run
                    raise
                else:
                    self.message[left], self.done[left], self.grad_norm[left] = f"failed: {error}", True, np.inf

    @property
    def one_by_one(self) -> bool:
        """No batch of equal shapes can follow: so large that `minimize` changes to factors of the rank's width on its
        way, or finished on kinks."""
        if self.way.name != "lbfgs":
            return not isinstance(self.way, Descent)
        if not self.objective.on.host:
            return False
        return (self.reduced and self.objective.single.size > single_lbfgs.WIDE) or finished_on_kinks(
            self.problem, self.settings["max_steps"]
        )

    def _alone(self, rows, bar) -> None:
        """`minimize` for each row."""
        settings = {name: value for name, value in self.settings.items() if name != "tol"}
        for row in rows:
            if self.stop.is_set():
                return
            seed = child(self.seed, int(self.index[row]))
            run = minimize(
                self.problem,
                self.start,
                self.way.name,
                seed,
                self.settings["tol"],
                space=self.space,
                progress=False,
                **settings,
            )
            if run.interrupted:
                raise KeyboardInterrupt
            p = run.point
            self.fun[row], self.grad_norm[row], self.nit[row], self.nfev[row] = (
                run.fun,
                run.grad_norm,
                run.nit,
                run.nfev,
            )
            self.message[row], self.done[row] = "converged" if run.success else messages.reason(run.message), True
            self.asked[row] = run.asked
            if self.reduced:
                self.rank[row] = p.rank
                self._keep_logits(row, p.U, p.s, p.right.T, p.b)
            else:
                if isinstance(p, LogitPoint):
                    x = self.objective.single.lift(p)
                    self.rank[row] = p.rank
                else:
                    x = merged(p)[1] if self.objective.single.collapsed else objective_of(p)[1]
                self._keep_factors(np.array([row]), x[None])
            with self.lock:
                bar.update()

    def _descend(self, X, draws, rows, bar) -> None:
        on, tol, ticks = self.objective.on, self.settings["tol"], itertools.count(1)

        def tick():
            if self.stop.is_set():
                raise _Halted
            count = next(ticks)
            if count % 500 == 0:
                with self.lock:
                    bar.set_postfix_str(f"{count} steps of {len(rows)}")

        def write(labels, x, nit, nfev, sentence):
            self._ended(rows[labels], x, nit, nit + 1 if nfev is None else nfev, sentence)
            with self.lock:
                bar.update(len(labels))

        if self.way.name == "lbfgs":

            def offer(labels, x, fun, last, nit, nfev):
                accepted = self._offer(rows[labels], on.take_out(x), fun, last, nit, nfev)
                with self.lock:
                    bar.update(int(accepted.sum()))
                return accepted

            def ended(labels, x, *said):
                write(labels, on.take_out(x), *said)

            lbfgs(self.objective, on.put_in(X), tol, self.way.max_steps, self.way.pairs, ended, offer, tick)
            return
        spans = getattr(self.way, "spans", False) and self.way.decay == "coupled"
        objective, X, lift = narrow(self.objective, X) if spans else (self.objective, X, None)

        def ended(labels, x, *said):
            x = on.take_out(x)
            write(labels, x if lift is None else lift(labels, x), *said)

        descend(objective, on.put_in(X), self.way, tol, draws, ended, tick)

    def _offer(self, rows, x, fun, last, nit, nfev) -> np.ndarray:
        """Newton on the rank stratum; accepted rows are written down as converged."""
        problem, objective = self.problem, self.objective.single
        K, (_, b) = problem.K, self.host.unpack(x)
        dimension = K * K + (0 if b is None else K)
        if dimension > FORMED or not (objective.collapsed or problem.loss.convex):
            return self._offer_one_by_one(rows, x, fun, last, nit, nfev)
        Z = self._class_columns(x)
        block = max(1, int(min(self.memory, BLOCK) // (8 * (6 * dimension**2 + 4 * K**3))))
        ends = newton.finish(problem, Z, b, fun, self.settings["tol"], last, block)
        good = np.flatnonzero(ends.accepted)
        for i in good:
            self._write(rows[i], ends.points[i], ends.fun[i], ends.grad_norm[i], x[i])
            self.nit[rows[i]], self.nfev[rows[i]] = nit[i] + ends.steps[i], nfev[i]
            self.message[rows[i]], self.done[rows[i]] = "converged", True
        return ends.accepted

    def _offer_one_by_one(self, rows, x, fun, last, nit, nfev) -> np.ndarray:
        accepted = np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows):
            if self.stop.is_set():
                raise _Halted
            stratum, steps = single_lbfgs.finish(
                self.objective.single, x[i], fun[i], self.settings["tol"], accept_saddle=bool(last[i])
            )
            if stratum is not None:
                p = stratum.point
                self._write(row, (p.U, p.s, p.right.T, p.b), stratum.fun, stratum.grad_norm, x[i], p)
                self.nit[row], self.nfev[row], self.message[row], self.done[row] = (
                    nit[i] + steps,
                    nfev[i],
                    "converged",
                    True,
                )
                accepted[i] = True
        return accepted

    def _write(self, row, found, fun, grad_norm, x, point=None) -> None:
        """Write down an accepted end (U, s, Vt, b): as it is in reduced space, lifted near x in factor space."""
        U, s, Vt, b = found
        self.rank[row] = len(s)
        point = LogitPoint(self.problem, U, s, Vt.T, b) if point is None else point
        self.asked[row] = asked(self.settings["tol"], Stratum(point).ridge_norm)
        if self.reduced:
            self.fun[row], self.grad_norm[row] = fun, grad_norm
            self._keep_logits(row, U, s, Vt, b)
            return
        lifted = single_lbfgs.lift_near(self.objective.single, x, point)[None]
        value, grad = self.host.value_grad(lifted)
        self.fun[row], self.grad_norm[row] = value[0], np.linalg.norm(grad[0])
        self._keep_factors(np.array([row]), lifted)

    def _ended(self, rows, x, nit, nfev, sentence: str) -> None:
        """Write down rows that ended in factors, after the last chance of L-BFGS runs that stalled."""
        self.nit[rows], self.nfev[rows] = nit, nfev
        self.message[rows] = sentence
        if sentence.startswith("L-BFGS"):
            rows, x = self._last_chance(rows, x, sentence)
            if not len(rows):
                return
        if self.reduced:
            for row, one in zip(rows, x, strict=True):
                if not np.isfinite(self.objective.single.logits(one)).all():
                    self.fun[row], self.grad_norm[row] = np.inf, np.inf
                    continue
                end = reduced_end(self.objective.single, one)
                p = end.point
                self.fun[row], self.grad_norm[row], self.rank[row] = end.fun, end.grad_norm, p.rank
                self.asked[row] = asked(self.settings["tol"], end.ridge_norm)
                self._keep_logits(row, p.U, p.s, p.right.T, p.b)
        else:
            value, grad = self.host.value_grad(np.ascontiguousarray(x))
            self.fun[rows], self.grad_norm[rows] = value, np.sqrt(np.vecdot(grad, grad))
            self.asked[rows] = asked_at(self.objective.single, np.ascontiguousarray(x), self.settings["tol"])
            if self.problem.linear:
                self.rank[rows] = _ranks(self.host.logits(x))
            self._keep_factors(rows, x)
        self.done[rows] = True

    def _last_chance(self, rows, x, sentence):
        """Newton for rows that L-BFGS left: on the stratum, or on factors of a smooth nonlinear model. The rows still
        to be written down."""
        problem, tol = self.problem, self.settings["tol"]
        if problem.linear:
            fun = self.host.value_grad(np.ascontiguousarray(x))[0]
            accepted = self._offer(
                rows, x, fun, np.ones(len(rows), dtype=bool), self.nit[rows].copy(), self.nfev[rows].copy()
            )
            return rows[~accepted], x[~accepted]
        if problem.activation.smooth:
            x = np.array(x)
            for i, row in enumerate(rows):
                x[i], steps, said = newton_on_factors(self.objective.single, x[i], tol)
                self.nit[row] += steps
                self.message[row] = said if said == "converged" else f"{sentence}; {said}"
        return rows, x

    def _class_columns(self, x) -> np.ndarray:
        """Class means of the logits times sqrt(n_c), (B, K, K), in the arithmetic of points.from_matrix."""
        problem, columns = self.problem, self.objective.single.fit.columns
        Z = self.host.logits(x) * columns.scale
        if not self.objective.single.collapsed and problem.N != problem.K:
            Z = Z @ (problem.samples.Y.T / problem.counts)
        return Z * np.sqrt(problem.counts)

    def _keep_logits(self, row, U, s, Vt, b) -> None:
        if self.keep == "points":
            r = len(s)
            self.store["U"][row], self.store["s"][row], self.store["Vt"][row] = 0.0, 0.0, 0.0
            self.store["U"][row, :, :r], self.store["s"][row, :r], self.store["Vt"][row, :r] = U, s, Vt
            if b is not None:
                self.store["b"][row] = b
        elif self.keep == "logits":
            Z = (U * s) @ Vt * self.problem.classes.scale
            self.store["class_logits"][row] = Z if b is None else Z + b[:, None]

    def _keep_factors(self, rows, x) -> None:
        if self.keep == "points":
            self.store["x"][rows] = x
        elif self.keep == "logits":
            self.store["class_logits"][rows] = class_logits(self.host, np.ascontiguousarray(x))


BLOCK = 2**26


class _Halted(Exception):
    """Another thread was interrupted."""


def _ranks(Z, tol: float = 1e-9) -> np.ndarray:
    """Numbers of singular values above tol times the largest."""
    fine = np.isfinite(Z).all(axis=(1, 2))
    s = np.linalg.svd(np.where(fine[:, None, None], Z, 0.0), compute_uv=False)
    return np.where(fine, np.sum((s > tol * s[:, :1]) & (s[:, :1] > 0), axis=1), -1)
