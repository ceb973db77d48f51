"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.descent import Heavy
from ufm.solvers.methods.method import fraction, setting


@dataclass(frozen=True)
class GradientDescent(Heavy):
    """v <- momentum v + grad F(x),  x <- x - lr v."""

    name = "gd"
    title = "gradient descent"
    spans = True

    lr: float = setting(0.5, arguments.positive, "learning rate")
    momentum: float = setting(0.0, fraction, "momentum")

    def direction(self, on, objective, grad, state, t):
        return self.heavy(grad, state)
