"""Points in closed form, and where descent goes from those that are not stationary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ufm import structures
from ufm.critical.classify import classify
from ufm.landscapes.gather import REFINED, STRUCTURE
from ufm.landscapes.sources.refine import refine
from ufm.numerics.bars import progress_bar
from ufm.numerics.seeds import child
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem


def closed_forms(
    problem: Problem, known: dict | None = None, seed=None, progress: bool | None = None
) -> Iterator[tuple]:
    """Every structure that exists for the problem (`known`, where the caller has them), under its name; with a seed,
    then what descent finds from those structures of a ReLU model that are not stationary."""
    known, done, rough = structures.existing(problem)[0] if known is None else known, 0, {}
    try:
        for name, point in known.items():
            listed = replace(point if isinstance(point, LogitPoint) else classify(point), name=name)
            if isinstance(point, FactorPoint) and listed.status == "not critical":
                rough[name] = point
            yield STRUCTURE, listed
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {len(known)} structures") from None
    descents = rough.items() if seed is not None else ()
    for i, (name, point) in enumerate(progress_bar(descents, desc="refine", progress=progress)):
        yield f"{name}{REFINED}", refine(point, child(seed, i)).point
    return "structures in closed form"
