"""Loss functions of one logit column z and its one-hot label y, with gradient and Hessian-vector product.

    cross-entropy            l = log sum_j e^(z_j) - z_y
    label smoothing (delta)  l = cross-entropy against the target (1 - delta) y + delta/K
    focal (gamma)            l = -(1 - p_y)^gamma log p_y,  p = softmax(z)
    MSE                      l = ||z - y||^2 / 2

Arrays have shape (..., K, N): classes, then columns; any leading axes are a batch. Labels are the
one-hot matrix Y (K, N). The fit term of a problem is the mean of l over samples.

Sources: lin17 (focal), szegedy16 (label smoothing), zhou22b (both as contrastive losses of a feature model).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.state import own_numpy_state


class Loss(ABC):
    """A column loss: value (..., N), gradient and Hessian-vector product (..., K, N)."""

    name: str
    convex: bool
    shift_invariant: bool
    """True when adding one number to all logits of a column changes nothing."""
    quadratic: bool = False
    """True when l = ||z - y||^2 / 2, under which singular modes decouple and rotations that keep the labels are
    symmetries."""
    cross_entropy: bool = False
    """True when l = log sum_j e^(z_j) - z_y, without smoothing."""

    @abstractmethod
    def value(self, Z, Y):
        """Loss of every column, shape (..., N)."""

    @abstractmethod
    def grad(self, Z, Y):
        """Gradient of every column's loss, shape (..., K, N)."""

    @abstractmethod
    def hvp(self, Z, Y, V):
        """Hessian of every column's loss applied to V, shape (..., K, N)."""

    def value_grad(self, Z, Y):
        """(value, grad); losses that share work between the two do it here."""
        return self.value(Z, Y), self.grad(Z, Y)

    def hessians(self, Z, Y):
        """The K x K Hessian of every column's loss, shape (N, K, K), for Z (K, N)."""
        K, N = Z.shape
        directions = np.broadcast_to(np.eye(K)[:, :, None], (K, K, N))
        return np.moveaxis(self.hvp(np.broadcast_to(Z, (K, K, N)), Y, directions), -1, 0)

    @staticmethod
    def from_function(function, name="custom", convex=False, shift_invariant=False) -> Loss:
        """The loss l(Z, Y) given as a function in `autograd.numpy` from (K, N), (K, N) to (N,) column losses.

        Derivatives come from autograd. `convex` and `shift_invariant` are promises of the caller; they
        are used in what is said about a point, never to compute its numbers.

        >>> import autograd.numpy as anp
        >>> huber = lambda Z, Y: anp.sum(anp.sqrt(1 + (Z - Y) ** 2) - 1, axis=0)
        >>> huber = Loss.from_function(huber, "huber", convex=True)
        >>> huber.value(np.zeros((2, 1)), np.array([[1.0], [0.0]])).round(6)
        array([0.414214])
        """
        return FunctionLoss(function, name, convex, shift_invariant)


def _softmax(Z, Y):
    """(P, p, u): column softmax, probability p of the label and u = 1 - p, both accurate when u is tiny."""
    E = np.exp(Z - np.max(Z, axis=-2, keepdims=True))
    wrong = E * (1.0 - Y)
    other = np.sum(wrong, axis=-2, keepdims=True)
    own = np.sum(E * Y, axis=-2, keepdims=True)
    total = own + other
    return wrong / total, own / total, other / total


def _nll(Z, Y):
    """-log softmax(z)_y, without overflow and with full relative accuracy near 0."""
    T = Z - np.sum(Z * Y, axis=-2, keepdims=True)
    top = np.max(T, axis=-2)
    other = np.sum(np.exp(T - np.maximum(top, 0.0)[..., None, :]) * (1.0 - Y), axis=-2)
    return np.where(top > 0.0, np.maximum(top, 0.0) + np.log(np.exp(-np.maximum(top, 0.0)) + other), np.log1p(other))


