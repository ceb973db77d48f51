"""One name per point, whoever asks: structures, identify on logits, factors and arrays, and every verb."""

import itertools
import json

import numpy as np
import pytest

import ufm
from ufm import structures
from ufm.critical.geometry import LARGEST, code_name, orbit_name
from ufm.critical.identify import identify
from ufm.critical.same import group_order
from ufm.numerics.groups import automorphism_count, automorphism_orbits, colours, pattern
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.solvers.newton import newton_on_stratum
from ufm.structures.blocks import block_points

PROBLEMS = [
    Problem(K=2, L=2, lam=0.02),
    Problem(K=3, L=2, lam=0.02),
    Problem(K=5, L=3, lam=1e-3),
    Problem(K=6, n=3, L=2, lam=1e-3),
    Problem(K=7, n=2, L=1, lam=1e-3),
    Problem(K=4, n=(4, 4, 1, 1), L=3, lam=1e-3),
    Problem(K=3, n=(5, 2, 1), L=2, lam=1e-3),
    Problem(K=3, n=(5, 2, 1), L=2, lam=1e-3, bias=0.1),
    Problem(K=4, n=2, L=2, lam=1e-3, bias=0.1),
    Problem(K=3, L=2, lam=1e-6),
    Problem(K=3, n=3, L=3, lam=0.0016, loss="mse"),
    Problem(K=5, d=3, L=2, lam=0.01, loss="mse"),
    Problem(K=4, n=(4, 3, 2, 1), L=2, lam=0.002, loss="mse"),
    Problem(K=4, n=2, L=2, lam=0.002, loss="mse", bias=0.1),
    Problem(K=4, n=2, L=2, lam=0.002, loss="mse", bias=0.0),
    Problem(K=6, L=2, lam=0.003, loss="label_smoothing"),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.loss.name}-K{p.K}-n{p.n}-L{p.L}-bias{p.bias}")
def test_a_structure_has_one_name_as_logits_and_lifted(problem):
    for name, point in structures.existing(problem)[0].items():
        who, lifted = identify(point), identify(point.lift())
        assert name == point.name == who.name == lifted.name and who.rank == lifted.rank == point.rank
        np.testing.assert_allclose(who.scales, point.scales, rtol=1e-6)
        assert who.nearest[0][0] == name and len(who.nearest) == 3
        assert (who.within_class is None) == (problem.N == problem.K)


def test_small_and_mixed_roots_are_named_as_they_were_built():
    for problem in (Problem(K=5, L=2, lam=5e-3), Problem(K=4, L=2, lam=5e-3, loss="mse")):
        for point in block_points(problem):
            assert identify(point).name == identify(point.lift()).name == point.name
    assert {"blocks(3,2)(large,small)", "blocks(2,2,1)(small)"} <= {
        p.name for p in block_points(Problem(K=5, L=2, lam=5e-3))
    }


def test_a_faint_mode_counts_as_much_as_a_strong_one():
    """Beside a pair of logits 10, a rank-2 code of size 1e-4 on the other classes decides the name all the same."""
    problem, rng = Problem(K=6, L=3, lam=1e-3), np.random.default_rng(0)
    S = np.zeros((6, 6))
    S[:2, :2] = [[10.0, -10.0], [-10.0, 10.0]]
    for block, name in (
        (np.kron(np.eye(2), [[1.0, -1.0], [-1.0, 1.0]]), None),
        (rng.standard_normal((4, 2)), "code(1+1+1+1+2)"),
    ):
        M = S.copy()
        block = block if name is None else block - block.mean(axis=0)
        M[2:, 2:] = 1e-4 * (block if name is None else block @ block.T)
        point = ufm.points.from_matrix(problem, M, rank=3)
        assert (
            identify(point).name == identify(point.lift()).name == (name or "code(pair+pair+pair)")
            and identify(M).rank == 1
        )
    M[2:, 2:] = 1e-4 * np.diag([1.0, 1.0, 0, 0]) - 1e-4 * np.eye(4)[[1, 0, 3, 2]] * [1, 1, 0, 0]
    assert identify(ufm.points.from_matrix(problem, M, rank=2)).name == "code(pair+pair+undecided+undecided)"


