"""Points in factor space and in logit space, and the ways between the two."""

import numpy as np
import pytest

from ufm import structures
from ufm.numerics.spectra import thin_svd
from ufm.objectives import logits, strata
from ufm.objectives.factors import objective_of
from ufm.points import FactorPoint, LogitPoint, from_matrix, load
from ufm.problem import Problem

PROBLEMS = {
    "plain": Problem(K=4, lam=0.03),
    "deep": Problem(K=4, n=2, L=3, lam=0.03),
    "wide": Problem(K=4, d=(9, 6), L=2, lam=0.03),
    "weights": Problem(K=4, n=3, d=5, L=2, lam=(0.01, 0.2, 0.05)),
    "imbalanced": Problem(K=4, n=(1, 2, 2, 5), d=(5, 8), L=2, lam=(0.1, 0.02, 0.05)),
    "biased": Problem(K=4, n=2, L=2, lam=0.03, bias=0.1),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
both_kinds = pytest.mark.parametrize("collapsed", [True, False], ids=["classes", "samples"])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def random_point(problem, collapsed=True, rank=3):
    svd = thin_svd(normal(problem.K, problem.K if collapsed else problem.N), rank)
    return LogitPoint(problem, svd.U, svd.s, svd.V, None if problem.bias is None else normal(problem.K))


def random_factors(problem):
    b = None if problem.bias is None else normal(problem.K)
    return FactorPoint(problem, tuple(normal(*shape, seed=i) for i, shape in enumerate(problem.shapes())), b)


def penalty(point):
    return 0.5 * sum(lam * np.sum(A**2) for lam, A in zip(point.problem.lams, point.factors, strict=True))


@every_problem
@both_kinds
@pytest.mark.parametrize("rng", [None, 0], ids=["coordinate frames", "random frames"])
def test_a_lift_is_balanced_and_multiplies_back(problem, collapsed, rng):
    point = random_point(problem, collapsed)
    lift = point.lift(rng=rng)
    np.testing.assert_allclose(lift.logits(), point.logits(), atol=1e-13)
    assert lift.balancedness() < 1e-13
    shares = [lam * np.sum(A**2) for lam, A in zip(problem.lams, lift.factors, strict=True)]
    np.testing.assert_allclose(shares, shares[0], rtol=1e-13)
    assert penalty(lift) == pytest.approx(np.sum(strata.schatten(problem).phi(point.s)), rel=1e-13)


@every_problem
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_every_rank_up_to_the_width_lifts(problem, rank):
    point = random_point(problem, rank=rank)
    np.testing.assert_allclose(point.lift().product(), (point.U * point.s) @ point.V.T, atol=1e-13)


@pytest.mark.parametrize("widths", [3, 11, (3, 20), [7, 4]])
def test_a_lift_takes_any_width_from_the_rank_on(widths):
    point = random_point(PROBLEMS["weights"])
    lift = point.lift(widths, rng=1)
    assert lift.problem.widths == (widths if isinstance(widths, tuple) else tuple(np.broadcast_to(widths, 2)))
    np.testing.assert_allclose(lift.logits(), point.logits(), atol=1e-13)
    assert penalty(lift) == pytest.approx(penalty(point.lift()), rel=1e-13)


def test_a_lift_stands_in_the_frames_it_is_given():
    point = random_point(PROBLEMS["weights"])
    frames = [np.linalg.qr(normal(5, 3, seed=i))[0] for i in (5, 6)]
    lift = point.lift(frames=frames)
    np.testing.assert_allclose(lift.logits(), point.logits(), atol=1e-13)
    np.testing.assert_allclose(frames[0] @ (frames[0].T @ lift.factors[0]), lift.factors[0], atol=1e-14)


@pytest.mark.parametrize("widths", [2, (3, 2)])
def test_a_width_below_the_rank_is_refused(widths):
    with pytest.raises(ValueError, match=r"rank 3.*widths="):
        random_point(PROBLEMS["deep"] if widths == 2 else PROBLEMS["wide"]).lift(widths)


@every_problem
@both_kinds
def test_right_vectors_are_orthonormal_over_all_samples(problem, collapsed):
    point = random_point(problem, collapsed)
    assert point.V.shape == (problem.N, 3)
    np.testing.assert_allclose(point.V.T @ point.V, np.eye(3), atol=1e-14)
    bias = 0 if point.b is None else point.b[:, None]
    np.testing.assert_allclose(point.logits(), (point.U * point.s) @ point.V.T + bias, atol=1e-14)


@every_problem
@both_kinds
def test_class_logits_are_means_over_classes(problem, collapsed):
    point = random_point(problem, collapsed)
    Z = point.logits()
    means = np.column_stack([Z[:, problem.labels == c].mean(axis=1) for c in range(problem.K)])
    np.testing.assert_allclose(point.class_logits(), means, atol=1e-14)


@every_problem
def test_a_matrix_of_classes_and_of_samples_are_one_point(problem):
    M, b = normal(4, 4), None if problem.bias is None else normal(4)
    by_class, by_sample = from_matrix(problem, M, b=b), from_matrix(problem, M[:, problem.labels], b=b)
    assert by_class.collapsed
    assert by_sample.collapsed
    np.testing.assert_allclose(by_sample.s, by_class.s, rtol=1e-13)
    np.testing.assert_allclose(by_class.s, np.linalg.svd(M[:, problem.labels])[1], rtol=1e-13)
    for point in (by_class, by_sample):
        np.testing.assert_allclose(point.class_logits(), M if b is None else M + b[:, None], atol=1e-13)


def test_within_class_variation_is_kept_unless_told_to_forget_it():
    problem, Z = PROBLEMS["imbalanced"], normal(4, 10)
    np.testing.assert_allclose(from_matrix(problem, Z).logits(), Z, atol=1e-14)
    forgotten = from_matrix(problem, Z, collapse=True)
    assert forgotten.collapsed
    np.testing.assert_allclose(forgotten.class_logits(), from_matrix(problem, Z).class_logits(), atol=1e-14)
    assert not from_matrix(problem, Z[:, problem.labels], collapse=False).collapsed


@pytest.mark.parametrize("shape", [(4, 5), (5, 4), (10, 4), (4,), (4, 10, 1)])
def test_a_matrix_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="Z must have"):
        from_matrix(PROBLEMS["imbalanced"], np.ones(shape))


