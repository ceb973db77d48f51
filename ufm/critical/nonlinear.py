"""One point of a nonlinear model: signature where it is smooth, Clarke stationarity where it has kinks.

Smooth activations (tanh): index and nullity of the dense Hessian in factor space, where that is small enough; rotations
of the features H_1, on which no activation acts, explain zeros.
relu, leaky_relu: grad_norm is the Clarke residual (`objectives.clarke`); a point where it vanishes is `stationary`.
Stationary is necessary for a minimum and no more; zero is one by its ridge, for L >= 2. Where no pre-activation is on a
kink the point lies in an open cell on which F is smooth, and the Hessian decides.
Else `local_minimum_test` asks by experiment: it can refute a minimum, not prove one.

    rank  of M_L = W_{L-1} s(... s(W_1 H_1)), the last hidden pre-activation, and for max(x, slope x) at L = 2 of
        s(M_2), as in names
    ranks  of H_1, of every pre-activation M_2, ..., M_L, and of the output

Source: sml24 (ranks before and after the ReLU).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from ufm.critical.near_zero import Spectrum, counted, third_bound, unmeasured
from ufm.critical.point import CriticalPoint
from ufm.critical.relu_names import RANK, class_layers, hidden_rank, name_of, rank_of
from ufm.critical.signature import zero_below
from ufm.numerics import arguments, interruption, products
from ufm.numerics.content import ByContent
from ufm.numerics.seeds import child, seed_record, seed_sequence
from ufm.objectives.clarke import Clarke, clarke, kinked, merged
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.fit import Fit
from ufm.objectives.stationary import critical_below
from ufm.points import FactorPoint, LogitPoint
from ufm.solvers.minimize import minimize

SMOOTH_RANK = 1e-6
"""`relu_names.RANK` for activations without kinks, where descents end at small gradients."""
LIMIT = 2000
"""Largest dense Hessian."""
LARGEST_KINK_WORK = 2e6
"""Entries of the largest matrix formed for a Clarke residual."""
SAME = 1e-8
"""Values closer than this, relative to F, are the same."""


@dataclass(frozen=True, eq=False)
class LocalMinimumTest(ByContent):
    """What perturbed restarts did: how many came back to F (within `same`), ended lower; the lowest end; all values."""

    fun: float
    trials: int
    noise: float
    returned: int
    lower: int
    lowest: float
    point: FactorPoint | LogitPoint
    values: tuple[float, ...]
    same: float
    rng: dict

    def __repr__(self) -> str:
        lower = f"lowest end F = {self.lowest:.12g}, lower by {self.fun - self.lowest:.2e}"
        back = f"{self.returned} of {self.trials} restarts at relative distance {self.noise:g} came back to F"
        return f"{back} = {self.fun:.12g}; {lower if self.lower else 'none ended lower'}"


def local_minimum_test(point: FactorPoint, trials: int = 5, noise: float = 1e-3, rng=None) -> LocalMinimumTest:
    """Restarts of `minimize` from point + Gaussian noise of norm `noise` times the point's own, from children of rng.

    A lower end refutes a minimum at the scale of the noise; that all come back is evidence, not proof. Raises
    ValueError for what is no FactorPoint.
    """
    arguments.instance("point", point, FactorPoint)
    point.problem.needs_ridge("local_minimum_test")
    trials, noise = arguments.integer("trials", trials, 1), arguments.positive("noise", noise)
    objective, x = merged(point)
    fun, seed = float(objective.value(x)), seed_sequence(rng)
    size = noise * max(float(np.linalg.norm(x)), 1e-3) / np.sqrt(len(x))
    space = "reduced" if objective.collapsed else "factors"
    if point.problem.N == point.problem.K and point.problem.activation.homogeneous:
        space = "reduced"

    def start(_: FactorObjective, draw: np.random.Generator) -> np.ndarray:
        return x + size * draw.standard_normal(len(x))

    with interruption.whole():
        ends = [minimize(point.problem, start, rng=child(seed, i), space=space, progress=False) for i in range(trials)]
    values, same = np.array([end.fun for end in ends]), SAME * max(abs(fun), 1e-12)
    best = ends[int(np.argmin(values))]
    returned, lower = int(np.sum(np.abs(values - fun) <= same)), int(np.sum(values < fun - same))
    seen = returned, lower, best.fun, best.point, tuple(values.tolist()), same, seed_record(seed)
    return LocalMinimumTest(fun, trials, noise, *seen)


def ranks(point: FactorPoint, tol: float = RANK) -> tuple[int, ...]:
    """Ranks of H_1, of the pre-activations W_1 H_1, W_2 s(W_1 H_1), ... and of the output: `relu_names.rank_of`."""
    inputs = point.layers()
    matrices = [point.factors[0], *(W @ u for W, u in zip(point.factors[1:], inputs, strict=True))]
    return tuple(rank_of(M, tol) for M in matrices)


def model_rank(point: FactorPoint) -> int:
    """The rank that tells points of a nonlinear model apart: of the last hidden pre-activation, as in `relu_names`."""
    return hidden_rank(point, RANK) if kinked(point.problem) else ranks(point, SMOOTH_RANK)[-2]


def classify_nonlinear(
    point: FactorPoint, tolerances: dict, decreed: bool = False, restarts: int = 0, noise: float = 1e-3, rng=None
) -> CriticalPoint:
    """`critical.classify` for models that are not linear. decreed: eigenvalues up to the tolerance are zero."""
    objective, x = objective_of(point)
    try:
        kinks = _kinks(point)
    except (_TooManyKinks, np.linalg.LinAlgError) as reason:
        return _without_slopes(point, str(reason))
    fun, grad = objective.value_grad(x)
    grad_norm = float(np.linalg.norm(grad)) if kinks is None else kinks.residual
    tol = SMOOTH_RANK if kinks is None else RANK
    found, rank = ranks(point, tol), model_rank(point)
    ridge = float(np.linalg.norm(objective.ridge * x))
    tolerances |= {"rank": tol, "critical_below": critical_below(ridge, tolerances["gradient"], _rounding(point))}
    if kinks is not None:
        tolerances["kink"] = kinks.rel_tol
    common: dict[str, Any] = {"point": point, "fun": float(fun), "grad_norm": grad_norm, "rank": rank, "ranks": found}
    common |= {"name": getattr(point, "name", None), "tolerances": tolerances}
    if grad_norm > tolerances["critical_below"]:
        said = "gradient norm" if kinks is None else f"Clarke residual ({kinks.count} kinks)"
        why = f"{said} {grad_norm:.1e} exceeds {tolerances['critical_below']:.1e}"
        return CriticalPoint.unsigned(**common, status="not critical", why=why)
    if kinks is not None and kinks.count:
        status, why = _stationary(point, kinks, restarts, noise, rng)
        return CriticalPoint.unsigned(**common, status=status, why=why)
    if objective.size > LIMIT or not (kinks is not None or point.problem.activation.smooth):
        large, what = objective.size > LIMIT, "a smooth activation or max(x, slope x)"
        reason = f"the dense Hessian at most {LIMIT} coordinates" if large else what
        why = f"the stratum theorem needs a linear model and {reason}"
        return CriticalPoint.unsigned(**common, status="unknown", why=why)
    values = linalg.eigvalsh(objective.hessian(x))
    third = third_bound(float(np.max(np.abs(values))), float(np.max(np.abs(point.logits()))), point.problem.D)
    symmetry = rotations(point, kinks is not None)
    spectrum = Spectrum(None, values, np.ones(len(values), dtype=int), third, symmetry=symmetry, grad_norm=grad_norm)
    count = counted(spectrum, tolerances["eigenvalue"] * point.problem.Lam, zero=unmeasured(spectrum))
    if decreed:
        zero = zero_below(point.problem, spectrum.size, grad_norm, tolerances["eigenvalue"])
        count = counted(spectrum, 0.0, zero=zero).decreed()
    tolerances["zero_below"] = count.zero
    common |= {"lowest": float(values[0]), "highest": float(values[-1])}
    return CriticalPoint.signed(**common, index=count.index, nullity=count.nullity, symmetry=symmetry)


class _TooManyKinks(Exception):
    """The least squares behind a Clarke residual would be too large."""


def _kinks(point: FactorPoint) -> Clarke | None:
    """Slopes at kinks at which the gradient is least; None for a smooth activation."""
    if not kinked(point.problem):
        return None
    if _kink_work(point) > LARGEST_KINK_WORK and not name_of(point).startswith(("zero", "dnc", "partial")):
        why = "too many kinks to look for slopes at which the gradient vanishes; |grad| is that of slope 0"
        raise _TooManyKinks(why)
    return clarke(point)


def _kink_work(point: FactorPoint) -> int:
    """Zero pre-activations of live neurons, times live weights: the size of the matrix of slopes and gradient."""
    before, after = class_layers(point)
    rows = [M[np.any(fired, axis=1)] for M, fired in zip(before, after, strict=True)]
    reach = [1e-9 * np.max(np.abs(M), initial=0.0) for M in before]
    kinks = sum(int(np.sum(np.abs(M) <= small)) for M, small in zip(rows, reach, strict=True))
    live = (np.count_nonzero(np.any(A, axis=1)) * np.count_nonzero(np.any(A, axis=0)) for A in point.factors[1:])
    return kinks * int(sum(live))


def _without_slopes(point: FactorPoint, why: str) -> CriticalPoint:
    """The point as `unknown`, with the gradient of slope 0 at kinks."""
    objective, x = merged(point)
    fun, grad = objective.value_grad(x)
    norm = float(np.linalg.norm(grad))
    return CriticalPoint.unsigned(point, float(fun), norm, hidden_rank(point), status="unknown", why=why, name=None)


def _rounding(point: FactorPoint) -> float:
    """Rounding of the gradient: eps |G| times the largest product of the norms of all factors but one."""
    G = Fit.of(point.problem, False).value_grad(point.product(), point.b)[1]
    sizes = sorted(float(np.linalg.norm(A, 2)) for A in point.factors)
    return float(np.finfo(float).eps * np.linalg.norm(G) * np.prod(sizes[1:]))


def rotations(point: FactorPoint, piecewise: bool) -> int:
    """Dimension of the orbit of the factors under rotations of neurons that change nothing: of H_1, on which no
    activation acts, and, where that is piecewise linear, among hidden neurons of the same slope at every sample."""
    inputs, tangents = point.layers(), []
    for k, u in enumerate(inputs):
        slopes = u > 0
        for i, j in itertools.combinations(range(len(u)), 2):
            if k and not (piecewise and np.array_equal(slopes[i], slopes[j])):
                continue
            tangents.append(products.turned(point.factors, k, i, j))
    if not tangents:
        return 0
    s = np.linalg.svd(np.array(tangents), compute_uv=False)
    return int(np.sum(s > SMOOTH_RANK * max(s[0], 1e-300)))


def _stationary(point: FactorPoint, kinks: Clarke, restarts: int, noise: float, rng) -> tuple[str, str]:
    """(status, why) of a Clarke-stationary point on kinks."""
    said = f"Clarke-stationary: residual {kinks.residual:.1e} with {kinks.count} kinks"
    if point.b is None and not any(A.any() for A in point.factors):
        near_zero = "Z is of order |x|^(L+1) near zero and the ridge of order 2; a signature needs a linear model"
        return "local minimum", f"{said}; {near_zero} or no kinks"
    if not restarts:
        return "stationary", f"{said}; a signature needs a linear model or no kinks"
    test = local_minimum_test(point, restarts, noise, rng)
    return ("not a local minimum" if test.lower else "stationary"), f"{said}; {test}"
