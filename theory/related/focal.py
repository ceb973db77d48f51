"""Focal loss: the simplex at the best scale of its ray, and a landscape that is not benign where classes are many."""

from __future__ import annotations

import contextlib

import numpy as np

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.related.shallow import class_product, spread_lam
from ufm.critical.classify import classify
from ufm.objectives.logits import value
from ufm.solvers.multistart import multistart
from ufm.structures import blocks, dnc, zero
from ufm.structures.scales import simplex_pull

TOL = 1e-9
SCALES = np.concatenate([[1e-9], np.linspace(1e-3, 12.0, 4000)])
"""Scales a at which the pull of the simplex is looked at."""


def problem_of(case, lam=None):
    """L = 1, focal loss gamma, K classes of n samples, width K + more."""
    return case.problem(
        d=case.K + case.more, loss=f"focal({case.gamma!r})", lam=spread_lam(case) if lam is None else lam
    )


def window(case) -> tuple[float, float]:
    """(pull at a -> 0, largest pull): sqrt(lam_H lam_W) at which zero becomes a local minimum, and at which the simplex
    is lost."""
    problem = problem_of(case, lam=1.0)
    pull = simplex_pull(problem, case.K, case.n)[0](SCALES)
    return float(pull[0]), float(np.max(pull))


def best_on_ray(case, problem):
    """The lower of zero and the simplex at its larger scale."""
    points = [zero(problem)]
    with contextlib.suppress(ValueError):
        points.append(dnc(problem))
    return min(points, key=value)


def check(case):
    """The best point of the ray against the lowest of descents from random starts."""
    problem = problem_of(case)
    best = best_on_ray(case, problem)
    runs = multistart(problem, case.starts, case.rng, progress=False)
    values = [r.fun for r in runs if r.grad_norm <= 1e-8]
    yield Evidence(len(values), "==", case.starts, 0, "sampled", "converged")
    yield Evidence(
        min(values), "==", case.get("times", 1.0) * value(best), TOL, "sampled", f"lowest end against {best.name}"
    )
    yield Evidence(max(values) - min(values), "<", TOL, TOL / 10, "sampled", "spread of the ends")
    Z = class_product(runs.best.logit_point())
    yield Evidence(np.max(np.abs(Z - best.class_logits())), "==", 0.0, 1e-6, "sampled", "Z = alpha S")


def check_minima(case):
    """Zero, the simplex and, if asked for, the simplex with one class left out, inside the window: local minima of
    different values."""
    low, high = window(case)
    yield Evidence(high / low - 1, ">", 1e-4, 1e-6, note="width of the window, relatively")
    problem = problem_of(case, lam=case.get("times", 1.0) * (low + case.share * (high - low)))
    points = [zero(problem), dnc(problem)]
    if case.left_out:
        points.append(blocks(problem, (case.K - 1, 1)))
    for point in points:
        found = classify(point, extremes=False)
        yield Evidence(
            int(found.status == "local minimum"),
            "==",
            1,
            0,
            "float",
            f"{point.name}: {found.status}, index {found.index}, F = {found.fun:.9f}",
        )
    values = sorted(value(p) for p in points)
    yield Evidence(min(np.diff(values)), ">", 1e-9, 1e-11, note="least difference of their values")


HYPOTHESES = {"balanced": lambda c: isinstance(c.n, int), "L = 1": lambda c: c.L == 1, "d >= K": lambda c: c.more >= 0}

CLAIMS = (
    Claim(
        id="related:zhou22b-focal",
        title="Focal loss: descents end at the simplex of the best scale",
        statement=(
            "L = 1, focal loss, balanced, d >= K: the minimum is alpha S (x) 1_n' with the best alpha >= 0 of its ray;"
            " where the pull of the simplex falls in alpha (K <= 15 at every gamma looked at) all descents end there."
        ),
        source="zhou22b, global minimum and local landscape",
        hypotheses=HYPOTHESES
        | {
            "the pull is largest at alpha -> 0": lambda c: window(c)[1] <= window(c)[0] * (1 + 1e-12),
            "gamma > 0": lambda c: c.gamma > 0,
        },
        check=check,
        cases=[
            *grid(
                K=[2, 3, 5, 8],
                n=[1, 3],
                L=1,
                more=[0, 2],
                lam=[0.03, 1e-2, 1e-4],
                spread=[1.0, 3.0],
                gamma=[0.5, 2.0, 5.0],
                starts=5,
                rng=0,
            )[::17],
            Case(K=15, n=1, L=1, more=0, lam=5e-3, spread=1.0, gamma=2.0, starts=4, rng=1),
        ],
        controls=[
            Case(K=5, n=1, L=2, more=0, lam=1e-2, spread=1.0, gamma=2.0, starts=20, rng=0),
            planted(
                "the value is 10^-6 larger",
                K=4,
                n=1,
                L=1,
                more=0,
                lam=1e-2,
                spread=1.0,
                gamma=2.0,
                starts=2,
                rng=0,
                times=1 + 1e-6,
            ),
        ],
        scope="random descents; the paper proves a benign landscape near the simplex only",
    ),
    Claim(
        id="related:focal-minima",
        title="Focal loss with many classes has several local minima already at L = 1",
        statement=(
            "The pull of the simplex may first rise with its scale (gamma = 1: K >= 50; gamma = 2, 3: K >= 20; never"
            " for K <= 15). For sqrt(lam_H lam_W) between its start and its largest value zero and the simplex frame"
            " are then both local minima, of different values; in the upper seven tenths of windows that are at least"
            " 0.4 % wide (K = 24, gamma = 3) also frames with a class left out."
        ),
        source="zhou22b, local landscape (whose benign landscape is local; the minima are added here)",
        hypotheses=HYPOTHESES
        | {
            "inside a window of at least a thousandth": lambda c: (
                0 < c.share < 0.9 and window(c)[1] > 1.001 * window(c)[0]
            ),
            "a class left out: three tenths up a window of four thousandths": lambda c: (
                not c.left_out or (c.share >= 0.3 and window(c)[1] >= 1.004 * window(c)[0])
            ),
        },
        check=check_minima,
        cases=[
            Case(K=K, n=n, L=1, more=0, gamma=gamma, share=share, left_out=left_out)
            for K, n, gamma, share, left_out in [
                (20, 1, 2.0, 0.5, False),
                (24, 1, 3.0, 0.3, True),
                (24, 5, 3.0, 0.5, True),
                (30, 1, 5.0, 0.5, True),
            ]
        ],
        controls=[
            Case(K=24, n=1, L=1, more=0, gamma=3.0, share=-0.3, left_out=False),
            Case(K=8, n=1, L=1, more=0, gamma=3.0, share=0.5, left_out=False),
            planted(
                "the window is taken to lie a tenth lower",
                K=24,
                n=1,
                L=1,
                more=0,
                gamma=3.0,
                share=0.5,
                left_out=False,
                times=0.9,
            ),
        ],
        uses=("related:zhou22b-focal",),
    ),
)
