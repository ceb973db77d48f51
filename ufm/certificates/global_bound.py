"""Lower bounds on the global minimum of a linear model, in float64 (not outward rounded).

Convex shift-invariant loss, equal counts. Averaging Z over class permutations gives a S with
a (K-1) = tr(S Z) <= |Z|_*, so g(Z) >= min over a <= |Z|_*/(K-1) of l(a S); and sum s^p >= (sum s)^p for p <= 1:

    F >= min_{a >= 0}  l(a S) + (D/2) Lam n^(1/D) ((K-1) a)^(2/D).

Exact at L = 1, where DNC attains it; at L >= 2 it is the spectral bound and leaves a gap.

MSE without bias: by Mirsky's inequality the modes decouple, and

    min F = sum_c n_c/(2N) - (sum of the max_rank largest gains),  gain_c = max over roots s of the mode's drop below 0.

Source: mirsky75; the averaging argument as for L = 1 in zhu21.
"""

from __future__ import annotations

import numpy as np

from ufm.problem import Problem
from ufm.structures.scales import scale_roots


def lower_bound(problem: Problem) -> float | None:
    """The best of these bounds for a problem, or None where neither applies.

    >>> from ufm.structures import dnc
    >>> from ufm.objectives.logits import value
    >>> problem = Problem(K=5, n=3, L=1, lam=0.01)
    >>> abs(lower_bound(problem) - value(dnc(problem))) < 1e-14
    True
    """
    if not problem.linear:
        return None
    if problem.loss.name == "mse":
        return _mse(problem) if problem.bias is None else None
    if problem.loss.convex and problem.loss.shift_invariant and problem.balanced:
        return _symmetrised(problem)
    return None


def _mse(problem: Problem) -> float:
    D, N, Lam = problem.D, problem.N, problem.Lam
    gains, known = [], {}
    for count in problem.counts.tolist():
        if count not in known:
            y = np.sqrt(count)
            roots, _ = scale_roots(lambda t, y=y: (y - t) / N, 1.0, problem)
            drops = [0.5 * (y * y - (s - y) ** 2) / N - 0.5 * D * Lam * s ** (2 / D) for s in roots]
            known[count] = max(drops, default=0.0)
        gains.append(max(known[count], 0.0))
    return float(0.5 - sum(sorted(gains, reverse=True)[: problem.max_rank]))


def _symmetrised(problem: Problem) -> float:
    K, D = problem.K, problem.D
    shape = np.full((K, 1), -1.0 / K)
    shape[0] += 1.0
    Y = np.zeros((K, 1))
    Y[0] = 1.0
    weight = problem.n ** (1 / D) * (K - 1) ** (2 / D)

    def pull(a):
        return -np.sum(shape * problem.loss.grad(shape * a, np.broadcast_to(Y, (K, len(a)))), axis=0)

    roots, _ = scale_roots(pull, 1.0, problem, weight)
    a = np.array([0.0, *roots])
    values = problem.loss.value(shape * a, np.broadcast_to(Y, (K, len(a)))) + 0.5 * D * problem.Lam * weight * a ** (2 / D)
    return float(np.min(values))
