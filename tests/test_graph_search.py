"""Which graph is cheapest, descent through kinks, and low-rank competitors of DNC."""

import json

import numpy as np
import pytest

from ufm.critical.relu_names import hidden_rank
from ufm.landscapes.profile import profile
from ufm.landscapes.sources.graph_search import graph_search
from ufm.landscapes.sources.refine import lifted, one_each, reduced, refine, smooth_relu
from ufm.landscapes.sources.relu_search import low_rank_search
from ufm.landscapes.table import Landscape
from ufm.numerics.graphs import complete, complete_multipartite, simple_graphs
from ufm.objectives.checks import taylor_check
from ufm.objectives.clarke import clarke
from ufm.objectives.factors import value
from ufm.plot import graphs as drawn
from ufm.plot.phases import plot_profile
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import graph_codes, relu_collapse
from ufm.structures.graph_codes import graph_code, srg


def relu(K, L, lam, loss="mse", **rest):
    return Problem(K=K, L=L, lam=lam, loss=loss, activation="relu", **rest)


@pytest.mark.parametrize(
    "K, L, lam, winner",
    [
        (9, 3, 1e-3, "code(K3,3)"),
        (10, 4, 0.004, "srg(r=5)"),
        (13, 3, 1e-3, "srg(r=5)+dnc(3)"),
        (5, 3, 0.002, "dnc(5)"),
        (6, 3, 0.5, "zero"),
    ],
)
def test_winners(K, L, lam, winner):
    found = graph_search(relu(K, L, lam), vertices=6)
    assert found.winner.name == winner
    if found.winner.parts:
        assert value(found.winner.point(found.problem)) == pytest.approx(found.winner.fun, rel=1e-12)


def test_no_graph_and_no_split_lies_below_the_winner():
    problem = relu(10, 4, (0.002, 0.01, 0.004, 0.003, 0.004), n=2)
    found, rng = graph_search(problem, vertices=6, best=3), np.random.default_rng(0)
    pool = [g for k in range(4, 8) for g in simple_graphs(k, 5)]
    for _ in range(200):
        parts = [pool[i] for i in rng.integers(0, len(pool), int(rng.integers(1, 3)))]
        used = sum(map(len, parts))
        if used <= 10:
            cost = sum(graph_codes.part_loss(problem, g) for g in parts) + (10 - used) * graph_codes.lone_loss(problem)
            assert cost >= found.winner.fun * (1 - 1e-12)
    assert (
        [row.fun for row in found] == sorted(row.fun for row in found) and len(found) == 3 and "srg(r=5)" in repr(found)
    )


def test_a_search_is_saved(tmp_path):
    found = graph_search(relu(6, 4, 0.004), vertices=5, best=4)
    found.save(tmp_path / "codes.json")
    data = json.loads((tmp_path / "codes.json").read_text())
    assert data["winner"] == found.winner.name and len(data["codes"]) == 4 and data["tried"] == len(simple_graphs(6, 5))


@pytest.mark.parametrize(
    "problem, why",
    [
        (relu(16, 3, 0.001), "K=15"),
        (relu(6, 2, 0.01), "L >= 3"),
        (relu(6, 3, 0.01, "ce"), "mse"),
        (Problem(K=6, L=3, lam=0.01, loss="mse"), "ReLU"),
    ],
)
def test_search_of_graphs_refuses_with_the_reason(problem, why):
    with pytest.raises(ValueError, match=why):
        graph_search(problem)


def test_smoothed_relu_lies_above_and_has_its_derivatives():
    x, s = np.linspace(-2, 2, 41), smooth_relu(0.1)
    assert np.all(s.value(x) >= np.maximum(x, 0)) and np.max(s.value(x) - np.maximum(x, 0)) == pytest.approx(0.05)
    check = taylor_check(lambda u: np.sum(s.value(u)), s.derivative, x, lambda u, v: s.second(u) * v, rng=0)
    assert check.ok


def test_points_are_reduced_and_lifted_without_change():
    problem = relu(10, 4, (0.002, 0.01, 0.004, 0.003, 0.004), n=3, d=(7, 8, 9, 13))
    point = srg(problem)
    small, factors = reduced(point)
    assert small.n == 1 and small.widths == (7, 7, 7, 12) and one_each(problem).lam == pytest.approx(small.lam)
    assert value(FactorPoint(small, tuple(factors))) == pytest.approx(value(point), rel=1e-13)
    assert value(lifted(problem, FactorPoint(small, tuple(factors)))) == pytest.approx(value(point), rel=1e-13)


