"""The named structures of a problem side by side, the best of a short search, and the winner."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ufm import structures
from ufm.certificates.certificate import Certificate, refused
from ufm.certificates.global_bound import lower_bound
from ufm.certificates.models import uncovered
from ufm.critical.identify import identify
from ufm.critical.relu_names import class_layers, hidden_rank
from ufm.critical.signature import CriticalPoint, classify
from ufm.landscapes.comparison import SAME, Comparison
from ufm.landscapes.low_rank_starts import LOW_RANK_SEED, low_rank_ends, pays, widths_for
from ufm.landscapes.merge import free_name
from ufm.landscapes.refine import refine
from ufm.landscapes.relu_search import low_rank_search
from ufm.numerics import arguments, balls, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.clarke import merged
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.multistart import Multistart, multistart

LOW_RANK_STARTS = 6
"""Starts of the search for low rank that stands in for random starts with relu, where these are slow and end at DNC when widths are large."""
LARGEST_KINK_WORK = 2e6
"""Entries of the largest matrix formed for a Clarke residual."""
SEARCHED_K = 21
"""Classes up to which a ReLU model is searched for low rank by default, a matter of seconds."""
REFINED_K = 28
"""Classes up to which structures that are not stationary are refined by descent: K_8, in about 15 s."""


@named_arguments
@own_numpy_state
def compare(
    problem: Problem, starts: int | None = None, rng=None, *, trace: int = 0, progress: bool | None = None, search_options=None, prove: bool | None = None
) -> Comparison:
    """Every structure that exists for a problem with its value, rank and signature, the best of a short search, and the winner.

    F is reported at exact rank; index and nullity are those of the Hessian in the full factor space.
    starts: random starts of the search (default 20 up to K = 30, 5 up to K = 60, none above; 0 switches it
    off), joined from K = 11 on, and in models narrower than K - 1, by twice as many at small widths and by one from every known code
    (`landscapes.low_rank_starts`); `hits` counts the random starts of full width alone. With relu (K <= 21) the default is a short search
    for low rank instead (`landscapes.relu_search`), and structures that are not stationary (K <= 28) are followed by what descent from them
    finds, `srg(r=4) refined`. rng: seed of the search. trace: record runs every that many steps, for plots.
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
    points, hits, search, bound, proofs, ended = [], {}, None, None, (), ""

    def found() -> Comparison:
        return Comparison(problem, tuple(points), hits, reasons, bound, search, note, seed_record(seed), time.perf_counter() - began, proofs, ended)

    try:
        ended = "in its structures"
        for name, point in known.items():
            points.append(_classified(name, point))
        _refine(points, seed, progress)
        if starts or not points:
            search = multistart(problem, max(starts, 1), seed, progress=progress, trace=trace, **(search_options or {}))
            points, hits = _merge(points, search)
            _go_on(search.interrupted, f"after {search.done} of {search.requested} starts")
        ended = "after the random starts"
        if starts and pays(problem):
            points, note = _with_low_ranks(problem, points, starts, seed, progress)
        if searched:
            low = low_rank_search(problem, LOW_RANK_STARTS, child(seed, 1), keep=2, hops=0, progress=progress)
            points, hits = _merge_low_rank(points, low)
            _go_on(low.interrupted, f"after {low.starts} of {LOW_RANK_STARTS} starts of low rank")
        ended = "before its proofs"
        bound = lower_bound(problem)
        proofs = _prove(found(), set(known)) if prove or (prove is None and balls.available()) else ()
        ended = ""
    except KeyboardInterrupt as stop:
        interruption.pass_on()
        ended = str(stop) or (f"after {len(points)} of {len(known)} structures" if ended == "in its structures" else ended)
        if not points:
            raise KeyboardInterrupt(ended) from None
    return found()


def _go_on(interrupted: bool, how: str) -> None:
    """A part that Ctrl-C ended ends the whole, with its own words."""
    if interrupted:
        raise KeyboardInterrupt(how)


