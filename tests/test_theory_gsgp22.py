"""gsgp22: verdicts, other parameters than the declared ones, planted errors, and the pieces against independent
ones."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from theory.claim import REFUTED, SUPPORTED, Case, Evidence, attempt
from theory.figures.figure import figures
from theory.gsgp22 import (
    angle,
    displacement,
    forgetting,
    gradient_rank,
    matched,
    memory,
    noise,
    nonvacuous,
    residual,
    sweep,
    vacuous,
    window,
)
from ufm.networks.train import train
from ufm.numerics.ranks import numerical_rank

MODULES = (
    gradient_rank,
    memory,
    window,
    nonvacuous,
    vacuous,
    forgetting,
    residual,
    angle,
    noise,
    sweep,
    matched,
    displacement,
)
CLAIMS = {module.CLAIM.id: module.CLAIM for module in MODULES}
TRAINED = ("gsgp22:sweep", "gsgp22:matched-steps", "gsgp22:displacement", "gsgp22:nonvacuous")


def few(claim, count: int = 12):
    """The claim on so many of its cases, spread over them."""
    return replace(claim, cases=claim.cases[:: max(1, len(claim.cases) // count)])


def test_what_uses_what_is_among_the_claims_and_every_case_is_inside_its_hypotheses():
    for claim in CLAIMS.values():
        claim.validate()
        assert set(claim.uses) <= set(CLAIMS)
        assert len(claim.controls) >= 2 and any(control.planted for control in claim.controls)


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in TRAINED])
def test_claims_are_supported_and_every_control_breaks(name):
    verdict = few(CLAIMS[name]).verify()
    assert verdict.verdict == SUPPORTED, verdict
    assert len(verdict.broken) == len(verdict.controls)


@pytest.mark.parametrize(
    "name, grids",
    [
        ("gsgp22:gradient-rank", {"K": "2,5", "d": "3,33", "L": "1,4", "B": "1:9:4", "rng": "77"}),
        ("gsgp22:memory", {"lam": "0,1e-2,0.5", "lr": "0.05,0.4", "B": "2", "L": "2", "rng": "5"}),
        ("gsgp22:window", {"lr": "1e-4,0.7", "lam": "1e-5,0.9", "eps": "0.2,1e-9"}),
        ("gsgp22:nonvacuous", {"K": "2,5", "lam": "0.05", "rng": "9", "L": "2", "epochs": "10"}),
        ("gsgp22:vacuous", {"B": "4,1000", "lam": "1e-5,6e-3", "width": "99,4500"}),
        pytest.param(
            "gsgp22:forgetting",
            {"K": "2,5", "lam": "0.05,0.2", "lr": "0.1,0.4", "B": "1,5", "rng": "3"},
            marks=pytest.mark.slow,
        ),
        ("gsgp22:residual", {"K": "3,6", "lam": "1e-5,2", "B": "1,3", "rng": "8"}),
        ("gsgp22:angle", {"K": "3,6", "lam": "0,0.3", "B": "2", "rng": "8"}),
        ("gsgp22:noise", {"K": "2,3", "n": "2", "lam": "1e-2,0.3,5", "B": "1,2", "rng": "6", "L": "2", "d": "4"}),
    ],
)
def test_claims_are_supported_on_other_parameters(name, grids):
    claim = CLAIMS[name]
    cases, _ = claim.plan(grids)
    chosen = cases[:: max(1, len(cases) // 16)]
    for case in chosen:
        outcome = attempt(claim.check, case)
        assert outcome.verdict == SUPPORTED, (
            case,
            outcome.failed,
            [e for e in outcome.evidence if e.verdict != SUPPORTED],
        )


@pytest.mark.parametrize("name", ["gsgp22:residual", "gsgp22:angle", "gsgp22:noise", "gsgp22:vacuous", "gsgp22:window"])
def test_claims_with_the_inequality_flipped_are_refuted(name):
    claim = CLAIMS[name]

    def check(case):
        for e in (found,) if isinstance(found := claim.check(case), Evidence) else found:
            yield replace(e, left=e.right, right=e.left, margin=None) if e.relation in ("<", "<=", ">", ">=") else e

    assert replace(claim, check=check, cases=claim.cases[-6:]).verify().verdict == REFUTED


def test_the_fresh_grid_follows_E_and_not_the_batch_size():
    fresh = Case(
        **{**sweep.BASE, "batches": (3, 12), "lrs": (0.07, 0.2), "lams": (5e-3, 2e-2, 3e-2), "width": 24}, rng=11
    )
    assert not sweep.CLAIM.violated(fresh)
    outcome = attempt(sweep.CLAIM.check, fresh)
    assert outcome.verdict == SUPPORTED, outcome.evidence
    assert outcome.evidence[0].left <= -0.95 and outcome.evidence[0].strength == "sampled"


def test_without_decay_and_with_the_wrong_E_the_sweep_is_refuted():
    for control in sweep.CLAIM.controls:
        small = control.but(epochs=16, width=20, n=15)
        assert attempt(sweep.CLAIM.check, small).verdict == REFUTED


def test_correlation_is_spearmans_and_a_constant_orders_nothing():
    rows = [{"a": a, "b": b, "c": 1.0} for a, b in ((1, 5.0), (2, 4.0), (3, 4.5), (4, 1.0))]
    assert sweep.correlation(rows, "a", "b") == pytest.approx(-0.8)
    assert sweep.correlation(rows, "a", "c") == 0.0


def test_matched_steps_have_matched_ranks_and_matched_epochs_do_not():
    case = Case(**{**matched.SMALL, "lrs": (0.2,), "lams": (2e-2,), "width": 24, "steps": 400}, rng=4)
    assert attempt(matched.CLAIM.check, case).verdict == SUPPORTED
    for control in (case.but(count="epochs"), case.but(doubled=True)):
        assert attempt(matched.CLAIM.check, control).verdict == REFUTED


def test_the_displacement_stays_with_decay_and_falls_without():
    case = Case(**{**displacement.BASE, "lams": (2e-2, 5e-2), "width": 12, "d": 12, "L": 2}, rng=3)
    assert attempt(displacement.CLAIM.check, case).verdict == SUPPORTED
    assert attempt(displacement.CLAIM.check, case.but(turned=True)).verdict == REFUTED


def test_displacements_are_those_of_the_points():
    cell = {**displacement.BASE, "lam": 1e-2, "steps": 24, "rng": 0}
    data = displacement.data_of(cell)
    net, points = displacement.network_of(cell, data), []
    start = net.unpack(gradient_rank.start_of(sweep.Objective(net, data), 0))
    train(
        net,
        data,
        decay=1e-2,
        rng=0,
        start=start,
        lr=0.3,
        batch=5,
        steps=24,
        callback=lambda p: points.append(p.x),
        progress=False,
    )
    epochs = points[::6]
    expected = [np.linalg.norm(b - a) / np.linalg.norm(b) for a, b in itertools.pairwise(epochs)]
    np.testing.assert_allclose(displacement.displacements(cell), expected, rtol=1e-12)


def test_the_gradient_of_shared_weights_is_that_of_differences():
    objective = gradient_rank.objective_of(Case(K=3, d=4, width=5, L=2, B=2, activation="tanh", rng=0))
    net, x, batch = objective.net, gradient_rank.start_of(objective, 0), np.array([0, 4])
    grads = net.pack(gradient_rank.batch_gradient(objective, x, batch, patches=3))
    noise_ = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=2, spawn_key=(3,)))).standard_normal(
        (4, 3, 2)
    )
    columns = (objective.data.X[:, None, batch] + 0.5 * noise_).reshape(4, -1)

    def loss(x):
        Z = net.forward(net.unpack(x), columns).logits.reshape(3, 3, 2).sum(axis=1)
        return float(np.mean(objective.loss.value(Z, objective.Y[:, batch])))

    for i in range(0, net.size, 5):
        e = np.eye(net.size)[i] * 1e-6
        assert grads[i] == pytest.approx((loss(x + e) - loss(x - e)) / 2e-6, abs=1e-8)


def test_tail_is_the_distance_to_the_truncated_matrix():
    W = np.random.default_rng(0).standard_normal((6, 4))
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    for r in range(5):
        assert gradient_rank.tail(W, r) == pytest.approx(np.linalg.norm(W - (U[:, :r] * s[:r]) @ Vt[:r]), abs=1e-14)


@pytest.mark.parametrize("shrink, eps, ratio", [(0.1, 0.1, 1.0), (6e-3, 1e-3, 2.0), (0.9, 0.3, 1.0), (0.5, 0.25, 1.0)])
def test_the_least_number_of_steps_is_the_least(shrink, eps, ratio):
    n = window.least_steps(shrink, eps, ratio)
    assert ratio * (1 - shrink) ** n <= eps * (1 + 1e-12)
    assert n == 0 or ratio * (1 - shrink) ** (n - 1) > eps * (1 - 1e-12)


def test_the_numbers_of_the_paper_are_far_from_saying_anything():
    assert 4 * math.floor(math.log(2 / 1e-3) / 6e-3) == pytest.approx(5067, abs=4)
    assert 4 * window.least_steps(0.1 * 5e-4, 1e-3, 2.0) == pytest.approx(6.1e5, rel=0.01)


def test_a_ceiling_is_needed_above_two_over_e_squared_and_only_there():
    assert attempt(window.check, Case(lr=0.4, lam=0.08, eps=1.2)).verdict == REFUTED
    draw = np.random.default_rng(1)
    for eps, x in zip(window.LARGEST * draw.uniform(0, 1, 300), 10 ** draw.uniform(-6, -0.001, 300), strict=True):
        assert 2 * math.exp(math.floor(math.log(2 / eps) / x) * math.log1p(-x)) <= eps


def test_the_instance_says_something_and_without_decay_nothing():
    case = Case(**nonvacuous.BASE, rng=12)
    outcome = attempt(nonvacuous.CLAIM.check, case)
    assert outcome.verdict == SUPPORTED
    bound = next(e for e in outcome.evidence if "rank that the bound names" in e.note)
    assert bound.left < case.width and bound.left >= window.least_steps(case.lr * case.lam, case.eps) - 10
    assert attempt(nonvacuous.CLAIM.check, case.but(lam=0.0, epochs=3)).verdict == REFUTED


def test_the_tight_point_is_the_minimiser_of_its_batch_beside_the_remainder():
    case = Case(K=4, d=6, width=1, L=1, B=2, lam=0.05, point="tight", rng=1)
    objective, x, (batch,) = residual.tight(case)
    X, Y = objective.data.X[:, batch], objective.Y[:, batch]

    def F(w):
        W = w.reshape(4, 6)
        R = W @ X - Y
        return 0.5 * np.sum(R**2) / 2 + 0.025 * np.sum(W**2), ((R @ X.T) / 2 + 0.05 * W).ravel()

    best = scipy_minimize(F, np.zeros(24), jac=True, tol=1e-14).x.reshape(4, 6)
    rest = x.reshape(4, 6) - best
    assert np.linalg.norm(rest @ X) < 1e-5 and np.linalg.norm(rest) > 1e-2
    assert numerical_rank(np.linalg.svd(rest, compute_uv=False), 1e-4) == 1


def test_the_noise_floor_needs_batches_smaller_than_the_data():
    inside, outside = Case(**noise.BASE, B=2, lam=0.02, rng=3), Case(**noise.BASE, B=6, lam=0.02, rng=3)
    assert attempt(noise.check, inside).verdict == SUPPORTED
    assert attempt(noise.check, outside).verdict == REFUTED


def test_parallel_is_the_least_cosine():
    Z = np.array([[1.0, 1.0, -2.0], [0.0, 1.0, 0.0]])
    assert noise.parallel(Z) == pytest.approx(math.sqrt(0.5))
    assert noise.parallel(Z[:, [0, 2]]) == pytest.approx(1.0)
    assert noise.parallel(np.array([[1.0, 0.0], [1.0, 0.0]])) == 0.0


def test_the_recorded_learning_rates_are_those_of_the_schedule():
    case = Case(K=2, n=4, d=3, width=3, L=2, lam=0.1, lr=0.2, B=2, schedule="halving", rng=0)
    objective = gradient_rank.objective_of(case)
    end, points, lrs = memory.run_of(
        objective, gradient_rank.start_of(objective, 0), 0, lr=0.2, batch=2, epochs=3, schedule=memory.fading(case)
    )
    np.testing.assert_allclose(lrs, np.repeat([0.2, 0.1, 0.05], 4), rtol=1e-12)
    assert len(points) == 13 and end.E == pytest.approx(0.1 * 1.4)
    np.testing.assert_array_equal(points[-1], objective.net.pack(end.params))


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "name, kinds", [("gsgp22-displacement", {"late", "epoch"}), ("gsgp22-sweep", {"run", "spearman"})]
)
def test_figures_compute_draw_and_write_every_number(monkeypatch, name, kinds):
    from theory.figures import gsgp22_displacement, gsgp22_sweep

    known = figures()
    assert {"gsgp22-sweep", "gsgp22-displacement"} <= set(known)

    def quick(cell):
        return {**cell, "epochs": 1} if "epochs" in cell else {**cell, "steps": 60}

    run, curve = gsgp22_sweep.trained, gsgp22_displacement.curve
    monkeypatch.setattr(gsgp22_sweep, "trained", lambda cell: run(quick(cell)))
    monkeypatch.setattr(gsgp22_displacement, "curve", lambda cell: curve(quick(cell)))
    data = known[name].compute(fast=True, progress=False)
    found = known[name].rows(data)
    assert {row["kind"] for row in found} == kinds
    assert len(known[name].picture(data).axes) >= 3
    assert {row["lam"] for row in found if "lam" in row} >= {0.0, 1e-2}
