"""Chains: explicit ReLU factors with product I, scaled and joined to points of a Problem. No claim of its own.

A chain is (H_1, W_1, ..., W_L) on K_0 columns with W_L s(W_{L-1} ... s(W_1 H_1)) = I. With rho^(L+1) = prod |A_l|^2 /
K_0^(L+1) and all scales balanced, lam_l |A_l|^2 equal, output z I of K_0 among K classes costs K_0/K ((1 - z)^2/2 +
((L+1)/2) rho kappa z^(2/(L+1))): K_0/K f(rho kappa) at the best z.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from ufm.numerics.graphs import Graph, disjointness, incidence
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import relu_collapse


def split(A) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) with W H = A and |W|^2 = |H|^2 = |A|_*, the cheapest."""
    U, s, Vt = np.linalg.svd(np.asarray(A, dtype=float), full_matrices=False)
    keep = s > 1e-12 * s[0]
    root = np.sqrt(s[keep])
    return root[:, None] * Vt[keep], U[:, keep] * root


def chain(A, hidden, L: int) -> list[np.ndarray]:
    """Chain with nonnegative W_1 H_1 = A, projections onto its columns where L has room for them, then `hidden`, and
    the inverse of what comes out."""
    H, W = split(A)
    U = np.linalg.svd(A, full_matrices=False)[0][:, : len(H)]
    room = L - 2 - len(hidden)
    factors, features = [H, W, *[U @ U.T] * room], np.asarray(A, dtype=float)
    for B in hidden:
        features = np.maximum(B @ features, 0.0)
        factors.append(np.asarray(B, dtype=float))
    return [*factors, np.linalg.pinv(features)]


def graph_chain(graph: Graph, L: int) -> list[np.ndarray]:
    """W_1 H_1 = B, then 11'/2 - B', and the inverse of C = max(11' - B'B, 0). ValueError for a graph with singular
    C."""
    B = incidence(graph)
    if np.min(np.abs(np.linalg.eigvalsh(disjointness(graph)))) < 1e-9:
        raise ValueError(
            f"graph must have a regular matrix of disjoint edges, so that its code can be read out; got {graph!r}."
        )
    return chain(B, [0.5 - B.T], L)


def dnc_chain(K: int, L: int) -> list[np.ndarray]:
    return [np.eye(K)] * (L + 1)


def rho(factors) -> float:
    """(prod |A_l|^2)^(1/(L+1)) / K_0; 1 for collapse."""
    return float(np.exp(np.mean([np.log(np.sum(A * A)) for A in factors])) / factors[0].shape[1])


def loss(problem: Problem, chains) -> float:
    """F of `point(problem, chains)`."""
    kappa = float(relu_collapse.kappa(problem)[0])
    used = sum(c[0].shape[1] for c in chains)
    parts = [(c[0].shape[1], rho(c)) for c in chains] + [(problem.K - used, 1.0)]
    return sum(K0 / problem.K * relu_collapse.f(r * kappa, problem.L) for K0, r in parts)


def point(problem: Problem, chains) -> FactorPoint:
    """The chains on consecutive classes at their best scales, zero where that is better, and one neuron for each class
    left over."""
    kappa = float(relu_collapse.kappa(problem)[0])
    used = sum(c[0].shape[1] for c in chains)
    blocks = [_scaled(problem, c, kappa) for c in [*chains, *[dnc_chain(1, problem.L)] * (problem.K - used)]]
    H, *rest = (linalg.block_diag(*parts) for parts in zip(*blocks, strict=True))
    return relu_collapse.embedded(problem, [np.repeat(H, problem.n, axis=1), *rest])


def _scaled(problem: Problem, factors, kappa: float) -> list[np.ndarray]:
    reach, L = rho(factors) * kappa, problem.L
    if reach >= relu_collapse.tau(L):
        return [np.zeros_like(A) for A in factors]
    z = relu_collapse.mse_roots(reach, L)[-1]
    size = factors[0].shape[1] * rho(factors)
    share = size * problem.Lam * (problem.n * z * z) ** (1 / problem.D)
    weights = [problem.lams[0] * problem.n, *problem.lams[1:]]
    return [A * np.sqrt(share / (w * np.sum(A * A))) for A, w in zip(factors, weights, strict=True)]


def best_collapsed(problem: Problem) -> float:
    """Least F of DNC, of partial fits and of zero."""
    return relu_collapse.f(float(relu_collapse.kappa(problem)[0]), problem.L)
