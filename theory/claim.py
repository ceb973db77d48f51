"""A theorem as code: what it says, where it is from, the cases it is checked on, and what would break it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
RELATIONS = {"<": lambda gap: gap, "<=": lambda gap: gap, "==": lambda gap: -abs(gap)}


@dataclass(frozen=True)
class Evidence:
    """left relation right, in one case. margin > 0 supports, < 0 refutes, and |margin| <= slack decides nothing.

    For `<` and `<=` the margin is right - left; for `==` it is tol - |left - right|.
    strength: `exact`, `certified`, `float` or `sampled`, what stands behind the two numbers.
    """

    case: str
    left: float
    relation: str
    right: float
    tol: float
    strength: str

    @property
    def margin(self) -> float:
        gap = self.right - self.left
        return self.tol - abs(gap) if self.relation == "==" else gap

    @property
    def verdict(self) -> str:
        if self.relation == "==":
            return SUPPORTED if self.margin >= 0 else REFUTED
        if abs(self.margin) <= self.tol:
            return SUPPORTED if self.relation == "<=" and self.strength == "exact" and self.margin >= 0 else UNDECIDED
        return SUPPORTED if self.margin > 0 else REFUTED


@dataclass(frozen=True)
class Claim:
    """One theorem. `check(case)` returns Evidence; `controls` are cases outside the hypotheses that must not support it."""

    id: str
    title: str
    statement: str
    source: str
    check: Callable[[object], Evidence]
    cases: Callable[[], Iterable]
    controls: Callable[[], Iterable]

    def verify(self) -> Verdict:
        """Evidence on every case and control. A claim whose controls support it too is undecided: its check cannot fail."""
        began = time.perf_counter()
        evidence = tuple(self.check(case) for case in self.cases())
        controls = tuple(self.check(case) for case in self.controls())
        return Verdict(self, evidence, controls, time.perf_counter() - began)


@dataclass(frozen=True)
class Verdict:
    """What came of a claim."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    controls: tuple[Evidence, ...]
    seconds: float

    @property
    def verdict(self) -> str:
        found = {e.verdict for e in self.evidence}
        if REFUTED in found:
            return REFUTED
        broken = [c for c in self.controls if c.verdict == REFUTED]
        return SUPPORTED if found == {SUPPORTED} and broken else UNDECIDED

    @property
    def strength(self) -> str:
        order = ("sampled", "float", "certified", "exact")
        return min((e.strength for e in self.evidence), key=order.index, default="sampled")

    @property
    def margin(self) -> float:
        return min((e.margin for e in self.evidence), default=float("nan"))

    def to_dict(self) -> dict:
        """The JSON shape of one claim in `ufm verify --json`."""
        return {
            "id": self.claim.id,
            "title": self.claim.title,
            "source": self.claim.source,
            "verdict": self.verdict,
            "strength": self.strength,
            "margin": self.margin,
            "cases": len(self.evidence),
            "controls": len(self.controls),
            "controls_broken": sum(c.verdict == REFUTED for c in self.controls),
            "seconds": self.seconds,
        }
