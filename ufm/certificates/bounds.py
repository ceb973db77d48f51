"""Lower bounds on the global minimum, proved."""

from __future__ import annotations

from ufm.certificates.certificate import Certificate, certify_data, refused
from ufm.certificates.check import Rejected
from ufm.certificates.check import bounds as covering
from ufm.certificates.check.model import Model
from ufm.certificates.check.scales import enclose
from ufm.certificates.models import model
from ufm.certificates.optimality import argument, bracketed, made, unproved
from ufm.numerics import arguments, balls
from ufm.numerics.hints import Exact
from ufm.problem import Problem

HOPE = "F >= a number for every Z"
TOL = 1e-4
"""How far below the minimum of the bounding function, relatively, the certified number lies at most."""


def bound(problem: Problem, lam: Exact = None) -> Certificate:
    """F >= a number, for every Z (and b), proved; margin: how far the best of zero, dnc and pairs lies above it.

    MSE, K = 2 and L = 1 give the minimum itself (rounded down). Cross-entropy with equal counts, K >= 3, L >= 2: a loss
    that low needs singular values that large (`check.bounds`), which leaves a gap. With a bias or smoothed labels only
    the sum of singular values is used, and the gap is wider. Unequal counts at K >= 3, L >= 2 are refused. lam: exact
    text(s), by default the problem's floats. Raises ValueError for nonlinear models.

    >>> bound(Problem(K=10, L=2, lam=0.001, bias=0.1)).statement[:11]
    'F >= 0.0288'
    """
    arguments.instance("problem", problem, Problem)
    reason = unproved(problem)
    if reason:
        return refused("bound", HOPE, reason)
    exact = model(problem, lam)
    found = argument(exact)
    if found is not None:
        return made(found, exact, "bound")
    if problem.L == 1:
        return bracketed(problem, exact, "bound")
    return _covered(exact)


def _covered(exact: Model) -> Certificate:
    try:
        best, value = best_closed_form(exact)
        lower = covering.least(covering.Bound.of(exact), value, TOL)
    except Rejected as reason:
        return refused("bound", HOPE, str(reason), covering.METHOD)
    data = {"problem": exact.to_dict(), "lower": _down(lower), "best": best}
    return certify_data(covering.METHOD, data, "bound", HOPE)


def best_closed_form(exact: Model) -> tuple[str, float]:
    """(name, value) of the lowest of zero, dnc and pairs."""
    covering.refuse(exact)
    found = {}
    for name in ("zero", "dnc", "pairs"):
        try:
            found[name] = balls.to_float(enclose(exact, name).loss)
        except Rejected:
            continue
    best = min(found, key=found.__getitem__)
    return best, found[best]


def _down(value: float, digits: int = 8) -> str:
    """A short decimal a little below."""
    with balls.precision(64):
        return balls.below(balls.ball(value) * (1 - balls.ball("1e-9")), digits)
