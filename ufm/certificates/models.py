"""From a Problem to the exact statement of it."""

from __future__ import annotations

from ufm import losses
from ufm.certificates.check.losses import missing
from ufm.certificates.check.model import Model
from ufm.numerics import arithmetic, balls
from ufm.problem import Problem


def uncovered(problem: Problem) -> str:
    """Why no checker can state this problem, whatever is to be proved of it; empty where one can."""
    if not problem.linear:
        return f"only linear layers are covered by a proof; got activation={problem.activation.name!r}."
    if problem.ridgeless:
        return problem.without_ridge("a proof")
    return unknown_loss(problem)


def unknown_loss(problem: Problem) -> str:
    """Why no checker knows this loss; empty where one does."""
    if losses.known(problem.loss):
        return missing(problem.loss.name)
    return (
        "the proofs are for cross-entropy, label smoothing, MSE, focal loss and contributed losses with an enclosure,"
        f" not for the user's own loss {problem.loss.name!r}."
    )


def model(problem: Problem, lam=None) -> Model:
    """The problem with exact numbers: lam as texts (`2**-10`, `0.01`), by default read from the floats.

    lam: one exact text or L+1 of them, where the float cannot say what is meant, `1/3` or `5**(1/3)`.
    Raises ValueError for activations that are not linear, losses without a checker, a lam of wrong length or
    one that differs from the problem's.

    >>> model(Problem(K=4, n=2, L=2, lam=0.01)).lam
    ('0.01', '0.01', '0.01')
    """
    reason = uncovered(problem)
    if reason:
        raise ValueError(reason)
    texts = [
        balls.text(value)
        for value in ((lam,) if isinstance(lam, (str, int, float)) else problem.lams if lam is None else lam)
    ]
    texts = texts * problem.D if len(texts) == 1 else texts
    if len(texts) != problem.D:
        raise ValueError(f"lam must be one exact text or L+1={problem.D}; got {len(texts)}.")
    for exact, value in zip(texts, problem.lams, strict=True):
        if abs(arithmetic.number(exact) - value) > 1e-12 * value:
            raise ValueError(f"lam={exact!r} is not the problem's lam={value!r}.")
    bias = None if problem.bias is None else balls.text(problem.bias)
    return Model(
        problem.K, tuple(map(int, problem.counts)), problem.widths, problem.L, tuple(texts), problem.loss.name, bias
    )
