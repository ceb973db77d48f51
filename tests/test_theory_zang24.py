"""zang24: the bounds, the collapse of features, the path in the fibre and the forecast hold, at other parameters too,
and fail when falsified."""

import importlib
import itertools
import math
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import theory.zang24
from theory.claim import REFUTED, SUPPORTED, Case, Evidence
from theory.figures.figure import figures
from theory.registry import claims
from theory.zang24 import attained, fibre, forecast, path
from theory.zang24.bounds import NAMES, layer_bounds, lipschitz
from theory.zang24.nets import objective_of, point_of
from ufm.networks.data import centred, tcv

MODULES = [importlib.import_module(f"theory.zang24.{m.name}") for m in pkgutil.iter_modules(theory.zang24.__path__)]
CLAIMS = {m.CLAIM.id.split(":")[1]: m.CLAIM for m in MODULES if hasattr(m, "CLAIM")}


def some(claim, most=8):
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, len(claim.cases) // most)])


def test_the_claims_are_registered():
    assert {"zang24:" + name for name in CLAIMS} == {c.id for c in claims(["zang24"])}
    for claim in CLAIMS.values():
        claim.validate()


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_each_claim_is_supported_and_every_control_breaks_it(name):
    verdict = some(CLAIMS[name], 2 if name == "forecast" else 8).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert [c.case for c in verdict.controls if c.verdict != REFUTED] == []


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    "name, grids",
    [
        ("distance", {"K": "3,7", "L": "3", "lam": "1e-4,10", "sigma": 0.2, "at": "start", "rng": "5"}),
        ("distance", {"K": 3, "n": 1, "at": "start", "L": 2, "d": "1,3", "rng": "2"}),
        ("earlier", {"K": "3", "L": "4", "lam": "1e-4,3", "d": "2,12", "at": "start", "rng": "7"}),
        ("attained", {"K": "4", "n": 6, "lam": "1e-8,5", "sigma": "0.03,10"}),
        ("collapsed", {"K": 4, "n": 2, "L": 2, "lam": 0.02, "d": 6}),
        ("features", {"K": "3", "n": 3, "d": "1,7", "L": 3, "lam": "1e-6,2", "rng": 9, "points": 10}),
        ("fibre", {"K": "2,6", "d": "6,11", "L": "1:5:2", "n": 2, "rng": "3"}),
        ("forecast", {"K": 3, "n": 5, "L": "2:4", "inputs": "40", "d": 7, "lam": "1e-6", "rng": "4"}),
    ],
)
def test_the_claims_hold_at_other_parameters(name, grids):
    verdict = CLAIMS[name].verify(**grids)
    assert verdict.cases and verdict.verdict == SUPPORTED, verdict


def test_bounds_come_in_their_order_and_the_first_is_the_definition():
    case = Case(K=3, n=4, d=6, L=3, lam=0.05, sigma=0.4, loss="ce", activation="tanh", at="start", rng=0)
    objective = objective_of(case)
    params = point_of(case, objective)
    z, delta = objective.net.features(params, objective.data)[1], objective.deltas(params)[1]
    row = layer_bounds(objective, params)[1]
    exact = np.linalg.norm(centred(delta, objective.data.y) @ centred(z, objective.data.y).T) / 12 / 0.05
    assert np.isclose(row.exact, exact + np.linalg.norm(objective.gradients(params)[1]) / 0.05, rtol=1e-12)
    assert row.dist <= row.exact <= row.second <= min(row.first, row.lipschitz)
    assert row.vacuous("first") == (row.first >= row.norm)
    assert np.isclose(row.tcv, tcv(z, objective.data.y))


def test_bounds_need_a_positive_lambda_in_every_layer():
    case = Case(K=3, n=4, d=6, L=2, lam=(0.0, 0.1), sigma=0.4, loss="ce", activation="tanh", at="start", rng=0)
    objective = objective_of(case)
    with pytest.raises(ValueError, match="lam must be positive in every layer"):
        layer_bounds(objective, point_of(case, objective))


