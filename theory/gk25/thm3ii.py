"""Theorem 3 (ii): where the ridge weight falls faster than 1/L, the global minimum is superior and nearly of rank
q_K."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.lowest import descended, lowest, superiority
from theory.gk25.qk import least_rank
from theory.gk25.thm3i import problem_of
from ufm.objectives.logits import value
from ufm.points import LogitPoint, from_matrix
from ufm.solvers.minimize import minimize
from ufm.structures import dnc

TOL = 1e-9
"""Of margins relative to the largest logit, and of singular values relative to |Z|."""


def rate(K: int) -> float:
    """delta of the proof: e^-delta = (q_K + 1)/(q_K + 2)."""
    q = least_rank(K)
    return math.log((q + 2) / (q + 1))


def last_depth(K: int) -> int:
    """L_0 seen for lam_L = c L^-alpha with 1.2 <= alpha <= 3, c <= 0.05: the lowest point found has rank q_K for every
    L > L_0."""
    return {2: 0, 3: 0, 4: 2, 5: 2}.get(K, K - 1)


def point_of(case) -> LogitPoint:
    """The lowest point found; in its place dnc, or `shallow`: the minimum of the model L = 1 at the same lam."""
    problem = problem_of(case)
    if case.point == "dnc":
        return dnc(problem)
    if case.point == "shallow":
        return from_matrix(
            problem, minimize(replace(problem, L=1), rng=case.rng).logit_point().class_logits(), rank=case.K - 1
        )
    return lowest(problem, case.rng)


def check(case):
    """Superiority, rank, and the singular values after the first q_K against exp(-delta (L+1)/2); last, that dnc is not
    lower."""
    point, q = point_of(case), least_rank(case.K)
    if not point.rank:
        yield Evidence(
            0, ">", 0, strength="exact", note="the lowest point found is zero, which is not diagonally superior"
        )
        return
    Z = point.class_logits()
    yield Evidence(superiority(Z, np.arange(case.K)) / np.max(np.abs(Z)), ">", 0, TOL, "sampled", "diagonally superior")
    yield Evidence(point.rank, ">", q - 1, 0, "sampled", "rank at least q_K")
    rest = float(point.s[q] / np.linalg.norm(point.s)) if point.rank > q else 0.0
    delta = case.get("delta", rate(case.K))
    yield Evidence(
        rest,
        "<=",
        math.exp(-delta * (case.L + 1) / 2),
        0.0,
        "sampled",
        f"s_(q+1)/|Z| at rank {point.rank}; L_0 = {last_depth(case.K)}",
    )
    try:
        other = value(dnc(point.problem))
    except ValueError:
        return
    rival = point if case.point != "lowest" else descended(point.problem, case.rng)
    yield Evidence(
        value(rival),
        "<",
        other * (1 + 2 * TOL),
        TOL * other,
        "sampled",
        "dnc is not lower than what descents alone find",
    )


HYPOTHESES = {
    "lam_L = o(1/L), small at every L: 1.2 <= alpha <= 3, c <= 0.05": lambda c: 1.2 <= c.alpha <= 3 and c.c <= 0.05,
    "L > L_0": lambda c: c.L > last_depth(c.K),
    "the point is the lowest one found": lambda c: c.point == "lowest",
}
STATEMENT = (
    "If lam_L = o(1/L), then for L > L_0 the global minimisers are diagonally superior, of rank >= q_K, and all but q_K"
    " singular values of Z/|Z|_F are 0 or at most exp(-delta (L+1)/2), e^-delta = (q_K+1)/(q_K+2). Here lam_L = c"
    " L^-alpha, and L_0 is 0 for K <= 3, 2 for K = 4 and 5, K - 1 above."
)
CONTROLS = [
    *grid(K=[4, 7], n=1, L=[12, 20], c=0.02, alpha=2.0, rng=0, point="dnc"),
    *[
        Case(K=K, n=1, L=L, c=c, alpha=alpha, rng=0, point="lowest")
        for K, L, c, alpha in [(6, 4, 1e-3, 3.0), (10, 6, 0.05, 2.0)]
    ],
    *grid(K=[4, 6], n=1, L=12, c=1.0, alpha=0.5, rng=0, point="lowest"),
]

CLAIM = Claim(
    id="gk25:thm3ii",
    title="lam_L = o(1/L): beyond a depth the global minimum has q_K singular values and no others to speak of",
    statement=STATEMENT,
    source="gk25, Theorem 3 (ii)",
    hypotheses=HYPOTHESES,
    check=check,
    cases=[
        *[
            c
            for c in grid(K=[2, 3, 4, 5, 6], n=2, L=[3, 6, 12], c=0.05, alpha=[1.2, 2.0], rng=0, point="lowest")
            if c.L > last_depth(c.K)
        ],
        *grid(K=[4, 8], n=1, L=20, c=0.01, alpha=3.0, rng=1, point="lowest"),
    ],
    controls=[
        *CONTROLS,
        planted(
            "the shallow minimum is taken for the lowest point",
            K=5,
            n=1,
            L=12,
            c=0.02,
            alpha=2.0,
            rng=0,
            point="shallow",
        ),
    ],
    uses=("gk25:lemma1", "gk25:qk", "gk25:thm2"),
    scope=(
        "for the lowest point of a search (closed forms, descents from codes of every rank, random descents to L = 6),"
        " not proved global"
    ),
)
