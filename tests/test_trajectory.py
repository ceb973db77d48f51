"""Reading runs: the saddle passed, the end reached, and the rate of escape against the Hessian's lowest eigenvalue."""

import json
import math

import numpy as np
import pytest

from ufm import structures
from ufm.critical.classify import classify
from ufm.numerics.groups import proposed_order
from ufm.paths.trajectory import Matcher, align, escape_rate, read_trajectory, swap_gains
from ufm.plot.connections import plateaus
from ufm.problem import Problem
from ufm.solvers import starts
from ufm.solvers.minimize import minimize

F1 = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
FOUR = Problem(K=4, n=3, L=2, lam=0.02)


@pytest.fixture(scope="module")
def run():
    """Gradient descent of gk25's Figure 1 problem from beside the saddle of two blocks of five."""
    return minimize(
        F1,
        starts.near(structures.blocks(F1, (5, 5)), 1e-4),
        method="gd",
        rng=0,
        space="reduced",
        lr=4.0,
        steps=20_000,
        trace=25,
    )


@pytest.fixture(scope="module")
def reading(run):
    return read_trajectory(run)


@pytest.fixture(scope="module")
def small():
    saddle = structures.blocks(FOUR, (3, 1))
    return minimize(
        FOUR, starts.near(saddle, 1e-5), method="gd", rng=1, space="reduced", lr=0.5, steps=6000, trace=2
    ), saddle


def test_the_saddle_passed_and_the_end_are_named(reading):
    assert reading.passed == ["blocks(5,5)", "pairs"] and reading.end == "pairs"
    first, last = reading.plateaus
    assert first.entry == 0 and first.exit < last.entry and last.exit is None
    assert first.status == "strict saddle" and last.status == "local minimum"
    assert first.closest < 2e-4 and last.closest < 1e-9 and reading.distance[-1] < 1e-9
    assert last.observed is None and last.predicted is None


def test_the_escape_rate_is_the_lowest_eigenvalue(reading):
    first = reading.plateaus[0]
    lowest = classify(structures.blocks(F1, (5, 5))).lowest
    assert first.lowest == lowest and first.predicted == pytest.approx(-lowest, rel=1e-3)
    assert first.ratio == pytest.approx(1.0, abs=0.05)


def test_the_escape_rate_is_sharp_where_one_mode_leads(small):
    found = read_trajectory(small[0])
    assert found.passed == ["blocks(3,1)", "pairs"]
    assert found.plateaus[0].ratio == pytest.approx(1.0, abs=0.02)
    wrong = read_trajectory(small[0], lr=1.0)  # a wrong learning rate is seen
    assert abs(wrong.plateaus[0].ratio - 1.0) > 0.2


def test_modes_that_raise_the_rank_show_twice_their_rate():
    problem = Problem(K=4, L=1, lam=0.02)
    run = minimize(problem, starts.near(structures.zero(problem), 0.1), method="gd", rng=0, lr=0.1, steps=2000, trace=1)
    found = read_trajectory(run)
    assert found.passed[0] == "zero" and found.end == "dnc"
    lowest = classify(structures.zero(problem)).lowest
    assert found.plateaus[0].predicted == pytest.approx(-2 * lowest, rel=0.03)
    assert found.plateaus[0].ratio == pytest.approx(1.0, abs=0.02)


def test_momentum_is_taken_into_account():
    saddle = structures.blocks(FOUR, (3, 1))
    run = minimize(
        FOUR, starts.near(saddle, 1e-5), method="gd", rng=1, space="reduced", lr=0.1, momentum=0.8, steps=6000, trace=2
    )
    first = read_trajectory(run).plateaus[0]
    assert first.name == "blocks(3,1)" and first.ratio == pytest.approx(1.0, abs=0.02)


def test_saved_arrays_read_like_our_own_trace(small):
    run, saddle = small
    own = read_trajectory(run)
    M = np.array(run.trace.logits)
    saved = read_trajectory(M, problem=FOUR, steps=run.trace.nit, lr=0.5)
    np.testing.assert_array_equal(saved.distance, own.distance)
    assert [p.observed for p in saved.plateaus] == [p.observed for p in own.plateaus]
    labels = np.tile(np.arange(4), 3)  # samples in another order than ours
    samples = M[:, :, labels] + np.repeat([1.0, -1.0, 0.0], 4) * 0.3
    per_sample = read_trajectory(
        samples, [classify(saddle), structures.pairs(FOUR)], steps=run.trace.nit, lr=0.5, labels=labels
    )
    assert per_sample.passed == own.passed
    np.testing.assert_allclose(per_sample.distance[:200], own.distance[:200], atol=1e-12)
    unknown = read_trajectory(run.trace, problem=FOUR)  # no learning rate: rates per step
    assert unknown.lr is None and unknown.plateaus[0].predicted is None
    assert unknown.plateaus[0].observed == pytest.approx(0.5 * own.plateaus[0].observed, rel=1e-12)


def test_names_do_not_depend_on_the_order_of_classes(small):
    M, q = np.array(small[0].trace.logits), [2, 0, 3, 1]
    turned = read_trajectory(M[:, q][:, :, q], problem=FOUR)
    assert turned.passed == ["blocks(3,1)", "pairs"]
    np.testing.assert_allclose(turned.distance, read_trajectory(M, problem=FOUR).distance, atol=1e-12)
    shifted = read_trajectory(
        M + np.linspace(0, 3, 4), problem=FOUR
    )  # cross-entropy does not see a constant per sample
    np.testing.assert_allclose(shifted.distance, turned.distance, atol=1e-12)


