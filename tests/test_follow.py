"""Branches over the ridge weight against closed forms; crossings, rank profiles and phases against known numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from ufm import structures
from ufm.critical.classify import classify
from ufm.landscapes.profile import profile
from ufm.objectives.logits import value
from ufm.paths import follow as module
from ufm.paths.follow import at_lam, crossing, follow, structure_crossing
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers.multistart import multistart
from ufm.sweeps import phases
from ufm.sweeps.phases import phase_diagram, winners

DUEL = 0.01176049807928839417706
"""Lam where DNC and pairs have equal value at K = 4, L = 2, n = 1."""


def dnc_lam(a, K, L, n):
    """The Lam of cross-entropy DNC of scale a."""
    return a ** ((L - 1) / (L + 1)) / ((np.exp(a) + K - 1) * n ** (1 / (L + 1)))


def dnc_fold(K, L, n):
    q = (L - 1) / (L + 1)
    a = optimize.brentq(lambda a: q * (np.exp(a) + K - 1) - a * np.exp(a), 1e-6, 20, xtol=1e-15)
    return dnc_lam(a, K, L, n)


@pytest.mark.quick(2)
@pytest.mark.parametrize(("K", "L", "n"), [(4, 2, 1), (5, 3, 2), (6, 2, 3), (8, 4, 1)])
def test_dnc_branch_bifurcates_and_folds_where_the_closed_forms_say(K, L, n):
    loss_of_stability, fold = dnc_lam(K * (L - 1) / (L + 1), K, L, n), dnc_fold(K, L, n)
    start = structures.dnc(Problem(K=K, L=L, n=n, d=K + 2, lam=0.5 * loss_of_stability))
    branch = follow(start, 10.0)
    first = branch.bifurcations()[0]
    assert first.lam == pytest.approx(loss_of_stability, rel=1e-10)
    assert (first.index_before, first.index_after, first.multiplicity) == (0, K * (K - 3) // 2, K * (K - 3) // 2)
    (turn,) = branch.folds()
    assert turn.lam == pytest.approx(fold, rel=1e-10)
    assert branch.lam[[0, -1]] == pytest.approx(start.problem.Lam, rel=1e-14)
    small = structures.dnc(start.problem, "small")
    assert branch.fun[-1] == pytest.approx(value(small), rel=1e-12)
    assert branch.index[-1] == classify(small).index == K * (K - 1) // 2
    assert branch.grad_norm.max() <= 1e-12


def test_indices_on_a_branch_are_those_of_classify():
    branch = follow(structures.blocks(Problem(K=5, L=2, lam=1e-3), (3, 2)), 1.0)
    for point, index in list(zip(branch.points, branch.index, strict=True))[::6]:
        assert classify(point, extremes=False).index == index


def test_events_and_indices_agree_along_every_branch():
    problem = Problem(K=5, n=(4, 3, 2, 2, 1), L=2, lam=1e-3)
    for run in multistart(problem, 3, rng=0):
        branch = follow(run, 10.0)
        assert branch.folds(), branch.message
        index = branch.index[0]
        for event in branch.events:
            assert event.index_before == index
            index = event.index_after
        assert index == branch.index[-1]
        assert branch.grad_norm.max() <= 1e-12
        assert branch.lam.max() < max(e.lam for e in branch.folds()) * (1 + 1e-12)


def test_value_along_a_branch_rises_at_the_rate_of_the_penalty():
    branch = follow(structures.pairs(Problem(K=6, L=3, lam=1e-3)), 2e-2, max_step=0.05)
    D = 4
    slope = np.array([D / 2 * np.sum(p.s ** (2 / D)) for p in branch.points])
    steps = np.diff(branch.lam)
    middle = 0.5 * (slope[1:] + slope[:-1])
    np.testing.assert_allclose(np.diff(branch.fun), steps * middle, rtol=2e-3)
    assert np.all(np.diff(branch.fun) > 0)


@pytest.mark.parametrize("L", [2, 4])
def test_pairs_followed_to_tiny_ridge_weights_are_the_closed_form(L):
    problem = Problem(K=6, L=L, lam=1e-3)
    branch = follow(structures.pairs(problem), 1e-8)
    assert branch.message == "reached the target lam"
    assert branch.lam[-1] == pytest.approx(1e-8, rel=1e-14)
    assert branch.grad_norm.max() <= 1e-12
    assert branch.stable.all()
    np.testing.assert_allclose(branch.points[-1].s, structures.pairs(at_lam(problem, 1e-8)).s, rtol=1e-8)


def test_a_point_of_a_random_search_can_be_followed():
    run = multistart(Problem(K=5, L=2, lam=1e-3), 2, rng=1).best
    down = follow(run, 1e-6)
    assert down.message == "reached the target lam"
    assert down.grad_norm.max() <= 1e-12
    back = follow(down.points[-1], 1e-3)
    assert back.fun[-1] == pytest.approx(run.fun, rel=1e-12)


def test_a_saddle_branch_passes_its_fold_and_the_way_back_is_the_same():
    problem = Problem(K=5, L=2, lam=1e-3)
    there = follow(structures.blocks(problem, (3, 2)), 1.0)
    back = follow(replace(there.points[-1], name=None), 1.0)
    assert there.index[0] == 2
    assert there.message == back.message == "returned to its starting lam"
    assert back.fun[-1] == pytest.approx(there.fun[0], rel=1e-11)
    forwards, backwards = [[(e.kind, e.multiplicity) for e in b.events] for b in (there, back)]
    assert forwards == backwards[::-1]
    np.testing.assert_allclose([e.lam for e in there.events], [e.lam for e in back.events][::-1], rtol=1e-9)


def test_mse_ties_fold_together():
    """At D = 3 each of K modes solves s + K lam s^(-1/3) = 1, with a double root at s = 1/4."""
    K = 4
    branch = follow(structures.dnc(Problem(K=K, L=2, lam=1e-3, loss="mse")), 1.0)
    (turn,) = branch.folds()
    assert turn.lam == pytest.approx(0.75 * 0.25 ** (1 / 3) / K, rel=1e-10)
    assert branch.grad_norm.max() <= 1e-12
    assert branch.index[-1] == classify(branch.points[-1]).index == K * (K + 1) // 2


@pytest.mark.parametrize(("make", "size"), [(structures.dnc, 3), (structures.pairs, 2)])
def test_plain_models_end_where_singular_values_vanish(make, size):
    branch = follow(make(Problem(K=4, L=1, lam=1e-2)), 1.0)
    (end,) = branch.ends()
    assert end.lam == pytest.approx(0.25, rel=1e-10)
    assert end.multiplicity == size
    assert branch.message == "a singular value reaches zero"


def test_zero_gains_directions_of_descent_at_its_critical_ridge():
    K, d = 4, 6
    branch = follow(structures.zero(Problem(K=K, L=1, d=d, lam=1.0)), 1e-2)
    (event,) = branch.bifurcations()
    assert event.lam == pytest.approx(1 / K, rel=1e-10)
    assert event.multiplicity == (K - 1) * d == classify(branch.points[-1]).index


@pytest.mark.quick(1)
@pytest.mark.parametrize("options", [{"bias": 0.0}, {"bias": 0.1}, {"n": 3}])
def test_the_fold_scales_with_samples_and_survives_a_bias(options):
    branch = follow(structures.dnc(Problem(K=4, L=2, lam=1e-3, **options)), 1.0)
    assert branch.folds()[0].lam == pytest.approx(dnc_fold(4, 2, options.get("n", 1)), rel=1e-10)


def test_unequal_ridge_weights_keep_their_ratios():
    lams = np.array([1e-3, 2e-3, 4e-3])
    branch = follow(structures.dnc(Problem(K=4, L=2, lam=tuple(lams))), 1.0)
    for point in branch.points[::9]:
        np.testing.assert_allclose(np.array(point.problem.lams) / lams, point.problem.Lam / 2e-3, rtol=1e-12)
    assert branch.folds()[0].lam == pytest.approx(dnc_fold(4, 2, 1), rel=1e-10)


def test_points_between_are_on_the_branch():
    problem = Problem(K=4, L=2, lam=1e-3)
    branch = follow(structures.pairs(problem), 0.1)
    for lam in (1.234e-3, 0.0321, 0.0999):
        assert value(branch.at(lam)) == pytest.approx(value(structures.pairs(at_lam(problem, lam))), rel=1e-13)
    with pytest.raises(ValueError, match=r"lam must lie on the branch.*got lam=0\.2"):
        branch.at(0.2)


def test_crossing_of_dnc_and_pairs_to_twelve_digits():
    problem = Problem(K=4, L=2, lam=1.0)
    assert structure_crossing(problem, "dnc", "pairs", 1e-3, 0.1) == pytest.approx(DUEL, rel=1e-12)
    a, b = (follow(make(at_lam(problem, 1e-3)), 0.1) for make in (structures.dnc, structures.pairs))
    assert crossing(a, b, 2e-3, 5e-2) == pytest.approx(DUEL, rel=1e-12)
    tripled = structure_crossing(Problem(K=4, L=2, n=3, lam=1.0), "dnc", "pairs", 1e-3, 0.1)
    assert tripled == pytest.approx(DUEL / 3 ** (1 / 3), rel=1e-12)


def test_rank_three_overtakes_dnc_at_five_classes():
    assert structure_crossing(Problem(K=5, L=2, lam=1.0), "dnc", "pairs+apex", 1e-5, 1e-3) == pytest.approx(
        1.85361e-4 * 2 / 3, rel=1e-5
    )


def test_refusals_name_what_is_wrong():
    problem = Problem(K=4, L=2, lam=1e-2)
    with pytest.raises(ValueError, match=r"lam must be positive; got lam=-1"):
        follow(structures.dnc(problem), -1)
    with pytest.raises(ValueError, match="point must be critical"):
        off = structures.dnc(problem)
        follow(LogitPoint(problem, off.U, 1.1 * off.s, off.right), 1.0)
    with pytest.raises(ValueError, match="point must be a point"):
        follow(np.eye(4), 1.0)
    with pytest.raises(ValueError, match="back must not lie"):
        follow(structures.dnc(problem), 1.0, back=0.1)
    with pytest.raises(ValueError, match="enclose a crossing"):
        structure_crossing(problem, "dnc", "pairs", 0.02, 0.1)
    with pytest.raises(ValueError, match="structure must be one of"):
        structure_crossing(problem, "dnc", "pears", 0.02, 0.1)
    with pytest.raises(ValueError, match="linear"):
        profile(Problem(K=3, L=2, lam=0.1, activation="tanh"))
    with pytest.raises(ValueError, match="names must be one of"):
        winners(problem, 0.1, 1.0, ["nobody"])
    with pytest.raises(ValueError, match="low must be below high"):
        winners(problem, 1.0, 0.1)
    with pytest.raises(ValueError, match="lam is given by lams"):
        phase_diagram([4], [2], [0.1], lam=0.1)


def test_ctrl_c_keeps_the_points_reached(stop_at):
    stop_at(module, "Stratum", 15)  # of the points tried
    branch = follow(structures.pairs(Problem(K=4, L=2, lam=1e-3)), 1e-6)
    assert branch.interrupted and branch.message == "interrupted" and 1 < len(branch) <= 5


def test_profile_finds_the_structures_and_beats_none_of_them():
    problem = Problem(K=6, n=2, d=8, L=2, lam=2e-3)
    found = profile(problem, starts=3, rng=0)
    assert {e.rank: e.name for e in found if e.rank in (0, 2, 3, 5)} == {0: "zero", 2: "circle", 3: "pairs", 5: "dnc"}
    assert found.best.name == "pairs" and found.missing == (6,)
    assert found[3].fun == pytest.approx(0.068673013157, abs=1e-11)
    for entry in found:
        assert entry.point.rank == entry.rank and entry.point.problem == problem
        assert entry.critical.grad_norm <= 1e-11
        assert value(entry.point) == pytest.approx(entry.fun, rel=1e-13)
    for point in structures.existing(problem)[0].values():
        assert found[point.rank].fun <= value(point) + 1e-12
    assert "lowest F found" in repr(found)
    json.dumps(found.to_dict())


def test_profile_of_the_ten_class_problem():
    found = profile(Problem(K=10, n=5, d=70, L=2, lam=2**-10), starts=1, rng=0)
    for rank, fun in {3: 0.0870230, 5: 0.0800127, 9: 0.0906622}.items():
        assert found[rank].fun == pytest.approx(fun, abs=1e-7)
    assert found.best.rank == 5


def test_boundaries_of_four_classes_are_crossings():
    found = winners(Problem(K=4, L=2, lam=1.0), 1e-3, 1.0)
    assert [i.winner for i in found.intervals] == ["dnc", "pairs", "zero"]
    first, second = found.boundaries
    assert first.lam == pytest.approx(DUEL, rel=1e-12)
    assert (first.below, first.above, first.kind) == ("dnc", "pairs", "crossing")
    assert value(structures.pairs(Problem(K=4, L=2, lam=second.lam))) == pytest.approx(np.log(4), rel=1e-13)
    assert found.at(0.01) == "dnc" and found.at(0.012) == "pairs"


def test_a_winner_that_stops_existing_hands_over_at_its_fold():
    problem = Problem(K=6, L=2, lam=0.13)
    found = winners(problem, 0.13, 0.135, ("blocks(3,3)", "blocks(4,2)"), grid=4)
    assert [i.winner for i in found.intervals] == ["blocks(4,2)", "blocks(3,3)"]
    (edge,) = found.boundaries
    turn = follow(structures.blocks(problem, (4, 2)), 1.0).folds()[0].lam
    assert edge.kind == "existence"
    assert edge.lam == pytest.approx(turn, rel=1e-9)
    with pytest.raises(ValueError, match="none of the candidates"):
        winners(problem, 0.13, 0.2, ("blocks(4,2)",), grid=4)


@pytest.mark.slow
def test_a_coarse_grid_gives_the_same_boundaries():
    fine, coarse = (
        winners(Problem(K=5, L=2, lam=1.0), 1e-5, 1e-2, ("dnc", "pairs+apex", "zero"), grid=g) for g in (25, 2)
    )
    assert [b.lam for b in coarse.boundaries] == pytest.approx([b.lam for b in fine.boundaries], rel=1e-11)


def test_search_adds_what_no_structure_is():
    """Five classes, L = 3: a regular pentagon of rank 2 lies below pairs with an apex."""
    problem = Problem(K=5, L=3, lam=1.0)
    named = ("zero", "dnc", "pairs+apex")
    found = winners(problem, 1e-3, 5e-2, named, starts=4, grid=8, rng=0)
    (branch,) = found.branches.values()
    assert branch.rank == 2 and branch.name.startswith("circle")
    assert [i.winner for i in found.intervals] == [branch.name]
    assert np.all(np.diff(branch.lam) > 0)
    json.dumps(found.to_dict())


def test_phase_diagram_cells_and_ctrl_c(stop_at):
    names = ("zero", "dnc", "pairs", "pairs+apex")
    found = phase_diagram([4, 5, 6], [1, 2, 3], [1e-3, 1e-2], names, grid=3)
    assert len(found.cells) == 18
    assert found.cell(5, 2, 1e-2).winner == "pairs+apex"
    assert found.cell(4, 2, 1e-2).winner == "dnc" and found.cell(4, 3, 1e-2).winner == "pairs"
    assert found.cell(6, 1, 1e-3).winner == "dnc" and found.cell(6, 2, 1e-3).winner == "pairs"
    cell = found.cell(4, 2, 1e-2)
    problem = Problem(K=4, L=2, lam=1e-2)
    assert cell.margin == pytest.approx(value(structures.pairs(problem)) - value(structures.dnc(problem)), abs=1e-15)
    assert cell.runner_up == "pairs"
    json.dumps(found.to_dict())
    stop_at(phases, "Cell", lambda K, *_: K == 6)
    part = phase_diagram([4, 6], [2], [1e-2], ("dnc", "pairs"))
    assert part.interrupted and len(part.cells) == 1
    assert "missing" in repr(part)


def test_pictures_show_what_they_are_given():
    from ufm.plot.phases import plot_branches, plot_phases, plot_profile

    problem = Problem(K=4, L=2, lam=1e-3)
    branch = follow(structures.dnc(problem), 1.0)
    ax = plot_branches([branch, follow(structures.pairs(problem), 0.1)])
    drawn = ax.get_lines()
    assert {line.get_linestyle() for line in drawn} >= {"-", "--"}
    assert sum(len(line.get_xdata()) == 1 for line in drawn) >= len(branch.events)
    found = profile(Problem(K=4, L=1, lam=1e-2), starts=2, rng=0)
    ax = plot_profile(found)
    faces = [line.get_markerfacecolor() for line in ax.get_lines() if line.get_marker() == "o"]
    minima = [e.status == "local minimum" for e in found if e.rank]
    assert [face != "white" for face in faces] == minima and not all(minima)
    diagram = phase_diagram([3, 4], [1, 2, 3], [1e-2], ("dnc", "pairs"))
    ax = plot_phases(diagram)
    assert len(ax.patches) == 6
    assert {t.get_text() for t in ax.get_legend().get_texts()} == {"dnc", "pairs"}
    with pytest.raises(ValueError, match="lam must be one of"):
        plot_phases(diagram, lam=1.0)
