"""Descent through kinks, and a search for low-rank competitors of DNC in deep ReLU models.

Minimisers of a ReLU model sit on kinks, where descent stalls above them. Replace s(x) = max(x, 0) by

    s_eps(x) = (x + sqrt(x^2 + eps^2))/2,      0 <= s_eps - s <= eps/2,

descend, and follow the minimum as eps falls. Broad smoothing first passes over small barriers and revives silent neurons, so that more starts end
low; `solvers.kinks` then takes the end to a stationary point of the ReLU model itself. Values of a search are upper bounds on the minimum, no more.

Starts of low rank: graph codes plus noise, and Gaussian weights of width r in all layers but the last.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from ufm.activations import Activation
from ufm.critical.relu_names import hidden_rank, name_of
from ufm.numerics import arguments
from ufm.numerics.files import write_atomically
from ufm.numerics.graphs import simple_graphs
from ufm.numerics.seeds import child, generator, seed_record, seed_sequence
from ufm.objectives import reductions
from ufm.objectives.clarke import merged
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.kinks import finish_on_kinks
from ufm.solvers.lbfgs import next_iterate
from ufm.structures import graph_codes, relu_collapse

COARSE = (0.3, 0.1, 0.03, 0.01)
"""Smoothing eps that starts go through, in units where all factors have entries of order one; most from the second on."""
STEPS = 300
"""L-BFGS steps at each."""
MEMORY = 20
"""Its memory."""
SPARE = 2
"""Neurons that a start has beyond those it uses, where the widths allow."""
NOISE = 0.1
"""Standard deviation of the noise on factors of order one."""
HOP = 0.2
"""That of the noise around the best point of a search."""
SPREAD = 0.9
"""That of the entries of Gaussian factors."""
TOL = 1e-12
"""Clarke residual asked of the end, relative to 1."""
SAME = 1e-7
"""Values closer than this, relative, are one point in a search."""
LARGEST_GRAPH_K = 15
"""Classes up to which starts are drawn from all graphs."""


@dataclass(frozen=True, eq=False)
class Refined:
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
class LowRankSearch:
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


def smooth_relu(eps: float) -> Activation:
    """s_eps with its derivatives."""
    eps = arguments.positive("eps", eps)

    def root(x):
        return np.sqrt(x * x + eps * eps)

    name = f"relu smoothed by {arguments.short(eps)}"
    return Activation(name, lambda x: 0.5 * (x + root(x)), lambda x: 0.5 + 0.5 * x / root(x), lambda x: 0.5 * eps * eps / root(x) ** 3)


def refine(point: FactorPoint, rng=None, noise: float = NOISE) -> Refined:
    """What descent from a little noise around a point of a ReLU model reaches.

    The point is first brought to one column per class (if the samples of a class agree and counts are equal), equal ridge weights, and no dead
    neurons but a few spare ones; the end is brought back. noise: standard deviation, factors being of order one there; 0: from the point itself.

    Raises ValueError for other activations than relu, and with a bias.
    """
    arguments.instance("point", point, FactorPoint)
    _relu_only(point.problem, "refine")
    noise = arguments.nonnegative("noise", noise)
    small, factors = reduced(point)
    draw = generator(seed_sequence(rng))
    start = [A + noise * draw.standard_normal(A.shape) for A in factors]
    before = _value(point)
    return _end(point.problem, _coarse(small, start, COARSE[1:] if noise else ()), before, "noise around a point")


def low_rank_search(
    problem: Problem, starts: int = 60, rng=None, ranks: Sequence[int] | None = None, *, keep: int = 6, hops: int = 6, progress: bool | None = None
) -> LowRankSearch:
    """Points of a deep ReLU model of low rank and low value: `starts` descents with a smoothed ReLU, the `keep` lowest distinct ones finished, and
    `hops` descents from noise around the best so far.

    Even starts: a graph code with noise, drawn among graphs with K edges on r vertices (K <= 15, mse, L >= 3), the cheaper ones first; odd starts:
    Gaussian factors of widths (r, ..., r, 2K), in turn with signs and (widths 3K, broader smoothing) without. r runs through `ranks` (default:
    about sqrt(2K), and its neighbours). All within the problem's widths.

    Returns LowRankSearch. Ctrl-C keeps what was found. Raises ValueError for other activations than relu, with a bias, and for bad arguments.
    """
    arguments.instance("problem", problem, Problem)
    _relu_only(problem, "low_rank_search")
    starts, keep, hops = arguments.integer("starts", starts, 1), arguments.integer("keep", keep, 1), arguments.integer("hops", hops, 0)
    ranks = _default_ranks(problem) if ranks is None else [arguments.integer("rank", r, 1) for r in ranks]
    if not ranks:
        raise ValueError("ranks must name at least one rank.")
    began, seed = time.perf_counter(), seed_sequence(rng)
    one, graphs = one_each(problem), _graph_starts(problem, ranks)
    ends, interrupted, done = [], False, 0
    try:
        for i in tqdm(range(starts), desc="starts", delay=2, leave=False, disable=None if progress is None else not progress):
            small, factors, schedule, words = _draw(one, graphs, ranks, i, generator(child(seed, i)))
            point = _coarse(small, factors, schedule)
            ends.append((_value(point), words, point))
            done = i + 1
    except KeyboardInterrupt:
        interrupted = True
    found: list[Refined] = []
    try:
        for words, point, hits in _distinct(ends, keep):
            end = replace(_end(problem, point, _value(point), words), hits=hits)
            _join(found, end)
        for i in range(hops if found else 0):
            best = min(found, key=lambda e: e.fun)
            end = refine(best.point, child(child(seed, starts), i), HOP)
            _join(found, replace(end, start=f"noise around {best.start.removeprefix('noise around ')}"))
    except KeyboardInterrupt:
        interrupted = True
    ordered = tuple(sorted(found, key=lambda e: e.fun))
    return LowRankSearch(problem, ordered, reference(problem), done, seed_record(seed), time.perf_counter() - began, interrupted)


def _join(found: list[Refined], end: Refined) -> None:
    """Add an end, or its hits to the one of the same value."""
    twin = next((k for k, e in enumerate(found) if abs(e.fun - end.fun) <= SAME * abs(end.fun)), None)
    if twin is None:
        found.append(end)
    else:
        found[twin] = replace(found[twin], hits=found[twin].hits + end.hits)


def reference(problem: Problem) -> float:
    """F at DNC, or at zero where that is lower or DNC does not exist."""
    objective = FactorObjective(problem)
    zero = float(objective.value(np.zeros(objective.size)))
    try:
        return min(zero, relu_collapse.loss(problem))
    except ValueError:
        return zero


def _default_ranks(problem: Problem) -> list[int]:
    r = round((1 + np.sqrt(1 + 8 * problem.K)) / 2)
    most = min(problem.widths)
    return sorted({max(1, min(most, k)) for k in (r - 1, r, r + 1)})


def _graph_starts(problem: Problem, ranks) -> dict[int, list]:
    """Graphs with K edges by number of vertices, the cheapest code first; none where codes do not apply."""
    if problem.loss.name != "mse" or problem.L < 3 or not problem.balanced or problem.K > LARGEST_GRAPH_K:
        return {}
    known = [g for g in simple_graphs(problem.K, min(max(ranks) + 1, 7)) if g.vertices <= min(problem.widths) and problem.widths[-1] >= problem.K]
    priced = sorted(((graph_codes.part_loss(problem, g), g) for g in known), key=lambda pair: pair[0])
    return {r: [g for _, g in priced if g.vertices == r] for r in {g.vertices for g in known}}


def _draw(one: Problem, graphs: dict, ranks, i: int, draw: np.random.Generator):
    """(problem of small widths, factors, schedule of eps, words) of start i."""
    r, K = ranks[i // 2 % len(ranks)], one.K
    if i % 2 == 0 and graphs:
        r = r if r in graphs else int(draw.choice(sorted(graphs)))
        graph = graphs[r][min(int(draw.exponential(0.35 * len(graphs[r]))), len(graphs[r]) - 1)]
        small = _narrowed(one, r, K + SPARE)
        try:
            factors = graph_codes.graph_code(small, graph).factors
            return small, [A + NOISE * draw.standard_normal(A.shape) for A in factors], COARSE[1:], f"code {graph.name}"
        except ValueError:
            pass
    signed = i // 2 // len(ranks) % 2 == 0
    small = _narrowed(one, r, 2 * K if signed else 3 * K)
    factors = [SPREAD * draw.standard_normal(shape) for shape in small.shapes()]
    if not signed:
        factors[:-1] = [np.abs(A) for A in factors[:-1]]
    return small, factors, COARSE[1:] if signed else COARSE, f"Gaussian of width {r}"


def _narrowed(one: Problem, r: int, last: int) -> Problem:
    return replace(one, d=(*(min(d, r) for d in one.widths[:-1]), min(one.widths[-1], last)))


def _distinct(ends, keep: int, tol: float = 1e-4):
    """(words, point, hits) of the lowest ends, values within tol being one."""
    groups: list[list] = []
    for fun, words, point in sorted(ends, key=lambda end: end[0]):
        if groups and fun - groups[-1][0] <= tol * abs(fun):
            groups[-1][3] += 1
        elif len(groups) < keep:
            groups.append([fun, words, point, 1])
        else:
            break
    return [(words, point, hits) for _, words, point, hits in groups]


def _coarse(small: Problem, factors, schedule) -> FactorPoint:
    """Descent with the smoothed ReLU at each eps in turn, to gradients of 1e-2 Lam: the fine part is left to `solvers.kinks`."""
    x = FactorObjective(small).pack(factors)
    for eps in schedule:
        soft = FactorObjective(replace(small, activation=smooth_relu(eps)))
        fun, grad = soft.value_grad(x)
        pairs = deque(maxlen=MEMORY)
        for _ in range(STEPS):
            if np.linalg.norm(grad) <= 1e-2 * small.Lam:
                break
            found, _ = next_iterate(soft, x, fun, grad, pairs)
            if found is None:
                break
            x, fun, grad = found
    return FactorObjective(small).point(x)


def _end(problem: Problem, point: FactorPoint, before: float, words: str) -> Refined:
    """The stationary point of the ReLU model below a point of a reduced problem, in the given problem."""
    objective, x = merged(point)
    try:
        found = finish_on_kinks(objective, x, TOL)
        x, residual = found.x, found.clarke.relative
    except np.linalg.LinAlgError:  # LAPACK gave up: the rough end, with the gradient of slope 0 at kinks
        residual = float(np.linalg.norm(objective.grad(x)) / (objective.problem.Lam * np.linalg.norm(x)))
    small = objective.point(x)
    end = lifted(problem, small)
    return Refined(end, _value(end), before, residual, name_of(small), hidden_rank(small), words)


def _value(point: FactorPoint) -> float:
    objective, x = merged(point)
    return float(objective.value(x))


def one_each(problem: Problem) -> Problem:
    """The problem with one sample per class (equal counts) and the same ridge weight everywhere: the same values at collapsed points."""
    few = reductions.samples.apply(problem) if problem.balanced else problem
    return reductions.weights.apply(few)


def reduced(point: FactorPoint) -> tuple[Problem, list[np.ndarray]]:
    """(`one_each` problem of the live neurons and a few spare ones, factors) of a point; all samples are kept where those of a class differ."""
    problem, factors = point.problem, [np.array(A) for A in point.factors]
    if problem.balanced:
        means = factors[0].reshape(len(factors[0]), problem.K, problem.n).mean(axis=2)
        if np.allclose(np.repeat(means, problem.n, axis=1), factors[0], rtol=0, atol=1e-9 * max(1.0, np.max(np.abs(means)))):
            problem, factors[0] = reductions.samples.apply(problem), means
    factors = [np.sqrt(lam / problem.Lam) * A for lam, A in zip(problem.lams, factors, strict=True)]
    widths = []
    for l, d in enumerate(problem.widths):
        live = np.flatnonzero(np.any(factors[l], axis=1) & np.any(factors[l + 1], axis=0))
        room = min(d, len(live) + SPARE)
        factors[l] = np.pad(factors[l][live], [(0, room - len(live)), (0, 0)])
        factors[l + 1] = np.pad(factors[l + 1][:, live], [(0, 0), (0, room - len(live))])
        widths.append(room)
    return replace(reductions.weights.apply(problem), d=tuple(widths)), factors


def lifted(problem: Problem, point: FactorPoint) -> FactorPoint:
    """A point of `one_each(problem)`, of any smaller widths, in the given problem: zero padded, weights and samples restored."""
    fewer = point.problem.N != problem.N
    few = reductions.samples.apply(problem) if fewer else problem
    wide = relu_collapse.embedded(reductions.weights.apply(few), point.factors)
    end = reductions.weights.lift(few, wide)
    return reductions.samples.lift(problem, end) if fewer else end


def _relu_only(problem: Problem, name: str) -> None:
    if problem.activation.name != "relu" or problem.bias is not None:
        raise ValueError(f"{name} needs activation='relu' without bias; got activation={problem.activation.name!r}, bias={problem.bias}.")
    if problem.L < 2:
        raise ValueError(f"{name} needs a hidden activation, L >= 2; got L={problem.L}.")
