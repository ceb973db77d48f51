"""What every loss promises: derivatives, batches, its facts, digits at large margins, other arrays, balls, its name."""

from __future__ import annotations

import importlib.util
import math
import pickle

import numpy as np
import pytest
from discovered import names
from taylor import order

from ufm import losses
from ufm.losses import Loss, loss, makers
from ufm.numerics import balls

K, N = 4, 6
LABELS = np.array([0, 1, 2, 3, 0, 2])
Y = np.eye(K)[:, LABELS]
MANY = np.eye(K)[:, np.arange(400) % K]
SCALES = (0.3, 2.0, 8.0)

every = pytest.mark.parametrize("keyword", names("loss"))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def variants(keyword: str) -> list[Loss]:
    """The loss with its own numbers, and with each of them halved and raised where that is allowed."""
    make = makers()[keyword]
    found = [make()]
    fields = [name for name, value in vars(found[0]).items() if isinstance(value, float)]
    for field in fields:
        for factor in (0.5, 1.75):
            try:
                found.append(make(*(getattr(found[0], f) * (factor if f == field else 1.0) for f in fields)))
            except (TypeError, ValueError):
                continue
    return found


def orders(one: Loss) -> tuple[float, float]:
    """Lowest Taylor order of the value with the gradient, and of the gradient with the Hessian-vector product."""
    found = []
    for i, scale in enumerate(SCALES):
        Z, V = scale * normal(K, N, seed=i), normal(K, N, seed=9 + i)
        V[:, 0] = 0.0  # one column at rest: its derivatives are zero
        slope = np.sum(one.grad(Z, Y) * V, axis=0)
        found.append(
            (
                order(lambda h, Z=Z, V=V: one.value(Z + h * V, Y), slope),
                order(lambda h, Z=Z, V=V: one.grad(Z + h * V, Y), one.hvp(Z, Y, V)),
            )
        )
    return tuple(map(min, zip(*found, strict=True)))


@every
def test_derivatives_are_those_of_the_value(keyword):
    for one in variants(keyword):
        assert min(orders(one)) > 1.8, one.name


class Planted(Loss):
    """A loss whose gradient, or Hessian, is off by a factor, or that states other facts."""

    def __init__(self, inner: Loss, grad: float = 1.0, hvp: float = 1.0, **facts):
        self.inner, self.by = inner, (grad, hvp)
        vars(self).update(facts)

    def value(self, Z, Y):
        return self.inner.value(Z, Y)

    def grad(self, Z, Y):
        return self.by[0] * self.inner.grad(Z, Y)

    def hvp(self, Z, Y, V):
        return self.by[1] * self.inner.hvp(Z, Y, V)


@every
def test_an_error_of_one_percent_would_be_seen(keyword):
    one = makers()[keyword]()
    first, second = orders(Planted(one, grad=1.01))[0], orders(Planted(one, hvp=1.01))[1]
    assert first < 1.5 and second < 1.5


