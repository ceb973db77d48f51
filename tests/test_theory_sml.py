"""sml23 and sml24: two classes collapse, more do not; the claims hold, at other parameters too, and fail when
falsified."""

import importlib
import itertools
import math
import pkgutil
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import theory.sml23
import theory.sml24
from theory.claim import REFUTED, SUPPORTED, Case
from theory.registry import audit, claims
from theory.sml23 import lemma, starts, threshold, twin
from theory.sml24 import chains, collapsed, degenerate, rho, sharper, suboptimal
from ufm.numerics.graphs import complete, complete_multipartite
from ufm.objectives.clarke import clarke
from ufm.objectives.factors import objective_of
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse

FOUND = {c.id: c for c in claims(["sml23", "sml24"])}
QUICK = sorted(name for name, claim in FOUND.items() if claim.pace == "quick")


def relu(K, **more):
    return Problem(K=K, loss="mse", activation="relu", **more)


def some(claim, most=8):
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, len(claim.cases) // most)])


# ---------------------------------------------------------------------------------------------------------- the claims


def test_every_module_of_claims_is_registered_and_sound():
    modules = [
        importlib.import_module(f"{home.__name__}.{m.name}")
        for home in (theory.sml23, theory.sml24)
        for m in pkgutil.iter_modules(home.__path__)
    ]
    defined = [c.id for m in modules for c in (*getattr(m, "CLAIMS", ()), *([m.CLAIM] if hasattr(m, "CLAIM") else []))]
    assert sorted(defined) == sorted(FOUND)
    audit(claims(["sml23", "sml24"]))


@pytest.mark.parametrize("name", QUICK)
def test_each_claim_is_supported_and_every_control_breaks_it(name):
    verdict = some(FOUND[name], 2 if name == "sml24:two-layers" else 8).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert [c.case for c in verdict.controls if c.verdict != REFUTED] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FOUND))
def test_each_claim_in_full(name):
    assert FOUND[name].verify().verdict == SUPPORTED


def test_the_strengths_are_those_promised():
    assert FOUND["sml23:lemma"].verify().strength == "exact"
    assert FOUND["sml24:rho"].verify().strength == "exact"
    assert some(FOUND["sml23:value"]).verify().strength == "float"
    assert some(FOUND["sml24:two-layers"], 2).verify().strength == "sampled"


@pytest.mark.parametrize(
    "name, grids",
    [
        ("sml23:lemma", {"rows": "2,7", "size": "2,1000", "rng": "3"}),
        ("sml23:twin", {"L": "2,7", "d": "2,8", "n": "2", "lam": "1e-5,3", "rng": "4"}),
        ("sml23:value", {"L": "1:9:4", "lam": "1e-6,0.1,2", "n": "5", "d": "4", "rng": "2"}),
        pytest.param(
            "sml23:threshold",
            {"L": "4,6", "n": "2", "d": "5", "times": "0.95,1.05", "rng": "1"},
            marks=pytest.mark.slow,
        ),
        ("sml23:threshold", {"L": "3", "n": "1", "d": "5", "times": "0.5", "spread": "0.0", "rng": "59"}),
        ("sml23:tie", {"K": "2,7", "L": "2:11:3", "d": "9", "n": "3", "rng": "1"}),
        ("sml24:rho", {"r": "4:61:19", "L": "3:9"}),
        ("sml24:suboptimal", {"K": "6:22:8", "L": "3:5", "n": "3", "lam": "5e-4"}),
        ("sml24:sharper", {"K": "3:12:3", "L": "3:6", "d": "15", "n": "1", "lam": "2e-4"}),
        ("sml24:sharper", {"K": "7,15", "L": "3", "d": "20", "n": "2", "lam": "3e-5"}),
        ("sml24:rook", {"K": "9,14", "n": "2", "d": "15", "lam": "1e-3"}),
        ("sml24:rate", {"r": "14", "L": "4:9:5", "kappa": "0.002"}),
        ("sml24:collapsed", {"K": "2,4", "L": "2", "d": "5", "n": "3", "lam": "0.01", "rng": "6"}),
        ("sml24:scaling", {"K": "4", "L": "3", "d": "4", "n": "6", "lam": "0.2", "rng": "8"}),
        ("sml24:degenerate", {"K": "2,6", "L": "2,4", "d": "7", "n": "2", "lam": "5e-3", "rng": "3"}),
        pytest.param("sml24:stationary", {"r": "4,5", "L": "3:5", "lam": "3e-4", "n": "2"}, marks=pytest.mark.slow),
        ("sml24:two-layers", {"K": "3", "d": "5", "lam": "0.02,0.2", "rng": "7"}),
    ],
)
def test_the_claims_hold_at_other_parameters(name, grids):
    verdict = FOUND[name].verify(**grids)
    assert verdict.cases and verdict.verdict == SUPPORTED, verdict


