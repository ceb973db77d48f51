"""Collapse metrics: published values, twins that must agree, streams against whole arrays, points with known
numbers."""

import json
from pathlib import Path

import mpmath
import numpy as np
import pytest

import ufm
from ufm import structures
from ufm.metrics import Accumulator, LayerCollapse, class_means, collapse, summary
from ufm.numerics import ranks

DATA = Path(__file__).parent / "data"
INPUTS = dict(np.load(DATA / "nc_metrics_inputs.npz"))
REFERENCE = json.loads((DATA / "nc_metrics_reference.json").read_text())["cases"]
PEER = {
    "nc1": "nc1_pinv",
    "nc1_quotient": "nc1_quot",
    "cdnv": "nc1_cdnv",
    "nc2": "nc2_etf_err",
    "nc3": "nc3_dual_err",
    "nc4": "nc4_agree",
}
PAPYAN = {
    "equinorm": "equinorm_means",
    "equinorm_W": "equinorm_W",
    "equiangularity": "equiangular_means",
    "equiangularity_W": "equiangular_W",
    "maxangle": "maxangle_means",
    "maxangle_W": "maxangle_W",
    "self_duality": "self_duality",
}
RANKS = {
    "stable": "stable",
    "nuclear": "nuclear_over_op",
    "effective": "effective_roy_vetterli",
    "participation": "participation_s2",
}
NUMBERS = ("nc1", "nc1_rank_aware", "nc1_quotient", "nc2", "nc2_orthogonal", "nc3", "nc4", "cdnv", *PAPYAN)


def case(name):
    return tuple(INPUTS[f"{name}.{key}"] for key in "XyW")


def mixture(K, d, n, seed, noise=0.3, rank=None):
    """Means of the given rank, samples around them, a classifier near the means; n is a count or counts per class."""
    rng = np.random.default_rng(seed)
    r = min(K, d) if rank is None else rank
    means = rng.standard_normal((K, r)) @ np.linalg.qr(rng.standard_normal((d, r)))[0].T
    y = np.repeat(np.arange(K), n)
    return means[y] + noise * rng.standard_normal((len(y), d)), y, means + 0.1 * rng.standard_normal((K, d))


def numbers(found, skip=()):
    return {name: getattr(found, name) for name in NUMBERS if name not in skip and getattr(found, name) is not None}


def agree(a, b, rtol=1e-12, skip=()):
    one, two = numbers(a, skip), numbers(b, skip)
    assert one.keys() == two.keys() and a.nc1_rank == b.nc1_rank
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=rtol, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("name", REFERENCE)
def test_values_of_the_reference(name):
    found, published = collapse(*case(name)), REFERENCE[name]
    # at an exactly collapsed point published values are rounding errors, of which only the size is meant
    atol = 1e-15 if "exact" in name else 0.0
    for own, other, table in [(*item, "peer") for item in PEER.items()] + [
        (*item, "papyan") for item in PAPYAN.items()
    ]:
        if (own, name[:11]) != ("nc1", "pairs_noisy"):
            np.testing.assert_allclose(getattr(found, own), published[table][other], rtol=1e-12, atol=atol, err_msg=own)
    assert found.nc4 == pytest.approx(1 - published["papyan"]["nc4_mismatch"], rel=1e-12)
    for which, table in published["ranks"].items():
        assert (
            found.ranks[which]["numerical"]["0.001"] == table["numerical_1e3"]
            and found.ranks[which]["machine"] == table["matrix_rank"]
        )
        for own, other in RANKS.items():
            np.testing.assert_allclose(found.ranks[which][own], table[other], rtol=1e-12, err_msg=f"{which} {own}")


def test_the_comparison_sees_an_error_in_the_eleventh_digit():
    found = collapse(*case("random_small.0"))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found.nc1, REFERENCE["random_small.0"]["peer"]["nc1_pinv"] * (1 + 1e-11), rtol=1e-12)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["pairs_noisy.0", "pairs_noisy.1"])
def test_where_the_reference_is_ill_posed_the_digits_are_those_of_fifty(name):
    X, y, W = case(name)
    found, published = collapse(X, y, W), REFERENCE[name]["peer"]["nc1_pinv"]
    exact = float(nc1_in_fifty_digits(X, y))
    assert abs(found.nc1 / exact - 1) < 1e-11 < 1e-10 < abs(published / exact - 1) < 1e-7
    assert found.nc1_rank == 3 and 5e-8 < found.nc1_rank_aware < 1e-7 and found.nc1 > 4
    assert "gap" in found.warnings[0] and "warning" in repr(found)


