"""The least rank of a diagonally superior matrix, in exact arithmetic."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

from theory.claim import Claim, Evidence, grid, planted


def least_rank(K: int) -> int:
    """q_K = 1 for K = 2, 2 for K >= 3."""
    return 1 if K == 2 else 2


def construction(K: int, r: int) -> tuple[list, list]:
    """(A, B) with r columns of fractions each, K rows: M = A B'. r >= 2: distinct rational points of the circle, A = B.

    r = 1: A = B = (1, -1, 0, -1/3, -1/2, ...).
    """
    if r == 0:
        return [[] for _ in range(K)], [[] for _ in range(K)]
    if r == 1:
        rows = [[Fraction(1)], [Fraction(-1)], *([Fraction(2 - c, c)] for c in range(2, K))][:K]
        return rows, rows
    slopes = [Fraction(2 * c - K + 1, K) for c in range(K)]
    rows = [[(1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)] for t in slopes]
    return rows, rows


def product(A, B) -> list:
    """A B' in fractions."""
    return [[sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in B] for row in A]


def rank(M) -> int:
    """Rank by elimination in fractions."""
    rows, found = [list(row) for row in M], 0
    for j in range(len(M[0])):
        pivot = next((i for i in range(found, len(rows)) if rows[i][j]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            share = rows[i][j] / rows[found][j]
            rows[i] = [a - share * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def superior_columns(M) -> int:
    """In how many columns c the entry of row c is strictly the largest."""
    return sum(all(M[c][c] > M[k][c] for k in range(len(M)) if k != c) for c in range(len(M)))


def most_at_rank_one(K: int, rng: int) -> int:
    """The most superior columns of u v': column c has the order of u or its reverse, so that c must be the only maximum
    or the only minimum of u.

    All orders of u with ties for K <= 6 (as maps to 0..K-1), with v_c of either sign or 0; ten thousand seeded ones
    beyond, for the argument needs no search.
    """
    draw = random.Random(rng)
    orders = (
        itertools.product(range(K), repeat=K)
        if K <= 6
        else ([draw.randrange(K) for _ in range(K)] for _ in range(10_000 // K))
    )
    most = 0
    for u in orders:
        top, low = max(u), min(u)
        most = max(most, (u.count(top) == 1) + (u.count(low) == 1) if top > low else 0)
    return most


def check(case):
    """At rank q a superior matrix in fractions; at rank q - 1 fewer than K superior columns, whatever the matrix."""
    K, q = case.K, case.get("q", least_rank(case.K))
    M = product(*construction(K, q))
    yield Evidence(rank(M), "<", q + 1, strength="exact", note="rank of the construction")
    yield Evidence(superior_columns(M), ">", K - 1, strength="exact", note=f"columns superior at rank {q}")
    bound = (
        0 if q == 1 else most_at_rank_one(K, case.rng) if q == 2 else superior_columns(product(*construction(K, q - 1)))
    )
    yield Evidence(bound, "<", K, strength="exact", note=f"most columns superior at rank {q - 1}")


CLAIM = Claim(
    id="gk25:qk",
    title="The least rank of a diagonally superior matrix is 1 for K = 2 and 2 for K >= 3",
    statement=(
        "q_2 = 1, q_K = 2 for K >= 3. Gram matrices of distinct points on the circle have rank 2 and a strict maximum"
        " on the diagonal of each column. In u v' column c is superior only if u_c is the only maximum (v_c > 0) or the"
        " only minimum (v_c < 0) of u: for two classes at most."
    ),
    source="gk25, Section 4",
    hypotheses={"K >= 2": lambda c: c.K >= 2},
    check=check,
    cases=grid(K=[*range(2, 21), 40], rng=0),
    controls=[
        *[planted("rank 1 is said to suffice", K=K, q=1, rng=0) for K in (3, 4, 10)],
        *[planted("rank 2 is said not to suffice", K=K, q=3, rng=0) for K in (3, 7)],
        planted("rank 2 is said to be needed for two classes", K=2, q=2, rng=0),
    ],
    scope="the construction at every declared K; rank 1 by the argument, and by all orders of u with ties for K <= 6",
)
