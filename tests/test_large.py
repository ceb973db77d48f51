"""Large problems: spectra by irreducible blocks against dense Hessians and closed forms, and descents whose width
follows the rank."""

import functools
import itertools
import math
import resource
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.gk25.dnc_spectrum import closed_spectrum
from ufm import structures
from ufm.critical import spectrum as spectra
from ufm.critical.classify import classify
from ufm.critical.measures import escape_direction, escape_rate, flatness, spectrum
from ufm.critical.signature import DENSE_LIMIT
from ufm.critical.spectrum import Dense, Invariant, Split, core_size, spectrum_of
from ufm.critical.symmetry import Commutant, Element, kinds_of, refined, representations
from ufm.landscapes.compare import compare
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.logits import Stratum, value
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers import curvature, lbfgs, newton
from ufm.solvers.minimize import minimize
from ufm.solvers.result import Status


def unfolded(values):
    return np.sort(np.concatenate([np.full(m, v) for v, m in values] or [np.zeros(0)]))


def blocks_of(K, rng):
    """A random partition of K into parts, some of them equal."""
    parts = []
    while sum(parts) < K:
        parts += [int(rng.integers(1, 5))] * int(rng.integers(1, 3))
    while sum(parts) > K:
        parts[-1] -= 1
        parts = [p for p in parts if p]
    return parts


# The commutant


@pytest.mark.parametrize("seed", range(6))
def test_products_columns_and_norms_in_the_commutant_are_those_of_the_matrices(seed):
    rng = np.random.default_rng(seed)
    order, cells, at = rng.permutation(17), [], 0
    for m, k in ((1, 1), (3, 2), (1, 4), (2, 1), (2, 2)):
        cells.append(order[at : at + m * k].reshape(m, k))
        at += m * k
    C = Commutant(tuple(cells))
    q = len(cells)
    E, F = (Element(rng.standard_normal((q, q)), rng.standard_normal(2 * q) * (C.copies > 0)) for _ in range(2))
    M, N = C.matrix(E), C.matrix(F)
    np.testing.assert_allclose(C.columns(E), M[:, C.first], atol=1e-13)
    back = C.element(C.columns(E))
    np.testing.assert_allclose(C.matrix(back), M, atol=1e-13)
    np.testing.assert_allclose(M @ N, C.matrix(Element(E.Q @ F.Q, E.c * F.c)), atol=1e-12)
    np.testing.assert_allclose(C.flat(E) @ C.flat(F), np.sum(M * N), atol=1e-12)
    singular = np.concatenate([np.linalg.svd(E.Q, compute_uv=False), np.repeat(np.abs(E.c), C.copies)])
    np.testing.assert_allclose(np.sort(singular), np.sort(np.linalg.svd(M, compute_uv=False)), atol=1e-12)
    np.testing.assert_allclose(C.flat(C.unflat(C.flat(E))), C.flat(E), atol=1e-14)


def test_terms_are_the_matrices_they_name():
    C = Commutant((np.array([[0, 1], [2, 3], [4, 5]]), np.array([[6]])))
    x, y = np.r_[np.full(6, 2.0), 5.0], np.r_[np.full(6, -1.0), 3.0]
    np.testing.assert_allclose(C.matrix(C.term(("outer", x, y))), np.outer(x, y), atol=1e-14)
    np.testing.assert_allclose(C.matrix(C.term(("diagonal", x))), np.diag(x), atol=1e-14)
    np.testing.assert_allclose(C.matrix(C.term(("parts", x)))[:3, :3], [[2, 2, 0], [2, 2, 0], [0, 0, 2]], atol=1e-14)


def copies_in(kinds, K):
    """Sum over representations of dimension times independent copies among K x K matrices, and among vectors."""
    matrices = vectors = 0
    for dimension, copies, among in representations(kinds, K):
        C = refined(kinds, [x for copy in copies for _, *xs in copy for x in xs] + among)
        matrices += dimension * np.linalg.matrix_rank(
            [C.flat(spectra.sum_of_terms(C, copy)) for copy in copies], tol=1e-9
        )
        vectors += dimension * (np.linalg.matrix_rank(np.array(among), tol=1e-9) if among else 0)
    return matrices, vectors


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 9)],
        [(4, 2)],
        [(1, 5), (1, 1)],
        [(3, 3), (2, 2)],
        [(5, 2), (1, 3), (4, 4)],
        [(1, 2)],
        [(2, 2)],
        [(2, 5), (3, 5)],
    ],
)
def test_representations_exhaust_matrices_and_vectors(shapes):
    K = sum(m * k for m, k in shapes)
    ends = np.cumsum([0, *(m * k for m, k in shapes)])
    kinds = tuple(np.arange(a, b).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True))
    assert copies_in(kinds, K) == (K * K, K)