# --------------------------------------------------------------------------------------------------------- two classes


def test_the_lemma_decides_as_singular_values_do():
    draw = np.random.default_rng(0)
    for _ in range(300):
        A, B = draw.integers(-4, 5, (2, 4, 2))
        by_svd = lemma.nuclear(B) - lemma.nuclear(A)
        if abs(by_svd) > 1e-9:
            assert lemma.raised(A.astype(object)[None], B.astype(object)[None]) == (by_svd > 0)
    pair = np.array([[1, -1], [-1, 1]], dtype=object)[None]
    assert lemma.raised(pair, np.maximum(pair, 0)) == 0 and lemma.nuclear(pair[0]) == pytest.approx(
        lemma.nuclear(np.eye(2))
    )


def test_all_small_two_column_matrices_obey_the_lemma_and_three_columns_do_not():
    rows = np.array(list(itertools.product(range(-2, 3), repeat=2)), dtype=object)
    chosen = np.array(list(itertools.combinations_with_replacement(range(len(rows)), 3)))
    A = rows[chosen]
    assert lemma.raised(A, np.maximum(A, 0)) == 0 and len(A) == 2925
    assert lemma.raised(np.maximum(A, 0), A) > 1000
    assert lemma.nuclear(np.maximum(lemma.THREE, 0)) > 1.04 * lemma.nuclear(lemma.THREE)


@pytest.mark.parametrize("n, d, L", [(1, 2, 2), (3, 4, 3), ((1, 5), 3, 5), (2, (3, 2, 4), 3)])
def test_a_twin_is_linear_cheaper_and_has_the_logits(n, d, L):
    problem, draw = relu(2, n=n, d=d, L=L, lam=tuple(np.geomspace(0.05, 0.5, L + 1))), np.random.default_rng(1)
    for _ in range(10):
        point = twin.random_point(problem, draw)
        other, kept = twin.twin(point), twin.representatives(point)
        assert other.problem.linear and [A.shape for A in other.factors] == problem.shapes()
        assert np.allclose(other.logits()[:, kept], point.logits()[:, kept], atol=1e-9)
        assert twin.value(other) <= twin.value(point) * (1 + 1e-12)


def test_a_twin_of_pairs_costs_the_same():
    pairs, problem = np.array([[1.0, -1.0], [-1.0, 1.0]]), relu(2, d=2, L=2, lam=0.01)
    U, s, Vt = np.linalg.svd(pairs)
    point = FactorPoint(problem, (np.sqrt(s)[:, None] * Vt, U * np.sqrt(s), np.eye(2)))
    assert twin.value(twin.twin(point)) == pytest.approx(twin.value(point), rel=1e-12)


def test_the_threshold_is_where_the_closed_form_crosses_one_half():
    for L in (2, 3, 4, 9):
        for times, sign in ((0.999, -1), (1.001, 1)):
            kappa = 2 * math.exp((math.log(times) + threshold.log_threshold(2, L)) / (L + 1))
            z = np.linspace(0.2, 1, 200_001)
            branch = np.min((1 - z) ** 2 / 2 + (L + 1) / 2 * kappa * z ** (2 / (L + 1)))
            assert sign * (branch - 0.5) > 0
            assert (relu_collapse.f(kappa, L) < 0.5) == (times < 1)


def test_no_start_ends_below_the_proved_minimum_and_a_false_one_would_be_seen():
    problem = relu(2, n=2, d=4, L=3, lam=0.05)
    value = threshold.predicted(problem)
    fun, point = starts.lowest(problem, 6, 0)
    assert value - 1e-9 <= fun <= value + 1e-5 and threshold.orthogonality(point) < 0.05
    assert fun < value * 1.01


def test_orthogonality_is_zero_at_collapse_and_large_elsewhere():
    problem = relu(3, n=2, d=4, L=3, lam=1e-3)
    assert threshold.orthogonality(relu_collapse.relu_dnc(problem)) < 1e-12
    assert threshold.orthogonality(twin.random_point(problem, np.random.default_rng(0))) > 0.1


