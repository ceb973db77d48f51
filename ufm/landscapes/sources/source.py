"""A source of points: where a verb looks for what it lists, one file each.

    HEXAGONS = Source("hexagons", "points with sixfold symmetry", points, verbs=("compare", "landscape"))

at the top of a file of this folder, of a file given by `--from` or `ufm.use`, or behind an entry point of the group
`ufm.sources` is all it takes. `points(problem, settings)` is a generator of points, or of `(how, point)` or `(how,
point, times)`: how the point was met, in a word or two (default: the source's name); a point, a Result, or a
CriticalPoint where the source knows the signature, None for a try that came to nothing; how often. It returns, at its
end, what it searched, in words. A source knows the problem and nothing of the table: whether a point counts as
critical, is new and what it is called is decided by `landscapes.gather`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.point import CriticalPoint
from ufm.landscapes.gather import Stream
from ufm.numerics import arguments
from ufm.numerics.families import Family, modules_in
from ufm.numerics.seeds import child, generator
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

VERBS = ("compare", "landscape", "profile")
"""The verbs that ask sources."""


@dataclass(eq=False)
class Settings:
    """What a verb asks its sources for: starts as they were asked for (None: the source's own default), the seed,
    whether bars are shown, and what else was passed to the verb, by name.

    The structures of the problem are made and classified once for all sources. A source may leave its runs here.
    """

    verb: str
    problem: Problem
    seed: np.random.SeedSequence
    starts: int | None = None
    progress: bool | None = None
    options: dict = field(default_factory=dict)
    runs: object = None

    @functools.cached_property
    def structures(self) -> tuple[dict[str, LogitPoint | FactorPoint], dict[str, str]]:
        """(points by name, reasons by name) of the structures: `structures.existing`."""
        return structures.existing(self.problem)

    @functools.cached_property
    def _classified(self) -> dict[str, CriticalPoint]:
        return {}

    def classified(self, name: str) -> CriticalPoint:
        """A structure of a nonlinear model with its signature."""
        if name not in self._classified:
            self._classified[name] = classify(self.structures[0][name])
        return self._classified[name]

    def draw(self, name: str) -> np.random.Generator:
        """Random numbers for the source of this name, always the same for one seed, and of no other source."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
        return generator(child(self.seed, number))


@dataclass(frozen=True, eq=False)
class Source:
    """One place to look for points.

    name: as it is listed. doc: one line. points: `problem, settings -> ...`, see the module. verbs: the verbs that ask
    it, of `VERBS`. applies: `problem -> reason` why there is nothing to be found this way, or "". counts: whether its
    meetings are counted as hits, or a function of the settings that says so.

    Raises ValueError for unknown verbs, no name, or what cannot be called.
    """

    name: str
    doc: str
    points: Callable[[Problem, Settings], Iterator]
    verbs: tuple[str, ...] = VERBS
    applies: Callable[[Problem], str] = lambda problem: ""
    counts: bool | Callable[[Settings], bool] = False

    def __post_init__(self):
        for name in ("name", "doc"):
            arguments.instance(name, getattr(self, name), str)
        if not self.name.strip() or ";" in self.name:
            raise ValueError(f"name of a source must be a few words without a semicolon; got {self.name!r}.")
        for verb in self.verbs:
            arguments.choice(f"verbs of {self.name}", verb, VERBS)
        for name in ("points", "applies"):
            if not callable(getattr(self, name)):
                raise ValueError(f"{name} of {self.name} must be a function; got {getattr(self, name)!r}.")

    def counted(self, settings: Settings) -> bool:
        """Whether its meetings are hits of this table."""
        return bool(self.counts(settings) if callable(self.counts) else self.counts)

    def stream(self, settings: Settings) -> Stream:
        """What it yields, for `landscapes.gather`."""
        return Stream(self.name, self.points(settings.problem, settings), self.counted(settings))


SOURCES: Family[Source] = Family(
    "sources",
    own=lambda: modules_in("ufm.landscapes.sources"),
    member=lambda value: isinstance(value, Source),
    called=lambda source: source.name,
    first=("modes", "structures", "refined structures", "symmetry", "search", "starts", "narrow", "low rank", "ranks"),
)


def asked(settings: Settings) -> list[Stream]:
    """What the sources of a verb yield for its problem, in their order; those to which the problem gives nothing to do
    are left out."""
    every = list(SOURCES.members().values())
    chosen = [s for s in every if settings.verb in s.verbs and not s.applies(settings.problem)]
    return [source.stream(settings) for source in chosen]