def nc1_in_fifty_digits(X, y):
    """tr(pinv(S_B) S_W)/K for means in general position: M = C B with B (K-1, d) the differences mu_c - mu_0, C (K,
    K-1)."""
    K, N = int(y.max()) + 1, len(y)
    with mpmath.workdps(50):
        A = mpmath.matrix(X.tolist())
        mu = [
            [mpmath.fsum(A[i, j] for i in np.flatnonzero(y == c)) / int(np.sum(y == c)) for j in range(A.cols)]
            for c in range(K)
        ]
        B = mpmath.matrix([[mu[c][j] - mu[0][j] for j in range(A.cols)] for c in range(1, K)])
        C = mpmath.matrix(K, K - 1)
        for c in range(K):
            for k in range(K - 1):
                C[c, k] = (1 if c == k + 1 else 0) - mpmath.mpf(1) / K
        R = mpmath.matrix([[A[i, j] - mu[y[i]][j] for j in range(A.cols)] for i in range(N)])
        half = R * B.T * (B * B.T) ** -1
        return mpmath.fsum((half * (C.T * C) ** -1 * half.T)[i, i] for i in range(N)) / N


@pytest.mark.parametrize("seed", range(12))
def test_formulas_as_written(seed):
    rng = np.random.default_rng(seed)
    K, d = int(rng.integers(2, 8)), int(rng.integers(1, 12))
    X, y, W = mixture(K, d, rng.integers(1, 7, K), seed)
    found, N = collapse(X, y, W), len(X)
    mu = np.array([X[y == c].mean(axis=0) for c in range(K)])
    M, R = mu - mu.mean(axis=0), X - mu[y]
    SW, SB = R.T @ R / N, M.T @ M / K
    cutoff = d * np.finfo(float).eps
    np.testing.assert_allclose(
        found.nc1, np.trace(np.linalg.pinv(SB, rcond=cutoff, hermitian=True) @ SW) / K, rtol=1e-9, atol=1e-25
    )
    np.testing.assert_allclose(found.nc1_quotient, np.trace(SW) / np.trace(SB), rtol=1e-12, atol=1e-25)
    pairs = [(a, b) for a in range(K) for b in range(a)]
    v = [np.mean(np.sum(R[y == c] ** 2, axis=1)) for c in range(K)]
    np.testing.assert_allclose(
        found.cdnv,
        np.mean([(v[a] + v[b]) / 2 / np.sum((mu[a] - mu[b]) ** 2) for a, b in pairs]),
        rtol=1e-11,
        atol=1e-25,
    )
    nearest = np.argmin([[np.linalg.norm(x - m) for m in mu] for x in X], axis=1)
    assert found.nc4 == np.mean(nearest == np.argmax(X @ W.T, axis=1))
    assert len(found.spectrum) == min(K - 1, d) and found.counts == tuple(np.bincount(y).tolist()) and found.d == d


