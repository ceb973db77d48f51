"""What every method promises: F and its gradient of the point it ends at, honest success, one start after another."""

from __future__ import annotations

import dataclasses
import functools
import pickle

import numpy as np
import pytest
from discovered import members, names
from zoo import ZOO

import ufm
from ufm.objectives.factors import FactorObjective, objective_of
from ufm.objectives.logits import value
from ufm.points import LogitPoint
from ufm.solvers.methods.method import Method, settings_of

PROBLEMS = ("four, one layer", "mse", "three, collapse wins", "bias")
"""Whose minima are known: a convex one, a complete list, structures and a search."""
TOL = 1e-7
RESTLESS = {
    "sign": "steps of one size in every coordinate end in a cycle of that size",
    "polar": "steps of one size in every direction do too",
    "adamw": "its rests are those of another function than F",
}
"""Methods that do not come to rest at critical points, and why."""

every = pytest.mark.parametrize("name", names("method"))


def few(name: str, steps: int = 3000) -> dict:
    """Settings for a run of so many steps at most."""
    known, steps = settings_of(members("method")[name]), min(steps, 200) if name in RESTLESS else steps
    return {key: value for key, value in (("steps", steps), ("time", float(steps))) if key in known}


@functools.cache
def ends(name: str) -> tuple:
    """A run of the method on every problem."""
    return tuple(ufm.minimize(ZOO[title], method=name, rng=0, tol=TOL, **few(name)) for title in PROBLEMS)


@functools.cache
def known(title: str) -> dict[str, float]:
    """Values of the critical points known of a problem, by name: the complete list under MSE, else structures."""
    problem = ZOO[title]
    if problem.loss.quadratic:
        return {row.name: row.fun for row in ufm.landscape(problem)}
    return {name: value(point) for name, point in ufm.structures.existing(problem)[0].items()}


@every
def test_it_is_a_record_of_its_settings(name):
    one = members("method")[name]
    assert issubclass(one, Method) and dataclasses.is_dataclass(one) and one.name == name and one.title
    made = one()
    assert made.settings == settings_of(one) and made.said().startswith(one.title) and one.__doc__
    assert pickle.loads(pickle.dumps(made)) == made and hash(made) == hash(one())
    assert all(field.metadata["help"] for field in dataclasses.fields(one))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.title = "other"


@every
def test_wrong_values_of_settings_are_refused_by_name(name):
    one = members("method")[name]
    for field in dataclasses.fields(one):
        for wrong in (object(), "nonsense", [[]]):
            with pytest.raises(ValueError, match=field.name):
                one(**{field.name: wrong})
        if isinstance(field.default, (int, float)):
            for wrong in (float("nan"), -1.0):
                with pytest.raises(ValueError, match=rf"{field.name}.*{wrong}"):
                    ufm.minimize(ZOO["two classes"], method=name, **{field.name: wrong})
    with pytest.raises(ValueError, match="nonsense is not a setting"):
        ufm.minimize(ZOO["two classes"], method=name, nonsense=1)


def value_grad(point) -> tuple[float, np.ndarray]:
    """F and its gradient at the factors of a point."""
    objective, x = objective_of(point.lift(rng=0) if isinstance(point, LogitPoint) else point)
    return objective.value_grad(x)


def check_end(result) -> None:
    """fun and grad_norm are those of F at the point; success is what they say."""
    fun, grad = value_grad(result.point)
    assert result.fun == pytest.approx(fun, rel=1e-12)
    assert result.grad_norm == pytest.approx(np.linalg.norm(grad), rel=1e-5, abs=1e-13)
    assert result.success == (result.grad_norm <= min(TOL, result.asked))
    assert result.message.startswith("converged" if result.success else "not converged"), result.message


@every
def test_its_ends_are_what_they_say(name):
    for result in ends(name):
        check_end(result)
        assert result.method == name and result.settings.items() >= few(name).items()


