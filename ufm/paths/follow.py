"""One critical point through all ridge weights: branches, their folds and bifurcations, and where two of them cross.

All ridge weights lam_l are multiplied by one factor, so that Lam = (prod lam_l)^(1/D) moves and their ratios stay. With
mu = log Lam, a branch of rank r is a curve of solutions of

    grad F_r(Z; mu) = 0,     d(grad F_r)/dmu = U diag(phi'(s)) V',     dF/dLam = (D/2) sum_i s_i^(2/D)  along it,

followed by pseudo-arclength in (Z, mu): a step along the tangent, then Newton in the hyperplane across it, in the
scaled tangent coordinates of the rank stratum, where no gauge freedom is left. So folds are ordinary points. Modes of
the Hessian that do not feel mu at all (symmetry-breaking ones at a symmetric point, orbits of the loss's own
symmetries) are left alone where their eigenvalue is tiny: the branch keeps its symmetry through a bifurcation.

For D >= 3 no singular value can reach zero at Lam > 0, because Lam s^(2/D - 1) is at most |G|; for D = 2 branches end
there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from scipy import linalg

from ufm import structures
from ufm.critical.classify import with_name
from ufm.critical.signature import zero_below
from ufm.numerics import arguments, families, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.records import picked
from ufm.numerics.roots import bracketed
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.logits import Stratum, value
from ufm.objectives.stationary import critical_below
from ufm.objectives.strata import schatten
from ufm.points import LogitPoint, PointLike, logit_point_of
from ufm.problem import Problem

ARRAYS = "lam fun grad_norm index smallest"
"""What a branch knows of every point."""
ZERO = 1e-13
"""Eigenvalues below ZERO Lam (plus rounding) count as zero."""
BLIND = 1e-8
"""A mode is blind to mu when its share of the gradient's derivative in mu is below this."""
SINGULAR = 1e-4
"""Blind modes with an eigenvalue below SINGULAR Lam take no step."""
SMALLEST_STEP = 1e-7
"""Arclength below which a branch counts as stuck."""
EDGE = 1e-13
"""Relative rounding allowed at the ends of a branch's range of Lam."""
REACH = 0.2
"""Longest correction, in parts of the step it corrects."""
VANISHED = 1e-7
"""At D = 2, a singular value below this part of the branch's largest is on its way to zero."""


@dataclass(frozen=True, eq=False)
class Event(ByContent):
    """Something on a branch: `fold` (lam turns), `bifurcation` (eigenvalues vanish), `end` (a singular value vanishes).

    lam: the effective Lam there; fun, point: F and the point (the last one before, for an end). multiplicity: how many
    eigenvalues (for an end: singular values) vanish. after: number of the branch point behind which it lies.
    """

    kind: str
    lam: float
    fun: float
    point: LogitPoint
    index_before: int
    index_after: int
    multiplicity: int
    after: int

    def to_dict(self) -> dict:
        return picked(self, "kind lam fun index_before index_after multiplicity after")

    def __repr__(self) -> str:
        change = "" if self.kind == "end" else f"; index {self.index_before} -> {self.index_after}"
        what = "singular values" if self.kind == "end" else "eigenvalues"
        return f"{self.kind} at lam = {self.lam:.12g}, F = {self.fun:.12g}{change}, {self.multiplicity} {what} vanish"


