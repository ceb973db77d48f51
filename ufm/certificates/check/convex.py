"""All roots at D = 2: the objective is strictly convex on the span of any set of modes, with one minimum; it has full
support, or is the root of a smaller set where every missing mode pulls less than its weight.
"""

from __future__ import annotations

import itertools

from ufm.certificates.check.systems import System, labels
from ufm.numerics import balls


def settle_convex(key, every, roots) -> bool:
    """Proved, for D = 2: the enclosed roots of every system are all there are of this one (one, or none)."""
    if roots[key]:
        return len(roots[key]) == 1
    names = labels(*key)
    return any(
        set(inner) < set(names) and _stays(every[key], [names.index(v) for v in inner], t)
        for inner, t in _convex_points(roots)
    )


def _convex_points(roots):
    """(unknowns, their balls) of zero, every root, and every product of roots of two orbits."""
    single = [(labels(*key), t) for key, found in roots.items() for t in found]
    alone = [(key[0][0] is None, labels(*key), t) for key, found in roots.items() for t in found if not key[1]]
    products = [
        (a + b, [*s, *t]) for (first, a, s), (second, b, t) in itertools.product(alone, alone) if second and not first
    ]
    return [([], []), *single, *products]


def _stays(system: System, inside: list[int], t) -> bool:
    """Proved: at the root t of the unknowns `inside` every other unknown of the system pulls less than its weight, so
    that its minimum is there."""
    mu = [balls.ball(0)] * system.size
    for j, value in zip(inside, t, strict=True):
        mu[j] = value.exp()
    _, pull, _ = system.pulls(mu)
    pair = {system.size - 2, system.size - 1} if system.coupled else set()
    plain = all(
        bool(pull[j] < system.multiplicities[j] * system.Cp) for j in range(system.size) if j not in pair | set(inside)
    )
    return plain and (not pair or pair <= set(inside) or bool(pull[-2] ** 2 + pull[-1] ** 2 < system.Cp**2))
