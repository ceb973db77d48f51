"""The objective in layer means against the one in factors."""

from dataclasses import replace

import numpy as np
import pytest

from ufm.objectives.factors import objective_of, value
from ufm.objectives.layers import LayerObjective
from ufm.points import FactorPoint
from ufm.problem import Problem

CASES = range(36)


def draw_problem(seed):
    rng = np.random.default_rng(seed)
    L, K = int(rng.integers(2, 7)), int(rng.integers(2, 6))
    d = tuple(int(w) for w in rng.integers(K, K + 5, L))
    n = (1, 3, tuple(int(c) for c in rng.integers(1, 5, K)))[seed % 3]
    loss = ("mse", "ce", "label_smoothing(0.1)")[int(rng.integers(3))]
    problem = Problem(
        K=K,
        n=n,
        d=d,
        L=L,
        lam=tuple(10 ** rng.uniform(-3, -0.5, L + 1)),
        loss=loss,
        activation=("relu", "leaky_relu(0.2)")[seed % 2],
    )
    return problem, rng


def draw_point(problem, rng):
    H, *W = (rng.standard_normal(shape) for shape in problem.shapes(problem.K))
    return FactorPoint(problem, (H[:, problem.labels], *W))


@pytest.mark.parametrize("seed", CASES)
def test_explicit_factors_have_the_reduced_value_and_no_others_with_these_means_a_lower_one(seed):
    problem, rng = draw_problem(seed)
    objective, point = LayerObjective(problem), draw_point(*draw_problem(seed))
    means = objective.means(point)
    best = objective.factors(means)
    assert value(best) == pytest.approx(objective.value(means), rel=1e-13)
    for M, again in zip(means, objective.means(best), strict=True):
        assert np.allclose(M, again, atol=1e-9 * np.max(np.abs(M)))
    assert objective.value(means) < value(point)
    H, W, *rest = best.factors  # another split of W_1 H_1 and another last weight only cost
    assert value(FactorPoint(problem, (1.01 * H, W / 1.01, *rest))) > value(best)
    assert value(FactorPoint(problem, (*best.factors[:-1], 1.01 * best.factors[-1]))) > value(best)


@pytest.mark.parametrize("seed", CASES)
def test_the_last_weight_is_the_minimiser(seed):
    problem, rng = draw_problem(seed)
    objective = LayerObjective(problem)
    best = objective.factors(objective.means(draw_point(problem, rng)))
    F, x = objective_of(best)
    grad = F.unpack(F.grad(x))[0]
    assert np.linalg.norm(grad[-1]) <= 1e-11 * max(1.0, np.linalg.norm(F.unpack(F.ridge * x)[0][-1]))


@pytest.mark.parametrize("seed", CASES)
def test_balanced_means_share_the_cost_equally_and_lower_it(seed):
    problem, rng = draw_problem(seed)
    objective = LayerObjective(problem)
    means = objective.means(draw_point(problem, rng))
    even = objective.balanced(means)
    costs = [lam * np.sum(A**2) for lam, A in zip(problem.lams, objective.factors(even).factors, strict=True)][:-1]
    assert np.ptp(costs) <= 1e-10 * costs[0]
    assert objective.value(even) <= objective.value(means) * (1 + 1e-13)
    assert np.array_equal(even[-1], means[-1])
    for c in (0.9, 1.1):
        if problem.L > 2:
            assert objective.value([c * even[0], *even[1:]]) > objective.value(even)


@pytest.mark.parametrize("n", [2, 5])
def test_samples_act_through_n_lam_0(n):
    problem, rng = draw_problem(6)
    many = replace(problem, n=n)
    one = replace(problem, n=1, lam=(n * problem.lams[0], *problem.lams[1:]))
    means = LayerObjective(many).means(draw_point(many, rng))
    assert LayerObjective(many).value(means) == pytest.approx(LayerObjective(one).value(means), rel=1e-13)


def test_the_dnc_branch_of_mse_is_its_closed_form():
    K, L, lam = 5, 4, 0.004
    objective = LayerObjective(Problem(K=K, L=L, lam=lam, loss="mse", activation="relu"))
    kappa = K * lam
    z = _root(kappa, L)
    t = (z * z * lam ** (L + 1)) ** (1 / (L + 1)) / lam
    means = [t ** (l / 2) * np.eye(K) for l in range(2, L + 1)]
    assert objective.value(means) == pytest.approx(
        0.5 * (1 - z) ** 2 + 0.5 * (L + 1) * kappa * z ** (2 / (L + 1)), rel=1e-13
    )


def _root(kappa, L):
    z = 1.0
    for _ in range(200):
        z = 1 - kappa * z ** (-(L - 1) / (L + 1))
    return z


def test_means_that_no_weight_connects_are_infinite_and_refused():
    objective = LayerObjective(Problem(K=3, d=4, L=3, lam=0.1, loss="mse", activation="relu"))
    means = [np.vstack([np.ones((1, 3)), np.zeros((3, 3))]), np.eye(4, 3)]
    assert objective.value(means) == np.inf
    with pytest.raises(ValueError, match="no weights between"):
        objective.factors(means)
    zero = [np.zeros((4, 3))] * 2
    assert objective.value(zero) == pytest.approx(0.5) and value(objective.factors(zero)) == pytest.approx(0.5)
    assert objective.balanced(zero)[0].tolist() == zero[0].tolist()


@pytest.mark.parametrize(
    ("change", "match"),
    [({"L": 1}, "L=1"), ({"bias": 0.1}, "bias=0.1"), ({"activation": "tanh"}, "tanh"), ({"loss": "focal(2)"}, "focal")],
)
def test_what_it_is_not_for_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        LayerObjective(replace(Problem(K=3, L=3, lam=0.1, loss="mse", activation="relu"), **change))


def test_wrong_means_and_narrow_features_are_refused():
    objective = LayerObjective(Problem(K=3, d=(2, 4), L=2, lam=0.1, loss="mse", activation="relu"))
    with pytest.raises(ValueError, match="means must be"):
        objective.value([])
    with pytest.raises(ValueError, match=r"M_2 must have shape \(4, 3\)"):
        objective.value([np.eye(3)])
    with pytest.raises(ValueError, match=r"d_1 must be at least the rank 3.*d_1=2"):
        objective.factors([np.eye(4, 3)])
