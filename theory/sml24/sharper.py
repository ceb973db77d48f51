"""Two codes found here, of three and of seven classes: with four layers or more DNC is globally optimal for two classes
only.

Three classes, L >= 4. Class 1 is at both of two neurons, A = [[a, 1, 0], [a, 0, 1]], and W = [[q, -q], [-q, q], [p,
p]]:

    W A = [[0, q, -q], [0, -q, q], [2ap, p, p]],    s(W A) = [[0, q, 0], [0, 0, q], [2ap, p, p]],

which can be inverted; A has rank 2, so every further layer costs a projection, |.|^2 = 2, where collapse pays 3. |A|_*
= 1 + sqrt(1 + 2a^2). With s = p^2/q^2,

    3^(L+1) rho^(L+1) = |A|_*^2 2^(L-3) (4 + 2s) ((1 + 2s)/(4 a^2 s) + 2);  a^2 = 39/50, s = 1/2:
        rho^5 = 0.91304... at L = 4.

Seven classes, L = 3. Neurons 0, 1, 2, 3; class 1 is at 0 (20), classes 2 to 4 at 0 (12) and i (18), classes 5 to 7 at
two of 1, 2, 3 (15 each). W has the rows (-6, 4, 4, 4), (6, 4, -4, -4) and (0, -5, 5, 5), the last two with 1, 2, 3 in
turn: W A has rank 4, s(W A) has rank 7.

    rho^4 = |A|_*^2 |W|^2 |s(WA)^-1|^2/7^4 = 0.9418..., |A|_* = 2 sqrt(549) + sqrt(2056 + 2 sqrt(878400)).
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np

from theory.claim import Claim, Evidence, grid, planted
from theory.sml24 import chains
from ufm.objectives.factors import value
from ufm.problem import Problem
from ufm.structures import relu_collapse

A2, S, ROOT = Fraction(39, 50), Fraction(1, 2), Fraction(8, 5)
"""Of three classes: a^2, p^2/q^2 and sqrt(1 + 2 a^2)."""
SEVEN = (
    (20, 12, 12, 12, 0, 0, 0),
    (0, 18, 0, 0, 15, 15, 0),
    (0, 0, 18, 0, 15, 0, 15),
    (0, 0, 0, 18, 0, 15, 15),
)
TURN = ((-6, 4, 4, 4), (6, 4, -4, -4), (6, -4, 4, -4), (6, -4, -4, 4), (0, -5, 5, 5), (0, 5, -5, 5), (0, 5, 5, -5))
ROUNDING = 1e-12


def three_power(L: int, rank: int = 2) -> Fraction:
    """rho^(L+1) of the three classes, L >= 3; `rank` is what a further layer costs."""
    return (1 + ROOT) ** 2 * rank ** (L - 3) * (4 + 2 * S) * ((1 + 2 * S) / (4 * A2 * S) + 2) / Fraction(3) ** (L + 1)


def three_chain(L: int) -> list[np.ndarray]:
    a, q, p = float(A2) ** 0.5, 1.0, float(S) ** 0.5
    return chains.chain(np.array([[a, 1.0, 0.0], [a, 0.0, 1.0]]), [np.array([[q, -q], [-q, q], [p, p]])], L)


@functools.cache
def seven_power(turn=TURN) -> Fraction:
    """A rational upper bound of rho^4 of the seven classes, its square roots rounded up."""
    nuclear = 2 * root_above(Fraction(549)) + root_above(2056 + 2 * root_above(Fraction(878400)))
    features = [
        [max(0, sum(w * a for w, a in zip(row, column, strict=True))) for column in zip(*SEVEN, strict=True)]
        for row in turn
    ]
    inverse = inverted(features)
    return nuclear**2 * sum(w * w for row in turn for w in row) * sum(v * v for row in inverse for v in row) / 7**4


def seven_chain() -> list[np.ndarray]:
    return chains.chain(np.array(SEVEN, dtype=float), [np.array(TURN, dtype=float)], 3)


def root_above(x: Fraction, digits: int = 8) -> Fraction:
    """A decimal fraction r >= sqrt(x) within 10^-digits."""
    return Fraction(math.isqrt(math.ceil(x * 10 ** (2 * digits))) + 1, 10**digits)


def inverted(M) -> list[list[Fraction]]:
    """The inverse of a square matrix of integers, in fractions; ValueError where there is none."""
    size = len(M)
    rows = [[Fraction(v) for v in row] + [Fraction(int(i == j)) for j in range(size)] for i, row in enumerate(M)]
    for c in range(size):
        pivot = next((i for i in range(c, size) if rows[i][c]), None)
        if pivot is None:
            raise ValueError(f"the matrix must be invertible; its column {c} depends on those before.")
        rows[c], rows[pivot] = rows[pivot], rows[c]
        rows[c] = [v / rows[c][c] for v in rows[c]]
        rows = [
            row if i == c else [v - row[c] * w for v, w in zip(row, rows[c], strict=True)] for i, row in enumerate(rows)
        ]
    return [row[size:] for row in rows]


def check(case):
    """rho below 1 in fractions, and explicit weights below every collapsed point at the case's lam."""
    L = case.L
    if case.get("code", "three" if L >= 4 else "seven") == "three":
        yield Evidence(
            three_power(L, case.get("rank", 2)), "<", 1, strength="exact", note="rho^(L+1) of the three-class code"
        )
        chain = three_chain(L)
        yield Evidence(
            chains.rho(chain) ** (L + 1), "==", float(three_power(L)), ROUNDING, note="of the explicit weights"
        )
    else:
        turn = TURN if not case.get("turned") else tuple(tuple(-w for w in row) for row in TURN[:1]) + TURN[1:]
        yield Evidence(seven_power(turn), "<", 1, strength="exact", note="rho^4 of the seven-class code, rounded up")
        chain = seven_chain()
        yield Evidence(chains.rho(chain) ** 4, "==", float(seven_power()), 1e-7, note="of the explicit weights")
    yield from below(case.problem(loss="mse", activation="relu"), [chain])


