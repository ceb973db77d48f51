"""What the Hessian on the rank stratum says: Newton's direction, the ends of the spectrum, stability.

A stratum too large for its dense Hessian gets MINRES and Lanczos on Hessian-vector products, O(K M r) each.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg.lapack import dpotrf, dpotrs  # pyright: ignore[reportAttributeAccessIssue] from Fortran
from scipy.sparse.linalg import LinearOperator, minres

from ufm.objectives.strata import SecondOrder, Strata

FORMED = 1500
"""Largest stratum whose Hessian is formed for a Newton step."""
KRYLOV = {"rtol": 1e-5, "maxiter": 3000}
"""How exactly MINRES solves for the step on larger ones."""
DESCENT = 1e-8
"""An eigenvalue below minus this times the largest is a direction of descent."""
ZERO = 1e-11
"""Eigenvalues up to this times the largest are zero modes."""


def directions(here: Strata, to_minimum) -> tuple[np.ndarray, np.ndarray]:
    """(-H^+ g of every row (B, size), mask of rows given up): Cholesky where it exists, else with zero modes left out.

    to_minimum (B,): rows to give up where the Hessian has a direction of descent, since Newton would go to a saddle.
    """
    if here.size > FORMED:
        return _krylov_directions(here, to_minimum)
    H, scale = here.scaled_hessian(whole=False), here.scale
    g = scale * here.gradient()
    step, given_up, singular = np.zeros_like(g), np.zeros(len(g), dtype=bool), []
    for i in range(len(g)):
        factor, failed = _cholesky(H[i])
        diagonal = factor.diagonal()
        if failed or not diagonal.min(initial=np.inf) > 1e-5 * diagonal.max(initial=0.0):
            singular.append(i)
            continue
        step[i] = dpotrs(factor, g[i], lower=0)[0]
    np.multiply(step, -scale, out=step)
    if singular:
        H = here.take(singular).scaled_hessian(whole=False)
    for i, own in zip(singular, H[: len(singular)], strict=True):
        values, vectors = linalg.eigh(own.T, lower=False, check_finite=False, overwrite_a=True)
        size = np.max(np.abs(values), initial=0.0)
        if to_minimum[i] and np.any(values < -DESCENT * size):
            given_up[i] = True
            continue
        keep = np.abs(values) > ZERO * size
        step[i] = -scale[i] * (vectors[:, keep] @ ((vectors[:, keep].T @ g[i]) / values[keep]))
    return step, given_up


def _cholesky(H):
    """(factor, failed) of a matrix given below its diagonal, in its own memory: its transpose is what LAPACK reads."""
    return dpotrf(H.T, lower=0, clean=0, overwrite_a=1)


def _krylov_directions(here: Strata, to_minimum) -> tuple[np.ndarray, np.ndarray]:
    """The same by MINRES; given up where the step shows negative curvature."""
    steps, given_up = np.zeros((len(here), here.size)), np.zeros(len(here), dtype=bool)
    for i in range(len(here)):
        row = here if len(here) == 1 else here.take([i])
        H, scale = scaled_operator(row), row.scale[0]
        step, _ = minres(H, -scale * row.gradient()[0], **KRYLOV)
        given_up[i] = to_minimum[i] and step @ (H @ step) < 0
        steps[i] = scale * step
    return steps, given_up


def scaled_operator(here: SecondOrder) -> LinearOperator:
    """The scaled Hessian of one point as its action on vectors."""

    def product(v):
        return np.ravel(here.scale * here.hvp(here.scale * np.reshape(v, here.scale.shape)))

    return LinearOperator(shape=(here.size,) * 2, matvec=product, dtype=float)  # pyright: ignore[reportCallIssue] stubs lack the constructor


def extreme_curvatures(here: SecondOrder, steps: int = 150) -> tuple[float, float]:
    """(lowest, highest) eigenvalue of the scaled Hessian as Lanczos sees it from one random vector: from inside the
    spectrum.

    A negative lowest value is a proof of a descent direction; a positive one is evidence of none.
    """
    H, size = scaled_operator(here), here.size
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


def stable(here: Strata) -> np.ndarray:
    """Rows without a direction of descent: none on the stratum, lambda_min(H) >= -DESCENT max|H| (by a shifted Cholesky
    factorisation where H is formed), and at D = 2 none leaving it."""
    good = np.ones(len(here), dtype=bool)
    if here.size > FORMED:
        for i in range(len(here)):
            lowest, highest = extreme_curvatures(here.take([i]))
            good[i] = lowest >= -DESCENT * highest
    elif here.size:
        H = here.scaled_hessian(whole=False)
        for i in range(len(here)):
            H[i].flat[:: here.size + 1] += DESCENT * max(np.max(H[i]), -np.min(H[i]))
            good[i] = _cholesky(H[i])[1] == 0
    problem = here.problem
    if problem.D == 2 and here.rank < problem.max_rank and here.G_perp.size:
        good &= np.linalg.norm(here.G_perp, 2, axis=(1, 2)) <= problem.Lam * (1 + 1e-7)
    return good
