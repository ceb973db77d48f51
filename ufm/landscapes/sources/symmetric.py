"""Critical points inside symmetry classes: the classes are permuted by a group, and the logits are fixed by it.

On the matrices fixed by a group of class permutations F has few variables, and its critical points there are critical
for F (symmetric criticality). Two kinds of class are searched, for balanced counts, a linear model and no bias:

    one orbit     Z = sum_j mu_j E_j,  E_j the idempotents of an association scheme on all K classes,
    two orbits   Z = blockdiag(sum_j mu_j E_j, sum_j nu_j E'_j) + u (x v_1 - y v_2)',  schemes on K_1 + K_2 = K classes,
                  v_i = 1_{K_i}/sqrt(K_i),  u = (sqrt(K_2) v_1 - sqrt(K_1) v_2)/sqrt(K).

All columns of an orbit are copies of one, so that with l the loss of a column, p = 2/D and s = sqrt(n) mu, an active
mode has

    -(K_i/K) dl/dmu_j = m_j Lam n^(p/2) mu_j^(p-1),      -(K_i/K) dl/dx = Lam n^(p/2) tau^(p-2) x,   tau^2 = x^2 + y^2,

one small system in log mu for every choice of active modes; an inactive mode is critical by itself (a product of zero
factors). For cross-entropy every coefficient of a critical point is >= 0 and x, y vanish together; for other losses the
points with coefficients of these signs are searched. What comes back was found by Newton's method from many starts: no
list here is proved complete. For cross-entropy and D >= 3 the roots of one system carry signs (of the Jacobian) that
sum to zero, because every equation is negative at both ends of its mode's range (degree theory). That is checked, and
detects a single missed root.

Source: gk25 (DNC, pairs), bannai84 (schemes), palais79 (symmetric criticality).
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ufm.landscapes.sources.source import Settings, Source
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.numerics.schemes import Scheme, schemes
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.blocks import block_points

CRITICAL = 1e-12
"""Largest norm of the full gradient of a point that is kept."""
FINISH = 0.8
"""Seconds after Ctrl-C for the points already found but not yet classified."""


@dataclass(frozen=True, eq=False)
class Roots(ByContent):
    """The roots found for one choice of active modes.

    support: the active idempotents, numbered from 1, one tuple per orbit. coupled: whether x, y are active.
    values (R, k): the coefficients, mu of orbit 1, then of orbit 2, then x, y.
    paired: whether the signs of the Jacobian sum to zero, as they must for cross-entropy and D >= 3 when no root is
    double; None where nothing is known.
    """

    support: tuple[tuple[int, ...], ...]
    coupled: bool
    values: np.ndarray
    paired: bool | None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Survey(ByContent):
    """What a search over symmetry classes found: points, each once up to class permutation.

    dropped: points whose gradient exceeded `CRITICAL`. unpaired: (class, support) of systems where a root must be
    missing or double. classes: names of the classes searched. interrupted: Ctrl-C came before all the requested ones.
    """

    problem: Problem
    points: tuple[LogitPoint, ...]
    dropped: int
    unpaired: tuple[str, ...]
    classes: tuple[str, ...]
    interrupted: bool = False
    requested: int = 0

    def __repr__(self) -> str:
        lead = f"Survey: {len(self.points)} points found in {len(self.classes)} symmetry classes"
        tail = (
            f"; {self.dropped} dropped above |grad| = {CRITICAL:g}; {len(self.unpaired)} systems with a missing or"
            " double root"
        )
        return lead + tail + ("; interrupted" if self.interrupted else "")


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """What `survey` finds, in classes of up to options["max_idempotents"] modes (default 4 up to K = 8, 3 up to 12,
    none beyond)."""
    limit = settings.options.get("max_idempotents")
    limit = (4 if problem.K <= 8 else 3 if problem.K <= 12 else 0) if limit is None else limit
    if not limit:
        return ""
    found = survey(problem, limit, settings.progress)
    late = time.perf_counter() + FINISH if found.interrupted else math.inf
    for point in found.points:
        if time.perf_counter() < late:
            yield "symmetry", point
    if found.interrupted:
        raise KeyboardInterrupt(f"after {len(found.classes)} of {found.requested} symmetry classes")
    doubt = f", {len(found.unpaired)} systems with a missing or double root" if found.unpaired else ""
    kinds = f"blocks, association schemes of up to {limit} idempotents on one and two orbits"
    return f"{len(found.classes)} classes of points fixed by class permutations ({kinds}{doubt})"


def applies(problem: Problem) -> str:
    """Why no symmetry class is searched; "" where they are."""
    try:
        _refuse(problem, "the search in symmetry classes")
        _refuse_shifts(problem)
    except ValueError as reason:
        return str(reason)
    return ""


def symmetric_points(problem: Problem, max_idempotents: int = 4) -> list[LogitPoint]:
    """The nonzero critical points found by `survey`, lowest value first.

    >>> [point.name for point in symmetric_points(Problem(K=3, L=2, lam=0.02))][:2]
    ['dnc', 'blocks(2,1)']
    """
    return list(survey(problem, max_idempotents).points)


def survey(problem: Problem, max_idempotents: int = 4, progress: bool | None = None) -> Survey:
    """Every symmetry class on the K classes: `scheme_points`, `two_orbit_points` and `block_points`, joined.

    Points equal up to class permutation (value to 1e-11, rank, singular values, sorted entries of Z) are listed once.
    max_idempotents: largest number of nontrivial modes of a class, x and y counting as one.
    Raises ValueError for nonlinear models, unequal counts and a bias. Ctrl-C keeps the classes finished.
    """
    _refuse(problem, "survey")
    limit = arguments.integer("max_idempotents", max_idempotents, 1)
    jobs = [("blocks", lambda: (block_points(problem), []))]
    jobs += [(scheme.name, functools.partial(_one_orbit, problem, scheme)) for scheme in schemes(problem.K, limit)]
    if problem.loss.shift_invariant:
        jobs += [
            (f"{a.name}+{b.name}", functools.partial(_two_orbits, problem, a, b))
            for a, b in scheme_pairs(problem.K, limit)
        ]
    found, unpaired, done, interrupted = [], [], [], False
    try:
        for name, job in progress_bar(jobs, desc="symmetry classes", progress=progress):
            points, roots = job()
            found += points
            unpaired += [f"{name}:{_support(r)}" for r in roots if r.paired is False]
            done.append(name)
    except KeyboardInterrupt:
        interruption.pass_on()
        interrupted = True
    kept = [(stratum.fun, stratum.point) for stratum in map(Stratum, found) if stratum.grad_norm <= CRITICAL]
    return Survey(
        problem, tuple(distinct(kept)), len(found) - len(kept), tuple(unpaired), tuple(done), interrupted, len(jobs)
    )


def scheme_points(problem: Problem, scheme: Scheme) -> list[LogitPoint]:
    """Z = sum_j mu_j E_j: the critical points found in the algebra of one scheme, over every set of active idempotents.

    Names read `code(D_5:1)`, scales are the active mu_j, rank is the sum of their multiplicities. For a loss that is
    not shift invariant the constant mode 11'/K takes part, as idempotent number d + 1. Sets whose rank exceeds the
    widths are left out. Raises ValueError for nonlinear models, unequal counts, a bias, and a scheme on another number
    of classes.

    >>> from ufm.numerics.schemes import dihedral
    >>> [point.name for point in scheme_points(Problem(K=5, L=1, lam=0.01), dihedral(5))]
    ['code(D_5:1)', 'code(D_5:2)', 'code(D_5:1,2)']
    """
    _refuse(problem, "scheme_points")
    return _one_orbit(problem, scheme)[0]


def scheme_roots(problem: Problem, scheme: Scheme) -> list[Roots]:
    """The coefficients behind `scheme_points`, labelled: one `Roots` per set of active idempotents, in order of size.

    >>> from ufm.numerics.schemes import klein
    >>> sum(map(len, scheme_roots(Problem(K=4, L=2, lam=0.04/3), klein())))
    26
    """
    _refuse(problem, "scheme_roots")
    return _one_orbit(problem, scheme)[1]


def two_orbit_points(problem: Problem, max_idempotents: int = 4) -> list[LogitPoint]:
    """The critical points found in every class of two orbits, for each split K = K_1 + K_2 and pair of schemes.

    Points with x = y = 0 are direct sums; names read `code(S_3+S_2:1|1|xy)`. Scales are the active mu of orbit 1, of
    orbit 2, then x, y. Raises ValueError as `scheme_points`, and for losses that are not shift invariant (their
    constant part has four unknowns).
    """
    _refuse(problem, "two_orbit_points")
    _refuse_shifts(problem)
    limit = arguments.integer("max_idempotents", max_idempotents, 1)
    pairs = progress_bar(scheme_pairs(problem.K, limit), desc="pairs of schemes", progress=None)
    return [point for pair in pairs for point in _two_orbits(problem, *pair)[0]]


def two_orbit_roots(problem: Problem, first: Scheme, second: Scheme) -> list[Roots]:
    """The coefficients found for one pair of schemes on K_1 + K_2 = K classes, labelled; see `Roots`.

    >>> from ufm.numerics.schemes import symmetric
    >>> found = two_orbit_roots(Problem(K=4, L=2, lam=0.01), symmetric(3), symmetric(1))
    >>> [(roots.support, roots.coupled, len(roots)) for roots in found]
    [(((), ()), True, 2), (((1,), ()), False, 2), (((1,), ()), True, 4)]
    """
    _refuse(problem, "two_orbit_roots")
    _refuse_shifts(problem)
    return _two_orbits(problem, first, second)[1]


def scheme_pairs(K: int, max_idempotents: int = 4) -> list[tuple[Scheme, Scheme]]:
    """(scheme on K_1, scheme on K_2) with K_1 >= K_2 >= 1 and at most max_idempotents - 1 idempotents in all; each
    unordered pair once."""
    pairs = []
    for k in range(1, K // 2 + 1):
        big, small = schemes(K - k, max_idempotents), schemes(k, max_idempotents)
        for (i, a), (j, b) in itertools.product(enumerate(big), enumerate(small)):
            if len(a.idempotents) + len(b.idempotents) < max_idempotents and (2 * k < K or i <= j):
                pairs.append((a, b))
    return pairs


def a_priori_box(problem: Problem) -> tuple[float, float]:
    """(s_min, total): every nonzero critical point has s_i >= s_min and Lam sum_i s_i^(2/D) <= total.

        Lam sum s_i^(2/D) = -<G, Z> <= g(0) - g(Z) <= g(0)          (g convex and >= 0; G its gradient at Z),
        Lam s_i^(2/D - 1) = -u_i' G v_i <= |G| <= c/sqrt(N)  (c the loss's `gradient_bound`: sqrt 2 for cross-entropy
            and label smoothing, 1 for MSE),

    hence s_min = (Lam sqrt(N)/c)^(D/(D-2)), and 0 for D = 2. g(0) = log K for the first two, 1/2 for MSE. Holds for
    every point, symmetric or not, balanced or not, in a linear model without bias. Raises ValueError for losses without
    such a bound: they need not be convex.
    """
    scales.needs_linear(problem, "a_priori_box")
    problem.needs_ridge("a_priori_box")
    if problem.bias is not None:
        raise ValueError(f"a_priori_box holds without a bias; got bias={problem.bias}.")
    D, c = problem.D, problem.loss.gradient_bound
    if c is None:
        raise ValueError(
            f"a_priori_box needs a loss that states its gradient_bound, as ce, label_smoothing and mse do; got"
            f" loss={problem.loss.name!r}."
        )
    total = float(problem.loss.value(np.zeros((problem.K, problem.K)), np.eye(problem.K)) @ problem.classes.weight)
    return ((problem.Lam * math.sqrt(problem.N) / c) ** (D / (D - 2)) if D > 2 else 0.0), total


# One orbit and two orbits as systems of equations


@dataclass(frozen=True, eq=False)
class _Column:
    """One column of an orbit: its share K_i/K, its label, and dZ/d(unknown) as rows of `directions` (k, K)."""

    share: float
    label: int
    directions: np.ndarray


@dataclass(frozen=True, eq=False)
class System(ByContent):
    """Stationarity in t = log(unknowns): R_j = log pull_j - log w_j + (1 - p) t_j, and for the coupled pair (x, y) the
    last term is (2 - p) log tau - t_j."""

    problem: Problem
    columns: tuple[_Column, ...]
    weights: np.ndarray
    coupled: tuple[int, ...] = ()

    @property
    def p(self) -> float:
        return 2.0 / self.problem.D

    @functools.cached_property
    def ends(self) -> list[int]:
        return np.cumsum([0] + [len(c.directions) for c in self.columns]).tolist()

    def pulls(self, T):
        """-dg/d(unknown), (B, k), at T (B, k)."""
        return self._fit(T, False)[0]

    def _fit(self, T, curved: bool):
        loss, (B, k) = self.problem.loss, T.shape
        mu, pull, H = np.exp(T), np.empty((B, k)), np.zeros((B, k, k) if curved else 0)
        for c, a, b in zip(self.columns, self.ends[:-1], self.ends[1:], strict=True):
            A = c.directions
            Z, Y = A.T @ mu[:, a:b].T, np.zeros((self.problem.K, B))
            Y[c.label] = 1.0
            pull[:, a:b] = -c.share * (A @ loss.grad(Z, Y)).T
            if curved:
                H[:, a:b, a:b] = c.share * np.einsum("jk,ikb->bij", A, loss.hvp(Z, Y, A[:, :, None]))
        return pull, H

    def residual(self, T):
        """(R (B, k), J (B, k, k)); R is NaN where a pull is not positive."""
        pull, H = self._fit(T, True)
        pull = np.where(pull > 0, pull, np.nan)
        k = T.shape[1]
        R = np.log(pull) - np.log(self.weights) + (1 - self.p) * T
        J = -H * np.exp(T)[:, None, :] / pull[:, :, None] + (1 - self.p) * np.eye(k)
        if self.coupled:
            pair = list(self.coupled)
            x = T[:, pair]
            top = np.max(x, axis=1, keepdims=True)
            square = np.exp(2 * (x - top))
            total = np.sum(square, axis=1, keepdims=True)
            R[:, pair] += (2 - self.p) * (top + 0.5 * np.log(total) - x)
            for i in pair:
                J[:, i, i] -= 2 - self.p
                J[:, i, pair] += (2 - self.p) * square / total
        return R, J

    @functools.cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) for t; for the coupled pair, of log tau, written twice.

        With gaps c_i = (direction at the label) - (direction at i), a pull of cross-entropy is at most share max c and
        at most share sum_i c_i e^(-c_i mu), whatever the other modes do: no root lies outside. Label smoothing pulls
        less. For other losses ten times as much is allowed, and the box is a guess. The larger of x, y feels at least w
        tau^(p-1)/sqrt(2).
        """
        slack = 10.0 if self.problem.loss.smoothing is None else 1.0
        ends, j = [], 0
        for c in self.columns:
            for direction in c.directions:
                gap = direction[c.label] - direction if self.problem.loss.shift_invariant else np.abs(direction)
                level = math.log(self.weights[j] / (c.share * slack * (2.0 if j in self.coupled else 1.0)))
                ends.append(self._interval(gap[gap > 0], level))
                j += 1
        low, high = np.array(ends).T
        if slack > 1:
            high = np.maximum(high, 1.0)
        if self.coupled:
            pair = list(self.coupled)
            low[pair], high[pair] = np.min(low[pair]), np.max(high[pair]) + 0.35
        return low, high

    def _interval(self, gap, level: float) -> tuple[float, float]:
        """Where log sum_i c_i e^(-c_i mu) + (1 - p) log mu >= level is possible; low > high where it is nowhere."""
        low = (level - math.log(gap.max())) / (1 - self.p) if self.p < 1 else -25.0
        top = math.log(800.0 / gap.min())
        if low >= top:
            return low, low - 1.0
        t = np.linspace(low, top, 2000)
        reach = np.log(np.maximum(np.exp(-gap[:, None] * np.exp(t)).T @ gap, 1e-300)) + (1 - self.p) * t
        alive = np.flatnonzero(reach >= level)
        return (low, float(t[min(alive[-1] + 1, len(t) - 1)])) if len(alive) else (low, low - 1.0)

    def solve(self) -> tuple[np.ndarray, bool | None]:
        """(roots in t (R, k) sorted, paired): Newton from rounds of starts until two bring nothing new."""
        low, high = self.box
        if np.any(low > high):
            return np.zeros((0, len(low))), True if self._signed else None
        roots, quiet = np.zeros((0, len(low))), 0
        for number in range(MOST_ROUNDS):
            ends = _newton(self, _starts(self, number))
            joined = _unique(np.vstack([roots, ends]))
            quiet = quiet + 1 if len(joined) == len(roots) else 0
            roots = joined
            if (quiet >= 2 and self.pairs_up(roots) is not False) or (
                len(roots) and self.p == 1 and self.problem.loss.convex
            ):
                break  # for D = 2 and a convex loss F is convex in the unknowns, and one root is all
        return roots, self.pairs_up(roots)

    @property
    def _signed(self) -> bool:
        """Whether the degree of R on its box is known to be zero.

        It is where every mode's equation, and the radial one of (x, y), is negative at both ends of its range: for
        cross-entropy with D >= 3. (With label smoothing the angle of (x, y) may lack a sign at its ends.)
        """
        smoothing = self.problem.loss.smoothing
        return smoothing is not None and self.p < 1 and not (self.coupled and smoothing)

    def pairs_up(self, roots) -> bool | None:
        """Whether the signs of det R' at the roots add up to the degree, zero; None where the degree is not known."""
        if not self._signed:
            return None
        return not len(roots) or int(np.sum(np.sign(np.linalg.det(self.residual(roots)[1])))) == 0