@pytest.mark.parametrize("seed", range(8))
def test_twins(seed):
    rng = np.random.default_rng(seed)
    K, d = 3 + seed % 4, 4 + seed
    X, y, W = mixture(K, d, rng.integers(2, 9, K), seed)
    b = rng.standard_normal(K)
    base = collapse(X, y, W, b)
    order, classes = rng.permutation(len(y)), rng.permutation(K)
    Q, t = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal(d)
    back = np.argsort(classes)
    agree(collapse(X[order], y[order], W, b), base)
    agree(collapse(X, classes[y], W[back], b[back]), base)
    agree(collapse(X @ Q, y, W @ Q, b), base, rtol=1e-11)
    agree(collapse(7.5 * X, y, 0.01 * W, 0.075 * b), base)
    agree(collapse(np.tile(X, (3, 1)), np.tile(y, 3), W, b), base)
    agree(collapse(np.pad(X, ((0, 0), (0, 4))), y, np.pad(W, ((0, 0), (0, 4))), b), base)
    moved = collapse(X + t, y, W, b - W @ t)
    agree(moved, base, rtol=1e-11, skip=("nc2_orthogonal",))
    assert abs(moved.nc2_orthogonal - base.nc2_orthogonal) > 1e-6
    squeezed = collapse(X @ np.diag(1.0 + np.arange(d)), y, W)
    assert abs(squeezed.nc2 - base.nc2) > 1e-4


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_in_random_pieces_is_the_whole(seed):
    rng = np.random.default_rng(seed)
    K, d = int(rng.integers(2, 7)), int(rng.integers(1, 15))
    X, y, W = mixture(K, d, rng.integers(1, 40, K), seed)
    X = X + (3.0 if seed % 2 else 0.0)
    whole = collapse(X, y, W)
    parts = np.split(rng.permutation(len(y)), np.sort(rng.integers(0, len(y) + 1, 6)))
    stream = Accumulator(K, d)
    for part in parts:
        assert stream.update(X[part], y[part]) is stream
    agreeing = sum(stream.agreeing(X[part], W) for part in parts)
    compare(stream.collapse(W, agreeing), whole)
    left, right = Accumulator(K, d), Accumulator(K, d)
    for i, part in enumerate(parts):
        (left if i % 3 else right).update(X[part], y[part])
    before = right.means.copy(), right.counts.copy()
    compare(left.merge(right).collapse(W, agreeing), whole)
    assert np.array_equal(before[0], right.means) and np.array_equal(before[1], right.counts)
    one_by_one = Accumulator(K, d)
    for i in rng.permutation(len(y)):
        one_by_one.update(X[i : i + 1], y[i : i + 1])
    compare(one_by_one.collapse(W, agreeing), whole)
    compare(Accumulator(K, d).merge(one_by_one).collapse(W, agreeing), whole)


def compare(stream, whole):
    agree(stream, whole)
    assert stream.counts == whole.counts and stream.warnings == whole.warnings
    np.testing.assert_allclose(stream.spectrum, whole.spectrum, rtol=1e-12)
    for which, table in whole.ranks.items():
        assert (
            stream.ranks[which]["numerical"] == table["numerical"]
            and stream.ranks[which]["machine"] == table["machine"]
        )
        for key in RANKS:
            np.testing.assert_allclose(stream.ranks[which][key], table[key], rtol=1e-12)


def test_a_stream_keeps_digits_that_a_covariance_would_lose():
    """Noise of 1e-10 along the means and 1 across them: |R v|^2 is 1e-20 of tr S_W, below the rounding of a formed
    S_W."""
    rng = np.random.default_rng(0)
    K, d, n = 3, 12, 400
    y = np.repeat(np.arange(K), n)
    X = np.eye(K, d)[y]
    X[:, :K] += 1e-10 * rng.standard_normal((K * n, K))
    X[:, K:] += rng.standard_normal((K * n, d - K))
    X[:, K:] -= class_means(X[:, K:], y, K)[y]
    stream = Accumulator(K, d)
    for part in np.split(rng.permutation(K * n), 20):
        stream.update(X[part], y[part])
    found = stream.collapse(rank=2).nc1
    want = np.mean(np.sum(((X[:, :K] - class_means(X[:, :K], y, K)[y]) @ (np.eye(K) - 1 / K)) ** 2, axis=1))
    assert want < 1e-19
    np.testing.assert_allclose([found, collapse(X, y, rank=2).nc1], want, rtol=1e-4)
    means = class_means(X, y, K)
    V = np.linalg.svd(means - means.mean(axis=0))[2][:2]
    formed = X.T @ X / len(y) - means.T @ means / K
    assert abs(np.trace(V @ formed @ V.T) / want - 1) > 10


def test_forgetting_how_far_batches_lie_apart_would_be_seen():
    """Batches moved to lie together have the same class means, and miss what lies between them."""
    X, y, W = mixture(3, 5, 20, seed=1)
    stream, together = Accumulator(3, 5), Accumulator(3, 5)
    means = class_means(X, y, 3)
    for part in np.split(np.argsort(X[:, 0]), 4):
        stream.update(X[part], y[part])
        own = np.array([X[part][y[part] == c].mean(axis=0) if c in y[part] else means[c] for c in range(3)])
        together.update(X[part] + (means - own)[y[part]], y[part])
    np.testing.assert_allclose(together.means, means, atol=1e-13)
    agree(stream.collapse(W), collapse(X, y, W), skip=("nc4",))
    with pytest.raises(AssertionError):
        agree(together.collapse(W), collapse(X, y, W), skip=("nc4",))


