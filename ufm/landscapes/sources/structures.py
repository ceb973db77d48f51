"""Points in closed form: every structure that exists for the problem, under its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ufm.landscapes.gather import STRUCTURE
from ufm.landscapes.sources.source import Settings, Source
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.modes import decouples


def points(problem: Problem, settings: Settings) -> Iterator[tuple]:
    """The structures; those of nonlinear models with their signature. Ctrl-C says after how many of them it came."""
    known, done = settings.structures[0], 0
    try:
        for name, point in known.items():
            signed = point if isinstance(point, LogitPoint) else settings.classified(name)
            yield STRUCTURE, replace(signed, name=name)
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"after {done} of {len(known)} structures") from None
    return "structures in closed form" if settings.verb == "landscape" else ""


STRUCTURES_SOURCE = Source(
    "structures",
    "every structure that exists, under its name",
    points,
    counts=lambda settings: settings.verb != "compare" and not decouples(settings.problem),
)
