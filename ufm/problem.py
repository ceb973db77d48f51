"""The problem: a deep unconstrained feature model, as a frozen value that prints itself."""

from __future__ import annotations

import functools
import itertools
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ufm import activations, losses
from ufm.activations import Activation
from ufm.losses import Loss
from ufm.numerics import arguments
from ufm.numerics.content import ByContent
from ufm.numerics.words import named_arguments

HEAVIEST = 1e100
"""The largest ridge weight."""
LAYERS = 100_000
"""So many layers a problem may have: each has its weight, its width and its name."""


@dataclass(frozen=True, eq=False)
class Columns(ByContent):
    """The columns over which the fit is summed: g = sum_j weight_j l(scale_j z_j + b, y_j).

    Y (K, M) one-hot labels, weight (M,), scale (M,). With one column per sample, weight = 1/N and
    scale = 1. With one column per class (a collapsed point), weight_c = n_c/N and the column stored is
    sqrt(n_c) times the class's logits, so that singular values and norms are those of all N columns.
    """

    Y: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    copies: np.ndarray
    """How many samples each column stands for."""


@named_arguments
@dataclass(frozen=True, init=False)
class Problem:
    """Minimise over W_L, ..., W_1, H_1 (and b)

        (1/N) sum_j l(z_j, y_j) + (lam_0/2)||H_1||^2 + sum_l (lam_l/2)||W_l||^2 + (bias/2)||b||^2,
        Z = W_L s(W_{L-1} ... s(W_1 H_1)) + b 1'.

    K classes (>= 2); n samples per class, one number or K counts; d hidden widths, one number or the L
    sizes (d_1, ..., d_L) of the layers H_1, ..., H_L (default K); L weight layers (>= 1);
    lam, one positive number or L + 1 ordered (H_1, W_1, ..., W_L), or 0: no ridge at all; loss and activation s by name
    or object; bias None (no bias) or its weight >= 0.

    Without a ridge, lam=0, there are descents and flows of the fit alone, and what measures their points (minimize,
    multistart, basins, collapse, identify); verbs about critical points refuse (`needs_ridge`).

    >>> Problem(K=4, n=2, d=6, L=2, lam=2**-8)
    minimise CE(W_2 W_1 H_1; 4 classes x 2) + 0.00390625/2 (|H_1|^2 + |W_1|^2 + |W_2|^2)
      H_1 6 x 8, W_1 6 x 6, W_2 4 x 6; linear; 108 parameters

    Raises ValueError naming the argument for K < 2, L < 1, n or d < 1, lam < 0 or NaN, zero for some factors and not
    for others, wrong lengths, unknown names. Source: gk25 (the deep linear model with cross-entropy), sml24 (ReLU with
    MSE).
    """

    K: int
    n: int | tuple[int, ...]
    d: int | tuple[int, ...]
    L: int
    lam: float | tuple[float, ...]
    loss: Loss
    activation: Activation
    bias: float | None

    def __init__(
        self,
        K: int,
        n: int | Sequence[int] = 1,
        d: int | Sequence[int] | None = None,
        L: int = 1,
        lam: float | Sequence[float] | None = None,
        loss: str | Loss = "ce",
        activation: str | Activation = "linear",
        bias: float | None = None,
    ) -> None:
        given = {"K": K, "n": n, "d": d, "L": L, "lam": lam, "loss": loss, "activation": activation, "bias": bias}
        for name, value in given.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Every field as what it stands for, or a ValueError naming it."""
        put = functools.partial(object.__setattr__, self)
        few, whole = "Fewer than two classes leave nothing to separate.", arguments.WHOLE
        put("K", arguments.integer("K", self.K, 2, few, most=whole))
        large = f"K={self.K} is too large: one matrix of class logits"
        arguments.room(large, self.K, self.K, instead="take fewer classes")
        plain = "L counts weight layers; the plain model, one layer on free features, is L=1."
        put("L", arguments.integer("L", self.L, 1, plain, LAYERS, "Take fewer layers."))
        put("n", _one_or_many("n", self.n, self.K, f"{self.K}, one count per class", _samples(self.K)))
        d, layers = self.K if self.d is None else self.d, f"{self.L}, one width per hidden layer H_1, ..., H_L"
        put("d", _one_or_many("d", d, self.L, layers, _width))
        if self.lam is None:
            what = "one positive number or L+1 ordered (H_1, W_1, ..., W_L), or 0 for none"
            raise ValueError(f"lam is required: the ridge weight, {what}.")
        put("lam", _one_or_many("lam", self.lam, self.L + 1, f"L+1={self.L + 1}, ordered (H_1, W_1, ..., W_L)", _ridge))
        if isinstance(self.lam, tuple) and 0.0 in self.lam:
            raise ValueError(
                "lam must be positive for every factor, or zero for all; with zero for some these take over the size of"
                f" the others, and no ridge is left; got lam={self.lam}."
            )
        put("loss", losses.loss(self.loss))
        put("activation", activations.activation(self.activation))
        if self.bias is not None:
            what = "It is the weight of the last layer's bias; None means no bias."
            put("bias", arguments.nonnegative("bias", self.bias, what))

    def __getstate__(self) -> dict:
        """The fields alone: what was computed from them is not carried along, and a cache keyed by a problem sees the
        same before and after."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def D(self) -> int:
        """Number of factors, L + 1."""
        return self.L + 1

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """Samples per class, shape (K,)."""
        return np.broadcast_to(np.asarray(self.n), (self.K,))

    @property
    def N(self) -> int:
        return self.K * self.n if isinstance(self.n, int) else sum(self.n)

    @property
    def balanced(self) -> bool:
        return isinstance(self.n, int)

    @property
    def per_class(self) -> int:
        """n where all classes have as many samples; ValueError where their counts differ."""
        if not isinstance(self.n, int):
            raise ValueError(f"the classes must have equal counts here; got n={self.n!r}.")
        return self.n

    @property
    def linear(self) -> bool:
        """Whether Z is the product of the factors: a linear activation, or L = 1 where none acts."""
        return self.activation.linear or self.L == 1

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_1, ..., d_L)."""
        return (self.d,) * self.L if isinstance(self.d, int) else self.d

    @property
    def lams(self) -> tuple[float, ...]:
        """(lam of H_1, W_1, ..., W_L)."""
        return self.lam if isinstance(self.lam, tuple) else (self.lam,) * self.D

    @property
    def Lam(self) -> float:
        """Effective ridge weight (prod lam_l)^(1/D): for linear models the loss sees the weights only through it. 0
        without a ridge."""
        return self.lam if isinstance(self.lam, float) else math.exp(sum(map(math.log, self.lams)) / self.D)

    @property
    def ridgeless(self) -> bool:
        """Whether all weights are zero."""
        return self.lam == 0

    @functools.cached_property
    def shares(self) -> np.ndarray:
        """(lam_l/Lam)_l, shape (D,): all 1 where the weights are equal, as they are without a ridge."""
        return np.ones(self.D) if self.ridgeless else np.array(self.lams) / self.Lam

    @functools.cached_property
    def stretches(self) -> np.ndarray:
        """(sqrt(Lam/lam_l))_l, shape (D,): the sizes of balanced factors, relative to those at equal weights."""
        return np.ones(self.D) if self.ridgeless else np.sqrt([self.Lam / lam for lam in self.lams])

    def without_ridge(self, what: str) -> str:
        """Why `what` does not apply to the problem for want of a ridge, in a sentence; empty where it has one."""
        if not self.ridgeless:
            return ""
        if self.loss.quadratic:
            why = "the minima are a continuum of factors with the same logits"
        elif self.loss.smoothing == 0:
            why = "F falls along every ray of growing factors that separates the classes, and has no minimum"
        else:
            why = "nothing holds the factors, so that minima are not attained or come in continua"
        return (
            f"{what} is about critical points and needs a ridge; at lam=0 {why}. Descents (minimize, multistart,"
            " basins), collapse and identify take lam=0."
        )

    def needs_ridge(self, what: str) -> None:
        """ValueError with the reason where `what` is asked of a problem with lam=0."""
        if self.ridgeless:
            raise ValueError(self.without_ridge(what))

    @property
    def max_rank(self) -> int:
        return min(*self.widths, self.K)

    @property
    def labels(self) -> np.ndarray:
        """Class of every sample, shape (N,), in blocks 0, ..., 0, 1, ..., 1, ..."""
        instead = "take fewer samples, or a verb that works with classes"
        arguments.room("a list of the samples' labels", self.N, instead=instead)
        return np.repeat(np.arange(self.K), self.counts)

    @functools.cached_property
    def samples(self) -> Columns:
        """One column per sample. ValueError where they are too many to be held."""
        instead = "take fewer samples, or space='reduced', which has a column per class"
        arguments.room("a matrix with a column per sample", self.K, self.N, instead=instead)
        Y, ones = np.eye(self.K)[:, self.labels], np.ones(self.N)
        return Columns(Y, np.full(self.N, 1.0 / self.N), ones, np.ones(self.N, int))

    @functools.cached_property
    def classes(self) -> Columns:
        """One column per class, weighted; equal to `samples` on within-class collapsed points."""
        counts = self.counts.astype(float)
        return Columns(np.eye(self.K), counts / self.N, 1.0 / np.sqrt(counts), self.counts)

    def shapes(self, columns: int | None = None, widths: Sequence[int] | None = None) -> list[tuple[int, int]]:
        """Shapes of (H_1, W_1, ..., W_L) for the given number of columns and hidden widths (default N and d)."""
        widths = self.widths if widths is None else tuple(widths)
        sizes = (self.N if columns is None else columns, *widths, self.K)
        return [(after, before) for before, after in itertools.pairwise(sizes)]

    def to_dict(self) -> dict:
        """A JSON-able description; losses and activations by name, a user's own `NAME` as `user's NAME`."""
        n, d, lam = (list(one) if isinstance(one, tuple) else one for one in (self.n, self.d, self.lam))
        sizes = {"K": self.K, "n": n, "d": d, "L": self.L}
        return {**sizes, "lam": lam, "loss": _name(self.loss), "activation": _name(self.activation), "bias": self.bias}

    @staticmethod
    def from_dict(description: dict) -> Problem:
        """The problem described by `to_dict`; refuses losses and activations that are not known by name."""
        known = ("K", "n", "d", "L", "lam", "loss", "activation", "bias")
        arguments.instance("problem", description, dict)
        for key in description:
            arguments.choice("problem field", key, known)
        if "K" not in description:
            raise ValueError(f"problem must have the field K; it has {', '.join(sorted(description)) or 'none'}.")
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in description.items()}
        return Problem(**given)

    def __repr__(self) -> str:
        names = ["H_1", *(f"W_{l}" for l in range(1, self.L + 1))]
        names_down = names[::-1]
        if self.linear:
            logits = " ".join(names_down)
        else:
            logits = (
                f"W_{self.L} " + "".join(f"s(W_{l} " for l in range(self.L - 1, 0, -1)) + "H_1" + ")" * (self.L - 1)
            )
        logits += "" if self.bias is None else " + b"
        classes = f"{self.K} classes x {self.n}" if self.balanced else f"{self.K} classes, counts {_short(self.n)}"
        if self.ridgeless:
            penalty = ""
        elif isinstance(self.lam, float):
            penalty = f" + {self.lam:.12g}/2 (" + " + ".join(f"|{name}|^2" for name in names) + ")"
        else:
            penalty = "".join(f" + {lam:.12g}/2 |{name}|^2" for lam, name in zip(self.lams, names, strict=True))
        if self.bias is not None:
            penalty += f" + {self.bias:.12g}/2 |b|^2"
        shapes = self.shapes()
        size = sum(a * b for a, b in shapes) + (0 if self.bias is None else self.K)
        listed = ", ".join(f"{name} {a} x {b}" for name, (a, b) in zip(names, shapes, strict=True))
        return (
            f"minimise {self.loss.label}({logits}; {classes}){penalty}\n  {listed}; {self.activation.name}; {size}"
            " parameters"
        )


def _name(thing: Loss | Activation) -> str:
    """The name of a loss or an activation, marked where it is that of another one."""
    find = losses.loss if isinstance(thing, Loss) else activations.activation
    try:
        return thing.name if find(thing.name) == thing else f"user's {thing.name}"
    except ValueError:
        return thing.name


def _short(values: Any, most: int = 8) -> str:
    shown = ", ".join(map(str, values[:most]))
    return f"({shown}{', ...' if len(values) > most else ''})"


def _one_or_many(name: str, value, length: int, meaning: str, check):
    """One checked number, or a tuple of `length` of them; equal entries become one number."""
    if isinstance(value, (numbers.Real, str)):
        return check(name, value)
    try:
        values = list(value)
    except TypeError:
        raise ValueError(f"{name} must be one number or a sequence of {length}; got {name}={value!r}.") from None
    if len(values) != length:
        raise ValueError(f"{name} must be one number or have length {meaning}; got length {len(values)}.")
    values = tuple(check(name, v) for v in values)
    return values[0] if len(set(values)) == 1 else values


def _ridge(name: str, value) -> float:
    number = arguments.nonnegative(name, value, "It is a ridge weight; 0 means no ridge at all.")
    if number > HEAVIEST:
        raise ValueError(
            f"{name} must be at most {HEAVIEST:g}, whose square float64 holds with room; got {name}={value!r}. Zero is"
            " the minimum long before."
        )
    return number + 0.0  # no minus zero


def _width(name: str, value) -> int:
    return arguments.integer(
        name, value, 1, most=arguments.WHOLE, beyond="Widths beyond K change no minimum of a linear model: take d = K."
    )


def _samples(K: int):
    """The check of one class's samples: all together are counted exactly."""
    most, beyond = (
        arguments.WHOLE // K,
        "All samples together are counted exactly up to 2**53; a problem depends on n through lam n^(1/(L+1)) alone.",
    )
    return lambda name, value: arguments.integer(name, value, 1, most=most, beyond=beyond)
