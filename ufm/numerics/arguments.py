"""Checks on arguments: one sentence that names the argument, its value and what is allowed."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, TypeVar

from ufm.numerics import words

if TYPE_CHECKING:
    import numpy as np

Kind = TypeVar("Kind")

ROOM = 2**27
"""So many numbers one array may hold, 1 GiB; what would need more is refused before any work."""
MOST = 10_000_000
"""Starts, cells and the like: each is work of its own that is kept."""
WORKERS = 4096
"""Worker processes of one call."""
WHOLE = 2**53
"""Up to here float64 holds every integer."""


def integer(name: str, value, least: int, why: str = "", most: int | None = None, beyond: str = "") -> int:
    """An integer from least to most, or a ValueError naming it; why, beyond: a sentence on what is too small, large."""
    whole = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {name}={value!r}.{why and ' ' + why}")
    size = int(value)  # pyright: ignore[reportArgumentType] a whole number of any kind
    if most is not None and size > most:
        raise ValueError(f"{name} must be at most {most}; got {name}={value!r}.{beyond and ' ' + beyond}")
    return size


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
    ValueError: one matrix of class logits has 100000 x 100000 numbers, 74.5 GiB; at most 1 GiB is allowed: take a
        smaller K.
    """
    if math.prod(sizes) > ROOM:
        shape = " x ".join(map(str, sizes))
        size = f"{math.prod(sizes) / 2**27:.3g}" if math.prod(sizes) < 2**1000 else "more than 1e290"
        raise ValueError(f"{what} has {shape} numbers, {size} GiB; at most {ROOM / 2**27:g} GiB is allowed: {instead}.")


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
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        large = f"{name} too large for a float, which ends at 1.8e308"
        raise ValueError(f"{name} must be a finite real number; got {large}.") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite real number; got {name}={value!r}.")
    return number


def instance(name: str, value, kind: type[Kind]) -> Kind:
    """The value; a ValueError unless it is of the kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}; got {type(value).__name__}.")
    return value


def short(value: float) -> str:
    """The number in six digits where they say it exactly, else in full."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def array(name: str, value, ndim: int | None = None, shape: tuple | None = None) -> np.ndarray:
    """A finite float64 array with the stated number of axes or shape (None entries are free).

    Whatever would lose its meaning as floats is refused: masks, complex numbers, dates, structured and object arrays,
    text. Tensors of other libraries are detached, brought to the CPU and, in kinds that numpy lacks (bfloat16), read as
    their floats.
    """
    import numpy as np  # here, so that the command line starts without numpy

    result = _floats(name, plain(name, value))
    if ndim is not None and result.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes; got shape {result.shape}.")
    if shape is not None and (
        result.ndim != len(shape)
        or any(want is not None and got != want for got, want in zip(result.shape, shape, strict=True))
    ):
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}; got {result.shape}.")
    if not np.all(np.isfinite(result)):
        raise ValueError(f"{name} must be finite; it has {int(np.sum(~np.isfinite(result)))} entries that are not.")
    return result


def plain(name: str, value) -> np.ndarray:
    """The value as a numpy array of any kind but a masked one; a ValueError with the cause where it cannot be read."""
    import numpy as np

    several = isinstance(value, (list, tuple))
    parts = [part for part in value if not isinstance(part, (int, float))] if several else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        masked = "a masked array, whose mask would be lost: fill it, or leave the masked samples out"
        raise ValueError(f"{name} must be an array of real numbers; got {masked}.")
    try:
        if any(callable(getattr(part, step, None)) for part in parts for step in _TENSOR_STEPS):
            return np.asarray([_of_tensor(part) for part in value] if several else _of_tensor(value))
        return np.asarray(value)
    except MemoryError:
        raise
    except (TypeError, ValueError) as error:
        got = f"{type(value).__name__}: {_first_line(error)}"
        raise ValueError(f"{name} must be an array of real numbers; got {got}") from None
    except Exception as error:  # the other library's own words for what it cannot give
        raise ValueError(f"{name} cannot be read as an array: {_first_line(error)}") from None