@every
def test_it_finds_a_known_point_or_says_that_it_did_not(name):
    found = [result for result in ends(name) if result.success]
    for title, result in zip(PROBLEMS, ends(name), strict=True):
        if result.success:
            gap = min(abs(result.fun - fun) for fun in known(title).values())
            assert gap < 1e-9, (title, result, known(title))
    assert not found if name in RESTLESS else len(found) >= 2, [r.message for r in ends(name)]


@pytest.mark.slow
@every
def test_every_problem_of_the_zoo(name):
    for title, problem in ZOO.items():
        chatters = name == "flow" and not problem.activation.smooth  # its step falls to nothing at kinks
        if problem.K > 6 or chatters:
            continue
        result = ufm.minimize(problem, method=name, rng=1, tol=TOL, **few(name, 300))
        if not problem.activation.smooth:  # the smallest gradient over the slopes there
            assert result.fun == pytest.approx(value_grad(result.point)[0], rel=1e-12), title
            assert not result.success or ufm.classify(result).grad_norm <= TOL, title
        else:
            check_end(result)


def test_a_value_off_by_a_hair_or_a_false_success_would_be_seen():
    good = ends("lbfgs")[0]
    for wrong in (
        {"fun": good.fun * (1 + 1e-9)},
        {"grad_norm": 1e-3},
        {"success": False},
        {"message": "not converged: no"},
    ):
        with pytest.raises(AssertionError):
            check_end(dataclasses.replace(good, **wrong))


@every
def test_decoupled_decay_never_claims_success_above_the_tolerance(name):
    if "decay" not in settings_of(members("method")[name]):
        return
    for seed in range(3):
        result = ufm.minimize(ZOO["mse"], method=name, rng=seed, tol=1e-4, decay="decoupled", **few(name, 500))
        assert result.grad_norm == pytest.approx(np.linalg.norm(value_grad(result.point)[1]), rel=1e-9)
        assert result.success == (result.grad_norm <= min(1e-4, result.asked))


@every
def test_a_start_knows_nothing_of_the_others(name):
    problem = ZOO["unequal counts, bias"]
    two, four = (ufm.multistart(problem, n, 5, name, **few(name, 40)).results for n in (2, 4))
    for a, b in zip(sorted(two, key=rank_of), sorted(four, key=rank_of)[:2], strict=True):
        assert (a.fun, a.nit, a.message) == (b.fun, b.nit, b.message)


def rank_of(result):
    return result.rng["spawn_key"]


@every
def test_callbacks_traces_and_ctrl_c(name):
    problem, seen = ZOO["three, collapse wins"], []

    def stop_at(number, error):
        def callback(intermediate_result):
            seen.append(intermediate_result)
            if len(seen) == number:
                raise error

        return callback

    whole = ufm.minimize(problem, method=name, rng=0, trace=1, callback=stop_at(10**9, None), **few(name, 30))
    trace = whole.trace
    assert len(trace) >= 2 and np.all(np.diff(trace.nit) > 0) and len(seen) >= 2
    assert all(np.isfinite(trace.fun)) and len(trace.fun) == len(trace.grad_norm) == len(trace.nit)
    for one in seen[:3] if isinstance(seen[0].objective, FactorObjective) else ():
        assert one.fun == pytest.approx(float(one.objective.value(one.x)), rel=1e-12)
    for error, said in ((StopIteration, "stopped"), (KeyboardInterrupt, "interrupted")):
        seen.clear()
        part = ufm.minimize(problem, method=name, rng=0, callback=stop_at(2, error), **few(name, 30))
        assert not part.success and said in part.message and part.interrupted == (error is KeyboardInterrupt)
        assert part.fun == pytest.approx(value_grad(part.point)[0], rel=1e-12)


@every
def test_its_results_travel(name):
    for result in ends(name)[:2]:
        assert pickle.loads(pickle.dumps(result)) == result