@dataclass(frozen=True, eq=False)
class Branch(ByContent):
    """Points of one branch in order, from the start: arrays (P,) and the points themselves.

    lam: effective ridge weight Lam. index: negative eigenvalues of Hess F_r, and at D = 2 of the directions that raise
    the rank (for a convex loss that is the index of the full Hessian). smallest: least |eigenvalue| in scaled
    coordinates, exact zero modes aside. events in order. message: why it ends. `at(lam)` is the point at a given Lam,
    `stable` where the index is 0.
    """

    lam: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    index: np.ndarray
    smallest: np.ndarray
    points: tuple[LogitPoint, ...]
    events: tuple[Event, ...]
    message: str
    interrupted: bool = False
    name: str | None = None
    tolerances: dict = field(default_factory=dict)

    @property
    def stable(self) -> np.ndarray:
        return self.index == 0

    @property
    def rank(self) -> int:
        return self.points[0].rank

    def folds(self) -> list[Event]:
        return [e for e in self.events if e.kind == "fold"]

    def bifurcations(self) -> list[Event]:
        return [e for e in self.events if e.kind == "bifurcation"]

    def ends(self) -> list[Event]:
        return [e for e in self.events if e.kind == "end"]

    def covers(self, lam: float) -> bool:
        """Whether a Lam lies in the branch's range, up to rounding."""
        return bool(self.lam.min() * (1 - EDGE) <= lam <= self.lam.max() * (1 + EDGE))

    def at(self, lam: float) -> LogitPoint:
        """The branch's point at an effective Lam in its range, by Newton from its nearest point; where it folds, on the
        first piece from the start that has this lam. Raises ValueError outside the range."""
        lam = arguments.positive("lam", lam)
        if self.covers(lam):
            lam = float(np.clip(lam, self.lam.min(), self.lam.max()))
        if len(self.lam) == 1 and lam == self.lam[0]:
            return self.points[0]
        for i in range(len(self.lam) - 1):
            if min(self.lam[i : i + 2]) <= lam <= max(self.lam[i : i + 2]):
                return replace(_between(self.points[i], self.points[i + 1], lam), name=self.name)
        low, high = self.lam.min(), self.lam.max()
        raise ValueError(f"lam must lie on the branch, which has {low:.12g} <= lam <= {high:.12g}; got lam={lam!r}.")

    def to_dict(self) -> dict:
        arrays = {key: array.tolist() for key, array in picked(self, ARRAYS).items()}
        rest = picked(self, "name rank message interrupted tolerances")
        events = [event.to_dict() for event in self.events]
        return {"problem": self.points[0].problem.to_dict(), **arrays, "events": events, **rest}

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        head = f"Branch of {self.name or 'unnamed'} (rank {self.rank}): {len(self)} points, lam"
        head += f" {self.lam[0]:.6g} -> {self.lam[-1]:.6g}; {self.message}"
        ends = f"  index {self.index[0]} at the start, {self.index[-1]} at the end"
        ends += f"; largest |grad| {self.grad_norm.max():.1e}"
        return "\n".join([head, ends, *(f"  {e!r}" for e in self.events)])


@named_arguments
@own_numpy_state
def follow(
    point: PointLike | str,
    lam: float,
    steps: int = 1000,
    *,
    problem: Problem | None = None,
    back: float | None = None,
    max_step: float = 0.3,
    tol: float = 1e-12,
    progress: bool | None = None,
) -> Branch:
    """The branch through a critical point of a linear model, from its Lam up or down to the effective weight `lam`.
    The point may be a structure's name, beside the problem it is made in.

    Every lam_l is multiplied by the same factor. Folds are passed: a branch that turns before `lam` is followed back
    until it meets `back` (default: the starting Lam). steps: most points; max_step: longest step in arclength, whose
    unit is one e-fold of Lam or a change of the factors by their own norm. tol: gradient norm (full factor space) of
    every point, or 1e-7 of the ridge's where that is less.

    Events are located by Brent's method on the vanishing eigenvalue, or on the tangent's mu-part at folds. A pair of
    eigenvalues that crosses in opposite senses within one step goes unseen; a smaller max_step helps. Ctrl-C keeps the
    points reached.

    >>> from ufm.structures import dnc
    >>> branch = follow(dnc(Problem(K=4, L=2, lam=0.01)), 1.0)
    >>> [e.kind for e in branch.events]
    ['bifurcation', 'bifurcation', 'fold']
    >>> branch.message
    'returned to its starting lam'
    >>> follow("circle", 2e-4, problem=Problem(K=7, L=5, lam=1e-4)).rank
    2

    Raises ValueError where the point is not critical, the model not linear, or an argument out of range.
    """
    point = _begun(point, problem)
    target = np.log(arguments.positive("lam", lam))
    home = point.problem.Lam
    limit = np.log(home if back is None else arguments.positive("back", back))
    steps, tol = arguments.integer("steps", steps, 1), arguments.positive("tol", tol)
    max_step = arguments.positive("max_step", max_step)
    point = with_name(point)
    start = _Place(point, float(np.log(home)))
    if start.stratum.grad_norm > critical_below(start.stratum.ridge_norm, rounding=start.stratum.rounding):
        raise ValueError(
            f"point must be critical; its gradient norm is {start.stratum.grad_norm:.2e}, the ridge's alone"
            f" {start.stratum.ridge_norm:.2e}."
        )
    if (limit - start.mu) * (target - start.mu) > 0:
        raise ValueError(
            f"back must not lie between the starting lam {home:.6g} and the target {lam:.6g} or beyond; got"
            f" back={back!r}."
        )
    return _Walk(start, target, limit, back is None, steps, max_step, tol).run(progress)


