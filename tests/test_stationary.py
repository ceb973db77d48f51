"""Success needs a gradient that is small against the ridge's own; near zero, where both vanish, Newton's way to zero
decides."""

import numpy as np
import pytest

from ufm import Problem, basins, minimize, multistart
from ufm.objectives.factors import objective_of
from ufm.objectives.stationary import GRADIENT, asked, is_zero
from ufm.points import FactorPoint
from ufm.solvers.batch import run_batch


@pytest.mark.parametrize("lam", [1e-13, 1e-18])
def test_success_at_tiny_lam_is_the_minimum(lam):
    problem = Problem(K=6, L=3, lam=lam)
    runs = [
        minimize(problem, rng=0),
        *multistart(problem, 2, rng=0),
        *multistart(problem, 2, rng=1, method="gd", steps=50),
    ]
    lowest = min(run.fun for run in runs)
    assert runs[0].success and lowest / lam == pytest.approx(
        {1e-13: 48.4547645505, 1e-18: 56.46198515408}[lam], rel=1e-10
    )
    for run in runs:
        assert not run.success or run.fun <= lowest * (1 + 1e-9)
        assert run.success == (run.grad_norm <= run.asked) and run.asked <= 1e-12
    assert "of the ridge's own" in runs[-1].message or "used its" in runs[-1].message
    for end in basins(problem, 2, rng=0):  # minima all, of which pairs is the lowest
        assert end.fun <= 1.2 * lowest


@pytest.mark.parametrize("method", ["gd", "flow", "lbfgs", "newton"])
def test_what_success_asks_for_in_every_solver(method):
    problem = Problem(K=3, L=1, lam=1e-9)
    short = {"gd": {"steps": 5}, "flow": {"time": 5.0}, "lbfgs": {"max_steps": 3}, "newton": {"max_steps": 1}}[method]
    run = minimize(problem, method=method, rng=0, tol=1.0, **short)
    assert not run.success and run.grad_norm <= 1.0 and "of the ridge's own" in run.message
    assert run.asked == pytest.approx(GRADIENT * 1e-9 * np.sqrt(2 * np.sum(run.logit_point().s)), rel=0.5)


def test_one_number_says_what_is_asked():
    assert np.allclose(asked(1e-12, np.array([1.0, 1e-9, 0.0])), [1e-12, 1e-15, 1e-12])
    batch = run_batch(Problem(K=3, L=1, lam=1e-9), 3, 0, "gd", steps=5, tol=1.0)
    assert not batch.success.any() and all(run.asked == batch.asked[j] for j, run in enumerate(batch))


@pytest.mark.parametrize(
    "problem",
    [
        Problem(K=3, L=2, lam=0.5),
        Problem(K=4, n=2, d=6, L=1, lam=0.4),
        Problem(K=3, L=2, lam=0.5, bias=0.3, n=(1, 2, 3)),
        Problem(K=2, L=3, lam=0.5, activation="tanh"),
    ],
)
def test_runs_that_die_are_zero(problem):
    for method in ("gd", "lbfgs"):
        for run in (minimize(problem, method=method, rng=1), *multistart(problem, 2, rng=1, method=method)):
            assert run.success and run.grad_norm <= 1e-12, run.message
            if isinstance(run.point, FactorPoint):
                assert is_zero(*objective_of(run.point))


def test_small_factors_are_not_zero_where_the_fit_pulls():
    tiny = Problem(K=3, L=2, lam=1e-12)
    point = FactorPoint(tiny, tuple(1e-9 * np.eye(3) for _ in range(3)))
    assert not is_zero(*objective_of(point))  # the ridge's basin of zero is smaller still
    assert is_zero(*objective_of(FactorPoint(Problem(K=3, L=2, lam=0.1), point.factors)))
