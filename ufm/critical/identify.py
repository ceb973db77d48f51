"""A name for anybody's end point: any logit matrix, array of factors, or (features, classifier) pair.

The order of names, for every verb of the package: `zero`; a structure (dnc, pairs, blocks, circle, ...: every one of
the family `structures.STRUCTURES`) within `tol` whose rank agrees; under MSE what `structures.modes.mode_name` says of
its spectrum; a known code by its pattern of equal logits (`geometry.code_name`); where some class permutation fixes the
logits, `code(1+3+3)` by the sizes of its orbits (`geometry.orbit_name`); `unnamed(rank=r)`. ReLU models are read from
all layers first (`relu_names`).

At a point of a linear model whose gradient vanishes nothing is left to tolerance: its rank is exact, and so are
coincidences of logits. There shapes get the name that their structure has in that problem: `dnc(small)` on the small
root of its scale equation, `sel` for unequal class counts.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import numpy as np

from ufm import losses, metrics
from ufm.critical.geometry import code_name, orbit_name, uniform_distances
from ufm.critical.relu_names import TOL, hidden_rank, nonlinear_name
from ufm.losses import Loss
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.groups import evened
from ufm.numerics.hints import Arrays
from ufm.numerics.renamed import renamed, renamed_to
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.points import FactorPoint, LogitPoint, PointLike, held_point
from ufm.problem import Problem
from ufm.structures.block_fits import sees_shifts
from ufm.structures.fits import Fit, Seen
from ufm.structures.modes import decouples, mode_name
from ufm.structures.relu_collapse import keeps_positive
from ufm.structures.structure import STRUCTURES, everyone

ROUNDING = 1e-15
"""Relative error of a difference of logits, per class."""
EXACT = 1e-6
"""Gradient norm, relative to the ridge's own, of a critical point; entries of its logits closer than this are equal."""


@dataclass(frozen=True, eq=False)
class Identity(ByContent):
    """A name with what supports it.

    name: a structure, a code, or `unnamed(rank=r)`.
    distance: relative Frobenius distance of the class-mean logits from what is named (None if unnamed, and where all
    layers were read).
    rank: of the class-mean logits (declared, exact at a critical point, or singular values above `match` of the
    largest), centred under a loss of differences of logits; of a ReLU model's last pre-activations.
    scales: of the fitted structure. within_class: |Z - class means|_F / |Z|_F; None, as collapse["nc1"], where no class
    has two samples.
    collapse: NC metrics. members: classes of every block, or in cyclic order for the circle. match: the relative
    distance within which names were given.
    """

    name: str
    rank: int
    distance: float | None
    scales: tuple[float, ...]
    within_class: float | None
    collapse: dict
    members: tuple[tuple[int, ...], ...]
    match: float
    given: Given = field(repr=False, compare=False)

    @functools.cached_property
    @own_numpy_state
    def nearest(self) -> tuple[tuple[str, float], ...]:
        """The three nearest names with the relative distances of the class-mean logits from them, the own name first
        where it has a distance.

        Families at their best scales (ranks are not compared), known codes in their uniform shape, and `zero`, whose
        distance is 1.
        """
        found = dict.fromkeys(STRUCTURES.first, 1.0) if self.given.norm == 0 else _distances(self.given, self.match)
        own = {} if self.distance is None else {self.name: self.distance}
        near = sorted((item for item in found.items() if item[0] not in own), key=lambda item: item[1])
        return (*own.items(), *near)[:3]

    @property
    @renamed_to("match")
    def tol(self) -> float:
        """`match`, under the name it had; goes with the next release."""
        return self.match

    def __repr__(self) -> str:
        if self.distance is not None:
            near = f"distance {self.distance:.2e}"
        else:
            listed = ", ".join(f"{name} {distance:.2g}" for name, distance in self.nearest)
            near = (
                f"{'no name' if self.name.startswith('unnamed') else 'layers'} within {self.match:g}; nearest {listed}"
            )
        within = "not measured" if self.within_class is None else f"{self.within_class:.1e}"
        return f"{self.name}: rank {self.rank}, {near}, within-class variation {within}"


