"""What every claim promises: a source, cases inside its hypotheses and controls outside, an error planted and seen."""

from __future__ import annotations

import itertools
import json

import pytest
from discovered import NEW, members, names

from theory.claim import REFUTED, SUPPORTED, Claim, Evidence
from theory.references import carried, references
from theory.registry import audit, claims, registered

SHORT = ("gk25:lemma1", "gk25:qk", "gk25:thm1", "gk25:thm5", f"mine:{NEW}")
"""Whose cases take no time; `ufm verify` and the slow suite run the others."""

every = pytest.mark.parametrize("name", names("claim"))


def test_the_registry_lists_them_and_takes_the_skeleton_in():
    assert {claim.id for claim in claims()} == set(members("claim"))
    audit([registered(f"mine:{NEW}")])


@every
def test_it_is_a_record_with_a_source_and_a_statement(name):
    claim = members("claim")[name]
    assert isinstance(claim, Claim) and registered(name) is claim
    source, _, word = claim.id.partition(":")
    assert source and word and claim.title and claim.statement.rstrip(" )").endswith(".")
    assert claim.key in references() | carried([claim]) and claim.source.startswith(claim.key)
    assert claim.statement.count("$") % 2 == 0 and callable(claim.check)


@every
def test_an_error_is_planted_in_its_controls(name):
    claim = members("claim")[name]
    planted = [control for control in claim.controls if control.planted]
    assert planted and all(control.planted for control in planted)
    for case in itertools.islice(claim.cases, 3):
        assert json.loads(json.dumps(case.to_dict())) == case.to_dict()


@pytest.mark.parametrize("name", SHORT)
def test_its_check_gives_evidence_and_sees_the_planted_error(name):
    claim = members("claim")[name]
    found = claim.check(next(iter(claim.cases)))
    assert all(isinstance(one, Evidence) for one in ([found] if isinstance(found, Evidence) else found))
    verdict = claim.verify()
    assert verdict.verdict == (REFUTED if claim.corrected_by else SUPPORTED) and verdict.broken
