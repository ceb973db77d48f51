"""What a structure is: a point known in closed form with the facts that the package needs of it, one file each.

    TETRA = Structure("tetra", "Z = a (...), rank 3", make=tetra)

at the top of a file of this folder, of a file given by `--from` or `ufm.use`, or behind an entry point of the group
`ufm.structures` is all it takes: compare and landscape list it, identify and basins name points by it, plots have its
colour, `follow`, `phase_diagram` and certificates take its name. Every fact but name, doc and make has a default.
"""

from __future__ import annotations

import colorsys
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ufm.numerics import arguments
from ufm.numerics.families import Family, modules_in
from ufm.numerics.state import own_numpy_state
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.structures.fits import Fit, Seen, point_fit

Point = LogitPoint | FactorPoint
Maker = Callable[[], Point]

BARRIER = "(small)"
"""How the names of points on small roots end: barriers of a ray, not its minimum."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_+\-]*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def linear(problem: Problem) -> bool:
    """Whether Z is the product of the factors; the models of most structures."""
    return problem.linear


@dataclass(frozen=True, eq=False)
class Structure:
    """Facts of a structure.

    name: a word; the names of its points are this word, maybe with more in brackets: `blocks(6,2,2)`, `dnc(small)`.
    doc: one line, the formula first.
    make: `problem, ... -> point` of exact rank (LogitPoint; FactorPoint for nonlinear models). It raises ValueError
        with the reason where the structure does not exist.
    variants: `problem -> (name, maker), ...`, every point to be asked of a problem, maker without arguments; default
        the one point `make(problem)` under the structure's name.
    models: whether it is a structure of the problem's kind of model at all; default linear models.
    exists: `problem -> reason` why it does not exist, "" where it does; default: what `make` says.
    matches: the fits of class logits by which `identify` gives the name (`structures.fits`); default: comparison with
        the points made in the problem, where that is known, up to the order of the classes.
    colour: `#rrggbb`; default one derived from the name.
    enclosure: `model -> (singular values, value of the fit)` in balls (`ufm.numerics.balls`), model being a
        `certificates.check.model.Model`; default: proofs take the made point's own factors.

    Raises ValueError for what is no word, no callable or no colour.
    """

    name: str
    doc: str
    make: Callable[..., Point]
    variants: Callable[[Problem], Iterable[tuple[str, Maker]]] | None = None
    models: Callable[[Problem], bool] = linear
    exists: Callable[[Problem], str] | None = None
    matches: Callable[[Seen], Iterable[Fit]] | None = None
    colour: str = ""
    enclosure: Callable | None = None

    def __post_init__(self):
        for field in ("name", "doc"):
            arguments.instance(field, getattr(self, field), str)
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be a word of letters, digits, _, + and -; got {self.name!r}.")
        if not self.doc.strip():
            raise ValueError(f"doc must say in a line what {self.name} is; got {self.doc!r}.")
        for field in ("make", "models"):
            if not callable(getattr(self, field)):
                raise ValueError(f"{field} of {self.name} must be a function; got {getattr(self, field)!r}.")
        for field in ("variants", "exists", "matches", "enclosure"):
            if not (getattr(self, field) is None or callable(getattr(self, field))):
                raise ValueError(f"{field} of {self.name} must be a function or None; got {getattr(self, field)!r}.")
        if not self.colour:
            object.__setattr__(self, "colour", colour_from(self.name))
        elif not (isinstance(self.colour, str) and _COLOUR.fullmatch(self.colour)):
            raise ValueError(f"colour of {self.name} must be written '#rrggbb'; got {self.colour!r}.")

    def __reduce__(self):
        return get, (self.name,)

    def offers(self, problem: Problem) -> Iterator[tuple[str, Maker]]:
        """(name, maker) of every point to be asked of the problem; making one may still refuse."""
        if not self.models(problem):
            return
        reason = self.exists(problem) if self.exists else ""
        pairs = ((self.name, lambda: self.make(problem)),) if self.variants is None else self.variants(problem)
        for name, make in pairs:
            yield name, functools.partial(_refuse, reason) if reason else functools.partial(_made, name, make, problem)

    def fits(self, seen: Seen) -> Iterator[Fit]:
        """How far what is seen is from the structure's shapes, or from its points in the problem."""
        if self.matches is not None:
            yield from self.matches(seen)
        elif seen.problem is not None:
            for name, point in _points(self, seen.problem):
                yield point_fit(name, point, seen)

    def missing(self, problem: Problem) -> str:
        """Why no point of the structure exists here; "" where one does."""
        reason = f"{self.name} is not a structure of this problem: {_kind(problem)}."
        for _, make in self.offers(problem):
            try:
                make()
                return ""
            except ValueError as error:
                reason = str(error)
        return reason

    def to_dict(self) -> dict:
        return {"name": self.name, "doc": self.doc, "colour": self.colour, "enclosure": self.enclosure is not None}


