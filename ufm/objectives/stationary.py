"""When a gradient is small enough to speak of a critical point, and when a point is zero up to its own size.

At a critical point two parts cancel, the fit's gradient and the ridge's own, (lam_l A_l)_l. So a gradient is small
against the ridge's:

    |grad F| <= GRADIENT |(lam_l A_l)_l|,

however small lam is. Near zero both vanish together and their ratio says nothing. There a point is zero when its
factors are below LINEAR in norm and F is its expansion at zero, so that Newton's method goes to zero from here:

    |grad F(x) - grad F(0) - F''(0) x| <= LINEAR |(lam_l A_l)_l|      (a bias stays where it is).
"""

from __future__ import annotations

import numpy as np

from ufm.objectives.factors import FactorObjective

GRADIENT = 1e-6
"""Gradient norm of a critical point, relative to that of the ridge alone."""
LINEAR = 1e-3
"""Norm of the factors, and remainder of the expansion at zero relative to the ridge's gradient, up to which a point is
zero."""
EARLY = 1e-3
"""A tol above this share of the ridge's own gradient is a wish to stop early."""
ROUNDING = 2e-14
"""Gradient norm that is zero where the ridge's own vanishes."""


def critical_below(ridge_norm: float, grad_tol: float = GRADIENT, rounding: float = 0.0) -> float:
    """Gradient norm up to which a point is critical: grad_tol times the ridge's and its rounding, or ROUNDING."""
    return grad_tol * ridge_norm + rounding if ridge_norm > 0 else ROUNDING


def asked(tol: float | np.ndarray, ridge_norm):
    """The gradient norm that success asks for: tol and GRADIENT times the ridge's own; tol where that vanishes."""
    return np.where(np.asarray(ridge_norm) > 0, np.minimum(tol, GRADIENT * np.asarray(ridge_norm)), tol)


def asked_at(objective: FactorObjective, x, tol: float):
    """`asked` at flat vectors x (..., size); tol alone at those that are zero."""
    flat = np.reshape(x, (-1, objective.size))
    target = asked(tol, np.linalg.norm(ridge_gradient(objective, flat), axis=-1))
    for i in np.flatnonzero(np.linalg.norm(flat[:, : objective.ends[-1]], axis=-1) <= LINEAR):
        if is_zero(objective, flat[i]):
            target[i] = tol
    return target.reshape(np.shape(x)[:-1])[()]


def converged(objective: FactorObjective, x, grad, tol: float) -> bool:
    """Whether the gradient at x is as small as success asks."""
    norm = np.linalg.norm(grad)
    return bool(norm <= tol and norm <= asked_at(objective, x, tol))


def halts(objective: FactorObjective, x, norm, tol: float):
    """Where a descent of gradient norms `norm` (...) at x (..., size) stops: at success, or at a tol above EARLY's."""
    ridge = np.linalg.norm(ridge_gradient(objective, x), axis=-1)
    return (norm <= tol) & ((norm <= asked_at(objective, x, tol)) | (tol >= EARLY * ridge))


def ridge_gradient(objective: FactorObjective, x) -> np.ndarray:
    """(lam_l A_l)_l of flat vectors (..., size), without the bias."""
    end, ridge = objective.ends[-1], objective.ridge
    return (ridge[:end] if isinstance(ridge, np.ndarray) and ridge.ndim else ridge) * x[..., :end]


def is_zero(objective: FactorObjective, x) -> bool:
    """Whether the factors of x (size,) are zero up to their own size, in the sense of the module."""
    end = objective.ends[-1]
    ridge = np.linalg.norm(ridge_gradient(objective, x))
    if not np.linalg.norm(x[:end]) <= LINEAR:
        return False
    zero = np.array(x)
    zero[:end] = 0.0
    rest = objective.grad(x) - objective.grad(zero) - objective.hvp(zero, x - zero)
    return bool(np.linalg.norm(rest) <= LINEAR * ridge)
