"""Structures: points known in closed form, one file each. Every module here offers `variants(problem)`.

A structure is a function `problem -> LogitPoint` of exact rank; it raises ValueError with the reason
where it does not exist. Adding a file with a `variants` generator of (name, maker) is all it takes.
"""

from __future__ import annotations

import importlib
import pkgutil

from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.blocks import blocks, partitions
from ufm.structures.dnc import dnc
from ufm.structures.pairs import pairs, pairs_apex
from ufm.structures.zero import zero

__all__ = ["blocks", "catalogue", "dnc", "existing", "pairs", "pairs_apex", "partitions", "zero"]

_ORDER = ("zero", "dnc", "pairs")


def catalogue(problem: Problem) -> dict[str, object]:
    """Name -> maker of every structure that could be asked of this problem; making one may still refuse."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        variants = getattr(importlib.import_module(f"{__name__}.{module.name}"), "variants", None)
        found.update(variants(problem) if variants else ())
    return dict(sorted(found.items(), key=lambda item: _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)))


def existing(problem: Problem) -> tuple[dict[str, LogitPoint], dict[str, str]]:
    """(points by name, reasons by name of those that do not exist here)."""
    points, reasons = {}, {}
    if not problem.linear:
        return {}, {"structures": f"closed-form structures need a linear model; got activation={problem.activation.name!r}."}
    for name, make in catalogue(problem).items():
        try:
            points[name] = make()
        except ValueError as reason:
            reasons[name] = str(reason)
    return points, reasons
