"""Theorems for all K and L: the integer sets, the constructions behind them, and proofs that must fail."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flint")

from ufm.certificates.check import Rejected, theorems
from ufm.certificates.check import check as run_check
from ufm.certificates.theorems import CORNERS, THEOREMS, theorem

MINIMAL_RELU = {4: (14, 15), 5: (10, 11), 6: (8, 9), 7: (8, 9), 8: (6, 7), 9: (6, 7), 12: (6, 7)}


def holds(name, K, L):
    return any(K >= K0 and L >= L0 for K0, L0 in CORNERS[name])


def test_theorems_hold_for_all_K_and_L():
    for name in THEOREMS:
        for exact in (False, True):
            certificate = theorem(name, exact=exact)
            assert (
                certificate.holds
                and certificate.check()
                and certificate.arithmetic == "exact"
                and certificate.kind == "theorem"
            )
            assert json.loads(json.dumps(certificate.to_dict()))["data"] == certificate.data


def test_theorem_one_is_the_papers_set():
    """4 m^D < (2m - 1)^D, against its real-number form m > 1/(2 - 2^(2/D))."""
    for K in range(2, 60):
        for L in range(1, 30):
            left, right = theorems.sides("gk25:thm1", K, L)
            m = K // 2
            assert (
                (left < right)
                == (4 * m ** (L + 1) < (2 * m - 1) ** (L + 1))
                == (m * (2 - 2 ** (2 / (L + 1))) > 1)
                == holds("gk25:thm1", K, L)
            )
            assert (left < right) == ((K >= 6 and L == 2) or (K >= 4 and L >= 3))


def test_relu_frontier_by_parity():
    for L, least in MINIMAL_RELU.items():
        for parity, expected in enumerate(least):
            won = [
                K
                for K in range(2 + parity, 60, 2)
                if theorems.sides("gk25:thm7", K, L)[0] < theorems.sides("gk25:thm7", K, L)[1]
            ]
            assert won == list(range(expected, 60, 2))
    assert all(a > b for L in (2, 3) for K in range(2, 200) for a, b in [theorems.sides("gk25:thm7", K, L)])


def test_relu_sides_are_the_known_inequalities():
    for K in range(2, 40):
        for L in range(2, 14):
            left, right = theorems.sides("gk25:thm7", K, L)
            if K % 2 == 0:
                a, b = 2 ** (L + 1) * (K + 2) ** (L - 2) * K**3, (K - 1) ** (L + 1) * 4 ** (L - 1)
            else:
                a, b = (
                    (2 * K + 6) ** (L + 1) * (2 * K - 1) * K**2,
                    (K - 1) ** (L + 1) * 4 ** (L - 1) * (2 * K + 6) * (K + 3) ** 2,
                )
            assert left * b == right * a


def relu_factors(K, L, n, rng):
    """(H_1, W_1, ..., W_L) of the construction, each scaled at random."""
    m, odd = K // 2, K % 2
    X = np.kron(np.eye(m), [[1.0, -1.0], [-1.0, 1.0]])
    last, y = X, np.ones(2 * m)
    if odd:
        X, last, y = (np.pad(M, ((0, 1), (0, 1))) for M in (X, X, np.ones((1, 2 * m))))
        X[-1, -1], last[-1, -1], y = 2.0, 1.0, y[0]
    Y = np.outer(y, y)
    values, V = np.linalg.eigh(X + Y)
    root = V * np.sqrt(np.clip(values, 0, None))
    c = rng.uniform(0.5, 2.0, size=L + 1)
    return [c[0] * np.repeat(root.T, n, axis=1), c[1] * root, *(c[l] * (X + Y / m) for l in range(2, L)), c[L] * last]


@pytest.mark.parametrize(
    ("K", "L"), [(2, 2), (3, 3), (6, 2), (6, 8), (7, 8), (8, 6), (9, 4), (14, 4), (15, 4), (11, 5)]
)
def test_relu_forward_pass_has_the_logits_and_the_penalty_of_the_proof(K, L):
    """relu(W_2 relu(W_1 H_1)) ... gives pairs of scale b, ReLU idle, and (A_0 ... A_L)/((K-1)^D n b^2) = R(K, L)."""
    rng, n = np.random.default_rng(K * 100 + L), 3
    factors = relu_factors(K, L, n, rng)
    H = factors[0]
    for W in factors[1:-1]:
        H = np.maximum(W @ H, 0)
    Z = factors[-1] @ H
    linear = np.linalg.multi_dot(factors[::-1]) if len(factors) > 2 else factors[1] @ factors[0]
    b = Z[0, 0]
    shape = np.kron(np.eye(K // 2), [[1.0, -1.0], [-1.0, 1.0]])
    shape = np.pad(shape, ((0, K % 2), (0, K % 2)))
    if K % 2:
        shape[-1, -1] = 1.0
    assert np.allclose(Z, b * np.repeat(shape, n, axis=1), atol=1e-9 * b) and np.allclose(Z, linear, atol=1e-9 * b)
    ratio = math.prod(float(np.sum(A**2)) for A in factors) / ((K - 1) ** (L + 1) * n * b**2)
    left, right = theorems.sides("gk25:thm7", K, L)
    assert ratio == pytest.approx(left / right, rel=1e-11)


@pytest.mark.parametrize("K", [4, 5, 9, 14])
def test_pairs_fit_better_at_equal_scale(K):
    """In logits, without the polynomials."""
    for b in (1e-3, 0.3, 2.0, 8.0):
        paired = math.log1p((K - 2) * math.exp(-b) + math.exp(-2 * b))
        lone = math.log1p((K - 1) * math.exp(-b))
        pairs = (2 * (K // 2) * paired + (K % 2) * lone) / K
        assert pairs < lone


def test_random_ranges_against_the_set():
    rng = np.random.default_rng(3)
    for name in THEOREMS:
        least_K, least_L = theorems.LEAST[name]
        for _ in range(60):
            K, L = (least_K + int(rng.integers(20)), None), (least_L + int(rng.integers(10)), None)
            K, L = ((low, low + int(rng.integers(9)) if rng.random() < 0.7 else None) for low, _ in (K, L))
            certificate = theorem(name, K=K, L=L)
            assert certificate.holds == holds(name, K[0], L[0]) and certificate.check() == certificate.holds
            listed = theorem(name, K=K, L=L, exact=True)
            assert (
                listed.holds and listed.check() and listed.data["claim"] == ("set" if None in (K[1], L[1]) else "list")
            )


@pytest.mark.parametrize(
    ("name", "K", "L"),
    [
        ("gk25:thm1", 5, 2),
        ("gk25:thm1", 4, 2),
        ("gk25:thm1", (10, None), 1),
        ("gk25:thm1", None, 1),
        ("gk25:thm1", 3, None),
        ("gk25:thm1", (5, 9), (2, 9)),
        ("gk25:thm7", 12, 4),
        ("gk25:thm7", 13, 4),
        ("gk25:thm7", None, 3),
        ("gk25:thm7", 5, 50),
    ],
)
def test_outside_the_set_nothing_is_proved(name, K, L):
    certificate = theorem(name, K=K, L=L)
    assert not certificate.holds and not certificate.check() and certificate.why


def test_statements():
    assert theorem("gk25:thm1", K=7).statement.endswith("for K = 7 with L = 2, and K = 7 with L >= 3")
    assert theorem("gk25:thm1", K=range(4, 201), L=range(2, 61), exact=True).statement.endswith(
        "K = 6..200 with L = 2 or K = 4..200 with L = 3..60"
    )
    assert theorem("gk25:thm7", K=(2, 9), L=(2, 3), exact=True).statement.endswith("exactly where never")
    assert theorem("gk25:thm1", K=10**9, L=10**9).check()


def test_tampering_is_seen():
    for original in (
        theorem("gk25:thm1"),
        theorem("gk25:thm7", exact=True),
        theorem("gk25:thm1", K=(4, 9), L=(2, 5), exact=True),
    ):
        assert original.check()
        assert not replace(original, statement=original.statement.replace("4", "3")).check()
        for change in (
            {"corners": [[5, 2], [4, 3]]},
            {"corners": [[4, 3]], "ranges": [[4, None, 2, None]]},
            {"ranges": [[2, None, 1, None]]},
            {"steps": original.data["steps"][:-1]},
            {"steps": []},
            {"claim": "everything"},
            {"theorem": "gk25:thm2"},
            {"ranges": []},
        ):
            with pytest.raises(Rejected):
                run_check("theorem", {**original.data, **change})


def test_a_wrong_corner_fails_even_with_its_own_steps():
    """The planted error: corners and steps consistent, the inequality false; and a frontier that is not the largest
    set."""
    for name, corners, claim in (
        ("gk25:thm1", [[5, 2], [4, 3]], "all"),
        ("gk25:thm7", [[12, 4]], "all"),
        ("gk25:thm1", [[8, 2], [4, 3]], "set"),
    ):
        K, L = corners[0]
        data = {
            "theorem": name,
            "claim": claim,
            "corners": corners,
            "ranges": [[K, None, L, None]],
            "steps": theorems.steps(name, corners, claim == "set"),
        }
        with pytest.raises(Rejected, match="a step fails"):
            run_check("theorem", data)


def test_a_false_factor_is_seen(monkeypatch):
    """The test of the test: with a factor that rises with K the argument no longer goes through."""
    rising = (((4,), (1,), (1, 0)), ((0, 2), (2, 1), (1, 1)))
    monkeypatch.setitem(theorems.FACTORS, "gk25:thm1", (rising, rising))
    assert not theorem("gk25:thm1").holds


def test_positivity_checks_can_fail():
    assert (
        theorems.positive_from([-3, 1], 4)
        and not theorems.positive_from([-3, 1], 3)
        and not theorems.positive_from([5, -1], 4)
    )
    assert (
        theorems.positive_inside([0, 1, -1])
        and not theorems.positive_inside([0, 1, -2])
        and not theorems.positive_inside([0, 0])
    )


def test_arguments():
    with pytest.raises(ValueError, match="gk25:thm1"):
        theorem("gk25:thm11")
    for bad in (
        {"K": 1},
        {"L": 0},
        {"K": 4.5},
        {"K": (9, 4)},
        {"K": range(4, 4)},
        {"K": range(4, 9, 2)},
        {"L": (1, 2, 3)},
        {"K": "four"},
        {"K": True},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            theorem("gk25:thm1", **bad)