def below(problem: Problem, codes):
    """F of explicit weights: as the formula says, and below DNC, partial fits and zero."""
    point = chains.point(problem, codes)
    F, bound = value(point), chains.best_collapsed(problem)
    yield Evidence(
        F,
        "==",
        chains.loss(problem, codes),
        ROUNDING,
        note="F of the weights, K_0/K f(rho kappa) summed over the codes",
    )
    yield Evidence(F, "<", bound, ROUNDING * bound, note="F of the weights, least F of collapsed points")


def sharper(K: int, L: int) -> bool:
    return (K >= 3 and L >= 4) or (K >= 7 and L == 3)


def kappa_below(case) -> bool:
    """Whether collapse costs less than zero."""
    problem = case.problem(loss="mse", activation="relu")
    return float(relu_collapse.kappa(problem)[0]) < relu_collapse.tau(problem.L)


CLAIM = Claim(
    id="sml24:sharper",
    title="DNC is not globally optimal for K >= 3, L >= 4, nor for K >= 7, L = 3",
    statement=(
        "ReLU, MSE, no bias, d >= K, any weights per factor with kappa < tau_L: a three-class code of rho^(L+1) ="
        " 0.91304... (2/3)^(L-4) for K >= 3, L >= 4, a seven-class code of rho^4 < 0.942 for K >= 7, L = 3, joined with"
        " DNC on the other classes, cost less than any collapsed point. With sml23: for L >= 4 DNC is globally optimal"
        " (at kappa < tau_L) if and only if K = 2."
    ),
    source="sml24, sharpened here",
    hypotheses={
        "K >= 3, L >= 4 or K >= 7, L = 3": lambda c: sharper(c.K, c.L),
        "d >= K": lambda c: np.min(c.d) >= c.K,
        "kappa < tau_L: zero is not optimal": kappa_below,
    },
    check=check,
    cases=[
        *grid(K=[3, 4, 6, 11], n=[1, 3], d=12, L=[4, 5, 8], lam=[1e-5, 1e-3]),
        *grid(K=[3, 5], n=1, d=[5, 9], L=4, lam=0.02),
        *grid(K=[7, 8, 13], n=[1, 2], d=13, L=3, lam=[1e-4, 2e-3]),
    ],
    controls=[
        *grid(K=[3, 5], n=1, d=6, L=3, lam=1e-3, code="three"),
        planted("further layers cost 3, as collapse pays", K=3, n=1, d=3, L=9, lam=1e-3, rank=3),
        planted("the first row of the turn has the other sign", K=7, n=1, d=7, L=3, lam=1e-3, turned=True),
    ],
    uses=("sml23:value",),
    scope=(
        "rho in fractions, hence all K, L and weights stated; explicit weights at lam from 1e-5 to 0.02. "
        "L = 3 with 3 to 6 classes and L = 2 with 3 and more are left open"
    ),
)