def test_readings_print_and_save(reading):
    assert "blocks(5,5)" in repr(reading) and "strict saddle" in repr(reading)
    data = json.loads(json.dumps(reading.to_dict()))
    assert (
        data["end"] == "pairs"
        and len(data["nearest"]) == len(reading)
        and data["plateaus"][0]["ratio"] == reading.plateaus[0].ratio
    )


def test_points_that_are_not_listed_go_unnamed(run):
    assert read_trajectory(run, [structures.dnc(F1)]).passed == []


def test_ctrl_c_keeps_the_records_read(small, stop_at):
    stop_at(Matcher, "nearest", lambda self, i: i == 7)
    found = read_trajectory(small[0])
    assert len(found) == 7 and "interrupted after 7" in found.note


# ---- alignment


def test_swap_gains_are_those_of_the_swaps():
    rng = np.random.default_rng(0)
    M, B = rng.standard_normal((2, 6, 6))
    gains = swap_gains(M, B)
    for i in range(6):
        for j in range(6):
            q = np.arange(6)
            q[[i, j]] = q[[j, i]]
            assert gains[i, j] == pytest.approx(np.sum(M * B[np.ix_(q, q)]) - np.sum(M * B), abs=1e-12)


def test_fast_alignment_meets_brute_force_near_a_point():
    rng = np.random.default_rng(1)
    known = {K: list(structures.existing(Problem(K=K, L=2, lam=1e-4))[0].values()) for K in range(3, 7)}
    for trial in range(60):
        K = int(rng.integers(3, 7))
        P = known[K][1 + trial % 2].class_logits() if trial % 3 else rng.standard_normal((K, K))
        q = rng.permutation(K)
        M = P[np.ix_(q, q)] + 0.02 * np.linalg.norm(P) / K * rng.standard_normal((K, K))
        (fast, near), (_, exact) = align(M, P, exact=False), align(M, P, exact=True)
        assert near == pytest.approx(exact, rel=1e-9) and near == pytest.approx(
            np.linalg.norm(M - P[np.ix_(fast, fast)])
        )


def test_alignment_is_an_upper_bound_and_respects_counts():
    rng = np.random.default_rng(2)
    for _ in range(20):
        M, P = rng.standard_normal((2, 5, 5))
        counts = [3, 3, 2, 2, 2]
        (fast, near), (slow, exact) = align(M, P, counts, exact=False), align(M, P, counts, exact=True)
        assert near >= exact - 1e-12 and exact >= align(M, P)[1] - 1e-12
        for q in (fast, slow):
            assert [counts[i] for i in q] == counts


def test_larger_structures_are_recognised_in_any_order():
    rng = np.random.default_rng(3)
    problem = Problem(K=12, L=2, lam=1e-5)
    for point in (
        structures.pairs(problem),
        structures.blocks(problem, (5, 4, 3)),
        structures.blocks(problem, (3, 3, 3, 3)),
    ):
        P, q = point.class_logits(), rng.permutation(12)
        M = P[np.ix_(q, q)] + 1e-3 * rng.standard_normal((12, 12))
        assert align(M, P)[1] == pytest.approx(np.linalg.norm(M - P[np.ix_(q, q)]), rel=1e-9)
    assert sorted(proposed_order(M, P, np.zeros(12, dtype=int)).tolist()) == list(range(12))


def test_singular_values_bound_distances_from_below():
    rng = np.random.default_rng(4)
    M, P = rng.standard_normal((3, 5, 5)), rng.standard_normal((2, 5, 5))
    matcher = Matcher(M, P, np.linalg.norm(P, axis=(1, 2)), [1] * 5)
    for i in range(3):
        distances = [matcher.distance(i, k) for k in range(2)]
        assert all(b <= d + 1e-12 for b, d in zip(matcher.bound[i], distances, strict=True))
        assert matcher.nearest(i) == (int(np.argmin(distances)), min(distances))


def test_rates_need_enough_records():
    t = np.arange(100.0)
    assert escape_rate(t, 1e-6 * np.exp(0.1 * t)) == pytest.approx(0.1, rel=1e-9)
    assert escape_rate(t[:3], 1e-6 * np.exp(t[:3])) is None


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((np.zeros((3, 4, 4)),), {}, "points or problem"),
        ((np.zeros((4, 4)),), {"problem": FOUR}, "3 axes"),
        ((np.zeros((3, 4, 7)),), {"problem": FOUR}, "labels are needed"),
        ((np.zeros((3, 4, 6)),), {"problem": FOUR, "labels": [0, 0, 1, 1, 2, 2]}, "every class"),
        ((np.zeros((3, 5, 5)),), {"problem": FOUR}, "K=5"),
        ((np.zeros((3, 4, 4)),), {"problem": FOUR, "steps": [0, 2, 2]}, "rise"),
        ((np.zeros((3, 4, 4)), [3]), {}, "points must be a point"),
        ((np.zeros((3, 4, 4)), []), {}, "empty"),
        ((np.zeros((3, 4, 4)),), {"problem": FOUR, "lr": 0.0}, "lr must be positive"),
        ((np.full((3, 4, 4), math.nan),), {"problem": FOUR}, "finite"),
    ],
)
def test_bad_runs_are_refused(arguments, options, said):
    with pytest.raises(ValueError, match=said):
        read_trajectory(*arguments, **options)


def test_runs_without_a_trace_are_refused():
    with pytest.raises(ValueError, match="no trace"):
        read_trajectory(minimize(FOUR, method="gd", rng=0, steps=2))


# ---- the picture


def test_plateaus_draw(reading, run):
    for ax in (plateaus(reading), plateaus(reading, run), plateaus(reading, run.trace)):
        assert {t.get_text() for t in ax.texts} == {"blocks(5,5)", "pairs"}
        assert len(ax.patches) == 2
    with pytest.raises(ValueError, match="Reading"):
        plateaus(3)
