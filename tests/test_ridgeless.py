"""lam = 0, the fit alone: descents, flows and metrics take it, verbs about critical points say why they do not."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ufm
from ufm import structures
from ufm.certificates import convex, global_bound
from ufm.cli import main
from ufm.critical.classify import classify_end
from ufm.critical.measures import escape_rate, flatness, spectrum
from ufm.critical.nonlinear import local_minimum_test
from ufm.landscapes.sources.refine import refine
from ufm.landscapes.sources.relu_search import low_rank_search
from ufm.landscapes.sources.symmetric import a_priori_box, survey
from ufm.numerics.seeds import generator, seed_sequence
from ufm.objectives import factors
from ufm.objectives.checks import taylor_check
from ufm.objectives.factors import FactorObjective
from ufm.objectives.identities import identities
from ufm.objectives.layers import LayerObjective
from ufm.objectives.logits import Stratum, value
from ufm.points import FactorPoint, from_matrix
from ufm.structures import structure
from ufm.sweeps.phases import winners

SHAPES = [
    {"K": 3, "L": 2},
    {"K": 3, "L": 2, "n": 2, "loss": "mse", "bias": 0.0},
    {"K": 4, "L": 1, "n": (2, 1, 1, 1), "bias": 0.3},
    {"K": 3, "L": 3, "n": 2, "loss": "focal(2)", "activation": "relu"},
    {"K": 3, "L": 2, "loss": "mse", "activation": "tanh"},
]


def point(problem: ufm.Problem, seed: int = 0) -> FactorPoint:
    draw = generator(seed_sequence(seed))
    b = None if problem.bias is None else draw.standard_normal(problem.K)
    return FactorPoint(problem, tuple(draw.standard_normal(shape) for shape in problem.shapes()), b)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_problem_without_a_ridge_is_the_fit_alone(shape):
    problem = ufm.Problem(lam=0, **shape)
    assert problem.ridgeless and problem.Lam == 0 == problem.lams[-1] and not problem.shares.std()
    assert problem == ufm.Problem(lam=[0.0] * problem.D, **shape) == ufm.Problem(lam=-0.0, **shape)
    assert ufm.Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem
    assert "|H_1|^2" not in repr(problem) and ("|b|^2" in repr(problem)) == (problem.bias is not None)
    here, columns = point(problem), problem.samples
    fit = float(problem.loss.value(here.logits(), columns.Y) @ columns.weight)
    more = 0.0 if problem.bias is None else 0.5 * problem.bias * float(here.b @ here.b)
    assert abs(factors.value(here) - fit - more) <= 1e-14 * abs(fit)
    objective = FactorObjective(problem)
    x = objective.pack(here.factors, here.b)
    checked = taylor_check(objective.value, objective.grad, x, objective.hvp, rng=0)
    assert checked.gradient > 1.8 and (problem.activation.rectifies or checked.ok)


def test_a_mixture_of_weights_is_refused_by_name():
    for lam in ((0, 0.1, 0.1), (0.1, 0.1, 0)):
        with pytest.raises(ValueError, match=r"lam must be positive for every factor, or zero for all; .*got lam=\("):
            ufm.Problem(K=3, L=2, lam=lam)


def test_points_without_a_ridge_are_balanced_with_equal_weights():
    problem = ufm.Problem(K=3, L=2, n=2, d=4, lam=0)
    logit = from_matrix(problem, np.diag([3.0, 2.0, 1.0]) - 1.0, collapse=True)
    lifted = logit.lift(rng=0)
    assert lifted.balancedness() <= 1e-13 < point(problem).balancedness()
    np.testing.assert_allclose(lifted.logits(), logit.logits(), atol=1e-13)
    assert value(logit) == pytest.approx(factors.value(lifted), rel=1e-14)
    here = Stratum(logit)
    grad = FactorObjective(problem).grad(FactorObjective(problem).pack(lifted.factors, None))
    assert here.ridge_norm == 0 and here.grad_norm == pytest.approx(np.linalg.norm(grad), rel=1e-12)


def verbs():
    """Every verb about critical points, as (name in its refusal, how it is called)."""
    linear, mse = ufm.Problem(K=4, L=2, lam=0), ufm.Problem(K=4, L=2, lam=0, loss="mse")
    relu = ufm.Problem(K=6, L=3, lam=0, loss="mse", activation="relu")
    bent = ufm.Problem(K=4, L=3, lam=0, activation="relu")
    near, kinked = point(linear), point(bent)
    run = ufm.minimize(linear, method="gd", rng=0, steps=5, trace=1)
    yield from (("compare", lambda p=p: ufm.compare(p, 0)) for p in (linear, mse, relu))
    yield from (("landscape", lambda p=p: ufm.landscape(p, starts=0)) for p in (linear, mse))
    yield from (("profile", lambda p=p: ufm.profile(p, starts=0)) for p in (linear, relu))
    yield "follow", lambda: ufm.follow(near, 0.1)
    yield "follow", lambda: ufm.follow("dnc", 0.1, problem=linear)
    yield "connect", lambda: ufm.connect([near, run])
    yield "path", lambda: ufm.path(near, point(linear, 1))
    yield "read_trajectory", lambda: ufm.read_trajectory(run)
    yield "winners", lambda: winners(linear, 1e-3, 1e-1)
    yield "graph_search", lambda: ufm.graph_search(relu)
    yield "certify", lambda: ufm.certify(linear)
    yield "certify", lambda: ufm.certify(near)
    yield from (("classify", lambda q=q: ufm.classify(q)) for q in (near, kinked, run))
    yield from (("the spectrum", lambda f=f: f(near)) for f in (spectrum, flatness, escape_rate))
    yield "local_minimum_test", lambda: local_minimum_test(kinked)
    yield "survey", lambda: survey(linear)
    yield "a_priori_box", lambda: a_priori_box(linear)
    yield "low_rank_search", lambda: low_rank_search(relu)
    yield "refine", lambda: refine(point(relu))
    yield "the identities of stationary points", lambda: identities(kinked)
    yield "the last layer's least value", lambda: LayerObjective(relu)
    yield "the convex form", lambda: convex.convex_minimum(ufm.Problem(K=3, lam=0))


@pytest.mark.parametrize("name, call", list(verbs()))
def test_a_verb_about_critical_points_refuses_in_a_sentence(name, call):
    with pytest.raises(ValueError, match=rf"^{name} is about critical points and needs a ridge; at lam=0 .*\.$"):
        call()


def test_the_reason_is_that_of_the_loss():
    said = {loss: ufm.Problem(K=3, lam=0, loss=loss).without_ridge("it") for loss in ("ce", "mse", "focal(2)")}
    assert "separates the classes" in said["ce"] and "continuum" in said["mse"] and "not attained" in said["focal(2)"]
    assert ufm.Problem(K=3, lam=0.1).without_ridge("it") == ""
    assert global_bound.lower_bound(ufm.Problem(K=3, lam=0)) is None


@pytest.mark.parametrize("shape", [*SHAPES, {"K": 6, "L": 3, "loss": "mse", "activation": "relu"}], ids=str)
def test_a_structure_without_a_ridge_says_so_or_is_zero(shape):
    points, reasons = structures.existing(ufm.Problem(lam=0, **shape))
    assert set(points) <= {"zero"}
    assert structure.everyone() and not [why for why in reasons.values() if "nan" in why or "divide" in why]


def test_least_squares_is_fitted_exactly():
    problem = ufm.Problem(K=3, n=2, L=2, lam=0, loss="mse")
    for method, settings in (("gd", {"steps": 2000}), ("lbfgs", {})):
        run = ufm.minimize(problem, method=method, rng=0, **settings)
        assert run.success and run.grad_norm <= 1e-12 and run.fun <= 1e-20
        assert ufm.identify(run).name == "dnc" and ufm.identify(run).rank == 3
    census = ufm.basins(problem, 5, rng=0, method="gd", steps=2000, progress=False)
    assert (census.winner, census.converged, census[0].status) == ("dnc", 5, "unknown")
    assert "needs a ridge" in census[0].critical.why and "Newton" not in census.dynamics
    end = classify_end(run)
    assert end.status == "unknown" and end.rank == 3 and end.fun <= 1e-20


def test_the_command_line_and_sweeps_take_it(capsys):
    words = ["-K", "3", "-L", "2", "--lam", "0"]
    assert main(["solve", *words, "--loss", "mse", "--method", "gd", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problem"]["lam"] == 0 and found["best"]["success"] and found["best"]["status"] == "unknown"
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.startswith(
        "ufm: error: compare is about critical points and needs a ridge; at lam=0"
    )
    cells = ufm.sweep(
        {"verb": "solve", "grid": {"lam": [0, 0.01]}, "fixed": {"K": 3, "L": 2, "loss": "mse", "method": "gd"}}, jobs=1
    )
    assert not cells.failed and cells.rows[0]["result"]["fun"] <= 1e-20 < cells.rows[1]["result"]["fun"]


@pytest.mark.parametrize("method", ["lbfgs", "gd", "adamw", "sign", "polar"])
def test_every_descent_counts_its_ends(method):
    problem = ufm.Problem(K=3, L=2, lam=0)
    settings = {} if method == "lbfgs" else {"steps": 300}
    census = ufm.basins(problem, 4, rng=0, method=method, progress=False, **settings)
    assert census.starts == 4 and all(row.status == "unknown" and row.fun < 1e-9 for row in census)
    with pytest.raises(ValueError, match=r"^method newton is about critical points and needs a ridge"):
        ufm.minimize(problem, method="newton")


def test_descent_of_cross_entropy_has_no_end():
    problem = ufm.Problem(K=3, n=2, L=2, lam=0)
    run = ufm.minimize(problem, method="gd", rng=0, steps=1500, trace=100)
    assert not run.success and np.all(np.diff(run.trace.fun) < 0)
    margins = [np.min(np.diag(Z) - np.max(Z - np.diag(np.full(3, np.inf)), axis=0)) for Z in run.trace.logits]
    assert np.all(np.diff(margins[-8:]) > 0)


@pytest.mark.parametrize(
    "method, name, early, late",
    [("flow", "time", 1e2, 1e4), pytest.param("gd", "steps", 1_000, 20_000, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("rng", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_cross_entropy_collapses_ever_further(method, name, early, late, rng):
    """The loss falls like 1/time and margins grow like its logarithm, while variation within classes and the distance
    from the simplex fall in every layer."""
    problem = ufm.Problem(K=3, n=3, d=4, L=2, lam=0)
    runs = [ufm.minimize(problem, method=method, rng=rng, **{name: value}) for value in (early, late)]
    assert not runs[1].success and 0.5 < runs[0].fun / runs[1].fun / (late / early) < 3
    margins = [np.log(problem.K - 1) - np.log(np.expm1(run.fun)) for run in runs]  # of equal margins with this loss
    assert margins[1] > margins[0] + 0.9 * np.log(late / early)
    before, after = (ufm.collapse(run) for run in runs)
    for earlier, later in ((before.dnc1, after.dnc1), (before.dnc2, after.dnc2)):
        assert all(new < 0.95 * old for old, new in zip(earlier, later, strict=True))


def test_every_public_verb_takes_it_or_refuses_it():
    takes = {"minimize", "multistart", "basins", "sweep", "identify", "collapse"}
    of_no_problem = {"load", "use", "cite", "figure", "claims", "verify"}
    known = {name for name in dir(ufm) if name.islower() and callable(getattr(ufm, name))}
    assert known <= takes | of_no_problem | {name for name, _ in verbs()}
