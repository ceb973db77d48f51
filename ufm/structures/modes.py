"""Every critical point of the deep linear model under MSE, in closed form.

The labels, seen by the model, have singular modes y_i u_i v_i' of weight w_i (class coordinates, sqrt(n_c) per class):

    no bias                     y_c = sqrt(n_c), u_c = v_c = e_c, w = 1
    bias, equal counts          y = sqrt(n): K - 1 simplex modes of w = 1, the constant mode of w = bias/(1 + bias)
    free bias, unequal counts   y_i = singular values of (I - n 1'/N) diag(sqrt(n_c)), w = 1;  b = n_c/N

With b at its best, F = sum_i (w_i/2N)(s_i - y_i)^2 + (D/2) Lam s_i^(2/D) on logits Z = sum_i s_i u_i v_i', and Z is
critical iff it is such a sum with at most min(d) active modes, each on a positive root of

    s + (N Lam/w_i) s^(2/D - 1) = y_i.

D >= 3: none or two (small, large), one double root at the spinodal between; D = 2: none or s = y_i - N Lam/w_i. There
are no others. Criticality, U'G = -diag(phi') V' and GV = -U diag(phi'), makes ZG' and Z'G symmetric. Without damping (w
= 1) then Y'Z and ZY' are symmetric, so Z is block diagonal in the distinct y and symmetric in each block, and a
negative eigenvalue t would need t - y = N phi' > 0. With a damped constant mode G is symmetric and u = k M v, M the
damping: each weight w that v has a part in solves k y w^2 - s w - N phi' = 0, which has one positive root w for k > 0
and none otherwise, so v does not mix weights. Hence Z is a sum of modes, up to rotations among the m modes of equal y
and w: n_0 of them at zero, n_- on the small, n_+ on the large root form one family, the flag manifold O(m)/(O(n_0)
O(n_-) O(n_+)). Unequal counts with a penalised bias do not decouple and are refused.

Sources: dang23 (roots and global minima), zhou22a (bias, L = 1), gk25 (Lemma 1, from factors to logits).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.bars import progress_bar
from ufm.numerics.content import ByContent
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.blocks import block_points
from ufm.structures.scales import helmert, scale_roots
from ufm.structures.structure import Structure, everyone, existing

DOUBLE = 1e-12
"""Relative distance of N Lam/w from the spinodal within which its two roots count as one double root."""
SPECTRUM = 1e-6
"""Relative difference of each singular value up to which two spectra are one: small roots of unequal counts lie near
each other."""
BUILT = 6
"""Most classes for which blocks on every choice of roots give their names to families."""
NAMED = 5_000
"""Most families among which a spectrum is looked up."""
LIMIT = 100_000
"""Most families listed unless asked for more."""


def spinodal(y: float, D: int) -> float:
    """The largest N Lam/w at which a mode y has a positive root: y^(2-2/D) (D/(2D-2)) ((D-2)/(2D-2))^((D-2)/D), there
    s/y = (D-2)/(2D-2).

    >>> spinodal(1.0, 2), round(spinodal(1.0, 3), 6)
    (1.0, 0.47247)

    Raises ValueError for y <= 0 or D < 2. Source: dang23.
    """
    y, D = arguments.positive("y", y), arguments.integer("D", D, 2)
    return y ** (2 - 2 / D) * D / (2 * D - 2) * ((D - 2) / (2 * D - 2)) ** ((D - 2) / D)


def binodal(y: float, D: int) -> float:
    """The N Lam/w below which the large root of a mode y is lower than zero: y^(2-2/D) (1/(D-1))
    ((D-2)/(D-1))^((D-2)/D), there s/y = (D-2)/(D-1).

    Between binodal and spinodal the large root is metastable. At D = 2 the two agree.

    >>> binodal(1.0, 2), round(binodal(1.0, 3), 6)
    (1.0, 0.39685)

    Raises ValueError for y <= 0 or D < 2. Source: dang23.
    """
    y, D = arguments.positive("y", y), arguments.integer("D", D, 2)
    return y ** (2 - 2 / D) / (D - 1) * ((D - 2) / (D - 1)) ** ((D - 2) / D)


@dataclass(frozen=True, eq=False)
class ModeGroup(ByContent):
    """m modes of equal y and weight: left, right (K, m) orthonormal; roots ascending, (small, large), one or none.

    double: the one root is a double one. marginal: at D = 2, y stands exactly at the threshold N Lam/w.
    """

    label: str
    y: float
    weight: float
    left: np.ndarray
    right: np.ndarray
    roots: tuple[float, ...]
    double: bool
    marginal: bool

    @property
    def size(self) -> int:
        return self.left.shape[1]

    @property
    def strength(self) -> float:
        """w y: N times the pull of the labels on the mode at zero."""
        return self.weight * self.y

    def splits(self) -> list[tuple[int, int, int]]:
        """All (n_0, n_small, n_large)."""
        m = self.size
        small, large = (m if len(self.roots) == 2 else 0), (m if self.roots else 0)
        return [(m - a - b, a, b) for b in range(large + 1) for a in range(min(small, m - b) + 1)]

    def levels(self, split) -> list[tuple[float, int]]:
        """(root, how many modes are on it) of the active modes, large first."""
        _, small, large = split
        return [(s, k) for s, k in ((self.roots[-1:], large), (self.roots[:1], small)) for s in s if k]


@dataclass(frozen=True, eq=False)
class Family(ByContent):
    """One connected kind of critical points: how many modes of each group are at zero, on the small or the large root.

    point: a representative, exact. counts: (n_0, n_small, n_large) of every group of `mode_groups` (a double root
    counts as large).
    fun: sum over modes of (w y^2/2N)((1 - t)^2 + D t (1 - t)), t = s/y. index, nullity: of the Hessian in all
    parameters.
    nullity_symmetry: gauge plus rotations among equal modes. orbit_dimension: of the flag manifold of Z.
    labelled: choices of labelled modes it stands for, prod m!/(n_0! n_small! n_large!).
    status: `local minimum`, `strict saddle`, or `degenerate` (a double root and no negative direction).
    """

    point: LogitPoint
    counts: tuple[tuple[int, int, int], ...]
    fun: float
    index: int
    nullity: int
    nullity_symmetry: int
    orbit_dimension: int
    labelled: int
    status: str

    @property
    def name(self) -> str:
        return self.point.name or ""

    @property
    def rank(self) -> int:
        return self.point.rank

    def __repr__(self) -> str:
        return (
            f"{self.name}: F = {self.fun:.12f}, rank {self.rank}, {self.status}; index {self.index}, nullity"
            f" {self.nullity} ({self.nullity_symmetry} by symmetry), orbit of dimension {self.orbit_dimension}, stands"
            f" for {self.labelled}"
        )


def mse_families(problem: Problem, limit: int = LIMIT) -> list[Family]:
    """The complete list of critical points of F under MSE, one Family per choice of roots, in order of value.

    >>> for family in mse_families(Problem(K=2, d=3, L=2, lam=0.05, loss="mse"))[:2]:
    ...     print(family)
    dnc: F = 0.144818819218, rank 2, local minimum; index 0, nullity 6 (6 by symmetry), orbit of dimension 0, stands for
        1
    modes(large=1): F = 0.322409409609, rank 1, local minimum; index 0, nullity 5 (5 by symmetry), orbit of dimension 1,
        stands for 2

    Raises ValueError, with the reason, where the list is not known (`explain`) or longer than `limit` (`family_count`).
    Source: dang23.
    """
    limit = arguments.integer("limit", limit, 1)
    groups = mode_groups(problem)
    families, _ = _count(problem, groups)
    if families > limit:
        raise ValueError(
            f"there are {families} families of critical points, more than limit={limit}; raise it, or see family_count."
        )
    base = sum(g.size * g.weight * g.y**2 for g in groups) / (2 * problem.N)
    choices = progress_bar(_choices(groups, problem.max_rank), desc="families", total=families, progress=None)
    found = [_family(problem, groups, counts, base) for counts in choices]
    return sorted(found, key=lambda f: f.fun)


def family_count(problem: Problem) -> tuple[int, int]:
    """(families, labelled choices of roots) without listing them: C(m+2, 2), 3^m for m equal modes with two roots each.

    >>> unequal = Problem(K=4, n=(4, 3, 2, 1), L=2, lam=1e-3, loss="mse")
    >>> family_count(Problem(K=4, L=2, lam=0.01, loss="mse")), family_count(unequal)
    ((15, 81), (81, 81))

    Raises ValueError as `mse_families` does.
    """
    return _count(problem, mode_groups(problem))


def explain(problem: Problem) -> tuple[bool, str]:
    """(whether the list of critical points is proved to be complete, the sentence that says why or why not).

    >>> explain(Problem(K=3, n=(2, 1, 1), lam=0.1, loss="mse", bias=0.5))[0]
    False
    """
    reason = _refusal(problem)
    if reason:
        return False, reason
    families, labelled = family_count(problem)
    if problem.bias is None:
        modes = "one mode sqrt(n_c) per class"
    elif problem.balanced:
        modes = f"{problem.K - 1} simplex modes sqrt(n)" + (
            " and a damped constant one" if problem.bias else "; the free bias takes the constant one"
        )
    else:
        modes = "the singular values of (I - n 1'/N) diag(sqrt(n_c)); the free bias is n_c/N"
    bottleneck = "" if problem.max_rank >= problem.K else f" with at most {problem.max_rank} active"
    counted = f"{families} {'family' if families == 1 else 'families'} for {labelled} labelled choices"
    every = f"so every critical point is a choice of root per mode{bottleneck}: {counted} (dang23)"
    return True, f"Complete: under MSE the singular modes decouple ({modes}), {every}."


def mode_groups(problem: Problem) -> list[ModeGroup]:
    """The singular modes of the labels, equal ones together, strongest first; raises as `mse_families` does."""
    reason = _refusal(problem)
    if reason:
        raise ValueError(reason)
    found = [_group(problem, *mode) for mode in _modes(problem)]
    return sorted(found, key=lambda g: -g.strength)


def decouples(problem: Problem) -> bool:
    """Whether the singular modes decouple, so that the complete list of critical points is known."""
    return _refusal(problem) is None


def mode_name(problem: Problem, s) -> tuple[str, float] | None:
    """(name, relative distance of the spectra) of the critical points whose logits have the singular values s: a
    structure's name, the first in the catalogue of those with this spectrum, else `modes(large=2, small=1)`; None where
    s is no choice of roots."""
    s = np.sort(np.asarray(s, dtype=float))[::-1]
    size = float(np.linalg.norm(s)) or 1.0
    alike = (
        known
        for known in _spectra(problem, everyone())
        if len(known[1]) == len(s) and np.allclose(s, known[1], rtol=SPECTRUM, atol=0)
    )
    return next(((name, float(np.linalg.norm(s - t)) / size) for name, t in alike), None)


@functools.lru_cache(maxsize=64)
def _spectra(problem: Problem, _: tuple[Structure, ...]) -> tuple[tuple[str, np.ndarray], ...]:
    """(name, singular values, descending) of the structures that are critical, then of the families where they are not
    too many; known anew where the structures are others."""
    if family_count(problem)[0] > NAMED:
        return ()
    families = [(family.name, np.sort(family.point.s)[::-1]) for family in mse_families(problem)]
    points = [(name, point) for name, point in existing(problem)[0].items() if isinstance(point, LogitPoint)]
    points += [(point.name or "", point) for point in (block_points(problem, BUILT) if problem.balanced else ())]
    known = [(name, np.sort(point.s)[::-1]) for name, point in points]
    on_roots = [
        item
        for item in known
        if any(len(item[1]) == len(t) and np.allclose(item[1], t, rtol=SPECTRUM, atol=0) for _, t in families)
    ]
    return (*on_roots, *families)


def _refusal(problem: Problem) -> str | None:
    arguments.instance("problem", problem, Problem)
    if not problem.linear:
        return f"the modes decouple in linear models only; got activation={problem.activation.name!r}."
    if not problem.loss.quadratic:
        return f"the modes decouple under MSE only; got loss={problem.loss.name!r}."
    if problem.ridgeless:
        return problem.without_ridge("the list of modes")
    if problem.bias and not problem.balanced:
        return (
            "unequal counts with a penalised bias do not decouple: the fit damps the direction sqrt(n_c), which is no"
            f" singular direction of the labels; got n={problem.n}, bias={problem.bias}. Use bias=None, bias=0 or equal"
            " counts."
        )
    return None


def _modes(problem: Problem) -> Iterator[tuple]:
    """(label, y, weight, left, right) of every group."""
    if problem.bias is None:
        for count, members in _equal_classes(problem):
            frame = np.eye(problem.K)[:, members]
            yield f"n={count}", math.sqrt(count), 1.0, frame, frame
    elif problem.balanced:
        y, constant = math.sqrt(problem.per_class), np.full((problem.K, 1), 1 / math.sqrt(problem.K))
        yield "simplex", y, 1.0, helmert(problem.K), helmert(problem.K)
        if problem.bias:
            yield "constant", y, problem.bias / (1 + problem.bias), constant, constant
    else:
        yield from _free_bias_modes(problem)


def _free_bias_modes(problem: Problem) -> Iterator[tuple]:
    """Singular modes of diag(sqrt(n)) (I - sqrt(n) sqrt(n)'/N).

    Vectors that sum to zero over the classes of one count c are singular with sqrt(c); on vectors constant over
    them there are as many simple modes as distinct counts, less the null one (the secular equation has simple roots
    strictly between).
    """
    parts = _equal_classes(problem)
    spread = np.zeros((problem.K, len(parts)))
    for j, (count, members) in enumerate(parts):
        spread[members, j] = 1 / math.sqrt(len(members))
        if len(members) > 1:
            frame = np.zeros((problem.K, len(members) - 1))
            frame[members] = helmert(len(members))
            yield f"n={count}", math.sqrt(count), 1.0, frame, frame
    root = np.sqrt([count for count, _ in parts])
    mean = np.sqrt([count * len(members) / problem.N for count, members in parts])
    U, y, Vt = np.linalg.svd(root[:, None] * (np.eye(len(parts)) - np.outer(mean, mean)))
    for j in range(len(parts) - 1):
        yield f"y={y[j]:.6g}", float(y[j]), 1.0, spread @ U[:, [j]], spread @ Vt[[j]].T


def _equal_classes(problem: Problem) -> list[tuple[int, np.ndarray]]:
    """(count, classes that have it), largest count first."""
    return [
        (count, np.flatnonzero(problem.counts == count)) for count in sorted(set(problem.counts.tolist()), reverse=True)
    ]


def _group(problem: Problem, label: str, y: float, weight: float, left, right) -> ModeGroup:
    level, D = problem.N * problem.Lam / weight, problem.D
    ratio = level / spinodal(y, D)
    exact = abs(ratio - 1) <= DOUBLE
    if exact:
        roots = () if D == 2 else (y * (D - 2) / (2 * D - 2),)
    elif ratio > 1:
        roots = ()
    elif D == 2:
        roots = (y - level,)
    else:
        roots = tuple(scale_roots(lambda s: weight * (y - s) / problem.N, 1.0, problem)[0])
        if len(roots) != 2:
            raise ArithmeticError(
                f"a mode y={y:.6g} below its spinodal must have two roots, found {len(roots)}; Lam={problem.Lam:.3g} is"
                " out of range."
            )
    return ModeGroup(label, y, weight, left, right, roots, exact and D > 2, exact and D == 2)


def _count(problem: Problem, groups) -> tuple[int, int]:
    """(families, labelled) from the generating polynomials in the rank."""
    families, labelled = [1], [1]
    for g in groups:
        by_rank = [[s for s in g.splits() if g.size - s[0] == r] for r in range(g.size + 1)]
        families = _times(families, [len(splits) for splits in by_rank])
        labelled = _times(labelled, [sum(map(_multinomial, splits)) for splits in by_rank])
    return sum(families[: problem.max_rank + 1]), sum(labelled[: problem.max_rank + 1])


def _times(p: list[int], q: list[int]) -> list[int]:
    result = [0] * (len(p) + len(q) - 1)
    for (i, a), (j, b) in itertools.product(enumerate(p), enumerate(q)):
        result[i + j] += a * b
    return result


def _multinomial(split) -> int:
    return math.factorial(sum(split)) // math.prod(map(math.factorial, split))


def _choices(groups, room: int) -> Iterator[tuple[tuple[int, int, int], ...]]:
    """Splits of all groups with at most `room` active modes together."""
    if not groups:
        yield ()
        return
    for split in groups[0].splits():
        used = split[1] + split[2]
        if used <= room:
            yield from ((split, *rest) for rest in _choices(groups[1:], room - used))


def _family(problem: Problem, groups, counts, base: float) -> Family:
    point = _representative(problem, groups, counts)
    gain = sum(k * _gain(problem, g, s) for g, split in zip(groups, counts, strict=True) for s, k in g.levels(split))
    orbit = sum(n0 * (a + b) + a * b for n0, a, b in counts)
    index = _index(problem, groups, counts)
    symmetry = _gauge_nullity(point) + orbit
    nullity = symmetry + _accidental(problem, groups, counts)
    status = "strict saddle" if index else "local minimum" if nullity == symmetry else "degenerate"
    return Family(
        point, counts, base - gain, index, nullity, symmetry, orbit, math.prod(map(_multinomial, counts)), status
    )


def _gauge_nullity(point: LogitPoint) -> int:
    """sum_l (r d_l - r(r+1)/2): rotations of the hidden frames."""
    r = point.rank
    return sum(r * d - r * (r + 1) // 2 for d in point.problem.widths)


def _gain(problem: Problem, g: ModeGroup, s: float) -> float:
    """How far a mode on the root s lies below zero: (w y^2/2N) t (2 - t - D (1 - t)), t = s/y."""
    t = s / g.y
    return g.weight * g.y**2 / (2 * problem.N) * t * (2 - t - problem.D * (1 - t))


def _index(problem: Problem, groups, counts) -> int:
    """Pairs of modes out of order: small roots (and pairs of them in one group), active pairs whose roots are ordered
    against their strengths, active modes weaker than an inactive one; at D = 2, (d - r) for each inactive mode above
    the threshold."""
    index = sum(a * (a + 1) // 2 for _, a, _ in counts)
    paired = list(zip(groups, counts, strict=True))
    for (g, at), (h, weaker) in itertools.combinations(paired, 2):  # strongest first
        index += at[0] * (weaker[1] + weaker[2])
        index += sum(k * j for s, k in g.levels(at) for t, j in h.levels(weaker) if s < t)
    if problem.D == 2:
        index += _spare(problem, counts) * sum(split[0] for g, split in paired if g.roots)
    return index


def _accidental(problem: Problem, groups, counts) -> int:
    """Zeros without a symmetry: double roots and tied pairs of them; at D = 2 modes exactly at the threshold."""
    paired = list(zip(groups, counts, strict=True))
    zeros = sum(split[2] * (split[2] + 1) // 2 for g, split in paired if g.double)
    return zeros + _spare(problem, counts) * sum(split[0] for g, split in paired if g.marginal)


def _spare(problem: Problem, counts) -> int:
    """d - r at D = 2: hidden directions not in use."""
    return problem.widths[0] - sum(a + b for _, a, b in counts)


def _representative(problem: Problem, groups, counts) -> LogitPoint:
    """In each group the first modes on the large root, the next on the small one."""
    left, right, s, ratios = [np.zeros((problem.K, 0))], [np.zeros((problem.K, 0))], [], set()
    constant = 0.0
    for g, split in zip(groups, counts, strict=True):
        at = 0
        for root, k in g.levels(split):
            left.append(g.left[:, at : at + k])
            right.append(g.right[:, at : at + k])
            s += [root] * k
            at += k
            ratios.add(root / g.y)
            constant = root / g.y if g.label == "constant" else constant
    order = np.argsort(-np.array(s), kind="stable")
    U, V, s = np.hstack(left)[:, order], np.hstack(right)[:, order], np.array(s)[order]
    return LogitPoint(
        problem, U, s, V, _bias(problem, constant), _name(problem, groups, counts), tuple(sorted(ratios, reverse=True))
    )


def _bias(problem: Problem, constant: float) -> np.ndarray | None:
    """The best b: (class frequencies - mean logits)/(1 + bias); `constant` is s/y of the constant mode."""
    if problem.bias is None:
        return None
    return problem.counts / problem.N * (1 - constant) / (1 + problem.bias)


def _name(problem: Problem, groups, counts) -> str:
    if all(not a + b for _, a, b in counts):
        return "zero"
    if _collapsed(problem, groups, counts):
        return "dnc"
    parts = [(g, _roots_named(g, split)) for g, split in zip(groups, counts, strict=True) if split[1] + split[2]]
    if len(groups) == 1:
        return f"modes({parts[0][1]})"
    return f"modes({'; '.join(f'{g.label}: {text}' for g, text in parts)})"


def _roots_named(g: ModeGroup, split) -> str:
    words = ("double" if g.double else "large", split[2]), ("small", split[1])
    return ", ".join(f"{word}={k}" for word, k in words if k)


def _collapsed(problem: Problem, groups, counts) -> bool:
    """Whether every mode that has a root is on the large one, as far as the widths allow, strongest first."""
    room = problem.max_rank
    for g, split in zip(groups, counts, strict=True):
        wanted = min(g.size, room) if len(g.roots) == (1 if problem.D == 2 else 2) else 0
        if (split[1], split[2]) != (0, wanted):
            return False
        room -= wanted
    return True


def lowest_choice(problem: Problem) -> LogitPoint:
    """The critical point of least F among all choices of roots. Raises ValueError as `mse_families` does."""
    return mse_families(problem)[0].point


MODES = Structure(
    "modes",
    "Z = sum_i s_i u_i v_i', each mode at zero, on its small or its large root: every critical point under MSE",
    lowest_choice,
    variants=lambda problem: (),
    colour="#000000",
)
