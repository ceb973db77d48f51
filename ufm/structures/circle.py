"""Circle: the classes lie evenly on a circle, the flattest code there is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.state import own_numpy_state
from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures.fits import Fit, Seen, least_squares, on_small_root
from ufm.structures.idempotent import one_mode
from ufm.structures.structure import Structure

LISTED = 64
"""Classes up to which it is listed unasked: beyond, neighbours on the circle are too near to be told apart cheaply, and
no symmetry that the package knows splits the Hessian there."""


@own_numpy_state
def circle(problem: Problem, root: str = "large") -> LogitPoint:
    """Z = a (2/K) cos(2 pi (i - j)/K) (x) 1_n', K >= 5, rank 2, singular values a sqrt(n) twice.

    Critical where a solves, for cross-entropy, with c_j = (2/K) cos(2 pi j/K),

        sum_j p_j (c_0 - c_j) = 2 Lam n^(1/D) a^(2/D - 1),     p_j = e^(a c_j) / sum_i e^(a c_i):

    the large root, a minimum along its ray, or the small one (none at L = 1). Nothing but the cosine is possible here:

    * Matrices fixed by the rotations and reflections of the classes are sum_k mu_k E_k, E_k = (2/K) cos(2 pi k (i -
      j)/K) of rank 2 for 0 < k < K/2, and of rank 1 for k = 0 and K/2. So of rank 2 with columns of sum zero there are
      the multiples of one E_k alone. The gradient there is such a sum too, and its parts on the other modes do not
      matter, since these are products of zero factors (`structures.idempotent`): the shape is exact, its scale the one
      unknown.
    * Frequencies k prime to K are the same point: i -> k i permutes the classes. If g = gcd(k, K) > 1, classes fall on
      K/g points, g on each, and the loss of cross-entropy is larger at every scale, at the same penalty: sum_j e^(t
      cos(2 pi k j/K)) = K (I_0(t) + 2 sum_{m >= 1} I_{m K/g}(t)), I the modified Bessel functions, which are positive,
      and g = 1 keeps the fewest of them.

    At K = 3 this is dnc, at K = 4 two pairs. Returns LogitPoint of exact rank 2; scales (a,). Raises ValueError where
    it does not exist: K < 5, unequal counts, widths below 2, beyond the fold, MSE (there it is modes(large=2)),
    nonlinear models, or a bias whose gradient does not vanish.
    Source: palais79 (symmetric criticality); the shape and the comparison of frequencies: derived here.
    """
    arguments.instance("problem", problem, Problem)
    arguments.choice("root", root, ("large", "small"))
    if problem.K < 5:
        same = {2: "dnc", 3: "dnc", 4: "pairs"}[problem.K]
        raise ValueError(f"circle needs K >= 5: at K={problem.K} it is {same}.")
    return one_mode(problem, frame(problem.K), "circle", root)


def frame(K: int) -> np.ndarray:
    """Orthonormal columns (K, 2): sqrt(2/K) (cos, sin) of K equal steps."""
    angles = 2 * np.pi * np.arange(K) / K
    return np.sqrt(2.0 / K) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def matches(seen: Seen) -> Iterator[Fit]:
    """The cosine in the order of the angles that the two leading modes give."""
    if seen.K < 5:
        return
    values, vectors = np.linalg.eigh(0.5 * (seen.M + seen.M.T))
    angles = np.arctan2(vectors[:, -1] * np.sqrt(abs(values[-1])), vectors[:, -2] * np.sqrt(abs(values[-2])))
    order = np.argsort(angles)
    E = frame(seen.K) @ frame(seen.K).T
    distance, (a,) = least_squares(seen.M[np.ix_(order, order)], [E])
    yield on_small_root(Fit.ray("circle", distance, (a,), (tuple(order.tolist()),), 2), circle, seen)


def variants(problem: Problem):
    """From the first K at which it is a shape of its own up to `LISTED`; `circle` itself takes any K."""
    if 5 <= problem.K <= LISTED and not problem.loss.quadratic:
        yield "circle", lambda: circle(problem)


CIRCLE = Structure(
    "circle",
    "Z = a (2/K) cos(2 pi (i - j)/K) (x) 1', rank 2, K >= 5: the classes evenly on a circle",
    circle,
    variants=variants,
    matches=matches,
    colour="#CC79A7",
)
