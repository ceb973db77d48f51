"""`order`: which of two points of a problem costs less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.certificates.kind import Kind

if TYPE_CHECKING:
    from ufm.certificates.certificate import Certificate
    from ufm.numerics.hints import Exact
    from ufm.problem import Problem

HOPE = "the structures are in strict order"


def make(problem: Problem, lam: Exact = None) -> Certificate | list[Certificate]:
    """The chain from the lowest structure to the highest, then every structure against dnc."""
    from ufm.certificates.certificate import refused
    from ufm.certificates.orders import order, orders

    ranking = orders(problem, lam)
    if len(ranking.names) < 2:
        why = " ".join(dict.fromkeys(ranking.left_out.values())) or "no two structures exist here."
        return refused("order", HOPE, why, "order")
    steps, names = list(ranking.certificates), ranking.names
    if "dnc" in names:
        at, sides = names.index("dnc"), ranking.sides
        steps += [order(side, sides[at], problem, lam) for side in sides[: max(at - 1, 0)]]
        steps += [order(sides[at], side, problem, lam) for side in sides[at + 2 :]]
    return steps


KIND = Kind(
    word="order",
    says="the strict order of all closed-form structures, F(pairs) < F(dnc)",
    hope=HOPE,
    make=make,
    default=lambda problem: True,
    place=1,
)
