"""Graph codes: classes are the edges of a graph, and a deep ReLU model pays less than for one neuron per class.

For a graph on r vertices with K edges, incidence matrix B (r x K) and C = max(11' - B'B, 0) (which edges are disjoint),
MSE, no bias, L >= 3:

    W_1 H_1 = c B, then multiples of B (nonnegative, ReLU idle) up to the input of W_{L-1} = x (11'/2 - B'),
    W_{L-1} B = x (11' - B'B) of rank at most r, ReLU makes it a C with a = x(...), of rank K where C is regular; W_L is
    the ridge regression on a C.

With T = lam_l ||W_l||^2 (l < L) = lam_0 ||H_1||^2 the same for all, T^L = Q a^2, and one variable is left:

    F = min over u = a^2 of  sum_i lam_L/(2 (u mu_i^2 + K_tot lam_L)) + (L/2) (Q u)^(1/L),    mu_i: eigenvalues of C,
    Q = n lam_0 lam_1 ||B||_*^2 (lam_2 r) ... (lam_{L-2} r) lam_{L-1} K r/4.

K_tot >= K are the classes of the whole problem: fit and ridge add up over blocks of classes, so codes, DNC and zero may
share them. For K_r, whose C is the Kneser graph and B'B - 2 the triangular strongly regular graph, this is the
construction that shows DNC suboptimal (`srg`). As lam -> 0,

    F(code)/F(DNC) -> rho,  rho^(L+1) = tr(C^-2) (K r/4) r^(L-3) ||B||_*^2 / K^(L+1),

and F(code) <= f(rho kappa) for all lam (f, kappa: `ufm.structures.relu_collapse`). The variant `identity` has -W_{L-1}:
its ReLU leaves a I, all mu_i = 1. A code is an upper bound of the minimum and a start for descent; it is not always
stationary (`ufm.objectives.clarke` tells).

Source: sml24 (strongly regular graphs, K = r(r-1)/2); general graphs, weights per factor, blocks: derived here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, optimize

from ufm.numerics import arguments, roots
from ufm.numerics.graphs import Graph, complete, disjointness, incidence
from ufm.numerics.state import own_numpy_state
from ufm.points import FactorPoint
from ufm.problem import Problem
from ufm.structures import relu_collapse
from ufm.structures.relu_collapse import embedded

VARIANTS = ("disjoint", "identity")


@dataclass(frozen=True)
class Code:
    """A graph code on its ray: a^2, T, its value (all K_tot classes' share of F that its K classes cost) and what the
    class costs are made of."""

    graph: Graph
    a2: float
    share: float
    fun: float


@own_numpy_state
def graph_code(problem: Problem, parts: Any, variant: str = "disjoint") -> FactorPoint:
    """Explicit weights of graph codes on blocks of classes; those left over are fitted by DNC where that helps.

    parts: a Graph or a sequence of them. Widths: d_1 at least the ranks of all B, hidden ones their vertices, d_L their
    edges, plus one for every DNC class. Returns FactorPoint of the problem's own width. Raises ValueError with the
    reason where it does not exist.
    """
    codes, rest = _codes(problem, parts, variant)
    blocks, start = [], 0
    for code in codes:
        blocks.append(_weights(problem, code, variant, start))
        start += len(code.graph)
    blocks += [_lone_weights(problem, rest, c) for c in range(start, problem.K)] if rest else []
    H, *hidden, last = zip(*blocks, strict=True)
    factors = [np.vstack(H), *(linalg.block_diag(*W) for W in hidden), np.hstack(last)]
    _check_widths(problem, factors)
    return embedded(problem, factors)


def loss(problem: Problem, parts, variant: str = "disjoint") -> float:
    """F at `graph_code(problem, parts, variant)`, from the scalar minimisations alone."""
    codes, _ = _codes(problem, parts, variant)
    left = problem.K - sum(len(code.graph) for code in codes)
    return sum(code.fun for code in codes) + left * lone_loss(problem)


@own_numpy_state
def srg(problem: Problem, r: int | None = None) -> FactorPoint:
    """The code of K_r, K_0 = r(r-1)/2 classes, on the first K_0 classes; the others DNC. r None: K must be r(r-1)/2.

    Source: sml24.
    """
    return graph_code(problem, complete(srg_order(problem.K) if r is None else r))


def srg_order(K: int) -> int:
    """r with r(r-1)/2 = K; ValueError where there is none."""
    r = round((1 + np.sqrt(1 + 8 * arguments.integer("K", K, 2))) / 2)
    if r * (r - 1) // 2 != K or r < 4:
        raise ValueError(
            f"K must be r(r-1)/2 with r >= 4 (6, 10, 15, ...) for srg of all classes; got K={K}. Pass r for a block of"
            " r(r-1)/2 of them."
        )
    return r


def rho(graph: Graph, L: int, variant: str = "disjoint") -> float:
    """lim F(code)/F(DNC) as lam -> 0; infinite where C is singular, since then some classes stay unfitted.

    >>> round(rho(complete(5), 3), 5), round(rho(complete(5), 4), 5)
    (0.92344, 0.81681)
    """
    arguments.instance("graph", graph, Graph)
    L, r, K = arguments.integer("L", L, 3), graph.vertices, len(graph)
    mu, count = code_spectrum(graph, variant)
    if np.min(np.abs(mu)) <= 1e-9:
        return np.inf
    log = (
        np.log(np.sum(count / mu**2))
        + np.log(K * r / 4)
        + (L - 3) * np.log(r)
        + 2 * np.log(_nuclear(graph))
        - (L + 1) * np.log(K)
    )
    return float(np.exp(log / (L + 1)))


def code(problem: Problem, graph: Graph, variant: str = "disjoint") -> Code:
    """The best scale of one graph code inside the problem's K classes; ValueError where its ray has none."""
    refuse(problem)
    arguments.instance("graph", graph, Graph)
    L, K, lam = problem.L, problem.K, problem.lams[-1]
    mu, count = code_spectrum(graph, variant)
    mu2 = np.where(np.abs(mu) > 1e-9, mu * mu, 0.0)
    if not np.any(mu2):
        raise ValueError(f"the code of {graph.name} separates nothing: every two of its edges meet.")
    log_Q = code_log_Q(problem, graph)
    unit = K * lam  # v = u/unit

    def value(v):
        return np.sum(0.5 * count / (K * (np.multiply.outer(v, mu2) + 1.0)), axis=-1) + 0.5 * L * np.exp(
            (log_Q + np.log(unit * v)) / L
        )

    def slope(log_v):  # dF/dlog v
        left = 1.0 / (1.0 + np.multiply.outer(np.exp(np.minimum(log_v, 600.0)), mu2))
        return -np.sum(0.5 * count * left * (1.0 - left) / K, axis=-1) + 0.5 * np.exp(
            (log_Q + np.log(unit) + log_v) / L
        )

    low = np.log(0.25 / np.max(mu2))  # a minimum needs v mu^2 > (L-1)/(L+1) for some mu
    high = max(
        L * np.log(len(graph) / K) - log_Q - np.log(unit), low + 1.0
    )  # beyond, the ridge alone costs more than half of it unfitted
    lowest = _minima(slope, np.linspace(low, high, 400))
    if not lowest:
        raise ValueError(
            f"the code of {graph.name} does not exist here: F has no minimum on its ray but zero (lam too large)."
        )
    best = min((np.exp(u) for u in lowest), key=value)
    return Code(graph, float(best * unit), float(np.exp((log_Q + np.log(unit * best)) / L)), float(value(best)))


def _minima(slope, grid: np.ndarray) -> list[float]:
    """Where slope turns from negative to positive on a grid."""
    grid = _with_lowest(slope, grid)
    signs = slope(grid)
    rising = np.flatnonzero((signs[:-1] < 0) & (signs[1:] >= 0))
    return [roots.bracketed(slope, grid[i], grid[i + 1], 1e-15, 8.9e-16) for i in rising]


def _with_lowest(slope, grid: np.ndarray) -> np.ndarray:
    """The grid and the minima of slope between its points, where it may dip below 0 for less than a step."""
    values = slope(grid)
    dips = [i for i in range(1, len(grid) - 1) if 0 <= values[i] <= min(values[i - 1], values[i + 1])]
    found = []
    for i in dips:
        ends = grid[i - 1], grid[i + 1]
        dip: Any = optimize.minimize_scalar(slope, bounds=ends, method="bounded", options={"xatol": 1e-12})
        found.append(dip.x)
    return np.sort(np.append(grid, found))


def lone_loss(problem: Problem) -> float:
    """What one class costs by itself, fitted by DNC or at 0, whichever is less."""
    refuse(problem)
    rest = _lone_scale(problem)
    if not rest:
        return 0.5 / problem.K
    z, share = rest
    return min(0.5 / problem.K, 0.5 * (1 - z) ** 2 / problem.K + 0.5 * problem.D * share)


def part_loss(problem: Problem, graph: Graph, variant: str = "disjoint") -> float:
    """What the classes of one code cost, at its best scale or at 0. Raises ValueError where no graph code applies."""
    refuse(problem)
    arguments.instance("graph", graph, Graph)
    arguments.choice("variant", variant, VARIANTS)
    zero = 0.5 * len(graph) / problem.K
    try:
        return min(zero, code(problem, graph, variant).fun)
    except ValueError:
        return zero


def _codes(problem: Problem, parts, variant: str) -> tuple[list[Code], tuple[float, float] | None]:
    """(codes, (z, share) of the DNC classes that are left, or None where there are none or zero is better)."""
    refuse(problem)
    arguments.choice("variant", variant, VARIANTS)
    parts = list(parts) if isinstance(parts, Iterable) else [parts]
    if not parts:
        raise ValueError("parts must name at least one graph; got none.")
    for part in parts:
        arguments.instance("part", part, Graph)
    used = sum(len(g) for g in parts)
    if used > problem.K:
        raise ValueError(
            f"parts have {used} edges, more than the {problem.K} classes: {', '.join(g.name for g in parts)}."
        )
    rest = _lone_scale(problem) if used < problem.K else None
    if rest and 0.5 * (1 - rest[0]) ** 2 + 0.5 * problem.D * rest[1] * problem.K > 0.5:
        rest = None
    return [code(problem, g, variant) for g in parts], rest


def _lone_scale(problem: Problem) -> tuple[float, float] | None:
    """(z, share) of one DNC class, or None where its scale equation has no root."""
    roots = relu_collapse.mse_roots(float(relu_collapse.kappa(problem)[0]), problem.L)
    return (roots[-1], problem.Lam * (problem.per_class * roots[-1] ** 2) ** (1 / problem.D)) if roots else None


def code_log_Q(problem: Problem, graph: Graph) -> float:
    """log Q, Q = n lam_1 lam_2 |B|_*^2 (prod_l lam_l r) lam_L K r / 4: a code of size u costs (Q u)^(1/L) of ridge."""
    lams, r = problem.lams, graph.vertices
    log_Q = np.log(problem.n) + np.log(lams[0]) + np.log(lams[1]) + 2 * np.log(_nuclear(graph))
    log_Q += sum(np.log(lam * r) for lam in lams[2 : problem.L - 1])
    return float(log_Q + np.log(lams[problem.L - 1] * len(graph) * r / 4))


def _is_complete(graph: Graph) -> bool:
    return 2 * len(graph) == graph.vertices * (graph.vertices - 1)


@functools.lru_cache(maxsize=4096)
def _nuclear(graph: Graph) -> float:
    """||B||_*."""
    r = graph.vertices
    if _is_complete(graph):
        return float(np.sqrt(2.0 * (r - 1)) + (r - 1) * np.sqrt(r - 2.0))
    return float(np.sum(linalg.svdvals(incidence(graph))))


@functools.lru_cache(maxsize=4096)
def code_spectrum(graph: Graph, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """(eigenvalues, multiplicities) of C, or of the identity."""
    arguments.choice("variant", variant, VARIANTS)
    r, K = graph.vertices, len(graph)
    if variant == "identity":
        return np.ones(1), np.array([float(K)])
    if _is_complete(graph) and r >= 4:
        return np.array([0.5 * (r - 2) * (r - 3), 3.0 - r, 1.0]), np.array([1.0, r - 1.0, K - r])
    return linalg.eigvalsh(disjointness(graph)), np.ones(K)


def _weights(problem: Problem, code: Code, variant: str, start: int) -> list[np.ndarray]:
    """[H_1, W_1, ..., W_L] of one code whose first class is `start`; H_1 has all N columns, W_L all K rows."""
    graph, T, lams, n, L = code.graph, code.share, problem.lams, problem.per_class, problem.L
    B, r, K = incidence(graph), graph.vertices, len(graph)
    U, s, Vt = linalg.svd(B, full_matrices=False)
    keep = s > 1e-10 * s[0]
    U, s, Vt = U[:, keep], s[keep], Vt[keep]
    root = np.sqrt(T * s / np.sum(s))  # each of the first two factors has squared norm T/lam
    M = root[:, None] * Vt / np.sqrt(n * lams[0])
    turned = 0.5 - B.T if variant == "disjoint" else B.T - 0.5
    hidden = [np.sqrt(T / (lam * r)) * np.eye(r) for lam in lams[2 : L - 1]]
    x = np.sqrt(T / (lams[L - 1] * K * r / 4))
    C = disjointness(graph) if variant == "disjoint" else np.eye(K)
    a = np.sqrt(code.a2)
    H, last = np.zeros((len(s), problem.N)), np.zeros((problem.K, K))
    H[:, start * n : (start + K) * n] = np.repeat(M, n, axis=1)
    last[start : start + K] = linalg.solve(code.a2 * C @ C + problem.K * lams[-1] * np.eye(K), a * C, assume_a="pos")
    return [H, U * root / np.sqrt(lams[1]), *hidden, x * turned, last]


def _lone_weights(problem: Problem, scale: tuple[float, float], c: int) -> list[np.ndarray]:
    """One class fitted by a chain of single neurons."""
    share, lams = scale[1], problem.lams
    H, last = np.zeros((1, problem.N)), np.zeros((problem.K, 1))
    H[:, problem.labels == c] = np.sqrt(share / (lams[0] * problem.per_class))
    last[c] = np.sqrt(share / lams[-1])
    return [H, *(np.full((1, 1), np.sqrt(share / lam)) for lam in lams[1:-1]), last]


def _check_widths(problem: Problem, factors) -> None:
    for l, (A, d) in enumerate(zip(factors, problem.widths, strict=False), 1):
        if A.shape[0] > d:
            raise ValueError(f"the code needs d_{l} >= {A.shape[0]}; got d={problem.d}.")


def refuse(problem: Problem) -> None:
    """ValueError with the reason where no graph code applies."""
    arguments.instance("problem", problem, Problem)
    problem.needs_ridge("a graph code")
    if not problem.activation.rectifies:
        raise ValueError(
            f"graph codes need the ReLU, which cuts their negative entries; got activation={problem.activation.name!r}."
        )
    if not problem.loss.quadratic or problem.bias is not None:
        raise ValueError(
            f"graph codes are derived for mse without bias; got loss={problem.loss.name!r}, bias={problem.bias}."
        )
    if problem.L < 3:
        raise ValueError(f"graph codes need L >= 3: B, its complement and the read-out; got L={problem.L}.")
    if not problem.balanced:
        raise ValueError(f"graph codes need equal class counts; got n={problem.n}.")
