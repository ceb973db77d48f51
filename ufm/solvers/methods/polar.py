"""Spectral descent: Muon idealised."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.descent import Heavy
from ufm.solvers.methods.method import fraction, setting

EPS = 2.0**-52


@dataclass(frozen=True)
class Polar(Heavy):
    """A <- A - lr U V' with the thin SVD U S V' of the gradient in every factor A (of v with momentum): steepest
    descent in the spectral norm. Singular values that are zero up to rounding are dropped; a bias takes its normalised
    gradient. It ends in a cycle of size lr.

    Muon approximates U V' by a few Newton-Schulz steps; here it is exact. Sources: jordan24, bernstein24.
    """

    name = "polar"
    title = "spectral descent"

    lr: float = setting(0.01, arguments.positive, "learning rate")
    momentum: float = setting(0.0, fraction, "momentum")

    def direction(self, on, objective, grad, state, t):
        v, state = self.heavy(grad, state)
        factors, b = objective.unpack(v)
        parts = [on.xp.reshape(polar_factor(on, A), (v.shape[0], -1)) for A in factors]
        if b is not None:
            length = on.xp.sqrt(on.dot(b, b))[:, None]
            parts.append(b / on.xp.where(length > 0, length, on.xp.ones_like(length)))
        return on.xp.concat(parts, axis=1), state


def polar_factor(on, A):
    """U V' of the thin SVDs of A (..., a, b), over the singular values above a b eps of the largest."""
    U, s, Vt = on.xp.linalg.svd(A, full_matrices=False)
    kept = s > max(A.shape[-2:]) * EPS * s[..., :1]
    return on.matmul(U * on.xp.where(kept, on.xp.ones_like(s), on.xp.zeros_like(s))[..., None, :], Vt)
