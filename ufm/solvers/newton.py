"""Newton's method: the last digits.

On the rank stratum the gauge freedom of factors is gone, so Newton converges quadratically to
critical points of any index, with gradient norms of 1e-12 in factor space. A singular value that the
step sends to zero lowers the rank. Nonlinear models get Newton in factor space, with the zero modes of
the Hessian projected out. A stratum too large for its dense Hessian gets MINRES on Hessian-vector products, O(K M r)
each.

`find_saddle` follows eigenvectors to saddles of a chosen index: up along the k lowest modes of the Hessian, down along
all others, with a bounded step; where the Hessian has index k and the gradient is small, Newton takes over.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, minres

from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import asked, converged
from ufm.points import LogitPoint
from ufm.solvers.result import CONVERGED, Reason, Status

FORMED = 1500
"""Largest stratum whose Hessian is formed for a Newton step."""
KRYLOV = {"rtol": 1e-5, "maxiter": 3000}
"""How exactly MINRES solves for the step on larger ones."""

scaled_hessian = Stratum.scaled_hessian


def newton_on_stratum(
    point: LogitPoint,
    tol: float = 1e-12,
    max_steps: int = 50,
    watch: Callable | None = None,
    to_minimum: bool = False,
    drop: bool = True,
) -> tuple[Stratum, int, Reason]:
    """(Stratum at the end, steps, Reason): Newton for critical points of F_r from a LogitPoint.

    Steps are halved until the gradient norm falls. `watch(steps, stratum)` sees every iterate and ends the run with
    True. to_minimum: give up
    where the Hessian has a negative eigenvalue, since Newton would go to a saddle there. drop: lower the rank when a
    singular value is pulled to zero; False stays on the stratum of the start.
    """
    point.problem.needs_ridge("newton_on_stratum")
    here = Stratum(point)
    for steps in range(max_steps):
        if watch is not None and watch(steps, here):
            return here, steps, Reason(Status.STOPPED)
        if here.grad_norm <= asked(tol, here.ridge_norm):
            return here, steps, CONVERGED
        lower = _without_dying_modes(here) if drop else None
        if lower is not None:
            here = lower
            continue
        step = newton_direction(here, to_minimum)
        if step is None:
            return here, steps, Reason(Status.STALLED, "Newton gave up: the Hessian has a direction of descent")
        after = _damped_step(here, step)
        if after is None:
            return here, steps, Reason(Status.STALLED, f"Newton stalled at gradient norm {here.grad_norm:.2e}")
        here = after
    said = f"Newton used its {max_steps} steps; gradient norm {here.grad_norm:.2e}"
    return here, max_steps, Reason(Status.STEPS, said)


def newton_direction(stratum: Stratum, to_minimum: bool) -> np.ndarray | None:
    """-H^+ g, with eigenvalues below 1e-11 of the largest counted as zero modes; Cholesky where it exists.

    None if the Hessian is indefinite and only a minimum will do.
    """
    if stratum.size > FORMED:
        return _krylov_direction(stratum, to_minimum)
    H, g = scaled_hessian(stratum), stratum.scale * stratum.gradient()
    try:
        factor = linalg.cho_factor(H, check_finite=False)
        diagonal = np.abs(np.diag(factor[0]))
        if diagonal.min() > 1e-5 * diagonal.max():
            return -stratum.scale * linalg.cho_solve(factor, g, check_finite=False)
    except linalg.LinAlgError:
        pass
    values, vectors = linalg.eigh(H, check_finite=False)
    size = np.max(np.abs(values), initial=0.0)
    if to_minimum and np.any(values < -1e-8 * size):
        return None
    keep = np.abs(values) > 1e-11 * size
    return -stratum.scale * (vectors[:, keep] @ ((vectors[:, keep].T @ g) / values[keep]))


def scaled_operator(stratum: Stratum) -> LinearOperator:
    """`scaled_hessian` as its action on vectors."""
    return LinearOperator(
        (stratum.size,) * 2, matvec=lambda v: stratum.scale * stratum.hvp(stratum.scale * np.ravel(v)), dtype=float
    )


def _krylov_direction(stratum: Stratum, to_minimum: bool) -> np.ndarray | None:
    """-H^+ g by MINRES; None if only a minimum will do and the step shows negative curvature."""
    H, g = scaled_operator(stratum), stratum.scale * stratum.gradient()
    step, _ = minres(H, -g, **KRYLOV)
    if to_minimum and step @ (H @ step) < 0:
        return None
    return stratum.scale * step


def extreme_curvatures(stratum: Stratum, steps: int = 150) -> tuple[float, float]:
    """(lowest, highest) eigenvalue of the scaled Hessian as Lanczos sees it from one random vector: from inside the
    spectrum.

    A negative lowest value is a proof of a descent direction; a positive one is evidence of none.
    """
    H, size = scaled_operator(stratum), stratum.size
    Q = np.zeros((min(steps, size), size))
    Q[0] = np.random.default_rng(0).standard_normal(size)
    Q[0] /= np.linalg.norm(Q[0])
    diagonal, beside = [], []
    for k in range(len(Q)):
        w = H @ Q[k]
        diagonal.append(Q[k] @ w)
        for _ in range(2):  # twice is enough to stay orthogonal
            w = w - Q[: k + 1].T @ (Q[: k + 1] @ w)
        length = np.linalg.norm(w)
        if k + 1 == len(Q) or length <= 1e-12 * max(map(abs, diagonal)):
            break
        beside.append(length)
        Q[k + 1] = w / length
    values = linalg.eigvalsh_tridiagonal(diagonal, beside)
    return float(values[0]), float(values[-1])


def _damped_step(here: Stratum, step) -> Stratum | None:
    for halvings in range(30):
        try:
            after = Stratum(here.retract(step * 0.5**halvings))
        except ValueError:  # a singular value reached zero on the way
            continue
        if after.grad_norm < (1 - 1e-4 * 0.5**halvings) * here.grad_norm:
            return after
    return None


def living_modes(here: Stratum) -> LogitPoint:
    """The point without the singular values whose pull to zero exceeds half the penalty's own."""
    p = here.point
    pull = np.diag(here.blocks[0]) / (p.problem.Lam * p.s ** (2.0 / p.problem.D - 1.0))
    living = pull < 0.5
    return LogitPoint(p.problem, p.U[:, living], p.s[living], p.right[:, living], p.b)


