"""Blocks: the classes fall into groups, and each group is a simplex of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.objectives.logits import Stratum
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.block_fits import block_name, described, matches, sees_shifts
from ufm.structures.structure import Structure


@own_numpy_state
def blocks(problem: Problem, parts: Sequence[int], root: str | Sequence[str] = "large") -> LogitPoint:
    """Z = blockdiag(a_1 S_{k_1}, ..., a_m S_{k_m}), S_k = I_k - 11'/k, of rank sum (k_i - 1).

    parts: an integer partition of K; a part of 1 is a class left undecided (zero logits). Each a_i > 0
    solves its own scale equation, because logits outside a block are constant on it: for cross-entropy

        (sqrt(n)/N) (k + (K-k) e^(a/k)) / (e^a + k - 1 + (K-k) e^(a/k)) = Lam (a sqrt(n))^(2/D - 1).

    root: `large` or `small`, one word or one per part of size >= 2. Class counts may differ between
    blocks, not inside one; classes are then assigned to blocks by count. With a bias, its gradient must vanish.

    Returns LogitPoint with exact rank; scales are the a_i (for pairs, b = a/2). Raises ValueError when
    the structure does not exist at this lam, with the fold; when width or counts do not admit it.
    Source: gk25 (DNC, pairs; the mixtures seen in its Figure 5).
    """
    parts = _partition(parts, problem.K)
    name = f"blocks({problem.K})" if len(parts) == 1 and sees_shifts(problem) else block_name(parts)
    scales.needs_linear(problem, name)
    problem.needs_ridge(name)
    rank = problem.K - len(parts)
    if rank == 0:
        raise ValueError("parts must have a part of at least 2; parts of 1 alone are the structure `zero`.")
    if rank > min(problem.widths):
        raise ValueError(f"{name} needs widths of at least its rank {rank}; got d={problem.d}.")
    big = [k for k in parts if k > 1]
    roots = [root] * len(big) if isinstance(root, str) else list(root)
    if len(roots) != len(big):
        raise ValueError(f"root must be one word or one per part of at least 2, {len(big)} here; got {len(roots)}.")
    for word in roots:
        arguments.choice("root", word, ("large", "small"))
    members = _assign(problem, parts, name)
    if problem.bias is not None and problem.loss.shift_invariant and not (problem.balanced and len(set(parts)) == 1):
        raise ValueError(
            f"{name} is not critical with a bias: the bias gradient does not vanish where blocks or counts differ."
        )
    U, s, chosen = np.zeros((problem.K, rank)), np.zeros(rank), []
    known: dict[tuple[int, int], tuple] = {}
    column = 0
    for classes, k, word in zip(members, big, roots, strict=False):
        key = (k, int(problem.counts[classes[0]]))
        if key not in known:
            known[key] = scales.scale_roots(*scales.simplex_pull(problem, *key), problem)
        known_roots, fold = known[key]
        a = scales.pick(known_roots, fold, word, name, problem)
        U[classes, column : column + k - 1] = scales.helmert(k)
        s[column : column + k - 1] = a * np.sqrt(key[1])
        chosen.append(a)
        column += k - 1
    order = np.argsort(-s, kind="stable")
    label, values = described(name, chosen, roots, problem.balanced)
    return with_bias(LogitPoint(problem, U[:, order], s[order], U[:, order], None, label, values), name)


def partitions(total: int, least: int = 2, most: int | None = None) -> Iterator[tuple[int, ...]]:
    """Integer partitions of total with parts >= least, descending, lexicographically last first.

    >>> list(partitions(6))
    [(6,), (4, 2), (3, 3), (2, 2, 2)]
    """
    most = total if most is None else most
    if total == 0:
        yield ()
    for part in range(min(total, most), least - 1, -1):
        for rest in partitions(total - part, least, part):
            yield (part, *rest)


def with_bias(point: LogitPoint, name: str) -> LogitPoint:
    """The point with the constant bias that makes it critical, or a ValueError if no constant does."""
    problem = point.problem
    if problem.bias is None:
        return point
    b = np.zeros(problem.K)
    if problem.loss.quadratic:
        share = problem.counts / problem.N
        b = (share - point.class_logits() @ share) / (1 + problem.bias)
    point = LogitPoint(problem, point.U, point.s, point.right, b, point.name, point.scales)
    stratum = Stratum(point)
    if stratum.blocks[3] is not None and np.linalg.norm(stratum.blocks[3]) > 1e-9 * stratum.ridge_norm + 1e-14:
        raise ValueError(
            f"{name} is not critical with a bias: the bias gradient does not vanish where blocks or counts differ."
        )
    return point


def _partition(parts: Sequence[int], K: int) -> tuple[int, ...]:
    parts = tuple(sorted((arguments.integer("parts", k, 1) for k in parts), reverse=True))
    if sum(parts) != K:
        raise ValueError(f"parts must sum to K={K}; got parts={parts} with sum {sum(parts)}.")
    return parts


def _assign(problem: Problem, parts: Sequence[int], name: str) -> list[list[int]]:
    """Classes of every part of size >= 2: consecutive when balanced, else by equal counts, fullest group first."""
    groups: dict[int, list[int]] = {}
    for c, count in enumerate(problem.counts):
        groups.setdefault(int(count), []).append(c)
    members = []
    for k in (k for k in parts if k > 1):
        fullest = max(groups, key=lambda count: len(groups[count]))
        if len(groups[fullest]) < k:
            raise ValueError(
                f"{name} needs equal counts inside each block; n={problem.n} has no {k} classes left with one count."
            )
        members.append(groups[fullest][:k])
        groups[fullest] = groups[fullest][k:]
    return members


def variants(problem: Problem, largest: int = 10, largest_with_ones: int = 6):
    """All mixed partitions for K up to `largest`, with parts of 1 up to `largest_with_ones`; `dnc` and `pairs` have
    files of their own."""
    if problem.K > largest:
        return
    for parts in partitions(problem.K, 1 if problem.K <= largest_with_ones else 2):
        if parts[0] == 1:
            continue
        name = block_name(parts)
        if name == "dnc" and sees_shifts(problem):
            yield f"blocks({problem.K})", lambda parts=parts: blocks(problem, parts)
        elif name not in ("dnc", "pairs"):
            yield name, lambda parts=parts: blocks(problem, parts)


def block_points(problem: Problem, largest: int = 10) -> list[LogitPoint]:
    """`blocks(problem, parts, root)` for every partition of K and every choice of large and small roots, up to exchange
    of equal parts.

    Choices that do not exist are left out; [] for K above `largest` (the partitions become too many).
    """
    if problem.K > largest:
        return []
    found = []
    for parts in partitions(problem.K, 1):
        for choice in _root_choices(problem, parts):
            try:
                found.append(blocks(problem, parts, choice))
            except ValueError:
                continue
    return found


def _root_choices(problem: Problem, parts):
    words = ("large", "small") if problem.L >= 2 else ("large",)
    sizes = [(k, len(list(group))) for k, group in itertools.groupby(k for k in parts if k > 1)]
    for groups in itertools.product(*(itertools.combinations_with_replacement(words, count) for _, count in sizes)):
        if choice := list(itertools.chain(*groups)):
            yield choice


BLOCKS = Structure(
    "blocks",
    "Z = blockdiag(a_1 S_{k_1}, ..., a_m S_{k_m}) (x) 1', S_k = I - 11'/k, rank sum (k_i - 1)",
    blocks,
    variants=variants,
    matches=matches,
    colour="#56B4E9",
)
