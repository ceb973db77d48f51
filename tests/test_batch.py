"""Many starts at once are the same starts: each row is what `minimize` makes of it alone, on any array library."""

import builtins
import re
from collections import deque

import autograd.numpy as anp
import numpy as np
import pytest

from ufm.activations import Activation
from ufm.losses import Loss
from ufm.numerics.arrays import namespace
from ufm.numerics.seeds import child, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.objectives.fit import Fit
from ufm.objectives.logits import Stratum
from ufm.objectives.strata import Strata
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers import curvature, finish, lbfgs, starts
from ufm.solvers.batch import rows_of, run_batch
from ufm.solvers.descent import narrow
from ufm.solvers.lbfgs import Rows
from ufm.solvers.methods.gd import GradientDescent
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import multistart

DEEP = Problem(K=4, L=2, lam=0.02)
BIASED = Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.02, 0.03, 0.01), bias=0.2)
HUBER = Loss.from_function(lambda Z, Y: anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0), "huber", convex=True)
SOFTPLUS = Activation.from_function(lambda x: anp.log1p(anp.exp(x)), "softplus")
PROBLEMS = {
    "deep": DEEP,
    "biased": BIASED,
    "two classes": Problem(K=2, L=1, lam=0.1),
    "only zero": Problem(K=5, n=2, d=7, L=3, lam=1.0),
    "tiny weight": Problem(K=4, L=2, lam=1e-9),
    "mse": Problem(K=4, n=3, L=4, lam=0.001, loss="mse"),
    "focal": Problem(K=4, n=2, L=2, lam=0.01, loss="focal(2)"),
    "smoothing": Problem(K=5, n=2, L=2, lam=0.005, loss="label_smoothing(0.1)"),
    "narrow": Problem(K=6, n=2, d=(4, 3, 7), L=3, lam=(0.003, 0.001, 0.002, 0.004)),
    "imbalanced": Problem(K=5, n=(1, 2, 2, 3, 4), d=8, L=2, lam=1e-3, bias=0.01),
    "tanh": Problem(K=3, n=2, d=4, L=2, lam=0.02, activation="tanh"),
    "relu": Problem(K=3, n=2, d=4, L=3, lam=0.02, activation="relu"),
    "leaky": Problem(K=3, n=2, d=4, L=2, lam=0.02, activation="leaky_relu(0.2)"),
    "user's loss": Problem(K=3, n=2, d=4, L=2, lam=0.01, loss=HUBER),
    "user's activation": Problem(K=3, n=2, d=4, L=2, lam=0.02, activation=SOFTPLUS),
}
GD = {"method": "gd", "steps": 150, "lr": 0.3}
RUNS = [
    *((name, {}) for name in PROBLEMS if name not in ("relu", "leaky")),
    *((name, {"space": "factors"}) for name in ("biased", "focal", "mse")),
    *((name, GD) for name in ("deep", "biased", "relu", "tanh", "user's loss", "user's activation")),
    ("relu", {"max_steps": 60}),
    ("leaky", {"max_steps": 60}),
    ("deep", {"max_steps": 5}),
    ("deep", {**GD, "space": "reduced", "tol": 1e-3}),
    ("deep", {**GD, "start": starts.near(from_matrix(DEEP, np.eye(4)), 0.1)}),
    ("biased", {**GD, "momentum": 0.9, "lr": 0.03}),
    ("biased", {**GD, "batch": 3, "momentum": 0.5}),
    ("deep", {**GD, "lr": 1e3}),
]


def class_logits(point):
    if isinstance(point, LogitPoint):
        return point.class_logits()
    return point.logits() @ (point.problem.samples.Y.T / point.problem.counts)


def words(result):
    """The message without a converged run's gradient norm, which is rounding."""
    return re.sub(r"norm \S+ <=", "norm", result.message)


