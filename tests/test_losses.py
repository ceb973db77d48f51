"""Losses against formulas written a second time here, and activations against their promises."""

import re
from pathlib import Path

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from ufm.activations import Activation, activation
from ufm.certificates.certify import certify
from ufm.landscapes.compare import compare
from ufm.losses import CrossEntropy, Focal, Loss, loss
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives.logits import Stratum, value
from ufm.problem import Problem
from ufm.structures.dnc import dnc

ROOT = Path(__file__).parent.parent
K, N = 4, 6
Y = np.eye(K)[:, [0, 1, 2, 3, 0, 2]]


def normal(*shape, seed=0):
    return generator(seed_sequence(seed)).standard_normal(shape)


def log_p(Z):
    return Z - anp.log(anp.sum(anp.exp(Z), axis=0))


def smoothed(delta):
    return lambda Z, Y: -anp.sum(((1 - delta) * Y + delta / len(Y)) * log_p(Z), axis=0)


def focal(gamma):
    def formula(Z, Y):
        q = anp.sum(Y * log_p(Z), axis=0)
        return -((1 - anp.exp(q)) ** gamma) * q

    return formula


def pseudo_huber(Z, Y):
    return anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0)


FORMULAS = {
    "ce": smoothed(0.0),
    "mse": lambda Z, Y: anp.sum((Z - Y) ** 2, axis=0) / 2,
    "label_smoothing(0.1)": smoothed(0.1),
    "focal(0)": focal(0.0),
    "focal(0.5)": focal(0.5),
    "focal(1)": focal(1.0),
    "focal(2)": focal(2.0),
    "focal(3.5)": focal(3.5),
    "huber": pseudo_huber,
}
SOFTMAX = [name for name in FORMULAS if name not in ("mse", "huber")]


def named(name):
    return Loss.from_function(pseudo_huber, "huber", convex=True) if name == "huber" else loss(name)


every_loss = pytest.mark.parametrize("name", FORMULAS)


