"""Structures: points known in closed form, one file each. Modules here offer `variants` or `relu_variants`, or both, or
help those that do.

For linear models a structure is a function `problem -> LogitPoint` of exact rank, offered by `variants(problem)`; for
models with a hidden activation that keeps nonnegative numbers (relu, leaky relu) it is a function `problem ->
FactorPoint` with explicit weights, offered by `relu_variants(problem)`. It raises ValueError with the reason where it
does not exist. Adding a file with such a generator of (name, maker) is all it takes.
"""

from __future__ import annotations

import importlib
import pkgutil

from ufm.numerics.state import own_numpy_state
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.structures.blocks import blocks, partitions
from ufm.structures.dnc import dnc
from ufm.structures.graph_codes import graph_code, srg
from ufm.structures.pairs import pairs, pairs_apex
from ufm.structures.relu_collapse import keeps_positive, relu_dnc, relu_zero
from ufm.structures.relu_pairs import relu_pairs
from ufm.structures.zero import zero

__all__ = [
    "blocks",
    "catalogue",
    "dnc",
    "existing",
    "graph_code",
    "pairs",
    "pairs_apex",
    "partitions",
    "relu_dnc",
    "relu_pairs",
    "relu_zero",
    "srg",
    "zero",
]

_ORDER = ("zero", "dnc", "pairs")


def catalogue(problem: Problem) -> dict[str, object]:
    """Name -> maker of every structure that could be asked of this problem; making one may still refuse."""
    found, offer = {}, "variants" if problem.linear else "relu_variants"
    for module in pkgutil.iter_modules(__path__):
        variants = getattr(importlib.import_module(f"{__name__}.{module.name}"), offer, None)
        found.update(variants(problem) if variants else ())
    return dict(sorted(found.items(), key=lambda item: _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)))


@own_numpy_state
def existing(problem: Problem) -> tuple[dict[str, LogitPoint | FactorPoint], dict[str, str]]:
    """(points by name, reasons by name of those that do not exist here): LogitPoints of a linear model, FactorPoints
    otherwise."""
    points, reasons = {}, {}
    if not problem.linear and not keeps_positive(problem):
        name = problem.activation.name
        return {}, {
            "structures": (
                "closed-form structures need a linear model, or an activation that keeps nonnegative numbers; got"
                f" activation={name!r}."
            )
        }
    for name, make in catalogue(problem).items():
        try:
            points[name] = make()
        except ValueError as reason:
            reasons[name] = str(reason)
    return points, reasons
