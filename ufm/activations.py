"""Activations sigma, applied entrywise to every layer but the free features and the logits.

    linear      sigma(x) = x
    relu        sigma(x) = max(x, 0), with sigma'(0) = 0
    leaky_relu  sigma(x) = max(x, slope x)
    tanh        sigma(x) = tanh x

Each says what it promises: `linear`, `homogeneous` (sigma(t x) = t sigma(x) for t > 0), `smooth`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.words import named_arguments


@named_arguments
@dataclass(frozen=True)
class Activation:
    """An entrywise function with its first two derivatives and its promises."""

    name: str
    value: Callable = field(repr=False)
    derivative: Callable = field(repr=False)
    second: Callable = field(repr=False)
    linear: bool = False
    homogeneous: bool = False
    smooth: bool = True

    @staticmethod
    def from_function(function, name="custom", homogeneous=False, smooth=True) -> Activation:
        """The activation given as an entrywise function in `autograd.numpy`; derivatives by autograd.

        >>> import autograd.numpy as anp
        >>> softplus = Activation.from_function(lambda x: anp.log1p(anp.exp(x)), "softplus")
        >>> float(softplus.derivative(np.array([0.0]))[0])
        0.5
        """
        from autograd import elementwise_grad

        first = elementwise_grad(function)
        return Activation(name, function, first, elementwise_grad(lambda x: first(x) + 0.0 * x), False, homogeneous, smooth)


def _zero(x):
    return np.zeros_like(x)


LINEAR = Activation("linear", lambda x: x, np.ones_like, _zero, linear=True, homogeneous=True)
RELU = Activation("relu", lambda x: np.maximum(x, 0.0), lambda x: (x > 0) * 1.0, _zero, homogeneous=True, smooth=False)
TANH = Activation("tanh", np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, lambda x: -2.0 * np.tanh(x) * (1.0 - np.tanh(x) ** 2))


@functools.cache
def leaky_relu(slope: float = 0.01) -> Activation:
    """max(x, slope x) for a slope in [0, 1)."""
    slope = arguments.nonnegative("slope", slope)
    if slope >= 1:
        raise ValueError(f"slope must lie in [0, 1); got slope={slope!r}.")
    return Activation(
        f"leaky_relu({arguments.short(slope)})",
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, 1.0, slope),
        _zero,
        homogeneous=True,
        smooth=False,
    )


def smoothed(slope: float, width: float) -> Activation:
    """max(x, slope x) with its kink rounded off to a parabola on |x| <= width: above it by at most (1 - slope) width / 4.

    >>> smoothed(0.0, 0.5).value(np.array([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.125, 1.0]
    """
    slope, width = arguments.real("slope", slope), arguments.positive("width", width)
    rest = 1.0 - slope
    return Activation(
        f"smoothed({arguments.short(slope)}, {arguments.short(width)})",
        lambda x: slope * x + rest * (np.maximum(x, 0.0) + np.maximum(width - np.abs(x), 0.0) ** 2 / (4.0 * width)),
        lambda x: slope + rest * np.clip((x + width) / (2.0 * width), 0.0, 1.0),
        lambda x: rest / (2.0 * width) * (np.abs(x) < width),
    )


_BY_NAME = {"linear": LINEAR, "relu": RELU, "leaky_relu": leaky_relu(0.01), "tanh": TANH}


def activation(spec) -> Activation:
    """The activation meant by an object or a name: `linear`, `relu`, `leaky_relu`, `leaky_relu(0.2)`, `tanh`.

    >>> activation("leaky_relu(0.2)").name
    'leaky_relu(0.2)'
    """
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str) and spec.startswith("leaky_relu(") and spec.endswith(")"):
        try:
            slope = float(spec[len("leaky_relu(") : -1])
        except ValueError:
            raise ValueError(f"activation {spec!r} is not understood; write for example leaky_relu(0.1).") from None
        return leaky_relu(slope)
    return _BY_NAME[arguments.choice("activation", spec, _BY_NAME)]
