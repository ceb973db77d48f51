"""Theorem 1: where DNC cannot be a global minimum."""

from __future__ import annotations

from theory.claim import Claim, Evidence
from ufm.problem import Problem
from ufm.structures import dnc, pairs


def matched_scale(K: int, L: int) -> tuple[int, int]:
    """(left, right) of the integer form of m 2^(2/D) + [K odd] < K - 1, m = floor(K/2), D = L + 1.

    With c = K - 1 - [K odd] = 2m - 1, raised to the D-th power: 4 m^D < (2m-1)^D.
    """
    m, D = K // 2, L + 1
    return 4 * m**D, (2 * m - 1) ** D


def check(case) -> Evidence:
    """Pairs against DNC at the scale of DNC: penalty by integers; the fit of pairs is lower at equal scale for K >= 4."""
    K, L = case
    left, right = matched_scale(K, L)
    return Evidence(f"K={K} L={L}", float(left), "<", float(right), 0.0, "exact")


def in_float(K: int, L: int, lam: float) -> tuple[float, float]:
    """(F of pairs, F of DNC) at one lam, for the tests: the order that the integers imply."""
    from ufm.objectives.logits import value

    problem = Problem(K=K, L=L, lam=lam)
    return value(pairs(problem)), value(dnc(problem))


CLAIM = Claim(
    "gk25:thm1",
    "DNC is not globally optimal for K >= 4, L >= 3 and for K >= 6, L = 2",
    "At every lam at which DNC exists, pairs at its scale have smaller penalty and fit. Sufficient only: outside the set the order depends on lam.",
    "gk25, Theorem 1",
    check,
    lambda: [(K, L) for L in range(2, 13) for K in range(4 if L >= 3 else 6, 41)],
    lambda: [(4, 2), (5, 2), (2, 3), (3, 3), (3, 12), (10, 1), (40, 1)],
)
