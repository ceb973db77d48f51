"""Basins: ends are told apart modulo class permutation and counted; blocks, interruptions and files change no
number."""

import itertools
import json

import numpy as np
import pytest

from ufm.critical import kinds as ends_module
from ufm.critical.classify import classify
from ufm.critical.kinds import Ends, kinds, orders
from ufm.critical.same import same_point
from ufm.landscapes import blocks
from ufm.landscapes.basins import basins, dynamics
from ufm.landscapes.table import Landscape
from ufm.numerics.statistics import wilson
from ufm.plot import basins as pictures
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.solvers import batch as engine
from ufm.solvers.batch import run_batch
from ufm.solvers.finish import finish_all
from ufm.solvers.minimize import minimize
from ufm.solvers.starts import near
from ufm.structures import dnc, existing, pairs
from ufm.sweeps.census import census

SMALL = Problem(K=6, n=2, d=8, L=2, lam=0.01)
MANY = Problem(K=7, n=(1, 1, 2, 2, 3, 3, 3), L=3, lam=2e-3, bias=0.1)
DESCENT = {"method": "gd", "steps": 1500}


def ends_of(problem, count, rng=0):
    run = run_batch(problem, count, rng, tol=1e-9)
    return Ends.of(run.fun, run.rank, run.class_logits(), run.biases(), np.arange(count))


def one_end(fun, rank, M, first=0):
    return Ends.of([fun], [rank], [M], None, [first])


def permuted(ends, i, p, first):
    """End i with its classes permuted, as another run's."""
    b = None if ends.b is None else ends.b[i][p][None]
    return Ends.of(ends.fun[[i]], ends.rank[[i]], ends.logits[i][np.ix_(p, p)][None], b, [first])


def joined(*parts):
    return Ends.joined(parts, parts[0].logits.shape[1])


# ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem", [SMALL, Problem(K=10, n=5, L=2, lam=2**-10), Problem(K=12, L=3, lam=1e-3), Problem(K=2, L=1, lam=0.1)]
)
def test_a_permuted_copy_is_the_same_end_and_needs_no_search(problem, monkeypatch):
    monkeypatch.setattr(
        ends_module, "same_point", lambda *a: pytest.fail("the proposed order did not align two copies")
    )
    ends, draw = ends_of(problem, 30), np.random.default_rng(0)
    once, _ = kinds(problem, ends)
    copies = [permuted(ends, i, draw.permutation(problem.K), 30 + i) for i in range(30)]
    both, place = kinds(problem, joined(ends, *copies))
    assert len(both) == len(once)
    assert place[:30].tolist() == place[30:].tolist()
    assert both.count.tolist() == [2 * count for count in once.count]
    assert np.all(both.first < 30)


def test_pairwise_comparison_of_points_agrees():
    ends = ends_of(MANY, 40)
    _, place = kinds(MANY, ends)
    points = [ends.point(MANY, i) for i in range(40)]
    assert len(set(place.tolist())) > 10
    for i, j in itertools.combinations(range(40), 2):
        if abs(ends.fun[i] - ends.fun[j]) < 1e-6:
            assert (place[i] == place[j]) == same_point(points[i], points[j])


def test_class_counts_are_part_of_an_end():
    ends = ends_of(MANY, 1)
    within, across = [1, 0, 2, 3, 4, 5, 6], [2, 1, 0, 3, 4, 5, 6]
    assert len(kinds(MANY, joined(ends, permuted(ends, 0, within, 1)))[0]) == 1
    assert (
        len(kinds(MANY, joined(ends, permuted(ends, 0, across, 1)))[0]) == 2
    )  # not the same point: classes 0 and 2 differ in size


def test_equal_losses_alone_make_nothing_one():
    problem, draw = Problem(K=6, L=2, lam=0.01), np.random.default_rng(1)
    A = draw.standard_normal((6, 6))
    Q = np.linalg.qr(draw.standard_normal((6, 6)))[0]
    one, other = one_end(0.1, 6, A), one_end(0.1, 6, Q @ A @ Q.T, 1)  # same rank, loss and spectrum
    assert len(kinds(problem, joined(one, other))[0]) == 2
    assert len(kinds(problem, joined(one, permuted(one, 0, draw.permutation(6), 1)))[0]) == 1
    assert len(kinds(problem, joined(one, one_end(0.1, 6, A + 1e-3 * draw.standard_normal((6, 6)), 1)))[0]) == 2
    assert len(kinds(problem, joined(one, one_end(0.1, 5, A, 1)))[0]) == 2
    assert len(kinds(problem, Ends.joined([], 6))[0]) == 0