def _begun(point, problem: Problem | None) -> LogitPoint:
    """The point to follow; of a name, the structure in the problem."""
    if isinstance(point, str):
        if problem is None:
            raise ValueError(f"problem is needed beside the name of a structure; got point={point!r}, problem=None.")
        arguments.instance("problem", problem, Problem)
        problem.needs_ridge("follow")
        makers = structures.catalogue(problem)
        return replace(logit_point_of("point", makers[arguments.choice("point", point, makers)]()), name=point)
    point = logit_point_of("point", point)
    point.problem.needs_ridge("follow")
    if problem is not None and point.problem != problem:
        raise ValueError("problem is that of the point, or goes with the name of a structure; got another one.")
    return point


def crossing(make_a: Callable | Branch, make_b: Callable | Branch, low: float, high: float) -> float:
    """The effective Lam in [low, high] at which F of two structures is equal, by Brent's method to 1e-14.

    make_a, make_b: functions Lam -> LogitPoint, or Branches. Rounding of F leaves an error of about 1e-16 F / |slope of
    the difference|. Raises ValueError when the difference has one sign at both ends, or a structure does not exist in
    between.

    >>> float(f"{structure_crossing(Problem(K=4, L=2, lam=0.01), 'dnc', 'pairs', 1e-3, 0.1):.12f}")
    0.011760498079
    """
    low, high = arguments.positive("low", low), arguments.positive("high", high)
    a, b = (make.at if isinstance(make, Branch) else make for make in (make_a, make_b))

    def gap(u: float) -> float:
        lam = float(np.exp(u))
        return value(a(lam)) - value(b(lam))

    ends = gap(np.log(low)), gap(np.log(high))
    if ends[0] * ends[1] > 0:
        raise ValueError(
            f"low and high must enclose a crossing; the difference of F is {ends[0]:.3e} at low={low:.6g} and"
            f" {ends[1]:.3e} at high={high:.6g}."
        )
    return float(np.exp(bracketed(gap, np.log(low), np.log(high), 1e-15, 8.9e-16)))


def structure_crossing(problem: Problem, first: str, second: str, low: float, high: float) -> float:
    """`crossing` of two structures named as in `structures.catalogue`, all else being the problem's."""
    return crossing(named_maker(problem, first), named_maker(problem, second), low, high)


def named_maker(problem: Problem, name: str) -> Callable[[float], LogitPoint]:
    """Lam -> the structure of this name; ValueError for unknown names now, and where it does not exist when called."""
    arguments.instance("problem", problem, Problem)
    families.choice("structure", name, structures.catalogue(problem))
    return lambda lam: replace(logit_point_of(name, structures.catalogue(at_lam(problem, lam))[name]()), name=name)


def at_lam(problem: Problem, lam: float) -> Problem:
    """The problem with all ridge weights multiplied by one factor such that its effective Lam is `lam`.

    >>> at_lam(Problem(K=3, lam=(1.0, 4.0)), 1.0).lams
    (0.5, 2.0)
    """
    lam = arguments.positive("lam", lam)
    if isinstance(problem.lam, tuple):
        return replace(problem, lam=tuple(lam / problem.Lam * one for one in problem.lam))
    return replace(problem, lam=lam)


