"""`bound`: a number below F, whatever Z is."""

from __future__ import annotations

from ufm.certificates.kind import Kind
from ufm.certificates.kinds.minimum import decided


def make(problem, lam=None):
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
