"""Theorems for all K and L as certificates."""

from __future__ import annotations

from ufm.certificates.certificate import Certificate, certify_data, refused
from ufm.certificates.check import theorems as proof
from ufm.numerics import arguments

THEOREMS = {
    "gk25:thm1": "no DNC point of the deep linear model is a global minimum for K >= 4, L >= 3 and for K >= 6, L = 2",
    "gk25:thm7": (
        "ReLU layers with the logits of pairs beat linear dnc for K >= 14, L = 4; K >= 10, L = 5; K >= 8, L = 6, 7; K"
        " >= 6, L >= 8"
    ),
}
"""What can be asked for, and where it holds."""

CORNERS = {"gk25:thm1": [[6, 2], [4, 3]], "gk25:thm7": [[14, 4], [10, 5], [8, 6], [6, 8]]}
"""The set of (K, L) is the union of the quadrants K >= K_0, L >= L_0."""

Span = int | range | tuple[int, int | None] | None
"""An integer, a range, (low, high), (low, None) for no upper end; None for everything."""


def theorem(name: str, K: Span = None, L: Span = None, exact: bool = False) -> Certificate:
    """A theorem on ranges of K and L, proved in integers.

    name: a key of THEOREMS. K, L: an integer, a range, (low, high) or (low, None) for no upper end; None is everything
    the theorem covers. With a written argument (`certificates.check.theorems`) the ranges may be infinite.
    exact: prove instead on which (K, L) of the ranges the competitor at the scale of dnc costs less at every scale and
    every lam, and that it does not elsewhere: by evaluating every pair where they are few, else by the argument.

    A range that leaves the theorem's set gives a certificate that does not hold, which says nothing against the
    statement.

    >>> theorem("gk25:thm1").statement
    'no DNC point is a global minimum at any lam (linear layers, cross-entropy, balanced classes), for K >= 6 with L =
        2, and K >= 4 with L >= 3'
    >>> theorem("gk25:thm1", K=5, L=2).holds
    False
    >>> theorem("gk25:thm1", K=(4, 200), L=(2, 60), exact=True).statement
    'for K = 4..200 with L = 2..60, pairs at the scale of dnc cost less at every scale and every lam exactly where
     K = 6..200 with L = 2 or K = 4..200 with L = 3..60'

    Raises ValueError for unknown names and ranges. Source: gk25 (Theorems 1 and 7).
    """
    arguments.choice("name", name, THEOREMS)
    least_K, least_L = proof.LEAST[name]
    asked = [*_ends("K", K, least_K), *_ends("L", L, least_L)]
    corners = CORNERS[name]
    if exact:
        few = (
            None not in asked
            and (asked[1] - asked[0] + 1) * (asked[3] - asked[2] + 1) <= proof.MOST
            and max(asked[1], asked[3]) <= proof.MOST // 10
        )
        claim, ranges = "list" if few else "set", [asked]
    else:
        whole = (
            [asked] if K is not None and L is not None else [proof.meet(part, asked) for part in proof.parts(corners)]
        )
        claim, ranges = "all", [box for box in whole if box]
    hope = _hope(name, claim, asked, ranges)
    if not ranges:
        return refused("theorem", hope, f"the theorem covers {THEOREMS[name].split(' for ')[-1]}.", proof.METHOD)
    steps = proof.steps(name, corners, exact) if claim != "list" else proof.steps(name, corners, False)[:1]
    return certify_data(
        proof.METHOD,
        {"theorem": name, "claim": claim, "corners": corners, "ranges": ranges, "steps": steps},
        "theorem",
        hope,
    )


def _hope(name: str, claim: str, asked, ranges) -> str:
    where = ", and ".join(map(proof.box_text, ranges or [asked]))
    return proof.SAYS[name].format(where) if claim == "all" else proof.SAYS_SET[name].format(where, "stated")


def _ends(name: str, value, least: int) -> list:
    """[low, high] of an integer, range, pair or None."""
    if value is None:
        return [least, None]
    if isinstance(value, range):
        if not len(value) or value.step != 1:
            raise ValueError(f"{name} must be a range of step 1 that is not empty; got {name}={value!r}.")
        value = (value.start, value.stop - 1)
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"{name} must be an integer, a range, (low, high) or (low, None); got {name}={value!r}.")
    low = arguments.integer(name, value[0], least)
    return [low, None if value[1] is None else arguments.integer(name, value[1], low)]
