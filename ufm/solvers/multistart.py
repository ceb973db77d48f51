"""Many runs from random starts; start i draws from child i of the seed, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Rng
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Shown
from ufm.numerics.words import named_arguments
from ufm.problem import Problem
from ufm.solvers.batch import run_batch
from ufm.solvers.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Multistart(ByContent, Shown):
    """Results in the order of their starts. `best` is the lowest found: a sample, not a proof.

    `distinct(match)` groups converged values. Ctrl-C keeps what was finished and the point then reached.
    """

    results: tuple[Result, ...]
    requested: int
    rng: dict
    interrupted: bool = False

    @property
    def best(self) -> Result:
        """The result of lowest value, converged ones first."""
        if not self.results:
            raise ValueError("no start was finished, so there is no best one.")
        return min(self.results, key=lambda r: (not r.success, r.fun))

    @property
    def done(self) -> int:
        """How many starts ended by themselves: all but the one that Ctrl-C cut, whose point is the last result then."""
        return sum(not r.interrupted for r in self.results)

    @renamed(tol="match")
    def distinct(self, match: float = 1e-9) -> list[tuple[float, int]]:
        """(value, hits) of converged results, ascending; values closer than `match` are one."""
        groups: list[list] = []
        for fun in sorted(r.fun for r in self.results if r.success):
            if groups and fun - groups[-1][0] <= match:
                groups[-1][1] += 1
            else:
                groups.append([fun, 1])
        return [(fun, hits) for fun, hits in groups]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self):
        return iter(self.results)

    def shown(self) -> list:
        converged = sum(r.success for r in self.results)
        stopped = "interrupted after " if self.interrupted else ""
        lines = [f"Multistart: {stopped}{self.done} of {self.requested} starts, {converged} converged; rng={self.rng}"]
        lines += [f"  F = {fun:.12f}  x {hits}" for fun, hits in self.distinct()]
        return lines


@renamed(memory="pairs")
@named_arguments
@own_numpy_state
def multistart(
    problem: Problem,
    starts: int = 100,
    rng: Rng = None,
    method: str = "lbfgs",
    *,
    widths: Sequence[int] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Multistart:
    """`starts` independent runs of `minimize` from random starts; the lowest is the lowest found, no more.

    widths: run i descends in the model of hidden width widths[i mod len(widths)] instead of the problem's own (linear
    models, lbfgs). With many classes low ranks are found far more often at widths 3 to 6, and rank d at widths d + 1
    and d + 2. The ends are critical points of the problem itself; those of a rank that its own widths do not admit are
    left out. How often an end is met is then no share of its basin.
    rng: seed of all; run i uses child i. progress: a bar on standard error after two seconds (None: only on a
    terminal).
    options: passed to `minimize` (start, tol, space, trace, the method's settings).

    >>> multistart(Problem(K=4, L=2, lam=0.02), starts=8, rng=0).best.fun <= 0.37
    True
    """
    arguments.instance("problem", problem, Problem)
    count = arguments.count("starts", starts, 1)
    seed = seed_sequence(rng)
    if widths is not None:
        return _narrow(problem, count, seed, method, _widths(problem, widths, method, options), progress, **options)
    runs = run_batch(problem, count, seed, method, progress=progress, **options)
    return Multistart(tuple(runs.reached()), count, seed_record(seed), not runs.done.all())


def _widths(problem: Problem, widths, method: str, options: dict) -> list[int]:
    """Checked widths."""
    if (
        not problem.linear
        or method != "lbfgs"
        or options.get("space") == "factors"
        or options.get("trace")
        or options.get("start") is not None
    ):
        raise ValueError(
            "widths need a linear model, method lbfgs in the reduced space, no trace and no start of your own."
        )
    checked = [arguments.integer("widths", width, 1) for width in widths]
    if not checked:
        raise ValueError("widths must hold at least one width.")
    return checked


def _narrow(problem, count, seed, method, widths, progress, **options) -> Multistart:
    """Runs at each width as one batch, in the order of their starts."""
    done, interrupted = [], False
    for place, width in enumerate(widths):
        index = range(place, count, len(widths))
        if not index:
            continue
        batch = run_batch(replace(problem, d=width), index, seed, method, progress=progress, **options)
        done += zip(index, batch.reached(), strict=False)
        if not batch.done.all():
            interrupted = True
            break
    admitted = [
        run
        for _, run in sorted(done, key=lambda pair: pair[0])
        if run.point is not None and run.point.rank <= problem.max_rank
    ]
    return Multistart(
        tuple(replace(run, point=replace(run.point, problem=problem)) for run in admitted),
        count,
        seed_record(seed),
        interrupted,
    )
