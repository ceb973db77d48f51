"""The objective in factor space and in logit space: derivatives, agreement, and twins of one problem."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import optimize

from ufm import structures
from ufm.losses import Loss
from ufm.numerics.spectra import thin_svd
from ufm.objectives import logits, reductions
from ufm.objectives.checks import taylor_check
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Columns, Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import multistart

HUBER = Loss.from_function(lambda Z, Y: anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0), "huber", convex=True)
LINEAR = {
    "plain": Problem(K=3, lam=0.05),
    "deep mse": Problem(K=3, n=2, L=3, lam=0.02, loss="mse"),
    "smoothed": Problem(K=3, L=2, lam=0.02, loss="label_smoothing(0.1)", bias=0.02),
    "focal weights": Problem(K=3, n=2, d=(4, 5), L=2, lam=(0.01, 0.1, 0.03), loss="focal(2)"),
    "imbalanced bias": Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.02, 0.03, 0.01), bias=0.2),
    "free bias": Problem(K=3, n=2, L=1, lam=0.05, loss="mse", bias=0.0),
    "own loss": Problem(K=3, n=(1, 2, 1), L=2, lam=0.02, loss=HUBER),
}
NONLINEAR = {
    "relu": Problem(K=3, n=2, d=4, L=3, lam=0.02, activation="relu"),
    "leaky": Problem(
        K=3, n=2, d=(4, 5), L=2, lam=(0.01, 0.1, 0.03), loss="mse", activation="leaky_relu(0.2)", bias=0.1
    ),
    "tanh": Problem(K=3, n=(1, 2, 2), d=(4, 3, 5), L=3, lam=0.02, loss="focal(2)", activation="tanh", bias=0.0),
    "one layer": Problem(K=3, lam=0.02, activation="relu"),
}
every_problem = pytest.mark.parametrize("problem", [*LINEAR.values(), *NONLINEAR.values()], ids=[*LINEAR, *NONLINEAR])
every_linear = pytest.mark.parametrize("problem", LINEAR.values(), ids=LINEAR)
both_kinds = pytest.mark.parametrize("collapsed", [True, False], ids=["classes", "samples"])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def random_point(problem, collapsed=True, rank=2, seed=0):
    svd = thin_svd(normal(problem.K, problem.K if collapsed else problem.N, seed=seed), rank)
    return LogitPoint(problem, svd.U, svd.s, svd.V, None if problem.bias is None else normal(problem.K))


def generic(objective):
    """A random x; of many, the one whose pre-activations stay farthest from the kinks."""

    def margin(x):
        return min(
            (
                np.abs(W @ H).min()
                for W, H in zip(objective.point(x).factors[1:-1], objective.point(x).layers(), strict=False)
            ),
            default=0,
        )

    return max((normal(objective.size, seed=seed) for seed in range(30)), key=margin)


def slope(f, h=1e-3):
    """f'(0) to O(h^4)."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def curvature(f, h=5e-3):
    """f''(0) to O(h^4)."""
    return (16 * (f(h) + f(-h)) - (f(2 * h) + f(-2 * h)) - 30 * f(0)) / (12 * h**2)


# factor space ----------------------------------------------------------------------------------


@every_problem
@pytest.mark.parametrize("rng", [0, 1])
def test_gradient_and_hessian_in_factor_space_have_the_right_taylor_slopes(problem, rng):
    objective = FactorObjective(problem)
    check = taylor_check(objective.value, objective.grad, generic(objective), objective.hvp, rng=rng)
    assert check.ok, check


@every_problem
@pytest.mark.parametrize("rng", [0, 1, 2])
def test_a_gradient_off_by_one_percent_is_caught(problem, rng):
    objective = FactorObjective(problem)
    check = taylor_check(objective.value, lambda x: 1.01 * objective.grad(x), generic(objective), rng=rng)
    assert check.gradient < 1.8
    assert not check.ok


@every_problem
@pytest.mark.parametrize("rng", [0, 1, 2])
def test_a_hessian_off_by_one_percent_is_caught(problem, rng):
    objective = FactorObjective(problem)
    check = taylor_check(
        objective.value, objective.grad, generic(objective), lambda x, v: 1.01 * objective.hvp(x, v), rng=rng
    )
    assert check.gradient > 1.8
    assert not check.ok


def test_a_quadratic_has_no_remainder_to_measure():
    check = taylor_check(lambda x: 0.5 * x @ x, lambda x: x, np.ones(3), lambda x, v: v, rng=0)
    assert check.hessian == np.inf
    assert check.ok