def difference(problem, count, rng, **options):
    """Largest disagreement with `minimize` in value and class logits, and whether all counts and verdicts agree."""
    seed, batch = seed_sequence(rng), run_batch(problem, count, rng, **options)
    alone = [minimize(problem, rng=child(seed, i), **options) for i in range(count)]
    logits = batch.class_logits()
    with np.errstate(invalid="ignore"):
        gaps = [abs(a.fun - f) / max(1, abs(f)) for a, f in zip(alone, batch.fun, strict=True)]
        gaps += [
            np.max(np.abs(class_logits(a.point) - Z)) / max(1, np.max(np.abs(Z)))
            for a, Z in zip(alone, logits, strict=True)
        ]
    same = all(
        (a.nit, a.nfev, a.success, words(a)) == (r.nit, r.nfev, r.success, words(r))
        for a, r in zip(alone, batch, strict=True)
    )
    return max(gaps), same, batch


def numbers(batch):
    return [a.tobytes() for a in (batch.fun, batch.grad_norm, batch.rank, batch.nit, batch.nfev, batch.class_logits())]


# the same as one by one --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), RUNS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_row_i_is_what_minimize_makes_of_start_i(name, options):
    gap, same, batch = difference(PROBLEMS[name], 5, 3, **options)
    assert gap <= 1e-10
    assert same
    assert len(batch.results()) == 5


def test_many_starts_of_one_problem_agree_with_minimize():
    gap, same, batch = difference(Problem(K=6, n=2, d=9, L=3, lam=1e-3), 40, 0)
    assert gap <= 1e-10
    assert same
    assert batch.success.all()
    assert len(np.unique(batch.rank)) > 1  # several basins, so that agreement says something


def test_problems_too_large_for_dense_newton_take_the_single_path(monkeypatch):
    monkeypatch.setattr(curvature, "FORMED", 0)  # offers one by one
    for name, space in (("deep", "reduced"), ("biased", "reduced"), ("biased", "factors")):
        gap, same, _ = difference(PROBLEMS[name], 4, 3, space=space)
        assert gap <= 1e-10 and same
    monkeypatch.setattr(lbfgs, "WIDE", 10)  # the width follows the rank: each row alone
    for options in ({}, {"max_steps": 3}):
        gap, same, batch = difference(PROBLEMS["narrow"], 4, 3, **options)
        assert gap <= 1e-10 and same
        assert batch.done.all()


def test_a_slip_among_companions_would_be_seen(monkeypatch):
    parts = FactorObjective.parts

    def slips(self, x, *rest):
        fit, penalty, grad = parts(self, x, *rest)
        return fit, penalty, grad + 1e-6 * x if x.ndim == 2 and len(x) > 1 else grad

    monkeypatch.setattr(FactorObjective, "parts", slips)
    gap, same, _ = difference(PROBLEMS["tanh"], 3, 3, max_steps=30)
    assert gap > 1e-10 or not same


def check_strata(problem, rank):
    """Value, gradient, ridge and derivatives of many points at once are those of each as a Stratum."""
    draw = np.random.default_rng(0)
    U, V = (np.linalg.qr(draw.standard_normal((4, problem.K, rank)))[0] for _ in range(2))
    s = np.sort(0.5 + draw.random((4, rank)))[:, ::-1]
    b = None if problem.bias is None else draw.standard_normal((4, problem.K))
    here = Strata(problem, U, s, V.mT, b, Fit.of(problem, True))
    H, v = here.hessian(), draw.standard_normal((4, here.size))
    lower, Hv, (dZ, db) = here.scaled_hessian(whole=False), here.hvp(v), here.ambient(v)
    after, fine = here.moved(np.array([1, 3]), dZ[[1, 3]], None if b is None else db[[1, 3]])
    assert fine.all()
    for i in range(4):
        one = Stratum(LogitPoint(problem, U[i], s[i], V[i], None if b is None else b[i]))
        numbers = [[a.fun, a.grad_norm, a.ridge_norm] for a in (one, here.take(np.array([i])))]
        np.testing.assert_allclose(np.ravel(numbers[1]), numbers[0], rtol=1e-12)
        np.testing.assert_array_equal(here.living[i], one.living)
        for many, single in ((H[i], one.hessian()), (Hv[i], H[i] @ v[i]), (dZ[i], one.ambient(v[i])[0])):
            np.testing.assert_allclose(many, single, rtol=0, atol=1e-12 * np.max(np.abs(single)))
        scaled = np.tril(one.scaled_hessian())
        np.testing.assert_allclose(np.tril(lower[i]), scaled, rtol=0, atol=1e-12 * np.max(np.abs(scaled)))
    for i, row in enumerate([1, 3]):
        one = Stratum(here.point(row)).retract(v[row])
        np.testing.assert_allclose(after.matrix[i], one.matrix(), atol=1e-12)


