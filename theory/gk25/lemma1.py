"""Lemma 1: at critical points the loss depends on Z alone."""

from __future__ import annotations

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import value
from ufm.solvers.minimize import minimize

TOL = 1e-9
"""Of the difference of the two values of F; the gradient at the end of a converged run is at most 1e-12."""


def check(case) -> Evidence:
    """F at the end of a run in factor space against the Schatten form g(Z) + (D/2) Lam sum s^(2/D) of its product."""
    settings = {} if case.steps is None else {"steps": case.steps}
    result = minimize(case.problem(d=case.K + 2), method=case.method, rng=case.rng, space="factors", **settings)
    if case.steps is None and not result.success:
        raise RuntimeError(f"the run did not reach a critical point: {result.message}")
    objective, x = objective_of(result.point)
    point = result.logit_point()
    D, power = point.problem.D, 2 / (point.problem.D - case.get("fewer", 0))
    other = 0.5 * D * point.problem.Lam * float(np.sum(point.s**power) - np.sum(point.s ** (2 / D)))
    return Evidence(float(objective.value(x)), "==", value(point) + other, TOL, note=f"|grad| = {result.grad_norm:.1e}")


CLAIM = Claim(
    id="gk25:lemma1",
    title="At critical points F = g(Z) + (D/2) Lam |Z|_{2/D}^{2/D}",
    statement=(
        "At every critical point of the deep linear model with d >= K the factors are balanced, so that the penalty is"
        " a Schatten quasi-norm of Z."
    ),
    source="gk25, Lemma 1",
    hypotheses={"critical: the run has converged": lambda c: c.steps is None},
    check=check,
    cases=[
        Case(K=K, n=n, L=L, lam=lam, rng=rng, method="lbfgs", steps=None)
        for K, n, L, lam in [(3, 2, 1, 0.01), (4, 1, 2, 0.01), (5, 2, 3, 2e-3)]
        for rng in range(4)
    ],
    controls=[
        *(Case(K=4, n=1, L=2, lam=0.01, rng=rng, method="gd", steps=3) for rng in range(3)),
        planted(
            "the exponent 2/D is replaced by 2/L", K=4, n=1, L=2, lam=0.01, rng=0, method="lbfgs", steps=None, fewer=1
        ),
    ],
    scope="at the end points of descents from random starts, at d = K + 2",
)
