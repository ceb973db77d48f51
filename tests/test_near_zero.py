"""Signs of eigenvalues near zero: small roots against eighty digits, folds, zero itself, and how an open index is
shown."""

import json
from dataclasses import replace

import mpmath
import numpy as np
import pytest

from ufm import Problem, classify, compare, landscape, minimize, multistart, profile, structures
from ufm.cli import main
from ufm.critical.near_zero import Spectrum, counted
from ufm.critical.point import Signature
from ufm.critical.signature import gauge_nullity
from ufm.points import FactorPoint, LogitPoint
from ufm.solvers.newton import newton_on_stratum


def exact_signature(point, digits=80):
    """(index, nullity) at width r of the critical point of cross-entropy next to a point, by Newton's method and
    eigenvalues in so many digits."""
    problem, r = point.problem, point.rank
    K, L = problem.K, problem.L
    narrow = point.lift((r,) * L)
    with mpmath.workdps(digits):
        lam, one = mpmath.mpf(problem.lam), mpmath.mpf(1)
        x = mpmath.matrix([mpmath.mpf(float(v)) for A in narrow.factors for v in A.ravel()])
        shapes = [A.shape for A in narrow.factors]

        def unpacked(x):
            factors, at = [], 0
            for a, b in shapes:
                factors.append(np.array([x[at + i] for i in range(a * b)], dtype=object).reshape(a, b))
                at += a * b
            return factors

        def product(parts):
            Z = parts[0]
            for A in parts[1:]:
                Z = A @ Z
            return Z

        def derivatives(x):
            A = unpacked(x)
            Z = product(A)
            P = np.array([[mpmath.exp(z) for z in row] for row in Z], dtype=object)
            P = P / P.sum(axis=0)
            G, units = (P - np.eye(K)) / K, []
            for l, (a, b) in enumerate(shapes):
                for i in range(a * b):
                    E = np.full(a * b, 0 * one, dtype=object)
                    E[i] = one
                    units.append((l, E.reshape(a, b)))
            J = [product([E if k == l else B for k, B in enumerate(A)]) for l, E in units]
            g = mpmath.matrix([np.sum(G * D) for D in J]) + lam * x
            H = mpmath.zeros(len(units))
            for i, (l, E) in enumerate(units):
                turned = (P * J[i] - P * np.sum(P * J[i], axis=0)) / K
                for j, (m, B) in enumerate(units[: i + 1]):
                    second = (
                        0
                        if l == m
                        else np.sum(G * product([E if k == l else B if k == m else C for k, C in enumerate(A)]))
                    )
                    H[i, j] = H[j, i] = np.sum(turned * J[j]) + second + (lam if i == j else 0)
            return g, H

        zero = mpmath.mpf(10) ** (-digits * 2 // 3)
        for _ in range(20):
            g, H = derivatives(x)
            values, vectors = mpmath.eigsy(H)
            if mpmath.norm(g) < mpmath.mpf(10) ** (-digits + 8):
                break
            keep = [i for i in range(len(values)) if abs(values[i]) > zero]
            for i in keep:
                x -= vectors[:, i] * ((vectors[:, i].T * g)[0] / values[i])
        assert mpmath.norm(g) < mpmath.mpf(10) ** (-digits + 8)
        gauge = gauge_nullity(replace(point, problem=replace(problem, d=r)))
        return sum(v < -zero for v in values), sum(abs(v) <= zero for v in values) - gauge


def small_root(problem, u):
    """The rank-one critical point near the small root of t u u'."""
    u = np.array(u, dtype=float) / np.linalg.norm(u)
    pair = structures.blocks(problem, (2, *[1] * (problem.K - 2)), "small")
    return newton_on_stratum(LogitPoint(problem, u[:, None], pair.s, u[:, None]), 1e-30, drop=False)[0].point


def test_indices_of_small_roots_are_those_of_eighty_digits():
    at = small_root(Problem(K=3, L=2, lam=0.05), (1, 1, -2))
    assert classify(at).index_range == (2, 2) and classify(at).nullity == 4 and exact_signature(at) == (2, 0)
    four = Problem(K=4, L=2, lam=0.08)
    for point, index in ((structures.blocks(four, (2, 1, 1), "small"), 2), (small_root(four, (1, 1, -1, -1)), 3)):
        found = classify(point)
        assert (found.index, found.nullity, found.status) == (index, 6, "strict saddle")
        assert exact_signature(point) == (index, 0)


@pytest.mark.parametrize(
    "K, L, lam, n, open_",
    [
        (4, 2, 0.03, 1, False),
        (4, 3, 0.01, 1, False),
        (5, 2, 0.05, 2, False),
        (3, 2, 1e-2, 1, False),
        (4, 2, 1e-3, 1, True),
    ],
)
def test_indices_of_whole_landscapes(K, L, lam, n, open_):
    """Every symmetric point has an index that is sure or said to be open; where it is sure, more digits do not change
    it."""
    atlas = landscape(Problem(K=K, L=L, lam=lam, n=n), starts=0)
    assert any(p.index is None for p in atlas) == open_
    for p in atlas:
        low, high = p.index_range
        assert (p.index is None) == (low < high) and p.nullity - p.nullity_symmetry == high - low
        if n == 1 and 0 < p.rank <= (2 if K == 4 else 1) and p.point.s[0] < 1:
            index, zeros = exact_signature(p.point)
            assert low <= index <= high and zeros == 0
    if (K, lam) == (4, 0.03):
        assert max(p.index for p in atlas if p.rank == 2 and p.fun > 1.3867) == 5


test_indices_of_whole_landscapes = pytest.mark.slow(test_indices_of_whole_landscapes)


OPEN = structures.blocks(Problem(K=4, L=2, lam=1e-3), (2, 1, 1), "small")


def test_an_open_index_is_shown_as_open_everywhere(capsys):
    found = classify(OPEN)
    assert found.index is None and found.index_range == (1, 3) and found.status == "strict saddle" and found.descends
    assert "index 1 to 3, nullity 6 to 8 (6 by symmetry)" in repr(found)
    assert found.signature.to_dict() == {"index": None, "index_range": [1, 3], "nullity": 8, "nullity_symmetry": 6}
    atlas = landscape(OPEN.problem, starts=0)
    row = next(row for row in atlas.to_dict()["points"] if row["name"] == "blocks(2,1,1)(small)")
    assert row["index"] is None and row["index_range"] == [1, 3] and "  1 to 3    6 to 8  strict saddle" in repr(atlas)
    main(["compare", "-K", "4", "-L", "2", "--lam", "1e-3", "--starts", "0", "--json"])
    assert all({"index", "index_range"} <= set(row) for row in json.loads(capsys.readouterr().out)["structures"])
    main(["solve", "-K", "4", "-L", "2", "--lam", "1e-3", "--json"])
    assert json.loads(capsys.readouterr().out)["best"]["index_range"] == [0, 0]
    assert profile(OPEN.problem, starts=0)[1].flat()["index_range"] == [2, 2]
    assert compare(OPEN.problem, 0)["dnc"].signature.index == "0"
    degenerate = Signature((2, 4), 9, 7)
    assert (degenerate.index, degenerate.nullity, Signature(None, None, None).index) == ("2 to 4", "7 to 9", "-")


def test_counting_says_what_it_does_not_know():
    values = np.array([-1.0, -1e-9, 1e-16, -1e-16, 1e-3])
    count = counted(Spectrum(None, values, np.array([2, 1, 1, 1, 3]), symmetry=1), 1e-6)
    assert count.index == (3, 4) and count.nullity == 2 and count.least == 1e-9
    assert counted(Spectrum(None, values, np.ones(5, int), grad_norm=1e-8), 1e-6).index == (1, 4)
    certain = np.array([False, True, False, False, False])
    assert counted(Spectrum(None, values, np.ones(5, int), 0.0, certain, 10, 2, 1e-8), 1e-6).index == (2, 2)


def fold_of(problem, make):
    """The largest Lam at which make(problem) exists, to rounding."""
    low, high = 1e-9, 10.0
    while high - low > 2e-16 * high:
        middle = 0.5 * (low + high)
        try:
            make(replace(problem, lam=middle))
            low = middle
        except ValueError:
            high = middle
        if middle in (low, high) and not low < 0.5 * (low + high) < high:
            break
    return low


@pytest.mark.parametrize(
    "K, L, loss", [(2, 2, "ce"), (3, 2, "mse"), (4, 3, "ce"), pytest.param(25, 2, "ce", marks=pytest.mark.slow)]
)
def test_no_word_beyond_a_fold(K, L, loss):
    problem = Problem(K=K, L=L, lam=1.0, loss=loss)
    fold = fold_of(problem, structures.dnc)
    last = structures.dnc(replace(problem, lam=fold * (1 - 1e-9)))
    assert (
        classify(last).index_range == ((0, 0) if loss == "mse" or K == 2 else classify(last).index_range)
        and classify(last).status != "degenerate"
    )
    for beyond in (3e-7, 1e-9):
        gone = LogitPoint(replace(problem, lam=fold * (1 + beyond)), last.U, last.s, last.right)
        found = classify(gone)
        assert found.status == "not critical" and "no critical point nearby" in found.why and found.index is None
        assert found.grad_norm < found.tolerances["critical_below"]
        near = newton_on_stratum(replace(gone, s=gone.s * 1.01), drop=False)[0].point
        assert classify(near).status == "not critical"


@pytest.mark.parametrize("tol", [1e-12, 1e-15, 1e-4])
def test_what_dies_is_zero_and_a_minimum(tol):
    run = minimize(Problem(K=3, L=2, lam=0.5), method="gd", lr=0.2, steps=5000, rng=1, tol=tol)
    found = classify(run)
    assert run.success and (found.rank, found.index, found.status) == (0, 0, "local minimum")


@pytest.mark.parametrize(
    "problem",
    [
        Problem(K=4, n=2, d=6, L=1, lam=0.4),
        Problem(K=3, L=3, lam=1.0, loss="mse"),
        Problem(K=3, n=(1, 2, 3), L=2, lam=0.5, bias=0.3),
    ],
)
def test_ends_at_zero_of_other_problems(problem):
    for run in multistart(problem, 2, 0, "gd", steps=5000):
        found = classify(run)
        assert run.success and found.rank == 0 and found.status == "local minimum"


def test_a_small_critical_point_is_not_zero():
    small = structures.dnc(Problem(K=3, L=2, lam=1e-5), "small")
    found = classify(small.lift(rng=0))
    assert small.s[0] < 1e-13 and found.rank == 2 and found.index == 3
    tiny = FactorPoint(Problem(K=3, L=2, lam=1e-12), tuple(1e-9 * np.eye(3) for _ in range(3)))
    assert classify(tiny).status == "not critical"


@pytest.mark.parametrize("lam", [1e-15, 1e-17, 1e-30, 1e-100])
def test_zero_and_odd_pairs_at_tiny_lam(lam):
    for K in (2, 3, 5, 25):
        flat = classify(structures.zero(Problem(K=K, d=K + 1, L=1, lam=lam)))
        assert (flat.index, flat.nullity, flat.status) == ((K - 1) * (K + 1), 0, "strict saddle")
        assert classify(structures.zero(Problem(K=K, L=2, lam=lam))).status == "local minimum"
    for L in (1, 2):
        assert classify(structures.pairs(Problem(K=5, L=L, lam=lam))).status == "not critical"
        assert classify(structures.dnc(Problem(K=5, L=L, lam=lam))).index == 0


def test_rotations_of_features_explain_zeros_under_any_activation():
    for activation, d in (("tanh", 3), ("tanh", 4), ("leaky_relu(0.5)", 3)):
        found = classify(minimize(Problem(K=3, d=d, L=2, lam=0.01, activation=activation), rng=0))
        if found.index is not None:
            assert found.status == "local minimum" and found.nullity == found.nullity_symmetry > 0


@pytest.mark.parametrize("K, L, lam", [(4, 2, 1e-80), (5, 2, 1e-100), (3, 3, 1e-100), (4, 9, 1e-200), (25, 2, 1e-100)])
def test_small_roots_down_to_the_smallest_float(K, L, lam):
    for loss in ("ce", "mse"):
        problem = Problem(K=K, L=L, lam=lam, loss=loss)
        small = structures.dnc(problem, "small")
        s = (lam * K) ** ((L + 1) / (L - 1))  # to leading order the pull is that of zero
        assert small.s[0] == pytest.approx(s, rel=1e-10)
        found = classify(small)
        free = K - 1 if loss == "ce" else K
        assert found.status == "strict saddle" and found.index == free * (free + 1) // 2
        assert classify(structures.blocks(problem, (2, *[1] * (K - 2)), "small")).descends
    with pytest.raises(ValueError, match=r"no small root above .*, the smallest number"):
        structures.dnc(Problem(K=K, L=2, lam=1e-104), "small")
    with pytest.raises(ValueError, match="single scale at L=1"):
        structures.dnc(Problem(K=K, L=1, lam=lam), "small")


def test_large_roots_down_to_the_smallest_lam():
    for lam in (1e-100, 1e-250, 1e-300):
        pair = structures.blocks(Problem(K=4, L=9, lam=lam), (2, 1, 1))
        b = pair.scales[0]
        assert np.log(0.5) - b / 2 == pytest.approx(np.log(lam) - 0.8 * np.log(b), rel=1e-12)
        assert classify(structures.dnc(Problem(K=4, L=2, lam=lam))).status == "local minimum"


def test_rounding_of_large_logits_is_no_reason_to_call_a_minimum_not_critical():
    """At logits near 4000 the gradient's rounding is that of the logits themselves: 1e-12 is as far as Newton's method
    comes."""
    problem = Problem(K=6, L=4, lam=1e-3)
    run = minimize(replace(problem, d=1), rng=0)
    found = classify(replace(run.logit_point(), problem=problem))
    assert (
        run.success
        and (found.rank, found.status, found.index) == (1, "local minimum", 0)
        and np.max(found.point.s) > 3000
    )
    assert profile(problem, starts=2, rng=0)[1].fun == pytest.approx(run.fun, abs=1e-11)
