"""Proposition 1, Theorems 1 to 3 with their converses, A1 to A3, q_K and the counterexample to dang23: right, wrong
when falsified, at other parameters too."""

import math
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from theory.claim import REFUTED, SUPPORTED, Case, Claim, Evidence
from theory.gk25 import a1, a2, a3, dang, prop1, qk, thm1, thm1_converse, thm2, thm3i, thm3ii
from theory.gk25.lowest import code, lowest, ray_minimum, spread_counts, step_counts, superiority
from theory.registry import claims
from ufm.objectives.logits import value
from ufm.points import from_matrix
from ufm.problem import Problem
from ufm.structures import dnc, pairs, pairs_apex

MODULES = (prop1, thm1, thm1_converse, thm2, thm3i, thm3ii, qk, a1, a2, a3, dang)
CLAIMS = {c.id: c for m in MODULES for c in (*getattr(m, "CLAIMS", ()), getattr(m, "CLAIM", None)) if c}


def some(claim: Claim, most: int = 4) -> Claim:
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, len(claim.cases) // most)])


def flipped(claim: Claim) -> Claim:
    """The claim with the relation of every evidence turned round, with one control, since controls decide nothing
    there."""
    turn = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}

    def check(case):
        found = claim.check(case)
        for e in [found] if isinstance(found, Evidence) else found:
            if e.relation in turn:
                yield Evidence(e.left, turn[e.relation], e.right, e.tol, e.strength, margin=-e.margin)
            else:
                yield e

    return replace(claim, check=check, controls=claim.controls[:1])


def test_all_claims_of_this_part_are_registered():
    """Whether the registry is in order, test_theory.py asks of all of it."""
    assert set(CLAIMS) <= {c.id for c in claims()}


@pytest.mark.parametrize(
    "name", [name for name in sorted(CLAIMS) if name not in ("gk25:dang", "gk25:thm1", "gk25:thm1-k3")]
)
def test_each_claim_turned_round_is_refuted(name):
    assert flipped(some(CLAIMS[name], 2)).verify().verdict == REFUTED


@pytest.mark.quick(8)
@pytest.mark.parametrize(
    "name, grids",
    [
        pytest.param("prop1", {"K": "5,12", "L": "4", "lam": "1e-6,2e-3"}, marks=pytest.mark.slow),
        ("thm1-orders", {"K": "7,30", "n": 3, "lam": "0.02,1e-13"}),
        ("thm1-all", {"K": "4:20:4", "L": "2:5"}),
        ("thm1-k4", {"n": "1,10", "lam": "1e-5,0.01,0.05"}),
        pytest.param("thm1-k5", {"n": 10, "lam": "1e-5,0.05"}, marks=pytest.mark.slow),
        ("thm1-k3", {"L": "2", "lam": "5e-2", "n": 2}),
        ("thm1-k3-rank-one", {"L": 5, "n": 3, "share": 0.3}),
        ("thm2", {"rng": 7, "L": "25,300", "lam": "1e-12,0.3"}),
        ("a1", {"R": "1,30", "L": 100, "lam": 1e-3}),
        ("thm3i", {"K": "5,20", "alpha": "0.3,0.8", "L": 5000}),
        ("a2i", {"K": 5, "L": 3000}),
        ("thm3ii", {"K": "5,7", "L": 9, "alpha": "1.5"}),
        ("a2ii", {"K": "3,5", "L": 8, "R": "1,30"}),
        ("a3", {"K": 5, "R": "1.5,20", "rho": 0.3, "lam": 1e-3, "n": 1}),
        ("qk", {"K": "2:30"}),
        ("dang-corrected", {"K": "4,8", "L": "1:4", "lam": "1e-4"}),
    ],
)
def test_the_claims_hold_at_other_parameters(name, grids):
    verdict = CLAIMS["gk25:" + name].verify(**grids)
    assert verdict.cases and verdict.verdict == SUPPORTED, verdict


def test_the_published_claim_of_dang23_falls_to_the_stated_counterexample():
    published = CLAIMS["gk25:dang"]
    verdict = replace(published, cases=published.cases[:9]).verify()  # those before it, and itself
    assert verdict.counterexample.case == dang.COUNTEREXAMPLE
    assert verdict.verdict == REFUTED and verdict.broken
    (e,) = verdict.counterexample.evidence
    assert round(e.left, 6) == 0.034437 and round(e.right, 6) == 0.031728 and "rank 2" in e.note


def test_a_simplex_frame_with_any_bias_costs_no_less_than_with_none():
    problem = dang.COUNTEREXAMPLE.problem()
    best, draw = dnc(problem), np.random.default_rng(0)
    for _ in range(5):
        assert value(replace(best, b=0.1 * draw.standard_normal(4))) > value(best)


@pytest.mark.parametrize("n", [1, 3])
def test_the_crossings_of_theorem_1s_converses_are_crossings(n):
    for K, rival, crossing in ((4, pairs, thm1_converse.PAIRS_AT_4), (5, pairs_apex, thm1_converse.APEX_AT_5)):
        gaps = []
        for ratio in (0.999, 1.001):
            problem = Problem(K=K, n=n, L=2, lam=ratio * crossing / n ** (1 / 3))
            gaps.append(value(rival(problem)) - value(dnc(problem)))
        assert gaps[0] > 0 > gaps[1]


