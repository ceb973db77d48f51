"""A row of the table, what is plain of it, and the columns that all verbs share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ufm.critical.point import CriticalPoint
from ufm.critical.relu_names import hidden_values
from ufm.numerics.content import ByContent
from ufm.numerics.records import picked
from ufm.numerics.tables import Column
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

RANK = Column("rank", "rank", width=4)
FUN = Column("F", "fun", "16.12f", width=16, latex="$F$")
GRAD = Column("|grad|", "grad_norm", "8.1e", width=8, latex=r"$|\nabla F|$")
INDEX = Column("index", lambda row: row.signature.index, width=6)
NULLITY = Column("nullity", lambda row: row.signature.nullity, width=8)
STATUS = Column("status", "status", side="<", width=14)


def name_column(head: str, width: int = 0) -> Column:
    return Column(head, "name", side="<", width=width)


@dataclass(frozen=True, eq=False)
class Row(ByContent):
    """One critical point of a table: its signature, how often it was met, by which sources, what else a verb knows.

    Fields of the CriticalPoint and of `more` read as attributes of the row: row.name, row.fun, row.rank, row.index,
    row.share, ...
    """

    critical: CriticalPoint
    hits: int = 0
    how: dict[str, int] = field(default_factory=dict)
    more: dict = field(default_factory=dict)

    @property
    def problem(self) -> Problem:
        return self.critical.point.problem

    @property
    def count(self) -> int:
        """How often the point was met."""
        return self.hits

    @property
    def said(self) -> str:
        """How the point was met, in words."""
        return "; ".join(self.how)

    @property
    def sources(self) -> tuple[str, ...]:
        """By which sources the point was met."""
        return tuple(self.how)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names of the same point."""
        return self.more.get("aliases", ())

    @property
    def singular_values(self) -> list[float]:
        """Of the logits, descending; of a nonlinear model, of the class means of the last hidden pre-activations."""
        return spectrum_of(self.critical.point)

    @property
    def scales(self) -> tuple[float, ...]:
        """Of the structure that the point is; empty for others."""
        return self.more.get("scales", getattr(self.critical.point, "scales", ()))

    def flat(self) -> dict:
        """Everything plain that is known of the row: the fields that every verb's JSON has for a point."""
        c = self.critical
        own = picked(c, "name rank fun") | c.signature.to_dict() | picked(c, "status grad_norm")
        own |= {"scales": list(self.scales), "singular_values": self.singular_values, "ranks": list(c.ranks)}
        own |= picked(c, "lowest highest why") | {"hits": self.hits, "how": self.said, "sources": list(self.how)}
        return own | {name: value for name, value in self.more.items() if not hasattr(value, "shape")}

    if TYPE_CHECKING:  # fields of the CriticalPoint that `__getattr__` finds

        @property
        def point(self) -> LogitPoint | FactorPoint: ...

        @property
        def name(self) -> str: ...

        @property
        def fun(self) -> float: ...

        @property
        def grad_norm(self) -> float: ...

        @property
        def rank(self) -> int: ...

        @property
        def index(self) -> int | None: ...

        @property
        def nullity(self) -> int | None: ...

        @property
        def status(self) -> str: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("critical", "more"):
            raise AttributeError(name)
        return self.more[name] if name in self.more else getattr(self.critical, name)

    def __repr__(self) -> str:
        met = f"; hits {self.hits}" + (f" ({', '.join(self.how)})" if self.how else "")
        counts = ((name.replace("_", " "), value) for name, value in self.more.items() if isinstance(value, int))
        rest = "".join(f", {name} {value}" for name, value in counts)
        return f"{self.critical!r}{met}{rest}"


def spectrum_of(point: LogitPoint | FactorPoint) -> list[float]:
    """Singular values of the logits, or of the class means of a nonlinear model's last hidden pre-activations."""
    if isinstance(point, FactorPoint):
        return hidden_values(point)
    return sorted(point.s.tolist(), reverse=True)


def named(critical: CriticalPoint, name: str) -> CriticalPoint:
    """The same point under a name."""
    point = replace(critical.point, name=name) if isinstance(critical.point, LogitPoint) else critical.point
    return replace(critical, name=name, point=point)
