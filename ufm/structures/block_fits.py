"""Blocks recognised: names of partitions, the nearest simplices on their parts, and the roots their scales are on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.fits import Fit, Seen


def sees_shifts(problem: Problem) -> bool:
    """Whether a constant added to all logits of a sample changes F: the loss sees it, and no free bias takes it."""
    return not problem.loss.shift_invariant and problem.bias != 0


def block_name(parts: Sequence[int]) -> str:
    """`dnc` for one part (of a loss that sees shifts `dnc` has rank K, and the simplex is `blocks(K)`), `pairs` for
    parts of 2 alone, else `blocks(6,2,2)`."""
    parts = sorted(parts, reverse=True)
    if len(parts) == 1:
        return "dnc"
    if set(parts) == {2}:
        return "pairs"
    return f"blocks({','.join(map(str, parts))})"


def described(
    name: str, chosen: Sequence[float], words: Sequence[str], balanced: bool
) -> tuple[str, tuple[float, ...]]:
    """(name with the roots of its parts, scales) of parts of scales a_i on the roots `words`: `pairs`, `pairs(small)`,
    `blocks(3,2)(large,small)`.

    Scales are the a_i; of pairs b_i = a_i/2, one number where counts and roots are equal.
    """
    roots = set(words)
    label = f"{name}(small)" if roots == {"small"} else name if roots == {"large"} else f"{name}({','.join(words)})"
    values = tuple(a / 2 for a in chosen) if name == "pairs" else tuple(chosen)
    return label, values[:1] if name == "pairs" and balanced and len(set(words)) == 1 else values


def matches(seen: Seen) -> Iterator[Fit]:
    """Simplices on every proposed partition; in a problem under the names of the roots that all parts are on. The whole
    simplex of a problem of unequal counts is `sel`."""
    for parts in seen.partitions:
        if len(parts) == 1 and unequal(seen):
            continue
        fit = blocks_fit(seen.M, parts, seen.counts, seen.shifts)
        yield _on_roots(fit, seen)


def unequal(seen: Seen) -> bool:
    """Whether M belongs to a problem of unequal counts whose loss sees differences of logits alone."""
    return seen.problem is not None and not seen.problem.balanced and not seen.shifts


def blocks_fit(M: np.ndarray, parts, counts: np.ndarray, shifts: bool) -> Fit:
    """Simplices on the parts of two classes or more, nothing elsewhere; a negative scale is set to zero. Parts of equal
    size and class counts have one scale."""
    K = len(M)
    big = [part for part in parts if len(part) > 1]
    found, rest = [], M.copy()
    for part in big:
        at, k = np.ix_(part, part), len(part)
        S = np.eye(k) - 1.0 / k
        found.append(float(np.vdot(S, M[at]) / (k - 1)))
        rest[at] -= max(found[-1], 0.0) * S
    keys = [(len(part), tuple(sorted(counts[list(part)]))) for part in big]
    common = [float(np.mean([a for a, other in zip(found, keys, strict=True) if other == key])) for key in keys]
    size = np.linalg.norm(M)
    free = float(np.linalg.norm(rest) / size)
    spread = sum(
        (len(part) - 1) * (max(a, 0.0) - max(c, 0.0)) ** 2 for part, a, c in zip(big, found, common, strict=True)
    )
    order = sorted(range(len(big)), key=lambda i: (-len(big[i]), big[i][0]))
    name = f"blocks({K})" if shifts and len(parts) == 1 else block_name([len(p) for p in parts])
    values = described(name, [common[i] for i in order], ["large"], len(set(keys)) == 1)[1]
    members = (*(tuple(big[i]) for i in order), *(tuple(part) for part in parts if len(part) == 1))
    distance, chosen = float(np.hypot(free, np.sqrt(spread) / size)), tuple(found[i] for i in order)
    return Fit(name, distance, values, members, K - len(parts), min(chosen) > 0, (free, chosen))


def _on_roots(fit: Fit, seen: Seen) -> Fit:
    """Blocks whose parts are all on roots of their scale equations in the problem, `blocks(3,2)(large,small)`; others
    as they are."""
    problem, tol = seen.problem, seen.tol
    if problem is None or fit.free is None or not fit.proper or fit.free[0] > seen.reach:
        return fit
    big = sorted(
        zip((part for part in fit.members if len(part) > 1), fit.free[1], strict=True),
        key=lambda pair: (-len(pair[0]), -pair[1]),
    )
    known, words = {}, []
    for part, a in big:
        counts = problem.counts[list(part)]
        key = len(part), int(counts[0])
        if key not in known:
            known[key], _ = scales.scale_roots(*scales.simplex_pull(problem, *key), problem)
        near = min(known[key], key=lambda root: abs(np.log(root / a)), default=None)
        if near is None or np.ptp(counts) or abs(near - a) > tol * near:
            return fit
        words.append("large" if near == known[key][-1] else "small")
    name, found = described(fit.name, [a for _, a in big], words, len(known) == 1)
    members = (*(part for part, _ in big), *(part for part in fit.members if len(part) == 1))
    return replace(fit, name=name, distance=fit.free[0], scales=found, members=members)
