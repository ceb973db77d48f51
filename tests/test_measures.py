"""Spectra against dense Hessians and closed forms; escape rates against the descent that has them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from theory.gk25.dnc_spectrum import closed_spectrum
from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.measures import escape_direction, escape_rate, flatness, solution_dimension, spectrum
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.minimize import minimize
from ufm.solvers.newton import newton_on_stratum
from ufm.structures.modes import mse_families

SMALL = [
    Problem(K=4, n=2, d=6, L=2, lam=2e-3),
    Problem(K=4, d=5, L=1, lam=2e-2),
    Problem(K=4, n=3, d=6, L=1, lam=(1e-2, 4e-3)),
    Problem(K=4, n=2, d=(5, 6, 4), L=3, lam=(1e-3, 2e-3, 1e-3, 3e-3)),
    Problem(K=3, n=2, d=5, L=1, lam=(2e-2, 5e-2), loss="mse"),
    Problem(K=3, n=(4, 2, 1), d=4, L=2, lam=(1e-2, 2e-2, 5e-3), loss="mse"),
    Problem(K=3, n=2, d=(4, 3, 5), L=3, lam=4e-3, loss="mse"),
    Problem(K=4, n=(3, 3, 1, 1), d=2, L=2, lam=1e-2, loss="mse"),
    Problem(K=3, n=2, d=(4, 5), L=2, lam=4e-3, loss="mse", bias=0.3),
    Problem(K=3, n=(3, 2, 1), d=4, L=1, lam=4e-2, loss="mse", bias=0.0),
    Problem(K=4, n=2, d=5, L=2, lam=1e-3, bias=0.05),
    Problem(K=4, n=(3, 3, 2, 2), d=5, L=2, lam=1e-3, bias=0.1),
    Problem(K=4, n=2, d=5, L=1, lam=1e-2, bias=0.0),
    Problem(K=4, n=3, d=5, L=2, lam=1e-3, loss="focal(3)"),
    Problem(K=4, n=2, d=(5, 4), L=2, lam=1e-3, loss="label_smoothing"),
]
IDS = [f"{p.loss.name}-K{p.K}-n{p.n}-L{p.L}-d{p.d}-bias{p.bias}" for p in SMALL]


def critical_points(problem):
    """Under MSE a sample of all families, zero among them; else the structures and a minimum found."""
    if problem.loss.name == "mse":
        families = mse_families(problem)
        return [f.point for f in families if f.name == "zero"] + [
            f.point for f in families[:: max(1, len(families) // 6)]
        ]
    points = [
        p for p in structures.existing(problem)[0].values() if classify(p, extremes=False).status != "not critical"
    ]
    return [*points, minimize(problem, rng=2).require().logit_point()]


def unfolded(values):
    return np.concatenate([np.full(m, v) for v, m in values])


def dense(point):
    objective, x = objective_of(point.lift())
    return objective.hessian(x)


@pytest.mark.parametrize("problem", SMALL, ids=IDS)
def test_spectrum_is_that_of_the_dense_hessian_in_all_parameters(problem):
    points = critical_points(problem)
    assert len(points) >= 2 and any(p.rank == 0 for p in points)
    for point in points:
        found, expected = unfolded(spectrum(point)), np.linalg.eigvalsh(dense(point))
        assert len(found) == len(expected) == FactorObjective(problem).size
        np.testing.assert_allclose(found, expected, atol=1e-9 * expected[-1])
        assert np.max(np.abs(found - expected)) < 1e-9


@pytest.mark.parametrize("problem", SMALL, ids=IDS)
def test_norms_and_counts_are_those_of_the_dense_hessian(problem):
    for point in critical_points(problem):
        found, values = flatness(point), np.linalg.eigvalsh(dense(point))
        expected = values.sum(), np.max(np.abs(values)), np.linalg.norm(values), np.sum(np.abs(values))
        np.testing.assert_allclose([found.trace, found.spectral, found.frobenius, found.nuclear], expected, rtol=1e-11)
        signature = classify(point, extremes=False)
        assert (found.negative, found.zero, found.parameters) == (signature.index, signature.nullity, len(values))


def test_a_point_with_one_column_per_sample_has_the_spectrum_of_its_collapsed_twin():
    for L in (1, 2):
        collapsed = structures.dnc(Problem(K=3, n=2, d=4, L=L, lam=0.02))
        spread = LogitPoint(collapsed.problem, collapsed.U, collapsed.s, collapsed.V)
        np.testing.assert_allclose(unfolded(spectrum(spread)), unfolded(spectrum(collapsed)), atol=1e-13)
        np.testing.assert_allclose(unfolded(spectrum(collapsed.lift(rng=4))), unfolded(spectrum(collapsed)), atol=1e-13)


@pytest.mark.parametrize("name", ["zero", "dnc", "pairs", "blocks(6,2,2)"])
def test_multiplicities_sum_to_the_parameters_at_width_70_and_far_beyond(name):
    for d in (70, (70, 90), 10**5):
        problem = Problem(K=10, n=5, d=d, L=2, lam=2**-10)
        point = structures.existing(problem)[0][name]
        values = spectrum(point)
        assert sum(m for _, m in values) == FactorObjective(problem).size
        found, signature = flatness(point), classify(point, extremes=False)
        assert (found.negative, found.zero) == (signature.index, signature.nullity)
        assert len(values) < 150 and all(a < b for (a, _), (b, _) in itertools.pairwise(values))


@pytest.mark.parametrize(
    "K, n, d, L, lam", [(3, 2, 5, 1, 0.02), (3, 2, 5, 2, 0.01), (4, 1, 4, 3, 0.004), (4, 3, 7, 3, 0.002)]
)
def test_closed_spectrum_of_collapse_under_mse(K, n, d, L, lam):
    problem = Problem(K=K, n=n, d=d, L=L, lam=lam, loss="mse")
    point, D, N = structures.dnc(problem), L + 1, problem.N
    mu = point.s[0] ** (2 * (D - 1) / D) / N
    closed = [
        (2 * lam, (D - 1) * K * (K + 1) // 2 + (D - 1) * K * (d - K)),
        (D * mu - (D - 2) * lam, K * (K + 1) // 2),
        (D * (mu + lam), K * (K - 1) // 2),
        (0.0, (D - 1) * (K * (K - 1) // 2 + K * (d - K))),
        (lam + mu, K * (N - K)),
        (lam, (d - K) * (N - K) + (D - 2) * (d - K) ** 2),
    ]
    same(closed, spectrum(point), 1e-13)


@pytest.mark.parametrize(
    "K, n, d, L, lam",
    [(4, 2, 6, 2, 1e-3), (5, 1, 5, 3, 1e-3), (10, 5, 70, 2, 2**-10), (20, 1, 30, 3, 1e-3), (6, 3, 9, 1, 1e-2)],
)
def test_closed_spectrum_of_collapse_under_cross_entropy(K, n, d, L, lam):
    point = structures.dnc(Problem(K=K, n=n, d=d, L=L, lam=lam))
    same(closed_spectrum(point), spectrum(point), 1e-12)


def same(closed, found, tol):
    expected, found = np.sort(unfolded(closed)), unfolded(found)
    assert len(expected) == len(found)
    np.testing.assert_allclose(found, expected, atol=tol * max(1.0, expected[-1]))


def test_a_saddle_of_index_170_has_the_rate_of_its_closed_form():
    problem = Problem(K=20, L=3, lam=1e-3)
    point = structures.dnc(problem)
    mu_u = point.s[0] ** 1.5 / (math.exp(point.scales[0]) + 19) / 20
    assert escape_rate(point) == pytest.approx(2e-3 - 4 * mu_u, rel=1e-9)
    assert spectrum(point)[0][1] == 170


@pytest.mark.parametrize("norm, most", [("spectral", 1.02), ("frobenius", 0.92), ("nuclear", 0.92)])
def test_norms_of_collapse_and_of_pairs_keep_a_constant_ratio_as_lam_vanishes(norm, most):
    ratios = []
    for lam in (1e-20, 1e-40, 1e-80, 1e-160):
        problem = Problem(K=6, n=2, d=8, L=2, lam=lam)
        dnc, pairs = structures.dnc(problem), structures.pairs(problem)
        ratios.append(getattr(flatness(dnc), norm) / getattr(flatness(pairs), norm))
        assert flatness(dnc).spectral / lam == pytest.approx(3 * dnc.scales[0] - 1, rel=1e-9)  # (L + 1) a, a ~ -log lam
    limits = 2 * np.array(ratios[1:]) - ratios[:-1]  # the error halves as log lam doubles
    assert np.ptp(limits[1:]) < 0.5 * np.ptp(ratios[1:]) < 0.01 and 0.8 < limits[-1] < most


@pytest.mark.parametrize("problem", SMALL, ids=IDS)
def test_the_orbit_of_solutions_has_the_dimension_of_its_tangent_space(problem):
    for point in critical_points(problem)[:4]:
        assert solution_dimension(point, check=True) == sum(
            point.rank * d - point.rank * (point.rank + 1) // 2 for d in problem.widths
        )


def test_the_check_of_the_orbit_can_fail(monkeypatch):
    from ufm.critical import measures

    monkeypatch.setattr(measures, "gauge_nullity", lambda point: 18)  # Grassmannians in place of frames
    point = structures.dnc(Problem(K=4, d=6, L=2, lam=1e-3))
    assert solution_dimension(point) == 18
    with pytest.raises(ArithmeticError, match="dimension 18 by count but its tangent vectors have rank 24"):
        solution_dimension(point, check=True)


def test_frames_and_not_subspaces_are_counted():
    assert solution_dimension(structures.pairs(Problem(K=8, d=6, L=2, lam=1e-4)), check=True) == 2 * (4 * 6 - 10)


SADDLES = [
    (Problem(K=6, n=2, d=7, L=2, lam=0.09), "dnc"),
    (Problem(K=4, n=2, d=6, L=2, lam=5e-3), "dnc(small)"),
    (Problem(K=4, n=2, d=(5, 6, 4), L=3, lam=(1e-3, 2e-3, 1e-3, 3e-3)), "dnc(small)"),
    (Problem(K=4, n=2, d=6, L=1, lam=(1e-2, 3e-2)), "zero"),
    (Problem(K=4, n=(3, 2, 2, 1), d=6, L=1, lam=1e-2, bias=0.1), "zero"),
]


@pytest.mark.parametrize("problem, name", SADDLES, ids=[f"{name}-L{p.L}" for p, name in SADDLES])
def test_the_escape_direction_is_an_eigenvector_with_the_rate(problem, name):
    point = structures.existing(problem)[0][name]
    rate, direction = escape_rate(point), escape_direction(point)
    H, values = dense(point), np.linalg.eigvalsh(dense(point))
    assert rate == pytest.approx(-values[0], rel=1e-10) and rate > 0
    v = FactorObjective(problem).pack(direction.factors, direction.b)
    assert np.linalg.norm(v) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(H @ v, -rate * v, atol=1e-9 * rate)


def test_all_three_ways_out_have_their_direction():
    core = Problem(K=3, n=2, d=4, L=1, lam=0.02, loss="mse")
    for family in mse_families(core):
        rate, direction = escape_rate(family), escape_direction(family)
        assert (rate > 0) == (direction is not None) == (family.status == "strict saddle")
        if rate:
            v = FactorObjective(core).pack(direction.factors)
            np.testing.assert_allclose(dense(family.point) @ v, -rate * v, atol=1e-11)


def test_a_loss_that_is_not_convex_can_leave_within_a_class():
    problem = Problem(K=3, n=3, d=4, L=2, lam=1e-4, loss="focal(8)")
    for name, point in structures.existing(problem)[0].items():
        if classify(point, extremes=False).status == "not critical":
            continue
        values, rate, direction = np.linalg.eigvalsh(dense(point)), escape_rate(point), escape_direction(point)
        assert rate == pytest.approx(max(0.0, -values[0]), abs=1e-11 * values[-1] + 1e-6 * problem.Lam), name
        if direction is not None:
            v = FactorObjective(problem).pack(direction.factors)
            np.testing.assert_allclose(dense(point) @ v, -rate * v, atol=1e-9 * values[-1])


def test_there_is_no_way_out_of_a_minimum():
    point = structures.dnc(Problem(K=4, n=2, d=6, L=2, lam=1e-3))
    assert escape_rate(point) == 0.0 and escape_direction(point) is None


@pytest.mark.parametrize("problem, name", SADDLES[:4], ids=[f"{name}-L{p.L}" for p, name in SADDLES[:4]])
@pytest.mark.parametrize("method", ["gd", "flow"])
def test_descent_leaves_a_saddle_at_the_rate_predicted(problem, name, method):
    point = structures.existing(problem)[0][name]
    rate, direction, start = escape_rate(point), escape_direction(point), point.lift()
    objective = FactorObjective(problem)
    saddle, rng = objective.pack(start.factors, start.b), np.random.default_rng(0)
    push = objective.pack(direction.factors, direction.b) + 0.1 * rng.standard_normal(objective.size) / math.sqrt(
        objective.size
    )
    begin = dataclasses.replace(start, factors=tuple(objective.unpack(saddle + 1e-6 * push)[0]))
    highest = spectrum(point)[-1][0]
    sizes = []

    def watch(at):
        sizes.append(abs((at.x - saddle) @ objective.pack(direction.factors, direction.b)))

    if method == "gd":
        lr = 0.5 / highest
        steps = int(math.log(300) / math.log1p(lr * rate))
        minimize(problem, begin, "gd", tol=1e-300, lr=lr, steps=steps, callback=watch)
        measured, predicted = math.log(sizes[-1] / sizes[0]) / (len(sizes) - 1), math.log1p(lr * rate)
    else:
        time = math.log(300) / rate
        minimize(problem, begin, "flow", tol=1e-300, time=time, rtol=1e-8, atol=1e-14, callback=watch)
        measured, predicted = math.log(sizes[-1] / sizes[0]) / time, rate
    assert sizes[-1] > 100 * sizes[0]
    assert measured == pytest.approx(predicted, rel=0.02)


def test_a_cell_of_newton_ends_has_a_spectrum_whatever_the_index():
    problem, rng = Problem(K=4, n=2, d=5, L=2, lam=5e-3), np.random.default_rng(0)
    from ufm.landscapes.sources.search import random_point

    checked = 0
    for _ in range(30):
        end, _, _ = newton_on_stratum(random_point(problem, rng, 4.0), 1e-12, 60, drop=False)
        if end.grad_norm <= 1e-12 and end.point.rank:
            values = np.linalg.eigvalsh(dense(end.point))
            np.testing.assert_allclose(unfolded(spectrum(end.point)), values, atol=1e-9 * values[-1])
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("measure", [spectrum, flatness, solution_dimension, escape_rate, escape_direction])
def test_what_has_no_spectrum_is_refused_with_the_reason(measure):
    with pytest.raises(ValueError, match="linear model"):
        measure(minimize(Problem(K=3, L=2, lam=0.01, activation="tanh"), rng=0))
    rough = minimize(Problem(K=3, L=2, lam=0.01), method="gd", steps=3, rng=0)
    with pytest.raises(ValueError, match="not critical"):
        measure(rough)
    with pytest.raises(ValueError, match="point must be"):
        measure(np.eye(3))
    with pytest.raises(ValueError, match="core of the Hessian"):
        measure(structures.dnc(Problem(K=40, n=tuple(range(1, 41)), L=2, lam=1e-4, loss="mse")))  # no two classes alike
    with pytest.raises(ValueError, match="grad_tol must be positive"):
        measure(structures.dnc(Problem(K=3, L=2, lam=1e-2)), grad_tol=0)


def test_the_check_is_refused_where_it_is_too_large_and_results_are_accepted():
    problem = Problem(K=10, n=5, d=200, L=2, lam=2**-10)
    with pytest.raises(ValueError, match="at most 4000"):
        solution_dimension(structures.dnc(problem), check=True)
    run = minimize(Problem(K=3, L=2, lam=1e-2), rng=0)
    assert spectrum(run) == spectrum(run.point)
    assert "parameters" in repr(flatness(run))
