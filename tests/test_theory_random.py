"""Every claim away from its own cases: random values of all its parameters, inside its hypotheses, refute nothing and
end no check."""

import contextlib
import math
import random
import signal

import pytest

from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Case, Claim, attempt
from theory.gk25 import thm3i, thm3ii
from theory.registry import claims
from ufm.structures import zero

GRIDS = 20
"""Random cases of every claim."""
PATIENCE = 10
"""Seconds after which a case is too large for this test; it is counted, and looked at nowhere."""
TRIES = 500
"""Draws until one lies inside the hypotheses."""
SMALLEST, LARGEST = 1e-10, 3.0
"""Range of lam: from far below the least declared one to far above every threshold."""


class TooLong(BaseException):
    """Ends a case that runs out of patience; no check catches it."""


@contextlib.contextmanager
def patience(seconds: int):
    """TooLong after so many seconds, where the system has alarms."""

    def ring(*_):
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def domains(claim: Claim) -> dict[str, list]:
    """Parameter -> the values it has in the claim's cases."""
    found: dict[str, list] = {}
    for case in claim.cases:
        for name in case.to_dict():
            found.setdefault(name, []).append(case[name])
    return found


def drawn(name: str, declared: list, draw: random.Random):
    """A random value of the kind of the declared ones: words among themselves, whole numbers from 1 (0 for seeds) to
    past the largest, positive numbers log-uniformly to three times beyond both ends, lam from 1e-10 to 3."""
    values = [v for v in declared if v is not None]
    kinds = {type(v) for v in values}
    if not kinds or not kinds <= {int, float} or (len(values) < len(declared) and draw.random() < 0.3):
        return draw.choice(declared)
    low, high = min(values), max(values)
    if kinds == {int}:
        return draw.randrange(1000) if name == "rng" else draw.randint(min(low, 1), high + 2)
    if name == "lam" and low > 0:
        return 10 ** draw.uniform(math.log10(SMALLEST), math.log10(max(LARGEST, 3 * high)))
    if low > 0:
        return math.exp(draw.uniform(math.log(low / 3), math.log(3 * high)))
    return draw.uniform(low, high)


def random_case(claim: Claim, draw: random.Random) -> Case | None:
    """A declared case with a random part of its parameters drawn anew, inside the hypotheses; None where none was
    met."""
    known = domains(claim)
    for _ in range(TRIES):
        base = draw.choice(claim.cases)
        chosen = [name for name in base.to_dict() if draw.random() < (0.8 if name == "lam" else 0.5)]
        case = base.but(**{name: drawn(name, known[name], draw) for name in chosen})
        if chosen and not claim.violated(case):
            return case
    return None


def tally(claim: Claim, grids: int = GRIDS, seed: int = 0, seconds: int = PATIENCE):
    """[(word, case, why)] of the random cases of a claim; word: supported, refuted, undecided, crash, long or none."""
    draw = random.Random(f"{seed} {claim.id}")
    for _ in range(grids):
        case = None
        try:
            with patience(seconds):
                case = random_case(claim, draw)
                if case is None:
                    yield "none", None, ""
                    continue
                outcome = attempt(claim.check, case, claim.kind)
        except TooLong:
            yield "long", case, ""
            continue
        if outcome.failed:
            yield "crash", case, outcome.failed
        else:
            yield outcome.verdict, case, next((repr(e) for e in outcome.evidence if e.verdict != "supported"), "")


SAMPLES = [
    ("lj22:balance", {"lam": 1e-6}, UNDECIDED),  # an identity, whose two sides rounding parts by more than lam
    ("lj22:balance", {"lam": 1e-9}, UNDECIDED),
    ("zang24:collapsed", {"lam": 1e-5}, UNDECIDED),  # the run's end is not critical
    ("related:deep-stratum-union", {"lam": 1e-6}, UNDECIDED),
    ("related:hong-within", {"lam": 0.21, "rng": 11}, UNDECIDED),  # the minimum is zero
    ("related:hong-within", {"lam": 2.0, "rng": 0}, SUPPORTED),
    ("related:dang24-minimum", {"lam": 1e-10}, UNDECIDED),
    ("sml24:stationary", {"lam": 1e-10}, UNDECIDED),
    ("gsgp22:nonvacuous", {"d": 9}, UNDECIDED),  # a run without the property
    pytest.param("gk25:assumption1", {"K": 11, "d": 3, "L": 6, "rng": 93}, UNDECIDED, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name, values, verdict", SAMPLES)
def test_a_true_statement_is_not_refuted_by_rounding_or_by_a_run_that_stopped_early(name, values, verdict):
    [claim] = claims([name])
    outcome = attempt(claim.check, claim.plan(values)[0][0], claim.kind)
    assert outcome.verdict == verdict and not outcome.failed, outcome


@pytest.mark.parametrize(
    "name, values",
    [
        ("zang24:earlier", {"n": 1}),
        ("gk25:thm1-k4-intervals", {"high": 0.5}),
        ("sml24:rook", {"lam": 2.0}),
        ("gk25:lemma1", {"K": 1}),
        ("lj22:balance", {"n": 0}),
    ],
)
def test_what_has_no_meaning_lies_outside_the_hypotheses(name, values):
    [claim] = claims([name])
    cases, outside = claim.plan(values)
    assert not cases and outside


def test_dnc_may_be_lower_than_what_descents_find(monkeypatch):
    monkeypatch.setattr(thm3ii, "descended", lambda problem, rng: zero(problem))
    case = Case(K=3, n=1, L=3, c=0.05, alpha=2.0, rng=0, point="lowest")
    assert [e.verdict for e in thm3ii.check(case)] == [SUPPORTED, SUPPORTED, SUPPORTED, REFUTED]
    monkeypatch.undo()
    assert {e.verdict for e in thm3ii.check(case)} == {SUPPORTED}


def test_the_first_evidence_of_theorem_3i_can_fail_inside_its_hypothesis():
    case = Case(K=4, n=1, L=80, c=0.3, alpha=0.0, rate=1.0, rng=0)
    assert next(thm3i.check(case)).verdict == SUPPORTED and next(thm3i.check(case.but(weight=0.05))).verdict == REFUTED


def test_the_benign_landscape_classifies_saddles():
    [claim] = claims(["related:zhu21-benign"])
    told = [e.note for e in claim.check(claim.controls[-1].but(saddle="strict saddle"))]
    assert sum("strict saddle, index" in note for note in told) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("claim", [pytest.param(claim, id=claim.id) for claim in claims()])
def test_random_cases_inside_the_hypotheses_refute_no_true_statement_and_end_no_check(claim):
    found = list(tally(claim))
    wrong = [
        (word, case, why)
        for word, case, why in found
        if word == "crash" or (word == REFUTED and not claim.corrected_by)
    ]
    assert not wrong, wrong