def test_a_poor_order_costs_time_and_no_truth(monkeypatch):
    ends, draw = ends_of(SMALL, 12), np.random.default_rng(0)
    copies = joined(ends, *(permuted(ends, i, draw.permutation(6), 12 + i) for i in range(12)))
    expected = kinds(SMALL, copies)[0].count.tolist()
    monkeypatch.setattr(ends_module, "orders", lambda M, counts: np.tile(np.arange(M.shape[1]), (len(M), 1)))
    assert kinds(SMALL, copies)[0].count.tolist() == expected


def test_orders_are_permutations_and_respect_copies():
    draw = np.random.default_rng(0)
    M = draw.standard_normal((20, 9, 9))
    p = orders(M, np.ones(9))
    assert np.array_equal(np.sort(p, axis=1), np.tile(np.arange(9), (20, 1)))
    for A, order in zip(M, p, strict=True):
        q = draw.permutation(9)
        B = A[np.ix_(q, q)]
        (other,) = orders(B[None], np.ones(9))
        np.testing.assert_array_equal(B[np.ix_(other, other)], A[np.ix_(order, order)])
    assert orders(np.zeros((1, 3, 3)), np.ones(3)).shape == (1, 3)


def test_a_continuum_is_one_end():
    found = basins(Problem(K=6, L=3, lam=1e-3, loss="mse"), 100, 0)
    names = {b.name: b for b in found}
    assert set(names) == {"dnc", "blocks(6)"}
    assert names["blocks(6)"].rank == 5 and names["blocks(6)"].continuum
    assert names["blocks(6)"].count > 5


# the census --------------------------------------------------------------------------------------


def test_counts_are_those_of_single_runs_named_one_by_one():
    found = basins(SMALL, 25, 3)
    assert (found.starts, found.converged, found.not_converged) == (25, 25, 0)
    assert sum(b.count for b in found) == 25
    counts = [b.count for b in found]
    assert counts == sorted(counts, reverse=True)
    seed = {"entropy": 3, "spawn_key": []}
    for i in range(8):
        run = minimize(SMALL, rng={**seed, "spawn_key": [i]})
        end = found[found.ends[i]]
        assert end.fun == pytest.approx(run.fun, abs=1e-10)
        assert end.rank == run.point.rank
    for b in found:
        assert (b.low, b.high) == wilson(b.count, 25)
        assert b.low <= b.share == b.count / 25 <= b.high
        assert found.ends[b.first] == found.rows.index(b)
        assert not np.any(found.ends[: b.first] == found.rows.index(b))


def test_the_winner_is_the_structure():
    found = basins(Problem(K=10, n=5, d=70, L=2, lam=2**-10), 60, 0)
    assert found.winner == "pairs"
    best = found[0]
    assert best.fun == pytest.approx(classify(pairs(found.problem)).fun, abs=1e-10)
    assert classify(found["pairs"]).status == "local minimum"
    assert found.lowest.fun <= best.fun


def test_zero_and_two_classes():
    assert basins(Problem(K=5, n=2, d=7, L=3, lam=1.0), 10, 0).winner == "zero"
    assert basins(Problem(K=2, L=1, lam=0.1), 10, 0).converged == 10
    assert basins(Problem(K=4, L=2, lam=(0.02, 0.03, 0.01), n=(1, 2, 3, 1), bias=0.2), 10, 0).converged == 10


def test_block_mixtures_are_named_by_their_blocks():
    problem = Problem(K=10, n=5, d=12, L=2, lam=2**-10)
    known = {name: p for name, p in existing(problem)[0].items() if name.startswith("blocks") and 5 < p.rank < 9}
    assert known
    for name, point in list(known.items())[:3]:
        if classify(point, extremes=False).status != "local minimum":
            continue
        found = basins(problem, 3, 0, start=near(point, 0.01))
        assert found.winner == name
        assert found[0].rank == point.rank


