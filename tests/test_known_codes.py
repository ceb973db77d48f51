"""Known spherical codes, and the minima of low rank that searches reach from them and in narrow models."""

from dataclasses import replace

import numpy as np
import pytest

from ufm import structures
from ufm.landscapes.compare import compare
from ufm.landscapes.profile import profile
from ufm.landscapes.sources.narrow import code_ends, low_rank_ends, pays, widths_for
from ufm.numerics import codes
from ufm.numerics.seeds import seed_sequence
from ufm.objectives.logits import Stratum
from ufm.problem import Problem
from ufm.solvers.multistart import multistart
from ufm.sweeps.phases import phase_diagram


def angles(X):
    """Inner products off the diagonal with how often each occurs in a row of the first point."""
    values, counts = np.unique(np.round((X @ X.T)[0, 1:], 6) + 0.0, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_coordinates_are_those_of_the_codes():
    assert angles(codes.icosahedron()) == {round(-1 / 5**0.5, 6): 5, round(1 / 5**0.5, 6): 5, -1.0: 1}
    assert angles(codes.half_cube(5)) == {-0.6: 5, 0.2: 10}
    assert angles(codes.cell_24()) == {-1.0: 1, -0.5: 8, 0.0: 6, 0.5: 8}


@pytest.mark.parametrize(
    "K, r, power, known",
    [(12, 3, 1, codes.icosahedron()), (16, 5, 12, codes.half_cube(5)), (6, 3, 1, np.vstack([np.eye(3), -np.eye(3)]))],
)
def test_least_energy_finds_the_code_that_is_known_to_be_best(K, r, power, known):
    X = codes.least_energy(K, r, power)
    assert X.shape == (K, r) and np.allclose(np.sort((X @ X.T)[0]), np.sort((known @ known.T)[0]), atol=2e-3)
    assert X is codes.least_energy(K, r, power) and np.array_equal(X, codes.least_energy.__wrapped__(K, r, power))


@pytest.mark.parametrize("K", [4, 7, 12, *(pytest.param(K, marks=pytest.mark.slow) for K in (13, 16, 24, 30))])
def test_every_code_of_the_library_has_unit_rows_its_own_name_and_distinct_points(K):
    names = [name for name, _ in codes.library(K)]
    assert len(set(names)) == len(names)
    for name, X in codes.library(K):
        G = X @ X.T
        assert len(X) == K and np.allclose(np.diag(G), 1) and np.max(G - 2 * np.eye(K)) < 0.9999, name


@pytest.mark.parametrize("K, L, lam, fun, rank", [(12, 3, 1e-2, 0.393838352621, 3), (16, 2, 1e-3, 0.077849702555, 5)])
def test_compare_finds_the_lowest_known_value_where_full_width_misses_it(K, L, lam, fun, rank):
    table = compare(Problem(K, L=L, lam=lam), starts=2, rng=0, prove=False)
    assert abs(table.winner.fun - fun) < 1e-9 and table.winner.rank == rank and table.winner.status == "local minimum"
    assert min(table.runs.best.fun, table["pairs"].fun if K % 2 == 0 else 1) > fun + 1e-4
    assert "known codes" in repr(table) and sum(table.hits.values()) <= 2


@pytest.mark.slow
def test_the_whole_search_does_not_depend_on_the_number_of_starts():
    ends = [low_rank_ends(Problem(12, L=3, lam=1e-2), n, seed_sequence(0)) for n in (1, 2)]
    assert [r.fun for r in ends[0].narrow] == [r.fun for r in ends[1].narrow][:2]
    assert [r.fun for _, r in ends[0].from_codes] == [r.fun for _, r in ends[1].from_codes]


def test_a_descent_does_not_depend_on_how_many_there_are():
    problem = Problem(12, L=3, lam=1e-2)
    few, many = (multistart(problem, n, 3, widths=(5, 3)) for n in (3, 6))
    assert [r.fun for r in few] == [r.fun for r in many][:3] and all(r.problem == problem for r in many)


def test_ends_are_critical_points_of_the_problem_itself():
    problem = Problem(12, n=(2,) * 6 + (3,) * 6, L=2, lam=1e-3)
    for run in low_rank_ends(problem, 2, seed_sequence(0)):
        there = Stratum(run.point)
        assert run.point.problem == problem and abs(there.fun - run.fun) <= 1e-13 and there.grad_norm <= 1e-11
    assert len(list(code_ends(replace(problem, d=3)))) < len(list(code_ends(problem)))


def test_a_width_equal_to_the_rank_is_no_obstacle():
    """At d = 3 most descents end at the hexagon; one and two dimensions more lead them to the octahedron."""
    problem = Problem(6, d=3, L=3, lam=1e-2)
    wider = multistart(problem, 12, 0, widths=(4, 5))
    assert wider.best.point.rank == 3 and abs(wider.best.fun - Stratum(structures.pairs(problem)).fun) < 1e-12
    found = profile(problem, starts=3, rng=0)
    assert (
        found.best.rank == 3
        and found.best.name == "pairs"
        and "search" in found[3].said
        and max(e.rank for e in found) == 3
    )
    assert compare(Problem(8, d=3, L=3, lam=1e-2), starts=4, rng=0, prove=False).winner.fun < 0.28035


@pytest.mark.parametrize(
    "problem, wanted",
    [
        ({"L": 1}, False),
        ({"loss": "mse"}, False),
        ({"activation": "relu"}, False),
        ({}, True),
        ({"K": 8}, False),
        ({"K": 8, "d": 3}, True),
    ],
)
def test_where_narrow_descents_pay(problem, wanted):
    problem = Problem(**({"K": 12, "L": 2, "lam": 1e-3} | problem))
    assert pays(problem) == wanted
    assert not wanted or max(widths_for(problem)) < problem.K


@pytest.mark.parametrize(
    "bad",
    [
        {"widths": ()},
        {"widths": (0,)},
        {"widths": (2,), "trace": 1},
        {"widths": (2,), "method": "gd"},
        {"widths": (2,), "space": "factors"},
    ],
)
def test_widths_that_cannot_be_are_refused(bad):
    with pytest.raises(ValueError, match="widths"):
        multistart(Problem(4, L=2, lam=0.01), 2, 0, **bad)


def test_a_phase_diagram_of_one_lam_is_searched():
    cell = phase_diagram([12], [3], [1e-2], starts=2, rng=0).cell(12, 3, 1e-2)
    assert abs(cell.fun - 0.393838352621) < 1e-9 and cell.runner_up == "pairs"
    assert abs(phase_diagram([12], [3], [1e-2]).cell(12, 3, 1e-2).fun - 0.437920861) < 1e-8


@pytest.mark.slow
def test_a_phase_diagram_of_two_lams_knows_the_codes_too():
    assert phase_diagram([12], [3], [1e-2, 2e-2], starts=1, rng=0).cell(12, 3, 1e-2).winner == "code(icosahedron)"


@pytest.mark.slow
@pytest.mark.parametrize("lam", [1e-3, 1e-2])
@pytest.mark.parametrize("L", [2, 3, 4])
@pytest.mark.parametrize("K", range(12, 17))
def test_compare_finds_what_a_long_search_finds(K, L, lam):
    """Sixty descents at each of eight widths, one after the other, against `compare` as it is called without
    options."""
    problem = Problem(K, L=L, lam=lam)
    long = min(multistart(problem, 60, 7, widths=[w]).best.fun for w in (3, 4, 5, 6, 7, 8, K - 1, K))
    assert compare(problem, rng=1, prove=False).winner.fun <= long + 1e-9
