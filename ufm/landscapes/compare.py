"""The named structures of a problem side by side, the best of a short search, and the winner."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ufm import structures
from ufm.certificates.certificate import Certificate
from ufm.certificates.global_bound import lower_bound
from ufm.critical.identify import identify
from ufm.critical.signature import CriticalPoint, classify
from ufm.landscapes.merge import free_name
from ufm.numerics import arguments, balls
from ufm.numerics.seeds import seed_record, seed_sequence
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.multistart import Multistart, multistart

SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, are one point in a comparison."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Structures and found points, lowest value first in print; `winner` has the lowest value of all.

    margin: distance to the next distinct value. lower_bound: of the global minimum, in float64, or None.
    `is_global` when the winner meets the bound to 1e-10; otherwise it is the lowest found, no more.
    certificates: proofs that the winner lies below each other structure and below the next distinct point (with the extra
    [certify]). certified: True only where all of these orders are proved, in ball arithmetic; it says nothing of global optimality.
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

    @property
    def certified(self) -> bool:
        return bool(self.certificates) and all(c.holds for c in self.certificates)

    @property
    def winner(self) -> CriticalPoint:
        lowest = min(p.fun for p in self.points)
        return next(p for p in self.points if p.fun <= lowest + SAME * 1e-3 * (1 + abs(lowest)))

    @property
    def margin(self) -> float | None:
        """How far the next distinct value lies above the winner's; None if there is none."""
        best = self.winner.fun
        above = [p.fun - best for p in self.points if p.fun - best > SAME * (1 + abs(best))]
        return min(above, default=None)

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
            "lower_bound": self.lower_bound,
            "lower_bound_arithmetic": None if self.lower_bound is None else "float",
            "verdict": self.verdict(),
            "missing": self.reasons,
            "starts": len(self.search) if self.search else 0,
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
            "singular_values": at.s.tolist() if at else [],
            "grad_norm": p.grad_norm,
            "index": p.index,
            "nullity": p.nullity,
            "nullity_symmetry": p.nullity_symmetry,
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
            index, nullity = ("-" if v is None else str(v) for v in (p.index, p.nullity))
            rank = "-" if p.rank is None else str(p.rank)
            hits = str(self.hits.get(p.name, "")) if self.search else ""
            row = f"{p.name:<{width}}  {rank:>4}  {p.fun:>16.12f}  {p.grad_norm:>8.1e}  {index:>6}  {nullity:>8}  {p.status:<14}  {hits}"
            lines.append(row.rstrip())
        lines.append("")
        lines += [f"not here: {reason}" for reason in dict.fromkeys(self.reasons.values())]
        lines += [f"not classified: {p.name}: {p.why}" for p in self.points if p.why and p.status == "unknown"]
        if self.search:
            lines.append(f"search: {len(self.search)} random starts, {sum(r.success for r in self.search)} converged; rng={self.rng}")
        lines += [self.note] if self.note else []
        lines.append(self.verdict())
        return "\n".join(lines)


def compare(
    problem: Problem, starts: int | None = None, rng=None, *, trace: int = 0, progress: bool | None = None, search_options=None, prove: bool | None = None
) -> Comparison:
    """Every structure that exists for a problem with its value, rank and signature, the best of a short search, and the winner.

    F is reported at exact rank; index and nullity are those of the Hessian in the full factor space.
    starts: random starts of the search (default 20 up to K = 30, 5 up to K = 60, none above; 0 switches it
    off). rng: seed of the search. trace: record runs every that many steps, for plots.
    search_options: passed to `multistart` (method, space, ...). prove: prove the winner's orders (default: where the extra
    [certify] is installed; milliseconds each).

    >>> print(compare(Problem(K=6, n=2, d=8, L=2, lam=2e-3), starts=0, prove=False).verdict())
    pairs (rank 3) has the lowest value found, 0.068673013157, 0.00346 below the next; no point lies below ...

    Source: gk25 (the duel of DNC and a low-rank structure).
    """
    arguments.instance("problem", problem, Problem)
    began = time.perf_counter()
    seed = seed_sequence(rng)
    if starts is None:
        starts = 20 if problem.K <= 30 else 5 if problem.K <= 60 else 0
        note = "" if starts else f"search: off by default at K={problem.K}; pass starts to search."
    else:
        starts = arguments.integer("starts", starts, 0)
        note = ""
    known, reasons = structures.existing(problem)
    points = [classify(replace(point, name=name)) for name, point in known.items()]
    search, hits = None, {}
    if starts or not points:
        search = multistart(problem, max(starts, 1), seed, progress=progress, trace=trace, **(search_options or {}))
        points, hits = _merge(points, search)
    found = Comparison(problem, tuple(points), hits, reasons, lower_bound(problem), search, note, seed_record(seed), 0.0)
    proofs = _prove(found, set(known)) if prove or (prove is None and balls.available()) else ()
    return replace(found, certificates=proofs, seconds=time.perf_counter() - began)


def _prove(found: Comparison, known: set[str]) -> tuple[Certificate, ...]:
    """Orders of the winner against every other structure, and against the next distinct point if that was found by the search."""
    from ufm.certificates.orders import order

    best = found.winner
    above = sorted((p for p in found.points if p.fun - best.fun > SAME * (1 + abs(best.fun))), key=lambda p: p.fun)
    others = [p for i, p in enumerate(above) if p.name in known or i == 0]
    if not found.problem.linear or not (best.name in known or isinstance(best.point, LogitPoint)):
        return ()
    side = {p.name: p.name if p.name in known else replace(p.point, name=p.name) for p in (best, *others) if isinstance(p.point, LogitPoint)}
    return tuple(order(side[best.name], side[p.name], found.problem) for p in others if isinstance(p.point, LogitPoint))


def _plain(side: str) -> str:
    """The name in `point(name)`."""
    return side.removeprefix("point(").removesuffix(")") if side.startswith("point(") else side


def _listed(names, most: int = 4) -> str:
    names = sorted(names, key=lambda name: name != "dnc")
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _merge(points: list[CriticalPoint], search: Multistart):
    """Found points joined to the structures: same value and rank is a hit, another value a row of its own."""
    points, hits, taken = list(points), {}, {p.name for p in points}
    for result in sorted(search, key=lambda r: r.fun):
        rank = result.point.rank if isinstance(result.point, LogitPoint) else None
        twin = next((p for p in points if abs(p.fun - result.fun) <= SAME * (1 + abs(p.fun)) and p.rank in (rank, None) and result.success), None)
        if twin is None and not result.success and points and result.fun > min(p.fun for p in points):
            continue
        if twin is None:
            name = free_name(identify(result).name, taken)
            taken.add(name)
            twin = replace(classify(result), name=name)
            points.append(twin)
        hits[twin.name] = hits.get(twin.name, 0) + 1
    return points, hits


def _rank(p: CriticalPoint) -> str:
    return "rank unknown" if p.rank is None else f"rank {p.rank}"
