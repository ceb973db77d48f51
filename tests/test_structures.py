"""Structures: exact where a formula exists, critical in the full factor space, refused with the fold where they do not
exist."""

import numpy as np
import pytest

from ufm import compare, identify, structures
from ufm.critical.same import same_point
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum, value
from ufm.problem import Problem
from ufm.structures.idempotent import one_mode
from ufm.structures.scales import scale_roots

F1 = Problem(K=10, n=5, d=70, L=2, lam=2**-10)

PROBLEMS = [
    Problem(K=5, n=2, d=7, L=2, lam=1e-3),
    Problem(K=6, n=3, d=(7, 6, 9), L=3, lam=(1e-3, 4e-3, 2e-3, 5e-4)),
    Problem(K=4, n=2, L=1, lam=0.01),
    Problem(K=7, L=4, lam=1e-4, loss="focal(3)"),
    Problem(K=6, L=2, lam=1e-3, loss="label_smoothing(0.2)"),
    Problem(K=5, n=2, L=2, lam=1e-2, loss="mse"),
    Problem(K=5, n=(3, 3, 2, 2, 2), L=3, lam=1e-3, loss="mse"),
    Problem(K=5, n=(3, 3, 2, 2, 2), L=2, lam=1e-3),
    Problem(K=4, n=2, L=2, lam=1e-3, bias=0.05),
    Problem(K=4, n=2, L=3, lam=1e-3, bias=0.3, loss="mse"),
    Problem(K=3, L=10, lam=1e-3),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.loss.name}-K{p.K}-L{p.L}")
def test_every_structure_is_critical_in_the_full_factor_space_at_its_reported_value(problem):
    points, _ = structures.existing(problem)
    assert "zero" in points and len(points) >= 2
    for name, point in points.items():
        objective, x = objective_of(point.lift(rng=3))
        fun, grad = objective.value_grad(x)
        assert fun == pytest.approx(value(point), rel=1e-13, abs=1e-14)
        assert np.linalg.norm(grad) == pytest.approx(Stratum(point).grad_norm, abs=1e-14)
        if not (name == "pairs" and problem.K % 2) and not name.startswith(
            "sel"
        ):  # the odd comparison shape, and labels of unequal counts, are not critical
            assert np.linalg.norm(grad) < 1e-14


def test_figure_1_of_gk25_to_twelve_digits():
    dnc, pairs, zero = structures.dnc(F1), structures.pairs(F1), structures.zero(F1)
    assert dnc.scales[0] == pytest.approx(7.0375384944, abs=1e-10)
    assert pairs.scales[0] == pytest.approx(7.0470486883, abs=1e-10)
    assert value(dnc) == pytest.approx(0.090662183213, abs=1e-12)
    assert value(pairs) == pytest.approx(0.080012659245, abs=1e-12)
    assert value(zero) == pytest.approx(np.log(10), abs=1e-14)
    assert (dnc.rank, pairs.rank, zero.rank) == (9, 5, 0)
    assert structures.blocks(F1, (6, 2, 2)).rank == 7
    assert value(structures.blocks(F1, (6, 2, 2))) == pytest.approx(0.086081601256, abs=1e-12)
    assert value(structures.blocks(F1, (8, 2))) == pytest.approx(0.088433420487, abs=1e-12)


@pytest.mark.parametrize("K", [2, 3, 7, 50, 200])
@pytest.mark.parametrize("L", [1, 2, 5, 10])
@pytest.mark.parametrize("lam", [1e-12, 1e-5])
def test_dnc_scale_solves_the_equation_of_gk25(K, L, lam):
    problem = Problem(K=K, n=3, L=L, lam=lam)
    a = structures.dnc(problem).scales[0]
    right = np.log(a) * (L - 1) / (L + 1) - a - np.log1p((K - 1) * np.exp(-a))
    assert np.log(lam) + np.log(3) / (L + 1) == pytest.approx(right, abs=1e-12)
    if L > 1:
        small = structures.dnc(problem, "small").scales[0]
        assert 0 < small < a
        equation = np.log(small) * (L - 1) / (L + 1) - np.log(np.exp(small) + K - 1)
        assert np.log(lam) + np.log(3) / (L + 1) == pytest.approx(equation, abs=1e-12)


@pytest.mark.parametrize("K, n, L, lam", [(4, 1, 2, 1e-3), (10, 5, 2, 2**-10), (6, 2, 1, 1e-2), (12, 3, 7, 1e-6)])
def test_even_pairs_solve_the_equation_of_gk25(K, n, L, lam):
    b = structures.pairs(Problem(K=K, n=n, L=L, lam=lam)).scales[0]
    Q = np.exp(b) + np.exp(-b) + K - 2
    gamma = np.sqrt(n) * (K - 2 + 2 * np.exp(-b)) / (n * K * Q)
    assert gamma == pytest.approx(lam * (2 * b * np.sqrt(n)) ** ((1 - L) / (1 + L)), rel=1e-12)


