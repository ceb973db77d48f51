"""What every critical point of a deep linear model with a convex fit satisfies: an identity, a box, a floor under its
singular values, a bound on its rank.

Multiplying -u_i'G v_i = Lam s_i^(2/D-1) by s_i and summing,

    Lam sum_i s_i^(2/D) = -<G, Z>,      F = g - (D/2) <G, Z>      (any differentiable fit),
    -<G, Z> <= g(0) - g(Z) <= g(0)   (convex, g >= 0; g(0) = log K for CE and label smoothing),
    Lam s_i^(2/D-1) <= |G| <= c/sqrt(N)   (c = sqrt 2 for CE and label smoothing: two probability vectors per column),

so that s_i >= (Lam sqrt(N)/c)^(D/(D-2)) for D >= 3, r <= (g(0)/Lam) (Lam sqrt(N)/c)^(-2/(D-2)), and F <= max(1, D/2)
g(0). At zero, for D >= 3 the Hessian is lam_l in every factor: a strict local minimum whatever the classes, and no
point with all s_i <= ((D/2) Lam/sigma_1(G(0)))^(D/(D-2)) costs as little. At D = 2 zero has index d #{sigma_i(G(0)) >
Lam}.
"""

from __future__ import annotations

import math

import numpy as np

from theory.claim import Case, Claim, Evidence, planted
from theory.related.deep_tools import READABLE, dense_eigenvalues, inertia, newton_points
from ufm.landscapes.landscape import landscape
from ufm.landscapes.sources.symmetric import a_priori_box
from ufm.numerics.seeds import child, generator, seed_sequence
from ufm.objectives.logits import Stratum
from ufm.objectives.strata import schatten
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import zero

TOL = 1e-10
"""Relative: the identity holds to the gradient norm of the point."""


def at_zero(problem: Problem) -> tuple[float, np.ndarray]:
    """(g(0), G(0)) on class columns."""
    here = Stratum(zero(problem))
    return here.fun, here.G


def found_points(case) -> list[LogitPoint]:
    """Critical points of positive rank: of `landscape` where the case says so, and ends of Newton runs."""
    problem = case.problem()
    points = newton_points(problem, case.tries, case.rng, 2.0)
    if case.get("atlas"):
        points += [p.point for p in landscape(problem, rng=case.rng, starts=2, progress=False) if p.rank]
    return points


def check_bounds(case):
    """The identity, the box, the floor and the rank bound at every point; for a `stretch` other than 1 at points that
    are not critical."""
    problem = case.problem()
    start, _ = at_zero(problem)
    D, Lam, c = problem.D, problem.Lam, math.sqrt(2.0) if not problem.loss.quadratic else 1.0
    floor = (Lam * math.sqrt(problem.N) / c) ** (D / (D - 2)) if D > 2 else 0.0
    if case.get("box", True):
        yield Evidence(a_priori_box(problem)[0], "==", floor, TOL * floor, note="the library's floor")
    for p in found_points(case):
        p = LogitPoint(p.problem, p.U, p.s * case.get("stretch", 1.0), p.right)
        here = Stratum(p)
        pull, power = -float(np.sum(here.G * p.matrix())), Lam * float(np.sum(p.s ** (2 / D)))
        fit = here.fun - D / 2 * power
        where = f"rank {p.rank}, F = {here.fun:.9g}"
        slack = TOL + (10 * here.grad_norm / here.ridge_norm if case.get("stretch", 1.0) == 1.0 else 0.0)
        yield Evidence(power / pull, "==", 1.0, slack, note=f"{where}: Lam sum s^(2/D) over -<G, Z>")
        drop = start - fit if np.linalg.norm(p.s) > 0.1 else -descent_of_fit(problem, p.matrix())
        yield Evidence(drop / power, "in", (1 - TOL, math.inf), 0.0, note=f"{where}: g(0) - g(Z) over it is at least 1")
        yield Evidence(power, "<=", start, 1e-12, note=f"{where}: below g(0) = {start:.6g}")
        yield Evidence(here.fun, "<=", max(1.0, D / 2) * start, 1e-12, note=f"{where}: F below max(1, D/2) g(0)")
        if D > 2:
            yield Evidence(
                float(p.s[-1]),
                ">=",
                case.get("times", 1.0) * floor,
                1e-14,
                note=f"{where}: least singular value over its floor",
            )
            yield Evidence(
                math.log(p.rank),
                "<=",
                math.log(start / Lam) - 2 / D * math.log(floor),
                1e-12,
                note=f"{where}: log of the rank bound",
            )


