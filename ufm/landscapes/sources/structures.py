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


def closed_forms(problem: Problem, known: dict | None = None) -> Iterator[tuple]:
    """Every structure that exists for the problem (`known`, where the caller has them), under its name."""
    known, done = structures.existing(problem)[0] if known is None else known, 0
    try:
        for name, point in known.items():
            yield STRUCTURE, replace(point, name=name) if isinstance(point, LogitPoint) else replace(classify(point), name=name)
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {len(known)} structures") from None
    return "structures in closed form"


def refined(problem: Problem, seed, progress: bool | None = None) -> Iterator[tuple]:
    """What descent finds from those structures of a ReLU model that are not stationary."""
    known = {name: point for name, point in structures.existing(problem)[0].items() if isinstance(point, FactorPoint)}
    rough = {name: point for name, point in known.items() if classify(point).status == "not critical"}
    for i, (name, point) in enumerate(progress_bar(rough.items(), desc="refine", progress=progress)):
        yield f"{name}{REFINED}", refine(point, child(seed, i)).point