def test_every_verb_says_the_same_of_the_points_of_a_landscape():
    problem = Problem(K=3, L=2, lam=0.02)
    atlas = ufm.landscape(problem, rng=0, starts=5)
    names = [p.name.split("#")[0] for p in atlas]
    assert names == [identify(p.point).name for p in atlas] == [identify(p.point.lift()).name for p in atlas]
    assert len({p.name for p in atlas}) == len(atlas) and not any(":" in name for name in names)
    by_value = {round(p.fun, 9): p.name for p in atlas}
    compared = [p for p in ufm.compare(problem, 10, rng=0, prove=False).points if p.status != "not critical"]
    for e in [*ufm.profile(problem, starts=3, rng=0), *ufm.basins(problem, 30, rng=0), *compared]:
        assert by_value[round(e.fun, 9)] == e.name


def test_a_loss_that_sees_shifts_tells_the_simplex_from_collapse():
    simplex, mse = np.eye(4) - 0.25, Problem(K=4, n=3, L=2, lam=1e-3, loss="mse")
    assert (identify(np.eye(4)).name, identify(np.eye(4)).rank) == ("dnc", 3)
    assert [(who.name, who.rank) for who in (identify(A, loss="mse") for A in (np.eye(4), simplex))] == [
        ("dnc", 4),
        ("blocks(4)", 3),
    ]
    whole, part = structures.dnc(mse), structures.blocks(mse, (4,))
    assert identify(whole).name == "dnc" and identify(part).name == "blocks(4)" and identify(whole).rank == 4
    with pytest.raises(ValueError, match="loss is that of the point's own problem"):
        identify(whole, loss="ce")
    with pytest.raises(ValueError, match="loss"):
        identify(np.eye(4), loss="mean")


def test_pairs_have_one_scale():
    uneven = identify(np.kron(np.diag([1.0, 5.0]), [[1.0, -1.0], [-1.0, 1.0]]))
    assert uneven.name == "code(pair+pair)" and sorted(uneven.scales) == [2.0, 10.0]
    assert uneven.nearest[1][0] == "blocks(2,1,1)" and 0.1 < uneven.nearest[1][1] < 0.3
    triples = identify(np.kron(np.diag([1.0, 2.0]), np.eye(3) - 1 / 3))
    assert triples.name == "code(simplex(3)+simplex(3))" and triples.members == ((0, 1, 2), (3, 4, 5))


def test_a_declared_rank_is_part_of_the_name():
    U = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]]) / np.sqrt([2.0, 6.0])
    for problem in (Problem(K=3, L=2, lam=0.02), Problem(K=3, n=2, L=1, lam=0.02)):
        faint = LogitPoint(problem, U, np.array([1.0, 1e-3]), U)
        assert identify(faint).name == identify(faint.lift()).name == "code(1+2)" and identify(faint).rank == 2
        assert identify(faint.class_logits()).name == "blocks(2,1)"


def test_zero_is_zero_with_a_bias_too():
    for problem in (
        Problem(K=3, n=(3, 1, 1), L=2, lam=1, bias=0.1),
        Problem(K=3, n=(3, 1, 1), L=2, lam=1, bias=0.1, loss="mse"),
    ):
        zero = structures.zero(problem)
        assert (
            np.ptp(zero.b) > 0
            and identify(zero).name == identify(zero.lift()).name == "zero"
            and len(identify(zero).nearest) == 3
        )
    end = ufm.minimize(Problem(K=3, L=2, lam=0.5), method="gd", lr=0.2, steps=5000, rng=1)
    assert identify(end).name == "zero" and identify(end).rank == 0


def test_class_means_alone_measure_no_variation():
    alone, twice = identify(np.eye(4)), identify(np.repeat(np.eye(4), 2, axis=1))
    assert (
        alone.within_class is None
        and alone.collapse["nc1"] is None
        and twice.within_class == twice.collapse["nc1"] == 0.0
    )
    assert "not measured" in repr(alone) and "not measured" not in repr(twice)
    single, double = (FactorPoint(Problem(K=3, n=n, lam=0.1), (np.eye(3, 3 * n), np.eye(3))) for n in (1, 2))
    assert identify(single).within_class is None and identify(double).within_class > 0


