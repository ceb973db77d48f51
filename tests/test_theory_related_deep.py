"""The deep linear part of the wider theory: right, wrong when falsified, at other parameters too; its helpers against
independent counts."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from theory.claim import REFUTED, SUPPORTED, Case, Evidence, attempt
from theory.gk25.dnc_spectrum import closed_form
from theory.registry import audit, claims
from theory.related import (
    deep_apriori,
    deep_bits,
    deep_error_bound,
    deep_margin_codes,
    deep_mse_critical_set,
    deep_mse_global,
    deep_mse_law,
    deep_schemes,
    deep_skew,
    deep_spectra,
    deep_stability,
    deep_stratum,
    deep_window,
)
from theory.related.deep_mse_law import largest_root_exceeds, mode_polynomial, roots_above, sturm_chain
from theory.related.deep_mse_modes import labelled_points
from theory.related.deep_tools import dense_inertia, inertia, mean_one_weights, newton_points
from ufm.cli import main
from ufm.critical.classify import classify
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.logits import Stratum, value
from ufm.points import from_matrix
from ufm.problem import Problem
from ufm.structures import dnc, existing, pairs, zero
from ufm.structures.modes import binodal, mse_families, spinodal

MODULES = (
    *(deep_apriori, deep_bits, deep_error_bound, deep_margin_codes, deep_mse_critical_set, deep_mse_global),
    *(deep_mse_law, deep_schemes, deep_skew, deep_spectra, deep_stability, deep_stratum, deep_window),
)
CLAIMS = {c.id.split(":")[1]: c for m in MODULES for c in (*getattr(m, "CLAIMS", ()), getattr(m, "CLAIM", None)) if c}


def thinned(claim, most=3):
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, math.ceil(len(claim.cases) / most))])


def flipped(claim):
    """The claim with the relation of every evidence turned round, equality into a distance."""
    turn = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}

    def check(case):
        found = claim.check(case)
        for e in [found] if isinstance(found, Evidence) else found:
            if e.relation in turn:
                yield Evidence(e.left, turn[e.relation], e.right, e.tol, e.strength)
            elif e.relation == "in":
                yield Evidence(e.left, "<", e.right[0], e.tol, e.strength)
            else:
                yield Evidence(e.left + 1, "==", e.right, e.tol, e.strength)

    return replace(claim, check=check)


def test_all_claims_of_this_part_are_registered_and_in_order():
    found = claims(["related:deep-*"])
    audit([*found, *claims({used for claim in found for used in claim.uses if used.startswith("gk25")})])
    assert set(CLAIMS) == {c.id.split(":")[1] for c in found}


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_each_claim_holds_on_some_of_its_cases_and_every_control_breaks_it(name):
    verdict = thinned(CLAIMS[name]).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert len(verdict.broken) == len(verdict.controls)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_each_claim_holds_on_all_of_its_cases(name):
    assert CLAIMS[name].verify().verdict == SUPPORTED


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_each_claim_turned_round_is_refuted(name):
    claim = CLAIMS[name]
    assert any(attempt(flipped(claim).check, case).verdict == REFUTED for case in claim.cases[:2])


@pytest.mark.quick(6)
@pytest.mark.parametrize(
    "name, grids",
    [
        ("deep-mse-spinodal", {"L": "5,17", "rng": "100:102"}),
        ("deep-mse-binodal", {"L": "1,8", "rng": "200:201"}),
        ("deep-mse-morse", {"rng": 7, "lam": "0.03,0.9"}),
        ("deep-mse-count", {"rng": 8, "lam": 0.04}),
        ("deep-mse-minima", {"L": "1,2", "lam": 0.08}),
        ("deep-mse-collapse-or-zero", {"K": 5, "n": 3, "L": 2, "lam": "0.01,0.3,2"}),
        ("deep-mse-death", {"L": "2,4", "lam": "1e-3,0.1"}),
        ("deep-mse-metastable", {"rng": 5}),
        ("deep-stratum-inertia", {"rng": "40:41", "tries": 5}),
        ("deep-stratum-union", {"rng": 50, "tries": 2}),
        ("deep-dnc-spectrum", {"n": "1,4", "d": 7}),
        ("deep-dnc-layers", {"K": "3,6", "n": 3, "d": 7}),
        ("deep-dnc-weights", {"K": 6, "d": 9, "L": 2, "spread": 0.7}),
        ("deep-pairs-stable", {"K": "10,14", "L": "2,9"}),
        ("deep-pairs-square", {"n": "2,7", "L": "4,20"}),
        ("deep-margin-values", {"K": "6,32", "n": 2}),
        ("deep-margin-rate", {"K": "7,32", "digits": "5,77"}),
        ("deep-margin-winner", {"K": "7,12,32", "L": "2,5"}),
        ("deep-scheme-softmax", {"K": "5,7,9,16", "rng": 3}),
        ("deep-scheme-flow", {"K": "5,8", "L": 3, "steps": 60}),
        ("deep-apriori", {"rng": 60, "tries": 4}),
        ("deep-zero-minimum", {"L": "1,6", "rng": 9}),
        ("deep-error-bound", {"rng": 11}),
        ("deep-bits", {"K": "4,32", "L": 3, "lam": "1e-2,1e-4,1e-9"}),
        ("deep-skew", {"n": 3, "L": "14,40", "c": 0.37}),
        ("deep-window", {"L": "20000,300000", "c": "0.05,0.7,3"}),
        ("deep-window-rank-one", {"digits": 7, "rng": 3, "draws": 4}),
    ],
)
def test_other_parameters_hold_too(name, grids):
    some = thinned(CLAIMS[name], 6 if name.startswith("deep-margin") or name.startswith("deep-scheme") else 4)
    verdict = replace(some, controls=some.controls[:1]).verify(**grids)
    assert verdict.cases and all(outcome.verdict == SUPPORTED for outcome in verdict.cases), [
        o.case for o in verdict.cases if o.verdict != SUPPORTED
    ]


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_grids_that_leave_the_hypotheses_are_counted_not_raised(name):
    claim = CLAIMS[name]
    names = {key for case in claim.cases for key in case.to_dict()}
    for grids in ({"K": [2, 7]}, {"L": [1, 6]}, {"n": [3]}, {"lam": [0.3]}, {"d": [1]}):
        if next(iter(grids)) in names:
            inside, outside = claim.plan(grids)
            assert len(inside) + outside > 0


def test_the_command_line_runs_a_grid(capsys):
    assert main(["verify", "related:deep-pairs-stable", "--K", "6,8", "--L", "2", "--n", "1,2", "--jobs", "1"]) == 0
    assert "supported" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ the helpers


@pytest.mark.parametrize("roots", [(1, 2, 3), (-1, 2), (0.5, 0.5, 4), (-3, -2)])
def test_sturm_counts_distinct_roots_above_a_number(roots):
    P = [Fraction(1)]
    for r in roots:
        P = [a - Fraction(r) * b for a, b in zip([Fraction(0), *P], [*P, Fraction(0)], strict=True)]
    for x in (Fraction(-5, 2), Fraction(1, 10), Fraction(7, 2)):
        assert roots_above(sturm_chain(P), x) == len({r for r in roots if r > x})
    top = max(roots)
    if top > 0:
        assert largest_root_exceeds(sturm_chain(P), 1, Fraction(top) - Fraction(1, 100))
        assert not largest_root_exceeds(sturm_chain(P), 1, Fraction(top) + Fraction(1, 100))


@pytest.mark.parametrize("D", [2, 3, 4, 7, 12])
def test_thresholds_in_fractions_are_those_of_the_library(D):
    for y in (Fraction(1, 3), Fraction(7, 2)):
        assert float(deep_mse_law.spinodal_power(y, D)) ** (1 / D) == pytest.approx(spinodal(float(y), D), rel=1e-13)
        assert float(deep_mse_law.binodal_power(y, D)) ** (1 / D) == pytest.approx(binodal(float(y), D), rel=1e-13)


def test_the_double_root_is_seen_by_sturm():
    y, D = Fraction(1), 4  # D = 4: P = a^6 - y a^2 + N Lam has a double root at a^4 = 1/3, level (2/3) 3^(-1/2)
    level = Fraction(2, 3) * Fraction(3) ** -1
    assert roots_above(sturm_chain(mode_polynomial(y, level, D)), Fraction(0)) == 2
    assert roots_above(sturm_chain(mode_polynomial(y, Fraction(2, 5), D)), Fraction(0)) == 0


@pytest.mark.parametrize(
    "n, d, L, lam",
    [((4, 2, 1), 3, 2, 0.05), (2, 2, 3, 0.02), ((3, 1), 4, 1, 0.1), ((2, 2, 1), 2, 2, (0.1, 0.05, 0.02))],
)
def test_labelled_points_are_those_of_the_library(n, d, L, lam):
    problem = Problem(K=len(n) if isinstance(n, tuple) else 3, n=n, d=d, L=L, lam=lam, loss="mse")
    mine = sorted((round(p.fun(), 12), *p.signature()) for p in labelled_points(problem))
    families = sorted((round(f.fun, 12), f.index, f.nullity) for f in mse_families(problem) for _ in range(f.labelled))
    assert mine == families


def test_the_double_root_is_a_degenerate_point_and_the_gradient_quadratic_there():
    case = deep_error_bound.at_spinodal(2, 1, 3, 2)
    problem = case.problem()
    double = max(labelled_points(problem), key=lambda p: p.rank)
    assert np.all(double.double[double.s > 0]) and double.signature()[0] == 0
    assert dense_inertia(double.point(), 0, 1e-8) == double.signature()
    found = attempt(deep_error_bound.check, case).evidence
    slopes = [e.left for e in found if "weakest" in e.note and e.right[1] < 2]
    assert max(slopes) > 1.8 and min(slopes) < 1.1


def test_mean_one_weights_have_product_one():
    w = mean_one_weights(5, 3.0, generator(seed_sequence(0)))
    assert np.prod(w) == pytest.approx(1.0) and np.ptp(np.log(w)) > 1


def test_newton_points_are_critical_and_reproducible():
    problem = Problem(K=3, n=(2, 1, 1), L=2, lam=0.01)
    first, again = newton_points(problem, 8, 1, 2.0), newton_points(problem, 8, 1, 2.0)
    assert first and [p.s.tolist() for p in first] == [p.s.tolist() for p in again]
    assert all(Stratum(p).grad_norm < 1e-12 for p in first)


def test_inertia_counts_with_the_level():
    assert inertia([-2.0, -1e-9, 0.0, 1e-9, 3.0], 1e-8) == (1, 3)


def test_equal_weights_give_the_published_spectra():
    ce = Problem(K=5, n=2, d=6, L=3, lam=2e-3)
    a = dnc(ce).scales[0]
    mine = np.sort(np.repeat(*map(np.array, zip(*deep_spectra.ce_list(ce, a), strict=True)))) / ce.Lam
    gk = np.sort(np.repeat(*map(np.array, zip(*closed_form(5, 2, 6, 3, a), strict=True))))
    assert mine == pytest.approx(gk, abs=1e-10)
    mse = Problem(K=4, n=3, d=6, L=2, lam=5e-3, loss="mse")
    s, K, d, D, N, lam = float(dnc(mse).s[0]), 4, 6, 3, 12, 5e-3
    mu = s ** (2 - 2 / D) / N
    listed = [
        (2 * lam, (D - 1) * (K * (K + 1) // 2 + K * (d - K))),
        (D * mu - (D - 2) * lam, K * (K + 1) // 2),
        (D * (mu + lam), K * (K - 1) // 2),
    ]
    listed += [
        (0.0, (D - 1) * (K * (K - 1) // 2 + K * (d - K))),
        (lam + mu, K * (N - K)),
        (lam, (d - K) * (N - K) + (D - 2) * (d - K) ** 2),
    ]
    flat = np.sort(np.repeat(*map(np.array, zip(*deep_spectra.mse_list(mse, s), strict=True))))
    assert flat == pytest.approx(np.sort(np.repeat(*map(np.array, zip(*listed, strict=True)))), abs=1e-12)


@pytest.mark.parametrize("K, n, L", [(6, 2, 2), (8, 1, 5)])
def test_pairs_at_a_scale_are_the_structure(K, n, L):
    b = 1.3 * deep_stability.pairs_threshold(K, L)
    point = deep_stability.pairs_at(K, n, L, b)
    same = pairs(point.problem)
    assert same.s == pytest.approx(point.s, rel=1e-10) and value(same) == pytest.approx(value(point), rel=1e-12)
    assert classify(point).index == 0


@pytest.mark.parametrize("L", [2, 3, 5, 11, 40])
def test_fold_and_threshold_of_four_classes_agree_and_of_six_do_not(L):
    assert deep_stability.pairs_fold(4, L) == pytest.approx(deep_stability.pairs_threshold(4, L), abs=1e-12)
    assert deep_stability.pairs_fold(6, L) < 0.99 * deep_stability.pairs_threshold(6, L)


def test_binary_codes_are_bits_and_paley_is_hadamard():
    M, rank = deep_margin_codes.code(16, "binary")
    assert rank == 4 and np.linalg.matrix_rank(M) == 4 and deep_margin_codes.least_margin(M) == pytest.approx(1.0)
    H = deep_schemes.paley()
    assert np.array_equal(H.T @ H, 12 * np.eye(12))


def test_the_ray_minimum_is_that_of_collapse():
    for lam, L in itertools.product((1e-2, 1e-6, 1e-12), (1, 2, 4)):
        problem = Problem(K=5, L=L, lam=lam)
        M, _ = deep_margin_codes.code(5, "dnc")
        fun, a = deep_margin_codes.ray_minimum(M, 4.0, L + 1, lam)
        assert fun == pytest.approx(value(dnc(problem)), rel=1e-10) and a == pytest.approx(
            dnc(problem).scales[0], rel=1e-4
        )


def test_zero_has_the_index_of_the_gradient_there():
    problem = Problem(K=3, n=(5, 2, 1), d=4, L=1, lam=0.1)
    found = classify(zero(problem))
    (e,) = attempt(deep_apriori.check_zero, Case(K=3, n=(5, 2, 1), d=4, L=1, lam=0.1, loss="ce", rng=0)).evidence
    assert e.left == found.index and e.right == found.index


def test_the_rank_one_ladder_orders_the_largest_classes_outermost():
    assert deep_window.order_of_sizes((1, 5, 3, 2)) == [5, 2, 1, 3]
    sizes = (7, 4, 2, 1, 1)
    best = deep_window.least_fits(sizes)[1]
    every = (
        sum(n * math.log(1 + min(j, 4 - j)) for j, n in enumerate(order)) / 15
        for order in itertools.permutations(sizes)
    )
    assert best == pytest.approx(min(every), abs=1e-14)


def test_rank_one_has_a_phase_up_to_nineteen_balanced_classes():
    assert [K for K in range(3, 60) if 2 * deep_window.least_fits((1,) * K)[1] < math.log(K)] == list(range(3, 20))


@pytest.mark.parametrize("n, c, L", [((1, 1, 1), 0.5, 40), ((2, 2, 2, 2), 0.2, 60), ((3, 1, 1), 0.9, 30)])
def test_the_lower_bound_is_below_what_the_library_knows(n, c, L):
    problem = Problem(K=len(n), n=n, L=L, lam=2 * c / (L + 1))
    low = deep_window.lower_bound(n, c, L)
    assert low <= value(zero(problem)) and low <= min(deep_window.best_found(n, c, L).values())
    for name, point in existing(problem)[0].items():
        assert low <= value(point), name


def test_a_ladder_costs_what_the_library_says():
    n, c, L, M = (2, 2, 2, 2), 0.4, 50, 30.0
    fit, s = deep_window.rank_one(n, M)
    steps = deep_window.gaps(4, M)
    u = np.concatenate([[0.0], np.cumsum(steps)])
    u -= u.mean()
    v = np.zeros(4)
    for j in range(4):
        lower = j < 2
        v[j] = (-1 if lower else 1) * math.log(M) / (steps[j] if lower else steps[j - 1]) * (2 if j in (0, 3) else 1)
    problem = Problem(K=4, n=2, L=L, lam=2 * c / (L + 1))
    assert value(from_matrix(problem, np.outer(u, v), rank=1)) == pytest.approx(fit + c * s ** (2 / (L + 1)), rel=1e-12)
