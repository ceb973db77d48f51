"""Many runs from random starts. Start i draws from child i of the seed, so result i does not depend on how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.numerics.words import named_arguments
from ufm.objectives.clarke import kinked
from ufm.problem import Problem
from ufm.solvers.batch.engine import run_batch
from ufm.solvers.minimize import minimize
from ufm.solvers.result import Result


@dataclass(frozen=True, eq=False)
class Multistart:
    """Results in the order of their starts. `best` is the lowest found: a sample, not a proof.

    `distinct(tol)` groups converged values. Ctrl-C keeps what was finished and the point then reached.
    """

    results: tuple[Result, ...]
    requested: int
    rng: dict

    @property
    def best(self) -> Result:
        """The result of lowest value, converged ones first."""
        if not self.results:
            raise ValueError("no start was finished, so there is no best one.")
        return min(self.results, key=lambda r: (not r.success, r.fun))

    def distinct(self, tol: float = 1e-9) -> list[tuple[float, int]]:
        """(value, hits) of converged results, ascending; values closer than tol are one."""
        groups: list[list] = []
        for fun in sorted(r.fun for r in self.results if r.success):
            if groups and fun - groups[-1][0] <= tol:
                groups[-1][1] += 1
            else:
                groups.append([fun, 1])
        return [(fun, hits) for fun, hits in groups]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self):
        return iter(self.results)

    def __repr__(self) -> str:
        converged = sum(r.success for r in self.results)
        lines = [f"Multistart: {len(self.results)} of {self.requested} starts, {converged} converged; rng={self.rng}"]
        lines += [f"  F = {fun:.12f}  x {hits}" for fun, hits in self.distinct()]
        return "\n".join(lines)


@named_arguments
def multistart(problem: Problem, starts: int = 100, rng=None, method: str = "lbfgs", *, progress: bool | None = None, **options) -> Multistart:
    """`starts` independent runs of `minimize` from random starts; the lowest is the lowest found, no more.

    rng: seed of all; run i uses child i. progress: a bar on standard error after two seconds (None: only on a terminal).
    options: passed to `minimize` (start, tol, space, trace, the method's settings).

    >>> multistart(Problem(K=4, L=2, lam=0.02), starts=8, rng=0).best.fun <= 0.37
    True
    """
    arguments.instance("problem", problem, Problem)
    count = arguments.count("starts", starts, 1)
    seed = seed_sequence(rng)
    finished_alone = method == "lbfgs" and kinked(problem)
    if count > 1 and method in ("lbfgs", "gd") and not finished_alone and not options.get("trace") and options.get("callback") is None:
        return _together(problem, count, seed, method, progress, **options)
    return _one_by_one(problem, count, seed, method, progress, **options)


def _together(problem, count, seed, method, progress, /, *, trace=0, callback=None, memory=None, **options) -> Multistart:
    """All starts as one batch; the numbers are those of `minimize` for each."""
    arguments.integer("trace", trace, 0)
    if memory is not None:
        options["pairs"] = memory
    return Multistart(tuple(run_batch(problem, count, seed, method, progress=progress, **options).results()), count, seed_record(seed))


def _one_by_one(problem, count, seed, method, progress, /, **options) -> Multistart:
    done = []
    try:
        for i in progress_bar(range(count), desc="starts", progress=progress):
            done.append(minimize(problem, method=method, rng=child(seed, i), progress=progress if count == 1 else False, **options))
            if done[-1].interrupted:
                break
    except KeyboardInterrupt:
        pass
    return Multistart(tuple(done), count, seed_record(seed))