# Spectra by blocks


@functools.cache
def problems():
    return [
        Problem(K=7, n=2, d=9, L=2, lam=2e-3),
        Problem(K=9, L=3, d=(9, 11, 10), lam=(1e-3, 2e-3, 1e-3, 3e-3)),
        Problem(K=8, n=3, d=9, L=1, lam=(1e-2, 4e-3)),
        Problem(K=6, n=(2, 2, 2, 5, 5, 5), d=7, L=2, lam=1e-3),
        Problem(K=6, n=2, L=2, lam=1e-3, bias=0.05),
        Problem(K=6, n=2, L=1, lam=1e-2, bias=0.0),
        Problem(K=7, n=2, d=8, L=3, lam=1e-3, loss="mse"),
        Problem(K=6, n=(3, 3, 3, 1, 1, 1), L=1, lam=4e-2, loss="mse", bias=0.1),
        Problem(K=6, n=3, d=7, L=2, lam=1e-4, loss="focal(8)"),
        Problem(K=7, n=2, L=2, lam=1e-3, loss="label_smoothing"),
        Problem(K=4, n=2, L=4, lam=1e-7),
    ]


@pytest.mark.parametrize("problem", problems(), ids=lambda p: f"{p.loss.name}-K{p.K}-L{p.L}-bias{p.bias}")
def test_blocks_have_the_spectrum_of_the_dense_hessian_in_all_parameters(problem):
    split = 0
    for name, point in structures.existing(problem)[0].items():
        parts = Split.of(point)
        if parts is None or Stratum(point).grad_norm > 1e-9:  # pairs of an odd K
            continue
        objective, x = objective_of(point.lift())
        expected = np.linalg.eigvalsh(objective.hessian(x))
        found = unfolded(spectrum_of(parts))
        assert len(found) == len(expected) == objective.size
        np.testing.assert_allclose(
            found, expected, atol=1e-13 * max(1.0, expected[-1]) + 1e-12 * np.max(np.abs(expected)), err_msg=name
        )
        assert parts.fun == pytest.approx(value(point), abs=1e-14)
        assert parts.grad_norm == pytest.approx(Stratum(point).grad_norm, abs=2e-15)
        split += 1
    assert split >= (2 if problem.bias is None or problem.loss.name == "ce" else 1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    K=st.integers(2, 9),
    L=st.integers(1, 4),
    n=st.integers(1, 3),
    log_lam=st.floats(-14, -3),
    loss=st.sampled_from(["ce", "mse"]),
)
def test_blocks_of_random_partitions_agree_with_the_dense_parts(seed, K, L, n, log_lam, loss):
    rng = np.random.default_rng(seed)
    problem = Problem(K=K, n=n, d=K + int(rng.integers(0, 3)), L=L, lam=math.exp(log_lam), loss=loss)
    try:
        point = structures.blocks(
            problem, blocks_of(K, rng), str(rng.choice(["large", "small"] if L > 1 else ["large"]))
        )
    except ValueError:
        return
    order = rng.permutation(K)  # classes in any order, and a point that need not be critical
    point = LogitPoint(problem, point.U[order], point.s * (1.3 if seed % 3 == 0 else 1.0), point.right[order])
    parts = Split.of(point)
    if parts is None:
        assert K <= 3 or len(set(map(len, kinds_of(point, point.matrix()) or ()))) < 2
        return
    dense = Dense(Stratum(point))
    for split_part, dense_part in (
        (parts.core(), dense.core()),
        (parts.leaving(), dense.leaving()),
        (parts.within(), dense.within()),
    ):
        found, expected = unfolded(split_part), unfolded(dense_part)
        assert len(found) == len(expected)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.max(np.abs(expected), initial=0.0) + 1e-15)
    assert parts.grad_norm == pytest.approx(Stratum(point).grad_norm, rel=1e-9, abs=1e-14)


