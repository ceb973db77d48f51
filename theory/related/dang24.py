"""Dang et al. 2024: nonnegative features (behind a ReLU) and unequal class counts; orthogonal features, and classes
that die one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, planted
from theory.related.shallow import SIDES, softmax_loss, spread_lam
from theory.strength import searched
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.points import FactorPoint
from ufm.problem import Problem

TOL = 1e-7
"""Of the value of a projected descent, which ends with a gradient near 1e-7."""
ROUNDING = 1e-15
"""Of values of size one: terms of F that cancel."""

SETTINGS = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0, "gtol": 1e-10, "maxcor": 30}


def problem_of(case) -> Problem:
    """L = 1, cross-entropy, counts n, width K + more; features are kept nonnegative by the solver here."""
    return Problem(K=len(case.n), n=case.n, d=len(case.n) + case.more, L=case.L, lam=spread_lam(case))


def scales(problem: Problem, bigger: float = 1.0) -> np.ndarray:
    """M_k = log(sqrt(n_k K (K-1))/(N c) - (K - 1))_+, c = sqrt(lam_H lam_W). `bigger` other than 1 falsifies it."""
    K, c = problem.K, problem.Lam
    inner = bigger * np.sqrt(problem.counts * K * (K - 1.0)) / (problem.N * c) - (K - 1)
    return np.log(np.maximum(inner, 1.0))


def loss(problem: Problem, M: np.ndarray) -> float:
    """sum_k (n_k/N) log(1 + (K-1) e^-M_k) + sqrt(n_k) c M_k sqrt((K-1)/K)."""
    K, counts = problem.K, problem.counts
    fit = sum(n / problem.N * softmax_loss(float(m), K - 1) for n, m in zip(counts, M, strict=True))
    return fit + problem.Lam * math.sqrt((K - 1) / K) * float(np.sqrt(counts) @ M)


def point(problem: Problem, bigger: float = 1.0) -> FactorPoint:
    """h = eta_k e_k for the samples of class k, W e_k = omega_k (e_k - 1/K), eta_k omega_k = M_k, lam_H n_k eta_k^2 =
    lam_W omega_k^2 (K-1)/K."""
    K, M, (lam_H, lam_W) = problem.K, scales(problem, bigger), problem.lams
    eta = np.sqrt(M) * (lam_W * (K - 1) / (K * lam_H * problem.counts)) ** 0.25
    omega = np.divide(M, eta, out=np.zeros(K), where=eta > 0)
    d = problem.widths[0]
    return FactorPoint(
        problem, ((np.eye(d, K) * eta)[:, problem.labels], (np.eye(K) - 1 / K) @ np.diag(omega) @ np.eye(K, d))
    )


def residual(at: FactorPoint) -> float:
    """How far the conditions of a minimum over H >= 0 are from holding: |min(H, dF/dH)| and |dF/dW|, entrywise;
    largest."""
    objective = FactorObjective(at.problem)
    x = objective.pack(at.factors)
    (dH, *dW), _ = objective.unpack(objective.value_grad(x)[1])
    return float(max(np.max(np.abs(np.minimum(at.factors[0], dH))), *(np.max(np.abs(g)) for g in dW)))


def projected_minimum(problem: Problem, starts: int, rng: int, nonnegative: bool = True, collapsed: bool = True):
    """(lowest value, its class logits) of bounded L-BFGS from random starts; features nonnegative unless asked
    otherwise.

    At width 2K or more: at d = K many descents stay where a class is dead, and a minimum over wider factors bounds that
    over narrower ones.
    """
    objective = FactorObjective(
        replace(problem, d=tuple(max(d, 2 * problem.K) for d in problem.widths)), collapsed=collapsed
    )
    features = math.prod(objective.shapes[0])
    low = [0.0 if nonnegative else None] * features + [None] * (objective.size - features)
    ends = []
    for i in range(starts):
        x = generator(child(seed_sequence(rng), i)).standard_normal(objective.size)
        x[:features] = np.abs(x[:features]) if nonnegative else x[:features]
        ends.append(
            optimize.minimize(
                objective.value_grad, x, jac=True, method="L-BFGS-B", bounds=[(b, None) for b in low], options=SETTINGS
            )
        )
    best = min(ends, key=lambda end: end.fun)
    Z = objective.logits(best.x) * objective.fit.columns.scale
    return float(best.fun), Z if collapsed else Z @ (problem.samples.Y.T / problem.counts)


def check(case):
    """The closed form: stationary, with its stated value, and what bounded descents find."""
    problem, bigger = problem_of(case), case.get("bigger", 1.0)
    if case.L == 1:
        at = point(problem, bigger)
        M = scales(problem, bigger)
        yield Evidence(residual(at), "<", 1e-12, 1e-13, note="stationary over H >= 0")
        objective = FactorObjective(problem)
        F = loss(problem, M)
        yield Evidence(
            float(objective.value(objective.pack(at.factors))), "==", F, 1e-13, note="value of the closed form"
        )
    else:
        F, M = loss(problem, scales(problem)), scales(problem)
    found, Z = projected_minimum(problem, case.starts, case.rng, case.nonnegative, collapsed=problem.N > 12)
    yield searched(found, F, TOL * F + ROUNDING, f"lowest of {case.starts} bounded descents")
    own = np.diag(Z - Z.mean(axis=0)) * problem.K / (problem.K - 1)
    yield Evidence(
        np.max(np.abs(own - M)),
        "==",
        0.0,
        5e-3,
        "sampled",
        "scales M_k",
        error=loose(problem, M, abs(found - F) + ROUNDING),
    )


def loose(problem: Problem, M: np.ndarray, excess: float) -> float:
    """How far from M_k a point may be whose F is above the minimum by `excess`: sqrt(2 excess/F''), F'' = (n_k/N) q (1
    - q), the flattest class."""
    q = (problem.K - 1) * np.exp(-M) / (1 + (problem.K - 1) * np.exp(-M))
    return float(np.sqrt(2 * excess / np.min(problem.counts / problem.N * q * (1 - q))))


def check_deaths(case):
    """Each class one percent on either side of N c = sqrt(n_k (K-1)/K)."""
    K, N = len(case.n), sum(case.n)
    for m in sorted(set(case.n)):
        for side in SIDES:
            c = (1 + side) * case.get("times", 1.0) * math.sqrt(m * (K - 1) / K) / N
            problem = problem_of(case.but(lam=c))
            _, Z = projected_minimum(problem, case.starts, case.rng)
            largest = float(np.max(np.abs(Z[:, [k for k in range(K) if case.n[k] == m]])))
            note = f"logits of the classes of size {m} at {1 + side:g} of their threshold"
            yield (
                Evidence(largest, ">", 5e-3, 1e-4, "sampled", note)
                if side < 0
                else Evidence(largest, "<", 1e-3, 1e-4, "sampled", note)
            )


HYPOTHESES = {
    "n lists class counts": lambda c: isinstance(c.n, tuple),
    "L = 1": lambda c: c.L == 1,
    "H >= 0": lambda c: c.nonnegative,
    "d >= K": lambda c: c.more >= 0,
}

CLAIMS = (
    Claim(
        id="related:dang24-minimum",
        title="Nonnegative features: each class has its own scale, and class means are orthogonal",
        statement=(
            "L = 1, cross-entropy, H >= 0, d >= K, any counts, c = sqrt(lam_H lam_W): the minimum has z_k = M_k (e_k -"
            " 1/K), orthogonal class means and M_k = log(sqrt(n_k K (K-1))/(N c) - (K-1))_+; F = sum_k (n_k/N) log(1 +"
            " (K-1) e^-M_k) + sqrt(n_k (K-1)/K) c M_k."
        ),
        source="dang24, global minimum",
        hypotheses=HYPOTHESES,
        check=check,
        cases=[
            Case(n=n, L=1, more=more, lam=lam, spread=spread, nonnegative=True, starts=6, rng=0)
            for n, more, lam, spread in [
                ((1, 1), 0, 0.05, 1.0),
                ((3, 2, 1), 1, 0.02, 2.0),
                ((5, 5, 5), 0, 1e-2, 1.0),
                ((40, 10, 3, 1), 0, 5e-3, 1.0),
                ((40, 10, 3, 1), 2, 2e-2, 0.5),
                ((9, 9, 2, 2, 1), 0, 1e-2, 3.0),
                ((30, 20, 10, 5, 2, 1), 1, 2e-3, 1.0),
                ((4, 2, 1), 0, 0.6, 1.0),
            ]
        ],
        controls=[
            Case(n=(5, 3, 1), L=1, more=0, lam=1e-2, spread=1.0, nonnegative=False, starts=3, rng=0),
            Case(n=(5, 3, 1), L=2, more=0, lam=1e-2, spread=1.0, nonnegative=True, starts=3, rng=0),
            planted(
                "sqrt(n_k) is one percent larger",
                n=(5, 3, 1),
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                nonnegative=True,
                starts=2,
                rng=0,
                bigger=1.01,
            ),
        ],
        scope=(
            "the lowest of a few bounded descents at width 2K, which is no proof; stationarity to rounding. At width K"
            " most descents end higher, with a class dead that need not be"
        ),
    ),
    Claim(
        id="related:dang24-deaths",
        title="Nonnegative features: class k dies at N sqrt(lam_H lam_W) = sqrt(n_k (K-1)/K)",
        statement=(
            "As related:dang24-minimum: the logits of class k are zero iff N sqrt(lam_H lam_W) >= sqrt(n_k (K-1)/K),"
            " each class by itself."
        ),
        source="dang24, global minimum",
        hypotheses=HYPOTHESES,
        check=check_deaths,
        cases=[
            Case(n=n, L=1, more=2, spread=1.0, nonnegative=True, starts=10, rng=0)
            for n in [(1, 1), (8, 3, 1), (20, 20, 5, 5), (100, 10, 2)]
        ],
        controls=[
            planted(
                "the threshold is two percent higher",
                n=(8, 3, 1),
                L=1,
                more=2,
                spread=1.0,
                nonnegative=True,
                starts=10,
                rng=0,
                times=1.02,
            ),
            planted(
                "the threshold is two percent lower",
                n=(8, 3, 1),
                L=1,
                more=2,
                spread=1.0,
                nonnegative=True,
                starts=10,
                rng=0,
                times=0.98,
            ),
        ],
        uses=("related:dang24-minimum",),
    ),
)
