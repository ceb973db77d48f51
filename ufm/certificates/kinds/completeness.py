"""`completeness`: all critical points with a symmetry, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.problem import Problem


def require(problem: Problem, group, **options) -> None:
    """A ValueError unless the group is known and acts on the problem's classes."""
    from ufm.certificates.completeness import known_group

    known_group(group, problem.K)


def make(problem: Problem, lam: Exact = None, *, group, progress=None) -> Certificate:
    from ufm.certificates.completeness import complete

    return complete(problem, group, lam, progress)


KIND = Kind(
    word="completeness",
    says="all critical points with the symmetry `group` (`V_4`, `S_2wrS_2`, ...)",
    hope="all critical points with a symmetry are listed",
    make=make,
    place=5,
    needs={"group": "V_4 at K=4"},
    takes=("progress",),
    require=require,
)