def test_a_planted_error_in_the_blocks_is_seen(monkeypatch):
    point = structures.pairs(Problem(K=8, n=2, L=2, lam=1e-3))
    expected = unfolded(Dense(Stratum(point)).core())
    hvp = Invariant.hvp
    monkeypatch.setattr(Invariant, "hvp", lambda self, flat: hvp(self, flat) + 1e-6 * flat)
    assert np.max(np.abs(unfolded(Split.of(point).core()) - expected)) > 1e-7
    monkeypatch.setattr(spectra, "representations", lambda kinds, K: itertools.islice(representations(kinds, K), 3))
    with pytest.raises(ArithmeticError, match="irreducible blocks miss"):
        Split.of(point).core()


def test_a_point_a_little_off_its_symmetry_is_not_taken_for_exact():
    problem = Problem(K=24, L=2, lam=1e-4)
    point = structures.pairs(problem)
    assert Split.of(point).deviation < 1e-14
    noise = np.random.default_rng(0).standard_normal((24, 24))
    near = from_matrix(problem, point.matrix() + 1e-10 * noise, rank=point.rank)
    assert 1e-12 < Split.of(near).deviation < 1e-9
    assert classify(near).grad_norm == Stratum(near).grad_norm > 1e-13
    assert Split.of(from_matrix(problem, point.matrix() + 1e-6 * noise, rank=point.rank)) is None