class _Tangent(NamedTuple):
    """A direction (y in scaled coordinates of a place, m along mu)."""

    y: np.ndarray
    m: float


@dataclass(frozen=True, eq=False)
class _Place:
    """A point with its mu = log Lam, and F_r to second order there in the Hessian's eigenbasis."""

    point: LogitPoint
    mu: float

    @functools.cached_property
    def stratum(self) -> Stratum:
        return Stratum(self.point)

    @functools.cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        stratum = self.stratum
        if not stratum.size:
            return np.zeros(0), np.zeros((0, 0))
        return linalg.eigh(stratum.scale[:, None] * stratum.hessian() * stratum.scale, check_finite=False)

    @functools.cached_property
    def gradient(self) -> np.ndarray:
        """In the eigenbasis."""
        return self.modes[1].T @ (self.stratum.scale * self.stratum.gradient())

    @functools.cached_property
    def drift(self) -> np.ndarray:
        """d(gradient)/dmu in the eigenbasis: diag(phi'(s)) on the block A, and nothing elsewhere."""
        p = self.point
        vector = np.zeros(self.stratum.size)
        r = p.rank
        vector[: r * r] = np.diag(schatten(p.problem).derivative(p.s)).ravel()
        return self.modes[1].T @ (self.stratum.scale * vector)

    @functools.cached_property
    def length(self) -> float:
        """Norm of one balanced factor: the unit of y."""
        return float(np.sqrt(np.sum(self.point.s ** (2.0 / self.point.problem.D)))) or 1.0

    @functools.cached_property
    def live(self) -> tuple[np.ndarray, np.ndarray]:
        """(basis (size, k) in eigenmodes, H (k, k) in it) of the directions that take steps.

        All modes with an eigenvalue above SINGULAR Lam; of the others only the Krylov space of H from the drift, so
        that modes blind to mu stay out even where they mix with the mode of a fold.
        """
        values, drift = self.modes[0], self.drift
        size = np.max(np.abs(values), initial=0.0)
        small = np.abs(values) <= SINGULAR * self.point.problem.Lam + 1e-11 * size
        tiny, start = values[small], drift[small]
        chain: list[np.ndarray] = []
        norm, floor = np.linalg.norm(start), BLIND * np.linalg.norm(drift)
        level = 1e-6 * np.max(np.abs(tiny), initial=0.0) + 1e-14 * size
        while norm > floor and len(chain) < len(tiny):
            chain.append(start / norm)
            start = tiny * chain[-1]
            for _ in range(2):
                start = start - sum((w @ start) * w for w in chain)
            norm, floor = np.linalg.norm(start), level
        Q = np.array(chain).reshape(len(chain), len(tiny)).T
        big = np.flatnonzero(~small)
        basis = np.zeros((len(values), len(big) + len(chain)))
        basis[big, np.arange(len(big))] = 1.0
        basis[np.ix_(small, np.arange(len(big), basis.shape[1]))] = Q
        return basis, basis.T @ (values[:, None] * basis)

    @functools.cached_property
    def spectrum(self) -> np.ndarray:
        """Eigenvalues ascending: of the scaled stratum Hessian, and at D = 2 Lam - sigma_i(G_perp), d - r of each."""
        problem = self.point.problem
        values = self.modes[0]
        if problem.D == 2 and self.stratum.G_perp.size:
            sigma = np.linalg.svd(self.stratum.G_perp, compute_uv=False)
            values = np.append(values, np.repeat(problem.Lam - sigma, problem.widths[0] - self.point.rank))
        return np.sort(values)

    @functools.cached_property
    def counts(self) -> tuple[int, int]:
        """(negative, zero) eigenvalues."""
        values = self.spectrum
        zero = zero_below(self.point.problem, np.max(np.abs(values), initial=0.0), self.stratum.grad_norm, ZERO)
        return int(np.sum(values < -zero)), int(np.sum(np.abs(values) <= zero))

    def bordered(self, border: _Tangent, right, last: float) -> _Tangent | None:
        """(y, m) with H y + drift m = right (eigenbasis) and <border, (y, m)> = last; None where singular."""
        basis, H = self.live
        k, unit = basis.shape[1], self.point.problem.Lam
        directions = self.modes[1] @ basis
        M = np.zeros((k + 1, k + 1))
        M[:k, :k] = H / unit
        M[:k, k] = basis.T @ self.drift / unit
        M[k, :k] = directions.T @ border.y / self.length**2
        M[k, k] = border.m
        try:
            solution = np.linalg.solve(M, np.append(basis.T @ right / unit, last))
        except np.linalg.LinAlgError:
            return None
        if not np.all(np.isfinite(solution)):
            return None
        return _Tangent(directions @ solution[:k], float(solution[k]))

    def inner(self, a: _Tangent, b: _Tangent) -> float:
        """In the metric of arclength: y relative to the length of a factor, m as it is."""
        return float(a.y @ b.y) / self.length**2 + a.m * b.m

    def tangent(self, border: _Tangent) -> _Tangent | None:
        """The branch's unit tangent, on the side of `border`."""
        t = self.bordered(border, np.zeros(self.stratum.size), 1.0)
        if t is None:
            return None
        norm = np.sqrt(self.inner(t, t))
        return _Tangent(t.y / norm, t.m / norm)

    def blocks(self, y) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """(A, B, C, db) of scaled coordinates."""
        r, K, M = self.stratum.shape
        A, B, C, db = np.split(self.stratum.scale * y, np.cumsum([r * r, r * (M - r), (K - r) * r]))
        return A.reshape(r, r), B.reshape(r, M - r), C.reshape(K - r, r), None if self.point.b is None else db

    def moved(self, step: _Tangent, share: float = 1.0) -> _Place | None:
        """The place after a step; None where a singular value would change by a factor above e, or mu by more than 2.

        To first order in (A, B, C) the matrix goes to (U e^X + U_perp C S^-1) S (V e^X' + V_perp B' S^-1)' with X_ij =
        A_ij/(s_i + s_j), so that tiny singular values beside large ones keep their relative accuracy.
        """
        p, mu = self.point, self.mu + share * step.m
        A, B, C, db = self.blocks(share * step.y)
        s = p.s
        if np.any(np.abs(np.diag(A)) > s) or abs(share * step.m) > 2.0:
            return None
        b = None if db is None else p.b + db
        U, V = self.stratum.frames
        turn = linalg.expm(A / (s[:, None] + s)) if len(s) else A
        left, R = np.linalg.qr(U @ np.vstack([turn, C / s]))
        right, Q = np.linalg.qr(V @ np.vstack([turn.T, B.T / s]))
        u, after, vt = np.linalg.svd((R * s) @ Q.T)
        if not np.all(after > 0):
            return None
        problem = at_lam(p.problem, float(np.exp(mu)))
        return _Place(LogitPoint(problem, left @ u, after, right @ vt.T, b), mu)

    def carry(self, t: _Tangent, there: _Place) -> _Tangent:
        """The direction t of this place in the coordinates of another: the same dZ = X Z + Z Y', as in `moved`."""
        A, B, C, db = self.blocks(t.y)
        (U, V), (U2, V2) = self.stratum.frames, there.stratum.frames
        s, s2, r = self.point.s, there.point.s, self.point.rank
        X = A / (s[:, None] + s)
        left = U2.T @ (U @ np.vstack([X, C / s]) @ (U[:, :r].T @ U2[:, :r]))
        right = V2.T @ (V @ np.vstack([X.T, B.T / s]) @ (V[:, :r].T @ V2[:, :r]))
        flat = there.stratum.pack(left[:r] * s2 + (right[:r] * s2).T, (right[r:] * s2).T, left[r:] * s2, db)
        return _Tangent(flat / there.stratum.scale, t.m)