@every_problem
def test_factors_to_logits_and_back_keep_the_product(problem):
    point = random_factors(problem)
    np.testing.assert_allclose(point.to_logits().logits(), point.logits(), atol=1e-12)
    np.testing.assert_allclose(point.to_logits().lift().product(), point.product(), atol=1e-12)


@every_problem
def test_balancing_keeps_the_product_and_never_raises_the_penalty(problem):
    point = random_factors(problem)
    balanced = point.balance()
    np.testing.assert_allclose(balanced.logits(), point.logits(), atol=1e-11)
    assert balanced.balancedness() < 1e-12 < point.balancedness()
    assert penalty(balanced) < penalty(point)
    assert penalty(balanced.balance()) == pytest.approx(penalty(balanced), rel=1e-12)


def test_a_nonlinear_model_has_no_logit_point():
    point = random_factors(Problem(K=3, L=2, lam=0.1, activation="relu"))
    with pytest.raises(ValueError, match="relu"):
        point.to_logits()


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_the_layers_end_in_the_logits(activation):
    point = random_factors(Problem(K=3, n=2, d=(4, 5), L=2, lam=0.1, activation=activation))
    H, W1, W2 = point.factors
    hidden = {"linear": lambda x: x, "relu": lambda x: x * (x > 0), "tanh": np.tanh}[activation](W1 @ H)
    np.testing.assert_allclose(point.layers()[1], hidden, atol=1e-14)
    np.testing.assert_allclose(point.logits(), W2 @ hidden, atol=1e-13)


# files -----------------------------------------------------------------------------------------