@pytest.mark.parametrize("name", ["deep", "biased", "mse", "focal", "imbalanced"])
def test_many_strata_are_each_their_own(name, monkeypatch):
    check_strata(PROBLEMS[name], 2)
    hessian = Strata.scaled_hessian
    monkeypatch.setattr(Strata, "scaled_hessian", lambda self, whole=True: (1 + 1e-8) * hessian(self, whole))
    with pytest.raises(AssertionError):
        check_strata(PROBLEMS[name], 2)


def test_norms_of_tiny_rows_do_not_underflow_beside_others():
    problem = PROBLEMS["deep"]
    frame = np.broadcast_to(np.eye(problem.K)[:, :2], (3, problem.K, 2))
    s = np.array([[1.0, 0.5], [1e-200, 1e-201], [1e-320, 1e-320]])
    here = Strata(problem, frame, s, frame.mT, None, Fit.of(problem, True))
    for i in range(3):
        one = Stratum(here.point(i))
        assert here.grad_norm[i] == pytest.approx(one.grad_norm, rel=1e-12) and one.grad_norm > 0
        assert here.ridge_norm[i] == pytest.approx(one.ridge_norm, rel=1e-12) and one.ridge_norm > 0
        scaled = one.scaled_hessian()
        assert np.isfinite(scaled).all() and np.max(np.abs(scaled)) > 0
        np.testing.assert_allclose(here.scaled_hessian()[i], scaled, rtol=0, atol=1e-12 * np.max(np.abs(scaled)))


def test_newton_for_many_ends_where_newton_for_one_does():
    problem = Problem(K=6, n=2, d=9, L=3, lam=1e-3)
    objective = FactorObjective(problem, True, (6, 6, 6))
    ends = []

    def ended(labels, x, nit, nfev, reason):
        ends.extend(x)

    X = np.stack([starts.gaussian()(objective, np.random.default_rng(i)) for i in range(6)])
    lbfgs.lbfgs(objective, X, 1e-4, 500, 10, ended)
    X = np.array(ends)
    fun, saddles = objective.value_grad(X)[0], np.zeros(6, dtype=bool)
    found = dict(finish.found_from(objective, X, fun, saddles, 1e-12, 2**28))
    alone = [finish.finish(objective, x, f, 1e-12) for x, f in zip(X, fun, strict=True)]
    assert set(found) == {i for i, end in enumerate(alone) if end is not None} and len(found) > 2
    for i, at in found.items():
        end = alone[i]
        assert at.steps == end.steps and at.fun == pytest.approx(end.fun, abs=1e-13)
        np.testing.assert_allclose(at.point.matrix(), end.point.matrix(), atol=1e-9)


def test_numbers_do_not_depend_on_chunks_threads_or_companions():
    problem = Problem(K=5, n=2, L=2, lam=2e-3)
    whole = run_batch(problem, 30, 7, threads=1)
    assert whole.chunk == 30
    for options in ({"memory": 1, "threads": 1}, {"memory": 2e5, "threads": 1}, {"threads": 2}):
        cut = run_batch(problem, 30, 7, **options)
        assert cut.chunk < 30
        assert numbers(cut) == numbers(whole)
    some = run_batch(problem, range(11, 17), 7)
    assert some.fun.tobytes() == whole.fun[11:17].tobytes()
    assert some[2].rng == whole[13].rng
    again = minimize(problem, rng=some[2].rng)
    assert again.fun == pytest.approx(some.fun[2], abs=1e-10)


def test_descent_does_not_depend_on_its_companions_either():
    for options in ({**GD, "tol": 5e-2}, {**GD, "batch": 2}, {"method": "adam", "steps": 50, "batch": 2}):
        whole = run_batch(BIASED, 9, 1, threads=1, **options)
        assert numbers(run_batch(BIASED, 9, 1, memory=1, **options)) == numbers(whole)
    assert len(np.unique(run_batch(BIASED, 9, 1, **GD, tol=5e-2).nit)) > 1  # rows leave at different steps


