"""The order of two structures, and global minima, at the best strength there is: proved where ball arithmetic is
installed, else computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from theory.claim import Evidence
from ufm.points import LogitPoint
from ufm.problem import Problem

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate

ROUNDING = 1e-13
"""Of the size of F: how far two values may differ by rounding alone."""
_STRENGTH = {"exact": "exact", "ball": "certified", "interval": "certified", "float": "float"}


def ordered(problem: Problem, left: str | LogitPoint, right: str | LogitPoint) -> tuple[float, str]:
    """(F(right) - F(left), what stands behind its sign) for two structures, by name (`pairs`, `dnc`) or as points.

    A certificate of `left < right` gives its positive lower bound and `certified`; one of `right < left` the same with
    a minus sign. Where neither is proved, or without the extra [certify], the difference of the two floats and `float`.
    Raises ValueError where a structure does not exist for the problem.
    """
    values = _value(problem, left), _value(problem, right)
    for first, second, sign in ((left, right, 1), (right, left, -1)):
        proof = _proof(first, second, problem)
        if proof is not None:
            return sign * float(proof.margin), _STRENGTH[proof.arithmetic]
    return values[1] - values[0], "float"


def order(problem: Problem, left: str | LogitPoint, right: str | LogitPoint, note: str = "") -> Evidence:
    """Evidence that F(left) < F(right), as strong as `ordered` can make it."""
    margin, strength = ordered(problem, left, right)
    values = _value(problem, left), _value(problem, right)
    tol = ROUNDING * max(map(abs, values)) if strength == "float" else 0.0
    return Evidence(
        values[0], "<", values[1], tol, "certified" if strength == "exact" else strength, note, margin=margin
    )


def global_proof(problem: Problem) -> Certificate | None:
    """The certificate about the global minimum, which may fail to hold; None without the extra [certify]."""
    try:
        from ufm.certificates.optimality import global_minimum

        return global_minimum(problem)
    except ImportError:
        return None


def dnc_is_global(problem: Problem) -> Evidence | None:
    """Evidence where DNC is proved to be a global minimum, else None."""
    proof = global_proof(problem)
    if proof is not None and proof.holds and proof.statement == "dnc is a global minimum":
        return Evidence(1, ">", 0, strength="certified", note=proof.statement)
    return None


def searched(least: float, claimed: float, tol: float, note: str = "", strength: str = "sampled") -> Evidence:
    """Evidence that `claimed` is the minimum of F, from the least value that a search met.

    A lower one refutes it; one within tol agrees; a higher one is the search's own shortfall, its error, and decides
    nothing.
    """
    return Evidence(
        least, "==", claimed, tol, strength, note, error=max(0.0, least - claimed) if least - claimed > tol else 0.0
    )


def _proof(left, right, problem: Problem):
    """The certificate of `left < right`, or None where there is none to be had."""
    try:
        from ufm.certificates.orders import order

        proof = order(left, right, problem)
    except (ImportError, ValueError):
        return None
    usable = proof.holds and proof.margin is not None and math.isfinite(proof.margin) and proof.margin > 0
    return proof if usable and _STRENGTH.get(proof.arithmetic, "float") != "float" else None


def _value(problem: Problem, structure) -> float:
    from ufm import structures
    from ufm.numerics.families import choice
    from ufm.objectives.logits import value

    if isinstance(structure, str):
        makers = structures.catalogue(problem)
        structure = makers[choice("structure", structure, makers)]()
    return float(value(structure))