def check_zero(case):
    """The Hessian at zero in all parameters, and F above F(0) on random matrices inside the radius; the radius is not
    vacuous."""
    problem = case.problem()
    _, G = at_zero(problem)
    D, Lam = problem.D, problem.Lam
    values = dense_eigenvalues(zero(problem))
    negative, zeros = inertia(values, 1e-9 * Lam)
    sigma = np.linalg.svd(G, compute_uv=False)
    if D == 2:
        expected = case.get("copies", problem.widths[0]) * int(np.sum(sigma > Lam))
        yield Evidence(
            negative,
            "==",
            expected,
            0,
            note=f"index; singular values of G(0) {np.round(sigma, 6).tolist()}, Lam = {Lam:.6g}",
        )
        return
    listed = np.sort(
        np.concatenate([np.full(a * b, lam) for lam, (a, b) in zip(problem.lams, problem.shapes(), strict=True)])
    )
    yield Evidence(
        float(np.max(np.abs(values - listed))),
        "==",
        0.0,
        1e-13,
        note="Hessian eigenvalues at zero are the ridge weights",
    )
    yield Evidence(negative + zeros, "==", 0, 0, note="index and nullity")
    radius, phi = (D / 2 * Lam / sigma[0]) ** (D / (D - 2)) * case.get("times", 1.0), schatten(problem).phi
    seed = seed_sequence(case.rng)
    U, _, Vt = np.linalg.svd(-G)
    for i in range(20):
        draw = generator(child(seed, i))
        A, B = (np.linalg.qr(draw.standard_normal((problem.K, problem.K)))[0] for _ in range(2))
        s = 0.95 * radius * draw.random(problem.K) ** 3
        if i == 0:
            A, B, s = U, Vt.T, 0.95 * radius * np.eye(problem.K)[0]
        penalty = float(np.sum(phi(s[s > 0])))
        note = f"F - F(0) over the penalty at s_1 = {np.max(s):.3g}, radius {radius:.3g}"
        yield Evidence(1 + descent_of_fit(problem, (A * s) @ B.T) / penalty, ">", 0.0, 1e-10, note=note)


def descent_of_fit(problem: Problem, Z: np.ndarray) -> float:
    """g(Z) - g(0) = integral of <G(tZ), Z> over t, accurate relative to its own size."""
    fit = Stratum(zero(problem)).fit
    t, w = np.polynomial.legendre.leggauss(20)
    return 0.5 * sum(float(wk * np.sum(fit.value_grad(0.5 * (1 + tk) * Z)[1] * Z)) for tk, wk in zip(t, w, strict=True))


SHAPES = (
    {"K": 3, "n": 1, "d": 4, "L": 2, "lam": 0.02, "loss": "ce"},
    {"K": 4, "n": 2, "d": 4, "L": 2, "lam": 0.01, "loss": "ce"},
    {"K": 4, "n": 1, "d": 5, "L": 3, "lam": 0.006, "loss": "ce"},
    {"K": 3, "n": (4, 2, 1), "d": 3, "L": 2, "lam": (0.04, 0.01, 0.02), "loss": "ce"},
    {"K": 5, "n": 1, "d": 3, "L": 4, "lam": 0.005, "loss": "ce"},
    {"K": 4, "n": (3, 1, 1, 1), "d": 4, "L": 2, "lam": 0.01, "loss": "label_smoothing(0.1)"},
    {"K": 3, "n": (3, 2, 1), "d": 4, "L": 3, "lam": 0.02, "loss": "mse"},
    {"K": 4, "n": 1, "d": 4, "L": 1, "lam": 0.02, "loss": "ce"},
)
CONVEX = READABLE | {
    "linear": lambda c: c.get("activation", "linear") == "linear",
    "no bias": lambda c: c.get("bias") is None,
    "CE, label smoothing or MSE": lambda c: not c.loss.startswith("focal"),
}
DEEP = (
    (3, 1, 3, 2, 0.02),
    (3, (5, 2, 1), 4, 2, 0.05),
    (4, (9, 1, 1, 1), 3, 3, 0.01),
    (2, (3, 1), 3, 2, (0.1, 0.02, 0.01)),
    (5, (4, 3, 2, 1, 1), 3, 5, 0.003),
)
SHALLOW = ((3, (5, 2, 1), 4, 0.1), (4, 2, 3, 0.05), (2, (3, 1), 3, (0.5, 0.02)), (3, 1, 2, 3.0))

