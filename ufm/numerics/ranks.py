"""Ranks of a matrix read off its singular values: no single number says what `the rank` of a trained matrix is.

With s = (s_1 >= s_2 >= ... >= 0) and |s| = (sum s_i^2)^(1/2), the Frobenius norm:

    numerical      #{s_i > tol |s|}
    stable         |s|^2 / s_1^2
    effective      exp(-sum q_i log q_i),  q_i = s_i / sum s_j
    nuclear        sum s_i / s_1
    participation  (sum s_i^2)^2 / sum s_i^4

The last four are smooth, lie between 1 and the rank, and equal it when all nonzero s_i are equal. Every one
is 0 for the zero matrix, and unchanged when the matrix is scaled.

Source: the numerical rank as in gsgp22 (singular values of W/|W|), the effective rank as in roy07.
"""

from __future__ import annotations

import numpy as np

from ufm.numerics import arguments

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-6)


def numerical_rank(s, tol: float = 1e-3) -> int:
    """#{s_i > tol |s|}, with |s| the Frobenius norm. s: singular values (r,) in any order; tol >= 0.

    >>> numerical_rank([3.0, 4.0, 1e-4], 1e-3)
    2
    """
    s, tol = _values(s), arguments.nonnegative("tol", tol)
    return int(np.sum(s > tol * np.linalg.norm(s)))


def stable_rank(s) -> float:
    """|s|^2 / s_1^2, between 1 and the rank. s: singular values (r,).

    >>> stable_rank([2.0, 2.0, 0.0])
    2.0
    """
    q = _relative(s)
    return float(np.sum(q**2))


def effective_rank(s) -> float:
    """exp of the entropy of q_i = s_i / sum s_j. s: singular values (r,). Source: roy07.

    >>> round(effective_rank([5.0, 5.0, 5.0, 0.0]), 12)
    3.0
    """
    q = _relative(s)
    q = q[q > 0] / max(np.sum(q), 1.0)
    return float(np.exp(-np.sum(q * np.log(q)))) if len(q) else 0.0


def nuclear_rank(s) -> float:
    """sum s_i / s_1, the nuclear norm over the operator norm. s: singular values (r,).

    >>> nuclear_rank([2.0, 1.0])
    1.5
    """
    return float(np.sum(_relative(s)))


def participation_rank(s) -> float:
    """(sum s_i^2)^2 / sum s_i^4. s: singular values (r,).

    >>> participation_rank([1.0, 1.0])
    2.0
    """
    q = _relative(s) ** 2
    return float(np.sum(q) ** 2 / np.sum(q**2)) if np.any(q) else 0.0


def all_ranks(s, tolerances=TOLERANCES) -> dict:
    """Every rank above as a dict for JSON: numerical {tol: count}, stable, effective, nuclear, participation.

    >>> all_ranks([1.0, 1.0], tolerances=(1e-3,))["numerical"]
    {'0.001': 2}
    """
    smooth = {"stable": stable_rank(s), "effective": effective_rank(s)}
    smooth |= {"nuclear": nuclear_rank(s), "participation": participation_rank(s)}
    return {"numerical": {f"{tol:g}": numerical_rank(s, tol) for tol in tolerances}, **smooth}


def _values(s) -> np.ndarray:
    s = arguments.array("s", s, ndim=1)
    if np.any(s < 0):
        raise ValueError(f"s must hold singular values, none negative; the least is {s.min():g}.")
    return s


def _relative(s) -> np.ndarray:
    """s / s_1, or zeros: free of overflow and underflow."""
    s = _values(s)
    top = s.max(initial=0.0)
    return s / top if top > 0 else np.zeros_like(s)