def _descends(problem: Problem, largest: int) -> bool:
    """Whether descent through kinks from structured starts applies, up to so many classes."""
    return problem.activation.rectifies and problem.L >= 2 and problem.bias is None and problem.balanced and 3 <= problem.K <= largest


def _starts(problem: Problem, starts) -> tuple[int, str]:
    """(random starts, note)."""
    if starts is not None:
        return arguments.count("starts", starts, 0), ""
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


def _refine(points: list[CriticalPoint], seed, progress: bool | None) -> None:
    """Add what descent finds from those points of a ReLU model that are not stationary."""
    rough = [p for p in points if isinstance(p.point, FactorPoint) and p.status == "not critical" and _descends(p.point.problem, REFINED_K)]
    bar = progress_bar(rough, desc="refine", progress=progress)
    for i, p in enumerate(bar):
        points.append(replace(classify(refine(p.point, child(child(seed, 2), i)).point), name=f"{p.name} refined"))


def _merge_low_rank(points: list[CriticalPoint], search):
    points, hits = list(points), {}
    for end in search:
        _count(points, hits, _twin(points, end.fun), end.point, end.name, end.hits)
    return points, hits


def _with_low_ranks(problem: Problem, points: list[CriticalPoint], starts: int, seed, progress) -> tuple[list[CriticalPoint], str]:
    """(the points, joined by those ends of low rank that lie below all of them, each distinct value once; what was searched)."""
    try:
        ends = low_rank_ends(problem, starts, child(seed, LOW_RANK_SEED), progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("in the starts at small widths") from None
    points, lowest = list(points), min(p.fun for p in points)
    for run in sorted(ends, key=lambda run: run.fun):
        if run.fun >= lowest - SAME * (1 + abs(lowest)):
            break
        if _twin(points, run.fun, run.point.rank) is None:
            points.append(replace(classify(run), name=free_name(identify(run).name, {p.name for p in points})))
    widths = ", ".join(map(str, sorted(widths_for(problem))))
    said = f"also: {len(ends.narrow)} starts at widths {widths} and {len(ends.from_codes)} known codes"
    return points, f"{said}, listed where lower than all others; hits do not count them."


def _prove(found: Comparison, known: set[str]) -> tuple[Certificate, ...]:
    """Orders of the winner against every other structure, and against the next distinct point if that was found by the search."""
    from ufm.certificates.orders import order

    best = found.winner
    others = [p for i, p in enumerate(found.above) if p.name in known or i == 0]
    reason = uncovered(found.problem)
    if reason:
        return tuple(refused("order", f"{best.name} < {p.name}", reason, "order") for p in others[:1])
    if not (best.name in known or isinstance(best.point, LogitPoint)):
        return ()
    side = {p.name: p.name if p.name in known else replace(p.point, name=p.name) for p in (best, *others) if isinstance(p.point, LogitPoint)}
    return tuple(order(side[best.name], side[p.name], found.problem) for p in others if isinstance(p.point, LogitPoint))


def _merge(points: list[CriticalPoint], search: Multistart):
    """Found points joined to the structures: same value and rank is a hit, another value a row of its own."""
    points, hits = list(points), {}
    for result in sorted(search, key=lambda r: r.fun):
        if not result.success and points and result.fun > min(p.fun for p in points):
            continue
        twin = _twin(points, result.fun, getattr(result.point, "rank", None)) if result.success else None
        named = identify(result).name if twin is None else None
        _count(points, hits, twin, result, named)
    return points, hits


def _twin(points: list[CriticalPoint], fun: float, rank: int | None = None) -> CriticalPoint | None:
    """The point with this value, and this rank where both are known."""
    return next((p for p in points if abs(p.fun - fun) <= SAME * (1 + abs(p.fun)) and (rank is None or p.rank in (rank, None))), None)


def _count(points: list[CriticalPoint], hits: dict[str, int], twin: CriticalPoint | None, end, name: str | None, count: int = 1) -> None:
    """Count an end as hits of its twin, or as those of a row of its own."""
    if twin is None:
        twin = replace(classify(end), name=free_name(name, {p.name for p in points}))
        points.append(twin)
    hits[twin.name] = hits.get(twin.name, 0) + count