@every
def test_leading_axes_are_a_loop(keyword):
    one = makers()[keyword]()
    Z, V = 2 * normal(3, 2, K, N), normal(3, 2, K, N, seed=1)
    value, grad = one.value_grad(Z, Y)
    hvp, prepared = one.hvp(Z, Y, V), one.prepared(Y)(Z[0], Y)
    assert value.shape == (3, 2, N) and grad.shape == hvp.shape == Z.shape
    for i in np.ndindex(3, 2):
        np.testing.assert_allclose(value[i], one.value(Z[i], Y), rtol=1e-14)
        np.testing.assert_allclose(grad[i], one.grad(Z[i], Y), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(hvp[i], one.hvp(Z[i], Y, V[i]), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(one.hvp(Z[0, 0], Y, V)[i], one.hvp(Z[0, 0], Y, V[i]), rtol=1e-13, atol=1e-15)
    for here, there in zip(prepared, (value[0], grad[0]), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-14, atol=1e-16)


@every
def test_columns_do_not_mix_and_their_hessians_are_symmetric(keyword):
    one = makers()[keyword]()
    Z, other = normal(K, N), normal(K, N)
    other[:, 1:] = 7.0
    assert one.value(Z, Y)[0] == one.value(other, Y)[0] and np.array_equal(
        one.grad(Z, Y)[:, 0], one.grad(other, Y)[:, 0]
    )
    H = one.hessians(Z, Y)
    np.testing.assert_allclose(H, np.swapaxes(H, 1, 2), atol=1e-14)
    np.testing.assert_allclose(np.einsum("jab,bj->aj", H, Z), one.hvp(Z, Y, Z), rtol=1e-12, atol=1e-13)


def check_facts(one: Loss) -> None:
    """Each fact that a loss states about itself, on columns of every size."""
    for scale in SCALES:
        Z, other = scale * normal(K, 400), scale * normal(K, 400, seed=1)
        value = one.value(Z, MANY)
        if one.convex:
            assert np.linalg.eigvalsh(one.hessians(Z, MANY)).min() > -1e-12
            middle = one.value((Z + other) / 2, MANY)
            assert np.all(middle <= (value + one.value(other, MANY)) / 2 + 1e-12 * (1 + np.abs(value)))
        if one.shift_invariant:
            np.testing.assert_allclose(one.value(Z + 3.0, MANY), value, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(np.sum(one.grad(Z, MANY), axis=0), 0.0, atol=1e-13)
        if one.quadratic:
            np.testing.assert_allclose(value, 0.5 * np.sum((Z - MANY) ** 2, axis=0), rtol=1e-13)
        if one.smoothing is not None:
            target = (1 - one.smoothing) * MANY + one.smoothing / K
            formula = np.log(np.sum(np.exp(Z), axis=0)) - np.sum(target * Z, axis=0)
            np.testing.assert_allclose(value, formula, rtol=1e-11, atol=1e-12)
        if one.gradient_bound is not None:
            assert one.convex and np.min(value) >= 0
    if one.gradient_bound is not None:
        level, draw = one.value(np.zeros((K, 1)), MANY[:, :1])[0], normal(K, 400, seed=3)
        below = [t * MANY - u * draw for t in (0.0, 0.5, 1.0, 5.0) for u in (0.0, 0.01, 0.1, 0.4, 1.0)]
        below = [X for X in below if np.mean(one.value(X, MANY)) <= level * (1 + 1e-12)]
        assert len(below) > 3
        assert all(np.linalg.norm(one.grad(X, MANY)) <= one.gradient_bound * 20.0 for X in below)
    assert one.cross_entropy == (one.smoothing == 0)


@every
def test_its_facts_hold(keyword):
    for one in variants(keyword):
        check_facts(one)


FALSE = ({"convex": True}, {"shift_invariant": True}, {"quadratic": True}, {"smoothing": 0.2})
FALSE = (*FALSE, {"smoothing": 0.0}, {"gradient_bound": 0.1})


@pytest.mark.parametrize("fact", FALSE, ids=str)
def test_a_false_fact_would_be_seen(fact):
    wrong = [one for one in map(loss, ("ce", "mse", "focal(2)")) if any(getattr(one, k) != v for k, v in fact.items())]
    assert wrong
    for one in wrong:
        with pytest.raises(AssertionError):
            check_facts(Planted(one, **fact))


@every
def test_large_margins_neither_overflow_nor_warn(keyword):
    for one in variants(keyword):
        for margin in (50.0, 700.0, 1e4):
            for sign in (1.0, -1.0):
                Z = sign * margin * (Y - 0.5) + normal(K, N)
                with np.errstate(all="raise", under="ignore"):
                    value, grad = one.value_grad(Z, Y)
                    curve = one.hvp(Z, Y, normal(K, N, seed=1))
                assert np.all(np.isfinite(value)) and np.all(np.isfinite(grad)) and np.all(np.isfinite(curve))


def enclosed(one: Loss, z: np.ndarray, y: int):
    return one.enclosure([balls.ball(balls.text(float(x))) for x in z], y)


def has_balls(one: Loss) -> bool:
    return importlib.util.find_spec("flint") is not None and type(one).enclosure is not Loss.enclosure


@every
def test_its_balls_hold_the_true_values_and_its_floats_keep_their_digits(keyword):
    """Digits of small values at margins where exp(-margin) is far below one are not lost in a difference."""
    tested = [one for one in variants(keyword) if has_balls(one)]
    if not tested:
        with pytest.raises(NotImplementedError):
            makers()[keyword]().enclosure([], 0)
        return
    with balls.precision(200):
        for one in tested:
            for margin in (0.0, 1.0, 20.0, 60.0):
                Z = margin * Y + normal(K, N, seed=2)
                value, grad = one.value_grad(Z, Y)
                hessians = one.hessians(Z, Y)
                for j in range(N):
                    fun, slopes, curves = enclosed(one, Z[:, j], int(LABELS[j]))
                    near(value[j], fun, 1e-13)
                    for i in range(K):
                        near(grad[i, j], slopes[i], 3e-13)
                        for k in range(K):
                            near(hessians[j, i, k], curves[i][k], 1e-11)


def near(number: float, ball, rel: float) -> None:
    true = balls.to_float(ball)
    assert math.isclose(number, true, rel_tol=rel, abs_tol=1e-300), (number, true)


@pytest.mark.parametrize("package", ["array_api_strict", "torch"])
@every
def test_other_arrays_give_the_same_numbers_or_are_refused_by_name(keyword, package):
    xp = pytest.importorskip(package)
    one, Z = makers()[keyword](), 2 * normal(2, K, N)
    if type(one).value_grad_on is Loss.value_grad_on:
        with pytest.raises(ValueError, match=r"runs on numpy only"):
            one.on(xp)
        return
    for here, there in zip(one.value_grad(Z, Y), one.on(xp)(xp.asarray(Z), xp.asarray(Y)), strict=True):
        np.testing.assert_allclose(np.asarray(there), here, rtol=1e-12, atol=1e-14)


@every
def test_its_name_says_it_exactly(keyword):
    for one in variants(keyword):
        assert loss(one.name) == one and hash(loss(one.name)) == hash(one) and losses.known(one)
        assert pickle.loads(pickle.dumps(one)) == one and one.label
    with pytest.raises(ValueError, match=keyword):
        loss(f"{keyword}(1, 2, 3, 4, 5)")
    with pytest.raises(ValueError, match=keyword):
        loss(f"{keyword}(nan)")
