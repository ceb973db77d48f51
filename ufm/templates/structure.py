"""A structure: the classes at the corners of a cube, K = 2^m, m >= 3.

    Z = a E (x) 1_n',   E = V V',   V = corners of (-1, 1)^m over sqrt(K),   rank m.

Reflections and exchanges of axes leave Z as it is, so that only its scale a is unknown (`ufm.structures.idempotent`).
Replace the formula; `ufm.structures.structure` says what else a structure may state: when it exists, how class logits
are recognised, its colour, its enclosure for proofs.
"""

from __future__ import annotations

import itertools

import numpy as np

from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import Structure
from ufm.structures.idempotent import one_mode


def example(problem: Problem) -> LogitPoint:
    """The point of exact rank m on the large root of its scale equation.

    >>> example(Problem(K=8, L=3, lam=1e-4)).rank
    3

    Raises ValueError with the reason where it does not exist: K no power of 2 from 8 on, and as `one_mode` does.
    """
    axes = problem.K.bit_length() - 1
    if axes < 3 or problem.K != 2**axes:
        raise ValueError(f"example needs K = 8, 16, 32, ...; got K={problem.K}.")
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=axes)))
    return one_mode(problem, corners / np.sqrt(problem.K), "example", "large")


EXAMPLE = Structure("example", "Z = a V V' (x) 1', V the corners of a cube over sqrt(K), rank m, K = 2^m", example)
