"""One symmetric mode: the classes are permuted by a group under which only the multiples of one projection are fixed.

    Z = a E (x) 1_n',   E a projection (K, K) of rank m with equal diagonal, an idempotent of an association scheme.

The gradient of the fit at Z is fixed by the group too, so it is a sum of the scheme's idempotents; on the active mode
it is a multiple of E, and on the others, which are zero there, the factors of a product vanish and it does not matter
(symmetric criticality). So Z is critical iff its scale solves, with e the first column of E and l a class's loss,

    -<e, grad l(a e)> = m Lam sqrt(n) (a sqrt n)^(2/D - 1).

Source: palais79 (symmetric criticality), bannai84 (schemes).
"""

from __future__ import annotations

import numpy as np

from ufm.points import LogitPoint
from ufm.problem import Problem
from ufm.structures import scales
from ufm.structures.blocks import with_bias


def one_mode(problem: Problem, frame: np.ndarray, name: str, root: str) -> LogitPoint:
    """The LogitPoint of Z = a E (x) 1', E = frame frame', on the `large` or `small` root; scales (a,).

    frame: orthonormal columns (K, m) that sum to zero. Raises ValueError with the reason for nonlinear models, unequal
    counts, MSE (where rotations make all modes of one rank the same point), narrow widths, and beyond the fold.
    """
    K, m = frame.shape
    scales.needs_linear(problem, name)
    problem.needs_ridge(name)
    if problem.loss.quadratic:
        raise ValueError(
            f"{name} has no closed form of its own under {problem.loss.name}: there rotations of the logits are"
            f" symmetries, and every choice of {m} modes is the same point, modes(large={m})."
        )
    if not problem.balanced:
        raise ValueError(f"{name} needs equal class counts; got n={problem.n}.")
    if min(problem.widths) < m:
        raise ValueError(f"{name} needs widths of at least its rank {m}; got d={problem.d}.")
    column, label, root_n = frame @ frame[0], np.eye(K)[:, :1], float(np.sqrt(problem.n))

    def pull(a):
        return -column @ problem.loss.grad(np.outer(column, a), np.broadcast_to(label, (K, len(a))))

    a = scales.pick(*scales.scale_roots(pull, root_n, problem, m * root_n), root, name, problem)
    called = name if root == "large" else f"{name}(small)"
    return with_bias(LogitPoint(problem, frame, np.full(m, a * root_n), frame, None, called, (a,)), name)
