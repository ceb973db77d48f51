"""Paths between two critical points and the barrier on them: straight, balanced, minimum energy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ufm.critical.classify import with_name
from ufm.critical.point import CriticalPoint
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Rng
from ufm.numerics.records import picked
from ufm.numerics.renamed import renamed
from ufm.numerics.seeds import generator, seed_record, seed_sequence
from ufm.numerics.spectra import thin_svd
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.factors import FactorObjective
from ufm.objectives.fit import Fit
from ufm.objectives.logits import Stratum
from ufm.objectives.strata import schatten
from ufm.paths.descents import reduced_objective
from ufm.paths.gauge import align_gauge, aligned_lifts, class_logits_along
from ufm.paths.strings import String, highest, respaced
from ufm.paths.trajectory import align
from ufm.points import LogitPoint, PointLike, from_matrix, logit_point_of, point_of
from ufm.problem import Problem

KINDS = ("straight", "balanced", "string")
LINES = {
    "straight": "straight line in factor space between balanced ends",
    "balanced": "straight line in logits, each point with its best factors",
}
"""What is said of the paths that solve nothing."""


@dataclass(frozen=True, eq=False)
class Path(ByContent):
    """A way from A to B: t (P,) in [0, 1], F along it, and the class logits there, points (P, K, K).

    t: share of the length travelled, in factor space (kind `balanced`: in logit space). barrier = max F - F(A). top:
    the highest point; a CriticalPoint where Newton took it to a saddle (`refined`), which is then one of the points.
    residual: largest norm of the part of the gradient across the path, and converged whether that met the tolerance;
    None and True for lines, which solve nothing.
    permutation: of the classes of B. rng: the seed, to walk it again.
    """

    kind: str
    t: np.ndarray
    fun: np.ndarray
    points: np.ndarray
    barrier: float
    top: CriticalPoint | LogitPoint
    converged: bool
    residual: float | None
    message: str
    names: tuple[str, str]
    permutation: tuple[int, ...]
    steps: int = 0
    rng: dict = field(default_factory=dict)
    interrupted: bool = False

    @property
    def refined(self) -> bool:
        return isinstance(self.top, CriticalPoint)

    @property
    def top_fun(self) -> float:
        """F at the highest point."""
        return float(self.fun[0] + self.barrier)

    def point(self, i: int) -> LogitPoint:
        """Point number i, a matrix of class logits of whatever rank it has. ValueError where there is a bias."""
        problem = point_of("top", self.top).problem
        if problem.bias is not None:
            raise ValueError(
                f"the points of a path are logits with the bias, which cannot be told apart; got bias={problem.bias}."
                " Its ends and top are points."
            )
        return from_matrix(problem, self.points[i], rel_tol=1e-9, collapse=True)

    def to_dict(self) -> dict:
        top = self.top if isinstance(self.top, CriticalPoint) else None
        top = None if top is None else {"name": top.name, **top.signature.to_dict(), "rank": top.rank}
        arrays = {"t": self.t.tolist(), "fun": self.fun.tolist()}
        lists = {"names": list(self.names), "permutation": list(self.permutation), "top": top, "rng": self.rng}
        return picked(self, "kind barrier converged residual message steps refined top_fun") | arrays | lists

    def __repr__(self) -> str:
        a, b = self.names
        lead = f"Path ({self.kind}) {a} -> {b}: F = {self.fun[0]:.12g} -> {self.fun[-1]:.12g}"
        lead += f", barrier {self.barrier:.12g}"
        plain = f"top at F = {self.top_fun:.12g}, not refined to a critical point"
        top = f"top {self.top!r}" if self.refined else plain
        return "\n  ".join([lead, top, self.message])


@renamed(tol="rel_tol")
@named_arguments
@own_numpy_state
def path(
    a: PointLike,
    b: PointLike,
    kind: str = "string",
    *,
    permute: bool = False,
    images: int = 31,
    rel_tol: float = 1e-3,
    max_steps: int = 5000,
    climb: bool = False,
    rng: Rng = None,
    progress: bool | None = None,
) -> Path:
    """A path from a to b and the highest F on it.

    kind: `straight`, x(t) = (1-t) x_a + t x_b between balanced factors, hidden frames of b turned towards those of a
    (Procrustes); `balanced`, Z(t) = (1-t) Z_a + t Z_b with F the least over all factors of Z(t), (D/2) Lam sum s^(2/D)
    + fit; `string`, a path of steepest descent from the better of those two (simplified string method: gradient steps,
    then images moved to equal distances), its top refined by Newton. Where the top is a saddle of index above 1, the
    string is shaken (rng: its seed, kept in the result) and goes on.
    permute: let the classes of b be permuted to lower the barrier (all permutations up to K = 6, some beyond). images:
    points on the path. rel_tol: a string has converged when the gradient across it is below rel_tol times the ridge's
    own.
    climb: the highest image climbs.

    The barrier of a path is an upper bound of the least barrier between its ends; `string` finds a local best, not the
    least of all. Ctrl-C keeps the string reached.

    >>> from ufm import structures
    >>> problem = Problem(K=4, L=2, lam=0.04 / 3)
    >>> round(path(structures.dnc(problem), structures.pairs(problem), "straight").barrier, 4)
    0.0153

    Raises ValueError for unknown kinds, nonlinear models, ends of different problems or stored over samples. Source:
    e07 (string), henkelman00 (climbing).
    """
    kind = arguments.choice("kind", kind, KINDS)
    images, max_steps = arguments.count("images", images, 5), arguments.integer("max_steps", max_steps, 1)
    rel_tol, seed = arguments.positive("rel_tol", rel_tol), seed_sequence(rng)
    draw = generator(seed)
    a, b = (with_name(logit_point_of(name, p)) for name, p in (("a", a), ("b", b)))
    if a.problem != b.problem:
        raise ValueError(f"a and b must belong to one problem; got {a.problem!r} and {b.problem!r}.")
    a.problem.needs_ridge("path")
    arguments.room("all images of a path", images, a.problem.K, a.problem.K, instead="take fewer images")
    if not (a.collapsed and b.collapsed):
        raise ValueError("a and b must be within-class collapsed points; one of them stores a column per sample.")
    objective = reduced_objective(a)
    options = _permutations(a, b, draw) if permute else [(np.arange(a.problem.K), b)]
    lines = _lines(objective, a, options, "straight" if kind == "string" else kind, images)
    if kind != "string":
        return replace(lines[0], rng=seed_record(seed))
    strings: list[Path] = []
    for line in _distinct(lines)[:3]:
        other = permuted(b, np.array(line.permutation))
        strings.append(_string(objective, a, other, line, images, rel_tol, max_steps, climb, draw, progress))
        if strings[-1].interrupted:
            break
    return replace(min(strings, key=lambda string: string.barrier), rng=seed_record(seed))


def permuted(point: LogitPoint, q) -> LogitPoint:
    """Class i of the new point is class q_i of the old."""
    return replace(point, U=point.U[q], right=point.right[q], b=None if point.b is None else point.b[q])


def _permutations(a: LogitPoint, b: LogitPoint, draw, most: int = 60):
    """[(q, b permuted)] with different logits: all up to K = 6, else the nearest to a, the identity and random ones."""
    K, counts = a.problem.K, a.problem.counts
    if K <= 6:
        every = (np.array(q) for q in itertools.permutations(range(K)))
    else:
        nearest = align(a.class_logits(), b.class_logits(), counts.tolist())[0]
        every = itertools.chain([np.arange(K), nearest], (draw.permutation(K) for _ in range(most)))
    seen, result = set(), []
    for q in every:
        if np.any(counts[q] != counts):
            continue
        other = permuted(b, q)
        key = np.round(other.class_logits() / max(1e-300, np.max(np.abs(b.class_logits()), initial=0.0)), 6).tobytes()
        if key not in seen:
            seen.add(key)
            result.append((q, other))
    return result[:most] if K > 6 else result


def _lines(objective, a, options, kind: str, images: int) -> list[Path]:
    """Straight or balanced paths to every option, lowest barrier first."""
    draw_line = {"straight": _straight, "balanced": _balanced}[kind]
    found = [draw_line(objective, a, b, tuple(q.tolist()), images) for q, b in options]
    return sorted(found, key=lambda line: line.barrier)


def _distinct(lines: list[Path]) -> list[Path]:
    """Lines of different barrier: permutations that fix one end give the same path again."""
    result: list[Path] = []
    for line in lines:
        if all(abs(line.barrier - other.barrier) > 1e-8 * (1 + abs(other.barrier)) for other in result):
            result.append(line)
    return result


def _straight(objective: FactorObjective, a: LogitPoint, b: LogitPoint, q, images: int) -> Path:
    x, y = aligned_lifts(objective, a, b)

    def at(t):
        return x + np.multiply.outer(t, y - x)

    def fun(t):
        return objective.value(at(t))

    t = np.linspace(0.0, 1.0, images)
    where = highest(fun, t)
    logits, top = class_logits_along(objective, at(t)), objective.to_logits(at(where), tol=1e-12)
    return _line_path("straight", t, fun, logits, top, where, a, b, q)


def _balanced(objective: FactorObjective, a: LogitPoint, b: LogitPoint, q, images: int) -> Path:
    def at(t):
        return a.matrix() + np.multiply.outer(t, b.matrix() - a.matrix())

    def bias(t) -> Any:
        return None if a.b is None else a.b + np.multiply.outer(t, b.b - a.b)

    def fun(t):
        return schatten_value(a.problem, at(t), bias(t))

    t = np.linspace(0.0, 1.0, images)
    where = highest(fun, t)
    logits = at(t) * a.problem.classes.scale
    logits = logits if a.b is None else logits + bias(t)[:, :, None]
    svd = thin_svd(at(where), tol=1e-12)
    top = LogitPoint(a.problem, svd.U, svd.s, svd.V, bias(where))
    return _line_path("balanced", t, fun, logits, top, where, a, b, q)


def _line_path(kind, t, fun, logits, top, where: float, a, b, q) -> Path:
    values = np.asarray(fun(t))
    barrier = max(0.0, float(fun(np.array(where))) - float(values[0]))
    return Path(kind, t, values, logits, barrier, top, True, None, LINES[kind], (a.name, b.name), q)


def schatten_value(problem: Problem, Z, b=None, tol: float = 1e-12):
    """F at class columns Z (..., K, K) with their best factors; singular values below tol of the largest are zero."""
    s = np.linalg.svd(Z, compute_uv=False)
    kept = s > tol * s[..., :1]
    penalty = np.sum(np.where(kept, schatten(problem).phi(np.where(kept, s, 1.0)), 0.0), axis=-1)
    ridge = 0.0 if b is None else 0.5 * (problem.bias or 0.0) * np.sum(b * b, axis=-1)
    return Fit.of(problem, True).value(Z, b) + penalty + ridge


def _string(objective, a, b, line: Path, images: int, tol, max_steps, climb, draw, progress) -> Path:
    ridge = max(Stratum(p).ridge_norm for p in (a, b))
    X, said = first_string(objective, a, b, line, images)
    state, cut = String(objective, X, tol * ridge, climb), False
    shaken = 0
    bar = progress_bar(total=max_steps, desc="string", progress=progress)
    try:
        with bar:
            while True:
                state.run(max_steps, bar)
                top = state.refine()
                if top is None or (top.index_range or (0, 0))[0] <= 1 or shaken == 5 or state.steps >= max_steps:
                    break
                shaken += 1
                state.shake(draw)
    except KeyboardInterrupt:
        interruption.pass_on()
        said, top, cut = f"interrupted; {said}", None, True
    return _string_path(state, top, said, (a.name, b.name), line.permutation, tol * ridge, cut)


def _string_path(state: String, top, said: str, names, q, limit: float, cut: bool) -> Path:
    """The images, with the top of the curve through them (a saddle where it was refined) put in at its place."""
    objective = state.objective
    converged = bool(state.residual <= limit) and not cut
    how = f"gradient across the path {state.residual:.1e}"
    how = f"converged: {how}" if converged else f"not converged: {how} > {limit:.1e}"
    t, X, where = state.t, state.X, state.highest()
    fun, points = np.array(objective.value(X)), class_logits_along(objective, X)
    if top is None:
        x = state.curve(where)
        top, height = objective.to_logits(x, tol=1e-12, collapse=True), float(objective.value(x))
        logits = class_logits_along(objective, x)
    else:
        height, logits = top.fun, top.point.class_logits()
    if 0 < where < 1 and height > np.max(fun):
        same = np.flatnonzero(np.abs(t - where) < 1e-6)
        t, fun, points = (np.delete(A, same, axis=0) for A in (t, fun, points))
        k = int(np.searchsorted(t, where))
        t, fun, points = np.insert(t, k, where), np.insert(fun, k, height), np.insert(points, k, logits, axis=0)
    barrier = max(float(np.max(fun)), height) - float(fun[0])
    end = converged, float(state.residual), f"{how}; {said}", names, q, state.steps
    return Path("string", t, fun, points, barrier, top, *end, interrupted=cut)


def first_string(objective, a, b, line: Path, images: int):
    """(X, sentence): images at equal distances on the straight or the balanced line, that of the lower barrier."""
    x, y = aligned_lifts(objective, a, b)
    other = _balanced(objective, a, b, line.permutation, images)
    if other.barrier >= line.barrier:
        return x + np.multiply.outer(np.linspace(0.0, 1.0, images), y - x), "started from the straight line in factors"
    X = [x]
    for t in np.linspace(0.0, 1.0, images)[1:]:
        svd = thin_svd(a.matrix() + t * (b.matrix() - a.matrix()), tol=1e-12)
        rank = min(svd.rank, a.problem.max_rank)
        bias = None if a.b is None else a.b + t * (b.b - a.b)
        point = LogitPoint(a.problem, svd.U[:, :rank], svd.s[:rank], svd.V[:, :rank], bias)
        X.append(align_gauge(objective, objective.lift(point), X[-1], 20, fresh=True))
    return respaced(np.array(X)), "started from the straight line in logits"