@every_loss
def test_value_gradient_and_hessian_are_those_of_the_formula(name):
    Z, V, formula = 2 * normal(K, N), normal(K, N, seed=1), FORMULAS[name]
    gradient = autograd.grad(lambda Z: anp.sum(formula(Z, Y)))
    np.testing.assert_allclose(named(name).value(Z, Y), formula(Z, Y), rtol=1e-12)
    np.testing.assert_allclose(named(name).grad(Z, Y), gradient(Z), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(named(name).hvp(Z, Y, V), autograd.make_jvp(gradient)(Z)(V)[1], rtol=1e-10, atol=1e-13)


@every_loss
def test_value_and_gradient_together_are_value_and_gradient(name):
    Z = 5 * normal(2, K, N)
    value, grad = named(name).value_grad(Z, Y)
    np.testing.assert_allclose(value, named(name).value(Z, Y), rtol=1e-15)
    np.testing.assert_allclose(grad, named(name).grad(Z, Y), rtol=1e-14)


@every_loss
def test_a_batch_is_a_loop(name):
    l, Z, V = named(name), normal(3, 2, K, N), normal(3, 2, K, N, seed=1)
    value, grad, hvp = l.value(Z, Y), l.grad(Z, Y), l.hvp(Z, Y, V)
    assert value.shape == (3, 2, N)
    for i in np.ndindex(3, 2):
        np.testing.assert_allclose(value[i], l.value(Z[i], Y), rtol=1e-14)
        np.testing.assert_allclose(grad[i], l.grad(Z[i], Y), rtol=1e-14, atol=1e-16)
        np.testing.assert_allclose(hvp[i], l.hvp(Z[i], Y, V[i]), rtol=1e-13, atol=1e-15)


@every_loss
def test_one_point_takes_a_batch_of_directions(name):
    l, Z, V = named(name), normal(K, N), normal(3, K, N, seed=1)
    for batched, direction in zip(l.hvp(Z, Y, V), V, strict=True):
        np.testing.assert_allclose(batched, l.hvp(Z, Y, direction), rtol=1e-13, atol=1e-15)


@every_loss
def test_column_hessians_are_symmetric_and_act_as_the_hessian_vector_product(name):
    Z, V = normal(K, N), normal(K, N, seed=1)
    H = named(name).hessians(Z, Y)
    assert H.shape == (N, K, K)
    np.testing.assert_allclose(H, np.swapaxes(H, 1, 2), atol=1e-15)
    np.testing.assert_allclose(np.einsum("jab,bj->aj", H, V), named(name).hvp(Z, Y, V), rtol=1e-12, atol=1e-14)


@every_loss
def test_convexity_is_claimed_where_no_hessian_has_a_negative_eigenvalue(name):
    Z, labels = 3 * normal(K, 400), np.eye(K)[:, np.arange(400) % K]
    lowest = np.linalg.eigvalsh(named(name).hessians(Z, labels)).min()
    assert named(name).convex == (lowest > -1e-12)


@every_loss
def test_shift_invariance_is_claimed_where_it_holds(name):
    Z = normal(K, N)
    same = np.allclose(named(name).value(Z + 3.0, Y), named(name).value(Z, Y), rtol=1e-12)
    assert named(name).shift_invariant == same


@pytest.mark.parametrize("name", SOFTMAX)
def test_logits_of_ten_thousand_neither_overflow_nor_warn(name):
    Z, labels = np.repeat([[1e4], [0.0], [-1e4]], 3, axis=1), np.eye(3)
    l, delta = named(name), named(name).smoothing or 0.0
    with np.errstate(all="raise", under="ignore"):
        value, grad = l.value_grad(Z, labels)
        np.testing.assert_allclose(value, np.array([0, 1e4, 2e4]) + delta * np.array([1e4, 0, -1e4]), rtol=1e-15)
        np.testing.assert_allclose(l.value(Z, labels), value, rtol=1e-15)
        expected = np.array([[1.0], [0], [0]]) - labels + delta * (labels - 1 / 3)
        np.testing.assert_allclose(grad, expected, atol=1e-16)
        np.testing.assert_allclose(l.grad(Z, labels), expected, atol=1e-16)
        assert not l.hvp(Z, labels, normal(3, 3)).any()


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_a_column_almost_fitted_keeps_all_its_digits(gamma):
    z, y = np.array([[2.0], [-28.5], [-29.0], [-28.1]]), np.eye(4)[:, :1]
    others = np.exp(z[1:, 0] - 2.0)  # u = 1 - p_y is about 2e-13
    u, nll = others.sum() / (1 + others.sum()), np.log1p(others.sum())
    pull = u**gamma * (1 - gamma * (1 - u) / u * -nll) if gamma else 1.0
    expected = pull * np.array([-u, *(others / (1 + others.sum()))])
    value, grad = Focal(gamma).value_grad(z, y)
    np.testing.assert_allclose(value, u**gamma * nll, rtol=1e-14)
    np.testing.assert_allclose(grad[:, 0], expected, rtol=1e-14)


def test_cross_entropy_curvature_of_a_fitted_column_keeps_its_digits():
    z, y = np.array([[2.0], [-28.5], [-29.0], [-28.1]]), np.eye(4)[:, :1]
    others = np.exp(z[1:, 0] - 2.0)
    p, total = others / (1 + others.sum()), 1 + others.sum()
    expected = np.vstack(
        [
            np.append(others.sum(), -others) / total**2,
            np.column_stack([-others / total**2, np.diag(p) - np.outer(p, p)]),
        ]
    )
    for found in (loss("ce").hessians(z, y)[0], loss("focal(0)").hessians(z, y)[0]):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("name", [*SOFTMAX, "focal(0.1)"])
def test_a_perfect_column_costs_nothing_and_pulls_nothing(name):
    Z, labels = np.diag([800.0, 800.0]), np.eye(2)
    plain = Focal(loss(name).gamma) if name.startswith("focal") else CrossEntropy()
    assert not plain.value(Z, labels).any()
    assert not plain.grad(Z, labels).any()
    assert not plain.hvp(Z, labels, normal(2, 2)).any()


@pytest.mark.parametrize("part", ["value", "grad"])
def test_focal_loss_without_focus_is_cross_entropy(part):
    Z = normal(K, N)
    assert np.allclose(getattr(loss("focal(0)"), part)(Z, Y), getattr(loss("ce"), part)(Z, Y), rtol=1e-15)
    assert loss("label_smoothing(0)") == loss("ce")


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_stays_finite_where_the_label_is_certain(gamma):
    Z, Y = np.array([[800.0, 0.0], [0.0, 700.0]]), np.eye(2)
    for found in (Focal(gamma).value(Z, Y), Focal(gamma).grad(Z, Y), Focal(gamma).hvp(Z, Y, np.ones((2, 2)))):
        assert np.all(np.isfinite(found)) and np.max(np.abs(found)) < 1e-100


def test_a_piecewise_linear_loss_of_the_users_own_has_no_curvature():
    hinge = Loss.from_function(
        lambda Z, Y: anp.sum(anp.maximum(0.0, 1 + (1 - 2 * Y) * Z), axis=0), "hinge", convex=True
    )
    assert not hinge.hvp(normal(K, N), Y, normal(K, N, seed=1)).any()


def test_a_loss_of_the_users_own_that_mixes_columns_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'total'.*one number per column"):
        Loss.from_function(lambda Z, Y: anp.sum((Z - Y) ** 2), "total").value(normal(K, N), Y)


def test_defaults_and_names():
    assert loss("focal") == Focal(2.0)
    assert loss("label_smoothing") == CrossEntropy(0.1)
    assert [loss(name).name for name in ("ce", "mse", "label_smoothing(0.1)", " focal( 3 ) ")] == [
        "ce",
        "mse",
        "label_smoothing(0.1)",
        "focal(3)",
    ]
    assert loss(Focal(1.5)) == loss("focal(1.5)")


@pytest.mark.parametrize("gamma", [1 / 3, 2 + 1e-9])
def test_the_name_of_a_loss_names_it_exactly(gamma):
    assert loss(Focal(gamma).name) == Focal(gamma)
    assert loss(CrossEntropy(gamma / 4).name) == CrossEntropy(gamma / 4)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("focl", "Did you mean 'focal'"),
        ("label_smooth(0.1)", "Did you mean 'label_smoothing'"),
        ("hinge", "ce, focal, label_smoothing, mse"),
        ("focal(-1)", "gamma=-1.0"),
        ("focal(two)", "two"),
        ("focal(nan)", "gamma=nan"),
        ("label_smoothing(1)", "smoothing=1.0"),
        ("label_smoothing(-0.1)", "smoothing=-0.1"),
        ("mse(2)", "mse\\(2\\)"),
        ("ce(0.1)", "ce\\(0.1\\)"),
        ("ce)", "loss='ce\\)'"),
        ("", "loss=''"),
        (None, "loss=None"),
        (2, "loss=2"),
        (np.tanh, "ufunc"),
    ],
)
def test_what_is_no_loss_is_refused_with_the_nearest_name(spec, said):
    with pytest.raises(ValueError, match=said):
        loss(spec)