@pytest.mark.parametrize("space", ["reduced", "factors"])
def test_points_are_where_the_numbers_say(space):
    batch = run_batch(BIASED, 4, 0, space=space)
    for j, result in enumerate(batch):
        assert result.require().grad_norm <= 1e-12
        point = result.point.lift(rng=0) if isinstance(result.point, LogitPoint) else result.point
        objective = FactorObjective(BIASED)
        x = objective.pack(point.factors, point.b)
        assert objective.value(x) == pytest.approx(batch.fun[j], rel=1e-13)
        assert np.linalg.norm(objective.grad(x)) <= 2e-12
        np.testing.assert_allclose(class_logits(point), batch.class_logits()[j], atol=1e-12)


def test_less_can_be_kept():
    full, logits, none = (run_batch(DEEP, 4, 0, keep=keep) for keep in ("points", "logits", "numbers"))
    assert logits.fun.tobytes() == full.fun.tobytes() == none.fun.tobytes()
    np.testing.assert_allclose(logits.class_logits(), full.class_logits(), atol=1e-14)
    with pytest.raises(ValueError, match="keep='numbers'"):
        none.class_logits()
    with pytest.raises(ValueError, match="keep='logits'"):
        logits.point(0)


def test_multistart_is_the_batch_and_the_loop_alike():
    together, one_by_one = multistart(DEEP, 5, 2), multistart(DEEP, 5, 2, callback=lambda intermediate_result: None)
    assert [r.fun for r in together] == pytest.approx([r.fun for r in one_by_one], abs=1e-12)
    assert [r.nit for r in together] == [r.nit for r in one_by_one]
    few = multistart(DEEP, 5, 2, pairs=2)
    assert few.results[0].settings["pairs"] == 2
    assert few.results[0].nit == minimize(DEEP, rng=child(seed_sequence(2), 0), pairs=2).nit


# the parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("collapsed", [True, False])
def test_the_gradient_is_that_of_the_factor_objective(name, collapsed):
    problem = PROBLEMS[name]
    if collapsed and not problem.activation.homogeneous:
        pytest.skip("samples do not merge")
    single = FactorObjective(problem, collapsed)
    X = np.random.default_rng(0).standard_normal((7, single.size))
    value, grad = single.value_grad(X)
    for i in range(7):
        one, slope = single.value_grad(X[i])
        assert value[i] == pytest.approx(one, rel=1e-14)
        np.testing.assert_allclose(grad[i], slope, atol=1e-14 * np.max(np.abs(slope)))
    weight = np.random.default_rng(1).random((7, len(single.fit.columns.weight)))
    value, grad = single.value_grad(X, weight)
    one, slope = single.value_grad(X[3], weight[3])
    assert value[3] == pytest.approx(one, rel=1e-14)
    np.testing.assert_allclose(grad[3], slope, atol=1e-13 * np.max(np.abs(slope)))


def test_histories_are_those_of_a_queue_per_row():
    on, draw = namespace(), np.random.default_rng(0)
    zero = np.zeros(6, dtype=int)
    rows = Rows(
        np.arange(6),
        zero,
        zero,
        zero,
        np.zeros(6),
        zero.copy(),
        np.zeros((6, 3)),
        np.zeros((6, 3)),
        np.ones(6),
        [],
        [],
        [],
    )
    queues = [deque(maxlen=4) for _ in range(6)]
    for count in range(25):
        step, change = draw.standard_normal((2, 6, 3))
        good = draw.random(6) < (0.0 if count == 0 else 0.7)
        rows.push(on, step, change, on.dot(step, change), on.dot(change, change), good, 4)
        if count == 12:
            rows.forget(on, np.array([2, 5]))
        if count == 17:
            order = draw.permutation(6)
            rows, queues = (
                Rows.join(on, [rows.take(on, order[:2]), rows.take(on, order[2:])]),
                [queues[i] for i in order],
            )
            step, change, good = step[order], change[order], good[order]
        for i, queue in enumerate(queues):
            if good[i]:
                queue.append((step[i], change[i]))
            if count == 12 and i in (2, 5):
                queue.clear()
            depth = len(queue)
            assert rows.stored[i] == depth
            kept = [(s[i], c[i]) for s, c in zip(rows.steps, rows.changes, strict=True)]
            np.testing.assert_array_equal(
                np.array(kept[len(kept) - depth :]).reshape(depth, 2, 3), np.array(queue).reshape(depth, 2, 3)
            )
            assert not np.any(kept[: len(kept) - depth])


