"""ReLU does not raise the nuclear norm of a matrix with two columns.

Proof. |A|_* = (1/2) min over M > 0 of tr(M^-1 A'A) + tr M. Let P = M^-1 and (x, y) a row of A.
P_12 <= 0: (x, y) P (x, y)' >= (x+, y+) P (x+, y+)', since what ReLU removes was a square or a product of unlike signs.
P_12 > 0:  put P' = diag(1/M_11, 1/M_22), with the same tr P'^-1 = tr M. A row of unlike signs, say y < 0 < x, costs at
least min_y (x, y) P (x, y)' = x^2/M_11; one of like positive signs P_11 x^2 + P_22 y^2 + 2 P_12 x y >= x^2/M_11 +
y^2/M_22. So to every M for A there is one for s(A) that costs no more. [[1, -1], [-1, 1]] has equality.
"""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm.numerics.seeds import generator, seed_sequence

THREE = ((2, -1, 0), (2, 0, 1), (0, 2, 2))
"""Three columns whose nuclear norm ReLU raises by 4 per cent."""


def integers(case) -> np.ndarray:
    """Random integer matrices (count, rows, K), entries from -size to size, as Python integers; with THREE first where
    K >= 3."""
    draw = generator(seed_sequence(case.rng))
    A = draw.integers(-case.size, case.size + 1, (case.count, case.rows, case.K))
    if case.K >= 3 and case.rows >= 3:
        A[0] = 0
        A[0, :3, :3] = THREE
    return A.astype(object)


def raised(A, B) -> int:
    """How many of the integer pairs, both (..., m, 2), have |B|_* > |A|_*, decided in integers.

    |A|_*^2 = |A|_F^2 + 2 sqrt(det A'A), so with f = |A|_F^2 - |B|_F^2 the question is whether 2 sqrt(det B'B) > f + 2
    sqrt(det A'A); squared once where f >= 0, and with the root of B on the other side where f < 0.
    """
    f, DA, DB = size2(A) - size2(B), det2(A), det2(B)
    up, down = 4 * (DB - DA) - f * f, 4 * (DA - DB) - f * f
    smaller = np.where(
        (f >= 0).astype(bool), (up <= 0) | (up * up <= 16 * f * f * DA), (down >= 0) & (down * down >= 16 * f * f * DB)
    )
    return int(np.sum(~smaller.astype(bool)))


def size2(A):
    return np.sum(A * A, axis=(-2, -1))


def det2(A):
    """det A'A of (..., m, 2)."""
    x, y = A[..., 0], A[..., 1]
    return np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1) - np.sum(x * y, axis=-1) ** 2


def steps(count: int, size: int, draw, swap: bool = False) -> int:
    """How many of random integer (M > 0, row) break the step of the proof, in integers: det M times both sides, times
    M_11 M_22."""
    a, c = draw.integers(1, size + 1, (2, count)).astype(object)
    b, x, y = draw.integers(-size, size + 1, (3, count)).astype(object)
    keep = (a * c > b * b).astype(bool)
    a, b, c, x, y = (v[keep] for v in (a, b, c, x, y))
    u, v, det = np.maximum(x, 0), np.maximum(y, 0), a * c - b * b
    before = (c * x * x - 2 * b * x * y + a * y * y) * a * c
    same = (c * u * u - 2 * b * u * v + a * v * v) * a * c
    split = (u * u * c + v * v * a) * det
    after = np.where(((b > 0) if not swap else (b < 0)).astype(bool), same, split)
    return int(np.sum((before < after).astype(bool)))


def nuclear(A) -> np.ndarray:
    return np.linalg.svd(np.asarray(A, dtype=float), compute_uv=False).sum(axis=-1)


def check(case):
    A = integers(case)
    B = np.maximum(A, 0)
    A, B = (B, A) if case.get("swapped") else (A, B)
    if case.K == 2:
        yield Evidence(
            raised(A, B), "==", 0, strength="exact", note=f"integer matrices whose nuclear norm rises, of {case.count}"
        )
        draw = generator(seed_sequence(case.rng))
        bad = steps(case.count, case.size, draw, case.get("branch") == "other")
        yield Evidence(bad, "==", 0, strength="exact", note="integer rows that break a step of the proof")
    else:
        before, after = nuclear(A), nuclear(B)
        worst = float(np.max(after / np.where(before > 0, before, 1.0)))
        yield Evidence(worst, "<=", 1.0, 1e-12, note="largest |s(A)|_*/|A|_*")


CLAIM = Claim(
    id="sml23:lemma",
    title="With two columns ReLU does not raise the nuclear norm",
    statement=(
        "|s(A)|_* <= |A|_* for every real matrix A with two columns, with equality for [[1, -1], [-1, 1]]; false for"
        " every number of columns from three on (with [[2, -1, 0], [2, 0, 1], [0, 2, 2]] the norm rises by 4 per cent)."
    ),
    source="sml23",
    hypotheses={"two columns": lambda c: c.K == 2},
    check=check,
    cases=grid(K=2, rows=[1, 2, 3, 8], size=[1, 3, 50], count=400, rng=[0, 1]),
    controls=[
        *grid(K=[3, 4, 7], rows=[3, 6], size=2, count=20, rng=0),
        planted("the two sides are exchanged", K=2, rows=3, size=3, count=400, rng=0, swapped=True),
        planted("the two branches of the proof are exchanged", K=2, rows=3, size=3, count=400, rng=0, branch="other"),
        Case(K=3, rows=3, size=1, count=1, rng=0),
    ],
    scope=(
        "proved for all real matrices in the module's docstring; the cases check it, and the step of the proof, on"
        " random integers in integer arithmetic"
    ),
)
