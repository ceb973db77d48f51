"""Reading a training run: which critical points it passes, how near, how long, and how fast it leaves.

Near a strict saddle x* gradient flow moves as x(t) - x* = sum_k c_k exp(-h_k t) v_k with h_k, v_k the eigenpairs of the
Hessian in factor space, so that the distance from the saddle ends up growing like exp(-h_min t), t = learning rate x
steps; under gradient descent like (1 - lr h_min)^steps. The rate is read off the class-mean logits and compared with
the eigenvalue. (A mode that raises the rank, at D = 2, moves the logits by the square of its size, so its rate there is
twice the eigenvalue's.)

Distances are between class-mean logits (K, K), modulo class permutations that keep the class counts; where the loss
ignores a constant added to a sample's logits, column means are removed first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import quadratic_assignment

from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.critical.point import CriticalPoint
from ufm.critical.same import free_name
from ufm.critical.spectrum import coupling
from ufm.numerics import arguments
from ufm.numerics.bars import each
from ufm.numerics.content import ByContent
from ufm.numerics.groups import proposed_order
from ufm.numerics.hints import Arrays
from ufm.numerics.records import picked
from ufm.numerics.seeds import generator, seed_sequence
from ufm.numerics.state import own_numpy_state
from ufm.numerics.tables import Column, Shown
from ufm.numerics.words import named_arguments
from ufm.objectives.logits import Stratum
from ufm.points import PointLike, logit_point_of
from ufm.problem import Problem
from ufm.solvers.result import Result, Trace

COLUMNS = (
    Column("point", "name", side="<", width=5),
    Column("status", "status", side="<", width=14),
    Column("entry", "entry", width=8),
    Column("exit", lambda p: "end" if p.exit is None else p.exit, width=8),
    Column("closest", "closest", ".2e", 9),
    Column("F", "fun", ".10f", 14),
    Column("rate seen", "observed", ".3e", 10),
    Column("predicted", "predicted", ".3e", 10),
)
"""What is printed of a plateau."""
EXACT = 6
"""Largest K at which all permutations are tried."""
FIT_BELOW = 0.01
"""The escape rate is fitted while the relative distance is below this."""
FIT_ABOVE = 10.0
"""... and above this many times the closest distance."""
FEWEST = 4
"""Records that a fitted rate needs."""


@dataclass(frozen=True)
class Plateau:
    """A stretch of a run near one point: entry and exit step (None: until the end), closest relative distance.

    observed: slope of the logarithm of the distance against time (learning rate x step; step where no rate is known) as
    the run leaves.
    predicted: log(1 - lr lowest)/lr, which is -lowest for small lr; None for minima, or without a learning rate.
    lowest: the most negative eigenvalue of the point's Hessian in factor space, or None.
    """

    name: str
    point: int
    entry: int
    exit: int | None
    closest: float
    closest_step: int
    fun: float
    status: str
    observed: float | None
    predicted: float | None
    lowest: float | None = None

    @property
    def ratio(self) -> float | None:
        """observed / predicted."""
        return None if self.observed is None or not self.predicted else self.observed / self.predicted


@dataclass(frozen=True, eq=False, repr=False)
class Reading(ByContent, Shown):
    """Nearest critical point at every record of a run, and the plateaus.

    steps (T,). nearest (T,): numbers into `names`. distance (T,): relative Frobenius distance from it. plateaus: in
    order of entry. curves: for every point that has a plateau, its distance at all records (T,). threshold: a plateau
    is nearer than this. lr: learning rate, or None.
    """

    names: tuple[str, ...]
    steps: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    plateaus: tuple[Plateau, ...]
    curves: dict[str, np.ndarray]
    threshold: float
    lr: float | None
    note: str = ""

    @property
    def end(self) -> str | None:
        """Name of the point the run ends near, or None."""
        return self.plateaus[-1].name if self.plateaus and self.plateaus[-1].exit is None else None

    @property
    def passed(self) -> list[str]:
        """Names of the plateaus in order."""
        return [p.name for p in self.plateaus]

    def __len__(self) -> int:
        return len(self.steps)

    def to_dict(self) -> dict:
        keys = "name entry exit closest closest_step fun status observed predicted ratio lowest"
        return {
            "steps": self.steps.tolist(),
            "nearest": [self.names[i] for i in self.nearest],
            "distance": self.distance.tolist(),
            "plateaus": [picked(p, keys) for p in self.plateaus],
            **picked(self, "end threshold lr note"),
        }

    def shown(self) -> list:
        last, unit = self.names[self.nearest[-1]], "step" if self.lr is None else "unit of time (learning rate x steps)"
        ran = f"{len(self)} records, steps {self.steps[0]}..{self.steps[-1]}; nearest at the end: {last}"
        said = [f"{ran}, distance {self.distance[-1]:.2e}"]
        said += [f"plateau: relative distance below {self.threshold:g}; rates per {unit}"]
        return [(self.plateaus, COLUMNS), "", *said, *([self.note] if self.note else [])]


@named_arguments
@own_numpy_state
def read_trajectory(
    run: Result | Trace | Arrays,
    points: Iterable[PointLike] | Mapping[str, PointLike] | None = None,
    problem: Problem | None = None,
    steps: Arrays | None = None,
    lr: float | None = None,
    *,
    labels: Arrays | None = None,
    threshold: float = 0.05,
    progress: bool | None = None,
) -> Reading:
    """For every record, the critical point nearest modulo class permutation; and the plateaus, where it stays near one.

    run: a Result or Trace with logits, or logits (T, K, K) of the class means, or (T, K, N) with `labels` (N,)
    (default: the problem's, or equal blocks in order). points: CriticalPoints or LogitPoints, a list or {name: point}
    (default: `structures.existing(problem)`, so that other points go unnamed). steps (T,): of the records (default: the
    trace's, or 0, 1, ...).
    lr: learning rate of gradient descent (default: that of the Result, with its momentum m: time per step lr/(1-m)),
    without which rates are per step and nothing is predicted. threshold: relative distance |M - P|/|P| below which a
    record is on a plateau; for the zero point |M| over the least norm of the others.

    Distances are exact up to K = 6; beyond, they come from an assignment improved by swaps, and are upper bounds. The
    fitted rate uses records from 10 times the closest distance up to 0.01, at least four; modes that grow nearly as
    fast pull it below the prediction.

    >>> from ufm import minimize
    >>> from ufm.solvers import starts
    >>> problem = Problem(K=4, L=2, lam=0.02)
    >>> saddle = structures.blocks(problem, (3, 1))
    >>> run = minimize(problem, starts.near(saddle, 1e-4), "gd", rng=0, space="reduced", steps=4000, trace=5)
    >>> read_trajectory(run).passed
    ['blocks(3,1)', 'pairs']

    Ctrl-C keeps the records read. Raises ValueError for arrays of wrong shape, steps that do not rise, and points of
    another K.
    """
    threshold = arguments.positive("threshold", threshold)
    M, steps, lr, momentum, problem = _read(run, steps, lr, problem, labels)
    if problem is not None:
        problem.needs_ridge("read_trajectory")
    named = _points(points, problem, M.shape[1])
    targets = [logit_point_of("points", p) for p in named.values()]
    counts = targets[0].problem.counts.tolist()
    centre = targets[0].problem.loss.shift_invariant
    P = np.array([t.class_logits() for t in targets])
    if centre:
        M, P = (A - A.mean(axis=1, keepdims=True) for A in (M, P))
    norms = _norms(P)
    matcher = Matcher(M, P, norms, counts)
    nearest, distance = _nearest(matcher, progress)
    done = len(nearest)
    note = "" if done == len(M) else f"interrupted after {done} of {len(M)} records"
    steps = steps[:done]
    spans = _spans(nearest, distance < threshold)
    curves = {k: matcher.curve(k, done) for k in dict.fromkeys(k for k, _, _ in spans)}
    names, values = tuple(named), list(named.values())
    known = {k: _classified(values[k]) for k in curves}
    plateaus = tuple(_plateau(names[k], k, i, j, steps, curves[k], known[k], lr, momentum) for k, i, j in spans)
    return Reading(
        names, steps, nearest, distance, plateaus, {names[k]: c for k, c in curves.items()}, threshold, lr, note
    )


# ---------------------------------------------------------------------------------------------- what was given


def _read(run, steps, lr, problem, labels):
    """(class-mean logits (T, K, K), steps (T,), learning rate or None, momentum, problem or None)."""
    momentum = 0.0
    if isinstance(run, Result):
        problem = run.problem if problem is None else problem
        if lr is None and run.method == "gd":
            lr, momentum = run.settings["lr"], run.settings["momentum"]
        if run.trace is None:
            raise ValueError("run has no trace: pass trace=1 (or every how many steps) to minimize.")
        run = run.trace
    if isinstance(run, Trace):
        if len(run.logits) != len(run.nit):
            has = f"it has {len(run.logits)} for {len(run.nit)} records (none are kept above K = 64)"
            raise ValueError(f"the trace must hold logits for every record; {has}.")
        steps = run.nit if steps is None else steps
        run = np.array(run.logits)
    lr = None if lr is None else arguments.positive("lr", lr)
    M = arguments.array("logits", run, ndim=3)
    if not len(M):
        raise ValueError("logits must hold at least one record; got none.")
    M = _class_means(M, problem, labels)
    steps = np.arange(len(M)) if steps is None else arguments.array("steps", steps, shape=(len(M),)).astype(int)
    if np.any(np.diff(steps) <= 0):
        raise ValueError("steps must rise from record to record.")
    return M, steps, lr, momentum, problem


def _class_means(M, problem: Problem | None, labels) -> np.ndarray:
    T, K, N = M.shape
    if labels is None and N == K:
        return M
    if labels is None and problem is not None and problem.N == N:
        labels = problem.labels
    if labels is None and N % K:
        raise ValueError(f"labels are needed: {N} columns do not split into {K} equal classes.")
    labels, _ = arguments.labels("labels", np.repeat(np.arange(K), N // K) if labels is None else labels, N, K)
    arguments.every_class("labels", np.unique(labels), K)
    member = np.eye(K)[labels]
    return M @ (member / member.sum(axis=0))


def _points(points, problem: Problem | None, K: int) -> dict[str, Any]:
    """{name: point} from whatever was given; names are made distinct."""
    if points is None:
        if problem is None:
            raise ValueError("points or problem must be given: what should the run be compared with?")
        points = structures.existing(problem)
    if isinstance(points, tuple) and len(points) == 2 and isinstance(points[0], dict):
        points = points[0]  # what structures.existing returns
    if isinstance(points, dict):
        items = list(points.items())
    else:
        items = [(getattr(p, "name", None), p) for p in points]
    result: dict[str, Any] = {}
    for name, p in items:
        p = getattr(p, "critical", p)
        logits = logit_point_of("points", p)
        if logits.problem.K != K:
            raise ValueError(f"points must have the run's K={K} classes; got one with K={logits.problem.K}.")
        result[free_name(name or identify(logits).name, set(result))] = p
    if not result:
        raise ValueError("points must not be empty.")
    return result


# ---------------------------------------------------------------------------------------------- nearest points


def align(M, P, counts=None, start=None, exact: bool | None = None) -> tuple[np.ndarray, float]:
    """(q, |M - P[q][:, q]|_F): the class permutation that brings P nearest to M.

    counts (K,): only classes of equal count are exchanged. exact: try all (default up to K = 6); otherwise an
    assignment of permutation-invariant row signatures, and `start` if given, each improved by swaps: an upper bound.
    """
    K = len(M)
    labels = np.zeros(K, dtype=int) if counts is None else np.unique(counts, return_inverse=True)[1]
    if K <= EXACT if exact is None else exact:
        return _align_exactly(M, P, labels)
    begins = [proposed_order(M, P, labels)] + ([] if start is None else [np.asarray(start)])
    found = [_swap(M, P, labels, q) for q in begins]
    return min(((q, float(np.linalg.norm(M - P[np.ix_(q, q)]))) for q in found), key=lambda pair: pair[1])


def _align_exactly(M, P, labels):
    every = np.array(list(itertools.permutations(range(len(M)))))
    every = every[np.all(labels[every] == labels, axis=1)]
    overlap = np.einsum("ij,qij->q", M, P[every[:, :, None], every[:, None, :]])
    q = every[int(np.argmax(overlap))]
    return q, float(np.linalg.norm(M - P[np.ix_(q, q)]))


def _swap(M, P, labels, q):
    """Swaps of two classes, the best one first, while <M, P[q][:, q]> grows."""
    q = np.array(q)
    forbidden = labels[:, None] != labels[None]
    noise = 1e-12 * float(np.linalg.norm(M) * np.linalg.norm(P))
    for _ in range(10 * len(M)):
        gain = swap_gains(M, P[np.ix_(q, q)])
        gain[forbidden] = -np.inf
        i, j = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[i, j] <= noise:
            break
        q[[i, j]] = q[[j, i]]
    return q


def swap_gains(M, B) -> np.ndarray:
    """(K, K): by how much <M, B> grows when classes i and j of B change places."""
    X, Y = M.T @ B, M @ B.T
    total = X + X.T + Y + Y.T
    own = np.diag(X) + np.diag(Y)
    total = total - own[:, None] - own[None]
    m, n = np.diag(M), np.diag(B)
    # the sums above run over all k; take out k = i and k = j, and put the four entries at (i, j) in their new places
    total -= (m[:, None] - M) * (B - n[:, None]) + (M.T - m[None]) * (n[None] - B.T)
    total -= (m[:, None] - M.T) * (B.T - n[:, None]) + (M - m[None]) * (n[None] - B)
    return total + (m[:, None] - m[None]) * (n[None] - n[:, None]) + (M - M.T) * (B.T - B)


def _norms(P) -> np.ndarray:
    """What distances are relative to: the norm of each point; the least of the others for zero (1 if there is none)."""
    norms = np.linalg.norm(P, axis=(1, 2))
    positive = norms[norms > 0]
    return np.where(norms > 0, norms, np.min(positive, initial=np.inf) if len(positive) else 1.0)


class Matcher:
    """Distances of records from points; `bound` (T, P): |s(M) - s(P)| of singular values, below them (mirsky75)."""

    def __init__(self, M, P, norms, counts):
        self.M, self.P, self.norms, self.counts = M, P, norms, counts
        s, t = np.linalg.svd(M, compute_uv=False), np.linalg.svd(P, compute_uv=False)
        self.bound = np.linalg.norm(s[:, None] - t[None], axis=2) / norms
        self._known: dict[tuple[int, int], float] = {}
        self._last: dict[int, np.ndarray] = {}

    def distance(self, i: int, k: int) -> float:
        """Relative distance of record i from point k, starting from the permutation last found for that point."""
        if (i, k) not in self._known:
            q, gap = align(self.M[i], self.P[k], self.counts, self._last.get(k))
            far = gap / self.norms[k] > 2 * self.bound[i, k] + 0.05 and self.bound[i, k] < 0.05
            if len(q) > EXACT and far and k not in self._last:
                q, gap = self._harder(i, k, q, gap)
            self._last[k] = q
            self._known[i, k] = gap / self.norms[k]
        return self._known[i, k]

    def _harder(self, i, k, q, gap):
        """A relaxation of the quadratic assignment, when singular values say that a nearer permutation may exist."""
        if len(set(self.counts)) > 1:
            return q, gap
        options = {"maximize": True, "rng": generator(seed_sequence(0))}
        guess = quadratic_assignment(self.M[i], self.P[k], method="faq", options=options).col_ind
        other = align(self.M[i], self.P[k], self.counts, guess)
        return other if other[1] < gap else (q, gap)

    def nearest(self, i: int) -> tuple[int, float]:
        """(the point nearest to record i, its relative distance); the first of equals."""
        best, at = np.inf, 0
        for k in np.argsort(self.bound[i], kind="stable").tolist():
            if self.bound[i, k] >= best:
                break
            gap = self.distance(i, k)
            if gap < best:
                best, at = gap, k
        return at, best

    def curve(self, k: int, done: int) -> np.ndarray:
        """Distance from point k at the first `done` records; backwards through those not yet known."""
        for i in range(done - 1, -1, -1):
            self.distance(i, k)
        return np.array([self._known[i, k] for i in range(done)])


def _nearest(matcher: Matcher, progress):
    """(nearest, distance) of the records read before Ctrl-C, if it came."""
    found, _ = each(range(len(matcher.M)), matcher.nearest, desc="reading", progress=progress)
    if not found:
        raise KeyboardInterrupt
    return tuple(map(np.array, zip(*found, strict=True)))


# ---------------------------------------------------------------------------------------------- plateaus


def _spans(nearest, near) -> list[tuple[int, int, int]]:
    """(point, first record, last record) of the runs of records on a plateau of one point."""
    spans = []
    for i, (k, on) in enumerate(zip(nearest.tolist(), near.tolist(), strict=True)):
        if on and spans and spans[-1][0] == k and spans[-1][2] == i - 1:
            spans[-1][2] = i
        elif on:
            spans.append([k, i, i])
    return [tuple(span) for span in spans]


def _classified(point) -> CriticalPoint:
    if isinstance(point, CriticalPoint) and (point.lowest is not None or not point.descends):
        return point
    return classify(point.point if isinstance(point, CriticalPoint) else point)


def _plateau(name: str, k: int, i: int, j: int, steps, curve, critical: CriticalPoint, lr, momentum: float) -> Plateau:
    best, leaves = i + int(np.argmin(curve[i : j + 1])), j + 1 < len(steps)
    clock = lr / (1.0 - momentum) if lr else 1.0
    observed = escape_rate(steps[best : j + 1] * clock, curve[best : j + 1]) if leaves else None
    predicted = None if lr is None else _predicted_rate(critical, lr, momentum)
    stay = int(steps[i]), int(steps[j]) if leaves else None, float(curve[best]), int(steps[best])
    lowest = critical.lowest if critical.descends else None
    return Plateau(name, k, *stay, critical.fun, critical.status, observed, predicted, lowest)


def escape_rate(time, distance) -> float | None:
    """Slope of log distance against time while it is small and the growing mode dominates; None from few records."""
    inside = (distance >= FIT_ABOVE * distance[0]) & (distance <= FIT_BELOW)
    if np.sum(inside) < FEWEST:
        return None
    return float(np.polyfit(time[inside], np.log(distance[inside]), 1)[0])


def _predicted_rate(critical: CriticalPoint, lr: float, momentum: float) -> float | None:
    """Growth rate of the lowest mode's part of the logits per unit of time lr/(1 - momentum); None without descent.

    A mode of eigenvalue h grows by the larger root of m^2 - (1 + momentum - lr h) m + momentum = 0 per step.
    """
    if not critical.descends or critical.lowest is None or critical.lowest >= 0:
        return None
    half = 0.5 * (1.0 + momentum - lr * critical.lowest)
    factor = half + np.sqrt(half * half - momentum)
    return float(np.log(factor) / lr * (1.0 - momentum)) * (2.0 if _raises_rank(critical) else 1.0)


def _raises_rank(critical: CriticalPoint) -> bool:
    """Whether the lowest mode leaves the rank stratum, which happens at D = 2 only."""
    point = logit_point_of("points", critical.point)
    problem, inner = point.problem, Stratum(point).G_perp
    if problem.D != 2 or problem.widths[0] <= point.rank or not inner.size:
        return False
    sigma, lowest = float(np.linalg.norm(inner, 2)), critical.lowest
    leaving = np.linalg.eigvalsh(coupling(problem, sigma))[0]
    return lowest is not None and bool(abs(leaving - lowest) <= 1e-9 * abs(lowest))
