"""A theorem as code: what it says, where it is from, the cases it is checked on, and what would break it.

Writing a claim. One file in a folder named after its source, `theory/gk25/thm1.py`, with one value `CLAIM` (or a
tuple `CLAIMS`); nothing has to be registered. A file elsewhere joins by `ufm verify --from FILE`.
A whole one:

>>> from fractions import Fraction
>>> from theory.claim import Case, Claim, Evidence, grid, planted
>>> def check(case):
...     m, D = case.K // 2, case.L + 1
...     return Evidence(Fraction(case.get("four", 4) * m**D, (2 * m - 1) ** D), "<", 1, strength="exact")
>>> CLAIM = Claim(
...     id="gk25:example",
...     title="Pairs have the smaller penalty",
...     statement="For K >= 4 and L >= 3, 4 m^(L+1) < (2m-1)^(L+1) with m = floor(K/2).",
...     source="gk25, Theorem 1",
...     hypotheses={"K >= 4": lambda c: c.K >= 4, "L >= 3": lambda c: c.L >= 3},
...     check=check,
...     cases=grid(K=range(4, 20), L=[3, 4, 8]),
...     controls=[Case(K=3, L=3), Case(K=4, L=2), planted("4 is replaced by 8", K=4, L=3, four=8)],
... )
>>> CLAIM.verify()
gk25:example: supported (exact, margin 0.209877), 48 cases, 3 of 3 controls break it

* `check(case)` computes and returns one Evidence, or several (a list, or a generator with `yield`). It must be a pure
  function of the case: randomness only from a seed in the case (`rng=0`). `case.problem()` is the Problem the case
  names. An exception makes the case undecided, with its message.
* `cases` are inside every hypothesis; a hypothesis is a name and a predicate on the case. Order the cases from small to
  large: the first refuted one is printed as the counterexample. `grid` makes all combinations, and grids add up.
* `controls` are outside at least one hypothesis, where the same check should come out refuted; or `planted`, where
  the check itself falsifies something that the case names. At least one control, and every planted one, must break
  the claim, or it is undecided: a check that cannot fail proves nothing.
* A tolerance belongs to every float comparison. Inside it `<` and `<=` are undecided; `==` holds within it. What the
  numbers of the case allow to be known, rounding over lam or a gradient that a run has left, is the `error` of the
  Evidence: a margin inside it is undecided.
* `kind` says what one case can do. `universal`, the default: one refuted case refutes the claim. `existential` ("there
  are runs ..."): one supported case, a witness, supports it; a case without the property says nothing. `empirical`
  (seen on runs, and no theorem): supported where every case shows it, undecided where one does not. Controls break a
  claim of any kind where the check fails at them.
* `strength` says what stands behind the numbers: `sampled` (random points or a search), `float` (computed to rounding),
  `certified` (enclosures or a checked certificate), `exact` (integers and fractions). A claim is as strong as its
  weakest case. `theory.strength.order(problem, "pairs", "dnc")` is evidence that one structure costs less, certified
  where that can be proved.
* `scope` says in a sentence what was looked at where the statement says more ("for L > L_0": L_0 over this range).
* A source that refs.bib lacks comes with the claim: `bib="@article{...}"`.
* A statement that is false as published names its correction in `corrected_by`; its verdict stays refuted.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from theory.cases import USUAL, Case, floors, grid, planted, refuse_unknown, replaced, usual
from theory.evidence import REFUTED, STRENGTHS, SUPPORTED, UNDECIDED, Evidence
from ufm.numerics.arguments import choice
from ufm.numerics.content import ByContent

__all__ = [
    "REFUTED",
    "STRENGTHS",
    "SUPPORTED",
    "UNDECIDED",
    "Case",
    "Claim",
    "Evidence",
    "Outcome",
    "Verdict",
    "attempt",
    "grid",
    "planted",
]

PACES = ("quick", "slow")
KINDS = ("universal", "existential", "empirical")


@dataclass(frozen=True)
class Outcome:
    """What a check returned at one case of a claim of a kind; `failed` is the message of the exception that ended it,
    if one did."""

    case: Case
    evidence: tuple[Evidence, ...]
    seconds: float
    failed: str = ""
    kind: str = "universal"

    @property
    def fails(self) -> bool:
        """Whether what the check says is false here: a counterexample to a universal claim, no witness of an
        existential one."""
        return any(e.verdict == REFUTED for e in self.evidence)

    @property
    def verdict(self) -> str:
        if self.fails:
            return REFUTED if self.kind == "universal" else UNDECIDED
        return (
            SUPPORTED
            if self.evidence and all(e.verdict == SUPPORTED for e in self.evidence) and not self.failed
            else UNDECIDED
        )

    def to_dict(self) -> dict:
        """JSON-able."""
        data = {
            "case": self.case.to_dict(),
            "verdict": self.verdict,
            "evidence": [e.to_dict() for e in self.evidence],
            "seconds": self.seconds,
        }
        return (
            data
            | ({"failed": self.failed} if self.failed else {})
            | ({"planted": self.case.planted} if self.case.planted else {})
        )


def attempt(check: Callable, case: Case, kind: str = "universal") -> Outcome:
    """Run the check of a claim of this kind; an exception ends it, keeps the evidence given until then, and becomes the
    message `failed`."""
    began, evidence, failed = time.perf_counter(), [], ""
    try:
        found = check(case)
        for e in (found,) if isinstance(found, Evidence) else found:
            if not isinstance(e, Evidence):
                raise TypeError(f"a check must return Evidence; got {type(e).__name__}.")
            evidence.append(e)
        if not evidence:
            raise ValueError("the check returned no evidence.")
    except Exception as error:
        failed = message(error)
    return Outcome(case, tuple(evidence), time.perf_counter() - began, failed, kind)


def message(error: BaseException) -> str:
    """The kind and the text of an exception on one printable line."""
    words = "".join(c if c.isprintable() else " " for c in str(error)).split()
    return ": ".join([type(error).__name__, *([" ".join(words)] if words else [])])


@dataclass(frozen=True, eq=False, kw_only=True)
class Claim(ByContent):
    """One theorem; how to write one is in the docstring of this module.

    id: `key:name`. source: the key in refs.bib and the number there, `gk25, Theorem 1`. hypotheses: name -> predicate
    on a case.
    kind: `universal`, `existential` or `empirical`. uses: ids of the claims its proof stands on. pace: `quick` or
    `slow` (left out unless asked for).
    scope: what was looked at, where the statement says more. corrected_by: the id of the claim that puts this one
    right. bib: BibTeX of the source, where refs.bib lacks it.
    """

    id: str
    title: str
    statement: str
    source: str
    check: Callable[[Case], Evidence | Iterable[Evidence]]
    cases: Iterable[Case]
    controls: Iterable[Case]
    hypotheses: Mapping[str, Callable[[Case], bool]] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    pace: str = "quick"
    kind: str = "universal"
    scope: str = ""
    corrected_by: str = ""
    bib: str = ""

    def __post_init__(self):
        if self.id.count(":") != 1 or not all(self.id.split(":")) or self.id.split() != [self.id]:
            raise ValueError(f"id must be a source key and a name, as gk25:thm1; got id={self.id!r}.")
        choice("pace", self.pace, PACES)
        choice("kind", self.kind, KINDS)
        for name in ("cases", "controls"):
            object.__setattr__(
                self, name, tuple(case if isinstance(case, Case) else Case(**case) for case in getattr(self, name))
            )
        if isinstance(self.uses, str):
            raise ValueError(f"uses must be a tuple of ids; got uses={self.uses!r}.")
        object.__setattr__(self, "uses", tuple(self.uses))

    def __reduce_ex__(self, protocol):
        """A claim of the registry is pickled by its id: its hypotheses are lambdas, and there is one of it."""
        from theory.registry import registered

        return (registered, (self.id,)) if registered(self.id) is self else super().__reduce_ex__(protocol)

    @functools.cached_property
    def _floors(self) -> dict[str, float]:
        return floors(self.cases)

    @property
    def key(self) -> str:
        """The key of its source in refs.bib."""
        return self.source.split(",")[0].strip()

    def violated(self, case: Case) -> tuple[str, ...]:
        """The hypotheses that the case does not satisfy, first of all that its sizes are sizes (`cases.usual`).

        A hypothesis may rest on those before it: one that cannot be read where an earlier one fails says nothing.
        ValueError where one cannot be read although those before it hold.
        """
        found: list[str] = [] if usual(case, self._floors) else [USUAL]
        for name, holds in self.hypotheses.items():
            try:
                if not holds(case):
                    found.append(name)
            except Exception as error:
                if not found:
                    raise ValueError(f"{self.id}: the hypothesis {name!r} cannot be read at {case}: {error}") from None
        return tuple(found)

    def validate(self) -> None:
        """ValueError unless there are cases and controls, all cases are inside the hypotheses, and each control is
        outside one or planted."""
        _ = self._sound

    @functools.cached_property
    def _sound(self) -> bool:
        """True, once the claim is found valid; a claim is frozen, and stays so."""
        if not self.cases or not self.controls:
            raise ValueError(
                f"{self.id} needs at least one case and one control; it has {len(self.cases)} and {len(self.controls)}."
            )
        for case in self.cases:
            if self.violated(case):
                raise ValueError(
                    f"{self.id}: the case {case} violates the hypothesis"
                    f" {' and '.join(map(repr, self.violated(case)))}."
                )
            if case.planted:
                raise ValueError(f"{self.id}: the case {case} is planted; planted errors are controls.")
        for case in self.controls:
            if not case.planted and not self.violated(case):
                raise ValueError(
                    f"{self.id}: the control {case} satisfies every hypothesis; put it outside one, or plant an error"
                    " and say which."
                )
        return True

    def plan(self, grids: Mapping | None = None) -> tuple[tuple[Case, ...], int]:
        """(cases, outside): the cases to run, with some parameters on a grid if given; how many grid points were
        outside the hypotheses.

        Raises ValueError where the claim is not valid or does not have a parameter of the grid.
        """
        self.validate()
        if not grids:
            return self.cases, 0
        try:
            points = replaced(self.cases, grids)
        except ValueError as mistake:
            raise ValueError(f"{self.id}: {mistake}") from None
        inside = tuple(case for case in points if not self.violated(case))
        return inside, len(points) - len(inside)

    def refuse_unknown(self, names: Iterable[str]) -> None:
        """ValueError for the first parameter that the claim does not have."""
        try:
            refuse_unknown(self.cases, names)
        except ValueError as mistake:
            raise ValueError(f"{self.id}: {mistake}") from None

    def verify(self, **grids: Any) -> Verdict:
        """Evidence on every case and control, here and now. `theory.runs.verify` does many claims in parallel."""
        cases, outside = self.plan(grids)
        ran, controls = (
            tuple(attempt(self.check, case, self.kind) for case in some) for some in (cases, self.controls)
        )
        return Verdict(self, ran, controls, len(cases), outside)

    def __repr__(self) -> str:
        return f"{self.id}: {self.title} [{self.source}]"


@dataclass(frozen=True, eq=False)
class Verdict(ByContent):
    """What came of a claim: supported, refuted, or undecided with the reason in `why`.

    cases, controls: outcomes in the claim's order; fewer than `planned` cases, or not all controls, where the run was
    interrupted.
    outside: grid points outside the hypotheses, which are not cases.
    """

    claim: Claim
    cases: tuple[Outcome, ...]
    controls: tuple[Outcome, ...]
    planned: int
    outside: int = 0

    @property
    def verdict(self) -> str:
        if self.counterexample is not None:
            return REFUTED
        return UNDECIDED if self.why else SUPPORTED

    @property
    def counterexample(self) -> Outcome | None:
        """The first refuted case in the claim's order."""
        return next((case for case in self.cases if case.verdict == REFUTED), None)

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """The controls that break the claim."""
        return tuple(control for control in self.controls if control.fails)

    @property
    def telling(self) -> tuple[Outcome, ...]:
        """The cases that the verdict stands on: the witnesses of an existential claim that has some, else all."""
        witnesses = (
            tuple(case for case in self.cases if case.verdict == SUPPORTED) if self.claim.kind == "existential" else ()
        )
        return witnesses or self.cases

    @property
    def why(self) -> str:
        """Why a claim without counterexample is undecided; empty when it is not."""
        if self.counterexample is not None:
            return ""
        return next((reason for reason in self._doubts() if reason), "")

    def _doubts(self):
        unsettled = [case for case in self.telling if case.verdict == UNDECIDED]
        blind = [control for control in self.controls if control.case.planted and not control.fails]
        if unsettled:
            first = unsettled[0]
            what = "without a witness" if self.claim.kind == "existential" else "undecided"
            yield f"{len(unsettled)} of {len(self.cases)} cases {what}, the first at {first.case}: {_doubt(first)}"
        if len(self.cases) < self.planned or len(self.controls) < len(self.claim.controls):
            yield (
                f"interrupted after {len(self.cases)} of {self.planned} cases and {len(self.controls)} of"
                f" {len(self.claim.controls)} controls"
            )
        if not self.cases:
            yield f"no case: all {self.outside} points lie outside the hypotheses"
        if blind:
            yield (
                f"the planted error is not seen at {blind[0].case}"
                f" ({blind[0].case.planted}){': ' + blind[0].failed if blind[0].failed else ''}"
            )
        if not self.broken:
            failed = next((control.failed for control in self.controls if control.failed), "")
            yield f"no control breaks it{': ' + failed if failed else ''}"

    @property
    def strength(self) -> str:
        """The weakest of its evidence; of a refuted claim, the strongest that refutes its counterexample."""
        worst = self.counterexample
        if worst is not None:
            return max((e.strength for e in worst.evidence if e.verdict == REFUTED), key=STRENGTHS.index)
        return min(
            (e.strength for case in self.telling for e in case.evidence), key=STRENGTHS.index, default=STRENGTHS[0]
        )

    @property
    def margin(self) -> float:
        """The smallest of its evidence; NaN where there is none, or where one is NaN and the claim is not refuted."""
        margins = [_float(e.margin) for case in self.telling for e in case.evidence]
        known = [margin for margin in margins if not math.isnan(margin)]
        return min(known) if known and (len(known) == len(margins) or self.counterexample) else math.nan

    @property
    def seconds(self) -> float:
        """Time spent in the check, over all cases and controls."""
        return sum(outcome.seconds for outcome in (*self.cases, *self.controls))

    def to_dict(self, evidence: bool = False) -> dict:
        """The JSON shape of one claim in `ufm verify --json`; with `evidence`, every case."""
        claim, worst = self.claim, self.counterexample
        controls = [
            control.to_dict() | {"violates": list(claim.violated(control.case)), "breaks": control.fails}
            for control in self.controls
        ]
        return {
            "id": claim.id,
            "title": claim.title,
            "source": claim.source,
            "verdict": self.verdict,
            "strength": self.strength,
            "margin": self.margin,
            "cases": len(self.cases),
            "controls": len(self.controls),
            "seconds": self.seconds,
            "controls_broken": len(self.broken),
            "outside": self.outside,
            "why": self.why,
            "counterexample": None if worst is None else worst.to_dict(),
            "corrected_by": claim.corrected_by or None,
            "statement": claim.statement,
            "scope": claim.scope,
            "hypotheses": list(claim.hypotheses),
            "uses": list(claim.uses),
            "pace": claim.pace,
            "kind": claim.kind,
            "control_evidence": controls,
        } | ({"evidence": [case.to_dict() for case in self.cases]} if evidence else {})

    def __repr__(self) -> str:
        counts = f"{len(self.cases)} cases, {len(self.broken)} of {len(self.controls)} controls break it"
        reason = (
            f"; {self.why}"
            if self.why
            else f"; counterexample {self.counterexample.case}"
            if self.counterexample
            else ""
        )
        return f"{self.claim.id}: {self.verdict} ({self.strength}, margin {self.margin:.6g}), {counts}{reason}"


def _doubt(outcome: Outcome) -> str:
    """Why an outcome does not support its claim."""
    if outcome.fails:
        return "what was seen elsewhere fails here" if outcome.kind == "empirical" else "the property fails here"
    return outcome.failed or "a margin within the tolerance or the error of the check, or NaN"


def _float(value) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
