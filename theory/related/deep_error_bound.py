"""The error bound: near the critical set the distance to it is at most a constant times |grad F|, unless a mode stands
at its spinodal.

At a critical point x where every zero of the Hessian is a symmetry (Morse-Bott) the critical set near x is a manifold,
and for a normal displacement v

    |grad F(x + rho v)| = rho |H v| + O(rho^2) >= (sigma - O(rho)) dist,    sigma = least nonzero |eigenvalue| of H,

which makes gradient descent converge linearly, with rate 1 - eta sigma. Under MSE the critical points with other zeros
are those of a double root, N Lam at the spinodal of a mode; along it the gradient is O(rho^2), and descent from its
flat side takes of order 1/(eta rho) steps for each halving.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from theory.claim import Case, Claim, Evidence, planted
from theory.related.deep_mse_critical_set import ratios, thinned
from theory.related.deep_mse_modes import labelled_points
from theory.related.deep_tools import READABLE, ZERO, newton_points
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.points import LogitPoint
from ufm.structures import zero
from ufm.structures.modes import spinodal

RADII = (1.0, 0.3, 0.1)
"""Lengths of displacements, in units of the length at which the quadratic part of the gradient is `BENT` of sigma (and
at most `FAR`)."""
BENT, FAR = 0.02, 1e-3
SLOPE = 0.05
"""How far a fitted exponent may be from a whole number."""


def points_of(case) -> list[LogitPoint]:
    """All labelled critical points of an MSE problem, thinned; of others zero and ends of Newton runs."""
    problem = case.problem()
    if problem.loss.quadratic:
        return thinned([p.point() for p in labelled_points(problem)], 6)
    return [zero(problem), *newton_points(problem, case.tries, case.rng, 2.0)[:3]]


def frame(objective: FactorObjective, x) -> tuple[np.ndarray, np.ndarray, float]:
    """(eigenvalues, eigenvectors, level of zero) of the Hessian in all parameters."""
    values, vectors = linalg.eigh(objective.hessian(x))
    return values, vectors, ZERO * objective.problem.Lam + 1e-13 * float(np.max(np.abs(values)))


def exponent(objective: FactorObjective, x, v, sigma: float) -> tuple[float, list[float]]:
    """(slope of log |grad| against log rho, |grad|/rho) along x + rho v."""
    bend = np.linalg.norm(objective.grad(x + FAR * v) + objective.grad(x - FAR * v)) / (2 * FAR**2)
    lengths = np.array(RADII) * min(FAR, BENT * sigma / max(bend, 1e-300))
    norms = np.array([np.linalg.norm(objective.grad(x + rho * v)) for rho in lengths])
    return float(np.polyfit(np.log(lengths), np.log(norms), 1)[0]), (norms / lengths).tolist()


def check(case):
    """Exponent and constant of |grad| against the length of displacements normal to the zeros of the Hessian, random
    ones and the weakest one."""
    objective = FactorObjective(case.problem())
    for i, p in enumerate(points_of(case)):
        draw = generator(child(seed_sequence(case.rng), i))
        x = objective.lift(p, draw)
        values, vectors, level = frame(objective, x)
        accidental = int(np.sum(np.abs(values) <= level)) - symmetric_zeros(p)
        yield Evidence(
            accidental, "==", 0, 0, note=f"point {i}, rank {p.rank}: zeros of the Hessian that no symmetry explains"
        )
        keep = np.flatnonzero(np.abs(values) > level)
        if accidental > 0:
            keep = np.append(keep, flat_direction(objective, x, values, vectors, level))
        sigma = float(np.min(np.abs(values[keep]))) if accidental <= 0 else float(np.min(np.abs(values[keep[:-1]])))
        weakest = vectors[:, keep[np.argmin(np.abs(values[keep]))]]
        mixed = vectors[:, keep] @ draw.standard_normal(len(keep))
        for name, v in (("weakest", weakest), ("random", mixed / np.linalg.norm(mixed))):
            slope, constants = exponent(objective, x, v, sigma)
            yield Evidence(
                slope,
                "in",
                (1 - SLOPE, 1 + SLOPE),
                1e-6,
                note=f"point {i}, {name} normal direction: exponent of |grad|",
            )
            least = constants[-1] * case.get("times", 1.0)
            yield Evidence(
                least, "in", (0.9 * sigma, np.inf), 0.0, note=f"|grad|/dist at the smallest radius, sigma = {sigma:.6g}"
            )


def flat_direction(objective, x, values, vectors, level: float) -> int:
    """The zero mode along which the singular values of the product change most: not a symmetry."""
    before = np.linalg.svd(objective.logits(x), compute_uv=False)
    zeros = np.flatnonzero(np.abs(values) <= level)
    moved = [
        np.linalg.norm(np.linalg.svd(objective.logits(x + 1e-4 * vectors[:, k]), compute_uv=False) - before)
        for k in zeros
    ]
    return int(zeros[int(np.argmax(moved))])


def symmetric_zeros(point: LogitPoint) -> int:
    """Zeros that rotations of hidden frames, and under MSE rotations among equal classes, explain."""
    from ufm.critical.classify import classify

    found = classify(point, extremes=False)
    return -1 if found.nullity_symmetry is None else found.nullity_symmetry


def off_spinodal(case) -> bool:
    """Whether every mode is 1% away from its spinodal, and its small root large enough to be resolved; for other losses
    nothing is known beforehand."""
    return case.loss != "mse" or bool(np.all(np.abs(ratios(case) - 1) > 1e-2) and np.all(ratios(case) >= 0.02))


def at_spinodal(K: int, n: int, d: int, L: int, **more) -> Case:
    """Balanced classes with N Lam exactly at the spinodal."""
    return Case(K=K, n=n, d=d, L=L, lam=spinodal(np.sqrt(n), L + 1) / (K * n), loss="mse", tries=0, rng=0, **more)


SHAPES = (
    (2, (3, 1), 3, 2, 0.05),
    (3, (4, 2, 1), 4, 2, 0.03),
    (3, 2, 3, 3, 0.02),
    (2, 1, 2, 4, 0.1),
    (3, (4, 2, 1), 2, 2, (0.06, 0.03, 0.015)),
)
"""(K, n, d, L, lam)."""

CLAIM = Claim(
    id="related:deep-error-bound",
    title="Near the critical set dist <= C |grad F|, unless N Lam stands at the spinodal of a mode",
    statement=(
        "Deep linear MSE with N Lam off every spinodal: near every critical point dist(x, Crit) <= C |grad F(x)|, C ->"
        " 1/sigma with sigma the least nonzero Hessian eigenvalue in modulus; at a spinodal |grad F| = O(dist^2) along"
        " the double root. For CE it holds at every Morse-Bott point."
    ),
    source="dang23",
    hypotheses=READABLE
    | {
        "CE, label smoothing or MSE": lambda c: not c.loss.startswith("focal"),
        "N Lam is 1% off every spinodal, and at least 2% of it": off_spinodal,
    },
    check=check,
    cases=[
        *(Case(K=K, n=n, d=d, L=L, lam=lam, loss="mse", tries=0, rng=0) for K, n, d, L, lam in SHAPES),
        Case(K=3, n=1, d=4, L=2, lam=0.05, loss="ce", tries=12, rng=1),
        Case(K=4, n=1, d=4, L=3, lam=0.01, loss="ce", tries=12, rng=2),
        Case(K=3, n=2, d=3, L=2, lam=0.02, loss="label_smoothing(0.1)", tries=12, rng=3),
    ],
    controls=[
        at_spinodal(2, 1, 3, 2),
        at_spinodal(3, 2, 3, 3),
        planted(
            "the constant is taken to be twice too good",
            K=3,
            n=2,
            d=3,
            L=3,
            lam=0.02,
            loss="mse",
            tries=0,
            rng=0,
            times=0.5,
        ),
    ],
    uses=("related:deep-mse-morse", "related:deep-stratum-inertia"),
    scope=(
        "displacements of length at most 1e-3 normal to the critical set, in the weakest and in a random direction;"
        " local, no global constant"
    ),
)
