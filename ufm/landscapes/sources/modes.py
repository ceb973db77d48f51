"""The complete list under MSE as a source: families of critical points, one a choice of roots (`structures.modes`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ufm.critical.point import CriticalPoint
from ufm.landscapes.sources.source import Settings, Source
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.problem import Problem
from ufm.structures.modes import DOUBLE, Family, decouples, explain, mode_name, mse_families

MODES = "modes"


def points(problem: Problem, _: Settings) -> Iterator[tuple]:
    """Every family, under the name of a structure that it holds or its own, met as often as it stands for choices of
    labelled modes."""
    for family in mse_families(problem):
        known = mode_name(problem, family.point.s)
        yield MODES, replace(critical_point(family), name=known[0] if known else family.name), family.labelled
    return explain(problem)[1]


def critical_point(family: Family) -> CriticalPoint:
    """The representative as a CriticalPoint: signature from the closed form, gradient norm measured.

    Raises ArithmeticError if the gradient norm does not vanish to 1e-6 of the ridge's.
    """
    stratum = Stratum(family.point)
    below = critical_below(stratum.ridge_norm)
    if stratum.grad_norm > below:
        raise ArithmeticError(
            f"{family.name} should be critical but its gradient norm is {stratum.grad_norm:.1e};"
            f" Lam={family.point.problem.Lam:.3g} is out of range."
        )
    tolerances = {"gradient": 1e-6, "critical_below": below, "double_root": DOUBLE, "zero_below": 0.0}
    index, said = (family.index, family.index), {"name": family.name, "tolerances": tolerances}
    seen = {"index": index, "nullity": family.nullity, "symmetry": family.nullity_symmetry}
    return CriticalPoint.signed(family.point, family.fun, stratum.grad_norm, family.rank, **seen, **said)


MODES_SOURCE = Source(
    "modes",
    "the complete list under MSE: every choice of roots of the singular modes",
    points,
    verbs=("landscape",),
    applies=lambda problem: "" if decouples(problem) else explain(problem)[1],
    counts=True,
)