def _corrected(place: _Place, border: Callable, tol: float, reach: float = 2.0, most: int = 12) -> _Place | None:
    """The place on the branch, or None: Newton across the border until rounding stops it, no step above `reach`."""
    entered = False
    for _ in range(most):
        stratum = place.stratum
        norm = stratum.grad_norm
        good = norm <= min(tol, max(1e-7 * stratum.ridge_norm, 2e-15))
        step = place.bordered(border(place), -place.gradient, 0.0)
        if step is None:
            return None
        size = np.sqrt(place.inner(step, step))
        if good and (entered or size <= 1e-14):
            return place
        entered = good
        after = place.moved(step)
        if after is None:
            return None
        if good and after.stratum.grad_norm > norm:
            return place
        if size > reach:
            return None
        place = after
    return place if place.stratum.grad_norm <= tol else None


def _along_mu(place: _Place, m: float = 1.0) -> _Tangent:
    """The direction in which mu alone moves; a border that freezes mu."""
    return _Tangent(np.zeros(place.stratum.size), m)


def _at_fixed_lam(point: LogitPoint, lam: float, mu: float, tol: float = 1e-12) -> _Place | None:
    """Newton at one Lam, mu its logarithm, from a nearby point."""
    return _corrected(_Place(replace(point, problem=at_lam(point.problem, lam)), mu), _along_mu, tol)