def _softmax_hvp(W, p, u, Y, V):
    """(diag P - P P') V per column, P = W + p Y, written so that its label row keeps its relative accuracy."""
    D = V - np.sum(V * Y, axis=-2, keepdims=True)
    mean = np.sum(W * D, axis=-2, keepdims=True)
    return W * (D - mean) - p * Y * mean


@own_numpy_state
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy against (1 - smoothing) y + smoothing/K; smoothing = 0 is the plain one."""

    smoothing: float = 0.0
    convex = True
    shift_invariant = True

    def __post_init__(self):
        delta = arguments.real("smoothing", self.smoothing)
        if not 0 <= delta < 1:
            raise ValueError(f"smoothing must lie in [0, 1); got smoothing={self.smoothing!r}.")

    @property
    def name(self) -> str:
        return f"label_smoothing({arguments.short(self.smoothing)})" if self.smoothing else "ce"

    @property
    def cross_entropy(self) -> bool:
        return self.smoothing == 0

    def value(self, Z, Y):
        nll = _nll(Z, Y)
        if self.smoothing:
            nll = nll + self.smoothing * (np.sum(Z * Y, axis=-2) - np.mean(Z, axis=-2))
        return nll

    def grad(self, Z, Y):
        W, _, u = _softmax(Z, Y)
        G = W - u * Y
        return G + self.smoothing * (Y - 1.0 / Z.shape[-2]) if self.smoothing else G

    def value_grad(self, Z, Y):
        # One exponential serves both: z_y is subtracted, so the label's exponential is exp(-top).
        T = Z - np.add.reduce(Z * Y, axis=-2, keepdims=True)
        top = np.maximum.reduce(T, axis=-2, keepdims=True)  # at least 0, the label's own entry
        W = np.exp(T - top)
        W *= 1.0 - Y
        other, own = np.add.reduce(W, axis=-2, keepdims=True), np.exp(-top)
        value = np.where(top > 0, top + np.log(own + other), np.log1p(other))[..., 0, :]
        W -= other * Y
        W /= own + other
        if self.smoothing:
            value = value + self.smoothing * (np.sum(Z * Y, axis=-2) - np.mean(Z, axis=-2))
            W += self.smoothing * (Y - 1.0 / Z.shape[-2])
        return value, W

    def hvp(self, Z, Y, V):
        W, p, u = _softmax(Z, Y)
        return _softmax_hvp(W, p, u, Y, V)


@own_numpy_state
@dataclass(frozen=True)
class MSE(Loss):
    """Half the squared distance to the one-hot label."""

    name = "mse"
    convex = True
    shift_invariant = False
    quadratic = True

    def value(self, Z, Y):
        return 0.5 * np.sum((Z - Y) ** 2, axis=-2)

    def grad(self, Z, Y):
        return Z - Y

    def hvp(self, Z, Y, V):
        return V + np.zeros_like(Z)


@own_numpy_state
@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss -(1 - p_y)^gamma log p_y; gamma = 0 is cross-entropy. Not convex in z for gamma > 0."""

    gamma: float = 2.0
    shift_invariant = True

    def __post_init__(self):
        arguments.nonnegative("gamma", self.gamma)

    @property
    def name(self) -> str:
        return f"focal({arguments.short(self.gamma)})"

    @property
    def convex(self) -> bool:
        return self.gamma == 0

    @property
    def cross_entropy(self) -> bool:
        return self.gamma == 0

    def value(self, Z, Y):
        u = _softmax(Z, Y)[2][..., 0, :]
        return u**self.gamma * _nll(Z, Y)

    def _outer(self, Z, Y):
        """(f', f'') of f(q) = -(1 - e^q)^gamma q at q = log p_y, with p, u, e = y - P."""
        W, p, u = _softmax(Z, Y)
        g, q = self.gamma, -_nll(Z, Y)[..., None, :]
        safe = np.where(u > 0, u, 1.0)
        ratio = np.where(u > 0, q / safe, -1.0)  # log(1 - u)/u
        power = np.where(u > 0, safe ** (g - 1), 0.0 if g > 1 else 1.0) if g else np.zeros_like(u)
        first = u**g * (g * p * ratio - 1.0)
        second = g * p * power * (q + 2.0 - (g - 1) * p * ratio)
        return first, second, W, p, u

    def grad(self, Z, Y):
        first, _, W, p, u = self._outer(Z, Y)
        return first * (u * Y - W)

    def hvp(self, Z, Y, V):
        first, second, W, p, u = self._outer(Z, Y)
        e = u * Y - W
        return second * e * np.sum(e * V, axis=-2, keepdims=True) - first * _softmax_hvp(W, p, u, Y, V)


