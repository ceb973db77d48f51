"""The closed list under MSE against dense Hessians, against random solves that try to leave it, and against known
counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm import structures
from ufm.certificates.global_bound import lower_bound
from ufm.critical.classify import classify
from ufm.critical.identify import identify
from ufm.landscapes.landscape import landscape
from ufm.landscapes.sources.modes import critical_point
from ufm.landscapes.sources.search import random_point
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum, value
from ufm.problem import Problem
from ufm.solvers.multistart import multistart
from ufm.solvers.newton import newton_on_stratum
from ufm.structures.modes import DOUBLE, binodal, explain, family_count, mode_groups, mse_families, spinodal


def mse(K, n=1, D=3, lam=1e-2, **more):
    return Problem(K=K, n=n, L=D - 1, lam=lam, loss="mse", **more)


SMALL = [
    mse(2, D=2, lam=0.1),
    mse(3, n=2, D=2, lam=0.05, d=5),
    mse(3, n=(5, 2, 2), D=2, lam=0.1, d=2),
    mse(4, n=(9, 4, 1, 1), D=2, lam=(0.05, 0.2), d=6),
    mse(2, D=3, lam=0.05, d=3),
    mse(3, n=2, D=3, lam=0.02, d=(3, 4)),
    mse(3, n=(4, 2, 1), D=3, lam=0.01),
    mse(4, D=3, lam=0.02, d=(2, 4)),
    mse(4, n=(3, 3, 1, 1), D=3, lam=(0.01, 0.02, 0.005), d=4),
    mse(4, n=(6, 3, 1, 1), D=3, lam=0.04),  # the smallest classes have no root
    mse(2, n=(2, 1), D=4, lam=0.02, d=(3, 2, 4)),
    mse(3, n=2, D=4, lam=0.005),
    mse(3, n=(2, 2, 1), D=5, lam=0.002),
    mse(3, n=2, D=2, lam=0.02, bias=0.3),
    mse(3, n=2, D=3, lam=0.005, bias=0.4, d=4),
    mse(3, n=1, D=3, lam=0.004, bias=5.0, d=2),
    mse(4, n=2, D=3, lam=0.01, bias=0.0),
    mse(4, n=(3, 3, 2, 1), D=2, lam=0.05, bias=0.0, d=6),
    mse(3, n=(4, 2, 1), D=3, lam=0.01, bias=0.0),
    mse(4, n=(3, 2, 2, 2), D=4, lam=0.004, bias=0.0),
]


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: f"D{p.D}-n{p.n}-d{p.d}-bias{p.bias}")
def test_every_family_is_critical_with_the_signature_and_value_it_claims(problem):
    families = mse_families(problem)
    assert len({f.name for f in families}) == len(families) == family_count(problem)[0]
    for family in families:
        critical, found = critical_point(family), classify(family.point, extremes=False)
        assert critical.grad_norm < 1e-13
        assert family.fun == pytest.approx(value(family.point), abs=1e-14)
        claimed = (family.index, family.nullity, family.nullity_symmetry, family.status)
        assert claimed == (found.index, found.nullity, found.nullity_symmetry, found.status), family


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: f"D{p.D}-n{p.n}-d{p.d}-bias{p.bias}")
def test_signatures_are_those_of_the_dense_hessian_in_all_parameters(problem):
    for family in mse_families(problem)[::2]:
        objective, x = objective_of(family.point.lift(rng=3))
        values = np.linalg.eigvalsh(objective.hessian(x))
        zero = 1e-9 * np.max(np.abs(values))
        assert (np.sum(values < -zero), np.sum(np.abs(values) <= zero)) == (family.index, family.nullity), family


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    D=st.integers(2, 5),
    log_lam=st.floats(-7, -2),
    d=st.integers(1, 5),
    bias=st.sampled_from([None, 0.0]),
)
def test_signatures_of_random_problems_agree_with_the_stratum(counts, D, log_lam, d, bias):
    problem = mse(len(counts), n=counts, D=D, lam=math.exp(log_lam), d=d, bias=bias)
    for family in mse_families(problem):
        found = classify(family.point, extremes=False)
        assert (family.index, family.nullity, family.status) == (found.index, found.nullity, found.status), family


def test_labels_with_a_free_bias_have_the_singular_values_of_the_centred_labels():
    counts = np.array([5.0, 5.0, 3.0, 2.0, 2.0, 2.0, 1.0])
    problem = mse(7, n=counts.astype(int).tolist(), lam=1e-3, bias=0.0)
    centred = (np.eye(7) - np.outer(counts, np.ones(7)) / counts.sum()) @ np.diag(np.sqrt(counts))
    listed = sorted((g.y for g in mode_groups(problem) for _ in range(g.size)), reverse=True)
    np.testing.assert_allclose(listed, np.linalg.svd(centred, compute_uv=False)[:-1], atol=1e-13)
    rebuilt = sum(g.y * g.left @ g.right.T for g in mode_groups(problem))
    np.testing.assert_allclose(rebuilt, centred, atol=1e-13)
    for family in mse_families(problem):
        np.testing.assert_allclose(family.point.b, counts / counts.sum(), atol=1e-15)
        assert np.linalg.norm(Stratum(family.point).blocks[3]) < 1e-15


@pytest.mark.parametrize("D, K", [(3, 3), (4, 4), (5, 3)])
def test_distinct_modes_with_two_roots_each_have_three_to_the_rank_values(D, K):
    problem = mse(K, n=tuple(range(K, 0, -1)), D=D, lam=1e-4)
    values = [f.fun for f in mse_families(problem)]
    assert len(values) == 3**K == family_count(problem)[1] and np.min(np.diff(values)) > 1e-12


@pytest.mark.parametrize("lam, above", [(0.05, 4), (0.11, 3), (0.15, 2), (0.19, 1), (0.3, 0)])
def test_one_layer_has_two_to_the_number_of_modes_above_the_threshold(lam, above):
    problem = mse(4, n=(4, 3, 2, 1), D=2, lam=lam)
    assert sum(np.sqrt(problem.counts) > 10 * lam) == above
    assert len(mse_families(problem)) == 2**above


@pytest.mark.parametrize("m", [2, 3, 6, 10])
def test_equal_modes_have_triangular_numbers_of_families(m):
    families = mse_families(mse(m, D=3, lam=1e-3 / m))
    assert len(families) == math.comb(m + 2, 2)
    assert sum(f.labelled for f in families) == 3**m
    assert sum(f.status == "local minimum" for f in families) == m + 1
    for f in families:
        n0, a, b = f.counts[0]
        assert f.orbit_dimension == (m * m - n0**2 - a**2 - b**2) // 2
    dnc = next(f for f in families if f.name == "dnc")
    assert dnc.fun == families[0].fun == pytest.approx(value(structures.dnc(dnc.point.problem)), abs=1e-14)


def test_a_bottleneck_keeps_subsets_of_its_size():
    assert [family_count(mse(5, n=(5, 4, 3, 2, 1), lam=1e-4, d=d))[0] for d in (1, 2, 5)] == [
        1 + 5 * 2,
        1 + 5 * 2 + 10 * 4,
        3**5,
    ]
    families = mse_families(mse(4, d=2))
    assert families[0].name == "dnc" and families[0].counts == ((2, 0, 2),) and max(f.rank for f in families) == 2


SOLVED = [
    mse(K, D=D, lam=0.02 / K, n=n)
    for K, D, n in [(2, 2, 1), (2, 3, 1), (3, 3, 2), (3, 5, 1), (4, 4, 1), (5, 3, 1), (6, 3, 1), (6, 5, 1)]
]
SOLVED += [
    mse(3, n=(4, 2, 1), D=2, lam=0.1),
    mse(4, n=(4, 3, 2, 1), D=3, lam=0.01),
    mse(5, n=(6, 6, 2, 1, 1), D=4, lam=2e-3, d=4),
    mse(3, n=(5, 3, 1), D=5, lam=2e-3),
    mse(4, n=(4, 3, 2, 1), D=3, lam=0.005, bias=0.0),
    mse(3, n=(3, 3, 1), D=4, lam=0.003, bias=0.0),
    mse(4, n=2, D=3, lam=0.004, bias=0.0),
    mse(4, n=1, D=2, lam=0.03, bias=0.3),
    mse(3, n=2, D=3, lam=0.005, bias=0.4),
    mse(3, n=1, D=4, lam=0.002, bias=2.0, d=2),
]


def disturbed(family, rng, size):
    """A point of the same rank, moved by noise that is not small."""
    stratum = Stratum(family.point)
    noise = stratum.scale * rng.standard_normal(stratum.size)
    return stratum.retract(size * np.linalg.norm(family.point.s) / np.linalg.norm(noise) * noise)


@pytest.mark.quick(5)
@pytest.mark.parametrize("problem", SOLVED, ids=lambda p: f"D{p.D}-n{p.n}-bias{p.bias}")
def test_no_random_solve_lands_outside_the_list(problem):
    families, rng = mse_families(problem), np.random.default_rng(problem.K + problem.D)
    known, reached = np.array([f.fun for f in families]), set()
    ends = [run.logit_point() for run in multistart(problem, 8, rng=1) if run.success]
    typical = max((np.linalg.norm(f.point.s) for f in families), default=1.0)
    nonzero = [f for f in families if f.rank]
    for i in range(60):
        if i % 2:  # far from everything; with a free bias these rarely converge
            start = random_point(problem, rng, typical * math.exp(rng.uniform(-2, 0.3)))
        else:
            start = disturbed(nonzero[rng.integers(len(nonzero))], rng, rng.uniform(0.05, 0.5))
        end, _, _ = newton_on_stratum(start, 1e-12, 60, drop=False)
        if end.grad_norm <= 1e-12:
            ends.append(end.point)
    assert len(ends) >= 20
    for point in ends:
        fun = value(point)
        near = int(np.argmin(np.abs(known - fun)))
        assert abs(known[near] - fun) < 1e-11, f"F = {fun:.15f} is not listed"
        assert np.any([f.rank == point.rank for f in families if abs(f.fun - fun) < 1e-11])
        reached.add(near)
    assert len(reached) >= 2


def test_nine_families_of_two_unequal_classes_are_all_reached():
    problem, rng = mse(2, n=(2, 1), D=3, lam=0.02), np.random.default_rng(0)
    families = mse_families(problem)
    assert len(families) == 9
    hit = set()
    for f in families:  # from near each of them, so that the list is not merely large
        if f.rank:
            noise = 1e-4 * rng.standard_normal(Stratum(f.point).size)
            end, _, _ = newton_on_stratum(Stratum(f.point).retract(noise * f.point.s[-1]), 1e-13, 60, drop=False)
            hit |= {i for i, g in enumerate(families) if abs(g.fun - end.fun) < 1e-12 and g.rank == end.point.rank}
    assert len(hit) == 8


@pytest.mark.parametrize("problem", [p for p in SMALL if p.D >= 3], ids=lambda p: f"D{p.D}-n{p.n}-d{p.d}-bias{p.bias}")
def test_local_minima_are_the_strongest_modes_on_the_large_root(problem):
    groups, expected = mode_groups(problem), set()
    for k in range(problem.max_rank + 1):
        room, counts = k, []
        for g in groups:
            used = min(room, g.size) if g.roots else 0
            counts.append((g.size - used, 0, used))
            room -= used
        if not room:
            expected.add(tuple(counts))
    assert {f.counts for f in mse_families(problem) if f.status == "local minimum"} == expected


def test_one_layer_has_no_local_minimum_but_the_global_one():
    for problem in (p for p in SMALL if p.D == 2):
        minima = [f for f in mse_families(problem) if f.status != "strict saddle"]
        assert len(minima) == 1 and minima[0].fun == mse_families(problem)[0].fun


@pytest.mark.parametrize("D", [3, 4, 5, 8])
def test_spinodal_and_binodal_are_where_roots_appear_and_win(D):
    n = 3
    problem = lambda level: mse(2, n=n, D=D, lam=level / (2 * n))  # noqa: E731
    y = math.sqrt(n)
    for level, roots, lower in [
        (spinodal(y, D) * 1.0001, 0, None),
        (spinodal(y, D) * 0.9999, 2, False),
        (binodal(y, D) * 1.0001, 2, False),
        (binodal(y, D) * 0.9999, 2, True),
    ]:
        families = mse_families(problem(level))
        assert len(mode_groups(problem(level))[0].roots) == roots
        if roots:
            dnc, zero = (next(f for f in families if f.name == name) for name in ("dnc", "zero"))
            assert (dnc.fun < zero.fun) is lower
            assert dnc.status == zero.status == "local minimum"
    np.testing.assert_allclose(
        mode_groups(problem(spinodal(y, D) * (1 - 1e-8)))[0].roots, y * (D - 2) / (2 * D - 2), rtol=1e-3
    )
    np.testing.assert_allclose(mode_groups(problem(binodal(y, D)))[0].roots[1], y * (D - 2) / (D - 1), rtol=1e-12)


def test_a_double_root_is_degenerate_with_its_zeros_counted():
    problem = mse(3, D=4, lam=spinodal(1.0, 4) / 3)
    families = mse_families(problem)
    assert len(families) == 4
    for f in families:
        k = f.counts[0][2]
        assert f.nullity - f.nullity_symmetry == k * (k + 1) // 2 and f.index == 0
        assert f.status == ("degenerate" if k else "local minimum")
        assert critical_point(f).grad_norm < 1e-12
        objective, x = objective_of(f.point.lift(rng=1))
        values = np.linalg.eigvalsh(objective.hessian(x))
        assert np.sum(np.abs(values) < 1e-9) == f.nullity and values[0] > -1e-9
    assert DOUBLE < 1e-9


def test_a_mode_at_the_threshold_of_one_layer_is_degenerate():
    problem = mse(2, D=2, lam=0.5, d=4)
    (zero,) = mse_families(problem)
    assert (zero.index, zero.nullity, zero.nullity_symmetry, zero.status) == (0, 8, 0, "degenerate")
    assert classify(zero.point).nullity == 8


@pytest.mark.parametrize(
    "problem", [p for p in SMALL + SOLVED if p.bias is None], ids=lambda p: f"D{p.D}-n{p.n}-d{p.d}"
)
def test_the_lowest_family_meets_the_lower_bound(problem):
    assert mse_families(problem)[0].fun == pytest.approx(lower_bound(problem), abs=1e-14)


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: f"D{p.D}-n{p.n}-d{p.d}-bias{p.bias}")
def test_dnc_is_the_structure_of_that_name(problem):
    families = {f.name: f for f in mse_families(problem)}
    assert abs(families["zero"].fun - value(structures.zero(problem))) < 1e-14
    try:
        point = structures.dnc(problem)
    except ValueError as reason:
        assert "bias" in str(reason)
        return
    np.testing.assert_allclose(families["dnc"].point.logits(), point.logits(), atol=1e-13)
    np.testing.assert_allclose(families["dnc"].point.scales, point.scales, rtol=1e-13)


@pytest.mark.parametrize(
    "problem, words",
    [
        (Problem(K=3, lam=0.1), "MSE only"),
        (mse(3, n=(3, 2, 1), bias=0.5), "penalised bias"),
        (mse(3, activation="relu"), "linear models"),
    ],
)
def test_what_is_not_known_is_refused_with_the_reason(problem, words):
    proved, sentence = explain(problem)
    assert not proved and words in sentence
    with pytest.raises(ValueError, match=words):
        mse_families(problem)


def test_lists_too_long_are_counted_and_refused():
    problem = mse(30, n=tuple(range(1, 31)), lam=1e-9)
    assert family_count(problem) == (3**30, 3**30)
    with pytest.raises(ValueError, match="limit"):
        mse_families(problem)
    with pytest.raises(ValueError, match="problem must be"):
        mse_families("mse")
    with pytest.raises(ValueError, match="y must be positive"):
        spinodal(-1.0, 3)


def test_the_sentence_counts_what_is_listed():
    for problem in SMALL:
        proved, sentence = explain(problem)
        assert proved and f"{len(mse_families(problem))} famil" in sentence


def test_names_say_which_modes_sit_where():
    names = {f.name for f in mse_families(mse(3, lam=0.01))}
    assert {"zero", "dnc", "modes(large=1)", "modes(small=3)", "modes(large=1, small=2)"} <= names
    names = {f.name for f in mse_families(mse(3, n=(4, 1, 1), lam=0.002))}
    assert {"zero", "dnc", "modes(n=4: large=1; n=1: large=1, small=1)", "modes(n=1: small=2)"} <= names


@pytest.mark.quick(1)
@pytest.mark.parametrize("lam", [1e-7, 1e-5, 1e-3])
def test_small_roots_that_lie_near_each_other_stay_apart(lam):
    """Values of two families may agree to 1e-9 and their largest modes exactly: the faint ones tell them apart, in the
    list and in names."""
    problem = Problem(K=4, n=(4, 3, 2, 1), L=2, lam=lam, loss="mse")
    table = landscape(problem)
    assert (
        table.complete and len(table) == family_count(problem)[0] == 81 and not any("#" in name for name in table.names)
    )
    assert all(identify(row).name == row.name for row in table)