# activations -----------------------------------------------------------------------------------

SOFTPLUS = Activation.from_function(lambda x: anp.log1p(anp.exp(x)), "softplus")
CUBE = Activation.from_function(lambda x: x**3, "cube")
ACTIVATIONS = ["linear", "relu", "leaky_relu", "leaky_relu(0.2)", "leaky_relu(0)", "tanh", SOFTPLUS, CUBE]
every_activation = pytest.mark.parametrize("spec", ACTIVATIONS)
X = np.array([[-2.0, -0.3, 0.7], [1.5, 0.1, -1.1]])


@every_activation
def test_derivatives_of_activations_are_slopes(spec):
    sigma, h = activation(spec), 1e-5
    np.testing.assert_allclose(sigma.derivative(X), (sigma.value(X + h) - sigma.value(X - h)) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(
        sigma.second(X), (sigma.derivative(X + h) - sigma.derivative(X - h)) / (2 * h), atol=1e-8
    )


@every_activation
def test_activations_keep_their_promises(spec):
    sigma = activation(spec)
    assert sigma.homogeneous == np.allclose(sigma.value(3 * X), 3 * sigma.value(X), rtol=1e-12)
    assert sigma.linear == np.allclose(sigma.value(X), sigma.value(1.0) * X)
    step = float(sigma.derivative(np.array([1e-9]))[0] - sigma.derivative(np.array([-1e-9]))[0])
    assert sigma.smooth == (abs(step) < 1e-6)


def test_relu_is_flat_at_its_kink():
    assert activation("relu").derivative(np.zeros(1)) == 0


def test_leaky_relu_with_slope_zero_is_relu():
    assert np.array_equal(activation("leaky_relu(0)").value(X), activation("relu").value(X))


@pytest.mark.parametrize("spec", ["linear", "relu", "leaky_relu", "leaky_relu(0.2)", f"leaky_relu({1 / 3!r})", "tanh"])
def test_the_name_of_an_activation_names_it_exactly(spec):
    assert activation(activation(spec).name) == activation(spec)


def test_a_piecewise_linear_activation_of_the_users_own_has_no_curvature():
    assert (
        not Activation.from_function(lambda x: anp.maximum(x, 0.0), "mine", homogeneous=True, smooth=False)
        .second(X)
        .any()
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("rellu", "Did you mean 'relu'"),
        ("tan", "Did you mean 'tanh'"),
        ("leaky_relu(x)", "leaky_relu\\(x\\)"),
        ("leaky_relu(1)", "slope=1"),
        ("leaky_relu(-0.1)", "slope=-0.1"),
        ("relu(2)", "relu\\(2\\)"),
        (None, "activation=None"),
        (np.tanh, "ufunc"),
    ],
)
def test_what_is_no_activation_is_refused_with_the_nearest_name(spec, said):
    with pytest.raises(ValueError, match=said):
        activation(spec)


# What a loss or an activation does decides, never what it is called

HUBER = Loss.from_function(pseudo_huber, "pseudo-huber", convex=True)
LOGISTIC = Loss.from_function(
    lambda Z, Y: anp.sum(anp.log1p(anp.exp((1 - 2 * Y) * Z)), axis=0), "logistic", convex=True
)
SQUARES = Loss.from_function(lambda Z, Y: 0.5 * anp.sum((Z - Y) ** 2, axis=0), "squares", convex=True)


