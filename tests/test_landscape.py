"""The atlas: points merged exactly, found reliably, named cautiously."""

import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm import structures
from ufm.critical.identify import identify
from ufm.critical.same import group_order, same_point
from ufm.landscapes.landscape import landscape
from ufm.numerics.groups import automorphism_count, canonical_order, colours
from ufm.objectives.logits import Stratum
from ufm.points import from_matrix
from ufm.problem import Problem
from ufm.solvers.newton import find_saddle, newton_on_stratum

F1 = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
FOUR = Problem(K=4, L=2, lam=2 * 0.02 / 3)

GRAPHS = {
    "complete": (nx.complete_graph(20), 2432902008176640000),
    "cycle": (nx.cycle_graph(17), 34),
    "petersen": (nx.petersen_graph(), 120),
    "icosahedron": (nx.icosahedral_graph(), 120),
    "dodecahedron": (nx.dodecahedral_graph(), 120),
    "hypercube": (nx.hypercube_graph(4), 384),
    "triangular": (nx.line_graph(nx.complete_graph(6)), 720),
    "two petersens": (nx.disjoint_union(nx.petersen_graph(), nx.petersen_graph()), 28800),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_canonical_form_does_not_see_permutations_and_counts_the_group(name):
    graph, order = GRAPHS[name]
    C, rng = nx.to_numpy_array(graph).astype(int), np.random.default_rng(0)
    p = canonical_order(C)
    for _ in range(3):
        q = rng.permutation(len(C))
        D = C[np.ix_(q, q)]
        r = canonical_order(D)
        np.testing.assert_array_equal(C[np.ix_(p, p)], D[np.ix_(r, r)])
    assert automorphism_count(C) == order


@settings(max_examples=40, deadline=None, derandomize=True)
@given(n=st.integers(2, 9), values=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_canonical_forms_agree_exactly_for_isomorphic_matrices(n, values, seed):
    rng = np.random.default_rng(seed)
    C, q = rng.integers(0, values, (n, n)), rng.permutation(n)
    D = C[np.ix_(q, q)]
    p, r = canonical_order(C), canonical_order(D)
    np.testing.assert_array_equal(C[np.ix_(p, p)], D[np.ix_(r, r)])
    other = C.copy()
    other[0, 0] += 1
    s = canonical_order(other)
    assert not np.array_equal(C[np.ix_(p, p)], other[np.ix_(s, s)])


def test_colours_number_values_in_order():
    np.testing.assert_array_equal(colours(np.array([[3.0, 1.0], [1.0 + 1e-9, -2.0]]), 1e-6), [[2, 1], [1, 0]])


@pytest.mark.parametrize("K", [8, 26])
def test_same_point_sees_through_permutation_and_nothing_else(K):
    problem, rng = Problem(K=K, n=2, d=K, L=2, lam=1e-4), np.random.default_rng(0)
    Z, q = rng.standard_normal((K, K)), rng.permutation(K)
    a, b = from_matrix(problem, Z, rank=K), from_matrix(problem, Z[np.ix_(q, q)], rank=K)
    assert same_point(a, b) and not same_point(a, from_matrix(problem, Z[q], rank=K))
    assert not same_point(a, from_matrix(problem, Z.T, rank=K))


def test_transposition_counts_as_the_same_under_mse_only():
    Z = np.random.default_rng(1).standard_normal((5, 5))
    for loss, same in (("mse", True), ("ce", False)):
        problem = Problem(K=5, L=2, lam=1e-3, loss=loss)
        assert same_point(from_matrix(problem, Z, rank=5), from_matrix(problem, Z.T, rank=5)) is same


def test_imbalanced_classes_are_not_permuted_across_counts():
    problem = Problem(K=3, n=(2, 1, 1), L=2, lam=1e-3)
    M = np.diag([1.0, 2.0, 3.0])
    swap = [0, 2, 1]
    a = from_matrix(problem, M, rank=3)
    assert same_point(a, from_matrix(problem, M[np.ix_(swap, swap)], rank=3))
    cycle = [1, 2, 0]
    assert not same_point(a, from_matrix(problem, M[np.ix_(cycle, cycle)], rank=3))


@pytest.mark.parametrize(
    "name, order", [("dnc", 3628800), ("pairs", 3840), ("blocks(6,2,2)", 720 * 8), ("blocks(5,5)", 120 * 120 * 2)]
)
def test_group_orders_of_structures(name, order):
    assert group_order(structures.existing(F1)[0][name]) == order


@pytest.mark.slow
def test_four_classes_have_the_eleven_types_of_the_random_search_and_more():
    atlas = landscape(FOUR, rng=0, starts=100)
    known = [
        0.1948464422,
        0.1951169141,
        0.2018900371,
        0.4556716608,
        0.4944241076,
        0.4956655748,
        0.6936046,
        0.7481858858,
        0.7820814412,
        0.7905704017,
        0.9081639688,
    ]
    values = np.array([p.fun for p in atlas])
    assert all(np.min(np.abs(values - v)) < 1e-7 for v in known)
    assert all(p.grad_norm <= 1e-12 for p in atlas) and not atlas.complete
    assert (atlas["pairs"].index, atlas["dnc"].index) == (0, 0)
    saddle = next(p for p in atlas if abs(p.fun - 0.2018900371) < 1e-8)
    assert (saddle.index, saddle.rank, saddle.group_order) == (1, 3, 8)
    assert atlas.best.name == "pairs" and len(atlas.where(rank=3, index=1)) >= 1
    assert len(atlas) > len(landscape(FOUR, rng=0, starts=0)) > len(structures.existing(FOUR)[0])


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "K, L, lam",
    [
        (2, 1, 0.01),
        (2, 3, 0.01),
        pytest.param(2, 5, 0.002, marks=pytest.mark.slow),
        (3, 1, 0.02),
        (3, 2, 0.02),
        pytest.param(3, 4, 0.005, marks=pytest.mark.slow),
    ],
)
def test_no_brute_force_solution_is_missing_from_the_list(K, L, lam):
    problem = Problem(K=K, L=L, lam=lam)
    atlas, rng = landscape(problem, rng=0, starts=15), np.random.default_rng(5)
    values = np.array([p.fun for p in atlas])
    hits = 0
    for _ in range(60):
        r = int(rng.integers(1, K))
        A = rng.standard_normal((K, r))
        point = from_matrix(
            problem, (A - A.mean(axis=0)) @ rng.standard_normal((r, K)) * np.exp(rng.uniform(-1, 2)), rank=r
        )
        end, _, _ = newton_on_stratum(point, drop=False)
        if end.grad_norm <= 1e-12:
            hits += 1
            assert np.min(np.abs(values - end.fun)) < 1e-9
    assert hits > 5


@pytest.mark.parametrize("K, D, counts", [(2, 2, 1), (3, 3, 2), (4, 3, 1), (6, 5, 2), (4, 4, (4, 3, 2, 1))])
def test_mse_landscape_is_complete_and_no_random_solution_lands_outside(K, D, counts):
    problem = Problem(K=K, n=counts, L=D - 1, lam=2e-3, loss="mse")
    atlas = landscape(problem)
    assert atlas.complete and "Complete" in atlas.scope
    values = np.array([p.fun for p in atlas])
    for run in ufm.multistart(problem, 25, rng=1):
        assert run.success and np.min(np.abs(values - run.fun)) < 1e-10


@pytest.mark.slow
def test_figure_1_has_petersen_and_antiprism_plus_pair_found_by_the_search():
    atlas = landscape(F1, rng=0, max_idempotents=0)
    minima = {p.name: p.fun for p in atlas.minima}
    assert minima["petersen"] == pytest.approx(0.081432153339, abs=1e-11)
    assert minima["code(antiprism(4)+pair)"] == pytest.approx(0.082203333831, abs=1e-11)
    assert {"pairs", "dnc", "blocks(8,2)", "blocks(6,2,2)"} <= set(minima)
    assert sum(p.name in structures.existing(F1)[0] for p in atlas) == 16
    assert set(atlas["petersen"].how) > {"structure"}


@pytest.mark.slow
def test_rank_three_codes_are_in_front_at_ten_classes_and_three_layers():
    atlas = landscape(Problem(K=10, L=3, lam=0.002), rng=0, max_idempotents=0)
    lowest = list(atlas.minima)[:3]
    assert lowest[0].fun == pytest.approx(0.077683202, abs=1e-9) and lowest[0].rank == 3
    assert lowest[0].name == "code(bicapped antiprism(4))"
    assert lowest[1].fun == pytest.approx(0.077693976, abs=1e-9) and lowest[1].rank == 3
    assert lowest[2].name == "petersen"


def test_eigenvector_following_reaches_the_saddle_between_dnc_and_pairs():
    dnc, pairs = structures.dnc(FOUR), structures.pairs(FOUR)
    middle = from_matrix(FOUR, 0.5 * (dnc.class_logits() + pairs.class_logits()), rank=3)
    end, _, said = find_saddle(middle, 1)
    assert end.fun == pytest.approx(0.2018900371, abs=1e-9), said


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_starts_and_the_seed_replays():
    few, again = landscape(FOUR, rng=3, starts=10), landscape(FOUR, rng=3, starts=10)
    more = landscape(FOUR, rng=few.rng, starts=20)
    assert [p.fun for p in few] == [p.fun for p in again]
    assert all(any(abs(p.fun - q.fun) < 1e-9 for q in more) for p in few)


@pytest.mark.slow
def test_at_tiny_ridge_weights_every_listed_point_is_critical_on_the_scale_of_the_ridge():
    atlas = landscape(Problem(K=3, L=2, lam=1e-10), rng=0, starts=15)
    assert {p.status for p in atlas} <= {"local minimum", "strict saddle"} and len(atlas) > 3
    assert all(p.grad_norm <= 1e-6 * Stratum(p.point).ridge_norm + 1e-25 for p in atlas)


def test_ctrl_c_in_a_descent_ends_the_search_and_keeps_what_was_found(monkeypatch):
    from ufm.landscapes.sources import search

    real, calls = search.minimize, []

    def stop(intermediate_result):
        raise KeyboardInterrupt

    def third_is_interrupted(problem, rng):
        calls.append(rng)
        return real(problem, rng=rng, callback=stop if len(calls) == 3 else None)

    monkeypatch.setattr(search, "minimize", third_is_interrupted)
    atlas = landscape(FOUR, rng=0, starts=20)
    assert len(calls) == 3 and "interrupted" in atlas.scope and {"pairs", "dnc"} <= {p.name for p in atlas}


def test_landscape_is_saved_filtered_and_printed(tmp_path, capsys):
    atlas = landscape(FOUR, rng=0, starts=5)
    atlas.save(tmp_path / "atlas.json")
    data = json.loads((tmp_path / "atlas.json").read_text())
    assert len(data["points"]) == len(atlas) and len(data["points"][0]["class_logits"]) == 4
    assert {
        "name",
        "fun",
        "rank",
        "index",
        "nullity",
        "nullity_symmetry",
        "status",
        "singular_values",
        "scales",
        "hits",
    } <= set(data["points"][0])
    assert all(p.status == "strict saddle" for p in atlas.saddles) and atlas.sort("rank")[0].rank == 0
    assert "Not claimed to be complete" in repr(atlas)
    from ufm.cli import main

    assert (
        main(
            [
                "landscape",
                "-K",
                "3",
                "-L",
                "2",
                "--lam",
                "0.01",
                "--loss",
                "mse",
                "--json",
                "--plot",
                str(tmp_path / "a.png"),
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["complete"] is True
    assert main(["landscape", "-K", "3", "-L", "2", "--lam", "0.01", "--activation", "relu"]) == 2
    assert "linear model" in capsys.readouterr().err


CODES = {
    "code(antiprism(4))": Problem(K=8, L=3, lam=0.002),
    "code(bipyramid(5))": Problem(K=7, L=3, lam=0.002),
    "code(tricapped prism(3))": Problem(K=9, L=4, lam=0.002),
    "code(pyramid(5))": Problem(K=6, L=4, lam=0.002),
}


@pytest.mark.parametrize("name", CODES)
def test_spherical_codes_are_named_and_survive_permutation_scale_and_noise(name):
    rng = np.random.default_rng(0)
    runs = [r for r in ufm.multistart(CODES[name], 40, rng=0) if identify(r).name == name]
    assert runs
    M = runs[0].point.class_logits()
    q = rng.permutation(len(M))
    changed = 5 * M[np.ix_(q, q)]
    assert identify(changed).name == name
    noisy = identify(changed + 1e-4 * np.max(changed) * rng.standard_normal(M.shape))
    assert noisy.name == name and 0 < noisy.distance < 1e-3
    bent = changed + 0.15 * np.max(changed) * rng.standard_normal(M.shape)
    assert identify(bent).name != name


def test_antiprism_and_prism_are_told_apart():
    ring = np.exp(2j * np.pi * np.arange(5) / 5)
    for turn, name in ((np.exp(1j * np.pi / 5), "antiprism(5)"), (1.0, "prism(5)"), (np.exp(0.3j), None)):
        X = np.array([[z.real, z.imag, h] for h, t in ((0.6, 1.0), (-0.6, turn)) for z in ring * t])
        found = identify(X @ X.T).name
        assert found == (f"code({name})" if name else "code(10)")


def test_codes_are_drawn_in_the_plane_and_in_space_and_refused_beyond():
    flat = ufm.plot.code(structures.blocks(Problem(K=4, L=2, lam=0.01), (2, 2)))
    assert flat.name != "3d" and flat.get_title() == "pairs"
    assert ufm.plot.code(structures.blocks(Problem(K=6, L=2, lam=1e-3), (2, 2, 2))).name == "3d"
    with pytest.raises(ValueError, match="rank 2 or 3"):
        ufm.plot.code(structures.dnc(F1))


def test_newton_ends_are_critical_points_of_the_whole_problem():
    point = from_matrix(FOUR, structures.dnc(FOUR).class_logits() + 0.1 * np.diag([1.0, 0, -1.0, 0]), rank=3)
    end, _, _ = newton_on_stratum(point, drop=False)
    assert Stratum(end.point).grad_norm <= 1e-12
