"""Minima of low rank that random starts hardly ever reach: descents in narrow models, and from known codes.

From K = 12 on, descents at full width end at ranks above the best one (K = 16, L = 2, lam = 1e-3: 20 and 200 of them at
2.2 % above the Clebsch code), while half of the descents in a model of width 6 find it. Their ends are critical points
of the problem itself, and minima of it for L >= 2 (signature theorem). At L = 1, and under MSE, where modes decouple,
there is nothing to be found this way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ufm.landscapes.sources.source import Settings, Source
from ufm.landscapes.sources.starts import count
from ufm.numerics import codes
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.seeds import child
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import Multistart, multistart
from ufm.solvers.result import Result
from ufm.solvers.starts import near

AROUND = (0, -1, 1, -2, -3)
"""Widths of narrow descents beside `usual_width`, in the order in which they are run."""
LEAST_K = 11
"""Classes from which descents at full width miss low ranks."""
JITTER = 1e-3
"""Relative size of the noise that lets a descent leave a symmetric saddle; always the same."""
LOW_RANK_SEED = 3
"""Child of the seed whose children start these descents; random starts of full width are the children of the seed
themselves."""
NARROW = "narrow"
"""How points of these descents were met."""
PER_START = 2
"""Narrow descents for every random start of full width."""


@dataclass(frozen=True, eq=False)
class LowRankEnds(ByContent):
    """Ends of narrow descents (`narrow`) and of descents from known codes (`from_codes`, name and Result)."""

    narrow: Multistart
    from_codes: tuple[tuple[str, Result], ...]

    def __iter__(self):
        """The converged Results of both."""
        return (run for run in (*self.narrow, *(run for _, run in self.from_codes)) if run.success)


def pays(problem: Problem) -> bool:
    """Whether descents at full width are known to miss low ranks: many classes, or widths below K, where they end at
    lower ranks than the best."""
    fits = problem.linear and problem.L >= 2 and not problem.loss.quadratic and problem.K >= 4
    return fits and (problem.K >= LEAST_K or problem.max_rank < problem.K - 1)


def usual_width(K: int) -> int:
    """1.4 sqrt(K): where descents find the lowest known value most often at L = 2 to 4 (5 at K = 12, 6 at K = 16, 8 at
    K = 30), one or two above its rank."""
    return round(1.4 * K**0.5)


def widths_for(problem: Problem) -> tuple[int, ...]:
    """Widths of narrow descents: those around the usual one, and for a problem narrower than its logits its own rank r,
    r + 1 and r + 2."""
    most, usual = problem.max_rank, usual_width(problem.K)
    bottleneck = () if most >= problem.K - 1 else tuple(w for w in (most + 1, most + 2, most) if w <= problem.K)
    around = (usual + a for a in AROUND)
    return tuple(dict.fromkeys((*bottleneck, *(w for w in around if 1 <= w <= min(most + 2, problem.K - 1)))))


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """Converged ends of `low_rank_ends`, lowest first, where `compare` makes random starts of full width."""
    starts = count(settings)
    if not starts:
        return ""
    try:
        ends = low_rank_ends(problem, starts, child(settings.seed, LOW_RANK_SEED), settings.progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("in the starts at small widths") from None
    for run in sorted(ends, key=lambda run: run.fun):
        yield NARROW, run
    widths = ", ".join(map(str, sorted(widths_for(problem))))
    said = f"also: {len(ends.narrow)} starts at widths {widths} and {len(ends.from_codes)} known codes"
    return f"{said}, listed where lower than all others; hits do not count them."


def low_rank_ends(
    problem: Problem, starts: int, seed: np.random.SeedSequence, progress: bool | None = None
) -> LowRankEnds:
    """`PER_START` narrow descents for each of `starts`, and one from every known code of a rank that the problem
    admits. Ctrl-C is passed on."""
    narrow = multistart(problem, PER_START * starts, child(seed, 0), widths=widths_for(problem), progress=progress)
    if narrow.interrupted:
        raise KeyboardInterrupt
    return LowRankEnds(narrow, tuple(code_ends(problem, progress)))


def lowest_end(problem: Problem, starts: int, seed: np.random.SeedSequence) -> Result | None:
    """The converged end of least F from random starts and, where it `pays`, `low_rank_ends`; or None."""
    runs = multistart(problem, starts, seed, progress=False)
    if runs.interrupted:
        raise KeyboardInterrupt
    ends = [run for run in runs if run.success]
    if pays(problem):
        ends += low_rank_ends(problem, starts, child(seed, LOW_RANK_SEED), progress=False)
    return min(ends, key=lambda run: run.fun, default=None)


def code_ends(problem: Problem, progress: bool | None = None) -> Iterator[tuple[str, Result]]:
    """(name, Result) of a descent from every known code of a rank that the problem admits; Ctrl-C is passed on."""
    for name, X in progress_bar(codes.library(problem.K), desc="codes", progress=progress):
        if X.shape[1] <= problem.max_rank:
            run = _from_code(problem, X)
            if run.interrupted:
                raise KeyboardInterrupt
            yield name, run


def _from_code(problem: Problem, X: np.ndarray) -> Result:
    """The end of the descent from Z = t X X', t the best of a grid, in a model as wide as the code's rank."""
    narrow = replace(problem, d=X.shape[1])
    code = from_matrix(narrow, (X - X.mean(axis=0)) @ X.T, X.shape[1], collapse=True)
    fits = [LogitPoint(narrow, code.U, t * code.s, code.right, code.b) for t in np.geomspace(0.1, 100.0, 25)]
    best = min(fits, key=lambda point: Stratum(point).fun)
    run = minimize(narrow, near(best, JITTER), rng=0, space="reduced", progress=False)
    return replace(run, point=replace(run.logit_point(), problem=problem))


NARROW_SOURCE = Source(
    "narrow",
    "descents in narrow models and from known codes, for low ranks that full width misses",
    points,
    verbs=("compare",),
    applies=lambda problem: "" if pays(problem) else "descents at full width are not known to miss low ranks here.",
)
