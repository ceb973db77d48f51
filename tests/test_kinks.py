"""Piecewise linear models are solved to the last digits, on their kinks."""

from dataclasses import replace

import numpy as np
import pytest

from ufm import activations
from ufm.critical.classify import classify
from ufm.numerics.graphs import complete
from ufm.objectives.clarke import clarke
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.gated import Gated
from ufm.objectives.identities import identities
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.solvers import kinks, starts
from ufm.solvers.kinks import compression, pieces
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import multistart
from ufm.structures import graph_codes

CENTRAL = Problem(K=10, L=4, d=30, lam=0.004, loss="mse", activation="relu")
SMALL = {
    "two classes": Problem(K=2, L=2, lam=0.02, loss="mse", activation="relu"),
    "three, wide": Problem(K=3, d=12, L=3, lam=0.006, loss="mse", activation="relu"),
    "samples": Problem(K=3, n=4, d=5, L=3, lam=0.003, loss="mse", activation="relu"),
    "imbalance": Problem(K=3, n=(1, 2, 4), d=(4, 5, 3), L=3, lam=0.01, activation="relu"),
    "weights": Problem(K=4, n=2, d=6, L=3, lam=(0.001, 0.02, 0.01, 0.004), loss="mse", activation="relu"),
    "bias": Problem(K=3, d=6, L=2, lam=0.01, loss="mse", activation="relu", bias=0.05),
    "free bias": Problem(K=3, d=6, L=2, lam=0.01, activation="leaky_relu(0.1)", bias=0.0),
    "leaky": Problem(K=5, d=8, L=3, lam=0.005, loss="mse", activation="leaky_relu(0.1)"),
    "cross-entropy": Problem(K=5, d=8, L=3, lam=0.005, activation="relu"),
    "deep": Problem(K=4, d=6, L=5, lam=0.004, loss="mse", activation="relu"),
    "smoothed labels": Problem(K=4, d=6, L=3, lam=0.005, loss="label_smoothing(0.1)", activation="relu"),
    "zero with a bias": Problem(K=3, n=(1, 2, 30), d=5, L=3, lam=0.2, activation="relu", bias=0.0),
    "only zero": Problem(K=3, L=3, lam=0.5, loss="mse", activation="relu"),
    "tiny lam": Problem(K=3, d=5, L=3, lam=1e-5, loss="mse", activation="relu"),
}


def downhill(point, rng=0, count=200, t=1e-6):
    """Least one-sided slope of F along random directions, by differences: negative where F still falls."""
    objective, x = objective_of(point)
    V = np.random.default_rng(rng).standard_normal((count, len(x)))
    V /= np.linalg.norm(V, axis=1)[:, None]
    return min(float(objective.value(x + t * v) - objective.value(x)) / t for v in V)


@pytest.mark.quick(7)
@pytest.mark.parametrize("name", SMALL)
def test_random_starts_end_stationary(name):
    problem = SMALL[name]
    result = minimize(problem, rng=1)
    assert result.success and result.grad_norm <= 1e-12 and "Clarke residual" in result.message
    assert clarke(result.point, 1e-10).residual <= 1e-12
    objective, x = objective_of(result.point)
    assert result.fun == pytest.approx(objective.value(x), rel=1e-12)
    assert identities(result.point).worst <= 1e-8 or np.linalg.norm(x) < 1e-9
    assert downhill(result.point) >= -1e-6


def test_the_slope_test_sees_a_point_that_is_not_stationary():
    result = minimize(SMALL["leaky"], rng=1, max_steps=40)
    assert not result.success and downhill(result.point) < -1e-5


@pytest.mark.quick(1)
@pytest.mark.parametrize("rng", [2, 0])
def test_the_central_problem_of_the_literature_converges(rng):
    result = minimize(CENTRAL, rng=rng)
    assert result.success and result.message.startswith("converged to Clarke residual") and result.space == "reduced"
    assert clarke(result.point, 1e-10).residual <= 1e-12 and identities(result.point).worst < 1e-8
    assert 0.0809 < result.fun < 0.0992  # between the code of K_5 and DNC of one column per class, n = 1


def test_the_finish_never_rises_and_is_the_same_twice():
    problem = SMALL["leaky"]
    objective = FactorObjective(problem, True)
    x = starts.gaussian()(objective, np.random.default_rng(3))
    ends = [kinks.finish_on_kinks(objective, x, 1e-12) for _ in range(2)]
    assert ends[0].fun <= objective.value(x) and np.array_equal(ends[0].x, ends[1].x)


