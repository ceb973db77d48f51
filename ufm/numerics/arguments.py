"""Checks on arguments: one sentence that names the argument, its value and what is allowed."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING

from ufm.numerics import words

if TYPE_CHECKING:
    import numpy as np


def integer(name: str, value, least: int, why: str = "") -> int:
    """An integer >= least, or a ValueError naming it."""
    whole = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {name}={value!r}.{why and ' ' + why}")
    return int(value)


def positive(name: str, value, why: str = "") -> float:
    """A finite number > 0, or a ValueError naming it."""
    number = real(name, value)
    if not number > 0:
        raise ValueError(f"{name} must be positive; got {name}={value!r}.{why and ' ' + why}")
    return number


def nonnegative(name: str, value, why: str = "") -> float:
    """A finite number >= 0, or a ValueError naming it."""
    number = real(name, value)
    if number < 0:
        raise ValueError(f"{name} must not be negative; got {name}={value!r}.{why and ' ' + why}")
    return number


def real(name: str, value) -> float:
    """A finite real number, or a ValueError naming it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite real number; got {name}={value!r}.")
    return float(value)


def instance(name: str, value, kind: type) -> None:
    """A ValueError unless value is of the kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}; got {type(value).__name__}.")


def short(value: float) -> str:
    """The number in six digits where they say it exactly, else in full."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def array(name: str, value, ndim: int | None = None, shape: tuple | None = None) -> np.ndarray:
    """A finite float64 array with the stated number of axes or shape (None entries are free)."""
    import numpy as np  # here, so that the command line starts without numpy

    try:
        result = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of real numbers; got {type(value).__name__}.") from None
    if ndim is not None and result.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes; got shape {result.shape}.")
    if shape is not None and (result.ndim != len(shape) or any(want is not None and got != want for got, want in zip(result.shape, shape, strict=True))):
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}; got {result.shape}.")
    if not np.all(np.isfinite(result)):
        raise ValueError(f"{name} must be finite; it has {int(np.sum(~np.isfinite(result)))} entries that are not.")
    return result


def choice(name: str, value, allowed) -> str:
    """One of the allowed words, or a ValueError that lists them, of many the nearest three, and says which is meant."""
    allowed = sorted(allowed)
    if value in allowed:
        return value
    hint = words.suggestion(value, allowed, 1)
    raise ValueError(f"{name} must be {words.known_names(value, allowed)}; got {name}={value!r}.{hint and f' {hint[0].upper()}{hint[1:]}'}")