def test_groups_are_of_permutations_that_move_the_matrix_by_at_most_the_tolerance():
    chain = np.diag(np.linspace(1, 3, 10))
    for tol in (1e-3, 0.02, 0.1, 0.3):
        assert identify(chain, match=tol).name == "unnamed(rank=9)"
    assert automorphism_count(pattern(chain, 0.1)[0]) == 1 < automorphism_count(colours(chain, 0.3))
    rng = np.random.default_rng(0)
    for tol in (0.01, 0.05, 0.2):
        for _ in range(5):
            M = np.round(rng.standard_normal((6, 6)), 1) + np.kron(np.eye(3), np.ones((2, 2)))
            M = 0.5 * (M + M.T) * rng.choice([1.0, 0.1], size=6)
            C, _ = pattern(M, tol)
            moves = [p for p in map(list, itertools.permutations(range(6))) if np.array_equal(C[np.ix_(p, p)], C)]
            assert automorphism_count(C) == len(moves)
            assert max(np.linalg.norm(M[np.ix_(p, p)] - M) for p in moves) <= tol * np.linalg.norm(M)
    problem = Problem(K=10, L=2, lam=1e-3)
    assert group_order(structures.pairs(problem), tol=0.1) == 2**5 * 120


def test_orbits_are_those_of_all_automorphisms():
    rng = np.random.default_rng(1)
    for _ in range(20):
        C = rng.integers(0, 2, (5, 5))
        C = C + C.T if rng.integers(2) else C
        moves = [p for p in map(list, itertools.permutations(range(5))) if np.array_equal(C[np.ix_(p, p)], C)]
        assert {frozenset(o) for o in automorphism_orbits(C)} == {frozenset(p[i] for p in moves) for i in range(5)}


def _gram(X, seed=0):
    X = np.asarray(X, dtype=float)
    X = X[np.random.default_rng(seed).permutation(len(X))]
    X = X - X.mean(axis=0)
    return X @ X.T


def _ring(m, turn=0.0):
    angles = 2 * np.pi * np.arange(m) / m + turn
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _two_rings(m, height, turn):
    return np.vstack([np.column_stack([_ring(m, t), np.full(m, h)]) for t, h in ((0.0, height), (turn, -height))])


@pytest.mark.parametrize("m", [4, 5, 6, 7, 8, 11])
def test_antiprisms_and_prisms_of_every_height_are_named(m):
    edge, across = np.sin(np.pi / m), np.sin(np.pi / (2 * m))
    for factor in (1.0, 1.05, 0.6, 2.3) if m < 8 else (1.0,):
        assert (
            identify(_gram(_two_rings(m, factor * np.sqrt(edge**2 - across**2), np.pi / m))).name
            == f"code(antiprism({m}))"
        )
        prism = f"code(prism({m}))" if (m, factor) != (4, 1.0) else "code(cube(3))"
        assert identify(_gram(_two_rings(m, factor * edge, 0.0))).name == prism


def _known():
    phi = (1 + np.sqrt(5)) / 2
    icosahedron = [np.roll((0, a, b * phi), k) for a in (-1, 1) for b in (-1, 1) for k in range(3)]
    yield "code(icosahedron)", icosahedron, 3
    yield "code(icosahedron minus a vertex)", icosahedron[1:], 3
    yield "code(clebsch)", [x for x in itertools.product([-1, 1], repeat=5) if np.prod(x) == 1], 5
    yield "code(24-cell)", [x for x in itertools.product([-1, 0, 1], repeat=4) if np.abs(x).sum() == 2], 4
    yield (
        "code(1+3+3)",
        [
            (0, 0, 1.3),
            *np.column_stack([_ring(3), 3 * [0.4]]),
            *np.column_stack([0.8 * _ring(3, np.pi / 3), 3 * [-0.7]]),
        ],
        3,
    )
    yield "code(2+3)", [[1.0]] * 2 + [[-0.7]] * 3, 1
    yield "code(1+4)", [[1.0]] * 4 + [[-0.7]], 1


@pytest.mark.parametrize("name, X, rank", list(_known()), ids=lambda x: x if isinstance(x, str) else "")
def test_known_codes_and_orbits_are_named(name, X, rank):
    who = identify(_gram(X))
    assert (who.name, who.rank) == (name, rank) and who.distance < 1e-12 and who.nearest[0] == (name, who.distance)
    bent = _gram(X) + 1e-4 * np.linalg.norm(_gram(X)) * np.random.default_rng(0).standard_normal((len(X),) * 2) / len(X)
    assert identify(bent).name == name


