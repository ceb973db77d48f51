"""`bound`: a number below F, whatever Z is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind
from ufm.certificates.kinds.minimum import decided

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.problem import Problem


def make(problem: Problem, lam: Exact = None) -> Certificate:
    from ufm.certificates.bounds import bound

    return bound(problem, lam)


KIND = Kind(
    word="bound",
    says="F >= a number, for every Z",
    hope="F >= a number for every Z",
    make=make,
    default=lambda problem: not decided(problem),
    place=4,
)