def test_adam_takes_its_textbook_steps():
    batch = run_batch(BIASED, 3, 4, "adam", lr=0.02, betas=(0.8, 0.95), eps=1e-6, steps=40)
    objective = FactorObjective(BIASED)
    for i in range(3):
        x = starts.gaussian()(objective, np.random.Generator(np.random.PCG64(child(seed_sequence(4), i))))
        m, v = np.zeros_like(x), np.zeros_like(x)
        for t in range(1, 41):
            g = objective.grad(x)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
            x = x - 0.02 * m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6)
        assert batch.fun[i] == pytest.approx(objective.value(x), rel=1e-13)


def span(problem, steps):
    """Dimension of the span of H_1's columns over a gradient descent, and the bound K + N."""
    objective = FactorObjective(problem)
    x = starts.gaussian()(objective, np.random.default_rng(0))
    seen = []
    for _ in range(steps):
        seen.append(objective.unpack(x)[0][0].copy())
        x = x - 0.5 * objective.grad(x)
    s = np.linalg.svd(np.hstack(seen), compute_uv=False)
    return int(np.sum(s > 1e-13 * s[0])), problem.K + problem.N


def test_one_layer_stays_in_the_span_of_its_start_and_two_do_not():
    dimension, bound = span(Problem(K=2, d=12, L=1, lam=0.05), 12)
    assert dimension <= bound == 4
    dimension, bound = span(Problem(K=2, d=12, L=2, lam=0.05), 12)
    assert dimension > bound


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}, {"batch": 4}], ids=["plain", "momentum", "mini-batch"])
def test_descent_of_one_wide_layer_runs_in_the_span(options):
    problem = Problem(K=3, n=(2, 3, 1), d=40, L=1, lam=(0.02, 0.03), bias=0.1)
    single = FactorObjective(problem)
    small, X, lift = narrow(single, np.random.default_rng(0).standard_normal((2, single.size)))
    assert small.shapes == [(9, 6), (3, 9)]
    gap, same, batch = difference(problem, 4, 1, **GD, **options)
    assert gap <= 1e-10
    assert batch[0].point.factors[0].shape == (40, 6)
    assert narrow(FactorObjective(DEEP), X)[2] is None


# other arrays ------------------------------------------------------------------------------------


def others():
    compat = pytest.importorskip("array_api_compat")
    found = []
    for name in ("array_api_strict", "torch"):
        try:
            found.append(compat.array_namespace(__import__(name).zeros(1)))
        except ImportError:
            continue
    return found or pytest.skip("neither array-api-strict nor torch is installed")


KNOWN = [name for name in PROBLEMS if not name.startswith("user")]


@pytest.mark.parametrize("name", KNOWN)
def test_other_arrays_give_the_same_gradient(name):
    for xp in others():
        single, on = FactorObjective(PROBLEMS[name]), namespace(xp=xp)
        X = np.random.default_rng(0).standard_normal((5, single.size))
        value, grad = single.value_grad(X)
        there, slope = FactorObjective(PROBLEMS[name], on=on).value_grad(on.put_in(X))
        np.testing.assert_allclose(on.take_out(there), value, rtol=1e-12)
        np.testing.assert_allclose(on.take_out(slope), grad, atol=1e-12 * np.max(np.abs(grad)))


@pytest.mark.parametrize("name", ["deep", "biased", "focal", pytest.param("tanh", marks=pytest.mark.slow)])
def test_other_arrays_end_where_numpy_does(name):
    for xp in others():
        for options in ({}, GD, {**GD, "batch": 2, "momentum": 0.5}, {"method": "adam", "steps": 30}):
            here, there = (run_batch(PROBLEMS[name], 6, 5, xp=which, **options) for which in (None, xp))
            assert there.device != "numpy"
            np.testing.assert_allclose(there.fun, here.fun, atol=1e-10)
            np.testing.assert_allclose(there.class_logits(), here.class_logits(), atol=1e-8)