WINNERS = [
    (7, 3, 1e-4, 3, "code(1+3+3)"),
    (10, 3, 1e-6, 3, "code(1+3+3+3)"),
    (11, 4, 1e-4, 3, "code(icosahedron minus a vertex)"),
]
WINNERS += [(12, 3, 1e-5, 4, "code(4+8)"), (11, 3, 1e-3, 4, "code(2+3+6)")]


@pytest.mark.slow
@pytest.mark.parametrize("K, L, lam, rank, name", WINNERS)
def test_winners_of_low_rank_are_named(K, L, lam, rank, name):
    problem = Problem(K=K, L=L, lam=lam)
    best = ufm.multistart(Problem(K=K, L=L, lam=lam, d=rank + 1), 60, 0, progress=False).best.logit_point()
    end = newton_on_stratum(LogitPoint(problem, best.U, best.s, best.right))[0].point
    assert (
        end.rank == rank
        and identify(end).name == identify(end.lift()).name == identify(end.class_logits()).name == name
    )


def test_the_three_nearest_names_come_with_every_answer(tmp_path, capsys):
    from ufm.cli import main

    rng = np.random.default_rng(0)
    for K in (2, 3, 4, 9, 12, LARGEST + 6):
        who = identify(rng.standard_normal((K, K)))
        assert len({name for name, _ in who.nearest}) == 3 and all(0 <= d <= 1 + 1e-12 for _, d in who.nearest)
        assert [d for _, d in who.nearest] == sorted(
            d for _, d in who.nearest
        ) and who.name == f"unnamed(rank={who.rank})"
    icosahedron = _gram(next(_known())[1])
    rough = identify(icosahedron + 0.05 * np.linalg.norm(icosahedron) * rng.standard_normal((12, 12)) / 12)
    assert (
        rough.distance is None
        and rough.nearest[0][0] == "code(icosahedron)"
        and rough.nearest[0][1] == pytest.approx(0.05, abs=0.01)
    )
    relu = ufm.minimize(Problem(K=4, L=2, lam=0.01, activation="relu", loss="mse"), rng=0)
    assert len(identify(relu).nearest) == 3
    np.savez(tmp_path / "Z.npz", Z=np.kron(np.eye(3), [[1.0, -1.0], [-1.0, 1.0]]))
    assert main(["identify", str(tmp_path / "Z.npz"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (
        data["nearest"][0] == {"name": "pairs", "distance": 0.0}
        and len(data["nearest"]) == 3
        and data["within_class"] is None
    )
    assert main(["identify", str(tmp_path / "Z.npz")]) == 0
    assert "nearest: pairs at 0, " in capsys.readouterr().out


def test_beyond_the_largest_nothing_is_said_of_patterns():
    M = np.ones((LARGEST + 1, LARGEST + 1))
    assert orbit_name(M, 1e-6) is None and code_name(M, 1e-6) is None


def _matrices(rng, count):
    for _ in range(count):
        K = int(rng.integers(2, 12))
        kinds = [
            rng.standard_normal((K, K)),
            rng.integers(-1, 2, (K, K)).astype(float),
            np.full((K, K), 2.5),
            np.outer(rng.standard_normal(K), rng.standard_normal(K)),
            np.diag(rng.integers(0, 3, K)).astype(float),
            -np.eye(K) + 0.1 * rng.standard_normal((K, 1)),
        ]
        yield (
            kinds[rng.integers(len(kinds))] * 10.0 ** rng.choice([0, -8, 80]),
            float(rng.choice([1e-8, 0.02, 0.3, 5.0])),
        )


@pytest.mark.parametrize("count", [20, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_any_matrix_has_one_name_in_every_order_scale_and_shift(loss, count):
    rng = np.random.default_rng(5)
    for M, tol in _matrices(rng, count):
        who, order = identify(M, match=tol, loss=loss), rng.permutation(len(M))
        shift = np.max(np.abs(M)) * rng.standard_normal(len(M)) if loss == "ce" and np.ptp(M) else 0.0
        changed = identify(3 * M[np.ix_(order, order)] + shift, match=tol, loss=loss)
        assert (who.name, who.rank) == (changed.name, changed.rank)
        assert len({name for name, _ in who.nearest}) == 3 and all(
            0 <= distance <= 1 + 1e-9 for _, distance in who.nearest[1:]
        )
