"""Value, gradient and Hessian-vector product of a loss that is given as a function in `autograd.numpy`.

The function takes Z and Y of shape (K, N) and returns one number per column, shape (N,). Batch axes are folded into
columns, so that it never sees others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def value(function: Callable, name: str, Z, Y):
    """Losses of the columns (..., N); ValueError naming the loss unless the function returns one number per column."""
    values = np.asarray(function(*_columns(Z, Y)))
    if values.size != Z.size // Z.shape[-2]:
        raise ValueError(
            f"loss function {name!r} must return one number per column, {Z.size // Z.shape[-2]} here; got"
            f" shape {values.shape}."
        )
    return values.reshape(Z.shape[:-2] + Z.shape[-1:])


def grad(function: Callable, Z, Y):
    """Gradients of the columns' losses (..., K, N)."""
    return _unfold(_gradient(function)(*_columns(Z, Y)), Z.shape)


def hvp(function: Callable, Z, Y, V):
    """Hessians of the columns' losses applied to V (..., K, N)."""
    from autograd import grad
    from autograd import numpy as anp

    inner = _gradient(function)
    # autograd writes its numpy when it is imported, and its decorator hides the argument it fills
    total = getattr(anp, "sum")  # noqa: B009
    second: Callable = grad(lambda Z, Y, V: total(inner(Z, Y) * V) + 0.0 * total(Z))  # pyright: ignore[reportCallIssue]
    Z = np.broadcast_to(Z, np.broadcast_shapes(Z.shape, V.shape))
    return _unfold(second(*_columns(Z, Y, V)), Z.shape)


def _gradient(function: Callable) -> Callable:
    from autograd import grad
    from autograd import numpy as anp

    total = getattr(anp, "sum")  # noqa: B009
    return grad(lambda Z, Y: total(function(Z, Y)))  # pyright: ignore[reportCallIssue]


def _columns(Z, Y, *more):
    """The batch axes folded into columns: arrays (K, all columns)."""
    return [np.moveaxis(np.broadcast_to(a, Z.shape), -2, 0).reshape(Z.shape[-2], -1) for a in (Z, Y, *more)]


def _unfold(flat, shape):
    return np.moveaxis(flat.reshape((shape[-2], *shape[:-2], shape[-1])), 0, -2)