def test_a_missing_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("array_api_compat"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run_batch(DEEP, 2, 0).success.all()  # numpy needs nothing more
    for where in ({"device": "torch"}, {"xp": np.random}):
        with pytest.raises(ImportError, match=r"ufm\[gpu\]"):
            run_batch(DEEP, 2, 0, **where)


@pytest.mark.parametrize("name", ["user's loss", "user's activation"])
def test_what_only_numpy_knows_is_refused_elsewhere(name):
    for xp in others():
        with pytest.raises(ValueError, match=r"(huber|softplus).*numpy only"):
            run_batch(PROBLEMS[name], 2, 0, xp=xp)


# what can happen ---------------------------------------------------------------------------------


def test_a_start_that_fails_is_a_result_and_its_companions_do_not_notice():
    usual, count = starts.gaussian(), iter(range(100))

    def start(objective, draw):
        x, i = usual(objective, draw), next(count)
        return x * 1e200 if i == 1 else x * np.inf if i == 3 else x

    fine = run_batch(DEEP, 6, 0)
    for options in ({}, {"method": "gd", "steps": 50}):
        count = iter(range(100))
        fine = run_batch(DEEP, 6, 0, **options)
        batch = run_batch(DEEP, 6, 0, start=start, threads=1, **options)
        assert batch.done.all()
        assert not batch.success[[1, 3]].any()
        assert all("overflowed" in batch.message[i] or "diverged" in batch.message[i] for i in (1, 3))
        keep = [0, 2, 4, 5]
        assert batch.fun[keep].tobytes() == fine.fun[keep].tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_keeps_finished_starts(threads, monkeypatch):
    whole = run_batch(DEEP, 12, 0)
    usual, seen = starts.gaussian(), []

    def start(objective, draw):
        seen.append(1)
        if len(seen) == 8:
            raise KeyboardInterrupt
        return usual(objective, draw)

    batch = run_batch(DEEP, 12, 0, start=start, memory=1, threads=threads)
    assert 5 <= batch.done.sum() < 12
    assert batch.fun[batch.done].tobytes() == whole.fun[batch.done].tobytes()
    assert len(batch.results()) == batch.done.sum()
    assert f"{batch.done.sum()} of 12" in repr(batch)
    with pytest.raises(ValueError, match="not finished"):
        batch.point(int(np.flatnonzero(~batch.done)[0]))


def test_memory_bounds_the_chunk():
    large = Problem(K=10, n=5, d=70, L=2, lam=2**-10)
    sizes = [rows_of(FactorObjective(large), GradientDescent(), memory, 10**6, 1) for memory in (2**20, 2**24, 2**28)]
    assert sizes[0] == 1
    assert sizes[0] < sizes[1] <= sizes[2]
    for memory, rows in zip((2**24, 2**28), sizes[1:], strict=True):
        assert rows * 8 * FactorObjective(large).size * 8 <= memory  # at least eight arrays of the coordinates


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"starts": 0}, "starts=0"),
        ({"starts": [0, -1]}, "starts=-1"),
        ({"method": "flows"}, "method='flows'"),
        ({"memory": 0}, "memory=0"),
        ({"pairs": 0}, "pairs=0"),
        ({"threads": 0}, "threads=0"),
        ({"keep": "all"}, "keep='all'"),
        ({"tol": -1}, "tol=-1"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"xp": np, "device": "cuda"}, "device='cuda'"),
        ({"lr": 0.1}, "lr.*'lbfgs'"),
        ({"method": "gd", "batch": 99}, "batch=99"),
        ({"method": "adam", "momentum": 0.1}, "momentum.*'adam'"),
        ({"method": "adam", "betas": 0.9}, "betas=0.9"),
        ({"method": "adam", "betas": (0.9, 1.0)}, "betas="),
        ({"method": "adam", "eps": 0}, "eps=0"),
        ({"method": "adam", "lr": -1}, "lr=-1"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(given, said):
    with pytest.raises(ValueError, match=said):
        run_batch(DEEP, **{"starts": 2, **given})
