"""What every structure promises: a point of its problem of exact rank, critical, with a name that is found again, or a
sentence why there is none."""

from __future__ import annotations

import functools
import importlib.util
import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from discovered import members, names
from zoo import ZOO

import ufm
from ufm.critical.identify import identify
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum, value
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem
from ufm.structures.structure import Structure, structure_of

ASKED = {
    **ZOO,
    "ten": Problem(K=10, n=2, L=2, lam=2**-10),
    "six, deep": Problem(K=6, n=3, d=(7, 6, 9), L=3, lam=(1e-3, 4e-3, 2e-3, 5e-4)),
    "eight, three layers": Problem(K=8, L=3, lam=1e-4),
    "five, bias": Problem(K=5, n=2, L=2, lam=1e-3, bias=0.05),
    "relu, mse, six": Problem(K=6, L=3, lam=1e-3, loss="mse", activation="relu"),
    "relu, ten": Problem(K=10, n=2, L=3, lam=1e-3, activation="relu"),
}
SHAPES = {
    "pairs": "one scale for all pairs and a lone class is not critical at odd K",
    "sel": "the direction of collapse, critical on its ray only where counts differ",
    "relu_pairs": "an upper bound by nonnegative features",
    "code": "not stationary on four vertices",
    "partial": "zero pre-activations stay there under relu, not where both slopes pull",
}
"""Structures that are not critical everywhere, and why (docs/relu.md, docs/imbalance.md)."""
NOISE = 1e-11

every = pytest.mark.parametrize("name", names("structure"))


@functools.cache
def made(name: str) -> tuple[dict, dict]:
    """({(problem, name of the point): point}, {(problem, name of the point): reason}) over all problems."""
    points, reasons = {}, {}
    structure = members("structure")[name]
    for title, problem in ASKED.items():
        for called, make in structure.offers(problem):
            try:
                points[title, called] = make()
            except ValueError as reason:
                reasons[title, called] = str(reason)
    return points, reasons


@every
def test_it_is_a_record_that_says_what_it_is(name):
    one = members("structure")[name]
    assert isinstance(one, Structure) and one.name == name and one.doc.strip() and "\n" not in one.doc
    assert re.fullmatch("#[0-9a-fA-F]{6}", one.colour) and json.loads(json.dumps(one.to_dict()))["name"] == name
    assert pickle.loads(pickle.dumps(one)) is one


@every
def test_it_exists_somewhere_and_elsewhere_says_why_not(name):
    one = members("structure")[name]
    points, reasons = made(name)
    if not any(True for problem in ASKED.values() for _ in one.offers(problem)):  # others offer its points
        points = {}
        for title, problem in ASKED.items():
            if one.models(problem):
                try:
                    points[title, name] = one.make(problem)
                except ValueError as reason:
                    reasons[title, name] = str(reason)
    assert points
    for (title, _), point in points.items():
        assert point.problem == ASKED[title] and one.models(point.problem)
    for reason in reasons.values():
        assert re.fullmatch(r"[^\n]{10,300}[.]", reason) and not reason.startswith(("Traceback", "'")), reason
    for title, problem in ASKED.items():
        if not one.models(problem):
            assert not list(one.offers(problem))
        if list(one.offers(problem)):
            there = any(where == title for where, _ in made(name)[0])
            assert (one.missing(problem) == "") == there


def check_logits(point: LogitPoint) -> None:
    """Exact rank, orthonormal frames, one value in both spaces, the same gradient."""
    assert point.rank == len(point.s) <= point.problem.max_rank
    assert np.all(point.s > 0) and np.all(np.diff(point.s) <= 1e-12 * np.max(point.s, initial=0.0))
    eye = np.eye(point.rank)
    np.testing.assert_allclose(point.U.T @ point.U, eye, atol=1e-12)
    np.testing.assert_allclose(point.right.T @ point.right, eye, atol=1e-12)
    objective, x = objective_of(point.lift(rng=3))
    fun, grad = objective.value_grad(x)
    assert fun == pytest.approx(value(point), rel=1e-12, abs=1e-14)
    assert np.linalg.norm(grad) == pytest.approx(Stratum(point).grad_norm, abs=1e-12)


@every
def test_its_points_are_of_exact_rank_and_have_one_value_in_both_spaces(name):
    for (title, _), point in made(name)[0].items():
        assert isinstance(point, LogitPoint if ASKED[title].linear else FactorPoint)
        if isinstance(point, LogitPoint):
            check_logits(point)
        else:
            objective, x = objective_of(point)
            assert np.isfinite(objective.value(x)) and x.shape == (objective.size,)


def grad_norm(point) -> float:
    return Stratum(point).grad_norm if isinstance(point, LogitPoint) else ufm.classify(point).grad_norm


@every
def test_its_points_are_critical(name):
    norms = {key: grad_norm(point) for key, point in made(name)[0].items()}
    far = {key: norm for key, norm in norms.items() if norm > NOISE}
    assert name in SHAPES if far else name not in SHAPES, far


def test_a_scale_off_by_one_percent_would_be_seen():
    for (title, called), point in made("dnc")[0].items():
        if called == "dnc" and not ASKED[title].loss.quadratic:
            assert grad_norm(replace(point, s=1.01 * point.s)) > 1e5 * NOISE, title


@every
def test_its_points_are_named_again_whatever_the_order_of_classes(name):
    for (title, called), point in made(name)[0].items():
        assert structure_of(called) is not None
        if not isinstance(point, LogitPoint) or grad_norm(point) > NOISE or point.problem.bias is not None:
            continue
        order = np.random.default_rng(0).permutation(point.problem.K)
        if np.any(point.problem.counts[order] != point.problem.counts):
            order = np.arange(point.problem.K)
        turned = replace(point, U=point.U[order], right=point.right[order], name="")
        found = identify(turned).name
        if found != called:  # two names of one point, or a mode under MSE, which has its own
            other = ufm.structures.existing(point.problem)[0].get(found)
            assert other is not None or point.problem.loss.quadratic, (title, called, found)
            assert other is None or value(other) == pytest.approx(value(point), rel=1e-9), (title, called, found)


@every
def test_its_balls_hold_its_singular_values_and_its_fit(name):
    one = members("structure")[name]
    if one.enclosure is None or importlib.util.find_spec("flint") is None:
        return
    from ufm.certificates.models import model, uncovered
    from ufm.numerics import balls

    seen = 0
    for (_, called), point in made(name)[0].items():
        if called != name or uncovered(point.problem):
            continue
        s, fit = one.enclosure(model(point.problem, None))
        ridge = 0.5 * point.problem.D * point.problem.Lam * np.sum(point.s ** (2 / point.problem.D))
        np.testing.assert_allclose(sorted(map(balls.to_float, s)), sorted(point.s), rtol=1e-11)
        assert balls.to_float(fit) == pytest.approx(value(point) - ridge, rel=1e-9)
        seen += 1
    assert seen