@every_problem
def test_factors_come_back_from_a_file_to_the_last_bit(tmp_path, problem):
    point = random_factors(problem)
    point.save(tmp_path / "point.npz")
    back = load(tmp_path / "point.npz")
    assert back.problem == problem
    assert all(np.array_equal(a, b) for a, b in zip(back.factors, point.factors, strict=True))
    assert (back.b is None and point.b is None) or np.array_equal(back.b, point.b)
    assert [p.name for p in tmp_path.iterdir()] == ["point.npz"]


@every_problem
@both_kinds
def test_logits_come_back_from_a_file_to_the_last_bit(tmp_path, problem, collapsed):
    point = random_point(problem, collapsed)
    point.save(tmp_path / "point.npz")
    back = load(tmp_path / "point.npz")
    assert (back.problem, back.collapsed) == (problem, point.collapsed)
    assert all(np.array_equal(getattr(back, part), getattr(point, part)) for part in ("U", "s", "right", "b"))


def test_a_structure_keeps_its_name_and_scales_in_a_file(tmp_path):
    point = structures.dnc(PROBLEMS["plain"])
    point.save(tmp_path / "dnc.npz")
    back = load(tmp_path / "dnc.npz")
    assert (back.name, back.scales) == ("dnc", point.scales)
    assert logits.value(back) == logits.value(point)


def test_a_save_that_fails_keeps_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "point.npz"
    random_point(PROBLEMS["plain"]).save(path)
    before = path.read_bytes()

    def full_disk(*args, **arrays):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space"):
        random_point(PROBLEMS["deep"]).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        {"x": np.eye(2)},
        {"ufm": np.array("not json")},
        {"ufm": np.array("[]")},
        {"ufm": np.array('{"kind": "logits", "problem": {"K": 3, "lam": 0.1}, "name": null, "scales": []}')},
        {
            "ufm": np.array('{"kind": "factors", "problem": {"K": 3, "lam": 0.1}}'),
            "factor_0": np.eye(2),
            "factor_1": np.eye(3),
        },
        {"ufm": np.array('{"kind": "factors", "problem": {"K": 1, "lam": 0.1}}')},
        {"ufm": np.array('{"kind": "factors", "problem": {"lam": 0.1}}')},
        {"ufm": np.array('{"kind": "factors", "problem": 3}')},
    ],
)
def test_a_file_that_holds_no_point_is_named(tmp_path, arrays):
    path = tmp_path / "garbage.npz"
    if arrays is None:
        path.write_bytes(b"PK\x03\x04 rubbish")
    else:
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"garbage\.npz"):
        load(path)


# refusals --------------------------------------------------------------------------------------

U3, S3 = np.eye(4, 3), np.array([3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((U3, [3.0, 2.0, 0.0], U3), "positive singular values"),
        ((U3, [3.0, 2.0, -1.0], U3), "positive singular values"),
        ((U3, [3.0, np.nan, 1.0], U3), "s must be finite"),
        ((U3, np.ones((3, 1)), U3), "s must have 1 axes"),
        ((np.eye(4), S3, U3), r"U must have shape \(4, 3\)"),
        ((U3, S3, np.eye(4)), r"right must have shape \(any, 3\)"),
        ((U3, S3, np.eye(5, 3)), "4 rows .*8 rows .*got 5"),
        ((np.full((4, 3), np.inf), S3, U3), "U must be finite; it has 12"),
        ((U3, S3, U3, np.zeros(4)), "b must be None"),
        (("abc", S3, U3), "U must be an array"),
    ],
)
def test_a_logit_point_refuses_what_it_is_not(parts, said):
    with pytest.raises(ValueError, match=said):
        LogitPoint(Problem(K=4, n=2, lam=0.1), *parts)


@pytest.mark.parametrize(
    ("factors", "b", "said"),
    [
        ((np.eye(3),), None, "2 arrays; got 1"),
        ((np.eye(3), np.eye(3)[:2]), None, r"W_1 must have shape \(3, 3\); got \(2, 3\)"),
        ((np.full((3, 3), np.nan), np.eye(3)), None, "H_1 must be finite; it has 9"),
        ((np.eye(3), np.eye(3)), np.zeros(2), r"b must have shape \(3\)"),
    ],
)
def test_a_factor_point_refuses_what_it_is_not(factors, b, said):
    with pytest.raises(ValueError, match=said):
        FactorPoint(Problem(K=3, lam=0.1, bias=0.1), factors, b)