def test_shares_of_ranks_and_of_ends_nobody_reached():
    found = basins(SMALL, 30, 1)
    assert sum(share for share, _, _ in found.ranks().values()) == pytest.approx(1.0)
    assert found.share("petersen") == (0.0, *wilson(0, 30))
    assert found.share(found.winner)[0] == found[0].share
    assert found.share("not converged")[0] == 0.0


def test_two_ends_of_one_name_are_told_apart():
    found = basins(MANY, 60, 0)
    names = [b.name for b in found]
    assert len(set(names)) == len(names) > 10
    families = [name.split("#")[0] for name in names]
    twice = next(name for name in families if families.count(name) > 1)
    same = sorted((b for b in found if b.name.split("#")[0] == twice), key=lambda b: b.fun)
    assert [b.name for b in same] == [twice, *(f"{twice}#{k}" for k in range(2, len(same) + 1))]


# dynamics ----------------------------------------------------------------------------------------


def test_the_result_says_what_was_run():
    problem = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
    assert "gradient descent (lr=0.5, at most 20000 steps) at width 70 in all 9100 parameters" in dynamics(
        problem, "gd", "factors", {"lr": 0.5, "steps": 20000}
    )
    said = dynamics(problem, "lbfgs", "reduced", {"scale": 0.1})
    assert "exact reduction of minima to class means and width 10" in said
    assert "says nothing of basins of gradient descent at width 70" in said
    assert "scale 0.1" in said
    assert "says nothing" in dynamics(problem, "gd", "reduced", {"lr": 0.5, "steps": 10})
    assert "says nothing" in repr(basins(SMALL, 3, 0))


def test_descent_at_full_width_ends_where_newton_confirms_it():
    problem = Problem(K=4, n=2, d=6, L=2, lam=0.02)
    found = basins(problem, 12, 0, **DESCENT)
    assert found.space == "factors"
    assert found.converged > 0
    run = run_batch(problem, 12, 0, "gd", steps=1500)
    for i in np.flatnonzero(found.ends >= 0):
        end = found[found.ends[i]]
        assert end.fun <= run.fun[i] + 1e-9
        M = run.class_logits()[i]
        gap = min(np.linalg.norm(M - end.logits[np.ix_(p, p)]) for p in itertools.permutations(range(4)))
        assert gap <= blocks.NEAR * np.linalg.norm(M)
        assert classify(found[end.name]).status == "local minimum"


def test_width_matters_to_gradient_descent_and_not_to_the_reduction():
    over = {"d": [6, 24]}
    descent = census(Problem(K=6, n=2, d=6, L=2, lam=2**-8), 20, 0, over=over, method="gd", steps=2500)
    (narrow, *_), (wide, *_) = descent.shares("dnc")
    assert wide > narrow + 0.3  # gk25, Figure 2: wider models end in DNC more often
    reduced = census(Problem(K=6, n=2, d=6, L=2, lam=2**-8), 20, 0, over=over)
    assert [b.count for b in reduced.cells[0]] == [b.count for b in reduced.cells[1]]


def test_runs_that_did_not_arrive_are_counted_apart():
    found = basins(SMALL, 8, 0, method="gd", steps=5)
    assert found.converged == 0
    assert found.winner is None
    assert found.ends.tolist() == [-1] * 8
    assert "not converged" in repr(found)
    assert found.share("not converged")[0] == 1.0
    diverged = basins(SMALL, 4, 0, method="gd", steps=200, lr=1e4)
    assert diverged.converged == 0


def test_newton_that_goes_elsewhere_is_not_an_end(monkeypatch):
    problem = Problem(K=4, n=2, d=6, L=2, lam=0.02)
    whole = basins(problem, 8, 0, **DESCENT)
    monkeypatch.setattr(blocks, "NEAR", 1e-14)
    assert basins(problem, 8, 0, **DESCENT).converged < whole.converged


