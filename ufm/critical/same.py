"""When two points are one, up to gauge, class permutation and symmetries of the loss; how equal names are told apart.

Two points are one when their values agree (`same_value`), their ranks agree, and

    a permutation of the classes that keeps their counts carries the class logits of one to those of the other, M' = P M
    P',

entry by entry. Where rotations of the logits are symmetries (MSE), critical points form manifolds, a Grassmannian of
projections say, that no permutation exhausts: there value and spectrum decide. Points of nonlinear models are one when
value and rank agree: their factors say nothing up to splits of neurons.

`same_point` asks this of two points, `critical.kinds` of thousands at once, by a proposed order of the classes that is
checked on the entries.
"""

from __future__ import annotations

import numpy as np

from ufm.numerics.groups import automorphism_count, canonical_order, colours, evened, pattern, proposed_order
from ufm.points import LogitPoint, logit_point_of, point_of
from ufm.problem import Problem

EXACT_LIMIT = 20
"""Largest K for which permutations are settled by a canonical form; beyond, by spectra and matching."""
SAME = 1e-9
"""Values closer than this, relative to 1 + |F|, may belong to one point."""
SAME_LOGITS = 1e-5
"""Largest difference of class logits, relative to the largest of them, between two copies of one point."""


def same_value(a: float, b: float, tol: float = SAME) -> bool:
    """Whether two values of F agree: |a - b| <= tol (1 + |b|)."""
    return abs(a - b) <= tol * (1 + abs(b))


def rotates(problem: Problem) -> bool:
    """Whether rotations of the logits are symmetries of F: critical points are manifolds of one value and spectrum."""
    return problem.linear and problem.loss.quadratic


def same_point(a, b, tol: float = SAME_LOGITS) -> bool:
    """Whether b's class logits are a permutation P M P' of a's to tol (relative, entrywise), counts respected.

    a, b: anything that is a point or holds one. Values are the caller's business (`same_value`), ranks are compared.
    Under MSE with equal counts M and M' count as one. Up to K = 20 by canonical forms (exact at the tolerance); beyond,
    True only if an assignment found from sorted rows, columns and diagonals aligns the two, so that a False there may
    be wrong.
    """
    a, b = logit_point_of("point", a), logit_point_of("point", b)
    if not same_spectrum(a, b, tol, tol):
        return False
    A, B, labels = _matrix(a), _matrix(b), a.problem.counts.tolist()
    if _aligned(A, B, labels, tol):
        return True
    return transposable(a.problem) and _aligned(A, B.T, labels, tol)


def same_spectrum(a: LogitPoint, b: LogitPoint, tol: float = SAME_LOGITS, faint: float = SAME_LOGITS) -> bool:
    """Whether ranks and singular values agree to tol, relative to each of them, or to `faint` of the largest."""
    return a.rank == b.rank and np.allclose(np.sort(a.s), np.sort(b.s), rtol=tol, atol=faint * np.max(a.s, initial=0.0))


def same_kind(a, b, tol: float = SAME) -> bool:
    """Whether two CriticalPoints (or rows of a table) are one point: value and rank, and of linear models what
    `same_point` or, where rotations are symmetries, the spectrum says. The one rule by which points are merged."""
    if not same_value(a.fun, b.fun, tol) or (a.rank != b.rank and None not in (a.rank, b.rank)):
        return False
    p, q = point_of("point", a), point_of("point", b)
    if not p.problem.linear:
        return True
    p, q = logit_point_of("point", p), logit_point_of("point", q)
    return same_spectrum(p, q, faint=0.0) if rotates(p.problem) else same_point(p, q)


def transposable(problem: Problem) -> bool:
    """Whether Z -> Z' preserves F: MSE without bias and with equal counts."""
    return problem.loss.quadratic and problem.balanced and problem.bias is None


def group_order(point: LogitPoint, tol: float = 1e-6) -> int | None:
    """Number of class permutations P of one group with |P M P' - M| <= tol |M|, also with all modes made visible,
    counts kept; None beyond K = 20.

    See `numerics.groups`: `pattern`, `evened`.
    """
    if point.problem.K > EXACT_LIMIT:
        return None
    M = _matrix(point)
    C, faint = pattern(M, tol)[0], pattern(evened(M, point.rank), tol)[0]
    return automorphism_count(C * (1 + faint.max(initial=0)) + faint, point.problem.counts.tolist())


def free_name(name: str, taken: set[str]) -> str:
    """The name, or name#2, name#3, ... when other points already carry it."""
    if name not in taken:
        return name
    k = 2
    while f"{name}#{k}" in taken:
        k += 1
    return f"{name}#{k}"


def short_name(name: str) -> str:
    """A name for a label in a picture: `code(antiprism(4)+pair)` as `antiprism(4)+pair`, `unnamed(rank=4)` as `rank 4`.

    >>> short_name("code(1+3+3)#2"), short_name("unnamed(rank=4)")
    ('1+3+3#2', 'rank 4')
    """
    lead, mark, number = name.partition("#")
    if lead.startswith("unnamed(rank="):
        lead = lead[8:-1].replace("=", " ").replace("group order ", "|G| = ")
    elif lead.startswith("code(") and lead.endswith(")"):
        lead = lead[5:-1]
    return lead + mark + number


def _matrix(point: LogitPoint) -> np.ndarray:
    M = point.class_logits()
    return M if point.b is None else M - point.b[:, None]


def _aligned(A, B, labels, tol: float) -> bool:
    reach = np.max(np.abs(A), initial=0.0)
    if reach == 0.0:
        return np.max(np.abs(B), initial=0.0) == 0.0
    limit = tol * reach
    if abs(np.max(np.abs(B)) - reach) > limit or np.max(np.abs(np.sort(A, axis=None) - np.sort(B, axis=None))) > limit:
        return False
    if np.max(np.abs(A - B)) <= limit:
        return True
    if len(A) <= EXACT_LIMIT:
        p, q = (canonical_order(colours(M, 0.1 * limit), labels) for M in (A, B))
        if np.max(np.abs(A[np.ix_(p, p)] - B[np.ix_(q, q)])) <= limit:
            return True
    q = proposed_order(A, B, np.array(labels))
    return bool(np.max(np.abs(A - B[np.ix_(q, q)])) <= limit)