@every_problem
def test_value_gradient_and_curvature_of_a_batch_are_those_of_a_loop(problem):
    objective = FactorObjective(problem)
    x, v = normal(2, 3, objective.size), normal(2, 3, objective.size, seed=1)
    value, grad = objective.value_grad(x)
    hvp, one_direction = objective.hvp(x, v), objective.hvp(x, v[0, 0])
    many_directions = objective.hvp(x[0, 0], v)
    for i in np.ndindex(2, 3):
        alone = objective.value_grad(x[i])
        np.testing.assert_allclose(value[i], alone[0], rtol=1e-13)
        np.testing.assert_allclose(objective.value(x)[i], alone[0], rtol=1e-13)
        np.testing.assert_allclose(grad[i], alone[1], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(hvp[i], objective.hvp(x[i], v[i]), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(one_direction[i], objective.hvp(x[i], v[0, 0]), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(many_directions[i], objective.hvp(x[0, 0], v[i]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("problem", [LINEAR["smoothed"], NONLINEAR["leaky"], NONLINEAR["tanh"]])
def test_the_dense_hessian_is_symmetric_and_is_the_slope_of_the_gradient(problem):
    objective = FactorObjective(problem)
    x = generic(objective)
    H = objective.hessian(x)
    assert np.array_equal(H, H.T)
    for i in range(0, objective.size, 5):
        e = np.eye(objective.size)[i]
        np.testing.assert_allclose(H[i], slope(lambda t, e=e: objective.grad(x + t * e)), atol=1e-8)


def test_a_dense_hessian_too_large_is_refused_with_its_size():
    objective = FactorObjective(LINEAR["plain"])
    with pytest.raises(ValueError, match=r"limit=17.*18 coordinates"):
        objective.hessian(np.zeros(objective.size), limit=17)


@every_problem
def test_flat_vectors_and_points_are_two_names_of_one_thing(problem):
    objective = FactorObjective(problem)
    x = normal(objective.size)
    again, back = objective_of(objective.point(x))
    assert np.array_equal(back, x)
    assert again == objective
    assert np.array_equal(objective.pack(*objective.unpack(x)), x)


@every_problem
def test_the_mean_over_single_samples_is_the_full_gradient(problem):
    objective = FactorObjective(problem)
    x, N = normal(objective.size), problem.N
    values, grads = zip(*(objective.value_grad(x, weight) for weight in np.eye(N)), strict=True)
    value, grad = objective.value_grad(x)
    assert np.mean(values) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(np.mean(grads, axis=0), grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    "problem", [*LINEAR.values(), NONLINEAR["relu"], NONLINEAR["leaky"]], ids=[*LINEAR, "relu", "leaky"]
)
def test_a_collapsed_objective_is_that_of_equal_samples(problem):
    small = FactorObjective(problem, collapsed=True)
    x = normal(small.size)
    value, grad = small.value_grad(x)
    full, spread = objective_of(small.point(x))
    assert full.value(spread) == pytest.approx(value, rel=1e-13)
    assert np.linalg.norm(full.grad(spread)) == pytest.approx(np.linalg.norm(grad), rel=1e-12)


def test_samples_do_not_merge_under_an_activation_that_is_not_homogeneous():
    problem = Problem(K=3, n=2, L=2, lam=0.02, activation="tanh")
    with pytest.raises(ValueError, match="tanh"):
        FactorObjective(problem, collapsed=True).value(normal(27))


def test_other_targets_than_one_hot_are_fitted():
    problem, draw = Problem(K=3, n=1, L=1, lam=0.01, loss="mse"), np.random.default_rng(0)
    Y = draw.normal(size=(3, 5))
    objective = FactorObjective(problem, columns=Columns(Y, np.full(5, 0.2), np.ones(5), np.ones(5, int)))
    x = draw.normal(size=objective.size)
    s = np.linalg.svd(Y, compute_uv=False)
    kept = np.maximum(s - 5 * 0.01, 0.0)  # singular values shrink by N Lam at D = 2
    best = 0.1 * np.sum((s - kept) ** 2) + 0.01 * np.sum(kept)
    end = optimize.minimize(
        objective.value,
        x,
        jac=objective.grad,
        method="L-BFGS-B",
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10},
    )
    assert end.fun == pytest.approx(best, rel=1e-9)
    with pytest.raises(ValueError, match=r"columns.Y must have K=3 rows; got shape \(2, 5\)"):
        FactorObjective(problem, columns=Columns(Y[:2], np.full(5, 0.2), np.ones(5), np.ones(5, int)))


@pytest.mark.parametrize("problem", [LINEAR["deep mse"], LINEAR["imbalanced bias"]])
def test_a_lift_into_flat_vectors_keeps_the_value(problem):
    point = random_point(problem)
    for objective in (
        FactorObjective(problem),
        FactorObjective(problem, True),
        FactorObjective(problem, True, (3,) * problem.L),
    ):
        x = objective.lift(point)
        assert objective.value(x) == pytest.approx(logits.value(point), rel=1e-13)
        np.testing.assert_allclose(objective.to_logits(x, rank=2).s, point.s, rtol=1e-12)


def test_a_lift_that_does_not_fit_is_refused():
    problem = LINEAR["deep mse"]
    with pytest.raises(ValueError, match=r"rank 2.*widths=\(1, 1, 1\)"):
        FactorObjective(problem, widths=(1, 1, 1)).lift(random_point(problem))
    with pytest.raises(ValueError, match="within-class collapsed"):
        FactorObjective(problem, collapsed=True).lift(random_point(problem, collapsed=False))
    with pytest.raises(ValueError, match=r"widths \(4, 4, 4\).*\(3, 3, 3\)"):
        FactorObjective(problem, widths=(4, 4, 4)).point(np.zeros(FactorObjective(problem, widths=(4, 4, 4)).size))


# logit space -----------------------------------------------------------------------------------


@every_linear
@both_kinds
def test_gradient_norm_on_the_stratum_is_that_of_the_lifted_factors(problem, collapsed):
    for seed in range(3):
        point = random_point(problem, collapsed, rank=1 + seed, seed=seed)
        objective, x = objective_of(point.lift([8] * problem.L, rng=seed))
        assert Stratum(point).grad_norm == pytest.approx(np.linalg.norm(objective.grad(x)), rel=1e-12)


@every_linear
@both_kinds
def test_the_value_in_logit_space_is_that_of_the_lift(problem, collapsed):
    point = random_point(problem, collapsed)
    objective, x = objective_of(point.lift(rng=0))
    assert logits.value(point) == Stratum(point).fun == pytest.approx(objective.value(x), rel=1e-13)


@every_linear
def test_no_factors_of_a_product_cost_less_than_its_logit_value(problem):
    objective = FactorObjective(problem)
    x = normal(objective.size)
    assert logits.value(objective.to_logits(x, collapse=False)) < objective.value(x)


@every_linear
@both_kinds
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_hessian_of_the_stratum_times_a_vector(problem, collapsed, rank):
    stratum = Stratum(random_point(problem, collapsed, rank))
    H, v = stratum.hessian(), normal(stratum.size, seed=1)
    assert H.shape == (stratum.size, stratum.size)
    np.testing.assert_allclose(H, H.T, rtol=0, atol=1e-15)
    np.testing.assert_allclose(stratum.hvp(v), H @ v, rtol=1e-12, atol=1e-13)


@every_linear
@both_kinds
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_slope_and_curvature_along_curves_of_one_rank(problem, collapsed, rank):
    point = random_point(problem, collapsed, rank)
    stratum = Stratum(replace(point, s=1 + point.s))
    v = normal(stratum.size, seed=1)
    v /= np.linalg.norm(v)

    def along(t):
        return logits.value(stratum.retract(t * v))

    assert stratum.gradient() @ v == pytest.approx(slope(along), abs=1e-9)
    assert v @ stratum.hvp(v) == pytest.approx(curvature(along), abs=1e-7)


def critical_points():
    deep = Problem(K=4, n=2, L=2, lam=0.004)
    yield "dnc", structures.dnc(deep)
    yield "dnc, all samples", structures.dnc(deep).lift().to_logits(collapse=False)
    yield "pairs", structures.pairs(deep)
    yield "plain", structures.dnc(Problem(K=4, lam=0.05))
    uneven = Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.01, 0.03, 0.01), bias=0.2)
    yield "minimum found", multistart(uneven, starts=3, rng=0).best.point


@pytest.mark.parametrize("name", [name for name, _ in critical_points()])
def test_at_critical_points_the_slope_vanishes_and_the_curvature_is_the_hessian(name):
    point = dict(critical_points())[name]
    stratum = Stratum(point)
    assert point.rank > 0
    assert stratum.grad_norm < 1e-12
    objective, x = objective_of(point.lift(rng=0))
    assert np.linalg.norm(objective.grad(x)) < 1e-12
    for seed in range(3):
        v = normal(stratum.size, seed=seed)
        v *= point.s[-1] / np.linalg.norm(v)
        second = curvature(lambda t, v=v: logits.value(stratum.retract(t * v)))
        assert v @ stratum.hessian() @ v == pytest.approx(second, abs=2e-8)


@every_linear
@both_kinds
def test_scaled_coordinates_measure_the_motion_of_factors(problem, collapsed):
    stratum = Stratum(random_point(replace(problem, lam=problem.Lam), collapsed))
    assert np.linalg.norm(stratum.scale * stratum.gradient()) == pytest.approx(stratum.grad_norm, rel=1e-12)


@both_kinds
def test_ambient_motion_keeps_the_length_of_flat_coordinates(collapsed):
    stratum = Stratum(random_point(LINEAR["imbalanced bias"], collapsed))
    v = normal(stratum.size)
    dZ, db = stratum.ambient(v)
    assert np.sum(dZ**2) + np.sum(db**2) == pytest.approx(v @ v, rel=1e-13)


def test_logit_space_is_for_linear_models():
    point = LogitPoint(NONLINEAR["relu"], np.eye(3, 1), [1.0], np.eye(3, 1))
    for use in (logits.value, Stratum):
        with pytest.raises(ValueError, match=r"linear model.*'relu'"):
            use(point)


def test_a_dense_stratum_hessian_too_large_is_refused_with_its_size():
    with pytest.raises(ValueError, match=r"limit=7.*8 dimensions"):
        Stratum(random_point(LINEAR["plain"])).hessian(limit=7)


# twins -----------------------------------------------------------------------------------------

REDUCTIONS = {
    "samples": (reductions.samples, Problem(K=3, n=4, d=(4, 5), L=2, lam=(0.01, 0.02, 0.03), bias=0.1)),
    "samples, relu": (reductions.samples, Problem(K=3, n=2, L=3, lam=0.01, activation="relu", loss="mse")),
    "samples, tanh": (reductions.samples, Problem(K=3, n=2, L=2, lam=0.01, activation="tanh")),
    "width": (reductions.width, Problem(K=3, n=2, d=(8, 2, 9), L=3, lam=(0.01, 0.02, 0.03, 0.01))),
    "weights": (reductions.weights, Problem(K=3, n=(1, 2, 2), L=2, lam=(0.01, 0.1, 0.03), bias=0.1)),
    "weights, leaky": (
        reductions.weights,
        Problem(K=3, n=2, d=4, L=2, lam=(0.01, 0.1, 0.03), activation="leaky_relu(0.3)"),
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduced_problem_has_the_value_of_the_point_lifted_back(name):
    reduction, problem = REDUCTIONS[name]
    small = FactorObjective(reduction.apply(problem))
    assert small.problem != problem
    x = normal(small.size)
    full, lifted = objective_of(reduction.lift(problem, small.point(x)))
    assert full.problem == problem
    assert full.value(lifted) == pytest.approx(small.value(x), rel=1e-12)


@pytest.mark.parametrize("name", ["samples", "width", "weights"])
def test_a_minimum_of_the_reduced_problem_lifts_to_a_minimum(name):
    reduction, problem = REDUCTIONS[name]
    found = minimize(reduction.apply(problem), rng=0, space="factors").require()
    full, lifted = objective_of(reduction.lift(problem, found.point))
    assert found.logit_point().rank > 0
    assert full.value(lifted) == pytest.approx(found.fun, rel=1e-12)
    assert np.linalg.norm(full.grad(lifted)) < 1e-11


@pytest.mark.parametrize(
    ("reduction", "problem", "reason"),
    [
        (reductions.samples, Problem(K=3, n=(1, 2, 2), lam=0.1), "samples.*counts differ.*(1, 2, 2)"),
        (reductions.width, Problem(K=3, L=2, lam=0.1, activation="relu"), "width.*linear.*'relu'"),
        (reductions.weights, Problem(K=3, lam=0.1, activation="tanh"), "weights.*'tanh'"),
    ],
)
def test_a_reduction_that_does_not_apply_says_why(reduction, problem, reason):
    assert reduction.refuses(problem)
    with pytest.raises(ValueError, match=reason):
        reduction.apply(problem)


def test_a_reduction_lifts_only_its_own_points():
    reduction, problem = REDUCTIONS["samples"]
    stranger = replace(reduction.apply(problem), bias=0.2)
    with pytest.raises(ValueError, match="another problem than samples"):
        reduction.lift(problem, FactorPoint(stranger, tuple(np.zeros(s) for s in stranger.shapes())))


@pytest.mark.parametrize("twin", [{"d": 8}, {"d": (3, 9)}, {"lam": (0.02, 0.005, 0.01)}, {"lam": (0.0025, 0.02, 0.02)}])
def test_extra_width_and_reshuffled_weights_change_nothing_that_the_loss_sees(twin):
    problem = Problem(K=3, n=2, L=2, lam=0.01, bias=0.1)
    point = random_point(problem)
    other = replace(point, problem=replace(problem, **twin))
    assert logits.value(other) == pytest.approx(logits.value(point), rel=1e-14)
    np.testing.assert_allclose(Stratum(other).hessian(), Stratum(point).hessian(), rtol=1e-13, atol=1e-15)


@every_linear
def test_renaming_the_classes_renames_the_point(problem):
    p = np.array([2, 0, 1])
    point, counts = random_point(problem), problem.counts[p]
    b = None if point.b is None else point.b[p]
    renamed = LogitPoint(replace(problem, n=counts), point.U[p], point.s, point.right[p], b)
    assert logits.value(renamed) == pytest.approx(logits.value(point), rel=1e-14)
    assert Stratum(renamed).grad_norm == pytest.approx(Stratum(point).grad_norm, rel=1e-12)
    spectra = [np.linalg.eigvalsh(Stratum(one).hessian()) for one in (renamed, point)]
    np.testing.assert_allclose(*spectra, atol=1e-13)


def test_n_samples_are_one_sample_with_a_heavier_feature():
    problem = Problem(K=3, n=4, L=2, lam=0.01)
    point = random_point(problem)
    twin = LogitPoint(reductions.samples.apply(problem), point.U, point.s / 2, point.right)
    spread = point.lift().to_logits(rank=2, collapse=False)
    assert logits.value(twin) == pytest.approx(logits.value(point), rel=1e-13)
    assert logits.value(spread) == pytest.approx(logits.value(point), rel=1e-13)
    np.testing.assert_allclose(Stratum(twin).hessian(), 4 * Stratum(point).hessian(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("K, n, d, wd", [(3, 2, 4, 1e-2), (7, 1, 5, 3e-4), (2, 5, 3, 0.2)])
def test_the_mean_squared_error_of_other_libraries_is_two_over_K_times_ours(K, n, d, wd):
    """Mean of |Z - Y|^2 over all K N entries and wd times every weight: our gradient with lam = (K/2) wd, times 2/K; so
    is a step of descent."""
    rng = np.random.default_rng(K)
    H, W = rng.standard_normal((d, K * n)), rng.standard_normal((K, d))
    problem = Problem(K=K, n=n, d=d, lam=0.5 * K * wd, loss="mse")
    objective = FactorObjective(problem)
    E = W @ H - problem.samples.Y
    theirs = np.concatenate([(2 / E.size * W.T @ E + wd * H).ravel(), (2 / E.size * E @ H.T + wd * W).ravel()])
    value, ours = objective.value_grad(objective.pack([H, W]))
    np.testing.assert_allclose(2 / K * ours, theirs, rtol=1e-12, atol=1e-15)
    assert 2 / K * value == pytest.approx(np.mean(E**2) + 0.5 * wd * (np.sum(H**2) + np.sum(W**2)), rel=1e-13)


def test_the_mean_squared_error_of_torch_is_two_over_K_times_ours():
    torch = pytest.importorskip("torch")
    problem = Problem(K=3, n=2, d=4, lam=1.5 * 1e-2, loss="mse")
    objective, rng = FactorObjective(problem), np.random.default_rng(0)
    x = rng.standard_normal(objective.size)
    H, W = (torch.tensor(A, requires_grad=True) for A in objective.unpack(x)[0])
    step = torch.optim.SGD([H, W], lr=0.1, weight_decay=1e-2)
    torch.nn.MSELoss()((W @ H).T, torch.tensor(problem.samples.Y.T)).backward()
    step.step()
    after = objective.pack([A.detach().numpy() for A in (H, W)])
    np.testing.assert_allclose(after, x - 2 / 3 * 0.1 * objective.value_grad(x)[1], rtol=1e-12)