def test_finish_needs_points_of_a_linear_model():
    with pytest.raises(ValueError, match="linear model"):
        finish_all(run_batch(Problem(K=3, L=2, lam=0.02, activation="tanh"), 1, 0), 1e-9)
    with pytest.raises(ValueError, match="keep='points'"):
        finish_all(run_batch(Problem(K=3, L=2, lam=0.02, bias=0.1), 2, 0, "gd", steps=3, keep="numbers"), 1e-9)


def test_ends_of_nonlinear_models_are_points_too():
    found = basins(Problem(K=3, n=2, d=4, L=2, lam=0.02, activation="tanh"), 10, 0)
    assert found.converged == 10
    assert sum(b.count for b in found) == 10
    end = found[found.winner]
    assert classify(end).status == end.status == "local minimum" and end.rank == 2


# blocks, files, interruptions --------------------------------------------------------------------


def same(a, b):
    rows = [[(x.name, x.count, x.low, x.high, x.rank, x.first) for x in found] for found in (a, b)]
    return rows[0] == rows[1] and a.ends.tolist() == b.ends.tolist()


def test_blocks_change_nothing(monkeypatch):
    whole = basins(MANY, 24, 5)
    monkeypatch.setattr(blocks, "BLOCK", 7)
    assert same(basins(MANY, 24, 5), whole)
    assert same(basins(MANY, 24, 5, threads=2), whole)


def test_an_interrupted_file_goes_on_and_ends_equal(tmp_path, monkeypatch):
    whole = basins(SMALL, 30, 5)
    monkeypatch.setattr(blocks, "BLOCK", 8)
    real, calls = engine.run_batch, []

    def interrupted(*args, **options):
        calls.append(args[1])
        if len(calls) == 3:
            options["start"] = lambda objective, draw: (_ for _ in ()).throw(KeyboardInterrupt)
        return real(*args, **options)

    out = tmp_path / "blocks.jsonl"
    monkeypatch.setattr(engine, "run_batch", interrupted)
    part = basins(SMALL, 30, 5, out=out)
    assert (part.starts, part.requested) == (16, 30)
    assert "16 of 30 starts" in repr(part)
    with open(out, "ab") as file:
        file.write(b'{"key": "torn')  # what kill -9 leaves
    monkeypatch.setattr(engine, "run_batch", real)
    done = []
    monkeypatch.setattr(engine, "run_batch", lambda *args, **options: done.append(args[1]) or real(*args, **options))
    assert same(basins(SMALL, 30, None, out=out), whole)  # the seed is the file's
    assert [len(block) for block in done] == [8, 6]
    done.clear()
    assert same(basins(SMALL, 30, 5, out=out), whole)
    assert done == []
    fewer = basins(SMALL, 11, 5, out=out)
    assert same(fewer, basins(SMALL, 11, 5))
    more = basins(SMALL, 34, 5, out=out)
    assert same(more, basins(SMALL, 34, 5))


def test_ctrl_c_before_anything_is_ctrl_c(monkeypatch):
    def stop(objective, draw):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        basins(SMALL, 5, 0, start=stop)


def test_a_file_holds_several_problems_and_refuses_another_seed(tmp_path):
    out = tmp_path / "all.jsonl"
    found = census(SMALL, 10, 1, over={"lam": [0.005, 0.02]}, out=out)
    again = census(SMALL, 10, over={"lam": [0.005, 0.02]}, out=out)
    assert all(same(a, b) for a, b in zip(found.cells, again.cells, strict=True))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum("run" in line for line in lines) == 2
    with pytest.raises(ValueError, match="rng must be that of the blocks"):
        basins(Problem(K=6, n=2, d=8, L=2, lam=0.02), 10, 2, out=out)
    with pytest.raises(ValueError, match="leave out `out`"):
        basins(SMALL, 5, 0, start=near(dnc(SMALL)), out=out)


def test_save_and_load(tmp_path):
    found = basins(MANY, 30, 0)
    found.save(tmp_path / "b.json")
    again = Landscape.load(tmp_path / "b.json")
    assert repr(again) == repr(found)
    assert again.to_dict() == json.loads(json.dumps(found.to_dict()))
    point = again[again.winner].point
    assert isinstance(point, LogitPoint)
    np.testing.assert_array_equal(point.class_logits(), found[found.winner].point.class_logits())
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match=r"c\.json"):
        Landscape.load(tmp_path / "c.json")


