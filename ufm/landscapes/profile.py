"""The lowest value found at each rank: how much a problem gains by every further dimension of its logits."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ufm import structures
from ufm.critical.identify import identify
from ufm.critical.signature import CriticalPoint, classify, critical_below
from ufm.landscapes.low_rank_starts import code_ends
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.newton import newton_on_stratum
from ufm.solvers.result import Result

SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, are one point."""


@dataclass(frozen=True, eq=False)
class Lowest(ByContent):
    """The lowest critical point found at one rank.

    name, status and signature are those of the full problem (width d); how: `structure`, `search, 3 of 10 starts` or `known code`.
    """

    rank: int
    fun: float
    name: str
    status: str
    how: str
    point: LogitPoint
    critical: CriticalPoint

    def to_dict(self) -> dict:
        c = self.critical
        rest = {"grad_norm": c.grad_norm, **c.signature.to_dict(), "singular_values": self.point.s.tolist()}
        return {"rank": self.rank, "fun": self.fun, "name": self.name, "status": self.status, "how": self.how, **rest}


@dataclass(frozen=True, eq=False)
class Profile(ByContent):
    """Lowest found at each rank, ascending in rank; `missing` lists ranks where no critical point was found.

    The values are those of a search: upper bounds of the least value at each rank, not proofs. `best` has the lowest value of all.
    """

    problem: Problem
    entries: tuple[Lowest, ...]
    missing: tuple[int, ...]
    starts: int
    rng: dict
    seconds: float
    interrupted: bool = False
    done: int = 0

    @property
    def best(self) -> Lowest:
        return min(self.entries, key=lambda e: e.fun)

    def __getitem__(self, rank: int) -> Lowest:
        """The entry of one rank; ValueError where nothing was found."""
        for entry in self.entries:
            if entry.rank == rank:
                return entry
        raise ValueError(f"rank must be one of {[e.rank for e in self.entries]}, where a critical point was found; got rank={rank!r}.")

    def __iter__(self):
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def to_dict(self) -> dict:
        rest = {"starts": self.starts, "rng": self.rng, "seconds": self.seconds, "interrupted": self.interrupted}
        entries = [e.to_dict() for e in self.entries]
        return {"problem": self.problem.to_dict(), "entries": entries, "missing": list(self.missing), "best": self.best.rank, **rest}

    def __repr__(self) -> str:
        width = max(len(e.name) for e in self.entries)
        head = f"{'rank':>4}  {'lowest F found':>16}  {'structure':<{max(width, 9)}}  {'status':<14}  how"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for e in self.entries:
            mark = "  <- lowest found" if e is self.best else ""
            lines.append(f"{e.rank:>4}  {e.fun:>16.12f}  {e.name:<{max(width, 9)}}  {e.status:<14}  {e.how}{mark}")
        if self.missing:
            lines.append(f"no critical point found at rank {', '.join(map(str, self.missing))}")
        if self.interrupted:
            ranks = len(self.entries) + len(self.missing) - 1
            lines.append(f"interrupted after {self.done} of {ranks * self.starts} descents")
        return "\n".join(lines)


@named_arguments
@own_numpy_state
def profile(problem: Problem, starts: int = 10, rng=None, *, progress: bool | None = None) -> Profile:
    """The lowest value found at each rank r = 0, ..., max_rank of a linear model.

    Candidates: the named structures, the ends of descents from known codes, and for each r >= 1 end points of exact rank r of `starts` descents
    of the problem with all widths r, r + 1 and r + 2 in turn (at width r alone descents often end too low in rank), polished by Newton on the
    stratum. End points of another rank count there. Every point is classified in the full problem (width d).

    starts: descents per rank, 0 for structures alone; rng: their seed. Ctrl-C keeps what was found.

    >>> print(*(f"{e.rank}: {e.name}" for e in profile(Problem(K=4, L=2, lam=0.02), starts=0)), sep=", ")
    0: zero, 1: blocks(2,1,1), 2: pairs, 3: dnc

    Raises ValueError for nonlinear models and bad arguments.
    """
    arguments.instance("problem", problem, Problem)
    if not problem.linear:
        raise ValueError(f"profile needs a linear model; got activation={problem.activation.name!r}.")
    starts = arguments.count("starts", starts, 0)
    began, seed = time.perf_counter(), seed_sequence(rng)
    known = structures.existing(problem)[0].values()
    found = [(p.rank, Stratum(p).fun, p, "structure") for p in known if _critical(p)]
    interrupted, done = False, 0
    jobs = [(r, i) for r in range(1, problem.max_rank + 1) for i in range(starts)]
    try:
        with interruption.whole():
            for r, i in progress_bar(jobs, desc="ranks", progress=progress):
                run = minimize(replace(problem, d=min(r + i % 3, problem.K)), rng=child(child(seed, r), i))
                found += _ends(problem, run, r)
                done += 1
            for _, run in code_ends(problem, progress) if starts else ():
                found += _ends(problem, run, "known code")
    except KeyboardInterrupt:
        interruption.pass_on()
        interrupted = True
    entries = tuple(_lowest(r, found, starts) for r in sorted({f[0] for f in found}))
    missing = tuple(r for r in range(problem.max_rank + 1) if r not in {e.rank for e in entries})
    return Profile(problem, entries, missing, starts, seed_record(seed), time.perf_counter() - began, interrupted, done)


def _critical(point: LogitPoint) -> bool:
    stratum = Stratum(point)
    return stratum.grad_norm <= critical_below(stratum.ridge_norm, rounding=stratum.rounding)


def _ends(problem: Problem, run: Result, how) -> list[tuple]:
    """The end of a run as a point of the problem, where it is critical and of a rank that the widths admit."""
    point = run.logit_point()
    end = _polished(replace(point, problem=problem)) if point.rank <= problem.max_rank else None
    return [] if end is None else [(end.rank, Stratum(end).fun, end, how)]


def _polished(point: LogitPoint) -> LogitPoint | None:
    """The critical point of the same rank next to an end point, or None."""
    if point.rank == 0 and point.b is None:
        return point
    end = newton_on_stratum(point)[0]
    return end.point if end.point.rank == point.rank and _critical(end.point) else None


def _lowest(rank: int, found: list, starts: int) -> Lowest:
    """The lowest of the found points of one rank, a structure first among equals."""
    here = [f for f in found if f[0] == rank]
    low = min(f[1] for f in here)
    same = [f for f in here if f[1] <= low + SAME * (1 + abs(low))]
    named = [f for f in same if f[3] == "structure"]
    hits = sum(f[3] == rank for f in same)
    _, fun, point, _ = named[0] if named else same[0]
    searched = f"search, {hits} of {starts} starts" if hits else "known code" if same[0][3] == "known code" else "search at another width"
    how = ("structure" + (f"; search, {hits} of {starts} starts" if starts and rank else "")) if named else searched
    name = point.name if named else identify(point).name
    critical = classify(replace(point, name=name), extremes=False)
    return Lowest(rank, fun, name, critical.status, how, replace(point, name=name), critical)
