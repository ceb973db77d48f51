"""Thousands of starts as one call: chunks in bounded memory, results in the order of their starts.

Start i draws from child i of the seed and its numbers depend on nothing else: not on the chunk, the threads, the number
of starts or the other starts. They are those of `minimize` with the same child.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.arrays import Arrays, namespace
from ufm.numerics.bars import progress_bar
from ufm.numerics.hints import Rng
from ufm.numerics.seeds import child, generator, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.objectives.factors import FactorObjective
from ufm.points import PointLike, held_point
from ufm.problem import Problem
from ufm.solvers import starts as choices
from ufm.solvers.methods.method import Method, method_of
from ufm.solvers.result import BatchResult
from ufm.solvers.runner import KEEP, Job
from ufm.solvers.starts import Start

ROWS, CACHE = 64, 2**26
"""A chunk on numpy: at least so many rows, beyond that so many bytes."""


@own_numpy_state
def run_batch(
    problem: Problem,
    starts: int | Sequence[int] = 100,
    rng: Rng = None,
    method: str = "lbfgs",
    space: str | None = None,
    *,
    start: PointLike | Start | None = None,
    tol: float = 1e-12,
    memory: float = 2**28,
    threads: int | None = None,
    device: Any = None,
    xp: Any = None,
    keep: str = "points",
    trace: int = 0,
    callback: Callable | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> BatchResult:
    """Many independent descents of F(W_L, ..., W_1, H_1), row i from child i of the seed.

    starts: how many, or the numbers of the starts to run (`range(1000, 2000)` is the second thousand of the same run).
    method, space, start, tol and settings are those of `minimize`, whose result for the same child is row i's.
    memory: bytes of working arrays, from which chunks of starts are cut (results are kept besides; see `keep`).
    threads: chunks at a time on numpy (default 1; more pay only where one chunk is large). device, xp: see
    `arrays.namespace`; Newton's last steps run in numpy. keep: `points`, `logits` (class logits only) or `numbers`.
    trace: record every that many steps of every row. callback(intermediate_result): sees the rows one after another,
    each from its start to its end, and may raise StopIteration to stop the row that it sees.

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
    tol = arguments.positive("tol", tol)
    arguments.choice("keep", keep, KEEP)
    memory, every = arguments.positive("memory", memory), arguments.integer("trace", trace, 0)
    on = namespace(device, xp)
    threads = _threads(threads, on)
    seed = seed_sequence(rng)
    choices.check_start(problem, start)
    objective, begin = choices.objective_in(problem, space, on), choices.start_of(start)

    def from_start(row: int):
        draw = generator(child(seed, int(index[row])))
        return begin(objective.host, draw), draw

    rows = 1 if callback is not None else rows_of(objective, way, memory / threads, len(index), threads)
    job = Job(objective, way, tol, from_start, index, space, keep, memory / threads, every, callback, start)
    bar = progress_bar(total=len(index), desc="starts", progress=progress, unit="start")
    began = time.perf_counter()
    with bar:
        job.run(rows, threads, bar)
    return job.result(seed_record(seed), rows, time.perf_counter() - began)


def _indices(starts) -> np.ndarray:
    if isinstance(starts, (range, list, tuple, np.ndarray)):
        return np.array([arguments.integer("starts", i, 0) for i in starts], dtype=int)
    return np.arange(arguments.count("starts", starts, 1))


def _threads(threads, on: Arrays) -> int:
    """One by default: on two idle cores two threads were slower (1.6 s against 1.4 s, 12 s against 7 s), the calls
    being short."""
    return 1 if threads is None or not on.host else arguments.integer("threads", threads, 1)


def rows_of(objective: FactorObjective, way: Method, memory: float, count: int, threads: int) -> int:
    """Starts per chunk: as many as `memory` holds, and on numpy no more than keep the processors busy and their caches
    warm."""
    size, columns = objective.size, len(objective.fit.columns.weight)
    each = 8 * ((12 + way.arrays) * size + 20 * objective.problem.K * columns)
    rows = max(1, int(memory // each))
    if objective.on.host:
        rows = min(rows, max(ROWS, int(CACHE // each)))
    chunks = -(-count // rows)
    chunks = min(count, -(-chunks // threads) * threads)
    return -(-count // chunks)
