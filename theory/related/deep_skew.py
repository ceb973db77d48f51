"""K = 3 at depth: a rank-one point that no symmetry fixes costs less than collapse, zero and the symmetric rank-one
point.

With c = lam n^(1/D) (L+1)/2 and Z = u v', the symmetric point blocks(2,1) has u = v ~ (1, -1, 0): its third class is
undecided, log 3 at c -> that class. Moving u_3 towards u_1 leaves it one competitor, log 2, for a larger singular
value, which deep models give away: from L = 12 on the moved point wins for 0.35 <= c <= 0.45, and as L -> infinity
between (1/3) log 2 and log 3 - (1/3) log 2 (`related:deep-window`).
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from theory import strength
from theory.claim import Claim, Evidence, grid, planted
from ufm.critical.classify import classify
from ufm.numerics.groups import automorphism_count, colours
from ufm.objectives.logits import value
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers.newton import newton_on_stratum
from ufm.solvers.result import Status
from ufm.structures import existing

APART = 1e-7
"""Difference of F beyond which two critical points are different ones."""


def problem_of(case) -> Problem:
    """lam = 2 c n^(-1/D)/(L+1)."""
    return Problem(
        K=case.K, n=case.n, d=case.get("d"), L=case.L, lam=2 * case.c / (case.L + 1) * case.n ** (-1 / (case.L + 1))
    )


def skew(problem: Problem, tries: int = 8) -> LogitPoint | None:
    """The lowest critical point of rank one that Newton finds from u = (0, 1, 1 + M), v_j = +-log M over the gap beside
    class j; None if there is none."""
    starts = []
    for M, t in itertools.product(np.geomspace(1.5, 300.0, 30), (0.5, 0.8, 1.3)):
        u = np.array([0.0, 1.0, 1.0 + M])
        v = t * math.log(M) * np.array([-1.5, -1.0 / M, 1.5 / M])
        starts.append(from_matrix(problem, np.outer(u - u.mean(), v), rank=1))
    ends = []
    for start in sorted(starts, key=value)[:tries]:
        end, _, said = newton_on_stratum(start, 1e-11, 200, to_minimum=True)
        ends += [end.point] if said.status is Status.CONVERGED and end.point.rank == 1 else []
    return min(ends, key=value, default=None)


def check(case):
    """The point is a local minimum, it is not blocks(2,1), and costs less than every closed form there is."""
    problem = problem_of(case)
    point = skew(problem)
    rivals = existing(problem)[0]
    if point is None:
        yield Evidence(0, "==", 1, strength="exact", note="no critical point of rank one was found")
        return
    found = classify(point, extremes=False)
    yield Evidence(found.index, "==", 0, 0, note=f"index, F = {found.fun:.12g}")
    yield Evidence(
        found.nullity,
        "==",
        found.nullity_symmetry,
        0,
        note="no zeros but the rotations of hidden frames: a local minimum",
    )
    fixing = automorphism_count(colours(point.matrix(), 1e-6 * float(np.max(np.abs(point.matrix())))))
    yield Evidence(fixing, "==", 1, 0, note="class permutations that fix it")
    symmetric = value(rivals["blocks(2,1)"]) if "blocks(2,1)" in rivals else math.inf
    if math.isfinite(symmetric):
        yield Evidence(
            symmetric - found.fun, ">", APART, 1e-12, note=f"it lies below blocks(2,1), F = {symmetric:.12g}"
        )
    name = (max if case.get("reversed") else min)(rivals, key=lambda name: value(rivals[name]))
    sides = (rivals[name], point) if case.get("reversed") else (point, rivals[name])
    yield strength.order(problem, *sides, note=f"below the lowest closed form, {name}")


CLAIM = Claim(
    id="related:deep-skew",
    title="K = 3, L >= 12: a rank-one local minimum without symmetry costs less than collapse, zero and blocks(2,1)",
    statement=(
        "For K = 3, L >= 12 and 0.35 <= lam n^(1/D) (L+1)/2 <= 0.45 there is a local minimum of rank one, fixed by no"
        " class permutation, below DNC, zero and blocks(2,1). At L <= 8 the lowest point of rank one there is"
        " blocks(2,1)."
    ),
    source="gk25, Theorem 1",
    hypotheses={
        "K = 3": lambda c: c.K == 3,
        "L >= 12": lambda c: c.L >= 12,
        "0.35 <= c <= 0.45": lambda c: 0.35 <= c.c <= 0.45,
    },
    check=check,
    cases=grid(K=3, n=[1, 4], L=[12, 16, 30, 60], c=[0.35, 0.4, 0.45]),
    controls=[
        *grid(K=3, n=1, L=[3, 5, 8], c=0.4),
        *grid(K=3, n=1, L=[12, 20], c=[0.2, 0.7]),
        planted("the sign is flipped", K=3, n=1, L=16, c=0.4, reversed=True),
    ],
    uses=("related:deep-window", "gk25:thm1-k3-rank-one"),
    scope=(
        "L from 12 to 60; found by Newton's method from explicit starts, and the lowest found, not proved to be the"
        " global minimum"
    ),
)
