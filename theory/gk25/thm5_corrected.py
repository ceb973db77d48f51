"""Theorem 5 corrected: with Z fixed the hidden frames are free, whatever the multiplicities of its singular values.

Balanced factors of Z = U diag(s) V' are A_l = Q_l diag(s)^(1/D) Q_{l-1}' with Q_0 = V, Q_D = U and any orthonormal Q_1,
..., Q_L (d x r). A rotation among equal singular values acts on all of Q_0, ..., Q_D at once, so fixing Z uses it up:
what is left is a product of L Stiefel manifolds. A Grassmannian for each layer would forget r(r-1)/2 dimensions that
change the factors.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from ufm import structures
from ufm.critical.classify import classify
from ufm.critical.measures import flatness
from ufm.objectives.logits import Stratum
from ufm.objectives.stationary import critical_below
from ufm.points import LogitPoint
from ufm.problem import Problem


def structure(problem: Problem, name: str) -> LogitPoint:
    """A point of the catalogue: dnc, pairs, blocks(3,2), ... ValueError where it does not exist."""
    return structures.catalogue(problem)[name]()


def is_there(case) -> bool:
    """Whether the structure exists at this lam and width, and is critical (pairs of odd K are not)."""
    try:
        stratum = Stratum(structure(case.problem(), case.structure))
    except (KeyError, ValueError):
        return False
    return stratum.grad_norm <= critical_below(stratum.ridge_norm)


def measured_dimension(point: LogitPoint, rng: int = 0, tol: float = 1e-9) -> int:
    """Rank of the tangent vectors (.., Omega_l A_{l-1}, -A_l Omega_l, ..), Omega_l skew, at a lift in random frames:
    nothing in it counts frames."""
    factors, rows = point.lift(rng=rng).factors, []
    for l, d in enumerate(point.problem.widths):
        for i, j in itertools.combinations(range(d), 2):
            tangent = [np.zeros_like(A) for A in factors]
            tangent[l][i], tangent[l][j] = factors[l][j], -factors[l][i]
            tangent[l + 1][:, i], tangent[l + 1][:, j] = factors[l + 1][:, j], -factors[l + 1][:, i]
            rows.append(np.concatenate([t.ravel() for t in tangent]))
    rows = np.array(rows)
    squares = np.linalg.eigvalsh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    return int(np.sum(squares > tol * squares[-1])) if squares[-1] > 0 else 0


def frames(rank: int, d: int, L: int, excess: int = 1) -> int:
    """L (r d - r(r+1)/2). `excess` other than 1 falsifies it."""
    return L * (2 * rank * d - rank * (rank + excess)) // 2


def check_dimension(case):
    """The count against the rank of the orbit's tangent vectors and against the zero eigenvalues of the Hessian in all
    parameters."""
    point = structure(case.problem(), case.structure)
    expected = frames(point.rank, case.d, case.L, case.get("excess", 1))
    yield Evidence(
        measured_dimension(point), "==", expected, 0, note=f"tangent vectors of the orbit, rank {point.rank}"
    )
    if case.kernel:
        yield Evidence(
            flatness(point).zero, "==", expected, 0, note="zero eigenvalues in all parameters: no other flat directions"
        )
        found = classify(point, extremes=False)
        yield Evidence(found.nullity, "==", expected, 0, note="nullity by the stratum theorem")


def ratio(K: int, d: int, rank: int, half: int = 1) -> Fraction:
    """R(d) = ((K-1)/r) (d - K/2)/(d - (r+1)/2): dimension at DNC over that at rank r, any L. `half` other than 1
    falsifies it."""
    return Fraction((K - 1) * (2 * d - half * K), rank * (2 * d - rank - 1))


def check_ratio(case):
    """In fractions: above 1 at d = K, rising with d, below and towards (K-1)/r."""
    K, half = case.K, case.get("half", 1)
    for r in range(2, max(3, K - 1)):
        limit = Fraction(K - 1, r)
        if half == 1:
            yield Evidence(
                ratio(K, case.d, r), "==", Fraction(frames(K - 1, case.d, 3), frames(r, case.d, 3)), strength="exact"
            )
        yield Evidence(ratio(K, K, r, half), ">", 1, strength="exact", note=f"d = K, r = {r}")
        yield Evidence(
            ratio(K, case.d + 1, r, half),
            ">",
            ratio(K, case.d, r, half),
            strength="exact",
            note=f"rises from d = {case.d} to {case.d + 1}, r = {r}",
        )
        gap = (limit - ratio(K, case.d, r, half)) * (2 * case.d - r - 1)
        yield Evidence(
            gap, "==", limit * (K - r - 1), strength="exact", note="the gap to (K-1)/r is (K-1)(K-r-1)/(r(2d-r-1))"
        )


DIMENSION = Claim(
    id="gk25:thm5-dimension",
    title="Factors with a given critical Z of rank r form a set of dimension L (r d - r(r+1)/2)",
    statement=(
        "For d >= r the set of critical factors with product Z is a product of L Stiefel manifolds, and at"
        " nondegenerate points its dimension is the nullity of the Hessian."
    ),
    source="gk25, Theorem 5 (corrected)",
    hypotheses={
        "K >= 3": lambda c: c.K >= 3,
        "the structure exists at lam and d and is critical": is_there,
        "nondegenerate: cross-entropy": lambda c: c.get("loss", "ce") == "ce",
    },
    check=check_dimension,
    cases=[
        Case(K=4, n=1, d=6, L=2, lam=1e-3, structure="dnc", kernel=True),
        *grid(K=[3, 4, 5], n=[1, 2], d=[5, 7], L=[1, 2, 3], lam=1e-3, structure="dnc", kernel=True),
        *grid(K=[4, 6], n=[1, 2], d=[6, 8], L=[2, 3], lam=1e-3, structure="pairs", kernel=True),
        *grid(K=5, n=1, d=[5, 7], L=[2, 3], lam=1e-3, structure="blocks(3,2)", kernel=True),
        *grid(K=6, n=1, d=[6, 9], L=2, lam=1e-3, structure=["blocks(4,2)", "blocks(3,3)"], kernel=True),
        Case(K=10, n=5, d=30, L=2, lam=2**-10, structure="pairs", kernel=True),
        Case(K=10, n=1, d=20, L=2, lam=2**-10, structure="dnc", kernel=True),
    ],
    controls=[
        Case(K=4, n=1, d=6, L=2, lam=1e-3, structure="blocks(4)", kernel=True, loss="mse"),
        planted(
            "subspaces are counted instead of frames",
            K=4,
            n=1,
            d=6,
            L=2,
            lam=1e-3,
            structure="dnc",
            kernel=True,
            excess=3,
        ),
    ],
    uses=("gk25:lemma1",),
    scope=(
        "the rank of the orbit bounds the dimension from below and the nullity from above: where they agree it is"
        " found; looked at on the stated grid"
    ),
)

CORRECTED = Claim(
    id="gk25:thm5-corrected",
    title="The dimension ratio of DNC to rank r is above 1 at every width and rises to (K-1)/r",
    statement=(
        "For K >= 4, 2 <= r < K - 1 and d >= K, R(d) = ((K-1)/r) (d - K/2)/(d - (r+1)/2) satisfies 1 < R(d) < R(d+1) <"
        " (K-1)/r, its limit; R(K) > 1 since (K-r)(K-r-1) > 0."
    ),
    source="gk25, Theorem 5 (corrected)",
    hypotheses={"K >= 4": lambda c: c.K >= 4, "d >= K": lambda c: c.d >= c.K},
    check=check_ratio,
    cases=[Case(K=K, d=d) for K in (*range(4, 13), 20, 50) for d in (K, K + 1, 2 * K, 10 * K, 1000 * K)],
    controls=[
        Case(K=3, d=3),
        planted("d - K/2 is replaced by d - K, as Grassmannians would have it", K=6, d=9, half=2),
    ],
    uses=("gk25:thm5-dimension",),
    scope=(
        "every r from 2 to K - 2 at the stated K and d, in fractions; the two inequalities of the statement are"
        " algebraic in K, r and d"
    ),
)

CLAIMS = (DIMENSION, CORRECTED)
