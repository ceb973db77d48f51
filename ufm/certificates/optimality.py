"""Proofs that a point is a global minimum, by the argument that the problem admits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ufm.certificates.certificate import Certificate, certify_data, refused
from ufm.certificates.check import Rejected, dual, modes, two_classes
from ufm.certificates.check.model import Model
from ufm.certificates.check.pulls import has_closed_forms
from ufm.certificates.check.record import decided
from ufm.certificates.models import model, unknown_loss
from ufm.losses import own
from ufm.numerics import arguments, balls, interruption
from ufm.numerics.hints import Exact
from ufm.points import FactorPoint, LogitPoint, from_matrix, logit_point_of
from ufm.problem import Problem

HOPE = "a named point is a global minimum"
SLACK = (1e-15, 1e-12, 1e-9)
"""How far, relative to K, the dual is shrunk below the boundary of what is feasible: rounding of its norm."""


def global_minimum(
    problem: Problem, lam: Exact = None, witness: LogitPoint | None = None, progress: bool | None = None
) -> Certificate:
    """Which point is the global minimum, or an interval that contains the minimum, proved.

    MSE, any K, L, counts and widths: modes decouple (`check.modes`). K = 2, cross-entropy: a one-dimensional argument
    (`check.two_classes`). L = 1, convex losses: the dual problem (`check.dual`); for equal counts dnc or zero exactly,
    else the global minimum lies in [lower, upper]. K = 3, cross-entropy: `three_classes`. Elsewhere no proof is known
    and the certificate says so.

    lam: exact text(s), by default the problem's floats. witness: at L = 1, where the numbers of the bracket come from:
    a LogitPoint, FactorPoint or K x K matrix of class logits without bias, `cvxpy`, or `minimize` (the default where
    there is no closed form). None of them is trusted. progress: a bar of boxes at K = 3, as in `three_classes`.
    Raises ValueError for nonlinear models, for a lam that is not the problem's, and for witnesses where none is used.
    Sources: mirsky75, zhu21, dang23.

    >>> global_minimum(Problem(K=4, n=3, L=1, lam=0.02)).statement
    'dnc is a global minimum'
    """
    arguments.instance("problem", problem, Problem)
    reason = unproved(problem)
    if witness is not None and problem.L != 1:
        raise ValueError(f"witness is for L=1, where the problem is convex; got L={problem.L}.")
    if reason:
        return refused("global", HOPE, reason)
    exact = model(problem, lam)
    found = argument(exact, witness)
    if found is not None:
        return made(found, exact, "global")
    if problem.L == 1:
        return bracketed(problem, exact, "global", witness)
    if problem.K == 3 and problem.loss.cross_entropy:
        from ufm.certificates.three_classes import three_classes

        return three_classes(problem, lam, progress=progress)
    return refused("global", HOPE, no_proof(exact))


def unproved(problem: Problem) -> str:
    """Why no bound is proved under this loss; empty where one may be."""
    reason = unknown_loss(problem)
    if reason or has_closed_forms(problem.loss.name):
        return reason
    bent = ", which is not convex" if own(problem.loss) and not problem.loss.convex else ""
    return f"the proofs are for cross-entropy, label smoothing and MSE, not for the loss {problem.loss.name!r}{bent}."


def argument(exact: Model, witness=None):
    """The checker whose closed-form argument applies, or None."""
    applicable = [] if witness is not None else [modes, two_classes, dual]
    for checker in applicable:
        try:
            checker.refuse(exact)
            if checker is dual and not (exact.balanced and dual.reached(exact, "dnc")):
                continue
        except Rejected:
            continue
        return checker
    return None


def made(checker, exact: Model, claim: str) -> Certificate:
    """The certificate of a closed form."""
    try:
        value = decided(lambda: checker.minimum(exact))[1]
    except Rejected as reason:
        return refused(claim, HOPE, str(reason), checker.METHOD)
    data = {"problem": exact.to_dict(), "claim": claim, "lower": balls.below(value, 17), "upper": None, "witness": None}
    return certify_data(checker.METHOD, data, claim, HOPE)


def no_proof(exact: Model) -> str:
    if exact.loss == "mse":
        return f"MSE with bias={exact.bias} at L={exact.L} and n={list(exact.n)} does not decouple into modes."
    return (
        f"no proof of global optimality is known for {exact.loss} with K={exact.K} and L={exact.L}; `bound` gives a"
        " lower bound."
    )


# L = 1: the bracket of a witness


def bracketed(problem: Problem, exact: Model, claim: str, witness=None) -> Certificate:
    """The certificate of the interval between the dual and the primal value at a witness."""
    point = witness_point(problem, "minimize" if witness is None else witness)
    best = ""
    for slack in SLACK:
        numbers = witness_data(point, slack * problem.K)
        with balls.precision(dual.BITS):
            try:
                low, high, _ = dual.bracket(exact, numbers)
            except Rejected as reason:
                best = str(reason)
                continue
        upper = None if high is None else balls.above(high, 17)
        data = {
            "problem": exact.to_dict(),
            "claim": claim,
            "lower": balls.below(low, 17),
            "upper": upper,
            "witness": numbers,
        }
        return certify_data("dual", data, "bound", "the global minimum lies in an interval")
    return refused("bound", "the global minimum lies in an interval", best, "dual")


def witness_point(problem: Problem, witness) -> LogitPoint:
    """The collapsed point meant by a witness, at widths of at least K."""
    wide = replace(problem, d=max(problem.K, *problem.widths))
    if isinstance(witness, str):
        arguments.choice("witness", witness, ("cvxpy", "minimize"))
        if witness == "minimize":
            from ufm.solvers.minimize import minimize

            with interruption.whole():
                found = minimize(wide, rng=0, space="reduced").point
            return found if isinstance(found, LogitPoint) else found.to_logits(collapse=True)
        from ufm.certificates.convex import convex_point

        return refined(convex_point(wide, rel_tol=1e-6))
    if isinstance(witness, FactorPoint):
        witness = witness.to_logits(collapse=True)
    if isinstance(witness, LogitPoint):
        return (
            witness
            if witness.collapsed
            else from_matrix(
                wide, witness.class_logits() - (0 if witness.b is None else witness.b[:, None]), b=witness.b
            )
        )
    Z = arguments.array("witness", witness, shape=(problem.K, problem.K))
    return from_matrix(wide, Z) if problem.bias is None else refined(from_matrix(wide, Z))


def refined(point: LogitPoint) -> LogitPoint:
    """The critical point downhill of this one: a convex solver's gradient is good to 1e-5, and the dual value is linear
    in it."""
    from ufm.solvers.minimize import minimize

    with interruption.whole():
        return logit_point_of("point", minimize(point.problem, start=point, rng=0, space="reduced"))


def witness_data(point: LogitPoint, slack: float) -> dict:
    """A, B with A B' = Z on sqrt(n_c)-scaled class columns, b, and the repair of the gradient there, as exact texts."""
    problem, columns, root = point.problem, point.problem.classes, np.sqrt(point.s)
    Q = problem.loss.grad(point.class_logits(), columns.Y)
    mix = 0.0
    if problem.bias == 0:
        if not problem.loss.quadratic:
            mean = _targets(problem) @ columns.weight
            mix = min(1.0, 4 * float(np.max(np.abs(Q @ columns.weight) / mean)))
            Q = (1 - mix) * Q + mix * (mean[:, None] - _targets(problem))
        Q = Q - (Q @ columns.weight)[:, None]
    norm = float(np.linalg.norm(Q * columns.weight * columns.scale, 2))
    shrink = min(1.0, problem.Lam / norm * (1 - slack)) if norm > problem.Lam * (1 - slack) else 1.0
    texts = [[[repr(float(x)) for x in row] for row in factor * root] for factor in (point.U, point.right)]
    b = None if point.b is None else [repr(float(x)) for x in point.b]
    return {"A": texts[0], "B": texts[1], "b": b, "shrink": balls.text(shrink), "mix": balls.text(mix)}


def _targets(problem: Problem) -> np.ndarray:
    smoothing = problem.loss.smoothing or 0.0
    return (1 - smoothing) * np.eye(problem.K) + smoothing / problem.K