@pytest.mark.parametrize("K", [200, pytest.param(1600, marks=pytest.mark.slow)])
def test_parts_of_two_are_found_among_many_classes_in_any_order(K):
    problem, order = Problem(K=K, L=2, lam=1e-7), np.random.default_rng(K).permutation(K)
    M = structures.pairs(problem).class_logits()[np.ix_(order, order)]
    kinds, deviation = kinds_of(structures.zero(problem), M)
    assert [kind.shape for kind in kinds] == [(K // 2, 2)] and deviation == 0
    assert all(M[a, b] == M.min() for a, b in kinds[0])
    M[5, 9] += 1e-3
    assert kinds_of(structures.zero(problem), M)[0][0].size < K


def test_a_rank_that_the_logits_do_not_show_is_not_split():
    problem = Problem(K=8, L=3, lam=1e-4)
    a = structures.dnc(problem)
    tiny = LogitPoint(problem, a.U, np.r_[a.s[:-1], 1e-40], a.right)
    assert Split.of(tiny) is None  # a matrix in float64 has lost the last mode


@pytest.mark.parametrize("K, L, n, lam", [(21, 2, 2, 1e-4), (26, 3, 1, 1e-5), (30, 1, 2, 1e-3), (24, 2, 1, 1e-2)])
def test_signatures_from_blocks_are_those_of_the_stratum_theorem(K, L, n, lam, monkeypatch):
    problem = Problem(K=K, n=n, d=K + 3, L=L, lam=lam)
    points = [p for p in structures.existing(problem)[0].values() if p.rank * (2 * K - p.rank) <= DENSE_LIMIT]
    blocks = [classify(p) for p in points]
    monkeypatch.setattr("ufm.critical.signature.SPLIT_FROM", 10**6)
    for found, point in zip(blocks, points, strict=True):
        expected = classify(point, extremes=False)
        assert (found.index, found.nullity, found.nullity_symmetry, found.status) == (
            expected.index,
            expected.nullity,
            expected.nullity_symmetry,
            expected.status,
        )
        assert found.fun == pytest.approx(expected.fun, abs=1e-14)


# A thousand classes


def moments(values):
    v, m = np.array([v for v, _ in values]), np.array([m for _, m in values], dtype=float)
    return [m.sum(), m @ v, m @ v**2, m @ v**3, v.min(), v.max()]


@pytest.mark.parametrize(
    "K, n, d, L, lam", [(1000, 1, 1000, 3, 1e-6), (1000, 30, 10**4, 2, 1e-6), (431, 2, 600, 4, 1e-5)]
)
def test_spectrum_of_collapse_at_a_thousand_classes_is_its_closed_form(K, n, d, L, lam):
    problem = Problem(K=K, n=n, d=d, L=L, lam=lam)
    point = structures.dnc(problem)
    values = spectrum(point)
    assert sum(m for _, m in values) == FactorObjective(problem).size
    np.testing.assert_allclose(moments(values), moments(closed_spectrum(point)), rtol=1e-10)
    assert escape_rate(point) == pytest.approx(max(0.0, -min(v for v, _ in closed_spectrum(point))), rel=1e-9)


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "problem",
    [
        Problem(K=560, n=3, d=2000, L=1, lam=1e-5),
        Problem(K=521, n=2, L=2, lam=1e-6, loss="mse"),
        Problem(K=700, L=3, lam=1e-7),
    ],
)
def test_traces_and_counts_at_a_thousand_classes(problem):
    for point in (
        structures.pairs_apex(problem) if problem.K % 2 else structures.pairs(problem),
        structures.blocks(problem, (300, *(4,) * 50, problem.K - 500)),
    ):
        found, signature = flatness(point), classify(point)
        assert found.parameters == sum(a * b for a, b in problem.shapes())
        assert (found.negative, found.zero) == (signature.index, signature.nullity)
        assert (signature.lowest, signature.highest) == (spectrum(point)[0][0], spectrum(point)[-1][0])
        assert found.trace == pytest.approx(trace(point), rel=1e-9)


def trace(point):
    """Trace of the Hessian in all parameters: of the ridge, and per factor of H_c seen through what is after it,
    weighted by what is before."""
    problem = point.problem
    D, N, Lam = problem.D, problem.N, problem.Lam
    total = sum(lam * a * b for lam, (a, b) in zip(problem.lams, problem.shapes(), strict=True))
    Z = Stratum(point).logits
    if problem.loss.name == "mse":
        diagonal = np.ones_like(Z)
        through = [np.full(problem.K, np.sum(point.s ** (2 * (D - 1 - l) / D))) for l in range(D - 1)]
    else:
        P = np.exp(Z - Z.max(axis=0))
        P /= P.sum(axis=0)
        diagonal = P * (1 - P)
        through = []
        for l in range(D - 1):  # tr(A' (diag p - p p') A), A = U s^((D-1-l)/D)
            A = point.U * point.s ** ((D - 1.0 - l) / D)
            through.append(np.sum(A**2, axis=1) @ P - np.sum((A.T @ P) ** 2, axis=0))
    for l, lam in enumerate(problem.lams):
        gain = math.prod(problem.lams) / lam  # products of the rescalings of the other factors
        rescale = Lam ** (D - 1) / gain
        after = np.sum(diagonal, axis=0) if l == D - 1 else through[l]
        before = problem.counts if l == 0 else np.sum((point.right * point.s ** (l / D)) ** 2, axis=1)
        total += rescale * float(after @ before) / N
    return total


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "problem", [Problem(K=1000, n=100, d=10**4, L=2, lam=1e-6), Problem(K=1000, L=3, lam=1e-6)], ids=["L2", "L3"]
)
def test_comparison_at_a_thousand_classes_has_every_signature_in_little_memory(problem):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = compare(problem, starts=0)
    assert {"zero", "dnc", "pairs", "dnc(small)"} <= {p.name for p in found.points}
    assert all(p.index is not None and p.lowest is not None and p.grad_norm < 1e-16 for p in found.points)
    K, d, L = problem.K, problem.d, problem.L
    dnc, pairs = found["dnc"], found["pairs"]
    assert (dnc.index > 0) == (dnc.point.scales[0] < K * (L - 1) / (L + 1)) and dnc.index in (0, K * (K - 3) // 2)
    assert pairs.nullity == L * (K // 2 * d - K // 2 * (K // 2 + 1) // 2) and pairs.nullity == pairs.nullity_symmetry
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (
        1024 if sys.platform != "darwin" else 1024**2
    )
    assert more < 700  # MiB


def test_direction_of_escape_is_refused_where_its_core_is_too_large_but_not_the_rate():
    point = structures.dnc(Problem(K=80, L=3, lam=1e-5))
    assert core_size(point) > spectra.CORE_LIMIT and escape_rate(point) > 0
    with pytest.raises(ValueError, match="see escape_rate"):
        escape_direction(point)


# Descents whose width follows the rank


def test_a_random_start_at_120_classes_reaches_a_stable_point_of_low_rank():
    problem = Problem(K=120, n=2, L=3, lam=1e-3)
    run = minimize(problem, rng=0)
    assert run.success and run.grad_norm <= 1e-12 and run.point.rank < 20
    whole = FactorObjective(problem, True, (120,) * 3)
    assert np.linalg.norm(whole.grad(whole.lift(run.point))) < 1e-11
    lowest, highest = curvature.extreme_curvatures(Stratum(run.point))
    assert 0 < lowest < highest


def test_narrow_descent_and_the_plain_one_end_at_minima_of_the_same_problem(monkeypatch):
    problem = Problem(K=24, L=2, lam=1e-3)
    plain = minimize(problem, rng=1)
    seen = []
    narrowed = lbfgs.narrowed
    monkeypatch.setattr(lbfgs, "WIDE", 100)
    monkeypatch.setattr(lbfgs, "narrowed", lambda *a: seen.append(narrowed(*a)) or seen[-1])
    sizes = []
    narrow = minimize(problem, rng=1, callback=lambda at: sizes.append(at.x.size if at.x is not None else 0))
    assert any(s is not None for s in seen) and narrow.success
    assert set(sizes) == {3 * 24 * 24}  # whoever watches sees the whole problem
    assert classify(narrow).status == classify(plain).status == "local minimum"


def test_two_factors_are_never_narrowed():
    objective = FactorObjective(Problem(K=10, L=1, lam=1e-3), True, (10,))
    point = structures.pairs(objective.problem)
    x = objective.lift(point)
    assert lbfgs.narrowed(objective, x, objective.value(x)) is None
    deep = FactorObjective(Problem(K=10, L=2, lam=1e-3), True, (10, 10))
    x = deep.lift(structures.pairs(deep.problem))
    narrow, y = lbfgs.narrowed(deep, x, deep.value(x) + 1e-12)
    assert narrow.widths == (5, 5) and narrow.value(y) == pytest.approx(deep.value(x), abs=1e-14)
    assert lbfgs.narrowed(deep, x, deep.value(x) - 1e-6) is None  # F would rise
    np.testing.assert_allclose(deep.logits(lbfgs.widened(deep, narrow, y[None])[0]), deep.logits(x), atol=1e-13)


@pytest.mark.parametrize(
    "problem", [Problem(K=12, L=2, lam=1e-3), Problem(K=9, n=2, L=3, lam=1e-3, bias=0.1), Problem(K=8, L=1, lam=1e-2)]
)
def test_newton_without_a_dense_hessian_ends_where_the_dense_one_does(problem, monkeypatch):
    point = minimize(problem, rng=0, tol=1e-10).point
    rough = LogitPoint(problem, point.U, point.s * 1.001, point.right, point.b)
    dense, _, _ = newton.newton_on_stratum(rough, 1e-13)
    monkeypatch.setattr(curvature, "FORMED", 0)
    free, steps, said = newton.newton_on_stratum(rough, 1e-13)
    assert said.status is Status.CONVERGED and steps < 12
    assert free.fun == pytest.approx(dense.fun, abs=1e-13)
    np.testing.assert_allclose(free.point.s, dense.point.s, rtol=1e-9)


def test_lanczos_sees_the_ends_of_the_spectrum_and_a_direction_of_descent(monkeypatch):
    problem = Problem(K=9, L=3, lam=3e-3)
    saddle, point = structures.dnc(Problem(K=16, L=3, lam=3e-3)), minimize(problem, rng=0).point
    for stratum in (Stratum(saddle), Stratum(point)):
        values = np.linalg.eigvalsh(stratum.scaled_hessian())
        np.testing.assert_allclose(curvature.extreme_curvatures(stratum, 400), [values[0], values[-1]], rtol=1e-8)
    assert curvature.extreme_curvatures(Stratum(saddle))[0] < 0 < curvature.extreme_curvatures(Stratum(point))[0]
    monkeypatch.setattr(curvature, "FORMED", 0)
    assert curvature.stable(Stratum(point).row()) and not curvature.stable(Stratum(saddle).row())
    off = LogitPoint(saddle.problem, saddle.U, saddle.s * np.linspace(0.98, 1.02, 15)[::-1], saddle.right)
    assert not curvature.directions(Stratum(off).row(), np.array([False]))[1]


@pytest.mark.parametrize(
    "problem",
    [
        Problem(K=5, n=2, L=2, lam=1e-3),
        Problem(K=4, L=1, lam=1e-2, bias=0.1),
        Problem(K=5, n=(3, 3, 2, 1, 1), L=3, lam=1e-3, loss="mse"),
    ],
)
def test_hessian_vector_products_on_the_stratum_are_those_of_its_hessian(problem):
    for point in structures.existing(problem)[0].values():
        stratum = Stratum(point)
        H, V = stratum.hessian(), np.random.default_rng(0).standard_normal((3, stratum.size))
        for v in V:
            np.testing.assert_allclose(stratum.hvp(v), H @ v, atol=1e-12 * max(1.0, np.max(np.abs(H), initial=0.0)))