@own_numpy_state
@dataclass(frozen=True, eq=False)
class FunctionLoss(ByContent, Loss):
    """The user's own loss through autograd; see `Loss.from_function`."""

    function: object
    name: str = "custom"
    convex: bool = False
    shift_invariant: bool = False

    def _columns(self, Z, Y, *more):
        """Fold the batch axes into columns, so that the user's function only ever sees (K, N)."""
        flat = [np.moveaxis(np.broadcast_to(a, Z.shape), -2, 0).reshape(Z.shape[-2], -1) for a in (Z, Y, *more)]
        return flat

    def _unfold(self, flat, shape):
        return np.moveaxis(flat.reshape((shape[-2], *shape[:-2], shape[-1])), 0, -2)

    def value(self, Z, Y):
        values = np.asarray(self.function(*self._columns(Z, Y)))
        if values.size != Z.size // Z.shape[-2]:
            raise ValueError(
                f"loss function {self.name!r} must return one number per column, {Z.size // Z.shape[-2]} here; got"
                f" shape {values.shape}."
            )
        return values.reshape(Z.shape[:-2] + Z.shape[-1:])

    def _gradient(self):
        from autograd import grad
        from autograd import numpy as anp

        return grad(lambda Z, Y: anp.sum(self.function(Z, Y)))

    def grad(self, Z, Y):
        return self._unfold(self._gradient()(*self._columns(Z, Y)), Z.shape)

    def hvp(self, Z, Y, V):
        from autograd import grad
        from autograd import numpy as anp

        inner = self._gradient()
        second = grad(lambda Z, Y, V: anp.sum(inner(Z, Y) * V) + 0.0 * anp.sum(Z))
        Z = np.broadcast_to(Z, np.broadcast_shapes(Z.shape, V.shape))
        return self._unfold(second(*self._columns(Z, Y, V)), Z.shape)


def own(spec: Loss) -> bool:
    """Whether a loss is one of this package's, the one its name says; False for a user's own, whatever it is called."""
    try:
        return loss(spec.name) == spec
    except ValueError:
        return False


_BY_NAME = {
    "ce": lambda: CrossEntropy(),
    "mse": MSE,
    "label_smoothing": lambda delta=0.1: CrossEntropy(delta),
    "focal": Focal,
}


def loss(spec) -> Loss:
    """The loss meant by an object or a name: `ce`, `mse`, `label_smoothing(0.1)`, `focal(2)`.

    >>> loss("focal(3)")
    Focal(gamma=3.0)

    Raises ValueError for anything that is neither a Loss nor such a name.
    """
    if isinstance(spec, Loss):
        return spec
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*([^()]+?)\s*\))?\s*", spec) if isinstance(spec, str) else None
    if match is None:
        raise ValueError(f"loss must be a Loss or one of {', '.join(sorted(_BY_NAME))}; got loss={spec!r}.")
    maker = _BY_NAME[arguments.choice("loss", match[1], _BY_NAME)]
    if match[2] is None:
        return maker()
    try:
        return maker(float(match[2]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"loss {spec!r} is not understood: {error}") from None
