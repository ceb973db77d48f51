"""Global minima of deep linear MSE: collapse or zero, never anything between, in the balanced case; class by class in
the imbalanced one.

With M = L and class counts n_c, a class is alive at the global minimum iff N Lam is below the binodal of its mode,

    no bias  N (N prod_l lam_l)^(1/M) / n_c < (M-1)^((M-1)/M) / M^2
        (y_c = sqrt(n_c); balanced: n prod lam < (M-1)^(M-1)/(K^(M+1) M^(2M))),
    free last bias  N^D prod_l lam_l < y_i^(2M) (M-1)^(M-1) / M^(2M)
        (y_i the singular values of (I - n 1'/N) diag(sqrt n_c)),

and among the min(d) strongest. Between binodal and spinodal the largest root of the scalar law still exists, but costs
more than zero.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.deep_mse_modes import labelled_points, modes
from theory.related.deep_tools import READABLE, geometric_mean, readable
from theory.strength import searched
from ufm.numerics.seeds import child, seed_sequence
from ufm.objectives.logits import value
from ufm.solvers.minimize import minimize
from ufm.solvers.starts import near
from ufm.structures.modes import binodal, spinodal

CLOSE = 1e-9
"""Distance of N Lam to a threshold, relative, within which neither side is asserted."""
FOUND = 1e-8
"""Relative difference of F at the end of a descent from the listed value."""


def log_product(case) -> float:
    """log prod_l lam_l."""
    return (case.L + 1) * math.log(geometric_mean(case.lam))


def published(L: int, times: float = 1.0) -> float:
    """(L-1)^(L-1) / L^(2L), the number all thresholds share. `times` other than 1 falsifies it."""
    return times * float(Fraction((L - 1) ** (L - 1), L ** (2 * L)))


def deaths(case) -> list[float]:
    """Per mode, strongest first: N^D prod lam over y^(2L) (L-1)^(L-1)/L^(2L); alive iff below 1."""
    problem = case.problem(loss="mse")
    y = modes(problem)[1]
    scale = math.exp(log_product(case) + problem.D * math.log(problem.N)) / published(case.L, case.get("times", 1.0))
    return [scale / float(v) ** (2 * case.L) for v in y]


def check_balanced(case):
    """The sign of F(collapse) - F(0) by the published threshold, against the least listed value and the ends of
    descents."""
    problem = case.problem(loss="mse")
    below = deaths(case)[0] < 1
    found = labelled_points(problem)
    lowest = min(found, key=lambda p: p.fun())
    rank = min(problem.K, problem.max_rank) if below else 0
    yield Evidence(lowest.rank, "==", rank, 0, note=f"rank of the least listed value, F = {lowest.fun():.9g}")
    rest = [p.fun() for p in found if p.rank != rank]
    if rest:
        yield Evidence(lowest.fun(), "<", min(rest), 1e-13, note="every other rank costs more")
    yield from descents(case, problem, found, lowest)


def descents(case, problem, found, lowest):
    """From near the largest roots, from near the lowest point and from random starts: nothing below the lowest, and the
    second ends there."""
    seed = seed_sequence(case.rng)
    largest = max(found, key=lambda p: float(np.sum(p.s)))
    starts = [near(largest.point(), 1e-2), near(lowest.point(), 1e-3), None, None]
    runs = [minimize(problem, start=start, rng=child(seed, i)) for i, start in enumerate(starts)]
    least = min(run.fun for run in runs)
    yield searched(least, lowest.fun(), FOUND * lowest.fun(), "least end of four descents")


def check_deaths(case):
    """Which modes are alive at the least listed value, against the published condition class by class; descents go no
    lower."""
    problem = case.problem(loss="mse")
    ratio, found = deaths(case), labelled_points(problem)
    lowest = min(found, key=lambda p: p.fun())
    room, order = (
        problem.max_rank,
        np.lexsort((-lowest.s, -np.round(lowest.y, 9))),
    )  # among equal modes any may be the ones alive
    for i, (r, s) in enumerate(zip(ratio, lowest.s[order].tolist(), strict=True)):
        alive = r < 1 and i < room
        yield Evidence(
            int(s > 0),
            "==",
            int(alive),
            0,
            note=f"mode {i}, y = {lowest.y[i]:.6g}: N Lam is {r ** (1 / problem.D):.6g} of its binodal",
        )
        if s > 0:
            rest = s + problem.N * problem.Lam * s ** (2 / problem.D - 1) - lowest.y[i]
            yield Evidence(float(rest), "==", 0.0, 1e-12 * lowest.y[i], note="it is on a root")
            yield Evidence(s / lowest.y[i], ">", (problem.D - 2) / (problem.D - 1), 1e-12, note="the large one")
    yield from descents(case, problem, found, lowest)


def check_window(case):
    """Between binodal and spinodal: the largest real root is positive, a local minimum, and costs more than zero."""
    problem = case.problem(loss="mse")
    found = labelled_points(problem)
    full = [p for p in found if p.rank == problem.max_rank] if case.get("smaller") else found
    root = (min if case.get("smaller") else max)(full, key=lambda p: float(np.sum(p.s)))
    zero = next(p for p in found if not p.rank)
    yield Evidence(root.rank, "==", problem.max_rank, 0, note="the largest root exists for every mode")
    yield Evidence(root.signature()[0], "==", 0, 0, note="it is a local minimum")
    yield Evidence(value(zero.point()), "<", value(root.point()), 1e-13, note=f"s/y = {root.s[0] / root.y[0]:.6g}")
    run = minimize(problem, start=near(root.point(), 1e-3), rng=case.rng)
    yield Evidence(run.fun, "==", root.fun(), FOUND, "sampled", note="a descent from near it stays")


def known(case) -> bool:
    """Whether the case names a problem whose modes are known."""
    return readable(case) and case.L >= 2 and not (case.get("bias") and isinstance(case.n, tuple))


def window(case) -> float:
    """N Lam on the scale where the binodal is 0 and the spinodal 1 (balanced)."""
    if not known(case):
        return math.nan
    problem = case.problem(loss="mse")
    low, high = (f(math.sqrt(problem.counts.min()), problem.D) for f in (binodal, spinodal))
    return (problem.N * problem.Lam - low) / (high - low) if high > low else math.nan


def clear(case) -> bool:
    """Whether N Lam is off every binodal."""
    return known(case) and all(abs(r ** (1 / (case.L + 1)) - 1) > CLOSE for r in deaths(case.but(times=1.0)))


def lam_at(K: int, n, L: int, share: float, weakest: bool = False, spread: tuple = ()) -> float | tuple:
    """lam with N Lam at `share` of the binodal of the strongest (or weakest) class mode; `spread` of product one splits
    it over the layers."""
    counts = n if isinstance(n, tuple) else (n,) * K
    y = math.sqrt(min(counts) if weakest else max(counts))
    lam = share * binodal(y, L + 1) / sum(counts)
    return tuple(lam * x for x in spread) if spread else lam


def in_window(K: int, n: int, L: int, u: float) -> float:
    """lam with N Lam a share u of the way from binodal to spinodal, balanced."""
    low, high = (f(math.sqrt(n), L + 1) for f in (binodal, spinodal))
    return (low * (1 - u) + u * high) / (K * n)


IMBALANCED = (
    ((5, 1), 3, 2, ()),
    ((6, 3, 1), 4, 3, ()),
    ((6, 3, 1), 2, 2, ()),
    ((4, 4, 2, 1), 5, 2, (2.0, 0.25, 2.0)),
    ((30, 8, 2), 3, 5, ()),
)
"""(n, d, L, factors of product one for the layers' weights)."""
LINEAR = READABLE | {
    "L >= 2": lambda c: c.L >= 2,
    "MSE": lambda c: c.get("loss", "mse") == "mse",
    "N Lam is not at a binodal": clear,
}

CLAIMS = (
    Claim(
        id="related:deep-mse-collapse-or-zero",
        title=(
            "Balanced deep linear MSE: the global minimum is collapse or zero, and zero iff n prod lam >"
            " (L-1)^(L-1)/(K^(L+1) L^(2L))"
        ),
        statement=(
            "Balanced classes, no bias, linear layers, MSE, L >= 2: the global minimum has all min(K, d) modes on the"
            " large root if n prod_l lam_l < (L-1)^(L-1)/(K^(L+1) L^(2L)), and is zero if it is larger; no intermediate"
            " rank is ever global. (sml23 has the same threshold for two ReLU classes.)"
        ),
        source="sml23",
        hypotheses=LINEAR | {"balanced": lambda c: isinstance(c.n, int), "no bias": lambda c: c.get("bias") is None},
        check=check_balanced,
        cases=[
            *(
                Case(K=K, n=n, d=d, L=L, lam=lam_at(K, n, L, share), rng=0)
                for K, n, d, L in ((2, 1, 2, 2), (3, 4, 4, 3), (4, 2, 3, 2), (2, 3, 2, 6))
                for share in (0.5, 0.99, 1.01, 3.0)
            ),
            *(
                Case(K=3, n=2, d=4, L=2, lam=lam_at(3, 2, 2, share, spread=(8.0, 0.5, 0.25)), rng=1)
                for share in (0.99, 1.01)
            ),
        ],
        controls=[
            *(
                planted(
                    "the threshold is put 10% too high",
                    K=3,
                    n=2,
                    d=4,
                    L=L,
                    lam=lam_at(3, 2, L, 1.02),
                    rng=0,
                    times=1.1 ** (L + 1),
                )
                for L in (2, 3)
            ),
            Case(K=3, n=(4, 2, 1), d=4, L=2, lam=lam_at(3, (4, 2, 1), 2, 0.8), rng=0),
        ],
        uses=("related:deep-mse-binodal", "related:deep-mse-minima"),
        scope="at the declared parameters, 1% on either side of the threshold among them; descents are samples",
    ),
    Claim(
        id="related:deep-mse-death",
        title=(
            "Imbalanced deep linear MSE: class c dies at the global minimum iff N (N prod lam)^(1/L)/n_c >"
            " (L-1)^((L-1)/L)/L^2"
        ),
        statement=(
            "At the global minimum mode i is alive iff it is among the min(d) strongest and N^(L+1) prod lam < y_i^(2L)"
            " (L-1)^(L-1)/L^(2L), then on its large root; y_i^2 = n_c without a bias, and y_i the singular values of (I"
            " - n 1'/N) diag(sqrt n_c) with a free last bias."
        ),
        source="dang23",
        hypotheses=LINEAR | {"no bias, or a free one": lambda c: not c.get("bias")},
        check=check_deaths,
        cases=[
            Case(K=len(n), n=n, d=d, L=L, lam=lam_at(len(n), n, L, share, True, spread), bias=bias, rng=0)
            for n, d, L, spread in IMBALANCED
            for share in (0.99, 1.01, 2.0)
            for bias in (None, 0.0)
        ],
        controls=[
            planted(
                "the threshold is put 10% too high",
                K=3,
                n=(6, 3, 1),
                d=4,
                L=2,
                lam=lam_at(3, (6, 3, 1), 2, 1.03, True),
                bias=None,
                rng=0,
                times=1.1**3,
            ),
            planted(
                "it is put 10% too low",
                K=3,
                n=(6, 3, 1),
                d=4,
                L=3,
                lam=lam_at(3, (6, 3, 1), 3, 0.97, True),
                bias=None,
                rng=0,
                times=0.9**4,
            ),
        ],
        uses=("related:deep-mse-binodal", "related:deep-mse-minima"),
        scope="at the declared parameters, 1% on either side of the death of the rarest class; descents are samples",
    ),
    Claim(
        id="related:deep-mse-metastable",
        title=(
            "Between binodal and spinodal the largest root of the scalar law is a local minimum that costs more than"
            " zero"
        ),
        statement=(
            "Balanced deep linear MSE with binodal < N Lam < spinodal: the largest real root is positive and a local"
            " minimum, and zero is the global one; so a script that takes the largest real root as the prediction is"
            " wrong there."
        ),
        source="dang23",
        hypotheses={
            "L >= 2": lambda c: c.L >= 2,
            "balanced": lambda c: isinstance(c.n, int),
            "in the window": lambda c: 0.001 < window(c) < 0.999,
        },
        check=check_window,
        cases=[
            Case(K=K, n=n, d=d, L=L, lam=in_window(K, n, L, u), rng=0)
            for K, n, d, L in ((2, 1, 3, 2), (3, 5, 3, 3), (3, 1, 2, 6))
            for u in (0.05, 0.5, 0.95)
        ],
        controls=[
            *grid(K=3, n=2, d=4, L=[2, 4], lam=[0.01, 0.5], rng=0),
            planted(
                "the smaller roots are taken for the largest",
                K=3,
                n=2,
                d=4,
                L=2,
                lam=in_window(3, 2, 2, 0.5),
                rng=0,
                smaller=True,
            ),
        ],
        uses=("related:deep-mse-binodal",),
        scope="at three places of the window",
    ),
)
