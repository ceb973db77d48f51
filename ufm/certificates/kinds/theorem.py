"""`theorem`: what a theorem for all K and L says at the K and L of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.problem import Problem

LINEAR = "gk25:thm1"


def applies(problem: Problem) -> str:
    """Why Theorem 1 of gk25 says nothing about a problem."""
    if not (problem.linear and problem.loss.cross_entropy and problem.balanced and problem.bias is None):
        return "the theorem is about linear layers, cross-entropy, equal counts and no bias."
    return ""


def make(problem: Problem, lam: Exact = None) -> Certificate:
    """That no dnc point is a global minimum, at any lam; refused where the theorem does not cover K and L."""
    from ufm.certificates.theorems import theorem

    return theorem(LINEAR, problem.K, problem.L)


KIND = Kind(
    word="theorem",
    says="gk25's Theorem 1 at this K and L: no dnc point is a global minimum, at any lam",
    hope="no dnc point is a global minimum at any lam",
    make=make,
    applies=applies,
    place=6,
)
