"""A method: gradient descent with clipped gradients, x <- x - lr g min(1, most/|g|).

Far from a rest it moves by lr times most, near one it is gradient descent. Replace the direction, or derive from
`ufm.solvers.methods.method.Method` for what is no descent by steps of one length.
"""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import setting


@dataclass(frozen=True)
class Example(Descent):
    """x <- x - lr g min(1, most/|g|), g = grad F(x).

    >>> Example(most=0.25).settings["most"]
    0.25
    """

    name = "example"
    title = "descent by clipped gradients"

    # every field is a setting of minimize, multistart, basins and the command line: its default, its check, its help
    lr: float = setting(0.5, arguments.positive, "learning rate")
    most: float = setting(1.0, arguments.positive, "norm to which a longer gradient is cut")

    def direction(self, on, objective, grad, state, t):
        """(direction, state) of step t = 1, 2, ...; grad has a row per start, `on.dot` is taken row by row."""
        length = on.dot(grad, grad) ** 0.5
        return grad * (self.most / on.xp.where(length > self.most, length, 0 * length + self.most))[:, None], state
