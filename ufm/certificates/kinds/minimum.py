"""`global`: which point is a global minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.problem import Problem


def decided(problem: Problem) -> bool:
    """Whether an argument for the global minimum is known: L = 1, K <= 3, MSE."""
    return problem.L == 1 or problem.K <= 3 or problem.loss.quadratic


def make(problem: Problem, lam: Exact = None, **options) -> Certificate:
    from ufm.certificates.optimality import global_minimum

    return global_minimum(problem, lam, **options)


KIND = Kind(
    word="global",
    says="a global minimum: L = 1, K = 2, K = 3 (cross-entropy), MSE",
    hope="a named point is a global minimum",
    make=make,
    default=decided,
    place=3,
    takes=("witness", "progress"),
)
