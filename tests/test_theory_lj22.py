"""lj22: identities, the recursion under decay, rank-one limits and the counterexample hold, at other parameters too,
and fail when falsified."""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import theory.lj22
from theory.claim import REFUTED, SUPPORTED, Case, Evidence
from theory.figures import lj22_invariants, lj22_rank_one
from theory.lj22 import counterexample, invariants, rank_one, tails
from theory.lj22.nets import objective_of, relative, start
from theory.registry import claims
from ufm.networks.train import train

MODULES = [importlib.import_module(f"theory.lj22.{m.name}") for m in pkgutil.iter_modules(theory.lj22.__path__)]
FOUND = [c for m in MODULES for c in (*getattr(m, "CLAIMS", ()), getattr(m, "CLAIM", None)) if c]
CLAIMS = {c.id.split(":")[1]: c for c in FOUND}


def some(claim, most=6):
    """The claim on a few of its cases, evenly chosen, with all its controls."""
    return replace(claim, cases=claim.cases[:: max(1, len(claim.cases) // most)])


def test_the_claims_are_registered():
    assert {"lj22:" + name for name in CLAIMS} == {c.id for c in claims(["lj22"])}
    for claim in CLAIMS.values():
        claim.validate()


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_each_claim_is_supported_and_every_control_breaks_it(name):
    verdict = some(CLAIMS[name], 2 if name in ("counterexample", "rank-one") else 12).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert [c.case for c in verdict.controls if c.verdict != REFUTED] == []


@pytest.mark.parametrize(
    "name, grids",
    [
        ("invariants", {"K": "3,6", "n": "1,8", "d": "2,12", "L": "2,6", "rng": "11"}),
        ("blocks", {"K": "2,5", "n": 3, "d": "1,6", "rng": "5"}),
        ("steps", {"K": "4", "L": "3", "lam": "0.3", "lr": "0.02,0.3", "rng": "3", "steps": 10}),
        ("balance", {"K": "3", "L": "4", "lam": "1e-5,2", "d": "3,9", "rng": "6"}),
        ("tails", {"K": "3,8", "d": "2,8", "L": "3,9", "noise": "0.1,10", "rng": "7"}),
        pytest.param(
            "rank-one",
            {"K": 2, "n": 4, "d": 4, "width": 6, "L": 3, "scale": "0.4", "rng": "3", "loss": "exponential"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "counterexample", {"width": 25, "d": 3, "rng": "4", "activation": "linear,relu"}, marks=pytest.mark.slow
        ),
    ],
)
def test_the_claims_hold_at_other_parameters(name, grids):
    verdict = CLAIMS[name].verify(**grids)
    assert verdict.cases and verdict.verdict == SUPPORTED, verdict


def test_the_submatrix_has_pairs_and_its_complement_differs():
    case = Case(K=2, n=2, d=12, L=2, loss="ce", activation="relu", rng=0)
    objective = objective_of(case)
    params = start(case, objective)
    equal = invariants.agreeing(objective.net.forward(params, objective.data.X).pre[0], False)
    A, B = invariants.sides(objective, params, 1)
    gap = np.abs(A - B) / np.max(np.abs(A))
    assert np.sum(equal) > 12 and gap[equal].max() < 1e-12 < 1e-3 < gap[~equal].max()


def test_gradient_flow_keeps_what_the_identities_say():
    for activation, part in (("linear", lambda C: C), ("leaky_relu(0.3)", np.diag)):
        case = Case(K=2, n=3, d=5, L=3, loss="ce", activation=activation, rng=0)
        objective = objective_of(case)
        run = train(
            objective.net,
            objective.data,
            "ce",
            "flow",
            rng=0,
            time=2.0,
            step=1e-3,
            integrator="rk4",
            trace=2000,
            keep=True,
            progress=False,
        )
        W, V = objective.net.weights(run.trace.params(0)), objective.net.weights(run.params)
        for l in range(2):
            old, new = W[l + 1].T @ W[l + 1] - W[l] @ W[l].T, V[l + 1].T @ V[l + 1] - V[l] @ V[l].T
            assert np.max(np.abs(part(new - old))) < 1e-6 * np.max(np.abs(new)), activation
            assert np.linalg.norm(V[l] - W[l]) > 1e-2


def test_tails_and_the_imbalance_of_matrices_worked_out_by_hand():
    W = [np.diag([3.0, 2.0]), np.array([[1.0, 0.0]])]
    assert tails.imbalance(W) == [8.0 + 4.0, 0.0] and np.isclose(tails.tail(W[0], 1), 4.0)
    balanced = [np.diag([1.0, 0.0]), np.array([[1.0, 0.0]])]
    assert tails.imbalance(balanced) == [0.0, 0.0] and tails.tail(balanced[0], 1) == 0.0


def test_relative_differences():
    assert relative(np.zeros(3), np.zeros(3)) == 0.0 and relative(np.array([2.0, 0.0]), np.array([1.0, 0.0])) == 0.5


def test_alignment_of_a_balanced_chain_is_one():
    u = np.array([[0.6], [0.8]])
    assert np.isclose(rank_one.alignment([3 * u @ u.T, u @ u.T]), 1)
    assert rank_one.alignment([u @ u.T]) == 1.0


def test_the_two_points_and_the_dip_on_the_way():
    assert counterexample.two_points(3).X.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert counterexample.two_points(3).signs.tolist() == [1, -1]


@pytest.mark.parametrize("name", ["invariants", "blocks", "steps", "balance", "tails"])
def test_each_claim_turned_round_is_refuted(name):
    claim = some(CLAIMS[name], 3)

    def check(case):
        found = claim.check(case)
        for e in [found] if isinstance(found, Evidence) else found:
            yield (
                Evidence(e.left, ">", e.right, e.tol, e.strength)
                if e.relation == "<="
                else Evidence(e.left, "==", e.right + 1e-3, e.tol, e.strength)
            )

    assert replace(claim, check=check).verify().verdict == REFUTED


def test_figures_draw_the_numbers_they_list():
    gap = lj22_invariants.gap({"K": 2, "n": 2, "d": 6, "L": 2, "loss": "ce", "rng": 0, "activation": "relu"})
    assert gap["equal"] < 1e-12 < gap["other"] and sum(gap["groups"]) == 6
    run = {"K": 2, "n": 2, "d": 4, "L": 2, "loss": "ce", "rng": 0, "lr": 0.02, "lam": 0.05, "steps": 20}
    data = {
        "gap": gap,
        "lr": 0.02,
        "lam": 0.05,
        "runs": [lj22_invariants.decay({**run, "activation": a}) for a in ("linear", "relu")],
    }
    assert len(lj22_invariants.rows(data)) == 36 + 2 * 21 and lj22_invariants.FIGURE.picture(data).axes
    point = {"d": 2, "width": 12, "loss": "exponential", "scale": 0.1, "rng": 0, "floor": -3.0}
    deep = {
        "K": 2,
        "n": 3,
        "d": 3,
        "width": 4,
        "L": 3,
        "body": 1,
        "loss": "exponential",
        "scale": 0.5,
        "rng": 0,
        "floor": -5.0,
    }
    data = {
        "points": [lj22_rank_one.ratios({**point, "activation": a}) for a in ("linear", "relu")],
        "deep": lj22_rank_one.tails(deep),
    }
    assert lj22_rank_one.rows(data) and lj22_rank_one.FIGURE.picture(data).axes
    assert all(
        np.all(np.array(a) <= np.array(b) * 1.01)
        for a, b in zip(data["deep"]["share"], data["deep"]["bound"], strict=True)
    )
