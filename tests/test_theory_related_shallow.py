"""The plain model's claims: supported at their own and at other parameters, broken by their controls, refuted when
falsified."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest

from theory.claim import REFUTED, SUPPORTED, Case, Evidence, Outcome
from theory.registry import claims
from theory.related import (
    dang24,
    fang21,
    focal,
    hong_ling,
    ji22,
    label_smoothing,
    seli,
    shallow,
    sphere,
    zhou22a,
    zhu21,
)
from ufm.problem import Problem
from ufm.structures import dnc

NAMES = (
    "zhu21",
    "zhou22a",
    "label_smoothing",
    "focal",
    "seli",
    "ji22",
    "hong_ling",
    "dang24",
    "fang21",
    "regression",
    "sphere",
)
MODULES = [importlib.import_module(f"theory.related.{name}") for name in NAMES]
FOUND = [c for m in MODULES for c in (*getattr(m, "CLAIMS", ()), getattr(m, "CLAIM", None)) if c]
CLAIMS = {c.id.split(":")[1]: c for c in FOUND}
LONG = ("hong-two-clusters", "hong-vanishing", "dang24-deaths", "zhu21-threshold", "zhou22b-threshold", "ji22-flow")
"""Claims about thresholds, where descents are slow, and flows; run with the slow tests, the thresholds themselves being
tested in test_sel.py."""
LONG_ELSEWHERE = (
    "zhu21-minimum",
    "zhu21-benign",
    "seli-signs",
    "zhou22b-focal",
    "zhou22b-label-smoothing",
    "fang21-minority",
    "hong-merging",
)
"""Claims whose other parameters are left to the slow tests."""


def some(claim, most=4):
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, math.ceil(len(claim.cases) / most))])


def test_the_claims_are_registered_and_in_order():
    assert {c.id for c in FOUND} <= {c.id for c in claims(["related"])} and len(CLAIMS) == len(FOUND) == 26
    for claim in FOUND:
        claim.validate()
        assert set(claim.uses) <= {c.id for c in FOUND}


def paced(name, *rest):
    return pytest.param(
        name, *rest, id=name, marks=[pytest.mark.slow] if name in LONG or (rest and name in LONG_ELSEWHERE) else []
    )


@pytest.mark.parametrize("name", [paced(name) for name in sorted(CLAIMS)])
def test_each_claim_is_supported_and_every_control_breaks_it(name):
    verdict = some(CLAIMS[name], 3).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert [c.case for c in verdict.controls if c.verdict != REFUTED] == []


GRIDS = [
    ("zhu21-minimum", {"K": "4,7", "n": "3", "lam": "1e-6", "spread": "7.0", "bias": "0.7", "more": "1", "rng": "5"}),
    ("zhu21-benign", {"K": "3,5", "n": "4", "lam": "5e-3", "more": "1", "rng": "4", "starts": "3"}),
    (
        "zhou22a-bias",
        {"K": "3,6", "n": "3", "lam": "0.01,0.05", "bias": "0.02,2.0", "more": "0", "spread": "2.0", "rng": "3"},
    ),
    ("zhou22a-threshold", {"K": "3,8", "n": "2", "lam": "0.03", "more": "1", "rng": "2", "spread": "1.0"}),
    (
        "zhou22b-label-smoothing",
        {"K": "3,8", "n": "2", "lam": "0.02", "delta": "0.02,0.3", "more": "1", "spread": "1.5", "bias": "0.2"},
    ),
    (
        "zhou22b-focal",
        {
            "K": "4,6",
            "n": "2",
            "lam": "0.02,1e-3",
            "gamma": "1.5",
            "more": "1",
            "spread": "1.0",
            "rng": "7",
            "starts": "3",
        },
    ),
    ("focal-minima", {"K": "26", "n": "3", "gamma": "4.0", "share": "0.4", "left_out": "false"}),
    ("seli-margin", {"K": "3,5", "R": "5.0,300.0", "rng": "9"}),
    ("seli-signs", {"K": "4,12", "R": "7.0,1e5", "L": "1,3,20", "rng": "4"}),
    ("seli-path", {"K": "3,6", "R": "4.0,50.0", "rng": "8"}),
    ("seli-path", {"K": "7", "R": "100.0,200.0", "rng": "48,74"}),
    ("ji22-flow", {"n": [(5, 2, 1)], "rng": "6", "more": "0"}),
    ("seli-step", {"K": "5,9", "majority": "2,3", "R": "0.3,17.0"}),
    ("hong-two-clusters", {"kA": "2", "nA": "40", "kB": "3", "nB": "5", "bias": "0.05", "more": "1", "spread": "2.0"}),
    ("hong-merging", {"n": [(30, 6, 6, 2, 2)], "bias": "0.2", "rng": "3"}),
    ("hong-vanishing", {"n": [(12, 7, 3)], "bias": "0.2", "rng": "3"}),
    ("hong-within", {"n": [(7, 3, 2)], "lam": "4e-3", "bias": "0.4", "more": "1", "rng": "3"}),
    ("dang24-minimum", {"n": [(15, 6, 2, 1)], "lam": "8e-3,0.03", "more": "0,1", "spread": "1.5", "rng": "2"}),
    ("dang24-deaths", {"n": [(12, 4, 1)], "rng": "2"}),
    ("fang21-balanced", {"K": "4", "d": "3,9", "E_W": "3.0", "E_H": "0.7", "rng": "2"}),
    ("fang21-minority", {"kA": "2", "kB": "2", "R": "30.0", "d": "9", "rng": "2"}),
    ("andriopoulos24", {"K": "3,6", "M": "25", "d": "4", "lam_H": "0.05", "lam_W": "0.1", "rng": "6"}),
    ("sphere-simplex", {"K": "4,7", "d": "8", "tau": "2.5", "rng": "5"}),
    ("jiang24-codes", {"K": "6,7", "d": "2,4", "rng": "5", "starts": "2"}),
]


@pytest.mark.parametrize("name, grids", [paced(*row) for row in GRIDS])
def test_the_claims_hold_at_other_parameters(name, grids):
    verdict = some(CLAIMS[name], 1000).verify(**grids)
    assert verdict.cases and verdict.verdict == SUPPORTED, verdict


@pytest.mark.parametrize(
    "name",
    [
        "zhu21-minimum",
        "zhou22a-bias",
        "zhou22b-label-smoothing",
        "seli-signs",
        "seli-step",
        "dang24-minimum",
        "andriopoulos24",
    ],
)
def test_each_closed_form_moved_a_little_is_refuted(name):
    claim = some(CLAIMS[name], 2)

    def check(case):
        for e in claim.check(case):
            moved = e.right - 1e-3 if e.relation in ("<", "<=") else e.right
            yield (
                Evidence(e.left + 1e-3, e.relation, moved, max(e.tol, 0.0), "float")
                if e.relation == "=="
                else Evidence(e.left, ">", e.right, e.tol, "float")
                if e.relation == "<"
                else e
            )

    assert replace(claim, check=check).verify().verdict == REFUTED


def test_the_closed_scales_are_those_of_the_structures():
    for K, n, lam, delta in [(2, 1, 0.1, 0.0), (5, 3, 1e-3, 0.0), (4, 2, 1e-2, 0.3), (9, 7, 1e-4, 0.05)]:
        loss = f"label_smoothing({delta})" if delta else "ce"
        a = dnc(Problem(K=K, n=n, lam=lam, loss=loss)).scales[0]
        assert label_smoothing.scale(K, n, lam, delta) == pytest.approx(a, rel=1e-11)
        if not delta:
            assert zhu21.scale(K, n, lam) == pytest.approx(a, rel=1e-11)


def test_the_angle_of_means_with_a_bias_is_a_function_of_one_ratio():
    for K, n, c in [(2, 1, 0.1), (4, 5, 0.02), (10, 3, 0.01)]:
        threshold = zhou22a.bias_threshold(zhou22a.kappa(K, n, c))
        for ratio in (0.3, 1.0, 1.7, 40.0):
            x = min(1.0, 1 / ratio)
            assert zhou22a.cosine(K, n, c, ratio * threshold) == pytest.approx(-x / (K - x), abs=1e-12)
    assert math.isnan(zhou22a.cosine(4, 9, 0.2, 1.0))


def test_resolvent_identity_by_hand_and_falsified():
    assert seli.resolvent_row((3, 1), 0)[0] == 0
    assert seli.resolvent_row((3, 1), 0)[2] == -0.25  # M = [[1, -1], [-1, 1]], pseudo-inverse M/4
    assert seli.resolvent_row((3, 1), 0, shift=2)[0] != 0


def test_offsets_of_equal_counts_are_those_of_the_closed_scale():
    K, n = 5, 3
    E = seli.offsets((n,) * K)
    for lam in (1e-6, 1e-9):
        assert zhu21.scale(K, n, lam) - math.log(1 / lam) == pytest.approx(E[0, 1], abs=K * n * lam * 3)
    assert seli.predicted_rate((n,) * K) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", [(200, 8, 23, 15, 40, 32, 1), (5, 2, 1), (30, 30, 1, 1)])
def test_second_offsets_are_the_next_term_of_the_margins(counts):
    """T (margins - T - E) at the minimum nears E_2, like 1/T and higher powers."""
    E, second, off = seli.offsets(counts), seli.second_offsets(counts), ~np.eye(len(counts), dtype=bool)
    left = []
    for T in (20.0, 40.0):
        Z = shallow.minimum(Problem(K=len(counts), n=counts, lam=math.exp(-T)), 0).class_logits()
        left.append(np.max(np.abs(T * (np.diag(Z)[None, :] - Z - T - E) - second)[off]))
    assert left[1] < 0.75 * left[0] and left[1] < 0.2 * np.max(np.abs(second[off]))
    assert np.max(np.abs(seli.second_offsets((4,) * 5))) < 1e-4


def test_thresholds_of_classes_of_one_size_need_two_of_them():
    merging = CLAIMS["hong-merging"]
    assert merging.violated(merging.cases[0].but(n=(9, 6, 1))) == ("two classes of one size",)


def test_a_flow_that_is_still_falling_is_undecided_and_one_that_rests_elsewhere_refuted(monkeypatch):
    target = np.repeat(np.eye(3) - 1 / 3, (2, 1, 1), axis=1)
    target, away = target / np.linalg.norm(target), np.eye(3, 4) / np.linalg.norm(np.eye(3, 4))
    case = Case(n=(2, 1, 1), more=0, scale=0.1, rng=0, stages=3)
    for distances, verdict in (
        ((0.3, 0.1, 0.03), "undecided"),
        ((0.3, 0.29, 0.28), REFUTED),
        ((0.3, 0.1, 0.001), SUPPORTED),
    ):
        at = iter(distances)
        monkeypatch.setattr(ji22, "direction", lambda *a, at=at: target + next(at) * away)
        assert Outcome(case, tuple(ji22.check(case)), 0.0).verdict == verdict


def test_nonnegative_features_at_equal_counts_are_orthogonal_and_cost_more():
    problem = Problem(K=4, n=3, d=5, lam=1e-2)
    H = dang24.point(problem).factors[0]
    G = H.T @ H
    assert np.max(np.abs(G[problem.labels[:, None] != problem.labels[None, :]])) == 0 and np.min(H) >= 0
    M = dang24.scales(problem)
    assert dang24.loss(problem, M) > zhu21.loss(4, 3, problem.Lam, zhu21.scale(4, 3, problem.Lam)) + 1e-3
    assert dang24.residual(dang24.point(problem)) < 1e-14 < 1e-6 < dang24.residual(dang24.point(problem, 1.01))


def test_gradients_on_spheres_and_balls_against_differences():
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 2 * 3 * 4))
    for fun in (
        lambda x: sphere.normalised_fit(x, 4, 3, 2.0),
        lambda x: fang21.normalised_fit(x, np.array([0.4, 0.3, 0.2, 0.1]), 3, (2.0, 0.5)),
    ):
        slope = (fun(x + 1e-6 * v)[0] - fun(x - 1e-6 * v)[0]) / 2e-6
        assert fun(x)[1] @ v == pytest.approx(slope, rel=1e-7)


def test_distances_from_hulls():
    assert sphere.margin(np.eye(2)[:, [0, 1]]) == pytest.approx(math.sqrt(2), rel=1e-6)
    W = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    assert sphere.margin(W) == pytest.approx(1.0, rel=1e-6)
    assert sphere.margin(np.array([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])) == pytest.approx(0.0, abs=1e-6)
    assert math.isnan(sphere.one_vs_rest(9, 4)) and sphere.one_vs_rest(8, 4) == 1.0


def test_the_window_of_focal_loss_is_empty_for_few_classes():
    for K, gamma, wide in [(3, 2.0, False), (10, 5.0, False), (24, 3.0, True), (50, 1.0, True)]:
        low, high = focal.window(Case(K=K, n=1, L=1, more=0, gamma=gamma, spread=1.0))
        assert (high > low * (1 + 1e-6)) == wide


def test_without_the_extra_certify_the_convex_programme_stands_in(monkeypatch):
    monkeypatch.setattr(shallow, "proved", lambda problem: None)
    problem = Problem(K=3, n=2, lam=1e-2)
    (found,) = shallow.global_value(problem, zhu21.loss(3, 2, 1e-2, zhu21.scale(3, 2, 1e-2)), 1e-9, solve=False)
    assert found.note == "the convex programme" and found.verdict == SUPPORTED
    (wrong,) = shallow.global_value(problem, 1.001 * found.right, 1e-9, solve=False)
    assert wrong.verdict == REFUTED


def test_difference_of_classes_sees_rows_columns_and_diagonals():
    problem = Problem(K=3, lam=1.0)
    from ufm.points import from_matrix

    merged = np.array([[2.0, -1.0, -1.0], [-1.0, 0.5, 0.5], [-1.0, 0.5, 0.5]])
    assert hong_ling.difference(from_matrix(problem, merged), [1, 2]) < 1e-14
    for i, j in [(1, 1), (1, 2), (1, 0), (0, 2)]:
        Z = merged.copy()
        Z[i, j] += 1e-3
        assert (hong_ling.difference(from_matrix(problem, Z), [1, 2]) > 1e-4) == ((i, j) != (0, 2))
