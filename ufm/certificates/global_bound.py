"""Lower bounds on the global minimum of a linear model, in float64 (not outward rounded).

Convex shift-invariant loss, equal counts. Averaging Z over class permutations gives a S with
a (K-1) = tr(S Z) <= |Z|_*, so g(Z) >= min over a <= |Z|_*/(K-1) of l(a S); and sum s^p >= (sum s)^p for p <= 1:

    F >= min_{a >= 0}  l(a S) + (D/2) Lam n^(1/D) ((K-1) a)^(2/D).

Exact at L = 1, where DNC attains it; at L >= 2 it is the spectral bound and leaves a gap.

Cross-entropy without bias, K >= 3, L >= 2, C = (D/2) Lam n^(1/D), p = 2/D: a matrix of class logits whose singular
values but the first have Frobenius norm tau loses at least (K-2)/K log(1 + exp(-sqrt(2/(K-2)) tau)), so that with T =
sum s and l(x) = log(1 + (K-1) e^-x)

    F >= min over s_1 >= s_2 >= 0 of  max(l((s_1 + s_2)/(K-1)), (K-2)/K log(1 + exp(-sqrt(2/(K-2)) s_2))) + C (s_1^p +
    s_2^p):

for given T and tau the penalty is least with two singular values. Proofs and a stronger bound in ball arithmetic:
`ufm.certificates.bounds`.

MSE without bias: by Mirsky's inequality the modes decouple, and

    min F = sum_c n_c/(2N) - (sum of the max_rank largest gains),  gain_c = max over roots s of the mode's drop below 0.

ReLU: for K = 2 under MSE without bias and with equal counts the bound of the linear model at width 2 holds as well,
since the least value is that of DNC or of zero (sml23). For K >= 3 the linear model's bounds do not hold (strongly
regular graphs lie below them) and none is given.

Source: mirsky75; the averaging argument as for L = 1 in zhu21; sml23 (two classes through ReLU).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from ufm.problem import Problem
from ufm.structures.scales import scale_roots

REACH = 690.0
"""Logarithms of numbers that float64 holds with room for products."""


def lower_bound(problem: Problem) -> float | None:
    """The best of these bounds for a problem, or None where neither applies.

    >>> from ufm.structures import dnc
    >>> from ufm.objectives.logits import value
    >>> problem = Problem(K=5, n=3, L=1, lam=0.01)
    >>> abs(lower_bound(problem) - value(dnc(problem))) < 1e-14
    True
    """
    if problem.ridgeless:
        return None
    if not problem.linear:
        two = problem.K == 2 and problem.activation.rectifies and problem.loss.quadratic
        return (
            _mse(replace(problem, activation="linear", d=2))
            if two and problem.balanced and problem.bias is None
            else None
        )
    if problem.loss.quadratic:
        return _mse(problem) if problem.bias is None else None
    if problem.loss.convex and problem.loss.shift_invariant and problem.balanced:
        spectral = symmetrised(problem)
        ranks = problem.loss.cross_entropy and problem.bias is None and problem.K >= 3 and problem.L >= 2
        return max(spectral, _two_singular_values(problem)) if ranks else spectral
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


def symmetrised(problem: Problem) -> float:
    K, D = problem.K, problem.D
    shape = np.full((K, 1), -1.0 / K)
    shape[0] += 1.0
    Y = np.zeros((K, 1))
    Y[0] = 1.0
    weight = problem.per_class ** (1 / D) * (K - 1) ** (2 / D)

    def pull(a):
        return -np.sum(shape * problem.loss.grad(shape * a, np.broadcast_to(Y, (K, len(a)))), axis=0)

    roots, _ = scale_roots(pull, 1.0, problem, weight)
    a = np.array([0.0, *roots])
    values = problem.loss.value(shape * a, np.broadcast_to(Y, (K, len(a)))) + 0.5 * D * problem.Lam * weight * a ** (
        2 / D
    )
    return float(np.min(values))


def _two_singular_values(problem: Problem, tol: float = 1e-4) -> float:
    """The second bound from below, to tol: cells of (s_1, s_2), loss at their upper, penalty at their lower corner."""
    K, p = problem.K, 2 / problem.D
    C = 0.5 * problem.D * problem.Lam * problem.per_class ** (1 / problem.D)

    def loss(s, t):
        simplex = np.logaddexp(0.0, np.log(K - 1) - (s + t) / (K - 1))
        return np.maximum(simplex, (K - 2) / K * np.logaddexp(0.0, -np.sqrt(2 / (K - 2)) * t))

    def penalty(s, t):
        return C * (s**p + t**p)

    reach = np.log(np.log(K) / C) / p  # beyond e^reach the penalty alone is more than F(0) = log K
    if abs(reach) > REACH:
        return float(np.log(K)) if reach < 0 else 0.0
    top = 1.01 * np.exp(reach)
    edges = np.concatenate([[0.0], np.geomspace(min(1e-6, 1e-6 * top), top, 60)])
    cells = np.array(
        [(a, b, c, d) for (a, b), (c, d) in itertools.product(itertools.pairwise(edges), repeat=2) if c <= b]
    )
    best, settled = np.log(K), np.inf
    for _ in range(40):
        a, b, c, d = cells.T
        best = min(best, float(np.min(loss(b, d) + penalty(b, d))))
        low = loss(b, d) + penalty(a, c)
        open_ = low < (1 - tol) * best
        settled = min(settled, np.min(low[~open_], initial=np.inf))
        if not np.any(open_) or np.sum(open_) > 200_000:
            break
        a, b, c, d = cells[open_].T
        s, t = 0.5 * (a + b), 0.5 * (c + d)
        cells = np.concatenate(
            [np.array(quarter).T for quarter in ((a, s, c, t), (a, s, t, d), (s, b, c, t), (s, b, t, d))]
        )
    return float(min(settled, np.min(low)))