def test_batches_need_not_hold_every_class_but_the_whole_must():
    stream = Accumulator(K=3, d=2).update(np.ones((2, 2)), [0, 0]).update(np.zeros((0, 2)), [])
    assert "2 classes without" in repr(stream)
    with pytest.raises(ValueError, match="there are none of 1, 2"):
        stream.collapse()
    with pytest.raises(ValueError, match="there are none of 1, 2"):
        stream.agreeing(np.ones((1, 2)), np.eye(3, 2))
    stream.update([[1, 2], [3, 4]], [1, 2])
    assert stream.collapse(np.eye(3, 2)).nc4 is None and stream.collapse().nc3 is None
    before = stream.means.copy(), stream.counts.copy()
    for X, y in ([[np.nan, 0.0]], [0]), ([[1.0, 0.0]], [3]), ([[1.0, 0.0, 0.0]], [0]):
        with pytest.raises(ValueError, match=r"features|labels"):
            stream.update(X, y)
    assert np.array_equal(before[0], stream.means) and np.array_equal(before[1], stream.counts)


@pytest.mark.parametrize("K, n, d, L", [(2, 3, 4, 1), (3, 1, 5, 2), (6, 4, 9, 3), (10, 5, 70, 2)])
def test_neural_collapse_of_this_package_collapses(K, n, d, L):
    point = structures.dnc(ufm.Problem(K=K, n=n, d=d, L=L, lam=1e-4)).lift(rng=K)
    found = collapse(features=[H.T for H in point.layers()], labels=point.problem.labels, weights=point.factors[1:])
    assert found.name == "dnc" and len(found) == L
    for values in (found.dnc1, found.dnc2, found.dnc3):
        assert max(values) < 1e-12
    last = found[-1]
    small = (
        "nc1",
        "nc1_rank_aware",
        "nc2",
        "nc3",
        "equinorm",
        "equiangularity",
        "maxangle",
        "equinorm_W",
        "equiangularity_W",
        "self_duality",
        "cdnv",
    )
    assert all(getattr(last, name) < 1e-12 for name in small)
    assert last.nc4 == 1 and last.nc1_rank == K - 1
    assert [words for words in last.warnings if "zero by construction" not in words] == [] and bool(last.warnings) == (
        n == 1
    )


@pytest.mark.parametrize("K, n, d, L", [(4, 2, 4, 2), (6, 4, 9, 3), (10, 5, 70, 2)])
def test_pairs_are_collapsed_in_variability_but_no_simplex(K, n, d, L):
    point = structures.pairs(ufm.Problem(K=K, n=n, d=d, L=L, lam=1e-4)).lift(rng=K)
    found = collapse(features=[H.T for H in point.layers()], labels=point.problem.labels, weights=point.factors[1:])
    m, p = K // 2, 1 / (K - 1)
    assert found.name == "pairs"
    for layer, dnc3 in zip(found.layers, found.dnc3, strict=True):
        assert layer.nc1_rank == m and max(layer.nc1, layer.cdnv, dnc3, layer.equinorm) < 1e-12
        assert layer.nc2 == pytest.approx(np.sqrt(2 - 2 * np.sqrt(m / (K - 1))), rel=1e-12)
        assert layer.equiangularity == pytest.approx(np.sqrt(p * (1 - p)), rel=1e-12)
        assert layer.maxangle == pytest.approx(2 * (K - 2) / (K - 1) ** 2, rel=1e-12)
    assert found[-1].nc3 == pytest.approx(found[-1].nc2, rel=1e-12) and found[-1].self_duality < 1e-12


def test_with_two_singular_values_only_the_first_weight_stretches_as_its_features_do():
    point = structures.blocks(ufm.Problem(K=6, n=2, d=8, L=3, lam=1e-4), (4, 2)).lift(rng=0)
    found = collapse(features=[H.T for H in point.layers()], labels=point.problem.labels, weights=point.factors[1:])
    assert found.name == "blocks(4,2)" and max(found.dnc1) < 1e-12 and found[0].nc1_rank == 4
    assert found.dnc3[0] < 1e-12 and min(found.dnc3[1:]) > 1e-3


@pytest.mark.parametrize("noise", [1e-3, 1e-5])
def test_a_gap_makes_the_pseudo_inverse_blind_to_the_size_of_the_noise(noise):
    X, y, _ = mixture(6, 16, 50, seed=0, noise=0.0, rank=3)
    E = np.random.default_rng(1).standard_normal(X.shape)
    found, large = collapse(X + noise * E, y), collapse(X + 1e-4 * E, y)
    assert found.nc1 == pytest.approx(large.nc1, rel=1e-2) and found.nc1_rank == large.nc1_rank == 3
    assert found.nc1_rank_aware / large.nc1_rank_aware == pytest.approx((noise / 1e-4) ** 2, rel=1e-2)