# the census over a parameter ---------------------------------------------------------------------


def test_each_value_alone_gives_the_same():
    found = census(SMALL, 15, 4, over={"lam": [0.002, 0.02]})
    assert same(found.cells[1], basins(Problem(K=6, n=2, d=8, L=2, lam=0.02), 15, 4))
    assert len(found.table()) == sum(len(cell) for cell in found.cells)
    assert found.shares(found.names[0]).shape == (2, 3)
    assert "not finished" not in repr(found)


@pytest.mark.parametrize(
    ("over", "options"),
    [
        ({"scale": [0.1, 1.0]}, {}),
        ({"lr": [0.1, 0.5]}, {"method": "gd", "steps": 20}),
        ({"method": ["lbfgs", "gd"]}, {}),
        ({"n": [1, (1, 2, 1, 1, 1, 1)]}, {}),
    ],
)
def test_other_parameters(over, options):
    ((name, values),) = over.items()
    options = {**options, **({"max_steps": 2000} if name == "scale" else {})}
    problem = Problem(K=6, L=2, lam=0.02) if name != "method" else Problem(K=2, L=1, lam=0.2)
    found = census(problem, 4, 0, over=over, **options)
    assert found.values == tuple(values)
    assert all(cell.starts == 4 for cell in found.cells)
    json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: basins(SMALL, 0), "starts=0"),
        (lambda: basins("x"), "problem"),
        (lambda: basins(SMALL, 5, method="flows"), "method='flows'"),
        (lambda: basins(SMALL, 5, lr=0.1), "lr.*'lbfgs'"),
        (lambda: basins(SMALL, 5, tol=0), "tol=0"),
        (lambda: basins(SMALL, 5, scale=-1), "scale=-1"),
        (lambda: basins(SMALL, 5, level=1.0), "level=1.0"),
        (lambda: basins(SMALL, 5, out="/nowhere/x.jsonl"), "existing folder"),
        (lambda: census(SMALL, over={"d": [4], "L": [2]}), "over="),
        (lambda: census(SMALL, over={"d": []}), "over="),
        (lambda: census(SMALL, over={"d": 4}), "over="),
        (lambda: census(SMALL, over={"d": [8, 0]}), "d=0"),
        (lambda: census(SMALL, over={"lr": [0.1]}), "lr.*'lbfgs'"),
        (lambda: census(SMALL, over={"scale": [1.0, -2.0]}), "scale=-2.0"),
        (lambda: census(SMALL, over={"scale": [1.0]}, scale=2.0), "both"),
        (lambda: basins(SMALL, 3, 0)["dncc"], "name='dncc'"),
    ],
)
def test_bad_arguments_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# pictures ----------------------------------------------------------------------------------------


def test_pictures(tmp_path):
    found = census(SMALL, 20, 0, over={"lam": [0.002, 0.01, 0.05]})
    for kind, by in itertools.product(("stack", "lines"), ("name", "rank")):
        ax = pictures.census(found, kind=kind, by=by)
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert (found.names[0] in labels) == (by == "name")
    ax = pictures.census(found, kind="stack", most=1)
    assert "others" in [text.get_text() for text in ax.get_legend().get_texts()]
    words = pictures.census(census(SMALL, 5, 0, over={"method": ["lbfgs"]}))
    assert [tick.get_text() for tick in words.get_xticklabels()] == ["lbfgs"]
    bars = pictures.shares(found.cells[0])
    assert bars.patches[0].get_width() == pytest.approx(found.cells[0][0].share)
    assert pictures.shares(basins(SMALL, 3, 0, method="gd", steps=3)).get_yticklabels()[0].get_text() == "not converged"
    with pytest.raises(ValueError, match="kind='pie'"):
        pictures.census(found, kind="pie")


def test_a_stack_of_shares_reaches_one():
    ax = pictures.census(census(SMALL, 6, 0, over={"method": ["gd"]}, steps=50), kind="stack")
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1.0)
