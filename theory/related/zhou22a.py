"""Zhou et al.: the plain model with MSE and a bias of weight lam_b goes from a simplex to an orthogonal frame; Tirer
and Bruna are its ends."""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import class_product, global_value, minimum, spread_lam
from ufm.objectives.logits import value

TOL = 1e-9
"""Of values and logits of a converged descent, which are of size 1."""


def problem_of(case):
    """K classes of n samples, MSE, width K + more, bias weight `bias` (None: no bias)."""
    return case.problem(d=case.K + case.more, loss="mse", lam=spread_lam(case))


def kappa(K: int, n: float, c: float) -> float:
    """K sqrt(n) c; below 1 the minimum is not zero."""
    return K * math.sqrt(n) * c


def bias_threshold(k: float) -> float:
    """lam_b* = kappa/(1 - kappa): below it the constant mode of W H is zero, above it is not."""
    return k / (1 - k) if k < 1 else math.inf


def closed_form(K: int, n: float, c: float, bias: float | None, shift: float = 1.0) -> tuple[np.ndarray, float, float]:
    """(W H per class, entries of b, F); bias None is the limit of infinite weight. `shift` multiplies the threshold and
    falsifies it.

    W H = (1 - kappa)_+ S + constant 11'/K,  constant = (1 - kappa (1 + 1/lam_b))_+,  b = (1 - constant)/(K (1 + lam_b))
    1.
    """
    k, J = kappa(K, n, c), np.full((K, K), 1 / K)
    simplex = max(0.0, 1 - k)
    if bias is None:
        constant, b = simplex, 0.0
    else:
        constant = 1 - k * (1 + 1 / bias) if bias > shift * bias_threshold(k) else 0.0
        b = (1 - constant) / (K * (1 + bias))
    fit = ((K - 1) * (1 - simplex) ** 2 + (1 - constant - K * b) ** 2) / (2 * K)
    F = fit + c * math.sqrt(n) * ((K - 1) * simplex + abs(constant)) + (0.0 if bias is None else 0.5 * bias * K * b * b)
    return simplex * (np.eye(K) - J) + constant * J, b, F


def cosine(K: int, n: float, c: float, bias: float | None) -> float:
    """Cosine between two class means, not centred: H'H is proportional to W H per class. NaN where the minimum is
    zero."""
    M = closed_form(K, n, c, bias)[0]
    return float(M[0, 1] / M[0, 0]) if M[0, 0] > 0 else math.nan


def check(case):
    """The closed form against the end of a descent, the proved minimum and, up to K = 4, a convex programme."""
    problem = problem_of(case)
    M, b, F = closed_form(case.K, problem.N / case.K, problem.Lam, problem.bias, case.get("shift", 1.0))
    point = minimum(problem, case.rng)
    yield Evidence(value(point), "==", F, TOL, note="value")
    yield from global_value(problem, F, TOL, solve=case.K <= 4 and not case.planted)
    yield Evidence(np.max(np.abs(class_product(point) - M)), "==", 0.0, 1e-7, note="W H")
    if problem.bias is not None:
        yield Evidence(np.max(np.abs(point.b - b)), "==", 0.0, 1e-7, note="b")


def check_threshold(case):
    """One percent on either side of lam_b*: the constant mode of W H."""
    k = kappa(case.K, case.n, case.lam)
    for side in (-0.01, 0.01):
        bias = (1 + side) * case.get("shift", 1.0) * bias_threshold(k)
        point = minimum(problem_of(case.but(bias=bias)), case.rng)
        constant, note = float(np.sum(class_product(point)) / case.K), f"1'W H 1/K at {1 + side:g} lam_b*"
        if side < 0:
            yield Evidence(abs(constant), "<", 1e-7, 1e-8, note=note)
        else:
            yield Evidence(constant, ">", 5e-3 * (1 - k), 1e-7, note=note)


HYPOTHESES = {
    "balanced": lambda c: isinstance(c.n, int),
    "L = 1": lambda c: c.L == 1,
    "d >= K": lambda c: c.more >= 0,
}

CLAIMS = (
    Claim(
        id="related:zhou22a-bias",
        title="MSE with a bias: simplex frame up to lam_b*, then on to an orthogonal frame",
        statement=(
            "L = 1, MSE, balanced, d >= K, kappa = K sqrt(n lam_H lam_W) < 1, lam_b > 0: with lam_b* = kappa/(1-kappa),"
            " the minimum is W H = (1-kappa) S (x) 1_n', b = 1/(K(1 + lam_b)) for lam_b <= lam_b*, and beyond W H ="
            " [(1-kappa) S + (1 - kappa (1 + 1/lam_b)) 11'/K] (x) 1_n', b = sqrt(n lam_H lam_W)/lam_b. Without bias W H"
            " = (1-kappa) Y; at lam_b = 0 the simplex frame, b = 1/K; for kappa >= 1 W H = 0."
        ),
        source="zhou22a, global minimum",
        hypotheses=HYPOTHESES,
        check=check,
        cases=[
            *grid(
                K=[2, 3, 4],
                n=[1, 5],
                L=1,
                more=[0, 2],
                lam=[0.03, 1e-3],
                spread=[1.0, 4.0],
                bias=[None, 0.0, 1e-3, 0.05, 0.4, 10.0],
                rng=0,
            )[::11],
            *grid(K=[9], n=[2], L=1, more=1, lam=[0.02, 1e-4], spread=2.0, bias=[None, 1e-3, 0.5], rng=1),
            *grid(K=3, n=4, L=1, more=1, lam=0.2, spread=1.0, bias=[None, 0.3], rng=0),
        ],
        controls=[
            Case(K=4, n=2, L=1, more=-1, lam=1e-3, spread=1.0, bias=1.0, rng=0),
            Case(K=4, n=2, L=2, more=0, lam=1e-3, spread=1.0, bias=1.0, rng=0),
            Case(K=4, n=(1, 2, 2, 3), L=1, more=0, lam=1e-2, spread=1.0, bias=1.0, rng=0),
            planted(
                "the threshold is twice as high",
                K=4,
                n=2,
                L=1,
                more=0,
                lam=0.02,
                spread=1.0,
                bias=0.2,
                rng=0,
                shift=2.0,
            ),
        ],
        scope="tirer22's cases without bias and with an unpenalised one are the two ends",
    ),
    Claim(
        id="related:zhou22a-threshold",
        title="The frames change at lam_b* = kappa/(1 - kappa)",
        statement=(
            "As related:zhou22a-bias: one percent below lam_b* the columns of W H sum to zero, one percent above they"
            " do not."
        ),
        source="zhou22a, global minimum",
        hypotheses=HYPOTHESES | {"K sqrt(n) lam < 1": lambda c: kappa(c.K, c.n, c.lam) < 1},
        check=check_threshold,
        cases=[
            *grid(K=[2, 5], n=[1, 6], L=1, more=[0, 2], lam=[0.02, 1e-3], spread=1.0, rng=0)[::2],
            Case(K=12, n=3, L=1, more=0, lam=0.04, spread=3.0, rng=0),
        ],
        controls=[
            planted(
                "the threshold is two percent higher", K=4, n=2, L=1, more=0, lam=0.02, spread=1.0, rng=0, shift=1.02
            ),
            planted(
                "the threshold is two percent lower", K=4, n=2, L=1, more=0, lam=0.02, spread=1.0, rng=0, shift=0.98
            ),
        ],
        uses=("related:zhou22a-bias",),
    ),
)