@pytest.mark.parametrize("seed", range(6))
def test_noise_on_means_of_low_rank_is_cut_at_the_gap(seed):
    K, r = 7 + seed, 2 + seed % 3
    X, y, W = mixture(K, 30, 40, seed, noise=1e-4, rank=r)
    found = collapse(X, y, W)
    assert found.nc1_rank == r and "gap" in found.warnings[0] and found.nc1 > 1e3 * found.nc1_rank_aware
    assert collapse(X, y, W, rank=r).nc1_rank_aware == found.nc1_rank_aware
    assert collapse(X, y, gap=1e9).nc1_rank == K - 1
    clean = collapse(*mixture(K, 30, 40, seed, noise=1e-4))
    assert clean.nc1_rank == K - 1 and clean.nc1_rank_aware == clean.nc1 and not clean.warnings


def test_a_spectrum_that_falls_without_a_gap_is_said_to():
    y = np.repeat(np.arange(5), 2)
    X = np.diag(10.0 ** (-1.5 * np.arange(5)))[y]
    found = collapse(X, y)
    assert found.nc1_rank == 4 and "without a gap" in found.warnings[0]


def test_exact_collapse_one_sample_per_class_and_more_classes_than_dimensions():
    rng = np.random.default_rng(0)
    single = collapse(rng.standard_normal((6, 2)), np.arange(6))
    assert single.nc1 == single.nc1_quotient == single.cdnv == 0 and single.nc1_rank == 2 and len(single.spectrum) == 2
    means = rng.integers(-4, 5, (4, 9)).astype(float)
    collapsed = collapse(np.repeat(means, 8, axis=0), np.repeat(np.arange(4), 8), means)
    assert collapsed.nc1 == collapsed.nc1_quotient == collapsed.cdnv == 0 and collapsed.nc4 is not None
    line = collapse([[0.0], [1.0], [5.0], [6.0]], [0, 0, 1, 1])
    assert line.nc1_quotient == 0.25 / 6.25 and line.cdnv == 0.25 / 25 and line.nc2 < 1e-15
    assert line.nc1 == pytest.approx(0.25 / 6.25 / 2, rel=1e-14)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_equal_class_means_are_undefined_and_say_so(offset):
    rng = np.random.default_rng(1)
    half = rng.standard_normal((5, 4))
    X = np.concatenate([half, -half, half, -half]) + offset
    found = collapse(X, np.repeat([0, 1], 10), rng.standard_normal((2, 4)))
    for name in (
        "nc1",
        "nc1_rank_aware",
        "nc1_quotient",
        "nc2",
        "nc3",
        "self_duality",
        "cdnv",
        "equinorm",
        "equiangularity",
    ):
        assert np.isnan(getattr(found, name)), name
    assert found.nc1_rank == 0 and "0/0" in found.warnings[0]
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["nc1"] is None and data["counts"] == [10, 10]
    zero = collapse(np.zeros((4, 3)), [0, 1, 0, 1], np.zeros((2, 3)))
    assert np.isnan(zero.nc2) and np.isnan(zero.nc3) and zero.ranks["features"]["stable"] == 0


def test_two_equal_means_or_a_mean_in_the_middle_leave_the_rest_defined():
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]])
    found = collapse(X, [0, 1, 2, 3])
    assert np.isnan(found.cdnv) and "two class means agree" in found.warnings[0] and found.nc1 == 0
    middle = collapse([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], [0, 1, 2])
    assert (
        np.isnan(middle.equiangularity)
        and middle.equinorm > 0
        and middle.cdnv == 0
        and "no direction" in middle.warnings[0]
    )