@functools.lru_cache(maxsize=256)
def _points(structure: Structure, problem: Problem) -> tuple[tuple[str, LogitPoint], ...]:
    """(name, point) of those of a structure that exist in a linear problem and are not zero."""
    found = []
    for name, make in structure.offers(problem):
        try:
            point = make()
        except ValueError:
            continue
        found += [(name, point)] if isinstance(point, LogitPoint) and point.rank else []
    return tuple(found)


def _refuse(reason: str):
    raise ValueError(reason)


def _made(name: str, make: Maker, problem: Problem) -> Point:
    point = make()
    if not isinstance(point, (LogitPoint, FactorPoint)) or point.problem != problem:
        raise ValueError(f"{name}: its maker must return a point of the problem it was given; got {point!r}.")
    return point.to_logits(rel_tol=1e-9) if problem.linear and isinstance(point, FactorPoint) else point


def _kind(problem: Problem) -> str:
    return f"K={problem.K}, n={problem.n}, loss={problem.loss.name!r}, activation={problem.activation.name!r}"


STRUCTURES: Family[Structure] = Family(
    "structures",
    own=lambda: modules_in("ufm.structures"),
    member=lambda value: isinstance(value, Structure),
    called=lambda structure: structure.name,
    first=("zero", "dnc", "pairs"),
)


def everyone() -> tuple[Structure, ...]:
    """All structures, in the order in which they are listed."""
    return tuple(STRUCTURES.members().values())


def get(name: str) -> Structure:
    """The structure of this name; ValueError that lists the nearest."""
    return STRUCTURES.get(name)


def structure_of(name: str | None) -> Structure | None:
    """The structure that the name of a point belongs to, `blocks(6,2,2)`, `dnc(small)` and `pairs#2` included."""
    members, bare = STRUCTURES.members(), (name or "").split("#")[0]
    return members.get(bare) or members.get(bare.split("(")[0])


def catalogue(problem: Problem) -> dict[str, Maker]:
    """Name -> maker of every structure that could be asked of this problem; making one may still refuse."""
    found: dict[str, Maker] = {}
    for structure in everyone():
        for name, make in structure.offers(problem):
            if name in found:
                raise ValueError(f"structures: two of them make a point called {name!r} of {_kind(problem)}.")
            found[name] = make
    first = STRUCTURES.first
    return dict(sorted(found.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first)))


@own_numpy_state
def existing(problem: Problem) -> tuple[dict[str, Point], dict[str, str]]:
    """(points by name, reasons by name of those that are not): LogitPoints of a linear model, else FactorPoints."""
    points: dict[str, Point] = {}
    reasons: dict[str, str] = {}
    makers = catalogue(problem)
    if not makers and not problem.linear:
        name = problem.activation.name
        reasons["structures"] = (
            "closed-form structures need a linear model, or an activation that keeps nonnegative numbers; got"
            f" activation={name!r}."
        )
    for name, make in makers.items():
        try:
            points[name] = make()
        except ValueError as reason:
            reasons[name] = str(reason)
    return points, reasons


def is_barrier(name: str) -> bool:
    """Whether a name is that of a point on the small root of its scale equation."""
    return BARRIER.strip("()") in name


def colour_from(name: str) -> str:
    """A colour that depends on the name alone, `#rrggbb`: a hue, dark enough for white paper."""
    digest = hashlib.sha256(name.encode()).digest()
    hue, light = int.from_bytes(digest[:2]) / 65536, 0.34 + 0.16 * digest[2] / 255
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, light, 0.65))
