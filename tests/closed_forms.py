"""Closed forms that several test files compare with."""

import math

import numpy as np


def closed_dnc(point):
    """[(eigenvalue, multiplicity)] of the Hessian at DNC under cross-entropy, equal counts and ridge weights."""
    problem = point.problem
    K, n, D, N = problem.K, problem.n, problem.D, problem.N
    a, s, lam, m = point.scales[0], point.s[0], problem.lam, problem.d - problem.K + 1
    r = 1 / (math.exp(a) + K - 1)
    q, u, mu = math.exp(a) * r, r / N, s ** ((2 * D - 2) / D)
    gap = q - r
    corner = math.sqrt(D) * mu * u * gap * math.sqrt(K - 2)
    pair = np.linalg.eigvalsh([[D * mu * u * (1 + gap * (K - 2)) - (D - 2) * lam, corner], [corner, lam + mu * u * (1 + gap)]])
    corners = (D - 2) * m * m if D > 2 else 0  # at D = 2 G_perp is zero: its one direction leaves both corners at lam
    return [
        (D * mu * u * (1 + gap * (K - 1)) - (D - 2) * lam, 1),
        (pair[0], K - 1),
        (pair[1], K - 1),
        (D * mu * u - (D - 2) * lam, K * (K - 3) // 2),
        (D * (mu * u + lam), (K - 1) * (K - 2) // 2),
        (2 * lam, (D - 1) * (K * (K - 1) // 2 + (K - 1) * m)),
        (0.0, (D - 1) * ((K - 1) * (K - 2) // 2 + (K - 1) * m)),
        (lam + mu * u, K * (n - 1) * (K - 2)),
        (lam + mu * u * K * q, K * (n - 1)),
        (lam, (K - 1) + m + m * (N - K + 1) + corners),
    ]