def test_layers_by_name_with_unknown_weights_and_a_relu():
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat(np.arange(4), 6))
    first = np.abs(rng.standard_normal((24, 7)))
    second = np.maximum(0, np.eye(4, 5)[y])
    W = np.eye(4, 5) - 0.25 * np.eye(4, 5).sum(axis=0)
    found = collapse(features={"conv": first, "head": second}, y=y, weights=W)
    assert isinstance(found, LayerCollapse) and found.names == ("conv", "head") and found.name == "dnc"
    assert found.dnc3[0] is None and found.dnc3[1] < 1e-12 and found.orthogonal[1] < 1e-12 and found.dnc1[0] > 0.1
    agree(found["head"], collapse(second, y, W))
    agree(found["conv"], collapse(first, y))
    assert found["conv"].nc3 is None and found["head"].nc4 == 1
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (
        data["name"] == "dnc"
        and data["layers"]["conv"]["dnc1"] == found.dnc1[0]
        and data["layers"]["conv"]["dnc3"] is None
    )
    assert [data["layers"]["head"][key] for key in ("dnc2", "orthogonal", "dnc3")] == [
        found.dnc2[1],
        found.orthogonal[1],
        found.dnc3[1],
    ]
    assert "conv" in repr(found) and "logits: dnc" in repr(found)
    same = collapse(features={"conv": first, "head": second}, y=y, weights={"head": W})
    assert same.dnc3 == found.dnc3
    assert collapse(features=[first], y=y).name is None
    # a weight that reads the first layer as its means lie, and one that does not
    means = class_means(first, y, 4)
    good, bad = means - means.mean(axis=0), rng.standard_normal((4, 7))
    assert (
        collapse(features=[first, second], y=y, weights=[good, W]).dnc3[0]
        < 1e-12
        < 0.1
        < collapse(features=[first, second], y=y, weights=[bad, W]).dnc3[0]
    )


class Tensor:
    """What a torch tensor looks like from here."""

    def __init__(self, values, grad=False):
        self.values, self.grad = np.asarray(values), grad

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.values if dtype is None else self.values.astype(dtype)


def test_tensors_and_single_precision_are_read_as_float64():
    X, y, W = mixture(4, 6, 5, seed=2)
    X32, W32 = X.astype(np.float32), W.astype(np.float32)
    base = collapse(X32.astype(float), y, W32.astype(float))
    agree(collapse(X32, y.astype(np.int32), W32), base, rtol=0)
    agree(collapse(Tensor(X32), Tensor(y), Tensor(W32)), base, rtol=0)
    agree(Accumulator(4, 6).update(Tensor(X32), Tensor(y)).collapse(Tensor(W32)), base, skip=("nc4",))
    with pytest.raises(ValueError, match=r"X cannot be read as an array: .*detach"):
        collapse(Tensor(X, grad=True), y)


