"""Orders: which of two points of one problem costs less, proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ufm.certificates.certificate import Certificate, certify_data, refused, sides
from ufm.certificates.check import contributed, scales
from ufm.certificates.check import order as checker
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import has_closed_forms
from ufm.certificates.check.rejected import Rejected
from ufm.certificates.models import model as exact_model
from ufm.certificates.models import unknown_loss
from ufm.numerics import arguments, balls
from ufm.numerics.content import ByContent
from ufm.numerics.hints import Exact
from ufm.points import LogitPoint, PointLike, logit_point_of
from ufm.problem import Problem

DIGITS = (20, 40, 80, 160, 320, 540)


@dataclass(frozen=True)
class Stated:
    """A real number x with |x - value| <= radius, both exact decimal texts."""

    value: str
    radius: str

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"{self.value} +/- {self.radius}"


@dataclass(frozen=True)
class Enclosure:
    """A structure of a problem with proved digits: its loss, its scales, its singular values with multiplicities.

    Each scale is the only root of its equation on the branch its name says; for `pairs+apex` the only one near.
    """

    structure: str
    loss: Stated
    scales: tuple[Stated, ...]
    singular_values: tuple[tuple[Stated, int], ...]

    def __repr__(self) -> str:
        lines = [f"{self.structure}: loss {self.loss}"]
        lines += [f"  scale {scale}" for scale in self.scales]
        lines += [f"  singular value {s}, {times} times" for s, times in self.singular_values]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Ranking(ByContent):
    """Structures from the lowest loss to the highest, with a certificate for every step, and why others are left out;
    sides: what the proofs take each for, its name or the point it is."""

    names: tuple[str, ...]
    certificates: tuple[Certificate, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    sides: tuple[str | LogitPoint, ...] = ()

    @property
    def holds(self) -> bool:
        return all(c.holds for c in self.certificates)

    def check(self) -> bool:
        """Whether every step proves what it says and the steps join to one chain."""
        steps = list(zip(self.names, self.names[1:], strict=False))
        return [sides(c.statement) for c in self.certificates] == steps and all(c.check() for c in self.certificates)

    def __repr__(self) -> str:
        lines = [" < ".join(self.names) or "no structure"]
        lines += [f"  {name}: {why}" for name, why in self.left_out.items()]
        return "\n".join(lines)


def enclosure(problem: Problem, structure: str, lam: Exact = None, digits: int = 30) -> Enclosure:
    """F, scales and singular values of a named structure, to `digits` proved digits.

    structure: `zero`, `dnc`, `pairs`, `blocks(6,2,2)`, `pairs+apex`; with `(small)` or `(large,small)` for other roots.
    lam: exact text(s) where the problem's floats cannot say what is meant. Raises ValueError for unknown names, and
    where the structure does not exist here (then this is proved and said) or nothing could be decided.

    >>> enclosure(Problem(K=10, n=5, d=70, L=2, lam=2**-10), "pairs", digits=20).loss.value
    '0.080012659245127529920'
    """
    _named("structure", structure)
    digits = arguments.integer("digits", digits, 15)
    if digits > checker.MOST_DIGITS:
        raise ValueError(f"digits must be at most {checker.MOST_DIGITS}; got digits={digits}.")
    try:
        found = scales.enclose(exact_model(problem, lam), structure, digits=digits + checker.GUARD)
    except Rejected as reason:
        raise ValueError(f"structure {structure!r} has no enclosure here: {reason}") from None
    values = tuple((_stated(s, digits), times) for s, times in found.singular_values)
    return Enclosure(structure, _stated(found.loss, digits), tuple(_stated(x, digits) for x in found.scales), values)


def order(
    left: str | PointLike, right: str | PointLike, problem: Problem | None = None, lam: Exact = None
) -> Certificate:
    """The certificate of F(left) < F(right) for two structures or points of one problem.

    left, right: names of structures, or points (or what holds one), critical or not (F is then its value at the rank
    they declare; the statement calls them `point(name)`). lam: exact text(s), by default read from the problem's
    floats. The number of digits doubles until the two enclosures part. A certificate that does not hold says why: the
    reverse is true, a structure does not exist, or the order is undecided.

    Raises ValueError for unknown names, points of different problems, or a missing problem.

    >>> order("pairs", "dnc", Problem(K=10, n=5, d=70, L=2, lam=2**-10)).statement
    'pairs < dnc'

    Source: gk25 (who wins); ostrowski59 (points).
    """
    first, second = _resolved("left", left, problem), _resolved("right", right, problem)
    problem = _problem(first, second, problem)
    hope = f"{_label(first, 'left')} < {_label(second, 'right')}"
    why = unknown_loss(problem)
    if why:
        return refused("order", hope, why, "order")
    model = exact_model(problem, lam)
    data, why = None, ""
    for digits in DIGITS:
        try:
            sides = {side: side_of(model, value, side, digits) for side, value in (("left", first), ("right", second))}
        except Rejected as reason:
            why = str(reason)
            break
        data = {"problem": model.to_dict(), **sides}
        if _parted(sides["left"], sides["right"]):
            return certify_data("order", data, "order", hope)
        if isinstance(first, LogitPoint) or isinstance(second, LogitPoint):
            break  # a point's own rounding is the limit
    if data is None:
        return refused("order", hope, why, "order")
    found = certify_data("order", data, "order", hope)
    return found if not why else refused("order", hope, f"{found.why} {why}", "order")


def orders(problem: Problem, lam: Exact = None, structures: Sequence[str] | None = None) -> Ranking:
    """The certified ranking of all structures that exist here, lowest loss first.

    structures: names, by default the whole catalogue; those whose scales no checker encloses are compared as the points
    that they are made. Structures that do not exist, or have the loss of another as far as can be told, are left out
    with the reason.

    >>> orders(Problem(K=4, L=2, lam=0.05), structures=["zero", "dnc", "pairs"])
    pairs < dnc < zero
    """
    from ufm.structures import catalogue

    makers = catalogue(problem)
    names = list(makers) if structures is None else list(structures)
    for name in names:
        if name not in makers:
            _named("structures", name)
    why = unknown_loss(problem)
    if why:
        return Ranking((), (), dict.fromkeys(names, why))
    model, given, values, left_out = exact_model(problem, lam), {}, {}, {}
    for name in names:
        try:
            given[name] = makers[name]() if name in makers and not by_name(name, problem) else name
            values[name] = _value(model, given[name])
        except (Rejected, ValueError) as reason:
            left_out[name] = str(reason)
    chain, steps = [], []
    for name in sorted(values, key=lambda name: _key(values[name])):
        step = order(given[chain[-1]], given[name], problem, lam) if chain else None
        if step is not None and not step.holds:
            left_out[name] = f"not told from {chain[-1]}: {step.why}"
            continue
        chain.append(name)
        steps += [] if step is None else [step]
    return Ranking(tuple(chain), tuple(steps), left_out, tuple(given[name] for name in chain))


def _value(model: Model, side: str | LogitPoint):
    """The ball of F at a structure or a point."""
    if isinstance(side, LogitPoint):
        return checker.point_value(model, _written(side, "left"))
    return scales.enclose(model, side).loss


def _key(ball):
    return Fraction(checker.rounded(ball, 30))


def _written(point: LogitPoint, where: str) -> dict:
    """A point as its certificate states it."""
    side = {"point": point.name or where, "U": _texts(point.U), "s": _texts(point.s), "V": _texts(point.right)}
    return {**side, "b": None if point.b is None else _texts(point.b)}


def side_of(model: Model, value: str | LogitPoint, where: str, digits: int) -> dict:
    """A structure or a point as a certificate states it, with so many digits of its loss. Raises Rejected."""
    if isinstance(value, LogitPoint):
        side = _written(value, where)
        ball = checker.point_value(model, side)
        return {**side, **_loss(ball, checker.worthwhile(ball, 20))}
    found = scales.enclose(model, value, digits=digits + checker.GUARD)
    return {
        "structure": value,
        "root": "large",
        "scales": [checker.rounded(x, digits) for x in found.scales],
        **_loss(found.loss, digits),
    }


def _loss(ball, digits: int) -> dict:
    stated = _stated(ball, digits)
    return {"loss": stated.value, "radius": stated.radius}


def _stated(ball, digits: int) -> Stated:
    with balls.precision(4 * digits + 128):
        text = checker.rounded(ball, digits)
        return Stated(text, checker.radius(ball, text))


def _texts(array):
    return [_texts(row) for row in array] if array.ndim > 1 else [float(x).hex() for x in array]


def _parted(left: dict, right: dict) -> bool:
    """Whether the gap is known to six digits."""
    distance = abs(Fraction(left["loss"]) - Fraction(right["loss"]))
    return distance > 10**6 * (Fraction(left["radius"]) + Fraction(right["radius"]))


def _label(value, where: str) -> str:
    return f"point({value.name or where})" if isinstance(value, LogitPoint) else str(value)


def _problem(left, right, problem: Problem | None) -> Problem:
    for name, value in (("left", left), ("right", right)):
        if not isinstance(value, LogitPoint):
            _named(name, value)
            continue
        if problem is not None and value.problem != problem:
            raise ValueError(
                f"{name} is a point of another problem than {'problem' if name == 'left' else 'problem or left'}."
            )
        problem = value.problem
    if problem is None:
        raise ValueError("problem is required where left and right are names.")
    return problem


def by_name(name: str, problem: Problem) -> bool:
    """Whether a proof takes a structure by its name, for its closed form or its own enclosure.

    If not, it takes the point that is made: where neither applies, or its own enclosure refuses the problem.
    """
    if contributed.structure(name) is None:
        return scales.is_closed(name) and has_closed_forms(problem.loss.name)
    try:
        scales.enclose(exact_model(problem), name)
    except Rejected:
        return False
    return True


def _resolved(name: str, side: str | PointLike, problem: Problem | None) -> str | LogitPoint:
    """The point that a side is or holds; a structure without an enclosure of its own (`sel`) as the point it is."""
    if not isinstance(side, str):
        return logit_point_of(name, side)
    if problem is None or scales.is_name(side):
        return side
    from ufm.structures import catalogue

    maker = catalogue(problem).get(side)
    return side if maker is None else logit_point_of(name, maker())


def _named(argument: str, name) -> None:
    if not scales.is_name(name):
        raise ValueError(
            f"{argument} must be zero, dnc, pairs, pairs+apex or blocks(...), maybe with (small), or a LogitPoint; got"
            f" {name!r}."
        )
