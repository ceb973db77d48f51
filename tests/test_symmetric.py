"""Symmetry classes: the schemes are schemes, the counts are the known ones, and every point is critical in the full
factor space."""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest

from ufm import structures
from ufm.landscapes.sources import symmetric
from ufm.landscapes.sources.symmetric import (
    a_priori_box,
    block_points,
    scheme_pairs,
    scheme_points,
    scheme_roots,
    survey,
    symmetric_points,
    two_orbit_points,
    two_orbit_roots,
)
from ufm.losses import Loss
from ufm.numerics import schemes as families
from ufm.numerics.groups import automorphism_count, colours
from ufm.numerics.schemes import Scheme, schemes
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum, value
from ufm.problem import Problem


def normal_form(K, L, C, **options):
    """The problem whose penalty is C sum s^p: n = 1, C = lam (L + 1)/2."""
    return Problem(K=K, L=L, lam=2 * C / (L + 1), **options)


def count(roots):
    return sum(map(len, roots))


ALL = [scheme for K in range(2, 17) for scheme in schemes(K, 6)]


@pytest.mark.parametrize("scheme", ALL, ids=lambda s: f"{s.name}-{s.K}")
def test_idempotents_form_a_bose_mesner_algebra(scheme):
    K = scheme.K
    full = [np.full((K, K), 1 / K), *scheme.idempotents]
    np.testing.assert_allclose(sum(full), np.eye(K), atol=1e-14)
    for i, E in enumerate(full):
        np.testing.assert_allclose(E, E.T, atol=0)
        for j, other in enumerate(full):
            np.testing.assert_allclose(E @ other, E if i == j else 0, atol=1e-14)
    span = np.linalg.qr(np.array([E.ravel() for E in full]).T)[0]
    for E in full:
        for other in full:
            product = (E * other).ravel()
            assert np.linalg.norm(product - span @ (span.T @ product)) < 1e-13
    assert sum(scheme.multiplicities) == K - 1
    for E, m, B in zip(scheme.idempotents, scheme.multiplicities, scheme.bases, strict=True):
        assert B.shape == (K, m)
        np.testing.assert_allclose(B @ B.T, E, atol=1e-14)


def test_the_algebra_test_can_fail():
    with pytest.raises(AssertionError):  # a split of the centred space that is no scheme
        v = np.array([1.0, -1.0, 0.0, 0.0, 0.0]) / np.sqrt(2)
        first = np.outer(v, v)
        scheme = Scheme("none", 5, (first, np.eye(5) - 0.2 - first), (1, 3))
        test_idempotents_form_a_bose_mesner_algebra(scheme)


