"""All critical points that share a symmetry: none is missing.

The equations are those of `systems`, one system for every choice of active modes. Each is searched anew, by branch and
prune (`boxes`) or, at D = 2, by convexity (`convex`); the roots are enclosed in balls of 192 bits and written again.

Source: gk25 (the model), bannai84 (schemes), palais79 (symmetric criticality), krawczyk69 (the operator).
"""

from __future__ import annotations

import decimal
import itertools
import math
from fractions import Fraction

import numpy as np

from ufm.certificates.check.boxes import MOST_BOXES, Settled, settle
from ufm.certificates.check.checker import Checked, Checker
from ufm.certificates.check.convex import settle_convex
from ufm.certificates.check.groups import Class, symmetry_class
from ufm.certificates.check.model import Model
from ufm.certificates.check.rejected import Rejected
from ufm.certificates.check.systems import distinct, enclosed, systems
from ufm.numerics import balls

METHOD = "symmetric"
KIND, ARITHMETIC = "completeness", "interval"
BITS, DIGITS = 192, 20


def read(data: dict) -> tuple[Model, Class]:
    """The problem and the class of a certificate; Rejected where this proof does not apply."""
    model = Model.of(data)
    if model.loss != "ce":
        raise Rejected(f"completeness in a symmetry class is proved for cross-entropy; got loss {model.loss}.")
    if not model.balanced:
        raise Rejected(f"completeness in a symmetry class is proved for equal class counts; got n={list(model.n)}.")
    if model.bias is not None:
        raise Rejected(f"completeness in a symmetry class is proved without a bias; got bias={model.bias}.")
    return model, symmetry_class(data["group"], data["order"], model.K)


def check(data: dict) -> Checked:
    """The list of points is complete: every system is searched anew, and every number written again."""
    with balls.precision(BITS):
        model, family = read(data)
        every = systems(model, family)
        given = starts(data, family)
        if extra := [key for key in given if key not in every]:
            raise Rejected(f"no system has the modes {extra[0]}.")
        roots = {key: [enclosed(system, values) for values in given.get(key, [])] for key, system in every.items()}
        for key in every:
            if not distinct(roots[key]):
                raise Rejected(f"two roots of modes {name(key)} are one.")
        listed = points(model, family, every, roots)
        if listed != data["points"]:
            raise Rejected("the points are not written as their enclosures are.")
        for key in every:
            if reason := objection(key, every, roots):
                raise Rejected(reason)
    return Checked(KIND, statement(model, family.label, len(listed)), None, ARITHMETIC)


def objection(key, every, roots, most: int = MOST_BOXES) -> str:
    """Why the roots of one system are not proved to be all; empty when they are."""
    system = every[key]
    if system.p == 1:
        return "" if settle_convex(key, every, roots) else f"undecided: whether modes {name(key)} have a root (D = 2)."
    return complaint(key, settle(system, roots[key], most))


def complaint(key, found: Settled) -> str:
    """The sentence about boxes left over; empty when there are none."""
    if found.missing:
        low, high = found.missing[0]
        return f"a root of modes {name(key)} is missing near {_near(low, high)}."
    if found.undecided:
        low, high = found.undecided[0]
        return f"undecided boxes: {len(found.undecided)} of modes {name(key)}, the first near {_near(low, high)}."
    return ""


def _near(low, high) -> str:
    return "(" + ", ".join(f"{math.exp(min(0.5 * (a + b), 700.0)):.6g}" for a, b in zip(low, high, strict=True)) + ")"


def points(model: Model, family: Class, every, roots) -> list[dict]:
    """All nonzero critical points of a class from the enclosed roots of its systems, as a certificate lists them.

    Each: modes (active idempotents of every orbit, from 1), coupled, values [[centre, radius], ...] of mu, then nu,
    then x, y, and loss [below, above].
    """
    listed, K = [], balls.ball(family.K)
    alone = [
        [((), [], balls.ball(orbit.size) / family.K * K.log())]
        + [
            (key[0][o], t, every[key].loss(t))
            for key in every
            if not key[1] and key[0][o] is not None
            for t in roots[key]
        ]
        for o, orbit in enumerate(family.orbits)
    ]
    for parts in itertools.product(*alone):
        modes = [list(part[0]) for part in parts]
        rank = sum(orbit.multiplicities[j - 1] for orbit, s in zip(family.orbits, modes, strict=True) for j in s)
        if 0 < rank <= model.max_rank:
            listed.append(
                (modes, False, [v for part in parts for v in part[1]], sum((part[2] for part in parts), balls.ball(0)))
            )
    for key, system in every.items():
        if key[1]:
            listed += [([list(s) for s in key[0]], True, t, system.loss(t)) for t in roots[key]]
    return [
        {
            "modes": modes,
            "coupled": coupled,
            "values": [list(_text(v.exp())) for v in t],
            "loss": [balls.below(loss), balls.above(loss)],
        }
        for modes, coupled, t, loss in listed
    ]


def starts(data: dict, family: Class) -> dict:
    """{key of a system: its roots in mu, as texts} read from the points of a certificate."""
    found: dict = {}
    for point in data["points"]:
        modes, coupled, texts = point["modes"], point["coupled"], [value[0] for value in point["values"]]
        if len(modes) != len(family.orbits) or type(coupled) is not bool:
            raise Rejected("a point does not say which modes it has.")
        if coupled:
            parts = [(tuple(map(tuple, modes)), texts)]
        else:
            ends = np.cumsum([0, *map(len, modes)])
            parts = [
                (tuple(tuple(s) if q == o else None for q in range(len(modes))), texts[ends[o] : ends[o + 1]])
                for o, s in enumerate(modes)
                if s
            ]
        for key, values in parts:
            known = found.setdefault((key, coupled), [])
            if values not in known:
                known.append(values)
    return found


def _text(value) -> tuple[str, str]:
    """(centre of 20 digits, radius): a decimal ball around a small ball; the same whatever the ball of one number."""
    ends = {_rounded(end) for end in (value.lower(), value.upper())}
    if len(ends) != 1:
        raise Rejected("a root is not enclosed well enough to be written down.")
    (centre,) = ends
    return str(centre), f"5e{centre.adjusted() - DIGITS}"


def _rounded(end) -> decimal.Decimal:
    mantissa, exponent = (int(part) for part in end.mid().man_exp())
    exact = Fraction(mantissa) * Fraction(2) ** exponent
    context = decimal.Context(prec=DIGITS, Emin=-(10**9), Emax=10**9)
    return context.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator))


def name(key) -> str:
    """`1,2` for one orbit, `1|2|xy` for two."""
    modes, coupled = key
    return "|".join([*("" if s is None else ",".join(map(str, s)) for s in modes), *(["xy"] if coupled else [])])


def statement(model: Model, label: str, count) -> str:
    """The sentence of a certificate."""
    return f"the nonzero collapsed critical points with symmetry {label} are exactly {count} ({model.words()})"


CHECKER = Checker(METHOD, check, states_problem=True)
