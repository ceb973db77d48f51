"""Evidence: left relation right at one case, by what margin, and what stands behind the two numbers."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field
from fractions import Fraction

from ufm.numerics.arguments import choice

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
STRENGTHS = ("sampled", "float", "certified", "exact")
"""What stands behind a number, the weakest first."""
ROUNDING = 1e-12
"""Of the size of left: by so much two floats may contradict the margin of a certificate."""
RELATIONS = ("<", "<=", "==", ">=", ">", "in")


@dataclass(frozen=True)
class Evidence:
    """left relation right. A margin > tol supports, < -tol refutes, and one within tol, or within `error`, decides
    nothing.

    relation: `<`, `<=`, `>`, `>=`: the margin is the gap in the claimed direction; `in`: right is a pair (low, high)
    and the margin the distance to the nearer end; `==`: the margin is tol - |left - right|, which decides by its sign.
    NaN decides nothing. Exact strict inequalities are decided at margin 0 too: false; weak ones true.
    tol: required for strengths `sampled` and `float`. note: what else a reader should know (an L_0, a rate).
    margin: where something better than the difference of two floats is known, a certificate's; left and right stay for
    the reader.
    error: how far rounding and leftover gradients of this very computation may have moved the margin, measured at the
    case; infinite or NaN where there is no knowing. `tol` is chosen beforehand and says what counts as equal; `error`
    is known only afterwards.

    >>> Evidence(3e-7, "==", 0, 1e-9).verdict, Evidence(3e-7, "==", 0, 1e-9, error=1e-6).verdict
    ('refuted', 'undecided')

    Raises ValueError for an unknown relation or strength, a missing tolerance, a negative error, `exact` on floats, or
    a margin that left and right contradict.
    """

    left: float | int | Fraction
    relation: str
    right: float | int | Fraction | tuple
    tol: float | None = None
    strength: str = "float"
    note: str = ""
    margin: float | None = field(default=None, kw_only=True)
    error: float = field(default=0.0, kw_only=True)

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        choice("relation", self.relation, RELATIONS)
        choice("strength", self.strength, STRENGTHS)
        put("left", _scalar("left", self.left))
        put(
            "right",
            tuple(_scalar("right", v) for v in self._pair()) if self.relation == "in" else _scalar("right", self.right),
        )
        put("tol", self._tolerance())
        put("error", _scalar("error", self.error))
        if self.error < 0:
            raise ValueError(f"error must not be negative; got error={self.error!r}.")
        if self.strength == "exact" and not all(map(_is_exact, self._numbers())):
            raise ValueError(
                f"exact evidence compares integers or fractions; got left={self.left!r}, right={self.right!r}."
            )
        gap = self._gap()
        if self.margin is None:
            return put("margin", gap)
        _scalar("margin", self.margin)
        if (
            self.relation != "=="
            and self.margin * gap < 0
            and min(abs(self.margin), abs(gap)) > max(self.tol, self.error, ROUNDING * abs(self.left))
        ):
            raise ValueError(
                f"margin must agree with left {self.relation} right; got margin={self.margin!r}, left={self.left!r},"
                f" right={self.right!r}."
            )

    def _pair(self):
        if not isinstance(self.right, (tuple, list)) or len(self.right) != 2:
            raise ValueError(f"right must be a pair (low, high) for relation 'in'; got right={self.right!r}.")
        return self.right

    def _numbers(self) -> tuple:
        return (self.left, *self.right) if self.relation == "in" else (self.left, self.right)

    def _tolerance(self):
        if self.tol is None and self.strength in ("sampled", "float"):
            raise ValueError(
                f"tol is required for evidence of strength {self.strength!r}: how large a margin rounding could make."
            )
        tol = _scalar("tol", 0 if self.tol is None else self.tol)
        if not tol >= 0:
            raise ValueError(f"tol must not be negative; got tol={self.tol!r}.")
        return tol

    def _gap(self):
        if any(math.isnan(v) for v in self._numbers() if isinstance(v, float)):
            return math.nan
        if self.relation == "in":
            return min(self.left - self.right[0], self.right[1] - self.left)
        gap = self.right - self.left if self.relation in ("<", "<=") else self.left - self.right
        return self.tol - abs(gap) if self.relation == "==" else gap

    @property
    def verdict(self) -> str:
        margin, error = self.margin, self.error
        if margin != margin or error != error or (error and abs(margin) <= error):
            return UNDECIDED
        if self.relation == "==":
            return SUPPORTED if margin >= 0 else REFUTED
        if abs(margin) > self.tol:
            return SUPPORTED if margin > 0 else REFUTED
        if self.strength == "exact" and self.tol == 0:
            return REFUTED if self.relation in ("<", ">") else SUPPORTED
        return UNDECIDED

    def to_dict(self) -> dict:
        """JSON-able, with the verdict; `from_dict` reads it back. Fractions and non-finite numbers are texts."""
        names = ("left", "relation", "right", "tol", "strength", "note", "margin", "error")
        return {name: _text(getattr(self, name)) for name in names} | {"verdict": self.verdict}

    @classmethod
    def from_dict(cls, data: dict) -> Evidence:
        """The evidence that `to_dict` wrote."""
        read = {name: _untext(data[name]) for name in ("left", "right", "tol", "margin", "error")}
        more = {name: read[name] for name in ("margin", "error")}
        return cls(read["left"], data["relation"], read["right"], read["tol"], data["strength"], data["note"], **more)


def _scalar(name: str, value):
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be a real number; got {name}={value!r}.")
    return value


def _is_exact(value) -> bool:
    return isinstance(value, numbers.Rational) or (float(value).is_integer() and abs(value) < 2**53)


def _text(value):
    if isinstance(value, tuple):
        return [_text(v) for v in value]
    return (
        str(value) if isinstance(value, Fraction) or (isinstance(value, float) and not math.isfinite(value)) else value
    )


def _untext(value):
    if isinstance(value, list):
        return tuple(_untext(v) for v in value)
    if not isinstance(value, str):
        return value
    return float(value) if value in ("nan", "inf", "-inf") else Fraction(value)
