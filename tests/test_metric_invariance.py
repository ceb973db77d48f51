"""Collapse metrics are properties of a network: no number depends on the numbers of classes, the order of samples, a
basis or a scale."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ufm
from ufm.metrics import Accumulator, collapse, moments

# ties, zeros and other cases that a float sum leaves open --------------------------------------

FLAT, PAIRS_OF = np.full((6, 4), 2.5), [0, 0, 1, 1, 2, 2]
RANDOM = np.random.default_rng(0).standard_normal((6, 4))


def heavy(c):
    """A classifier whose row c is the longest."""
    W = np.eye(3, 4)
    W[c, c] = 2.0
    return W


@pytest.mark.parametrize("c", range(3))
def test_equal_means_tie_whatever_the_classes_are_called(c):
    found = collapse(FLAT, PAIRS_OF, heavy(c))
    assert found.nc4 == 1 / 3 and found.nc4_ties == 1.0 and "ties 1" in repr(found)
    turn = np.linalg.qr(np.random.default_rng(c).standard_normal((4, 4)))[0]
    turned = collapse(FLAT @ turn, PAIRS_OF, heavy(c) @ turn)
    assert turned.nc4 == 1 / 3 and turned.nc4_ties == 1.0


@pytest.mark.parametrize(
    "means, W, nc4, ties",
    [
        (
            [[1, 0], [1, 0], [-1, 0]],
            [[1, 0], [1, 0], [-1, 0]],
            (0.5 + 0.5 + 1) / 3,
            2 / 3,
        ),  # A = B = the two equal classes
        (
            [[1, 0], [1, 0], [-1, 0]],
            [[2, 0], [1, 0], [-1, 0]],
            (0.5 + 0.5 + 1) / 3,
            2 / 3,
        ),  # A two classes, B one of them
        (
            [[1, 0], [1, 0], [-1, 0]],
            [[1, 0], [0, 5], [1, 0]],
            (0.25 + 0.25 + 0) / 3,
            2 / 3,
        ),  # A and B meet in one class; then in none
        ([[1, 0], [0, 1], [-1, -1]], np.zeros((3, 2)), 1 / 3, 1.0),
        ([[1, 0], [0, 1], [-1, -1]], np.ones((3, 2)), 1 / 3, 1.0),
        ([[1, 0], [0, 1], [-1, -1]], [[1, 0], [0, 1], [-1, -1]], 1.0, 0.0),
    ],
)
def test_a_tied_sample_counts_what_chance_would_give(means, W, nc4, ties):
    for scale in (1.0, 1e-80, 1e80):
        found = collapse(scale * np.repeat(np.asarray(means, float), 2, axis=0), PAIRS_OF, np.asarray(W, float) / scale)
        assert found.nc4 == pytest.approx(nc4, rel=1e-14) and found.nc4_ties == pytest.approx(ties, rel=1e-14)


def test_a_bias_breaks_ties_and_a_stream_counts_them():
    b = [0.0, 1.0, 0.0]
    whole = collapse(FLAT, PAIRS_OF, np.zeros((3, 4)), b)
    assert whole.nc4 == 1 / 3 and whole.nc4_ties == 1.0
    stream = Accumulator(3, 4).update(FLAT[:2], PAIRS_OF[:2]).update(FLAT[2:], PAIRS_OF[2:])
    parts = [(stream.agreeing(FLAT[s], heavy(0)), stream.ties(FLAT[s], heavy(0))) for s in (slice(3), slice(3, 6))]
    agreeing, ties = map(sum, zip(*parts, strict=True))
    streamed = stream.collapse(heavy(0), agreeing, ties=ties)
    assert streamed.nc4 == 1 / 3 and streamed.nc4_ties == 1.0 and stream.collapse(heavy(0)).nc4_ties is None
    with pytest.raises(ValueError, match="ties counts samples, at most N=6; got ties=7"):
        stream.collapse(heavy(0), agreeing, ties=7)
    clear = collapse(RANDOM, PAIRS_OF, heavy(0))
    assert clear.nc4_ties == 0.0 and "ties" not in repr(clear) and collapse(RANDOM, PAIRS_OF).nc4_ties is None


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_close_is_not_tied(size):
    """Two means 1e-9 apart beside one far away: no tie, though the far one hides their difference from a centred
    product."""
    means = np.array([[1.0, 0.0], [1.0 + 1e-9, 0.0], [-size, size]])
    found = collapse(
        np.repeat(means, 2, axis=0), PAIRS_OF, [[-1e9, 1.0], [1e9, 0.0], [0.0, 1.0]], [1e9 + 0.5, -1e9, 0.0]
    )
    assert found.nc4_ties == 0.0 and found.nc4 >= 2 / 3


@pytest.mark.parametrize(
    "X, y, W, named, words",
    [
        (
            0 * FLAT,
            PAIRS_OF,
            heavy(0),
            {"nc1", "nc2", "nc3", "nc4", "cdnv", "self_duality", "nc2_orthogonal"},
            "all features are zero: NC1, NC2, NC3, NC4 and CDNV are 0/0",
        ),
        (
            FLAT,
            PAIRS_OF,
            heavy(0),
            {"nc1", "nc2", "nc3", "cdnv", "self_duality"},
            "all class means agree: NC1, NC2, NC3 and CDNV are 0/0",
        ),
        (
            RANDOM,
            PAIRS_OF,
            0 * heavy(0),
            {"nc3", "self_duality", "equinorm_W", "maxangle_W"},
            "W is zero: NC3, self-duality and the angles of its rows are 0/0",
        ),
        (
            RANDOM[:, :2] @ np.eye(2, 4),
            PAIRS_OF,
            np.eye(3, 4, 2),
            {"nc3"},
            "W does not see the class means (W M' = 0): NC3 is 0/0",
        ),
        (
            np.kron(RANDOM[:3], [[1.0], [-1.0]]),
            PAIRS_OF,
            None,
            {"nc1", "nc2", "nc2_orthogonal", "cdnv"},
            "all class means are zero: the distance from an",
        ),
        (
            np.eye(3)[PAIRS_OF],
            PAIRS_OF,
            np.diag([1.0, 1.0, 0.0]),
            {"equiangularity_W"},
            "a row of W that is zero has no direction",
        ),
    ],
)
def test_what_is_undefined_is_nan_with_its_sentence(X, y, W, named, words):
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((X.shape[1],) * 2))[0]
    for s in (1.0, 1e-80, 1e77):
        for Q in (np.eye(len(turn)), turn):
            found = collapse(s * X @ Q, y, None if W is None else W @ Q / s)
            assert all(np.isnan(getattr(found, name)) for name in named)
            assert [text for text in found.warnings if text.startswith(words)]
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_sample_per_class_is_said_to_collapse_by_construction():
    single = collapse(RANDOM, range(6))
    assert (
        single.nc1 == single.cdnv == 0
        and single.warnings[-1] == "every class has one sample: NC1 and CDNV are zero by construction"
    )
    some = collapse(RANDOM, [0, 0, 0, 0, 1, 2])
    assert some.nc1 > 0 and some.warnings[-1].startswith("2 of 3 classes have one sample")
    assert not collapse(RANDOM, PAIRS_OF).warnings


def test_a_mean_in_the_middle_has_no_direction_in_any_basis():
    X = np.repeat([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], 2, axis=0)
    for seed in range(5):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((2, 2)))[0]
        found = collapse(X @ turn, PAIRS_OF)
        assert (
            np.isnan(found.equiangularity)
            and found.equinorm == pytest.approx(np.std([1, 1, 0]) / (2 / 3))
            and "no direction" in found.warnings[0]
        )


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-80, 1e77, 1e80, 1e200, 1e300])
def test_scales_change_nothing_but_the_spectrum(scale):
    base, found = collapse(RANDOM, PAIRS_OF, heavy(1)), collapse(scale * RANDOM, PAIRS_OF, heavy(1) / scale)
    assert not differences(base, found, 1e-12)
    np.testing.assert_allclose(np.array(found.spectrum) / scale, base.spectrum, rtol=1e-12)
    stream = (
        Accumulator(3, 4)
        .update(0 * RANDOM[:1], [2])
        .update(scale * RANDOM[:3], PAIRS_OF[:3])
        .update(scale * RANDOM[3:], PAIRS_OF[3:])
    )
    again = collapse(np.vstack([RANDOM, np.zeros(4)]), [*PAIRS_OF, 2])
    assert not differences(again, stream.collapse(), 1e-12)
    named = ufm.identify(features=scale * RANDOM, weights=heavy(1) / scale, labels=PAIRS_OF).collapse
    for name, value in ufm.identify(features=RANDOM, weights=heavy(1), labels=PAIRS_OF).collapse.items():
        assert named[name] == pytest.approx(value, rel=1e-12)


def test_features_labels_and_weights_are_other_names():
    base = collapse(RANDOM, PAIRS_OF, heavy(0))
    assert (
        base
        == collapse(features=RANDOM, labels=PAIRS_OF, weights=heavy(0))
        == collapse(RANDOM, labels=PAIRS_OF, weights=heavy(0))
    )
    assert (
        base
        == collapse(features=RANDOM.tolist(), y=PAIRS_OF, W=heavy(0).tolist())
        == collapse(X=RANDOM, y=PAIRS_OF, weights=heavy(0).tolist())
    )
    layers = collapse(features=[RANDOM, RANDOM[:, :3]], labels=PAIRS_OF, weights=[None, heavy(0)[:, :3]])
    assert (
        layers == collapse(features=(RANDOM, RANDOM[:, :3]), y=PAIRS_OF, weights=heavy(0)[:, :3])
        and layers[0].nc1 == base.nc1
    )
    assert len(collapse(features=[RANDOM.tolist()], labels=PAIRS_OF)) == 1


# any input -------------------------------------------------------------------------------------


@st.composite
def inputs(draw):
    """Features, labels, a classifier and a bias: in general position, with ties, collapsed, of low rank, zero, or far
    from the origin."""
    K, d = draw(st.integers(2, 6)), draw(st.integers(1, 7))
    counts = draw(st.lists(st.integers(1, 4), min_size=K, max_size=K))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.permutation(np.repeat(np.arange(K), counts))
    N = len(y)
    features = {
        "general": lambda: rng.standard_normal((N, d)),
        "behind a ReLU": lambda: np.maximum(0, rng.standard_normal((N, d))),
        "whole numbers": lambda: rng.integers(-1, 2, (N, d)),
        "collapsed": lambda: rng.standard_normal((K, d))[y],
        "collapsed, with equal means": lambda: rng.integers(0, 2, (K, d))[y],
        "all equal": lambda: np.full((N, d), 2.5),
        "zero": lambda: np.zeros((N, d)),
        "of rank one": lambda: np.outer(rng.standard_normal(N), rng.standard_normal(d)),
        "far away": lambda: 1e3 + rng.standard_normal((N, d)),
    }
    classifiers = {
        "general": lambda: rng.standard_normal((K, d)),
        "unit": lambda: np.eye(K, d),
        "zero": lambda: np.zeros((K, d)),
        "equal rows": lambda: np.ones((K, d)),
        "whole numbers": lambda: rng.integers(-1, 2, (K, d)),
        "blind": lambda: (W := rng.standard_normal((K, d))) - W @ np.linalg.pinv(X) @ X,
    }
    biases = {
        "none": lambda: None,
        "general": lambda: rng.standard_normal(K),
        "whole numbers": lambda: rng.integers(0, 2, K),
    }
    X = features[draw(st.sampled_from(sorted(features)))]().astype(float)
    W = classifiers[draw(st.sampled_from(sorted(classifiers)))]().astype(float)
    b = biases[draw(st.sampled_from(sorted(biases)))]()
    return X, y, W, None if b is None else b.astype(float), rng


def flat(value, name=""):
    if isinstance(value, dict):
        return {
            k: v
            for key, item in value.items()
            if key not in ("warnings", "counts", "spectrum")
            for k, v in flat(item, f"{name}.{key}").items()
        }
    return {name: value}


def differences(one, two, tol=1e-9):
    """Names of the numbers, ranks included, in which two Collapses differ."""
    a, b = flat(one.to_dict()), flat(two.to_dict())
    return [name for name in a.keys() | b.keys() if not same(a.get(name), b.get(name), tol)]


def same(u, v, tol):
    return u is v if u is None or v is None else abs(u - v) <= tol * max(1e-3, abs(u))


def broken(case, s: float, t: float) -> list[str]:
    """What changes under relabelling, rotation, common scales, sample order, or reading in batches."""
    X, y, W, b, rng = case
    (K, d), N = W.shape, len(y)
    base, tol = collapse(X, y, W, b), 1e-9 if np.abs(X).max() < 100 else 1e-7
    classes, order, turn = rng.permutation(K), rng.permutation(N), np.linalg.qr(rng.standard_normal((d, d)))[0]
    back, stream = np.argsort(classes), Accumulator(K, d)
    parts = np.array_split(order, 3)
    for rows in parts:
        stream.update(X[rows], y[rows])
    agreeing, ties = (sum(count(X[rows], W, b) for rows in parts) for count in (stream.agreeing, stream.ties))
    others = {
        "relabelled": collapse(X, classes[y], W[back], None if b is None else b[back]),
        "turned": collapse(X @ turn, y, W @ turn, b),
        "scaled": collapse(s * X, y, t * W, None if b is None else s * t * b),
        "reordered": collapse(X[order], y[order], W, b),
        "in batches": stream.collapse(W, agreeing, ties=ties),
    }
    return [f"{how}: {name}" for how, other in others.items() for name in differences(base, other, tol)]


SCALES = st.floats(-80, 80).map(lambda e: 10.0**e)


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(inputs(), SCALES, SCALES)
def test_every_number_is_a_property_of_the_network(case, s, t):
    assert broken(case, s, t) == []


@pytest.mark.slow
@settings(
    max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(inputs(), SCALES, SCALES)
def test_every_number_is_a_property_of_the_network_on_five_hundred(case, s, t):
    assert broken(case, s, t) == []


def test_the_comparison_sees_a_basis_that_stretches_and_ties_broken_by_number(monkeypatch):
    W = RANDOM[:3]
    stretched = collapse(RANDOM @ np.diag([1.0, 1.0, 1.0, 1.01]), PAIRS_OF, W)
    assert {".nc1", ".nc2", ".nc3", ".cdnv"} <= set(differences(collapse(RANDOM, PAIRS_OF, W), stretched))

    def first(scores):
        return np.arange(scores.shape[1]) == np.argmax(scores, axis=1)[:, None]

    monkeypatch.setattr(moments, "predicted", lambda X, W, b=None: first(X @ W.T))
    monkeypatch.setattr(moments, "nearest", lambda X, known: first(X @ known.means.T))
    one, two = collapse(FLAT, PAIRS_OF, heavy(0)), collapse(FLAT, PAIRS_OF, heavy(1))
    assert one.nc4 == 1.0 and two.nc4 == 0.0


@pytest.mark.parametrize("s", [1.0, 1e-200, 1e-300, 1e300])
def test_the_callers_numpy_settings_do_not_matter(s):
    """Underflow beside numbers of size one is harmless, also where numpy was told to raise on it."""
    W, b = heavy(0), [1.0, 0.5, 0.0]
    quiet = collapse(s * RANDOM, PAIRS_OF, W / s, b)
    with np.errstate(all="raise"):
        assert collapse(s * RANDOM, PAIRS_OF, W / s, b) == quiet
        stream = Accumulator(3, 4).update(RANDOM, PAIRS_OF).update(1e-300 * RANDOM, PAIRS_OF)
        assert stream.collapse(W, stream.agreeing(s * RANDOM, W / s, b)).nc1 > 0
        assert len(collapse(features=[s * RANDOM], labels=PAIRS_OF)) == 1


def test_a_stream_of_too_many_classes_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match=r"class means has 1000000000 x 512 numbers, 3\.81e\+03 GiB"):
        Accumulator(10**9, 512)