def labels(name: str, value, N: int, K: int | None = None, d: int = 1) -> tuple[np.ndarray, int]:
    """(classes (N,) as integers in 0..K-1, K); K None means one more than the largest label.

    A class without samples is left to `every_class`, except where the labels ask for more than N classes: some have
    none, and class means of K x d numbers are refused before they are made.
    """
    import numpy as np

    number = "np.unique(y, return_inverse=True)[1] makes such integers of any labels y"
    if value is None:
        raise ValueError(f"{name} must hold the class, 0..K-1, of every sample; got None.")
    given = plain(name, value)
    texts = (isinstance(item, (str, bytes)) for item in given.flat)
    if given.dtype.kind in "UST" or (given.dtype.kind == "O" and any(texts)):
        got = f"text like {str(given.flat[0])!r}. {number}"
        raise ValueError(f"{name} must be an array of real numbers, the classes 0..K-1; got {got}.")
    if given.shape == (N, 1) or (given.ndim == 2 and len(given) == N):
        how = "its column, y[:, 0]" if given.shape[1] == 1 else "of one-hot rows Y.argmax(axis=1)"
        raise ValueError(f"{name} must have shape ({N},), the class of every sample; got {given.shape}: take {how}.")
    found = array(name, given, shape=(N,))
    if np.any(found != np.floor(found)) or np.any(found < 0) or np.any(found > 2**53):
        got = f"values from {found.min():g} to {found.max():g}. {number}"
        raise ValueError(f"{name} must hold integers 0..K-1; got {got}.")
    classes = K if K is not None else int(found.max(initial=-1)) + 1
    if classes < 2:
        source = f"{name} has no other labels" if K is None else "one class leaves nothing to separate"
        raise ValueError(f"K must be at least 2 classes; got K={classes}: {source}.")
    if np.any(found >= classes):
        raise ValueError(f"{name} must lie in 0..{classes - 1} for K={classes} classes; got {int(found.max())}.")
    if K is None and classes > N:
        size = f"means of {classes} classes in d={d} would take {8 * classes * d / 2**30:.3g} GiB"
        every_class(name, np.unique(found), classes, size if classes * d > 2**24 else "")
    return found.astype(int), classes


def every_class(name: str, present, K: int, more: str = "") -> None:
    """A ValueError unless the classes present, distinct numbers in 0..K-1, are all of them."""
    import numpy as np

    if len(present) < K:
        absent = np.setdiff1d(np.arange(min(K, len(present) + 6)), present)
        shown = ", ".join(map(str, absent[:5].tolist())) + (", ..." if K - len(present) > 5 else "")
        how = f"{more and '; ' + more}. np.unique(y, return_inverse=True)[1] numbers the labels y that there are"
        there = f"there are none of {shown}{how}"
        raise ValueError(f"{name} must be integers 0..{K - 1} with every class present; {there}.")


def _of_tensor(value):
    """A tensor without its gradient, on the CPU, as an array; of its floats where numpy has no such kind (bfloat16)."""
    import numpy as np

    for step in _TENSOR_STEPS:
        move = getattr(value, step, None)
        value = move() if callable(move) else value
    try:
        return np.asarray(value)
    except TypeError:
        is_complex = getattr(value, "is_complex", None)
        to_float = getattr(value, "float", None)
        if not callable(to_float) or (callable(is_complex) and is_complex()):
            raise
        return np.asarray(to_float())


_TENSOR_STEPS = ("detach", "cpu")

_KINDS = {
    "c": "complex numbers, of which the imaginary part would be lost",
    "M": "dates",
    "m": "time differences",
    "U": "text",
    "S": "text",
    "T": "text",
    "O": "objects",
}


def _floats(name: str, A: np.ndarray) -> np.ndarray:
    """The array as float64, of a kind that says the same as floats."""
    import numpy as np

    kind = A.dtype.kind
    what = "named fields (a structured array)" if A.dtype.names is not None else _KINDS.get(kind)
    if what is None and A.dtype.type is not np.void:  # bool, integer, float, and those of other libraries (bfloat16)
        with np.errstate(over="ignore"):  # beyond float64: refused as not finite
            return A.astype(float, copy=False)
    if kind == "O" and A.size:
        odd = [item for item in A.flat if not isinstance(item, numbers.Real)][:1]
        numbers_only = "objects that are all numbers; astype(float) makes an array of them"
        what = f"objects, such as {type(odd[0]).__name__}" if odd else numbers_only
        if odd and callable(getattr(odd[0], "toarray", None)):
            what = f"a sparse {type(odd[0]).__name__}: give its toarray()"
    raise ValueError(f"{name} must be an array of real numbers; got {what or 'raw bytes'} (dtype {A.dtype}).")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def choice(name: str, value, allowed) -> str:
    """One of the allowed words, or a ValueError that lists them, of many the nearest three, and says which is meant."""
    allowed = sorted(allowed)
    if value in allowed:
        return value
    hint = words.suggestion(value, allowed, 1)
    hint = hint and f" {hint[0].upper()}{hint[1:]}"
    raise ValueError(f"{name} must be {words.known_names(value, allowed)}; got {name}={value!r}.{hint}")
