"""How a learning rate changes along a run: the factor it is multiplied with.

constant                  1
cosine                    (1 + cos(pi u)) / 2 at the share u of the run, 0 at its end
MultiStep(at, gamma)      gamma^(number of milestones passed), milestones in epochs
any function              of the epoch, an integer
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ufm.numerics import arguments


@dataclass(frozen=True)
class MultiStep:
    """The factor gamma^(number of milestones <= epoch). gsgp22 trains with MultiStep((60, 100, 200), 0.2).

    >>> MultiStep((60, 100, 200), 0.2)(100) == 0.2**2
    True
    """

    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self):
        object.__setattr__(self, "milestones", tuple(arguments.integer("milestones", m, 1) for m in self.milestones))
        arguments.positive("gamma", self.gamma)

    def __call__(self, epoch: int) -> float:
        return self.gamma ** sum(epoch >= m for m in self.milestones)


def schedule(spec) -> str | Callable:
    """`constant`, `cosine`, or a function of the epoch; ValueError for anything else."""
    if callable(spec):
        return spec
    return arguments.choice("schedule", spec, ("constant", "cosine"))


def factor(schedule, epoch: int, share: float) -> float:
    """The factor at an epoch, `share` of the run being done."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    value = float(schedule(epoch))
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"schedule must give finite factors >= 0; got {value!r} at epoch {epoch}.")
    return value