@pytest.mark.parametrize("K, n, L, lam", [(5, 1, 2, 1e-3), (7, 3, 3, 1e-3), (9, 2, 1, 1e-3)])
def test_odd_pairs_have_the_best_common_scale_and_the_apex_does_better(K, n, L, lam):
    problem = Problem(K=K, n=n, L=L, lam=lam)

    def along(b):
        m = K // 2
        paired = np.log1p(np.exp(-2 * b) + (K - 2) * np.exp(-b))
        lone = np.log1p((K - 1) * np.exp(-b))
        penalty = (L + 1) / 2 * lam * (m * (2 * b * np.sqrt(n)) ** (2 / (L + 1)) + (b * np.sqrt(n)) ** (2 / (L + 1)))
        return (2 * m * paired + lone) / K + penalty

    pairs, apex = structures.pairs(problem), structures.pairs_apex(problem)
    b = pairs.scales[0]
    assert value(pairs) == pytest.approx(along(b), rel=1e-13)
    assert all(along(b) <= along(b * (1 + t)) for t in (-0.3, -1e-3, 1e-3, 0.3))
    assert Stratum(pairs).grad_norm > 1e-6 and Stratum(apex).grad_norm < 1e-14
    assert value(apex) < value(pairs) and apex.rank == pairs.rank == K // 2 + 1


@pytest.mark.parametrize("K, L", [(3, 2), (6, 3), (10, 2)])
def test_below_the_fold_there_are_two_roots_and_above_it_the_refusal_names_the_fold(K, L):
    with pytest.raises(ValueError, match=r"dnc does not exist at Lam=1: .* fold Lam=0\.") as refusal:
        structures.dnc(Problem(K=K, L=L, lam=1.0))
    fold = float(str(refusal.value).rstrip(".").split("=")[-1])
    just_below = Problem(K=K, L=L, lam=fold * (1 - 1e-4))
    large, small = structures.dnc(just_below).scales[0], structures.dnc(just_below, "small").scales[0]
    assert small < large < small * 1.2
    with pytest.raises(ValueError, match="fold"):
        structures.dnc(Problem(K=K, L=L, lam=fold * (1 + 1e-4)))


def test_scale_roots_find_both_roots_however_close_to_the_fold():
    problem = Problem(K=2, L=2, lam=1.0)  # excess: log(1 - t) + log(t)/3 has its peak at t = 1/4
    top = 0.75 * 0.25 ** (1 / 3)
    for gap in (1e-3, 1e-8, 1e-12):
        roots, fold = scale_roots(lambda t: 1 - t, 1.0, problem, weight=top * (1 - gap))
        assert len(roots) == 2 and roots[0] < 0.25 < roots[1]
        assert fold * top * (1 - gap) == pytest.approx(top, rel=1e-9)
    assert scale_roots(lambda t: 1 - t, 1.0, problem, weight=top * (1 + 1e-8))[0] == []


@pytest.mark.parametrize("K, n, c", [(3, 1, 0.01), (5, 4, 1e-3), (8, 2, 1e-5)])
def test_plain_model_has_the_closed_form_of_zhu21(K, n, c):
    problem = Problem(K=K, n=n, L=1, lam=(c / 2, 2 * c))
    point = structures.dnc(problem)
    a = np.log(1 / (np.sqrt(n) * c) - (K - 1))
    assert point.scales[0] == pytest.approx(a, rel=1e-13)
    assert value(point) == pytest.approx(np.log1p((K - 1) * np.exp(-a)) + c * (K - 1) * a * np.sqrt(n), rel=1e-13)


@pytest.mark.parametrize("bias", [0.01, 0.5, 3.0])
def test_plain_mse_with_bias_has_the_closed_form_of_zhou22a(bias):
    K, n, c = 4, 3, 0.05
    problem = Problem(K=K, n=n, L=1, lam=c, loss="mse", bias=bias)
    point = structures.dnc(problem)
    kappa = K * np.sqrt(n) * c
    constant = max(0.0, 1 - kappa * (1 + 1 / bias))
    S = np.eye(K) - 1 / K
    np.testing.assert_allclose(point.class_logits() - point.b[:, None], (1 - kappa) * S + constant / K, atol=1e-14)
    b = c * np.sqrt(n) / bias if constant else 1 / (K * (1 + bias))
    np.testing.assert_allclose(point.b, b, rtol=1e-12)


