"""Theorems 4 to 7 of gk25: verdicts, other parameters than the declared ones, and wrong versions that are refuted."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from theory.claim import REFUTED, SUPPORTED, Case, Evidence
from theory.gk25 import (
    assumption1,
    dnc_spectrum,
    thm4_sharp,
    thm4i,
    thm4ii,
    thm5,
    thm5_corrected,
    thm6,
    thm7,
    thm7_bound,
    thm7_frontier,
)
from ufm.critical.classify import classify
from ufm.critical.measures import flatness
from ufm.numerics import balls
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import value
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures import dnc, pairs
from ufm.structures.relu_pairs import relu_pairs

MODULES = (
    dnc_spectrum,
    thm4i,
    thm4ii,
    thm4_sharp,
    thm5,
    thm5_corrected,
    thm6,
    thm7,
    thm7_bound,
    thm7_frontier,
    assumption1,
)
CLAIMS = {claim.id: claim for module in MODULES for claim in getattr(module, "CLAIMS", None) or (module.CLAIM,)}

needs_arb = pytest.mark.skipif(not balls.available(), reason="needs the extra [certify]")


def test_what_uses_what_is_among_the_claims_and_every_case_is_inside_its_hypotheses():
    for claim in CLAIMS.values():
        claim.validate()
        assert set(claim.uses) - {"gk25:lemma1", "gk25:thm1"} <= set(CLAIMS)


@pytest.mark.quick(8)
@pytest.mark.parametrize(
    "name, grids",
    [
        ("gk25:dnc-spectrum", {"K": "2:7", "n": "1,4", "d": "7", "L": "1,3,5", "lam": "1e-1,1e-3,1e-40"}),
        pytest.param("gk25:thm4-sharp", {"K": "3,7,11,90", "L": "2,6"}, marks=pytest.mark.slow),
        ("gk25:thm4-stairs", {"K": "3:6,150", "L": "2,5"}),
        ("gk25:thm4i", {"K": "2,5,23", "L": "1,2,8", "d": "24", "lam": "0.3,3e-3,1e-90"}),
        ("gk25:thm4ii", {"K": "3,6,30", "L": "1,3", "d": "30", "n": "2", "lam": "0.1,1e-3,1e-9"}),
        pytest.param(
            "gk25:thm5-dimension", {"K": "3:6", "L": "1,3", "d": "7", "lam": "1e-2,1e-6"}, marks=pytest.mark.slow
        ),
        ("gk25:thm5-corrected", {"K": "3:40", "d": "4:90:17"}),
        pytest.param("gk25:thm6", {"K": "4:8", "L": "1,5", "n": "2", "d": "8,40"}, marks=pytest.mark.slow),
        ("gk25:thm7", {"K": "2:90", "L": "1:20"}),
        ("gk25:thm7-construction", {"K": "2,7,12,19", "L": "1:4", "d": "19", "n": "2", "lam": "1e-2,1e-5"}),
        ("gk25:thm7-losses", {"K": "12,15,18", "L": "4,6", "d": "18", "n": "1", "lam": "0.05,1e-4"}),
        ("gk25:thm7-sharp", {"K": "2:90", "L": "2:20"}),
        ("gk25:thm7-hadamard", {"K": "2:90", "L": "2:20"}),
        ("gk25:thm7-hadamard-losses", {"K": "8,13,26", "L": "2:5", "d": "26", "n": "2", "lam": "1e-4"}),
        ("gk25:thm7-split", {"K": "5:10", "L": "2,4", "rng": "3"}),
        ("gk25:thm7-bound", {"K": "2:7", "d": "23", "L": "2:6", "rng": "7,8"}),
        ("gk25:assumption1", {"K": "9,11", "d": "16", "rng": "2"}),
    ],
)
def test_claims_are_supported_on_other_parameters(name, grids):
    verdict = CLAIMS[name].verify(**grids)
    assert verdict.verdict == SUPPORTED, verdict
    assert len(verdict.broken) == len(verdict.controls)


def test_theorem_5_as_published_is_refuted_with_the_smallest_counterexample_and_names_its_correction():
    verdict = thm5.CLAIM.verify()
    assert verdict.verdict == REFUTED and thm5.CLAIM.corrected_by in CLAIMS
    assert verdict.counterexample.case.to_dict() == {"K": 4, "n": 1, "d": 4, "L": 2, "lam": 1e-3, "rank": 2}
    dimension, first_ratio = verdict.counterexample.evidence
    assert (dimension.left, dimension.right) == (12, 6) and first_ratio.left == Fraction(6, 5)
    assert thm5.CLAIM.verify(K="4", d="6", L="2").counterexample.evidence[0].left == 24 == thm5.stiefel(6, 2, 3)
    assert thm5.grassmann(4, 6, 2, 3) == 18


def flipped(claim):
    def check(case):
        for e in (found,) if isinstance(found := claim.check(case), Evidence) else found:
            if e.relation in ("<", ">"):
                e = Evidence(e.right, e.relation, e.left, e.tol, e.strength)
            yield e

    return replace(claim, check=check)


@pytest.mark.parametrize(
    "name",
    [
        "gk25:thm7",
        "gk25:thm7-sharp",
        "gk25:thm7-hadamard",
        "gk25:thm7-losses",
        "gk25:thm5-corrected",
        "gk25:thm4-stairs",
    ],
)
def test_claims_with_the_inequality_flipped_are_refuted(name):
    claim = CLAIMS[name]
    few = replace(flipped(claim), cases=claim.cases[:3])
    assert few.verify().verdict == REFUTED


def test_the_threshold_of_theorem_4_with_another_exponent_is_refuted():
    def check(case):
        return thm4_sharp.check(case.but(shift=0))

    assert replace(thm4_sharp.SHARP, check=check, cases=[Case(K=6, L=3, n=1, how="blocks")]).verify().verdict == REFUTED


@pytest.mark.parametrize("K, n, L", [(4, 1, 2), (5, 2, 3), (7, 1, 5)])
@pytest.mark.parametrize("a", [0.4, 1.5, 2.5, 9.0])
def test_the_index_by_blocks_is_that_of_the_hessian_anywhere_on_the_branch(K, n, L, a):
    point = dnc_spectrum.dnc_at(K, n, L, a)
    assert point.scales[0] == pytest.approx(a, rel=1e-8)
    found = classify(point, eig_tol=1e-9, extremes=False)
    assert found.index == dnc_spectrum.index_of_blocks(K, L, a, math.exp(a))


@pytest.mark.parametrize("K, L, lam, index", [(6, 4, 2 * 0.16 / 5, 9), (10, 3, 2 * 0.03 / 4, 35), (20, 3, 1e-3, 170)])
def test_collapse_is_a_saddle_of_the_known_index(K, L, lam, index):
    assert classify(dnc(Problem(K=K, L=L, lam=lam)), extremes=False).index == index == K * (K - 3) // 2


@needs_arb
def test_the_index_below_the_threshold_is_proved():
    point = dnc(Problem(K=6, L=4, lam=2 * 0.16 / 5))
    assert thm4_sharp.proved_index(point) == 9
    evidence = list(thm4_sharp.check(Case(K=5, L=2, n=1, how="Hessian")))
    assert {e.strength for e in evidence} == {"float", "certified"} and all(e.verdict == SUPPORTED for e in evidence)


def test_without_arb_the_sharp_form_is_supported_at_strength_float(monkeypatch):
    monkeypatch.setattr(balls, "available", lambda: False)
    monkeypatch.setattr(thm4_sharp, "proved_index", lambda point: None)
    evidence = [e for case in thm4_sharp.SHARP.cases[::37] for e in thm4_sharp.check(case)]
    assert {e.strength for e in evidence} == {"float"} and {e.verdict for e in evidence} == {SUPPORTED}


def test_lam_at_the_threshold_is_that_of_the_literature():
    for K, n, L, lam in [(10, 5, 2, 2.4e-2), (20, 1, 3, 1.4e-4)]:
        assert thm4ii.lam_stable(K, n, L) == pytest.approx(lam, rel=0.05)
    assert math.log10(thm4ii.lam_stable(100, 1, 3)) == pytest.approx(-21, abs=1)


@pytest.mark.parametrize("K, n, d, L", [(4, 1, 5, 2), (6, 2, 6, 3), (8, 1, 11, 1)])
def test_the_constants_of_theorem_6_are_seen_in_the_ratio_of_the_norms(K, n, d, L):
    problem = Problem(K=K, n=n, d=d, L=L, lam=1e-100)
    at_dnc, at_pairs = flatness(dnc(problem)), flatness(pairs(problem))
    for norm in thm6.NORMS:
        assert getattr(at_dnc, norm) / getattr(at_pairs, norm) == pytest.approx(thm6.constant(norm, K, n, L), rel=0.1)


def test_a_wrong_constant_or_rate_in_theorem_6_is_seen():
    found = thm6.hessians("dnc", 4, 1, 5, 2)
    limit, error = thm6.measured("frobenius", found)
    assert limit == pytest.approx(thm6.dnc_constant("frobenius", 4, 1, 2), rel=1e-9) and abs(error) < 1e-9
    assert abs(thm6.measured("frobenius", found, 1.1)[1]) > 1e-3
    assert abs(limit / thm6.dnc_constant("frobenius", 4, 2, 2) - 1) > 1e-2


@pytest.mark.parametrize("features", ["plain", "hadamard"])
@pytest.mark.parametrize("K, L, n", [(2, 2, 1), (3, 4, 2), (8, 2, 3), (9, 3, 1), (24, 2, 1), (31, 3, 1)])
def test_relu_pairs_is_idle_has_the_logits_of_pairs_and_the_least_scale(K, L, n, features):
    lams = [1e-4 * (1 + l) for l in range(L + 1)]
    problem = Problem(K=K, n=n, d=K, L=L, lam=lams, activation="relu")
    point = relu_pairs(problem, features=features)
    linear = Problem(K=K, n=n, d=K, L=L, lam=lams)
    Z, b = point.logits(), point.logits()[0, 0]
    np.testing.assert_allclose(Z, b * np.repeat(thm7.pair_logits(K), n, axis=1), atol=1e-11 * b)
    np.testing.assert_allclose(Z, np.linalg.multi_dot(point.factors[::-1]), atol=1e-11 * b)
    objective, x = objective_of(point)
    F = float(objective.value(x))
    assert F == pytest.approx(thm7.loss_formula(linear, b, features), rel=1e-11)
    assert all(thm7.loss_formula(linear, b * t, features) > F for t in (0.99, 1.01))
    penalties = [lam * np.sum(A**2) for lam, A in zip(lams, point.factors, strict=True)]
    assert np.ptp(penalties) < 1e-11 * penalties[0]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"L": 1}, "L=1"),
        ({"activation": "tanh"}, "tanh"),
        ({"n": (1, 2, 1, 1)}, r"n=\(1, 2, 1, 1\)"),
        ({"bias": 0.1}, "bias=0.1"),
        ({"d": 3}, "d=3"),
        ({"lam": 10.0}, "fold"),
    ],
)
def test_relu_pairs_refuses_with_the_reason(changes, words):
    problem = Problem(**{"K": 4, "L": 3, "d": 6, "lam": 1e-3, "activation": "relu"} | changes)
    with pytest.raises(ValueError, match=words):
        relu_pairs(problem)


def test_relu_pairs_small_root_is_a_barrier_and_words_are_checked():
    problem = Problem(K=6, L=3, lam=1e-3, activation="leaky_relu")
    small, large = relu_pairs(problem, "small"), relu_pairs(problem)
    values = [float(objective_of(p)[0].value(objective_of(p)[1])) for p in (small, large)]
    assert values[0] > math.log(6) > values[1]
    with pytest.raises(ValueError, match="features"):
        relu_pairs(problem, features="Hadamard")


def test_integers_imply_the_order_at_every_lam_and_fail_outside():
    for K, L, features, less in [
        (14, 4, "plain", True),
        (10, 3, "hadamard", True),
        (22, 2, "hadamard", True),
        (12, 4, "plain", False),
        (10, 2, "hadamard", False),
    ]:
        assert thm7_frontier.beats(K, L, features) == less
        problem = Problem(K=K, L=L, lam=1e-40)
        point = relu_pairs(Problem(K=K, L=L, lam=1e-40, activation="relu"), features=features)
        objective, x = objective_of(point)
        assert (float(objective.value(x)) < value(dnc(problem))) == less


def test_frontiers_are_the_corners_and_the_rational_form_agrees_with_floats():
    for L in range(2, 16):
        for K in range(4, 60):
            for features in ("plain", "hadamard"):
                assert thm7_frontier.beats(K, L, features) == thm7_frontier.inside(K, L, features)
                assert thm7_frontier.beats(K, L, features) == (thm7.penalty_constant(K, L, features) < K - 1)
    with pytest.raises(ValueError, match="L=1"):
        thm7_frontier.frontier(1)


@needs_arb
def test_the_sharpened_frontier_is_the_certificates():
    from ufm.certificates.check.theorems import sides
    from ufm.certificates.theorems import CORNERS, theorem

    assert tuple(map(tuple, CORNERS["gk25:thm7"])) == thm7_frontier.CORNERS["plain"]
    assert theorem("gk25:thm7", exact=True).holds
    for K in range(2, 40, 2):
        for L in range(2, 12):
            assert Fraction(*sides("gk25:thm7", K, L)) == Fraction(*thm7.matched_scale(K, L))


def test_idle_features_that_are_not_nonnegative_would_be_cheaper_and_the_search_finds_them():
    best = thm7_frontier.hadamard_log_cost(4, 3)
    assert thm7_frontier.searched(4, 3, 0) > best - 1e-6
    assert thm7_frontier.searched(4, 3, 0, least=0.5) < best - 0.05


def test_the_ratio_of_assumption_1():
    assert assumption1.mean_ratio(np.eye(5)) == pytest.approx(0.5)
    M = np.random.default_rng(0).standard_normal((7, 5))
    mean = M @ np.ones((5, 5)) / 5
    assert assumption1.mean_ratio(M) == pytest.approx(np.linalg.norm(mean) / np.linalg.norm(M - mean))
    assert assumption1.holds((0.5, 0.5)) and not assumption1.holds((0.51, 0.5))


def test_relu_narrows_every_simplex_part_and_a_steeper_activation_does_not():
    draw = np.random.default_rng(3)
    for _ in range(50):
        M = draw.standard_normal((6, 5)) + draw.normal(scale=3, size=(6, 1))
        assert thm7_bound.centred_norm(np.maximum(M, 0)) <= thm7_bound.centred_norm(M)
    M = np.eye(4)
    assert thm7_bound.centred_norm(2 * np.maximum(M, 0)) > thm7_bound.centred_norm(M)


def test_the_bound_is_an_equality_for_linear_layers():
    H = np.vstack([np.eye(4) - 0.25, np.zeros((2, 4))])
    norms = [*thm7_bound.squared_norms([H], np.eye(4) - 0.25)[:2], thm7_bound.squared_map(H, np.eye(4) - 0.25)]
    assert np.prod(norms) == pytest.approx(3.0**3)


def test_a_dead_neuron_breaks_assumption_1():
    (evidence,) = assumption1.check(Case(K=6, dead=0.3))
    assert evidence.verdict == REFUTED


def test_assumption_1_is_read_along_a_run_of_gradient_descent():
    problem = Problem(K=10, n=2, d=12, L=3, lam=2**-9, activation="relu")
    found = assumption1.trajectory(problem, rng=0, steps=20)
    assert [found[0][0], found[-1][0]] == [0, 20] and all(len(pairs) == problem.L - 1 for _, pairs in found)
    end = minimize(problem, method="gd", rng=0, steps=20).point
    assert np.allclose(found[-1][1], assumption1.ratios(problem, end.factors), rtol=1e-12, atol=0)