@dataclass(frozen=True, eq=False)
class Given(ByContent):
    """What is named: class-mean logits M (K, K) without the bias, samples per class, and whether a constant added to a
    column counts.

    rank: declared or exact, else None; faint: where it is, the least singular value over the largest. problem: of the
    point, if it was one.
    within, collapse: as in `Identity`. critical: whether it is known to be a critical point.
    """

    M: np.ndarray
    counts: np.ndarray
    shifts: bool
    rank: int | None
    within: float | None
    collapse: dict
    problem: Problem | None = None
    faint: float = 1.0
    critical: bool = False

    def reach(self, tol: float) -> float:
        """Relative distance within which a name is given: tol, and tol of the faintest mode where the rank is exact."""
        return tol if self.rank is None else max(tol * self.faint, 1e-12)

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.M))


@renamed(tol="match")
@named_arguments
@own_numpy_state
def identify(
    Z: PointLike | Arrays | None = None,
    *,
    features: Arrays | None = None,
    labels: Arrays | None = None,
    weights: Arrays | None = None,
    loss: str | Loss | None = None,
    match: float = TOL,
) -> Identity:
    """Name a point, a Result, a logit matrix Z (K, N) or (K, K), or features X (N, d) with a classifier W (K, d).

    labels: class of every sample, 0..K-1 (default: equal blocks in order). The answer is the same after
    class permutations, changes of basis, positive scaling and, unless the loss sees it, a shift of all logits of a
    sample: arrays are centred, under a `loss` such as mse (by name or object; default ce) they are not. A point's own
    problem says which loss it is. Logits below 1e-9 in norm are `zero`, unless they are a critical point's. match:
    relative distance within which a name is given, as in the module.

    >>> identify(np.kron(np.eye(3), [[1.0, -1.0], [-1.0, 1.0]])).name
    'pairs'
    >>> identify(np.eye(4)), identify(np.eye(4), loss="mse").rank
    (dnc: rank 3, distance 0.00e+00, within-class variation not measured, 4)

    Raises ValueError for arrays of wrong shape, labels that miss a class, a loss beside a point of another, and when
    nothing or too much is given.
    """
    tol = arguments.positive("match", match)
    Z = Z if (point := held_point(Z)) is None else point
    given = _read(Z, features, weights, labels, loss)
    if isinstance(Z, FactorPoint) and not Z.problem.linear and keeps_positive(Z.problem):
        return Identity(nonlinear_name(Z, tol), hidden_rank(Z), None, (), given.within, given.collapse, (), tol, given)
    name, rank, distance, scales, members = _named(given, tol)
    return Identity(name, rank, distance, scales, given.within, given.collapse, members, tol, given)


def _named(given: Given, tol: float) -> tuple[str, int, float | None, tuple, tuple]:
    """(name, rank, distance, scales, members): the order of the module."""
    if given.rank == 0 or (given.rank is None and given.norm <= 1e-9):
        return "zero", 0, given.norm, (), ()
    s = np.linalg.svd(given.M, compute_uv=False)
    rank = int(np.sum(s > tol * s[0])) if given.rank is None else given.rank
    proper, reach = [fit for fit in _fits(given, tol) if fit.proper and fit.rank == rank], given.reach(tol)
    fits = [fit for fit in proper if fit.distance <= reach]
    if fits:
        fit = min(fits, key=lambda fit: fit.distance + 0.05 * tol * len(fit.scales))
        return fit.name, rank, fit.distance, fit.scales, fit.members
    if given.critical and rank and given.problem is not None and decouples(given.problem):
        spectrum = np.linalg.svd(given.M * np.sqrt(given.counts), compute_uv=False)[:rank]
        if (found := mode_name(given.problem, spectrum)) is not None:  # rotations of the logits are symmetries here
            return found[0], rank, found[1], (), ()
    shape = given.M if given.rank is None else evened(given.M, rank)
    name, distance = _code(shape, tol, given.rank) or (f"unnamed(rank={rank})", None)
    for fit in proper:  # simplices of one size and several scales
        if fit.free is not None and fit.free[0] <= reach:
            return name, rank, distance, fit.free[1], fit.members
    return name, rank, distance, (), ()


