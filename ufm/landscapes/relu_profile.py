"""The lowest value found at each rank of a deep ReLU model.

The rank meant is that of M_L = W_{L-1} s(...), the class means of the last hidden pre-activations (for L = 2 of s(M_2), M_2 being undetermined at DNC).
It is limited by narrow layers: with d_1 = ... = d_{L-1} = r every pre-activation has rank at most r, while the last hidden layer, after whose ReLU the
rank may be K again, keeps the problem's width. The output has rank K at DNC and at many low-rank points alike and says nothing here.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace

from ufm import structures
from ufm.critical.relu_names import hidden_rank
from ufm.landscapes.relu_search import low_rank_search, reference
from ufm.numerics import arguments, interruption
from ufm.numerics.content import ByContent
from ufm.numerics.files import write_atomically
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.clarke import clarke, merged
from ufm.points import FactorPoint
from ufm.problem import Problem

STATIONARY = 1e-6
"""Clarke residual, relative to the ridge's gradient, up to which a structure counts."""


@dataclass(frozen=True, eq=False)
class LowestAtRank(ByContent):
    """The lowest stationary point found at one rank; how: `structure`, or the start it was found from."""

    rank: int
    fun: float
    name: str
    residual: float
    how: str
    point: FactorPoint

    def to_dict(self) -> dict:
        return {k: getattr(self, k) for k in ("rank", "fun", "name", "residual", "how")}


@dataclass(frozen=True, eq=False)
class ReluProfile(ByContent):
    """Lowest found at each rank, ascending in rank: upper bounds of the least value there, not proofs. `reference`: F of DNC (or zero).

    interrupted: how far the search came where Ctrl-C ended it, such as "after 3 of 8 ranks"; else empty.
    """

    problem: Problem
    entries: tuple[LowestAtRank, ...]
    reference: float
    starts: int
    rng: dict
    seconds: float
    interrupted: str = ""

    @property
    def best(self) -> LowestAtRank:
        return min(self.entries, key=lambda e: e.fun)

    def __iter__(self):
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, rank: int) -> LowestAtRank:
        """The entry of one rank; ValueError where nothing was found."""
        for entry in self.entries:
            if entry.rank == rank:
                return entry
        raise ValueError(f"rank must be one of {[e.rank for e in self.entries]}, where a stationary point was found; got rank={rank!r}.")

    def to_dict(self) -> dict:
        rest = {"reference": self.reference, "starts": self.starts, "rng": self.rng, "seconds": self.seconds, "interrupted": bool(self.interrupted)}
        return {"problem": self.problem.to_dict(), "entries": [e.to_dict() for e in self.entries], "best": self.best.rank, **rest}

    def save(self, path) -> None:
        """Write `to_dict()` as JSON, atomically."""
        write_atomically(path, lambda stream: stream.write(json.dumps(self.to_dict()).encode()))

    def __repr__(self) -> str:
        width = max([len(e.name) for e in self.entries] + [9])
        head = f"{'rank':>4}  {'lowest F found':>16}  {'F/DNC':>8}  {'structure':<{width}}  how"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for e in self.entries:
            mark = "  <- lowest found" if e is self.best else ""
            lines.append(f"{e.rank:>4}  {e.fun:>16.12f}  {e.fun / self.reference:>8.5f}  {e.name:<{width}}  {e.how}{mark}")
        lines += [f"interrupted {self.interrupted}"] if self.interrupted else []
        return "\n".join([*lines, "rank: of the last hidden pre-activations; other ranks: no stationary point found"])


@named_arguments
@own_numpy_state
def relu_profile(problem: Problem, starts: int = 12, rng=None, ranks=None, *, progress: bool | None = None) -> ReluProfile:
    """The lowest stationary value found at each rank of the last hidden pre-activations of a ReLU model without bias, L >= 2.

    Candidates: stationary structures, and for each r in `ranks` (default 2, ..., K - 1) the ends of `starts` descents of the problem with d_1, ..., d_{L-1}
    at most r (`low_rank_search`), which count at the rank they have. starts 0: structures alone. rng: seed.

    Raises ValueError for other activations, a bias, and bad arguments.
    """
    arguments.instance("problem", problem, Problem)
    if not problem.activation.rectifies or problem.bias is not None or problem.L < 2:
        raise ValueError(
            f"relu_profile needs activation='relu', no bias and L >= 2; got activation={problem.activation.name!r}, bias={problem.bias}, L={problem.L}."
        )
    starts = arguments.count("starts", starts, 0)
    ranks = range(2, problem.K) if ranks is None else [arguments.integer("rank", r, 1) for r in ranks]
    began, seed, found = time.perf_counter(), seed_sequence(rng), []
    for name, point in structures.existing(problem)[0].items():
        residual = clarke(point).relative
        if residual <= STATIONARY:
            objective, x = merged(point)
            found.append(LowestAtRank(hidden_rank(point), float(objective.value(x)), name, residual, "structure", point))
    done, ended = 0, ""
    try:
        for r in ranks if starts else ():
            narrow = replace(problem, d=tuple(min(d, r) for d in problem.widths[:-1]) + problem.widths[-1:])
            with interruption.whole():
                ends = low_rank_search(narrow, starts, child(seed, r), ranks=[r], hops=1, progress=progress)
            for end in ends:
                if end.residual <= STATIONARY:
                    found.append(LowestAtRank(end.rank, end.fun, end.name, end.residual, f"search at width {r}, {end.start}", _widened(problem, end.point)))
            done += 1
    except KeyboardInterrupt:
        interruption.pass_on()
        ended = f"after {done} of {len(ranks)} ranks"
        if not found:
            raise KeyboardInterrupt(ended) from None
    lowest = {}
    for entry in found:  # structures come first and stay among equals
        if entry.rank not in lowest or entry.fun < lowest[entry.rank].fun * (1 - 1e-9):
            lowest[entry.rank] = entry
    entries = tuple(lowest[r] for r in sorted(lowest))
    return ReluProfile(problem, entries, reference(problem), starts, seed_record(seed), time.perf_counter() - began, ended)


def _widened(problem: Problem, point: FactorPoint) -> FactorPoint:
    return structures.relu_collapse.embedded(problem, point.factors)
