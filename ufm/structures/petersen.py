"""Petersen: the code of rank 4 on ten classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.fits import Fit, Seen, least_squares, on_small_root
from ufm.structures.idempotent import one_mode
from ufm.structures.scales import helmert
from ufm.structures.structure import Structure

CLASSES = 10
"""Vertices of Petersen's graph: the pairs among five things."""


@own_numpy_state
def petersen(problem: Problem, root: str = "large") -> LogitPoint:
    """K = 10: Z = a E (x) 1_n', E = (A - 3)(A - 1)/15 with A Petersen's graph, rank 4, singular values a sqrt(n).

    E projects on the eigenspace of -2: its entries are 2/5 on the diagonal, -4/15 for the 3 neighbours and 1/15 for the
    6 others, two pairs of five things being neighbours where they are disjoint. Critical at the scale of
    `structures.idempotent`, by the symmetries of five things.

    Returns LogitPoint of exact rank 4; scales (a,). Raises ValueError as `circle`, and for other K.
    Source: bannai84 (the scheme), palais79 (symmetric criticality).
    """
    arguments.instance("problem", problem, Problem)
    arguments.choice("root", root, ("large", "small"))
    if problem.K != CLASSES:
        raise ValueError(f"petersen needs K = {CLASSES}; got K={problem.K}.")
    return one_mode(problem, frame(), "petersen", root)


def frame() -> np.ndarray:
    """Orthonormal columns (10, 4): the sum-zero vectors x on five things, seen as x_i + x_j on their pairs."""
    pairs = np.array([np.eye(5)[i] + np.eye(5)[j] for i, j in itertools.combinations(range(5), 2)])
    return pairs @ helmert(5) / np.sqrt(3.0)


def matches(seen: Seen) -> Iterator[Fit]:
    """The projection, where the three lowest logits of every class make Petersen's graph."""
    if seen.K != CLASSES:
        return
    order = np.argsort(0.5 * (seen.M + seen.M.T) + 1e9 * np.eye(CLASSES), axis=1)
    A, one = np.zeros((CLASSES, CLASSES)), np.eye(CLASSES)
    for i in range(CLASSES):
        A[i, order[i, :3]] = 1.0
    if np.array_equal(A, A.T) and np.array_equal(A @ A + A - 2 * one, np.ones_like(A)):
        distance, (a,) = least_squares(seen.M, [(A - 3 * one) @ (A - one) / 15.0])
        yield on_small_root(Fit.ray("petersen", distance, (a,), (), 4), petersen, seen)


def variants(problem: Problem):
    if problem.K == CLASSES and not problem.loss.quadratic:
        yield "petersen", lambda: petersen(problem)


PETERSEN = Structure(
    "petersen",
    "Z = a E (x) 1', E = (A - 3)(A - 1)/15 with A Petersen's graph, rank 4, K = 10",
    petersen,
    variants=variants,
    matches=matches,
    colour="#009E73",
)
