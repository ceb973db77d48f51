"""`critical`: existence, radius of isolation and index of critical points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.points import PointLike
    from ufm.problem import Problem

UP_TO = 12
"""Structures are certified critical by default up to this many classes; beyond, ask for a point."""


def make(problem: Problem, lam: Exact = None) -> list[Certificate]:
    """One certificate for every structure that exists, for the point that bears its name."""
    from ufm import structures
    from ufm.certificates.certificate import labelled

    points, _ = structures.existing(problem)
    return [labelled(point(points[name], lam), name) for name in structures.STRUCTURES.members() if name in points]


def point(point: PointLike, lam: Exact = None) -> Certificate:
    """The certificate of one point, critical or not."""
    from ufm.certificates.critical_points import critical

    return critical(point, lam)


KIND = Kind(
    word="critical",
    says="existence, radius and index of each of them",
    hope="every structure is a critical point",
    make=make,
    default=lambda problem: problem.K <= UP_TO,
    place=2,
    point=point,
)