@pytest.mark.parametrize(
    "scheme, order",
    [
        (families.dihedral(7), 14),
        (families.wreath(3, 2), 72),
        (families.grid(3, 4), 144),
        (families.hamming(3), 48),
        (families.johnson(5), 120),
        (families.icosahedron(), 120),
        (families.klein(), 4),
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_symmetry_groups_have_their_famous_orders(scheme, order):
    generic = sum((j + 1) ** 0.5 * E for j, E in enumerate(scheme.idempotents))
    assert automorphism_count(colours(generic, 1e-9)) == order


def test_each_scheme_is_listed_once_and_the_cap_is_respected():
    names = {K: [scheme.name for scheme in schemes(K)] for K in range(1, 13)}
    assert names[1] == ["S_1"] and names[2] == ["S_2"] and names[3] == ["S_3"]
    assert names[4] == ["S_4", "S_2wrS_2", "V_4"]  # D_4 is S_2wrS_2
    assert names[6] == ["S_6", "S_2wrS_3", "S_3wrS_2", "D_6"]  # J(4,2) is S_2wrS_3, S_2xS_3 is D_6
    assert names[8] == ["S_8", "S_2wrS_4", "S_4wrS_2", "D_8", "H(3,2)"]  # S_2xS_4 is H(3,2)
    assert "J(5,2)" in names[10] and "D_10" not in names[10] and "icosahedron" in names[12]
    assert "D_10" in [scheme.name for scheme in schemes(10, 5)]
    assert [scheme.name for scheme in schemes(9, 2)] == ["S_9", "S_3wrS_3"]
    assert families.grid(2, 3).profile == families.dihedral(6).profile != families.wreath(3, 2).profile
    assert len(scheme_pairs(4)) == len({(a.name, b.name) for a, b in scheme_pairs(4)}) == 2


@pytest.mark.parametrize(
    "K, L, C, scheme, expected",
    [
        (4, 2, 0.02, families.klein(), 26),
        (4, 2, 0.02, families.wreath(2, 2), 8),
        (5, 2, 0.02, families.dihedral(5), 8),
        (6, 2, 0.02, families.dihedral(6), 26),
        (6, 2, 0.02, families.wreath(2, 3), 8),
        (6, 2, 0.02, families.wreath(3, 2), 8),
        (8, 3, 0.02, families.hamming(3), 26),
        (8, 3, 0.01, families.dihedral(8), 78),
        (10, 2, 0.02, families.johnson(5), 8),
        (12, 2, 0.02, families.icosahedron(), 26),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_counts_of_labelled_critical_points_of_one_orbit(K, L, C, scheme, expected):
    roots = scheme_roots(normal_form(K, L, C), scheme)
    assert count(roots) == expected
    assert all(r.paired for r in roots)


@pytest.mark.parametrize(
    "L, C, first, second, expected",
    [
        (2, 0.02, families.symmetric(3), families.symmetric(1), 8),
        (2, 0.02, families.symmetric(2), families.symmetric(2), 26),
        (2, 0.1, families.symmetric(3), families.symmetric(2), 26),
        (2, 0.0015, families.wreath(2, 2), families.symmetric(1), 26),
        (2, 0.009, families.wreath(3, 2), families.symmetric(1), 26),
        pytest.param(3, 0.002, families.dihedral(5), families.symmetric(2), 72, marks=pytest.mark.slow),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_counts_of_labelled_critical_points_of_two_orbits(L, C, first, second, expected):
    roots = two_orbit_roots(normal_form(first.K + second.K, L, C), first, second)
    assert count(roots) == expected
    assert all(r.paired for r in roots)
    assert all(len(r) % 2 == 0 for r in roots if r.values.shape[1])


@pytest.mark.quick(1)
@pytest.mark.parametrize("k, m, C", [(3, 1, 0.02), (2, 2, 0.02), (3, 2, 0.1)])
def test_two_orbit_counts_agree_with_a_scan_that_knows_nothing_of_newton(k, m, C):
    """At every tau of a grid, all (mu, x) of each orbit by sign changes; then sign changes of x^2 + y^2 - tau^2 along
    the branches."""
    K, p = k + m, 2 / 3
    mus, taus = np.exp(np.linspace(np.log(1e-6), np.log(60), 500)), np.exp(np.linspace(np.log(1e-6), np.log(60), 250))

    def orbit(size, tau):
        rest = K - size
        across = (np.sqrt(rest / K / size) + np.sqrt(size / K / rest)) / np.sqrt(size)

        def chances(mu, x):
            own, other = (size - 1) * np.exp(-mu), rest * np.exp(-mu * (1 - 1 / size) - across * x)
            return own / (1 + own + other), other / (1 + own + other)

        def partner(mu):  # the x of this mu: its pull falls and its penalty rises
            low, high = np.full_like(mu, -60.0), np.full_like(mu, 8.0)
            for _ in range(60):
                x = 0.5 * (low + high)
                more = (
                    np.log(size / K * chances(mu, np.exp(x))[1] * across + 1e-300)
                    > np.log(C * p) + (p - 2) * np.log(tau) + x
                )
                low, high = np.where(more, x, low), np.where(more, high, x)
            return np.exp(0.5 * (low + high))

        squares = [float(partner(np.zeros(1))[0] ** 2)]
        if size > 1:
            x = partner(mus)
            own, other = chances(mus, x)
            r = np.log(size / K * (own + other * (1 - 1 / size))) - np.log(C * p * (size - 1)) + (1 - p) * np.log(mus)
            squares += [float(x[i] ** 2) for i in np.flatnonzero(r[:-1] * r[1:] < 0)]
        return squares

    before, changes = None, 0
    for tau in taus:
        first, second = orbit(k, tau), orbit(m, tau)
        assert len(first) == (3 if k > 1 else 1) and len(second) == (3 if m > 1 else 1)  # branches neither meet nor end
        gap = np.add.outer(first, second) - tau**2
        changes += 0 if before is None else int(np.sum(gap * before < 0))
        before = gap
    roots = two_orbit_roots(normal_form(K, 2, C), families.symmetric(k), families.symmetric(m))
    assert count(r for r in roots if r.coupled) == changes


def test_the_sign_sum_notices_a_missing_root(monkeypatch):
    problem, pairs_up = normal_form(4, 2, 0.02), symmetric.System.pairs_up
    assert survey(problem).unpaired == ()
    monkeypatch.setattr(symmetric, "MOST_ROUNDS", 1)
    monkeypatch.setattr(symmetric.System, "pairs_up", lambda self, roots: pairs_up(self, roots[:-1]))
    assert "V_4:1,2,3" in survey(problem).unpaired


PROBLEMS = [
    Problem(K=4, L=2, lam=0.02),
    Problem(K=5, n=3, d=(7, 6, 9), L=3, lam=(1e-3, 4e-3, 2e-3, 5e-4)),
    Problem(K=5, L=1, lam=0.02),
    Problem(K=5, n=2, d=3, L=4, lam=1e-5),
    Problem(K=4, L=2, lam=1e-3, loss="focal(2)"),
    Problem(K=5, L=2, lam=1e-3, loss="label_smoothing(0.1)"),
    Problem(K=4, n=2, L=2, lam=1e-2, loss="mse"),
    Problem(K=6, L=2, lam=1e-3),
]


@pytest.mark.quick(2)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.loss.name}-K{p.K}-L{p.L}")
def test_every_point_is_critical_in_the_full_factor_space_has_its_declared_rank_and_lies_in_the_box(problem):
    found = survey(problem)
    assert found.dropped == 0 and found.unpaired == () and len(found.points) > 8
    values = [value(point) for point in found.points]
    assert values == sorted(values)
    for point in found.points:
        assert point.rank <= problem.max_rank
        assert Stratum(point).grad_norm <= 1e-12
        np.testing.assert_allclose(point.U.T @ point.U, np.eye(point.rank), atol=1e-13)
        np.testing.assert_allclose(point.right.T @ point.right, np.eye(point.rank), atol=1e-13)
        if problem.loss.name != "focal(2)":
            least, total = a_priori_box(problem)
            assert np.min(point.s) >= least
            assert problem.Lam * np.sum(point.s ** (2 / problem.D)) <= total
    for point in found.points[:: max(1, len(found.points) // 10)]:
        objective, x = objective_of(point.lift(rng=1))
        fun, grad = objective.value_grad(x)
        assert fun == pytest.approx(value(point), abs=1e-13) and np.linalg.norm(grad) < 1e-12


def test_published_and_closed_form_points_are_among_those_found():
    problem = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
    found = scheme_points(problem, families.johnson(5)) + scheme_points(problem, families.wreath(2, 5))
    values = [value(point) for point in found]
    for known in (0.080012659245, 0.090662183213):  # pairs, dnc
        assert min(abs(v - known) for v in values) < 1e-12
    petersen = next(p for p in found if p.name == "code(J(5,2):1)" and p.scales[0] > 1)
    assert petersen.rank == 4 and value(petersen) == pytest.approx(0.0814322, abs=5e-8)
    for make in (structures.dnc, structures.pairs):
        assert min(abs(v - value(make(problem))) for v in values) < 1e-14


def test_five_classes_have_a_rank_three_point_below_collapse():
    problem = Problem(K=5, L=2, lam=1e-3)
    best = symmetric_points(problem, 3)[0]
    assert best.rank == 3
    assert value(best) - value(structures.dnc(problem)) == pytest.approx(-1.4090808e-4, abs=1e-11)
    assert value(best) == pytest.approx(value(structures.pairs_apex(problem)), abs=1e-14)
    assert sorted(structures.pairs_apex(problem).s) == pytest.approx(sorted(best.s), rel=1e-12)


def test_the_plain_model_has_one_root_per_support_and_collapse_is_lowest():
    problem = Problem(K=6, n=2, L=1, lam=0.01)
    for scheme in schemes(6):
        assert all(len(r) <= 1 for r in scheme_roots(problem, scheme))
    best = symmetric_points(problem, 2)[0]
    assert best.rank == 5 and best.scales[0] == pytest.approx(np.log(1 / (np.sqrt(2) * 0.01) - 5), rel=1e-13)


def test_far_above_the_folds_nothing_but_zero_remains():
    assert symmetric_points(Problem(K=4, L=2, lam=1.0)) == []


def test_mse_modes_decouple_and_the_constant_mode_takes_part():
    problem = Problem(K=6, L=2, lam=1e-3, loss="mse")
    assert count(scheme_roots(problem, families.symmetric(6))) == 3**2 - 1
    assert count(scheme_roots(problem, families.dihedral(6))) == 3**4 - 1
    for point in scheme_points(problem, families.dihedral(6)):
        np.testing.assert_allclose(point.s + problem.N * problem.Lam * point.s ** (2 / 3 - 1), 1.0, rtol=1e-10)


def test_a_loss_of_the_users_own_is_searched_through_its_gradient_alone():
    own = Loss.from_function(
        lambda Z, Y: anp.log(anp.sum(anp.exp(Z - anp.sum(Z * Y, axis=0)), axis=0)),
        "own",
        convex=True,
        shift_invariant=True,
    )
    mine, theirs = (scheme_points(Problem(K=5, L=2, lam=0.02, loss=loss), families.dihedral(5)) for loss in (own, "ce"))
    assert len(mine) == len(theirs) == 8
    np.testing.assert_allclose(sorted(map(value, mine)), sorted(map(value, theirs)), atol=1e-12)


def test_blocks_take_every_partition_and_every_choice_of_roots():
    problem = Problem(K=6, L=2, lam=1e-4)
    total = 0
    for parts in structures.partitions(6, 1):  # m equal parts of size >= 2 carry m + 1 choices
        sizes = [parts.count(k) for k in set(parts) if k > 1]
        total += int(np.prod([m + 1 for m in sizes])) if sizes else 0
    points = block_points(problem)
    assert len(points) == total and all(Stratum(p).grad_norm < 1e-12 for p in points)
    assert block_points(problem, largest=5) == []
    assert len(block_points(Problem(K=6, d=2, L=2, lam=1e-4))) < total


def test_class_permutations_are_one_point_and_other_points_of_equal_value_stay():
    problem = Problem(K=5, L=2, lam=1e-3)
    point = structures.blocks(problem, (3, 2))
    order = np.array([2, 4, 1, 0, 3])
    turned = dataclasses.replace(point, U=point.U[order], right=point.right[order])
    other = dataclasses.replace(point, U=np.linalg.qr(np.arange(15.0).reshape(5, 3) ** 2)[0])
    kept = symmetric.distinct([(1.0, point), (1.0 + 1e-13, turned), (1.0, other)])
    assert kept == [point, other]


def test_an_interrupt_keeps_the_classes_finished(stop_at):
    stop_at(symmetric, "Roots", lambda supports, coupled, *_: coupled)  # the first class of two orbits
    found = survey(Problem(K=4, L=2, lam=0.02))
    assert found.interrupted and found.classes == ("blocks", "S_4", "S_2wrS_2", "V_4") and len(found.points) > 8
    assert "interrupted" in repr(found)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: survey(Problem(K=4, n=(2, 1, 1, 1), L=2, lam=0.1)), "survey needs equal class counts; got n="),
        (lambda: survey(Problem(K=4, L=2, lam=0.1, bias=0.5)), "without a bias; got bias=0.5"),
        (lambda: survey(Problem(K=4, L=2, lam=0.1, activation="relu")), "linear model; got activation='relu'"),
        (lambda: survey(Problem(K=4, L=2, lam=0.1), 0), "max_idempotents must be an integer of at least 1"),
        (lambda: scheme_points(Problem(K=4, L=2, lam=0.1), families.dihedral(5)), "scheme must be on K=4 classes"),
        (lambda: scheme_points(Problem(K=4, L=2, lam=0.1), "V_4"), "scheme must be a Scheme; got str"),
        (lambda: two_orbit_points(Problem(K=4, L=2, lam=0.1, loss="mse")), "shift-invariant loss; got loss='mse'"),
        (
            lambda: two_orbit_roots(Problem(K=4, L=2, lam=0.1), families.symmetric(2), families.symmetric(1)),
            "on K=4 classes together",
        ),
        (lambda: a_priori_box(Problem(K=4, L=2, lam=0.1, loss="focal(2)")), "got loss='focal"),
        (lambda: a_priori_box(Problem(K=4, L=2, lam=0.1, bias=1.0)), "got bias=1.0"),
        (lambda: Scheme("x", 3, (np.eye(3),), (2,)), "multiplicities must be the traces"),
        (lambda: families.dihedral(2), "K must be an integer of at least 3"),
    ],
)
def test_refusals_name_the_argument_and_its_value(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value)


@pytest.mark.quick(1)
@pytest.mark.parametrize("K", [3, 4])
def test_modes_of_every_size_count_when_points_are_told_apart(K):
    """At lam = 1e-14 the small roots are 1e-42; the landscape is the one at moderate lam all the same."""
    tiny, moderate = (symmetric_points(Problem(K=K, L=2, lam=lam)) for lam in (1e-14, 0.04 / 3))
    assert sorted((p.rank, p.name) for p in tiny) == sorted((p.rank, p.name) for p in moderate)
    assert min(p.s[-1] for p in tiny) < 1e-38


def test_the_points_of_four_classes_found_by_search_are_there():
    """Values of a random search over all logits (K = 4, C = 0.02): pairs, dnc and a saddle with the symmetry of the
    square."""
    values = [value(point) for point in symmetric_points(normal_form(4, 2, 0.02))]
    np.testing.assert_allclose(values[:3], [0.1948464422, 0.1951169141, 0.2018900371], atol=1e-10)
