"""Low-rank points of a ReLU model as a search found them: what `refine` and `low_rank_search` return, how it prints, and its file."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ufm.numerics.content import ByContent
from ufm.numerics.files import write_atomically
from ufm.points import FactorPoint
from ufm.problem import Problem


@dataclass(frozen=True, eq=False)
class Refined(ByContent):
    """The end of a descent through kinks.

    point, fun: in the given problem. before: the value it started from. residual: Clarke residual relative to the ridge's gradient.
    name: from the Gram matrices of the layers. rank: of the last pre-activations. start: in words. hits: how many starts ended here.
    """

    point: FactorPoint
    fun: float
    before: float
    residual: float
    name: str
    rank: int
    start: str = ""
    hits: int = 1

    def to_dict(self) -> dict:
        return {k: getattr(self, k) for k in ("name", "rank", "fun", "residual", "before", "start", "hits")}

    def __repr__(self) -> str:
        return f"Refined: F = {self.fun:.12g} (from {self.before:.12g}), {self.name}, rank {self.rank}, Clarke residual {self.residual:.1e} of the ridge"


@dataclass(frozen=True, eq=False)
class LowRankSearch(ByContent):
    """Distinct ends, lowest first, beside DNC (or zero where that is lower): `reference`. Lowest found, not proved.

    starts: how many were run; interrupted: whether Ctrl-C ended the search early. Replay with `rng`.
    """

    problem: Problem
    found: tuple[Refined, ...]
    reference: float
    starts: int
    rng: dict
    seconds: float
    interrupted: bool = False

    @property
    def best(self) -> Refined:
        return self.found[0]

    def __iter__(self):
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def to_dict(self) -> dict:
        rows = [e.to_dict() | {"ratio": e.fun / self.reference} for e in self.found]
        rest = {"starts": self.starts, "rng": self.rng, "seconds": self.seconds, "interrupted": self.interrupted}
        return {"problem": self.problem.to_dict(), "found": rows, "reference": self.reference, **rest}

    def save(self, path) -> None:
        """Write `to_dict()` and the factors of every end as JSON, atomically."""
        data = self.to_dict()
        for row, e in zip(data["found"], self.found, strict=True):
            row["factors"] = [A.tolist() for A in e.point.factors]
        write_atomically(path, lambda stream: stream.write(json.dumps(data).encode()))

    def __repr__(self) -> str:
        width = max([len(e.name) for e in self.found] + [9])
        head = f"{'structure':<{width}}  {'rank':>4}  {'F':>16}  {'F/DNC':>8}  {'residual':>8}  {'hits':>4}  start"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for e in self.found:
            row = f"{e.name:<{width}}  {e.rank:>4}  {e.fun:>16.12f}  {e.fun / self.reference:>8.5f}  {e.residual:>8.1e}  {e.hits:>4}  {e.start}"
            lines.append(row)
        lines += ["", f"{self.starts} starts{', interrupted' if self.interrupted else ''}; lowest found, global optimality is open; rng={self.rng}"]
        return "\n".join(lines)
