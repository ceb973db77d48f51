"""Clarke stationarity: what the masks can and cannot make zero, and what classify says of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from ufm.critical.classify import classify
from ufm.critical.nonlinear import local_minimum_test, ranks
from ufm.numerics.bounded import least_squares
from ufm.numerics.graphs import complete
from ufm.objectives.clarke import clarke, kinked, slope_of
from ufm.objectives.factors import objective_of
from ufm.objectives.gated import Gated
from ufm.objectives.identities import identities
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.structures import graph_codes


def code(r, L, n=1, lam=0.04, variant="disjoint", spare=2):
    K = r * (r - 1) // 2
    return graph_codes.graph_code(
        Problem(K=K, n=n, L=L, d=K + spare, lam=lam / K, loss="mse", activation="relu"), complete(r), variant
    )


def random_point(problem, seed=0):
    rng = np.random.default_rng(seed)
    b = None if problem.bias is None else rng.standard_normal(problem.K)
    return FactorPoint(problem, tuple(rng.standard_normal(shape) for shape in problem.shapes()), b)


# graph codes: the numbers of the literature's construction ----------------------------------------


@pytest.mark.parametrize(("r", "L"), [(5, 3), (5, 4), (5, 5), (6, 3), (6, 4), (6, 5), (7, 3)])
def test_codes_that_are_stationary_are_so_to_rounding(r, L):
    found = clarke(code(r, L))
    assert found.relative <= 1e-11 and found.count > 0
    assert identities(code(r, L)).worst <= 1e-9


@pytest.mark.parametrize(("r", "L"), [(4, 3), (4, 4), (4, 5), (7, 4), pytest.param(8, 3, marks=pytest.mark.slow)])
def test_codes_that_are_not_stationary_are_clearly_not(r, L):
    assert clarke(code(r, L, spare=0)).relative > 0.01


def test_the_other_sign_of_the_code_is_not_stationary():
    assert clarke(code(5, 4, variant="identity")).relative > 0.01


@pytest.mark.parametrize("lam", [1e-3, 0.01, 0.1])
def test_the_gradient_of_autodiff_does_not_see_that_the_code_is_stationary(lam):
    point = code(5, 4, lam=lam)
    objective, x = objective_of(point)
    assert np.linalg.norm(objective.grad(x)) > 1e6 * clarke(point).residual


def test_samples_of_a_class_are_merged_and_say_the_same():
    many, one = code(5, 4, n=3), code(5, 4)
    same = replace(one.problem, lam=(3 * one.problem.lams[0], *one.problem.lams[1:]))
    merged, alone = clarke(many), clarke(FactorPoint(same, (many.factors[0][:, ::3], *many.factors[1:])))
    assert merged.columns == "classes" and merged.masks[0].shape[1] == many.problem.K
    assert merged.residual <= 1e-13 and alone.residual <= 1e-13 and merged.count == alone.count


def test_a_slip_of_a_thousandth_is_seen():
    point = code(5, 4)
    for l in range(5):
        moved = [np.array(A) for A in point.factors]
        moved[l] *= 1.001
        moved = FactorPoint(point.problem, tuple(moved))
        assert clarke(moved).relative > 1e-4 and identities(moved).worst > 1e-4


# against other ways to compute it ------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu", "leaky_relu(0.3)"])
@pytest.mark.parametrize("bias", [None, 0.1])
def test_without_kinks_it_is_the_norm_of_the_gradient(activation, bias):
    point = random_point(
        Problem(K=3, n=(2, 1, 3), d=(4, 5, 3), L=3, lam=(0.1, 0.2, 0.3, 0.1), activation=activation, bias=bias)
    )
    objective, x = objective_of(point)
    found = clarke(point)
    assert found.count == 0 and found.residual == pytest.approx(np.linalg.norm(objective.grad(x)), rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("seed", range(6))
def test_with_one_hidden_layer_the_masks_are_a_bounded_least_squares_problem(slope, seed):
    rng = np.random.default_rng(seed)
    problem = Problem(K=4, d=(4, 6), L=2, lam=0.05, loss=("mse", "ce")[seed % 2], activation=f"leaky_relu({slope})")
    H, W, V = random_point(problem, seed).factors
    W[:3] = rng.standard_normal((3, 4)) @ np.diag([0, 0, 1, 1.0])
    W[:, :2], H = 0.0, np.vstack([H[:2], H[2:] * [0, 1, 1, 0]])  # two columns of pre-activations vanish
    point = FactorPoint(problem, (H, W, V))
    objective, x = objective_of(point)
    here = Gated.of(objective, x)
    kinks = here.near(0.0)
    free = np.concatenate([k.ravel() for k in kinks])
    signals = here.signals()[0].ravel()[free]
    J = (here.rows(kinks) * signals[:, None]).T
    gates = [np.where(kinks[0], slope, here.gates[0])]
    base = here.with_gates(gates).gradient()
    best = lsq_linear(J, -base + J @ np.full(J.shape[1], slope), (slope, 1.0), method="bvls")
    assert free.sum() >= 12
    assert clarke(point, 0.0).residual == pytest.approx(np.sqrt(2 * best.cost), rel=1e-9, abs=1e-13)


def test_bounded_least_squares_agrees_with_scipy():
    rng = np.random.default_rng(3)
    for _ in range(60):
        m, n = int(rng.integers(2, 25)), int(rng.integers(1, 25))
        J = rng.standard_normal((m + n, n))
        target = rng.standard_normal(m + n) * rng.choice([0.1, 1, 10])
        ours, theirs = (
            least_squares(J, target, np.full(n, 0.1), np.ones(n)),
            lsq_linear(J, target, (0.1, 1.0), method="bvls").x,
        )
        assert np.all((ours >= 0.1) & (ours <= 1.0))
        assert np.linalg.norm(J @ ours - target) <= np.linalg.norm(J @ theirs - target) * (1 + 1e-6)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.2)"])
def test_derivatives_through_slopes_agree_with_differences(activation):
    problem = Problem(K=3, d=(4, 3, 5), L=3, lam=0.03, activation=activation, bias=0.1)
    objective, x = objective_of(random_point(problem, 4))
    here, rng = Gated.of(objective, x), np.random.default_rng(0)
    gates = [rng.uniform(0.2, 1.0, g.shape) for g in here.gates]
    at = Gated.of(objective, x, gates)
    v, h = rng.standard_normal(len(x)), 1e-5
    up, down = (Gated.of(objective, x + s * h * v, gates) for s in (1, -1))
    assert (up.value() - down.value()) / (2 * h) == pytest.approx(at.gradient() @ v, rel=1e-7)
    assert np.allclose(
        (up.gradient() - down.gradient()) / (2 * h), at.hessian() @ v, atol=1e-6 * np.linalg.norm(at.hessian() @ v)
    )
    where = [np.ones(p.shape, bool) for p in at.pres]
    slopes = np.concatenate([(a - b).ravel() / (2 * h) for a, b in zip(up.pres, down.pres, strict=True)])
    assert np.allclose(slopes, at.rows(where) @ v, atol=1e-6 * np.linalg.norm(slopes))


def test_masks_stay_in_their_range_and_off_kinks_they_are_the_slopes():
    point = code(5, 4)
    found = clarke(point)
    for mask, kink, pre in zip(found.masks, found.kinks, Gated.of(*objective_of(point)).pres, strict=True):
        assert np.all((mask >= 0) & (mask <= 1))
        assert np.array_equal(mask[~kink], (pre > 0)[~kink] * 1.0)
    assert any(np.any((m > 0.01) & (m < 0.99)) for m in found.masks)
    assert "residual" in repr(found) and "kinks" in repr(found)


def test_zero_is_stationary_and_its_identities_hold():
    problem = Problem(K=3, n=2, d=4, L=3, lam=0.5, loss="mse", activation="relu")
    zero = FactorPoint(problem, tuple(np.zeros(shape) for shape in problem.shapes()))
    assert clarke(zero).residual == 0 and identities(zero).worst <= 1e-15


def test_what_it_is_not_for_is_refused():
    with pytest.raises(ValueError, match="point must be a point"):
        clarke(np.eye(3))
    with pytest.raises(ValueError, match="rel_tol"):
        clarke(code(5, 3), -1.0)
    with pytest.raises(ValueError, match="tanh"):
        identities(random_point(Problem(K=3, L=2, lam=0.1, activation="tanh")))
    odd = Problem(
        K=3,
        L=2,
        lam=0.1,
        activation=replace(Problem(K=3, lam=0.1, activation="relu").activation, name="odd", value=np.abs),
    )
    assert slope_of(odd) == -1.0 and kinked(odd)  # |x| = max(x, -x)
    steep = replace(odd.activation, name="steep", value=lambda x: np.minimum(x, 2 * x))
    assert not kinked(replace(odd, activation=steep))
    clipped = replace(odd.activation, name="relu6", value=lambda x: np.clip(x, 0, 2), homogeneous=False)
    with pytest.raises(ValueError, match="relu6"):
        clarke(random_point(replace(odd, activation=clipped)))
    assert clarke(random_point(Problem(K=2, n=2, d=2, L=2, lam=0.1, activation="relu"))).columns == "samples"


# classify ------------------------------------------------------------------------------------------


def test_classify_calls_the_code_stationary_and_never_a_minimum():
    found = classify(code(5, 4))
    assert (found.status, found.rank, found.ranks) == ("stationary", 5, (5, 5, 5, 5, 10))
    assert "Clarke-stationary" in found.why and found.index is None and found.grad_norm <= 1e-12


def test_classify_sees_that_another_is_not_critical():
    found = classify(code(4, 4))
    assert found.status == "not critical" and "Clarke residual" in found.why


def test_restarts_come_back_to_a_strict_minimum_and_refute_what_is_none():
    problem = Problem(K=2, d=2, L=2, lam=0.01, loss="mse", activation="relu")
    zero = FactorPoint(problem, tuple(np.zeros(shape) for shape in problem.shapes()))
    assert local_minimum_test(zero, 3, 1e-3, 0).returned == 3
    found = classify(zero)
    assert found.status == "local minimum" and "ridge" in found.why and found.rank == 0
    test = local_minimum_test(code(4, 4), 2, 1e-3, 0)
    assert test.lower == 2 and test.lowest < test.fun and "lower by" in repr(test)
    asked = classify(code(4, 4), grad_tol=1.0, restarts=2, rng=0)  # were it taken for stationary
    assert asked.status == "not a local minimum" and "lower by" in asked.why


def test_the_code_survives_restarts():
    assert local_minimum_test(code(5, 3, lam=0.04, spare=0), 2, 1e-3, 0).returned == 2


def test_in_an_open_smooth_cell_the_hessian_decides():
    problem = Problem(K=2, n=2, d=2, L=2, lam=0.02, loss="mse", activation="leaky_relu(0.5)")
    found = classify(minimize(problem, rng=0))
    assert found.index is not None or found.status == "stationary"
    linear_like = classify(minimize(Problem(K=3, d=3, L=2, lam=0.02, activation="leaky_relu(0.5)"), rng=0))
    assert linear_like.index == 0 and linear_like.lowest is not None and linear_like.ranks == (2, 2, 2)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.1)", "tanh"])
@pytest.mark.parametrize("n", [1, 2])
def test_one_layer_has_no_activation(n, activation):
    point = minimize(Problem(K=4, n=n, L=1, lam=0.01, activation=activation), rng=0).require()
    linear = minimize(Problem(K=4, n=n, L=1, lam=0.01), rng=0)
    assert classify(point).status == "local minimum" and point.fun == pytest.approx(linear.fun, rel=1e-14)


def test_ranks_are_those_of_pre_activations():
    problem = Problem(K=3, d=(2, 3), L=2, lam=0.1, activation="relu")
    point = FactorPoint(
        problem,
        (np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), np.eye(3)),
    )
    assert ranks(point) == (1, 1, 2)
