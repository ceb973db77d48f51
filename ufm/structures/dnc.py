"""Deep neural collapse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.blocks import blocks
from ufm.structures.fits import Fit, Seen, least_squares
from ufm.structures.shifts import simplex_and_constant, two_scales
from ufm.structures.structure import Structure


@own_numpy_state
def dnc(problem: Problem, root: str = "large") -> LogitPoint:
    """Deep neural collapse: Z = a (I_K - 11'/K) (x) 1_n', rank K - 1; for MSE Z = sum over classes of a_c e_c (x) 1'.

    a > 0 solves, for cross-entropy, Lam n^(1/(L+1)) = a^((L-1)/(L+1)) / (e^a + K - 1): the large root,
    which diverges as lam -> 0, or the small one, a barrier near zero (none at L = 1). For MSE without bias
    every class is a mode of its own, s + N Lam s^(2/D - 1) = sqrt(n_c) with s = a_c sqrt(n_c), so that counts
    may differ and rank is min(K, d); with a bias (balanced) the constant mode is damped by bias/(1 + bias). For another
    loss that sees shifts the constant has a scale of its own, Z = (a S + c 11'/K) (x) 1', rank K (`structures.shifts`;
    c = 0 where only that is critical).

    Returns LogitPoint: U (K, r), s (r,), V (N, r), rank exact; scales (a,), the distinct a_c, or (a, c).
    Raises ValueError when it does not exist here (above the fold; unequal counts under cross-entropy; width).
    Source: gk25 (definition of DNC for the deep linear model); dang23 (MSE), zhou22a (MSE with bias, L = 1).
    """
    arguments.choice("root", root, ("large", "small"))
    scales.needs_linear(problem, "dnc")
    problem.needs_ridge("dnc")
    if problem.loss.quadratic:
        return _mse(problem, root)
    if not problem.balanced:
        raise ValueError(
            f"dnc has no closed form for unequal class counts under {problem.loss.name}; got n={problem.n}."
        )
    if not problem.loss.shift_invariant:
        return _seen_shifts(problem, root)
    return blocks(problem, (problem.K,), root)


def _seen_shifts(problem: Problem, root: str) -> LogitPoint:
    if problem.bias is not None:
        raise ValueError(
            f"dnc with a bias is known for mse and for losses of differences of logits; got loss={problem.loss.name!r}."
        )
    if root == "small":
        raise ValueError(
            f"dnc has a small root for mse and for losses of differences of logits; got loss={problem.loss.name!r}."
        )
    both = two_scales(problem) if problem.max_rank == problem.K else None
    return simplex_and_constant(problem, *both) if both else replace(blocks(problem, (problem.K,)), name="dnc")


def _mse(problem: Problem, root: str) -> LogitPoint:
    y, weight, frame = _modes(problem)
    known = {}
    for key in set(zip(y, weight, strict=True)):
        target, share = key
        known[key] = (
            scales.scale_roots(lambda t, target=target, share=share: share * (target - t) / problem.N, 1.0, problem)
            if share
            else ([], 0.0)
        )
    if not any(roots for roots, _ in known.values()):
        scales.pick([], max(fold for _, fold in known.values()), root, "dnc", problem)
    found = (known[key] for key in zip(y, weight, strict=True))
    s = np.array([scales.pick(roots, fold, root, "dnc", problem) if roots else 0.0 for roots, fold in found])
    order = [i for i in np.argsort(-s, kind="stable") if s[i] > 0][: problem.max_rank]
    values = tuple(sorted({float(s[i] / y[i]) for i in order}, reverse=True))
    b = None
    if problem.bias is not None:
        constant = s[-1] / y[-1]
        b = np.full(problem.K, (1 - constant) / (problem.K * (1 + problem.bias)))
    name = "dnc" if root == "large" else "dnc(small)"
    return LogitPoint(problem, frame[:, order], s[order], frame[:, order], b, name, values)


def _modes(problem: Problem):
    """(y, weight, frame): singular modes of the labels and how strongly the fit pulls on each."""
    y, K = np.sqrt(problem.counts.astype(float)), problem.K
    if problem.bias is None:
        return y.tolist(), [1.0] * K, np.eye(K)
    if not problem.balanced:
        raise ValueError(f"dnc for MSE with a bias needs equal class counts; got n={problem.n}.")
    if problem.max_rank < K:
        raise ValueError(f"dnc for MSE with a bias needs widths of at least K={K}; got d={problem.d}.")
    frame = np.hstack([scales.helmert(K), np.full((K, 1), 1 / np.sqrt(K))])
    return y.tolist(), [1.0] * (K - 1) + [problem.bias / (1 + problem.bias)], frame


def variants(problem: Problem):
    yield "dnc", lambda: dnc(problem)
    if problem.L >= 2:
        yield "dnc(small)", lambda: replace(dnc(problem, "small"), name="dnc(small)")


def matches(seen: Seen) -> Iterator[Fit]:
    """Collapse under a loss that sees shifts, on the ray of the problem's own dnc where that is known; under others it
    is the block of all classes."""
    if not seen.shifts:
        return
    yield _own_ray(seen) or _any_ray(seen.M, seen.counts)


def _own_ray(seen: Seen) -> Fit | None:
    """The ray of the problem's own dnc: any counts, any width, up to the order of classes of one count."""
    M, problem = seen.M, seen.problem
    if problem is None:
        return None
    for root, name in (("small", "dnc(small)"), ("large", "dnc")):
        try:
            point = dnc(problem, root)
        except ValueError:
            continue
        A = replace(point, b=None).class_logits()
        order = np.empty(problem.K, dtype=int)
        order[np.lexsort((-np.diag(M), problem.counts))] = np.lexsort((-np.diag(A), problem.counts))
        A = A[np.ix_(order, order)]
        t = float(np.vdot(A, M) / np.vdot(A, A))
        if root == "large" or abs(t - 1) <= seen.tol:
            distance = float(np.linalg.norm(M - t * A) / np.linalg.norm(M))
            return Fit.ray(name, distance, [t * a for a in point.scales], (tuple(range(problem.K)),), point.rank)
    return None


def _any_ray(M: np.ndarray, counts: np.ndarray) -> Fit:
    """a (I - 11'/K) + c 11'/K, of one scale where a = c; for unequal counts a_c e_c (one a per count)."""
    K, J, everyone = len(M), np.full((len(M), len(M)), 1.0 / len(M)), (tuple(range(len(M))),)
    if len(set(counts.tolist())) == 1:
        distance, (a, c) = least_squares(M, [np.eye(K) - J, J])
        return Fit.ray("dnc", distance, (a, c) if abs(a - c) > 1e-9 * abs(a) else (a,), everyone, K)
    basis = [np.diag((counts == count).astype(float)) for count in sorted(set(counts.tolist()))]
    distance, found = least_squares(M, basis)
    return Fit("dnc", distance, tuple(map(float, found)), everyone, K, min(found) > 0)


DNC = Structure(
    "dnc",
    "Z = a (I - 11'/K) (x) 1', rank K - 1: deep neural collapse",
    dnc,
    variants=variants,
    matches=matches,
    colour="#0072B2",
)
