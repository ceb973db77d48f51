"""`order`: which of two points of a problem costs less."""

from __future__ import annotations

from ufm.certificates.kind import Kind


def make(problem, lam=None):
    """The chain from the lowest structure to the highest, then every structure against dnc."""
    from ufm.certificates.orders import order, orders

    ranking = orders(problem, lam)
    steps, names = list(ranking.certificates), ranking.names
    if "dnc" in names:
        at = names.index("dnc")
        steps += [order(name, "dnc", problem, lam) for name in names[: max(at - 1, 0)]]
        steps += [order("dnc", name, problem, lam) for name in names[at + 2 :]]
    return steps


KIND = Kind(
    word="order",
    says="the strict order of all closed-form structures, F(pairs) < F(dnc)",
    hope="the structures are in strict order",
    make=make,
    default=lambda problem: True,
    place=1,
)
