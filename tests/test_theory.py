"""Claims come out right, and wrong ones come out wrong."""

import json
from dataclasses import replace

import pytest

from theory.claim import REFUTED, SUPPORTED, UNDECIDED, Claim, Evidence
from theory.commands import references
from theory.gk25.thm1 import CLAIM as THEOREM_1
from theory.gk25.thm1 import in_float, matched_scale
from theory.registry import claims
from ufm.cli import main


@pytest.mark.parametrize("claim", claims(), ids=lambda c: c.id)
def test_every_registered_claim_is_supported_and_its_controls_break_it(claim):
    verdict = claim.verify()
    assert verdict.verdict == SUPPORTED and all(c.verdict == REFUTED for c in verdict.controls)
    assert claim.source.split(",")[0] in references()


def test_a_flipped_inequality_is_refuted_and_a_check_that_cannot_fail_is_undecided():
    def flipped(case):
        e = THEOREM_1.check(case)
        return Evidence(e.case, e.right, "<", e.left, 0.0, "exact")

    assert replace(THEOREM_1, check=flipped).verify().verdict == REFUTED
    always = Claim("x:y", "t", "s", "gk25", lambda case: Evidence("c", 0.0, "<", 1.0, 0.0, "exact"), lambda: [1], lambda: [2])
    assert always.verify().verdict == UNDECIDED


@pytest.mark.parametrize(
    "left, relation, right, verdict",
    [(0, "<", 1, SUPPORTED), (1, "<", 0, REFUTED), (0, "<", 1e-12, UNDECIDED), (0, "==", 1e-12, SUPPORTED), (0, "==", 1e-3, REFUTED)],
)
def test_a_margin_inside_the_tolerance_decides_nothing(left, relation, right, verdict):
    assert Evidence("c", left, relation, right, 1e-9, "float").verdict == verdict


@pytest.mark.parametrize("K, L", [(4, 3), (6, 2), (7, 2), (10, 2), (9, 5)])
def test_the_integer_inequality_of_theorem_1_implies_the_order_of_the_losses(K, L):
    left, right = matched_scale(K, L)
    assert left < right
    for lam in (1e-2, 1e-4, 1e-6):
        pairs, dnc = in_float(K, L, lam)
        assert pairs < dnc


def test_verify_speaks_json_and_its_exit_codes(capsys):
    assert main(["verify", "gk25:thm1", "--json"]) == 0
    (claim,) = json.loads(capsys.readouterr().out)["claims"]
    assert claim["verdict"] == "supported" and claim["strength"] == "exact" and claim["controls_broken"] == claim["controls"] > 0
    assert main(["verify", "--list"]) == 0 and "gk25:thm1" in capsys.readouterr().out