def test_the_rank_one_window_at_three_classes():
    assert np.allclose(thm1_converse.rank_one_window(3), (0.1319771434, 0.1655715715), atol=1e-9)


def test_a_ray_minimum_is_the_scale_of_the_closed_form():
    for K, n, L, lam in [(4, 1, 3, 1e-3), (6, 3, 2, 1e-4), (5, 2, 1, 0.01)]:
        problem = Problem(K=K, n=n, L=L, lam=lam)
        point = dnc(problem)
        Z = (np.eye(K) - 1 / K)[:, problem.labels]
        assert np.allclose(ray_minimum(problem, 7.0 * Z, K - 1), (value(point), point.scales[0] / 7.0), rtol=1e-6)
    assert ray_minimum(Problem(K=3, L=4, lam=5.0), np.eye(3) - 1 / 3, 2) == (pytest.approx(math.log(3)), 0.0)


def test_a_ray_minimum_equals_the_objective_where_counts_differ():
    problem = Problem(K=4, n=(5, 3, 2, 1), L=3, lam=1e-3)
    X = code(4, 2, np.random.default_rng(1))
    Z = (X.T @ X)[:, problem.labels]
    fun, a = ray_minimum(problem, Z, 2)
    assert a > 0 and np.isclose(value(from_matrix(problem, a * Z, rank=2)), fun, rtol=1e-12)
    assert all(value(from_matrix(problem, t * a * Z, rank=2)) > fun for t in (0.99, 1.01))


def test_the_depth_of_theorem_2_is_the_last_at_which_its_inequality_fails():
    for case in thm2.CLAIM.cases[::17]:
        X, M = thm2.shapes(case)
        labels, L_0 = thm2.problem_of(case).labels, thm2.last_depth(case)
        c = thm2.stretch(X, M, labels)
        s, t = np.linalg.svd(X, compute_uv=False)[: case.p], np.linalg.svd(M, compute_uv=False)[: case.q]
        sums = [
            (np.sum((c * t) ** (2 / (L + 1))), np.sum(s ** (2 / (L + 1)))) for L in (L_0, L_0 + 1, 2 * L_0 + 5) if L
        ]
        assert all(m < x for m, x in sums[-2:]) and (not L_0 or sums[0][0] >= sums[0][1])
        assert superiority(M, labels) > 0 and np.linalg.matrix_rank(M) == case.q and np.linalg.matrix_rank(X) == case.p


def test_the_margins_of_theorem_2s_stretched_code_dominate():
    case = thm2.CLAIM.cases[40]
    X, M = thm2.shapes(case)
    labels = thm2.problem_of(case).labels
    c, columns = thm2.stretch(X, M, labels), np.arange(len(labels))
    margins = [A[labels, columns] - A for A in (X, c * M)]
    assert np.all(margins[0] <= margins[1] + 1e-12)
    assert not np.all(margins[0] <= 0.99 * margins[1] + 1e-12)


def test_the_depth_of_theorem_3i_is_where_the_bound_falls_below_the_rate():
    for K, c, alpha, rate in [(4, 0.3, 0.0, 0.5), (10, 1.0, 0.5, 0.2), (3, 0.1, 0.9, 0.05)]:
        case = Case(K=K, n=1, L=2, c=c, alpha=alpha, rate=rate, rng=0)
        L = thm3i.last_depth(case)
        for later in (L + 1, 2 * L, 100 * L + 7):
            bound = 0.5 * (later + 1) * math.log(2 * math.log(K) / ((later + 1) * c * float(later) ** -alpha))
            assert (
                bound <= -rate * later
            )  # log of (2 log K / (D lam))^(D/2), the largest s of a point that costs no more than zero
    assert thm3i.last_depth(Case(K=4, c=0.3, alpha=1.0, rate=0.1)) == math.inf


def test_zero_is_the_minimum_where_the_a_priori_bound_says_so():
    for K, L in [(2, 1), (3, 4), (6, 9)]:
        problem = Problem(K=K, L=L, lam=2 * math.log(K) / (L + 1))
        assert lowest(problem).rank == 0


def test_exact_rank_and_superiority():
    M = qk.product(*qk.construction(7, 2))
    assert qk.rank(M) == 2 and qk.superior_columns(M) == 7 and all(M[c][c] == 1 for c in range(7))
    assert qk.rank([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]]) == 1 and qk.rank([[Fraction(0)]]) == 0
    assert qk.superior_columns([[1, 1], [1, 1]]) == 0  # a tie is no strict maximum
    assert [qk.most_at_rank_one(K, 0) for K in (2, 3, 5, 12)] == [2, 2, 2, 2]


def test_class_sizes():
    assert spread_counts(4, 3, 1) == 3 and spread_counts(4, 2, 3.0) == (6, 5, 3, 2)
    assert step_counts(4, 2, 5.0, 0.5) == (10, 10, 2, 2) and step_counts(5, 1, 3, 0.0) == (1,) * 5


def test_the_claims_stand_without_ball_arithmetic(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    for name in (
        "gk25:thm1-orders",
        "gk25:thm1-k4-intervals",
        "gk25:thm1-k3-rank-one",
        "gk25:dang-corrected",
        "gk25:thm1-all",
    ):
        verdict = some(CLAIMS[name], 2).verify()
        assert verdict.verdict == SUPPORTED, verdict
        assert name == "gk25:thm1-all" or verdict.strength in ("sampled", "float")
