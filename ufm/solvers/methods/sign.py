"""Signed gradient."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import setting


@dataclass(frozen=True)
class SignedGradient(Descent):
    """x <- x - lr sign(grad F(x)), entry by entry: steepest descent in the largest entry. It ends in a cycle of size
    lr.

    Source: bernstein18.
    """

    name = "sign"
    title = "signed gradient descent"

    lr: float = setting(1e-3, arguments.positive, "learning rate")

    def direction(self, on, objective, grad, state, t):
        return on.xp.sign(grad), state
