"""Binary codes split: K = 2^m classes are m bits, and cross-entropy of a product code is the sum of m two-class
problems.

Let h_1, ..., h_m in {-1, 1}^K read off the bits of the class number, and Z = sum_j b_j h_j h_j' (x) 1_n'. The logits of
two classes differ by 2 b_j summed over the bits in which they differ, so the softmax is a product over bits and

    F = sum_j [log(1 + e^(-2 b_j)) + (D/2) Lam (K |b_j| sqrt n)^(2/D)]:

each bit is the collapsed problem of two classes at lam n^(1/D) (K/2)^(2/D), of scale a = 2 b_j. So the algebra of the
h_j h_j' holds 3^m critical points of F (zero, small or large root per bit; 2^m at L = 1) where a two-class problem has
two roots, and they are critical for F itself.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import exists
from theory.related.deep_tools import READABLE, geometric_mean
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import dnc

GRADIENT = 1e-9
"""Of the ridge's own gradient."""


def bits(K: int) -> int:
    return K.bit_length() - 1


def one_bit(problem: Problem, power: float = 1.0) -> Problem:
    """Two classes at lam n^(1/D) (K/2)^(2/D). `power` other than 1 falsifies the exponent."""
    return Problem(
        K=2,
        n=1,
        L=problem.L,
        lam=problem.Lam * problem.n ** (1 / problem.D) * (problem.K / 2) ** (power * 2 / problem.D),
    )


def roots_of_a_bit(two: Problem) -> list[tuple[float, float]]:
    """(b, F of the two-class problem) for zero and for every root."""
    found = [(0.0, math.log(2))]
    for root in ("small", "large") if two.L > 1 else ("large",):
        point = dnc(two, root)
        found.append((point.scales[0] / 2, Stratum(point).fun))
    return found


def product_code(problem: Problem, b) -> LogitPoint:
    """Z = sum_j b_j h_j h_j', of rank the number of nonzero b_j."""
    K, m = problem.K, bits(problem.K)
    H = np.array([[1.0 - 2.0 * (c >> j & 1) for j in range(m)] for c in range(K)])
    order = [j for j in sorted(range(m), key=lambda j: -b[j]) if b[j] > 0]
    U = H[:, order] / math.sqrt(K)
    return LogitPoint(problem, U, K * math.sqrt(problem.n) * np.array([b[j] for j in order]), U)


def check(case):
    """F, gradient and number of all choices of a root per bit."""
    problem = case.problem()
    options = roots_of_a_bit(one_bit(problem, case.get("power", 1.0)))
    m, seen = bits(case.K), set()
    for choice in itertools.combinations_with_replacement(options, m):
        here = Stratum(product_code(problem, [b for b, _ in choice]))
        copies = math.factorial(m) // math.prod(math.factorial(choice.count(o)) for o in options)
        where = f"rank {here.point.rank}, {copies} labelled choices"
        yield Evidence(
            here.fun,
            "==",
            sum(F for _, F in choice),
            1e-11 * max(1.0, here.fun),
            note=f"{where}: F is the sum over bits",
        )
        yield Evidence(
            here.grad_norm,
            "<=",
            critical_below(here.ridge_norm, GRADIENT),
            0.0,
            note=f"{where}: critical for F in all parameters",
        )
        seen.add((tuple(np.round(np.log(here.point.s), 6)), copies))
    total = sum(copies for _, copies in seen)
    yield Evidence(
        total,
        "==",
        len(options) ** m,
        strength="exact",
        note=f"different critical points, {len(options)} roots per bit and {m} bits",
    )


def alive(case) -> bool:
    """Whether a bit has a nonzero root."""
    D = case.L + 1
    return exists(2, 1, case.L, geometric_mean(case.lam) * case.n ** (1 / D) * (case.K / 2) ** (2 / D) * (1 + 1e-9))


CLAIM = Claim(
    id="related:deep-bits",
    title="Product codes of K = 2^m classes are m independent two-class problems: 3^m critical points in closed form",
    statement=(
        "CE, K = 2^m, Z = sum_j b_j h_j h_j' over the bits: F is the sum of m collapsed two-class problems at lam"
        " n^(1/D) (K/2)^(2/D), and each of the 3^m choices of zero, small or large root per bit (2^m at L = 1) is"
        " critical for F in all parameters, wherever that problem has roots."
    ),
    source="gk25, Theorem 1",
    hypotheses=READABLE
    | {
        "K = 2^m": lambda c: c.K >= 2 and c.K & (c.K - 1) == 0,
        "CE": lambda c: c.get("loss", "ce") == "ce",
        "balanced": lambda c: isinstance(c.n, int),
        "wide enough": lambda c: (min(c.d) if isinstance(c.d, tuple) else c.d) >= bits(c.K),
        "a bit has a root": alive,
    },
    check=check,
    cases=[
        *grid(K=[2, 4, 8, 16], n=[1, 3], d=16, L=[1, 2, 5], lam=[1e-3, 1e-5]),
        Case(K=64, n=1, d=6, L=3, lam=1e-4),
        Case(K=8, n=2, d=(3, 5), L=2, lam=(4e-3, 1e-3, 2e-3)),
    ],
    controls=[
        planted("(K/2)^(2/D) is replaced by (K/2)^(1/D)", K=8, n=1, d=8, L=2, lam=1e-3, power=0.5),
        Case(K=8, n=1, d=8, L=2, lam=1e-3, loss="mse"),
    ],
    uses=("gk25:lemma1", "related:deep-scheme-softmax"),
    scope="every choice of roots up to the order of the bits",
)
