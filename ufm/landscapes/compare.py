"""The named structures of a problem side by side, the best of a short search, and the winner."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from ufm import structures
from ufm.certificates.certificate import Certificate
from ufm.certificates.global_bound import lower_bound
from ufm.critical.identify import identify
from ufm.critical.relu_names import class_layers, hidden_rank, name_of
from ufm.critical.signature import CriticalPoint, classify
from ufm.landscapes.merge import free_name
from ufm.landscapes.relu_search import low_rank_search, refine
from ufm.numerics import arguments, balls
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.objectives.clarke import merged
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.multistart import Multistart, multistart

SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, are one point in a comparison."""
LOW_RANK_STARTS = 6
"""Starts of the search for low rank that stands in for random starts with relu, where these are slow and end at DNC when widths are large."""
LARGEST_KINK_WORK = 2e6
"""Entries of the largest matrix formed for a Clarke residual."""
SEARCHED_K = 21
"""Classes up to which a ReLU model is searched for low rank by default, a matter of seconds."""
REFINED_K = 28
"""Classes up to which structures that are not stationary are refined by descent: K_8, in about 15 s."""


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
            "singular_values": at.s.tolist() if at else hidden_values(p.point),
            "ranks": list(p.ranks),
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
            index, nullity = ("-" if v is None else str(v) for v in (p.index, p.nullity))
            rank = "-" if p.rank is None else str(p.rank)
            hits = str(self.hits.get(p.name, ""))
            row = f"{p.name:<{width}}  {rank:>4}  {p.fun:>16.12f}  {p.grad_norm:>8.1e}  {index:>6}  {nullity:>8}  {p.status:<14}  {hits}"
            lines.append(row.rstrip())
        lines.append("")
        lines += [f"not here: {reason}" for reason in dict.fromkeys(self.reasons.values())]
        lines += [f"not classified: {p.name}: {p.why}" for p in self.points if p.why and p.status == "unknown"]
        if not self.problem.linear and not self.problem.activation.smooth:
            lines.append("rank: of the last hidden pre-activations W_{L-1} s(...). |grad|: the smallest over slopes at kinks; `stationary` means it vanishes.")
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
    off). With relu (K <= 21) the default is a short search for low rank instead (`landscapes.relu_search`), and structures that are not stationary
    (K <= 28) are followed by what descent from them finds, `srg(r=4) refined`. rng: seed of the search. trace: record runs every that many steps, for plots.
    search_options: passed to `multistart` (method, space, ...). prove: prove the winner's orders (default: where the extra
    [certify] is installed; milliseconds each).

    >>> print(compare(Problem(K=6, n=2, d=8, L=2, lam=2e-3), starts=0, prove=False).verdict())
    pairs (rank 3) has the lowest value found, 0.068673013157, 0.00346 below the next; no point lies below ...

    Source: gk25 (the duel of DNC and a low-rank structure); sml24 (with relu).
    """
    arguments.instance("problem", problem, Problem)
    began = time.perf_counter()
    seed = seed_sequence(rng)
    searched = _descends(problem, SEARCHED_K) and starts is None
    starts, note = _starts(problem, starts)
    known, reasons = structures.existing(problem)
    points = [_classified(name, point) for name, point in known.items()]
    points += _refined(points, seed, progress)
    search, hits = None, {}
    if starts or not points:
        search = multistart(problem, max(starts, 1), seed, progress=progress, trace=trace, **(search_options or {}))
        points, hits = _merge(points, search)
    if searched:
        points, hits = _merge_low_rank(points, low_rank_search(problem, LOW_RANK_STARTS, child(seed, 1), keep=2, hops=0, progress=progress))
    found = Comparison(problem, tuple(points), hits, reasons, lower_bound(problem), search, note, seed_record(seed), 0.0)
    proofs = _prove(found, set(known)) if prove or (prove is None and balls.available()) else ()
    return replace(found, certificates=proofs, seconds=time.perf_counter() - began)


def _descends(problem: Problem, largest: int) -> bool:
    """Whether descent through kinks from structured starts applies, up to so many classes."""
    return problem.activation.name == "relu" and problem.L >= 2 and problem.bias is None and problem.balanced and 3 <= problem.K <= largest


def _starts(problem: Problem, starts) -> tuple[int, str]:
    """(random starts, note)."""
    if starts is not None:
        return arguments.integer("starts", starts, 0), ""
    if _descends(problem, SEARCHED_K):
        return 0, f"search: {LOW_RANK_STARTS} starts of low rank (narrow Gaussian factors, graph codes under mse); pass starts for random ones of full width."
    starts = 20 if problem.K <= 30 else 5 if problem.K <= 60 else 0
    return starts, "" if starts else f"search: off by default at K={problem.K}; pass starts to search."


def _classified(name: str, point: LogitPoint | FactorPoint) -> CriticalPoint:
    """`classify`, unless kinks are too many for the least squares behind a Clarke residual; then `unknown`, with the gradient of slope 0 at kinks."""
    if isinstance(point, LogitPoint) or name.split("(")[0] in ("zero", "dnc", "partial") or _kink_work(point) <= LARGEST_KINK_WORK:
        try:
            return replace(classify(point), name=name)
        except np.linalg.LinAlgError as failed:
            why = f"the least squares over slopes at kinks failed: {failed}"
    else:
        why = "too many kinks to look for slopes at which the gradient vanishes; |grad| is that of slope 0"
    objective, x = merged(point)
    fun, grad = objective.value_grad(x)
    blank = dict.fromkeys(("index", "nullity", "nullity_symmetry", "lowest", "highest"))
    return CriticalPoint(point, float(fun), float(np.linalg.norm(grad)), hidden_rank(point), **blank, status="unknown", name=name, tolerances={}, why=why)


def _kink_work(point: FactorPoint) -> int:
    """Zero pre-activations of live neurons, times live weights: the size of the matrix that says how slopes act on the gradient."""
    before, after = class_layers(point)
    live = [np.any(M, axis=1) for M in after]
    kinks = sum(int(np.sum(np.abs(M[rows]) <= 1e-9 * np.max(np.abs(M), initial=0.0))) for M, rows in zip(before, live, strict=True))
    return kinks * sum(int(np.count_nonzero(np.any(A, axis=1)) * np.count_nonzero(np.any(A, axis=0))) for A in point.factors[1:])


def _refined(points: list[CriticalPoint], seed, progress: bool | None) -> list[CriticalPoint]:
    """What descent finds from those points of a ReLU model that are not stationary."""
    rough = [p for p in points if isinstance(p.point, FactorPoint) and p.status == "not critical" and _descends(p.point.problem, REFINED_K)]
    bar = tqdm(rough, desc="refine", delay=2, leave=False, disable=None if progress is None else not progress)
    ends = [(p.name, refine(p.point, child(child(seed, 2), i)).point) for i, p in enumerate(bar)]
    return [replace(classify(end), name=f"{name} refined") for name, end in ends]


def _merge_low_rank(points: list[CriticalPoint], search):
    points, hits, taken = list(points), {}, {p.name for p in points}
    for end in search:
        twin = next((p for p in points if abs(p.fun - end.fun) <= SAME * (1 + abs(p.fun))), None)
        if twin is None:
            name = free_name(end.name, taken)
            taken.add(name)
            twin = replace(classify(end.point), name=name)
            points.append(twin)
        hits[twin.name] = hits.get(twin.name, 0) + end.hits
    return points, hits


def hidden_values(point: FactorPoint) -> list[float]:
    """Singular values of the class means of the last hidden pre-activations, descending, zeros (1e-10 of the largest) left out."""
    s = np.linalg.svd(class_layers(point)[0][-1], compute_uv=False)
    return s[s > 1e-10 * max(s[0], 1e-300)].tolist()


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
        near = (p for p in points if abs(p.fun - result.fun) <= SAME * (1 + abs(p.fun)) and (rank is None or p.rank in (rank, None)))
        twin = next(near, None) if result.success else None
        if twin is None and not result.success and points and result.fun > min(p.fun for p in points):
            continue
        if twin is None:
            named = name_of(result.point) if result.problem.activation.name == "relu" and not result.problem.linear else identify(result).name
            name = free_name(named, taken)
            taken.add(name)
            twin = replace(classify(result), name=name)
            points.append(twin)
        hits[twin.name] = hits.get(twin.name, 0) + 1
    return points, hits


def _rank(p: CriticalPoint) -> str:
    return "rank unknown" if p.rank is None else f"rank {p.rank}"