def _without_dying_modes(here: Stratum) -> Stratum | None:
    """The stratum below, where some modes are dying and dropping them does not raise F."""
    lower = living_modes(here)
    if lower.rank == here.point.rank:
        return None
    lower = Stratum(lower)
    return lower if lower.fun <= here.fun else None


def newton_on_factors(
    objective: FactorObjective,
    x: np.ndarray,
    tol: float = 1e-12,
    max_steps: int = 50,
    limit: int = 2000,
    watch: Callable | None = None,
) -> tuple[np.ndarray, int, Reason]:
    """(x, steps, Reason): Newton in factor space with a dense Hessian, zero modes projected out.

    Declines, saying so, when the problem has more than `limit` coordinates.
    """
    if objective.size > limit:
        said = f"Newton in factor space was not tried: {objective.size} coordinates, limit {limit}"
        return x, 0, Reason(Status.DECLINED, said)
    g = objective.grad(x)
    for steps in range(max_steps):
        norm = np.linalg.norm(g)
        if watch is not None and watch(steps, objective.value(x), g, x):
            return x, steps, Reason(Status.STOPPED)
        if norm <= tol and converged(objective, x, g, tol):
            return x, steps, CONVERGED
        values, vectors = linalg.eigh(objective.hessian(x), check_finite=False)
        keep = np.abs(values) > 1e-9 * np.max(np.abs(values))
        step = vectors[:, keep] @ ((vectors[:, keep].T @ g) / values[keep])
        for halvings in range(20):
            trial = x - 0.5**halvings * step
            g_trial = objective.grad(trial)
            if np.linalg.norm(g_trial) < (1 - 1e-4 * 0.5**halvings) * norm:
                break
        else:
            return x, steps, Reason(Status.STALLED, f"Newton stalled at gradient norm {norm:.2e}")
        x, g = trial, g_trial
    said = f"Newton used its {max_steps} steps; gradient norm {np.linalg.norm(g):.2e}"
    return x, max_steps, Reason(Status.STEPS, said)


# saddles of a chosen index


def find_saddle(
    point: LogitPoint,
    index: int,
    tol: float = 1e-12,
    max_steps: int = 150,
    radius: float = 0.3,
    ceiling: float = np.inf,
) -> tuple[Stratum, int, Reason]:
    """(Stratum at the end, steps, Reason) of a search for a critical point of F_r of the given index from a
    LogitPoint.

    index 0 goes down to a minimum of the stratum. radius: longest step, relative to the length of the balanced factors.
    ceiling: give up above this value of F.
    The end may have another index than asked for; the caller classifies.
    """
    point.problem.needs_ridge("find_saddle")
    here = Stratum(point)
    for steps in range(max_steps):
        if not here.point.rank:
            return here, steps, Reason(Status.STALLED, "ended at zero")
        if here.fun > ceiling:
            return here, steps, Reason(Status.STALLED, f"left the region below {ceiling:.6g}")
        if here.size < index:
            return here, steps, Reason(Status.DECLINED, f"the stratum has fewer than {index} dimensions")
        values, vectors = linalg.eigh(scaled_hessian(here), check_finite=False)
        g = vectors.T @ (here.scale * here.gradient())
        size = np.max(np.abs(values))
        if here.grad_norm <= 1e-3 * here.ridge_norm and np.sum(values < -1e-8 * size) == index:
            end, more, said = newton_on_stratum(here.point, tol)
            if end.grad_norm <= asked(tol, end.ridge_norm):
                return end, steps + more, said
        curve = np.maximum(np.abs(values), 1e-3 * size)
        step = -g / curve
        step[:index] *= -1.0
        length = np.linalg.norm(step)
        longest = radius * np.sqrt(np.sum(here.point.s ** (2.0 / here.point.problem.D)))
        step *= min(1.0, longest / length) if length else 1.0
        after = _move(here, here.scale * (vectors @ step))
        if after is None:
            return here, steps, Reason(Status.STALLED, "the step left the stratum")
        here = after
    said = f"used its {max_steps} steps; gradient norm {here.grad_norm:.2e}"
    return here, max_steps, Reason(Status.STEPS, said)


def _move(here: Stratum, step) -> Stratum | None:
    """The point after a step; singular values that fall below 1e-3 of the largest, in factor scale, are dropped."""
    for halvings in range(5):
        try:
            p = here.retract(step * 0.5**halvings)
        except ValueError:
            continue
        root = p.s ** (1.0 / p.problem.D)
        alive = root > 1e-3 * root[0]
        return Stratum(LogitPoint(p.problem, p.U[:, alive], p.s[alive], p.right[:, alive], p.b))
    return None