def test_mse_modes_solve_the_scalar_law_of_dang23_and_die_by_class():
    problem = Problem(K=4, n=(9, 9, 4, 1), L=2, lam=0.021, loss="mse")
    point, N, D = structures.dnc(problem), 23, 3
    y = np.diag(point.U.T @ np.diag(np.sqrt(problem.counts)) @ point.right)
    np.testing.assert_allclose(point.s + N * 0.021 * point.s ** (2 / D - 1), y, rtol=1e-13)
    spinodal = (D / (2 * D - 2)) * ((D - 2) / (2 * D - 2)) ** ((D - 2) / D)  # of the class of one sample, y = 1
    assert N * 0.021 > spinodal > N * 0.020 and point.rank == 3
    assert structures.dnc(Problem(K=4, n=(9, 9, 4, 1), L=2, lam=0.020, loss="mse")).rank == 4


def test_a_bottleneck_keeps_the_largest_modes_under_mse_and_refuses_under_cross_entropy():
    mse = structures.dnc(Problem(K=5, n=(5, 4, 3, 2, 1), d=3, L=2, lam=1e-3, loss="mse"))
    np.testing.assert_array_equal(np.flatnonzero(mse.U.any(axis=1)), [0, 1, 2])
    with pytest.raises(ValueError, match="dnc needs widths of at least its rank 4; got d=3"):
        structures.dnc(Problem(K=5, d=3, L=2, lam=1e-3))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: structures.blocks(F1, (6, 2)), "parts must sum to K=10"),
        (lambda: structures.blocks(F1, (9, 1, 0)), "parts must be an integer of at least 1"),
        (lambda: structures.blocks(F1, (1,) * 10), "at least 2"),
        (lambda: structures.blocks(F1, (6, 4), root="middle"), "root must be one of large, small"),
        (lambda: structures.blocks(F1, (6, 4), root=("large",)), "2 here; got 1"),
        (lambda: structures.dnc(F1, "huge"), "root must be one of"),
        (lambda: structures.dnc(Problem(K=3, n=(1, 2, 3), lam=0.1)), "unequal class counts"),
        (lambda: structures.dnc(Problem(K=3, L=2, lam=0.1, activation="relu")), "linear model"),
        (lambda: structures.dnc(Problem(K=3, lam=0.01), "small"), "single scale at L=1"),
        (lambda: structures.pairs(Problem(K=5, lam=0.01, L=2, bias=0.1)), "bias"),
        (lambda: structures.pairs_apex(Problem(K=6, lam=0.01, L=2)), "odd K"),
        (lambda: structures.blocks(Problem(K=5, lam=1e-3, L=2, bias=0.1), (3, 2)), "bias gradient does not vanish"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_mixed_roots_of_blocks_are_critical_too():
    point = structures.blocks(F1, (4, 3, 3), root=("small", "large", "small"))
    assert Stratum(point).grad_norm < 1e-14 and point.rank == 7
    assert point.scales[0] < 1e-3 < 1 < point.scales[1]


def test_parts_of_one_leave_a_class_undecided_and_win_at_k3_where_regularisation_is_strong():
    problem = Problem(K=3, L=3, lam=0.15)
    undecided = structures.blocks(problem, (2, 1))
    assert undecided.rank == 1
    assert value(undecided) < min(value(structures.dnc(problem)), value(structures.zero(problem)))


def test_imbalanced_blocks_take_classes_of_one_count_each():
    point = structures.blocks(Problem(K=5, n=(2, 5, 2, 5, 5), L=2, lam=1e-3), (3, 2))
    M = point.class_logits()
    assert Stratum(point).grad_norm < 1e-14
    assert np.all(M[np.ix_([1, 3, 4], [0, 2])] == 0) and np.all(M[[1, 3, 4], [1, 3, 4]] > 0)


@pytest.mark.parametrize("total, count", [(4, 2), (6, 4), (10, 12), (20, 137)])
def test_partitions_into_parts_of_at_least_two_are_counted_right(total, count):
    found = list(structures.partitions(total))
    assert len(found) == len(set(found)) == count and all(sum(p) == total and min(p) >= 2 for p in found)


@pytest.mark.parametrize("counts", [(3, 3, 2, 2), (5, 1, 1, 1)])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_zero_with_a_bias_has_the_log_frequencies_shrunk_by_its_weight(counts, bias):
    problem = Problem(K=4, n=counts, L=2, lam=1e-3, bias=bias)
    b = structures.zero(problem).b
    p = np.exp(b) / np.exp(b).sum()
    np.testing.assert_allclose(p + bias * b, problem.counts / problem.N, atol=1e-14)


def test_thousand_classes_need_nothing_of_the_size_of_the_samples():
    point = structures.pairs(Problem(K=1000, n=100, d=10_000, L=3, lam=1e-6))
    assert point.right.shape == (1000, 500) and Stratum(point).grad_norm < 1e-12


CIRCLES = [
    (5, 1, 2, 1e-3, "ce"),
    (6, 3, 4, 1e-3, "label_smoothing(0.1)"),
    (7, 2, 5, 1e-4, "ce"),
    (8, 1, 3, 1e-4, "focal(2)"),
]


@pytest.mark.parametrize("K, n, L, lam, loss", CIRCLES)
def test_the_circle_is_critical_and_solves_its_scale_equation(K, n, L, lam, loss):
    problem = Problem(K=K, n=n, d=K + 2, L=L, lam=lam, loss=loss)
    for root in ("large", "small"):
        point = structures.circle(problem, root)
        objective, x = objective_of(point.lift(rng=1))
        assert np.linalg.norm(objective.value_grad(x)[1]) < 1e-13
        j, (a,), e = np.arange(K), point.scales, np.eye(K)[:, :1]
        c = 2 / K * np.cos(2 * np.pi * j / K)
        assert np.allclose(point.class_logits(), a * c[np.subtract.outer(j, j) % K], rtol=0, atol=1e-12 * a)
        pull = -c @ problem.loss.grad(a * c[:, None], e)[:, 0]  # of cross-entropy sum_j p_j (c_0 - c_j)
        assert pull == pytest.approx(2 * lam * n ** (1 / (L + 1)) * a ** (2 / (L + 1) - 1), rel=1e-10)
        if loss == "ce":
            p = np.exp(a * c) / np.sum(np.exp(a * c))
            assert pull == pytest.approx(p @ (c[0] - c), rel=1e-10)


def test_the_circle_wins_where_rank_is_dear():
    problem = Problem(K=7, n=2, L=5, lam=1e-4)
    assert value(structures.circle(problem)) == pytest.approx(0.003140962786, abs=1e-12)
    found = compare(problem, starts=0, prove=False)
    assert found.best.name == "circle" and found.best.rank == 2 and found.best.status == "local minimum"
    assert identify(structures.circle(problem, "small")).name == "circle(small)"


@pytest.mark.parametrize("K, k", [(6, 2), (8, 2), (9, 3), (10, 4)])
def test_a_frequency_that_is_not_prime_to_k_costs_more_and_a_prime_one_is_the_circle(K, k):
    problem = Problem(K=K, L=4, lam=1e-5)
    angles = 2 * np.pi * np.arange(K) / K

    def at(frequency):
        frame = np.sqrt(2 / K) * np.stack([np.cos(frequency * angles), np.sin(frequency * angles)], axis=1)
        return one_mode(problem, frame, "polygon", "large")

    circle = structures.circle(problem)
    assert value(at(k)) > value(circle) + 0.1
    prime = next(i for i in range(2, K) if np.gcd(i, K) == 1)
    assert value(at(prime)) == pytest.approx(value(circle), rel=1e-14) and same_point(at(prime), circle)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"K": 4}, "at K=4 it is pairs"),
        ({"K": 3}, "at K=3 it is dnc"),
        ({"loss": "mse"}, "every choice of 2 modes is the same point"),
        ({"n": (2, 1, 1, 1, 1, 1)}, "equal class counts"),
        ({"d": 1}, "widths of at least its rank 2"),
        ({"lam": 1.0}, "only up to the fold"),
        ({"activation": "relu"}, "a structure of the linear model"),
    ],
)
def test_where_there_is_no_circle_the_reason_is_said(change, said):
    with pytest.raises(ValueError, match=said):
        structures.circle(Problem(**{"K": 6, "L": 3, "lam": 1e-3, **change}))


def test_a_bias_that_the_loss_does_not_see_leaves_the_circle_where_it_is():
    for bias in (0.0, 0.3):
        problem = Problem(K=7, n=2, L=5, lam=1e-4, bias=bias)
        point = structures.circle(problem)
        assert Stratum(point).grad_norm < 1e-15 and value(point) == pytest.approx(0.003140962786, abs=1e-12)


def test_petersen_is_named_and_critical_and_for_ten_classes():
    point = structures.petersen(F1)
    assert point.rank == 4 and value(point) == pytest.approx(0.081432153339, abs=1e-12)
    assert Stratum(point).grad_norm < 1e-14 and identify(point).name == "petersen"
    with pytest.raises(ValueError, match="needs K = 10; got K=9"):
        structures.petersen(Problem(K=9, lam=0.01))
