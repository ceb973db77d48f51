"""Points from sources become rows: the one place that decides what a table lists, what is one point, and its name.

A source (`landscapes.sources.source`) is a generator of points, of (how, point) or (how, point, times): how it was met,
in a word or two; a point, or a CriticalPoint where the source knows its signature; how often. It returns, at its end,
what it searched, in words. It knows the problem and nothing of the table. A verb is the sources that it asks, a rule
for what counts as critical, and a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.critical.nonlinear import model_rank
from ufm.critical.point import CriticalPoint
from ufm.critical.same import free_name, same_kind
from ufm.landscapes.row import Row, named
from ufm.numerics import arguments, interruption
from ufm.objectives.clarke import merged
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import ROUNDING, asked, critical_below
from ufm.points import FactorPoint, LogitPoint, point_of

STRUCTURE = "structure"
"""How a point was met that a closed form gave: its name is kept."""
REFINED = " refined"
"""How a point was met by descent from a structure, after the structure's name; a name that finds it in the table."""
SHARP = 1e-12
"""Gradient norm up to which a landscape lists a point. Stricter than the common rule: twins are told apart by logits
that agree to 1e-5."""


class Met(NamedTuple):
    """A point as it was met: value, rank, and of a linear model its stratum, whose gradient a rule may ask for."""

    point: LogitPoint | FactorPoint
    fun: float
    rank: int | None
    stratum: Stratum | None = None


class Stream(NamedTuple):
    """What the source of a name yields, and whether its meetings are hits."""

    name: str
    points: Iterable
    counted: bool = True


@dataclass
class Kind:
    """One point so far: its signature, its names by closed forms and by its source, how it was met, and its hits."""

    critical: CriticalPoint
    names: list[str] = field(default_factory=list)
    own: str = ""
    how: dict[str, int] = field(default_factory=dict)
    hits: int = 0


def met(what) -> Met:
    """A point measured; of a linear model on its rank stratum."""
    if isinstance(what, CriticalPoint):
        return Met(what.point, what.fun, what.rank)
    point = point_of("point", what)
    if point.problem.linear:
        point = point if isinstance(point, LogitPoint) else point.to_logits(rel_tol=1e-9)
        stratum = Stratum(point)
        return Met(point, stratum.fun, point.rank, stratum)
    point = arguments.instance("point", point, FactorPoint)
    objective, x = merged(point)
    return Met(point, float(objective.value(x)), model_rank(point))


def anything(_: Met) -> bool:
    """A rule for tables that also list what is not critical, and say so."""
    return True


def is_critical(one: Met) -> bool:
    """The common rule; of nonlinear models only `classify` can say."""
    at = one.stratum
    return at is None or at.grad_norm <= critical_below(at.ridge_norm, rounding=at.rounding)


def is_sharp(one: Met) -> bool:
    """The rule of `SHARP`, on the scale of the ridge where that is smaller."""
    at = one.stratum
    return at is None or at.grad_norm <= (
        max(float(asked(SHARP, at.ridge_norm)), at.rounding) if one.rank else ROUNDING
    )


class Gathering:
    """Points so far, one of each kind, classified when they are first met."""

    def __init__(self, listed=is_critical, extremes: bool = False):
        self.listed, self.extremes = listed, extremes
        self.kinds: list[Kind] = []
        self.said: list[str] = []
        self.interrupted = ""

    def __len__(self) -> int:
        return len(self.kinds)

    def collect(self, *sources: Iterable) -> Gathering:
        """Everything that sources yield, streams or generators whose meetings are hits, in order; Ctrl-C ends it, and
        `interrupted` says how far it came."""
        try:
            for source in sources:
                self._drain(source if isinstance(source, Stream) else Stream("source", source))
        except KeyboardInterrupt as stop:
            interruption.pass_on()
            self.interrupted = str(stop) or f"after {len(self)} points"
            if not self.kinds:
                raise KeyboardInterrupt(self.interrupted) from None
        return self

    def _drain(self, stream: Stream) -> None:
        source: Iterator = iter(stream.points)
        while True:
            try:
                item = next(source)
            except StopIteration as end:
                if end.value:
                    self.said.append(end.value)
                return
            try:
                how, what, *times = item if isinstance(item, tuple) else (stream.name, item)
                self.add(how, what, *times, counted=stream.counted)
            except KeyboardInterrupt as stop:
                if (throw := getattr(source, "throw", None)) is not None:
                    throw(stop)  # it says how far it came
                raise

    def add(self, how: str, what, times: int = 1, counted: bool = True) -> None:
        """Count a point as one of its kind, or list it as a new one, unless it is None or the rule leaves it out.
        counted: whether this is a hit."""
        if what is None:
            return
        one = met(what)
        if not self.listed(one):
            return
        kind = next((kind for kind in self.kinds if same_kind(one, kind.critical)), None)
        if kind is None:
            kind = Kind(what if isinstance(what, CriticalPoint) else classify(one.point, extremes=self.extremes))
            self.kinds.append(kind)
        kind.how[how] = kind.how.get(how, 0) + times
        kind.hits += times if counted else 0
        name = getattr(what, "name", None)
        if how == STRUCTURE and name is not None and name not in kind.names:
            kind.names.append(name)
        elif isinstance(what, CriticalPoint) and name:
            kind.own = name

    def rows(self) -> list[Row]:
        """The kinds as rows in order of value, each under a name of its own: a closed form's, else its source's, else
        what `identify` says. Further structures that are the same point are its aliases."""
        ordered = sorted(self.kinds, key=lambda kind: kind.critical.fun)
        taken, names = set(), {}
        for kind in sorted(ordered, key=lambda kind: not kind.names):
            names[id(kind)] = free_name(_name(kind), taken)
            taken.add(names[id(kind)])
        return [_row(kind, names[id(kind)]) for kind in ordered]


def _name(kind: Kind) -> str:
    return kind.names[0] if kind.names else kind.own or identify(kind.critical.point).name


def _row(kind: Kind, name: str) -> Row:
    aliases = (*kind.names[1:], *(how for how in kind.how if how.endswith(REFINED)))
    more = {"aliases": aliases} if aliases else {}
    return Row(named(kind.critical, name), kind.hits, dict(kind.how), more)
