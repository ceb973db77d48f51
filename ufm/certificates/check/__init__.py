"""Checkers: one file per kind of proof, importing `ufm.numerics` and each other, and nothing else of the package.

A checker module defines METHOD, its name in a certificate, PROBLEM, the field of the data that holds the problem (if
one does), and `check(data) -> Checked`, which recomputes the proof in exact, ball or interval arithmetic and raises
`Rejected` with the place where it fails. It derives the statement from the data itself, so that a certificate cannot
say more than it proves.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, replace

from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected

__all__ = ["Checked", "Rejected", "check"]


@dataclass(frozen=True)
class Checked:
    """What a proof shows: its kind and statement, by how much (None where there is no number), in which arithmetic,
    about which problem.

    problem: in words; empty where the statement names what it is about.
    """

    kind: str
    statement: str
    margin: float | None
    arithmetic: str
    problem: str = ""


def check(method: str, data: dict) -> Checked:
    """Re-verify data by the named method. Raises Rejected where it fails, or where the method is not known."""
    names = {module.name for module in pkgutil.iter_modules(__path__)}
    for name in sorted(names):
        module = importlib.import_module(f"{__name__}.{name}")
        if getattr(module, "METHOD", None) == method:
            try:
                found, field = module.check(data), getattr(module, "PROBLEM", None)
                return replace(found, problem=Model.from_dict(data[field]).words()) if field in data else found
            except (
                LookupError,
                TypeError,
                AttributeError,
                ValueError,
                ArithmeticError,
                RecursionError,
                MemoryError,
            ) as error:
                raise Rejected(f"the data cannot be read: {type(error).__name__}: {error}") from None
    raise Rejected(f"no checker is called {method!r}.")
