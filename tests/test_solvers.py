"""Every way down reaches the minima that are known, says where it is, and stops when told."""

import contextlib
import json
import signal

import numpy as np
import pytest
from scipy import optimize

from ufm import structures
from ufm.numerics.seeds import seed_sequence
from ufm.objectives import logits
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers import starts
from ufm.solvers.minimize import minimize
from ufm.solvers.multistart import multistart


def scalar_minimum(f, end):
    """The lowest value of f on [0, end]."""
    grid = np.linspace(0, end, 2001)
    t = grid[np.argmin([f(u) for u in grid])]
    found = optimize.minimize_scalar(
        f, bounds=(max(t - end / 1000, 0), t + end / 1000), method="bounded", options={"xatol": 1e-12}
    )
    return min(found.fun, f(0))


def plain_cross_entropy(p):
    """L = 1: log(1 + (K-1) e^-a) + Lam (K-1) a sqrt(n), a = log(1/(Lam sqrt(n)) - (K-1))."""
    c = np.sqrt(p.lams[0] * p.lams[1] * p.n)
    a = np.log(1 / c - (p.K - 1))
    return np.log1p((p.K - 1) * np.exp(-a)) + c * (p.K - 1) * a


def mean_square(p):
    """K modes of their own: min over t of (t^D - sqrt(n))^2/(2N) + (D/2) Lam t^2, s = t^D."""
    return p.K * scalar_minimum(
        lambda t: (t**p.D - np.sqrt(p.n)) ** 2 / (2 * p.N) + p.D / 2 * p.Lam * t**2, np.sqrt(p.n)
    )


def two_classes(p):
    """K = 2: one mode, log(1 + e^-a) + (D/2) Lam (a sqrt(n))^(2/D)."""
    return scalar_minimum(lambda t: np.log1p(np.exp(-(t**p.D) / np.sqrt(p.n))) + p.D / 2 * p.Lam * t**2, 5.0)


def best_structure(p):
    """K = 4, L = 2: pairs win over DNC at moderate weight (gk25), DNC at small weight."""
    return min(logits.value(point) for point in structures.existing(p)[0].values())


ZOO = {
    "plain ce": (Problem(K=4, n=2, lam=(0.02, 0.08)), plain_cross_entropy),
    "mse, K=2": (Problem(K=2, n=2, L=2, lam=0.02, loss="mse"), mean_square),
    "mse, K=3": (Problem(K=3, d=4, L=2, lam=0.03, loss="mse"), mean_square),
    "mse, K=4": (Problem(K=4, n=3, L=2, lam=0.01, loss="mse"), mean_square),
    "ce, K=2": (Problem(K=2, n=2, L=3, lam=0.03), two_classes),
    "pairs win": (Problem(K=4, L=2, lam=0.02), best_structure),
    "dnc wins": (Problem(K=4, n=2, d=5, L=2, lam=(0.01, 0.005, 0.01)), best_structure),
}
METHODS = {
    "lbfgs": {"method": "lbfgs"},
    "lbfgs in factors": {"method": "lbfgs", "space": "factors"},
    "gd": {"method": "gd", "lr": 0.4, "tol": 1e-7},
    "gd with momentum": {"method": "gd", "lr": 0.1, "momentum": 0.9, "tol": 1e-8},
    "flow": {"method": "flow", "integrator": "LSODA", "rtol": 1e-7, "tol": 1e-6},
    "newton": {"method": "newton"},
}
every_method = pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
DEEP = ZOO["pairs win"][0]
BIASED = Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.02, 0.03, 0.01), bias=0.2)


def full_gradient_norm(point):
    """The gradient norm in the problem's own factor space, whatever kind the point is."""
    objective, x = objective_of(point.lift(rng=0) if isinstance(point, LogitPoint) else point)
    return np.linalg.norm(objective.grad(x))


def value_at(point):
    return logits.value(point) if isinstance(point, LogitPoint) else (lambda o, x: o.value(x))(*objective_of(point))