CLAIMS = (
    Claim(
        id="related:deep-apriori",
        title=(
            "Every critical point of a convex deep linear model: Lam sum s^(2/D) = -<G, Z> <= log K, a floor under s, a"
            " bound on the rank"
        ),
        statement=(
            "At every critical point Lam sum s_i^(2/D) = -<G, Z> <= g(0) - g(Z) <= g(0) and F = g - (D/2)<G, Z>; for D"
            " >= 3 and nonzero s_i, s_i >= (Lam sqrt(N)/c)^(D/(D-2)) and r <= (g(0)/Lam)(Lam sqrt(N)/c)^(-2/(D-2));"
            " g(0) = log K, c = sqrt 2 for CE and label smoothing, 1/2 and 1 for MSE."
        ),
        source="gk25, Lemma 1",
        hypotheses=CONVEX | {"critical": lambda c: c.get("stretch", 1.0) == 1.0},
        check=check_bounds,
        cases=[
            *(Case(**shape, tries=8, rng=i) for i, shape in enumerate(SHAPES)),
            Case(**SHAPES[0], tries=2, rng=3, atlas=True),
            Case(**SHAPES[6], tries=2, rng=0, atlas=True),
        ],
        controls=[
            Case(**SHAPES[0], tries=8, rng=0, stretch=1.3),
            Case(**SHAPES[1], tries=8, rng=0, stretch=0.7),
            planted("the floor is six times too high", **SHAPES[6], tries=2, rng=0, times=6.0, atlas=True),
        ],
        uses=("gk25:lemma1", "related:deep-stratum-union"),
        scope="at ends of Newton runs from random matrices of every rank and at the points of a small landscape",
    ),
    Claim(
        id="related:deep-zero-minimum",
        title=(
            "Zero is a strict local minimum of every deep linear model, however the classes are balanced; for L = 1 its"
            " index is d #{sigma_i(G(0)) > Lam}"
        ),
        statement=(
            "L >= 2, convex differentiable fit, no bias: the Hessian at zero is lam_l in every factor, and F(Z) > F(0)"
            " for every Z != 0 with s_1 <= ((D/2) Lam/sigma_1(G(0)))^(D/(D-2)), also with unequal n_c. L = 1: the index"
            " at zero is d #{i: sigma_i(G(0)) > Lam}."
        ),
        source="gk25, Lemma 1",
        hypotheses=CONVEX,
        check=check_zero,
        cases=[
            *(
                Case(K=K, n=n, d=d, L=L, lam=lam, loss=loss, rng=0)
                for loss in ("ce", "label_smoothing(0.1)", "mse")
                for K, n, d, L, lam in DEEP
            ),
            *(
                Case(K=K, n=n, d=d, L=1, lam=lam, loss=loss, rng=0)
                for loss in ("ce", "mse")
                for K, n, d, lam in SHALLOW
            ),
        ],
        controls=[
            *(
                planted(
                    "the radius is a hundred times too large",
                    K=3,
                    n=n,
                    d=3,
                    L=2,
                    lam=0.01,
                    loss="ce",
                    rng=0,
                    times=100.0,
                )
                for n in (1, (5, 2, 1))
            ),
            planted(
                "at L = 1 every negative direction is counted once, not d times",
                K=3,
                n=(5, 2, 1),
                d=4,
                L=1,
                lam=0.05,
                loss="ce",
                rng=0,
                copies=1,
            ),
        ],
        uses=("related:deep-stratum-inertia",),
        scope=(
            "dense Hessians; the inequality, proved from g(Z) >= g(0) + <G(0), Z>, at random matrices and along -G(0)"
        ),
    ),
)