def test_a_stationary_start_is_left_alone_and_a_perturbed_one_comes_back():
    problem = Problem(K=10, L=3, d=10, lam=0.004, loss="mse", activation="relu")
    code = graph_codes.graph_code(problem, complete(5))
    objective, x = objective_of(code)
    end = kinks.finish_on_kinks(objective, x, 1e-12)
    assert end.steps == 0 and np.array_equal(end.x, x)
    moved = x + 1e-4 * np.linalg.norm(x) / np.sqrt(len(x)) * np.random.default_rng(0).standard_normal(len(x))
    back = minimize(problem, objective.point(moved)).require()
    assert back.fun == pytest.approx(end.fun, rel=1e-11)


@pytest.mark.parametrize("name", ["only zero", "zero with a bias"])
def test_what_dies_is_exactly_zero_and_critical(name):
    result = minimize(SMALL[name], rng=1)
    assert not any(A.any() for A in result.point.factors)
    assert classify(result).status == ("local minimum" if SMALL[name].bias is None else "stationary")


def test_a_run_cut_short_says_so():
    result = minimize(SMALL["leaky"], rng=0, max_steps=20)
    assert not result.success and "L-BFGS used its 20 steps; gradient norm" in result.message


def test_a_run_that_cannot_be_finished_says_so(monkeypatch):
    monkeypatch.setattr(kinks, "newton_on_piece", lambda *_: None)
    result = minimize(SMALL["leaky"], rng=1)
    assert not result.success and result.message.startswith("not converged") and "Clarke residual" in result.message
    assert result.grad_norm == pytest.approx(clarke(result.point).residual, rel=1e-6)


def test_a_wrong_newton_is_not_believed(monkeypatch):
    hessian = Gated.hessian
    monkeypatch.setattr(Gated, "hessian", lambda self: 3.0 * hessian(self))
    gradient = Gated.gradient
    monkeypatch.setattr(pieces, "merit_of", lambda here, _: 1e-17)  # Newton believes that every point will do
    assert not minimize(SMALL["leaky"], rng=1).success
    assert Gated.gradient is gradient


@pytest.mark.parametrize("copies", [2, 3])
def test_split_neurons_are_merged_at_equal_value(copies):
    problem = Problem(K=4, d=4, L=3, lam=0.01, loss="mse", activation="relu")
    H, W1, W2, W3 = minimize(problem, rng=0).require().point.factors
    root = np.sqrt(copies)
    wide = replace(problem, d=4 * copies)
    split = (
        np.pad(H, [(0, 4 * (copies - 1)), (0, 0)]),
        np.pad(np.tile(W1, (copies, 1)) / root, [(0, 0), (0, 4 * (copies - 1))]),
    )
    split += (np.tile(W2, (copies, copies)) / copies, np.tile(W3, (1, copies)) / root)
    objective, x = objective_of(FactorPoint(wide, split))
    narrow, y = compression.reduced(objective, x)
    assert max(narrow.widths) <= 4
    assert narrow.value(y) == pytest.approx(objective.value(x), rel=1e-12)
    back, masks = compression.expanded(objective, narrow, y)
    assert objective.value(back) == pytest.approx(objective.value(x), rel=1e-12) and masks is None


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.3])
def test_the_rounded_kink_is_close_and_smooth(slope):
    soft, x, h = activations.smoothed(slope, 0.2), np.linspace(-1, 1, 401), 1e-6
    gap = soft.value(x) - np.maximum(x, slope * x)
    assert np.all(gap >= -1e-15) and np.max(gap) == pytest.approx((1 - slope) * 0.05)
    assert np.allclose((soft.value(x + h) - soft.value(x - h)) / (2 * h), soft.derivative(x), atol=1e-5)
    inside = np.abs(np.abs(x) - 0.2) > 1e-3
    assert np.allclose(
        ((soft.derivative(x + h) - soft.derivative(x - h)) / (2 * h))[inside], soft.second(x)[inside], atol=1e-5
    )


def test_many_starts_are_each_what_minimize_makes_of_them():
    problem = SMALL["leaky"]
    runs = multistart(problem, 3, 0)
    assert all(run.success for run in runs)
    again = minimize(problem, rng=runs.results[2].rng)
    assert again.fun == runs.results[2].fun


def test_samples_end_collapsed_whatever_the_space():
    problem = SMALL["samples"]
    for space in ("reduced", "factors"):
        H = minimize(problem, rng=2, space=space).require().point.factors[0]
        first = H[:, :: problem.n]
        assert np.allclose(H, np.repeat(first, problem.n, axis=1), atol=1e-12 * np.max(np.abs(H)))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "ce"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.1)"])
def test_nine_of_ten_random_problems_converge(loss, activation):
    rng, done = np.random.default_rng(5), 0
    for i in range(10):
        K, L = int(rng.integers(3, 8)), int(rng.integers(2, 5))
        problem = Problem(
            K=K,
            L=L,
            d=K + int(rng.integers(0, 6)),
            lam=float(10 ** rng.uniform(-3, -1.7)),
            loss=loss,
            activation=activation,
        )
        done += minimize(problem, rng=i).success
    assert done >= 9