@pytest.mark.parametrize(
    "K, L, lam, n",
    [
        (4, 1, 0.02, 2),
        (6, 3, 1e-3, 1),
        *(pytest.param(*more, marks=pytest.mark.slow) for more in [(4, 2, 0.01, 1), (3, 2, 1e-4, 3), (8, 4, 1e-5, 1)]),
    ],
)
@pytest.mark.parametrize("loss", [HUBER, LOGISTIC, SQUARES], ids=lambda loss: loss.name)
def test_collapse_under_a_loss_that_sees_shifts_has_rank_K_and_is_critical(loss, K, L, lam, n):
    point = Stratum(dnc(Problem(K, n=n, L=L, lam=lam, loss=loss)))
    assert point.point.rank == K and point.grad_norm <= 1e-14
    a, c = point.point.scales
    assert a > 0 and (c < 0) == (loss is LOGISTIC)
    if loss is SQUARES:
        assert abs(point.fun - value(dnc(Problem(K, n=n, L=L, lam=lam, loss="mse")))) <= 1e-14 and abs(a - c) <= 1e-13


def test_below_width_K_collapse_that_sees_shifts_is_the_simplex_alone():
    assert dnc(Problem(4, d=3, L=2, lam=0.01, loss=HUBER)).rank == 3
    with pytest.raises(ValueError, match="small root"):
        dnc(Problem(4, L=2, lam=0.01, loss=HUBER), "small")
    with pytest.raises(ValueError, match="bias"):
        dnc(Problem(4, L=2, lam=0.01, loss=HUBER, bias=0.1))


@pytest.mark.parametrize("name", ["pseudo-huber", "mse", pytest.param("ce", marks=pytest.mark.slow)])
def test_a_users_loss_is_compared_by_what_it_does_whatever_its_name(name):
    problem = Problem(4, L=2, lam=0.01, loss=Loss.from_function(pseudo_huber, name, convex=True))
    table = compare(problem, starts=2, rng=0)
    assert table.winner.name == "dnc" and abs(table.winner.fun - 0.059188648) < 1e-9
    assert (
        table.winner.rank == 4
        and table.winner.status == "local minimum"
        and "dnc#2" not in [p.name for p in table.points]
    )
    assert table.lower_bound is None and not table.certified and len(table.hits) == 1
    assert "user's own loss" in repr(table) and all(
        "own loss" in entry["why"] for entry in table.to_dict()["not_proved"]
    )
    proofs = certify(problem)
    assert proofs and not any(proof.holds for proof in proofs) and all("own loss" in proof.why for proof in proofs)
    with pytest.raises(ValueError, match="loss must be"):
        Problem.from_dict(problem.to_dict())


def softplus(x):
    return anp.log1p(anp.exp(x))


@pytest.mark.parametrize(
    "function, promise, rectifies",
    [(softplus, {}, False), (lambda x: anp.maximum(x, 0.0), {"homogeneous": True, "smooth": False}, True)],
)
def test_a_users_activation_is_compared_by_what_it_does_whatever_its_name(function, promise, rectifies):
    problem = Problem(
        4, L=2, lam=0.01, activation=Activation.from_function(function, "tanh" if rectifies else "relu", **promise)
    )
    assert problem.activation.rectifies == rectifies
    table = compare(problem, starts=1, rng=0)
    assert ("relu_pairs" in [p.name for p in table.points]) == rectifies
    assert all("only linear layers" in proof.why for proof in (*table.certificates, *certify(problem)))
    assert problem.to_dict()["activation"].startswith("user's ")


def test_the_packages_own_losses_say_what_they_are():
    assert [loss(name).quadratic for name in ("ce", "mse", "focal", "label_smoothing")] == [False, True, False, False]
    assert [loss(name).cross_entropy for name in ("ce", "mse", "focal(0)", "label_smoothing")] == [
        True,
        False,
        True,
        False,
    ]
    assert [activation(name).rectifies for name in ("linear", "relu", "leaky_relu(0)", "leaky_relu", "tanh")] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_no_line_of_code_asks_for_a_name_where_a_property_answers():
    asked = re.compile(
        r"(loss|activation)\.name\s*(==|!=|in|not in)\s|isinstance\(\S*\bloss, (losses\.)?\(?(CrossEntropy|MSE|Focal)|"
        r"\bloss (==|!=|in) \(?losses\."
    )
    lines = [
        f"{path}: {line}"
        for folder in ("ufm", "theory")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "check"  # checkers of certificates have losses of their own
        for line in path.read_text().splitlines()
    ]
    assert not [line for line in lines if asked.search(line)]
