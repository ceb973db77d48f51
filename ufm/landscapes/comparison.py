"""Structures and found points of one problem side by side: what `compare` returns, how it prints, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.certificates.certificate import Certificate
from ufm.critical.relu_names import class_layers
from ufm.critical.signature import CriticalPoint
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.multistart import Multistart

SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, are one point in a comparison."""


@dataclass(frozen=True, eq=False)
class Comparison(ByContent):
    """Structures and found points, lowest value first in print; `winner` has the lowest value of all.

    margin: distance to the next distinct value. lower_bound: of the global minimum, in float64, or None.
    `is_global` when the winner meets the bound to 1e-10; otherwise it is the lowest found, no more.
    certificates: proofs that the winner lies below each other structure and below the next distinct point (with the extra
    [certify]). certified: True only where all of these orders are proved, in ball arithmetic; it says nothing of global optimality.
    interrupted: how far the search came where Ctrl-C ended it, such as "after 7 of 20 starts"; else empty.
    reasons: why structures are missing. search: the multistart, or None with `note` saying why.
    """

    problem: Problem
    points: tuple[CriticalPoint, ...]
    hits: dict[str, int]
    reasons: dict[str, str]
    lower_bound: float | None
    search: Multistart | None
    note: str
    rng: dict
    seconds: float
    certificates: tuple[Certificate, ...] = ()
    interrupted: str = ""

    @property
    def certified(self) -> bool:
        return bool(self.certificates) and all(c.holds for c in self.certificates)

    @property
    def winner(self) -> CriticalPoint:
        lowest = min(p.fun for p in self.points)
        return next(p for p in self.points if p.fun <= lowest + SAME * 1e-3 * (1 + abs(lowest)))

    @property
    def above(self) -> list[CriticalPoint]:
        """The points of a distinct value above the winner's, lowest first."""
        best = self.winner.fun
        return sorted((p for p in self.points if p.fun - best > SAME * (1 + abs(best))), key=lambda p: p.fun)

    @property
    def margin(self) -> float | None:
        """How far the next distinct value lies above the winner's; None if there is none."""
        return self.above[0].fun - self.winner.fun if self.above else None

    @property
    def is_global(self) -> bool:
        return self.lower_bound is not None and self.winner.fun - self.lower_bound <= 1e-10 * (1 + abs(self.lower_bound))

    def __getitem__(self, name: str) -> CriticalPoint:
        found = {p.name: p for p in reversed(self.points)}
        return found[arguments.choice("structure", name, found)]

    def to_dict(self) -> dict:
        """The JSON shape of `ufm compare --json`."""
        return {
            "problem": self.problem.to_dict(),
            "structures": [self._row(p) for p in self.points],
            "winner": self.winner.name,
            "margin": self.margin,
            "certified": self.certified,
            "proved": [c.statement for c in self.certificates if c.holds],
            "not_proved": [{"statement": c.statement, "why": c.why} for c in self.certificates if not c.holds],
            "lower_bound": self.lower_bound,
            "lower_bound_arithmetic": None if self.lower_bound is None else "float",
            "verdict": self.verdict(),
            "missing": self.reasons,
            "starts": len(self.search) if self.search else 0,
            "interrupted": bool(self.interrupted),
            "rng": self.rng,
            "seconds": self.seconds,
        }

    def _row(self, p: CriticalPoint) -> dict:
        at = p.point if isinstance(p.point, LogitPoint) else None
        return {
            "name": p.name,
            "rank": p.rank,
            "fun": p.fun,
            "scales": list(at.scales) if at else [],
            "singular_values": at.s.tolist() if at else hidden_values(p.point),
            "ranks": list(p.ranks),
            "grad_norm": p.grad_norm,
            **p.signature.to_dict(),
            "lowest": p.lowest,
            "highest": p.highest,
            "status": p.status,
            "why": p.why,
            "hits": self.hits.get(p.name, 0),
        }

    def verdict(self) -> str:
        """One sentence: who wins, by how much, and what stands behind it."""
        best, margin = self.winner, self.margin
        lead = f"{best.name} ({_rank(best)}) has the lowest value found, {best.fun:.12f}"
        if margin is not None:
            lead += f", {margin:.3g} below the next"
        if self.certified:
            lead += f" (proved: {best.name} < {_listed(_plain(c.statement.split(' < ')[1]) for c in self.certificates)})"
        if self.is_global and not self.problem.linear:
            return f"{lead}; it meets the lower bound that holds for two classes (float64), so it is a global minimum up to rounding (sml23)."
        if self.is_global:
            return f"{lead}; it meets the lower bound in float64, so it is a global minimum up to rounding (`ufm certify` proves it)."
        if self.lower_bound is not None:
            return f"{lead}; no point lies below {self.lower_bound:.12f} (float64 bound), so global optimality is open."
        return f"{lead}; global optimality is open."

    def __repr__(self) -> str:
        width = max([len(p.name) for p in self.points] + [9])
        head = f"{'structure':<{width}}  {'rank':>4}  {'F':>16}  {'|grad|':>8}  {'index':>6}  {'nullity':>8}  {'status':<14}  hits"
        lines = [repr(self.problem), "", head, "-" * len(head)]
        for p in sorted(self.points, key=lambda p: p.fun):
            index, nullity = p.signature.index, p.signature.nullity
            rank = "-" if p.rank is None else str(p.rank)
            hits = str(self.hits.get(p.name, ""))
            row = f"{p.name:<{width}}  {rank:>4}  {p.fun:>16.12f}  {p.grad_norm:>8.1e}  {index:>6}  {nullity:>8}  {p.status:<14}  {hits}"
            lines.append(row.rstrip())
        lines.append("")
        lines += [f"not here: {reason}" for reason in dict.fromkeys(self.reasons.values())]
        lines += [f"not proved: {c.statement}: {c.why}" for c in self.certificates if not c.holds]
        lines += [f"not classified: {p.name}: {p.why}" for p in self.points if p.why and p.status == "unknown"]
        if not self.problem.linear and not self.problem.activation.smooth:
            lines.append("rank: of the last hidden pre-activations W_{L-1} s(...). |grad|: the smallest over slopes at kinks; `stationary` means it vanishes.")
        if self.search:
            lines.append(f"search: {len(self.search)} random starts, {sum(r.success for r in self.search)} converged; rng={self.rng}")
        lines += [self.note] if self.note else []
        lines += [f"interrupted {self.interrupted}: lower points may be missing"] if self.interrupted else []
        lines.append(self.verdict())
        return "\n".join(lines)


def hidden_values(point: FactorPoint) -> list[float]:
    """Singular values of the class means of the last hidden pre-activations, descending, zeros (1e-10 of the largest) left out."""
    s = np.linalg.svd(class_layers(point)[0][-1], compute_uv=False)
    return s[s > 1e-10 * max(s[0], 1e-300)].tolist()


def _plain(side: str) -> str:
    """The name in `point(name)`."""
    return side.removeprefix("point(").removesuffix(")") if side.startswith("point(") else side


def _listed(names, most: int = 4) -> str:
    names = sorted(names, key=lambda name: name != "dnc")
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _rank(p: CriticalPoint) -> str:
    return "rank unknown" if p.rank is None else f"rank {p.rank}"
