"""Critical points of deep linear models live on rank strata, and their inertia is that of the stratum: on points that
nothing but Newton's method chose.

    Crit(F) = disjoint union over r of the balanced factors of Crit(F_r),
        F_r = g + (D/2) Lam sum s_i^(2/D) on matrices of rank r,
    index(F) = index(Hess F_r),   nullity(F) = nullity(Hess F_r) + sum_l (r d_l - r(r+1)/2)      (D >= 3),

and at D = 2 in addition d - r copies of the inertia of [[lam_0, -sigma], [-sigma, lam_1]] for every singular value
sigma of U_perp' G V_perp. Why there are no other negative directions: per active mode the D motions of its factors
split into one that moves Z and D - 1 that unbalance it, curvature 2 Lam; what touches an unused hidden direction meets
the fit only through a product of two such motions, which for D >= 3 needs a third.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.linalg import LinAlgError

from theory.claim import Case, Claim, Evidence, planted
from theory.related.deep_tools import READABLE, ZERO, dense_inertia, inertia, newton_points, stratum_eigenvalues
from ufm.critical.spectrum import coupling
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.factors import FactorObjective
from ufm.objectives.logits import Stratum
from ufm.points import FactorPoint, LogitPoint
from ufm.solvers.minimize import minimize
from ufm.solvers.newton import newton_on_factors
from ufm.solvers.result import Status
from ufm.solvers.starts import gaussian
from ufm.structures import zero

BALANCED = 1e-8
"""Relative: unbalancedness of the end of a Newton run with gradient norm 1e-11."""
NEWTON = 120
"""Most coordinates for Newton runs in factor space; larger models are left to the descent."""
ROUNDING = 1e-15
"""Of the size of the factors: rounding of the gradient, whose terms are of size one however small lam is."""
SLOPE = 1e-6
"""Of the ridge's own gradient: slope on the stratum of the product of such factors; small singular values magnify its
rounding."""


def counted(point: LogitPoint, correction: bool = True) -> tuple[int, int]:
    """(index, nullity) by the stratum theorem. Without `correction` the directions that raise the rank at D = 2 are
    left out."""
    problem, r = point.problem, point.rank
    values = stratum_eigenvalues(point)
    level = ZERO * problem.Lam + 1e-13 * float(np.max(np.abs(values), initial=0.0))
    index, nullity = inertia(values, level)
    nullity += sum(r * d for d in problem.widths) - problem.L * r * (r + 1) // 2
    if problem.D == 2 and correction:
        pairs = [
            np.linalg.eigvalsh(coupling(problem, s)) for s in np.linalg.svd(Stratum(point).G_perp, compute_uv=False)
        ]
        more, zeros = inertia(np.concatenate([*pairs, np.ones(0)]), level)
        index, nullity = index + (problem.widths[0] - r) * more, nullity + (problem.widths[0] - r) * zeros
    return index, nullity


def distinct(points: list[LogitPoint], most: int) -> list[LogitPoint]:
    """Points of different F, at most `most`."""
    found = {}
    for p in points:
        found.setdefault(round(Stratum(p).fun, 9), p)
    return list(found.values())[:most]


def check_inertia(case):
    """The stratum's count against the dense Hessian in all parameters, at zero and at every different critical point
    that Newton found."""
    problem = case.problem()
    points = [zero(problem), *distinct(newton_points(problem, case.tries, case.rng, 2.0), case.get("most", 8))]
    extra = case.get("extra", 0)
    for p in points:
        index, nullity = counted(p, case.get("correction", True))
        measured = dense_inertia(p, case.rng)
        where = f"rank {p.rank}, F = {Stratum(p).fun:.9g}"
        yield Evidence(measured[0], "==", index, 0, note=f"{where}: index of the dense Hessian")
        yield Evidence(
            measured[1],
            "==",
            nullity + extra * problem.L * p.rank * (p.rank - 1) // 2,
            0,
            note=f"{where}: nullity of the dense Hessian",
        )


def critical_factors(case) -> list[FactorPoint]:
    """Ends of `tries` Newton runs in the space of all factors, from Gaussian starts, critical points of any index; and
    of one descent there."""
    problem = case.problem()
    objective, seed = FactorObjective(problem), seed_sequence(case.rng)
    run = minimize(problem, rng=child(seed, case.tries), space="factors")
    found = [run.point] if run.success else []
    for i in range(case.tries if objective.size <= NEWTON else 0):
        draw = generator(child(seed, i))
        start = gaussian(float(draw.uniform(0.3, 1.2)))(objective, draw)
        try:
            x, _, said = newton_on_factors(objective, start, 1e-11, 60)
        except LinAlgError:  # the run diverged
            continue
        if said.status is Status.CONVERGED:
            found.append(objective.point(x))
    return found


def check_union(case):
    """Critical factors found in factor space are balanced, their product is critical on its own stratum, and F there is
    F_r."""
    problem = case.problem()
    objective = FactorObjective(problem)
    points = (
        critical_factors(case)
        if case.get("steps") is None
        else [objective.point(gaussian()(objective, generator(seed_sequence(case.rng))))]
    )
    if not points:
        raise RuntimeError("no run in factor space reached a critical point.")
    for point in points:
        point = tilted(point, case.get("tilt", 1.0))
        size = max(float(np.linalg.norm(A)) for A in point.factors)
        x = objective.pack(point.factors, point.b)
        left = (
            0.0
            if case.get("steps") is not None or "tilt" in case
            else float(np.linalg.norm(objective.grad(x))) + ROUNDING * size
        )
        note = f"unbalancedness at a critical point of size {size:.3g}, |grad| = {left:.1e}"
        yield Evidence(
            point.balancedness(),
            "<=",
            BALANCED * problem.Lam * max(1.0, size**2),
            0.0,
            error=2 * left * size,
            note=note,
        )
        logits = point.to_logits(rel_tol=1e-9, collapse=False)
        here = Stratum(logits)
        note = f"slope of F_r at its product, rank {logits.rank}"
        yield Evidence(
            here.grad_norm,
            "<=",
            SLOPE * max(here.ridge_norm, problem.Lam),
            0.0,
            error=left / smallest(point),
            note=note,
        )
        yield Evidence(
            float(objective.value(x)),
            "==",
            here.fun,
            1e-9,
            error=left * size / min(problem.lams),
            note="F of the factors and F_r of the product",
        )


def tilted(point: FactorPoint, tilt: float) -> FactorPoint:
    """The same product, the first factor times `tilt` and the second over it."""
    first, second, *rest = point.factors
    return replace(point, factors=(tilt * first, second / tilt, *rest))


def smallest(point: FactorPoint) -> float:
    """The least singular value of a factor that is not zero to rounding: the slope in Z is the slope in the factors
    over powers of it; 1 at zero."""
    kept = [s[s > 1e-9 * max(1.0, s[0])] for s in (np.linalg.svd(A, compute_uv=False) for A in point.factors)]
    return min([1.0, *(float(s[-1]) ** point.problem.L for s in kept if len(s))])


SHAPES = (
    {"K": 3, "n": 1, "d": 4, "L": 2, "lam": 0.05, "loss": "ce"},
    {"K": 4, "n": 1, "d": 5, "L": 2, "lam": 0.01, "loss": "ce"},
    {"K": 3, "n": 2, "d": 3, "L": 3, "lam": 0.03, "loss": "ce"},
    {"K": 3, "n": (3, 1, 1), "d": 4, "L": 2, "lam": 0.02, "loss": "ce"},
    {"K": 4, "n": 1, "d": 2, "L": 2, "lam": 0.01, "loss": "ce"},
    {"K": 3, "n": 1, "d": (4, 3), "L": 2, "lam": (0.1, 0.02, 0.01), "loss": "ce"},
    {"K": 3, "n": (2, 1, 1), "d": 4, "L": 2, "lam": 0.02, "loss": "label_smoothing(0.1)"},
    {"K": 4, "n": 1, "d": 4, "L": 3, "lam": 0.02, "loss": "label_smoothing(0.2)"},
    {"K": 3, "n": (3, 2, 1), "d": 4, "L": 2, "lam": 0.02, "loss": "mse"},
    {"K": 3, "n": (3, 2, 1), "d": 3, "L": 4, "lam": 0.015, "loss": "mse"},
    {"K": 4, "n": 1, "d": 6, "L": 1, "lam": 0.02, "loss": "ce"},
    {"K": 3, "n": 2, "d": 5, "L": 1, "lam": (0.02, 0.1), "loss": "mse"},
    {"K": 3, "n": (3, 1, 1), "d": 4, "L": 1, "lam": 0.03, "loss": "label_smoothing(0.1)"},
)

LINEAR = READABLE | {"linear": lambda c: c.get("activation", "linear") == "linear"}
CONVEX = {"CE, label smoothing or MSE": lambda c: c.loss in ("ce", "mse") or c.loss.startswith("label_smoothing")}

CLAIMS = (
    Claim(
        id="related:deep-stratum-inertia",
        title="Index and nullity in all parameters are those of the rank stratum plus the rotations of hidden frames",
        statement=(
            "At a critical point of rank r of a deep linear model with a convex C^2 fit: index(F) = index(Hess F_r),"
            " nullity(F) = nullity(Hess F_r) + sum_l (r d_l - r(r+1)/2) for D >= 3; at D = 2 add d - r copies of the"
            " inertia of [[lam_0, -sigma], [-sigma, lam_1]] for the singular values sigma of G between the unused"
            " directions."
        ),
        source="gk25, Lemma 1",
        hypotheses=LINEAR | CONVEX,
        check=check_inertia,
        cases=[Case(**shape, tries=12, rng=rng) for rng, shape in enumerate(SHAPES)],
        controls=[
            planted("the D = 2 correction is left out", **SHAPES[10], tries=20, rng=10, correction=False),
            planted("subspaces are counted instead of frames", **SHAPES[1], tries=20, rng=1, extra=-1),
        ],
        uses=("gk25:lemma1",),
        scope=(
            "at the critical points that Newton's method reached from random matrices of random rank, up to 8 different"
            " ones a case, and at zero"
        ),
    ),
    Claim(
        id="related:deep-stratum-union",
        title="Every critical point of a deep linear model is balanced and its product is critical on its rank stratum",
        statement=(
            "Crit(F) is the disjoint union over r of the balanced factorisations of Crit(F_r), F_r = g + (D/2) Lam sum"
            " s_i^(2/D) on matrices of rank r."
        ),
        source="gk25, Lemma 1",
        hypotheses=LINEAR | CONVEX | {"critical: Newton has converged": lambda c: c.get("steps") is None},
        check=check_union,
        cases=[Case(**shape, tries=4, rng=20 + i) for i, shape in enumerate(SHAPES)],
        controls=[
            Case(**SHAPES[0], tries=1, rng=0, steps=0),
            planted(
                "one factor is a thousandth larger and the next one smaller", **SHAPES[0], tries=4, rng=20, tilt=1.001
            ),
        ],
        uses=("gk25:lemma1",),
        scope="at ends of Newton runs and of descents in the space of all factors, from Gaussian starts",
    ),
)
