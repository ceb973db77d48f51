"""Signatures against dense Hessians in all parameters; names under every change that must not matter."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.critical.signature import DENSE_LIMIT, inertia
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.points import from_matrix
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import multistart

F1 = Problem(K=10, n=5, d=70, L=2, lam=2**-10)


def dense_signature(point, tol=1e-9):
    """(index, nullity, lowest, highest) of the Hessian in all parameters at a random balanced lift."""
    objective, x = objective_of(point.lift(rng=1))
    values = np.linalg.eigvalsh(objective.hessian(x))
    zero = tol * np.max(np.abs(values))
    return int(np.sum(values < -zero)), int(np.sum(np.abs(values) <= zero)), values[0], values[-1]


SMALL = [
    Problem(K=6, n=2, d=8, L=2, lam=2e-3),
    Problem(K=5, L=2, d=6, lam=1e-3),
    Problem(K=4, n=3, d=(5, 6, 4), L=3, lam=(1e-3, 2e-3, 1e-3, 3e-3)),
    Problem(K=5, d=7, L=1, lam=1e-2),
    Problem(K=4, n=2, d=6, L=1, lam=(1e-3, 4e-3), loss="mse"),
    Problem(K=4, n=2, d=6, L=2, lam=1e-2, loss="mse"),
    Problem(K=4, n=2, d=5, L=3, lam=1e-3, loss="mse", bias=0.2),
    Problem(K=5, n=(3, 3, 2, 2, 2), d=6, L=2, lam=1e-3),
    Problem(K=5, n=(3, 3, 2, 2, 1), d=3, L=2, lam=1e-2, loss="mse"),
    Problem(K=4, n=2, d=5, L=2, lam=1e-3, bias=0.05),
    Problem(K=4, n=2, d=5, L=2, lam=1e-3, bias=0.0),
    Problem(K=5, n=2, d=5, L=2, lam=1e-3, loss="focal(3)"),
    Problem(K=4, L=4, d=4, lam=1e-3, loss="label_smoothing"),
    Problem(K=5, n=2, d=6, L=2, lam=1e-8),
]


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: f"{p.loss.name}-K{p.K}-L{p.L}")
def test_signature_is_that_of_the_dense_hessian(problem):
    for name, point in structures.existing(problem)[0].items():
        found = classify(point)
        if found.status == "not critical":
            assert (name == "pairs" and problem.K % 2) or (name.startswith("sel") and not problem.balanced)
            continue
        index, nullity, lowest, highest = dense_signature(point)
        assert (found.index, found.nullity) == (index, nullity), name
        assert found.lowest == pytest.approx(lowest, abs=1e-9 * highest)
        assert found.highest == pytest.approx(highest, rel=1e-9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    K=st.integers(2, 4),
    n=st.integers(1, 2),
    extra=st.integers(0, 2),
    L=st.integers(1, 3),
    log_lam=st.floats(-7, -3),
    loss=st.sampled_from(["ce", "mse"]),
)
def test_signature_of_random_end_points_is_that_of_the_dense_hessian(K, n, extra, L, log_lam, loss):
    problem = Problem(K=K, n=n, d=K + extra, L=L, lam=float(np.exp(log_lam)), loss=loss)
    found = classify(minimize(problem, rng=K + 7 * L))
    if found.status in ("local minimum", "strict saddle"):
        index, nullity, _, _ = dense_signature(found.point, tol=1e-8)
        assert (found.index, found.nullity) == (index, nullity)


def test_structures_of_figure_1_have_their_known_signatures():
    minima = {
        name
        for name, p in structures.existing(F1)[0].items()
        if p.rank and classify(p, extremes=False).status == "local minimum"
    }
    assert minima == {"dnc", "pairs", "blocks(6,2,2)", "blocks(8,2)", "petersen", "circle"}
    dnc, pairs = classify(structures.dnc(F1)), classify(structures.pairs(F1))
    assert (dnc.index, dnc.nullity, dnc.nullity_symmetry) == (0, 1170, 1170)  # 2 (9 70 - 45)
    assert (pairs.index, pairs.nullity, pairs.nullity_symmetry) == (0, 670, 670)


@pytest.mark.parametrize(
    "K, n, L, lam, index",
    [
        (20, 1, 3, 1e-3, 170),
        (10, 5, 2, 2.35e-2, 0),
        (10, 5, 2, 2.37e-2, 35),
        (100, 1, 3, 1e-6, 4850),
        (200, 5, 3, 1e-3, 19700),
    ],
)
def test_dnc_loses_stability_to_a_saddle_of_index_k_times_k_minus_3_over_2(K, n, L, lam, index):
    problem = Problem(K=K, n=n, d=2 * K, L=L, lam=lam)
    point = structures.dnc(problem)
    assert (point.scales[0] >= K * (L - 1) / (L + 1)) == (index == 0)
    assert classify(point).index == index == (0 if index == 0 else K * (K - 3) // 2)


def test_small_root_is_a_saddle_of_index_k_times_k_minus_1_over_2():
    assert classify(structures.dnc(Problem(K=6, L=2, lam=1e-3), "small")).index == 15


def test_signature_grows_with_width_and_samples_as_the_theorem_says():
    narrow, wide = (
        classify(structures.pairs(Problem(K=6, n=n, d=d, L=2, lam=lam)))
        for n, d, lam in [(1, 6, 2e-3), (8, 10**5, 2e-3 / 2)]
    )
    assert narrow.index == wide.index == 0
    assert wide.nullity - narrow.nullity == 2 * 3 * (10**5 - 6)


def test_mse_ties_are_explained_by_the_rotations_that_fix_the_labels():
    problem = Problem(K=4, n=2, d=5, L=2, lam=1e-2, loss="mse")
    found = classify(structures.pairs(problem))
    assert found.status == "local minimum" and found.nullity == 2 * (2 * 5 - 3) + 2 * 2  # Gr(2, 4) has dimension 4


def test_a_double_root_is_degenerate_and_a_rough_point_is_not_critical():
    rough = minimize(Problem(K=4, L=2, lam=0.01), method="gd", steps=5, rng=0)
    assert classify(rough).status == "not critical" and classify(rough).index is None


def test_a_stratum_too_large_to_form_and_without_symmetry_is_null_with_the_reason():
    generic = from_matrix(Problem(K=45, L=2, lam=1e-3), np.random.default_rng(0).standard_normal((45, 45)), rank=40)
    found = classify(generic, grad_tol=np.inf)
    assert Stratum(generic).size > DENSE_LIMIT and found.index is None and "no class symmetry" in found.why


def test_inertia_counts_multiplicities():
    assert inertia([(-1.0, 3), (1e-12, 5), (-1e-12, 1), (2.0, 7)], 1e-9) == (3, 6)


def test_nonlinear_models_get_their_dense_signature_or_the_reason():
    smooth = classify(minimize(Problem(K=3, L=2, lam=0.01, activation="tanh"), rng=0))
    assert smooth.index == 0 and smooth.lowest is not None
    kinked = classify(minimize(Problem(K=3, L=2, lam=1.0, activation="relu", loss="mse"), rng=0))
    assert (kinked.index is None and "linear model" in kinked.why) or kinked.status == "not critical"


def test_classify_refuses_what_is_no_point():
    with pytest.raises(ValueError, match="point must be"):
        classify(np.eye(3))


NAMED = [(F1, name) for name in ("dnc", "pairs", "blocks(8,2)", "blocks(6,2,2)", "blocks(5,5)", "blocks(4,3,3)")] + [
    (Problem(K=7, n=2, L=2, lam=1e-3), name) for name in ("dnc", "pairs", "pairs+apex", "blocks(5,2)", "blocks(3,2,2)")
]


@pytest.mark.parametrize("problem, name", NAMED, ids=lambda x: x if isinstance(x, str) else f"K{x.K}")
def test_names_survive_permutation_scaling_shift_noise_and_gauge(problem, name):
    point, rng = structures.existing(problem)[0][name], np.random.default_rng(0)
    M, order = point.class_logits(), rng.permutation(problem.K)
    changed = 3e-2 * M[np.ix_(order, order)] + rng.standard_normal(problem.K)
    noisy = changed + 2e-3 * np.linalg.norm(3e-2 * M) / problem.K * rng.standard_normal(M.shape)
    assert identify(point).name == identify(changed).name == identify(noisy).name == name
    assert identify(point).distance < 1e-12 < identify(noisy).distance < 0.01
    np.testing.assert_allclose(identify(point).scales, point.scales, rtol=1e-12)
    factors = point.lift(rng=5)
    X, W = factors.layers()[-1].T, factors.factors[-1]
    shuffle = rng.permutation(problem.N)
    spin = np.linalg.qr(rng.standard_normal((X.shape[1],) * 2))[0]
    assert identify(features=X[shuffle] @ spin, weights=W @ spin, labels=problem.labels[shuffle]).name == name
    assert identify(factors).rank == point.rank


def test_circle_and_petersen_are_named_and_their_look_alikes_are_not():
    turn = 2 * np.pi * np.arange(7) / 7
    circle = np.cos(np.subtract.outer(turn, turn))
    assert identify(circle).name == "circle"
    bent = turn + 0.15 * np.arange(7) % 0.3
    assert identify(np.cos(np.subtract.outer(bent, bent))).name == "unnamed(rank=2)"
    ellipse = np.stack([np.cos(turn), 0.8 * np.sin(turn)])
    assert identify(ellipse.T @ ellipse).name == "code(1+2+2+2)"
    A = nx.to_numpy_array(nx.petersen_graph())
    E = (A - 3 * np.eye(10)) @ (A - np.eye(10)) / 15
    assert identify(E).name == "petersen" and identify(E).rank == 4
    other = (A - 3 * np.eye(10)) @ (A + 2 * np.eye(10))  # the rank-5 code of the same graph
    assert identify(-other).name == "code(10)" and identify(-other).rank == 5


def test_a_random_matrix_stays_unnamed_and_a_nearly_block_one_is_named_by_its_orbits():
    rng = np.random.default_rng(1)
    assert identify(rng.standard_normal((6, 6))).name.startswith("unnamed(rank=")
    M = structures.blocks(F1, (6, 4)).class_logits()
    M[0, 7] += 0.15 * np.linalg.norm(M)
    assert identify(M).name == "code(1+1+3+5)"
    M += 0.05 * np.linalg.norm(M) / 10 * rng.standard_normal(M.shape)
    assert identify(M).name == "unnamed(rank=9)" and identify(M).distance is None


def test_simplex_with_a_faint_extra_direction_is_not_named_beyond_its_tolerance():
    M = structures.dnc(F1).class_logits()
    push = np.outer(np.r_[1.0, -1.0, np.zeros(8)], np.r_[1.0, -1.0, np.zeros(8)])
    assert identify(M + 0.005 * np.linalg.norm(M) * push).name == "dnc"
    assert identify(M + 0.05 * np.linalg.norm(M) * push).name != "dnc"


def test_zero_is_named_zero_and_a_tiny_simplex_is_still_a_simplex():
    assert identify(structures.zero(F1)).name == "zero" and identify(np.zeros((4, 8))).name == "zero"
    small = structures.dnc(F1, "small")
    assert (
        identify(small).name == identify(small.lift()).name == "dnc(small)"
        and identify(small.class_logits()).name == "dnc"
    )


def test_imbalanced_samples_are_averaged_by_label_and_within_class_variation_reported():
    rng = np.random.default_rng(0)
    labels = np.array([2, 0, 0, 1, 1, 1, 2])
    Z = (np.eye(3) - 1 / 3)[:, labels] + 0.01 * rng.standard_normal((3, 7))
    found = identify(Z, labels=labels)
    assert found.name == "dnc" and 1e-3 < found.within_class < 0.05
    assert 0 < found.collapse["nc1"] < 0.01


@pytest.mark.parametrize(
    "arguments, words",
    [
        (({},), "either"),
        (({"features": np.eye(3)},), "weights"),
        (({"features": np.eye(3), "weights": np.eye(4)},), "share d"),
        (({"Z": np.ones((3, 4))},), "labels are needed"),
        (({"Z": np.ones((2, 4)), "labels": [0, 0, 0, 0]},), "every class present"),
        (({"Z": np.full((2, 2), np.nan)},), "finite"),
        (({"Z": np.eye(2), "match": 0},), "match must be positive"),
    ],
)
def test_identify_refuses_bad_input_by_name(arguments, words):
    with pytest.raises(ValueError, match=words):
        identify(**arguments[0])


def test_end_points_of_a_search_on_figure_1_are_named():
    names = {identify(r).name for r in multistart(F1, 40, rng=3)}
    assert {"pairs", "petersen"} <= names
