"""The loss of one column of logits z with label y, in balls: its value, gradient and Hessian. The one home of both.

    cross-entropy            l = log(1 + sum_{j != y} e^(z_j - z_y)) + delta (z_y - mean z),  delta its smoothing
    MSE                      l = |z - e_y|^2 / 2
    focal (gamma)            l = (1 - p_y)^gamma (-log p_y),  p = softmax(z); its value alone
    a contributed loss       what its `enclosure(z, y)` says

Closed forms for columns of a block, with few different entries, are in `pulls`; they are derived from these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ufm.certificates.check import contributed
from ufm.certificates.check.matrices import eye, matrix
from ufm.certificates.check.origin import origin
from ufm.certificates.check.rejected import Rejected
from ufm.numerics import balls

SMOOTHING, GAMMA = "0.1", "2"
"""The numbers of label smoothing and focal loss where a name has none."""
_NAME = re.compile(r"(\w+)(?:\(([^()]+)\))?")


class ColumnLoss:
    """One loss. `convex`: proved here; `shift_invariant`: one number added to all logits changes nothing; `smooth`: it
    has a gradient and a Hessian in balls; `origin`: the file that is trusted for it, empty for the losses above."""

    name: str
    convex: bool = False
    shift_invariant: bool = False
    smooth: bool = True
    origin: str = ""

    def value(self, z: list, y: int):
        """l, a ball."""
        return self.column(z, y)[0]

    def slope(self, z: list, y: int) -> list:
        """dl/dz_i, balls."""
        return self.column(z, y)[1]

    def target(self, K: int, y: int) -> list:
        """The target t of a loss that is `log sum e^z - <t, z>` or `|z - t|^2/2`, balls. Raises Rejected for others."""
        raise Rejected(f"the loss {self.name!r} has no target.")

    def column(self, z: list, y: int) -> tuple:
        """(l, gradient, Hessian): an arb, a list, a matrix. Raises Rejected where the loss has none."""
        raise Rejected(f"no gradient and Hessian in balls for the loss {self.name!r}.")


@dataclass(frozen=True, eq=False)
class CrossEntropy(ColumnLoss):
    """Cross-entropy against (1 - smoothing) e_y + smoothing/K; smoothing: a ball."""

    name: str
    smoothing: Any
    convex = True
    shift_invariant = True

    def target(self, K: int, y: int) -> list:
        return [(1 - self.smoothing) * int(j == y) + self.smoothing / K for j in range(K)]

    def value(self, z, y):
        other = _sum((v - z[y]).exp() for i, v in enumerate(z) if i != y)
        return other.log1p() + self.smoothing * (z[y] - _sum(z) / len(z))

    def slope(self, z, y):
        return self._slope(*self._shares(z, y), y)

    def _slope(self, p, other, y):
        K, one = len(p), balls.ball(1)
        plain = [-other / (1 + other) if i == y else v for i, v in enumerate(p)]
        return [s + self.smoothing * (int(i == y) - one / K) for i, s in enumerate(plain)]

    def column(self, z, y):
        p, other = self._shares(z, y)
        K = len(z)
        curved = matrix([[p[i] * (1 - p[i]) if i == j else -p[i] * p[j] for j in range(K)] for i in range(K)])
        value = other.log1p() + self.smoothing * (z[y] - _sum(z) / K)
        return value, self._slope(p, other, y), curved

    @staticmethod
    def _shares(z, y) -> tuple[list, Any]:
        """(softmax p, sum of the odds of the others)."""
        odds = [balls.ball(1) if i == y else (v - z[y]).exp() for i, v in enumerate(z)]
        other = _sum(v for i, v in enumerate(odds) if i != y)
        return [v / (1 + other) for v in odds], other


@dataclass(frozen=True, eq=False)
class Squared(ColumnLoss):
    """Half the squared distance to e_y."""

    name: str = "mse"
    convex = True

    def target(self, K: int, y: int) -> list:
        return [balls.ball(int(j == y)) for j in range(K)]

    def value(self, z, y):
        return _sum(v * v for v in self.slope(z, y)) / 2

    def slope(self, z, y):
        return [v - int(i == y) for i, v in enumerate(z)]

    def column(self, z, y):
        return self.value(z, y), self.slope(z, y), eye(len(z))


@dataclass(frozen=True, eq=False)
class Focal(ColumnLoss):
    """(other/(1 + other))^gamma log(1 + other), other the sum of the odds of the other classes; gamma: a ball."""

    name: str
    gamma: Any
    shift_invariant = True
    smooth = False

    def value(self, z, y):
        other = _sum((v - z[y]).exp() for i, v in enumerate(z) if i != y)
        return (other / (1 + other)) ** self.gamma * other.log1p()


class Contributed(ColumnLoss):
    """A loss of somebody's file. What it promises (`shift_invariant`) and what its `enclosure` says is trusted; that it
    is convex is not used."""

    def __init__(self, name: str):
        self.name, self.loss = name, contributed.loss(name)
        self.origin = origin(type(self.loss))
        self.shift_invariant = bool(getattr(self.loss, "shift_invariant", False))

    @property
    def enclosed(self) -> bool:
        """Whether there is a method `enclosure` that does more than say that there is none."""
        try:
            self.loss.enclosure([balls.ball(0), balls.ball(0)], 0)
        except (AttributeError, NotImplementedError):
            return False
        except Exception:
            return True  # what is wrong is said where it is used
        return True

    def without(self) -> str:
        return f"no ball enclosure: the loss {self.name!r} of {self.origin} has no method enclosure(z, y)."

    def column(self, z, y):
        K = len(z)
        try:
            value, slope, curved = self.loss.enclosure(list(z), y)
            slope, rows = list(slope), [list(row) for row in curved]
            if len(slope) != K or len(rows) != K or any(len(row) != K for row in rows):
                raise ValueError(f"{len(slope)} slopes and {len(rows)} rows")
            return balls.ball(value), [balls.ball(v) for v in slope], matrix(rows)
        except NotImplementedError:
            raise Rejected(self.without()) from None
        except (TypeError, ValueError) as error:
            wanted = f"(value, {K} slopes, {K} rows of {K}), balls"
            raise Rejected(f"the enclosure of the loss {self.name!r} must return {wanted}: {error}") from None


def read(name: str) -> tuple[str, str | None]:
    """(keyword, the number in brackets) of a loss's name, the number as its text.

    >>> read("label_smoothing(0.05)"), read("ce")
    (('label_smoothing', '0.05'), ('ce', None))
    """
    match = _NAME.fullmatch(name)
    return (match[1], match[2]) if match else (name, None)


def column_loss(name: str) -> ColumnLoss:
    """The loss of this name in balls of the precision now set; Rejected where neither this file nor a file in use has
    one."""
    keyword, number = read(name)
    if keyword == "ce" and number is None:
        return CrossEntropy(name, balls.ball(0))
    if keyword == "mse" and number is None:
        return Squared(name)
    if keyword == "label_smoothing":
        smoothing = balls.ball(number or SMOOTHING)
        if not 0 <= smoothing < 1:
            raise Rejected(f"label smoothing must lie in [0, 1); got {name}.")
        return CrossEntropy(name, smoothing)
    if keyword == "focal":
        gamma = balls.ball(number or GAMMA)
        return CrossEntropy(name, balls.ball(0)) if gamma == 0 else Focal(name, gamma)
    return Contributed(name)


def missing(name: str) -> str:
    """Why nothing is proved about a loss: no file in use has it, or it says nothing in balls; empty where it does."""
    try:
        loss = column_loss(name)
        return loss.without() if isinstance(loss, Contributed) and not loss.enclosed else ""
    except Rejected as reason:
        return str(reason)


def _sum(values) -> Any:
    return sum(values, balls.ball(0))
