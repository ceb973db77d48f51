"""Every interval operation contains the true value, with Arb as the witness."""

import flint
import numpy as np
import pytest

from ufm.numerics.intervals import Interval


@pytest.fixture(autouse=True)
def _digits():
    before, flint.ctx.prec = flint.ctx.prec, 200
    yield
    flint.ctx.prec = before


def _inside(box, truth):
    """The interval holds the ball of the true value, in every entry."""
    for lo, hi, value in zip(np.ravel(box.lo), np.ravel(box.hi), truth, strict=True):
        assert flint.arb(float(lo)) <= value
        assert value <= flint.arb(float(hi))


def _points(rng, low=-40.0, high=40.0, size=2000):
    return np.concatenate([rng.uniform(low, high, size), rng.normal(0, 1e-3, size), 10.0 ** rng.uniform(-12, 2, size)])


@pytest.mark.parametrize("name", ["exp", "softplus", "log", "log1p", "sqrt", "square"])
def test_functions_contain_the_true_value_and_are_tight(name):
    x = _points(np.random.default_rng(1), -600, 600)
    if name in ("log", "log1p", "sqrt"):
        x = np.abs(x)
    box = getattr(Interval.of(x), name)()
    truths = {
        "exp": lambda v: v.exp(),
        "softplus": lambda v: v.exp().log1p(),
        "log": lambda v: v.log(),
        "log1p": lambda v: v.log1p(),
        "sqrt": lambda v: v.sqrt(),
        "square": lambda v: v * v,
    }
    _inside(box, [truths[name](flint.arb(float(v))) for v in x])
    assert np.max(box.width / (1 + np.abs(box.middle))) < 2e-13


def test_logarithms_near_one_keep_their_digits():
    x = 1.0 + np.array([1e-15, -1e-15, 1e-9, -1e-9, 3e-3, -3e-3])
    box = Interval.of(x).log()
    _inside(box, [flint.arb(float(v)).log() for v in x])
    assert np.all(box.width <= 1e-13 * np.abs(box.middle))


def test_log1p_of_tiny_numbers_keeps_its_digits_and_covers_the_seam():
    x = np.concatenate(
        [10.0 ** np.linspace(-300, 2, 600), 0.4 + np.linspace(-1e-12, 1e-12, 41), [1.5e-323, 1e-320, 1e-310, 0.0]]
    )
    box = Interval.of(x).log1p()
    flint.ctx.prec = 2400
    _inside(box, [flint.arb(float(v)).log1p() for v in x])
    assert np.all(box.width[:600] <= 4e-14 * box.middle[:600])
    assert Interval.of(np.inf).log1p().hi == np.inf and Interval.of(0.0).log1p().lo == 0 == Interval.of(0.0).log1p().hi
    with pytest.raises(ValueError, match="not negative"):
        Interval(-0.5, 0.0).log1p()


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/"])
def test_operations_contain_products_of_members(symbol):
    import operator

    act = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[symbol]
    rng = np.random.default_rng(2)
    a, b = np.sort(rng.normal(size=(2, 3000)), 0), np.sort(np.abs(rng.normal(size=(2, 3000))) + 0.1, 0)
    box = act(Interval(*a), Interval(*b))
    t, u = rng.uniform(size=(2, 3000))
    inner_a, inner_b = np.clip(a[0] + t * (a[1] - a[0]), *a), np.clip(b[0] + u * (b[1] - b[0]), *b)
    _inside(box, [act(flint.arb(float(p)), flint.arb(float(q))) for p, q in zip(inner_a, inner_b, strict=True)])


def test_powers_and_sums_contain_the_true_value():
    rng = np.random.default_rng(3)
    x = np.abs(_points(rng))
    third = Interval.of(1.0) / 3.0
    _inside(Interval.of(x).power(third), [flint.arb(float(v)).root(3) for v in x])
    data = rng.normal(size=(50, 40)) * 10.0 ** rng.uniform(-8, 8, size=(50, 40))
    _inside(Interval.of(data).sum(1), [sum((flint.arb(float(v)) for v in row), flint.arb(0)) for row in data])


def test_edges():
    zero = Interval.of(0.0)
    assert zero.log().hi == -np.inf and zero.power(0.5).lo == 0 == zero.power(0.5).hi
    assert Interval.of(800.0).exp().hi == np.inf and Interval.of(-800.0).exp().lo == 0 < Interval.of(-800.0).exp().hi
    assert (Interval(0.0, np.inf) * zero).lo <= 0 <= (Interval(0.0, np.inf) * zero).hi
    with pytest.raises(ZeroDivisionError, match="contains 0"):
        1.0 / Interval(-1.0, 1.0)
    with pytest.raises(ValueError, match="lo <= hi"):
        Interval(1.0, 0.0)
    with pytest.raises(ValueError, match="not negative"):
        Interval(-1.0, 2.0).log()


def test_a_shrunken_padding_is_seen(monkeypatch):
    """The tests above can fail: without the padding, exp leaves out true values."""
    from ufm.numerics import intervals

    monkeypatch.setattr(intervals, "PAD", 0.0)
    x = np.random.default_rng(4).uniform(-5, 5, 500)
    box = Interval.of(x).exp()
    with pytest.raises(AssertionError):
        _inside(box, [flint.arb(float(v)).exp() for v in x])
