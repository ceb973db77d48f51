"""One runner for one row and for many: traces, callbacks, statuses and Ctrl-C are those of each row."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from tests.test_solvers import BIASED, DEEP, METHODS
from ufm import Problem, minimize, multistart
from ufm.cli import main
from ufm.networks.training import Training
from ufm.numerics import families, interruption
from ufm.numerics.seeds import child, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.solvers import starts
from ufm.solvers.batch import run_batch
from ufm.solvers.lbfgs import Walk
from ufm.solvers.methods.lbfgs import LBFGS
from ufm.solvers.methods.newton import Newton
from ufm.solvers.result import Status
from ufm.solvers.runner import run_on

RELU = Problem(K=3, n=2, d=4, L=2, lam=0.02, activation="leaky_relu(0.2)")
TANH = Problem(K=2, n=2, d=3, L=2, lam=0.02, activation="tanh")


def run(problem, method, i, **more):
    return minimize(problem, method=method, rng=child(seed_sequence(1), i), **more)


@pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("problem", [BIASED, TANH], ids=["linear", "tanh"])
def test_every_row_of_a_batch_has_the_trace_of_its_own_run(options, problem):
    few = {"flow": {"time": 2.0}, "gd": {"steps": 40}}.get(options["method"], {"max_steps": 12})
    options = {**options, **few}
    many = multistart(problem, 3, 1, trace=3, **options)
    for i, one in enumerate(many):
        alone = run(problem, i=i, trace=3, **options).trace
        assert one.trace.nit == alone.nit
        np.testing.assert_allclose(one.trace.fun, alone.fun, rtol=1e-12)
        np.testing.assert_allclose(one.trace.grad_norm, alone.grad_norm, rtol=1e-6, atol=1e-13)
        np.testing.assert_allclose(one.trace.logits, alone.logits, atol=1e-10)
    assert multistart(problem, 2, 1, **options).results[0].trace is None


def test_a_callback_sees_rows_one_after_another_and_stops_its_own_alone():
    seen = []

    def callback(at):
        seen.append(at.nit)
        if at.nit == 4 and seen.count(0) == 2:
            raise StopIteration

    runs = multistart(DEEP, 3, 0, callback=callback)
    cut = [i for i, nit in enumerate(seen) if nit == 0]
    assert [seen[a:b] == list(range(b - a)) for a, b in zip(cut, [*cut[1:], len(seen)], strict=True)] == 3 * [True]
    assert [r.status for r in runs] == [Status.CONVERGED, Status.STOPPED, Status.CONVERGED]
    assert runs.results[1].nit == 4 and not runs.interrupted


@pytest.mark.parametrize("method", ["newton", "flow"])
def test_ctrl_c_among_rows_that_run_alone_keeps_those_that_ended_and_where_it_stood(method):
    fresh = []

    def callback(at):
        fresh.append(at.nit == 0)
        if sum(fresh) == 3 and at.nit == 1:
            raise KeyboardInterrupt

    more = {"time": 1.0} if method == "flow" else {}
    runs = multistart(BIASED, 6, 0, method=method, callback=callback, **more)
    assert [r.status is Status.INTERRUPTED for r in runs] == [False, False, True]
    assert runs.interrupted and runs.done == 2 and runs.results[2].nit == 1
    with interruption.whole(), pytest.raises(KeyboardInterrupt):
        fresh.clear()
        multistart(BIASED, 6, 0, method=method, callback=callback, **more)


def test_ctrl_c_in_the_midst_of_a_batch_leaves_every_row_where_it_stood(monkeypatch):
    real, calls = FactorObjective.parts, []

    def parts(self, x, *rest):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return real(self, x, *rest)

    monkeypatch.setattr(FactorObjective, "parts", parts)
    runs = multistart(DEEP, 4, 0, method="gd", lr=0.1, steps=50)
    monkeypatch.undo()
    assert [r.status for r in runs] == 4 * [Status.INTERRUPTED] and runs.done == 0 and runs.interrupted
    for i, one in enumerate(runs):
        alone = minimize(DEEP, method="gd", rng=child(seed_sequence(0), i), lr=0.1, steps=one.nit)
        assert one.nit == 8 and one.fun == pytest.approx(alone.fun, rel=1e-12)
        assert "interrupted" in one.message and not one.success


STATUSES = {
    "converged": (DEEP, {}, Status.CONVERGED),
    "early": (DEEP, {"method": "gd", "tol": 0.05}, Status.EARLY),
    "steps of L-BFGS": (DEEP, {"max_steps": 3}, Status.STEPS),
    "steps of descent": (DEEP, {"method": "adam", "steps": 3}, Status.STEPS),
    "steps of Newton": (TANH, {"method": "newton", "max_steps": 1}, Status.STEPS),
    "time": (DEEP, {"method": "flow", "time": 1.0}, Status.TIME),
    "diverged": (DEEP, {"method": "gd", "lr": 1e6, "steps": 50}, Status.DIVERGED),
    "overflowed": (
        Problem(K=3, d=4, L=2, lam=0.03, loss="mse"),
        {"start": starts.gaussian(1e60)},
        Status.OVERFLOWED,
    ),
    "kinks": (RELU, {}, Status.CONVERGED),
    "declined": (Problem(K=30, d=30, L=2, n=2, lam=0.01, activation="tanh"), {"method": "newton"}, Status.DECLINED),
}


@pytest.mark.parametrize("how", STATUSES)
def test_a_status_says_why_a_run_ended_and_the_words_agree(how):
    problem, options, status = STATUSES[how]
    alone, batch = minimize(problem, rng=child(seed_sequence(0), 0), **options), run_batch(problem, 1, 0, **options)
    assert alone.status is batch[0].status is status
    assert alone.success == (status is Status.CONVERGED)
    assert alone.message.startswith("converged" if alone.success else "not converged")
    assert json.loads(json.dumps(alone.status)) == status == str(status)


def test_words_decide_nothing():
    """A result whose message says otherwise is judged by its status."""
    from dataclasses import replace

    result = minimize(DEEP, rng=0, max_steps=2)
    assert not replace(result, message="interrupted; converged").interrupted
    assert replace(result, message="fine", status=Status.INTERRUPTED).interrupted
    assert Training.interrupted.fget(replace(result, status=Status.INTERRUPTED))


def test_the_command_line_says_how_a_run_ended(capsys):
    assert main(["solve", "-K", "4", "-L", "2", "--lam", "0.02", "--method", "gd", "--steps", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["ended"] == "used its steps"


# the step for one function -----------------------------------------------------------------------


def rosenbrock(x):
    a, b = 1.0 - x[:-1], x[1:] - x[:-1] ** 2
    grad = np.zeros_like(x)
    grad[:-1] = -2 * a - 400 * x[:-1] * b
    grad[1:] += 200 * b
    return np.sum(a**2 + 100 * b**2), grad


def test_a_walk_descends_any_function_and_can_be_taken_up_again():
    walk, funs = Walk(rosenbrock, np.zeros(8), 5), [7.0]
    while np.linalg.norm(walk.grad) > 1e-9 and walk.step():
        funs.append(float(walk.fun))
    assert np.all(np.diff(funs) <= 1e-14) and len(funs) < 120
    np.testing.assert_allclose(walk.x, 1.0, atol=1e-8)
    whole, part = Walk(rosenbrock, np.zeros(8), 5), Walk(rosenbrock, np.zeros(8), 5)
    for _ in range(12):
        whole.step()
    for _ in range(7):
        part.step()
    assert len(part.stored()) == 5
    again = Walk(rosenbrock, part.x, 5, part.fun, part.grad, part.stored())
    for _ in range(5):
        again.step()
    np.testing.assert_array_equal(again.x, whole.x)


def test_one_run_on_an_objective_of_ones_own():
    objective = FactorObjective(DEEP, True, (3, 2))
    x = starts.gaussian()(objective, np.random.default_rng(0))
    end = run_on(objective, x, LBFGS(), 1e-12)
    assert end.success and end.point.rank <= 2
    wide = Problem(K=3, n=2, d=5, L=2, lam=0.02)
    objective = FactorObjective(wide, False, (3, 3))
    end = run_on(objective, starts.gaussian()(objective, np.random.default_rng(0)), LBFGS(), 1e-12)
    assert end.success and end.fun == pytest.approx(minimize(wide, end.point, rng=0).fun, abs=1e-13)


# a method that is no descent ---------------------------------------------------------------------

CLIMBS = """
import numpy as np
from dataclasses import dataclass
from ufm.solvers.methods.method import Method, setting, whole
from ufm.solvers.result import Reason, Status