def test_a_bias_not_given_is_zero():
    problem = PROBLEMS["biased"]
    assert not LogitPoint(problem, U3, S3, U3).b.any()
    assert not FactorPoint(problem, random_factors(problem).factors).b.any()


@every_problem
@both_kinds
def test_the_value_of_logits_is_the_value_of_their_lift(problem, collapsed):
    point = random_point(problem, collapsed)
    objective, x = objective_of(point.lift(rng=3))
    assert objective.value(x) == pytest.approx(logits.value(point), rel=1e-13)


def test_a_point_is_a_snapshot_whatever_becomes_of_the_arrays_it_was_made_from():
    problem = Problem(K=3, n=2, d=4, L=2, lam=0.01, bias=0.1)
    factors, b = [np.ones(shape) for shape in problem.shapes()], np.zeros(3)
    snapshots = []
    for _ in range(4):  # a training loop that updates in place
        for A in factors:
            A *= 0.5
        b += 1.0
        snapshots.append(FactorPoint(problem, tuple(factors), b))
    assert [p.factors[0][0, 0] for p in snapshots] == [0.5, 0.25, 0.125, 0.0625] and [p.b[0] for p in snapshots] == [
        1,
        2,
        3,
        4,
    ]
    U, s, V = (A.copy() for A in np.linalg.svd(np.diag([3.0, 2.0, 1.0])))
    point = LogitPoint(Problem(K=3, lam=0.01), U, s, V.T)
    kept = point.logits()
    for A in (U, s, V):
        A *= 2
    np.testing.assert_array_equal(point.logits(), kept)


def test_other_records_keep_arrays_of_their_own():
    from ufm.networks import Data
    from ufm.numerics.schemes import Scheme
    from ufm.solvers.result import Result, Trace

    X, y, E, settings, trace = np.eye(2, 4), np.array([0, 1, 0, 1]), np.eye(2) - 0.5, {"start": np.zeros(2)}, Trace()
    data, scheme = Data(X, y), Scheme("S_2", 2, (E,), (1,))
    trace.record(0, 1.0, 1.0)
    point = FactorPoint(Problem(K=2, lam=0.1), (np.eye(2), np.eye(2)))
    result = Result(point, 1.0, 1.0, False, "", 0, 0, "gd", "factors", None, settings, trace, 0.0)
    for A in (X, E, settings["start"]):
        A += 1.0
    trace.record(1, 0.5, 0.5)
    assert (
        data.X[1, 0] == 0
        and scheme.idempotents[0][0, 0] == 0.5
        and result.settings["start"][0] == 0
        and len(result.trace) == 1
    )


def test_frames_that_are_not_orthonormal_are_refused():
    problem = Problem(K=3, n=2, L=2, lam=0.01)
    good = structures.dnc(problem)
    for name, wrong in (
        ("U", good.U * [1.0, 1.001]),
        ("U", np.ones((3, 2)) / np.sqrt(3)),
        ("U", 2 * good.U),
        ("U", np.zeros((3, 2))),
    ):
        with pytest.raises(
            ValueError,
            match=rf"{name} must have orthonormal columns; {name}'{name} is off the identity by .*from_matrix",
        ):
            LogitPoint(problem, wrong, good.s, good.right)
        with pytest.raises(ValueError, match="right must have orthonormal columns"):
            LogitPoint(problem, good.U, good.s, wrong)
    assert LogitPoint(problem, good.U + 1e-11, good.s, good.right).rank == 2
    large = structures.pairs(Problem(K=1200, L=2, lam=1e-6))
    with pytest.raises(ValueError, match="right must have orthonormal"):
        LogitPoint(large.problem, large.U, large.s, np.hstack([large.right[:, 1:], large.right[:, 1:2]]))
