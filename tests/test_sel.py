"""Simplex-encoded labels: formulas against singular value decompositions, certificates against a convex solver,
thresholds from both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm import structures
from ufm.certificates.convex import convex_minimum, gram_minimum, margin_minimum
from ufm.certificates.orders import order, orders
from ufm.critical.classify import classify
from ufm.landscapes.compare import compare
from ufm.numerics import balls
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum, value
from ufm.problem import Columns, Problem
from ufm.solvers.minimize import minimize
from ufm.structures import dnc
from ufm.structures.sel import (
    merging_thresholds,
    sel,
    sel_multipliers,
    step_cosines,
    step_spectrum,
    vanishing_threshold,
)

COUNTS = [(5, 3, 1), (100, 40, 3, 1, 1), (2, 1), (7, 7, 7, 7), (1, 2, 3, 4, 5, 6)]


def simplex(K):
    return np.eye(K) - 1 / K


@pytest.mark.parametrize("L", [1, 2, 5])
@pytest.mark.parametrize("K, n", [(2, 1), (4, 3), (9, 2)])
def test_for_equal_counts_it_is_dnc(K, n, L):
    problem = Problem(K=K, n=n, L=L, lam=1e-3)
    assert value(sel(problem)) == pytest.approx(value(dnc(problem)), rel=1e-14)
    assert sel(problem).scales[0] == pytest.approx(dnc(problem).scales[0], rel=1e-13)
    assert classify(sel(problem)).status in ("local minimum", "strict saddle")


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("loss", ["ce", "label_smoothing(0.1)", "focal(2)"])
@pytest.mark.parametrize("L", [1, 3])
def test_its_scale_is_stationary_on_the_ray_and_the_point_bounds_the_minimum(counts, loss, L):
    problem = Problem(K=len(counts), n=counts, d=len(counts) + 1, L=L, lam=1e-4, loss=loss)
    point = sel(problem)
    a = point.scales[0]
    assert np.allclose(point.class_logits(), a * simplex(problem.K), atol=1e-12 * a) and point.rank == problem.K - 1
    A, *_ = Stratum(point).blocks
    assert abs(np.sum(np.diag(A) * point.s)) < 1e-9 * problem.Lam * np.sum(point.s ** (2 / problem.D))
    end = minimize(problem, start=point)
    assert end.success and end.fun <= value(point) + 1e-14
    balanced = isinstance(problem.n, int) or problem.K == 2
    assert (classify(point).status == "not critical") == (not balanced)


def test_the_equation_of_its_scale():
    problem = Problem(K=4, n=(9, 5, 2, 1), L=2, lam=1e-3)
    s = np.linalg.svd(simplex(4) * np.sqrt(problem.counts), compute_uv=False)[:3]
    for root in ("large", "small"):
        a = sel(problem, root).scales[0]
        assert 3 / (np.exp(a) + 3) == pytest.approx(1e-3 * a ** (-1 / 3) * np.sum(s ** (2 / 3)), rel=1e-12)
    assert sel(problem, "small").scales[0] < sel(problem).scales[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss": "mse"}, "margins"),
        ({"bias": 0.1}, "no bias"),
        ({"d": 2}, "rank 3"),
        ({"lam": 10.0}, "fold"),
        ({"L": 2, "activation": "relu"}, "linear"),
    ],
)
def test_where_it_does_not_exist_the_reason_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        sel(Problem(**{"K": 4, "n": (3, 2, 1, 1), "lam": 1e-2} | change))
    with pytest.raises(ValueError, match="single scale"):
        sel(Problem(K=4, n=(3, 2, 1, 1), lam=1e-2), "small")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**5), min_size=2, max_size=10), st.integers(2, 30))
def test_multipliers_are_negative_off_the_labels_for_all_counts_and_depths(counts, D):
    A = sel_multipliers(counts, D)
    off = A[~np.eye(len(counts), dtype=bool)]
    assert np.max(off) < -1e-10 * np.max(np.abs(A)) and np.max(np.abs(A.sum(axis=0))) < 1e-10 * np.max(np.abs(A))


def test_multipliers_are_the_gradient_of_the_penalty():
    counts, D, rng = (6, 3, 1, 1), 3, np.random.default_rng(0)
    Z, A = simplex(4) * np.sqrt(counts), sel_multipliers((6, 3, 1, 1), 3)
    dZ = simplex(4) @ rng.standard_normal((4, 4))

    def penalty(t):  # rank three along all of these
        return 0.5 * D * np.sum(np.linalg.svd(simplex(4) @ (Z + t * dZ), compute_uv=False)[:3] ** (2 / D))

    kernel = 1.0 / np.sqrt(counts)  # Z kernel = 0: a motion along it would change the rank
    dZ = dZ - np.outer(dZ @ kernel, kernel) / (kernel @ kernel)
    slope = (penalty(1e-5) - penalty(-1e-5)) / 2e-5
    assert slope == pytest.approx(np.sum(A * dZ), rel=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.floats(0.01, 1e4), st.data())
def test_step_imbalance_in_closed_form(K, R, data):
    k = data.draw(st.integers(1, K - 1))
    root = np.sqrt(np.array([R] * k + [1.0] * (K - k)))
    U, s, _ = np.linalg.svd(simplex(K) * root)
    assert np.allclose(step_spectrum(K, R, 1, k), s[: K - 1], rtol=1e-10)
    G = (U[:, : K - 1] * s[: K - 1]) @ U[:, : K - 1].T
    G = G / np.sqrt(np.outer(np.diag(G), np.diag(G)))
    cosines = step_cosines(K, R, k)
    assert cosines["mixed"] == pytest.approx(G[0, -1], abs=1e-10)
    for name, entry, size in (("majority", G[0, 1], k), ("minority", G[-1, -2], K - k)):
        assert cosines[name] == pytest.approx(entry, abs=1e-10) if size > 1 else np.isnan(cosines[name])


def test_step_formulas_of_the_paper_at_half_the_classes():
    assert step_spectrum(6, 10, 4).tolist() == pytest.approx([np.sqrt(40)] * 2 + [np.sqrt(22)] + [2.0] * 2)
    a = np.sqrt(5.5)
    assert step_cosines(6, 10)["minority"] == pytest.approx((a - 2) / (a + 4))
    assert step_cosines(6, 1) == pytest.approx(dict.fromkeys(("minority", "majority", "mixed"), -0.2))
    assert step_cosines(6, 1e12)["minority"] > 0.99999


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: step_spectrum(1, 2.0), "K must be"),
        (lambda: step_spectrum(4, 0.0), "R must be"),
        (lambda: step_spectrum(4, 2.0, -1), "n must be"),
        (lambda: step_cosines(4, 2.0, 4), "majority must leave"),
        (lambda: step_cosines(4, 2.0, 0), "majority must be"),
        (lambda: sel_multipliers((3,)), "K must be"),
        (lambda: sel_multipliers(3), "counts must be"),
        (lambda: sel(3), "problem must be"),
        (lambda: merging_thresholds(3), "problem must be"),
        (lambda: sel_multipliers((3, 0)), "counts must be"),
        (lambda: sel_multipliers((3, 1), 1), "D must be"),
        (lambda: merging_thresholds(Problem(K=3, n=(2, 1, 1), L=2, lam=1.0)), "L=2"),
        (lambda: merging_thresholds(Problem(K=3, n=(2, 1, 1), lam=1.0, loss="mse")), "cross-entropy"),
        (lambda: vanishing_threshold(Problem(K=3, lam=1.0, loss="focal(2)")), "convex"),
        (lambda: margin_minimum((3,)), "K must be"),
        (lambda: margin_minimum((3, 0)), "counts must be"),
        (lambda: gram_minimum([1.0], 1.0, 1.0), "K must be"),
        (lambda: gram_minimum([0.5, 0.5], 0.0, 1.0), "w must be"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("bias", [None, 0.0, 0.3])
@pytest.mark.parametrize("counts", [(20, 20, 3, 3, 3), (9, 1, 1)])
def test_classes_merge_and_vanish_at_their_thresholds(counts, bias):
    K, m = len(counts), min(counts)
    merge, vanish = (
        f(Problem(K=K, n=counts, lam=1.0, bias=bias)) for f in (lambda p: merging_thresholds(p)[m], vanishing_threshold)
    )
    assert merge == pytest.approx(np.sqrt(m) / sum(counts))

    def logits(lam):
        return minimize(Problem(K=K, n=counts, lam=lam, bias=bias), rng=0, tol=1e-13).logit_point()

    for share in (0.99, 1.01):
        Z = logits(share * merge).class_logits()
        assert (np.ptp(Z[-2:, :], axis=0).max() < 1e-9) == (share > 1)
        s = np.max(logits(share * vanish).s, initial=0.0)
        assert (s < 1e-9) == (share > 1) and (share > 1 or s > 1e-3)


def test_thresholds_without_bias_and_for_equal_counts():
    problem = Problem(K=4, n=(8, 5, 2, 2), lam=1.0)
    assert vanishing_threshold(problem) == pytest.approx(np.linalg.norm(simplex(4) * np.sqrt(problem.counts), 2) / 17)
    assert merging_thresholds(problem) == {2: pytest.approx(np.sqrt(2) / 17)}
    equal = Problem(K=5, n=3, lam=1.0)
    assert merging_thresholds(equal) == {3: pytest.approx(1 / (5 * np.sqrt(3)))} and vanishing_threshold(
        equal
    ) == pytest.approx(1 / (5 * np.sqrt(3)))


@pytest.mark.parametrize("counts", COUNTS)
def test_the_margin_problem_is_solved_by_it(counts):
    found, Z = margin_minimum(counts)
    assert found == pytest.approx(
        np.sum(np.linalg.svd(simplex(len(counts)) * np.sqrt(counts), compute_uv=False)), rel=1e-6
    )
    assert np.max(np.abs(Z - simplex(len(counts)))) < 1e-4


def test_gram_programme_bounds_spheres_and_balls():
    K, tau = 4, 3.0
    F = np.log1p((K - 1) * np.exp(-tau * K / (K - 1)))
    for each in (False, True):
        found, X = gram_minimum([1 / K] * K, 1.0, tau**2, each=each)
        assert found == pytest.approx(F, abs=1e-6) and np.min(np.linalg.eigvalsh(X)) > -1e-6
    unequal = [0.45, 0.45, 0.05, 0.05]
    assert gram_minimum(unequal, 1.0, 4.0)[0] < gram_minimum(unequal, 1.0, 4.0, each=True)[0] - 1e-4


def test_convex_programme_with_other_targets_is_the_factor_objective_with_them():
    rng = np.random.default_rng(0)
    Y, M = rng.standard_normal((3, 7)), 7
    columns = Columns(Y, rng.uniform(0.5, 1.5, M) / M, rng.uniform(0.5, 2.0, M), np.ones(M, int))
    problem = Problem(K=3, L=1, lam=0.05, loss="mse")
    found, Z = convex_minimum(problem, columns=columns)
    objective = FactorObjective(problem, columns=columns)
    from scipy.optimize import minimize as descend

    end = descend(
        objective.value_grad,
        rng.standard_normal(objective.size),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-9, "maxiter": 2000},
    )
    assert end.fun == pytest.approx(found, abs=1e-6) and np.allclose(
        objective.logits(end.x) * columns.scale, Z, atol=1e-3
    )
    with pytest.raises(ValueError, match="rows"):
        convex_minimum(problem, columns=Columns(Y[:2], columns.weight, columns.scale, columns.copies))


def test_comparisons_list_it_where_counts_differ_and_say_that_it_is_not_critical():
    problem = Problem(K=4, n=(5, 3, 1, 1), L=2, lam=1e-3)
    found = compare(problem, starts=3, rng=0)
    assert found["sel"].status == "not critical" and found["sel"].index is None and found.winner.fun < found["sel"].fun
    assert "not critical" in repr(found) and found["sel"].point.rank == 3
    assert found.certified == (balls.available() and all(c.holds for c in found.certificates))
    assert "sel" not in structures.catalogue(Problem(K=4, n=3, lam=1e-3)) and "sel" not in structures.catalogue(
        Problem(K=3, n=(2, 1, 1), lam=1e-3, loss="mse")
    )


@pytest.mark.skipif(not balls.available(), reason="needs the extra [certify]")
def test_orders_take_it_as_a_point():
    problem = Problem(K=3, n=(4, 2, 1), L=1, lam=1e-3)
    below = minimize(problem, rng=0).logit_point()
    proof = order(below, "sel", problem)
    assert proof.holds and proof.check() and "sel" in proof.statement
    assert not order("sel", below, problem).holds
    assert orders(problem, structures=["zero", "sel"]).names == ("sel", "zero")