# -------------------------------------------------------------------------------------------------------- more classes


@pytest.mark.parametrize("r", [4, 5, 6, 9])
@pytest.mark.parametrize("L", [3, 4, 7])
@pytest.mark.parametrize("variant", ["disjoint", "identity"])
def test_exact_rho_is_that_of_the_matrices(r, L, variant):
    assert rho.number(*rho.power(r, L, variant), L) == pytest.approx(
        graph_codes.rho(complete(r), L, variant), rel=1e-12
    )


def test_the_polynomial_is_the_gap_with_a_larger_root():
    for L, r in itertools.product((3, 4, 6), (4, 5, 8, 20)):
        a, b, q = rho.power(r, L)
        K, value = r * (r - 1) // 2, sum(c * r**i for i, c in enumerate(rho.gap(L)))
        exact = (1 - float(a) - float(b) * q**0.5) * K**L * (r - 2) ** 2 * (r - 3) ** 2
        assert float(value) <= exact * (1 + 1e-9) and (float(value) - exact) / exact > -0.3 if exact > 0 else value < 0
    assert rho.shifted([1, 2, 3], 2) == [Fraction(17), Fraction(14), Fraction(3)]


def test_the_sign_test_for_roots_is_right_on_both_sides():
    assert rho.below_one(Fraction(1, 4), Fraction(1, 2), 2).verdict == SUPPORTED  # 0.957
    assert rho.below_one(Fraction(3, 10), Fraction(1, 2), 2).verdict == REFUTED  # 1.007
    assert rho.below_one(Fraction(5, 4), Fraction(0), 2).verdict == REFUTED


@pytest.mark.parametrize("L", [4, 5, 9])
def test_three_classes_by_hand(L):
    factors = sharper.three_chain(L)
    features = factors[0]
    for W in factors[1:-1]:
        features = np.maximum(W @ features, 0.0)
    assert np.allclose(factors[-1] @ features, np.eye(3), atol=1e-10)
    assert max(A.shape[0] for A in factors) == 3
    assert chains.rho(factors) ** (L + 1) == pytest.approx(float(sharper.three_power(L)), rel=1e-12)
    assert sharper.three_power(L) == sharper.three_power(4) * Fraction(2, 3) ** (L - 4)


def test_the_scale_of_the_three_class_code_is_near_its_best():
    def power(a2, s):
        return (1 + math.sqrt(1 + 2 * a2)) ** 2 * 2 * (4 + 2 * s) * ((1 + 2 * s) / (4 * a2 * s) + 2) / 3**5

    best = min(power(a2, s) for a2 in np.linspace(0.5, 1.2, 71) for s in np.linspace(0.3, 0.8, 51))
    assert float(sharper.three_power(4)) == pytest.approx(power(0.78, 0.5), rel=1e-12)
    assert float(sharper.three_power(4)) <= 1.002 * best < 1


def test_seven_classes_by_hand():
    H, W1, W2, W3 = sharper.seven_chain()
    A = np.array(sharper.SEVEN, dtype=float)
    assert np.allclose(W1 @ H, A) and np.linalg.matrix_rank(W2 @ A) == 4
    assert np.allclose(W3 @ np.maximum(W2 @ A, 0.0), np.eye(7), atol=1e-10)
    exact = 2 * math.sqrt(549) + math.sqrt(2056 + 2 * math.sqrt(878400))
    assert np.sum(np.linalg.svd(A, compute_uv=False)) == pytest.approx(exact, rel=1e-13)
    assert 0 < float(sharper.seven_power()) - chains.rho([H, W1, W2, W3]) ** 4 < 1e-7
    assert 0.941 < float(sharper.seven_power()) < 0.942


def test_fractions_of_the_proof_are_right():
    M = [[2, 1, 0], [0, 3, 1], [1, 0, 5]]
    assert np.allclose(np.array(sharper.inverted(M), dtype=float), np.linalg.inv(np.array(M, dtype=float)), atol=1e-15)
    with pytest.raises(ValueError, match="invertible"):
        sharper.inverted([[1, 2], [2, 4]])
    for x in (Fraction(2), Fraction(549), Fraction(1, 3), Fraction(4)):
        root = sharper.root_above(x)
        assert root**2 >= x and (root - Fraction(2, 10**8)) ** 2 <= x


