"""Checks on arguments: one sentence that names the argument, its value and what is allowed."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING

from ufm.numerics import words

if TYPE_CHECKING:
    import numpy as np


ROOM = 2**27
"""So many numbers one array may hold, 1 GiB; what would need more is refused before any work."""
MOST = 10_000_000
"""Starts, cells and the like: each is work of its own that is kept."""
WORKERS = 4096
"""Worker processes of one call."""
WHOLE = 2**53
"""Up to here float64 holds every integer."""


def integer(name: str, value, least: int, why: str = "", most: int | None = None, beyond: str = "") -> int:
    """An integer >= least (and <= most), or a ValueError naming it; why, beyond: a sentence more for what is too small, too large."""
    whole = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {name}={value!r}.{why and ' ' + why}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}; got {name}={value!r}.{beyond and ' ' + beyond}")
    return int(value)


def count(name: str, value, least: int) -> int:
    """How often work is done whose results are kept: an integer from least to MOST, or a ValueError naming it."""
    return integer(name, value, least, most=MOST, beyond="Each is a run of its own, and kept: ask for fewer.")


def workers(jobs) -> int:
    """Worker processes, from 1 to WORKERS, or a ValueError naming `jobs`."""
    return integer("jobs", jobs, 1, most=WORKERS, beyond="More processes than processors make nothing faster.")


def room(what: str, *sizes: int, instead: str) -> None:
    """A ValueError unless an array of these sizes fits into ROOM; `instead` says what to do.

    >>> room("one matrix of class logits", 100_000, 100_000, instead="take a smaller K")
    Traceback (most recent call last):
    ValueError: one matrix of class logits has 100000 x 100000 numbers, 74.5 GiB; at most 1 GiB is allowed: take a smaller K.
    """
    if math.prod(sizes) > ROOM:
        shape = " x ".join(map(str, sizes))
        raise ValueError(f"{what} has {shape} numbers, {math.prod(sizes) / 2**27:.3g} GiB; at most {ROOM / 2**27:g} GiB is allowed: {instead}.")


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
