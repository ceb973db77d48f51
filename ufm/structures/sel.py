"""Simplex-encoded labels: the direction of collapse for unequal counts, and the ridge weights at which classes merge.

    SEL = (I - 11'/K) Y,  z_c = e_c - 1/K for every sample of class c,
        with singular values those of S diag(sqrt n), S = I - 11'/K.

At every depth D = L+1 and all counts n, SEL is a KKT point of  min sum_i s_i(Z)^(2/D)  with margins z_cc - z_jc >= 1:
all margins are tight and the multipliers U s^(2/D-1) V' are negative off the labels. Proof: with M = S diag(n) S, U
s^(2/D-1) V' = M^(1/D-1) S diag(sqrt n) is an integral over t > 0, with positive weight, of (M + t)^+ S diag(sqrt n),
and for x = 1/(n + t) (M + t)^+ = diag(x) - x x'/(1'x) on sum-zero vectors, negative off the diagonal. At L = 1 the
problem is convex, and SEL its only solution. Sources: thrampoulidis22, ji22 (L = 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.spectra import thin_svd
from ufm.numerics.state import own_numpy_state
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.block_fits import blocks_fit, unequal
from ufm.structures.fits import Fit, Seen, on_small_root
from ufm.structures.structure import Structure
from ufm.structures.zero import zero


@own_numpy_state
def sel(problem: Problem, root: str = "large") -> LogitPoint:
    """Z = a (I - 11'/K) Y, rank K - 1, at the best scale on its ray, for any class counts.

    a > 0 solves, for cross-entropy,  (K-1)/(e^a + K - 1) = Lam a^(2/D-1) sum_i s_i^(2/D),  s_i the singular values of S
    diag(sqrt n);
    root: `large` (a local minimum of the ray) or `small` (L >= 2). For equal counts this is dnc, and at K = 2 critical
    too. Else it is critical on its ray and not for F: an upper bound on the minimum and a start, and at L = 1 the
    direction of the minimum in the limit lam -> 0, which is approached like 1/log(1/lam).

    Raises ValueError for losses that change with a constant added to a column (MSE), with a bias, below width K - 1,
    and beyond the fold.
    Source: thrampoulidis22.
    """
    arguments.choice("root", root, ("large", "small"))
    arguments.instance("problem", problem, Problem)
    scales.needs_linear(problem, "sel")
    problem.needs_ridge("sel")
    if not problem.loss.shift_invariant:
        raise ValueError(f"sel is a direction for margins, as cross-entropy has them; got loss={problem.loss.name!r}.")
    if problem.bias is not None:
        raise ValueError(f"sel has no bias; got bias={problem.bias}.")
    if min(problem.widths) < problem.K - 1:
        raise ValueError(f"sel needs widths of at least its rank {problem.K - 1}; got d={problem.d}.")
    K, p = problem.K, 2.0 / problem.D
    svd = thin_svd(_encoded(problem.counts), K - 1)
    pull, _ = scales.simplex_pull(problem, K, 1)
    roots, fold = scales.scale_roots(pull, 1.0, problem, float(np.sum(svd.s**p)) * K / ((K - 1) * problem.N))
    a = scales.pick(roots, fold, root, "sel", problem)
    return LogitPoint(problem, svd.U, a * svd.s, svd.V, None, "sel" if root == "large" else "sel(small)", (a,))


def sel_multipliers(counts: Sequence[int], D: int = 2) -> np.ndarray:
    """U s^(2/D-1) V' of S diag(sqrt n) = U s V', (K, K): columns sum to zero, entries off the diagonal are negative.

    The gradient of sum (D/2) s^(2/D) at SEL, one column per class scaled by sqrt(n_c); at D = 2 its polar factor, which
    certifies SEL as the solution of the margin problem. Raises ValueError for fewer than two classes, counts below 1, D
    < 2.
    """
    counts, D = _counts(counts), arguments.integer("D", D, 2)
    svd = thin_svd(_encoded(counts), len(counts) - 1)
    return (svd.U * svd.s ** (2.0 / D - 1.0)) @ svd.V.T


def step_spectrum(K: int, R: float, n: float = 1, majority: int | None = None) -> np.ndarray:
    """Singular values of SEL with k = `majority` classes of R n samples and K - k of n, descending, (K-1,).

        sqrt(R n), k - 1 times;   sqrt(((K - k) R + k) n/K), once;   sqrt(n), K - k - 1 times.

    Raises ValueError for K < 2, R or n not positive, k outside 1..K-1. Source: thrampoulidis22 (k = K/2).
    """
    K, R, k = _step(K, R, majority)
    n = arguments.positive("n", n)
    return np.sort([np.sqrt(R * n)] * (k - 1) + [np.sqrt(((K - k) * R + k) * n / K)] + [np.sqrt(n)] * (K - k - 1))[::-1]


def step_cosines(K: int, R: float, majority: int | None = None) -> dict[str, float]:
    """Cosines between the rows of W_L when Z is SEL at L = 1, with k majority classes of R times the samples.

        minority, minority:  (a k/K - 1)/(a k/K + K - k - 1),   a = sqrt(((K - k) R + k)/K),

    which tends to 1 as R -> infinity; `majority` likewise, and `mixed` for one of each. NaN where a group has one
    class. Arguments and errors as `step_spectrum`. Source: thrampoulidis22 (k = K/2: (a - 2)/(a + K - 2)).
    """
    K, R, k = _step(K, R, majority)
    a, m = np.sqrt(((K - k) * R + k) / K), K - k
    major, minor = (a * m / K + (k - 1) * np.sqrt(R)) / k, (a * k / K + m - 1) / m
    found = {
        "minority": (a * k / K - 1) / m / minor,
        "majority": (a * m / K - np.sqrt(R)) / k / major,
        "mixed": -a / K / np.sqrt(major * minor),
    }
    found["minority"] = found["minority"] if m > 1 else np.nan
    found["majority"] = found["majority"] if k > 1 else np.nan
    return {name: float(x) for name, x in found.items()}


def merging_thresholds(problem: Problem) -> dict[int, float]:
    """Class size m -> sqrt(m)/N: at L = 1 under cross-entropy, the classes of size m (where there are at least two)
    have one and the same logits, classifier and mean feature iff Lam >= sqrt(m)/N, whatever the other classes and with
    or without a bias.

    Proof: merged, the fit pulls on contrasts of these classes with exactly sqrt(m)/N; unmerged, with less, and an
    active direction is pulled with Lam. Raises ValueError unless L = 1, linear, cross-entropy. Source: hong23 (two
    clusters of classes).
    """
    _shallow(problem)
    if not problem.loss.cross_entropy:
        raise ValueError(f"the threshold is that of cross-entropy; got loss={problem.loss.name!r}.")
    sizes, times = np.unique(problem.counts, return_counts=True)
    return {int(m): float(np.sqrt(m) / problem.N) for m, t in zip(sizes, times, strict=True) if t > 1}


def vanishing_threshold(problem: Problem) -> float:
    """|grad g(0, b)|_2, b the best bias: at L = 1 and a convex loss the minimum is Z = 0 iff Lam is at least this.

    For cross-entropy without bias |S diag(sqrt n)|_2/N. Raises ValueError unless L = 1, linear, a convex loss. Source:
    hong23.
    """
    _shallow(problem)
    if not problem.loss.convex:
        raise ValueError(f"the threshold needs a convex loss; got loss={problem.loss.name!r}.")
    return float(np.linalg.norm(Stratum(zero(problem)).G, 2))


def _encoded(counts) -> np.ndarray:
    """S diag(sqrt n): SEL with one column per class, (K, K)."""
    root = np.sqrt(np.asarray(counts, dtype=float))
    return np.diag(root) - root / len(root)


def _counts(counts) -> list[int]:
    if not isinstance(counts, Iterable):
        raise ValueError(f"counts must be a sequence of samples per class; got counts={counts!r}.")
    counts = [arguments.integer("counts", n, 1) for n in counts]
    arguments.integer("K", len(counts), 2, "counts holds one number per class.")
    return counts


def _step(K, R, majority) -> tuple[int, float, int]:
    K, R = arguments.integer("K", K, 2), arguments.positive("R", R)
    k = K // 2 if majority is None else arguments.integer("majority", majority, 1)
    if k >= K:
        raise ValueError(f"majority must leave at least one class; got majority={k} of K={K}.")
    return K, R, k


def _shallow(problem: Problem) -> None:
    arguments.instance("problem", problem, Problem)
    scales.needs_linear(problem, "the threshold")
    if problem.L != 1:
        raise ValueError(f"the threshold is that of the plain model, L=1; got L={problem.L}.")


def variants(problem: Problem):
    if problem.loss.cross_entropy and not problem.balanced and problem.bias is None:
        yield "sel", lambda: sel(problem)
        if problem.L >= 2:
            yield "sel(small)", lambda: replace(sel(problem, "small"), name="sel(small)")


def matches(seen: Seen) -> Iterator[Fit]:
    """The whole simplex, where the counts of a problem differ."""
    if unequal(seen):
        fit = blocks_fit(seen.M, [list(range(seen.K))], seen.counts, False)
        yield on_small_root(replace(fit, name="sel"), sel, seen)


SEL = Structure(
    "sel",
    "Z = a (I - 11'/K) Y, rank K - 1: collapse for unequal class counts, critical on its ray",
    sel,
    variants=variants,
    matches=matches,
    colour="#44AA99",
)
