"""Connections: trees with known shapes, descents that end where they must, paths over a known saddle."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.same import same_kind
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum, value
from ufm.paths import descents, strings
from ufm.paths import network as networks
from ufm.paths import path as lines
from ufm.paths.descents import descend_both
from ufm.paths.gauge import align_gauge
from ufm.paths.network import connect
from ufm.paths.path import path, schatten_value
from ufm.paths.strings import String
from ufm.paths.tree import disconnectivity
from ufm.plot.connections import disconnectivity_graph, paths
from ufm.points import from_matrix
from ufm.problem import Problem
from ufm.solvers.newton import newton_on_stratum

FOUR = Problem(K=4, L=2, lam=2 * 0.02 / 3)
PAIRS, DNC, SADDLE = 0.1948464422, 0.1951169141, 0.2018900371


@pytest.fixture(scope="module")
def ends():
    return structures.dnc(FOUR), structures.pairs(FOUR)


@pytest.fixture(scope="module")
def saddle(ends):
    """The saddle of index 1 that eight class permutations fix, from half way between DNC and pairs."""
    middle = from_matrix(FOUR, 0.5 * (ends[0].class_logits() + ends[1].class_logits()))
    found = classify(newton_on_stratum(middle, drop=False)[0].point)
    assert (found.index, found.rank) == (1, 3) and abs(found.fun - SADDLE) < 1e-9
    return found


@pytest.fixture(scope="module")
def string(ends):
    return path(*ends, "string")


# ---- the tree


def shape(node):
    return node.minimum if node.minimum is not None else (node.saddle, [shape(c) for c in node.children])


def test_a_chain_joins_its_lowest_barriers_first():
    tree = disconnectivity([0.0, 0.5, 0.2, 0.1], [1.0, 3.0, 2.0], [(0, 1), (1, 2), (2, 3)])
    assert [shape(r) for r in tree.roots] == [(1, [(0, [0, 1]), (2, [3, 2])])]
    np.testing.assert_array_equal(tree.joins, [1.0, 1.0, 2.0, 2.0])
    np.testing.assert_array_equal(tree.escapes, [np.inf, 1.0, 2.0, 3.0])
    assert (tree.join(0, 1), tree.join(0, 3), tree.join(2, 3), tree.join(2, 2)) == (1.0, 3.0, 2.0, 0.2)
    assert [leaf.position for leaf in tree.roots[0].leaves()] == [0.0, 1.0, 2.0, 3.0]
    assert tree.roots[0].position == 1.5


def test_basins_that_nothing_joins_stay_apart():
    tree = disconnectivity([0.3, 0.4, 0.1, 0.2], [1.0, 1.0], [(0, 1), (3, 2)])
    assert [shape(r) for r in tree.roots] == [(1, [2, 3]), (0, [0, 1])]
    assert tree.join(0, 2) == np.inf and tree.join(1, 0) == 1.0
    assert [r.position for r in tree.roots] == [0.5, 2.5]


def test_duplicate_saddles_and_loops_are_kept_and_the_lowest_counts():
    tree = disconnectivity([0.0, 0.1], [2.0, 0.5, 1.0, 0.3], [(0, 1), (0, 0), (1, 0), (1, 1)])
    assert [shape(r) for r in tree.roots] == [(2, [0, 1])] and tree.join(0, 1) == 1.0
    assert len(tree.saddles) == 4


def test_equal_energies_meet_in_one_node():
    tree = disconnectivity([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [(2, 3), (0, 1), (1, 2)])
    assert [shape(r) for r in tree.roots] == [(0, [0, 1, 2, 3])]
    np.testing.assert_array_equal(tree.escapes, np.full(4, np.inf))
    tree = disconnectivity([0.2, 0.2, 0.0], [1.0, 2.0], [(0, 1), (1, 2)])
    np.testing.assert_array_equal(tree.escapes, [2.0, 2.0, np.inf])


def test_lone_minima_and_long_chains():
    assert [shape(r) for r in disconnectivity([0.5, 0.1], [], []).roots] == [1, 0]
    M = 3000
    tree = disconnectivity(np.zeros(M), 1.0 + np.arange(M - 1), [(i, i + 1) for i in range(M - 1)])
    assert tree.join(0, M - 1) == M - 1 and len(tree.roots[0].leaves()) == M and len(repr(tree).splitlines()) == 2 * M


def test_joins_are_minimax_paths_on_random_networks():
    rng = np.random.default_rng(0)
    for _ in range(20):
        M, S = int(rng.integers(2, 8)), int(rng.integers(1, 15))
        minima, ends = rng.random(M), rng.integers(0, M, (S, 2))
        saddles = 1.0 + rng.integers(0, 5, S)
        tree = disconnectivity(minima, saddles, ends)
        height = np.full((M, M), np.inf)
        for e, (i, j) in zip(saddles, ends, strict=True):
            height[i, j] = height[j, i] = min(height[i, j], e)
        for k in range(M):
            height = np.minimum(height, np.maximum(height[:, [k]], height[[k]]))
        for i in range(M):
            for j in range(i):
                assert tree.join(i, j) == height[i, j]
            others = [height[i, j] for j in range(M) if j != i]
            assert tree.joins[i] == min(others)
            assert tree.escapes[i] == min((height[i, j] for j in range(M) if minima[j] < minima[i]), default=np.inf)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0.0, 1.0], [2.0], [(0, 2)]), "0..1"),
        (([0.0, 1.0], [2.0], [(0, -1)]), "0..1"),
        (([0.0, 1.0], [2.0], [(0, 0.5)]), "0..1"),
        (([0.0, 1.0], [0.5], [(0, 1)]), "saddle 0 at 0.5"),
        (([0.0, 1.0], [2.0, 3.0], [(0, 1)]), "shape"),
        (([0.0, np.nan], [2.0], [(0, 1)]), "finite"),
    ],
)
def test_bad_trees_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        disconnectivity(*arguments)


# ---- descents


def test_the_saddle_joins_pairs_and_dnc(saddle):
    sides = descend_both(saddle)
    low, high = sorted(sides, key=lambda side: side.end.fun)
    assert abs(low.end.fun - PAIRS) < 1e-9 and abs(high.end.fun - DNC) < 1e-9
    assert (low.end.name, high.end.name) == ("pairs", "dnc") and (low.end.rank, high.end.rank) == (2, 3)
    for side in sides:
        assert side.end.status == "local minimum" and side.end.grad_norm < 1e-12 and side.via == ()
        assert np.all(np.diff(side.fun) <= 1e-13) and np.all(np.diff(side.length) >= 0)
        assert side.fun[0] == pytest.approx(SADDLE, abs=1e-9) and side.fun[-1] == pytest.approx(side.end.fun, abs=1e-13)
        assert side.logits.shape == (len(side.fun), 4, 4)
        at = [schatten_value(FOUR, Z) for Z in side.logits[:-1]]
        np.testing.assert_allclose(at, side.fun[:-1], atol=1e-9)  # the flow stays on balanced factors
        assert side.eigenvalue == pytest.approx(saddle.lowest, rel=1e-6)


def test_a_descent_at_two_factors_leaves_the_rank():
    saddle = classify(structures.pairs(Problem(K=4, n=2, L=1, lam=(0.005, 0.015))))
    assert (
        saddle.index == 2 and np.min(np.linalg.eigvalsh(Stratum(saddle.point).hessian())) > 0
    )  # only the rank can change
    for side in descend_both(saddle):
        assert (side.end.name, side.end.rank, side.end.index) == ("dnc", 3, 0)


def test_descents_go_on_through_saddles_that_symmetry_leads_to():
    saddle = structures.zero(Problem(K=4, L=1, lam=0.02))
    for side in descend_both(saddle):
        assert side.end.status == "local minimum" and side.end.name == "dnc"
        assert len(side.via) >= 1 and all(p.index > 0 for p in side.via)
        assert np.all(np.diff(side.fun) <= 1e-12)


@pytest.mark.parametrize("problem", [FOUR, Problem(K=4, L=1, lam=0.02), Problem(K=4, L=1, lam=0.02, bias=0.1)])
def test_escape_modes_are_unit_motions_with_the_curvature_they_state(problem):
    point = structures.blocks(problem, (3, 1)) if problem.bias is None else structures.zero(problem)
    stratum = Stratum(newton_on_stratum(point)[0].point)
    objective, t = descents.reduced_objective(stratum.point), 1e-3
    x = objective.lift(stratum.point)
    for eigenvalue, move in descents.escape_modes(objective, stratum, 1e-9):
        bend = (objective.value(move(t)) + objective.value(move(-t)) - 2 * objective.value(x)) / t**2
        assert bend == pytest.approx(eigenvalue, rel=1e-3)
        assert np.linalg.norm(align_gauge(objective, move(t), x, 20, fresh=True) - x) == pytest.approx(t, rel=1e-2)


def test_every_negative_mode_can_be_taken():
    saddle = classify(structures.blocks(FOUR, (3, 1)))
    assert saddle.index == 2
    for mode in range(2):
        assert all(side.end.index == 0 and side.end.fun < saddle.fun for side in descend_both(saddle, mode))
    with pytest.raises(ValueError, match="mode must be below 2"):
        descend_both(saddle, 2)


def test_descents_refuse_what_is_no_saddle(ends):
    with pytest.raises(ValueError, match="negative curvature"):
        descend_both(ends[0])
    with pytest.raises(ValueError, match="critical"):
        descend_both(from_matrix(FOUR, np.eye(4)))
    with pytest.raises(ValueError, match="CriticalPoint"):
        descend_both(3)


# ---- the network


def test_the_network_matches_ends_and_adds_new_ones(saddle, ends):
    other = lines.permuted(saddle.point, [2, 0, 3, 1])
    network = connect([ends[0], saddle, other, structures.blocks(FOUR, (3, 1)), structures.zero(FOUR)])
    assert sorted(network.names) == ["dnc", "pairs", "zero"]  # pairs was met on the way, once
    assert {tuple(sorted(network.names[i] for i in (i, j))) for _, i, j in network.edges} == {("dnc", "pairs")}
    assert len(network.saddles) == 2 and len(network.components) == 2
    assert "1 minima met" in network.note and "1 points are neither" in network.note
    tree = network.tree()
    i, j = network.names.index("dnc"), network.names.index("pairs")
    assert tree.join(i, j) == pytest.approx(SADDLE, abs=1e-9)
    assert json.loads(json.dumps(network.to_dict()))["saddles"][0]["index"] == 1
    assert "dnc -- pairs" in repr(network) or "pairs -- dnc" in repr(network)


def test_copies_of_a_minimum_are_one(ends):
    a, b = classify(ends[1]), classify(lines.permuted(ends[1], [0, 2, 1, 3]))
    assert same_kind(a, b) and not same_kind(a, classify(ends[0]))


def test_ctrl_c_keeps_the_saddles_finished(saddle, ends, monkeypatch):
    done, real = [], networks.descend_both

    def stop(p):
        if done:
            raise KeyboardInterrupt
        done.append(p)
        return real(p)

    monkeypatch.setattr(networks, "descend_both", stop)
    network = connect([*ends, saddle, saddle])
    assert len(network.saddles) == 1 and "interrupted after 1 of 2" in network.note


def test_networks_refuse_two_problems(ends):
    with pytest.raises(ValueError, match="one problem"):
        connect([ends[0], structures.dnc(Problem(K=4, L=2, lam=0.01))])


# ---- paths


def test_the_string_goes_over_the_known_saddle(string, saddle):
    assert string.converged and string.refined and string.top.index == 1
    assert abs(string.top_fun - SADDLE) < 1e-6 and abs(string.top.fun - saddle.fun) < 1e-12
    assert string.barrier == pytest.approx(SADDLE - DNC, abs=1e-9)
    assert abs(string.fun[0] - DNC) < 1e-9 and abs(string.fun[-1] - PAIRS) < 1e-9
    assert np.all(np.diff(string.fun[: np.argmax(string.fun)]) > 0) and np.all(
        np.diff(string.fun[np.argmax(string.fun) :]) < 0
    )
    assert string.points.shape == (32, 4, 4)  # the saddle is put in among 31 images
    assert len(string.t) == 32 and np.all(np.diff(string.t) > 0)
    assert json.loads(json.dumps(string.to_dict()))["top"]["index"] == 1


@pytest.mark.parametrize("kind", ["straight", "balanced"])
def test_lines_are_no_lower_than_the_string(kind, string, ends):
    line = path(*ends, kind)
    assert line.barrier >= string.barrier and line.residual is None
    assert line.fun[0] == pytest.approx(value(ends[0]), abs=1e-12) and line.fun[-1] == pytest.approx(
        value(ends[1]), abs=1e-12
    )
    assert line.barrier >= np.max(line.fun) - line.fun[0] - 1e-15
    back = path(*ends[::-1], kind)
    assert back.top_fun == pytest.approx(line.top_fun, abs=1e-9)


def test_a_string_from_the_worse_line_finds_the_same_saddle(ends, monkeypatch):
    def straight(objective, a, b, line, images):
        x, y = lines.aligned_lifts(objective, a, b)
        return x + np.multiply.outer(np.linspace(0, 1, images), y - x), "straight"

    monkeypatch.setattr(lines, "first_string", straight)
    for climb in (False, True):
        found = path(*ends, rel_tol=2e-3, climb=climb)
        assert found.steps > 0 and found.refined and abs(found.top.fun - SADDLE) < 1e-9


def test_the_unrefined_top_lies_near_the_saddle(string, monkeypatch, ends):
    monkeypatch.setattr(String, "refine", lambda self: None)
    rough = path(*ends, images=41)
    assert not rough.refined and abs(rough.top_fun - SADDLE) < 2e-5


def test_wells_narrower_than_the_images_are_not_overlooked():
    problem = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
    found = path(structures.dnc(problem), structures.pairs(problem), images=11, max_steps=20)
    assert 0 < found.barrier < path(structures.dnc(problem), structures.pairs(problem), "balanced").barrier
    assert found.fun[0] + found.barrier == pytest.approx(np.max(found.fun), abs=1e-15)


def test_permutations_lower_a_barrier_to_nothing_between_copies(ends):
    other = lines.permuted(ends[1], [0, 2, 1, 3])
    fixed, free = path(ends[1], other, "balanced"), path(ends[1], other, "balanced", permute=True)
    assert fixed.barrier > 1e-3 and free.barrier < 1e-12
    string = path(ends[1], other, max_steps=200)
    assert 0 < string.barrier <= fixed.barrier and string.top.index == 1


def test_copies_that_differ_by_gauge_are_joined_by_a_point(ends):
    objective = FactorObjective(FOUR, True, (4, 4))
    draw = np.random.default_rng(0)
    x, y = objective.lift(ends[1], draw), objective.lift(ends[1], draw)
    assert np.linalg.norm(x - y) > 1 and np.linalg.norm(align_gauge(objective, y, x, 20, fresh=True) - x) < 1e-6
    turned = align_gauge(objective, y, x)
    np.testing.assert_allclose(objective.logits(turned), objective.logits(y), atol=1e-12)
    assert np.linalg.norm(turned - x) <= np.linalg.norm(y - x)


def test_a_string_that_is_stopped_keeps_what_it_has(ends, stop_at):
    stop_at(strings, "respaced", 3)  # once a step
    found = path(*ends)
    assert not found.converged and "interrupted" in found.message and found.steps == 2


def test_a_string_without_steps_says_that_it_did_not_converge(ends):
    found = path(*ends, max_steps=1, rel_tol=1e-9)
    assert not found.converged and found.residual > 0 and "not converged" in found.message


def test_bias_and_unequal_counts_have_paths_too():
    problem = Problem(K=3, n=(3, 2, 2), L=2, lam=0.003, bias=0.01)
    from ufm.solvers.minimize import minimize

    a, b = minimize(problem, rng=0).point, structures.zero(problem)
    b = newton_on_stratum(b)[0].point
    for kind in lines.KINDS:
        found = path(a, b, kind, max_steps=300)
        assert found.fun[0] == pytest.approx(value(a), abs=1e-12) and found.fun[-1] == pytest.approx(
            value(b), abs=1e-12
        )


def test_paths_refuse_what_they_cannot_join(ends):
    with pytest.raises(ValueError, match="kind must be one of"):
        path(*ends, "curved")
    with pytest.raises(ValueError, match="one problem"):
        path(ends[0], structures.dnc(Problem(K=4, L=2, lam=0.01)))
    with pytest.raises(ValueError, match="images"):
        path(*ends, images=2)


# ---- pictures


def test_pictures_draw(saddle, ends, string, tmp_path):
    network = connect([*ends, saddle, structures.zero(FOUR)])
    ax = disconnectivity_graph(network)
    assert {t.get_text() for t in ax.texts} == {"dnc", "pairs"} and ax.get_title("right") == "above: zero at 1.386"
    assert ax.get_ylim()[0] < PAIRS and SADDLE < ax.get_ylim()[1] < 0.21
    own = Figure().add_subplot()
    assert disconnectivity_graph(network.tree(), ["a", "b", "c"], ax=own) is own
    with pytest.raises(ValueError, match="all 3 minima"):
        disconnectivity_graph(network.tree(), ["a"])
    ax = paths([path(*ends, "straight"), path(*ends, "balanced"), string])
    assert {t.get_text() for t in ax.texts} == {"dnc", "pairs"} and len(ax.get_legend().get_texts()) == 3
    ax.figure.savefig(tmp_path / "paths.png")
    with pytest.raises(ValueError, match="Path"):
        paths([])
