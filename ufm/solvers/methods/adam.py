"""Adam."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.solvers.methods.descent import Descent
from ufm.solvers.methods.method import setting


def _betas(name: str, value) -> tuple[float, float]:
    try:
        betas = tuple(arguments.real(name, beta) for beta in value)
    except TypeError:
        betas = ()
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"{name} must be two numbers in [0, 1); got {name}={value!r}.")
    return betas


@dataclass(frozen=True)
class Adam(Descent):
    """m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
    x <- x - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).

    Source: kingma15.
    """

    name = "adam"
    title = "Adam"

    lr: float = setting(0.01, arguments.positive, "learning rate")
    betas: tuple[float, float] = setting((0.9, 0.999), _betas, "decay of the two moments, with a comma")
    eps: float = setting(1e-8, arguments.positive, "added to the root of the second moment")

    def init(self, on, objective, x):
        return on.xp.zeros_like(x), on.xp.zeros_like(x)

    def direction(self, on, objective, grad, state, t):
        (one, two), (mean, squares) = self.betas, state
        mean = one * mean + (1 - one) * grad
        squares = two * squares + (1 - two) * grad * grad
        found = (mean / (1 - one**t)) / (on.xp.sqrt(squares / (1 - two**t)) + self.eps)
        return found, (mean, squares)