@contextlib.contextmanager
def within(seconds):
    """Raise TimeoutError if the block takes longer."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# the zoo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("animal", ZOO)
@pytest.mark.parametrize("how", [how for how in METHODS if how != "newton"])
def test_every_solver_finds_every_known_minimum(how, animal):
    problem, minimum = ZOO[animal]
    found = multistart(problem, starts=3, rng=0, **METHODS[how])
    assert found.best.success, found.best.message
    assert found.best.fun == pytest.approx(minimum(problem), abs=1e-12 if how.startswith("lbfgs") else 1e-9)


@pytest.mark.parametrize("animal", ZOO)
@pytest.mark.parametrize("space", ["reduced", "factors"])
def test_lbfgs_ends_where_the_full_gradient_vanishes(animal, space):
    for result in multistart(ZOO[animal][0], starts=3, rng=1, space=space):
        assert result.require().grad_norm <= 1e-12
        assert full_gradient_norm(result.point) <= 2e-12
        assert value_at(result.point) == pytest.approx(result.fun, rel=1e-13)


@pytest.mark.parametrize(
    ("animal", "name"), [*((animal, "dnc") for animal in ZOO), ("pairs win", "pairs"), ("dnc wins", "pairs")]
)
@pytest.mark.parametrize("space", ["reduced", "factors"])
def test_newton_from_nearby_returns_to_the_structure(animal, name, space):
    structure = getattr(structures, name)(ZOO[animal][0])
    result = minimize(structure.problem, starts.near(structure, 1e-3), "newton", rng=0, space=space).require()
    assert result.fun == pytest.approx(logits.value(structure), rel=1e-13)
    assert result.point.rank == structure.rank


@pytest.mark.parametrize("loss", ["ce", "mse", "label_smoothing(0.1)", "focal(2)"])
def test_lbfgs_converges_with_bias_imbalance_and_weights_per_factor(loss):
    problem = Problem(K=3, n=(1, 2, 4), d=(5, 3), L=2, lam=(0.01, 0.03, 0.01), loss=loss, bias=0.2)
    results = [minimize(problem, rng=2, space=space).require() for space in ("reduced", "factors")]
    assert all(full_gradient_norm(result.point) < 2e-12 for result in results)


def test_a_smooth_nonlinear_model_is_finished_by_newton_on_factors():
    result = minimize(Problem(K=2, n=2, d=3, L=2, lam=0.02, activation="tanh"), rng=0).require()
    assert result.fun < 0.6
    assert full_gradient_norm(result.point) <= 1e-12


def test_relu_falls_until_no_lower_point_is_found():
    result = minimize(Problem(K=3, d=6, L=2, lam=0.02, activation="relu", loss="mse"), rng=0)
    assert result.grad_norm < 1e-6
    assert result.message.startswith("converged" if result.success else "not converged")


# Newton ----------------------------------------------------------------------------------------


def test_newton_drops_a_dying_singular_value():
    dnc = structures.dnc(DEEP)
    nearly = from_matrix(DEEP, dnc.logits() + 1e-6)
    assert nearly.rank == 4
    result = minimize(DEEP, nearly, "newton").require()
    assert result.point.rank == 3
    assert result.fun == pytest.approx(logits.value(dnc), rel=1e-14)


@pytest.mark.parametrize("name", ["dnc(small)", "blocks(3,1)", "blocks(2,1,1)"])
def test_newton_converges_to_the_saddle_it_starts_near(name):
    problem = Problem(K=4, L=2, lam=0.02)
    saddle = structures.existing(problem)[0][name]
    stratum = Stratum(saddle)
    nudge = 1e-3 * saddle.s[-1] * np.random.default_rng(0).standard_normal(stratum.size)
    result = minimize(problem, stratum.retract(nudge), "newton").require()
    assert result.fun == pytest.approx(logits.value(saddle), rel=1e-13)
    if name == "dnc(small)":
        assert np.linalg.eigvalsh(Stratum(result.point).hessian())[0] < -1e-3


def test_newton_is_quadratic_near_a_minimum():
    pairs = structures.pairs(DEEP)
    nudge = 0.02 * np.random.default_rng(0).standard_normal(Stratum(pairs).size)
    norms = np.array(minimize(DEEP, Stratum(pairs).retract(nudge), "newton", trace=1).trace.grad_norm)
    assert len(norms) <= 7
    assert np.all(norms[2:] <= np.maximum(1e3 * norms[1:-1] ** 2, 1e-13))


# watching and stopping -------------------------------------------------------------------------


def away_from_the_end(options):
    """A run that is still on its way after three steps."""
    structure = structures.dnc(DEEP)
    nudge = 0.05 * np.random.default_rng(0).standard_normal(Stratum(structure).size)
    start = Stratum(structure).retract(nudge) if options["method"] == "newton" else None
    return {"start": start, "rng": 0, **options}


@every_method
@pytest.mark.parametrize("stop", [StopIteration, KeyboardInterrupt])
def test_a_stopped_run_keeps_the_point_reached(options, stop):
    seen = []

    def callback(intermediate_result):
        seen.append((intermediate_result.nit, intermediate_result.fun, intermediate_result.grad_norm))
        if len(seen) == 3:
            raise stop

    result = minimize(DEEP, callback=callback, **{**away_from_the_end(options), "space": "factors"})
    nit, fun, grad_norm = seen[-1]
    assert (result.nit, nit) == (2, 2)
    assert not result.success
    assert ("stopped by the callback" if stop is StopIteration else "interrupted") in result.message
    assert result.fun == pytest.approx(fun, rel=1e-12)
    assert result.grad_norm == pytest.approx(grad_norm, rel=1e-9)


@every_method
@pytest.mark.parametrize("space", ["factors", "reduced"])
def test_what_a_result_says_is_true_of_its_point_even_on_the_way(options, space):
    steps = {"gd": "steps", "flow": "time"}.get(options["method"], "max_steps")
    result = minimize(DEEP, **{**away_from_the_end(options), "space": space, steps: 2})
    assert not result.success
    assert value_at(result.point) == pytest.approx(result.fun, rel=1e-12)
    assert full_gradient_norm(result.point) == pytest.approx(result.grad_norm, rel=1e-9)


@every_method
def test_a_trace_records_every_so_many_steps(options):
    trace = minimize(DEEP, trace=2, **away_from_the_end(options)).trace
    assert trace.nit == list(range(0, 2 * len(trace), 2))
    assert len(trace) >= 2
    assert len(trace.fun) == len(trace.grad_norm) == len(trace.logits) == len(trace)
    if options["method"] in ("lbfgs", "flow"):
        assert np.all(np.diff(trace.fun) <= 1e-9)
    assert minimize(DEEP, **away_from_the_end(options)).trace is None


@every_method
def test_the_traced_logits_are_class_means_with_the_bias(options):
    start = minimize(BIASED, rng=0).point
    trace = minimize(BIASED, start, rng=0, trace=1, **options).trace
    assert np.linalg.norm(start.b) > 0.01
    np.testing.assert_allclose(trace.logits[0], start.class_logits(), atol=1e-12)


@pytest.mark.parametrize(
    "how", [how for how in METHODS if how != "newton"]
)  # Newton shows the stratum, not a flat vector
def test_a_callback_may_keep_the_points_it_sees(how):
    kept = []
    minimize(
        DEEP, callback=lambda intermediate_result: kept.append(intermediate_result), **away_from_the_end(METHODS[how])
    )
    for one in kept[:3]:
        assert one.objective.value(one.x) == pytest.approx(one.fun, rel=1e-12)


@pytest.mark.parametrize("method", ["lbfgs", "newton"])
def test_a_callback_is_called_for_nonlinear_models_too(method):
    problem, seen = Problem(K=2, d=3, L=2, lam=0.02, activation="tanh"), []
    minimize(problem, rng=0, method=method, callback=lambda intermediate_result: seen.append(intermediate_result.nit))
    assert seen[:2] == [0, 1]


def test_flow_goes_down_at_every_step():
    trace = minimize(DEEP, method="flow", rng=0, time=30.0, trace=1).trace
    assert len(trace) > 20
    assert np.all(np.diff(trace.fun) < 0)


def test_a_run_out_of_steps_is_a_result_that_require_refuses():
    result = minimize(DEEP, rng=0, max_steps=2)
    assert not result.ok
    assert "not converged: L-BFGS used its 2 steps" in result.message
    with pytest.raises(RuntimeError, match="used its 2 steps"):
        result.require()
    assert minimize(DEEP, rng=0).require().ok


@pytest.mark.parametrize("space", ["factors", "reduced"])
@pytest.mark.parametrize("settings", [{"lr": 1e6}, {"lr": 100.0, "momentum": 0.9}])
@pytest.mark.parametrize("problem", [DEEP, ZOO["mse, K=3"][0]])
def test_a_learning_rate_too_large_is_a_result_that_says_so(problem, settings, space):
    result = minimize(problem, method="gd", rng=0, space=space, steps=2000, **settings)
    assert not result.success
    assert f"lr={settings['lr']:g} is too large" in result.message


@pytest.mark.parametrize("space", ["factors", "reduced"])
def test_a_start_that_overflows_is_a_result_that_says_so(space):
    result = minimize(ZOO["mse, K=3"][0], starts.gaussian(1e60), rng=0, space=space)
    assert not result.success
    assert "start is too large" in result.message


# descent ---------------------------------------------------------------------------------------


def test_momentum_saves_steps():
    problem, minimum = ZOO["plain ce"]
    slow = minimize(problem, method="gd", rng=0, lr=0.2, tol=1e-6).require()
    fast = minimize(problem, method="gd", rng=0, lr=0.2, momentum=0.8, tol=1e-6).require()
    assert 3 * fast.nit < slow.nit
    assert fast.fun == pytest.approx(minimum(problem), abs=1e-10)


def test_minibatches_come_near_the_minimum_and_one_batch_of_all_is_full_descent():
    problem, minimum = Problem(K=3, n=4, L=1, lam=0.02), plain_cross_entropy
    noisy = minimize(problem, method="gd", rng=0, lr=0.1, batch=5, steps=3000)
    assert not noisy.success
    assert minimum(problem) < noisy.fun < 1.05 * minimum(problem)
    full, whole = (
        minimize(problem, method="gd", rng=0, lr=0.1, steps=20, trace=1, **more).trace.fun
        for more in ({}, {"batch": 12})
    )
    np.testing.assert_allclose(whole, full, rtol=1e-13)


@pytest.mark.parametrize("batch", [2, 4])
def test_batches_are_of_samples_and_need_the_space_that_has_them(batch):
    with within(2), pytest.raises(ValueError, match=r"batch.*factors"):
        minimize(Problem(K=3, n=(1, 2, 4), lam=0.1), method="gd", space="reduced", batch=batch, steps=2)


# starts and seeds ------------------------------------------------------------------------------


def bits(result):
    parts = (
        [result.point.U, result.point.s, result.point.right]
        if isinstance(result.point, LogitPoint)
        else result.point.factors
    )
    return [part.tobytes() for part in parts], result.fun, result.nit


@every_method
def test_the_same_rng_gives_the_same_bits(options):
    runs = [
        minimize(DEEP, **{**options, "rng": rng, "start": starts.near(structures.dnc(DEEP), 0.02)})
        for rng in (5, np.random.SeedSequence(5), None)
    ]
    assert bits(runs[0]) == bits(runs[1])
    assert bits(runs[0]) != bits(runs[2])
    replayed = minimize(
        DEEP,
        **{**options, "rng": json.loads(json.dumps(runs[2].rng)), "start": starts.near(structures.dnc(DEEP), 0.02)},
    )
    assert bits(replayed) == bits(runs[2])


def test_minibatches_replay_too():
    runs = [minimize(DEEP, method="gd", batch=2, steps=50, rng=3) for _ in range(2)]
    assert bits(runs[0]) == bits(runs[1])


def test_result_i_does_not_depend_on_the_number_of_starts():
    few, many = multistart(DEEP, starts=2, rng=9), multistart(DEEP, starts=5, rng=9)
    assert [bits(a) == bits(b) for a, b in zip(few, many, strict=False)] == [True, True]
    assert len({result.fun for result in many}) > 1
    third = minimize(DEEP, rng=many.results[3].rng)
    assert bits(third) == bits(many.results[3])


def test_a_multistart_counts_its_distinct_values_and_prints_them():
    runs = multistart(DEEP, starts=8, rng=0)
    values = runs.distinct()
    assert sum(hits for _, hits in values) == len(runs) == 8
    assert runs.best.fun == pytest.approx(values[0][0], abs=1e-9)
    assert values[0][0] == pytest.approx(best_structure(DEEP), abs=1e-12)
    assert f"F = {values[0][0]:.12f}  x {values[0][1]}" in repr(runs)


def test_ctrl_c_in_a_multistart_keeps_what_was_finished_and_the_point_reached():
    fresh = []

    def callback(intermediate_result):
        fresh.append(intermediate_result.nit == 0)
        if sum(fresh) == 3:
            raise KeyboardInterrupt

    runs = multistart(DEEP, starts=6, rng=0, callback=callback)
    assert (len(runs), runs.requested) == (3, 6)
    assert not runs.results[2].success and "interrupted" in runs.results[2].message
    alone, batched = runs.results[1], multistart(DEEP, starts=2, rng=0).results[1]
    assert abs(alone.fun - batched.fun) < 1e-12
    assert np.max(np.abs(alone.point.class_logits() - batched.point.class_logits())) < 1e-10


@every_method
def test_a_critical_start_is_kept(options):
    for start in (structures.pairs(DEEP), structures.pairs(DEEP).lift(rng=0)):
        result = minimize(DEEP, start, **options).require()
        assert result.nit == 0
        assert result.fun == pytest.approx(logits.value(structures.pairs(DEEP)), rel=1e-14)


@every_method
def test_a_start_made_at_another_weight_is_a_start_for_this_problem(options):
    other = Problem(K=4, L=2, lam=0.015)
    result = minimize(DEEP, structures.pairs(other), **options).require()
    assert result.problem == DEEP
    assert result.fun == pytest.approx(logits.value(structures.pairs(DEEP)), abs=1e-9)


@every_method
@pytest.mark.parametrize("lift", [False, True], ids=["logits", "factors"])
def test_a_start_of_another_size_is_refused(options, lift):
    point = structures.pairs(Problem(K=6, L=2, lam=0.01))
    with within(2), pytest.raises(ValueError, match="start"):
        minimize(DEEP, point.lift() if lift else point, **options)


@pytest.mark.parametrize("problem", [DEEP, BIASED, Problem(K=3, n=2, d=7, L=3, lam=0.1)])
@pytest.mark.parametrize("collapsed", [True, False])
def test_starts_are_what_they_say(problem, collapsed):
    objective = FactorObjective(problem, collapsed)
    draw = np.random.Generator(np.random.PCG64(seed_sequence(0)))
    weights = objective.size - (0 if problem.bias is None else problem.K)
    x = starts.gaussian(0.3)(objective, draw)
    assert np.std(x[:weights]) == pytest.approx(0.3, rel=0.5)
    assert not x[weights:].any()
    assert objective.point(starts.balanced()(objective, draw)).balancedness() < 1e-12
    point = LogitPoint(problem, np.eye(problem.K, 2), [2.0, 1.0], np.eye(problem.K, 2))
    exact = starts.near(point, 0)(objective, draw)
    np.testing.assert_allclose(objective.point(exact).logits(), point.logits(), atol=1e-13)
    moved = starts.near(point.lift(), 1e-3)(FactorObjective(problem), draw) - FactorObjective(problem).lift(point)
    assert np.linalg.norm(moved) == pytest.approx(1e-3 * np.linalg.norm(exact), rel=0.5)


# refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "lbfg"}, "method='lbfg'.*'lbfgs'"),
        ({"method": None}, "method=None"),
        ({"space": "factor"}, "space='factor'.*'factors'"),
        ({"tol": 0}, "tol=0"),
        ({"tol": -1e-8}, "tol=-1e-08"),
        ({"tol": np.nan}, "tol=nan"),
        ({"trace": -1}, "trace=-1"),
        ({"trace": 1.5}, "trace=1.5"),
        ({"rng": "seed"}, "rng.*'seed'"),
        ({"rng": -1}, "rng.*-1"),
        ({"start": "random"}, "start.*str"),
        ({"start": np.zeros(48)}, "start.*ndarray"),
        ({"learning_rate": 0.1}, "learning_rate.*'lbfgs'"),
        ({"lr": 0.1}, "lr.*'lbfgs'"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"pairs": 2.5}, "pairs=2.5"),
        ({"method": "gd", "max_steps": 5}, "max_steps.*'gd'.*steps"),
        ({"method": "gd", "lr": 0}, "lr=0"),
        ({"method": "gd", "lr": "big"}, "lr='big'"),
        ({"method": "gd", "momentum": 1}, "momentum=1"),
        ({"method": "gd", "momentum": -0.1}, "momentum=-0.1"),
        ({"method": "gd", "steps": 0}, "steps=0"),
        ({"method": "gd", "batch": 0}, "batch=0"),
        ({"method": "gd", "batch": 9}, "samples 4.*batch=9"),
        ({"method": "flow", "time": -1}, "time=-1"),
        ({"method": "flow", "integrator": "RK4"}, "integrator='RK4'.*'RK45'"),
        ({"method": "flow", "rtol": 0}, "rtol=0"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(arguments, said):
    with pytest.raises(ValueError, match=said):
        minimize(DEEP, **arguments)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_a_number_of_starts_must_be_one(count):
    with pytest.raises(ValueError, match=f"starts={count}"):
        multistart(DEEP, starts=count)


@pytest.mark.parametrize(
    "make", [lambda: starts.gaussian(0), lambda: starts.balanced(-1), lambda: starts.near(structures.dnc(DEEP), -1e-3)]
)
def test_a_start_of_no_size_is_refused(make):
    with pytest.raises(ValueError, match=r"scale=|radius="):
        make()


def test_logit_space_starts_need_a_linear_model():
    with pytest.raises(ValueError, match="linear"):
        minimize(
            Problem(K=3, n=2, d=5, L=2, lam=0.1, activation="relu"), structures.dnc(Problem(K=3, n=2, L=2, lam=0.01))
        )
