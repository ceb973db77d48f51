"""Theorem A3: with step imbalance the collapse of the shallow model is not global in deep ones."""

from __future__ import annotations

import functools

import numpy as np
from scipy import optimize

from theory.claim import Case, Claim, Evidence, grid, planted
from theory.gk25.lowest import lowest, ray_minimum, step_counts
from ufm.objectives.fit import Fit
from ufm.objectives.logits import value
from ufm.objectives.strata import schatten
from ufm.points import LogitPoint, from_matrix
from ufm.problem import Problem
from ufm.solvers.minimize import minimize

TOL = 1e-9
"""Of the size of F, for the difference of two values of converged runs."""
DEPTH, WEIGHT = 2, 0.01
"""L_0 and lam_0 of the effective weight lam n^(1/(L+1)), seen for K <= 9, R <= 20."""
GONE = 1e-3
"""A mode of the frame whose singular value has fallen below this share of the largest has vanished."""


def problem_of(case, L: int | None = None) -> Problem:
    """round(rho K) classes of R n samples, the others of n."""
    return case.problem(n=step_counts(case.K, case.n, case.R, case.rho), L=case.L if L is None else L)


@functools.lru_cache(4096)
def shallow(case) -> LogitPoint:
    """The global minimum of the convex model L = 1 at the same lam; its frame is that of generalised collapse."""
    return minimize(problem_of(case, 1), rng=case.rng).logit_point()


def in_frame(problem: Problem, frame: LogitPoint, size: float) -> LogitPoint | None:
    """A local minimum of F over Z = U diag(s) V', s > 0, in the frame U, V, from the shallow s times `size`; None where
    a mode vanishes."""
    U, V, fit, phi = frame.U, frame.right, Fit.of(problem, True), schatten(problem)

    def fun(x):
        s = np.exp(np.maximum(x, -600.0))  # a mode on its way to zero stays a number
        g, G, _ = fit.value_grad((U * s) @ V.T)
        return (g + phi.phi(s).sum()) / problem.Lam, s * (
            np.einsum("ir,ij,jr->r", U, G, V) + phi.derivative(s)
        ) / problem.Lam

    s = np.exp(optimize.minimize(fun, np.log(size * frame.s), jac=True, method="BFGS", options={"gtol": 1e-9}).x)
    return LogitPoint(problem, U, s, V) if np.min(s) > GONE * np.max(s) else None


def collapsed(case) -> dict[str, float]:
    """F of the generalised collapse, rank K-1: `frame`, the least over s > 0 in the frame of the shallow minimum where
    it keeps all modes, and `ray`, the least over multiples of the shallow minimum itself."""
    problem, frame = problem_of(case), shallow(case)
    if frame.rank < case.K - 1:
        raise ValueError(
            f"the shallow minimum has rank {frame.rank} < K - 1 at lam={case.lam}: there is no generalised collapse."
        )
    ends = [in_frame(problem, frame, size) for size in (1.0, 1.5, 3.0)]
    values = (
        {"frame": min(map(value, ends))}
        if None not in ends
        else {"frame": min([value(end) for end in ends if end], default=np.inf)}
    )
    Z = frame.class_logits()[:, problem.labels]
    return {name: float(v) for name, v in values.items() if np.isfinite(v)} | {
        "ray": ray_minimum(problem, Z, frame.rank)[0]
    }


def selected(K: int) -> np.ndarray:
    """S = I - 11'/K, the simplex-encoded labels per class."""
    return np.eye(K) - 1 / K


def check(case):
    """The lowest point found of rank below K - 1 against both kinds of generalised collapse; also against multiples of
    the label matrix."""
    problem = problem_of(case)
    best = value(lowest(problem, case.rng, below=case.K - 1))
    if case.get("point") == "shallow":
        best = value(from_matrix(problem, shallow(case).class_logits(), rank=case.K - 1))
    labels = ray_minimum(problem, selected(case.K)[:, problem.labels], case.K - 1)[0]
    for name, other in (collapsed(case) | {"labels": labels}).items():
        yield Evidence(
            best, "<", other, TOL * other, "sampled", f"a point of rank < K - 1 against generalised collapse: {name}"
        )


def has_collapse(case) -> bool:
    """Whether the shallow minimum has rank K - 1."""
    return shallow(case).rank == case.K - 1


CLAIM = Claim(
    id="gk25:a3",
    title="Step imbalance: generalised collapse is not global in deep models",
    statement=(
        "K >= 4, round(rho K) classes of R n samples and the others of n: for lam < lam_0 and L > L_0, points of rank"
        " below K - 1 cost less than every point with the frame of the minimum of the model L = 1 and all its K - 1"
        f" modes, and than every multiple of that minimum and of the label matrix S. Here L_0 = {DEPTH}, lam_0 ="
        f" {WEIGHT} n^(-1/(L+1))."
    ),
    source="gk25, Theorem A3",
    hypotheses={
        "K >= 4": lambda c: c.K >= 4,
        f"L > L_0 = {DEPTH}": lambda c: c.L > DEPTH,
        f"lam n^(1/(L+1)) <= lam_0 = {WEIGHT}": lambda c: c.lam * c.n ** (1 / (c.L + 1)) <= WEIGHT,
        "step imbalance": lambda c: c.R >= 1 and 0 <= c.rho <= 1,
        "the shallow minimum has rank K - 1": has_collapse,
    },
    check=check,
    cases=[
        *grid(K=[4, 6], n=[1, 2], L=[3, 5], lam=[5e-3, 1e-4], R=[2.0, 10.0], rho=0.5, rng=0),
        *[
            Case(K=K, n=1, L=L, lam=lam, R=R, rho=rho, rng=0)
            for K, L, lam, R, rho in [
                (4, 3, 1e-3, 5.0, 0.25),
                (7, 4, 1e-3, 3.0, 0.3),
                (8, 6, 1e-4, 4.0, 0.75),
                (4, 10, 1e-6, 3.0, 0.5),
            ]
        ],
    ],
    controls=[
        *grid(K=[4, 6], n=1, L=1, lam=1e-3, R=3.0, rho=0.5, rng=0),
        *grid(K=3, n=1, L=[2, 3], lam=1e-3, R=3.0, rho=0.34, rng=0),
        planted(
            "the shallow minimum is taken for the low-rank point",
            K=4,
            n=1,
            L=3,
            lam=1e-3,
            R=3.0,
            rho=0.5,
            rng=0,
            point="shallow",
        ),
    ],
    uses=("gk25:lemma1", "gk25:a1"),
    scope=(
        "at the declared R, rho and lam; the low-rank points are the lowest found, so that any one of them refutes"
        " global optimality"
    ),
)
