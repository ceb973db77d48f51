"""The verb `certify`: everything that can be proved about a problem, a point or a landscape."""

from __future__ import annotations

from ufm.certificates import certificate
from ufm.certificates.certificate import Certificate, labelled
from ufm.certificates.models import uncovered
from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.numerics.words import named_arguments
from ufm.points import FactorPoint, LogitPoint
from ufm.problem import Problem

WHAT = ("order", "critical", "global", "bound", "completeness")
HOPES = {
    "order": "the structures are in strict order",
    "critical": "every structure is a critical point",
    "global": "a named point is a global minimum",
    "bound": "F >= a number for every Z",
    "completeness": "all critical points with a symmetry are listed",
}
"""What each word asks for, where no proof covers the problem."""
CRITICAL_UP_TO = 12
"""Structures are certified critical by default up to this many classes; beyond, ask for a point."""


class Certificates(tuple):
    """Certificates in the order they were made; prints one line each."""

    @property
    def hold(self) -> bool:
        """Whether every one of them is a proof."""
        return all(c.holds for c in self)

    def check(self) -> bool:
        """Whether every proof among them passes its checker again, from the data alone."""
        return all(c.check() for c in self if c.holds)

    def save(self, path) -> None:
        """Write them to one JSON file; `ufm certify --check FILE` reads it."""
        certificate.save(self, path)

    def to_dict(self) -> dict:
        """The JSON shape of `ufm certify --json`."""
        return {"certificates": [c.to_dict() for c in self]}

    def __repr__(self) -> str:
        lines = [repr(c) for c in self]
        proved = sum(c.holds for c in self)
        return "\n".join(
            [*lines, f"{proved} of {len(self)} proved; trusted: Arb's balls, IEEE rounding, this package's checkers."]
        )


@named_arguments
@own_numpy_state
def certify(subject, what=None, lam=None, group: str | None = None) -> Certificates:
    """Proofs in ball or interval arithmetic about a Problem, a point, or anything with `.points` (a landscape, a
    comparison).

    Of a problem, the words in `what` (default order, critical, global, and bound where no global proof applies):
      order         the strict order of all closed-form structures,  F(pairs) < F(dnc)
      critical      existence, radius and index of each of them
      global        a global minimum: L = 1, K = 2, K = 3 (cross-entropy), MSE
      bound         F >= a number, for every Z
      completeness  all critical points with the symmetry `group` (`V_4`, `S_2wrS_2`, ...)
    Of a point: critical. lam: exact text(s) such as `1/3`, where the float cannot say what is meant.

    A certificate that does not hold says what could not be proved and why; it never says that the statement is false.
    Nonlinear models and a user's own loss get one such certificate for each word.
    Raises ValueError for words that are not there, ImportError without the extra [certify].

    >>> proofs = certify(Problem(K=4, L=2, lam=0.02), ["order"])
    >>> [c.statement for c in proofs if c.holds][:1], proofs.check()
    (['pairs < dnc'], True)
    """
    from ufm.numerics.balls import flint

    flint()
    if isinstance(subject, Problem):
        return Certificates(_of_problem(subject, what, lam, group))
    from ufm.certificates.critical_points import critical

    points = (
        [subject]
        if isinstance(subject, (LogitPoint, FactorPoint)) or hasattr(subject, "point")
        else getattr(subject, "points", None)
    )
    if points is None:
        raise ValueError(
            f"subject must be a Problem, a point, a critical point or a landscape; got {type(subject).__name__}."
        )
    for word in what or ():
        arguments.choice("what", word, ("critical",))
    return Certificates(labelled(critical(point, lam), getattr(point, "name", None) or "") for point in points)


def _of_problem(problem: Problem, what, lam, group) -> list[Certificate]:
    chosen = [arguments.choice("what", word, WHAT) for word in ([what] if isinstance(what, str) else what or ())]
    if group is not None and "completeness" not in chosen:
        chosen = [*(chosen or _defaults(problem)), "completeness"]
    if "completeness" in chosen and group is None:
        raise ValueError("group must be named for completeness, for example V_4 at K=4; got group=None.")
    if group is not None:
        from ufm.certificates.completeness import known_group

        known_group(group, problem.K)
    reason = uncovered(problem)
    if reason:
        return [certificate.refused(word, HOPES[word], reason) for word in chosen or _defaults(problem)]
    makers = {
        "order": _orders,
        "critical": _structures,
        "global": _global,
        "bound": _bound,
        "completeness": lambda p, lam: _complete(p, lam, group),
    }
    return [made for word in chosen or _defaults(problem) for made in makers[word](problem, lam)]


def _defaults(problem: Problem) -> list[str]:
    decided = problem.L == 1 or problem.K <= 3 or problem.loss.quadratic
    critical = ["critical"] if problem.K <= CRITICAL_UP_TO else []
    return ["order", *critical, "global" if decided else "bound"]


def _orders(problem, lam):
    """The chain from the lowest structure to the highest, then every structure against dnc."""
    from ufm.certificates.orders import order, orders

    ranking = orders(problem, lam)
    steps, names = list(ranking.certificates), ranking.names
    if "dnc" in names:
        at = names.index("dnc")
        steps += [order(name, "dnc", problem, lam) for name in names[: max(at - 1, 0)]]
        steps += [order("dnc", name, problem, lam) for name in names[at + 2 :]]
    return steps


def _structures(problem, lam):
    from ufm import structures
    from ufm.certificates.critical_points import critical

    points, _ = structures.existing(problem)
    return [
        labelled(critical(points[name], lam), name) for name in ("zero", "dnc", "pairs", "pairs+apex") if name in points
    ]


def _global(problem, lam):
    from ufm.certificates.optimality import global_minimum

    return [global_minimum(problem, lam)]


def _bound(problem, lam):
    from ufm.certificates.bounds import bound

    return [bound(problem, lam)]


def _complete(problem, lam, group):
    from ufm.certificates.completeness import complete

    return [complete(problem, group, lam)]