def _between(a: LogitPoint, b: LogitPoint, lam: float, depth: int = 12) -> LogitPoint:
    """The point at lam on the piece of branch from a to b, F being monotone along it."""
    ends = {p.problem.Lam: p for p in (a, b)}
    for end, p in ends.items():
        if lam == end:
            return p
    low, high = sorted(value(p) for p in (a, b))
    for p in sorted((a, b), key=lambda p: abs(np.log(p.problem.Lam / lam))):
        place = _at_fixed_lam(p, lam, float(np.log(lam)))
        slack = 1e-12 * (1 + abs(low)), 1e-12 * (1 + abs(high))
        if place is not None and low - slack[0] <= value(place.point) <= high + slack[1]:
            return place.point
    if depth == 0:
        raise ValueError(
            f"lam={lam!r} could not be reached from its neighbours on the branch, probably because a fold is close."
        )
    middle = _between(a, b, float(np.sqrt(a.problem.Lam * b.problem.Lam)), depth - 1)
    inside = min(a.problem.Lam, middle.problem.Lam) <= lam <= max(a.problem.Lam, middle.problem.Lam)
    return _between(a, middle, lam, depth - 1) if inside else _between(middle, b, lam, depth - 1)


class _Walk:
    """One walk along a branch; `run` gives the Branch."""

    def __init__(self, start, target, limit, home, steps, max_step, tol):
        self.start, self.target, self.limit, self.home = start, target, limit, home
        self.steps, self.max_step, self.tol = steps, max_step, tol
        self.places: list[_Place] = []
        self.events: list[Event] = []
        self.interrupted, self.seen = False, {}

    def run(self, progress: bool | None) -> Branch:
        here = _corrected(self.start, _along_mu, self.tol) or self.start
        self.places.append(here)
        message = "nothing to follow: the point is at the target"
        if abs(self.target - here.mu) > 1e-15:
            with progress_bar(total=self.steps, desc="branch", progress=progress) as bar:
                try:
                    message = self._march(here, bar)
                except KeyboardInterrupt:
                    interruption.pass_on()
                    self.interrupted, message = True, "interrupted"
        return self._branch(message)

    def _branch(self, message: str) -> Branch:
        places, base = self.places, self.places[0].counts[1]
        smallest = [np.sort(np.abs(p.spectrum))[base:] for p in places]
        smallest = np.array([v[0] if len(v) else np.nan for v in smallest])
        rows = ((p.point.problem.Lam, p.stratum.fun, p.stratum.grad_norm, p.counts[0]) for p in places)
        name = self.start.point.name
        points = tuple(replace(p.point, name=name) for p in places)
        used = {"gradient": self.tol, "eigenvalue": ZERO, "max_step": self.max_step}
        lam, fun, grad_norm, index = map(np.array, zip(*rows, strict=True))
        return Branch(
            lam, fun, grad_norm, index, smallest, points, tuple(self.events), message, self.interrupted, name, used
        )

    def _march(self, here: _Place, bar) -> str:
        self.zeros = here.counts[1]
        t = here.tangent(_along_mu(here, float(np.sign(self.target - here.mu))))
        if t is None:
            return "stuck: the starting point is singular"
        h, patience = min(0.05, self.max_step), 6
        while len(self.places) <= self.steps:
            if h < SMALLEST_STEP:
                return "stuck: the step became too small"
            moved = self._step(here, t, h)
            if moved is None:
                h *= 0.5
                continue
            there, new, bend = moved
            stop = self._passed(here, there)
            net, turned = there.counts[0] - here.counts[0], t.m * new.m < 0
            awkward = there.counts[1] != self.zeros or (turned and net == 0)
            if (awkward and not stop and patience) or stop == "at once":
                patience -= stop != "at once"
                h *= 0.37 if turned or stop else 0.83
                continue
            if stop:
                h, there, new = self._land(here, t, h, self.target if stop.startswith("reached") else self.limit)
                turned = t.m * new.m < 0
            events, explained = self._find_events(here, t, h, there, turned)
            if not explained and h > 1e-3:
                h *= 0.37
                continue
            patience, self.zeros = 6, there.counts[1]
            self.events += events
            self.places.append(there)
            bar.update(1)
            if stop:
                return stop
            if self._vanishing():
                return "a singular value reaches zero"
            here, t = there, new
            h = min(self.max_step, h * (1.6 if bend > 0.99 else 1.0))
        return f"used its {self.steps} steps"

    def _step(self, here, t, h):
        """(place, tangent there, cosine between the tangents) or None where the step is too long."""
        self.reach = REACH * h
        there = self._curve(here, t, h)
        if there is None:
            return None
        carried = here.carry(t, there)
        new = there.tangent(carried)
        if new is None:
            return None
        bend = there.inner(new, carried) / np.sqrt(there.inner(carried, carried))
        return (there, new, bend) if bend > 0.95 else None

    def _curve(self, here, t, h):
        """The branch at arclength about h from `here`: predicted along t, corrected across it."""
        guess = here.moved(t, h)
        if guess is None:
            return None
        return _corrected(guess, lambda place: here.carry(t, place), self.tol, self.reach)

    def _on(self, here, t, h) -> _Place:
        """The same, remembered within a step."""
        if self.seen.get("from") is not here:
            self.seen = {"from": here, 0.0: here}
        if h not in self.seen:
            self.seen[h] = self._curve(here, t, h)
        if self.seen[h] is None:
            raise _Lost
        return self.seen[h]

    def _passed(self, here, there) -> str:
        """Why to stop within this step, or ''. `at once` where the first step already returns."""
        if (here.mu - self.target) * (there.mu - self.target) <= 0:
            return "reached the target lam"
        start = self.limit if not self.home else self.places[0].mu
        if (here.mu - start) * (there.mu - start) < 0 or (there.mu == start):
            return (
                "returned to its starting lam" if self.home else "reached the lam where it was to stop on the way back"
            )
        if here.mu == start and (there.mu - start) * (self.target - start) < 0:
            return "at once"
        return ""

    def _land(self, here, t, h, mu: float):
        """(arclength, place, tangent) where the branch meets mu within the step."""
        share = bracketed(lambda x: self._on(here, t, x).mu - mu, 0.0, h, 1e-13 * h, 1e-14)
        near = self._on(here, t, share)
        there = _at_fixed_lam(near.point, float(np.exp(mu)), mu, self.tol) or near
        return share, there, there.tangent(here.carry(t, there)) or here.carry(t, there)

    def _find_events(self, here, t, h, there, turned: bool) -> tuple[list[Event], bool]:
        """What happened between two places, along the branch, and whether it accounts for the change of index."""
        before, after = here.counts[0], there.counts[0]
        low, high, sign = min(before, after), max(before, after), 1 if after > before else -1
        fold = self._fold(here, t, h) if turned else None
        roots = sorted(self._vanishing_eigenvalues(here, t, h, there, low, high))
        if fold is not None and roots:
            roots.remove(min(roots, key=lambda x: abs(x - fold)))
        found = [("bifurcation", x, m) for x, m in _clusters(roots, 1e-6 * h)]
        found += [("fold", fold, 1)] if fold is not None else []
        index, events = before, []
        for kind, x, m in sorted(found, key=lambda e: e[1]):
            place = self._on(here, t, x)
            change = sign * m if kind == "bifurcation" or high > low else 0
            point = replace(place.point, name=self.start.point.name)
            lam, fun, after_point = place.point.problem.Lam, place.stratum.fun, len(self.places) - 1
            events.append(Event(kind, lam, fun, point, index, index + change, m, after_point))
            index += change
        return events, index == after and (fold is not None or not turned)

    def _fold(self, here, t, h) -> float | None:
        def turning(x):
            place = self._on(here, t, x)
            tangent = place.tangent(here.carry(t, place))
            if tangent is None:
                raise _Lost
            return tangent.m

        try:
            return _root(turning, h)
        except _Lost:
            return None

    def _vanishing_eigenvalues(self, here, t, h, there, low: int, high: int) -> list[float]:
        """Arclengths where the eigenvalues number low, ..., high - 1 vanish; zero modes stand between the two signs."""
        if low == high:
            return []

        def eigenvalue(x, j):
            values = self._on(here, t, x).spectrum if x < h else there.spectrum
            return values[j] + values[j + self.zeros] if self.zeros and j + self.zeros < len(values) else values[j]

        try:
            first = _root(lambda x: eigenvalue(x, low), h)
            last = first if high - low == 1 else _root(lambda x: eigenvalue(x, high - 1), h)
            if first is None or last is None:
                return []
            if abs(first - last) <= 1e-6 * h:
                return [0.5 * (first + last)] * (high - low)
            inner = [_root(lambda x, j=j: eigenvalue(x, j), h) for j in range(low + 1, high - 1)]
        except _Lost:
            return []
        return [x for x in (first, *inner, last) if x is not None]

    def _vanishing(self) -> bool:
        """At D = 2: record the end where the smallest singular value, extrapolated, is zero."""
        here = self.places[-1]
        s = here.point.s
        if here.point.problem.D != 2 or not len(s):
            return False
        top = max(np.max(p.point.s) for p in self.places)
        if s[-1] > VANISHED * top:
            return False
        last = self.places[-3:]
        if len(last) == 3 and not last[0].point.s[-1] > last[1].point.s[-1] > last[2].point.s[-1]:
            return False
        sizes, lams = (np.array(v) for v in zip(*[(p.point.s[-1], p.point.problem.Lam) for p in last], strict=True))
        lam = sum(
            lam * np.prod([x / (x - y) for j, x in enumerate(sizes) if j != i])
            for i, (lam, y) in enumerate(zip(lams, sizes, strict=True))
        )
        index, dying = here.counts[0], int(np.sum(s <= 10 * VANISHED * top))
        at = here.stratum.fun, here.point, index, index, dying, len(self.places) - 1
        self.events.append(Event("end", float(lam), *at))
        return True


class _Lost(Exception):
    """The branch could not be reached inside a step that had been accepted."""


def _root(function, h: float) -> float | None:
    """The zero of a function on [0, h] by Brent's method; None where it has one sign."""
    ends = function(0.0), function(h)
    if ends[0] * ends[1] > 0:
        return None
    return bracketed(function, 0.0, h, 1e-13 * h, 1e-13)


def _clusters(roots: list[float], width: float) -> list[tuple[float, int]]:
    """(mean, how many) of values closer than width."""
    groups: list[list[float]] = []
    for x in roots:
        if groups and x - groups[-1][-1] <= width:
            groups[-1].append(x)
        else:
            groups.append([x])
    return [(float(np.mean(g)), len(g)) for g in groups]
