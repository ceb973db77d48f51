"""Every claim away from its own cases: random values of all its parameters, inside its hypotheses, refute nothing and end no check."""

import contextlib
import math
import random
import signal

import pytest

from theory.claim import Case, Claim, attempt
from theory.registry import claims

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
    """A random value of the kind of the declared ones: words among themselves, whole numbers from 1 (0 for seeds) to past the largest,
    positive numbers log-uniformly to three times beyond both ends, lam from 1e-10 to 3."""
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
    """A declared case with a random part of its parameters drawn anew, inside the hypotheses; None where none was met."""
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


@pytest.mark.slow
@pytest.mark.parametrize("claim", [pytest.param(claim, id=claim.id) for claim in claims()])
def test_random_cases_inside_the_hypotheses_refute_no_true_statement_and_end_no_check(claim):
    found = list(tally(claim))
    wrong = [(word, case, why) for word, case, why in found if word == "crash" or (word == "refuted" and not claim.corrected_by)]
    assert not wrong, wrong
