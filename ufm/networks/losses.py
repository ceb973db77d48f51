"""Losses of networks: those of `ufm.losses`, and two for two classes and one output f with labels y = +-1.

    logistic       l = log(1 + e^(-y f))
    exponential    l = e^(-y f)

Every margin loss here is a function of one number per sample, t = -y f, or t = log sum_{j != y} e^(z_j - z_y) for
cross-entropy: l = log(1 + e^t) or l = e^t. `log_mean` uses this to give the logarithm of the mean loss and its gradient
where the loss itself underflows (below e^-745).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logsumexp

from ufm import losses
from ufm.losses import Loss
from ufm.numerics import arguments


class Logistic(Loss):
    """log(1 + e^(-y f)) for Z = f (..., 1, N) and Y = y = +-1 of the same shape."""

    keyword = "logistic"
    convex = True

    def value(self, Z, Y):
        return np.logaddexp(0.0, -Z * Y)[..., 0, :]

    def grad(self, Z, Y):
        return -Y * expit(-Z * Y)

    def hvp(self, Z, Y, V):
        p = expit(Z * Y)
        return Y * Y * p * (1.0 - p) * V


class Exponential(Loss):
    """e^(-y f) for Z = f (..., 1, N) and Y = y = +-1 of the same shape; infinite where it overflows."""

    keyword = "exponential"
    convex = True

    def value(self, Z, Y):
        return _exp(-Z * Y)[..., 0, :]

    def grad(self, Z, Y):
        return -Y * _exp(-Z * Y)

    def hvp(self, Z, Y, V):
        return Y * Y * _exp(-Z * Y) * V


def _exp(x):
    with np.errstate(over="ignore"):
        return np.exp(x)


_TWO_CLASS = {"logistic": Logistic(), "exponential": Exponential()}


def loss(spec) -> Loss:
    """The loss meant by an object or a name: `logistic`, `exponential`, or a name of `ufm.losses`.

    >>> loss("exponential"), loss("ce").name
    (Exponential(), 'ce')

    Raises ValueError for anything else.
    """
    if spec in ("logistic", "exponential"):
        return _TWO_CLASS[spec]
    try:
        return losses.loss(spec)
    except ValueError as error:
        raise ValueError(f"{error} Networks also know logistic and exponential (two classes, one output).") from None


def two_class(loss: Loss) -> bool:
    """Whether the loss wants one output and labels +-1."""
    return isinstance(loss, (Logistic, Exponential))


def has_log(loss: Loss) -> bool:
    """Whether `log_mean` knows the loss."""
    return two_class(loss) or loss.cross_entropy


def log_mean(loss: Loss, Z, Y) -> tuple[float, np.ndarray]:
    """(log((1/N) sum_i l_i), its gradient in Z (K, N)), accurate also where every l_i underflows.

    d/dz log sum l_i = sum_i q_i d log l_i/dz with q = softmax(log l); for l = log(1 + e^t) the factor d log l/dt =
    e^t/((1 + e^t) l) tends to 1 as t -> -infinity. Raises ValueError for losses that are not functions of such a t
    (MSE, focal, smoothing).
    """
    if not has_log(loss):
        raise ValueError(
            f"the logarithm of the loss is known for ce, logistic and exponential; got loss={loss.name!r}."
        )
    t, slope = _exponent(loss, Z, Y)
    logs, factor = (t, np.ones_like(t)) if isinstance(loss, Exponential) else _log_softplus(t)
    total = logsumexp(logs)
    return float(total - np.log(len(t))), slope * (factor * np.exp(logs - total))


def _exponent(loss: Loss, Z, Y) -> tuple[np.ndarray, np.ndarray]:
    """(t (N,), dt/dZ (K, N))."""
    if two_class(loss):
        return (-Z * Y)[0], -Y
    T = np.where(Y > 0, -np.inf, Z - np.sum(Z * Y, axis=0))
    top = np.max(T, axis=0)
    E = np.exp(T - top)
    total = np.sum(E, axis=0)
    return top + np.log(total), E / total - Y


def _log_softplus(t) -> tuple[np.ndarray, np.ndarray]:
    """(log log(1 + e^t), its derivative): t - e^t/2 and 1 - e^t/2 to full accuracy below t = -37."""
    low = t < -37.0
    safe = np.where(low, 0.0, t)
    value = np.logaddexp(0.0, safe)
    return np.where(low, t, np.log(value)), np.where(low, 1.0, expit(safe) / value)


def check_outputs(loss: Loss, K: int, outputs: int) -> None:
    """ValueError unless a network with this many outputs can carry the loss on K classes."""
    arguments.instance("loss", loss, Loss)
    if two_class(loss) and (outputs != 1 or K != 2):
        raise ValueError(
            f"loss={loss.name!r} is for two classes and one output; got K={K} classes and {outputs} outputs."
        )