@dataclass(frozen=True)
class Luck(Method):
    "The best of some Gaussian moves."
    name = "luck"
    title = "random search"
    tries: int = setting(20, whole, "moves tried")

    def run(self, chunk):
        objective, X = chunk.objective.host, np.array(chunk.X)
        for t in range(self.tries):
            fun, grad = objective.value_grad(X)
            labels = np.arange(len(X))
            chunk.tick(labels, t, X)
            if chunk.watch is not None:
                chunk.watch(labels, t, fun, grad, X)
            Y = X + 0.1 * np.stack([draw.standard_normal(X.shape[1]) for draw in chunk.draws])
            X = np.where((objective.value(Y) < fun)[:, None], Y, X)
        chunk.ended(labels, X, np.full(len(X), self.tries), None, Reason(Status.STEPS, "tried its moves"))
"""


def test_a_method_of_any_kind_in_one_file(tmp_path, monkeypatch):
    monkeypatch.setenv(families.FROM, "")
    families.forget()
    (tmp_path / "luck.py").write_text(CLIMBS)
    families.use(tmp_path / "luck.py")
    try:
        one = run(DEEP, "luck", 1, tries=30, trace=10)
        assert one.nit == 30 and one.trace.nit == [0, 10, 20] and one.trace.fun[-1] < one.trace.fun[0]
        assert multistart(DEEP, 3, 1, method="luck", tries=30).results[1].fun == one.fun
        with pytest.raises(ValueError, match="tries=0"):
            run(DEEP, "luck", 0, tries=0)
    finally:
        families.forget()


@dataclass(frozen=True)
class Sideways(Newton):
    """Not defined by a name of its own, so no member."""


def test_a_class_without_a_name_of_its_own_is_no_member():
    with pytest.raises(ValueError, match="method='sideways'"):
        minimize(DEEP, method="sideways")


# no ridge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lbfgs", "gd", "adam", "adamw", "sign", "polar", "flow"])
@pytest.mark.parametrize(
    "of", [{"n": (1, 2, 3), "d": 5}, {"activation": "tanh", "n": 2}, {"activation": "relu", "n": 2}]
)
def test_descents_run_without_a_ridge_and_say_what_the_gradient_is(method, of):
    problem = Problem(K=3, L=2, lam=0, **of)
    if method == "flow" and not problem.activation.smooth:
        pytest.skip("the integrator slides along kinks in tiny steps, with a ridge or without")
    few = {"flow": {"time": 5.0}, "lbfgs": {"max_steps": 30}}.get(method, {"steps": 60, "lr": 0.02})
    for space in ("factors", "reduced") if problem.activation.homogeneous else ("factors",):
        end = minimize(problem, method=method, rng=0, space=space, **few)
        objective = FactorObjective(problem)
        x = objective.pack(end.point.factors)
        assert end.fun < minimize(problem, method="gd", rng=0, space=space, steps=1, lr=1e-9).fun
        assert end.fun == pytest.approx(objective.value(x), rel=1e-12)
        assert end.grad_norm == pytest.approx(np.linalg.norm(objective.grad(x)), rel=1e-9)
        assert multistart(problem, 2, 0, method=method, space=space, **few).results[0].fun < np.log(3) + 1


def test_without_a_ridge_coupled_and_decoupled_decay_are_one_and_newton_refuses():
    problem = Problem(K=3, L=2, lam=0)
    one, other = (minimize(problem, method="adam", rng=0, steps=50, decay=d).fun for d in ("coupled", "decoupled"))
    assert one == other
    with pytest.raises(ValueError, match=r"newton.*lam=0"):
        minimize(problem, method="newton", rng=0)
    cut = minimize(problem, rng=0, max_steps=3)
    assert cut.status is Status.STEPS and "without a ridge Newton cannot finish it" in cut.message
