"""Theorem 4 (i): collapsed points of diverging scale are critical for small lam."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.dnc_spectrum import fold_scale, lam_at
from theory.gk25.thm4_sharp import proved_index
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.structures import dnc

GRADIENT = 1e-11
"""Of the norm of the ridge's own gradient: rounding of the products of L + 1 factors."""


def small(c) -> bool:
    """lam n^(1/D) <= min(1/20, 1/(4K)): then the large root has a >= max(3, 1 + log(K-1)), which the rate below
    needs."""
    return c.lam * c.n ** (1 / (c.L + 1)) <= min(0.05, 0.25 / c.K)


def check(case):
    """Existence, the gradient in every factor at the lift to width d, the rate of a, and a certificate where K is
    small."""
    K, n, L, lam = case.K, case.n, case.L, case.lam
    fold = fold_scale(K, L)
    yield Evidence(lam, "<", lam_at(K, n, L, fold), 1e-14, note="below the fold, so that there are two roots")
    if lam >= lam_at(K, n, L, fold):
        return
    point = dnc(case.problem())
    a = point.scales[0]
    objective, x = objective_of(stretched(point, case.get("stretch", 1.0)).lift(rng=case.get("rng", 0)))
    parts = objective.unpack(objective.grad(x))[0]
    worst = max(np.linalg.norm(part) for part in parts) / Stratum(point).ridge_norm
    yield Evidence(float(worst), "==", 0.0, GRADIENT, note=f"largest gradient of a factor, a = {a:.6g}")
    kappa, far = (L - 1) / (L + 1) + case.get("power", 0), -math.log(lam) - math.log(n) / (L + 1)
    rest = a - far - kappa * math.log(far)
    yield Evidence(
        rest,
        "in",
        (-(K - 1) * math.exp(-a), kappa**2 * math.log(a) / far),
        1e-12,
        note=f"a = x + {kappa:.4g} log x + rest, x = {far:.6g}",
    )
    proof = proved_index(point) if K <= 4 and 1e-12 < lam and not case.planted else None
    if proof is not None:
        yield Evidence(1, "==", 1, 0, "certified", "critical points in an isolating ball")


def stretched(point: LogitPoint, factor: float) -> LogitPoint:
    """The same frames with singular values times a factor."""
    return LogitPoint(point.problem, point.U, point.s * factor, point.right)


CLAIM = Claim(
    id="gk25:thm4i",
    title="For small lam collapsed points of scale a ~ -log lam are critical",
    statement=(
        "For L >= 2 and lam n^(1/D) <= min(1/20, 1/(4K)) there is a critical point a S (x) 1_n' with a = x + kappa log"
        " x + rest, x = -log(lam n^(1/D)), kappa = (L-1)/(L+1) and -(K-1) e^-a <= rest <= kappa^2 log(a)/x; so a/-log"
        " lam -> 1 as lam -> 0."
    ),
    source="gk25, Theorem 4 (i)",
    hypotheses={
        "L >= 2": lambda c: c.L >= 2,
        "d >= K - 1": lambda c: c.d >= c.K - 1,
        "lam n^(1/(L+1)) <= min(1/20, 1/(4K))": small,
    },
    check=check,
    cases=[
        *(
            Case(K=K, n=n, d=K + 2, L=L, lam=lam, rng=0)
            for K in (2, 3, 4, 10)
            for n, L in ((1, 2), (3, 3), (1, 6))
            for lam in (5e-3, 1e-4, 1e-8, 1e-16, 1e-64)
        ),
        Case(K=10, n=5, d=70, L=2, lam=2**-10, rng=0),
        Case(K=60, n=1, d=60, L=3, lam=1e-6, rng=0),
    ],
    controls=[
        *grid(K=[4, 10], n=1, d=12, L=[2, 3], lam=0.5, rng=0),
        planted("the scale is one per cent too large", K=4, n=1, d=5, L=3, lam=1e-4, rng=0, stretch=1.01),
        planted("the rate is taken to be x + log x", K=4, n=1, d=5, L=2, lam=1e-16, rng=0, power=2 / 3),
    ],
    uses=("gk25:lemma1",),
    scope=(
        "'lam small' is an explicit bound, 'diverging' an explicit rate, seen for lam from 5e-3 to 1e-64; the gradient"
        " is that of a lift in random frames"
    ),
)
