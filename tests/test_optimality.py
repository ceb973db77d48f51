"""Global minima and lower bounds: the proofs agree with what descents find, and see planted errors."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("flint")

import ufm
from ufm import Problem, structures
from ufm.certificates.bounds import bound
from ufm.certificates.certificate import certify_data
from ufm.certificates.check import Rejected, dual
from ufm.certificates.check import bounds as covering
from ufm.certificates.check.record import sealed
from ufm.certificates.global_bound import lower_bound, symmetrised
from ufm.certificates.models import model
from ufm.certificates.optimality import global_minimum, witness_data, witness_point
from ufm.losses import Loss
from ufm.numerics import balls
from ufm.numerics.intervals import Interval
from ufm.objectives.logits import value
from ufm.structures.modes import mse_families


def lower(certificate) -> float:
    return float(certificate.data["lower"])


def best_found(problem, starts=6):
    return min(ufm.minimize(problem, rng=seed).fun for seed in range(starts))


# L = 1


@pytest.mark.parametrize("K", [2, 3, 7, 100])
@pytest.mark.parametrize("loss", ["ce", "label_smoothing(0.1)"])
@pytest.mark.parametrize("bias", [None, 0, 0.3])
def test_the_plain_model_with_equal_counts_is_decided_exactly(K, loss, bias):
    threshold = (1 if loss == "ce" else 0.9) / (K * np.sqrt(3))
    for factor, name in ((0.1, "dnc"), (1 - 1e-10, "dnc"), (1 + 1e-10, "zero"), (5, "zero")):
        problem = Problem(K=K, n=3, L=1, lam=threshold * factor, loss=loss, bias=bias)
        proof = global_minimum(problem)
        assert proof.statement == f"{name} is a global minimum" and proof.check(), proof
        if factor == 0.1:
            assert lower(proof) == pytest.approx(value(structures.dnc(problem)), rel=1e-13)


def test_the_threshold_itself_is_decided_where_it_is_exact():
    assert global_minimum(Problem(K=4, L=1, lam=0.25)).statement == "zero is a global minimum"
    assert global_minimum(Problem(K=3, L=1, lam=1 / 3), lam="1/3").holds is False


@pytest.mark.parametrize("loss", ["ce", "label_smoothing(0.2)", "mse"])
@pytest.mark.parametrize("bias", [None, 0, 1e-3, 0.5])
@pytest.mark.parametrize("lam", [0.3, 0.02, 1e-4])
def test_unequal_counts_leave_a_gap_below_1e_8(loss, bias, lam):
    problem = Problem(K=5, n=(20, 10, 5, 5, 1), L=1, lam=lam, loss=loss, bias=bias)
    proof = global_minimum(problem)
    best = best_found(problem, 2)
    assert proof.check()
    assert lower(proof) <= best + 1e-14
    if proof.kind == "bound":
        assert proof.margin < 1e-8 and float(proof.data["upper"]) == pytest.approx(best, abs=1e-8)


@pytest.mark.parametrize("K, bias", [(6, 0.1), (20, None)])
def test_a_convex_solver_is_a_witness(K, bias):
    proof = global_minimum(
        Problem(K=K, n=(3,) * (K // 2) + (1,) * (K - K // 2), L=1, lam=0.002, bias=bias), witness="cvxpy"
    )
    assert proof.check() and proof.margin < 1e-8


def test_any_matrix_is_a_witness_of_an_interval():
    problem = Problem(K=4, n=3, L=1, lam=0.03)
    proof = global_minimum(problem, witness=np.eye(4))
    low, high = lower(proof), float(proof.data["upper"])
    assert proof.check() and low < value(structures.dnc(problem)) < high and proof.margin == pytest.approx(high - low)


def test_narrow_layers_get_the_lower_bound_only():
    proof = global_minimum(Problem(K=4, L=1, lam=0.02, d=2))
    assert proof.check() and proof.kind == "bound" and proof.statement.startswith("F >= ")
    assert lower(proof) < best_found(Problem(K=4, L=1, lam=0.02, d=2))


def test_mse_with_a_penalised_bias_is_exact_at_equal_counts():
    problem = Problem(K=4, n=2, L=1, lam=0.03, loss="mse", bias=0.3)
    proof = global_minimum(problem)
    assert (
        proof.check()
        and proof.statement == "dnc is a global minimum"
        and lower(proof) == pytest.approx(value(structures.dnc(problem)), rel=1e-14)
    )
    assert not global_minimum(Problem(K=4, L=2, lam=0.03, loss="mse", bias=0.3)).holds


def test_an_infeasible_dual_is_refused():
    problem = Problem(K=4, n=(4, 3, 2, 1), L=1, lam=0.02)
    proof = global_minimum(problem)
    for change in ({"shrink": "1.001"}, {"shrink": "0.9999999999999999"}, {"mix": "-1"}):
        numbers = {**proof.data["witness"], **change}
        if change.get("shrink", "").startswith("0.99"):
            numbers["A"] = [[repr(1.0001 * float(x)) for x in row] for row in numbers["A"]]
        data = {key: v for key, v in proof.data.items() if key != "digest"} | {"witness": numbers}
        assert not certify_data("dual", sealed(data), "bound", "planted").holds


# K = 2


@pytest.mark.parametrize("L", [1, 2, 3, 6])
@pytest.mark.parametrize("n", [1, 3, (5, 1), (40, 3)])
@pytest.mark.parametrize("loss", ["ce", "label_smoothing(0.2)"])
def test_two_classes_agree_with_descents(L, n, loss):
    for lam in (0.01, 0.08):
        problem = Problem(K=2, n=n, L=L, lam=lam, loss=loss, d=2)
        proof = global_minimum(problem)
        assert proof.check()
        zero = value(structures.zero(problem))
        assert min(best_found(problem, 4), zero) == pytest.approx(lower(proof), abs=1e-10)
        assert (proof.statement == "zero is a global minimum") == (lower(proof) > zero - 1e-12)


@pytest.mark.parametrize("L, n", [(2, 1), (3, 4), (8, 2)])
def test_two_classes_change_hands_at_the_takeover(L, n):
    def leads(lam):
        proof = global_minimum(Problem(K=2, n=n, L=L, lam=lam))
        assert proof.check()
        return proof.statement == "dnc is a global minimum"

    low, high = 1e-4, 2.0
    for _ in range(36):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if leads(middle) else (low, middle)
    assert high / low - 1 < 1e-9 and leads(low) and not leads(high)
    problem = Problem(K=2, n=n, L=L, lam=low)
    assert value(structures.dnc(problem)) == pytest.approx(np.log(2), abs=1e-8)


def test_a_bias_is_allowed_for_two_equal_classes_only():
    problem = Problem(K=2, n=2, L=2, lam=0.03, bias=0.1)
    assert lower(global_minimum(problem)) == pytest.approx(best_found(problem), abs=1e-10)
    assert not global_minimum(replace(problem, n=(2, 1))).holds


# MSE


@pytest.mark.parametrize("L, takeover", [(2, 0.595275390), (3, 0.544331054), (4, 0.525916472)])
def test_mse_changes_hands_at_the_closed_form(L, takeover):
    with balls.precision(200):
        p = balls.ball(Fraction(2, L + 1))
        best = 2 * (1 - p) / (2 - p)
        C = (1 - best) * best ** (1 - p) / p
    assert balls.to_float(C) == pytest.approx(takeover, abs=1e-8)
    K, n = 5, 3
    for side, name in ((-1, "dnc"), (1, "zero")):
        for distance in (1e-1, 1e-6, 1e-10, 1e-13):
            lam = balls.to_float(C) / K * 2 / (L + 1) / n ** (1 / (L + 1)) * (1 + side * distance)
            proof = global_minimum(Problem(K=K, n=n, L=L, lam=lam, loss="mse"))
            assert proof.check() and proof.arithmetic == "exact" and proof.statement == f"{name} is a global minimum", (
                distance,
                proof,
            )


def test_a_tie_of_mse_is_a_tie():
    proof = global_minimum(Problem(K=2, n=2, L=1, lam=np.sqrt(2) / 4), lam="2**(1/2)/4")
    assert not proof.holds and "too close" in proof.why
    proof = global_minimum(Problem(K=2, L=1, lam=0.5, loss="mse"))
    assert proof.check() and proof.statement == "zero is a global minimum" and proof.margin is None


@pytest.mark.parametrize("seed", range(12))
def test_mse_agrees_with_the_list_of_all_critical_points(seed):
    rng = np.random.default_rng(seed)
    K, L = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    n = tuple(int(x) for x in rng.integers(1, 9, K))
    lam = tuple(float(f"{x:.3g}") for x in 10 ** rng.uniform(-3, -0.5, L + 1))
    problem = Problem(
        K=K,
        n=n,
        L=L,
        lam=lam,
        loss="mse",
        d=int(rng.integers(1, K + 2)),
        bias=0 if len(set(n)) == 1 and rng.integers(2) else None,
    )
    proof, best = global_minimum(problem), mse_families(problem)[0]
    assert proof.check() and proof.statement == f"{best.name} is a global minimum"
    assert lower(proof) == pytest.approx(best.fun, abs=1e-14) == lower(bound(problem))


# Lower bounds


def random_logits(rng, K):
    """Gaussian, low rank, spherical, simplex-like and pair-like matrices with columns that sum to zero."""
    S, kind, r = np.eye(K) - 1 / K, rng.integers(5), rng.integers(1, K)
    X = rng.normal(size=(K, r))
    pairs = np.zeros((K, K))
    pairs[: K // 2 * 2, : K // 2 * 2] = np.kron(np.eye(K // 2), [[1, -1], [-1, 1]])
    sphere = X / np.linalg.norm(X, axis=1, keepdims=True)
    noise = rng.normal(size=(K, K)) * 10 ** rng.uniform(-4, 0)
    Z = S @ (rng.normal(size=(K, K)), X @ rng.normal(size=(r, K)), sphere @ sphere.T, S + noise, pairs + noise)[kind]
    return Z * 10 ** rng.uniform(-1.5, 1.7) / max(np.linalg.norm(Z, 2), 1e-300)


@pytest.mark.parametrize("K", range(3, 9))
def test_the_inequalities_hold_for_random_matrices(K):
    rng, C, p = np.random.default_rng(K), 1e-9, Fraction(2, int(K % 4 + 2))
    points, losses, penalties = [], [], []
    for _ in range(500):
        Z = random_logits(rng, K)
        s = np.linalg.svd(Z, compute_uv=False)
        if s[0] < 1e-9:
            continue
        s = s[s > 1e-12 * s[0]]
        E = np.exp(Z - np.diag(Z)) * (1 - np.eye(K))
        points.append((s[0], s[1:].sum() / s[0], np.sqrt((s[1:] ** 2).sum()) / s[0]))
        losses.append(np.mean(np.log1p(E.sum(axis=0))))
        penalties.append(C * np.sum(s ** float(p)))
    low, loss, penalty = (
        covering.Bound(K, p, Interval.of(C), Interval.of(0.0), True),
        np.array(losses),
        np.array(penalties),
    )
    sides = [Interval(x, x) for x in np.array(points).T]
    found = low.lower(*sides)
    assert np.all(found <= (loss + penalty) * (1 + 1e-9) + 1e-18)
    assert np.all(C * low.penalty(*sides).lo <= penalty * (1 + 1e-9))
    assert np.max(found / (loss + penalty)) > 0.99


def test_the_bound_lies_below_every_point_and_above_the_float_one():
    problem = Problem(K=6, n=5, L=2, lam=1e-3)
    proof = bound(problem)
    best = min(best_found(problem, 2), value(structures.pairs(problem)))
    assert proof.check() and proof.statement == f"F >= {proof.data['lower']} for every Z"
    assert lower_bound(problem) < lower(proof) < best <= lower(proof) + proof.margin + 1e-12
    wrong = {**{k: v for k, v in proof.data.items() if k != "digest"}, "lower": str(lower(proof) * 1.001)}
    assert "at one point" in certify_data("bound", sealed(wrong), "bound", "planted").why


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "arguments",
    [
        {"K": 3, "L": 2, "lam": 0.05},
        {"K": 4, "n": 3, "L": 3, "lam": 0.01},
        pytest.param({"K": 5, "L": 5, "lam": (0.01,) * 5 + (0.3,)}, marks=pytest.mark.slow),
    ],
)
def test_a_covering_shows_what_it_says(arguments):
    problem = Problem(**arguments)
    function = covering.Bound.of(model(problem))
    found = covering.least(function, np.log(problem.K), 0.01)
    assert covering.cover(function, repr(found * (1 - 1e-9))) > 0
    assert lower_bound(problem) * 0.99 <= found < best_found(problem, 3)
    with pytest.raises(Rejected, match="at one point"):
        covering.cover(function, repr(found * 1.02))


def test_the_float_bound_uses_that_low_rank_fits_badly():
    problem = Problem(K=6, L=2, lam=0.01)
    assert symmetrised(problem) < 0.97 * lower_bound(problem) < lower_bound(problem) < value(structures.pairs(problem))


@pytest.mark.parametrize(
    "arguments",
    [{"bias": 0.1}, {"bias": 0}, {"loss": "label_smoothing(0.1)"}, {"loss": "label_smoothing(0.3)", "bias": 0.2}],
)
def test_bias_and_smoothing_leave_the_spectral_bound(arguments):
    problem = Problem(K=5, L=2, lam=0.01, **arguments)
    proof = bound(problem)
    assert (
        proof.check()
        and lower(proof) == pytest.approx(lower_bound(problem), rel=2e-4)
        and lower(proof) < best_found(problem, 3)
    )


# Refusals and tampering


def test_what_is_not_proved_is_refused_with_a_reason():
    assert "bound" in global_minimum(Problem(K=4, L=2, lam=0.02)).why
    assert "convex" in global_minimum(Problem(K=4, L=1, lam=0.02, loss="focal")).why
    assert "equal counts" in bound(Problem(K=4, n=(1, 2, 3, 4), L=2, lam=0.02)).why
    fake = Loss.from_function(lambda Z, Y: ((Z - Y) ** 4).sum(axis=0), "mse", convex=True)
    assert "mse" in global_minimum(Problem(K=4, L=2, lam=0.02, loss=fake)).why
    with pytest.raises(ValueError, match="L=1"):
        global_minimum(Problem(K=4, L=2, lam=0.02), witness="cvxpy")
    with pytest.raises(ValueError, match="linear"):
        global_minimum(Problem(K=4, L=2, lam=0.02, activation="relu"))
    with pytest.raises(ValueError, match="witness must be one of cvxpy, minimize"):
        global_minimum(Problem(K=4, L=1, lam=0.02), witness="gurobi")


PROOFS = (
    (global_minimum, {"K": 3, "n": (2, 1, 1), "L": 1, "lam": 0.02, "bias": 0.5}),
    (global_minimum, {"K": 4, "n": 2, "L": 1, "lam": 0.02}),
    (global_minimum, {"K": 2, "n": 2, "L": 3, "lam": 0.02}),
    (global_minimum, {"K": 3, "n": (1, 2, 2), "L": 2, "lam": (0.01, 0.02, 0.03), "loss": "mse"}),
    (bound, {"K": 4, "L": 2, "lam": 0.02, "bias": 0.5}),
)


@pytest.mark.parametrize("make, arguments", PROOFS)
def test_a_changed_digit_is_seen(make, arguments):
    proof = make(Problem(**arguments))
    assert proof.check()
    for data in changed(proof.data):
        forged = replace(proof, data=data)
        assert not forged.check()
        assert not forged.signed().check(), data


def changed(node):
    """Copies of nested data with one digit of one entry changed: the first and the last of every text and number."""
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(len(node)):
            for other in changed(node[key]):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = other
                yield copy
    elif isinstance(node, (str, int)) and not isinstance(node, bool):
        places = [i for i, c in enumerate(str(node)) if c.isdigit()]
        for i in {places[0], places[-1]} if places else ():
            other = str(node)[:i] + str((int(str(node)[i]) + 1) % 10) + str(node)[i + 1 :]
            yield other if isinstance(node, str) else int(other)


@pytest.mark.parametrize("statement", ["zero is a global minimum", "dnc is a global minimum", "F >= 1 for every Z"])
@pytest.mark.parametrize("make, arguments", PROOFS)
def test_no_other_statement_passes(make, arguments, statement):
    proof = make(Problem(**arguments))
    for other in (replace(proof, statement=statement), replace(proof, margin=1.0), replace(proof, kind="theorem")):
        if other.statement != proof.statement or other.margin != proof.margin or other.kind != proof.kind:
            assert not other.signed().check()


def test_data_sealed_again_still_have_to_prove_it():
    proof = global_minimum(Problem(K=2, n=2, L=3, lam=0.02))
    data = {key: v for key, v in proof.data.items() if key != "digest"}
    data["problem"] = {**data["problem"], "lam": ["0.5"] * 4}
    forged = replace(proof, data=sealed(data))
    assert not forged.signed().check()


def test_the_bracket_contains_the_value_of_its_witness():
    problem = Problem(K=4, n=(4, 3, 2, 1), L=1, lam=0.02, bias=0.0)
    point = witness_point(problem, "minimize")
    with balls.precision(160):
        low, high, _ = dual.bracket(model(problem), witness_data(point, 1e-14))
    assert balls.to_float(low) <= value(point) + 1e-14 and balls.to_float(high) == pytest.approx(
        value(point), abs=1e-14
    )