def _code(M: np.ndarray, tol: float, rank: int | None) -> tuple[str, float] | None:
    """(a known code's name, or one by orbit sizes; distance): at the finest level of coincidence that gives one, and at
    EXACT alone where the rank is exact, so that an array without noise is called what its point is."""
    levels = (EXACT,) if rank is not None else sorted({min(level, tol) for level in (EXACT, 1e-4, 2e-3, tol)})
    for level in levels:
        code = code_name(M, level)
        if code is not None and code[1] <= tol and rank in (None, code[2]):
            return code[:2]
        if (orbits := orbit_name(M, level)) is not None:
            return orbits
    return None


def _fits(given: Given, tol: float) -> list[Fit]:
    """How far all structures are, under the names that they have in the point's own problem."""
    problem = given.problem if given.problem is not None and given.problem.linear else None
    seen = Seen(given.M, given.counts, given.shifts, problem, tol, given.reach(tol))
    return [fit for structure in everyone() for fit in structure.fits(seen)]


def _distances(given: Given, tol: float) -> dict[str, float]:
    """Name -> least distance, of families and uniform codes."""
    found = {"zero": 1.0}
    for fit in _fits(given, tol):
        found[fit.name] = min(fit.distance, found.get(fit.name, np.inf))
    for name, distance in uniform_distances(given.M):
        found.setdefault(name, distance)
    return found


def _read(Z, features, weights, labels, loss) -> Given:
    """Class-mean logits and what is known of them, from whatever was given."""
    if (Z is None) == (features is None):
        raise ValueError("identify needs either a point or logits Z, or features together with weights.")
    if isinstance(Z, (LogitPoint, FactorPoint)):
        if loss is not None and losses.loss(loss) != Z.problem.loss:
            raise ValueError(f"loss is that of the point's own problem, {Z.problem.loss.name!r}; got loss={loss!r}.")
        return _of_logits(Z) if isinstance(Z, LogitPoint) else _of_factors(Z)
    shifts = not losses.loss("ce" if loss is None else loss).shift_invariant
    if features is not None:
        if weights is None:
            raise ValueError("features need weights: the classifier W (K, d).")
        X, W = arguments.array("features", features, ndim=2), arguments.array("weights", weights, ndim=2)
        if X.shape[1] != W.shape[1]:
            raise ValueError(f"features (N, d) and weights (K, d) must share d; got {X.shape} and {W.shape}.")
        labels = _labels(labels, len(W), len(X))
        return _of_samples(W @ X.T, labels, shifts, metrics.summary(X, labels, W))
    Z = arguments.array("Z", Z, ndim=2)
    if len(Z) < 2:
        raise ValueError(f"Z must have shape (K, N) with K >= 2 classes; got {Z.shape}.")
    labels = _labels(labels, *Z.shape)
    return _of_samples(Z, labels, shifts, metrics.summary(Z.T, labels))


def _of_samples(
    Z, labels, shifts: bool, collapse: dict, rank: int | None = None, problem: Problem | None = None
) -> Given:
    """From logits (K, N) and labels (N,)."""
    K, size = len(Z), np.linalg.norm(Z)
    means = metrics.class_means(Z.T, labels, K).T
    within = float(np.linalg.norm(Z - means[:, labels]) / size) if size else 0.0
    if len(labels) == K:  # one sample a class has no variation to measure
        within, collapse = None, {**collapse, "nc1": None}
    return Given(_seen(means, shifts), np.bincount(labels, minlength=K), shifts, rank, within, collapse, problem)