@pytest.mark.parametrize("K, n, L, lam", [(5, 1, 4, 1e-3), (7, 3, 5, 4e-3), (12, 2, 4, 2e-3)])
def test_chains_cost_what_the_formula_says(K, n, L, lam):
    problem = relu(K, n=n, d=K + 1, L=L, lam=tuple(lam * np.linspace(0.5, 2, L + 1)))
    codes = [sharper.three_chain(L)] + ([chains.graph_chain(complete_multipartite(3, 3), L)] if K >= 12 else [])
    point = chains.point(problem, codes)
    objective, x = objective_of(point)
    assert float(objective.value(x)) == pytest.approx(chains.loss(problem, codes), rel=1e-12)
    assert chains.loss(problem, codes) < chains.best_collapsed(problem)
    parts = [
        lam * np.sum(A**2)
        for lam, A in zip(problem.lams, chains.point(problem, [sharper.three_chain(L)]).factors, strict=True)
    ]
    assert max(parts) / min(parts) == pytest.approx(1, rel=1e-9)
    worse = FactorPoint(problem, (1.05 * point.factors[0], *point.factors[1:]))
    assert float(objective.value(objective.pack(worse.factors))) > chains.loss(problem, codes) * (1 + 1e-6)


def test_a_graph_that_cannot_be_read_out_is_refused():
    with pytest.raises(ValueError, match="disjoint edges"):
        chains.graph_chain(complete(3), 3)


def test_beyond_the_window_zero_is_better_than_the_code():
    K, L = 10, 4
    for share, below in ((0.999, True), (1.001, False)):
        problem = relu(K, d=10, L=L, lam=suboptimal.lam_at(K, 1, L, share))
        assert chains.best_collapsed(problem) == 0.5
        assert (chains.loss(problem, [chains.graph_chain(complete(5), L)]) < 0.5) == below


def test_taking_the_cheapest_sample_never_costs_more_than_any():
    draw = np.random.default_rng(3)
    for _ in range(40):
        point = twin.random_point(relu(3, n=3, d=4, L=3, lam=1e-3), draw)
        before = collapsed.value(point)
        assert collapsed.value(collapsed.collapse_of(point)) <= before
        assert collapsed.within(collapsed.collapse_of(point)) < 1e-15 < collapsed.within(point)
        H, rest = point.factors[0], point.factors[1:]
        costs = [
            collapsed.value(FactorPoint(point.problem, (np.repeat(H[:, i::3], 3, axis=1), *rest))) for i in range(3)
        ]
        assert np.mean(costs) == pytest.approx(before, rel=1e-12) and max(costs) > before
        assert collapsed.value(collapsed.collapse_of(point)) <= min(costs) * (1 + 1e-12)


@pytest.mark.parametrize("kind", degenerate.KINDS)
def test_second_layers_are_stationary_too_and_agree_with_the_structure(kind):
    problem = relu(4, n=2, d=5, L=3, lam=0.01)
    C = degenerate.correlations(kind, 4, 0)
    point = degenerate.point_of(problem, C)
    assert clarke(point, 1e-7).relative < 1e-6
    theirs = relu_collapse.relu_dnc(problem, second=C)
    assert np.allclose(point.factors[1] @ point.factors[0], theirs.factors[1] @ theirs.factors[0], atol=1e-10)


def test_a_case_of_the_command_line_runs_with_its_lam_and_a_wrong_one_is_told():
    claim = FOUND["sml24:suboptimal"]
    assert claim.violated(Case(K=6, n=1, d=8, L=3, lam=1e-3, tilt=0.0))
    assert claim.violated(Case(K=10, n=1, d=9, L=4, lam=1e-3, tilt=0.0))
    assert claim.violated(Case(K=10, n=1, d=10, L=4, lam=1.0, tilt=0.0)) == ("rho kappa < tau_L",)
    stationary = FOUND["sml24:stationary"].cases[0]
    assert FOUND["sml24:stationary"].violated(stationary.but(r=6, d=14)) == ("d >= K",)
    assert "in the list" in FOUND["sml24:stationary"].violated(stationary.but(r=3))
    assert FOUND["sml23:tie"].violated(FOUND["sml23:tie"].cases[0].but(K=1))[-1:] == ("K >= 2",)
    with pytest.raises(ValueError, match="no parameter width"):
        claim.verify(width="3")
