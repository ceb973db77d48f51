"""One verb for every way down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.hints import Rng
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import generator, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.points import PointLike, held_point
from ufm.problem import Problem
from ufm.solvers.methods.method import method_of
from ufm.solvers.result import Result, Status
from ufm.solvers.runner import Job
from ufm.solvers.starts import Start, check_start, objective_in, space_of, start_of


@renamed(memory="pairs")
@named_arguments
@own_numpy_state
def minimize(
    problem: Problem,
    start: PointLike | Start | None = None,
    method: str = "lbfgs",
    rng: Rng = None,
    tol: float = 1e-12,
    callback: Callable | None = None,
    *,
    space: str | None = None,
    trace: int = 0,
    progress: bool | None = None,
    **settings: Any,
) -> Result:
    """A critical point of F(W_L, ..., W_1, H_1) = g(Z) + sum_l (lam_l/2)||A_l||^2 downhill of a start.

    method: `lbfgs` (finished by Newton on the rank stratum; with relu or leaky_relu on the kinks, see `solvers.kinks`,
    unless max_steps < 500 cuts it short), `newton` (the critical point nearest the
    start, of any index), `gd`, `adam`, `adamw`, `sign`, `polar`, `flow`, and every other that `solvers.methods` or a
    file in use holds; their settings are the fields of their records. decay="decoupled" (gd, adam, sign, polar; adamw
    has no other) keeps the ridge out of the direction: x <- x - lr direction - lr lam x. The result is about F all the
    same: fun and grad_norm are those of F.
    start: None for Gaussian N(0, 1/d), anything that is a point or holds one, or one of `solvers.starts`.
    space: `factors` runs on all N columns at full width; `reduced` on one weighted column per class and (linear models)
    widths min(d, K), which has the same minima. Default: `reduced` for lbfgs and newton but for FactorPoint starts and
    models without s(t x) = t s(x), else `factors`. tol: on the norm of the full gradient; after a finish on kinks, of
    the smallest gradient over slopes at kinks (`objectives.clarke`). Success asks for 1e-6 of the ridge's own gradient
    besides (`objectives.stationary`). trace: record every that many steps. callback(intermediate_result) may raise
    StopIteration to stop the run.

    Returns a Result; not converging is a result whose message says so. Interrupting with Ctrl-C returns
    the point reached. Raises ValueError for unknown methods, spaces and settings, naming them.

    >>> minimize(Problem(K=4, L=2, lam=0.02), rng=0).success
    True
    """
    arguments.instance("problem", problem, Problem)
    began = time.perf_counter()
    tol, every = arguments.positive("tol", tol), arguments.integer("trace", trace, 0)
    start = held_point(start) or start
    space = space_of(problem, start, method, space)
    way = method_of(method, settings, problem, space)
    seed = seed_sequence(rng)
    draw = generator(seed)
    objective = objective_in(problem, space)
    check_start(problem, start)
    x = start_of(start)(objective, draw)
    job = Job(objective, way, tol, lambda _: (x, draw), (0,), space, every=every, callback=callback, given=start)
    total = way.settings.get("steps")
    with progress_bar(total=total, desc=way.name, progress=False if total is None else progress) as bar:
        job.run(1, bar=bar)
    if job.status[0] is Status.UNFINISHED:
        raise KeyboardInterrupt
    record = seed_record(seed)
    return job.result(record, 1, time.perf_counter() - began).row(0, record)