def _of_logits(point: LogitPoint) -> Given:
    problem, free = point.problem, replace(point, b=None)
    shifts = sees_shifts(problem)
    if not point.collapsed:
        collapse = metrics.summary(point.logits().T, problem.labels)
        given = _of_samples(free.logits(), problem.labels, shifts, collapse, point.rank, problem)
        return _exact(given, min(point.rank, _rank(given.M)))
    means, nothing = free.class_logits(), problem.N == problem.K
    collapse = metrics.summary(point.class_logits().T, np.arange(problem.K)) | ({"nc1": None} if nothing else {})
    rank = point.rank if shifts else _rank(_seen(point.U, False), 1e-8)
    faint = float(np.min(point.s) / np.max(point.s)) if rank else 1.0
    within = None if nothing else 0.0
    critical = problem.linear and _is_stationary(point)
    seen = _seen(means, shifts)
    return Given(seen, problem.counts, shifts, rank, within, collapse, problem, faint, critical)


def _of_factors(point: FactorPoint) -> Given:
    """With the exact rank at balanced factors and at critical points of a linear model: there every factor has the
    singular values s^(1/D), so that those of the product which a gradient of relative size EXACT leaves undecided are
    below EXACT^D, and 1e-9 of the largest tells them from the rest."""
    problem, shifts = point.problem, sees_shifts(point.problem)
    collapse = metrics.summary(point.layers()[-1].T, problem.labels, point.factors[-1])
    given = _of_samples(point.product(), problem.labels, shifts, collapse, None, problem)
    size = max(float(np.linalg.norm(A)) for A in point.factors)
    critical = problem.linear and _is_critical(point)
    weight = 1.0 if problem.ridgeless else max(problem.lams)
    settled = critical or (problem.linear and point.balancedness() <= 1e-9 * weight * size**2)
    if not settled or size == 0.0:
        return given
    return replace(_exact(given, _rank(given.M * np.sqrt(problem.counts))), critical=critical)


def _exact(given: Given, rank: int) -> Given:
    s = np.linalg.svd(given.M, compute_uv=False)
    return replace(given, rank=rank, faint=float(s[rank - 1] / s[0]) if rank else 1.0)


def _is_stationary(point: LogitPoint) -> bool:
    stratum = Stratum(point)
    return not point.problem.ridgeless and stratum.grad_norm <= critical_below(
        stratum.ridge_norm, EXACT, stratum.rounding
    )


def _is_critical(point: FactorPoint) -> bool:
    if point.problem.ridgeless:
        return False
    objective, x = objective_of(point)
    ridge = np.sqrt(sum(lam**2 * np.vdot(A, A) for lam, A in zip(point.problem.lams, point.factors, strict=True)))
    return bool(np.linalg.norm(objective.value_grad(x)[1]) <= EXACT * ridge)


def _rank(M: np.ndarray, tol: float = 1e-9) -> int:
    s = np.linalg.svd(M, compute_uv=False)
    return int(np.sum(s > tol * s[0])) if s.size and s[0] > 0 else 0


def _seen(means: np.ndarray, shifts: bool) -> np.ndarray:
    """What the loss sees: as it is, or with every column's mean removed, and zero for rounding."""
    if shifts:
        return means
    M = means - means.mean(axis=0)
    return M if np.linalg.norm(M) > ROUNDING * len(M) * np.linalg.norm(means) else np.zeros_like(M)


def _labels(labels, K: int, N: int) -> np.ndarray:
    if labels is None:
        if N % K:
            raise ValueError(f"labels are needed: {N} samples do not split into {K} equal classes.")
        return np.repeat(np.arange(K), N // K)
    labels, _ = arguments.labels("labels", labels, N, K)
    arguments.every_class("labels", np.unique(labels), K)
    return labels