def test_descent_from_a_code_that_is_not_stationary_ends_lower_and_stationary():
    point = srg(relu(6, 4, (0.004, 0.002, 0.004, 0.003, 0.005), n=3, d=9))
    assert clarke(point).relative > 1e-2
    end = refine(point, rng=0)
    assert end.fun < end.before * (1 - 1e-3) and end.fun == pytest.approx(value(end.point), rel=1e-13)
    assert clarke(end.point, 1e-8).relative < 1e-8 and end.rank == hidden_rank(end.point) == 4


def test_descent_from_a_stationary_code_comes_back():
    for graph, L in ((complete(5), 3), (complete_multipartite(3, 3), 3)):
        point = graph_code(relu(len(graph), L, 0.02 / len(graph)), graph)
        assert refine(point, rng=1, noise=1e-3).fun == pytest.approx(value(point), rel=1e-9)


@pytest.mark.quick(1)
@pytest.mark.parametrize("K, L, ranks, ratio", [(3, 4, [2], 0.97679), (5, 4, [3], 0.9299), (7, 3, [4, 5], 0.98288)])
def test_low_rank_competitors_of_dnc_are_found(K, L, ranks, ratio):
    problem = relu(K, L, 0.02 / K, d=2 * K, n=1)
    found = low_rank_search(problem, 12, rng=0, ranks=ranks, keep=2, hops=0)
    assert found.reference == pytest.approx(relu_collapse.loss(problem), rel=1e-13)
    assert found.best.fun / found.reference <= ratio and found.best.residual < 1e-8 and found.best.rank < K
    assert found.best.fun == pytest.approx(value(found.best.point), rel=1e-12)


def test_a_search_replays_and_is_saved(tmp_path):
    problem = relu(4, 3, 0.004, "ce", n=2, d=5)
    first = low_rank_search(problem, 4, rng=5, keep=2, hops=1)
    again = low_rank_search(problem, 4, rng=first.rng, keep=2, hops=1)
    assert [e.fun for e in first] == [e.fun for e in again]
    first.save(tmp_path / "found.json")
    data = json.loads((tmp_path / "found.json").read_text())
    assert data["found"][0]["fun"] == first.best.fun and np.shape(data["rows"][0]["point"]["factors"][0]) == (5, 8)
    assert Landscape.load(tmp_path / "found.json").best.fun == first.best.fun


@pytest.mark.parametrize(
    "problem", [Problem(K=4, L=3, lam=0.01), relu(4, 3, 0.01, bias=0.1), Problem(K=4, L=3, lam=0.01, activation="tanh")]
)
def test_searches_refuse_other_models(problem):
    with pytest.raises(ValueError, match="needs activation='relu'"):
        low_rank_search(problem)
    if not problem.linear:
        with pytest.raises(ValueError, match="profile needs a linear model, or relu without bias"):
            profile(problem)


def test_profile_orders_ranks_and_finds_less_than_dnc_at_low_rank():
    found = profile(relu(5, 4, 0.004, d=8), starts=6, rng=0, ranks=[3])
    assert found[5].name == "dnc" and found[0].name == "zero" and found[1].name == "partial(1)"
    assert found.best.rank == 3 and found.best.fun < 0.935 * found.reference and found[2].name == "partial(2)"
    assert all(e.grad_norm < 1e-6 and value(e.point) == pytest.approx(e.fun, rel=1e-12) for e in found)
    assert "lowest found" in repr(found) and found.to_dict()["best"] == 3
    ax = plot_profile(found)
    assert ax.get_xlabel().startswith("rank")
    with pytest.raises(ValueError, match="rank must be one of"):
        found[7]


def test_profile_without_starts_knows_the_structures():
    names = [e.name for e in profile(relu(10, 4, 0.004), starts=0)]
    assert names == ["zero", "partial(1)", "srg(r=5)", "partial(9)", "dnc"]


def test_graphs_are_drawn():
    ax = drawn.graph_code(complete(5))
    assert ax.get_title() == "K5: 10 classes, 5 neurons" and len(ax.lines) == 11
    assert len({round(float(y), 6) for y in drawn.graph_code(complete_multipartite(3, 3)).lines[-1].get_ydata()}) == 2
    with pytest.raises(ValueError, match="graph must be a Graph"):
        drawn.graph_code(5)