# Newton's method on many starts at once

MOST_ROUNDS = 10
_PER_ROUND = 160


def _starts(system: System, number: int) -> np.ndarray:
    """Round `number` of starts (B, k): products of single-mode roots in the first, then low-discrepancy points of the
    box and of its upper band."""
    low, high = system.box
    k = len(low)
    size = _PER_ROUND * 2 ** min(k, 4) // 4
    unit = _lattice(number * size, size, k)
    bottom = np.where(np.arange(size)[:, None] % 4 == 0, low, np.maximum(low, high - 6.0))
    T = bottom + unit * (high - bottom)
    if number == 0:
        levels = [_levels(system, j) for j in range(k)]
        T = np.vstack([np.array(list(itertools.product(*levels))), T])
    return _spread(system, T, unit) if system.coupled else T


def _lattice(first: int, size: int, k: int) -> np.ndarray:
    """Points first, ..., first + size - 1 of a Kronecker sequence (golden ratio) in [0, 1)^k (roberts18)."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (k + 1))
    return (0.5 + np.outer(np.arange(first + 1, first + size + 1), ratio ** -np.arange(1.0, k + 1))) % 1.0


def _levels(system: System, j: int) -> list[float]:
    """Roots of R_j when its mode is alone, and its peak."""
    low, high = system.box
    t = np.linspace(low[j], high[j], 400)
    alone = np.full((400, len(low)), -60.0)
    alone[:, j] = t
    if j in system.coupled:
        alone[:, list(system.coupled)] = t[:, None] - 0.35
    with np.errstate(invalid="ignore"):
        R = np.nan_to_num(system.residual(alone)[0][:, j], nan=-1e3)
    change = np.flatnonzero(np.sign(R[:-1]) * np.sign(R[1:]) < 0)
    return [*(0.5 * (t[i] + t[i + 1]) for i in change), t[int(np.argmax(R))]]


def _spread(system: System, T, unit) -> np.ndarray:
    """Read the first of the coupled unknowns as log tau and split it so that pull_x/pull_y = x/y, by bisection."""
    i, j = system.coupled
    tau, (a, b) = T[:, i], (np.full(len(T), -60.0), np.full(len(T), 60.0))
    T = T.copy()
    for _ in range(14):
        middle = 0.5 * (a + b)  # log(x/y)
        T[:, i], T[:, j] = tau - 0.5 * np.logaddexp(0, -2 * middle), tau - 0.5 * np.logaddexp(0, 2 * middle)
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = np.log(np.maximum(system.pulls(T)[:, [i, j]], 1e-300))
        more = pull[:, 0] - pull[:, 1] > middle
        a, b = np.where(more, middle, a), np.where(more, b, middle)
    return T


def _newton(system: System, T, steps: int = 60, reach: float = 1.5) -> np.ndarray:
    """Damped Newton from every row of T; the rows that converged, to rounding."""
    low, high = system.box
    free = [j for j in range(len(low)) if j not in system.coupled]
    with np.errstate(all="ignore"):
        R, J = system.residual(T)
        done = []
        for _ in range(steps):
            size = np.max(np.abs(R), axis=1)
            inside = np.all(T[:, free] > low[free] - 5, axis=1) & np.all(T < high + 3, axis=1)
            keep = inside & np.isfinite(size) & np.all(np.isfinite(J), axis=(1, 2))
            T, R, J, size = T[keep], R[keep], J[keep], size[keep]
            if not len(T):
                break
            step = -_solved(J, R)
            length = np.max(np.abs(step), axis=1)
            at_root = (size < 1e-9) & (length < 1e-8)
            if np.any(at_root):
                done.append(T[at_root] + step[at_root])
                T, R, J, size, step, length = (a[~at_root] for a in (T, R, J, size, step, length))
                if not len(T):
                    break
            step *= np.minimum(1.0, reach / length)[:, None]
            T, R, J = _search(system, T, R, J, step)
        ends = np.vstack(done) if done else np.zeros((0, T.shape[1]))
        return _polish(system, ends)


def _search(system: System, T, R, J, step, halvings: int = 5):
    """T + step with the step halved, row by row, until |R| falls; after the last halving it is taken anyway."""
    norm, t, todo = np.linalg.norm(R, axis=1), 1.0, np.arange(len(T))
    T, R, J, origin = T.copy(), R.copy(), J.copy(), T
    for _ in range(halvings + 1):
        T[todo] = origin[todo] + t * step[todo]
        R[todo], J[todo] = system.residual(T[todo])
        worse = ~(np.linalg.norm(R[todo], axis=1) < norm[todo])
        todo, t = todo[worse], 0.5 * t
        if not len(todo):
            break
    return T, R, J


def _solved(J, R) -> np.ndarray:
    try:
        return np.linalg.solve(J, R[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        return np.linalg.solve(J + 1e-9 * np.eye(J.shape[1]), R[:, :, None])[:, :, 0]


def _polish(system: System, T) -> np.ndarray:
    """Two full Newton steps each, and the rows whose residual is then at rounding."""
    if not len(T):
        return T
    T = _unique(T)
    for _ in range(2):
        R, J = system.residual(T)
        T = T - _solved(J, R)
    R, _ = system.residual(T)
    return T[np.max(np.abs(R), axis=1) < 1e-8]


def _unique(T, tol: float = 1e-6) -> np.ndarray:
    """Rows that differ by more than tol, in lexicographic order."""
    kept: list[np.ndarray] = []
    for row in sorted(T, key=tuple):
        if not any(np.max(np.abs(row - other)) <= tol for other in kept):
            kept.append(row)
    return np.array(kept).reshape(len(kept), T.shape[1])


# Symmetry classes as systems, and their roots as points


def _direction(v, label: int, problem: Problem) -> np.ndarray:
    """dZ of one column, with its entry at the label moved to zero where the loss does not see it, so that pulls are
    sums of one sign."""
    v = np.array(v, dtype=float)
    if problem.loss.shift_invariant:
        v = v - v[label]
    v[np.abs(v) < 1e-13] = 0.0
    return v


def _one_orbit(problem: Problem, scheme: Scheme) -> tuple[list[LogitPoint], list[Roots]]:
    arguments.instance("scheme", scheme, Scheme)
    if scheme.K != problem.K:
        raise ValueError(f"scheme must be on K={problem.K} classes; got {scheme!r}.")
    orbit = _Orbit(problem, scheme, 0, full=True)
    points, found = [], []
    for support in orbit.supports():
        roots = _roots(problem, [orbit], [support], coupled=False)
        found.append(roots)
        points += [_point(problem, [orbit], roots, mu) for mu in roots.values]
    return points, found


def _two_orbits(problem: Problem, first: Scheme, second: Scheme) -> tuple[list[LogitPoint], list[Roots]]:
    for scheme in (first, second):
        arguments.instance("scheme", scheme, Scheme)
    if first.K + second.K != problem.K:
        raise ValueError(f"the schemes must be on K={problem.K} classes together; got {first!r} and {second!r}.")
    orbits = [_Orbit(problem, first, 0), _Orbit(problem, second, first.K)]
    alone = [
        {support: _roots(problem, [orbit], [support], coupled=False) for support in orbit.supports(0)}
        for orbit in orbits
    ]
    points, found = [], []
    for supports in itertools.product(*alone):
        rank = sum(orbit.rank(support) for orbit, support in zip(orbits, supports, strict=True))
        kinds = []
        if 0 < rank <= problem.max_rank:
            kinds.append(_product(*(roots[support] for roots, support in zip(alone, supports, strict=True))))
        if rank + 1 <= problem.max_rank:
            kinds.append(_roots(problem, orbits, supports, coupled=True))
        for roots in kinds:
            found.append(roots)
            points += [_point(problem, orbits, roots, mu) for mu in roots.values]
    return points, found


@dataclass(frozen=True, eq=False)
class _Orbit:
    """A scheme placed on the classes first, ..., first + K_i - 1; `full` when it is the only orbit."""

    problem: Problem
    scheme: Scheme
    first: int
    full: bool = False

    @functools.cached_property
    def modes(self) -> list[tuple[np.ndarray, int]]:
        """(first column of the idempotent over all K classes, multiplicity), in the scheme's order; the constant mode
        last where it counts."""
        s = self.scheme
        columns = [np.zeros(self.problem.K) for _ in s.idempotents]
        for v, E in zip(columns, s.idempotents, strict=True):
            v[self.first : self.first + s.K] = E[:, 0]
        modes = list(zip(columns, s.multiplicities, strict=True))
        if self.full and not self.problem.loss.shift_invariant:
            modes.append((np.full(s.K, 1.0 / s.K), 1))
        return modes

    def frame(self, j: int) -> np.ndarray:
        """Orthonormal columns (K, m_j) of mode j."""
        if j == len(self.scheme.idempotents):
            return np.full((self.problem.K, 1), 1 / np.sqrt(self.problem.K))
        frame = np.zeros((self.problem.K, self.scheme.multiplicities[j]))
        frame[self.first : self.first + self.scheme.K] = self.scheme.bases[j]
        return frame

    def supports(self, least: int = 1):
        """Sets of modes, as tuples from 0, whose rank fits the widths, in order of size."""
        modes = range(len(self.modes))
        sets = itertools.chain.from_iterable(
            itertools.combinations(modes, size) for size in range(least, len(modes) + 1)
        )
        return [support for support in sets if self.rank(support) <= self.problem.max_rank]

    def rank(self, support) -> int:
        return sum(self.modes[j][1] for j in support)


def _roots(problem: Problem, orbits, supports, coupled: bool) -> Roots:
    """The roots of the system of these active modes, in the unknowns themselves."""
    unit = problem.Lam * problem.per_class ** (1.0 / problem.D)
    columns, weights, pair = [], [], []
    ends = _constant_part(problem, orbits) if coupled else [None] * len(orbits)
    for orbit, support, end in zip(orbits, supports, ends, strict=True):
        vectors = [orbit.modes[j][0] for j in support]
        weights += [orbit.modes[j][1] * unit for j in support]
        if coupled:
            pair.append(len(weights))
            vectors.append(end)
            weights.append(unit)
        directions = [_direction(v, orbit.first, problem) for v in vectors]
        columns.append(_Column(orbit.scheme.K / problem.K, orbit.first, np.array(directions).reshape(-1, problem.K)))
    named = tuple(tuple(j + 1 for j in support) for support in supports)
    if not weights:
        return Roots(named, coupled, np.zeros((1, 0)), None)
    system = System(problem, tuple(columns), np.array(weights), tuple(pair))
    T, paired = system.solve()
    values = np.exp(T)
    if coupled:  # unknowns of each column in turn -> all modes, then x, y
        order = [j for j in range(len(weights)) if j not in pair] + pair
        values = values[:, order]
    return Roots(named, coupled, values, paired)


def _constant_part(problem: Problem, orbits) -> list[np.ndarray]:
    """dZ/dx of the first column and dZ/dy of the second: u/sqrt(K_1) and -u/sqrt(K_2)."""
    a, b = (orbit.scheme.K for orbit in orbits)
    u = _across(a, b)
    return [u / np.sqrt(a), -u / np.sqrt(b)]


def _across(a: int, b: int) -> np.ndarray:
    """The unit vector u, constant on the first a and the last b classes, orthogonal to 1."""
    return np.concatenate([np.full(a, np.sqrt(b / a)), np.full(b, -np.sqrt(a / b))]) / np.sqrt(a + b)


def _product(first: Roots, second: Roots) -> Roots:
    """Every root of one orbit beside every root of the other: without x, y they do not meet."""
    size = first.values.shape[1] + second.values.shape[1]
    values = np.array([[*a, *b] for a in first.values for b in second.values]).reshape(-1, size)
    flags = [r.paired for r in (first, second) if r.values.shape[1]]
    paired = None if None in flags else False not in flags
    return Roots((*first.support, *second.support), False, values, paired)


def _point(problem: Problem, orbits, roots: Roots, mu) -> LogitPoint:
    """The LogitPoint of one root, in orthonormal bases of its modes."""
    left, s, at = [], [], 0
    for orbit, support in zip(orbits, roots.support, strict=True):
        for j in support:
            left.append(orbit.frame(j - 1))
            s += [mu[at]] * left[-1].shape[1]
            at += 1
    right = list(left)
    if roots.coupled:
        a, b = (orbit.scheme.K for orbit in orbits)
        x, y = mu[-2:]
        tau = math.hypot(x, y)
        left.append(_across(a, b)[:, None])
        right.append(np.concatenate([np.full(a, x / tau / np.sqrt(a)), np.full(b, -y / tau / np.sqrt(b))])[:, None])
        s.append(tau)
    s = np.sqrt(problem.n) * np.array(s)
    order = np.argsort(-s, kind="stable")
    name = f"code({'+'.join(orbit.scheme.name for orbit in orbits)}:{_support(roots)})"
    return LogitPoint(
        problem, np.hstack(left)[:, order], s[order], np.hstack(right)[:, order], None, name, tuple(map(float, mu))
    )


def _support(roots: Roots) -> str:
    """`1,2` for one orbit, `1|2|xy` for two."""
    parts = [",".join(map(str, support)) for support in roots.support]
    return "|".join([*parts, "xy"] if roots.coupled else parts)


def distinct(points: list[tuple[float, LogitPoint]], tol: float = 1e-11) -> list[LogitPoint]:
    """One of each (value, rank, singular values, sorted entries of Z), ascending in value."""
    kept: list[tuple[float, LogitPoint, np.ndarray]] = []
    for fun, point in points:
        mark = _mark(point)
        near = (other for value, _, other in kept if abs(fun - value) <= tol)
        if not any(len(mark) == len(other) and np.allclose(mark, other, rtol=0, atol=1e-6) for other in near):
            kept.append((fun, point, mark))
    return [point for _, point, _ in sorted(kept, key=lambda item: item[0])]


def _mark(point: LogitPoint) -> np.ndarray:
    """log s, then the sorted entries of Z/|Z| and of its polar factor U V'. Its length tells the rank.

    Unchanged by class permutations; tiny modes count as much as large ones.
    """
    Z, polar = point.matrix(), point.U @ point.right.T
    off = ~np.eye(len(Z), dtype=bool)
    return np.concatenate(
        [np.log(point.s), *(np.sort(M[where]) for M in (Z / point.s[0], polar) for where in (~off, off))]
    )


def _refuse(problem: Problem, name: str) -> None:
    arguments.instance("problem", problem, Problem)
    scales.needs_linear(problem, name)
    problem.needs_ridge(name)
    if not problem.balanced:
        raise ValueError(f"{name} needs equal class counts; got n={problem.n}.")
    if problem.bias is not None:
        raise ValueError(f"{name} needs a problem without a bias; got bias={problem.bias}.")


def _refuse_shifts(problem: Problem) -> None:
    if not problem.loss.shift_invariant:
        raise ValueError(
            f"two orbits need a shift-invariant loss; got loss={problem.loss.name!r}. Its constant part has four"
            " unknowns."
        )


SYMMETRY = Source(
    "symmetry",
    "points fixed by a group of class permutations, from association schemes",
    points,
    verbs=("landscape",),
    applies=applies,
    counts=True,
)
