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
from typing import Any

import numpy as np

from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.words import named_arguments


@named_arguments
@dataclass(frozen=True, eq=False)
class Activation(ByContent):
    """An entrywise function with its first two derivatives and its promises."""

    name: str
    value: Callable = field(repr=False)
    derivative: Callable = field(repr=False)
    second: Callable = field(repr=False)
    linear: bool = False
    homogeneous: bool = False
    smooth: bool = True

    @property
    def slopes(self) -> tuple[float, float] | None:
        """(sigma(1), -sigma(-1)), which say all about a homogeneous activation; None for others."""
        if not self.homogeneous:
            return None
        at_one, at_minus_one = np.asarray(self.value(np.array([1.0, -1.0])), dtype=float)
        return float(at_one), -float(at_minus_one) + 0.0

    @property
    def rectifies(self) -> bool:
        """Whether it is x -> max(x, 0), by whatever name."""
        return self.slopes == (1.0, 0.0)

    def on(self, xp: Any) -> tuple[Callable, Callable]:
        """(sigma, sigma') in the array namespace xp (PyTorch, JAX, any of the array API); ValueError for those that are
        known to numpy only, a user's own that is not homogeneous with slope 1."""
        if self == TANH:
            return xp.tanh, lambda x: 1.0 - xp.tanh(x) ** 2
        if self.slopes is None or self.slopes[0] != 1.0:
            raise ValueError(f"activation={self.name!r} runs on numpy only. Leave out device and xp.")
        slope = self.slopes[1]
        return (
            lambda x: xp.where(x > 0, x, slope * x if slope else xp.zeros_like(x)),
            lambda x: xp.where(x > 0, xp.ones_like(x), xp.full_like(x, slope)),
        )

    @staticmethod
    def from_function(
        function: Callable, name: str = "custom", homogeneous: bool = False, smooth: bool = True
    ) -> Activation:
        """The activation given as an entrywise function in `autograd.numpy`; derivatives by autograd.

        A function defined in a module, unlike a lambda, can be pickled, and the activation with it.

        >>> import autograd.numpy as anp
        >>> softplus = Activation.from_function(lambda x: anp.log1p(anp.exp(x)), "softplus")
        >>> float(softplus.derivative(np.array([0.0]))[0])
        0.5
        """
        function = _named(function)
        return Activation(
            name, function, _ByAutograd(function, 1), _ByAutograd(function, 2), False, homogeneous, smooth
        )


def _named(function):
    """A function of autograd.numpy as a record of its name, which can be pickled where autograd's own wrapper cannot;
    others as they are."""
    from autograd import numpy as anp

    name = getattr(function, "__name__", "")
    return _OfAutograd(name) if getattr(anp, name, None) is function else function


@dataclass(frozen=True)
class _OfAutograd:
    """The function of autograd.numpy with this name."""

    name: str

    def __call__(self, x):
        from autograd import numpy as anp

        return getattr(anp, self.name)(x)


@dataclass(frozen=True, eq=False)
class _ByAutograd(ByContent):
    """The derivative of an entrywise function, of order 1 or 2."""

    function: Callable
    order: int

    def __call__(self, x):
        from autograd import elementwise_grad

        # autograd's decorator hides the argument it fills
        first: Callable = elementwise_grad(self.function)  # pyright: ignore[reportCallIssue]
        if self.order == 1:
            return first(x)
        return elementwise_grad(lambda x: first(x) + 0.0 * x)(x)  # pyright: ignore[reportCallIssue]


# Functions with names and frozen records, not lambdas: what holds a Problem can be pickled and equals its copy.


def _identity(x):
    return x


def _zero(x):
    return np.zeros_like(x)


def _relu(x):
    return np.maximum(x, 0.0)


def _step(x):
    return (x > 0) * 1.0


def _tanh_slope(x):
    return 1.0 - np.tanh(x) ** 2


def _tanh_curve(x):
    return -2.0 * np.tanh(x) * (1.0 - np.tanh(x) ** 2)


@dataclass(frozen=True)
class _Leaky:
    """max(x, slope x), or its derivative, `slope` at 0."""

    slope: float
    order: int

    def __call__(self, x):
        return np.where(x > 0, 1.0 if self.order else x, self.slope if self.order else self.slope * x)


@dataclass(frozen=True)
class _Smoothed:
    """max(x, slope x) with a parabola on |x| <= width, or a derivative of it."""

    slope: float
    width: float
    order: int

    def __call__(self, x):
        slope, width, rest = self.slope, self.width, 1.0 - self.slope
        if self.order == 0:
            return slope * x + rest * (np.maximum(x, 0.0) + np.maximum(width - np.abs(x), 0.0) ** 2 / (4.0 * width))
        if self.order == 1:
            return slope + rest * np.clip((x + width) / (2.0 * width), 0.0, 1.0)
        return rest / (2.0 * width) * (np.abs(x) < width)


LINEAR = Activation("linear", _identity, np.ones_like, _zero, linear=True, homogeneous=True)
RELU = Activation("relu", _relu, _step, _zero, homogeneous=True, smooth=False)
TANH = Activation("tanh", np.tanh, _tanh_slope, _tanh_curve)


@functools.cache
def leaky_relu(slope: float = 0.01) -> Activation:
    """max(x, slope x) for a slope in [0, 1)."""
    slope = arguments.nonnegative("slope", slope)
    if slope >= 1:
        raise ValueError(f"slope must lie in [0, 1); got slope={slope!r}.")
    return Activation(
        f"leaky_relu({arguments.short(slope)})",
        _Leaky(slope, 0),
        _Leaky(slope, 1),
        _zero,
        homogeneous=True,
        smooth=False,
    )


def smoothed(slope: float, width: float) -> Activation:
    """max(x, slope x) with its kink rounded off to a parabola on |x| <= width: above it by at most (1 - slope) width /
    4.

    >>> smoothed(0.0, 0.5).value(np.array([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.125, 1.0]
    """
    slope, width = arguments.real("slope", slope), arguments.positive("width", width)
    return Activation(
        f"smoothed({arguments.short(slope)}, {arguments.short(width)})",
        _Smoothed(slope, width, 0),
        _Smoothed(slope, width, 1),
        _Smoothed(slope, width, 2),
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