def test_the_lipschitz_constant_of_pairs():
    Z, D, groups = np.array([[0.0, 1.0, 5.0, 7.0]]), np.array([[0.0, 3.0, 100.0, 101.0]]), np.array([0, 0, 1, 1])
    assert lipschitz(Z, D, groups) == 3.0
    assert lipschitz(np.zeros((1, 4)), D, groups) == math.inf
    assert lipschitz(np.zeros((1, 4)), np.zeros((1, 4)), groups) == 0.0


def test_all_bounds_are_attained_together_up_to_the_class_means():
    objective, params = attained.example(Case(K=3, n=4, sigma=0.5, lam=0.01, times=1.0001))
    (row,) = layer_bounds(objective, params)
    assert np.allclose([row.dist / getattr(row, name) for name in NAMES[:2]], 1, rtol=1e-12)
    assert 0.05 < row.dist / row.first < 1


def test_the_path_is_continuous_and_ends_at_the_known_values():
    for K, n, L, value in [(3, 2, 2, 11.3393)]:
        assert np.isclose((L + 1) * K * n ** (1 / (L + 1)), value, atol=1e-4)
        case = Case(K=K, n=n, d=7, L=L, lam=1.0, rank=None, rng=0)
        draw = np.random.default_rng(0)
        factors = fibre.start(case, fibre.targets(case, draw), draw)
        pieces = list(path.path(factors, K))
        ends = [(path.energy(p.at(0.0)), path.energy(p.at(1.0))) for p in pieces]
        assert all(np.isclose(a[1], b[0], rtol=1e-12) for a, b in itertools.pairwise(ends))
        last = pieces[-1].at(1.0)
        assert np.isclose(ends[-1][1], (L + 1) * K * n ** (1 / (L + 1)), rtol=1e-8)
        assert tcv(last[0], np.repeat(np.arange(K), n)) < 1e-12
        assert {p.kind for p in pieces} == {"delete", "balance"}


def test_the_forecast_uses_the_data_alone_and_its_error_falls_with_lam():
    case = Case(K=3, n=4, inputs=30, d=8, L=3, sigma=0.5, lam=1e-5, rng=0)
    data = forecast.data_of(case)
    errors = []
    for lam in (1e-5, 1e-6):
        _, params = forecast.trained(case.but(lam=lam), data)
        s = np.linalg.svd(params[1], compute_uv=False)[:3]
        errors.append(np.max(np.abs(s - forecast.forecast(data, 3))))
    assert np.isclose(errors[0] / errors[1], 10, rtol=0.1)
    assert np.isclose(errors[1], np.max(forecast.shift(data, 3, 1e-6)), rtol=0.05)


def test_features_of_one_sample_per_class_are_outside_the_statement():
    claim = CLAIMS["features"]
    assert claim.violated(claim.cases[0].but(n=1)) == ("some class has two samples",)


@pytest.mark.parametrize("name", ["distance", "earlier", "attained", "fibre", "forecast", "features"])
def test_each_claim_turned_round_is_refuted(name):
    claim, turn = some(CLAIMS[name], 2), {"<=": ">", "<": ">=", ">": "<="}

    def check(case):
        found = claim.check(case)
        for e in [found] if isinstance(found, Evidence) else found:
            if e.relation in turn:
                yield Evidence(e.left, turn[e.relation], e.right, e.tol, e.strength)
            else:
                yield Evidence(e.left, "==", e.right + 1, e.tol, e.strength)

    assert replace(claim, check=check).verify().verdict == REFUTED


@pytest.mark.parametrize("name", ["zang24-lambda", "zang24-classes"])
def test_figures_draw_the_numbers_they_list(name):
    figure = figures()[name]
    tiny = importlib.import_module(f"theory.figures.{name.replace('-', '_')}")
    cell = {
        "K": 2,
        "n": 3,
        "inputs": 4,
        "d": 5,
        "L": 4 if "lambda" in name else 3,
        "sigma": 0.5,
        "lam": 0.01,
        "rng": 0,
        "steps": 100,
    }
    run = tiny.trained(cell)
    data = {**cell, "runs": [run, {**run, "lam": 0.02}], "Ks": [2], "lams": [0.01, 0.02]}
    assert figure.rows(data) and all(
        np.isfinite([v for v in row.values() if isinstance(v, float)]).all() for row in figure.rows(data)
    )
    assert figure.picture(data).axes