GOOD_X, GOOD_Y, GOOD_W = np.eye(4, 5), np.array([0, 1, 0, 1]), np.eye(2, 5)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({}, "either X .* or features"),
        ({"X": GOOD_X, "features": [GOOD_X], "y": GOOD_Y}, "either X .* or features"),
        ({"X": GOOD_X}, "y must hold the class"),
        ({"X": GOOD_X[0], "y": GOOD_Y}, "X must have 2 axes"),
        ({"X": np.full((4, 5), np.nan), "y": GOOD_Y}, "X must be finite"),
        ({"X": np.zeros((4, 0)), "y": GOOD_Y}, "X must have at least one column"),
        ({"X": GOOD_X, "y": GOOD_Y[:3]}, "y must have shape"),
        ({"X": GOOD_X, "y": [0, 0.5, 1, 1]}, "y must hold integers"),
        ({"X": GOOD_X, "y": [0, -1, 1, 1]}, "y must hold integers"),
        ({"X": GOOD_X, "y": ["a", "b", "a", "b"]}, "y must be an array of real numbers"),
        ({"X": GOOD_X, "y": [0, 0, 0, 0]}, "K must be at least 2"),
        ({"X": np.zeros((0, 3)), "y": []}, "K must be at least 2"),
        ({"X": GOOD_X, "y": [0, 2, 0, 2]}, "none of 1"),
        ({"X": GOOD_X, "y": [0, 1, 2, 1], "W": GOOD_W}, "y must lie in 0..1"),
        ({"X": GOOD_X, "y": GOOD_Y, "W": np.eye(3, 5)}, "none of 2"),
        ({"X": GOOD_X, "y": GOOD_Y, "W": np.eye(2, 4)}, "W must have shape"),
        ({"X": GOOD_X, "y": GOOD_Y, "W": GOOD_W, "b": [1.0]}, "b must have shape"),
        ({"X": GOOD_X, "y": GOOD_Y, "b": [1.0, 2.0]}, "b is the bias of a classifier"),
        ({"X": GOOD_X, "y": GOOD_Y, "weights": [GOOD_W]}, "weights belong to features"),
        ({"X": GOOD_X, "y": GOOD_Y, "gap": 1.0}, "gap is a ratio"),
        ({"X": GOOD_X, "y": GOOD_Y, "rank": 2}, "rank must not exceed"),
        ({"X": GOOD_X, "y": GOOD_Y, "rank": 0}, "rank must be an integer"),
        ({"features": [GOOD_X], "y": GOOD_Y, "W": GOOD_W}, "W belongs to X"),
        ({"features": GOOD_X[0], "y": GOOD_Y}, "features must have 2 axes"),
        ({"X": GOOD_X, "y": GOOD_Y, "labels": GOOD_Y}, "y and labels are two names of one argument"),
        (
            {"features": GOOD_X, "labels": GOOD_Y, "W": GOOD_W, "weights": GOOD_W},
            "W and weights are two names of one argument",
        ),
        ({"features": GOOD_X, "labels": GOOD_Y, "weights": np.eye(2, 4)}, "weights must have shape"),
        ({"features": GOOD_X, "labels": GOOD_Y[:3]}, "labels must have shape"),
        ({"features": GOOD_X}, "y must hold the class"),
        ({"features": [], "y": GOOD_Y}, "at least one layer"),
        ({"features": [GOOD_X, GOOD_X[:3]], "y": GOOD_Y}, "one row per sample"),
        ({"features": [GOOD_X, GOOD_X], "y": GOOD_Y, "weights": [GOOD_W]}, "one matrix \\(or None\\) per layer"),
        ({"features": [GOOD_X], "y": GOOD_Y, "weights": [np.eye(2, 3)]}, "weights\\[0\\] must have shape"),
        ({"features": {"a": GOOD_X}, "y": GOOD_Y, "weights": {"b": GOOD_W}}, "named after the layers"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        collapse(**arguments)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: Accumulator(1, 2), "K must be an integer of at least 2"),
        (lambda: Accumulator(2, 0), "d must be an integer of at least 1"),
        (lambda: Accumulator(2, 2).merge(Accumulator(2, 3)), "other must have K=2 and d=2"),
        (lambda: Accumulator(2, 2).merge(3), "other must be a Accumulator"),
        (lambda: Accumulator(2, 1).update([[0.0], [1.0]], [0, 1]).collapse(agreeing=3), "at most N=2"),
        (lambda: Accumulator(2, 1).update([[0.0], [1.0]], [0, 1]).collapse(np.eye(3)), "weights must have shape"),
    ],
)
def test_bad_streams_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_short_summary_keeps_its_numbers():
    X, y, W = case("imbalanced.0")
    found, short = collapse(X, y, W), summary(X, y, W)
    np.testing.assert_allclose(
        [short["nc1"], short["nc2"], short["nc3"]], [found.nc1_quotient, found.nc2, found.nc3], rtol=1e-12
    )


@pytest.mark.parametrize("seed", range(5))
def test_ranks_lie_in_order_between_one_and_the_rank(seed):
    rng = np.random.default_rng(seed)
    r = int(rng.integers(1, 9))
    s = np.sort(rng.random(r) + 1e-3)[::-1]
    padded = np.append(s, np.zeros(3))
    assert ranks.numerical_rank(padded, 0.0) == r
    assert 1 <= ranks.stable_rank(s) <= ranks.participation_rank(s) * (1 + 1e-12) <= r * (1 + 1e-12)
    assert ranks.stable_rank(s) <= ranks.nuclear_rank(s) <= r
    for rank in (ranks.stable_rank, ranks.effective_rank, ranks.nuclear_rank, ranks.participation_rank):
        assert 1 - 1e-12 <= rank(s) <= r * (1 + 1e-12)
        np.testing.assert_allclose(
            [rank(padded), rank(s[::-1]), rank(1e-200 * s), rank(1e200 * s)], rank(s), rtol=1e-12
        )
        assert rank(np.zeros(4)) == 0 and rank(np.ones(r)) == pytest.approx(r, rel=1e-12)
    assert ranks.numerical_rank(np.zeros(4)) == 0


def test_singular_values_are_not_negative():
    with pytest.raises(ValueError, match="none negative"):
        ranks.stable_rank([1.0, -1.0])
    with pytest.raises(ValueError, match="tol"):
        ranks.numerical_rank([1.0], tol=-1)
