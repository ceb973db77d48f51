"""Labelled critical points under MSE without bias: one root per class, and the signature that a count of modes out of
order gives."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.modes import ModeGroup, mode_groups

SAME = 1e-12
"""Relative: modes y, and roots s, that close are equal."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A choice of root for every mode: s (K,) with zeros, on modes y (K,); small, double (K,) say which root of its own
    a mode is on."""

    problem: Problem
    y: np.ndarray
    s: np.ndarray
    small: np.ndarray
    double: np.ndarray
    frames: tuple[np.ndarray, np.ndarray]

    @property
    def rank(self) -> int:
        return int(np.sum(self.s > 0))

    def point(self) -> LogitPoint:
        """Z = sum s_i u_i v_i'."""
        order = np.argsort(-self.s, kind="stable")[: self.rank]
        U, V = self.frames
        b = None if self.problem.bias is None else self.problem.counts / self.problem.N
        return LogitPoint(self.problem, U[:, order], self.s[order], V[:, order], b)

    def fun(self) -> float:
        """sum_i (y_i^2/2N)((1-t_i)^2 + D t_i (1-t_i)), t = s/y."""
        t = self.s / self.y
        return float(np.sum(self.y**2 * ((1 - t) ** 2 + self.problem.D * t * (1 - t)))) / (2 * self.problem.N)

    def signature(self, ties: bool = True, pairs: bool = True) -> tuple[int, int]:
        """(index, nullity) by counting; `ties` or `pairs` False leaves those terms out, which falsifies it.

        index    small roots + active pairs whose roots are ordered against their y, or that share y and a small root
                 + (active, inactive) pairs with the inactive y larger; at D = 2 also (d - r) for each inactive y above
                 N Lam.
        nullity  sum_l (r d_l - r(r+1)/2) + active pairs of equal y on different roots + (active, inactive) pairs of
        equal y
                 + double roots, and pairs of them with equal y.
        """
        p, r = self.problem, self.rank
        index = int(np.sum(self.small))
        nullity = sum(r * d for d in p.widths) - p.L * r * (r + 1) // 2 + int(np.sum(self.double))
        for i, j in itertools.combinations(range(len(self.y)), 2):
            i, j = (i, j) if self.y[i] >= self.y[j] else (j, i)  # y_i >= y_j
            tied, both = self.y[i] - self.y[j] <= SAME * self.y[i], self.s[i] > 0 and self.s[j] > 0
            if both and tied and ties:
                same = abs(self.s[i] - self.s[j]) <= SAME * self.s[i]
                index += same and self.small[i]
                nullity += not same or self.double[i]
            elif both and not tied and pairs:
                index += self.s[i] < self.s[j]
            elif not both and tied and ties:
                nullity += self.s[i] != self.s[j]
            elif not tied:
                index += self.s[i] == 0 and self.s[j] > 0
        if p.D == 2:
            index += (p.widths[0] - r) * int(np.sum((self.s == 0) & (self.y > p.N * p.Lam)))
        return int(index), int(nullity)


def modes(problem: Problem) -> tuple[list[ModeGroup], np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(groups, y (m,), frames): the singular modes of the labels one by one, strongest first."""
    groups = mode_groups(problem)
    y = np.concatenate([np.full(g.size, g.y) for g in groups])
    return groups, y, (np.hstack([g.left for g in groups]), np.hstack([g.right for g in groups]))


def labelled_points(problem: Problem) -> list[Labelled]:
    """Every choice of a root, or zero, per mode, with at most min(d) active ones."""
    groups, y, frames = modes(problem)
    options = [[(0.0, False, False), *_rooted(g)] for g in groups for _ in range(g.size)]
    found = []
    for choice in itertools.product(*options):
        s, small, double = (np.array(column) for column in zip(*choice, strict=True))
        if np.sum(s > 0) <= problem.max_rank:
            found.append(Labelled(problem, y, s, small, double, frames))
    return found


def _rooted(group: ModeGroup) -> list[tuple[float, bool, bool]]:
    """(root, small, double), large first."""
    return [(s, k == 1, group.double) for k, s in enumerate(reversed(group.roots))]
