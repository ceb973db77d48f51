"""The claims of gk25 come out right, and wrong versions of them come out wrong."""

import json
from dataclasses import replace

import pytest

from theory.claim import REFUTED, SUPPORTED, Evidence
from theory.gk25.thm1 import CLAIM as THEOREM_1
from theory.gk25.thm1 import in_float, matched_scale
from theory.registry import audit, claims
from ufm.cli import main


def test_the_registry_is_in_order():
    audit(claims())


def test_every_claim_has_a_planted_error_that_its_check_must_see():
    assert [claim.id for claim in claims() if not any(control.planted for control in claim.controls)] == []


SHORT = {f"gk25:{name}" for name in ("lemma1", "qk", "thm1", "thm1-all", "thm5", "thm7", "thm7-sharp")}


def _walk():
    """Every quick claim; the longer ones, whose parts have tests of their own, only with the slow tests. `ufm verify`
    runs all."""
    for claim in claims():
        if claim.pace == "quick":
            yield pytest.param(claim, id=claim.id, marks=() if claim.id in SHORT else pytest.mark.slow)


@pytest.mark.parametrize("claim", list(_walk()))
def test_every_quick_claim_is_supported_unless_it_names_its_correction(claim):
    verdict = claim.verify()
    assert verdict.verdict == (REFUTED if claim.corrected_by else SUPPORTED), verdict
    assert verdict.broken


def test_theorem_1_with_the_inequality_flipped_or_another_exponent_is_refuted():
    def flipped(case):
        e = THEOREM_1.check(case)
        return Evidence(e.right, "<", e.left, strength="exact")

    def another_exponent(case):
        return THEOREM_1.check(case.but(L=case.L - 2))

    assert replace(THEOREM_1, check=flipped).verify().verdict == REFUTED
    refuted = replace(THEOREM_1, check=another_exponent).verify()
    assert refuted.verdict == REFUTED and refuted.counterexample.case.to_dict() == {"K": 4, "L": 3}


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
    assert (
        claim["verdict"] == "supported"
        and claim["strength"] == "exact"
        and claim["controls_broken"] == claim["controls"] > 0
    )
    assert main(["verify", "--list"]) == 0 and "gk25:thm1" in capsys.readouterr().out


def test_the_grid_of_the_command_line_counts_what_lies_outside_the_theorem(capsys):
    assert main(["verify", "gk25:thm1", "--K", "4:40", "--L", "2:12", "--json"]) == 0
    (claim,) = json.loads(capsys.readouterr().out)["claims"]
    assert (claim["cases"], claim["outside"], claim["verdict"]) == (405, 2, "supported")
    assert main(["verify", "gk25:thm1", "--K", "4-40", "--L", "2-12", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["cases"] == 405
    assert main(["verify", "gk25:thm1", "--lam", "0.1"]) == 2 and "the parameters are K, L" in capsys.readouterr().err
