"""Numpy's own error state around what users call, so that results do not depend on what the caller's `np.seterr` says.

Underflow is harmless everywhere here (the exponential of a very negative logit is zero), and what is not is handled
where it happens. Numpy is imported when it is needed.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

Thing = TypeVar("Thing", bound=Callable)

DEFAULTS: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""The error state of numpy as it is imported."""

_ENTERED = contextvars.ContextVar("entered", default=False)
"""Whether the caller is this package itself."""


def numpy_defaults():
    """A context with numpy's error state as it is imported."""
    import numpy as np

    return np.errstate(**DEFAULTS)


def own_numpy_state(thing: Thing) -> Thing:
    """The function, run in `numpy_defaults`; of a class, its construction and its public methods, in place.

    >>> import numpy as np
    >>> with np.errstate(all="raise"):
    ...     float(own_numpy_state(np.exp)(-1e4))
    0.0
    """
    if not inspect.isclass(thing):
        return _inside(thing)
    for name, value in list(vars(thing).items()):
        if inspect.isfunction(value) and (name == "__post_init__" or not name.startswith("_")):
            setattr(thing, name, _inside(value))
    return cast(Thing, thing)


def _inside(function: Thing) -> Thing:
    @functools.wraps(function)
    def run(*args, **kwargs):
        if _ENTERED.get():  # what the package says of numpy further out holds
            return function(*args, **kwargs)
        token = _ENTERED.set(True)
        try:
            with numpy_defaults():
                return function(*args, **kwargs)
        finally:
            _ENTERED.reset(token)

    return cast(Thing, run)
