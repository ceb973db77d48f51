"""Lemma 1: at critical points the loss depends on Z alone."""

from __future__ import annotations

from theory.claim import Claim, Evidence
from ufm.objectives.factors import objective_of
from ufm.objectives.logits import value
from ufm.problem import Problem
from ufm.solvers.minimize import minimize


def check(case) -> Evidence:
    """F at the end of a run in factor space against the Schatten form g(Z) + (D/2) Lam sum s^(2/D) of its product."""
    K, n, L, lam, rng, method, settings = case
    result = minimize(Problem(K=K, n=n, d=K + 2, L=L, lam=lam), method=method, rng=rng, space="factors", **settings)
    objective, x = objective_of(result.point)
    case = f"K={K} n={n} L={L} lam={lam:g} rng={rng} {method} {settings}"
    return Evidence(case, float(objective.value(x)), "==", value(result.logit_point()), 1e-9, "float")


CLAIM = Claim(
    "gk25:lemma1",
    "At critical points F = g(Z) + (D/2) Lam |Z|_{2/D}^{2/D}",
    "At every critical point of the deep linear model with d >= K the factors are balanced, so that the penalty is a Schatten quasi-norm of Z.",
    "gk25, Lemma 1",
    check,
    lambda: [(K, n, L, lam, rng, "lbfgs", {}) for K, n, L, lam in [(3, 2, 1, 0.01), (4, 1, 2, 0.01), (5, 2, 3, 2e-3)] for rng in range(4)],
    lambda: [(4, 1, 2, 0.01, rng, "gd", {"steps": 3}) for rng in range(3)],  # not critical: the factors are not balanced
)
